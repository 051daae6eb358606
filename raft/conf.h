/* Configurations, and the changes from one to the next as pure functions.
 * Dissertation sections 4.1 (one voter at a time), 4.2.1 (learners, there
 * "catching up new servers") and 4.3 (joint consensus). */
#ifndef RAFT_CONF_H
#define RAFT_CONF_H

#include "raft/confchange.h"
#include "raft/quorum.h"

/* Invariants (C1 to C4 of the README), kept by every function here:
 *   no voter, incoming or outgoing, is a learner;
 *   every one of learners_next is an outgoing and not an incoming voter;
 *   not joint: learners_next is empty and auto_leave is false;
 *   no set holds RAFT_NONE. */
struct raft_conf_sets {
    struct raft_ids incoming; /* the voters, or the new half of a joint one */
    struct raft_ids outgoing; /* the old half; empty when not joint */
    struct raft_ids learners;
    struct raft_ids learners_next; /* become learners when it is left */
    bool auto_leave;
};

/* Why a change is not possible in a configuration. */
enum raft_conf_refusal {
    RAFT_CONF_OK = 0,
    RAFT_CONF_ALREADY_JOINT,
    RAFT_CONF_NOT_JOINT,
    RAFT_CONF_SIMPLE_IN_JOINT,
    RAFT_CONF_JOINT_WITHOUT_VOTERS,
    RAFT_CONF_NO_VOTERS_LEFT,
    RAFT_CONF_MORE_THAN_ONE_VOTER,
    RAFT_CONF_TOO_MANY_MEMBERS
};

/* ret_replaced: members that were taken out and put in again on the way; they
 * may be new machines, so nothing known of the old ones holds for them. */
struct raft_conf_step {
    struct raft_conf_sets sets;
    struct raft_ids replaced;
};

enum raft_conf_refusal
raft_conf_simple(const struct raft_conf_sets *from,
                 const struct raft_conf_change_single *changes, size_t count,
                 struct raft_conf_step *ret_step) MUST_USE;
enum raft_conf_refusal
raft_conf_enter_joint(const struct raft_conf_sets *from, bool auto_leave,
                      const struct raft_conf_change_single *changes,
                      size_t count, struct raft_conf_step *ret_step) MUST_USE;
enum raft_conf_refusal
raft_conf_leave_joint(const struct raft_conf_sets *from,
                      struct raft_conf_step *ret_step) MUST_USE;
/* Whichever of the three the change asks for. */
enum raft_conf_refusal
raft_conf_step_by(const struct raft_conf_sets *from,
                  const struct raft_conf_change *cc,
                  struct raft_conf_step *ret_step) MUST_USE;

bool raft_conf_is_joint(const struct raft_conf_sets *sets);
bool raft_conf_has_voter(const struct raft_conf_sets *sets, uint64_t id);
bool raft_conf_has_member(const struct raft_conf_sets *sets, uint64_t id);
/* A change without single changes and options: leave the joint one. */
bool raft_conf_change_leaves_joint(const struct raft_conf_change *cc);

/* From what was stored or sent; ST_INVALID if it breaks the invariants,
 * ST_TOO_MANY if a set is too large. */
enum status raft_conf_read(const struct raft_conf_state *state,
                           struct raft_conf_sets *ret_sets) MUST_USE;
/* Borrows from sets. */
struct raft_conf_state raft_conf_view(const struct raft_conf_sets *sets);
bool raft_conf_is_sound(const struct raft_conf_sets *sets);

#endif
