/* What the host's files share. */
#ifndef NODE_NODE_INTERNAL_H
#define NODE_NODE_INTERNAL_H

#include "node/data_dir.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/replica.h"
#include "node/transfer.h"
#include "node/worker.h"

/* Everything saved since the last sync, on its way to the disk together. */
struct save_job {
    struct worker_job job;
    struct wal *wal;
    struct raft_message *messages;
    size_t count, capacity;
    struct raft_hard_state hard_state; /* the newest */
    bool hard_state_waits;             /* to be written with the next entries */
    struct raft_hard_state written; /* the log's; of commit nothing is said */
    bool unsynced;                  /* written, not yet durable */
    int64_t sync_ns;                /* what a sync takes, of late */
    bool trim;                      /* after the sync, forget up to: */
    uint64_t trim_index, trim_term;
    bool tends; /* nothing to save: goes on making the next segment */
    enum status status;
    struct fault fault;
};

struct flush_job {
    struct worker_job job;
    struct store_flush *flush; /* NULL: none is under way */
    enum status status;
    struct fault fault;
};

/* What was installed, with the file whose place it took (install.c). */
struct old_state {
    struct worker_job job;
    struct store_import *import;
};

struct upkeep;

struct node {
    struct loop *loop;
    struct loop_hook hook;
    struct loop_timer *tick; /* one heartbeat interval passed */
    struct loop_timer *wake; /* a call's deadline */
    int64_t heartbeat_ns, wake_at;

    struct data_dir dir;
    struct store_options store_options;
    struct store *store;
    struct wal *wal;
    struct replica *replica;
    struct peers *peers; /* NULL in a cluster of one, as these: */
    struct sender *sender;
    struct receiver *receiver;
    uint64_t state_refused; /* member to report; RAFT_NONE: none */
    struct store *fresh;    /* the state that has arrived; NULL: none, or: */
    struct store_comparison *comparison; /* of ours with it */
    struct old_state old;                /* the store worker's */
    struct worker *wal_worker, *store_worker;
    struct upkeep *upkeep; /* upkeep.h */
    struct save_job save;
    struct flush_job flush;
    int64_t flush_retry_ns; /* after a full disk: not before */
    int64_t tend_retry_ns;  /* likewise */

    void (*ready)(void *arg);
    void (*failed)(void *arg, enum status why, const struct fault *fault);
    void *arg;
    uint64_t cluster_id, member_id;
    char listen[MEMBERSHIP_URLS_MAX + 1];    /* "host:port,…" */
    char advertise[MEMBERSHIP_URLS_MAX + 1]; /* likewise, this member's */
    bool was_ready;
    bool mending; /* the data directory says that the log lost entries */
    bool broken;
    bool stopping; /* in node_stop(), where the last flush may fail */
};

/* open.c */
enum status node_open_data(struct node *n, const struct node_options *o,
                           struct fault *reterr) MUST_USE;
/* This member is none any more. */
void node_was_removed(struct node *n);

/* The member cannot go on: everything is answered ST_STOPPED and the owner is
 * told, once. */
void node_fail(struct node *n, enum status why, const struct fault *fault);

/* Writes one save; on whichever thread has the log. */
enum status save_append(struct save_job *j,
                        const struct raft_message *m) MUST_USE;

/* save.c: sends the replica's saves to the log.  True when they were made
 * durable at once, by the loop itself. */
bool node_save(struct node *n);
void node_save_fini(struct node *n);

/* links.c */
uint64_t node_random_seed(void);
/* A cluster of one listens only when another member is added. */
enum status node_start_links(struct node *n, const struct node_options *o,
                             struct fault *reterr) MUST_USE;
/* The links are those that the membership says. */
void node_link_members(struct node *n);
void node_free_links(struct node *n);
/* Of struct replica_options; arg is the node. */
void node_send(void *arg, struct raft_message *take);
void node_send_lease(void *arg, uint64_t to, struct buf *take);
bool node_tell(void *arg, uint64_t to, struct buf *take);
int64_t node_connected_ms(void *arg, uint64_t member);
bool node_can_grow(void *arg);
void node_links_turn(struct node *n); /* after the replica's */
void node_links_tick(struct node *n);

/* install.c: gets ready for a state that has arrived, a step in each turn, and
 * tells raft of it then.  True when there is more to do at once. */
bool node_compare(struct node *n);
/* Puts the state that a save with a snapshot speaks of in place; true when that
 * was done, or goes on at once.  False when something still uses the old one:
 * asked again. */
bool node_install(struct node *n);
/* Nothing of a state that has arrived is used any more. */
void node_forget_state(struct node *n);
/* At start, between opening the log and using it: ends an installation that a
 * crash interrupted. */
enum status node_finish_install(struct node *n, struct fault *reterr) MUST_USE;

/* flush.c: begins a flush when one is wanted and none is under way. */
void node_flush(struct node *n, bool all);
/* Waits for the one under way and flushes the rest, for a clean stop. */
void node_flush_finish(struct node *n);

#endif
