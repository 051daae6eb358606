/* The steps between configurations.  Changes always go to the incoming
 * voters; the outgoing ones stay what they were when the joint configuration
 * was entered, until it is left. */

#include "raft/conf.h"

#include "base/must.h"

bool raft_conf_is_joint(const struct raft_conf_sets *sets)
{
    return sets->outgoing.count > 0;
}

bool raft_conf_has_voter(const struct raft_conf_sets *sets, uint64_t id)
{
    return raft_ids_has(&sets->incoming, id) ||
           raft_ids_has(&sets->outgoing, id);
}

bool raft_conf_has_member(const struct raft_conf_sets *sets, uint64_t id)
{
    return raft_conf_has_voter(sets, id) || raft_ids_has(&sets->learners, id);
}

bool raft_conf_change_leaves_joint(const struct raft_conf_change *cc)
{
    return cc->changes_count == 0 && cc->transition == RAFT_TRANSITION_AUTO;
}

static bool make_voter(struct raft_conf_sets *sets, uint64_t id)
{
    raft_ids_remove(&sets->learners, id);
    raft_ids_remove(&sets->learners_next, id);
    return raft_ids_add(&sets->incoming, id);
}

static void remove_member(struct raft_conf_sets *sets, uint64_t id)
{
    raft_ids_remove(&sets->incoming, id);
    raft_ids_remove(&sets->learners, id);
    raft_ids_remove(&sets->learners_next, id);
}

/* A voter of the outgoing half cannot be a learner at the same time (C1): it
 * waits in learners_next. */
static bool make_learner(struct raft_conf_sets *sets, uint64_t id)
{
    if (raft_ids_has(&sets->learners, id)) {
        return true;
    }
    raft_ids_remove(&sets->incoming, id);
    if (raft_ids_has(&sets->outgoing, id)) {
        return raft_ids_add(&sets->learners_next, id);
    }
    return raft_ids_add(&sets->learners, id);
}

static bool change_one(struct raft_conf_sets *sets,
                       const struct raft_conf_change_single *change)
{
    if (change->node == RAFT_NONE) {
        return true; /* the application refused it */
    }
    switch (change->type) {
    case RAFT_ADD_NODE:
        return make_voter(sets, change->node);
    case RAFT_ADD_LEARNER_NODE:
        return make_learner(sets, change->node);
    case RAFT_REMOVE_NODE:
        remove_member(sets, change->node);
        return true;
    case RAFT_UPDATE_NODE:
        return true;
    }
    unreachable("kinds of change were checked when it was decoded");
}

static enum raft_conf_refusal
change_all(struct raft_conf_step *step,
           const struct raft_conf_change_single *changes, size_t count)
{
    must(count <= RAFT_CHANGES_MAX);
    struct raft_ids gone = {.count = 0};
    for (size_t i = 0; i < count; i++) {
        const uint64_t id = changes[i].node;
        const bool was_member = raft_conf_has_member(&step->sets, id);
        if (!change_one(&step->sets, &changes[i])) {
            return RAFT_CONF_TOO_MANY_MEMBERS;
        }
        const bool is_member = raft_conf_has_member(&step->sets, id);
        if (was_member && !is_member && !raft_ids_add(&gone, id)) {
            return RAFT_CONF_TOO_MANY_MEMBERS;
        }
        if (is_member && raft_ids_has(&gone, id) &&
            !raft_ids_add(&step->replaced, id)) {
            return RAFT_CONF_TOO_MANY_MEMBERS;
        }
    }
    return step->sets.incoming.count == 0 ? RAFT_CONF_NO_VOTERS_LEFT
                                          : RAFT_CONF_OK;
}

static size_t count_missing(const struct raft_ids *from,
                            const struct raft_ids *in)
{
    size_t count = 0;
    for (size_t i = 0; i < from->count; i++) {
        count += raft_ids_has(in, from->list[i]) ? 0 : 1;
    }
    return count;
}

enum raft_conf_refusal
raft_conf_simple(const struct raft_conf_sets *from,
                 const struct raft_conf_change_single *changes, size_t count,
                 struct raft_conf_step *ret_step)
{
    if (raft_conf_is_joint(from)) {
        return RAFT_CONF_SIMPLE_IN_JOINT;
    }
    struct raft_conf_step step = {.sets = *from};
    const enum raft_conf_refusal why = change_all(&step, changes, count);
    if (why != RAFT_CONF_OK) {
        return why;
    }
    /* Section 4.1: majorities overlap only while one voter changes. */
    if (count_missing(&from->incoming, &step.sets.incoming) +
            count_missing(&step.sets.incoming, &from->incoming) >
        1) {
        return RAFT_CONF_MORE_THAN_ONE_VOTER;
    }
    must(raft_conf_is_sound(&step.sets));
    *ret_step = step;
    return RAFT_CONF_OK;
}

