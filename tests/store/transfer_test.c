/* The state's way from one store to another (store/transfer.h). */

#include "transfer_rig.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/crc32c.h"
#include "base/must.h"

#define HEAD 20u /* docs/FORMATS.md, "State transfer" */

struct piece {
    size_t begin, size;
    uint32_t kind;
};

static size_t pieces_of(const struct buf *stream, struct piece *ret, size_t max)
{
    size_t count = 0;
    for (size_t at = 12; at < stream->size && count < max; count++) {
        ret[count] =
            (struct piece){.begin = at,
                           .size = HEAD + get_u32(stream->data + at + 4),
                           .kind = get_u32(stream->data + at + 16)};
        at += ret[count].size;
    }
    return count;
}

/* Puts the checksums right, and the numbers of the blocks. */
static void seal(struct buf *stream)
{
    uint32_t crc = crc32c(0, (struct bytes){stream->data, 12});
    uint64_t number = 0;
    for (size_t at = 12; at + HEAD <= stream->size; number++) {
        const size_t size = HEAD + get_u32(stream->data + at + 4);
        if (size > stream->size - at) {
            return;
        }
        put_u64(stream->data + at + 8, number);
        crc = crc32c(crc, (struct bytes){stream->data + at + 4, size - 4});
        put_u32(stream->data + at, crc);
        at += size;
    }
}

/* Everything in the blocks but checksums and the estimate of bytes. */
static void expect_same_blocks(const struct buf *a, const struct buf *b)
{
    static struct piece x[2000], y[2000];
    const size_t count = pieces_of(a, x, count_of(x));
    EXPECT_INT(pieces_of(b, y, count_of(y)), count);
    for (size_t i = 0; i < count && i < count_of(x); i++) {
        EXPECT_INT(x[i].size, y[i].size);
        uint8_t *left = a->data + x[i].begin;
        uint8_t *right = b->data + y[i].begin;
        if (x[i].kind == 0) {
            memset(left + HEAD + 120, 0, 8);
            memset(right + HEAD + 120, 0, 8);
        }
        EXPECT_INT(memcmp(left + 4, right + 4, x[i].size - 4), 0);
    }
}

/* Danger: a member that lost or changed something on the way looks healthy.
 * All that can be asked is asked of both, and a second transfer has to bring
 * the same bytes. */
static void round_trip(uint64_t seed, unsigned steps, size_t block_bytes)
{
    struct rig from, to;
    struct prng chance;
    struct buf stream = {0}, again = {0};
    prng_init(&chance, seed);
    rig_begin(&from);
    transfer_rig_begin(&to);
    transfer_fill(&from, &chance, steps);
    transfer_settle(&from, 1);
    transfer_send(&from, block_bytes, &stream);

    const enum status st = transfer_receive(&to, buf_bytes(&stream), 1000, 2);
    if (st != ST_OK) {
        fail_msg("seed %llu: %s: %s", (unsigned long long)seed, status_name(st),
                 to.fault.text);
    }
    transfer_open(&to);
    struct store_identity identity;
    store_identity(to.store, &identity);
    EXPECT_INT(identity.cluster_id, CLUSTER_ID);
    EXPECT_INT(identity.member_id, 2);
    EXPECT_INT(store_applied_index(to.store), store_durable_index(from.store));
    EXPECT_INT(store_applied_term(to.store), store_durable_term(from.store));
    EXPECT_INT(store_revision(to.store), store_revision(from.store));
    EXPECT(!store_has_garbage(to.store)); /* what was swept stays swept */
    if (transfer_digest(&from) != transfer_digest(&to)) {
        fail_msg("seed %llu: the states differ", (unsigned long long)seed);
    }
    EXPECT_INT(rig_hash(&to), rig_hash(&from)); /* leases too */
    transfer_send(&to, block_bytes, &again);
    expect_same_blocks(&stream, &again);
    rig_end(&from);
    rig_end(&to);
    buf_fini(&stream);
    buf_fini(&again);
}

