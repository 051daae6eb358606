/* The log in memory: a queue of consecutive entries behind a compacted one.
 *
 *   base | list[start] … list[start + count - 1]
 *
 * base names the last compacted entry, so that the first one here can still be
 * matched against it. */

#include "base/must.h"
#include "raft/conf.h"
#include "raft/storage.h"
#include "raft/unstable.h"

struct raft_memory_storage {
    struct raft_storage storage; /* first: see from_base() */
    struct raft_hard_state hard;
    struct raft_conf_sets conf;
    struct raft_snapshot *snapshot; /* NULL: none yet */
    struct raft_entry_id base;
    struct raft_entry *list;
    size_t start;
    size_t count;
    size_t capacity;
    uint64_t size; /* bytes by raft_entry_size() */
};

static struct raft_memory_storage *from_base(struct raft_storage *s)
{
    return container_of(s, struct raft_memory_storage, storage);
}

static enum status on_initial_state(struct raft_storage *base,
                                    struct raft_hard_state *ret_state,
                                    struct raft_conf_state *ret_conf)
{
    const struct raft_memory_storage *s = from_base(base);
    *ret_state = s->hard;
    *ret_conf =
        s->snapshot != NULL ? s->snapshot->conf : raft_conf_view(&s->conf);
    return ST_OK;
}

static enum status on_entries(struct raft_storage *base, uint64_t lo,
                              uint64_t hi, uint64_t max_bytes,
                              struct raft_entries *to)
{
    const struct raft_memory_storage *s = from_base(base);
    must(lo < hi);
    if (lo <= s->base.index) {
        return ST_COMPACTED;
    }
    if (hi > s->base.index + s->count + 1) {
        return ST_NOT_FOUND;
    }
    const struct raft_entry *first = raft_memory_storage_entry(s, lo);
    uint64_t size = raft_entry_size(first);
    size_t count = 1;
    while (count < hi - lo) {
        size += raft_entry_size(&first[count]);
        if (size > max_bytes) {
            break;
        }
        count++;
    }
    raft_entries_add(to, first, count);
    return ST_OK;
}

static enum status on_term(struct raft_storage *base, uint64_t index,
                           uint64_t *ret_term)
{
    const struct raft_memory_storage *s = from_base(base);
    if (index < s->base.index) {
        return ST_COMPACTED;
    }
    if (index > s->base.index + s->count) {
        return ST_NOT_FOUND;
    }
    *ret_term = index == s->base.index
                    ? s->base.term
                    : raft_memory_storage_entry(s, index)->term;
    return ST_OK;
}

static uint64_t on_first_index(struct raft_storage *base)
{
    return raft_memory_storage_first_index(from_base(base));
}

static uint64_t on_last_index(struct raft_storage *base)
{
    return raft_memory_storage_last_index(from_base(base));
}

static enum status on_snapshot(struct raft_storage *base,
                               struct raft_snapshot **ret_snapshot)
{
    const struct raft_memory_storage *s = from_base(base);
    if (s->snapshot == NULL) {
        return ST_BUSY; /* the host makes one when it sees the need */
    }
    *ret_snapshot = raft_snapshot_hold(s->snapshot);
    return ST_OK;
}

struct raft_memory_storage *raft_memory_storage_new(void)
{
    static const struct raft_storage_ops ops = {.initial_state =
                                                    on_initial_state,
                                                .entries = on_entries,
                                                .term = on_term,
                                                .first_index = on_first_index,
                                                .last_index = on_last_index,
                                                .snapshot = on_snapshot};
    struct raft_memory_storage *s = xcalloc(1, sizeof *s);
    s->storage.ops = &ops;
    return s;
}

/* Drops count entries from the one at `from` on. */
static void drop_range(struct raft_memory_storage *s, size_t from, size_t count)
{
    must(from + count <= s->count);
    for (size_t i = 0; i < count; i++) {
        struct raft_entry *e = &s->list[s->start + from + i];
        s->size -= raft_entry_size(e);
        payload_drop(e->payload);
    }
}

void raft_memory_storage_free(struct raft_memory_storage *s)
{
    if (s == NULL) {
        return;
    }
    drop_range(s, 0, s->count);
    raft_snapshot_drop(s->snapshot);
    free(s->list);
    free(s);
}

struct raft_storage *raft_memory_storage_base(struct raft_memory_storage *s)
{
    return &s->storage;
}

void raft_memory_storage_set_hard_state(struct raft_memory_storage *s,
                                        const struct raft_hard_state *state)
{
    s->hard = *state;
}

