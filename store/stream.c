/* Writing and taking apart the blocks of a state stream.
 *
 * A block's checksum goes on from the one before, so that the last one covers
 * the whole stream and blocks cannot be left out or come from another stream.
 * Readers believe nothing: what they refuse they name with its place.
 */

#include "store/stream.h"

#include "base/codec.h"
#include "base/crc32c.h"
#include "base/must.h"

static const uint8_t magic[8] = {'k', 'e', 'e', 'l', 'f', 's', 'S', 'T'};

static uint32_t block_crc(const struct stream_place *at, struct bytes block)
{
    return crc32c(at->crc, bytes_after(block, 4));
}

static void move_behind(struct stream_place *at, struct bytes block)
{
    at->crc = get_u32(block.data);
    at->position += block.size;
    at->number++;
}

static void begin(struct stream_place *at, struct bytes preamble)
{
    must(preamble.size == STREAM_PREAMBLE_SIZE);
    *at = (struct stream_place){.position = preamble.size,
                                .crc = crc32c(0, preamble)};
}

void stream_write_preamble(struct buf *to, struct stream_place *at)
{
    const size_t size = to->size;
    buf_append(to, (struct bytes){magic, sizeof magic});
    write_u32(to, STREAM_FORMAT);
    begin(at, bytes_after(buf_bytes(to), size));
}

size_t stream_block_begin(struct buf *to)
{
    const size_t begins = to->size;
    (void)buf_extend(to, STREAM_HEAD_SIZE); /* filled in at the end */
    return begins;
}

void stream_block_end(struct buf *to, size_t begin, uint32_t kind,
                      struct stream_place *at)
{
    const struct bytes block = bytes_after(buf_bytes(to), begin);
    must(block.size >= STREAM_HEAD_SIZE);
    must(block.size - STREAM_HEAD_SIZE <= STREAM_BODY_MAX);
    uint8_t *head = to->data + begin;
    put_u32(head + 4, (uint32_t)(block.size - STREAM_HEAD_SIZE));
    put_u64(head + 8, at->number);
    put_u32(head + 16, kind);
    put_u32(head, block_crc(at, block));
    move_behind(at, block);
}

void stream_write_state(struct buf *to, const struct state *s,
                        const struct stream_counts *counts)
{
    write_u32(to, STATE_FORMAT);
    write_u64(to, s->local.identity.cluster_id);
    write_u64(to, s->numbers.index);
    write_u64(to, s->numbers.term);
    write_u64(to, (uint64_t)s->numbers.revision);
    write_u64(to, (uint64_t)s->numbers.compact_revision);
    write_u64(to, s->numbers.ino_next);
    write_u64(to, s->numbers.keys_count);
    write_u64(to, s->numbers.leases_count);
    write_u64(to, (uint64_t)s->numbers.lease_clock_ms);
    write_u64(to, (uint64_t)s->local.swept_revision);
    write_u64(to, (uint64_t)s->local.sweep_next);
    for (int id = 0; id < TREES_COUNT; id++) {
        write_u32(to, s->local.end_links[id]);
    }
    write_u64(to, counts->rows);
    write_u64(to, counts->bytes);
    write_u32(to, (uint32_t)s->records.count);
    for (size_t i = 0; i < s->records.count; i++) {
        write_sized(to, bytes_of(s->records.list[i].name));
        write_sized(to, buf_bytes(&s->records.list[i].value));
    }
}

void stream_write_end(struct buf *to, const uint64_t *rows, uint64_t position)
{
    for (int id = 0; id < TREES_COUNT; id++) {
        write_u64(to, rows[id]);
    }
    write_u64(to, position);
}

enum status stream_corrupt(const struct stream_place *at, const char *why,
                           struct fault *reterr)
{
    return fault_set(reterr, ST_CORRUPT,
                     "the stream with the state is damaged in the block at "
                     "byte %llu: %s; have it sent again",
                     (unsigned long long)at->position, why);
}

enum status stream_read_preamble(struct bytes preamble, struct stream_place *at,
                                 struct fault *reterr)
{
    struct reader r = reader_of(preamble);
    const struct bytes name = read_bytes(&r, sizeof magic);
    const uint32_t format = read_u32(&r);
    if (!reader_done(&r) ||
        !bytes_equal(name, (struct bytes){magic, sizeof magic})) {
        return fault_set(reterr, ST_INVALID,
                         "this is not a stream with a store's state");
    }
    if (format != STREAM_FORMAT) {
        return fault_set(reterr, ST_INVALID,
                         "the stream with the state has format %u, this "
                         "program reads format %u; use the same version on "
                         "both ends",
                         format, STREAM_FORMAT);
    }
    begin(at, preamble);
    return ST_OK;
}