TEST(transfer, what_arrives_is_what_was_sent)
{
    static const size_t blocks[] = {1, 1000, 100000, (size_t)64 << 20};
    for (unsigned i = 0; i < 8; i++) {
        round_trip(test_seed() + i, 40 * i, blocks[i % count_of(blocks)]);
    }
}

/* A small state with long keys, history, groups, events and a record. */
static void small_stream(struct rig *from, struct buf *stream)
{
    rig_begin(from);
    (void)rig_do(from, "put /a/b one");
    (void)rig_do(from, "put /a/b two");
    (void)rig_do(from, "put /a/c three attrs=x");
    (void)rig_do(from, "del /a/c");
    (void)rig_do(from, "grant 7 10");
    (void)rig_do(from, "put /a/d four lease=7");
    (void)rig_do(from, "checkpoint 500 7=9000");
    for (unsigned i = 0; i < 3; i++) {
        char key[600];
        memset(key, 'k', sizeof key);
        key[490] = (char)('a' + (i + 1) % 3);
        const struct kv_op op = {.type = KV_OP_PUT,
                                 .put = {.key = {(const uint8_t *)key, 495},
                                         .value = bytes_of("long")}};
        EXPECT_INT(rig_op(from, &op), ST_OK);
    }
    transfer_settle(from, 1);
    transfer_send(from, 200, stream);
}

/* A store with a state of its own at to->path. */
static uint32_t old_state(struct rig *to)
{
    transfer_rig_begin(to);
    transfer_open(to);
    (void)rig_do(to, "put old state");
    transfer_settle(to, 2);
    const uint32_t digest = transfer_digest(to);
    store_close(to->store);
    to->store = NULL;
    return digest;
}

static void expect_untouched(struct rig *to, uint32_t digest)
{
    EXPECT(!transfer_exists(to->path, "incoming"));
    transfer_open(to);
    EXPECT_INT(transfer_digest(to), digest);
    store_close(to->store);
    to->store = NULL;
}

static bool is_refusal(enum status st)
{
    return st == ST_CORRUPT || st == ST_INVALID;
}

/* Danger: damage on the way becomes the member's state. */
TEST(transfer, no_changed_byte_gets_in)
{
    struct rig from, to;
    struct buf stream = {0};
    small_stream(&from, &stream);
    const uint32_t digest = old_state(&to);
    for (size_t at = 0; at < stream.size; at++) {
        stream.data[at] ^= (uint8_t)(1u << (at % 8));
        const enum status st =
            transfer_receive(&to, buf_bytes(&stream), stream.size, 2);
        if (!is_refusal(st)) {
            fail_msg("byte %zu of %zu: %s", at, stream.size, status_name(st));
        }
        stream.data[at] ^= (uint8_t)(1u << (at % 8));
    }
    expect_untouched(&to, digest);
    EXPECT_INT(transfer_receive(&to, buf_bytes(&stream), stream.size, 2),
               ST_OK);
    rig_end(&from);
    rig_end(&to);
    buf_fini(&stream);
}

/* Danger: a connection that ended in between passes for a whole state. */
TEST(transfer, no_part_of_a_stream_is_a_state)
{
    struct rig from, to;
    struct buf stream = {0};
    small_stream(&from, &stream);
    const uint32_t digest = old_state(&to);
    for (size_t size = 0; size < stream.size; size++) {
        const enum status st =
            transfer_receive(&to, (struct bytes){stream.data, size}, 4096, 2);
        EXPECT_INT(st, ST_CORRUPT);
    }
    buf_append_byte(&stream, 0);
    EXPECT_INT(transfer_receive(&to, buf_bytes(&stream), stream.size, 2),
               ST_CORRUPT);
    expect_untouched(&to, digest);
    rig_end(&from);
    rig_end(&to);
    buf_fini(&stream);
}

