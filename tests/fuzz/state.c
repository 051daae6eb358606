/* A state from another member, or out of a snapshot: the stream of a small
 * store, with its blocks and rows changed, left out, or given twice, and then,
 * as the input wants, with all checksums right again. What is taken is opened,
 * read, changed, hashed and sent on. */

#include <stdio.h>
#include <stdlib.h>

#include "base/codec.h"
#include "base/crc32c.h"
#include "base/must.h"
#include "store/hashes.h"
#include "store/stream.h"
#include "tests/fuzz/directory.h"
#include "tests/fuzz/fuzz.h"

#define CLUSTER    UINT64_C(0xc1)
#define CHANGES    40
#define BLOCKS_MAX 16
#define ROW_HEAD   24 /* checksum, link, three sizes, checksum of the value */

static struct fuzz_input in;
static struct buf original; /* the stream as it should be */

static struct store_options options(void)
{
    struct store_options o;
    store_options_default(&o);
    o.map_size = (size_t)64 << 20;
    return o;
}

/* --- the stream as it should be --- */

static void apply(struct store *s, uint64_t *index, const struct buf *command)
{
    struct store_outcome outcome;
    struct fault fault;
    must(store_apply(s, ++*index, 1, buf_bytes(command), &outcome, &fault) ==
         ST_OK);
    must(outcome.status == ST_OK);
}

static void flush(struct store *s)
{
    struct fault fault;
    struct store_flush *f;
    while ((f = store_flush_begin(s)) != NULL) {
        must(store_flush_run(f, &fault) == ST_OK);
        must(store_flush_end(s, f, &fault) == ST_OK);
    }
}

static void fill(struct store *s)
{
    static uint8_t long_key[600];
    memset(long_key, 'k', sizeof long_key);
    const struct bytes keys[] = {bytes_of("/a"),
                                 bytes_of("/b"),
                                 bytes_of("/d/c"),
                                 bytes_of("/a"),
                                 {long_key, sizeof long_key}};
    struct buf command = {0};
    uint64_t index = 0;
    struct store_stamp stamp = {.time_ns = 1000, .member = 1};
    store_encode_lease_grant(&stamp, 5, 60, &command);
    apply(s, &index, &command);
    for (size_t i = 0; i < count_of(keys); i++) {
        const struct kv_op op = {.type = KV_OP_PUT,
                                 .put = {.key = keys[i],
                                         .value = bytes_of("value"),
                                         .lease = i == 1 ? 5 : 0}};
        const struct kv_txn_spec txn = {.success = &op, .success_count = 1};
        stamp.time_ns += 1000;
        buf_clear(&command);
        store_encode_txn(&stamp, &txn, &command);
        apply(s, &index, &command);
    }
    const struct kv_op erase = {
        .type = KV_OP_DELETE_RANGE,
        .delete_range = {.keys = {.key = bytes_of("/b")}}};
    const struct kv_txn_spec txn = {.success = &erase, .success_count = 1};
    buf_clear(&command);
    store_encode_txn(&stamp, &txn, &command);
    apply(s, &index, &command);
    buf_fini(&command);
}

static void make_original(void)
{
    const struct store_options o = options();
    const struct store_identity id = {.cluster_id = CLUSTER, .member_id = 1};
    struct store *s;
    struct store_export *e;
    struct fault fault;
    bool done = false;
    must(store_open(fuzz_directory(), &o, &s, &fault) == ST_OK);
    must(store_set_identity(s, &id, &fault) == ST_OK);
    must(store_set_record(s, "members", bytes_of("1 2 3"), &fault) == ST_OK);
    fill(s);
    flush(s);
    must(store_export_begin(s, 1 << 20, &e, &fault) == ST_OK);
    while (!done) {
        must(store_export_next(e, &original, &done, &fault) == ST_OK);
    }
    store_export_free(e);
    store_close(s);
}

/* --- changes --- */

struct block {
    uint32_t kind;
    struct buf body;
};

static struct {
    struct block list[BLOCKS_MAX];
    size_t count;
} blocks;

static void take_apart(void)
{
    struct bytes rest = bytes_after(buf_bytes(&original), STREAM_PREAMBLE_SIZE);
    blocks.count = 0;
    while (rest.size > 0) {
        struct block *b = &blocks.list[blocks.count++];
        must(blocks.count <= BLOCKS_MAX / 2);
        const uint32_t size = get_u32(rest.data + 4);
        *b = (struct block){.kind = get_u32(rest.data + 16)};
        rest = bytes_after(rest, STREAM_HEAD_SIZE);
        buf_append(&b->body, (struct bytes){rest.data, size});
        rest = bytes_after(rest, size);
    }
}

