/* A gRPC server on a listening port: HTTP/2 (h2c, prior knowledge) below, calls
 * of whole messages above; HTTP/1.1 on the same port, told by its first bytes.
 * Protocol and limits live here; what the messages mean is the services'.
 *
 * The session underneath (net/http2.h) is sans-I/O: bytes in, bytes out, so
 * that it can be tested and fuzzed without a socket and put behind TLS later.
 *
 * Cost of one unary call: no allocation that is not pooled, one pass over its
 * bytes, and of the turn's system calls its share: everything a turn answers on
 * one connection leaves in one write at the turn's end.
 *
 * Threads: all of it belongs to the loop.
 */
#ifndef NET_GRPC_H
#define NET_GRPC_H

#include "base/buf.h"
#include "base/bytes.h"
#include "net/loop.h"

struct grpc_server;
struct grpc_call;

struct grpc_limits {
    size_t message_max;         /* of one request message, decompressed */
    size_t call_send_max;       /* bytes waiting on one call before it is told
                                   to pause */
    size_t connection_send_max; /* bytes waiting on one connection before all
                                   calls are, and its requests wait */
    size_t receiving_max; /* bytes of half received messages, altogether */
    size_t sending_max;   /* unsent bytes of all connections: beyond it the
                             connection that has most is closed */
    uint32_t streams_max; /* at once on one connection */
    uint32_t connections_max;
    int64_t ping_interval_min_ms; /* faster pings get too_many_pings */
    int64_t keepalive_ms, keepalive_timeout_ms; /* our own pings */
    int64_t handshake_ms; /* for the first bytes, and an HTTP/1 request */
    int64_t http_idle_ms; /* between requests of HTTP/1 */
    size_t http_head_max, http_body_max;
};
void grpc_limits_default(struct grpc_limits *ret);

/* What a service makes of a call.  Bytes are borrowed until the function
 * returns.  None is called after grpc_finish(), nor after on_cancel. */
struct grpc_handler {
    /* A whole request message. */
    void (*on_message)(struct grpc_call *c, struct bytes message);
    /* The client has sent its last message (END_STREAM). A unary method that
     * got none, or a second one before it finished, is refused by the server
     * itself (on_cancel). */
    void (*on_half_close)(struct grpc_call *c); /* NULL: nothing to do */
    /* After grpc_send() had said to pause: go on. Not from inside grpc_send().
     */
    void (*on_writable)(struct grpc_call *c); /* NULL: never paused */
    /* The call is over without us: reset, connection lost, deadline passed,
     * server stopping (reported to the client by the server itself). The last
     * callback; c is gone when it returns. */
    void (*on_cancel)(struct grpc_call *c);
};

struct grpc_method {
    const char *path; /* "/etcdserverpb.KV/Range" */
    bool client_streams, server_streams;
    /* Headers have arrived. Sets the handler's state with grpc_call_set_state,
     * or finishes the call at once. */
    const struct grpc_handler *(*begin)(void *arg, struct grpc_call *c);
    void *arg;
};

/* HTTP/1.1 on the same port, and requests over HTTP/2 that name no content type
 * (body: none). Answers at once, or keeps the request and answers
 * later with grpc_http_answer(). */
struct grpc_http_request;
struct grpc_http {
    void (*on_request)(void *arg, struct grpc_http_request *r,
                       struct bytes method, struct bytes target,
                       struct bytes body);
    /* The connection went before the answer: r is gone when it returns. */
    void (*on_gone)(void *arg, struct grpc_http_request *r);
    void *arg;
};
void grpc_http_set_state(struct grpc_http_request *r, void *state);
void *grpc_http_state(const struct grpc_http_request *r);
void grpc_http_answer(struct grpc_http_request *r, int status,
                      const char *content_type, struct bytes body);

/* methods: borrowed, as long as the server lives; found by a hash of path. */
struct grpc_server *grpc_server_new(struct loop *l,
                                    const struct grpc_limits *limits,
                                    const struct grpc_method *methods,
                                    size_t methods_count,
                                    const struct grpc_http *http);
/* address: "host:port"; port 0 picks one, *ret_port says which. May be called
 * for several addresses. */
enum status grpc_server_listen(struct grpc_server *s, const char *address,
                               uint16_t *ret_port,
                               struct fault *reterr) MUST_USE;
/* Says GOAWAY, takes no new calls; existing calls may end until free. */
void grpc_server_drain(struct grpc_server *s);
size_t grpc_server_calls(const struct grpc_server *s); /* in progress */
/* on_cancel for all that is left; closes everything. NULL is fine. */
void grpc_server_free(struct grpc_server *s);

/* --- a call --- */

void grpc_call_set_state(struct grpc_call *c, void *state);
void *grpc_call_state(const struct grpc_call *c);
const struct grpc_method *grpc_call_method(const struct grpc_call *c);
/* A metadata value by lower-case name; empty when absent. */
struct bytes grpc_call_metadata(const struct grpc_call *c, const char *name);
/* Monotonic deadline from grpc-timeout; INT64_MAX: none. The server itself ends
 * a call whose deadline passed (DEADLINE_EXCEEDED, on_cancel). */
int64_t grpc_call_deadline_ns(const struct grpc_call *c);

/* One response message.  To encode in place, without a copy:
 *     struct buf *b = grpc_begin_message(c);  append the message  grpc_end…
 * Returns false when the connection has enough to send: wait for on_writable.
 * What was given is kept all the same. */
struct buf *grpc_begin_message(struct grpc_call *c);
size_t grpc_message_size(struct grpc_call *c); /* so far */
void grpc_drop_message(struct grpc_call *c);   /* as if it was not begun */
bool grpc_end_message(struct grpc_call *c);
bool grpc_send(struct grpc_call *c, struct bytes message);
/* Ends the call with a gRPC code; c is the server's from then on.  text: the
 * grpc-message, NULL for none. Without a message before, trailers only. */
void grpc_finish(struct grpc_call *c, int code, const char *text);
/* Holds the client's flow-control window back (reading stops), and lets go. */
void grpc_pause_reading(struct grpc_call *c);
void grpc_resume_reading(struct grpc_call *c);

/* --- counts, for /metrics --- */
struct grpc_counts {
    uint64_t bytes_received, bytes_sent, connections, calls_now;
};
void grpc_server_counts(const struct grpc_server *s, struct grpc_counts *ret);

#endif