/* Danger: the network cuts where the sender did not. */
TEST(transfer, a_stream_may_be_cut_anywhere)
{
    struct rig from, to;
    struct buf stream = {0};
    small_stream(&from, &stream);
    const uint32_t digest = transfer_digest(&from);
    transfer_rig_begin(&to);
    for (size_t cut = 1; cut < stream.size; cut += 1 + cut / 20) {
        struct store_import *i;
        const struct store_identity identity = {CLUSTER_ID, 2};
        EXPECT_INT(store_import_begin(to.path, &to.options, 0, &i, NULL),
                   ST_OK);
        EXPECT_INT(
            store_import_write(i, (struct bytes){stream.data, cut}, NULL),
            ST_OK);
        EXPECT_INT(store_import_position(i), cut);
        EXPECT_INT(
            store_import_write(i, bytes_after(buf_bytes(&stream), cut), NULL),
            ST_OK);
        EXPECT_INT(store_import_finish(i, &identity, NULL), ST_OK);
        store_import_free(i);
        EXPECT(!transfer_exists(to.path, "incoming"));
    }
    EXPECT_INT(transfer_receive(&to, buf_bytes(&stream), 1, 2), ST_OK);
    transfer_open(&to);
    EXPECT_INT(transfer_digest(&to), digest);
    rig_end(&from);
    rig_end(&to);
    buf_fini(&stream);
}

/* Danger: after a broken connection the rest does not fit what was sent. */
TEST(transfer, a_stream_goes_on_from_any_byte)
{
    struct rig from;
    struct buf stream = {0}, rest = {0};
    small_stream(&from, &stream);
    struct store_export *e;
    EXPECT_INT(store_export_begin(from.store, 200, &e, NULL), ST_OK);
    EXPECT_INT(store_export_seek(e, 0, NULL), ST_OK);
    EXPECT_INT(store_export_seek(e, 1, NULL), ST_INVALID);
    transfer_rest(e, &rest);
    EXPECT_BYTES(buf_bytes(&rest), buf_bytes(&stream));
    for (size_t i = 0; i <= stream.size; i++) {
        /* Back and forth, and not always to the end. */
        const size_t at = i * 7919 % (stream.size + 1);
        bool done = false;
        rest.size = 0;
        EXPECT_INT(store_export_seek(e, at, NULL), ST_OK);
        EXPECT_INT(store_export_position(e), at);
        do {
            EXPECT_INT(store_export_next(e, &rest, &done, NULL), ST_OK);
            EXPECT_INT(store_export_position(e), at + rest.size);
        } while (!done && i % 3 != 0);
        EXPECT(!done || at + rest.size == stream.size);
        EXPECT_BYTES(buf_bytes(&rest),
                     ((struct bytes){stream.data + at, rest.size}));
    }
    EXPECT_INT(store_export_seek(e, stream.size + 1, NULL), ST_INVALID);
    store_export_free(e);
    rig_end(&from);
    buf_fini(&stream);
    buf_fini(&rest);
}

/* --- what is sent while the store goes on --- */

/* Applies the log's entries from the rig's next one up to `index`. */
static void replay(struct rig *r, const struct buf *log, uint64_t index)
{
    struct reader in = reader_of(buf_bytes(log));
    for (uint64_t at = 1; at <= index; at++) {
        const struct bytes command = read_sized(&in);
        if (at > store_applied_index(r->store)) {
            EXPECT_INT(
                store_apply(r->store, at, 1, command, &r->outcome, &r->fault),
                ST_OK);
        }
    }
    EXPECT(reader_ok(&in));
}

/* Danger: what is written, flushed, compacted and swept while the state is on
 * its way gets mixed into it.  And after it, the log has to fit. */
