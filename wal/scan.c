/* Reading records back.  What a file says is believed sector by sector (wal/
 * sector.h), then checked as a whole: chain, lengths, identifiers, checksums of
 * the entries. */

#include "wal/scan.h"

#include "base/crc32c.h"
#include "base/must.h"

#define WINDOW_SECTORS 512u

void scan_init(struct scan *s, struct disk_file *file, uint32_t segment,
               uint32_t sectors)
{
    must(segment > 0);
    must(sectors > 0);
    *s = (struct scan){.file = file, .segment = segment, .sectors = sectors};
}

void scan_fini(struct scan *s)
{
    buf_fini(&s->window);
    buf_fini(&s->meta);
    buf_fini(&s->data);
    *s = (struct scan){0};
}

static enum status fill_window(struct scan *s, uint32_t n, struct fault *reterr)
{
    const uint32_t left = s->sectors - n;
    const uint32_t count = left < WINDOW_SECTORS ? left : WINDOW_SECTORS;
    const size_t size = (size_t)count * SECTOR_SIZE;
    buf_clear(&s->window);
    (void)buf_extend(&s->window, size);
    size_t got = 0;
    const enum status st = s->file->disk->ops->read(
        s->file, (uint64_t)n * SECTOR_SIZE, s->window.data, size, &got, reterr);
    if (st != ST_OK) {
        buf_clear(&s->window);
        return st;
    }
    if (got < size) { /* it was longer a moment ago: as if never written */
        memset(s->window.data + got, 0, size - got);
    }
    s->window_first = n;
    return ST_OK;
}

enum status scan_sector(struct scan *s, uint32_t n, uint8_t **ret_sector,
                        struct sector_verdict *ret_verdict,
                        struct fault *reterr)
{
    must(n < s->sectors);
    const size_t count = s->window.size / SECTOR_SIZE;
    if (n < s->window_first || n - s->window_first >= count) {
        const enum status st = fill_window(s, n, reterr);
        if (st != ST_OK) {
            return st;
        }
    }
    uint8_t *sector =
        s->window.data + (size_t)(n - s->window_first) * SECTOR_SIZE;
    *ret_verdict = sector_judge(sector, (struct sector_place){s->segment, n});
    *ret_sector = sector;
    return ST_OK;
}

/* The first bad sectors of a record, by their kind; 0: none. */
struct bad_sectors {
    uint32_t absent, damaged;
};

/* Collects sectors [from, to) of a record whose head was written in `opening`
 * into `out`. */
static enum status collect(struct scan *s, uint32_t from, uint32_t to,
                           uint32_t opening, struct buf *out,
                           struct bad_sectors *bad, struct fault *reterr)
{
    for (uint32_t n = from; n < to; n++) {
        uint8_t *sector;
        struct sector_verdict v;
        const enum status st = scan_sector(s, n, &sector, &v, reterr);
        if (st != ST_OK) {
            return st;
        }
        const bool is_head = n == s->next;
        if (v.state == SECTOR_DAMAGED) {
            bad->damaged = bad->damaged == 0 ? n : bad->damaged;
        } else if (v.state == SECTOR_ABSENT || v.opening != opening ||
                   v.head != is_head) {
            bad->absent = bad->absent == 0 ? n : bad->absent;
        }
        buf_append(out,
                   (struct bytes){sector + SECTOR_ROOM_OFFSET, SECTOR_ROOM});
    }
    return ST_OK;
}

static struct bytes meta_of(const struct scan *s, const struct record_head *h)
{
    return (struct bytes){s->meta.data,
                          (size_t)record_meta_size(h->type, h->entries)};
}

/* The entry that a byte of the data belongs to. */
static void name_entry(const struct scan *s, const struct record_head *h,
                       uint64_t data_at, struct scan_bad *bad)
{
    uint64_t end = 0;
    for (uint32_t i = 0; i < h->entries; i++) {
        const struct identifier id = record_identifier(h, meta_of(s, h), i);
        end += id.size;
        bad->index = id.index;
        bad->term = id.term;
        if (data_at < end) {
            return;
        }
    } /* in the padding: the last one's */
}

