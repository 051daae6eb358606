/* kv/kv.h as the replica keeps it: submission, cancellation, watches, status.
 * Nothing is answered from in here: done() comes from replica_turn(). */

#include "base/must.h"
#include "node/replica_internal.h"

static struct replica *replica_of(struct kv *kv)
{
    return container_of(kv, struct replica, kv);
}

struct kv_header replica_header(const struct replica *r)
{
    return (struct kv_header){.cluster_id = r->options.cluster_id,
                              .member_id = r->options.member_id,
                              .revision = store_revision(r->store),
                              .raft_term =
                                  r->raft != NULL ? raft_term(r->raft) : 0};
}

struct pending *replica_submit(struct replica *r, struct kv_call *call,
                               enum pending_kind kind, bool is_write,
                               enum status refused)
{
    const int64_t timeout_ms =
        call->timeout_ms > 0 ? call->timeout_ms : r->options.timeout_ms;
    call->header = (struct kv_header){0};
    r->submitted = true;
    struct pending *p = pending_add(&r->pending, call, kind, is_write,
                                    r->options.now_ns(r->options.host) +
                                        timeout_ms * INT64_C(1000000));
    const enum status st = r->stopped ? ST_STOPPED : refused;
    if (p->place != PENDING_FINISHED && st != ST_OK) {
        pending_finish(&r->pending, p, st);
    }
    return p;
}

/* A write without a leader to go to is refused at once: nobody shall believe
 * it was taken. */
enum status replica_has_leader(const struct replica *r)
{
    return raft_leader(r->raft) == RAFT_NONE ? ST_NO_LEADER : ST_OK;
}

enum status replica_may_serve(const struct replica *r)
{
    return store_has_alarm(r->store, r->options.member_id, ADMIN_ALARM_CORRUPT)
               ? ST_CORRUPT
               : ST_OK;
}

static void replica_range(struct kv *kv, struct kv_range *range)
{
    struct replica *r = replica_of(kv);
    (void)replica_submit(r, &range->call, PENDING_RANGE, false,
                         replica_may_serve(r));
}

static void replica_txn(struct kv *kv, struct kv_txn *txn)
{
    struct replica *r = replica_of(kv);
    enum status st = store_check_txn(r->store, &txn->spec);
    if (st == ST_OK) {
        st = replica_may_serve(r);
    }
    const bool is_write = st != ST_OK || !store_txn_is_read(&txn->spec);
    if (st == ST_OK && is_write) {
        st = replica_has_leader(r);
    }
    (void)replica_submit(r, &txn->call, PENDING_TXN, is_write, st);
}

static void replica_compact(struct kv *kv, struct kv_compact *compact)
{
    struct replica *r = replica_of(kv);
    const enum status st = replica_may_serve(r);
    (void)replica_submit(r, &compact->call, PENDING_COMPACT, true,
                         st == ST_OK ? replica_has_leader(r) : st);
}

static void replica_cancel(struct kv *kv, struct kv_call *call)
{
    struct replica *r = replica_of(kv);
    struct pending *p = call->state;
    if (p != NULL && p->call == call && p->place != PENDING_FINISHED) {
        pending_finish(&r->pending, p, ST_CANCELED);
    }
}

static void replica_watch(struct kv *kv, struct kv_watch *watch)
{
    store_watch(replica_of(kv)->store, watch);
}

static void replica_unwatch(struct kv *kv, struct kv_watch *watch)
{
    store_unwatch(replica_of(kv)->store, watch);
}

static int64_t replica_watched(struct kv *kv, const struct kv_watch *watch)
{
    return store_watched(replica_of(kv)->store, watch);
}

/* The members in force; returns how many. */
static size_t list_members(struct replica *r)
{
    const struct membership *m = r->membership;
    for (size_t i = 0; i < m->count; i++) {
        const struct membership_member *of = &m->members[i];
        r->members[i] =
            (struct kv_member){.id = of->id,
                               .name = of->name,
                               .is_self = of->id == r->options.member_id,
                               .is_learner = membership_is_learner(m, of->id)};
    }
    return m->count;
}

static enum kv_role role_of(enum raft_role role)
{
    switch (role) {
    case RAFT_FOLLOWER:
        return KV_FOLLOWER;
    case RAFT_CANDIDATE:
    case RAFT_PRE_CANDIDATE:
        return KV_CANDIDATE;
    case RAFT_LEADER:
        return KV_LEADER;
    }
    return KV_ROLE_UNKNOWN;
}

static void replica_status(struct kv *kv, struct kv_status *ret)
{
    struct replica *r = replica_of(kv);
    struct raft_status s;
    raft_status(r->raft, &s);
    struct store_stats stats;
    store_stats(r->store, &stats);
    struct wal_stats log = {0};
    if (r->options.log_stats != NULL) {
        r->options.log_stats(r->options.host, &log);
    }
    *ret = (struct kv_status){
        .header = replica_header(r),
        .compact_revision = store_compact_revision(r->store),
        .leader = s.soft.leader,
        .role = role_of(s.soft.role),
        .applied = s.applied,
        .members = r->members,
        .members_count = list_members(r),
        .disk_full = r->disk_full,
        .no_space = store_has_alarm(r->store, 0, ADMIN_ALARM_NOSPACE),
        .corrupt = replica_may_serve(r) != ST_OK,
        .writable = s.soft.leader != RAFT_NONE && !r->stopped,
        /* What is in memory yet has its place in the file to come. */
        .size_bytes = stats.size_bytes > stats.used_bytes ? stats.size_bytes
                                                          : stats.used_bytes,
        .used_bytes = stats.used_bytes,
        .quota_bytes = stats.quota_bytes,
        .keys_count = stats.keys_count,
        .log_bytes = log.bytes_on_disk,
        .log_entries = s.last_index - r->trimmed_index,
        .log_written_bytes = log.bytes_written,
        .request_bytes_max = r->options.request_bytes_max,
    };
}

void replica_header_of(const struct replica *r, struct kv_header *ret)
{
    *ret = replica_header(r);
}

void replica_admin_status(struct replica *r, struct admin_status *ret)
{
    struct raft_status s;
    raft_status(r->raft, &s);
    *ret = (struct admin_status){.raft_index = s.hard.commit,
                                 .raft_applied = s.applied,
                                 .alarms = r->alarms,
                                 .alarms_count =
                                     store_alarms(r->store, r->alarms)};
    replica_status(&r->kv, &ret->kv);
    for (size_t i = 0; i < ret->kv.members_count; i++) {
        if (r->members[i].is_self) {
            ret->is_learner = r->members[i].is_learner;
        }
    }
}

const struct kv_ops replica_kv_ops = {
    .range = replica_range,
    .txn = replica_txn,
    .compact = replica_compact,
    .lease = lease_submit,
    .cancel = replica_cancel,
    .watch = replica_watch,
    .unwatch = replica_unwatch,
    .watched = replica_watched,
    .status = replica_status,
};
