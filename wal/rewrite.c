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

enum status wal_zero(struct wal *w, struct disk_file *f, uint32_t from,
                     uint32_t to, struct fault *reterr)
{
    static uint8_t zeros[CHUNK_SECTORS * SECTOR_SIZE];
    while (from < to) {
        const uint32_t left = to - from;
        const uint32_t n = left < CHUNK_SECTORS ? left : CHUNK_SECTORS;
        const enum status st = wal_file_write(
            w, f, (uint64_t)from * SECTOR_SIZE,
            (struct bytes){zeros, (size_t)n * SECTOR_SIZE}, reterr);
        if (st != ST_OK) {
            return st;
        }
        from += n;
    }
    return wal_file_sync(w, f, reterr);
}
