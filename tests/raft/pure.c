/* Scripts about pure functions: quorums, and steps between configurations. */

#include "tests/raft/pure.h"

#include "base/must.h"
#include "tests/raft/text.h"

/* ---- quorum ---- */

#define VOTERS_MAX 64

/* What is known of each voter, in the order in which the script names them. */
struct known {
    uint64_t id;
    bool given;
    uint64_t value; /* an index, or 1 for yes and 0 for no */
};

struct question {
    struct raft_ids incoming, outgoing;
    bool joint;
    struct known list[VOTERS_MAX];
    size_t count;
};

static const struct known *find_known(const struct question *q, uint64_t id)
{
    for (size_t i = 0; i < q->count; i++) {
        if (q->list[i].id == id) {
            return &q->list[i];
        }
    }
    return NULL;
}

static bool acked(const void *context, uint64_t id, uint64_t *ret_index)
{
    const struct known *k = find_known(context, id);
    if (k == NULL || !k->given) {
        return false;
    }
    *ret_index = k->value;
    return true;
}

static bool voted(const void *context, uint64_t id, bool *ret_granted)
{
    uint64_t value = 0;
    const bool given = acked(context, id, &value);
    *ret_granted = value == 1;
    return given;
}

static void add_voters(struct question *q, struct raft_ids *to,
                       const struct script_arg *arg)
{
    for (size_t i = 0; i < arg->values_count; i++) {
        if (strcmp(arg->values[i], "zero") == 0) {
            continue;
        }
        const uint64_t id = script_number(arg->values[i]);
        const bool added = raft_ids_add(to, id);
        must(added);
        if (find_known(q, id) == NULL) {
            must(q->count < VOTERS_MAX);
            q->list[q->count++] = (struct known){.id = id};
        }
    }
}

static bool read_question(struct question *q, const struct script_block *b)
{
    const struct script_arg *values = NULL;
    for (size_t i = 0; i < b->args_count; i++) {
        const struct script_arg *arg = &b->args[i];
        if (strcmp(arg->key, "cfg") == 0) {
            add_voters(q, &q->incoming, arg);
        } else if (strcmp(arg->key, "cfgj") == 0) {
            q->joint = true;
            add_voters(q, &q->outgoing, arg);
        } else {
            values = arg;
        }
    }
    const size_t count = values == NULL ? 0 : values->values_count;
    if (count != q->count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const char *text = values->values[i];
        struct known *k = &q->list[i];
        k->given = strcmp(text, "_") != 0;
        if (!k->given) {
            continue;
        }
        k->value = strcmp(text, "y") == 0   ? 1
                   : strcmp(text, "n") == 0 ? 0
                                            : script_number(text);
    }
    return true;
}

/* How many voters are behind this one: the length of its bar. */
static size_t count_below(const struct question *q, const struct raft_ids *ids,
                          uint64_t index)
{
    size_t below = 0;
    for (size_t i = 0; i < ids->count; i++) {
        uint64_t other = 0;
        (void)acked(q, ids->list[i], &other);
        below += other < index ? 1 : 0;
    }
    return below;
}

static void describe(struct buf *to, const struct question *q)
{
    struct raft_ids all = q->incoming;
    for (size_t i = 0; i < q->outgoing.count; i++) {
        const bool added = raft_ids_add(&all, q->outgoing.list[i]);
        must(added);
    }
    if (all.count == 0) {
        text_add(to, "<empty majority quorum>");
        return;
    }
    const int width = (int)all.count;
    text_add(to, "%*s    idx\n", width, "");
    for (size_t i = 0; i < all.count; i++) {
        uint64_t index = 0;
        const bool given = acked(q, all.list[i], &index);
        const int bar = given ? (int)count_below(q, &all, index) : 0;
        for (int j = 0; j < bar; j++) {
            text_add(to, "x");
        }
        text_add(to, "%s%*s %5llu    (id=%llx)\n", given ? ">" : "?",
                 width - bar, "", (unsigned long long)index,
                 (unsigned long long)all.list[i]);
    }
}

static void add_index(struct buf *to, uint64_t index, const char *remark)
{
    if (index == UINT64_MAX) {
        text_add(to, "∞%s\n", remark);
    } else {
        text_add(to, "%llu%s\n", (unsigned long long)index, remark);
    }
}

static void committed(struct buf *to, const struct question *q)
{
    const struct raft_ids none = {.count = 0};
    describe(to, q);
    if (q->joint) {
        const uint64_t index =
            raft_joint_committed(&q->incoming, &q->outgoing, acked, q);
        const uint64_t swapped =
            raft_joint_committed(&q->outgoing, &q->incoming, acked, q);
        if (swapped != index) {
            add_index(to, swapped, " <-- via symmetry");
        }
        add_index(to, index, "");
        return;
    }
    const uint64_t index = raft_majority_committed(&q->incoming, acked, q);
    const uint64_t half = raft_joint_committed(&q->incoming, &none, acked, q);
    if (half != index) {
        add_index(to, half, " <-- via zero-joint quorum");
    }
    const uint64_t self =
        raft_joint_committed(&q->incoming, &q->incoming, acked, q);
    if (self != index) {
        add_index(to, self, " <-- via self-joint quorum");
    }
    add_index(to, index, "");
}

