/* A state of 200 MB (SIZE_MB): sent by one thread while another writes, begun
 * again at random bytes, and timed. */

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"
#include "transfer_rig.h"

#define VALUE_SIZE 4000u

static double clock_s(clockid_t clock)
{
    struct timespec t;
    must(clock_gettime(clock, &t) == 0);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct stopwatch {
    double wall_s, cpu_s;
};

static struct stopwatch stopwatch_start(void)
{
    return (struct stopwatch){clock_s(CLOCK_MONOTONIC),
                              clock_s(CLOCK_PROCESS_CPUTIME_ID)};
}

static void stopwatch_stop(struct stopwatch w, const char *what, size_t bytes)
{
    const double mb = (double)bytes / 1e6;
    print_message("# %s: %.0f MB at %.0f MB/s, %.0f MB by second of "
                  "processor\n",
                  what, mb, mb / (clock_s(CLOCK_MONOTONIC) - w.wall_s),
                  mb / (clock_s(CLOCK_PROCESS_CPUTIME_ID) - w.cpu_s));
}

static void put(struct rig *r, struct prng *chance, unsigned keys)
{
    static uint8_t value[VALUE_SIZE];
    char key[64];
    prng_fill(chance, value, sizeof value);
    (void)snprintf(key, sizeof key, "/data/%03u/key%08u",
                   (unsigned)prng_below(chance, 100),
                   (unsigned)prng_below(chance, keys));
    const struct kv_op op = {
        .type = KV_OP_PUT,
        .put = {.key = bytes_of(key), .value = {value, sizeof value}}};
    buf_clear(&r->log); /* nobody replays it */
    EXPECT_INT(rig_op(r, &op), ST_OK);
    if (store_wants_flush(r->store)) {
        rig_deliver(r);
        rig_flush(r);
    }
}

struct sending {
    struct store_export *e;
    struct buf stream;
    enum status st;
    bool done;
};

static void *send_all(void *arg)
{
    struct sending *s = arg;
    bool done = false;
    while (!done && s->st == ST_OK) {
        s->st = store_export_next(s->e, &s->stream, &done, NULL);
    }
    __atomic_store_n(&s->done, true, __ATOMIC_RELEASE);
    return NULL;
}

/* Returns the stream of the state that the store had when it began. */
static struct buf send_under_load(struct rig *from, struct prng *chance,
                                  unsigned keys)
{
    pthread_t thread;
    struct sending s = {0};
    EXPECT_INT(
        store_export_begin(from->store, STORE_EXPORT_BLOCK_BYTES, &s.e, NULL),
        ST_OK);
    must(pthread_create(&thread, NULL, send_all, &s) == 0);
    unsigned puts = 0;
    while (!__atomic_load_n(&s.done, __ATOMIC_ACQUIRE) || puts < 5000) {
        put(from, chance, keys);
        puts++;
    }
    must(pthread_join(thread, NULL) == 0);
    EXPECT_INT(s.st, ST_OK);
    store_export_free(s.e);
    print_message("# %u puts meanwhile\n", puts);
    return s.stream;
}

static void time_sending(struct rig *from)
{
    struct store_export *e;
    struct buf part = {0};
    size_t bytes = 0;
    const struct stopwatch watch = stopwatch_start();
    EXPECT_INT(
        store_export_begin(from->store, STORE_EXPORT_BLOCK_BYTES, &e, NULL),
        ST_OK);
    for (bool done = false; !done;) {
        buf_clear(&part);
        EXPECT_INT(store_export_next(e, &part, &done, NULL), ST_OK);
        bytes += part.size;
    }
    stopwatch_stop(watch, "sent", bytes);
    store_export_free(e);
    buf_fini(&part);
}

static void time_receiving(struct rig *to, const struct buf *stream)
{
    const struct stopwatch watch = stopwatch_start();
    EXPECT_INT(transfer_receive(to, buf_bytes(stream), (size_t)256 << 10, 2),
               ST_OK);
    stopwatch_stop(watch, "received, synced and installed", stream->size);
}

/* Danger: marks are wrong, or are set where the rows are not. */
static void go_back_and_forth(struct rig *from, struct prng *chance,
                              size_t block_bytes)
{
    struct store_export *e;
    struct buf stream = {0}, part = {0};
    bool done;
    EXPECT_INT(store_export_begin(from->store, block_bytes, &e, NULL), ST_OK);
    transfer_rest(e, &stream);
    for (unsigned i = 0; i < 40; i++) {
        const uint64_t at = prng_below(chance, stream.size + 1);
        EXPECT_INT(store_export_seek(e, at, NULL), ST_OK);
        for (unsigned n = 0; n < 3; n++) {
            const uint64_t position = store_export_position(e);
            buf_clear(&part);
            EXPECT_INT(store_export_next(e, &part, &done, NULL), ST_OK);
            EXPECT(position + part.size <= stream.size);
            EXPECT(part.size == 0 ||
                   memcmp(part.data, stream.data + position, part.size) == 0);
        }
    }
    store_export_free(e);
    buf_fini(&stream);
    buf_fini(&part);
}

TEST(transfer_large, a_large_state_is_sent_while_it_changes)
{
    const char *given = getenv("SIZE_MB");
    const unsigned size_mb =
        given != NULL ? (unsigned)strtoul(given, NULL, 10) : 200;
    const unsigned keys = size_mb * 1000 * 1000 / VALUE_SIZE;
    struct rig from, to;
    struct prng chance;
    prng_init(&chance, test_seed());
    rig_begin(&from);
    transfer_rig_begin(&to);
    store_close(from.store);
    from.options.map_size = to.options.map_size = UINT64_C(1) << 36;
    from.options.quota_bytes = UINT64_C(1) << 36;
    transfer_open(&from);
    for (unsigned i = 0; i < keys; i++) {
        put(&from, &chance, keys);
    }
    transfer_settle(&from, 1);
    const uint32_t hash = rig_hash(&from);
    struct buf stream = send_under_load(&from, &chance, keys);
    time_receiving(&to, &stream);
    transfer_open(&to);
    EXPECT_INT(rig_hash(&to), hash);
    rig_settle(&from);
    time_sending(&from);
    go_back_and_forth(&from, &chance, STORE_EXPORT_BLOCK_BYTES);
    rig_end(&from);
    rig_end(&to);
    buf_fini(&stream);
}

/* Danger: a row that no block can hold stops the sender, or makes a stream that
 * nobody can read. */
TEST(transfer_large, a_row_beyond_a_block_is_refused_by_the_sender)
{
#ifdef __SANITIZE_ADDRESS__
    SKIP("LMDB 0.9.24 leaks lists of pages when a value has this many");
#endif
    const size_t size = (size_t)256 << 20;
    struct rig from;
    struct store_export *e;
    struct buf part = {0};
    uint8_t *value = xcalloc(1, size);
    rig_begin(&from);
    for (unsigned over = 0; over < 2; over++) {
        const struct kv_op op = {
            .type = KV_OP_PUT,
            .put = {.key = bytes_of("key"),
                    .value = {value, over == 0 ? size - 4096 : size}}};
        EXPECT_INT(rig_op(&from, &op), ST_OK);
        transfer_settle(&from, 1);
        EXPECT_INT(store_export_begin(from.store, 1000, &e, NULL), ST_OK);
        enum status st = ST_OK;
        for (bool done = false; !done && st == ST_OK;) {
            buf_clear(&part);
            st = store_export_next(e, &part, &done, &from.fault);
        }
        EXPECT_INT(st, over == 0 ? ST_OK : ST_TOO_LARGE);
        store_export_free(e);
        (void)rig_do(&from, "del key");
        (void)rig_do(&from, "put other x");
        EXPECT_INT(rig_compact(&from, store_revision(from.store)), ST_OK);
        transfer_settle(&from, 1);
    }
    rig_end(&from);
    buf_fini(&part);
    free(value);
}
