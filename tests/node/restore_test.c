/* A data directory out of a snapshot: the same state, under new names, or
 * nothing at all. */

#include "node/restore.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"
#include "tests/node/host.h"

#define CLUSTER "one=http://localhost:2380"

struct rig {
    const char *directory;
    char file[512], data_dir[512];
    struct restore_options options;
    struct restore_result result;
    struct fault fault;
    FILE *out;
    struct host host; /* that made it */
    struct admin_snapshot call;
};

static void chunk(struct admin_snapshot *call, struct bytes chunk,
                  uint64_t remaining)
{
    struct rig *r = container_of(call, struct rig, call);
    (void)remaining;
    EXPECT_INT(fwrite(chunk.data, 1, chunk.size, r->out), chunk.size);
    admin_snapshot_next(r->host.admin, call);
}

static void path_of(struct rig *r, char *to, size_t size, const char *name)
{
    (void)snprintf(to, size, "%s/%s", r->directory, name);
}

/* A file with keys a (twice written), b, and a deleted c: revision 5. */
static void begin(struct rig *r)
{
    *r = (struct rig){.directory = test_directory()};
    path_of(r, r->file, sizeof r->file, "file");
    path_of(r, r->data_dir, sizeof r->data_dir, "data");
    r->options = (struct restore_options){.file = r->file,
                                          .data_dir = r->data_dir,
                                          .name = "one",
                                          .initial_cluster = CLUSTER,
                                          .cluster_token = "token"};
    host_start(&r->host);
    EXPECT_INT(host_put(&r->host, "a", bytes_of("1")), ST_OK);
    EXPECT_INT(host_put(&r->host, "a", bytes_of("2")), ST_OK);
    EXPECT_INT(host_put(&r->host, "b", bytes_of("3")), ST_OK);
    EXPECT_INT(host_put(&r->host, "c", bytes_of("4")), ST_OK);
    EXPECT_INT(host_delete(&r->host, "c"), ST_OK);
    struct kv_status s;
    kv_status(r->host.kv, &s);
    struct admin_alarm raise = {.call = {.done = host_call_done},
                                .op = ADMIN_ALARM_RAISE,
                                .member = s.header.member_id,
                                .type = ADMIN_ALARM_NOSPACE};
    admin_alarm(r->host.admin, &raise);
    host_wait(&r->host, &raise.call);
    r->out = fopen(r->file, "we");
    EXPECT(r->out != NULL);
    r->call = (struct admin_snapshot){.call = {.done = host_call_done},
                                      .on_chunk = chunk};
    admin_snapshot(r->host.admin, &r->call);
    host_wait(&r->host, &r->call.call);
    EXPECT_INT(fclose(r->out), 0);
    host_stop(&r->host);
}

static enum status restore(struct rig *r)
{
    return restore_snapshot(&r->options, &r->result, &r->fault);
}

static bool exists(const char *path)
{
    struct stat s;
    return lstat(path, &s) == 0;
}

/* Nothing under the name, nothing under the other one. */
static void expect_nothing(struct rig *r)
{
    char other[600];
    EXPECT(!exists(r->data_dir));
    (void)snprintf(other, sizeof other, "%s.restoring", r->data_dir);
    EXPECT(!exists(other));
}

static void start_restored(struct rig *r, struct host *h)
{
    *h = (struct host){.directory = r->data_dir};
    node_options_default(&h->options);
    h->options.data_dir = r->data_dir;
    h->options.name = "one";
    h->options.initial_cluster = CLUSTER;
    h->options.cluster_token = "token";
    host_start(h);
}

/* "STATUS key=value …" of all keys at the revision. */
static const char *all(struct host *h, int64_t revision)
{
    static char text[512];
    struct kv_range range = {
        .call = {.done = host_call_done},
        .spec = {.keys = {bytes_of("\1"), {(const uint8_t *)"", 1}},
                 .revision = revision}};
    host_range(h, &range, text, sizeof text);
    return text;
}

/* Backups are made for this day: every key and its history, and writes go on
 * from there.  The old cluster's alarms and names are gone. */
TEST(restore, the_state_lives_on_under_new_names)
{
    struct rig r;
    struct host h;
    begin(&r);
    EXPECT_INT(restore(&r), ST_OK);
    EXPECT_INT(r.result.revision, 6);
    start_restored(&r, &h);
    EXPECT_TEXT(all(&h, 0), "OK a=2 b=3 @6");
    EXPECT_TEXT(all(&h, 5), "OK a=2 b=3 c=4 @6");
    EXPECT_TEXT(all(&h, 2), "OK a=1 @6");
    struct kv_status s;
    kv_status(h.kv, &s);
    EXPECT(s.header.cluster_id == r.result.cluster_id);
    EXPECT(s.header.member_id == r.result.member_id);
    EXPECT(s.header.cluster_id != r.result.head.identity.cluster_id);
    EXPECT(!s.no_space);
    EXPECT_INT(host_put(&h, "d", bytes_of("5")), ST_OK);
    EXPECT_INT(host_revision(&h), 7);
    host_stop(&h);
    host_start(&h);
    EXPECT_TEXT(all(&h, 0), "OK a=2 b=3 d=5 @7");
    host_stop(&h);
}

