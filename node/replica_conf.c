/* The membership as entries change it: applied in order, kept in the store
 * beside the applied index, remembered for whom a state is sent to. */

#include <stdlib.h>

#include "base/log.h"
#include "base/must.h"
#include "node/replica_internal.h"

/* --- which configuration was in force at an index --- */

static void push_conf(struct replica *r, uint64_t index)
{
    if (r->confs_count == r->confs_capacity) {
        r->confs_capacity = r->confs_capacity > 0 ? 2 * r->confs_capacity : 4;
        r->confs = xrealloc(r->confs, r->confs_capacity * sizeof r->confs[0]);
    }
    r->confs[r->confs_count].index = index;
    r->confs[r->confs_count++].conf = r->membership->conf;
}

/* What no state that can still be sent is as old as. */
static void forget_confs(struct replica *r)
{
    const uint64_t durable = store_durable_index(r->store);
    size_t old = 0;
    while (old + 1 < r->confs_count && r->confs[old + 1].index <= durable) {
        old++;
    }
    r->confs_count -= old;
    memmove(r->confs, r->confs + old, r->confs_count * sizeof r->confs[0]);
}

bool replica_conf_at(const struct replica *r, uint64_t index,
                     struct raft_conf_state *ret)
{
    size_t i = r->confs_count;
    while (i > 0 && r->confs[i - 1].index > index) {
        i--;
    }
    if (i == 0) {
        return false;
    }
    *ret = membership_conf_view(&r->confs[i - 1].conf);
    return true;
}

/* --- the record --- */

static enum status write_record(struct replica *r, struct fault *reterr)
{
    struct buf record = {0};
    membership_write(r->membership, &record);
    const enum status st = store_set_record(r->store, MEMBERSHIP_RECORD,
                                            buf_bytes(&record), reterr);
    buf_fini(&record);
    return st;
}

enum status replica_keep_membership(struct replica *r, struct fault *reterr)
{
    struct buf record = {0};
    membership_write(r->membership, &record);
    const enum status st = store_keep_record(r->store, MEMBERSHIP_RECORD,
                                             buf_bytes(&record), reterr);
    buf_fini(&record);
    return st;
}

static enum status read_record(struct replica *r, struct fault *reterr)
{
    const struct bytes record = store_record(r->store, MEMBERSHIP_RECORD);
    if (record.size == 0) {
        return ST_OK; /* an older version's: the first members */
    }
    const enum status st = membership_read(record, r->membership);
    return st == ST_OK ? ST_OK
                       : fault_set(reterr, ST_CORRUPT,
                                   "the store's record of the members cannot "
                                   "be read; restore the member from a backup, "
                                   "or replace it");
}

enum status replica_check_state(const struct replica *r,
                                const struct store *state, struct fault *reterr)
{
    const struct bytes record = store_record(state, MEMBERSHIP_RECORD);
    if (!membership_waits(r->membership) || record.size == 0) {
        return ST_OK;
    }
    struct membership *m = xmalloc(sizeof *m);
    enum status st = membership_read(record, m);
    st = st == ST_OK
             ? membership_check_newcomer(m, r->options.member_id, reterr)
             : fault_set(reterr, ST_CORRUPT,
                         "the record of the members in a state that was sent "
                         "cannot be read");
    free(m);
    return st;
}

static enum status check_newcomer(const struct replica *r, struct fault *reterr)
{
    return membership_waits(r->membership)
               ? membership_check_newcomer(r->membership, r->options.member_id,
                                           reterr)
               : ST_OK;
}

static void note_removal(struct replica *r)
{
    const uint64_t self = r->options.member_id;
    if (!r->removed && membership_has_left(r->membership, self)) {
        r->removed = true;
        log_warn("this member, %llx, was removed from the cluster",
                 (unsigned long long)self);
    }
}

enum status replica_load_membership(struct replica *r, struct fault *reterr)
{
    enum status st = read_record(r, reterr);
    if (st == ST_OK) {
        st = check_newcomer(r, reterr);
    }
    if (st == ST_OK) {
        r->confs_count = 0;
        push_conf(r, store_applied_index(r->store));
        note_removal(r);
        /* Not durable by itself: with the identity, or the next flush. */
        st = write_record(r, reterr);
    }
    return st;
}

