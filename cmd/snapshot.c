/* Snapshot files: made from a running member, looked at, and turned into the
 * data directory of a new cluster.  Names of flags, defaults and output are
 * those of etcdctl and etcdutl. */

#include "cmd/snapshot.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"
#include "cmd/flags.h"
#include "node/identity.h"
#include "node/restore.h"

#define ROW(kind, name, normal, choices, group, help)                          \
    {                                                                          \
        name, FLAG_##kind, normal, choices, FLAG_USED, "", group, help         \
    }

/* --- progress --- */

#define SHOW_NS (INT64_C(200) * 1000000)

static int64_t shown_ns;

static int64_t now_ns(void)
{
    struct timespec now;
    must(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void snapshot_show_progress(void *arg, uint64_t done, uint64_t all)
{
    const int64_t now = now_ns();
    if (!isatty(STDERR_FILENO) || now - shown_ns < SHOW_NS) {
        return;
    }
    shown_ns = now;
    const char *what = arg;
    const double mb = (double)done / 1e6;
    if (all > 0 && done <= all) {
        (void)fprintf(stderr, "\r%s: %3d %% of %.1f MB\033[K", what,
                      (int)(100 * done / all), (double)all / 1e6);
    } else {
        (void)fprintf(stderr, "\r%s: %.1f MB\033[K", what, mb);
    }
}

void snapshot_end_progress(void)
{
    if (shown_ns != 0) {
        (void)fputs("\r\033[K", stderr);
    }
    shown_ns = 0;
}

/* --- command lines: one file, and flags --- */

struct command {
    const char *name, *usage;
    const struct flag *table;
    size_t count;
    int (*run)(const struct flags *f, const char *file);
};

static bool takes_a_word(const struct command *c, const char *word)
{
    const char *name = word + strspn(word, "-");
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->table[i].name, name) == 0) {
            return c->table[i].kind != FLAG_BOOL;
        }
    }
    return false;
}

/* Takes the one word that is no flag out of the line; NULL: there is none, or
 * more than one. */
static const char *take_file(const struct command *c, int *argc, char **argv)
{
    const char *file = NULL;
    int kept = 0;
    for (int i = 0; i < *argc; i++) {
        char *word = argv[i];
        if (word[0] != '-' || word[1] == '\0') {
            if (file != NULL) {
                return NULL;
            }
            file = word;
            continue;
        }
        argv[kept++] =
            strcmp(word, "-w") == 0 ? (char *)(uintptr_t) "--write-out" : word;
        if (takes_a_word(c, argv[kept - 1]) && i + 1 < *argc) {
            argv[kept++] = argv[++i];
        }
    }
    *argc = kept;
    return file;
}

static int fail(const struct command *c, const char *text)
{
    (void)fprintf(stderr, "keelfs snapshot %s: %s\n", c->name, text);
    return 1;
}

static int usage(const struct command *c, FILE *to, int exit_status)
{
    (void)fprintf(to, "Usage: keelfs snapshot %s\n", c->usage);
    for (size_t i = 0; to == stdout && i < c->count; i++) {
        const struct flag *row = &c->table[i];
        (void)fprintf(to, "  --%s\n      %s%s%s%s%s\n", row->name, row->help,
                      row->choices[0] != '\0' ? ": " : "", row->choices,
                      row->normal[0] != '\0' ? "; default " : "", row->normal);
    }
    return exit_status;
}

static int run_command(const struct command *c, int argc, char *const *argv)
{
    struct flags f;
    struct fault fault;
    char **words = xcalloc((size_t)argc + 1, sizeof *words);
    for (int i = 0; i < argc; i++) {
        words[i] = argv[i];
    }
    const char *file = take_file(c, &argc, words);
    int exit_status;
    flags_init(&f, c->table, c->count);
    const enum status st = flags_read_line(&f, argc, words, &fault);
    if (st == ST_OK && f.help) {
        exit_status = usage(c, stdout, 0);
    } else if (st != ST_OK) {
        (void)fail(c, fault.text);
        exit_status = 2;
    } else if (file == NULL) {
        (void)fail(c, "give the name of one file");
        exit_status = usage(c, stderr, 2);
    } else {
        exit_status = c->run(&f, file);
    }
    flags_fini(&f);
    free(words);
    return exit_status;
}

/* --- save --- */

static const struct flag save_flags[] = {
    ROW(TEXT, "endpoints", "127.0.0.1:2379", "", "",
        "addresses of members, the first that can be reached is asked"),
};

