/* One HTTP/2 connection of a server, sans-I/O: bytes that arrived go in, bytes
 * to send come out, time is told.  nghttp2 does frames, header compression,
 * windows and the life of streams; here are the rules for requests (RFC 9113,
 * section 8), the limits, and the policing of pings.
 *
 * A stream is a structure of the owner's that embeds http2_stream.  Its life:
 *
 *   ops.open -> ops.field* -> ops.request -> ops.data* -> ops.half_close
 *            -> ops.closed (always the last, at any point; once)
 *
 * Requests that are malformed are reset here and never reach ops.request.
 *
 * Callbacks come from within http2_receive() and http2_pull() only.  All other
 * functions may be called from callbacks, and outside of them.
 */
#ifndef NET_HTTP2_H
#define NET_HTTP2_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/list.h"
#include "net/http2_memory.h"

struct http2;

struct http2_field {
    struct bytes name, value;
};

#define HTTP2_TRAILERS_MAX 3

struct http2_stream {
    struct http2 *h; /* read-only, all above the line */
    int32_t id;
    bool request_over; /* END_STREAM has been seen */
    bool responded;    /* headers have been given */
    bool ended;        /* nothing more will be given */
    size_t waiting;    /* bytes of the body that have not left */
    /* --- private --- */
    struct list link;
    struct buf body;
    size_t body_sent;
    size_t held_back; /* window that the client has not got back */
    struct http2_field trailers[HTTP2_TRAILERS_MAX];
    size_t trailers_count;
    struct buf trailer_text; /* what they point into */
    int64_t content_length, content_seen;
    size_t fields_size;
    uint32_t fields_count;
    uint8_t pseudo; /* which have been seen */
    bool malformed, too_large, regular_seen, in_trailers, requested;
    bool deferred; /* nghttp2 waits for http2_body_ready() */
    bool hold;     /* the window is held back */
    bool over;     /* RST_STREAM is on its way: what comes is ignored */
};

/* Which pseudo-header, for ops.field. */
enum http2_name {
    HTTP2_METHOD,
    HTTP2_SCHEME,
    HTTP2_AUTHORITY,
    HTTP2_PATH,
    HTTP2_REGULAR,
};

struct http2_ops {
    /* A new stream; zeroed but for buffers it may keep. Never NULL. */
    struct http2_stream *(*open)(void *owner);
    void (*field)(struct http2_stream *s, enum http2_name what,
                  struct bytes name, struct bytes value);
    /* All fields were there. too_large: some were left out. */
    void (*request)(struct http2_stream *s, bool too_large);
    void (*data)(struct http2_stream *s, struct bytes data);
    void (*half_close)(struct http2_stream *s);
    /* Some of the body has left. */
    void (*sent)(struct http2_stream *s);
    /* code: of RST_STREAM; the buffers of s are the owner's to free or keep. */
    void (*closed)(struct http2_stream *s, uint32_t code);
};

struct http2_options {
    struct http2_memory *memory; /* of all connections of the owner */
    uint32_t streams_max;
    uint32_t stream_window, connection_window;
    size_t fields_size_max; /* names, values, and 32 for each field */
    uint32_t fields_count_max;
    int64_t ping_interval_min_ms;
    int64_t keepalive_ms, keepalive_timeout_ms;
};

struct http2 *http2_new(const struct http2_options *options,
                        const struct http2_ops *ops, void *owner,
                        int64_t now_ns);
/* ops.closed for all streams. NULL is fine. */
void http2_free(struct http2 *h);

/* False: the connection is to be closed once what http2_pull() gives is sent.
 */
bool http2_receive(struct http2 *h, struct bytes bytes, int64_t now_ns);
/* Appends to `to` what is to be sent, until it holds size_max bytes or a frame
 * more. False as above. */
bool http2_pull(struct http2 *h, struct buf *to, size_t size_max);
/* More may be waiting for http2_pull(). */
bool http2_has_output(const struct http2 *h);
/* GOAWAY was said, or something fatal: nothing is to come, all is sent. */
bool http2_is_over(const struct http2 *h);
/* The client's first SETTINGS have arrived. */
bool http2_has_begun(const struct http2 *h);
/* About once a second: our own pings. False: the other side is dead. */
bool http2_tick(struct http2 *h, int64_t now_ns);
/* GOAWAY: existing streams may end, new ones are not taken. */
void http2_drain(struct http2 *h);
size_t http2_streams(const struct http2 *h); /* open ones */
/* For each open stream; `visit` closes none at once. */
void http2_visit(struct http2 *h, void (*visit)(struct http2_stream *s));
/* GOAWAY with that code; nothing more is read. */
void http2_fail(struct http2 *h, uint32_t code, const char *why);

#define HTTP2_NO_ERROR          0x0
#define HTTP2_PROTOCOL_ERROR    0x1
#define HTTP2_INTERNAL_ERROR    0x2
#define HTTP2_REFUSED_STREAM    0x7
#define HTTP2_CANCEL            0x8
#define HTTP2_ENHANCE_YOUR_CALM 0xb

/* Names and values are constants, or live until the stream is closed. */
void http2_respond(struct http2_stream *s, const struct http2_field *fields,
                   size_t count, bool end);
/* To append the body; then http2_body_ready(). After http2_respond(). */
static inline struct buf *http2_body(struct http2_stream *s)
{
    return &s->body;
}
void http2_body_ready(struct http2_stream *s);
/* What is given with trailers goes out behind the body; with count 0 the body's
 * end is the stream's. Values are copied; names are constants. */
void http2_end(struct http2_stream *s, const struct http2_field *trailers,
               size_t count);
void http2_reset(struct http2_stream *s, uint32_t code);
/* Holding: what arrives is not given back to the window. */
void http2_hold_window(struct http2_stream *s, bool hold);

#endif
