/* nghttp2's callbacks: what arrives, and where output goes. */

#include <stdlib.h>

#include "base/must.h"
#include "net/http2_internal.h"

/* Sent bytes at the beginning of a body that is never sent whole. */
#define BODY_GAP_MAX ((size_t)64 << 10)

/* "Rapid reset". Clients reset calls whose deadline passes, and under load many
 * do; what is beyond this is an attack. */
#define RESETS_BURST    5000
#define RESETS_A_SECOND 1000

static struct http2_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

/* --- what arrives --- */

static int begin_frame(nghttp2_session *session, const nghttp2_frame_hd *head,
                       void *arg)
{
    struct http2 *h = arg;
    const bool headers = head->type == NGHTTP2_HEADERS;
    if ((head->type == NGHTTP2_DATA || headers) &&
        stream_of(session, head->stream_id) == NULL &&
        !http2_closed_check(h, head->stream_id, headers)) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

static int begin_headers(nghttp2_session *session, const nghttp2_frame *frame,
                         void *arg)
{
    struct http2 *h = arg;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        struct http2_stream *s = stream_of(session, frame->hd.stream_id);
        if (s != NULL) {
            s->in_trailers = true;
        }
        return 0;
    }
    struct http2_stream *s = h->ops->open(h->owner);
    must(s->waiting == 0);
    s->h = h;
    s->id = frame->hd.stream_id;
    s->content_length = -1;
    list_push(&h->streams, &s->link);
    h->streams_count++;
    must(nghttp2_session_set_stream_user_data(session, s->id, s) == 0);
    http2_closed_opened(h, s->id);
    return 0;
}

