/* Rendering for the scripts: the form is theirs, to the letter. */

#include "tests/raft/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/must.h"

void text_add(struct buf *to, const char *format, ...)
{
    va_list args;
    va_list again;
    va_start(args, format);
    va_copy(again, args);
    size_t room = 256;
    const int size =
        vsnprintf((char *)buf_reserve(to, room), room, format, args);
    must(size >= 0);
    if ((size_t)size >= room) {
        room = (size_t)size + 1;
        (void)vsnprintf((char *)buf_reserve(to, room), room, format, again);
    }
    va_end(again);
    va_end(args);
    (void)buf_extend(to, (size_t)size);
}

void text_indent(struct buf *to, size_t from)
{
    struct buf lines = {NULL, 0, 0};
    bool at_start = true;
    for (size_t i = from; i < to->size; i++) {
        if (at_start) {
            text_add(&lines, "  ");
        }
        buf_append_byte(&lines, to->data[i]);
        at_start = to->data[i] == '\n';
    }
    if (!at_start) {
        text_add(&lines, "\n");
    }
    buf_resize(to, from);
    buf_append(to, buf_bytes(&lines));
    buf_fini(&lines);
}

/* Go's %q, for bytes up to 127; others as they are. */
static void add_quoted(struct buf *to, struct bytes b)
{
    static const char escaped[] = "\a\b\f\n\r\t\v\\\"";
    static const char letters[] = "abfnrtv\\\"";
    text_add(to, "\"");
    for (size_t i = 0; i < b.size; i++) {
        const char c = (char)b.data[i];
        const char *at = c == 0 ? NULL : strchr(escaped, c);
        if (at != NULL) {
            text_add(to, "\\%c", letters[at - escaped]);
        } else if (b.data[i] < 32 || b.data[i] == 127) {
            text_add(to, "\\x%02x", b.data[i]);
        } else {
            buf_append_byte(to, b.data[i]);
        }
    }
    text_add(to, "\"");
}

static void add_changes(struct buf *to, const struct raft_entry *e)
{
    struct raft_conf_change cc;
    if (raft_conf_change_decode(e->type, payload_bytes(e->payload), &cc) !=
        ST_OK) {
        text_add(to, " (malformed)");
        return;
    }
    for (size_t i = 0; i < cc.changes_count; i++) {
        text_add(to, " %c%" PRIu64, "vrul"[cc.changes[i].type],
                 cc.changes[i].node);
    }
}

static void add_entry(struct buf *to, const struct raft_entry *e)
{
    text_add(to, "%" PRIu64 "/%" PRIu64 " ", e->term, e->index);
    switch (e->type) {
    case RAFT_ENTRY_NORMAL:
        text_add(to, "EntryNormal ");
        add_quoted(to, payload_bytes(e->payload));
        break;
    case RAFT_ENTRY_CONF_CHANGE:
        text_add(to, "EntryConfChange");
        add_changes(to, e);
        break;
    case RAFT_ENTRY_CONF_CHANGE_V2:
        text_add(to, "EntryConfChangeV2");
        add_changes(to, e);
        break;
    }
}

void text_entry_line(struct buf *to, const struct raft_entry *e)
{
    add_entry(to, e);
    text_add(to, "\n");
}

static void add_party(struct buf *to, uint64_t id)
{
    if (id == RAFT_NONE) {
        text_add(to, "None");
    } else if (id == RAFT_APPEND_THREAD) {
        text_add(to, "AppendThread");
    } else if (id == RAFT_APPLY_THREAD) {
        text_add(to, "ApplyThread");
    } else {
        text_add(to, "%" PRIx64, id);
    }
}

static void add_list(struct buf *to, const char *name, const uint64_t *ids,
                     size_t count)
{
    text_add(to, "%s:[", name);
    for (size_t i = 0; i < count; i++) {
        text_add(to, "%s%" PRIu64, i > 0 ? " " : "", ids[i]);
    }
    text_add(to, "] ");
}

static void add_snapshot(struct buf *to, const struct raft_snapshot *s)
{
    text_add(to, "Index:%" PRIu64 " Term:%" PRIu64 " ConfState:", s->index,
             s->term);
    add_list(to, "Voters", s->conf.voters, s->conf.voters_count);
    add_list(to, "VotersOutgoing", s->conf.voters_outgoing,
             s->conf.voters_outgoing_count);
    add_list(to, "Learners", s->conf.learners, s->conf.learners_count);
    add_list(to, "LearnersNext", s->conf.learners_next,
             s->conf.learners_next_count);
    text_add(to, "AutoLeave:%s", s->conf.auto_leave ? "true" : "false");
}