void raft_memory_storage_set_conf(struct raft_memory_storage *s,
                                  const struct raft_conf_state *conf)
{
    const enum status st = raft_conf_read(conf, &s->conf);
    must(st == ST_OK); /* the caller checks what comes from outside */
}

static void reserve(struct raft_memory_storage *s, size_t more)
{
    if (s->start + s->count + more <= s->capacity) {
        return;
    }
    if (s->count + more > s->capacity / 2) {
        size_t capacity = s->capacity * 2;
        if (capacity < s->count + more) {
            capacity = s->count + more;
        }
        s->list = xrealloc(s->list, capacity * sizeof s->list[0]);
        s->capacity = capacity;
    }
    if (s->start > 0) {
        memmove(s->list, &s->list[s->start], s->count * sizeof s->list[0]);
        s->start = 0;
    }
}

enum status raft_memory_storage_append(struct raft_memory_storage *s,
                                       const struct raft_entry *entries,
                                       size_t count)
{
    while (count > 0 && entries[0].index <= s->base.index) {
        entries++; /* compacted already */
        count--;
    }
    if (count == 0) {
        return ST_OK;
    }
    const uint64_t keep = entries[0].index - s->base.index - 1;
    if (keep > s->count) {
        return ST_INVALID;
    }
    for (size_t i = 0; i < count; i++) {
        must(entries[i].index == entries[0].index + i);
        (void)payload_hold(entries[i].payload);
        s->size += raft_entry_size(&entries[i]);
    }
    drop_range(s, (size_t)keep, s->count - (size_t)keep);
    s->count = (size_t)keep;
    reserve(s, count);
    memcpy(&s->list[s->start + s->count], entries, count * sizeof entries[0]);
    s->count += count;
    return ST_OK;
}

enum status raft_memory_storage_compact(struct raft_memory_storage *s,
                                        uint64_t index)
{
    if (index <= s->base.index) {
        return ST_COMPACTED;
    }
    if (index > s->base.index + s->count) {
        return ST_NOT_FOUND;
    }
    const struct raft_entry *last = raft_memory_storage_entry(s, index);
    const struct raft_entry_id base = {last->term, last->index};
    const size_t gone = (size_t)(index - s->base.index);
    drop_range(s, 0, gone);
    s->start += gone;
    s->count -= gone;
    if (s->count == 0) {
        s->start = 0;
    }
    s->base = base;
    return ST_OK;
}

static void keep_snapshot(struct raft_memory_storage *s,
                          struct raft_snapshot *snapshot)
{
    (void)raft_snapshot_hold(snapshot);
    raft_snapshot_drop(s->snapshot);
    s->snapshot = snapshot;
}

enum status raft_memory_storage_apply_snapshot(struct raft_memory_storage *s,
                                               struct raft_snapshot *snapshot)
{
    if (s->snapshot != NULL && s->snapshot->index >= snapshot->index) {
        return ST_COMPACTED;
    }
    keep_snapshot(s, snapshot);
    drop_range(s, 0, s->count);
    s->start = 0;
    s->count = 0;
    s->base = (struct raft_entry_id){snapshot->term, snapshot->index};
    return ST_OK;
}

enum status raft_memory_storage_create_snapshot(
    struct raft_memory_storage *s, uint64_t index,
    const struct raft_conf_state *conf, struct payload *data,
    struct raft_snapshot **ret_snapshot)
{
    if (index < s->base.index ||
        (s->snapshot != NULL && s->snapshot->index >= index)) {
        return ST_COMPACTED;
    }
    uint64_t term = 0;
    const enum status st = on_term(&s->storage, index, &term);
    if (st != ST_OK) {
        return st;
    }
    struct raft_snapshot *made = raft_snapshot_new(index, term, conf, data);
    keep_snapshot(s, made);
    if (ret_snapshot != NULL) {
        *ret_snapshot = made;
    } else {
        raft_snapshot_drop(made);
    }
    return ST_OK;
}

uint64_t raft_memory_storage_first_index(const struct raft_memory_storage *s)
{
    return s->base.index + 1;
}

uint64_t raft_memory_storage_last_index(const struct raft_memory_storage *s)
{
    return s->base.index + s->count;
}

const struct raft_entry *
raft_memory_storage_entry(const struct raft_memory_storage *s, uint64_t index)
{
    if (index <= s->base.index || index > s->base.index + s->count) {
        return NULL;
    }
    return &s->list[s->start + (size_t)(index - s->base.index - 1)];
}

uint64_t raft_memory_storage_size(const struct raft_memory_storage *s)
{
    return s->size;
}
