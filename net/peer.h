/* Links between the members of one cluster: opaque frames of bytes over TCP.
 *
 * A hub is one member's end of all of them.  To each peer it keeps two
 * connections of its own making, which carry frames one way: PEER_MESSAGES,
 * and PEER_BULK for what is large and may take its time (snapshots), so that
 * neither waits behind the other.  What a peer sends arrives on the two
 * connections that the peer made.  Frames of one stream arrive in the order
 * they were sent, each once or never, whole and unchanged (CRC-32C).
 *
 * Nothing here waits for a peer and nothing grows with its slowness: a queue
 * that is full takes no more, a connection that is lost takes its queue with
 * it, and the owner is told.  The sender must be able to live with loss, as
 * Raft is.  What is queued in one turn of the loop leaves in one writev.
 *
 * A connection that fails is made again after a pause that doubles from
 * backoff_min_ms to backoff_max_ms, of which a random half or more is waited;
 * at once when the peer is seen to be alive because it connects to us.
 *
 * Data from outside is never believed: a frame that is too long, of no known
 * type or with a wrong checksum ends its connection and nothing else, and
 * memory for a frame is taken only as its bytes arrive (at most twice those,
 * and 128 KiB).  Who is at the other end is not proved here.
 *
 * Threads: the loop's.  Callbacks come from the loop, never from inside a call;
 * they may call anything here but peer_hub_free(). */
#ifndef NET_PEER_H
#define NET_PEER_H

#include "base/buf.h"
#include "base/fault.h"
#include "net/loop.h"

struct peer_hub;

enum peer_stream { PEER_MESSAGES = 0, PEER_BULK = 1 };
#define PEER_STREAMS 2

/* Of the handshake. A hub speaks all versions from MIN to MAX. */
#define PEER_VERSION_MIN 1
#define PEER_VERSION_MAX 1

#define PEER_ADDRESSES_MAX      8 /* of one peer */
#define PEER_ADDRESSES_SIZE_MAX 1024
#define PEER_FRAME_SIZE_LIMIT   ((size_t)1 << 30) /* of frame_size_max */

struct peer_queue_limits {
    size_t bytes_max; /* a frame is always taken when nothing else waits */
    size_t frames_max;
};

struct peer_hub_options {
    uint64_t cluster_id;
    uint64_t member_id;    /* this member; not 0 */
    const char *advertise; /* this member's addresses, for those who do not
                            * know it yet; NULL: none */
    size_t frame_size_max; /* both ways; 64 MiB */
    struct peer_queue_limits queue[PEER_STREAMS]; /* 32 MiB and 4096; 16 MiB
                                                   * and 64 */
    int64_t backoff_min_ms;                       /* 20 */
    int64_t backoff_max_ms;                       /* 1000 */
    int64_t handshake_ms; /* to connect and be welcomed, five times that to
                           * look a name up; 2000 */
    int64_t heartbeat_ms; /* 500 */
    int64_t dead_ms;      /* without a sign of life; 5000 */
    size_t incoming_max;  /* connections from others; 256 */
    uint64_t seed;        /* different on every member */
};
/* Everything but the ids and the seed. */
void peer_hub_options_default(struct peer_hub_options *ret);

enum peer_event {
    PEER_EVENT_FAILED,    /* an attempt to connect; tried again */
    PEER_EVENT_REJECTED,  /* the peer refused us; tried again */
    PEER_EVENT_REMOVED,   /* likewise, as one that was removed */
    PEER_EVENT_REFUSED,   /* we refused an incoming connection */
    PEER_EVENT_MALFORMED, /* we closed one for the bytes that came on it */
    PEER_EVENT_ACCEPTED,  /* a member has connected to us */
    PEER_EVENT_CLOSED     /* that connection ended */
};

