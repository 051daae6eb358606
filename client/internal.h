/* What the files of client/ share; nobody outside includes it. */
#ifndef CLIENT_INTERNAL_H
#define CLIENT_INTERNAL_H

#include "base/heap.h"
#include "base/hmap.h"
#include "base/prng.h"
#include "client/arena.h"
#include "client/client.h"
#include "net/grpc_dial.h"

#define NS_PER_MS INT64_C(1000000)

/* See channel.c for who changes it. */
enum channel_state {
    CHANNEL_WAITING,  /* for its back-off */
    CHANNEL_OPENING,  /* TCP */
    CHANNEL_GREETING, /* for the member's status */
    CHANNEL_READY,
    CHANNEL_STOPPED
};

/* One connection: the present one, or one whose last answers are awaited. */
struct client_conn {
    struct list link; /* in client.draining, or alone */
    struct client *client;
    struct grpc_conn *grpc;
    bool dead;                    /* closes at the end of the turn */
    struct grpc_client_call call; /* Status, then MemberList */
    struct buf reply;
};

/* One call on one stream under way: a kv_call, or one step of it. */
struct client_request;

struct client_step {
    const char *path;
    void (*write)(struct client_request *r, struct buf *to);
    /* The reply is r->reply.  Sets r->goes_on when another step is to follow:
     * r->step, or this one again. */
    enum status (*read)(struct client_request *r);
};

struct client_request {
    struct list link; /* in client.waiting, .sent, .ended or of a stream */
    struct list write_link;   /* in client.writes while it is under way */
    struct heap_node expires; /* in client.deadlines */
    struct grpc_client_call call;
    struct client *client;
    struct client_conn *conn;
    struct kv_call *kv;
    const struct client_step *step;
    bool goes_on;      /* this reply is not the last */
    bool is_write;     /* its events come behind its answer */
    bool is_once;      /* not to be repeated once a server can have seen it */
    bool is_keepalive; /* goes over the lease stream */
    bool is_revoke;    /* what is gone at a repetition was revoked */
    bool tried;        /* a server may have seen it */
    unsigned attempts;
    int64_t seen; /* client.seen when it was sent */
    struct buf reply;
    struct arena arena;        /* of the result */
    struct client_scan *scans; /* of grouped ranges, see scan.c */
    size_t scans_count;
    void (*end_scans)(struct client_request *r);
    const struct client_step *first_step;
    int64_t scan_revision; /* what all of them see; 0: not known yet */
    unsigned scan_restarts;
};

struct client {
    struct kv kv;
    struct loop *loop;
    struct grpc_dialer *dialer;
    struct client_options options;
    char *endpoints[CLIENT_ENDPOINTS_MAX];
    size_t endpoints_count, endpoint; /* the present one */
    struct prng chance;

    enum channel_state state;
    struct client_conn *conn; /* from CHANNEL_OPENING to CHANNEL_READY */
    struct list draining;
    struct loop_timer *timer; /* back-off; the next look at the member */
    unsigned failures;        /* endpoints in a row */
    int64_t ready_ns;         /* since when it is READY */

    struct list waiting, sent; /* of client_request.link */
    struct list ended;         /* their `done` comes at the end of the turn */
    struct list writes;        /* of write_link, the oldest first */
    struct heap deadlines;
    struct loop_timer *deadline_timer, *again_timer;
    int64_t again_ns; /* when that fires; 0: it is not set */
    struct loop_hook hook;
    struct loop_post post;
    bool posted;
    bool stopping;

    int64_t seen; /* the highest revision any server spoke of */

    /* The lease stream; see lease.c. */
    struct grpc_client_call lease_call;
    struct client_conn *lease_conn; /* NULL: not open */
    struct list keepalives;         /* sent, the oldest first */

    /* The watch stream; see watch.c. */
    struct grpc_client_call watch_call;
    struct client_conn *watch_conn;
    struct list watches_new;      /* to be created */
    struct list watches_creating; /* asked for, in order */
    struct list watches_idle;     /* of ranges without keys */
    struct list watches_ended;    /* on_end comes at the end of the turn */
    struct hmap watches;          /* by the server's id */
    struct list held;             /* events that wait for a write's answer */
    size_t held_size;

    /* The member, as it said last. */
    struct kv_header header;
    struct kv_status facts;
    struct kv_member *members;
    size_t members_count;
    struct arena members_arena;
};

/* --- client.c --- */
/* Something is to be done at the end of the turn. */
void client_mark(struct client *c);
void client_saw(struct client *c, const struct kv_header *header);
/* What waits is tried again, after so long or sooner. */
void client_again(struct client *c, int64_t ms);

/* --- channel.c --- */
void channel_begin(struct client *c);
void channel_end(struct client *c);
/* Requests can be sent now. */
bool channel_is_ready(const struct client *c);
/* The member answered that it cannot serve: another one, if there is. */
void channel_suspect(struct client *c);
/* Closes what has drained. */
void channel_sweep(struct client *c);

/* --- request.c --- */
struct client_request *request_new(struct client *c, struct kv_call *kv);
/* Sends it, or lets it wait. */
void request_go(struct client_request *r);
void request_end(struct client_request *r, enum status st);
/* Its call has ended badly: again, or the end. */
void request_failed(struct client_request *r, const struct grpc_outcome *how);
/* A step's reply has come. */
void request_replied(struct client_request *r);
void requests_resume(struct client *c); /* those that wait */
bool requests_deliver(struct client *c);
void requests_stop(struct client *c);
void requests_cancel(struct client *c, struct kv_call *kv);
void requests_expire(void *client);

/* --- ops.c: what is asked in one step --- */
void client_range(struct kv *kv, struct kv_range *range);
void client_txn(struct kv *kv, struct kv_txn *txn);
void client_compact(struct kv *kv, struct kv_compact *compact);

/* --- scan.c: reads with grouped ranges, in as many steps as they take --- */
/* The range or transaction has one. */
bool scan_is_needed(const struct kv_op *ops, size_t ops_count);
/* Of a range alone, or of the operations of a transaction; the results are
 * filled in where they are. */
void scan_begin_range(struct client_request *r, struct kv_range *range);
void scan_begin_txn(struct client_request *r, struct kv_txn *txn);
/* What it saw has been compacted: from the beginning? */
bool scan_restart(struct client_request *r);

/* --- lease.c --- */
void client_lease(struct kv *kv, struct kv_lease *lease);

void keepalive_send(struct client_request *r);
void keepalives_end(struct client *c); /* of the connection that goes */

/* --- watch.c --- */
void client_watch(struct kv *kv, struct kv_watch *watch);
void client_unwatch(struct kv *kv, struct kv_watch *watch);
void watches_resume(struct client *c);
void watches_leave(struct client *c); /* the connection goes */
bool watches_deliver(struct client *c);
void watches_stop(struct client *c);

/* --- error.c --- */
/* Of a call that did not end with OK. */
enum status status_of_outcome(const struct grpc_outcome *how);

#endif