static void send_under_load(uint64_t seed)
{
    struct rig from, to, mirror;
    struct prng chance;
    struct buf stream = {0};
    struct store_export *e;
    struct store_transfer_info info;
    prng_init(&chance, seed);
    rig_begin(&from);
    rig_begin(&mirror);
    transfer_rig_begin(&to);
    transfer_fill(&from, &chance, 150);
    transfer_settle(&from, 1);
    transfer_fill(&from, &chance, 20); /* not all of it durable */
    const uint64_t durable = store_durable_index(from.store);
    EXPECT_INT(store_export_begin(from.store, 500, &e, NULL), ST_OK);
    store_export_info(e, &info);
    EXPECT_INT(info.index, durable);
    EXPECT_INT(info.cluster_id, CLUSTER_ID);
    for (bool done = false; !done;) {
        EXPECT_INT(store_export_next(e, &stream, &done, NULL), ST_OK);
        if (prng_below(&chance, 4) == 0) {
            transfer_fill(&from, &chance, 15);
        }
        if (prng_below(&chance, 10) == 0) {
            rig_deliver(&from);
            rig_settle(&from);
        }
    }
    store_export_free(e);
    EXPECT(info.index < store_durable_index(from.store));

    EXPECT_INT(transfer_receive(&to, buf_bytes(&stream), 7777, 2), ST_OK);
    transfer_open(&to);
    EXPECT_INT(store_applied_index(to.store), info.index);
    EXPECT_INT(store_revision(to.store), info.revision);
    EXPECT_INT(store_compact_revision(to.store), info.compact_revision);
    replay(&mirror, &from.log, info.index);
    transfer_settle(&mirror, 3);
    if (transfer_digest(&to) != transfer_digest(&mirror)) {
        fail_msg("seed %llu: not the state of the view",
                 (unsigned long long)seed);
    }
    replay(&to, &from.log, store_applied_index(from.store));
    if (rig_hash(&to) != rig_hash(&from)) {
        fail_msg("seed %llu: the log does not lead to the same state",
                 (unsigned long long)seed);
    }
    rig_settle(&to);
    EXPECT_INT(rig_hash(&to), rig_hash(&from));
    rig_end(&from);
    rig_end(&to);
    rig_end(&mirror);
    buf_fini(&stream);
}

TEST(transfer, what_is_sent_is_the_view_whatever_is_written_meanwhile)
{
    for (unsigned i = 0; i < 3; i++) {
        send_under_load(test_seed() + i);
    }
}

/* --- refusals --- */

static const char *refusal(struct rig *to, uint64_t cluster_id,
                           struct bytes stream, enum status wanted)
{
    struct store_import *i;
    EXPECT_INT(store_import_begin(to->path, &to->options, cluster_id, &i, NULL),
               ST_OK);
    EXPECT_INT(store_import_write(i, stream, &to->fault), wanted);
    /* It stays refused, and says why again. */
    struct fault again;
    const struct store_identity identity = {CLUSTER_ID, 2};
    EXPECT_INT(store_import_write(i, stream, &again), wanted);
    EXPECT_TEXT(again.text, to->fault.text);
    EXPECT_INT(store_import_finish(i, &identity, &again), wanted);
    store_import_free(i);
    EXPECT(!transfer_exists(to->path, "incoming"));
    return to->fault.text;
}

/* Danger: a member takes over another cluster's keys, or guesses at a format
 * it does not know. */
TEST(transfer, strangers_are_refused_by_name)
{
    struct rig from, to;
    struct buf stream = {0};
    small_stream(&from, &stream);
    transfer_rig_begin(&to);
    EXPECT_TEXT(refusal(&to, 0xc2, buf_bytes(&stream), ST_INVALID),
                "the state that is sent is of cluster c1, this member is of "
                "c2; look at the peers' addresses");
    stream.data[8] = 9;
    EXPECT_TEXT(refusal(&to, 0, buf_bytes(&stream), ST_INVALID),
                "the stream with the state has format 9, this program reads "
                "format 1; use the same version on both ends");
    stream.data[0] = 'x';
    EXPECT_TEXT(refusal(&to, 0, buf_bytes(&stream), ST_INVALID),
                "this is not a stream with a store's state");
    rig_end(&from);
    rig_end(&to);
    buf_fini(&stream);
}

