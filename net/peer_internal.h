/* What the files of the hub share; nobody outside net/ includes it. */
#ifndef NET_PEER_INTERNAL_H
#define NET_PEER_INTERNAL_H

#include "base/prng.h"
#include "net/peer_conn.h"

/* What the owner is to be told about a link, at the end of the turn. */
enum link_notice {
    NOTICE_CONNECTED = 1 << 0,
    NOTICE_LOST = 1 << 1,
    NOTICE_FAILED = 1 << 2,
    NOTICE_UNREACHABLE = 1 << 3,
    NOTICE_DRAINED = 1 << 4,
};

/* See peer_link.c for the states and who changes them. */
enum link_state {
    LINK_WAITING,
    LINK_RESOLVING,
    LINK_CONNECTING,
    LINK_GREETING,
    LINK_UP
};

/* One stream to one peer. */
struct peer_link {
    struct list dirty; /* in peer_hub.dirty: bytes to flush, or notices */
    struct peer *peer;
    enum peer_stream stream;
    enum link_state state;
    struct loop_timer *timer; /* what it is for follows from the state */

    struct peer_lookup *lookup; /* running; may outlive its attempt */
    struct peer_conn *conn;     /* from LINK_CONNECTING on */
    /* What the last address stood for; kept for when names fail. */
    union peer_socket_address candidates[PEER_LOOKUP_MAX];
    size_t candidates_count, candidates_next;
    size_t address_next;                  /* of peer.addresses */
    char address[PEER_ADDRESS_TEXT_SIZE]; /* of the connection */
    uint32_t failures;                    /* in a row: the back-off's step */

    struct peer_queue waiting; /* for LINK_UP */
    bool full;                 /* a frame was dropped, not drained yet */
    bool told;                 /* that it is unreachable, in this step */

    uint64_t ping;    /* number of the last one */
    bool ping_waits;  /* for its answer */
    int64_t ping_ns;  /* when it was queued */
    int64_t alive_ns; /* last sign of life */

    unsigned notices; /* link_notice bits */
    enum peer_event notice_event;
    struct fault notice_fault;

    /* Without what the present connection adds. */
    struct peer_stream_stats stats;
};

struct peer {
    struct list link; /* in peer_hub.peers */
    struct peer_hub *hub;
    uint64_t id;
    struct peer_addresses addresses;
    struct peer_link links[PEER_STREAMS];
};

/* A connection that somebody made to us. */
struct peer_incoming {
    struct list link; /* in peer_hub.incoming, the oldest first */
    struct peer_hub *hub;
    struct peer_conn *conn;
    struct loop_timer *timer;
    bool welcomed;
    bool asked;    /* it only had a question */
    uint64_t from; /* 0 until then */
    enum peer_stream stream;
    char address[PEER_ADDRESS_TEXT_SIZE];
};

struct peer_listener {
    struct list link; /* in peer_hub.listeners */
    uv_tcp_t tcp;
    struct peer_hub *hub; /* NULL once it is closed */
};

struct peer_hub {
    struct loop *loop;
    struct peer_hub_options options; /* advertise points to the copy */
    char advertise[PEER_ADDRESSES_SIZE_MAX + 1];
    struct peer_hub_callbacks callbacks;
    void *arg;
    struct prng chance;
    struct list peers, incoming, listeners, dirty;
    struct loop_hook hook;
    struct loop_post post; /* when the hook may have run already */
    bool posted;
    size_t lookups; /* running for the links */
    bool in_event;  /* a round of hooks is still to come in this turn */
    struct peer_hub_stats stats;
};

int64_t peer_ms_from_now(int64_t ms);
struct peer *peer_find(const struct peer_hub *h, uint64_t id);
/* The link needs the end of the turn. */
void peer_mark(struct peer_link *l);
void peer_say(struct peer_hub *h, enum peer_event what, uint64_t member,
              const struct fault *why);

/* --- peer_dial.c --- */
/* LINK_WAITING is over. */
void peer_dial_begin(struct peer_link *l);
/* The next of the addresses; when there is none left, the link fails, with the
 * reason why the last one did. */
void peer_dial_next(struct peer_link *l, const char *why);
void peer_dial_cancel(struct peer_link *l);

/* --- peer_link.c --- */
extern const struct peer_conn_ops peer_link_conn_ops;
/* The attempt, or the connection, is over: "what ADDRESS: why". */
void peer_link_fail(struct peer_link *l, enum peer_event event,
                    const char *what, const char *why);
/* Closes the connection, and nothing else. */
void peer_link_drop(struct peer_link *l);
void peer_link_begin(struct peer_link *l, struct peer *peer,
                     enum peer_stream stream);
void peer_link_end(struct peer_link *l);
/* The peer lives elsewhere now. */
void peer_link_readdress(struct peer_link *l);
/* Its back-off ends now, if it is waiting. */
void peer_link_hurry(struct peer_link *l);
/* Frees the bytes in any case. */
bool peer_link_send_take(struct peer_link *l, struct buf *frame);
/* Flushes, then tells the owner one thing; true when it was told.  The last
 * thing done about it: the owner may have removed the peer. */
bool peer_link_serve(struct peer_link *l);
void peer_link_stats(const struct peer_link *l, struct peer_stream_stats *ret);

/* --- peer_accept.c --- */
enum status peer_listener_open(struct peer_hub *h,
                               const union peer_socket_address *address,
                               uint16_t *ret_port,
                               struct fault *reterr) MUST_USE;
void peer_listener_close(struct peer_listener *l);
void peer_incoming_close(struct peer_incoming *i);

#endif
