/* The log: joins the storage and the unstable end, and moves the commit and
 * applied marks. */

#include "raft/log.h"

#include "base/must.h"

void raft_log_init(struct raft_log *l, struct raft_storage *storage,
                   uint64_t applying_size_max)
{
    const uint64_t first = storage->ops->first_index(storage);
    must(first > 0);
    *l = (struct raft_log){.storage = storage,
                           .committed = first - 1,
                           .applying = first - 1,
                           .applied = first - 1,
                           .applying_size_max = applying_size_max};
    raft_unstable_init(&l->unstable, storage->ops->last_index(storage) + 1);
}

void raft_log_fini(struct raft_log *l)
{
    raft_unstable_fini(&l->unstable);
}

uint64_t raft_log_first_index(const struct raft_log *l)
{
    if (l->unstable.snapshot != NULL) {
        return l->unstable.snapshot->index + 1;
    }
    return l->storage->ops->first_index(l->storage);
}

uint64_t raft_log_last_index(const struct raft_log *l)
{
    /* While the unstable end is empty, offset is what follows the storage's
     * last entry or the snapshot. */
    return l->unstable.offset + l->unstable.count - 1;
}

enum status raft_log_term(const struct raft_log *l, uint64_t index,
                          uint64_t *ret_term)
{
    if (raft_unstable_term(&l->unstable, index, ret_term)) {
        return ST_OK;
    }
    if (index + 1 < raft_log_first_index(l)) {
        return ST_COMPACTED;
    }
    if (index > raft_log_last_index(l)) {
        return ST_NOT_FOUND;
    }
    return l->storage->ops->term(l->storage, index, ret_term);
}

uint64_t raft_log_term_or_zero(const struct raft_log *l, uint64_t index)
{
    uint64_t term = 0;
    return raft_log_term(l, index, &term) == ST_OK ? term : 0;
}

struct raft_entry_id raft_log_last_id(const struct raft_log *l)
{
    struct raft_entry_id id = {.index = raft_log_last_index(l)};
    const enum status st = raft_log_term(l, id.index, &id.term);
    must(st == ST_OK);
    return id;
}

bool raft_log_has(const struct raft_log *l, struct raft_entry_id id)
{
    uint64_t term = 0;
    return raft_log_term(l, id.index, &term) == ST_OK && term == id.term;
}

bool raft_log_is_up_to_date(const struct raft_log *l, struct raft_entry_id id)
{
    const struct raft_entry_id own = raft_log_last_id(l);
    return id.term > own.term || (id.term == own.term && id.index >= own.index);
}

static uint64_t size_of(const struct raft_entries *list, size_t from)
{
    uint64_t size = 0;
    for (size_t i = from; i < list->count; i++) {
        size += raft_entry_size(&list->list[i]);
    }
    return size;
}

/* Adds unstable entries of [lo, hi) while size stays within max_bytes; the
 * first one in any case if `at_least_one`. */
static void slice_unstable(const struct raft_unstable *u, uint64_t lo,
                           uint64_t hi, uint64_t max_bytes, bool at_least_one,
                           struct raft_entries *to)
{
    uint64_t size = 0;
    uint64_t end = lo;
    while (end < hi) {
        size += raft_entry_size(raft_unstable_at(u, end));
        if (size > max_bytes && !(at_least_one && end == lo)) {
            break;
        }
        end++;
    }
    if (end > lo) {
        raft_entries_add(to, raft_unstable_at(u, lo), (size_t)(end - lo));
    }
}

