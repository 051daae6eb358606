/* Events for a listener; nothing at all without one. */

#include "raft/trace.h"

#include "base/must.h"
#include "raft/internal.h"

const char *raft_trace_name(enum raft_trace_kind kind)
{
    static const char *const names[RAFT_TRACE_KINDS] = {
        "InitState",
        "BecomeFollower",
        "BecomeCandidate",
        "BecomeLeader",
        "Commit",
        "Replicate",
        "ChangeConf",
        "ApplyConfChange",
        "Ready",
        "SendAppendEntriesRequest",
        "ReceiveAppendEntriesRequest",
        "SendAppendEntriesResponse",
        "ReceiveAppendEntriesResponse",
        "SendRequestVoteRequest",
        "ReceiveRequestVoteRequest",
        "SendRequestVoteResponse",
        "ReceiveRequestVoteResponse",
        "SendSnapshot",
        "ReceiveSnapshot"};
    must((size_t)kind < RAFT_TRACE_KINDS);
    return names[kind];
}

static void emit(struct raft *r, enum raft_trace_kind kind,
                 const struct raft_message *m,
                 const struct raft_conf_change *cc)
{
    struct raft_tracer *t = r->config.tracer;
    if (t == NULL) {
        return;
    }
    const struct raft_trace event = {.kind = kind,
                                     .id = r->id,
                                     .hard = raft_hard_state(r),
                                     .role = r->role,
                                     .last_index = raft_log_last_index(&r->log),
                                     .conf = raft_conf_view(&r->members.conf),
                                     .message = m,
                                     .change = cc};
    t->event(t, &event);
}

void raft_trace_event(struct raft *r, enum raft_trace_kind kind)
{
    emit(r, kind, NULL, NULL);
}

void raft_trace_change(struct raft *r, const struct raft_conf_change *cc)
{
    emit(r, RAFT_TRACE_CHANGE_CONF, NULL, cc);
}

/* The specification knows heartbeats as empty appends; pre-votes, hand-overs
 * and reads it does not know. */
static void emit_message(struct raft *r, const struct raft_message *m,
                         bool received)
{
    switch (m->type) {
    case RAFT_MSG_APPEND:
    case RAFT_MSG_HEARTBEAT:
        emit(r, received ? RAFT_TRACE_RECEIVE_APPEND : RAFT_TRACE_SEND_APPEND,
             m, NULL);
        break;
    case RAFT_MSG_APPEND_RESPONSE:
    case RAFT_MSG_HEARTBEAT_RESPONSE:
        emit(r,
             received ? RAFT_TRACE_RECEIVE_APPEND_RESPONSE
                      : RAFT_TRACE_SEND_APPEND_RESPONSE,
             m, NULL);
        break;
    case RAFT_MSG_VOTE:
        emit(r, received ? RAFT_TRACE_RECEIVE_VOTE : RAFT_TRACE_SEND_VOTE, m,
             NULL);
        break;
    case RAFT_MSG_VOTE_RESPONSE:
        emit(r,
             received ? RAFT_TRACE_RECEIVE_VOTE_RESPONSE
                      : RAFT_TRACE_SEND_VOTE_RESPONSE,
             m, NULL);
        break;
    case RAFT_MSG_SNAPSHOT:
        emit(r,
             received ? RAFT_TRACE_RECEIVE_SNAPSHOT : RAFT_TRACE_SEND_SNAPSHOT,
             m, NULL);
        break;
    default:
        break;
    }
}

void raft_trace_sent(struct raft *r, const struct raft_message *m)
{
    emit_message(r, m, false);
}

void raft_trace_received(struct raft *r, const struct raft_message *m)
{
    emit_message(r, m, true);
}