/* --- damage with checksums that hold: what a faulty member could send --- */

/* What of the state block nothing else can be held against: not the format, the
 * cluster, the numbers of keys and leases and the last rows' links. */
static bool is_believed(size_t at)
{
    return at >= 12 && !(at >= 52 && at < 68) && !(at >= 92 && at < 112);
}

/* Danger: a faulty member's rows get in because the stream around them is
 * well formed; or what it says of itself makes the receiver crash. */
TEST(transfer, no_changed_row_gets_in_under_a_right_checksum)
{
    struct rig from, to;
    struct buf stream = {0}, bad = {0};
    struct piece pieces[200];
    small_stream(&from, &stream);
    transfer_rig_begin(&to);
    const size_t count = pieces_of(&stream, pieces, count_of(pieces));
    EXPECT(count > 6);
    EXPECT(count < count_of(pieces));
    unsigned accepted = 0;
    for (size_t p = 0; p < count; p++) {
        /* Every seventh byte; which ones is the seed's choice. */
        for (size_t at = 4 + test_seed() % 7; at < pieces[p].size; at += 7) {
            buf_clear(&bad);
            buf_append(&bad, buf_bytes(&stream));
            bad.data[pieces[p].begin + at] ^= (uint8_t)(1u << (at % 8));
            seal(&bad);
            const enum status st =
                transfer_receive(&to, buf_bytes(&bad), bad.size, 2);
            /* The number of a block was put right. */
            const bool believed =
                (at >= 8 && at < 16) ||
                (pieces[p].kind == 0 && at >= HEAD && is_believed(at - HEAD));
            if (st == ST_OK) {
                accepted++;
                transfer_open(&to);
                store_close(to.store);
                to.store = NULL;
            }
            /* The number in a long key's place may be another one: the order
             * is what counts. */
            if (!is_refusal(st) && !believed && st != ST_OK) {
                fail_msg("block %zu byte %zu: %s", p, at, status_name(st));
            }
            if (st == ST_OK && !believed) {
                EXPECT(at > 480);
            }
        }
    }
    EXPECT(accepted > 0);
    rig_end(&from);
    rig_end(&to);
    buf_fini(&stream);
    buf_fini(&bad);
}

/* Makes the end blocks say what comes before them. */
static void count_again(struct buf *stream)
{
    struct piece pieces[200];
    uint64_t rows[5] = {0};
    const size_t count = pieces_of(stream, pieces, count_of(pieces));
    for (size_t p = 0; p < count; p++) {
        uint8_t *body = stream->data + pieces[p].begin + HEAD;
        struct reader r =
            reader_of((struct bytes){body, pieces[p].size - HEAD});
        while (pieces[p].kind >= 2 && r.left.size > 0) {
            (void)read_sized(&r);
            (void)read_sized(&r);
            EXPECT(reader_ok(&r));
            rows[pieces[p].kind - 2]++;
        }
        for (unsigned id = 0; id < 5 && pieces[p].kind == 1; id++) {
            put_u64(body + 8 * id, rows[id]);
        }
        if (pieces[p].kind == 1) {
            put_u64(body + 40, pieces[p].begin);
        }
    }
}

/* Danger: rows are left out, doubled or exchanged by a faulty member, in whole
 * blocks, and nobody notices until a key is asked for. */
