/* The invariants of README.md by their numbers. */

#include "base/must.h"
#include "raft/internal.h"

static void check_log(const struct raft *r)
{
    const struct raft_log *l = &r->log;
    const struct raft_unstable *u = &l->unstable;
    const uint64_t last = raft_log_last_index(l);
    must(l->applied <= l->applying);   /* L1 */
    must(l->applying <= l->committed); /* L1 */
    must(l->committed <= last);        /* L1 */
    must(raft_log_first_index(l) <= last + 1);

    must(u->offset <= u->offset_in_progress);                    /* L2 */
    must(u->offset_in_progress <= u->offset + u->count);         /* L2 */
    must(u->snapshot == NULL || u->snapshot->index < u->offset); /* L2 */
    uint64_t term = 0;
    for (size_t i = 0; i < u->count; i++) {
        const struct raft_entry *e = raft_unstable_at(u, u->offset + i);
        must(e->index == u->offset + i); /* L4 */
        must(e->term >= term);           /* L4 */
        term = e->term;
    }
    must(raft_log_last_id(l).term <= r->term || r->term == 0); /* L4 */
}

static void check_role(const struct raft *r)
{
    switch (r->role) {
    case RAFT_FOLLOWER:
        must(r->leader != r->id || r->id == RAFT_NONE); /* E1 */
        break;
    case RAFT_PRE_CANDIDATE:
        must(r->leader == RAFT_NONE); /* E1 */
        break;
    case RAFT_CANDIDATE:
        must(r->leader == RAFT_NONE); /* E1 */
        must(r->vote == r->id);       /* E2 */
        break;
    case RAFT_LEADER:
        must(r->leader == r->id); /* E1 */
        must(r->vote == r->id);   /* E2 */
        break;
    }
    must(r->role == RAFT_LEADER || r->transfer_to == RAFT_NONE); /* E3 */
    must(r->role == RAFT_LEADER || r->reads.waiting.count == 0); /* E3 */
}

/* What was handed out is never taken back (section 3.8). */
static void check_promises(const struct raft *r)
{
    const struct raft_hard_state *old = &r->out.hard;
    must(r->term >= old->term);            /* E4 */
    must(r->log.committed >= old->commit); /* L3 */
    must(r->term > old->term || old->vote == RAFT_NONE ||
         r->vote == old->vote); /* E4 */
}

static void check_progress(const struct raft *r, const struct raft_progress *p)
{
    const struct raft_inflights *in = &p->inflights;
    must(p->match < p->next); /* P1 */
    if (r->role != RAFT_LEADER) {
        return;
    }
    must(p->match <= raft_log_last_index(&r->log)); /* P1 */
    switch (p->state) {
    case RAFT_PROBE:
        must(in->count == 0); /* P2 */
        break;
    case RAFT_REPLICATE:
        for (size_t i = 0; i < in->count; i++) {
            const uint64_t index = raft_inflights_at(in, i).index;
            must(index > p->match && index < p->next); /* P2 */
        }
        break;
    case RAFT_SENDING_SNAPSHOT:
        must(p->next > p->pending_snapshot); /* P3 */
        must(in->count == 0);                /* P2 */
        break;
    }
}

static void check_members(const struct raft *r)
{
    const struct raft_members *m = &r->members;
    must(raft_conf_is_sound(&m->conf)); /* C1 to C4 */
    for (size_t i = 0; i < m->count; i++) {
        const struct raft_progress *p = &m->list[i];
        must(i == 0 || m->list[i - 1].id < p->id);                     /* C5 */
        must(raft_conf_has_member(&m->conf, p->id));                   /* C5 */
        must(p->is_learner == raft_ids_has(&m->conf.learners, p->id)); /* C5 */
        check_progress(r, p);
    }
    for (size_t i = 0; i < m->conf.incoming.count; i++) {
        must(raft_members_find(m, m->conf.incoming.list[i]) != NULL); /* C5 */
    }
    for (size_t i = 0; i < m->conf.outgoing.count; i++) {
        must(raft_members_find(m, m->conf.outgoing.list[i]) != NULL); /* C5 */
    }
}

static void check_outbox(const struct raft *r)
{
    for (size_t i = 0; i < r->messages.count; i++) {
        const struct raft_message *m = &r->messages.list[i];
        must(m->to != r->id);                        /* O1 */
        must(m->type != RAFT_MSG_APPEND_RESPONSE);   /* O1 */
        must(m->type != RAFT_MSG_VOTE_RESPONSE);     /* O1 */
        must(m->type != RAFT_MSG_PRE_VOTE_RESPONSE); /* O1 */
    }
}

void raft_check(const struct raft *r)
{
    check_log(r);
    check_role(r);
    check_promises(r);
    check_members(r);
    check_outbox(r);
}
