/* Rows of the store, and commands of the log; the first byte says which. */

#include "base/must.h"
#include "store/command.h"
#include "store/record.h"
#include "tests/fuzz/fuzz.h"

static void history_key(struct bytes from)
{
    struct buf scratch = {0}, again = {0};
    struct bytes key;
    int64_t revision;
    if (record_read_history_key(from, &scratch, &key, &revision)) {
        record_history_key(&again, key, revision);
        must(bytes_equal(buf_bytes(&again), from));
    }
    buf_fini(&scratch);
    buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {{data, size}};
    const uint8_t which = fuzz_byte(&in) % 5;
    struct version version;
    struct group group;
    struct lease_row lease;
    if (which == 0) {
        (void)record_read_version(in.left, &version);
    } else if (which == 1) {
        (void)record_read_group(in.left, &group);
    } else if (which == 2) {
        (void)record_read_lease(in.left, &lease);
    } else if (which == 3) {
        history_key(in.left);
    } else {
        struct arena arena = {0};
        struct command command;
        (void)!command_decode(in.left, &arena, &command);
        arena_fini(&arena);
    }
    return 0;
}

static void put_command(size_t n, struct buf *to)
{
    const struct store_stamp stamp = {1700000000000000000, 7, 1};
    const struct store_lease lease = {7, 60, 1000};
    const struct kv_compare compare = {.keys = {.key = bytes_of("/a")}};
    const struct kv_op ops[2] = {
        {.type = KV_OP_PUT,
         .put = {.key = bytes_of("/a"), .value = bytes_of("v")}},
        {.type = KV_OP_RANGE, .range = {.keys = {.key = bytes_of("/b")}}},
    };
    const struct kv_txn_spec txn = {.compares = &compare,
                                    .compares_count = 1,
                                    .success = ops,
                                    .success_count = 2};
    if (n == 0) {
        store_encode_txn(&stamp, &txn, to);
    } else if (n == 1) {
        store_encode_compact(&stamp, 5, to);
    } else if (n == 2) {
        store_encode_lease_grant(&stamp, 7, 60, to);
    } else {
        store_encode_lease_checkpoint(&stamp, 2, 900, &lease, 1, to);
    }
}

bool fuzz_seed(size_t n, struct buf *to)
{
    static const uint8_t which[] = {0, 1, 2, 3, 4, 4, 4, 4};
    if (n >= sizeof which) {
        return false;
    }
    buf_append_byte(to, which[n]);
    if (n == 0) {
        const struct version v = {.mod_revision = 5, .version = 1};
        record_write_version(to, &v);
    } else if (n == 1) {
        const struct group g = {0};
        record_write_group(to, &g);
    } else if (n == 2) {
        const struct lease_row l = {0};
        record_write_lease(to, &l);
    } else if (n == 3) {
        record_history_key(to, (struct bytes){(const uint8_t *)"/a\0b", 4}, 9);
    } else {
        put_command(n - 4, to);
    }
    return true;
}
