/* What the files of HTTP/2 share; nobody outside net/ includes it. */
#ifndef NET_HTTP2_INTERNAL_H
#define NET_HTTP2_INTERNAL_H

#include <nghttp2/nghttp2.h>

#include "net/http2.h"

/* A bucket that a misbehaving client empties: `burst` at once, `rate` for each
 * second. */
struct http2_bucket {
    uint32_t level;
    int64_t filled_ns;
};

#define HTTP2_CLOSED_KEPT 32
struct http2_closed {
    int32_t id;
    bool by_client; /* who had said its last word, or RST_STREAM */
};

struct http2 {
    nghttp2_session *session;
    const struct http2_ops *ops;
    void *owner;
    struct http2_options options;
    struct list streams; /* of http2_stream.link */
    size_t streams_count;
    struct buf *to; /* of the present http2_pull() */
    size_t to_max;
    int64_t now_ns;
    bool begun;    /* SETTINGS have arrived */
    bool failed;   /* what comes is no longer read */
    bool draining; /* the first GOAWAY was said */
    bool drained;  /* and the second */
    int64_t draining_ns;

    /* pings of the client (net/http2_guard.c) */
    int64_t pinged_ns;
    uint32_t strikes;
    bool sent_since; /* headers or data, since the last ping */
    /* our own */
    int64_t heard_ns;
    int64_t ping_sent_ns; /* 0: none is on its way */

    /* streams that are no more (net/http2_closed.c) */
    int32_t last_id;             /* the client's newest stream */
    int32_t gap_first, gap_last; /* numbers that it left out */
    struct http2_closed closed[HTTP2_CLOSED_KEPT];
    size_t closed_count;
    struct {
        size_t skip; /* bytes to the next head */
        uint8_t head[9];
        size_t head_size; /* of a head that is cut */
        int32_t reset_id; /* the last stream that the client reset */
    } scan;

    struct http2_bucket idle_frames; /* frames that bring nothing forward */
};

/* --- http2_guard.c --- */
void http2_guard_init(struct http2 *h);
void http2_guard_ping(struct http2 *h);
void http2_guard_pong(struct http2 *h, const uint8_t opaque[8]);
/* A frame that brings nothing forward: SETTINGS, PRIORITY, empty DATA, errors
 * that we answer. */
void http2_guard_idle_frame(struct http2 *h);

/* --- http2_closed.c --- */
void http2_closed_init(struct http2 *h);
/* How much of what arrived comes before DATA on a stream that the client had
 * ended; all of it, as a rule. */
size_t http2_closed_scan(struct http2 *h, struct bytes bytes);
void http2_closed_opened(struct http2 *h, int32_t id);
void http2_closed_note(struct http2 *h, int32_t id, bool by_client);
/* DATA or HEADERS on a stream that is not open. False: the connection has been
 * failed. */
bool http2_closed_check(struct http2 *h, int32_t id, bool headers);

/* --- http2_request.c --- */
/* False: the connection has been failed. */
bool http2_request_field(struct http2_stream *s, struct bytes name,
                         struct bytes value);
bool http2_request_is_whole(const struct http2_stream *s);

/* --- http2_session.c --- */
nghttp2_session *http2_session_new(struct http2 *h);

#endif
