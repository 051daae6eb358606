/* A first start: who this member is, and whether it may be.
 *
 *   new       the ids follow from the flags (identity.h); but whoever was a
 *             member before and comes back with nothing must not vote again,
 *             so those it can reach are asked
 *   existing  the members are asked which ids they have, this one included
 *
 * Questions are asked before the loop runs, and block.
 */
#ifndef NODE_JOIN_H
#define NODE_JOIN_H

#include "node/identity.h"
#include "node/membership.h"

struct join_result {
    uint64_t cluster_id, member_id;
    struct membership *members; /* owned; with no configuration when joining */
    uint64_t answered[MEMBERSHIP_MAX]; /* by whom; when joining */
    size_t answered_count;
};

/* The first members, as every one of them knows them. */
struct membership *join_first_members(const struct identity *id,
                                      const char *initial_cluster);

/* State "new": `id` was derived from the flags.
 *   ST_INVALID  this member was in the cluster before: its data is gone */
enum status join_check_new(const struct identity *id,
                           struct fault *reterr) MUST_USE;

/* State "existing": initial_cluster names this member, `name`, and others to
 * ask; advertised are its peer URLs.
 *   ST_NOT_FOUND  nobody answered, or too few to tell whether it was started
 *   ST_INVALID    this member was not added, or has been started before */
enum status join_existing(const char *name, const char *advertised,
                          const char *initial_cluster, struct join_result *ret,
                          struct fault *reterr) MUST_USE;

/* Its parts that ask nobody: one answer, which is used up; and what all of them
 * say.  Whoever answers may be behind: who was started is known for sure only
 * to so many voters that every quorum has one of them, besides this member. */
void join_take_answer(struct join_result *sum, struct join_result *one);
enum status join_take_place(struct join_result *ret, const char *advertised,
                            struct fault *reterr) MUST_USE;

/* The answer to a question, of a member that runs. */
void join_answer(struct bytes question, uint64_t cluster_id, uint64_t member_id,
                 const struct membership *m, struct buf *to);

#endif