enum status stream_read_head(struct bytes head, const struct stream_place *at,
                             size_t *ret_size, struct fault *reterr)
{
    must(head.size >= STREAM_HEAD_SIZE);
    if (get_u64(head.data + 8) != at->number) {
        return stream_corrupt(at, "it is another block", reterr);
    }
    const uint32_t size = get_u32(head.data + 4);
    if (size > STREAM_BODY_MAX) {
        return stream_corrupt(at, "it is too large", reterr);
    }
    *ret_size = size;
    return ST_OK;
}

enum status stream_read_block(struct bytes block, struct stream_place *at,
                              struct stream_block *ret, struct fault *reterr)
{
    must(block.size >= STREAM_HEAD_SIZE);
    if (get_u32(block.data) != block_crc(at, block)) {
        return stream_corrupt(at, "its checksum is wrong", reterr);
    }
    ret->kind = get_u32(block.data + 16);
    ret->body = bytes_after(block, STREAM_HEAD_SIZE);
    move_behind(at, block);
    return ST_OK;
}

static bool read_records(struct reader *r, struct state_records *to)
{
    const uint32_t count = read_u32(r);
    for (uint32_t i = 0; i < count && reader_ok(r); i++) {
        const struct bytes name = read_sized(r);
        const struct bytes value = read_sized(r);
        char text[STATE_NAME_MAX] = {0};
        if (!reader_ok(r) || name.size == 0 || name.size >= sizeof text ||
            memchr(name.data, 0, name.size) != NULL) {
            return false;
        }
        memcpy(text, name.data, name.size);
        if (state_records_find(to, text) != NULL ||
            state_records_set(to, text, value) != ST_OK) {
            return false;
        }
    }
    return true;
}

/* What store_open() and the sweep take for granted. */
static bool makes_sense(const struct state *s)
{
    const struct state_numbers *n = &s->numbers;
    const struct state_local *l = &s->local;
    return n->revision >= 1 && n->compact_revision >= 0 &&
           n->compact_revision <= n->revision && n->ino_next >= 2 &&
           l->swept_revision >= 0 && l->swept_revision <= n->compact_revision &&
           n->lease_clock_ms >= 0 && l->sweep_next >= 0 &&
           l->sweep_next <= n->revision;
}

enum status stream_read_state(struct bytes body, struct state *ret,
                              struct stream_counts *ret_counts,
                              struct fault *reterr)
{
    const struct stream_place start = {.position = STREAM_PREAMBLE_SIZE};
    struct reader r = reader_of(body);
    const uint32_t format = read_u32(&r);
    if (reader_ok(&r) && format != STATE_FORMAT) {
        return fault_set(reterr, ST_INVALID,
                         "the state that is sent has format %u, this program "
                         "keeps format %u; use the same version on both ends",
                         format, STATE_FORMAT);
    }
    ret->local.identity.cluster_id = read_u64(&r);
    ret->numbers.index = read_u64(&r);
    ret->numbers.term = read_u64(&r);
    ret->numbers.revision = (int64_t)read_u64(&r);
    ret->numbers.compact_revision = (int64_t)read_u64(&r);
    ret->numbers.ino_next = read_u64(&r);
    ret->numbers.keys_count = read_u64(&r);
    ret->numbers.leases_count = read_u64(&r);
    ret->numbers.lease_clock_ms = (int64_t)read_u64(&r);
    ret->local.swept_revision = (int64_t)read_u64(&r);
    ret->local.sweep_next = (int64_t)read_u64(&r);
    for (int id = 0; id < TREES_COUNT; id++) {
        ret->local.end_links[id] = read_u32(&r);
    }
    ret_counts->rows = read_u64(&r);
    ret_counts->bytes = read_u64(&r);
    if (!read_records(&r, &ret->records) || !reader_done(&r)) {
        return stream_corrupt(&start, "the state cannot be read", reterr);
    }
    if (!makes_sense(ret)) {
        return stream_corrupt(&start, "its numbers make no sense", reterr);
    }
    return ST_OK;
}

bool stream_is_end(struct bytes body, const uint64_t *rows, uint64_t position)
{
    struct reader r = reader_of(body);
    bool same = true;
    for (int id = 0; id < TREES_COUNT; id++) {
        same = read_u64(&r) == rows[id] && same;
    }
    same = read_u64(&r) == position && same;
    return reader_done(&r) && same;
}
