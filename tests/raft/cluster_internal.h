/* What the files of the test cluster share. */
#ifndef TESTS_RAFT_CLUSTER_INTERNAL_H
#define TESTS_RAFT_CLUSTER_INTERNAL_H

#include "tests/raft/cluster.h"

void cluster_queue_push(struct cluster_queue *q, struct raft_message *taken);
void cluster_queue_take(struct cluster_queue *q, size_t at,
                        struct raft_message *to);
void cluster_queue_clear(struct cluster_queue *q);
/* Makes the raft of a member from what is on its disk. */
void cluster_start(struct cluster *c, struct cluster_member *m);
/* Puts what a storage message asks for on the disk. */
void cluster_save(struct cluster_member *m, const struct raft_message *work);
void cluster_note_saved(struct cluster_member *m);
/* The state machine takes a snapshot, unless it is further. */
void cluster_install(struct cluster *c, struct cluster_member *m,
                     const struct raft_snapshot *s);
struct cluster_member *cluster_member(struct cluster *c, uint64_t id);
/* State Machine Safety: the same entry for everybody at each index. */
void cluster_record_applied(struct cluster *c, struct cluster_member *m,
                            const struct raft_entry *e);
void cluster_add_record(struct cluster *c, const struct cluster_record *record);
/* Election Safety and Leader Completeness, for a member that may lead now. */
void cluster_note_leader(struct cluster *c, struct cluster_member *m);

#endif