/* The bytes of every entry are those that its identifier names. */
static bool entries_are_right(const struct scan *s, const struct record_head *h,
                              struct scan_bad *bad)
{
    uint64_t at = 0;
    for (uint32_t i = 0; i < h->entries; i++) {
        const struct identifier id = record_identifier(h, meta_of(s, h), i);
        must(at + id.size <= s->data.size);
        if (crc32c(0, (struct bytes){s->data.data + at, id.size}) !=
            id.checksum) {
            bad->index = id.index;
            bad->term = id.term;
            return false;
        }
        at += id.size;
    }
    return true;
}

/* It continues the log as far as we know it. */
static bool fits_the_log(const struct scan *s, const struct record_head *h)
{
    if (h->last_index != s->last_index || h->last_term != s->last_term) {
        return false;
    }
    if (h->start_index < s->head.start_index ||
        h->start_index > h->last_index || h->flags != 0) {
        return false;
    }
    return h->entries == 0 ||
           record_identifier(h, meta_of(s, h), 0).index <= s->last_index + 1;
}

static void accept(struct scan *s, const struct record_head *h,
                   uint32_t opening)
{
    s->next += h->sectors;
    s->chain = h->checksum;
    s->opening = opening;
    s->last_index = h->last_index;
    s->last_term = h->last_term;
    for (uint32_t i = 0; i < h->entries; i++) {
        const struct identifier id = record_identifier(h, meta_of(s, h), i);
        s->last_index = id.index;
        s->last_term = id.term;
        s->index_max = id.index > s->index_max ? id.index : s->index_max;
    }
    s->head = *h;
}

/* What the sector at s->next says of a record that begins there. */
static enum scan_found read_head(const struct scan *s, const uint8_t *sector,
                                 struct sector_verdict v,
                                 struct record_head *ret)
{
    if (v.state != SECTOR_GOOD) {
        return v.state == SECTOR_DAMAGED ? SCAN_DAMAGED : SCAN_NOTHING;
    }
    const struct bytes room = {sector + SECTOR_ROOM_OFFSET, SECTOR_ROOM};
    const uint32_t type = s->next == 0 ? RECORD_SEGMENT : RECORD_BATCH;
    if (!v.head || v.opening < s->opening) {
        return SCAN_NOTHING; /* left from a tail that was cut */
    }
    switch (record_head_read(room, s->sectors - s->next, ret)) {
    case RECORD_WRONG:
        return SCAN_DAMAGED;
    case RECORD_TOO_NEW:
        return SCAN_TOO_NEW;
    case RECORD_OK:
        break;
    }
    if (ret->type != type) {
        return SCAN_DAMAGED;
    }
    return type == RECORD_BATCH && ret->chain != s->chain ? SCAN_NOTHING
                                                          : SCAN_RECORD;
}

static void identify(const struct scan *s, const struct record_head *h,
                     struct scan_bad *bad)
{
    bad->identified = true;
    bad->hard_state = h->hard_state;
    bad->last_index = h->last_index;
    bad->last_term = h->last_term;
    if (h->entries > 0) {
        const struct identifier id =
            record_identifier(h, meta_of(s, h), h->entries - 1);
        bad->last_index = id.index;
        bad->last_term = id.term;
    }
}

/* Judges the record that the sectors are collected of. */
static enum scan_found judge_record(const struct scan *s,
                                    const struct record_head *h,
                                    uint32_t meta_sectors,
                                    const struct bad_sectors *bad,
                                    struct scan_bad *ret_bad)
{
    const uint32_t first = bad->damaged != 0 ? bad->damaged : bad->absent;
    const bool meta_is_whole =
        (bad->damaged == 0 || bad->damaged >= s->next + meta_sectors) &&
        (bad->absent == 0 || bad->absent >= s->next + meta_sectors);
    *ret_bad = (struct scan_bad){.sector = first != 0 ? first : s->next};
    if (!meta_is_whole) {
        ret_bad->index = h->entries > 0 ? s->last_index + 1 : 0;
        return bad->damaged != 0 ? SCAN_DAMAGED : SCAN_TORN;
    }
    if (!record_meta_is_right(h, meta_of(s, h))) {
        return SCAN_DAMAGED;
    }
    identify(s, h, ret_bad);
    if (first != 0) {
        name_entry(s, h,
                   (uint64_t)(first - s->next - meta_sectors) * SECTOR_ROOM,
                   ret_bad);
        return bad->damaged != 0 ? SCAN_DAMAGED : SCAN_TORN;
    }
    if (!entries_are_right(s, h, ret_bad)) {
        return SCAN_DAMAGED;
    }
    return s->next > 0 && !fits_the_log(s, h) ? SCAN_DAMAGED : SCAN_RECORD;
}

