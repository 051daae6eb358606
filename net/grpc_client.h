/* The client's half of gRPC on one HTTP/2 connection, sans-I/O: bytes in, bytes
 * out.  Who moves the bytes is grpc_dial.h, a test, or TLS in between.
 *
 * A call is a struct that the caller owns, zeroes, and does not move until its
 * on_end has been called or grpc_client_cancel() has returned.
 *
 * Calls end, and messages come, only while grpc_client_receive(),
 * grpc_client_collect() or grpc_client_fail() run.  From inside a callback
 * everything may be called but these three and grpc_client_free().
 *
 * Threads: one.
 */
#ifndef NET_GRPC_CLIENT_H
#define NET_GRPC_CLIENT_H

#include "base/buf.h"
#include "base/fault.h"
#include "base/list.h"

#define GRPC_METADATA_MAX 8 /* of one call */

struct grpc_client;

/* How a call ended. */
struct grpc_outcome {
    int code;          /* gRPC's */
    struct bytes text; /* grpc-message, decoded; borrowed for the callback */
    bool answered;     /* the server said so itself; else the connection, or
                          what stands between, ended it */
    bool unprocessed;  /* no server has looked at it: sent again it runs once */
};

struct grpc_client_call {
    /* Filled in by the caller. A whole message, borrowed for the callback. */
    void (*on_message)(struct grpc_client_call *c, struct bytes message);
    /* The last callback; the call is the caller's again. */
    void (*on_end)(struct grpc_client_call *c, const struct grpc_outcome *how);

    /* Private. */
    struct grpc_client *client; /* NULL: not under way */
    struct list link;           /* in the client's calls */
    int32_t stream;
    struct buf out; /* framed messages that have not left */
    size_t out_sent;
    size_t begun;       /* where in `out` the message begins */
    bool half_closed;   /* after `out` the request ends */
    bool deferred;      /* nothing to send until the caller adds some */
    bool begun_sending; /* something of a message has left */
    bool refused;       /* it could not be sent */
    bool wrong_content; /* a content-type that is no gRPC */
    int http_status;    /* 0: none seen */
    int code;           /* grpc-status; -1: none seen */
    struct buf text;    /* grpc-message, as it came */
    struct buf in;      /* the beginning of a message */
};

struct grpc_metadata {
    const char *name; /* lower case; borrowed until grpc_client_start returns */
    struct bytes value;
};

struct grpc_client_options {
    const char *authority;   /* of the endpoint: "host:port" */
    const char *user_agent;  /* NULL: keelfs's */
    size_t message_size_max; /* of a response; 0: 512 MiB */
    /* There is something to collect, after there was nothing. */
    void (*on_output)(void *arg);
    void (*on_pong)(void *arg);   /* a ping was answered; may be NULL */
    void (*on_goaway)(void *arg); /* no new calls on it; may be NULL */
    void *arg;
};

struct grpc_client *grpc_client_new(const struct grpc_client_options *options);
/* Calls that are under way get no callback: grpc_client_fail() first. NULL is
 * fine. */
void grpc_client_free(struct grpc_client *client);

/* --- bytes --- */

/* What the connection brought.  ST_IO: the other side does not speak HTTP/2, or
 * broke it; the connection is to be closed. */
enum status grpc_client_receive(struct grpc_client *client, struct bytes data,
                                struct fault *reterr) MUST_USE;
/* Appends what is to be sent, up to about `size_max` bytes; the rest comes with
 * the next call. */
void grpc_client_collect(struct grpc_client *client, struct buf *to,
                         size_t size_max);
bool grpc_client_has_output(const struct grpc_client *client);

/* The connection is lost: all calls end with UNAVAILABLE and that text. */
void grpc_client_fail(struct grpc_client *client, const char *why);
/* All calls are over without a callback.  From inside a callback, too. */
void grpc_client_abandon(struct grpc_client *client);
/* The server takes new calls on this connection. */
bool grpc_client_is_open(const struct grpc_client *client);
size_t grpc_client_calls(const struct grpc_client *client); /* under way */
void grpc_client_ping(struct grpc_client *client);

/* --- calls --- */

/* path: "/etcdserverpb.KV/Range", which lives as long as the client.
 * timeout_ms: told to the server; 0: none.  Only when the client is open. */
void grpc_client_start(struct grpc_client *client, struct grpc_client_call *c,
                       const char *path, int64_t timeout_ms,
                       const struct grpc_metadata *metadata,
                       size_t metadata_count);
/* One request message: append it to the buffer given, then end.  Between the
 * two nothing else is called for this call. */
struct buf *grpc_client_begin_message(struct grpc_client_call *c);
void grpc_client_end_message(struct grpc_client_call *c);
/* No more messages. */
void grpc_client_half_close(struct grpc_client_call *c);
/* The call is over for both sides, and the caller's again: no callback comes
 * after this.  Harmless when it is not under way. */
void grpc_client_cancel(struct grpc_client_call *c);
/* Bytes of the call's messages that have not left yet. */
size_t grpc_client_unsent(const struct grpc_client_call *c);

#endif
