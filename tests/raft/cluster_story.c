/* Whole moves of a cluster, for tests that tell a story. */

#include "base/must.h"
#include "tests/lib/test.h"
#include "tests/raft/cluster_internal.h"

uint64_t cluster_leader(struct cluster *c)
{
    uint64_t leader = RAFT_NONE;
    uint64_t term = 0;
    for (size_t i = 0; i < c->count; i++) {
        const struct raft *r = c->members[i]->raft;
        if (r != NULL && r->role == RAFT_LEADER && r->term > term) {
            leader = r->id;
            term = r->term;
        }
    }
    return leader;
}

/* All work of one member that needs nobody else. */
static bool work(struct cluster *c, uint64_t id)
{
    struct cluster_member *m = cluster_member(c, id);
    bool worked = false;
    while (m->raft != NULL &&
           (raft_has_ready(m->raft) || m->append_work.count > 0 ||
            m->apply_work.count > 0)) {
        cluster_pump(c, id);
        while (cluster_append_one(c, id)) {
        }
        while (cluster_apply_one(c, id)) {
        }
        worked = true;
    }
    return worked;
}

void cluster_settle(struct cluster *c)
{
    bool worked = true;
    while (worked) {
        worked = false;
        for (uint64_t id = 1; id <= c->count; id++) {
            worked = work(c, id) || worked;
        }
        for (size_t count = c->network.count; count > 0; count--) {
            cluster_deliver(c, 0, false);
            worked = true;
        }
    }
    cluster_check(c);
}

void cluster_pass(struct cluster *c, uint64_t id, unsigned ticks)
{
    while (ticks-- > 0) {
        cluster_tick(c, id);
        cluster_settle(c);
    }
}

void cluster_pass_all(struct cluster *c, unsigned ticks)
{
    while (ticks-- > 0) {
        for (uint64_t id = 1; id <= c->count; id++) {
            if (cluster_member(c, id)->raft != NULL) {
                cluster_tick(c, id);
            }
        }
        cluster_settle(c);
    }
}

void cluster_elect(struct cluster *c, uint64_t id)
{
    raft_campaign(cluster_raft(c, id));
    cluster_settle(c);
    EXPECT_INT(cluster_leader(c), id);
}

void cluster_cut(struct cluster *c, uint64_t a, uint64_t b)
{
    c->cut[a][b] = true;
    c->cut[b][a] = true;
}

void cluster_isolate(struct cluster *c, uint64_t id)
{
    for (uint64_t other = 1; other <= c->count; other++) {
        if (other != id) {
            cluster_cut(c, id, other);
        }
    }
}

void cluster_heal(struct cluster *c)
{
    memset(c->cut, 0, sizeof c->cut);
}

void cluster_lose_all(struct cluster *c)
{
    while (c->network.count > 0) {
        cluster_lose(c, 0);
    }
}