TEST(transfer, no_block_may_be_missing_or_twice_or_moved)
{
    struct rig from, to;
    struct buf stream = {0}, bad = {0};
    struct piece pieces[200];
    small_stream(&from, &stream);
    transfer_rig_begin(&to);
    const size_t count = pieces_of(&stream, pieces, count_of(pieces));
    for (size_t p = 0; p < count; p++) {
        for (unsigned how = 0; how < 3; how++) {
            buf_clear(&bad);
            buf_append(&bad, (struct bytes){stream.data, 12});
            for (size_t q = 0; q < count; q++) {
                const bool last = p + 1 == count;
                const size_t from_piece = how < 2 || last ? q
                                          : q == p        ? p + 1
                                          : q == p + 1    ? p
                                                          : q;
                const struct bytes piece = {stream.data +
                                                pieces[from_piece].begin,
                                            pieces[from_piece].size};
                if (q != p || how > 0) {
                    buf_append(&bad, piece);
                }
                if (q == p && (how == 1 || (how == 2 && last))) {
                    buf_append(&bad, piece);
                }
            }
            count_again(&bad);
            seal(&bad);
            const enum status st =
                transfer_receive(&to, buf_bytes(&bad), 999, 2);
            if (st != ST_CORRUPT) {
                fail_msg("block %zu, way %u: %s", p, how, status_name(st));
            }
        }
    }
    rig_end(&from);
    rig_end(&to);
    buf_fini(&stream);
    buf_fini(&bad);
}

/* Danger: one member's bad disk becomes everybody's state. */
TEST(transfer, a_sender_does_not_pass_on_damage)
{
    static const char needle[] = "needle in the file";
    struct rig from;
    struct buf stream = {0};
    struct store_export *e;
    char path[600];
    rig_begin(&from);
    (void)rig_do(&from, "put /a one");
    const struct kv_op op = {
        .type = KV_OP_PUT,
        .put = {.key = bytes_of("/b"), .value = bytes_of(needle)}};
    EXPECT_INT(rig_op(&from, &op), ST_OK);
    transfer_settle(&from, 1);
    store_close(from.store);

    static uint8_t file[1 << 20];
    (void)snprintf(path, sizeof path, "%s/data.mdb", from.path);
    FILE *f = fopen(path, "r+");
    must(f != NULL);
    const size_t size = fread(file, 1, sizeof file, f);
    unsigned found = 0;
    for (uint8_t *at = file; (at = memmem(at, size - (size_t)(at - file),
                                          needle, sizeof needle - 1)) != NULL;
         at++) {
        must(fseek(f, at - file, SEEK_SET) == 0);
        must(fputc('N', f) == 'N');
        found++;
    }
    must(fclose(f) == 0);
    EXPECT(found > 0);

    transfer_open(&from);
    EXPECT_INT(store_export_begin(from.store, 1 << 20, &e, NULL), ST_OK);
    bool done = false;
    enum status st = ST_OK;
    while (!done && st == ST_OK) {
        const size_t before = stream.size;
        st = store_export_next(e, &stream, &done, &from.fault);
        EXPECT(st == ST_OK || stream.size == before);
    }
    EXPECT_INT(st, ST_CORRUPT);
    EXPECT(strstr(from.fault.text, "/b") != NULL);
    store_export_free(e);
    rig_end(&from);
    buf_fini(&stream);
}

/* Danger: a map that is too small is taken for damage. */
TEST(transfer, a_full_map_is_no_space)
{
    struct rig from, to;
    struct buf stream = {0};
    struct prng chance;
    prng_init(&chance, test_seed());
    rig_begin(&from);
    transfer_fill(&from, &chance, 200);
    transfer_settle(&from, 1);
    transfer_send(&from, 10000, &stream);
    transfer_rig_begin(&to);
    to.options.map_size = 64 << 10;
    EXPECT_INT(transfer_receive(&to, buf_bytes(&stream), stream.size, 2),
               ST_NO_SPACE);
    EXPECT(!transfer_exists(to.path, "incoming"));
    rig_end(&from);
    rig_end(&to);
    buf_fini(&stream);
}

/* --- taking the old one's place --- */

