/* Answers of somebody else's server to a client of ours; the first byte says to
 * what. What is read is there, all of it, and as much as was asked for. */

#include "base/must.h"
#include "client/message.h"
#include "proto/kv_response.h"
#include "tests/fuzz/fuzz.h"

static const struct kv_op inner_ops[] = {{.type = KV_OP_RANGE}};
static const struct kv_txn_spec inner = {.success = inner_ops,
                                         .success_count = 1};
static const struct kv_op ops[] = {
    {.type = KV_OP_RANGE, .range = {.keys_only = true, .limit = 3}},
    {.type = KV_OP_PUT, .put = {.keep_lease = true}},
    {.type = KV_OP_DELETE_RANGE, .delete_range = {.prev_kv = true}},
    {.type = KV_OP_TXN, .txn = &inner}};
static const struct kv_txn_spec txn = {
    .success = ops, .success_count = 4, .failure = ops, .failure_count = 1};
static const struct kv_range_spec range = {.limit = 100};

static void touch_items(const struct kv_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fuzz_touch(items[i].key);
        fuzz_touch(items[i].value);
    }
}

static void touch_txn(const struct kv_txn_spec *spec,
                      const struct kv_txn_result *r)
{
    const struct kv_op *asked = r->succeeded ? spec->success : spec->failure;
    must(r->results_count ==
         (r->succeeded ? spec->success_count : spec->failure_count));
    for (size_t i = 0; i < r->results_count; i++) {
        const struct kv_op_result *result = &r->results[i];
        must(result->type == asked[i].type);
        if (result->type == KV_OP_RANGE) {
            touch_items(result->range.items, result->range.items_count);
        } else if (result->type == KV_OP_TXN) {
            touch_txn(asked[i].txn, result->txn);
        }
    }
}

static void read_watch(struct arena *a, struct bytes answer)
{
    struct message_watch w;
    if (message_read_watch(a, answer, &w) != ST_OK) {
        return;
    }
    fuzz_touch(w.reason);
    for (size_t i = 0; i < w.events_count; i++) {
        touch_items(&w.events[i].item, 1);
        if (w.events[i].prev != NULL) {
            touch_items(w.events[i].prev, 1);
        }
    }
}

static void read_lease(struct arena *a, struct bytes answer,
                       enum kv_lease_op op)
{
    struct kv_lease_result r = {0};
    if (message_read_lease(a, answer, op, &r) == ST_OK) {
        for (size_t i = 0; i < r.keys_count; i++) {
            fuzz_touch(r.keys[i]);
        }
        for (size_t i = 0; i < r.ids_count; i++) {
            fuzz_touch(
                (struct bytes){(const uint8_t *)&r.ids[i], sizeof r.ids[i]});
        }
    }
}

static void read_members(struct arena *a, struct bytes answer)
{
    struct kv_member *members;
    size_t count;
    if (message_read_members(a, answer, 1, &members, &count) == ST_OK) {
        for (size_t i = 0; i < count; i++) {
            fuzz_touch(bytes_of(members[i].name));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {{data, size}};
    const uint8_t which = fuzz_byte(&in) % 11;
    struct arena a = {0};
    struct kv_range_result got;
    struct kv_txn_result done;
    struct kv_header got_header;
    struct message_status status;
    switch (which) {
    case 0:
        if (message_read_range(&a, in.left, &range, &got) == ST_OK) {
            touch_items(got.items, got.items_count);
        }
        break;
    case 1:
        if (message_read_txn(&a, in.left, &txn, &done) == ST_OK) {
            touch_txn(&txn, &done);
        }
        break;
    case 2:
        read_watch(&a, in.left);
        break;
    case 3:
        (void)!message_read_status(in.left, &status);
        break;
    case 4:
        read_members(&a, in.left);
        break;
    case 5:
        (void)!message_read_header(in.left, &got_header);
        break;
    default:
        read_lease(&a, in.left, (enum kv_lease_op)(which - 6));
    }
    must(a.size <= 200 * (size + 1)); /* it is another's word */
    arena_fini(&a);
    return 0;
}

/* --- good answers --- */

static const struct kv_item items[2] = {
    {.key = {(const uint8_t *)"/a", 2},
     .value = {(const uint8_t *)"value", 5},
     .create_revision = 3,
     .mod_revision = 4,
     .version = 2},
    {.key = {(const uint8_t *)"/b", 2}, .mod_revision = 5, .lease = 7}};

static void add_message(struct buf *to, uint32_t field, const char *text)
{
    const size_t at = wire_begin(to, field);
    wire_add_number(to, 1, 9);
    wire_add_text(to, 2, text);
    wire_add_text(to, 3, text);
    wire_add_number(to, 4, 1);
    wire_end(to, at);
}

static const struct kv_header header = {1, 2, 9, 3};

static void seed_range(struct buf *to)
{
    const struct kv_range_result r = {
        .items = items, .items_count = 2, .count = 2};
    kv_response_range(to, &header, &r);
}

static void seed_txn(struct buf *to)
{
    const struct kv_op_result within[] = {
        {.type = KV_OP_RANGE, .range = {.items = items, .items_count = 1}}};
    const struct kv_txn_result nested = {
        .succeeded = true, .results = within, .results_count = 1};
    const struct kv_op_result results[] = {
        {.type = KV_OP_RANGE, .range = {.items = items, .items_count = 2}},
        {.type = KV_OP_PUT},
        {.type = KV_OP_DELETE_RANGE,
         .delete_range = {.deleted = 1, .prevs = items}},
        {.type = KV_OP_TXN, .txn = &nested}};
    const struct kv_txn_result r = {
        .succeeded = true, .results = results, .results_count = 4};
    kv_response_txn(to, &header, &r);
}

static void seed_watch(struct buf *to, bool canceled)
{
    const struct kv_event events[] = {
        {.type = KV_EVENT_PUT, .item = items[0], .prev = &items[1]},
        {.type = KV_EVENT_DELETE, .item = items[1]}};
    const struct kv_watch_response w = {.header = header,
                                        .id = 1,
                                        .canceled = canceled,
                                        .compact_revision = canceled ? 4 : 0,
                                        .cancel_reason =
                                            canceled ? "compacted" : NULL,
                                        .events = events,
                                        .events_count = canceled ? 0 : 2};
    kv_response_watch(to, &w);
}

bool fuzz_seed(size_t n, struct buf *to)
{
    static const uint8_t which[] = {0, 1, 2, 2, 3, 4, 6, 7, 8, 9, 10};
    if (n >= sizeof which) {
        return false;
    }
    buf_append_byte(to, which[n]);
    if (n == 0) {
        seed_range(to);
    } else if (n == 1) {
        seed_txn(to);
    } else if (n < 4) {
        seed_watch(to, n == 3);
    } else {
        /* A header, and what most answers have. */
        add_message(to, 1, "http://a:1");
        add_message(to, 2, "3.6.0");
        wire_add_number(to, 3, 60);
        wire_add_number(to, 4, 60);
        wire_add_text(to, 5, "/key");
    }
    return true;
}