enum raft_conf_refusal
raft_conf_enter_joint(const struct raft_conf_sets *from, bool auto_leave,
                      const struct raft_conf_change_single *changes,
                      size_t count, struct raft_conf_step *ret_step)
{
    if (raft_conf_is_joint(from)) {
        return RAFT_CONF_ALREADY_JOINT;
    }
    if (from->incoming.count == 0) {
        return RAFT_CONF_JOINT_WITHOUT_VOTERS;
    }
    struct raft_conf_step step = {.sets = *from};
    step.sets.outgoing = from->incoming;
    const enum raft_conf_refusal why = change_all(&step, changes, count);
    if (why != RAFT_CONF_OK) {
        return why;
    }
    step.sets.auto_leave = auto_leave;
    must(raft_conf_is_sound(&step.sets));
    *ret_step = step;
    return RAFT_CONF_OK;
}

enum raft_conf_refusal raft_conf_leave_joint(const struct raft_conf_sets *from,
                                             struct raft_conf_step *ret_step)
{
    if (!raft_conf_is_joint(from)) {
        return RAFT_CONF_NOT_JOINT;
    }
    struct raft_conf_step step = {.sets = *from};
    for (size_t i = 0; i < from->learners_next.count; i++) {
        if (!raft_ids_add(&step.sets.learners, from->learners_next.list[i])) {
            return RAFT_CONF_TOO_MANY_MEMBERS;
        }
    }
    step.sets.learners_next.count = 0;
    step.sets.outgoing.count = 0;
    step.sets.auto_leave = false;
    must(raft_conf_is_sound(&step.sets));
    *ret_step = step;
    return RAFT_CONF_OK;
}

enum raft_conf_refusal raft_conf_step_by(const struct raft_conf_sets *from,
                                         const struct raft_conf_change *cc,
                                         struct raft_conf_step *ret_step)
{
    if (raft_conf_change_leaves_joint(cc)) {
        return raft_conf_leave_joint(from, ret_step);
    }
    if (cc->transition != RAFT_TRANSITION_AUTO || cc->changes_count > 1) {
        const bool auto_leave =
            cc->transition != RAFT_TRANSITION_JOINT_EXPLICIT;
        return raft_conf_enter_joint(from, auto_leave, cc->changes,
                                     cc->changes_count, ret_step);
    }
    return raft_conf_simple(from, cc->changes, cc->changes_count, ret_step);
}

static MUST_USE enum status read_ids(const uint64_t *from, size_t count,
                                     struct raft_ids *to)
{
    if (count > RAFT_MEMBERS_MAX) {
        return ST_TOO_MANY;
    }
    to->count = 0;
    for (size_t i = 0; i < count; i++) {
        if (from[i] == RAFT_NONE || raft_ids_has(to, from[i])) {
            return ST_INVALID;
        }
        if (!raft_ids_add(to, from[i])) {
            return ST_TOO_MANY;
        }
    }
    return ST_OK;
}

enum status raft_conf_read(const struct raft_conf_state *state,
                           struct raft_conf_sets *ret_sets)
{
    struct raft_conf_sets sets = {.auto_leave = state->auto_leave};
    enum status st =
        read_ids(state->voters, state->voters_count, &sets.incoming);
    if (st == ST_OK) {
        st = read_ids(state->voters_outgoing, state->voters_outgoing_count,
                      &sets.outgoing);
    }
    if (st == ST_OK) {
        st = read_ids(state->learners, state->learners_count, &sets.learners);
    }
    if (st == ST_OK) {
        st = read_ids(state->learners_next, state->learners_next_count,
                      &sets.learners_next);
    }
    if (st != ST_OK) {
        return st;
    }
    if (!raft_conf_is_sound(&sets)) {
        return ST_INVALID;
    }
    *ret_sets = sets;
    return ST_OK;
}

struct raft_conf_state raft_conf_view(const struct raft_conf_sets *sets)
{
    return (struct raft_conf_state){
        .voters = sets->incoming.list,
        .voters_count = sets->incoming.count,
        .learners = sets->learners.list,
        .learners_count = sets->learners.count,
        .voters_outgoing = sets->outgoing.list,
        .voters_outgoing_count = sets->outgoing.count,
        .learners_next = sets->learners_next.list,
        .learners_next_count = sets->learners_next.count,
        .auto_leave = sets->auto_leave};
}

bool raft_conf_is_sound(const struct raft_conf_sets *sets)
{
    for (size_t i = 0; i < sets->learners.count; i++) {
        if (raft_conf_has_voter(sets, sets->learners.list[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < sets->learners_next.count; i++) {
        const uint64_t id = sets->learners_next.list[i];
        if (!raft_ids_has(&sets->outgoing, id) ||
            raft_ids_has(&sets->incoming, id)) {
            return false;
        }
    }
    if (!raft_conf_is_joint(sets) &&
        (sets->learners_next.count > 0 || sets->auto_leave)) {
        return false;
    }
    if (sets->incoming.count == 0 && raft_conf_is_joint(sets)) {
        return false;
    }
    return !raft_conf_has_member(sets, RAFT_NONE);
}
