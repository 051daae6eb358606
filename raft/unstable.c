/* The queue of entries between the moment they enter the log and the moment
 * the storage has them. */

#include "raft/unstable.h"

#include "base/must.h"

void raft_unstable_init(struct raft_unstable *u, uint64_t offset)
{
    must(offset > 0);
    *u = (struct raft_unstable){.offset = offset, .offset_in_progress = offset};
}

static void drop_range(struct raft_unstable *u, size_t from, size_t count)
{
    must(from + count <= u->count);
    for (size_t i = 0; i < count; i++) {
        payload_drop(u->list[u->start + from + i].payload);
    }
}

void raft_unstable_fini(struct raft_unstable *u)
{
    drop_range(u, 0, u->count);
    free(u->list);
    raft_snapshot_drop(u->snapshot);
    u->list = NULL;
    u->snapshot = NULL;
    u->start = u->count = u->capacity = 0;
}

const struct raft_entry *raft_unstable_at(const struct raft_unstable *u,
                                          uint64_t index)
{
    must(index >= u->offset);
    must(index - u->offset < u->count);
    return &u->list[u->start + (size_t)(index - u->offset)];
}

bool raft_unstable_term(const struct raft_unstable *u, uint64_t index,
                        uint64_t *ret_term)
{
    if (u->snapshot != NULL && u->snapshot->index == index) {
        *ret_term = u->snapshot->term;
        return true;
    }
    if (index < u->offset || index - u->offset >= u->count) {
        return false;
    }
    *ret_term = raft_unstable_at(u, index)->term;
    return true;
}

/* Room for more behind the present ones: at first by moving them to the front
 * of the array, when at least half of it is free there. */
static void reserve(struct raft_unstable *u, size_t more)
{
    if (u->start + u->count + more <= u->capacity) {
        return;
    }
    if (u->count + more > u->capacity / 2) {
        size_t capacity = u->capacity * 2;
        if (capacity < u->count + more) {
            capacity = u->count + more;
        }
        u->list = xrealloc(u->list, capacity * sizeof u->list[0]);
        u->capacity = capacity;
    }
    if (u->start > 0) {
        memmove(u->list, &u->list[u->start], u->count * sizeof u->list[0]);
        u->start = 0;
    }
    must(u->start + u->count + more <= u->capacity);
}

static void truncate_from(struct raft_unstable *u, uint64_t index)
{
    if (index <= u->offset) {
        drop_range(u, 0, u->count);
        u->count = 0;
        u->start = 0;
        u->offset = index;
        u->offset_in_progress = index;
        return;
    }
    const size_t keep = (size_t)(index - u->offset);
    must(keep <= u->count);
    drop_range(u, keep, u->count - keep);
    u->count = keep;
    if (u->offset_in_progress > index) {
        u->offset_in_progress = index;
    }
}

void raft_unstable_append(struct raft_unstable *u,
                          const struct raft_entry *entries, size_t count)
{
    must(count > 0);
    must(entries[0].index <= u->offset + u->count);
    must(u->snapshot == NULL || entries[0].index > u->snapshot->index);
    /* Held before anything is dropped: they may be the same payloads. */
    for (size_t i = 0; i < count; i++) {
        must(entries[i].index == entries[0].index + i);
        (void)payload_hold(entries[i].payload);
    }
    if (entries[0].index < u->offset + u->count ||
        entries[0].index <= u->offset) {
        truncate_from(u, entries[0].index);
    }
    reserve(u, count);
    memcpy(&u->list[u->start + u->count], entries, count * sizeof entries[0]);
    u->count += count;
}

void raft_unstable_restore(struct raft_unstable *u, struct raft_snapshot *s)
{
    must(s != NULL);
    truncate_from(u, u->offset);
    (void)raft_snapshot_hold(s);
    raft_snapshot_drop(u->snapshot);
    u->snapshot = s;
    u->snapshot_in_progress = false;
    u->offset = s->index + 1;
    u->offset_in_progress = u->offset;
}

const struct raft_entry *raft_unstable_next(const struct raft_unstable *u,
                                            size_t *ret_count)
{
    const size_t done = (size_t)(u->offset_in_progress - u->offset);
    must(done <= u->count);
    *ret_count = u->count - done;
    return *ret_count == 0 ? NULL : &u->list[u->start + done];
}

bool raft_unstable_has_next_snapshot(const struct raft_unstable *u)
{
    return u->snapshot != NULL && !u->snapshot_in_progress;
}

void raft_unstable_accept(struct raft_unstable *u)
{
    u->offset_in_progress = u->offset + u->count;
    u->snapshot_in_progress = u->snapshot != NULL;
}

void raft_unstable_stable_to(struct raft_unstable *u, struct raft_entry_id id)
{
    if (id.index < u->offset || id.index - u->offset >= u->count) {
        return; /* truncated since, or known before */
    }
    if (raft_unstable_at(u, id.index)->term != id.term) {
        return; /* another entry took its place since */
    }
    const size_t done = (size_t)(id.index + 1 - u->offset);
    drop_range(u, 0, done);
    u->start += done;
    u->count -= done;
    u->offset = id.index + 1;
    if (u->offset_in_progress < u->offset) {
        u->offset_in_progress = u->offset;
    }
    if (u->count == 0) {
        u->start = 0;
    }
}

void raft_unstable_stable_snapshot_to(struct raft_unstable *u, uint64_t index)
{
    if (u->snapshot != NULL && u->snapshot->index == index) {
        raft_snapshot_drop(u->snapshot);
        u->snapshot = NULL;
        u->snapshot_in_progress = false;
    }
}