/* Clients' caches must notice: revisions do not go back, and what they knew of
 * history is compacted. */
TEST(restore, revisions_can_be_raised_and_history_ended)
{
    struct rig r;
    struct host h;
    begin(&r);
    r.options.bump_revision = 1000;
    r.options.mark_compacted = true;
    EXPECT_INT(restore(&r), ST_OK);
    EXPECT_INT(r.result.revision, 1006);
    start_restored(&r, &h);
    EXPECT_TEXT(all(&h, 0), "OK a=2 b=3 @1006");
    EXPECT_TEXT(all(&h, 1005), "COMPACTED");
    EXPECT_TEXT(all(&h, 1006), "OK a=2 b=3 @1006");
    EXPECT_INT(host_put(&h, "a", bytes_of("5")), ST_OK);
    EXPECT_TEXT(all(&h, 1006), "OK a=2 b=3 @1007");
    EXPECT_TEXT(all(&h, 0), "OK a=5 b=3 @1007");
    EXPECT_INT(host_compact(&h, 1007, true), ST_OK);
    host_stop(&h);
    host_start(&h);
    EXPECT_TEXT(all(&h, 0), "OK a=5 b=3 @1007");
    host_stop(&h);
}

/* Whatever is wrong, what is there stays as it is, and nothing half-made has
 * the name. */
TEST(restore, nothing_is_ever_overwritten)
{
    struct rig r;
    char inside[600];
    begin(&r);
    (void)snprintf(inside, sizeof inside, "%s/precious", r.data_dir);
    EXPECT_INT(mkdir(r.data_dir, 0700), 0);
    FILE *f = fopen(inside, "we");
    EXPECT_INT(fclose(f), 0);
    EXPECT_INT(restore(&r), ST_EXISTS);
    EXPECT(exists(inside));
    EXPECT_INT(unlink(inside), 0);
    EXPECT_INT(rmdir(r.data_dir), 0);
    f = fopen(r.data_dir, "we");
    EXPECT_INT(fclose(f), 0);
    EXPECT_INT(restore(&r), ST_EXISTS);
    EXPECT_INT(unlink(r.data_dir), 0);
    EXPECT_INT(mkdir(r.data_dir, 0700), 0); /* empty: nothing is lost */
    EXPECT_INT(restore(&r), ST_OK);
    EXPECT_INT(restore(&r), ST_EXISTS);
}

/* A backup that is damaged is found out before anybody relies on it. */
TEST(restore, damaged_and_foreign_files_are_refused)
{
    struct rig r;
    begin(&r);
    FILE *f = fopen(r.file, "r+e");
    EXPECT_INT(fseek(f, 0, SEEK_END), 0);
    const long size = ftell(f);
    for (long at = 3; at < size; at += size / 40) {
        EXPECT_INT(fseek(f, at, SEEK_SET), 0);
        const int byte = fgetc(f);
        EXPECT_INT(fseek(f, at, SEEK_SET), 0);
        EXPECT(fputc(byte ^ 0x10, f) != EOF);
        EXPECT_INT(fflush(f), 0);
        const enum status st = restore(&r);
        EXPECT(st == ST_CORRUPT || (at < 20 && st == ST_INVALID));
        expect_nothing(&r);
        EXPECT_INT(fseek(f, at, SEEK_SET), 0);
        EXPECT(fputc(byte, f) != EOF);
        EXPECT_INT(fflush(f), 0);
    }
    EXPECT_INT(ftruncate(fileno(f), size - 512), 0);
    EXPECT_INT(restore(&r), ST_CORRUPT);
    EXPECT_INT(ftruncate(fileno(f), 100), 0);
    EXPECT_INT(restore(&r), ST_INVALID);
    EXPECT_INT(fclose(f), 0);
    r.options.file = "/nowhere/at/all";
    EXPECT_INT(restore(&r), ST_NOT_FOUND);
    r.options.file = r.directory;
    EXPECT_INT(restore(&r), ST_INVALID);
    expect_nothing(&r);
}

/* --- all changes of one byte --- */

static void put_byte(FILE *f, long at, int byte)
{
    EXPECT_INT(fseek(f, at, SEEK_SET), 0);
    EXPECT_INT(fputc(byte, f), byte);
    EXPECT_INT(fflush(f), 0);
}

static uint32_t hash_of_restored(struct rig *r)
{
    char path[600];
    struct store_options o;
    struct store *s;
    uint32_t hash;
    store_options_default(&o);
    (void)snprintf(path, sizeof path, "%s/store", r->data_dir);
    EXPECT_INT(store_open(path, &o, &s, &r->fault), ST_OK);
    EXPECT_INT(store_revision(s), 6);
    EXPECT_INT(store_hash(s, &hash, &r->fault), ST_OK);
    store_close(s);
    return hash;
}

