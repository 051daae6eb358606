/* Carrying out what members ask for, step by step and printed. */

#include "tests/raft/group.h"

#include "base/must.h"
#include "tests/raft/text.h"

static void push(struct group_queue *q, struct raft_message *taken)
{
    if (q->count == q->capacity) {
        q->capacity = q->capacity == 0 ? 8 : q->capacity * 2;
        q->list = xrealloc(q->list, q->capacity * sizeof q->list[0]);
    }
    raft_message_take(&q->list[q->count++], taken);
}

static void remove_at(struct group_queue *q, size_t at, struct raft_message *to)
{
    must(at < q->count);
    raft_message_take(to, &q->list[at]);
    q->count--;
    memmove(&q->list[at], &q->list[at + 1],
            (q->count - at) * sizeof q->list[0]);
}

static void queue_fini(struct group_queue *q)
{
    for (size_t i = 0; i < q->count; i++) {
        raft_message_fini(&q->list[i]);
    }
    free(q->list);
}

void group_send(struct group *g, struct raft_message *taken)
{
    push(&g->messages, taken);
}

static void member_free(struct group_member *m)
{
    raft_free(m->raft);
    queue_fini(&m->append_work);
    queue_fini(&m->apply_work);
    raft_memory_storage_free(m->memory);
    raft_snapshot_drop(m->state);
    free(m);
}

void group_fini(struct group *g)
{
    for (size_t i = 0; i < g->count; i++) {
        member_free(g->members[i]);
    }
    queue_fini(&g->messages);
    buf_fini(&g->error);
}

/* ---- The storage: the memory's, with the latest state as snapshot ---- */

static struct group_member *member_of(struct raft_storage *s)
{
    return container_of(s, struct group_member, storage);
}

static struct raft_storage *memory_of(struct raft_storage *s)
{
    return raft_memory_storage_base(member_of(s)->memory);
}

static enum status on_initial_state(struct raft_storage *s,
                                    struct raft_hard_state *ret_state,
                                    struct raft_conf_state *ret_conf)
{
    struct raft_storage *m = memory_of(s);
    return m->ops->initial_state(m, ret_state, ret_conf);
}

static enum status on_entries(struct raft_storage *s, uint64_t lo, uint64_t hi,
                              uint64_t max_bytes, struct raft_entries *to)
{
    struct raft_storage *m = memory_of(s);
    return m->ops->entries(m, lo, hi, max_bytes, to);
}

static enum status on_term(struct raft_storage *s, uint64_t index,
                           uint64_t *ret_term)
{
    struct raft_storage *m = memory_of(s);
    return m->ops->term(m, index, ret_term);
}

static uint64_t on_first_index(struct raft_storage *s)
{
    struct raft_storage *m = memory_of(s);
    return m->ops->first_index(m);
}

static uint64_t on_last_index(struct raft_storage *s)
{
    struct raft_storage *m = memory_of(s);
    return m->ops->last_index(m);
}

static enum status on_snapshot(struct raft_storage *s,
                               struct raft_snapshot **ret_snapshot)
{
    *ret_snapshot = raft_snapshot_hold(member_of(s)->state);
    return ST_OK;
}

static const struct raft_storage_ops ops = {.initial_state = on_initial_state,
                                            .entries = on_entries,
                                            .term = on_term,
                                            .first_index = on_first_index,
                                            .last_index = on_last_index,
                                            .snapshot = on_snapshot};

bool group_add(struct group *g, const struct raft_config *config,
               struct raft_snapshot *snapshot)
{
    must(g->count < GROUP_MEMBERS_MAX);
    struct group_member *m = xcalloc(1, sizeof *m);
    m->storage.ops = &ops;
    m->memory = raft_memory_storage_new();
    m->state = raft_snapshot_hold(snapshot);
    m->config = *config;
    m->config.id = g->count + 1;
    m->config.storage = &m->storage;
    m->config.seed = m->config.id;
    enum status st = ST_OK;
    if (snapshot->index > 0) {
        st = raft_memory_storage_apply_snapshot(m->memory, snapshot);
    }
    if (st == ST_OK) {
        st = raft_new(&m->config, &m->raft);
    }
    if (st != ST_OK) {
        text_add(&g->error, "%s", text_status(st));
        member_free(m);
        return false;
    }
    g->members[g->count++] = m;
    return true;
}

