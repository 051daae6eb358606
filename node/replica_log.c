/* The recent log in memory, as raft reads it: filled from what the disk had,
 * compacted behind what is applied. */

#include "base/must.h"
#include "node/replica_internal.h"

#define LOG_SLACK_ENTRIES 64 /* compact in such steps at least */
#define PINNED_FACTOR     4  /* of log_keep_bytes, while a state is sent */

/* How many applied entries are kept for slow followers. */
uint64_t replica_entries_kept(const struct replica *r)
{
    return replica_is_alone(r) ? 0 : r->options.log_keep_entries;
}

/* A record of its own ends with a sector that nothing else uses. */
uint64_t replica_log_bytes_of(const struct raft_entry *e)
{
    return 512 + (e->payload != NULL ? e->payload->size : 0);
}

static void drop_first(struct replica *r)
{
    struct raft_entry *e = &r->recovered.list[r->recovered_first++];
    r->before_index = e->index;
    r->before_term = e->term;
    payload_drop(e->payload);
    e->payload = NULL;
}

/* An entry at or below an earlier one's index replaces it and all after it;
 * what the store has and no follower can want is only remembered by its last
 * index and term. */
void replica_recover_entry(void *arg, const struct raft_entry *e)
{
    struct replica *r = arg;
    must(r->raft == NULL);
    struct raft_entries *list = &r->recovered;
    while (list->count > r->recovered_first &&
           list->list[list->count - 1].index >= e->index) {
        payload_drop(list->list[--list->count].payload);
    }
    raft_entries_add(list, e, 1);
    while (list->list[r->recovered_first].index + replica_entries_kept(r) <=
           store_applied_index(r->store)) {
        drop_first(r);
        if (r->recovered_first == list->count) {
            list->count = r->recovered_first = 0;
            return;
        }
    }
}

void replica_recover_at(struct replica *r, uint64_t index, uint64_t term)
{
    must(r->raft == NULL);
    raft_entries_fini(&r->recovered);
    r->recovered_first = 0;
    r->before_index = index;
    r->before_term = term;
}

void replica_recover_until(struct replica *r, uint64_t damaged,
                           uint64_t *ret_index, uint64_t *ret_term)
{
    must(r->raft == NULL);
    struct raft_entries *list = &r->recovered;
    const uint64_t applied = store_applied_index(r->store);
    while (list->count > r->recovered_first &&
           list->list[list->count - 1].index >= damaged) {
        payload_drop(list->list[--list->count].payload);
    }
    while (r->recovered_first < list->count &&
           list->list[r->recovered_first].index <= applied) {
        drop_first(r);
    }
    if (r->recovered_first == list->count ||
        list->list[r->recovered_first].index != applied + 1) {
        replica_recover_at(r, applied, store_applied_term(r->store));
    }
    r->before_index = applied;
    r->before_term = store_applied_term(r->store);
    *ret_index = r->before_index;
    *ret_term = r->before_term;
}

const struct raft_entry *replica_recovered(const struct replica *r,
                                           size_t *ret_count)
{
    *ret_count = r->recovered.count - r->recovered_first;
    return *ret_count > 0 ? r->recovered.list + r->recovered_first : NULL;
}

void replica_set_lost(struct replica *r, uint64_t index, uint64_t term)
{
    must(r->raft == NULL);
    r->lost_index = index;
    r->lost_term = term;
}

bool replica_has_lost(const struct replica *r)
{
    return r->lost_index > 0;
}

/* As raft/lost.c compares; what is in `log` is durable. */
void replica_note_regained(struct replica *r)
{
    struct raft_storage *s = raft_memory_storage_base(r->log);
    const uint64_t last = s->ops->last_index(s);
    uint64_t last_term = 0;
    if (r->lost_index == 0 || s->ops->term(s, last, &last_term) != ST_OK) {
        return;
    }
    if (last_term > r->lost_term ||
        (last_term == r->lost_term && last >= r->lost_index)) {
        r->lost_index = r->lost_term = 0;
    }
}

bool replica_is_alone(const struct replica *r)
{
    const struct membership *m = r->membership;
    return m->count == 1 && m->conf.voters_count == 1 &&
           m->conf.voters[0] == r->options.member_id;
}

/* The log must reach at least as far as the store, with the same entry there:
 * the store only ever holds what was durable in the log first. */
static enum status check_against_store(const struct replica *r,
                                       struct fault *reterr)
{
    const uint64_t applied = store_applied_index(r->store);
    uint64_t index = r->before_index;
    uint64_t term = r->before_term;
    for (size_t i = r->recovered_first;
         i < r->recovered.count && index < applied &&
         r->recovered.list[i].index == index + 1;
         i++) {
        index = r->recovered.list[i].index;
        term = r->recovered.list[i].term;
    }
    if (index != applied ||
        (applied > 0 && term != store_applied_term(r->store))) {
        return fault_set(
            reterr, ST_CORRUPT,
            "the log and the store do not belong together: the store has "
            "applied entry %llu of term %llu, the log has %llu of term %llu "
            "there; restore both from the same copy",
            (unsigned long long)applied,
            (unsigned long long)store_applied_term(r->store),
            (unsigned long long)index, (unsigned long long)term);
    }
    return ST_OK;
}

