/* The replica's life: start, turn, saves, flushes, stop. */

#include "node/replica.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/codec.h"
#include "base/must.h"
#include "node/replica_internal.h"

#define COMMITTED_BYTES_MAX   (4 * 1024 * 1024)
#define UNCOMMITTED_BYTES_MAX (64 * 1024 * 1024)
#define INFLIGHT_MESSAGES     256

struct replica *replica_new(const struct replica_options *options,
                            struct store *store)
{
    must(options->member_id != RAFT_NONE);
    must(options->reserve != NULL && options->now_ns != NULL);
    struct replica *r = xcalloc(1, sizeof *r);
    r->kv.ops = &replica_kv_ops;
    r->options = *options;
    r->store = store;
    r->membership = xcalloc(1, sizeof *r->membership);
    replica_membership_from_first(r);
    struct fault fault;
    (void)!replica_load_membership(r, &fault); /* replica_begin() says it */
    r->options.first = NULL;
    r->options.first_conf = (struct raft_conf_state){.voters = NULL};
    r->publish_due = true;
    r->storage.ops = &replica_log_ops;
    r->log = raft_memory_storage_new();
    r->results = store_results_new();
    leases_init(r);
    /* Tickets of an earlier life may still come out of the log: begin far from
     * where any other life began. */
    pending_init(&r->pending, hash_u64(options->seed), options->calls_max);
    return r;
}

void replica_free(struct replica *r)
{
    if (r == NULL) {
        return;
    }
    leases_fini(r);
    pending_fini(&r->pending);
    for (size_t i = 0; i < r->saves_count; i++) {
        raft_message_fini(&r->saves[i]);
    }
    free(r->saves);
    raft_free(r->raft);
    raft_memory_storage_free(r->log);
    raft_entries_fini(&r->recovered);
    store_results_free(r->results);
    buf_fini(&r->command);
    free(r->proposals);
    replica_drop_orders(r);
    free(r->membership);
    free(r->confs);
    free(r);
}

/* --- starting --- */

enum status replica_begin(struct replica *r,
                          const struct wal_recovery *recovery,
                          struct fault *reterr)
{
    must(r->raft == NULL);
    enum status st = replica_load_membership(r, reterr);
    if (st == ST_OK) {
        st = replica_fill_log(r, recovery, reterr);
    }
    if (st != ST_OK) {
        return st;
    }
    replica_note_regained(r);
    r->trimmed_index = recovery->start_index;
    const struct raft_config config = {
        .id = r->options.member_id,
        .election_ticks = r->options.election_ticks,
        .heartbeat_ticks = r->options.heartbeat_ticks,
        .storage = &r->storage,
        .applied = store_applied_index(r->store),
        .lost_index = r->lost_index,
        .lost_term = r->lost_term,
        .max_size_per_message = r->options.message_bytes_max,
        .max_committed_size_per_ready = COMMITTED_BYTES_MAX,
        .max_uncommitted_entries_size = UNCOMMITTED_BYTES_MAX,
        .max_inflight_messages = INFLIGHT_MESSAGES,
        .check_quorum = true,
        .pre_vote = true,
        .read_mode = RAFT_READ_SAFE,
        .asker_confirms = true,
        .proposals_bear_term = true,
        .step_down_on_removal = true,
        .removed_may_lead = true,
        .answer_old_candidates = true,
        .async_storage_writes = true,
        .seed = r->options.seed,
    };
    st = raft_new(&config, &r->raft);
    if (st != ST_OK) {
        return fault_set(reterr, st, "cannot start consensus from the log: %s",
                         status_text(st));
    }
    struct raft_conf_state conf;
    raft_conf(r->raft, &conf);
    if (conf.voters_count == 1 && conf.voters[0] == r->options.member_id) {
        raft_campaign(r->raft); /* its own quorum: nobody to wait for */
    }
    return ST_OK;
}

/* --- running --- */

void replica_tick(struct replica *r)
{
    raft_tick(r->raft);
    r->alarms_due = true;
    lease_tick(r);
    r->move_ticks++;
    r->publish_due = true;
}

enum status replica_receive(struct replica *r, const struct raft_message *m,
                            struct fault *reterr)
{
    const enum status st = raft_step(r->raft, m);
    if (st == ST_CORRUPT) {
        return fault_set(reterr, st,
                         "member %llx contradicts what is committed here: one "
                         "of the two has lost data it had promised to keep",
                         (unsigned long long)m->from);
    }
    return ST_OK; /* anything else is the sender's affair */
}

void replica_unreachable(struct replica *r, uint64_t member)
{
    raft_report_unreachable(r->raft, member);
}

