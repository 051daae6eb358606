/* Writing and reading records: docs/FORMATS.md, "Records". */

#include "wal/record.h"

#include "base/codec.h"
#include "base/crc32c.h"
#include "base/must.h"

#define CHECKSUM_OFFSET 20
#define CHECKSUM_SIZE   4

static const uint8_t format_name[8] = {'k', 'e', 'e', 'l', 'w', 'a', 'l', '1'};
#define FORMAT_FAMILY_SIZE                                                     \
    7 /* of format_name: the last byte is the version                          \
       */

static uint64_t head_size(uint32_t type)
{
    return type == RECORD_SEGMENT ? SEGMENT_HEAD_SIZE : RECORD_HEAD_SIZE;
}

uint64_t record_meta_size(uint32_t type, uint64_t entries)
{
    return head_size(type) + entries * IDENTIFIER_SIZE;
}

uint64_t record_sectors(uint64_t entries, uint64_t data_size)
{
    return sectors_for(record_meta_size(RECORD_BATCH, entries)) +
           sectors_for(data_size);
}

static void head_put(uint8_t *to, const struct record_head *h)
{
    put_u32(to, h->type);
    put_u32(to + 4, h->sectors);
    put_u32(to + 8, h->entries);
    put_u32(to + 12, h->flags);
    put_u32(to + 16, h->chain);
    put_u32(to + CHECKSUM_OFFSET, 0);
    put_u64(to + 24, h->synced);
    put_u64(to + 32, h->hard_state.term);
    put_u64(to + 40, h->hard_state.vote);
    put_u64(to + 48, h->hard_state.commit);
    put_u64(to + 56, h->start_index);
    put_u64(to + 64, h->start_term);
    put_u64(to + 72, h->last_index);
    put_u64(to + 80, h->last_term);
    if (h->type == RECORD_SEGMENT) {
        memcpy(to + 88, format_name, sizeof format_name);
        put_u64(to + 96, h->cluster_id);
        put_u64(to + 104, h->member_id);
        put_u32(to + 112, h->previous);
        put_u32(to + 116, h->previous_end);
        put_u32(to + 120, h->file_sectors);
    }
}

static void identifier_put(uint8_t *to, const struct raft_entry *e)
{
    const struct bytes data = payload_bytes(e->payload);
    put_u64(to, e->index);
    put_u64(to + 8, e->term);
    put_u32(to + 16, (uint32_t)data.size);
    put_u32(to + 20, crc32c(0, data));
    put_u32(to + 24, (uint32_t)e->type);
}

/* Of head and identifiers but for the checksum itself. */
static uint32_t meta_checksum(uint32_t chain, struct bytes meta)
{
    must(meta.size >= RECORD_HEAD_SIZE);
    const uint32_t crc =
        crc32c(chain, (struct bytes){meta.data, CHECKSUM_OFFSET});
    return crc32c(crc, bytes_after(meta, CHECKSUM_OFFSET + CHECKSUM_SIZE));
}

void record_write(struct buf *out, struct sector_place place, uint32_t opening,
                  struct record_head *head, const struct raft_entry *entries)
{
    must(head->entries == 0 || head->type == RECORD_BATCH);
    const uint64_t meta_size = record_meta_size(head->type, head->entries);
    uint64_t data_size = 0;
    for (uint32_t i = 0; i < head->entries; i++) {
        data_size += payload_bytes(entries[i].payload).size;
    }
    const uint64_t meta_sectors = sectors_for(meta_size);
    const uint64_t sectors = meta_sectors + sectors_for(data_size);
    must(sectors <= SECTOR_NUMBER_MAX);
    head->sectors = (uint32_t)sectors;

    uint8_t *meta = xmalloc((size_t)meta_size);
    head_put(meta, head);
    for (uint32_t i = 0; i < head->entries; i++) {
        identifier_put(meta + head_size(head->type) +
                           (size_t)i * IDENTIFIER_SIZE,
                       &entries[i]);
    }
    const struct bytes meta_bytes = {meta, (size_t)meta_size};
    head->checksum = meta_checksum(head->chain, meta_bytes);
    put_u32(meta + CHECKSUM_OFFSET, head->checksum);

