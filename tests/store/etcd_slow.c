/* The store beside stock etcd: the same random requests to both, through
 * etcdctl, and the same answers expected, field by field.  Skipped where etcd
 * is not installed. */

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/must.h"
#include "base/prng.h"
#include "rig.h"
#include "store/hashes.h"

#define STEPS 160

struct etcd {
    char directory[300];
    pid_t pid;
};

static void etcd_begin(struct etcd *e)
{
    (void)snprintf(e->directory, sizeof e->directory, "%s", test_directory());
    (void)fflush(NULL);
    e->pid = fork();
    must(e->pid >= 0);
    if (e->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failing test leaves */
        const int log = open("/dev/null", O_RDWR);
        (void)dup2(log, 0);
        (void)dup2(log, 1);
        (void)dup2(log, 2);
        if (chdir(e->directory) != 0) {
            _exit(1);
        }
        (void)execlp("etcd", "etcd", "--data-dir", "d", "--listen-client-urls",
                     "unix://localhost:1", "--advertise-client-urls",
                     "unix://localhost:1", "--listen-peer-urls",
                     "unix://localhost:2", "--initial-advertise-peer-urls",
                     "unix://localhost:2", "--initial-cluster",
                     "default=unix://localhost:2", (char *)NULL);
        _exit(1);
    }
}

static void etcd_end(struct etcd *e)
{
    (void)kill(e->pid, SIGKILL);
    (void)waitpid(e->pid, NULL, 0);
}

/* Runs etcdctl; its output without the fields that are etcd's own. */
static void etcd_ask(const struct etcd *e, const char *arguments,
                     const char *input, struct buf *to)
{
    char command[4096];
    char line[4096];
    bool first_revision = true;
    const int size =
        snprintf(command, sizeof command,
                 "cd %s && printf '%s' | ETCDCTL_API=3 timeout 10 etcdctl "
                 "--endpoints unix://localhost:1 -w fields %s 2>&1",
                 e->directory, input, arguments);
    must(size > 0);
    must((size_t)size < sizeof command);
    FILE *f = popen(command, "r");
    must(f != NULL);
    buf_clear(to);
    while (fgets(line, sizeof line, f) != NULL) {
        const bool revision = strncmp(line, "\"Revision\"", 10) == 0;
        const bool own = strncmp(line, "\"ClusterID\"", 11) == 0 ||
                         strncmp(line, "\"MemberID\"", 10) == 0 ||
                         strncmp(line, "\"RaftTerm\"", 10) == 0 ||
                         line[0] == '{' || line[0] == '\n';
        if (own || (revision && !first_revision)) {
            continue;
        }
        first_revision = first_revision && !revision;
        buf_append(to, bytes_of(line));
    }
    (void)pclose(f);
}

/* --- ours, in the same words --- */

