/* One client connection, sans-I/O: its first bytes tell whether it speaks
 * HTTP/2, and then it carries gRPC calls, or HTTP/1.1.
 *
 * Handlers of calls are called from within grpc_session_receive(), _pull(),
 * _tick() and _free(), never from inside a function of grpc.h.
 */
#ifndef NET_GRPC_SESSION_H
#define NET_GRPC_SESSION_H

#include "base/heap.h"
#include "base/list.h"
#include "net/grpc.h"
#include "net/http2_memory.h"

/* What all sessions of a server share. */
struct grpc_host {
    struct grpc_limits limits;
    const struct grpc_method *methods;
    size_t methods_count;
    struct grpc_http http;
    struct grpc_counts counts;
    /* A session wants grpc_session_pull(); not from inside that. */
    void (*wake)(void *owner);
    /* private */
    const struct grpc_method **table; /* by hash of path; a power of two */
    size_t table_size;
    struct heap deadlines;
    struct list sessions; /* of grpc_session.link */
    struct list calls_free;
    size_t calls_free_count;
    size_t receiving; /* bytes of messages that are not yet whole */
    size_t waiting;   /* bytes of answers that have not left */
    struct http2_memory memory;
    struct buf plain; /* a message, decompressed */
};

void grpc_host_init(struct grpc_host *h, const struct grpc_limits *limits,
                    const struct grpc_method *methods, size_t methods_count,
                    const struct grpc_http *http);
/* All sessions have been freed. */
void grpc_host_fini(struct grpc_host *h);
/* When the next deadline of a call passes; INT64_MAX: none is set. */
int64_t grpc_host_deadline_ns(const struct grpc_host *h);
/* Ends the calls whose deadline has passed. */
void grpc_host_expire(struct grpc_host *h, int64_t now_ns);

/* Ends the sessions with most unsent bytes while all together have too many.
 * Not from inside a callback. */
void grpc_host_shed(struct grpc_host *h);

struct grpc_session;
struct grpc_session *grpc_session_new(struct grpc_host *h, void *owner,
                                      int64_t now_ns);
/* Cancels its calls. NULL is fine. */
void grpc_session_free(struct grpc_session *s);

/* False: nothing more is to be read; close when everything is sent. */
bool grpc_session_receive(struct grpc_session *s, struct bytes bytes,
                          int64_t now_ns);
/* The other side has said its last byte. */
void grpc_session_receive_end(struct grpc_session *s);
/* Appends what is to be sent until `to` holds size_max bytes or somewhat more.
 */
void grpc_session_pull(struct grpc_session *s, struct buf *to, size_t size_max);
/* pull() would append more. */
bool grpc_session_has_output(const struct grpc_session *s);
/* Everything is said, by both sides or by force: close. */
bool grpc_session_is_over(const struct grpc_session *s);
/* The input is to wait: what was received has not been answered. */
bool grpc_session_is_busy(const struct grpc_session *s);
/* About once a second. False: the other side is dead, or has not begun. */
bool grpc_session_tick(struct grpc_session *s, int64_t now_ns);
void grpc_session_drain(struct grpc_session *s);
/* Ends the calls that are left: UNAVAILABLE, on_cancel. */
void grpc_session_stop(struct grpc_session *s);

#endif