    const size_t before = out->size;
    buf_resize(out, before + (size_t)sectors * SECTOR_SIZE);
    uint8_t *to = out->data + before;
    sectors_fill(to, 0, meta_bytes);
    free(meta);
    uint64_t at = meta_sectors * SECTOR_ROOM;
    for (uint32_t i = 0; i < head->entries; i++) {
        const struct bytes data = payload_bytes(entries[i].payload);
        sectors_fill(to, at, data);
        at += data.size;
    }
    for (uint32_t i = 0; i < sectors; i++) {
        sector_seal(to + (size_t)i * SECTOR_SIZE,
                    (struct sector_place){place.segment, place.number + i},
                    i == 0, opening);
    }
}

static void head_get(struct reader *r, struct record_head *h)
{
    h->type = read_u32(r);
    h->sectors = read_u32(r);
    h->entries = read_u32(r);
    h->flags = read_u32(r);
    h->chain = read_u32(r);
    h->checksum = read_u32(r);
    h->synced = read_u64(r);
    h->hard_state.term = read_u64(r);
    h->hard_state.vote = read_u64(r);
    h->hard_state.commit = read_u64(r);
    h->start_index = read_u64(r);
    h->start_term = read_u64(r);
    h->last_index = read_u64(r);
    h->last_term = read_u64(r);
}

static enum record_format segment_get(struct reader *r, struct record_head *h)
{
    const struct bytes name = read_bytes(r, sizeof format_name);
    h->cluster_id = read_u64(r);
    h->member_id = read_u64(r);
    h->previous = read_u32(r);
    h->previous_end = read_u32(r);
    h->file_sectors = read_u32(r);
    if (!reader_ok(r) ||
        memcmp(name.data, format_name, FORMAT_FAMILY_SIZE) != 0 ||
        h->entries != 0) {
        return RECORD_WRONG;
    }
    return name.data[FORMAT_FAMILY_SIZE] == format_name[FORMAT_FAMILY_SIZE]
               ? RECORD_OK
               : RECORD_TOO_NEW;
}

enum record_format record_head_read(struct bytes first, uint64_t room_sectors,
                                    struct record_head *ret)
{
    struct reader r = reader_of(first);
    struct record_head h = {0};
    head_get(&r, &h);
    if (!reader_ok(&r) ||
        (h.type != RECORD_SEGMENT && h.type != RECORD_BATCH)) {
        return RECORD_WRONG;
    }
    const enum record_format format =
        h.type == RECORD_SEGMENT ? segment_get(&r, &h) : RECORD_OK;
    const uint64_t meta_sectors =
        sectors_for(record_meta_size(h.type, h.entries));
    if (format == RECORD_WRONG || h.sectors > room_sectors ||
        h.sectors < meta_sectors) {
        return RECORD_WRONG;
    }
    *ret = h;
    return format;
}

struct identifier record_identifier(const struct record_head *head,
                                    struct bytes meta, uint32_t i)
{
    must(i < head->entries);
    const uint8_t *at =
        meta.data + head_size(head->type) + (size_t)i * IDENTIFIER_SIZE;
    return (struct identifier){.index = get_u64(at),
                               .term = get_u64(at + 8),
                               .size = get_u32(at + 16),
                               .checksum = get_u32(at + 20),
                               .type = get_u32(at + 24)};
}

bool record_meta_is_right(const struct record_head *head, struct bytes meta)
{
    must(meta.size == record_meta_size(head->type, head->entries));
    if (meta_checksum(head->chain, meta) != head->checksum) {
        return false;
    }
    uint64_t data_size = 0;
    uint64_t before = 0; /* index */
    for (uint32_t i = 0; i < head->entries; i++) {
        const struct identifier id = record_identifier(head, meta, i);
        if (id.index == 0 || id.type > RAFT_ENTRY_CONF_CHANGE_V2 ||
            (i > 0 && id.index != before + 1)) {
            return false;
        }
        before = id.index;
        data_size += id.size;
    }
    return head->sectors == sectors_for(meta.size) + sectors_for(data_size);
}