/* All but on_message may be NULL. */
struct peer_hub_callbacks {
    /* A frame; borrowed for the call.  `from` need not be a peer that was set:
     * see may_join. */
    void (*on_message)(void *arg, uint64_t from, enum peer_stream stream,
                       struct bytes frame);
    /* The stream to that peer is there: what is sent from now on goes out. */
    void (*on_connected)(void *arg, uint64_t to, enum peer_stream stream);
    /* It is gone, and what was queued with it; on_unreachable follows. */
    void (*on_lost)(void *arg, uint64_t to, enum peer_stream stream,
                    const struct fault *why);
    /* Frames were dropped, or may have been: the queue is full, or there is no
     * connection (any more). Once until the next attempt to connect or until
     * the queue is half empty. */
    void (*on_unreachable)(void *arg, uint64_t to, enum peer_stream stream);
    /* A queue that was full is at most half full again. */
    void (*on_drained)(void *arg, uint64_t to, enum peer_stream stream);
    /* Somebody who knows the cluster says it is this member and lives at these
     * addresses ("" or as peer_hub_set()'s).  ST_OK lets it in; else *reterr
     * is sent back as the reason, with ST_MEMBER_NOT_FOUND as one that was
     * removed.  NULL lets everybody in. */
    enum status (*may_join)(void *arg, uint64_t from, const char *addresses,
                            struct fault *reterr);
    /* Somebody who need not be a member asks something (net/peer_ask.h); NULL:
     * nobody may.  The answer is appended, at most PEER_INFO_SIZE_MAX. */
    void (*on_query)(void *arg, struct bytes question, struct buf *to);
    /* For the log; member is 0 when it is not known. */
    void (*on_event)(void *arg, enum peer_event what, uint64_t member,
                     const struct fault *why);
};

/* Options and callbacks are copied.  For the earliest possible sending, make
 * the hub after the hooks that send. */
struct peer_hub *peer_hub_new(struct loop *loop,
                              const struct peer_hub_options *options,
                              const struct peer_hub_callbacks *callbacks,
                              void *arg);
/* Ends all connections; no callback comes after this. NULL is fine. */
void peer_hub_free(struct peer_hub *h);

/* Accepts connections at "host:port" or "[v6]:port"; port 0 picks one. A name
 * is looked up at once, so this may wait.  May be called for several.
 *
 *   ST_INVALID  not an address
 *   others      from the system                                            */
enum status peer_hub_listen(struct peer_hub *h, const char *address,
                            uint16_t *ret_port, struct fault *reterr) MUST_USE;

/* Adds a peer, or gives it other addresses: "host:port,…", tried in turn.  A
 * connection that is there is kept.
 *
 *   ST_INVALID   not such addresses, or no other member's id
 *   ST_TOO_MANY  more than PEER_ADDRESSES_MAX                              */
enum status peer_hub_set(struct peer_hub *h, uint64_t id, const char *addresses,
                         struct fault *reterr) MUST_USE;
/* Ends its connections, both ways; a peer that is not there is fine. */
void peer_hub_remove(struct peer_hub *h, uint64_t id);
bool peer_hub_has(const struct peer_hub *h, uint64_t id);

/* Queues a frame and takes its bytes: *frame is left empty in any case.  While
 * the connection is being made frames wait for it, within the limits.  False:
 * dropped, as the peer is not known, there is no connection, the queue is full,
 * or the frame is longer than frame_size_max. */
bool peer_hub_send_take(struct peer_hub *h, uint64_t to,
                        enum peer_stream stream, struct buf *frame);

/* What is queued leaves now, as far as the system takes it, and not at the end
 * of the turn: for who is about to keep the loop busy. */
void peer_hub_flush(struct peer_hub *h);

struct peer_stream_stats {
    bool connected;
    uint64_t frames_sent, bytes_sent; /* handed to the system; whole frames */
    uint64_t frames_received, bytes_received; /* bodies */
    uint64_t dropped;                         /* frames */
    uint64_t attempts, connects, losses;
    size_t queue_bytes, queue_frames;
    int64_t round_trip_ns; /* of the last heartbeat; 0: none yet */
};
/* ST_NOT_FOUND: no such peer. */
enum status peer_hub_peer_stats(const struct peer_hub *h, uint64_t id,
                                enum peer_stream stream,
                                struct peer_stream_stats *ret) MUST_USE;

struct peer_hub_stats {
    size_t peers, incoming; /* now */
    uint64_t accepted, refused, malformed, evicted;
};
void peer_hub_stats(const struct peer_hub *h, struct peer_hub_stats *ret);

#endif
