/* The life of messages: what they own, moved, shared and given back. */

#include "raft/message.h"

#include "base/must.h"

const char *raft_message_type_name(enum raft_message_type type)
{
    switch (type) {
    case RAFT_MSG_HUP:
        return "MsgHup";
    case RAFT_MSG_BEAT:
        return "MsgBeat";
    case RAFT_MSG_PROPOSE:
        return "MsgProp";
    case RAFT_MSG_APPEND:
        return "MsgApp";
    case RAFT_MSG_APPEND_RESPONSE:
        return "MsgAppResp";
    case RAFT_MSG_VOTE:
        return "MsgVote";
    case RAFT_MSG_VOTE_RESPONSE:
        return "MsgVoteResp";
    case RAFT_MSG_SNAPSHOT:
        return "MsgSnap";
    case RAFT_MSG_HEARTBEAT:
        return "MsgHeartbeat";
    case RAFT_MSG_HEARTBEAT_RESPONSE:
        return "MsgHeartbeatResp";
    case RAFT_MSG_UNREACHABLE:
        return "MsgUnreachable";
    case RAFT_MSG_SNAPSHOT_STATUS:
        return "MsgSnapStatus";
    case RAFT_MSG_CHECK_QUORUM:
        return "MsgCheckQuorum";
    case RAFT_MSG_TRANSFER_LEADER:
        return "MsgTransferLeader";
    case RAFT_MSG_TIMEOUT_NOW:
        return "MsgTimeoutNow";
    case RAFT_MSG_READ_INDEX:
        return "MsgReadIndex";
    case RAFT_MSG_READ_INDEX_RESPONSE:
        return "MsgReadIndexResp";
    case RAFT_MSG_PRE_VOTE:
        return "MsgPreVote";
    case RAFT_MSG_PRE_VOTE_RESPONSE:
        return "MsgPreVoteResp";
    case RAFT_MSG_STORAGE_APPEND:
        return "MsgStorageAppend";
    case RAFT_MSG_STORAGE_APPEND_RESPONSE:
        return "MsgStorageAppendResp";
    case RAFT_MSG_STORAGE_APPLY:
        return "MsgStorageApply";
    case RAFT_MSG_STORAGE_APPLY_RESPONSE:
        return "MsgStorageApplyResp";
    case RAFT_MSG_FORGET_LEADER:
        return "MsgForgetLeader";
    }
    return "unknown message";
}

bool raft_message_type_is_local(enum raft_message_type type)
{
    switch (type) {
    case RAFT_MSG_HUP:
    case RAFT_MSG_BEAT:
    case RAFT_MSG_UNREACHABLE:
    case RAFT_MSG_SNAPSHOT_STATUS:
    case RAFT_MSG_CHECK_QUORUM:
    case RAFT_MSG_STORAGE_APPEND:
    case RAFT_MSG_STORAGE_APPEND_RESPONSE:
    case RAFT_MSG_STORAGE_APPLY:
    case RAFT_MSG_STORAGE_APPLY_RESPONSE:
    case RAFT_MSG_FORGET_LEADER:
        return true;
    case RAFT_MSG_PROPOSE:
    case RAFT_MSG_APPEND:
    case RAFT_MSG_APPEND_RESPONSE:
    case RAFT_MSG_VOTE:
    case RAFT_MSG_VOTE_RESPONSE:
    case RAFT_MSG_SNAPSHOT:
    case RAFT_MSG_HEARTBEAT:
    case RAFT_MSG_HEARTBEAT_RESPONSE:
    case RAFT_MSG_TRANSFER_LEADER:
    case RAFT_MSG_TIMEOUT_NOW:
    case RAFT_MSG_READ_INDEX:
    case RAFT_MSG_READ_INDEX_RESPONSE:
    case RAFT_MSG_PRE_VOTE:
    case RAFT_MSG_PRE_VOTE_RESPONSE:
        return false;
    }
    return false;
}

void raft_message_fini(struct raft_message *m)
{
    if (m->entries.list != NULL) { /* many have none */
        raft_entries_fini(&m->entries);
    }
    payload_drop(m->context);
    raft_snapshot_drop(m->snapshot);
    for (size_t i = 0; i < m->responses_count; i++) {
        /* One level only: a response never has responses. */
        must(m->responses[i].responses_count == 0);
        raft_message_fini(&m->responses[i]);
    }
    if (m->responses != NULL) {
        free(m->responses);
    }
    *m = (struct raft_message){.type = RAFT_MSG_HUP};
}

void raft_message_take(struct raft_message *to, struct raft_message *from)
{
    must(to != from);
    *to = *from;
    *from = (struct raft_message){.type = RAFT_MSG_HUP};
}

void raft_message_hold(struct raft_message *to, const struct raft_message *from)
{
    must(to != from);
    *to = *from;
    to->entries = (struct raft_entries){NULL, 0, 0};
    raft_entries_add(&to->entries, from->entries.list, from->entries.count);
    (void)payload_hold(to->context);
    if (to->snapshot != NULL) {
        (void)raft_snapshot_hold(to->snapshot);
    }
    to->responses = NULL;
    if (from->responses_count > 0) {
        to->responses =
            xmalloc(from->responses_count * sizeof to->responses[0]);
    }
    for (size_t i = 0; i < from->responses_count; i++) {
        raft_message_hold(&to->responses[i], &from->responses[i]);
    }
}