static void queue_save(struct replica *r, struct raft_message *m)
{
    if (r->saves_count == r->saves_capacity) {
        r->saves_capacity = r->saves_capacity > 0 ? 2 * r->saves_capacity : 8;
        r->saves = xrealloc(r->saves, r->saves_capacity * sizeof *r->saves);
    }
    raft_message_take(&r->saves[r->saves_count++], m);
}

bool replica_has_save(const struct replica *r)
{
    return r->saves_count > 0;
}

bool replica_next_save_is_snapshot(const struct replica *r)
{
    return r->saves_count > 0 && r->saves[0].snapshot != NULL;
}

bool replica_snapshot_waits(const struct replica *r)
{
    for (size_t i = 0; i < r->saves_count; i++) {
        if (r->saves[i].snapshot != NULL) {
            return true;
        }
    }
    return false;
}

bool replica_take_save(struct replica *r, struct raft_message *to)
{
    if (r->saves_count == 0) {
        return false;
    }
    *to = r->saves[0];
    r->saves_count--;
    memmove(r->saves, r->saves + 1, r->saves_count * sizeof *r->saves);
    return true;
}

/* What had to wait for a write: to ourselves, or to others. */
static enum status deliver_responses(struct replica *r, struct raft_message *m,
                                     struct fault *reterr)
{
    for (size_t i = 0; i < m->responses_count; i++) {
        struct raft_message *response = &m->responses[i];
        if (response->to != r->options.member_id) {
            r->options.send(r->options.host, response);
            continue;
        }
        const enum status st = raft_step(r->raft, response);
        if (st != ST_OK) {
            return fault_set(reterr, st,
                             "consensus refused its own storage's answer: %s",
                             status_text(st));
        }
    }
    return ST_OK;
}

enum status replica_saved(struct replica *r, struct raft_message *done,
                          struct fault *reterr)
{
    enum status st = ST_OK;
    if (done->snapshot != NULL) {
        must(store_applied_index(r->store) == done->snapshot->index);
        st = raft_memory_storage_apply_snapshot(r->log, done->snapshot);
        must(st == ST_OK); /* raft takes only newer ones */
        r->trimmed_index = done->snapshot->index;
        /* Whether it holds what was proposed here, nobody can say. */
        pending_finish_proposed(&r->pending, ST_TIMEOUT);
        r->applied_term = done->snapshot->term;
        st = replica_load_membership(r, reterr);
        if (st != ST_OK) {
            raft_message_fini(done);
            return st;
        }
    }
    st = raft_memory_storage_append(r->log, done->entries.list,
                                    done->entries.count);
    must(st == ST_OK); /* raft hands out consecutive entries */
    replica_note_regained(r);
    st = deliver_responses(r, done, reterr);
    raft_message_fini(done);
    return st;
}

static enum status carry_out(struct replica *r, struct fault *reterr)
{
    struct raft_ready ready;
    raft_ready(r->raft, &ready);
    for (size_t i = 0; i < ready.read_states_count; i++) {
        replica_on_read_state(r, &ready.read_states[i]);
    }
    for (size_t i = 0; i < ready.messages_count; i++) {
        struct raft_message *m = &ready.messages[i];
        if (m->to == RAFT_APPEND_THREAD) {
            queue_save(r, m);
            continue;
        }
        if (m->to != RAFT_APPLY_THREAD) {
            r->options.send(r->options.host, m);
            continue;
        }
        enum status st = replica_apply_message(r, m, reterr);
        if (st == ST_OK) {
            st = deliver_responses(r, m, reterr);
        }
        if (st != ST_OK) {
            return st;
        }
    }
    return ST_OK;
}

static enum status carry_out_all(struct replica *r, struct fault *reterr)
{
    enum status st = ST_OK;
    while (st == ST_OK && raft_has_ready(r->raft)) {
        st = carry_out(r, reterr);
    }
    return st;
}

static void note_leader(struct replica *r)
{
    if (r->leader_was_known || r->membership->conf.voters_count == 0) {
        return; /* or a newcomer that has no state yet */
    }
    struct raft_status s;
    raft_status(r->raft, &s);
    if (s.soft.leader != RAFT_NONE &&
        (s.soft.role != RAFT_LEADER || s.committed_in_term)) {
        r->leader_was_known = true;
        r->ready_index = s.hard.commit;
    }
}

