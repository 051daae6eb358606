/* One TCP connection that carries frames: reading, checking, coalesced
 * writing.  Knows nothing of who is at the other end. */
#ifndef NET_PEER_CONN_H
#define NET_PEER_CONN_H

#include <uv.h>

#include "base/list.h"
#include "net/peer_address.h"
#include "net/peer_frame.h"

/* The context of an end that no caller waits for; cut when it is long. */
void peer_why(struct fault *ret, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* --- frames on their way out --- */

struct peer_out {
    struct list link;
    uint8_t header[PEER_HEADER_SIZE];
    struct buf body;
};

struct peer_queue {
    struct list frames; /* of peer_out.link */
    size_t count;
    size_t bytes; /* memory, not length: what a bound is about */
};

void peer_queue_init(struct peer_queue *q);
/* Takes the bytes; *body is left empty. */
void peer_queue_push_take(struct peer_queue *q, enum peer_frame_type type,
                          struct buf *body);
/* Moves everything to the end of the other. */
void peer_queue_move(struct peer_queue *to, struct peer_queue *from);
void peer_queue_clear(struct peer_queue *q);

/* --- a connection --- */

enum peer_end {
    PEER_END_CLOSED,   /* by the other side, or by an error of the system */
    PEER_END_MALFORMED /* bytes that are no frames */
};

/* None comes after peer_conn_close(). */
struct peer_conn_ops {
    /* Of peer_conn_connect(): it is there. */
    void (*connected)(void *owner);
    /* A whole frame, its checksum right; borrowed for the call. The last thing
     * done about it: the owner may close and go away. */
    void (*frame)(void *owner, enum peer_frame_type type, struct bytes body);
    /* Bytes have left the queue. */
    void (*sent)(void *owner);
    /* It is over; the owner closes. */
    void (*end)(void *owner, enum peer_end how, const struct fault *why);
};

struct peer_conn {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    struct loop *loop;
    const struct peer_conn_ops *ops;
    void *owner;
    bool open, writing, closing;

    size_t frame_size_max; /* the owner's to raise after the handshake */
    struct buf in;         /* arrived, not yet a whole frame */
    int64_t heard_ns;      /* when bytes last arrived */

    struct peer_queue out;
    size_t head_sent;    /* bytes of the first frame that have left */
    size_t writing_size; /* handed to uv_write(), which has not called back */
    uint64_t written;    /* bytes handed to the system */
    uint64_t acked;      /* of these, at the last look */
    uint64_t frames_sent, bytes_sent; /* whole frames of PEER_FRAME_MESSAGE,
                                       * and their bodies */
};

/* A connection to be; owns itself once it is closed. */
struct peer_conn *peer_conn_new(struct loop *l, const struct peer_conn_ops *ops,
                                void *owner);
enum status peer_conn_connect(struct peer_conn *c,
                              const struct sockaddr *address,
                              struct fault *reterr) MUST_USE;
/* Of a listener that has one waiting. */
enum status peer_conn_accept(struct peer_conn *c, uv_stream_t *listener,
                             struct fault *reterr) MUST_USE;
/* At once; what is queued is gone. Frees, later. NULL is fine. */
void peer_conn_close(struct peer_conn *c);

/* Hands what is queued in c->out to the system, as much as it takes; the rest
 * follows by itself.  May call ops->sent and ops->end.  False: it is over, and
 * the owner has been told. */
bool peer_conn_flush(struct peer_conn *c);

/* Did the other side's kernel take bytes since the last look? */
bool peer_conn_moved(struct peer_conn *c);

#endif