static void change_body(struct buf *b)
{
    const uint8_t how = fuzz_byte(&in);
    const size_t high = fuzz_byte(&in);
    const size_t at = b->size > 0 ? (high << 8 | fuzz_byte(&in)) % b->size : 0;
    if (how < 160 && b->size > 0) {
        b->data[at] ^= fuzz_byte(&in);
    } else if (how < 200) {
        const size_t size = fuzz_byte(&in) % (b->size - at + 1);
        memmove(b->data + at, b->data + at + size, b->size - at - size);
        buf_resize(b, b->size - size);
    } else {
        const struct bytes more = fuzz_bytes(&in, fuzz_byte(&in) % 32);
        buf_resize(b, b->size + more.size);
        memmove(b->data + at + more.size, b->data + at,
                b->size - more.size - at);
        if (more.size > 0) {
            memcpy(b->data + at, more.data, more.size);
        }
    }
}

static void change_blocks(void)
{
    const uint8_t how = fuzz_byte(&in);
    struct block *b = &blocks.list[fuzz_byte(&in) % blocks.count];
    if (how < 220 || blocks.count == BLOCKS_MAX) {
        change_body(&b->body);
    } else if (how < 230) {
        b->kind = fuzz_byte(&in) % 9;
    } else if (how < 240) {
        struct block *twice = &blocks.list[blocks.count++];
        *twice = (struct block){.kind = b->kind};
        buf_append(&twice->body, buf_bytes(&b->body));
    } else {
        struct block *other = &blocks.list[how % blocks.count];
        const struct block was = *b;
        *b = *other;
        *other = was;
    }
}

/* Puts the rows' own checksums and links right, as far as there are rows. */
static void seal_rows(struct block *b, uint64_t *ret_rows)
{
    const uint8_t db = (uint8_t)(b->kind - STREAM_ROWS);
    struct reader r = reader_of(buf_bytes(&b->body));
    uint32_t link = 0;
    while (reader_ok(&r) && r.left.size > 0) {
        struct bytes key = read_sized(&r);
        const struct bytes sized = read_sized(&r);
        if (!reader_ok(&r) || sized.size < ROW_HEAD) {
            return;
        }
        uint8_t *row = b->body.data + (sized.data - b->body.data);
        const size_t key_size = get_u32(row + 8);
        const size_t head_size = get_u32(row + 12);
        struct bytes head = bytes_after(sized, ROW_HEAD);
        if (key_size > 480 && head.size >= key_size) {
            key = (struct bytes){head.data, key_size};
            head = bytes_after(head, key_size);
        }
        if (head.size < head_size) {
            return;
        }
        const struct bytes value = bytes_after(head, head_size);
        head.size = head_size;
        put_u32(row + 4, link);
        put_u32(row + 20, value.size == 0 ? 0 : crc32c(0, value));
        uint32_t crc = crc32c(0, (struct bytes){&db, 1});
        crc = crc32c(crc, key);
        crc = crc32c(crc, (struct bytes){row + 4, ROW_HEAD - 4});
        put_u32(row, crc32c(crc, head));
        link = crc32c(0, key);
        ++*ret_rows;
    }
}

static void put_together(bool seals_rows, struct buf *to)
{
    struct stream_place at = {0};
    stream_write_preamble(to, &at);
    uint64_t rows = 0;
    for (size_t i = 0; i < blocks.count; i++) {
        struct block *b = &blocks.list[i];
        if (seals_rows && b->kind >= STREAM_ROWS) {
            seal_rows(b, &rows);
        }
        const size_t begin = stream_block_begin(to);
        buf_append(to, buf_bytes(&b->body));
        stream_block_end(to, begin, b->kind, &at);
        buf_fini(&b->body);
    }
}

/* --- what was taken --- */

static void read_range(struct store *s, const struct kv_range_spec *spec)
{
    struct kv_range_result got;
    struct fault fault;
    struct store_results *r = store_results_new();
    if (store_range(s, spec, r, &got, &fault) == ST_OK) {
        for (size_t i = 0; i < got.items_count; i++) {
            fuzz_touch(got.items[i].key);
            fuzz_touch(got.items[i].value);
        }
    }
    store_results_free(r);
}

static void ignore(struct kv_watch *w, const struct kv_event *events,
                   size_t count, struct kv_header header)
{
    (void)w;
    (void)header;
    for (size_t i = 0; i < count; i++) {
        fuzz_touch(events[i].item.key);
        fuzz_touch(events[i].item.value);
    }
}

static void ended(struct kv_watch *w, enum status why, int64_t compacted)
{
    (void)w;
    (void)why;
    (void)compacted;
}

static void read_all(struct store *s)
{
    static const struct bytes all = {(const uint8_t *)"", 1};
    const int64_t revision = store_revision(s);
    struct kv_range_spec spec = {.keys = {.key = all, .end = all}};
    read_range(s, &spec);
    spec.revision = revision > 2 ? revision - 2 : 0;
    read_range(s, &spec);
    spec.revision = 0;
    spec.grouped = true;
    spec.group_from = 1;
    read_range(s, &spec);
    struct kv_watch w = {.keys = {.key = all, .end = all},
                         .start_revision = 1,
                         .on_events = ignore,
                         .on_end = ended};
    store_watch(s, &w);
    const struct kv_header header = {.revision = revision};
    for (int i = 0; i < 50 && store_deliver(s, header); i++) {
    }
    store_unwatch(s, &w);
    uint32_t hash;
    struct fault fault;
    (void)!store_hash(s, &hash, &fault);
}

