/* What an opening writes over: the unvouched tail once more, and zeros over
 * what a power cut left half written. */

#include "base/must.h"
#include "wal/internal.h"
#include "wal/scan.h"

#define CHUNK_SECTORS 512u

static enum status rewrite_chunk(struct wal *w, struct scan *s, uint32_t from,
                                 uint32_t to, struct buf *chunk,
                                 struct fault *reterr)
{
    buf_clear(chunk);
    for (uint32_t n = from; n < to; n++) {
        uint8_t *sector;
        struct sector_verdict v;
        const enum status st = scan_sector(s, n, &sector, &v, reterr);
        if (st != ST_OK) {
            return st;
        }
        if (v.state != SECTOR_GOOD) { /* it was, a moment ago */
            return fault_set(reterr, ST_IO,
                             "segment %08x reads differently the second time, "
                             "at offset %ju",
                             s->segment, (uintmax_t)n * SECTOR_SIZE);
        }
        buf_append(chunk, (struct bytes){sector, SECTOR_SIZE});
    }
    return wal_file_write(w, w->file, (uint64_t)from * SECTOR_SIZE,
                          buf_bytes(chunk), reterr);
}

enum status wal_rewrite_tail(struct wal *w, struct fault *reterr)
{
    must(w->live_count > 0);
    must(w->synced <= w->next);
    const struct segment *last = &w->live[w->live_count - 1];
    struct scan s;
    struct buf chunk = {0};
    enum status st = ST_OK;
    scan_init(&s, w->file, last->id, last->sectors);
    for (uint32_t n = w->synced; n < w->next && st == ST_OK;) {
        const uint32_t left = w->next - n;
        const uint32_t to = n + (left < CHUNK_SECTORS ? left : CHUNK_SECTORS);
        st = rewrite_chunk(w, &s, n, to, &chunk, reterr);
        n = to;
    }
    w->dirty = true;
    buf_fini(&chunk);
    scan_fini(&s);
    return st;
}

static enum status clean_chunk(struct wal *w, struct disk_file *f,
                               struct sector_place first, uint32_t count,
                               bool *changed, struct fault *reterr)
{
    static uint8_t chunk[CHUNK_SECTORS * SECTOR_SIZE];
    const size_t size = (size_t)count * SECTOR_SIZE;
    size_t got = 0;
    bool changes = false;
    must(count <= CHUNK_SECTORS);
    const enum status st = w->disk->ops->read(
        f, (uint64_t)first.number * SECTOR_SIZE, chunk, size, &got, reterr);
    if (st != ST_OK) {
        return st;
    }
    memset(chunk + got, 0, size - got);
    for (uint32_t i = 0; i < count; i++) {
        const struct sector_place place = {first.segment, first.number + i};
        changes |= sector_clean_step(chunk + (size_t)i * SECTOR_SIZE, place);
    }
    if (!changes) {
        return ST_OK;
    }
    *changed = true;
    return wal_file_write(w, f, (uint64_t)first.number * SECTOR_SIZE,
                          (struct bytes){chunk, size}, reterr);
}

enum status wal_clean(struct wal *w, struct disk_file *f, uint32_t segment,
                      uint32_t from, uint32_t to, struct fault *reterr)
{
    bool changed = true;
    for (int step = 0; step < SECTOR_CLEAN_STEPS && changed; step++) {
        changed = false;
        for (uint32_t n = from; n < to;) {
            const uint32_t left = to - n;
            const uint32_t count = left < CHUNK_SECTORS ? left : CHUNK_SECTORS;
            const enum status st =
                clean_chunk(w, f, (struct sector_place){segment, n}, count,
                            &changed, reterr);
            if (st != ST_OK) {
                return st;
            }
            n += count;
        }
        if (changed) {
            const enum status st = wal_file_sync(w, f, reterr);
            if (st != ST_OK) {
                return st;
            }
        }
    }
    return ST_OK;
}