/* Gives raft the log as it was found. */
enum status replica_fill_log(struct replica *r,
                             const struct wal_recovery *recovery,
                             struct fault *reterr)
{
    const struct raft_conf_state conf =
        membership_conf_view(&r->membership->conf);
    if (recovery->start_index > r->before_index) {
        r->before_index = recovery->start_index;
        r->before_term = recovery->start_term;
    }
    enum status st = check_against_store(r, reterr);
    if (st != ST_OK) {
        return st;
    }
    if (r->before_index > 0) {
        struct raft_snapshot *at =
            raft_snapshot_new(r->before_index, r->before_term, &conf, NULL);
        st = raft_memory_storage_apply_snapshot(r->log, at);
        raft_snapshot_drop(at);
        must(st == ST_OK); /* the storage was empty */
    } else {
        raft_memory_storage_set_conf(r->log, &conf);
    }
    struct raft_hard_state hard = recovery->hard_state;
    if (hard.commit < store_applied_index(r->store)) {
        hard.commit = store_applied_index(r->store); /* commit is a hint,
                                                        applied is proof */
    }
    raft_memory_storage_set_hard_state(r->log, &hard);
    if (r->recovered.count > r->recovered_first) {
        st = raft_memory_storage_append(
            r->log, r->recovered.list + r->recovered_first,
            r->recovered.count - r->recovered_first);
    }
    if (st != ST_OK) {
        return fault_set(reterr, ST_CORRUPT,
                         "the log has a gap behind entry %llu",
                         (unsigned long long)r->before_index);
    }
    raft_entries_fini(&r->recovered);
    if (r->membership->changed_index > 0 && store_applied_index(r->store) > 0) {
        replica_drop_first_entry(r); /* the log on disk still has it */
    }
    return ST_OK;
}

/* Followers that lag need old entries; beyond what is kept for them memory is
 * better used otherwise. */
void replica_compact_log(struct replica *r)
{
    const uint64_t size = raft_memory_storage_size(r->log);
    const uint64_t keep =
        size > r->options.log_keep_bytes ? 0 : replica_entries_kept(r);
    const uint64_t applied = store_applied_index(r->store);
    uint64_t until = applied > keep ? applied - keep : 0;
    if (!replica_is_alone(r)) {
        /* A follower that needs the state gets the durable one, and then the
         * entries behind it. */
        until = until < store_durable_index(r->store)
                    ? until
                    : store_durable_index(r->store);
        /* But not without end, when it takes the state slowly, or sleeps: then
         * the one it gets is followed by another. */
        if (r->log_pin > 0 && r->log_pin < until &&
            size <= PINNED_FACTOR * r->options.log_keep_bytes) {
            until = r->log_pin;
        }
    }
    const uint64_t first = raft_memory_storage_first_index(r->log);
    if (until < first + keep / 4 + LOG_SLACK_ENTRIES) {
        return;
    }
    const enum status st = raft_memory_storage_compact(r->log, until);
    must(st == ST_OK); /* applied entries are in the log */
}

void replica_pin_log(struct replica *r, uint64_t index)
{
    r->log_pin = index;
}

/* --- as raft sees it --- */

static struct raft_storage *memory_of(struct raft_storage *s)
{
    return raft_memory_storage_base(
        container_of(s, struct replica, storage)->log);
}

static enum status initial_state(struct raft_storage *s,
                                 struct raft_hard_state *ret_state,
                                 struct raft_conf_state *ret_conf)
{
    struct raft_storage *m = memory_of(s);
    return m->ops->initial_state(m, ret_state, ret_conf);
}

static enum status entries(struct raft_storage *s, uint64_t lo, uint64_t hi,
                           uint64_t max_bytes, struct raft_entries *to)
{
    struct raft_storage *m = memory_of(s);
    return m->ops->entries(m, lo, hi, max_bytes, to);
}

static enum status term(struct raft_storage *s, uint64_t index,
                        uint64_t *ret_term)
{
    struct raft_storage *m = memory_of(s);
    return m->ops->term(m, index, ret_term);
}

static uint64_t first_index(struct raft_storage *s)
{
    struct raft_storage *m = memory_of(s);
    return m->ops->first_index(m);
}

static uint64_t last_index(struct raft_storage *s)
{
    struct raft_storage *m = memory_of(s);
    return m->ops->last_index(m);
}

/* The snapshot is the durable state; the host sends what is durable when it
 * begins, which may be later. */
static enum status snapshot(struct raft_storage *s, struct raft_snapshot **ret)
{
    struct replica *r = container_of(s, struct replica, storage);
    const uint64_t index = store_durable_index(r->store);
    struct raft_conf_state conf;
    if (index == 0 || index + 1 < raft_memory_storage_first_index(r->log) ||
        !replica_conf_at(r, index, &conf)) {
        r->flush_wanted = true; /* a flush is needed first: asked again */
        return ST_BUSY;
    }
    *ret = raft_snapshot_new(index, store_durable_term(r->store), &conf, NULL);
    return ST_OK;
}

const struct raft_storage_ops replica_log_ops = {
    .initial_state = initial_state,
    .entries = entries,
    .term = term,
    .first_index = first_index,
    .last_index = last_index,
    .snapshot = snapshot,
};
