/* Room: segments made ahead of need, recycled ones, and the promises that rest
 * on them.
 *
 * A new segment is MAKING_NAME, filled with zeros, synced, renamed, and the
 * names synced: whatever bears a segment's name is all there.  A recycled one
 * is only renamed: what it holds is stamped with its old id.
 */

#include <stdlib.h>

#include "base/must.h"
#include "wal/internal.h"

#define FILL_SIZE  ((size_t)256 << 10)
#define SYNC_EVERY ((uint64_t)4 << 20) /* bytes of a segment that is made */

/* Data in sectors takes 512 bytes for each 476. */
#define BYTES_FOR(data) ((data) + (data) / 12)

static uint64_t segment_bytes(const struct wal *w)
{
    return (uint64_t)w->segment_sectors * SECTOR_SIZE;
}

void wal_publish_room(struct wal *w)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < w->live_count; i++) {
        bytes += (uint64_t)w->live[i].sectors * SECTOR_SIZE;
    }
    /* Figures: nothing rests on their order. */
    atomic_store_explicit(&w->segments, w->live_count + w->spares_count,
                          memory_order_relaxed);
    atomic_store_explicit(&w->bytes_on_disk,
                          bytes + w->spares_count * segment_bytes(w),
                          memory_order_relaxed);
    uint32_t left = 0;
    if (w->live_count > 0) {
        must(w->next <= w->live[w->live_count - 1].sectors);
        left = w->live[w->live_count - 1].sectors - w->next;
        left -= left < wal_sectors_kept(w) ? left : wal_sectors_kept(w);
    }
    atomic_store_explicit(&w->room, (uint64_t)w->spares_count << 32 | left,
                          memory_order_release);
}

void wal_add_spare(struct wal *w, uint32_t id)
{
    must(w->spares_count == 0 || w->spares[w->spares_count - 1] < id);
    w->spares =
        xrealloc(w->spares, (w->spares_count + 1) * sizeof w->spares[0]);
    w->spares[w->spares_count++] = id;
}

static uint32_t take_id(struct wal *w)
{
    must(w->id_next > 0);
    must(w->id_next < UINT32_MAX);
    return w->id_next++;
}

/* --- making --- */

static enum status begin_making(struct wal *w, struct fault *why)
{
    const uint64_t size = segment_bytes(w);
    uint64_t space = 0;
    enum status st = w->disk->ops->space(w->disk, &space, why);
    if (st != ST_OK) {
        return st;
    }
    if (space < size + size / 16) {
        return fault_set(why, ST_NO_SPACE,
                         "the log needs %ju bytes for its next segment and the "
                         "disk has %ju",
                         (uintmax_t)(size + size / 16), (uintmax_t)space);
    }
    w->made = 0;
    st = w->disk->ops->open(w->disk, MAKING_NAME, true, &w->making, why);
    w->making_is_there = st == ST_OK;
    return st;
}

static enum status fill(struct wal *w, uint64_t bytes_max, struct fault *why)
{
    static uint8_t zeros[FILL_SIZE];
    const uint64_t size = segment_bytes(w);
    const uint64_t until =
        size - w->made < bytes_max ? size : w->made + bytes_max;
    while (w->made < until) {
        const uint64_t left = until - w->made;
        const size_t n = left < FILL_SIZE ? (size_t)left : FILL_SIZE;
        w->writes++;
        w->bytes_written += n;
        const enum status st = w->disk->ops->write(
            w->making, w->made, (struct bytes){zeros, n}, why);
        if (st != ST_OK) {
            return st;
        }
        w->made += n;
        /* So that the last sync does not hold up the log for all of it. */
        if (w->made % SYNC_EVERY == 0) {
            w->syncs++;
            const enum status synced = w->disk->ops->sync(w->making, why);
            if (synced != ST_OK) {
                return synced;
            }
        }
    }
    return ST_OK;
}

/* The filled file becomes a spare segment. */
static enum status finish_making(struct wal *w, struct fault *why)
{
    char name[SEGMENT_NAME_SIZE];
    must(w->made == segment_bytes(w));
    w->syncs++;
    enum status st = w->disk->ops->sync(w->making, why);
    if (st != ST_OK) {
        return st;
    }
    w->disk->ops->close(w->making);
    w->making = NULL;
    const uint32_t id = take_id(w);
    segment_name(id, name);
    st = w->disk->ops->rename(w->disk, MAKING_NAME, name, why);
    if (st != ST_OK) {
        return st;
    }
    w->making_is_there = false;
    st = w->disk->ops->sync_names(w->disk, why);
    if (st != ST_OK) {
        struct fault none; /* the caller hands `why` on */
        return wal_fail(w, st, why, &none);
    }
    wal_add_spare(w, id);
    wal_publish_room(w);
    return ST_OK;
}

/* A full disk is no failure of the log: what was made goes, and the next
 * attempt begins again.  Everything else is final. */
