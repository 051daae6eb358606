/* Opening, locking, restarting, flushing beside the loop, and full disks. */

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/must.h"
#include "rig.h"

/* Two processes on one file would each lose the other's writes. */
TEST(open, a_second_user_is_refused_by_name)
{
    struct rig r;
    struct store *second;
    rig_begin(&r);
    EXPECT_INT(store_open(r.path, &r.options, &second, &r.fault), ST_BUSY);
    char holder[32];
    (void)snprintf(holder, sizeof holder, "process %ld", (long)getpid());
    EXPECT(strstr(r.fault.text, holder) != NULL);
    (void)fflush(NULL);
    const pid_t pid = fork();
    must(pid >= 0);
    if (pid == 0) {
        _exit(store_open(r.path, &r.options, &second, &r.fault) == ST_BUSY ? 0
                                                                           : 1);
    }
    int how;
    EXPECT(waitpid(pid, &how, 0) == pid);
    EXPECT_INT(how, 0);
    rig_end(&r);
}

/* The lock goes with its process, however that ended. */
TEST(open, a_killed_holder_leaves_no_lock)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "put a 1");
    rig_flush(&r);
    store_close(r.store);
    (void)fflush(NULL);
    const pid_t pid = fork();
    must(pid >= 0);
    if (pid == 0) {
        if (store_open(r.path, &r.options, &r.store, &r.fault) == ST_OK) {
            (void)kill(getpid(), SIGKILL);
        }
        _exit(1);
    }
    int how;
    EXPECT(waitpid(pid, &how, 0) == pid);
    EXPECT(WIFSIGNALED(how));
    EXPECT_INT(store_open(r.path, &r.options, &r.store, &r.fault), ST_OK);
    EXPECT_TEXT(rig_do(&r, "get a"), "a=1 c2 m2 v1; count 1");
    rig_end(&r);
}

TEST(open, other_files_are_not_taken_for_a_store)
{
    struct rig r;
    struct store *s;
    char path[600];
    rig_begin(&r);
    (void)snprintf(path, sizeof path, "%s-other", r.path);
    EXPECT_INT(mkdir(path, 0700), 0);
    (void)strncat(path, "/data.mdb", sizeof path - strlen(path) - 1);
    const int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    must(fd >= 0);
    static char text[10000];
    memset(text, 'x', sizeof text);
    must(write(fd, text, sizeof text) == (ssize_t)sizeof text);
    (void)close(fd);
    path[strlen(path) - strlen("/data.mdb")] = '\0';
    const enum status st = store_open(path, &r.options, &s, &r.fault);
    EXPECT(st == ST_INVALID || st == ST_CORRUPT);
    rig_end(&r);
}

static void leave(const struct rig *r, const char *name)
{
    char path[4200];
    (void)snprintf(path, sizeof path, "%s/%s", r->path, name);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    must(fd >= 0 && write(fd, "half of it", 10) == 10 && close(fd) == 0);
}

static bool is_there(const struct rig *r, const char *name)
{
    char path[4200];
    (void)snprintf(path, sizeof path, "%s/%s", r->path, name);
    return access(path, F_OK) == 0;
}

/* Power lost while the first file is made must not leave something that no
 * start dares to take for new: what is half made has another name. */
TEST(open, what_was_never_finished_is_made_again)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "put a 1");
    rig_flush(&r);
    for (int turn = 0; turn < 2; turn++) {
        store_close(r.store);
        leave(&r, "making.mdb");
        leave(&r, "making.mdb-lock");
        if (turn == 1) {
            char path[4200];
            (void)snprintf(path, sizeof path, "%s/data.mdb", r.path);
            EXPECT_INT(unlink(path), 0);
        }
        EXPECT_INT(store_open(r.path, &r.options, &r.store, &r.fault), ST_OK);
        EXPECT(!is_there(&r, "making.mdb") && !is_there(&r, "making.mdb-lock"));
        EXPECT_INT(store_revision(r.store), turn == 0 ? 2 : 1);
    }
    rig_end(&r);
}