static void add_message_entries(struct buf *to, const struct raft_message *m,
                                int indent)
{
    if (m->entries.count == 0) {
        return;
    }
    text_add(to, " Entries:[");
    if (m->entries.count == 1) {
        add_entry(to, &m->entries.list[0]);
        text_add(to, "]");
        return;
    }
    for (size_t i = 0; i < m->entries.count; i++) {
        text_add(to, "\n%*s  ", indent, "");
        add_entry(to, &m->entries.list[i]);
    }
    text_add(to, "\n%*s]", indent, "");
}

static void add_message(struct buf *to, const struct raft_message *m,
                        int indent)
{
    text_add(to, "%*s", indent, "");
    add_party(to, m->from);
    text_add(to, "->");
    add_party(to, m->to);
    text_add(to, " %s Term:%" PRIu64 " Log:%" PRIu64 "/%" PRIu64,
             raft_message_type_name(m->type), m->term, m->log_term, m->index);
    if (m->reject) {
        text_add(to, " Rejected (Hint: %" PRIu64 ")", m->reject_hint);
    }
    if (m->commit != 0) {
        text_add(to, " Commit:%" PRIu64, m->commit);
    }
    if (m->vote != 0) {
        text_add(to, " Vote:%" PRIu64, m->vote);
    }
    add_message_entries(to, m, indent);
    if (m->snapshot != NULL) {
        text_add(to, "\n%*s  Snapshot: ", indent, "");
        add_snapshot(to, m->snapshot);
    }
    if (m->responses_count > 0) {
        text_add(to, " Responses:[");
        for (size_t i = 0; i < m->responses_count; i++) {
            text_add(to, "\n");
            add_message(to, &m->responses[i], indent + 2);
        }
        text_add(to, "\n%*s]", indent, "");
    }
}

void text_message_line(struct buf *to, const struct raft_message *m)
{
    add_message(to, m, 0);
    text_add(to, "\n");
}

static void add_entries(struct buf *to, const char *name,
                        const struct raft_entry *entries, size_t count)
{
    if (count == 0) {
        return;
    }
    text_add(to, "%s:\n", name);
    for (size_t i = 0; i < count; i++) {
        text_entry_line(to, &entries[i]);
    }
}

static void add_read_states(struct buf *to, const struct raft_ready *rd)
{
    if (rd->read_states_count == 0) {
        return;
    }
    text_add(to, "ReadStates [");
    for (size_t i = 0; i < rd->read_states_count; i++) {
        const struct raft_read_state *s = &rd->read_states[i];
        const struct bytes context = payload_bytes(s->context);
        text_add(to, "%s{%" PRIu64 " [", i > 0 ? " " : "", s->index);
        for (size_t j = 0; j < context.size; j++) {
            text_add(to, "%s%u", j > 0 ? " " : "", context.data[j]);
        }
        text_add(to, "]}");
    }
    text_add(to, "]\n");
}

const char *text_role(enum raft_role role)
{
    switch (role) {
    case RAFT_FOLLOWER:
        return "StateFollower";
    case RAFT_CANDIDATE:
        return "StateCandidate";
    case RAFT_LEADER:
        return "StateLeader";
    case RAFT_PRE_CANDIDATE:
        return "StatePreCandidate";
    }
    unreachable("four roles");
}

void text_ready(struct buf *to, const struct raft_ready *rd)
{
    const size_t start = to->size;
    text_add(to, "Ready MustSync=%s:\n", rd->must_sync ? "true" : "false");
    const size_t body = to->size;
    if (rd->soft_state_changed) {
        text_add(to, "Lead:%" PRIu64 " State:%s\n", rd->soft_state.leader,
                 text_role(rd->soft_state.role));
    }
    if (rd->hard_state_changed) {
        const struct raft_hard_state *h = &rd->hard_state;
        text_add(to, "HardState Term:%" PRIu64, h->term);
        if (h->vote != RAFT_NONE) {
            text_add(to, " Vote:%" PRIu64, h->vote);
        }
        text_add(to, " Commit:%" PRIu64 "\n", h->commit);
    }
    add_read_states(to, rd);
    add_entries(to, "Entries", rd->entries, rd->entries_count);
    if (rd->snapshot != NULL) {
        text_add(to, "Snapshot ");
        add_snapshot(to, rd->snapshot);
        text_add(to, "\n");
    }
    add_entries(to, "CommittedEntries", rd->committed, rd->committed_count);
    if (rd->messages_count > 0) {
        text_add(to, "Messages:\n");
    }
    for (size_t i = 0; i < rd->messages_count; i++) {
        text_message_line(to, &rd->messages[i]);
    }
    if (to->size == body) {
        buf_resize(to, start);
        text_add(to, "<empty Ready>");
    }
}

