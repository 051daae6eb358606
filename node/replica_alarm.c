/* Alarms: what operators ask for, and those that a member raises and clears by
 * its own judgement.
 *
 *   NOSPACE  a write was refused because the store is at its quota.  While
 *            anybody's alarm is up, nobody proposes puts; deletes and
 *            compactions go on.  It is cleared when an eighth of the quota is
 *            free again: less, and it would come and go with every write.
 *   CORRUPT  the state of that member differs from the others' (check.c): it
 *            serves nothing more.  Only an operator clears it.
 *
 * The leader clears the alarms of those who are members no more. */

#include "base/log.h"
#include "base/must.h"
#include "node/replica_internal.h"

static const char *name_of(enum admin_alarm_type type)
{
    switch (type) {
    case ADMIN_ALARM_NONE:
        break;
    case ADMIN_ALARM_NOSPACE:
        return "NOSPACE";
    case ADMIN_ALARM_CORRUPT:
        return "CORRUPT";
    }
    return "?";
}

/* --- what operators ask for --- */

void replica_alarm(struct replica *r, struct admin_alarm *call)
{
    call->alarms = NULL;
    call->alarms_count = 0;
    if (call->op == ADMIN_ALARM_GET) {
        (void)replica_submit(r, &call->call, PENDING_ALARM, false, ST_OK);
        return;
    }
    (void)replica_submit(r, &call->call, PENDING_ALARM, true,
                         replica_has_leader(r));
    struct pending *p = call->call.state;
    if (call->type == ADMIN_ALARM_NONE && p->place == PENDING_QUEUED) {
        pending_finish(&r->pending, p, ST_OK); /* as etcd: of no kind, none */
    }
}

void replica_answer_alarms(struct replica *r, struct admin_alarm *call)
{
    const size_t all = store_alarms(r->store, r->alarms);
    size_t count = 0;
    for (size_t i = 0; i < all; i++) {
        const struct admin_alarm_member *a = &r->alarms[i];
        if ((call->type == ADMIN_ALARM_NONE || call->type == a->type) &&
            (call->member == 0 || call->member == a->member)) {
            r->alarms[count++] = *a;
        }
    }
    call->alarms = r->alarms;
    call->alarms_count = count;
}

void replica_alarm_applied(struct replica *r,
                           const struct store_outcome *outcome)
{
    const struct admin_alarm_member *a = &outcome->alarm;
    if (!store_has_alarm(r->store, a->member, a->type)) {
        log_info("the %s alarm of member %llx is over", name_of(a->type),
                 (unsigned long long)a->member);
        return;
    }
    log_warn("member %llx: alarm %s", (unsigned long long)a->member,
             name_of(a->type));
    if (a->type == ADMIN_ALARM_CORRUPT && a->member == r->options.member_id) {
        log_error(
            "the state of this member differs from the others': it serves "
            "nothing more; remove it from the cluster and add it again "
            "with an empty data directory");
    }
}

/* --- a member's own judgement --- */

/* A leader whose state is wrong goes on deciding about leases by it: another
 * voter, the one that is furthest, takes over. */
static void step_aside(struct replica *r, const struct raft_status *s)
{
    struct raft_peer_status best = {0};
    for (size_t i = 0; i < s->peers_count; i++) {
        struct raft_peer_status peer;
        raft_peer(r->raft, i, &peer);
        if (peer.id != r->options.member_id && !peer.is_learner &&
            peer.match >= best.match &&
            !store_has_alarm(r->store, peer.id, ADMIN_ALARM_CORRUPT)) {
            best = peer;
        }
    }
    if (best.id != RAFT_NONE && s->transfer_to == RAFT_NONE) {
        log_warn("leadership goes to member %llx", (unsigned long long)best.id);
        raft_transfer_leader(r->raft, best.id);
    }
}

static uint64_t enough_bytes(const struct store_stats *stats)
{
    return stats->quota_bytes - stats->quota_bytes / 8;
}

void replica_note_full(struct replica *r)
{
    r->was_full = true;
    r->alarms_due = true;
}

static void own_alarm_done(struct kv_call *call)
{
    struct admin_alarm *alarm = container_of(call, struct admin_alarm, call);
    struct replica *r = container_of(alarm, struct replica, own_alarm);
    r->own_alarm_out = false; /* what failed is tried at the next tick */
}

static void own_alarm(struct replica *r, enum admin_alarm_op op,
                      const struct admin_alarm_member *alarm)
{
    must(!r->own_alarm_out);
    r->own_alarm_out = true;
    r->own_alarm = (struct admin_alarm){.call = {.done = own_alarm_done},
                                        .op = op,
                                        .member = alarm->member,
                                        .type = alarm->type};
    replica_alarm(r, &r->own_alarm);
}

static bool is_member(const struct replica *r, const struct raft_status *s,
                      uint64_t id)
{
    for (size_t i = 0; i < s->peers_count; i++) {
        struct raft_peer_status peer;
        raft_peer(r->raft, i, &peer);
        if (peer.id == id) {
            return true;
        }
    }
    return false;
}

/* An alarm of somebody who is gone; false: there is none. */
static bool find_orphan(struct replica *r, const struct raft_status *s,
                        struct admin_alarm_member *ret)
{
    const size_t count = store_alarms(r->store, r->alarms);
    for (size_t i = 0; i < count; i++) {
        if (!is_member(r, s, r->alarms[i].member)) {
            *ret = r->alarms[i];
            return true;
        }
    }
    return false;
}

void replica_watch_alarms(struct replica *r)
{
    if (!r->alarms_due || r->stopped) {
        return;
    }
    r->alarms_due = false;
    struct raft_status s;
    raft_status(r->raft, &s);
    if (s.soft.role == RAFT_LEADER && replica_may_serve(r) != ST_OK) {
        step_aside(r, &s);
    }
    if (r->own_alarm_out) {
        return;
    }
    if (s.soft.leader == RAFT_NONE) {
        return;
    }
    struct admin_alarm_member alarm = {.member = r->options.member_id,
                                       .type = ADMIN_ALARM_NOSPACE};
    const bool is_up = store_has_alarm(r->store, alarm.member, alarm.type);
    const bool was_full = r->was_full;
    r->was_full = false;
    if (is_up || was_full) {
        struct store_stats stats;
        store_stats(r->store, &stats);
        const bool enough = stats.used_bytes <= enough_bytes(&stats);
        if (!is_up && !enough) {
            own_alarm(r, ADMIN_ALARM_RAISE, &alarm);
            return;
        }
        if (is_up && enough &&
            store_alarm_is_automatic(r->store, alarm.member, alarm.type)) {
            own_alarm(r, ADMIN_ALARM_CLEAR, &alarm);
            return;
        }
    }
    if (s.soft.role == RAFT_LEADER && find_orphan(r, &s, &alarm)) {
        own_alarm(r, ADMIN_ALARM_CLEAR, &alarm);
    }
}