enum status raft_log_slice(const struct raft_log *l, uint64_t lo, uint64_t hi,
                           uint64_t max_bytes, struct raft_entries *to)
{
    must(lo < hi);
    must(hi <= raft_log_last_index(l) + 1);
    if (lo < raft_log_first_index(l)) {
        return ST_COMPACTED;
    }
    const uint64_t offset = l->unstable.offset;
    if (lo >= offset) {
        slice_unstable(&l->unstable, lo, hi, max_bytes, true, to);
        return ST_OK;
    }
    const uint64_t cut = hi < offset ? hi : offset;
    const size_t before = to->count;
    const enum status st =
        l->storage->ops->entries(l->storage, lo, cut, max_bytes, to);
    if (st != ST_OK) {
        must(st == ST_COMPACTED || st == ST_BUSY);
        return st;
    }
    const size_t got = to->count - before;
    must(got > 0 && got <= cut - lo);
    if (hi > offset && got == cut - lo) {
        const uint64_t size = size_of(to, before);
        if (size < max_bytes) {
            slice_unstable(&l->unstable, offset, hi, max_bytes - size, false,
                           to);
        }
    }
    return ST_OK;
}

void raft_log_append(struct raft_log *l, const struct raft_entry *entries,
                     size_t count)
{
    must(count > 0);
    must(entries[0].index > l->committed); /* L3: never undone */
    must(entries[0].index <= raft_log_last_index(l) + 1);
    raft_unstable_append(&l->unstable, entries, count);
}

size_t raft_log_find_conflict(const struct raft_log *l,
                              const struct raft_entry *entries, size_t count)
{
    size_t at = 0;
    while (at < count &&
           raft_log_has(l, (struct raft_entry_id){entries[at].term,
                                                  entries[at].index})) {
        at++;
    }
    return at;
}

uint64_t raft_log_find_by_term(const struct raft_log *l, uint64_t index,
                               uint64_t term, uint64_t *ret_term)
{
    for (; index > 0; index--) {
        uint64_t own = 0;
        if (raft_log_term(l, index, &own) != ST_OK) {
            break;
        }
        if (own <= term) {
            *ret_term = own;
            return index;
        }
    }
    *ret_term = 0;
    return index;
}

void raft_log_commit_to(struct raft_log *l, uint64_t index)
{
    if (index > l->committed) {
        must(index <= raft_log_last_index(l));
        l->committed = index;
    }
}

void raft_log_restore(struct raft_log *l, struct raft_snapshot *s)
{
    must(s->index > l->committed);
    l->committed = s->index;
    raft_unstable_restore(&l->unstable, s);
}

static uint64_t max_appliable(const struct raft_log *l, bool allow_unstable)
{
    const uint64_t stable = l->unstable.offset - 1;
    return allow_unstable || l->committed < stable ? l->committed : stable;
}

bool raft_log_has_next_committed(const struct raft_log *l, bool allow_unstable)
{
    /* A snapshot on its way goes first. */
    return !l->applying_paused && l->unstable.snapshot == NULL &&
           l->applying < max_appliable(l, allow_unstable);
}

void raft_log_next_committed(const struct raft_log *l, bool allow_unstable,
                             struct raft_entries *to)
{
    if (!raft_log_has_next_committed(l, allow_unstable)) {
        return;
    }
    must(l->applying_size < l->applying_size_max);
    const enum status st =
        raft_log_slice(l, l->applying + 1, max_appliable(l, allow_unstable) + 1,
                       l->applying_size_max - l->applying_size, to);
    /* The storage keeps, at hand, what is not applied: its contract. */
    must(st == ST_OK);
}

void raft_log_accept_applying(struct raft_log *l, uint64_t index, uint64_t size,
                              bool allow_unstable)
{
    must(l->applying < index);
    must(index <= l->committed);
    l->applying = index;
    l->applying_size += size;
    /* Paused at the limit, and also below it when the limit cut the last batch
     * short: its next entry would cross it. */
    l->applying_paused = l->applying_size >= l->applying_size_max ||
                         index < max_appliable(l, allow_unstable);
}

void raft_log_applied_to(struct raft_log *l, uint64_t index, uint64_t size)
{
    must(index >= l->applied);
    must(index <= l->committed);
    l->applied = index;
    if (l->applying < index) {
        l->applying = index;
    }
    l->applying_size = l->applying_size > size ? l->applying_size - size : 0;
    l->applying_paused = l->applying_size >= l->applying_size_max;
}