static enum status give_up_making(struct wal *w, enum status st,
                                  const struct fault *why, struct fault *reterr)
{
    if (st != ST_NO_SPACE || w->failed) {
        return wal_fail(w, st, why, reterr);
    }
    if (w->making != NULL) {
        w->disk->ops->close(w->making);
        w->making = NULL;
    }
    if (w->making_is_there) {
        w->making_is_there = false;
        struct fault removal = {{0}};
        const enum status removed =
            w->disk->ops->remove(w->disk, MAKING_NAME, &removal);
        if (removed != ST_OK) {
            return wal_fail(w, removed, &removal, reterr);
        }
    }
    return fault_set(reterr, ST_NO_SPACE, "%s", why->text);
}

static enum status make_some(struct wal *w, uint64_t bytes_max,
                             struct fault *reterr)
{
    struct fault why = {{0}};
    enum status st = ST_OK;
    if (w->making == NULL) {
        st = begin_making(w, &why);
    }
    if (st == ST_OK) {
        st = fill(w, bytes_max, &why);
    }
    if (st == ST_OK && w->made == segment_bytes(w)) {
        st = finish_making(w, &why);
    }
    return st == ST_OK ? ST_OK : give_up_making(w, st, &why, reterr);
}

enum status wal_make_spares(struct wal *w, size_t count, struct fault *reterr)
{
    while (w->spares_count < count) {
        const enum status st = make_some(w, UINT64_MAX, reterr);
        if (st != ST_OK) {
            return st;
        }
    }
    return ST_OK;
}

enum status wal_make_some_ahead(struct wal *w, struct fault *reterr)
{
    if (w->spares_count > 0) {
        return ST_OK;
    }
    const enum status st = make_some(w, FILL_SIZE, reterr);
    return st == ST_NO_SPACE ? ST_OK : st;
}

bool wal_wants_tending(const struct wal *w)
{
    return atomic_load(&w->room) >> 32 == 0;
}

enum status wal_tend(struct wal *w, uint64_t bytes_max, bool *ret_more,
                     struct fault *reterr)
{
    must(bytes_max > 0);
    if (w->failed) {
        return wal_refuse(w, reterr);
    }
    enum status st = ST_OK;
    if (w->spares_count == 0) {
        st = make_some(w, bytes_max, reterr);
    }
    if (st == ST_OK) {
        *ret_more = w->spares_count == 0;
    }
    return st;
}

/* --- recycling --- */

enum status wal_retire(struct wal *w, const struct segment *s,
                       struct fault *why)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(s->id, name);
    const size_t spares_max =
        w->options.recycled_max > 0 ? w->options.recycled_max : 1;
    if (s->sectors != w->segment_sectors || w->spares_count >= spares_max) {
        return w->disk->ops->remove(w->disk, name, why);
    }
    char new_name[SEGMENT_NAME_SIZE];
    const uint32_t id = take_id(w);
    segment_name(id, new_name);
    const enum status st = w->disk->ops->rename(w->disk, name, new_name, why);
    if (st == ST_OK) {
        wal_add_spare(w, id);
    }
    return st;
}

enum status wal_recycle(struct wal *w, size_t count, struct fault *reterr)
{
    must(count < w->live_count);
    struct fault why = {{0}};
    enum status st = ST_OK;
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        st = wal_retire(w, &w->live[i], &why);
    }
    if (st == ST_OK && count > 0) {
        st = w->disk->ops->sync_names(w->disk, &why);
    }
    if (st != ST_OK) {
        return wal_fail(w, st, &why, reterr);
    }
    w->live_count -= count;
    memmove(w->live, w->live + count, w->live_count * sizeof w->live[0]);
    wal_publish_room(w);
    return ST_OK;
}

/* --- promises --- */

static uint64_t above(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* A segment's end is wasted when the next entry does not fit: at most the
 * largest one, for each segment.  A sixteenth of a segment is never promised:
 * it is for elections, trims and restarts. */
bool wal_reserve(struct wal *w, uint64_t bytes)
{
    const uint64_t promised = atomic_load(&w->promised);
    if (bytes > UINT64_MAX / 8) {
        return false;
    }
    const uint64_t more = bytes + WAL_ENTRY_OVERHEAD;
    const uint64_t largest =
        promised > 0 && w->promise_max > more ? w->promise_max : more;
    const uint64_t waste = BYTES_FOR(largest);
    const uint64_t room = atomic_load(&w->room);
    const uint64_t usable =
        above((uint32_t)room * (uint64_t)SECTOR_SIZE, waste) +
        (room >> 32) *
            above(segment_bytes(w),
                  SECTOR_SIZE * (1 + (uint64_t)wal_sectors_kept(w)) + waste);
    if (BYTES_FOR(promised + more) + segment_bytes(w) / 16 > usable) {
        return false;
    }
    w->promise_max = largest;
    atomic_fetch_add(&w->promised, more);
    return true;
}

static void forget_promise(struct wal *w, uint64_t bytes)
{
    uint64_t before = atomic_load(&w->promised);
    while (!atomic_compare_exchange_weak(&w->promised, &before,
                                         above(before, bytes))) {
    }
}

void wal_unreserve(struct wal *w, uint64_t bytes)
{
    forget_promise(w, bytes + WAL_ENTRY_OVERHEAD);
}

void wal_keep_promise(struct wal *w, const struct raft_entry *entries,
                      size_t count)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += payload_bytes(entries[i].payload).size + WAL_ENTRY_OVERHEAD;
    }
    forget_promise(w, bytes);
}
