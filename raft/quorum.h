/* Sets of members, and what a majority of them has decided.  Pure functions;
 * nothing is allocated.  Dissertation sections 3.3 (majorities) and 4.3 (joint
 * consensus: both majorities have to agree). */
#ifndef RAFT_QUORUM_H
#define RAFT_QUORUM_H

#include "raft/message.h"

/* Sorted, without repetition; zeroed is empty. */
struct raft_ids {
    size_t count;
    uint64_t list[RAFT_MEMBERS_MAX];
};

bool raft_ids_has(const struct raft_ids *ids, uint64_t id);
/* False, and nothing done, if the set is full and id is not in it. */
bool raft_ids_add(struct raft_ids *ids, uint64_t id) MUST_USE;
void raft_ids_remove(struct raft_ids *ids, uint64_t id);
bool raft_ids_equal(const struct raft_ids *a, const struct raft_ids *b);

enum raft_vote_result { RAFT_VOTE_PENDING, RAFT_VOTE_LOST, RAFT_VOTE_WON };

/* How far a voter has acknowledged; false: nothing known of it. */
typedef bool raft_acked(const void *context, uint64_t id, uint64_t *ret_index);
/* How a voter voted; false: not yet. */
typedef bool raft_voted(const void *context, uint64_t id, bool *ret_granted);

/* The greatest index that a majority acknowledged.  Nobody decides nothing:
 * UINT64_MAX for the empty set, so that half a joint configuration counts
 * alone. */
uint64_t raft_majority_committed(const struct raft_ids *voters,
                                 raft_acked *acked, const void *context);
/* RAFT_VOTE_WON for the empty set, likewise. */
enum raft_vote_result raft_majority_vote(const struct raft_ids *voters,
                                         raft_voted *voted,
                                         const void *context);

uint64_t raft_joint_committed(const struct raft_ids *incoming,
                              const struct raft_ids *outgoing,
                              raft_acked *acked, const void *context);
enum raft_vote_result raft_joint_vote(const struct raft_ids *incoming,
                                      const struct raft_ids *outgoing,
                                      raft_voted *voted, const void *context);

#endif