/* Without a flush nothing is durable but what the log has; after it, only the
 * rest is replayed. */
TEST(open, a_restart_needs_only_the_log_above_the_durable_index)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "put a 1");
    (void)rig_do(&r, "put b 1");
    EXPECT_INT(store_durable_index(r.store), 0);
    rig_flush(&r);
    EXPECT_INT(store_durable_index(r.store), 2);
    EXPECT_INT(store_durable_term(r.store), 1);
    (void)rig_do(&r, "put a 2");
    const uint32_t hash = rig_hash(&r);
    store_close(r.store);
    EXPECT_INT(store_open(r.path, &r.options, &r.store, &r.fault), ST_OK);
    EXPECT_INT(store_applied_index(r.store), 2);
    EXPECT_INT(store_revision(r.store), 3);
    EXPECT_TEXT(rig_do(&r, "get a"), "a=1 c2 m2 v1; count 1");
    rig_restart(&r);
    EXPECT_INT(rig_hash(&r), hash);
    rig_end(&r);
}

TEST(open, an_applied_index_becomes_durable_without_changes)
{
    struct rig r;
    rig_begin(&r);
    EXPECT(store_flush_begin(r.store) == NULL);
    EXPECT_INT(store_apply(r.store, 1, 5, BYTES_NONE, &r.outcome, &r.fault),
               ST_OK);
    EXPECT(r.outcome.txn == NULL);
    rig_flush(&r);
    EXPECT_INT(store_durable_index(r.store), 1);
    EXPECT_INT(store_durable_term(r.store), 5);
    EXPECT(store_flush_begin(r.store) == NULL);
    rig_end(&r);
}

/* Identity is durable at once, records with the applied index. */
TEST(open, identity_and_records_survive)
{
    struct rig r;
    struct store_identity id = {.cluster_id = 5, .member_id = 6};
    rig_begin(&r);
    EXPECT_INT(store_record(r.store, "conf").size, 0);
    (void)rig_do(&r, "put a 1");
    EXPECT_INT(store_set_identity(r.store, &id, &r.fault), ST_OK);
    EXPECT_TEXT(rig_do(&r, "get a"), "a=1 c2 m2 v1; count 1");
    EXPECT_INT(store_set_record(r.store, "conf", bytes_of("1 2 3"), &r.fault),
               ST_OK);
    EXPECT_INT(store_set_record(r.store, "", bytes_of("1"), &r.fault),
               ST_INVALID);
    store_close(r.store);
    EXPECT_INT(store_open(r.path, &r.options, &r.store, &r.fault), ST_OK);
    id = (struct store_identity){0};
    store_identity(r.store, &id);
    EXPECT_INT(id.cluster_id, 5);
    EXPECT_INT(id.member_id, 6);
    EXPECT_INT(store_record(r.store, "conf").size, 0);
    EXPECT_INT(store_applied_index(r.store), 0);
    EXPECT_INT(store_set_record(r.store, "conf", bytes_of("1 2 3"), &r.fault),
               ST_OK);
    rig_flush(&r);
    store_close(r.store);
    EXPECT_INT(store_open(r.path, &r.options, &r.store, &r.fault), ST_OK);
    EXPECT_BYTES(store_record(r.store, "conf"), bytes_of("1 2 3"));
    rig_end(&r);
}

/* A full map: the flush says so, nothing is half there, reads and writes go on
 * from memory, and the same flush may be tried again. */
