/* The members of the configuration in force, each with its progress and, in an
 * election, its vote. */
#ifndef RAFT_MEMBERS_H
#define RAFT_MEMBERS_H

#include "raft/conf.h"
#include "raft/progress.h"

struct raft_votes {
    struct raft_ids granted;
    struct raft_ids denied;
};

struct raft_members {
    struct raft_conf_sets conf;
    /* One for each member of conf, sorted by id (C5). */
    struct raft_progress *list;
    size_t count;
    struct raft_votes votes;
    uint32_t inflight_count_max;
    uint64_t inflight_bytes_max;
};

void raft_members_fini(struct raft_members *m);
/* Makes sets the configuration in force.  Members that stay keep what is known
 * of them, unless they are in replaced (NULL: none); new ones are probed from
 * last_index on and count as active, for they had no time to answer yet. */
void raft_members_switch(struct raft_members *m,
                         const struct raft_conf_sets *sets,
                         const struct raft_ids *replaced, uint64_t last_index);
/* Forgets what is known of everybody's log, for a new term. */
void raft_members_reset(struct raft_members *m, uint64_t last_index);

/* NULL: no member. */
struct raft_progress *raft_members_find(const struct raft_members *m,
                                        uint64_t id);
/* What the voters' match indexes commit. */
uint64_t raft_members_committed(const struct raft_members *m);
/* The newest waiting read that a quorum of voters confirmed. */
uint64_t raft_members_read_position(const struct raft_members *m);
/* Are those heard of recently a quorum? */
bool raft_members_quorum_is_active(const struct raft_members *m);

/* Are these two? */
bool raft_members_are_quorum(const struct raft_members *m, uint64_t a,
                             uint64_t b);

void raft_members_reset_votes(struct raft_members *m);
/* The first answer counts; votes of strangers are not kept. */
void raft_members_record_vote(struct raft_members *m, uint64_t id,
                              bool granted);
enum raft_vote_result raft_members_tally(const struct raft_members *m);

#endif
