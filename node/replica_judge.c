/* Whether the leader may propose a change of the members: etcd's strict
 * reconfiguration check (no change may cost the quorum), learners that are in
 * sync, how many there may be. */

#include <stdlib.h>

#include "node/replica_internal.h"

#define CONNECTED_MS 5000 /* etcd's HealthInterval */

struct count {
    size_t members, started, connected;
};

static struct count count_one(const struct replica *r, uint64_t id)
{
    const struct membership_member *m = membership_find(r->membership, id);
    const bool connected =
        id == r->options.member_id || r->options.connected_ms == NULL ||
        r->options.connected_ms(r->options.host, id) >= CONNECTED_MS;
    return (struct count){1, m != NULL && m->started, connected};
}

/* Of the voters but one. */
static struct count count_voters(const struct replica *r, uint64_t but)
{
    const struct membership *m = r->membership;
    struct count n = {0, 0, 0};
    for (size_t i = 0; i < m->count; i++) {
        const uint64_t id = m->members[i].id;
        if (id != but && !membership_is_learner(m, id)) {
            const struct count one = count_one(r, id);
            n.members++;
            n.started += one.started;
            n.connected += one.connected;
        }
    }
    return n;
}

static size_t quorum_of(size_t members)
{
    return members / 2 + 1;
}

/* etcd's strict reconfiguration check: a change may not cost the quorum. */
static enum status judge_add(const struct replica *r,
                             const struct membership_change *c)
{
    const struct count now = count_voters(r, RAFT_NONE);
    if (!c->is_learner && !(now.started == 1 && now.members == 1) &&
        now.started < quorum_of(now.members + 1)) {
        return ST_NOT_ENOUGH_STARTED;
    }
    return now.connected < now.members ? ST_UNHEALTHY : ST_OK;
}

static enum status judge_remove(const struct replica *r,
                                const struct membership_change *c)
{
    const struct membership *m = r->membership;
    if (membership_find(m, c->id) == NULL || membership_is_learner(m, c->id)) {
        return ST_OK;
    }
    const struct count then = count_voters(r, c->id);
    if (then.started < quorum_of(then.members)) {
        return ST_NOT_ENOUGH_STARTED;
    }
    /* One that is down is no part of the quorum that works. */
    if (c->id != r->options.member_id && r->options.connected_ms != NULL &&
        r->options.connected_ms(r->options.host, c->id) < 0) {
        return ST_OK;
    }
    return then.connected < quorum_of(then.members) ? ST_UNHEALTHY : ST_OK;
}

static uint64_t match_of(const struct replica *r, uint64_t id)
{
    struct raft_status s;
    raft_status(r->raft, &s);
    for (size_t i = 0; i < s.peers_count; i++) {
        struct raft_peer_status peer;
        raft_peer(r->raft, i, &peer);
        if (peer.id == id) {
            return peer.match;
        }
    }
    return 0;
}

static enum status judge_promote(const struct replica *r,
                                 const struct membership_change *c)
{
    const uint64_t own = match_of(r, r->options.member_id);
    if (10 * match_of(r, c->id) < 9 * own) { /* as etcd */
        return ST_LEARNER_NOT_READY;
    }
    const struct count now = count_voters(r, RAFT_NONE);
    return r->options.strict && now.started + 1 < quorum_of(now.members + 1)
               ? ST_NOT_ENOUGH_STARTED
               : ST_OK;
}

static enum status judge_limits(const struct replica *r,
                                const struct membership_change *changes,
                                size_t count)
{
    const struct membership *m = r->membership;
    size_t learners = m->conf.learners_count + m->conf.next_count;
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        if (changes[i].op == MEMBERSHIP_ADD && changes[i].is_learner) {
            learners++;
            any = true;
        } else if (changes[i].op != MEMBERSHIP_ADD &&
                   membership_is_learner(m, changes[i].id)) {
            learners--;
        }
    }
    return any && learners > r->options.learners_max ? ST_TOO_MANY_LEARNERS
                                                     : ST_OK;
}

/* Several at once: those who vote in the end, and are here now, are a quorum.
 * (Those who vote now are one, or there would be no leader.) */
static enum status judge_together(const struct replica *r,
                                  const struct membership_change *changes,
                                  size_t count)
{
    struct count then = count_voters(r, RAFT_NONE);
    for (size_t i = 0; i < count; i++) {
        const struct membership_change *c = &changes[i];
        if (c->op == MEMBERSHIP_ADD) {
            then.members += !c->is_learner;
            continue;
        }
        const bool voted = !membership_is_learner(r->membership, c->id);
        const struct count one = count_one(r, c->id);
        if (c->op == MEMBERSHIP_REMOVE && voted) {
            then.members--;
            then.started -= one.started;
            then.connected -= one.connected;
        } else if (c->op == MEMBERSHIP_PROMOTE) {
            then.members++;
            then.started += one.started;
            then.connected += one.connected;
        }
    }
    if (then.started < quorum_of(then.members)) {
        return ST_NOT_ENOUGH_STARTED;
    }
    return then.connected < quorum_of(then.members) ? ST_UNHEALTHY : ST_OK;
}

static enum status judge_one(const struct replica *r,
                             const struct membership_change *c)
{
    if (c->op == MEMBERSHIP_PROMOTE || !r->options.strict) {
        return ST_OK;
    }
    return c->op == MEMBERSHIP_ADD ? judge_add(r, c) : judge_remove(r, c);
}

enum status replica_judge(const struct replica *r,
                          const struct membership_change *changes, size_t count)
{
    struct membership *scratch = xmalloc(sizeof *scratch);
    *scratch = *r->membership;
    enum status st = membership_apply_all(scratch, changes, count);
    free(scratch);
    if (st == ST_OK) {
        st = judge_limits(r, changes, count);
    }
    if (st == ST_OK && count == 1) {
        st = judge_one(r, changes);
    } else if (st == ST_OK && r->options.strict) {
        st = judge_together(r, changes, count);
    }
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        const struct membership_change *c = &changes[i];
        if (c->op == MEMBERSHIP_PROMOTE) {
            st = judge_promote(r, c);
        }
        if (st == ST_OK && c->op == MEMBERSHIP_ADD &&
            r->options.can_grow != NULL &&
            !r->options.can_grow(r->options.host)) {
            st = ST_UNHEALTHY;
        }
    }
    return st;
}