enum status replica_force_alone(struct replica *r, uint64_t last_index,
                                struct fault *reterr)
{
    must(r->raft == NULL);
    struct membership *m = r->membership;
    const uint64_t self = r->options.member_id;
    if (membership_find(m, self) == NULL) {
        return fault_set(reterr, ST_INVALID,
                         "this member, %llx, is not in the cluster whose data "
                         "it has: it cannot go on alone",
                         (unsigned long long)self);
    }
    for (size_t i = m->count; i > 0; i--) {
        if (m->members[i - 1].id != self) {
            const struct membership_change gone = {.op = MEMBERSHIP_REMOVE,
                                                   .id = m->members[i - 1].id};
            membership_apply(m, &gone);
        }
    }
    m->conf = (struct membership_conf){.voters = {self}, .voters_count = 1};
    m->ignored_index = last_index;
    m->changed_index = last_index > 0 ? last_index : 1;
    return replica_keep_membership(r, reterr);
}

void replica_membership_from_first(struct replica *r)
{
    const struct replica_options *o = &r->options;
    if (o->first != NULL) {
        *r->membership = *o->first;
        return;
    }
    membership_conf_set(&r->membership->conf, &o->first_conf);
    for (size_t i = 0; i < o->first_conf.voters_count; i++) {
        const struct membership_member member = {.id = o->first_conf.voters[i]};
        const bool added = membership_add_first(r->membership, &member);
        must(added);
    }
}

/* --- applying --- */

static void say(const struct membership_change *c)
{
    static const char *const what[] = {
        [MEMBERSHIP_ADD] = "is added",
        [MEMBERSHIP_REMOVE] = "is removed",
        [MEMBERSHIP_PROMOTE] = "votes from now on",
        [MEMBERSHIP_UPDATE] = "has other peer URLs",
        [MEMBERSHIP_PUBLISH] = "has said its name"};
    if (c->op == MEMBERSHIP_ADD) {
        log_info("member %llx is added%s, at %.*s", (unsigned long long)c->id,
                 c->is_learner ? " as a learner" : "", (int)c->peer_urls.size,
                 (const char *)c->peer_urls.data);
    } else {
        log_info("member %llx %s", (unsigned long long)c->id, what[c->op]);
    }
}

static void note_started(struct membership *m, const struct raft_entry *e)
{
    struct membership_stamp stamp;
    struct membership_change changes[RAFT_CHANGES_MAX];
    size_t count = 0;
    const struct bytes payload = payload_bytes(e->payload);
    if (e->type != RAFT_ENTRY_NORMAL || !membership_is_command(payload) ||
        membership_decode(payload, &stamp, changes, &count) != ST_OK) {
        return;
    }
    for (size_t i = 0; i < m->count; i++) {
        for (size_t k = 0; k < count; k++) {
            m->members[i].started |= changes[k].op == MEMBERSHIP_PUBLISH &&
                                     changes[k].id == m->members[i].id;
        }
    }
}

void replica_tell_members(const struct replica *r, struct membership *ret)
{
    struct raft_storage *s = raft_memory_storage_base(r->log);
    const uint64_t last = s->ops->last_index(s);
    *ret = *r->membership;
    for (uint64_t i = store_applied_index(r->store) + 1; i <= last; i++) {
        note_started(ret, raft_memory_storage_entry(r->log, i));
    }
}

/* What was decided about the changes of one entry. */
static enum status take_over(struct replica *r, uint64_t index,
                             const struct membership_change *changes,
                             size_t count, const struct raft_conf_state *conf,
                             struct fault *reterr)
{
    for (size_t i = 0; i < count; i++) {
        say(&changes[i]);
        if (changes[i].op != MEMBERSHIP_PUBLISH) {
            r->membership->changed_index = index;
        }
    }
    if (conf != NULL) {
        membership_conf_set(&r->membership->conf, conf);
        push_conf(r, index);
        forget_confs(r);
        r->flush_wanted = true; /* a newcomer gets no state without it */
        r->conf_unsafe = true;
    }
    note_removal(r);
    r->members_changed = true;
    return write_record(r, reterr);
}

void replica_watch_members(struct replica *r)
{
    if (r->conf_unsafe &&
        r->confs[r->confs_count - 1].index <= store_durable_index(r->store)) {
        r->conf_unsafe = false;
        r->members_changed = true; /* who has left can be cut off now */
    }
}

static void answer(struct replica *r, const struct membership_stamp *stamp,
                   enum status st)
{
    if (stamp->ticket == r->order_ticket && stamp->member == r->order_member) {
        r->order_out = false;
    }
    if (stamp->member != r->options.member_id) {
        return;
    }
    struct pending *p = pending_find(&r->pending, stamp->ticket);
    if (p != NULL && p->kind == PENDING_MEMBERS) {
        replica_answer_members(
            r, container_of(p->call, struct admin_members, call));
        p->call->header = replica_header(r);
        pending_done(&r->pending, p, st);
    }
}