static int run_save(const struct flags *f, const char *file)
{
    struct fault fault;
    const struct flag_setting *given = flags_setting(f, "endpoints");
    const char *variable = getenv("ETCDCTL_ENDPOINTS");
    const char *endpoints = given->source == FLAG_FROM_DEFAULT &&
                                    variable != NULL && variable[0] != '\0'
                                ? variable
                                : given->value;
    const enum status st = snapshot_save(file, endpoints, &fault);
    snapshot_end_progress();
    if (st != ST_OK) {
        (void)fprintf(stderr, "keelfs snapshot save: %s\n", fault.text);
        return 1;
    }
    (void)printf("Snapshot saved at %s\n", file);
    return 0;
}

/* --- status --- */

static const struct flag status_flags[] = {
    ROW(CHOICE, "write-out", "simple", "simple table json fields", "",
        "form of the output"),
};

static void print_status(const char *form, const struct snapshot_file_info *i)
{
    const unsigned hash = (unsigned)i->digest[0] << 24 |
                          (unsigned)i->digest[1] << 16 |
                          (unsigned)i->digest[2] << 8 | i->digest[3];
    const long long revision = i->head.revision;
    const unsigned long long keys = i->head.keys_count;
    const double mb = (double)i->size / 1e6;
    if (strcmp(form, "json") == 0) {
        (void)printf("{\"hash\":%u,\"revision\":%lld,\"totalKey\":%llu,"
                     "\"totalSize\":%llu}\n",
                     hash, revision, keys, (unsigned long long)i->size);
    } else if (strcmp(form, "fields") == 0) {
        (void)printf("\"Hash\" : %u\n\"Revision\" : %lld\n\"Keys\" : %llu\n"
                     "\"Size\" : %llu\n\"CompactRevision\" : %lld\n"
                     "\"Index\" : %llu\n\"Term\" : %llu\n"
                     "\"ClusterID\" : %llu\n\"MemberID\" : %llu\n",
                     hash, revision, keys, (unsigned long long)i->size,
                     (long long)i->head.compact_revision,
                     (unsigned long long)i->head.index,
                     (unsigned long long)i->head.term,
                     (unsigned long long)i->head.identity.cluster_id,
                     (unsigned long long)i->head.identity.member_id);
    } else if (strcmp(form, "table") == 0) {
        (void)printf("+----------+------------+------------+------------+\n"
                     "|   HASH   |  REVISION  | TOTAL KEYS | TOTAL SIZE |\n"
                     "+----------+------------+------------+------------+\n"
                     "| %08x | %10lld | %10llu | %7.1f MB |\n"
                     "+----------+------------+------------+------------+\n",
                     hash, revision, keys, mb);
    } else {
        (void)printf("%08x, %lld, %llu, %.1f MB\n", hash, revision, keys, mb);
    }
}

static int run_status(const struct flags *f, const char *file)
{
    static char what[] = "verifying";
    struct fault fault;
    struct snapshot_file_info info;
    const struct restore_progress progress = {.moved = snapshot_show_progress,
                                              .arg = what};
    const enum status st = snapshot_file_check(file, &progress, &info, &fault);
    snapshot_end_progress();
    if (st != ST_OK) {
        (void)fprintf(stderr, "keelfs snapshot status: %s\n", fault.text);
        return 1;
    }
    print_status(flags_text(f, "write-out"), &info);
    return 0;
}

/* --- restore --- */

static const struct flag restore_flags[] = {
    ROW(TEXT, "data-dir", "", "", "",
        "the new data directory; without it, the name with '.etcd' behind it"),
    ROW(TEXT, "name", "default", "", "", "name of the member"),
    ROW(TEXT, "initial-cluster", "default=http://localhost:2380", "", "",
        "the new cluster's members: name=URL, separated by commas"),
    ROW(TEXT, "initial-cluster-token", "etcd-cluster", "", "",
        "what tells this cluster from others with the same members"),
    ROW(URLS, "initial-advertise-peer-urls", "http://localhost:2380", "", "",
        "this member's URLs for the others, as in initial-cluster"),
    ROW(BOOL, "skip-hash-check", "false", "", "",
        "accept a file whose SHA-256 is wrong; its contents are verified "
        "still"),
    ROW(COUNT, "bump-revision", "0", "", "",
        "how much higher the revision is to be than the snapshot's"),
    ROW(BOOL, "mark-compacted", "false", "", "",
        "history up to there is compacted, so that watches and caches notice"),
};