/* ---- Storage work ---- */

static bool save(struct group *g, struct group_member *m,
                 const struct raft_hard_state *hard,
                 const struct raft_entry *entries, size_t count,
                 struct raft_snapshot *snapshot)
{
    if (hard->term > 0 || hard->vote > 0 || hard->commit > 0) {
        raft_memory_storage_set_hard_state(m->memory, hard);
    }
    if (snapshot == NULL) {
        const enum status st =
            raft_memory_storage_append(m->memory, entries, count);
        must(st == ST_OK);
        return true;
    }
    if (count > 0) {
        text_add(&g->error,
                 "can't apply snapshot and entries at the same time");
        return false;
    }
    if (raft_memory_storage_apply_snapshot(m->memory, snapshot) != ST_OK) {
        text_add(&g->error,
                 "requested index is older than the existing snapshot");
        return false;
    }
    return true;
}

/* The state after one more entry. */
static void apply_one(struct group_member *m, const struct raft_entry *e)
{
    struct bytes update = payload_bytes(e->payload);
    struct raft_conf_state conf = m->state->conf;
    if (e->type != RAFT_ENTRY_NORMAL) {
        struct raft_conf_change cc;
        enum status st = raft_conf_change_decode(e->type, update, &cc);
        must(st == ST_OK);
        st = raft_apply_conf_change(m->raft, e->index, &cc, &conf);
        must(st == ST_OK);
        update = cc.context;
    }
    struct buf data = {NULL, 0, 0};
    buf_append(&data, payload_bytes(m->state->data));
    buf_append(&data, update);
    struct payload *p = payload_copy_of(buf_bytes(&data));
    buf_fini(&data);
    struct raft_snapshot *next = raft_snapshot_new(e->index, e->term, &conf, p);
    payload_drop(p);
    raft_snapshot_drop(m->state);
    m->state = next;
}

static void apply(struct group_member *m, const struct raft_entry *entries,
                  size_t count)
{
    for (size_t i = 0; i < count; i++) {
        apply_one(m, &entries[i]);
    }
}

static void route(struct group *g, struct group_member *m,
                  struct raft_message *taken)
{
    if (taken->to == RAFT_APPEND_THREAD) {
        must(taken->type == RAFT_MSG_STORAGE_APPEND);
        push(&m->append_work, taken);
    } else if (taken->to == RAFT_APPLY_THREAD) {
        must(taken->type == RAFT_MSG_STORAGE_APPLY);
        push(&m->apply_work, taken);
    } else {
        push(&g->messages, taken);
    }
}

bool group_process_ready(struct group *g, size_t at)
{
    struct group_member *m = g->members[at];
    struct raft_ready rd;
    raft_ready(m->raft, &rd);
    text_ready(g->out, &rd);
    raft_check(m->raft);
    if (!m->config.async_storage_writes) {
        const struct raft_hard_state none = {0, 0, 0};
        if (!save(g, m, rd.hard_state_changed ? &rd.hard_state : &none,
                  rd.entries, rd.entries_count, rd.snapshot)) {
            return false;
        }
        apply(m, rd.committed, rd.committed_count);
    }
    for (size_t i = 0; i < rd.messages_count; i++) {
        route(g, m, &rd.messages[i]);
    }
    if (!m->config.async_storage_writes) {
        raft_advance(m->raft);
    }
    raft_check(m->raft);
    return true;
}

static void release_responses(struct group *g, struct raft_message *work,
                              struct raft_message *responses, size_t count)
{
    text_add(g->out, "Responses:\n");
    for (size_t i = 0; i < count; i++) {
        text_message_line(g->out, &responses[i]);
        push(&g->messages, &responses[i]);
    }
    free(responses);
    raft_message_fini(work);
}

