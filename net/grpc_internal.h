/* What the files of the gRPC server share; nobody outside net/ includes it. */
#ifndef NET_GRPC_INTERNAL_H
#define NET_GRPC_INTERNAL_H

#include "net/grpc_session.h"
#include "net/http1.h"
#include "net/http2.h"

#define GRPC_PREFIX_SIZE 5 /* compressed or not, four bytes of length */

enum grpc_encoding {
    GRPC_IDENTITY,
    GRPC_GZIP,
    GRPC_ENCODING_UNKNOWN,
};

struct grpc_http_request {
    struct grpc_session *session;
    struct grpc_call *call; /* NULL: of HTTP/1 */
    void *state;
    bool active; /* to be answered */
    bool given;  /* to the service; of HTTP/2, else as soon as it is active */
    bool keep_alive, is_head;
};

struct grpc_call {
    struct http2_stream stream; /* the first */
    struct grpc_session *session;
    const struct grpc_method *method;
    const struct grpc_handler *handler; /* NULL: not begun, or finished */
    void *state;
    struct heap_node deadline; /* in host.deadlines, or outside */
    struct list parked;        /* in session.parked, or alone */
    struct list throttled;     /* in session.throttled, or alone */
    struct list spare;         /* in host.calls_free, or alone */

    /* of the request's fields */
    struct buf metadata;    /* names and values, each with its size before it */
    struct buf path;        /* of a method that does not exist */
    struct buf http_method; /* other than POST */
    struct buf encoding_name, content_type; /* of ones that we do not know */
    int64_t timeout_ns;                     /* -1: none */
    enum grpc_encoding encoding;
    bool is_post, is_grpc, bad_timeout, too_large;

    struct buf in;     /* arrived, not yet taken by the handler */
    size_t in_counted; /* of it, in host.receiving */
    size_t in_used;    /* of it, taken; only while taking */
    uint64_t messages; /* taken */
    bool finished;     /* by the service or by us */
    bool paused;       /* by grpc_pause_reading() */
    bool taking;       /* inside take(): the handler may not be called again */
    bool half_closed;  /* has been told */

    size_t message_at; /* in the body, between begin and end of a message */
    bool encoding_message;
    size_t waiting_counted; /* of stream.waiting, in session.waiting */

    struct grpc_http_request page; /* when it is no call: grpc_page.c */
};

enum grpc_mode {
    GRPC_MODE_UNKNOWN, /* the first bytes are missing */
    GRPC_MODE_HTTP2,
    GRPC_MODE_HTTP1,
};

struct grpc_session {
    struct grpc_host *host;
    struct list link; /* in host.sessions */
    void *owner;
    enum grpc_mode mode;
    int64_t now_ns;
    int64_t since_ns; /* of the beginning, or of HTTP/1's last progress */
    bool woken;       /* host.wake() was called */
    bool closing;     /* nothing more is read */
    bool draining;

    struct http2 *h2;
    struct list parked;    /* calls with input that waits for us */
    struct list throttled; /* calls that wait for on_writable */
    size_t waiting;        /* bytes in the bodies of all calls */
    size_t receiving;      /* its part of host.receiving */
    bool work;             /* the lists are to be looked at */

    struct buf in;  /* HTTP/1, and the bytes that tell the mode */
    struct buf out; /* HTTP/1 */
    bool continued; /* "100 Continue" was said for the present request */
    struct grpc_http_request request;
};

/* --- grpc_host.c --- */
const struct grpc_method *grpc_host_find(const struct grpc_host *h,
                                         struct bytes path);
bool grpc_host_has_service(const struct grpc_host *h, struct bytes service);
struct grpc_call *grpc_host_call(struct grpc_host *h);
void grpc_host_call_free(struct grpc_host *h, struct grpc_call *c);

/* --- grpc_session.c --- */
void grpc_session_wake(struct grpc_session *s);
/* The one with the largest part of host.receiving, or host.waiting. */
struct grpc_session *grpc_session_greediest(const struct grpc_host *h,
                                            bool waiting);
/* Ends it, with a GOAWAY, and everything that it holds. Not from inside its own
 * callbacks. */
void grpc_session_shed(struct grpc_session *s);

/* --- grpc_request.c: fields, and the refusals that follow from them --- */
void grpc_request_field(struct http2_stream *stream, enum http2_name what,
                        struct bytes name, struct bytes value);
/* False: refused, and finished. */
bool grpc_request_check(struct grpc_call *c);

/* --- grpc_call.c --- */
extern const struct http2_ops grpc_call_ops;
bool grpc_session_is_full(const struct grpc_session *s);
void grpc_call_count_waiting(struct grpc_call *c);
/* Calls that wait for room or for their turn. */
void grpc_calls_run(struct grpc_session *s);
/* Ends it towards the client, with an HTTP status of its own. */
void grpc_call_refuse(struct grpc_call *c, int http_status, int code,
                      const char *text);
/* Tells the service that it is over, and the client why. */
void grpc_call_abort(struct grpc_call *c, int code, const char *text);

/* Of a server that ends: http2_visit()'s. */
void grpc_call_stop(struct http2_stream *stream);

/* --- grpc_receive.c: messages out of bytes --- */
void grpc_receive(struct grpc_call *c, struct bytes data);
/* What waits in c->in: after a pause, and at the request's end. */
void grpc_receive_more(struct grpc_call *c);
/* Forgets what waits. */
void grpc_receive_clear(struct grpc_call *c);

/* --- grpc_gzip.c --- */
enum grpc_gzip_outcome { GRPC_GZIP_OK, GRPC_GZIP_TOO_LARGE, GRPC_GZIP_BAD };
/* Replaces what is in `to`. */
enum grpc_gzip_outcome grpc_gzip_inflate(struct bytes from, size_t size_max,
                                         struct buf *to);

/* --- grpc_page.c: ordinary requests over HTTP/2 --- */
bool grpc_page_is_asked(const struct grpc_call *c);
void grpc_page_begin(struct grpc_call *c);
void grpc_page_data(struct grpc_call *c); /* some has arrived */
void grpc_page_give(struct grpc_call *c); /* all has */
void grpc_page_answer(struct grpc_call *c, int status, const char *content_type,
                      struct bytes body);
void grpc_page_gone(struct grpc_call *c);

/* --- grpc_http.c: HTTP/1 --- */
/* Takes requests out of s->in as long as the last one was answered. */
void grpc_http_run(struct grpc_session *s);
void grpc_http_gone(struct grpc_session *s);
/* The time-outs; false: close. */
bool grpc_http_tick(struct grpc_session *s);

#endif
