/* The log as a whole: its life, trimming, starting again, counters. */

#include "wal/wal.h"

#include <stdlib.h>

#include "base/must.h"
#include "wal/internal.h"

#define SEGMENT_SIZE_MIN     4096u
#define SEGMENT_SIZE_DEFAULT ((uint64_t)64 << 20)

void wal_options_default(struct wal_options *ret)
{
    *ret = (struct wal_options){.segment_size = SEGMENT_SIZE_DEFAULT,
                                .recycled_max = 2};
}

struct wal *wal_new(struct disk *disk, const struct wal_options *options)
{
    uint64_t size = options->segment_size;
    size = size < SEGMENT_SIZE_MIN ? SEGMENT_SIZE_MIN : size;
    must(size / SECTOR_SIZE <= SECTOR_NUMBER_MAX);
    struct wal *w = xcalloc(1, sizeof *w);
    w->disk = disk;
    w->options = *options;
    w->segment_sectors = (uint32_t)(size / SECTOR_SIZE);
    w->id_next = 1;
    return w;
}

void wal_close(struct wal *w)
{
    if (w == NULL) {
        return;
    }
    if (w->file != NULL) {
        w->disk->ops->close(w->file);
    }
    if (w->making != NULL) {
        w->disk->ops->close(w->making); /* the next opening removes it */
    }
    w->disk->ops->free(w->disk);
    buf_fini(&w->out);
    free(w->live);
    free(w->spares);
    free(w);
}

/* How many of the oldest segments hold nothing above `index`; never the last
 * one, which is written to. */
static size_t segments_below(const struct wal *w, uint64_t index)
{
    size_t count = 0;
    while (count + 1 < w->live_count && w->live[count].index_max <= index) {
        count++;
    }
    return count;
}

enum status wal_trim(struct wal *w, uint64_t index, uint64_t term,
                     struct fault *reterr)
{
    if (w->failed) {
        return wal_refuse(w, reterr);
    }
    must(index <= w->last_index);
    if (index <= w->start_index) {
        return ST_OK;
    }
    const uint64_t index_before = w->start_index;
    const uint64_t term_before = w->start_term;
    w->start_index = index;
    w->start_term = term;
    const size_t count = segments_below(w, index);
    if (count == 0) {
        return ST_OK; /* the next record says where the log begins */
    }
    /* It must be durable before the entries go, or else the next opening
     * misses them. */
    enum status st = wal_append_state(w, reterr);
    if (st != ST_OK) {
        w->start_index = index_before;
        w->start_term = term_before;
        return st;
    }
    st = wal_sync(w, reterr);
    return st == ST_OK ? wal_recycle(w, count, reterr) : st;
}

enum status wal_restart_at(struct wal *w, uint64_t index, uint64_t term,
                           struct fault *reterr)
{
    if (w->failed) {
        return wal_refuse(w, reterr);
    }
    must(index >= w->start_index);
    enum status st = wal_make_spares(w, 1, reterr);
    if (st != ST_OK) {
        return st;
    }
    w->start_index = w->last_index = index;
    w->start_term = w->last_term = term;
    st = wal_roll(w, RECORD_RESET, reterr);
    return st == ST_OK ? wal_recycle(w, w->live_count - 1, reterr) : st;
}

void wal_stats(const struct wal *w, struct wal_stats *ret)
{
    *ret = (struct wal_stats){
        .syncs = atomic_load(&w->syncs),
        .writes = atomic_load(&w->writes),
        .bytes_written = atomic_load(&w->bytes_written),
        .segments = atomic_load(&w->segments),
        .bytes_on_disk = atomic_load(&w->bytes_on_disk),
    };
}