static void say(struct buf *to, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(struct buf *to, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    const int size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    must(size >= 0);
    must((size_t)size < sizeof text);
    buf_append(to, bytes_of(text));
}

static void say_item(struct buf *to, const char *prefix,
                     const struct kv_item *i)
{
    say(to, "\"%sKey\" : \"%.*s\"\n", prefix, (int)i->key.size,
        (const char *)i->key.data);
    say(to, "\"%sCreateRevision\" : %lld\n", prefix,
        (long long)i->create_revision);
    say(to, "\"%sModRevision\" : %lld\n", prefix, (long long)i->mod_revision);
    say(to, "\"%sVersion\" : %lld\n", prefix, (long long)i->version);
    say(to, "\"%sValue\" : \"%.*s\"\n", prefix, (int)i->value.size,
        i->value.size == 0 ? "" : (const char *)i->value.data);
    say(to, "\"%sLease\" : %lld\n", prefix, (long long)i->lease);
}

static void say_range(struct buf *to, const struct kv_range_result *r)
{
    for (size_t i = 0; i < r->items_count; i++) {
        say_item(to, "", &r->items[i]);
    }
    say(to, "\"More\" : %s\n\"Count\" : %lld\n", r->more ? "true" : "false",
        (long long)r->count);
}

static void say_result(struct buf *to, const struct kv_op_result *r)
{
    switch (r->type) {
    case KV_OP_RANGE:
        say_range(to, &r->range);
        break;
    case KV_OP_PUT:
        if (r->put.prev != NULL) {
            say_item(to, "Prev", r->put.prev);
        }
        break;
    case KV_OP_DELETE_RANGE:
        say(to, "\"Deleted\" : %lld\n", (long long)r->delete_range.deleted);
        for (int64_t i = 0;
             r->delete_range.prevs != NULL && i < r->delete_range.deleted;
             i++) {
            say_item(to, "Prev", &r->delete_range.prevs[i]);
        }
        break;
    case KV_OP_TXN:
    case KV_OP_MOVE:
        break;
    }
}

static void say_error(struct buf *to, enum status st)
{
    buf_clear(to);
    say(to, "Error: %s\n", status_text(st));
}

/* --- what is asked --- */

struct asking {
    struct prng prng;
    struct rig rig;
    struct etcd etcd;
    char input[2048];     /* etcdctl's */
    char arguments[1024]; /* likewise */
    struct kv_op ops[8];
    char texts[32][32];
    unsigned texts_count, ops_count;
};

static unsigned below(struct asking *a, unsigned bound)
{
    return (unsigned)prng_below(&a->prng, bound);
}

static const char *word(struct asking *a, const char *from)
{
    must(a->texts_count < count_of(a->texts));
    char *text = a->texts[a->texts_count++];
    text[0] = from[below(a, (unsigned)strlen(from))];
    text[1] = below(a, 3) == 0 ? from[below(a, 3)] : '\0';
    text[2] = '\0';
    return text;
}

static void append(char *to, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void append(char *to, size_t size, const char *format, ...)
{
    const size_t used = strlen(to);
    va_list args;
    va_start(args, format);
    const int more = vsnprintf(to + used, size - used, format, args);
    va_end(args);
    must(more >= 0);
    must((size_t)more < size - used);
}

/* One operation, for both. */
static void add_op(struct asking *a)
{
    struct kv_op *op = &a->ops[a->ops_count++];
    const char *key = word(a, "abcd");
    const char *end = word(a, "bcde");
    const bool ranged = below(a, 3) == 0;
    const bool prev = below(a, 2) == 0;
    *op = (struct kv_op){.type = KV_OP_PUT};
    switch (below(a, 3)) {
    case 0: {
        const char *value = word(a, "xyz");
        op->put.key = bytes_of(key);
        op->put.value = bytes_of(value);
        op->put.prev_kv = prev;
        append(a->input, sizeof a->input, "put %s %s%s\\n", key, value,
               prev ? " --prev-kv" : "");
        break;
    }
    case 1:
        op->type = KV_OP_DELETE_RANGE;
        op->delete_range.keys.key = bytes_of(key);
        op->delete_range.keys.end = ranged ? bytes_of(end) : BYTES_NONE;
        op->delete_range.prev_kv = prev;
        append(a->input, sizeof a->input, "del %s %s%s\\n", key,
               ranged ? end : "", prev ? " --prev-kv" : "");
        break;
    default:
        op->type = KV_OP_RANGE;
        op->range.keys.key = bytes_of(key);
        op->range.keys.end = ranged ? bytes_of(end) : BYTES_NONE;
        op->range.revision = below(a, 3) == 0 ? store_revision(a->rig.store) +
                                                    1 - (int64_t)below(a, 12)
                                              : 0;
        if (op->range.revision < 0) {
            op->range.revision = 0;
        }
        append(a->input, sizeof a->input, "get %s %s --rev=%lld\\n", key,
               ranged ? end : "", (long long)op->range.revision);
        break;
    }
}

static void add_compare(struct asking *a, struct kv_compare *c)
{
    static const char *const targets[] = {"ver", "c", "m", "val"};
    static const char signs[] = {'=', '>', '<'};
    const char *key = word(a, "abcd");
    *c = (struct kv_compare){.keys = {.key = bytes_of(key)},
                             .target = (enum kv_compare_target)below(a, 4),
                             .result = (enum kv_compare_result)below(a, 3)};
    append(a->input, sizeof a->input, "%s(\"%s\") %c ", targets[c->target], key,
           signs[c->result]);
    if (c->target == KV_COMPARE_VALUE) {
        const char *value = word(a, "xyz");
        c->value = bytes_of(value);
        append(a->input, sizeof a->input, "\"%s\"\\n", value);
    } else {
        c->number = below(a, 2) == 0 ? 0 : (int64_t)below(a, 20);
        append(a->input, sizeof a->input, "\"%lld\"\\n", (long long)c->number);
    }
}

static void ask_txn(struct asking *a, struct buf *ours)
{
    struct kv_compare compares[2];
    struct kv_txn_spec txn = {.compares = compares,
                              .compares_count = below(a, 3)};
    for (size_t i = 0; i < txn.compares_count; i++) {
        add_compare(a, &compares[i]);
    }
    append(a->input, sizeof a->input, "\\n");
    txn.success = a->ops;
    txn.success_count = 1 + below(a, 3);
    for (size_t i = 0; i < txn.success_count; i++) {
        add_op(a);
    }
    append(a->input, sizeof a->input, "\\n");
    txn.failure = &a->ops[a->ops_count];
    txn.failure_count = below(a, 3);
    for (size_t i = 0; i < txn.failure_count; i++) {
        add_op(a);
    }
    append(a->input, sizeof a->input, "\\n");
    append(a->arguments, sizeof a->arguments, "txn");

    enum status st = store_check_txn(a->rig.store, &txn);
    if (st == ST_OK) {
        st = rig_txn(&a->rig, &txn);
    }
    if (st != ST_OK) {
        say_error(ours, st);
        return;
    }
    const struct kv_txn_result *r = a->rig.outcome.txn;
    say(ours, "\"Revision\" : %lld\n",
        (long long)a->rig.outcome.header.revision);
    say(ours, "\"Succeeded\" : %s\n", r->succeeded ? "true" : "false");
    for (size_t i = 0; i < r->results_count; i++) {
        say_result(ours, &r->results[i]);
    }
}

static void ask_get(struct asking *a, struct buf *ours)
{
    static const char *const targets[] = {"KEY", "VERSION", "CREATE", "MODIFY",
                                          "VALUE"};
    static const char *const orders[] = {"", "ASCEND", "DESCEND"};
    const char *key = word(a, "abcd");
    const char *end = word(a, "bcde");
    struct kv_range_spec spec = {
        .keys = {bytes_of(key), bytes_of(end)},
        .limit = below(a, 2) == 0 ? below(a, 4) : 0,
        .revision = below(a, 2) == 0 ? store_revision(a->rig.store) + 2 -
                                           (int64_t)below(a, 12)
                                     : 0,
        .keys_only = below(a, 4) == 0,
        .sort_target = (enum kv_sort_target)below(a, 5),
        .sort_order = (enum kv_sort_order)below(a, 3)};
    spec.revision = spec.revision < 0 ? 0 : spec.revision;
    append(a->arguments, sizeof a->arguments,
           "get %s %s --limit=%lld --rev=%lld %s --sort-by=%s --order=%s", key,
           end, (long long)spec.limit, (long long)spec.revision,
           spec.keys_only ? "--keys-only" : "", targets[spec.sort_target],
           orders[spec.sort_order]);
    struct kv_range_result r;
    store_results_clear(a->rig.results);
    const enum status st =
        store_range(a->rig.store, &spec, a->rig.results, &r, &a->rig.fault);
    if (st != ST_OK) {
        say_error(ours, st);
        return;
    }
    say(ours, "\"Revision\" : %lld\n", (long long)store_revision(a->rig.store));
    say_range(ours, &r);
}

static void ask_compact(struct asking *a, struct buf *ours)
{
    const int64_t newest = store_revision(a->rig.store);
    const int64_t at = newest + 1 - (int64_t)below(a, 15);
    if (at <= 0) {
        return;
    }
    /* Physical: until etcd has swept, its HashKV has what is to be swept. */
    append(a->arguments, sizeof a->arguments, "compaction --physical %lld",
           (long long)at);
    const enum status st = rig_compact(&a->rig, at);
    if (st != ST_OK) {
        say_error(ours, st);
    } else {
        say(ours, "compacted revision %lld\n", (long long)at);
    }
}

/* etcd compares replicas by this number: a byte that is hashed otherwise would
 * call every mixed cluster corrupt. */
static void compare_hashes(struct asking *a, struct buf *theirs)
{
    const int64_t newest = store_revision(a->rig.store);
    const int64_t compacted = store_compact_revision(a->rig.store);
    const int64_t revision =
        newest > compacted
            ? compacted + 1 + (int64_t)below(a, (unsigned)(newest - compacted))
            : 0;
    struct store_hasher *h;
    struct store_hash hash = {0};
    rig_flush(&a->rig);
    EXPECT_INT(store_hasher_begin(a->rig.store, STORE_HASH_KV, revision, &h,
                                  &a->rig.fault),
               ST_OK);
    EXPECT_INT(store_hasher_run(h, &hash, &a->rig.fault), ST_OK);
    store_hasher_free(h);
    char arguments[64];
    (void)snprintf(arguments, sizeof arguments, "endpoint hashkv --rev=%lld",
                   (long long)revision);
    etcd_ask(&a->etcd, arguments, "", theirs);
    const char *at = strstr(rig_text(theirs), "\"Hash\" : ");
    if (at == NULL || strtoull(at + 9, NULL, 10) != hash.hash) {
        fail_msg("the hash at %lld of %lld, compacted %lld: ours %u\netcd's:\n"
                 "%s",
                 (long long)revision, (long long)newest, (long long)compacted,
                 hash.hash, rig_text(theirs));
    }
}

static void step(struct asking *a, struct buf *ours, struct buf *theirs)
{
    a->input[0] = a->arguments[0] = '\0';
    a->texts_count = a->ops_count = 0;
    buf_clear(ours);
    const unsigned dice = below(a, 20);
    if (dice < 11) {
        ask_txn(a, ours);
    } else if (dice < 19) {
        ask_get(a, ours);
    } else {
        ask_compact(a, ours);
    }
    if (below(a, 4) == 0) {
        rig_flush(&a->rig);
    }
    if (a->arguments[0] == '\0') {
        return;
    }
    etcd_ask(&a->etcd, a->arguments, a->input, theirs);
    if (!bytes_equal(buf_bytes(ours), buf_bytes(theirs))) {
        fail_msg("%s\n%s\nours:\n%s\netcd's:\n%s", a->arguments, a->input,
                 rig_text(ours), rig_text(theirs));
    }
}

/* A few of them, among which all deletes and leases that matter to a hash. */
static void ask_some(struct asking *a, struct buf *ours, struct buf *theirs)
{
    for (unsigned i = 0; i <= below(a, 4); i++) {
        step(a, ours, theirs);
    }
    if (below(a, 6) == 0) { /* nothing is live */
        a->arguments[0] = '\0';
        const struct kv_op all = {
            .type = KV_OP_DELETE_RANGE,
            .delete_range.keys = {bytes_of("a"), bytes_of("z")}};
        EXPECT_INT(rig_op(&a->rig, &all), ST_OK);
        etcd_ask(&a->etcd, "del a z", "", theirs);
    }
    if (below(a, 6) == 0 &&
        rig_compact(&a->rig, store_revision(a->rig.store)) == ST_OK) {
        char arguments[64];
        (void)snprintf(arguments, sizeof arguments,
                       "compaction --physical %lld",
                       (long long)store_revision(a->rig.store));
        etcd_ask(&a->etcd, arguments, "", theirs);
    }
}

TEST(etcd, stock_etcd_answers_the_same)
{
    static struct asking a;
    struct buf ours = {0};
    struct buf theirs = {0};
    if (system("command -v etcd >/dev/null && command -v etcdctl >/dev/null") !=
        0) {
        SKIP("etcd-server and etcd-client are not installed");
    }
    prng_init(&a.prng, test_seed());
    rig_begin(&a.rig);
    etcd_begin(&a.etcd);
    bool up = false;
    for (int i = 0; i < 100 && !up; i++) {
        (void)usleep(100000);
        etcd_ask(&a.etcd, "get none", "", &theirs);
        up = theirs.size > 0 && theirs.data[0] == '"';
    }
    EXPECT(up);
    for (int i = 0; i < STEPS; i++) {
        step(&a, &ours, &theirs);
    }
    for (int i = 0; i < 40; i++) {
        ask_some(&a, &ours, &theirs);
        compare_hashes(&a, &theirs);
    }
    etcd_end(&a.etcd);
    rig_end(&a.rig);
    buf_fini(&ours);
    buf_fini(&theirs);
}