static bool says_the_same(const struct raft_conf_change *cc,
                          const struct membership_change *changes, size_t count)
{
    struct raft_conf_change own;
    if (!membership_to_raft(changes, count, &own) ||
        cc->changes_count != count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (cc->changes[i].type != own.changes[i].type ||
            cc->changes[i].node != own.changes[i].node) {
            return false;
        }
    }
    return true;
}

/* Gives the changes to the membership and to raft, or to neither. */
static enum status try_changes(struct replica *r, const struct raft_entry *e,
                               const struct raft_conf_change *cc,
                               const struct membership_change *changes,
                               size_t count, struct raft_conf_state *ret_conf)
{
    struct membership *before = xmalloc(sizeof *before);
    *before = *r->membership;
    enum status st = ST_INVALID;
    if (e->index > r->membership->ignored_index &&
        says_the_same(cc, changes, count)) {
        st = membership_apply_all(r->membership, changes, count);
    }
    if (st == ST_OK) {
        st = raft_apply_conf_change(r->raft, e->index, cc, ret_conf);
        if (st != ST_OK) {
            *r->membership = *before;
        }
    }
    free(before);
    if (st != ST_OK) { /* raft hears that there was one, and of nothing */
        const struct raft_conf_change none = {
            .changes_count = 1, .changes = {{RAFT_ADD_NODE, RAFT_NONE}}};
        (void)!raft_apply_conf_change(r->raft, e->index, &none, NULL);
    }
    return st;
}

void replica_drop_first_entry(struct replica *r)
{
    if (raft_memory_storage_first_index(r->log) == 1) {
        const enum status st = raft_memory_storage_compact(r->log, 1);
        must(st == ST_OK); /* it was applied before this one */
    }
}

static enum status leave_joint(struct replica *r, const struct raft_entry *e,
                               const struct raft_conf_change *cc,
                               struct fault *reterr)
{
    struct raft_conf_state conf;
    const enum status st = raft_apply_conf_change(r->raft, e->index, cc, &conf);
    return st == ST_OK ? take_over(r, e->index, NULL, 0, &conf, reterr) : ST_OK;
}

enum status replica_apply_conf(struct replica *r, const struct raft_entry *e,
                               struct fault *reterr)
{
    struct raft_conf_change cc;
    struct membership_stamp stamp;
    struct membership_change changes[RAFT_CHANGES_MAX];
    size_t count = 0;
    enum status st =
        raft_conf_change_decode(e->type, payload_bytes(e->payload), &cc);
    if (st != ST_OK) {
        return fault_set(reterr, ST_CORRUPT,
                         "entry %llu is no change of the membership",
                         (unsigned long long)e->index);
    }
    if (cc.changes_count == 0) {
        return leave_joint(r, e, &cc, reterr);
    }
    if (membership_decode(cc.context, &stamp, changes, &count) != ST_OK) {
        stamp = (struct membership_stamp){0, 0};
        count = 0;
    }
    struct raft_conf_state conf;
    replica_drop_first_entry(r);
    st = try_changes(r, e, &cc, changes, count, &conf);
    enum status kept = ST_OK;
    if (st == ST_OK) {
        kept = take_over(r, e->index, changes, count, &conf, reterr);
    }
    answer(r, &stamp, st);
    return kept;
}

enum status replica_apply_members(struct replica *r, const struct raft_entry *e,
                                  struct fault *reterr)
{
    struct membership_stamp stamp;
    struct membership_change changes[RAFT_CHANGES_MAX];
    size_t count = 0;
    enum status st =
        membership_decode(payload_bytes(e->payload), &stamp, changes, &count);
    if (st != ST_OK) {
        return fault_set(reterr, ST_CORRUPT,
                         "entry %llu is no change of members",
                         (unsigned long long)e->index);
    }
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        st = membership_changes_conf(&changes[i]) ? ST_INVALID : ST_OK;
    }
    if (st == ST_OK) {
        st = membership_apply_all(r->membership, changes, count);
    }
    enum status kept = ST_OK;
    if (st == ST_OK) {
        kept = take_over(r, e->index, changes, count, NULL, reterr);
    }
    if (kept == ST_OK) {
        kept = check_newcomer(r, reterr); /* it says nothing before it is in */
    }
    answer(r, &stamp, st);
    return kept;
}