static void change_some(struct store *s)
{
    struct buf command = {0};
    struct store_outcome outcome;
    struct fault fault;
    const struct store_stamp stamp = {.time_ns = 9000, .member = 1};
    const struct kv_op ops[] = {
        {.type = KV_OP_PUT,
         .put = {.key = bytes_of("/d/e"), .value = bytes_of("v")}},
        {.type = KV_OP_DELETE_RANGE,
         .delete_range = {
             .keys = {.key = bytes_of("/"), .end = bytes_of("0")}}}};
    uint64_t index = store_applied_index(s);
    for (size_t i = 0; i < count_of(ops) && index < UINT64_MAX - 4; i++) {
        const struct kv_txn_spec txn = {.success = &ops[i], .success_count = 1};
        buf_clear(&command);
        store_encode_txn(&stamp, &txn, &command);
        if (store_apply(s, ++index, store_applied_term(s), buf_bytes(&command),
                        &outcome, &fault) != ST_OK) {
            break;
        }
    }
    buf_fini(&command);
    struct store_flush *f = store_flush_begin(s);
    if (f != NULL && store_flush_run(f, &fault) == ST_OK) {
        (void)!store_flush_end(s, f, &fault);
    }
}

static void send_on(struct store *s)
{
    struct store_export *e;
    struct fault fault;
    struct buf stream = {0};
    bool done = false;
    if (store_export_begin(s, 1 << 16, &e, &fault) == ST_OK) {
        while (!done && store_export_next(e, &stream, &done, &fault) == ST_OK) {
            buf_clear(&stream);
        }
        store_export_free(e);
    }
    buf_fini(&stream);
}

static void use(const char *path)
{
    const struct store_options o = options();
    struct store *s;
    struct fault fault;
    if (store_open(path, &o, &s, &fault) == ST_OK) {
        read_all(s);
        send_on(s);
        change_some(s);
        read_all(s);
        store_close(s);
    }
}

static void take(const char *path, struct bytes stream, bool untouched)
{
    const struct store_options o = options();
    const struct store_identity id = {.cluster_id = CLUSTER, .member_id = 2};
    struct store_import *i;
    struct fault fault;
    must(store_import_begin(path, &o, CLUSTER, &i, &fault) == ST_OK);
    enum status st = ST_OK;
    const size_t part = 1 + fuzz_byte(&in) * 16U;
    while (stream.size > 0 && st == ST_OK) {
        const size_t size = part < stream.size ? part : stream.size;
        st = store_import_write(i, (struct bytes){stream.data, size}, &fault);
        stream = bytes_after(stream, size);
    }
    const uint8_t how = fuzz_byte(&in);
    const struct store_restart restart = {.bump_revision = how % 4 * 1000U,
                                          .mark_compacted = how % 8 >= 4};
    if (st == ST_OK && how >= 128) {
        st = store_import_restart(i, &restart, &fault);
    }
    if (st == ST_OK) {
        st = store_import_finish(i, &id, &fault);
    }
    if (st == ST_OK) {
        st = store_import_install(i, &fault);
    }
    must(st == ST_OK || !untouched);
    must(st == ST_OK || st == ST_CORRUPT || st == ST_INVALID);
    store_import_free(i);
    if (st == ST_OK) {
        use(path);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf stream = {0};
    if (original.size == 0) {
        make_original();
    }
    in.left = (struct bytes){data, size};
    const uint8_t how = fuzz_byte(&in);
    const uint8_t changes = fuzz_byte(&in) % CHANGES;
    if (how == 255) {
        buf_append(&stream, in.left); /* whatever it is */
    } else {
        take_apart();
        for (uint8_t n = changes; n > 0; n--) {
            change_blocks();
        }
        put_together(how % 2 == 0, &stream);
    }
    take(fuzz_directory(), buf_bytes(&stream), how != 255 && changes == 0);
    buf_fini(&stream);
    return 0;
}

bool fuzz_seed(size_t n, struct buf *to)
{
    /* None changed; then one byte of each block, with rows put right or not;
     * a row cut out, some bytes more, a block twice; restarted. */
    static const uint8_t work[][12] = {
        {0, 0, 4, 0},
        {0, 0, 4, 133},
        {0, 1, 0, 0, 0, 0, 9, 1, 4, 0},
        {1, 1, 0, 1, 0, 0, 9, 1, 4, 0},
        {0, 1, 0, 1, 0, 0, 20, 1, 4, 0},
        {0, 1, 0, 2, 0, 0, 30, 2, 4, 0},
        {0, 1, 0, 3, 0, 0, 9, 1, 4, 0},
        {0, 1, 0, 4, 170, 0, 0, 40, 4, 0},
        {0, 1, 0, 5, 210, 0, 0, 2, 1, 1, 4, 0},
        {0, 1, 235, 1, 4, 129},
    };
    if (n >= count_of(work)) {
        return false;
    }
    buf_append(to, (struct bytes){work[n], sizeof work[n]});
    return true;
}
