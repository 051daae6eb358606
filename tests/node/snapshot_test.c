/* Snapshots of a running member: whole, of one moment, in etcd's frame. */

#include <stdlib.h>

#include "base/must.h"
#include "store/backup.h"
#include "tests/node/host.h"

struct taking {
    struct admin_snapshot call;
    struct host *host;
    struct buf file;
    uint64_t remaining;
    size_t chunks;
    size_t stop_after; /* chunks; 0: never */
    bool stopped, over;
};

static void chunk(struct admin_snapshot *call, struct bytes chunk,
                  uint64_t remaining)
{
    struct taking *t = container_of(call, struct taking, call);
    EXPECT(chunk.size > 0 && chunk.size <= 32 * 1024);
    buf_append(&t->file, chunk);
    t->remaining = remaining;
    if (++t->chunks == t->stop_after) {
        t->stopped = true;
        return;
    }
    admin_snapshot_next(t->host->admin, call);
}

static void over(struct kv_call *call)
{
    container_of(call, struct taking, call.call)->over = true;
}

static void begin(struct host *h, struct taking *t)
{
    t->host = h;
    t->call.call.done = over;
    t->call.on_chunk = chunk;
    admin_snapshot(h->admin, &t->call);
}

static void fill(struct host *h, int keys, size_t value_size)
{
    char *value = calloc(1, value_size + 1);
    memset(value, 'v', value_size);
    for (int i = 0; i < keys; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "/dir/key%05d", i);
        EXPECT_INT(host_put(h, key, bytes_of(value)), ST_OK);
    }
    free(value);
}

/* As etcdctl looks at it: the size, and the digest at its end. */
static void check_frame(const struct buf *file)
{
    EXPECT_INT(file->size % 512, SHA256_SIZE);
    struct sha256 sha;
    uint8_t digest[SHA256_SIZE];
    sha256_init(&sha);
    sha256_add(&sha, (struct bytes){file->data, file->size - SHA256_SIZE});
    sha256_end(&sha, digest);
    EXPECT_BYTES(bytes_after(buf_bytes(file), file->size - SHA256_SIZE),
                 ((struct bytes){digest, sizeof digest}));
}

/* Imports it into a store of its own; how many keys it has. */
static uint64_t keys_of(const struct buf *file, int64_t *ret_revision)
{
    struct store_backup_head head;
    struct store_options so;
    struct fault fault;
    struct store_import *import;
    struct store *store;
    struct store_stats stats;
    uint64_t size;
    const char *directory = test_directory();
    EXPECT_INT(store_backup_read_head(
                   (struct bytes){file->data, BACKUP_HEAD_SIZE}, &head, &fault),
               ST_OK);
    EXPECT_INT(store_backup_read_end(
                   bytes_after(buf_bytes(file), file->size - BACKUP_END_SIZE),
                   file->size, &size, &fault),
               ST_OK);
    store_options_default(&so);
    EXPECT_INT(store_import_begin(directory, &so, head.identity.cluster_id,
                                  &import, &fault),
               ST_OK);
    EXPECT_INT(store_import_write(
                   import, (struct bytes){file->data + BACKUP_HEAD_SIZE, size},
                   &fault),
               ST_OK);
    EXPECT_INT(store_import_finish(import, &head.identity, &fault), ST_OK);
    EXPECT_INT(store_import_install(import, &fault), ST_OK);
    store_import_free(import);
    EXPECT_INT(store_open(directory, &so, &store, &fault), ST_OK);
    store_stats(store, &stats);
    *ret_revision = store_revision(store);
    EXPECT_INT(head.revision, *ret_revision);
    EXPECT_INT(head.keys_count, stats.keys_count);
    store_close(store);
    return stats.keys_count;
}

/* Everything acknowledged before, nothing of what comes after, and writes go on
 * in between. */