static void remove_restored(struct rig *r)
{
    char command[700];
    (void)snprintf(command, sizeof command, "rm -r '%s'", r->data_dir);
    EXPECT_INT(system(command), 0);
}

/* Inverted, zeroed, all ones: three changes of each byte of a file.  Each is
 * found, and nothing is made of it; without the digest what is made is the
 * state that was saved. */
TEST(restore, every_changed_byte_is_noticed)
{
    struct rig r;
    size_t refused = 0, harmless = 0, changes = 0;
    if (access("/dev/shm", W_OK) == 0) { /* thousands of directories */
        EXPECT_INT(setenv("TMPDIR", "/dev/shm", 0), 0);
    }
    begin(&r);
    EXPECT_INT(restore(&r), ST_OK);
    const uint32_t right = hash_of_restored(&r);
    remove_restored(&r);
    FILE *f = fopen(r.file, "r+e");
    EXPECT_INT(fseek(f, 0, SEEK_END), 0);
    const long size = ftell(f);
    EXPECT(size > 1000 && size < 10000);
    for (long at = 0; at < size; at++) {
        EXPECT_INT(fseek(f, at, SEEK_SET), 0);
        const int byte = fgetc(f);
        const int others[] = {byte ^ 0xff, 0, 0xff};
        for (size_t i = 0; i < count_of(others); i++) {
            struct snapshot_file_info info;
            if (others[i] == byte) {
                continue;
            }
            changes++;
            put_byte(f, at, others[i]);
            r.options.skip_hash_check = false;
            EXPECT(snapshot_file_check(r.file, NULL, &info, &r.fault) != ST_OK);
            EXPECT(restore(&r) != ST_OK);
            expect_nothing(&r);
            r.options.skip_hash_check = true;
            if (i > 0) {
                continue; /* one of the three has to do: it takes a while */
            }
            if (restore(&r) == ST_OK) {
                EXPECT_INT(hash_of_restored(&r), right);
                remove_restored(&r);
                harmless++;
            } else {
                expect_nothing(&r);
                refused++;
            }
        }
        put_byte(f, at, byte);
    }
    EXPECT_INT(fclose(f), 0);
    print_message("# %ld bytes, %zu changes: all noticed; without the digest "
                  "%zu refused, %zu of what does not matter\n",
                  size, changes, refused, harmless);
    EXPECT(refused > harmless);
}

/* Without the digest the stream's own checksums still hold. */
TEST(restore, without_the_digest_the_stream_is_still_verified)
{
    struct rig r;
    begin(&r);
    FILE *f = fopen(r.file, "r+e");
    EXPECT_INT(fseek(f, -1, SEEK_END), 0);
    const int byte = fgetc(f);
    EXPECT_INT(fseek(f, -1, SEEK_END), 0);
    EXPECT(fputc(byte ^ 1, f) != EOF);
    EXPECT_INT(fflush(f), 0);
    EXPECT_INT(restore(&r), ST_CORRUPT);
    r.options.skip_hash_check = true;
    EXPECT_INT(fseek(f, 700, SEEK_SET), 0);
    const int inner = fgetc(f);
    EXPECT_INT(fseek(f, 700, SEEK_SET), 0);
    EXPECT(fputc(inner ^ 1, f) != EOF);
    EXPECT_INT(fflush(f), 0);
    EXPECT_INT(restore(&r), ST_CORRUPT);
    expect_nothing(&r);
    EXPECT_INT(fseek(f, 700, SEEK_SET), 0);
    EXPECT(fputc(inner, f) != EOF);
    EXPECT_INT(fclose(f), 0);
    EXPECT_INT(restore(&r), ST_OK);
}

/* What a killed restoration left behind must not be in the way of the next. */
TEST(restore, what_was_left_half_made_is_made_anew)
{
    struct rig r;
    char path[600];
    begin(&r);
    (void)snprintf(path, sizeof path, "%s.restoring", r.data_dir);
    EXPECT_INT(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s.restoring/store", r.data_dir);
    EXPECT_INT(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s.restoring/store/data.mdb",
                   r.data_dir);
    FILE *f = fopen(path, "we");
    EXPECT_INT(fclose(f), 0);
    EXPECT_INT(restore(&r), ST_OK);
    (void)snprintf(path, sizeof path, "%s.restoring", r.data_dir);
    EXPECT(!exists(path));
}

/* The cluster's description is etcd's, with etcd's mistakes to make. */
TEST(restore, a_cluster_without_this_member_is_refused)
{
    struct rig r;
    begin(&r);
    r.options.name = "two";
    EXPECT_INT(restore(&r), ST_INVALID);
    r.options.name = "one";
    r.options.initial_cluster = "one=nonsense";
    EXPECT_INT(restore(&r), ST_INVALID);
    r.options.initial_cluster = CLUSTER;
    r.options.bump_revision = UINT64_MAX;
    EXPECT_INT(restore(&r), ST_INVALID);
    expect_nothing(&r);
}
