/* Commands of the interaction scripts, one function each. */

#include "tests/raft/interaction.h"

#include <strings.h>

#include "base/must.h"
#include "tests/raft/text.h"

typedef bool command(struct interaction *in, const struct script_block *b);

void interaction_fini(struct interaction *in)
{
    group_fini(&in->group);
}

/* ---- Arguments ---- */

static const struct script_arg *find_arg(const struct script_block *b,
                                         const char *key)
{
    for (size_t i = 0; i < b->args_count; i++) {
        if (strcmp(b->args[i].key, key) == 0 && b->args[i].values_count > 0) {
            return &b->args[i];
        }
    }
    return NULL;
}

/* The arguments without values are member numbers: at most `max` of them,
 * counted from 0.  Whatever else follows may look like a number. */
static size_t read_members(const struct interaction *in,
                           const struct script_block *b, size_t *members,
                           size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < b->args_count && count < max; i++) {
        if (b->args[i].values_count == 0) {
            const uint64_t id = script_number(b->args[i].key);
            must(id >= 1 && id <= in->group.count);
            members[count++] = (size_t)id - 1;
        }
    }
    return count;
}

static size_t first_member(const struct interaction *in,
                           const struct script_block *b)
{
    size_t at = 0;
    const size_t count = read_members(in, b, &at, 1);
    must(count == 1); /* propose's data and compact's index come behind it */
    return at;
}

static struct raft *first_raft(const struct interaction *in,
                               const struct script_block *b)
{
    return in->group.members[first_member(in, b)]->raft;
}

/* ---- One call each ---- */

static bool campaign(struct interaction *in, const struct script_block *b)
{
    raft_campaign(first_raft(in, b));
    return true;
}

static bool forget_leader(struct interaction *in, const struct script_block *b)
{
    raft_forget_leader(first_raft(in, b));
    return true;
}

static bool ok_or_error(struct interaction *in, enum status st)
{
    text_add(&in->group.error, "%s", text_status(st));
    return st == ST_OK;
}

static bool propose(struct interaction *in, const struct script_block *b)
{
    must(b->args_count == 2);
    struct raft *r = first_raft(in, b);
    struct payload *p = payload_copy_of(bytes_of(b->args[1].key));
    const enum status st = raft_propose(r, &p, 1);
    payload_drop(p);
    return ok_or_error(in, st);
}

static bool read_transition(const char *text, enum raft_conf_transition *to)
{
    static const char *const transitions[] = {"auto", "implicit", "explicit"};
    for (size_t i = 0; i < count_of(transitions); i++) {
        if (strcmp(text, transitions[i]) == 0) {
            *to = (enum raft_conf_transition)i;
            return true;
        }
    }
    return false;
}

static bool read_conf_options(struct interaction *in,
                              const struct script_block *b, bool *ret_v1,
                              struct raft_conf_change *cc)
{
    struct buf *error = &in->group.error;
    for (size_t i = 1; i < b->args_count; i++) {
        const struct script_arg *arg = &b->args[i];
        if (arg->values_count == 0) {
            continue;
        }
        const char *value = arg->values[0];
        if (strcmp(arg->key, "v1") == 0) {
            if (!script_read_bool(value, ret_v1)) {
                text_add(error,
                         "strconv.ParseBool: parsing \"%s\": invalid syntax",
                         value);
                return false;
            }
        } else if (strcmp(arg->key, "transition") != 0) {
            text_add(error, "unknown command %s", arg->key);
            return false;
        } else if (!read_transition(value, &cc->transition)) {
            text_add(error, "unknown transition %s", value);
            return false;
        }
    }
    return true;
}

static bool propose_conf_change(struct interaction *in,
                                const struct script_block *b)
{
    bool v1 = false;
    struct raft_conf_change cc = {.transition = RAFT_TRANSITION_AUTO};
    if (!read_conf_options(in, b, &v1, &cc)) {
        return false;
    }
    if (!text_read_changes(buf_bytes(&b->input), &cc, &in->group.error)) {
        return false;
    }
    if (v1 &&
        (cc.changes_count != 1 || cc.transition != RAFT_TRANSITION_AUTO)) {
        text_add(&in->group.error, "v1 conf change can only have one operation "
                                   "and no transition");
        return false;
    }
    return ok_or_error(
        in, raft_propose_conf_change(
                first_raft(in, b),
                v1 ? RAFT_ENTRY_CONF_CHANGE : RAFT_ENTRY_CONF_CHANGE_V2, &cc));
}