static void vote(struct buf *to, const struct question *q)
{
    static const char *const names[] = {"VotePending", "VoteLost", "VoteWon"};
    if (!q->joint) {
        text_add(to, "%s\n", names[raft_majority_vote(&q->incoming, voted, q)]);
        return;
    }
    const enum raft_vote_result result =
        raft_joint_vote(&q->incoming, &q->outgoing, voted, q);
    const enum raft_vote_result swapped =
        raft_joint_vote(&q->outgoing, &q->incoming, voted, q);
    if (swapped != result) {
        text_add(to, "%s <-- via symmetry\n", names[swapped]);
    }
    text_add(to, "%s\n", names[result]);
}

/* In the form of Go's maps and slices; what is not known counts as 0, and a
 * vote as 1 against and 2 for. */
static void mismatch(struct buf *to, const struct question *q,
                     const struct script_block *b)
{
    struct raft_ids all = q->incoming;
    for (size_t i = 0; i < q->outgoing.count; i++) {
        const bool added = raft_ids_add(&all, q->outgoing.list[i]);
        must(added);
    }
    text_add(to, "error: mismatched input (explicit or _) for voters map[");
    for (size_t i = 0; i < all.count; i++) {
        text_add(to, "%s%llu:{}", i > 0 ? " " : "",
                 (unsigned long long)all.list[i]);
    }
    text_add(to, "]: [");
    const char *name = strcmp(b->name, "vote") == 0 ? "votes" : "idx";
    size_t count = 0;
    for (size_t i = 0; i < b->args_count; i++) {
        const struct script_arg *arg = &b->args[i];
        for (size_t j = 0; j < arg->values_count && strcmp(arg->key, name) == 0;
             j++) {
            const char *text = arg->values[j];
            const char *value = strcmp(text, "_") == 0   ? "0"
                                : strcmp(text, "n") == 0 ? "1"
                                : strcmp(text, "y") == 0 ? "2"
                                                         : text;
            text_add(to, "%s%s", count++ > 0 ? " " : "", value);
        }
    }
    text_add(to, "]");
}

void quorum_run(void *context, const struct script_block *block,
                struct buf *output)
{
    (void)context;
    struct question q = {.count = 0};
    if (!read_question(&q, block)) {
        mismatch(output, &q, block);
    } else if (strcmp(block->name, "committed") == 0) {
        committed(output, &q);
    } else if (strcmp(block->name, "vote") == 0) {
        vote(output, &q);
    } else {
        text_add(output, "unknown command");
    }
}

/* ---- confchange ---- */

void confchange_init(struct confchange *c)
{
    *c = (struct confchange){.last_index = 0};
    c->members.inflight_count_max = 10;
    c->members.inflight_bytes_max = RAFT_NO_LIMIT;
}

void confchange_fini(struct confchange *c)
{
    raft_members_fini(&c->members);
}

static void print_members(const struct raft_members *m, struct buf *output)
{
    text_conf(output, &m->conf);
    text_add(output, "\n");
    for (size_t i = 0; i < m->count; i++) {
        const struct raft_progress *p = &m->list[i];
        const struct raft_peer_status peer = {.state = p->state,
                                              .match = p->match,
                                              .next = p->next,
                                              .is_learner = p->is_learner,
                                              .recent_active = p->recent_active,
                                              .paused =
                                                  raft_progress_is_paused(p)};
        text_add(output, "%llu: ", (unsigned long long)p->id);
        text_progress(output, &peer);
        text_add(output, "\n");
    }
}

void confchange_run(void *context, const struct script_block *block,
                    struct buf *output)
{
    struct confchange *c = context;
    const struct raft_conf_sets *conf = &c->members.conf;
    struct raft_conf_change cc;
    struct raft_conf_step step;
    enum raft_conf_refusal why = RAFT_CONF_OK;
    const uint64_t last_index = c->last_index++;
    if (!text_read_changes(buf_bytes(&block->input), &cc, output)) {
        return;
    }
    if (strcmp(block->name, "simple") == 0) {
        why = raft_conf_simple(conf, cc.changes, cc.changes_count, &step);
    } else if (strcmp(block->name, "enter-joint") == 0) {
        const bool auto_leave =
            block->args_count > 0 && script_bool(block->args[0].values[0]);
        why = raft_conf_enter_joint(conf, auto_leave, cc.changes,
                                    cc.changes_count, &step);
    } else if (strcmp(block->name, "leave-joint") != 0) {
        text_add(output, "unknown command");
        return;
    } else if (cc.changes_count > 0) {
        text_add(output, "this command takes no input");
        return;
    } else {
        why = raft_conf_leave_joint(conf, &step);
    }
    if (why != RAFT_CONF_OK) {
        text_add(output, "%s\n", text_refusal(why));
        return;
    }
    raft_members_switch(&c->members, &step.sets, &step.replaced, last_index);
    print_members(&c->members, output);
}
