/* Making a member from what its storage holds, and ending it. */

#include "raft/raft.h"

#include "base/must.h"
#include "raft/internal.h"

static MUST_USE enum status check_config(const struct raft_config *c)
{
    const bool id_is_good = c->id != RAFT_NONE && c->id != RAFT_APPEND_THREAD &&
                            c->id != RAFT_APPLY_THREAD;
    const bool ticks_are_good = c->heartbeat_ticks > 0 &&
                                c->election_ticks > c->heartbeat_ticks &&
                                c->election_ticks <= UINT32_MAX / 2;
    const bool window_is_good =
        c->max_inflight_messages > 0 &&
        (c->max_inflight_bytes == 0 ||
         c->max_inflight_bytes >= c->max_size_per_message);
    /* Section 6.4.1: the lease is the time in which no follower helps another
     * candidate; without check_quorum they would. */
    const bool reads_are_good =
        c->read_mode == RAFT_READ_SAFE ||
        (c->read_mode == RAFT_READ_LEASE && c->check_quorum);
    return id_is_good && ticks_are_good && window_is_good && reads_are_good &&
                   c->storage != NULL
               ? ST_OK
               : ST_INVALID;
}

/* Defaults of limits become explicit. */
static void settle_limits(struct raft_config *c)
{
    if (c->max_committed_size_per_ready == 0) {
        c->max_committed_size_per_ready =
            c->max_size_per_message > 0 ? c->max_size_per_message : 1;
    }
    if (c->max_uncommitted_entries_size == 0) {
        c->max_uncommitted_entries_size = RAFT_NO_LIMIT;
    }
    if (c->max_inflight_bytes == 0) {
        c->max_inflight_bytes = RAFT_NO_LIMIT;
    }
}

/* Takes over term, vote, commit and applied as they were stored.  The stored
 * commit index may lag: what is compacted or applied was committed. */
static MUST_USE enum status load_state(struct raft *r,
                                       const struct raft_hard_state *hard)
{
    const uint64_t last = raft_log_last_index(&r->log);
    const uint64_t applied = r->config.applied;
    if (hard->commit > last || applied > last ||
        (applied > 0 && applied < r->log.applied)) {
        return ST_CORRUPT;
    }
    r->term = hard->term;
    r->vote = hard->vote;
    raft_log_commit_to(&r->log, hard->commit);
    raft_log_commit_to(&r->log, applied);
    if (applied > 0) {
        raft_log_applied_to(&r->log, applied, 0);
    }
    return ST_OK;
}

static MUST_USE enum status start(struct raft *r)
{
    struct raft_storage *storage = r->config.storage;
    struct raft_hard_state hard = {0, 0, 0};
    struct raft_conf_state conf = {.voters = NULL};
    enum status st = storage->ops->initial_state(storage, &hard, &conf);
    if (st != ST_OK) {
        return st;
    }
    struct raft_conf_sets sets;
    st = raft_conf_read(&conf, &sets);
    if (st != ST_OK) {
        return ST_CORRUPT;
    }
    r->members.inflight_count_max = r->config.max_inflight_messages;
    r->members.inflight_bytes_max = r->config.max_inflight_bytes;
    raft_switch_conf(r, &sets, NULL);
    st = load_state(r, &hard);
    if (st != ST_OK) {
        return st;
    }
    r->conf_index = r->log.applied;
    raft_become_follower(r, r->term, RAFT_NONE);
    r->lost = (struct raft_entry_id){r->config.lost_term, r->config.lost_index};
    raft_note_regained(r);
    r->out.hard = raft_hard_state(r);
    r->out.soft = raft_soft_state(r);
    return ST_OK;
}

enum status raft_new(const struct raft_config *config, struct raft **ret_raft)
{
    enum status st = check_config(config);
    if (st != ST_OK) {
        return st;
    }
    struct raft *r = xcalloc(1, sizeof *r);
    r->id = config->id;
    r->config = *config;
    settle_limits(&r->config);
    prng_init(&r->prng, config->seed);
    raft_log_init(&r->log, config->storage,
                  r->config.max_committed_size_per_ready);
    raft_trace_event(r, RAFT_TRACE_INIT_STATE);
    st = start(r);
    if (st != ST_OK) {
        raft_free(r);
        return st;
    }
    raft_check(r);
    *ret_raft = r;
    return ST_OK;
}

void raft_free(struct raft *r)
{
    if (r == NULL) {
        return;
    }
    raft_log_fini(&r->log);
    raft_members_fini(&r->members);
    raft_read_only_fini(&r->reads);
    raft_outbox_fini(&r->messages);
    raft_outbox_fini(&r->after_append);
    raft_read_states_clear(&r->read_states);
    free(r->read_states.list);
    raft_entries_fini(&r->out.entries);
    raft_entries_fini(&r->out.committed);
    raft_snapshot_drop(r->out.snapshot);
    raft_outbox_fini(&r->out.messages);
    raft_outbox_fini(&r->out.due);
    raft_read_states_clear(&r->out.reads);
    free(r->out.reads.list);
    free(r);
}