static void tick(struct interaction *in, const struct script_block *b,
                 bool election)
{
    struct group_member *m = in->group.members[first_member(in, b)];
    uint32_t ticks =
        election ? m->config.election_ticks : m->config.heartbeat_ticks;
    while (ticks-- > 0) {
        raft_tick(m->raft);
        raft_check(m->raft);
    }
}

static bool tick_election(struct interaction *in, const struct script_block *b)
{
    tick(in, b, true);
    return true;
}

static bool tick_heartbeat(struct interaction *in, const struct script_block *b)
{
    tick(in, b, false);
    return true;
}

static bool set_timeout(struct interaction *in, const struct script_block *b)
{
    const struct script_arg *arg = find_arg(b, "timeout");
    must(arg != NULL);
    first_raft(in, b)->election_timeout =
        (uint32_t)script_number(arg->values[0]);
    return true;
}

static bool transfer(struct interaction *in, const struct script_block *b)
{
    const struct script_arg *from = find_arg(b, "from");
    const struct script_arg *to = find_arg(b, "to");
    must(from != NULL && to != NULL);
    const uint64_t id = script_number(from->values[0]);
    must(id >= 1 && id <= in->group.count);
    raft_transfer_leader(in->group.members[id - 1]->raft,
                         script_number(to->values[0]));
    return true;
}

static bool report_unreachable(struct interaction *in,
                               const struct script_block *b)
{
    size_t members[2];
    if (read_members(in, b, members, 2) != 2 || b->args_count != 2) {
        text_add(&in->group.error,
                 "must specify exactly two node indexes: node on which to "
                 "report, and reported node");
        return false;
    }
    raft_report_unreachable(in->group.members[members[0]]->raft,
                            members[1] + 1);
    return true;
}

static bool send_snapshot(struct interaction *in, const struct script_block *b)
{
    size_t members[2];
    const size_t count = read_members(in, b, members, 2);
    must(count == 2);
    const struct group_member *from = in->group.members[members[0]];
    struct raft_status status;
    raft_status(from->raft, &status);
    struct raft_message m = {.type = RAFT_MSG_SNAPSHOT,
                             .from = members[0] + 1,
                             .to = members[1] + 1,
                             .term = status.hard.term,
                             .snapshot = raft_snapshot_hold(from->state)};
    text_message_line(in->group.out, &m);
    group_send(&in->group, &m);
    return true;
}

static bool compact(struct interaction *in, const struct script_block *b)
{
    must(b->args_count == 2);
    const size_t at = first_member(in, b);
    const enum status st = raft_memory_storage_compact(
        in->group.members[at]->memory, script_number(b->args[1].key));
    if (st == ST_OK) {
        group_print_log(&in->group, at);
    }
    return ok_or_error(in, st);
}

/* ---- Looking ---- */

static bool raft_log_command(struct interaction *in,
                             const struct script_block *b)
{
    group_print_log(&in->group, first_member(in, b));
    return true;
}

static bool raft_state(struct interaction *in, const struct script_block *b)
{
    (void)b;
    for (size_t i = 0; i < in->group.count; i++) {
        const struct raft *r = in->group.members[i]->raft;
        struct raft_status s;
        raft_status(r, &s);
        bool is_voter = false;
        for (size_t j = 0; j < s.peers_count; j++) {
            struct raft_peer_status peer;
            raft_peer(r, j, &peer);
            is_voter = is_voter || (peer.id == s.id && peer.is_voter);
        }
        text_add(in->group.out, "%llu: %s (%s) Term:%llu Lead:%llu\n",
                 (unsigned long long)s.id, text_role(s.soft.role),
                 is_voter ? "Voter" : "Non-Voter",
                 (unsigned long long)s.hard.term,
                 (unsigned long long)s.soft.leader);
    }
    return true;
}

