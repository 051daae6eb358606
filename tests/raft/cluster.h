/* A whole cluster in one process: members with disks that lose what is not
 * synced, a network that can be cut, and a record of everything that was ever
 * applied.  Deterministic; every step checks the invariants of raft/ and the
 * safety properties of figure 3.2 of the dissertation. */
#ifndef TESTS_RAFT_CLUSTER_H
#define TESTS_RAFT_CLUSTER_H

#include "raft/internal.h"

#define CLUSTER_MEMBERS_MAX 9

struct cluster_queue {
    struct raft_message *list;
    size_t count;
    size_t capacity;
};

/* A read that waits for its index. */
struct cluster_read {
    uint64_t number;   /* in its context */
    uint64_t at_least; /* what was committed anywhere when it was asked */
};

struct cluster_member {
    uint64_t id;
    struct raft *raft; /* NULL: down */
    struct raft_memory_storage *disk;
    struct cluster_queue append_work, apply_work;
    uint64_t applied;
    struct raft_entry_id lost; /* as the host's mark on its disk has it */
    uint64_t hash;             /* of all applied entries, in order */
    struct cluster_read reads[64];
    size_t reads_count;
    uint64_t reads_answered;
    uint64_t last_read_index;
    uint64_t term_seen; /* of the last leadership that was checked */
};

/* One committed entry, as it was first applied. */
struct cluster_record {
    uint64_t term;
    uint64_t hash;         /* of it and all before it */
    uint64_t committed_in; /* the term in which it was seen committed */
    struct payload *payload;
};

struct cluster {
    struct raft_config config; /* id, storage and seed apart */
    struct prng prng;
    struct cluster_member *members[CLUSTER_MEMBERS_MAX]; /* by id - 1 */
    size_t count;
    bool cut[CLUSTER_MEMBERS_MAX + 1][CLUSTER_MEMBERS_MAX + 1]; /* [from][to] */
    struct cluster_queue network;
    struct cluster_record *records; /* of index i at i - 1 */
    size_t records_count, records_capacity;
    uint64_t leader_of_term[4096]; /* RAFT_NONE: none seen */
    uint64_t proposals;            /* the number of the next one */
    uint64_t reads;
    struct raft_conf_sets first_conf;
};

/* Election ticks 10, heartbeats 1, asynchronous writes, no limits, check
 * quorum and pre-vote; to be changed before cluster_new(). */
struct raft_config cluster_config(void);
/* Members 1 … count, of which the first voters_count are voters and the others
 * are not in the configuration. */
struct cluster *cluster_new(const struct raft_config *config, size_t count,
                            size_t voters_count, uint64_t seed);
void cluster_free(struct cluster *c);

struct raft *cluster_raft(struct cluster *c, uint64_t id);
struct raft_status cluster_status(struct cluster *c, uint64_t id);
/* The leader of the latest term; RAFT_NONE. */
uint64_t cluster_leader(struct cluster *c);

/* ---- Single steps, for random walks ---- */
void cluster_tick(struct cluster *c, uint64_t id);
/* Hands out what a member has to do, into the queues. */
void cluster_pump(struct cluster *c, uint64_t id);
/* False: there was nothing. */
bool cluster_append_one(struct cluster *c, uint64_t id);
bool cluster_apply_one(struct cluster *c, uint64_t id);
/* Delivers network message number `at` (or loses it where the network is cut
 * or the target is down); twice if doubled. */
void cluster_deliver(struct cluster *c, size_t at, bool doubled);
void cluster_lose(struct cluster *c, size_t at);
/* What was asked to be written and is not: the first `kept` pieces are on the
 * disk after all, the others are gone. */
void cluster_crash(struct cluster *c, uint64_t id, size_t kept);
void cluster_restart(struct cluster *c, uint64_t id);
/* While it is down: its log loses what is behind `kept`, but nothing that is
 * in its snapshot.  False: there was nothing to lose. */
bool cluster_lose_end(struct cluster *c, uint64_t id, uint64_t kept);
/* A snapshot of what is applied; the log before it is dropped, but for the
 * last `kept` entries. */
void cluster_snapshot(struct cluster *c, uint64_t id, uint64_t kept);
enum status cluster_propose(struct cluster *c, uint64_t id);
enum status cluster_read(struct cluster *c, uint64_t id);
enum status cluster_change(struct cluster *c, uint64_t id,
                           const struct raft_conf_change *cc);
/* The safety properties across members; O(members * log). */
void cluster_check(struct cluster *c);

/* ---- Whole moves, for stories ---- */
/* Everything under way arrives and is written and applied, until it is quiet.
 * What is cut is lost. */
void cluster_settle(struct cluster *c);
/* A tick of all, or of one, and settle; so many times. */
void cluster_pass_all(struct cluster *c, unsigned ticks);
void cluster_pass(struct cluster *c, uint64_t id, unsigned ticks);
/* Campaign and settle; stops the test unless it leads then. */
void cluster_elect(struct cluster *c, uint64_t id);
/* Both ways, with everybody. */
void cluster_isolate(struct cluster *c, uint64_t id);
void cluster_cut(struct cluster *c, uint64_t a, uint64_t b);
void cluster_heal(struct cluster *c);
/* The network's messages of one type, or to one member, are lost. */
void cluster_lose_all(struct cluster *c);

#endif