enum status scan_record(struct scan *s, enum scan_found *ret_found,
                        struct scan_bad *ret_bad, struct fault *reterr)
{
    *ret_bad = (struct scan_bad){.sector = s->next};
    if (s->next == s->sectors) {
        *ret_found = SCAN_FULL;
        return ST_OK;
    }
    uint8_t *sector;
    struct sector_verdict v;
    enum status st = scan_sector(s, s->next, &sector, &v, reterr);
    if (st != ST_OK) {
        return st;
    }
    struct record_head h = {0};
    *ret_found = read_head(s, sector, v, &h);
    if (*ret_found != SCAN_RECORD) {
        return ST_OK;
    }
    const uint32_t meta_sectors =
        (uint32_t)sectors_for(record_meta_size(h.type, h.entries));
    const uint32_t data_at = s->next + meta_sectors;
    struct bad_sectors bad = {0, 0};
    buf_clear(&s->meta);
    buf_clear(&s->data);
    st = collect(s, s->next, data_at, v.opening, &s->meta, &bad, reterr);
    if (st == ST_OK) {
        st = collect(s, data_at, s->next + h.sectors, v.opening, &s->data, &bad,
                     reterr);
    }
    if (st != ST_OK) {
        return st;
    }
    *ret_found = judge_record(s, &h, meta_sectors, &bad, ret_bad);
    if (*ret_found == SCAN_RECORD) {
        accept(s, &h, v.opening);
    }
    return ST_OK;
}

struct identifier scan_entry(const struct scan *s, uint32_t i, uint64_t *at,
                             struct bytes *ret_data)
{
    const struct identifier id =
        record_identifier(&s->head, meta_of(s, &s->head), i);
    must(*at + id.size <= s->data.size);
    *ret_data = (struct bytes){s->data.data + *at, id.size};
    *at += id.size;
    return id;
}

enum status scan_resume(struct scan *s, bool *ret_found, struct fault *reterr)
{
    *ret_found = false;
    for (uint32_t n = s->next + 1; n < s->sectors; n++) {
        uint8_t *sector;
        struct sector_verdict v;
        struct record_head h;
        const enum status st = scan_sector(s, n, &sector, &v, reterr);
        if (st != ST_OK) {
            return st;
        }
        if (v.state == SECTOR_GOOD && v.head && v.opening >= s->opening &&
            record_head_read(
                (struct bytes){sector + SECTOR_ROOM_OFFSET, SECTOR_ROOM},
                s->sectors - n, &h) == RECORD_OK &&
            h.type == RECORD_BATCH) {
            s->next = n;
            s->chain = h.chain;
            s->last_index = h.last_index;
            s->last_term = h.last_term;
            s->head.start_index = h.start_index;
            *ret_found = true;
            return ST_OK;
        }
    }
    return ST_OK;
}

enum status scan_rest(struct scan *s, struct scan_rest *ret,
                      struct fault *reterr)
{
    *ret = (struct scan_rest){.opening_max = s->opening};
    for (uint32_t n = s->next; n < s->sectors; n++) {
        uint8_t *sector;
        struct sector_verdict v;
        const enum status st = scan_sector(s, n, &sector, &v, reterr);
        if (st != ST_OK) {
            return st;
        }
        ret->unclean_end = v.unclean ? n + 1 : ret->unclean_end;
        if (v.state != SECTOR_GOOD) {
            continue;
        }
        if (v.opening > ret->opening_max) {
            ret->opening_max = v.opening;
        }
        ret->more = ret->more || v.opening == s->opening;
        struct record_head h;
        if (v.head && n > s->next && ret->vouched_by == 0 &&
            record_head_read(
                (struct bytes){sector + SECTOR_ROOM_OFFSET, SECTOR_ROOM},
                s->sectors - n, &h) == RECORD_OK &&
            h.synced > (uint64_t)s->next * SECTOR_SIZE) {
            ret->vouched_by = n;
        }
    }
    return ST_OK;
}