static bool status(struct interaction *in, const struct script_block *b)
{
    const struct raft *r = first_raft(in, b);
    struct raft_status s;
    raft_status(r, &s);
    for (size_t i = 0; i < s.peers_count && s.soft.role == RAFT_LEADER; i++) {
        struct raft_peer_status peer;
        raft_peer(r, i, &peer);
        text_add(in->group.out, "%llu: ", (unsigned long long)peer.id);
        text_progress(in->group.out, &peer);
        text_add(in->group.out, "\n");
    }
    return true;
}

/* ---- Making progress ---- */

typedef bool process(struct group *g, size_t at);

/* One member: its output as it is.  Several: each under a heading. */
static bool process_each(struct interaction *in, const struct script_block *b,
                         process *what, const char *heading)
{
    struct buf *out = in->group.out;
    size_t members[GROUP_MEMBERS_MAX];
    const size_t count = read_members(in, b, members, GROUP_MEMBERS_MAX);
    bool ok = true;
    for (size_t i = 0; i < count && ok; i++) {
        if (count > 1) {
            text_add(out, "> %zu %s\n", members[i] + 1, heading);
        }
        const size_t from = out->size;
        ok = what(&in->group, members[i]);
        if (count > 1) {
            text_indent(out, from);
        }
    }
    return ok;
}

static bool process_ready(struct interaction *in, const struct script_block *b)
{
    return process_each(in, b, group_process_ready, "handling Ready");
}

static bool process_append(struct interaction *in, const struct script_block *b)
{
    return process_each(in, b, group_process_append,
                        "processing append thread");
}

static bool process_apply(struct interaction *in, const struct script_block *b)
{
    return process_each(in, b, group_process_apply, "processing apply thread");
}

static bool deliver(struct interaction *in, const struct script_block *b)
{
    struct group_filter filter = {.any_type = true};
    const struct script_arg *type = find_arg(b, "type");
    for (int t = 0; t < RAFT_MSG_TYPES && type != NULL; t++) {
        if (strcmp(raft_message_type_name((enum raft_message_type)t),
                   type->values[0]) == 0) {
            filter.type = (enum raft_message_type)t;
            filter.any_type = false;
        }
    }
    must(type == NULL || !filter.any_type);
    size_t count = 0;
    for (size_t i = 0; i < b->args_count; i++) {
        const struct script_arg *arg = &b->args[i];
        if (arg->values_count == 0) {
            filter.to = script_number(arg->key);
            filter.drop = false;
            count += group_deliver(&in->group, filter);
        } else if (strcmp(arg->key, "drop") == 0) {
            for (size_t j = 0; j < arg->values_count; j++) {
                filter.to = script_number(arg->values[j]);
                filter.drop = true;
                count += group_deliver(&in->group, filter);
            }
        }
    }
    if (count == 0) {
        text_add(in->group.out, "no messages\n");
    }
    return true;
}

/* One kind of work of one member, under a heading.  False: an error. */
static bool work(struct interaction *in, size_t at, process *what,
                 const char *heading)
{
    struct buf *out = in->group.out;
    text_add(out, "> %zu %s\n", at + 1, heading);
    const size_t from = out->size;
    const bool ok = what(&in->group, at);
    text_indent(out, from);
    return ok;
}

static bool deliver_all(struct group *g, size_t at)
{
    (void)group_deliver(g,
                        (struct group_filter){.to = at + 1, .any_type = true});
    return true;
}

static bool work_all(struct interaction *in, size_t at, bool appends,
                     bool *ret_ok)
{
    struct group_member *m = in->group.members[at];
    struct group_queue *queue = appends ? &m->append_work : &m->apply_work;
    struct buf *out = in->group.out;
    if (queue->count == 0 || !*ret_ok) {
        return false;
    }
    text_add(out, "> %zu processing %s thread\n", at + 1,
             appends ? "append" : "apply");
    process *one = appends ? group_process_append : group_process_apply;
    while (queue->count > 0 && *ret_ok) {
        const size_t from = out->size;
        *ret_ok = one(&in->group, at);
        text_indent(out, from);
    }
    return true;
}