TEST(snapshot, is_of_one_moment_and_whole_while_writes_go_on)
{
    struct host h = {0};
    struct taking t = {.stop_after = 5};
    host_start(&h);
    fill(&h, 100, 10000);
    const int64_t revision = host_revision(&h);
    begin(&h, &t);
    host_until(&h, &t.stopped);
    EXPECT(t.remaining > 0);
    EXPECT_INT(host_put(&h, "/later", bytes_of("x")), ST_OK);
    EXPECT_INT(host_delete(&h, "/dir/key00000"), ST_OK);
    EXPECT_INT(host_compact(&h, host_revision(&h), true), ST_OK);
    admin_snapshot_next(h.admin, &t.call);
    host_until(&h, &t.over);
    EXPECT_INT(t.call.call.status, ST_OK);
    EXPECT_INT(t.remaining, 0);
    EXPECT(t.chunks > 30);
    check_frame(&t.file);
    int64_t got;
    EXPECT_INT(keys_of(&t.file, &got), 100);
    EXPECT_INT(got, revision);
    buf_fini(&t.file);
    host_stop(&h);
}

/* An empty store is a store. */
TEST(snapshot, of_nothing_is_a_snapshot)
{
    struct host h = {0};
    struct taking t = {0};
    int64_t got;
    host_start(&h);
    begin(&h, &t);
    host_until(&h, &t.over);
    EXPECT_INT(t.call.call.status, ST_OK);
    check_frame(&t.file);
    EXPECT_INT(keys_of(&t.file, &got), 0);
    EXPECT_INT(got, 1);
    buf_fini(&t.file);
    host_stop(&h);
}

/* A reader that goes away, one too many, and a node that stops in the middle:
 * each call has one end, and no view stays behind (which would stop the process
 * when the store is closed). */
TEST(snapshot, ends_with_its_reader_and_with_the_node)
{
    struct host h = {0};
    struct taking gone = {.stop_after = 2};
    struct taking many[9];
    host_start(&h);
    fill(&h, 20, 10000);
    begin(&h, &gone);
    host_until(&h, &gone.stopped);
    admin_cancel(h.admin, &gone.call.call);
    host_until(&h, &gone.over);
    EXPECT_INT(gone.call.call.status, ST_CANCELED);
    for (size_t i = 0; i < count_of(many); i++) {
        many[i] = (struct taking){.stop_after = 1};
        begin(&h, &many[i]);
    }
    host_until(&h, &many[8].over);
    EXPECT_INT(many[8].call.call.status, ST_TOO_MANY);
    host_until(&h, &many[7].stopped);
    host_stop(&h);
    for (size_t i = 0; i < 8; i++) {
        EXPECT(many[i].over);
        EXPECT_INT(many[i].call.call.status, ST_STOPPED);
        buf_fini(&many[i].file);
    }
    buf_fini(&gone.file);
}

/* What is cut, or is something else, must be refused by its frame already. */
TEST(snapshot, damaged_frames_are_told)
{
    struct host h = {0};
    struct taking t = {0};
    struct store_backup_head head;
    struct fault fault;
    uint64_t size;
    host_start(&h);
    begin(&h, &t);
    host_until(&h, &t.over);
    host_stop(&h);
    struct bytes first = {t.file.data, BACKUP_HEAD_SIZE};
    for (size_t i = 0; i < BACKUP_HEAD_SIZE; i++) {
        t.file.data[i] ^= 1;
        EXPECT(store_backup_read_head(first, &head, &fault) != ST_OK);
        t.file.data[i] ^= 1;
    }
    EXPECT_INT(store_backup_read_head(first, &head, &fault), ST_OK);
    const struct bytes end =
        bytes_after(buf_bytes(&t.file), t.file.size - BACKUP_END_SIZE);
    EXPECT_INT(store_backup_read_end(end, t.file.size, &size, &fault), ST_OK);
    EXPECT_INT(store_backup_read_end(end, t.file.size - 512, &size, &fault),
               ST_CORRUPT);
    EXPECT_INT(store_backup_read_end(end, t.file.size + 512, &size, &fault),
               ST_CORRUPT);
    EXPECT_INT(store_backup_read_end(end, t.file.size - 1, &size, &fault),
               ST_CORRUPT);
    EXPECT_INT(store_backup_read_end(end, 32, &size, &fault), ST_CORRUPT);
    buf_fini(&t.file);
}
