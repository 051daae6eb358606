/* Writing records: batches cut to fit their segments, one write for each
 * segment they touch, one sync. */

#include "base/must.h"
#include "wal/internal.h"

#define OUT_KEPT_SIZE ((size_t)4 << 20) /* the buffer between appends */

static struct segment *current(struct wal *w)
{
    must(w->live_count > 0);
    return &w->live[w->live_count - 1];
}

static uint32_t sectors_left(struct wal *w, uint32_t kept)
{
    must(w->next <= current(w)->sectors);
    const uint32_t left = current(w)->sectors - w->next;
    return left > kept ? left - kept : 0;
}

/* Batches leave some sectors of each segment free, so that on a full disk there
 * is room for what gives room back: the mark of a trim, and openings. */
uint32_t wal_sectors_kept(const struct wal *w)
{
    const uint32_t kept = w->segment_sectors / 16;
    return kept < 8 ? kept : 8;
}

/* --- records into the buffer --- */

static void add_record(struct wal *w, struct record_head *head,
                       const struct raft_entry *entries)
{
    struct segment *s = current(w);
    if (w->out.size == 0) {
        w->out_at = w->next;
    }
    head->chain = w->chain;
    head->synced = (uint64_t)w->synced * SECTOR_SIZE;
    head->hard_state = w->hard_state;
    head->start_index = w->start_index;
    head->start_term = w->start_term;
    head->last_index = w->last_index;
    head->last_term = w->last_term;
    record_write(&w->out, (struct sector_place){s->id, w->next}, w->opening,
                 head, entries);
    must(head->sectors <= sectors_left(w, 0));
    w->next += head->sectors;
    w->chain = head->checksum;
    if (head->entries > 0) {
        const struct raft_entry *last = &entries[head->entries - 1];
        w->last_index = last->index;
        w->last_term = last->term;
        s->index_max = last->index > s->index_max ? last->index : s->index_max;
    }
}

enum status wal_flush(struct wal *w, struct fault *reterr)
{
    if (w->out.size == 0) {
        return ST_OK;
    }
    must(w->out_at + w->out.size / SECTOR_SIZE == w->next);
    must(w->out_at >= w->synced);
    const enum status st =
        wal_file_write(w, w->file, (uint64_t)w->out_at * SECTOR_SIZE,
                       buf_bytes(&w->out), reterr);
    if (st != ST_OK) {
        return st;
    }
    w->dirty = true;
    buf_clear(&w->out);
    if (w->out.capacity > OUT_KEPT_SIZE) {
        buf_fini(&w->out);
        w->out = (struct buf){0};
    }
    wal_publish_room(w);
    return ST_OK;
}

static enum status sync_current(struct wal *w, struct fault *reterr)
{
    must(w->out.size == 0);
    if (!w->dirty) {
        return ST_OK;
    }
    const enum status st = wal_file_sync(w, w->file, reterr);
    if (st == ST_OK) {
        w->dirty = false;
        w->synced = w->next;
    }
    return st;
}

/* The old segment is synced before the new one is begun, so that only the last
 * one can have a torn tail; and the new one's first sector before the second is
 * written, so that a segment whose first sector is gone is no spare. */
enum status wal_roll(struct wal *w, uint32_t flags, struct fault *reterr)
{
    must(w->spares_count > 0);
    enum status st = wal_flush(w, reterr);
    if (st == ST_OK && w->file != NULL) {
        st = sync_current(w, reterr);
    }
    if (st != ST_OK) {
        return st;
    }
    char name[SEGMENT_NAME_SIZE];
    struct disk_file *file = NULL;
    struct fault why = {{0}};
    const uint32_t id = w->spares[0];
    segment_name(id, name);
    st = w->disk->ops->open(w->disk, name, false, &file, &why);
    if (st != ST_OK) {
        return wal_fail(w, st, &why, reterr);
    }
    if (w->file != NULL) {
        w->disk->ops->close(w->file);
    }
    w->file = file;
    struct record_head head = {.type = RECORD_SEGMENT,
                               .flags = flags,
                               .cluster_id = w->cluster_id,
                               .member_id = w->member_id,
                               .previous_end = w->next,
                               .file_sectors = w->segment_sectors};
    if (w->live_count > 0) {
        head.previous = current(w)->id;
        must(head.previous < id);
    }
    w->spares_count--;
    memmove(w->spares, w->spares + 1, w->spares_count * sizeof w->spares[0]);
    w->live = xrealloc(w->live, (w->live_count + 1) * sizeof w->live[0]);
    w->live[w->live_count++] =
        (struct segment){.id = id, .sectors = w->segment_sectors};
    w->next = 0;
    w->synced = 0;
    add_record(w, &head, NULL);
    st = wal_flush(w, reterr);
    return st == ST_OK ? sync_current(w, reterr) : st;
}

/* --- batches --- */

