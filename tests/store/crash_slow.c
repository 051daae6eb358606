/* kill -9 at any moment: what a flush had confirmed is there, the state is that
 * of exactly some applied index at or above it, and the next process goes on
 * from there. */

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/must.h"
#include "base/prng.h"
#include "rig.h"

#define ROUNDS 40

/* The command of an index is always the same. */
static enum status apply_one(struct store *s, uint64_t index)
{
    struct prng prng;
    char key[64], value[64];
    prng_init(&prng, index);
    const uint64_t dice = prng_below(&prng, 100);
    (void)snprintf(key, sizeof key, "/d%u/k%u", (unsigned)prng_below(&prng, 9),
                   (unsigned)prng_below(&prng, 200));
    (void)snprintf(value, sizeof value, "value of %llu",
                   (unsigned long long)index);
    struct kv_op op = {.type = KV_OP_PUT,
                       .put = {.key = bytes_of(key), .value = bytes_of(value)}};
    if (dice < 15) {
        op = (struct kv_op){.type = KV_OP_DELETE_RANGE,
                            .delete_range = {.keys = {.key = bytes_of(key)}}};
    } else if (dice < 25) {
        op = (struct kv_op){
            .type = KV_OP_MOVE,
            .move = {.from = bytes_of(key), .to = bytes_of("/moved/here")}};
    }
    const struct kv_txn_spec txn = {.success = &op, .success_count = 1};
    const struct store_stamp stamp = {.time_ns = (int64_t)index * 1000};
    struct buf command = {0};
    struct store_outcome outcome;
    struct fault fault;
    if (dice == 99) {
        store_encode_compact(&stamp, store_revision(s), &command);
    } else {
        store_encode_txn(&stamp, &txn, &command);
    }
    const enum status st =
        store_apply(s, index, 1, buf_bytes(&command), &outcome, &fault);
    buf_fini(&command);
    return st;
}

static void flush(struct store *s)
{
    struct fault fault;
    struct store_flush *f = store_flush_begin(s);
    (void)store_deliver(s, (struct kv_header){.revision = store_revision(s)});
    if (f == NULL || store_flush_run(f, &fault) != ST_OK ||
        store_flush_end(s, f, &fault) != ST_OK) {
        _exit(3);
    }
}

/* In the child: applies and flushes until it is killed. */
static void work(struct rig *r, int report)
{
    struct store *s;
    if (store_open(r->path, &r->options, &s, &r->fault) != ST_OK) {
        _exit(2);
    }
    for (uint64_t index = store_applied_index(s) + 1;; index++) {
        if (apply_one(s, index) != ST_OK) {
            _exit(4);
        }
        if (index % 37 == 0) {
            flush(s);
            const uint64_t durable = store_durable_index(s);
            must(write(report, &durable, sizeof durable) == sizeof durable);
        }
    }
}

static uint64_t kill_at_random(struct rig *r, struct prng *prng)
{
    int pipe_ends[2];
    must(pipe(pipe_ends) == 0);
    (void)fflush(NULL);
    const pid_t pid = fork();
    must(pid >= 0);
    if (pid == 0) {
        work(r, pipe_ends[1]);
    }
    (void)close(pipe_ends[1]);
    (void)usleep((useconds_t)prng_below(prng, 60000));
    (void)kill(pid, SIGKILL);
    uint64_t durable = 0;
    uint64_t next;
    while (read(pipe_ends[0], &next, sizeof next) == sizeof next) {
        durable = next;
    }
    int how;
    must(waitpid(pid, &how, 0) == pid);
    EXPECT(WIFSIGNALED(how)); /* it did not stop by itself */
    (void)close(pipe_ends[0]);
    return durable;
}

TEST(crash, what_was_flushed_survives_kill_9)
{
    struct rig r, reference;
    struct prng prng;
    prng_init(&prng, test_seed());
    rig_begin(&r);
    rig_begin(&reference);
    store_close(r.store);
    for (int round = 0; round < ROUNDS; round++) {
        const uint64_t durable = kill_at_random(&r, &prng);
        EXPECT_INT(store_open(r.path, &r.options, &r.store, &r.fault), ST_OK);
        EXPECT(store_applied_index(r.store) >= durable);
        while (store_applied_index(reference.store) <
               store_applied_index(r.store)) {
            EXPECT_INT(apply_one(reference.store,
                                 store_applied_index(reference.store) + 1),
                       ST_OK);
        }
        EXPECT_INT(rig_hash(&r), rig_hash(&reference));
        store_close(r.store);
    }
    r.store = NULL;
    EXPECT(store_applied_index(reference.store) > 0);
    rig_end(&r);
    rig_end(&reference);
}