static int header(nghttp2_session *session, const nghttp2_frame *frame,
                  const uint8_t *name, size_t name_size, const uint8_t *value,
                  size_t value_size, uint8_t flags, void *arg)
{
    (void)flags;
    (void)arg;
    struct http2_stream *s = stream_of(session, frame->hd.stream_id);
    if (s != NULL && !http2_request_field(s, (struct bytes){name, name_size},
                                          (struct bytes){value, value_size})) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

static void malformed(struct http2_stream *s)
{
    http2_guard_idle_frame(s->h);
    if (!s->over) {
        http2_reset(s, HTTP2_PROTOCOL_ERROR);
    }
}

static void request_over(struct http2_stream *s)
{
    s->request_over = true;
    if (s->content_length >= 0 && s->content_seen != s->content_length) {
        malformed(s);
        return;
    }
    s->h->ops->half_close(s);
}

static void headers_over(struct http2_stream *s, bool end)
{
    if (s->in_trailers ? s->malformed || !end : !http2_request_is_whole(s)) {
        malformed(s);
        return;
    }
    if (!s->in_trailers) {
        s->requested = true;
        s->request_over = end; /* for ops.request to know */
        s->h->ops->request(s, s->too_large);
    }
    if (end) {
        request_over(s);
    }
}

static int frame_recv(nghttp2_session *session, const nghttp2_frame *frame,
                      void *arg)
{
    struct http2 *h = arg;
    const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    const bool ack = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
    struct http2_stream *s;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        s = stream_of(session, frame->hd.stream_id);
        if (s != NULL && !s->over) {
            headers_over(s, end);
        }
        break;
    case NGHTTP2_DATA:
        s = stream_of(session, frame->hd.stream_id);
        if (s != NULL && end && !s->over) {
            request_over(s);
        } else if (frame->hd.length == 0) {
            http2_guard_idle_frame(h);
        }
        break;
    case NGHTTP2_PING:
        if (ack) {
            http2_guard_pong(h, frame->ping.opaque_data);
        } else {
            http2_guard_ping(h);
        }
        break;
    case NGHTTP2_SETTINGS:
        h->begun = true;
        if (!ack) {
            http2_guard_idle_frame(h);
        }
        break;
    case NGHTTP2_RST_STREAM:
        s = stream_of(session, frame->hd.stream_id);
        if (s != NULL) {
            s->request_over = true;
        }
        break;
    case NGHTTP2_PRIORITY:
        if (!ack) {
            http2_guard_idle_frame(h);
        }
        break;
    default:
        break;
    }
    return h->failed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* nghttp2 answers these itself. */
static int invalid_frame(nghttp2_session *session, const nghttp2_frame *frame,
                         int error, void *arg)
{
    (void)session;
    (void)frame;
    (void)error;
    struct http2 *h = arg;
    http2_guard_idle_frame(h);
    return h->failed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int data_chunk(nghttp2_session *session, uint8_t flags, int32_t id,
                      const uint8_t *data, size_t size, void *arg)
{
    (void)flags;
    struct http2 *h = arg;
    must(nghttp2_session_consume_connection(session, size) == 0);
    struct http2_stream *s = stream_of(session, id);
    if (s == NULL || s->over) {
        return 0;
    }
    s->content_seen += (int64_t)size;
    if (s->content_length >= 0 && s->content_seen > s->content_length) {
        malformed(s);
        return 0;
    }
    if (s->hold) {
        s->held_back += size;
    } else {
        must(nghttp2_session_consume_stream(session, id, size) == 0);
    }
    h->ops->data(s, (struct bytes){data, size});
    return 0;
}

static int stream_close(nghttp2_session *session, int32_t id, uint32_t code,
                        void *arg)
{
    struct http2 *h = arg;
    struct http2_stream *s = stream_of(session, id);
    if (s == NULL) {
        return 0;
    }
    http2_closed_note(h, id, s->request_over);
    list_remove(&s->link);
    must(h->streams_count > 0);
    h->streams_count--;
    h->ops->closed(s, code);
    return 0;
}

/* --- what is sent --- */

static ssize_t send_bytes(nghttp2_session *session, const uint8_t *data,
                          size_t size, int flags, void *arg)
{
    (void)session;
    (void)flags;
    struct http2 *h = arg;
    if (h->to->size >= h->to_max) {
        return NGHTTP2_ERR_WOULDBLOCK;
    }
    buf_append(h->to, (struct bytes){data, size});
    return (ssize_t)size;
}

/* The bytes of a DATA frame, straight from the stream's body. */
static int send_data(nghttp2_session *session, nghttp2_frame *frame,
                     const uint8_t *head, size_t size,
                     nghttp2_data_source *source, void *arg)
{
    (void)session;
    struct http2 *h = arg;
    struct http2_stream *s = source->ptr;
    if (h->to->size >= h->to_max) {
        return NGHTTP2_ERR_WOULDBLOCK;
    }
    must(frame->data.padlen == 0);
    must(size <= s->waiting);
    uint8_t *to = buf_extend(h->to, 9 + size);
    memcpy(to, head, 9);
    memcpy(to + 9, s->body.data + s->body_sent, size);
    s->body_sent += size;
    s->waiting -= size;
    h->sent_since = true;
    if (s->waiting == 0) {
        s->body_sent = 0;
        buf_clear(&s->body);
    } else if (s->body_sent >= BODY_GAP_MAX && s->body_sent > s->waiting) {
        memmove(s->body.data, s->body.data + s->body_sent, s->waiting);
        s->body.size = s->waiting;
        s->body_sent = 0;
    }
    h->ops->sent(s);
    return 0;
}

/* Our last word, while the client's is still to come: it need not say it. */
static int frame_sent(nghttp2_session *session, const nghttp2_frame *frame,
                      void *arg)
{
    (void)arg;
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        struct http2_stream *s = stream_of(session, frame->hd.stream_id);
        if (s != NULL && !s->request_over && !s->over) {
            http2_reset(s, HTTP2_NO_ERROR);
        }
    }
    return 0;
}

/* --- memory --- */

static void *get(size_t size, void *memory)
{
    return http2_memory_get(memory, size);
}

static void put(void *block, void *memory)
{
    http2_memory_put(memory, block);
}

static void *get_zeroed(size_t count, size_t size, void *memory)
{
    must(size == 0 || count <= SIZE_MAX / size);
    void *block = http2_memory_get(memory, count * size);
    memset(block, 0, count * size);
    return block;
}

static void *change(void *block, size_t size, void *memory)
{
    return http2_memory_change(memory, block, size);
}

nghttp2_session *http2_session_new(struct http2 *h)
{
    nghttp2_session_callbacks *c;
    must(nghttp2_session_callbacks_new(&c) == 0);
    nghttp2_session_callbacks_set_on_begin_frame_callback(c, begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, frame_recv);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(c,
                                                                 invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, frame_sent);
    nghttp2_session_callbacks_set_send_callback(c, send_bytes);
    nghttp2_session_callbacks_set_send_data_callback(c, send_data);
    nghttp2_option *o;
    must(nghttp2_option_new(&o) == 0);
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_http_messaging(o, 1);
    nghttp2_option_set_no_closed_streams(o, 1);
    nghttp2_option_set_max_outbound_ack(o, 200);
    nghttp2_option_set_stream_reset_rate_limit(o, RESETS_BURST,
                                               RESETS_A_SECOND);
    nghttp2_session *session;
    nghttp2_mem memory = {h->options.memory, get, put, get_zeroed, change};
    must(nghttp2_session_server_new3(&session, c, h, o, &memory) == 0);
    nghttp2_option_del(o);
    nghttp2_session_callbacks_del(c);
    return session;
}