enum status replica_turn(struct replica *r, const struct replica_clock *clock,
                         bool *ret_more, struct fault *reterr)
{
    r->clock = *clock;
    r->submitted = false;
    pending_expire(&r->pending, clock->now_ns);
    replica_propose_queued(r);
    replica_lead_orders(r);
    replica_watch_alarms(r);
    lease_begin(r);
    enum status st = carry_out_all(r, reterr);
    if (st == ST_OK) {
        /* Behind what could be applied, so that a leader may presume. */
        replica_begin_reads(r);
        st = carry_out_all(r, reterr);
    }
    if (st != ST_OK) {
        return st;
    }
    note_leader(r);
    replica_watch_move(r);
    replica_publish(r);
    replica_watch_members(r);
    replica_compact_log(r);
    bool more;
    st = lease_turn(r, &more, reterr);
    if (st != ST_OK) {
        return st;
    }
    more |= replica_answer_reads(r);
    more |= replica_answer_swept(r);
    more |= pending_deliver(&r->pending);
    if (replica_may_serve(r) == ST_OK) {
        more |= store_deliver(r->store, replica_header(r));
    } else {
        more |= store_end_watches(r->store, ST_CORRUPT);
    }
    *ret_more = more || r->submitted; /* from inside a callback */
    return ST_OK;
}

int64_t replica_next_deadline(const struct replica *r)
{
    const int64_t deadline = pending_next_deadline(&r->pending);
    return r->read_in_flight && r->read_retry_ns < deadline ? r->read_retry_ns
                                                            : deadline;
}

struct store_flush *replica_flush_begin(struct replica *r, bool all)
{
    /* Entries that leave nothing in the memtable (refused transactions, say)
     * are in the log too. */
    const bool wanted =
        r->flush_wanted || r->unflushed_bytes >= r->options.log_unflushed_max;
    r->flush_wanted = false;
    if (!all && !wanted && !store_wants_flush(r->store) &&
        !store_has_garbage(r->store)) {
        return NULL;
    }
    struct store_flush *f = store_flush_begin(r->store);
    if (f != NULL) {
        r->unflushed_bytes = 0;
    }
    return f;
}

void replica_set_disk_full(struct replica *r, bool full)
{
    r->disk_full = full;
}

void replica_release_store(struct replica *r, struct store_comparison *c)
{
    store_results_clear(r->results);
    r->watches = store_take_watches(r->store, c);
    r->store = NULL;
}

void replica_adopt_store(struct replica *r, struct store *store)
{
    must(r->store == NULL && r->watches != NULL);
    r->store = store;
    store_give_watches(store, r->watches);
    r->watches = NULL;
    r->members_changed = true;
}

void replica_report_snapshot(struct replica *r, uint64_t member, bool ok)
{
    raft_report_snapshot(r->raft, member, ok);
}

bool replica_trim_point(struct replica *r, uint64_t *ret_index,
                        uint64_t *ret_term)
{
    const uint64_t durable = store_durable_index(r->store);
    must(durable <= store_applied_index(r->store));
    const uint64_t keep = replica_entries_kept(r);
    /* What memory has forgotten (entries may be large) no follower can get, so
     * the disk has no use for it either. */
    const uint64_t forgotten = raft_memory_storage_first_index(r->log) - 1;
    uint64_t index = durable > keep ? durable - keep : 0;
    index = index > forgotten ? index : forgotten;
    index = index < durable ? index : durable; /* N5 */
    if (index <= r->trimmed_index) {
        return false;
    }
    if (index == durable) {
        *ret_term = store_durable_term(r->store);
    } else if (raft_term_at(r->raft, index, ret_term) != ST_OK) {
        return false; /* a later flush trims */
    }
    r->trimmed_index = index;
    *ret_index = index;
    return true;
}

bool replica_is_ready(const struct replica *r)
{
    return r->leader_was_known &&
           store_applied_index(r->store) >= r->ready_index;
}

const struct raft *replica_raft(const struct replica *r)
{
    return r->raft;
}

size_t replica_calls(const struct replica *r)
{
    return r->pending.count;
}

void replica_stop(struct replica *r)
{
    r->stopped = true;
    pending_finish_all(&r->pending, ST_STOPPED);
    while (pending_deliver(&r->pending)) {
    }
}

const struct membership *replica_membership(const struct replica *r)
{
    return r->membership;
}

bool replica_members_changed(struct replica *r)
{
    const bool changed = r->members_changed;
    r->members_changed = false;
    return changed;
}

bool replica_was_removed(const struct replica *r)
{
    return r->removed;
}

bool replica_has_left(const struct replica *r, uint64_t member)
{
    return membership_is_voter(r->membership, r->options.member_id) &&
           r->confs[r->confs_count - 1].index <=
               store_durable_index(r->store) &&
           membership_has_left(r->membership, member);
}

struct kv *replica_kv(struct replica *r)
{
    return &r->kv;
}