/* Danger: the state is exchanged under a store that is being read. */
TEST(transfer, a_store_in_use_is_not_replaced)
{
    struct rig from, to;
    struct buf stream = {0};
    struct store_import *i;
    const struct store_identity identity = {CLUSTER_ID, 2};
    small_stream(&from, &stream);
    (void)old_state(&to);
    transfer_open(&to);
    const uint32_t before = rig_hash(&to);
    EXPECT_INT(store_import_begin(to.path, &to.options, 0, &i, NULL), ST_OK);
    EXPECT_INT(store_import_write(i, buf_bytes(&stream), NULL), ST_OK);
    EXPECT_INT(store_import_finish(i, &identity, NULL), ST_OK);
    EXPECT_INT(store_import_install(i, &to.fault), ST_BUSY);
    EXPECT_INT(rig_hash(&to), before);

    /* Both can be looked at side by side. */
    struct store *fresh;
    EXPECT_INT(store_open(store_import_path(i), &to.options, &fresh, NULL),
               ST_OK);
    EXPECT_INT(store_applied_index(fresh), store_applied_index(from.store));
    store_close(fresh);

    store_close(to.store);
    to.store = NULL;
    EXPECT_INT(store_import_install(i, NULL), ST_OK);
    store_import_free(i);
    EXPECT(!transfer_exists(to.path, "incoming"));
    transfer_open(&to);
    EXPECT_INT(transfer_digest(&to), transfer_digest(&from));
    rig_end(&from);
    rig_end(&to);
    buf_fini(&stream);
}

/* Danger: what a crash left behind fills the disk, or gets mixed into the next
 * import. */
TEST(transfer, leftovers_are_removed_by_the_start_and_by_the_next_import)
{
    struct rig from, to;
    struct buf stream = {0};
    struct store_import *i;
    char path[600], left[600];
    small_stream(&from, &stream);
    const uint32_t digest = old_state(&to);
    EXPECT_INT(store_import_discard(to.path, NULL), ST_OK); /* nothing there */
    for (unsigned round = 0; round < 2; round++) {
        EXPECT_INT(store_import_begin(to.path, &to.options, 0, &i, NULL),
                   ST_OK);
        EXPECT_INT(store_import_write(i, buf_bytes(&stream), NULL), ST_OK);
        /* What a crash would leave, kept from being removed. */
        (void)snprintf(path, sizeof path, "%s/incoming", to.path);
        (void)snprintf(left, sizeof left, "%s/kept", to.path);
        EXPECT_INT(rename(path, left), 0);
        store_import_free(i);
        EXPECT_INT(rename(left, path), 0);
        if (round == 0) {
            EXPECT_INT(store_import_discard(to.path, NULL), ST_OK);
            expect_untouched(&to, digest);
        }
    }
    EXPECT_INT(transfer_receive(&to, buf_bytes(&stream), 100, 2), ST_OK);
    transfer_open(&to);
    EXPECT_INT(transfer_digest(&to), transfer_digest(&from));
    rig_end(&from);
    rig_end(&to);
    buf_fini(&stream);
}

/* Danger: a store that was put on another disk cannot be caught up. */
TEST(transfer, the_stores_directory_may_be_a_link)
{
    struct rig from, to;
    struct buf stream = {0};
    char path[600];
    small_stream(&from, &stream);
    (void)old_state(&to);
    (void)snprintf(path, sizeof path, "%s.elsewhere", to.path);
    EXPECT_INT(rename(to.path, path), 0);
    EXPECT_INT(symlink(path, to.path), 0);
    EXPECT_INT(transfer_receive(&to, buf_bytes(&stream), 100, 2), ST_OK);
    EXPECT(!transfer_exists(to.path, "incoming"));
    transfer_open(&to);
    EXPECT_INT(transfer_digest(&to), transfer_digest(&from));
    rig_end(&from);
    rig_end(&to);
    buf_fini(&stream);
}