/* One round; *ret_ok is set to false at an error.  False: nothing to do. */
static bool stabilize_once(struct interaction *in, const size_t *members,
                           size_t count, bool *ret_ok)
{
    struct group *g = &in->group;
    bool worked = false;
    for (size_t i = 0; i < count; i++) {
        if (raft_has_ready(g->members[members[i]]->raft)) {
            worked = true;
            if (!work(in, members[i], group_process_ready, "handling Ready")) {
                *ret_ok = false;
                return false;
            }
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (group_has_messages(g, members[i] + 1)) {
            worked = true;
            (void)work(in, members[i], deliver_all, "receiving messages");
        }
    }
    for (size_t i = 0; i < count; i++) {
        worked = work_all(in, members[i], true, ret_ok) || worked;
    }
    for (size_t i = 0; i < count && *ret_ok; i++) {
        worked = work_all(in, members[i], false, ret_ok) || worked;
    }
    return worked && *ret_ok;
}

static bool read_level(struct interaction *in, const char *level, bool *quiet)
{
    static const char *const levels[] = {"DEBUG", "INFO",  "WARN",
                                         "ERROR", "FATAL", "NONE"};
    for (size_t i = 0; i < count_of(levels); i++) {
        if (strcasecmp(level, levels[i]) == 0) {
            *quiet = i + 1 == count_of(levels);
            return true;
        }
    }
    text_add(&in->group.error, "log levels must be either of "
                               "[DEBUG INFO WARN ERROR FATAL NONE]");
    return false;
}

static bool stabilize(struct interaction *in, const struct script_block *b)
{
    const struct script_arg *level = find_arg(b, "log-level");
    if (level != NULL &&
        !read_level(in, level->values[0], &in->command_quiet)) {
        return false;
    }
    size_t members[GROUP_MEMBERS_MAX];
    size_t count = read_members(in, b, members, GROUP_MEMBERS_MAX);
    if (count == 0) {
        for (; count < in->group.count; count++) {
            members[count] = count;
        }
    }
    bool ok = true;
    while (stabilize_once(in, members, count, &ok)) {
    }
    return ok;
}

static bool log_level(struct interaction *in, const struct script_block *b)
{
    must(b->args_count == 1);
    return read_level(in, b->args[0].key, &in->quiet);
}

/* A place for a debugger to stop at. */
static bool breakpoint(struct interaction *in, const struct script_block *b)
{
    (void)in;
    (void)b;
    return true;
}

static const struct {
    const char *name;
    command *run;
} commands[] = {{"_breakpoint", breakpoint},
                {"add-nodes", interaction_add_nodes},
                {"campaign", campaign},
                {"compact", compact},
                {"deliver-msgs", deliver},
                {"forget-leader", forget_leader},
                {"log-level", log_level},
                {"process-append-thread", process_append},
                {"process-apply-thread", process_apply},
                {"process-ready", process_ready},
                {"propose", propose},
                {"propose-conf-change", propose_conf_change},
                {"raft-log", raft_log_command},
                {"raft-state", raft_state},
                {"report-unreachable", report_unreachable},
                {"send-snapshot", send_snapshot},
                {"set-randomized-election-timeout", set_timeout},
                {"stabilize", stabilize},
                {"status", status},
                {"tick-election", tick_election},
                {"tick-heartbeat", tick_heartbeat},
                {"transfer-leadership", transfer}};

void interaction_run(void *context, const struct script_block *block,
                     struct buf *output)
{
    struct interaction *in = context;
    struct buf *error = &in->group.error;
    size_t i = 0;
    while (i < count_of(commands) &&
           strcmp(commands[i].name, block->name) != 0) {
        i++;
    }
    in->group.out = output;
    in->command_quiet = in->quiet;
    buf_clear(error);
    if (i == count_of(commands)) {
        text_add(error, "unknown command");
    } else {
        const bool ok = commands[i].run(in, block);
        must(ok == (error->size == 0));
    }
    if (in->command_quiet || (in->quiet && error->size > 0)) {
        buf_clear(output);
    }
    buf_append(output, buf_bytes(error));
}
