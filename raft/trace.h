/* The events of the published TLA+ trace specification of this kind of Raft
 * (etcd-io/raft, tla/Traceetcdraft.tla), for a host or test that wants to
 * check a run against it.  One struct an event; who listens renders it. */
#ifndef RAFT_TRACE_H
#define RAFT_TRACE_H

#include "raft/raft.h"

enum raft_trace_kind {
    RAFT_TRACE_INIT_STATE,
    RAFT_TRACE_BECOME_FOLLOWER,
    RAFT_TRACE_BECOME_CANDIDATE,
    RAFT_TRACE_BECOME_LEADER,
    RAFT_TRACE_COMMIT,
    RAFT_TRACE_REPLICATE,
    RAFT_TRACE_CHANGE_CONF,
    RAFT_TRACE_APPLY_CONF_CHANGE,
    RAFT_TRACE_READY,
    RAFT_TRACE_SEND_APPEND,
    RAFT_TRACE_RECEIVE_APPEND,
    RAFT_TRACE_SEND_APPEND_RESPONSE,
    RAFT_TRACE_RECEIVE_APPEND_RESPONSE,
    RAFT_TRACE_SEND_VOTE,
    RAFT_TRACE_RECEIVE_VOTE,
    RAFT_TRACE_SEND_VOTE_RESPONSE,
    RAFT_TRACE_RECEIVE_VOTE_RESPONSE,
    RAFT_TRACE_SEND_SNAPSHOT,
    RAFT_TRACE_RECEIVE_SNAPSHOT
};
#define RAFT_TRACE_KINDS 19

/* Everything is borrowed for the call. */
struct raft_trace {
    enum raft_trace_kind kind;
    uint64_t id;
    struct raft_hard_state hard;
    enum raft_role role;
    uint64_t last_index;
    struct raft_conf_state conf;           /* in force */
    const struct raft_message *message;    /* sent or received; else NULL */
    const struct raft_conf_change *change; /* RAFT_TRACE_CHANGE_CONF */
};

/* The specification's name: "BecomeLeader" and the like. */
const char *raft_trace_name(enum raft_trace_kind kind);

#endif
