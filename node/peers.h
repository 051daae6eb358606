/* The other members: messages to and from them over net/peer.h.
 *
 * A message is encoded once (proto/raft_codec.h) and queued; a queue that is
 * full, or a peer that is not there, loses it, and raft asks again.  Threads:
 * the loop's.
 */
#ifndef NODE_PEERS_H
#define NODE_PEERS_H

#include "base/buf.h"
#include "net/loop.h"
#include "raft/message.h"

struct peers;

struct peers_options {
    uint64_t cluster_id, member_id;
    const char *listen;    /* "host:port,…" */
    const char *advertise; /* likewise, where others find this member */
    uint64_t seed;
    /* A message from a peer; borrowed for the call. */
    void (*receive)(void *arg, const struct raft_message *m);
    /* A frame about leases (node/lease_forward.c), borrowed. */
    void (*receive_lease)(void *arg, uint64_t from, struct bytes frame);
    void (*lost_touch)(void *arg, uint64_t member);
    /* Bulk frames (node/transfer.h): one that came, borrowed; the stream to a
     * member was lost; it has room again. */
    void (*bulk)(void *arg, uint64_t from, struct bytes frame);
    void (*bulk_lost)(void *arg, uint64_t member);
    void (*bulk_ready)(void *arg, uint64_t member);
    /* Whether somebody who says it is that member may be; ST_MEMBER_NOT_FOUND:
     * it was one, and is not any more. */
    enum status (*may_join)(void *arg, uint64_t member, struct fault *reterr);
    /* Somebody asks who the members are. */
    void (*query)(void *arg, struct bytes question, struct buf *to);
    /* A member says that this one was removed. */
    void (*removed)(void *arg);
    void *arg;
};

/* Listens.
 *   ST_INVALID, and what listening says                                      */
enum status peers_new(struct loop *loop, const struct peers_options *options,
                      struct peers **ret, struct fault *reterr) MUST_USE;
/* No callback comes after this. NULL is fine. */
void peers_free(struct peers *p);

/* Connects to a member at "host:port,…", or to where it is now; ends that. */
enum status peers_set(struct peers *p, uint64_t member, const char *addresses,
                      struct fault *reterr) MUST_USE;
void peers_remove(struct peers *p, uint64_t member);
/* For how long messages can be sent there; < 0: they cannot. */
int64_t peers_connected_ms(const struct peers *p, uint64_t member);

/* At the end of the turn, or a moment later (node/lazy.h). */
void peers_send(struct peers *p, struct raft_message *take);
/* A frame about leases: it begins with a zero byte, as no message does. */
void peers_send_lease(struct peers *p, uint64_t to, struct buf *take);
/* A client at that member waits to be told that this index is committed. */
void peers_owe(struct peers *p, uint64_t member, uint64_t index);
/* What was sent leaves now: the caller will keep the loop for a while. */
void peers_flush(struct peers *p);
/* False: dropped. The buffer is left empty. */
bool peers_send_bulk(struct peers *p, uint64_t to, struct buf *take);

#endif
