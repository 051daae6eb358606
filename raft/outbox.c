/* Messages on their way out, and the rule which of them must wait.
 *
 * Section 3.8: term, vote and entries are durable before anybody is told of
 * them.  Who is told by a vote or an acknowledgement counts on them after a
 * crash; so these three kinds go to after_append and travel with the write
 * they depend on (O1).  All others promise nothing and go at once. */

#include "base/must.h"
#include "raft/internal.h"

void raft_outbox_push_take(struct raft_outbox *o, struct raft_message *m)
{
    if (o->count == o->capacity) {
        o->capacity = o->capacity == 0 ? 8 : o->capacity * 2;
        o->list = xrealloc(o->list, o->capacity * sizeof o->list[0]);
    }
    raft_message_take(&o->list[o->count], m);
    o->count++;
}

void raft_outbox_clear(struct raft_outbox *o)
{
    for (size_t i = 0; i < o->count; i++) {
        raft_message_fini(&o->list[i]);
    }
    o->count = 0;
}

void raft_outbox_fini(struct raft_outbox *o)
{
    raft_outbox_clear(o);
    free(o->list);
    *o = (struct raft_outbox){NULL, 0, 0};
}

void raft_outbox_swap(struct raft_outbox *a, struct raft_outbox *b)
{
    const struct raft_outbox kept = *a;
    *a = *b;
    *b = kept;
}

static bool is_vote(enum raft_message_type type)
{
    return type == RAFT_MSG_VOTE || type == RAFT_MSG_PRE_VOTE ||
           type == RAFT_MSG_VOTE_RESPONSE || type == RAFT_MSG_PRE_VOTE_RESPONSE;
}

static bool is_promise(enum raft_message_type type)
{
    return type == RAFT_MSG_APPEND_RESPONSE || type == RAFT_MSG_VOTE_RESPONSE ||
           type == RAFT_MSG_PRE_VOTE_RESPONSE;
}

void raft_send_take(struct raft *r, struct raft_message *m)
{
    must(m->to != RAFT_NONE);
    if (m->from == RAFT_NONE) {
        m->from = r->id;
    }
    if (is_vote(m->type)) {
        must(m->term != 0); /* the term voted about: not always the present */
    } else if (m->type == RAFT_MSG_PROPOSE || m->type == RAFT_MSG_READ_INDEX) {
        m->term = 0; /* requests of no term, for whoever is the leader */
    } else {
        m->term = r->term;
    }
    raft_trace_sent(r, m);
    if (is_promise(m->type)) {
        raft_outbox_push_take(&r->after_append, m);
    } else {
        must(m->to != r->id);
        raft_outbox_push_take(&r->messages, m);
    }
}