void text_progress(struct buf *to, const struct raft_peer_status *p)
{
    static const char *const names[] = {"StateProbe", "StateReplicate",
                                        "StateSnapshot"};
    text_add(to, "%s match=%" PRIu64 " next=%" PRIu64, names[p->state],
             p->match, p->next);
    if (p->is_learner) {
        text_add(to, " learner");
    }
    if (p->paused) {
        text_add(to, " paused");
    }
    if (p->pending_snapshot > 0) {
        text_add(to, " pendingSnap=%" PRIu64, p->pending_snapshot);
    }
    if (!p->recent_active) {
        text_add(to, " inactive");
    }
    if (p->inflight_messages > 0) {
        text_add(to, " inflight=%zu%s", p->inflight_messages,
                 p->inflights_full ? "[full]" : "");
    }
}

void text_ids(struct buf *to, const struct raft_ids *ids)
{
    text_add(to, "(");
    for (size_t i = 0; i < ids->count; i++) {
        text_add(to, "%s%" PRIx64, i > 0 ? " " : "", ids->list[i]);
    }
    text_add(to, ")");
}

void text_conf(struct buf *to, const struct raft_conf_sets *sets)
{
    text_add(to, "voters=");
    text_ids(to, &sets->incoming);
    if (sets->outgoing.count > 0) {
        text_add(to, "&&");
        text_ids(to, &sets->outgoing);
    }
    if (sets->learners.count > 0) {
        text_add(to, " learners=");
        text_ids(to, &sets->learners);
    }
    if (sets->learners_next.count > 0) {
        text_add(to, " learners_next=");
        text_ids(to, &sets->learners_next);
    }
    if (sets->auto_leave) {
        text_add(to, " autoleave");
    }
}

const char *text_status(enum status st)
{
    switch (st) {
    case ST_OK:
        return "";
    case ST_NO_LEADER:
    case ST_NOT_LEADER:
    case ST_TOO_MANY:
        return "raft proposal dropped";
    case ST_NOT_FOUND:
        return "raft: cannot step as peer not found";
    case ST_INVALID:
        return "raft: cannot step raft local message";
    case ST_COMPACTED:
        return "requested index is unavailable due to compaction";
    default:
        return status_name(st);
    }
}

const char *text_refusal(enum raft_conf_refusal why)
{
    switch (why) {
    case RAFT_CONF_OK:
        return "";
    case RAFT_CONF_ALREADY_JOINT:
        return "config is already joint";
    case RAFT_CONF_NOT_JOINT:
        return "can't leave a non-joint config";
    case RAFT_CONF_SIMPLE_IN_JOINT:
        return "can't apply simple config change in joint config";
    case RAFT_CONF_JOINT_WITHOUT_VOTERS:
        return "can't make a zero-voter config joint";
    case RAFT_CONF_NO_VOTERS_LEFT:
        return "removed all voters";
    case RAFT_CONF_MORE_THAN_ONE_VOTER:
        return "more than one voter changed without entering joint config";
    case RAFT_CONF_TOO_MANY_MEMBERS:
        return "too many members";
    }
    unreachable("every refusal has a text");
}

static bool read_node(const char *text, uint64_t *to, struct buf *error)
{
    char *end = NULL;
    errno = 0;
    *to = strtoull(text, &end, 10);
    const bool is_number = *end == 0 && text[0] >= '0' && text[0] <= '9';
    if (!is_number || errno == ERANGE) {
        text_add(error, "strconv.ParseUint: parsing \"%s\": %s", text,
                 is_number ? "value out of range" : "invalid syntax");
        return false;
    }
    return true;
}

static bool read_change(const char *token, struct raft_conf_change_single *to,
                        struct buf *error)
{
    static const char kinds[] = "vrul"; /* in the order of the types */
    if (strlen(token) < 2) {
        text_add(error, "unknown token %s", token);
        return false;
    }
    const char *at = strchr(kinds, token[0]);
    if (at == NULL) {
        text_add(error, "unknown input: %s", token);
        return false;
    }
    to->type = (enum raft_conf_change_type)(at - kinds);
    return read_node(token + 1, &to->node, error);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

bool text_read_changes(struct bytes text, struct raft_conf_change *cc,
                       struct buf *error)
{
    cc->changes_count = 0;
    while (text.size > 0 && is_space((char)text.data[0])) {
        text = bytes_after(text, 1);
    }
    while (text.size > 0 && is_space((char)text.data[text.size - 1])) {
        text.size--;
    }
    /* Between two changes is exactly one space. */
    while (text.size > 0) {
        const uint8_t *space = memchr(text.data, ' ', text.size);
        const size_t size =
            space == NULL ? text.size : (size_t)(space - text.data);
        char token[64];
        if (size >= sizeof token || cc->changes_count == RAFT_CHANGES_MAX) {
            text_add(error, "too many changes");
            return false;
        }
        memcpy(token, text.data, size);
        token[size] = 0;
        if (!read_change(token, &cc->changes[cc->changes_count++], error)) {
            return false;
        }
        text = bytes_after(text, space == NULL ? size : size + 1);
    }
    return true;
}