/* How many of the entries fit into so many sectors as one record. */
static uint32_t entries_that_fit(const struct raft_entry *entries, size_t count,
                                 uint32_t sectors)
{
    uint32_t fit = 0;
    uint64_t data_size = 0;
    while (fit < count && fit < UINT32_MAX) {
        const uint64_t more =
            data_size + payload_bytes(entries[fit].payload).size;
        if ((fit > 0 && more > RECORD_DATA_MAX) ||
            record_sectors((uint64_t)fit + 1, more) > sectors) {
            break;
        }
        data_size = more;
        fit++;
    }
    return fit;
}

/* Decides everything that can be refused before anything is written: spares
 * for all of the batch. */
static enum status make_room(struct wal *w, const struct raft_entry *entries,
                             size_t count, uint32_t kept, struct fault *reterr)
{
    uint32_t left = sectors_left(w, kept);
    size_t spares = 0;
    size_t done = 0;
    if (count == 0 && left == 0) {
        spares = 1;
    }
    while (done < count) {
        uint32_t fit = entries_that_fit(entries + done, count - done, left);
        if (fit == 0) {
            spares++;
            left = w->segment_sectors - 1 - kept;
            fit = entries_that_fit(entries + done, count - done, left);
        }
        if (fit == 0) {
            return fault_set(reterr, ST_TOO_LARGE,
                             "entry %ju has %zu bytes, too many for a log "
                             "segment of %ju",
                             (uintmax_t)entries[done].index,
                             payload_bytes(entries[done].payload).size,
                             (uintmax_t)w->segment_sectors * SECTOR_SIZE);
        }
        uint64_t data_size = 0;
        for (uint32_t i = 0; i < fit; i++) {
            data_size += payload_bytes(entries[done + i].payload).size;
        }
        left -= (uint32_t)record_sectors(fit, data_size);
        done += fit;
    }
    return wal_make_spares(w, spares, reterr);
}

/* Writes the entries, or one record without any, into sectors of which `kept`
 * stay free at the end of each segment.  The hard state comes with the first of
 * the entries, not before: what it says is committed may be among them. */
static enum status write_batch(struct wal *w, const struct wal_batch *batch,
                               uint32_t kept, struct fault *reterr)
{
    const struct raft_entry *entries =
        batch->entries; /* NULL: there are none */
    const size_t count = batch->entries_count;
    size_t done = 0;
    bool written = false;
    while (done < count || !written) {
        const uint32_t left = sectors_left(w, kept);
        const uint32_t fit = entries_that_fit(entries, count - done, left);
        if ((count > 0 && fit == 0) || left == 0) {
            const enum status st = wal_roll(w, 0, reterr);
            if (st != ST_OK) {
                return st;
            }
            continue;
        }
        if (batch->hard_state != NULL) {
            w->hard_state = *batch->hard_state;
        }
        struct record_head head = {.type = RECORD_BATCH, .entries = fit};
        add_record(w, &head, entries);
        entries = fit > 0 ? entries + fit : entries;
        done += fit;
        written = true;
    }
    return wal_flush(w, reterr);
}

/* What the caller must not get wrong. */
static void check_batch(const struct wal *w, const struct wal_batch *batch)
{
    for (size_t i = 0; i < batch->entries_count; i++) {
        const struct raft_entry *e = &batch->entries[i];
        must(e->index > w->start_index);
        must(i > 0 ? e->index == e[-1].index + 1
                   : e->index <= w->last_index + 1);
        must((unsigned)e->type <= RAFT_ENTRY_CONF_CHANGE_V2);
    }
    if (batch->hard_state != NULL) {
        must(batch->hard_state->term >= w->hard_state.term);
    }
}

enum status wal_append(struct wal *w, const struct wal_batch *batch,
                       struct fault *reterr)
{
    if (w->failed) {
        return wal_refuse(w, reterr);
    }
    check_batch(w, batch);
    if (batch->hard_state == NULL && batch->entries_count == 0) {
        return ST_OK;
    }
    const uint32_t kept = wal_sectors_kept(w);
    enum status st =
        make_room(w, batch->entries, batch->entries_count, kept, reterr);
    if (st != ST_OK) {
        return st;
    }
    st = write_batch(w, batch, kept, reterr);
    if (st != ST_OK) {
        return st;
    }
    wal_keep_promise(w, batch->entries, batch->entries_count);
    return wal_make_some_ahead(w, reterr);
}

enum status wal_append_state(struct wal *w, struct fault *reterr)
{
    enum status st = make_room(w, NULL, 0, 0, reterr);
    if (st == ST_OK) {
        const struct wal_batch none = {0};
        st = write_batch(w, &none, 0, reterr);
    }
    return st;
}

enum status wal_sync(struct wal *w, struct fault *reterr)
{
    if (w->failed) {
        return wal_refuse(w, reterr);
    }
    return sync_current(w, reterr);
}
