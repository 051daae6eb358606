/* Shape and limits of a message that crosses the network. */

#include "proto/raft_codec.h"

static bool is_member_id(uint64_t id)
{
    return id != RAFT_NONE && id != RAFT_APPEND_THREAD &&
           id != RAFT_APPLY_THREAD;
}

static bool is_entry_type(enum raft_entry_type type)
{
    switch (type) {
    case RAFT_ENTRY_NORMAL:
    case RAFT_ENTRY_CONF_CHANGE:
    case RAFT_ENTRY_CONF_CHANGE_V2:
        return true;
    }
    return false;
}

static MUST_USE enum status check_entries(const struct raft_message *m,
                                          struct fault *reterr)
{
    const struct raft_entries *entries = &m->entries;
    if (entries->count > RAFT_CODEC_ENTRIES_MAX) {
        return fault_set(reterr, ST_TOO_LARGE,
                         "%zu entries in one message, more than %zu",
                         entries->count, RAFT_CODEC_ENTRIES_MAX);
    }
    for (size_t i = 0; i < entries->count; i++) {
        if (!is_entry_type(entries->list[i].type)) {
            return fault_set(reterr, ST_INVALID, "entry of unknown type %u",
                             (unsigned)entries->list[i].type);
        }
    }
    return ST_OK;
}

static bool is_ascending(const uint64_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_member_id(ids[i]) || (i > 0 && ids[i] <= ids[i - 1])) {
            return false;
        }
    }
    return true;
}

static MUST_USE enum status check_conf(const struct raft_conf_state *c,
                                       struct fault *reterr)
{
    if (c->voters_count > RAFT_MEMBERS_MAX ||
        c->learners_count > RAFT_MEMBERS_MAX ||
        c->voters_outgoing_count > RAFT_MEMBERS_MAX ||
        c->learners_next_count > RAFT_MEMBERS_MAX) {
        return fault_set(reterr, ST_TOO_LARGE,
                         "a configuration with more than %d members in a set",
                         RAFT_MEMBERS_MAX);
    }
    if (!is_ascending(c->voters, c->voters_count) ||
        !is_ascending(c->learners, c->learners_count) ||
        !is_ascending(c->voters_outgoing, c->voters_outgoing_count) ||
        !is_ascending(c->learners_next, c->learners_next_count)) {
        return fault_set(reterr, ST_INVALID,
                         "a set of a configuration is not ascending");
    }
    return ST_OK;
}

enum status raft_codec_check(const struct raft_message *m, struct fault *reterr)
{
    const unsigned type = (unsigned)m->type;
    if (type >= RAFT_MSG_TYPES || raft_message_type_is_local(m->type)) {
        return fault_set(reterr, ST_INVALID,
                         "a message of type %u (%s) is not for the network",
                         type, raft_message_type_name(m->type));
    }
    if (m->responses_count > 0) {
        return fault_set(reterr, ST_INVALID, "a message with responses");
    }
    if (!is_member_id(m->to) || !is_member_id(m->from)) {
        return fault_set(reterr, ST_INVALID,
                         "no member has the id of a message's %s",
                         is_member_id(m->to) ? "sender" : "target");
    }
    if ((m->snapshot != NULL) != (m->type == RAFT_MSG_SNAPSHOT)) {
        return fault_set(reterr, ST_INVALID, "a %s %s a snapshot",
                         raft_message_type_name(m->type),
                         m->snapshot != NULL ? "with" : "without");
    }
    if (payload_bytes(m->context).size > RAFT_CODEC_CONTEXT_SIZE_MAX) {
        return fault_set(
            reterr, ST_TOO_LARGE, "a context of %zu bytes, more than %zu",
            payload_bytes(m->context).size, RAFT_CODEC_CONTEXT_SIZE_MAX);
    }
    if (m->snapshot != NULL) {
        const enum status st = check_conf(&m->snapshot->conf, reterr);
        if (st != ST_OK) {
            return st;
        }
    }
    return check_entries(m, reterr);
}