/* Both lists name the same addresses, in whatever order. */
static bool same_addresses(const char *a, const char *b)
{
    const char *lists[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        const char *part = lists[i];
        const char *other = lists[1 - i];
        while (*part != '\0') {
            const size_t size = strcspn(part, ",");
            const char *at = other;
            bool found = false;
            while (!found && *at != '\0') {
                const size_t other_size = strcspn(at, ",");
                found = other_size == size && strncmp(at, part, size) == 0;
                at += other_size + (at[other_size] == ',');
            }
            if (!found) {
                return false;
            }
            part += size + (part[size] == ',');
        }
    }
    return true;
}

static enum status check_own_urls(const struct restore_options *o,
                                  const char *own, struct fault *reterr)
{
    char addresses[IDENTITY_ADDRESSES_MAX];
    struct identity *id = xcalloc(1, sizeof *id);
    enum status st = identity_derive(o->name, o->cluster_token,
                                     o->initial_cluster, id, reterr);
    if (st == ST_OK) {
        st = identity_strip_urls(own, addresses, sizeof addresses, reterr);
    }
    for (size_t i = 0; st == ST_OK && i < id->voters_count; i++) {
        if (id->voters[i] == id->member_id &&
            !same_addresses(id->addresses[i], addresses)) {
            st = fault_set(reterr, ST_INVALID,
                           "--initial-cluster '%s' and "
                           "--initial-advertise-peer-urls '%s' do not agree on "
                           "the addresses of '%s'",
                           o->initial_cluster, own, o->name);
        }
    }
    free(id);
    return st;
}

static enum status restore(const struct flags *f,
                           const struct restore_options *o,
                           struct restore_result *ret, struct fault *reterr)
{
    if (o->mark_compacted != (o->bump_revision > 0)) {
        return fault_set(
            reterr, ST_INVALID,
            "--bump-revision and --mark-compacted belong together: "
            "give both or neither");
    }
    const enum status st =
        check_own_urls(o, flags_text(f, "initial-advertise-peer-urls"), reterr);
    return st == ST_OK ? restore_snapshot(o, ret, reterr) : st;
}

static int run_restore(const struct flags *f, const char *file)
{
    static char what[] = "restoring";
    struct fault fault;
    struct restore_result result;
    const char *name = flags_text(f, "name");
    char own[512];
    (void)snprintf(own, sizeof own, "%s.etcd", name);
    const char *data_dir = flags_text(f, "data-dir");
    const struct restore_options o = {
        .file = file,
        .data_dir = data_dir[0] != '\0' ? data_dir : own,
        .name = name,
        .initial_cluster = flags_text(f, "initial-cluster"),
        .cluster_token = flags_text(f, "initial-cluster-token"),
        .skip_hash_check = flags_bool(f, "skip-hash-check"),
        .bump_revision = (uint64_t)flags_int(f, "bump-revision"),
        .mark_compacted = flags_bool(f, "mark-compacted"),
        .progress = {.moved = snapshot_show_progress, .arg = what}};
    const enum status st = restore(f, &o, &result, &fault);
    snapshot_end_progress();
    if (st != ST_OK) {
        (void)fprintf(stderr, "keelfs snapshot restore: %s\n", fault.text);
        return 1;
    }
    (void)printf(
        "restored %llu keys at revision %lld into '%s', as member %llx "
        "of cluster %llx\n",
        (unsigned long long)result.head.keys_count, (long long)result.revision,
        o.data_dir, (unsigned long long)result.member_id,
        (unsigned long long)result.cluster_id);
    return 0;
}

/* --- which one --- */

static const struct command commands[] = {
    {"save", "save FILE [--endpoints HOST:PORT]", save_flags,
     count_of(save_flags), run_save},
    {"status", "status FILE [-w simple|table|json|fields]", status_flags,
     count_of(status_flags), run_status},
    {"restore", "restore FILE --data-dir DIR [flags]", restore_flags,
     count_of(restore_flags), run_restore},
};

static int list_commands(FILE *to, int exit_status)
{
    (void)fputs("Usage: keelfs snapshot COMMAND FILE [flags]\n"
                "  save     store the state of a running member in a file\n"
                "  status   verify a file and tell what is in it\n"
                "  restore  make the data directory of a new cluster's member\n"
                "'keelfs snapshot COMMAND --help' lists the flags.\n",
                to);
    return exit_status;
}

int snapshot_main(int argc, char *const *argv)
{
    if (argc < 1) {
        return list_commands(stderr, 2);
    }
    for (size_t i = 0; i < count_of(commands); i++) {
        if (strcmp(argv[0], commands[i].name) == 0) {
            return run_command(&commands[i], argc - 1, argv + 1);
        }
    }
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
        return list_commands(stdout, 0);
    }
    (void)fprintf(stderr, "keelfs snapshot: unknown command '%s'\n", argv[0]);
    return list_commands(stderr, 2);
}
