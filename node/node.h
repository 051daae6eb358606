/* One member of a cluster: consensus, log and store behind kv/kv.h.
 *
 * node.h is the host: it owns the threads and the disk and carries out what the
 * replica (replica.h, a deterministic step function) asks for.
 *
 * Threads: the loop's, which calls everything here; a WAL thread (append and
 * fdatasync); a store thread (LMDB commits).  A lone write is appended and
 * synced by the loop itself when nothing else is ready.
 */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "base/fault.h"
#include "kv/admin.h"
#include "net/loop.h"
#include "node/compactor.h"

struct node;

struct node_options {
    const char *data_dir;         /* made when missing */
    const char *name;             /* this member's; "default" */
    const char *cluster_token;    /* "etcd-cluster" */
    const char *initial_cluster;  /* "name=url,…"; decides the ids */
    const char *listen_peer_urls; /* "http://host:port,…" */
    int64_t heartbeat_ms;         /* 100 */
    int64_t election_ms;          /* 1000 */
    uint64_t quota_bytes;         /* 0: 2 GiB */
    uint32_t txn_ops_max;         /* 128 */
    uint64_t request_bytes_max;   /* 1.5 MiB */
    uint64_t log_keep_entries;    /* kept behind the durable store for slow
                                     followers; 5000 */
    struct compactor_options auto_compaction; /* none */
    uint64_t proposals_max; /* waiting at once; beyond: ST_TOO_MANY */
    bool join;              /* the first start joins a cluster that is there */
    bool force_new_cluster; /* the others are gone for good */
    const char *advertise_peer_urls;   /* of this member, as others know it */
    const char *advertise_client_urls; /* likewise, for clients; "" */
    bool strict_reconfig; /* no change of members may cost the quorum; true */
    size_t learners_max;  /* at once; 1 */
};
void node_options_default(struct node_options *ret);

/* Opens the data directory, replays the log, and becomes a member.
 *   ST_BUSY     another process has the directory
 *   ST_INVALID  the directory holds something else, or options contradict it
 *   ST_CORRUPT, ST_NO_SPACE, ST_IO
 * ready(arg) is called once, when the member first knows a leader and has
 * applied everything known to be committed; failed(arg, …) once, when the node
 * stops by itself: a failed sync, a full disk after admission, corruption.
 * After that every call is answered ST_STOPPED. */
enum status node_start(struct loop *loop, const struct node_options *options,
                       void (*ready)(void *arg),
                       void (*failed)(void *arg, enum status why,
                                      const struct fault *fault),
                       void *arg, struct node **ret,
                       struct fault *reterr) MUST_USE;

/* The member's keystore; lives as long as the node. */
struct kv *node_kv(struct node *n);
/* Its and its cluster's upkeep; likewise. */
struct admin *node_admin(struct node *n);

/* Ends: answers what waits with ST_STOPPED, moves the memtable into the store
 * so that the next start has nothing to replay, joins the threads, frees.
 * Blocks for as long as that takes. NULL is fine. */
void node_stop(struct node *n);

#endif
