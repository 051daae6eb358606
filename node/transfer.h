/* The whole state on its way from the leader to a follower that is behind its
 * log: store/transfer.h at both ends, bulk frames in between.
 *
 *   sender -> receiver   BEGIN id, the raft message   DATA id, bytes   END id
 *   receiver -> sender   TAKEN id, bytes taken so far   FAILED id
 *   after a connection was lost:
 *   sender -> receiver   RESUME id
 *   receiver -> sender   AT id, bytes that have come, where the stream goes on
 *
 * The last byte is TAKEN when the follower is about to put the state in its own
 * one's place, for which it may need a while (install.c): until then the sender
 * keeps the log that follows on the state, and raft at its end sends nothing.
 *
 * The sender keeps at most TRANSFER_WINDOW bytes that are not yet TAKEN, so
 * neither end needs memory for more.  A transfer that does not move for
 * TRANSFER_IDLE_MS is given up; raft asks again.  One at a time each way:
 * a second follower waits.
 *
 * Blocking work is done by a worker of each end; everything else is the loop's.
 */
#ifndef NODE_TRANSFER_H
#define NODE_TRANSFER_H

#include "node/peers.h"
#include "node/worker.h"
#include "store/transfer.h"

#define TRANSFER_WINDOW  ((uint64_t)4 << 20)
#define TRANSFER_IDLE_MS 30000
#define TRANSFER_SIGN_MS                                                       \
    1000 /* after so long the follower says that it is at it */

enum transfer_frame {
    TRANSFER_BEGIN = 1,
    TRANSFER_DATA = 2,
    TRANSFER_END = 3,
    TRANSFER_TAKEN = 4,
    TRANSFER_FAILED = 5,
    TRANSFER_RESUME = 6,
    TRANSFER_AT = 7,
    TRANSFER_TOLD = 16 /* none of it: one replica to another (replica_hear) */
};

/* --- sending --- */

struct sender;

struct sender_options {
    struct loop *loop;
    struct peers *peers; /* outlives it */
    /* What became of the transfer that sender_begin() began. */
    void (*over)(void *arg, uint64_t member, bool ok);
    /* The configuration as of an entry; borrowed until the next turn. */
    bool (*conf_at)(void *arg, uint64_t index, struct raft_conf_state *ret);
    void *arg;
};
enum status sender_new(const struct sender_options *options,
                       struct sender **ret, struct fault *reterr) MUST_USE;
void sender_free(struct sender *s); /* NULL is fine; before the store closes */

/* Takes a RAFT_MSG_SNAPSHOT and sends it with the durable state of the store,
 * whose index it is given.  False: busy, or the store cannot be read (logged).
 * *ret_index: entries from here on must be kept until it is over. */
bool sender_begin(struct sender *s, struct store *store,
                  struct raft_message *take, uint64_t *ret_index);
/* A TAKEN or FAILED frame, whose first byte was read; news of the stream. */
void sender_on_frame(struct sender *s, uint64_t from, enum transfer_frame what,
                     struct bytes body);
void sender_on_lost(struct sender *s, uint64_t member);
void sender_on_ready(struct sender *s, uint64_t member);
void sender_on_tick(struct sender *s, int64_t now_ns);
/* Gives up what is under way.  True when the store is not used any more; else
 * over() will be called when it is not. */
bool sender_stop(struct sender *s);

/* --- receiving --- */

struct receiver;

struct receiver_options {
    struct loop *loop;
    struct peers *peers;
    const char *store_path; /* copied */
    struct store_options store;
    struct store_identity identity; /* of the new state */
    /* Of receiver_tell(). */
    void (*arrived)(void *arg, const struct raft_message *snapshot);
    void *arg;
};
enum status receiver_new(const struct receiver_options *options,
                         struct receiver **ret, struct fault *reterr) MUST_USE;
void receiver_free(struct receiver *r); /* NULL is fine */

void receiver_on_frame(struct receiver *r, uint64_t from,
                       enum transfer_frame what, struct bytes body);
void receiver_on_tick(struct receiver *r, int64_t now_ns);
/* Where the state is that has arrived, complete and verified; NULL when there
 * is none.  Until it is taken or dropped nothing new is begun, and until raft
 * is told of it the sender waits. */
const char *receiver_complete(const struct receiver *r);
bool receiver_has_told(const struct receiver *r);
/* Raft is to hear of it: arrived(). */
void receiver_tell(struct receiver *r);
/* To be installed; NULL when it is of another entry.  The caller frees it. */
struct store_import *receiver_take(struct receiver *r, uint64_t index);
void receiver_drop(struct receiver *r); /* nobody wants it */

#endif