TEST(flush, a_full_map_is_refused_whole)
{
    struct rig r;
    rig_begin(&r);
    store_close(r.store);
    r.options.map_size = 1 << 20;
    EXPECT_INT(store_open(r.path, &r.options, &r.store, &r.fault), ST_OK);
    (void)rig_do(&r, "put a 1");
    rig_flush(&r);
    uint8_t *big = xcalloc(1, 1 << 20);
    const struct kv_op put = {
        .type = KV_OP_PUT,
        .put = {.key = bytes_of("a"), .value = {big, 1 << 20}}};
    EXPECT_INT(rig_op(&r, &put), ST_OK);
    free(big);
    struct store_flush *f = store_flush_begin(r.store);
    for (int i = 0; i < 2; i++) {
        EXPECT_INT(store_flush_run(f, &r.fault), ST_NO_SPACE);
        EXPECT_TEXT(rig_do(&r, "get a rev=2"), "a=1 c2 m2 v1; count 1");
        EXPECT_TEXT(rig_do(&r, "get a keys"), "a= c2 m3 v2; count 1");
        EXPECT_INT(store_durable_index(r.store), 1);
    }
    (void)rig_do(&r, "put b 1");
    EXPECT_TEXT(rig_do(&r, "get b"), "b=1 c4 m4 v1; count 1");
    store_close(r.store);
    EXPECT_INT(store_open(r.path, &r.options, &r.store, &r.fault), ST_OK);
    EXPECT_TEXT(rig_do(&r, "get a to=z"), "a=1 c2 m2 v1; count 1");
    rig_end(&r);
}

/* The memtable's bounds, as the node asks for them. */
TEST(flush, a_full_memtable_asks_and_two_hold_proposals_back)
{
    struct rig r;
    rig_begin(&r);
    store_close(r.store);
    r.options.memtable_bytes_max = 100000;
    EXPECT_INT(store_open(r.path, &r.options, &r.store, &r.fault), ST_OK);
    EXPECT(!store_wants_flush(r.store));
    for (int i = 0; i < 1000; i++) {
        (void)rig_do(&r, "put key%d value", i);
    }
    EXPECT(store_wants_flush(r.store));
    EXPECT(!store_is_full(r.store));
    struct store_flush *f = store_flush_begin(r.store);
    EXPECT(store_flush_begin(r.store) == NULL);
    EXPECT(!store_is_full(r.store));
    for (int i = 0; i < 1000; i++) {
        (void)rig_do(&r, "put key%d value", i);
    }
    EXPECT(store_is_full(r.store));
    EXPECT_INT(store_flush_run(f, &r.fault), ST_OK);
    EXPECT_INT(store_flush_end(r.store, f, &r.fault), ST_OK);
    EXPECT(!store_is_full(r.store));
    rig_end(&r);
}

static void *run_flush(void *arg)
{
    struct fault fault;
    return (void *)(uintptr_t)store_flush_run(arg, &fault);
}

/* The store thread works while the loop applies, reads, watches and hashes
 * (under the thread sanitizer this is the test of S3). */
TEST(flush, the_loop_goes_on_meanwhile)
{
    struct rig r;
    rig_begin(&r);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 300; i++) {
            (void)rig_do(&r, "put /d%d/k%d v%d", i % 7, i, round);
        }
        struct store_flush *f = store_flush_begin(r.store);
        pthread_t thread;
        EXPECT_INT(pthread_create(&thread, NULL, run_flush, f), 0);
        for (int i = 0; i < 200; i++) {
            const int k = i * 3 % 300;
            (void)rig_do(&r, "put /d%d/k%d w%d", k % 7, k, round);
            (void)rig_do(&r, "get /d1/ to=+ limit=3");
        }
        const uint32_t hash = rig_hash(&r);
        void *st;
        EXPECT_INT(pthread_join(thread, &st), 0);
        EXPECT_INT((uintptr_t)st, ST_OK);
        EXPECT_INT(store_flush_end(r.store, f, &r.fault), ST_OK);
        EXPECT_INT(rig_hash(&r), hash);
    }
    EXPECT_TEXT(rig_do(&r, "get / to=+ count"), "count 300");
    rig_end(&r);
}
