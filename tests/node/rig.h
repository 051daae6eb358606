/* One replica on a real store in a temporary directory, with a log that is a
 * list in memory: the test decides when something becomes durable, what time
 * it is, and what survives a crash. */
#ifndef TESTS_NODE_RIG_H
#define TESTS_NODE_RIG_H

#include "node/replica.h"
#include "tests/lib/test.h"

struct rig {
    const char *directory;
    struct store *store;
    struct replica *replica;
    struct kv *kv;
    struct replica_clock clock;
    uint64_t life;        /* counts starts */
    bool log_full;        /* reserve() refuses */
    bool of_three;        /* before rig_start: 8 and 9 are the test's to play */
    uint64_t quota_bytes; /* 0: the store's default */
    uint64_t log_keep_entries;

    /* The log on disk: what was saved so far. */
    struct raft_entries disk;
    struct raft_hard_state hard;
    size_t saves; /* messages made durable */

    /* What the callbacks saw, a line each; and what was sent. */
    struct buf trace, sent;
};

void rig_start(struct rig *r); /* r zeroed, or after rig_crash */
/* As above, with what replica_begin() says. */
enum status rig_try_start(struct rig *r, struct fault *reterr);
void rig_end(struct rig *r);
/* Loses everything that was not saved or flushed; calls are answered
 * ST_STOPPED first, as a dying process's callers never hear anything. */
void rig_crash(struct rig *r);

/* Of three: "to MEMBER: TYPE index I commit C" for each message that was sent
 * since, with " +N" for N entries. */
const char *rig_sent(struct rig *r);
/* A message from one of the others arrives, and turns.  Taken. */
void rig_hear(struct rig *r, struct raft_message m);
/* This one is elected in term 1, by member 8, and has committed entry 1. */
void rig_elect(struct rig *r);

/* Turns until nothing is left to do, making nothing durable. */
void rig_turn(struct rig *r);
/* Makes the oldest save asked for durable, and turns. */
void rig_save_one(struct rig *r);
/* Makes all saves asked for durable, and turns, until nothing is left. */
void rig_settle(struct rig *r);
void rig_flush(struct rig *r);
bool rig_leads(struct rig *r);

/* A put of key := value that traces "put KEY STATUS @REVISION" when done. */
struct rig_put {
    struct kv_txn txn;
    struct kv_op op;
    struct rig *rig;
    const char *key;
    int calls; /* of done() */
};
void rig_put(struct rig *r, struct rig_put *p, const char *key,
             const char *value);

/* A get that traces "get KEY STATUS 'VALUE'". */
struct rig_get {
    struct kv_range range;
    struct rig *rig;
    const char *key;
    int calls;
};
void rig_get(struct rig *r, struct rig_get *g, const char *key,
             bool serializable);

/* That many heartbeat intervals pass, with everything made durable. */
void rig_pass(struct rig *r, unsigned ticks);

/* A lease call that traces "grant 7 OK ttl 10", "keepalive 7 OK ttl 0",
 * "ttl 7 OK ttl 9 of 10 keys /a /b", "list OK 7 8", "revoke 7 OK @3". */
struct rig_lease {
    struct kv_lease lease;
    struct rig *rig;
    int calls; /* of done() */
};
void rig_lease(struct rig *r, struct rig_lease *l, enum kv_lease_op op,
               int64_t id, int64_t ttl_s);

/* The trace so far as text, which is then forgotten. */
const char *rig_trace(struct rig *r);
void rig_say(struct rig *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