bool group_process_append(struct group *g, size_t at)
{
    struct group_member *m = g->members[at];
    if (m->append_work.count == 0) {
        text_add(g->out, "no append work to perform");
        return true;
    }
    struct raft_message work;
    remove_at(&m->append_work, 0, &work);
    struct raft_message *responses = work.responses;
    const size_t count = work.responses_count;
    work.responses = NULL;
    work.responses_count = 0;
    text_add(g->out, "Processing:\n");
    text_message_line(g->out, &work);
    const struct raft_hard_state hard = {work.term, work.vote, work.commit};
    if (!save(g, m, &hard, work.entries.list, work.entries.count,
              work.snapshot)) {
        for (size_t i = 0; i < count; i++) {
            raft_message_fini(&responses[i]);
        }
        free(responses);
        raft_message_fini(&work);
        return false;
    }
    release_responses(g, &work, responses, count);
    return true;
}

bool group_process_apply(struct group *g, size_t at)
{
    struct group_member *m = g->members[at];
    if (m->apply_work.count == 0) {
        text_add(g->out, "no apply work to perform");
        return true;
    }
    struct raft_message work;
    remove_at(&m->apply_work, 0, &work);
    struct raft_message *responses = work.responses;
    const size_t count = work.responses_count;
    work.responses = NULL;
    work.responses_count = 0;
    text_add(g->out, "Processing:\n");
    text_message_line(g->out, &work);
    apply(m, work.entries.list, work.entries.count);
    raft_check(m->raft);
    release_responses(g, &work, responses, count);
    return true;
}

/* ---- Messages ---- */

/* What stays inside one host is never lost. */
static bool is_inside(const struct raft_message *m)
{
    return m->from == m->to || m->from >= RAFT_APPLY_THREAD ||
           m->to >= RAFT_APPLY_THREAD;
}

static bool matches(const struct raft_message *m, struct group_filter f)
{
    return m->to == f.to && !(f.drop && is_inside(m)) &&
           (f.any_type || m->type == f.type);
}

/* The published library reports a member's own answers after its removal as an
 * error; here they are ignored without one. */
static bool is_own_and_removed(const struct raft *r,
                               const struct raft_message *m)
{
    return m->type == RAFT_MSG_APPEND_RESPONSE && m->from == m->to &&
           raft_members_find(&r->members, m->from) == NULL;
}

size_t group_deliver(struct group *g, struct group_filter filter)
{
    /* Taken out first: what stepping them sends is for the next time. */
    struct group_queue found = {NULL, 0, 0};
    for (size_t i = 0; i < g->messages.count;) {
        if (matches(&g->messages.list[i], filter)) {
            struct raft_message m;
            remove_at(&g->messages, i, &m);
            push(&found, &m);
        } else {
            i++;
        }
    }
    for (size_t i = 0; i < found.count; i++) {
        text_add(g->out, "%s", filter.drop ? "dropped: " : "");
        text_message_line(g->out, &found.list[i]);
        if (filter.drop) {
            continue;
        }
        must(filter.to >= 1 && filter.to <= g->count);
        struct raft *r = g->members[filter.to - 1]->raft;
        const bool is_ignored = is_own_and_removed(r, &found.list[i]);
        enum status st = raft_step(r, &found.list[i]);
        must(!is_ignored || st == ST_OK);
        st = is_ignored ? ST_NOT_FOUND : st;
        if (st != ST_OK) {
            text_add(g->out, "%s\n", text_status(st));
        }
        raft_check(r);
    }
    const size_t count = found.count;
    queue_fini(&found);
    return count;
}

bool group_has_messages(const struct group *g, uint64_t to)
{
    for (size_t i = 0; i < g->messages.count; i++) {
        if (g->messages.list[i].to == to) {
            return true;
        }
    }
    return false;
}

void group_print_log(struct group *g, size_t at)
{
    const struct raft_memory_storage *s = g->members[at]->memory;
    const uint64_t first = raft_memory_storage_first_index(s);
    const uint64_t last = raft_memory_storage_last_index(s);
    if (last < first) {
        text_add(g->out, "log is empty: first index=%llu, last index=%llu",
                 (unsigned long long)first, (unsigned long long)last);
        return;
    }
    for (uint64_t i = first; i <= last; i++) {
        text_entry_line(g->out, raft_memory_storage_entry(s, i));
    }
}
