/* The connection as its owner sees it; see http2.h. */

#include "net/http2.h"

#include <stdlib.h>

#include "base/must.h"
#include "net/http2_internal.h"

struct http2 *http2_new(const struct http2_options *options,
                        const struct http2_ops *ops, void *owner,
                        int64_t now_ns)
{
    struct http2 *h = xcalloc(1, sizeof *h);
    h->options = *options;
    h->ops = ops;
    h->owner = owner;
    h->now_ns = now_ns;
    list_init(&h->streams);
    http2_guard_init(h);
    http2_closed_init(h);
    h->session = http2_session_new(h);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options->streams_max},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options->stream_window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
         (uint32_t)options->fields_size_max},
    };
    must(nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings,
                                 count_of(settings)) == 0);
    must(nghttp2_session_set_local_window_size(
             h->session, NGHTTP2_FLAG_NONE, 0,
             (int32_t)options->connection_window) == 0);
    return h;
}

void http2_free(struct http2 *h)
{
    if (h == NULL) {
        return;
    }
    struct list *link;
    while ((link = list_pop(&h->streams)) != NULL) {
        struct http2_stream *s = container_of(link, struct http2_stream, link);
        h->streams_count--;
        must(nghttp2_session_set_stream_user_data(h->session, s->id, NULL) ==
             0);
        h->ops->closed(s, HTTP2_CANCEL);
    }
    must(h->streams_count == 0);
    nghttp2_session_del(h->session);
    free(h);
}

bool http2_receive(struct http2 *h, struct bytes bytes, int64_t now_ns)
{
    h->now_ns = now_ns;
    h->heard_ns = now_ns;
    if (h->failed) {
        return false;
    }
    const size_t good = http2_closed_scan(h, bytes);
    const ssize_t used = nghttp2_session_mem_recv(h->session, bytes.data, good);
    /* Negative: not HTTP/2 at all, a flood, or a callback that has failed the
     * connection already. We never pause it: otherwise it uses everything. */
    if (used < 0) {
        const bool flood = used == NGHTTP2_ERR_FLOODED ||
                           used == NGHTTP2_ERR_TOO_MANY_SETTINGS;
        http2_fail(h, flood ? HTTP2_ENHANCE_YOUR_CALM : HTTP2_PROTOCOL_ERROR,
                   "");
    } else if (good < bytes.size) {
        http2_fail(h, NGHTTP2_STREAM_CLOSED, "DATA on a closed stream");
    }
    return !h->failed;
}

bool http2_pull(struct http2 *h, struct buf *to, size_t size_max)
{
    h->to = to;
    h->to_max = size_max;
    const int error = nghttp2_session_send(h->session);
    h->to = NULL;
    if (error != 0) {
        h->failed = true;
    }
    return error == 0;
}

bool http2_has_output(const struct http2 *h)
{
    return nghttp2_session_want_write(h->session) != 0;
}

bool http2_is_over(const struct http2 *h)
{
    if (nghttp2_session_want_write(h->session) != 0) {
        return false;
    }
    return h->failed || nghttp2_session_want_read(h->session) == 0 ||
           (h->drained && h->streams_count == 0);
}

bool http2_has_begun(const struct http2 *h)
{
    return h->begun;
}

size_t http2_streams(const struct http2 *h)
{
    return h->streams_count;
}

void http2_visit(struct http2 *h, void (*visit)(struct http2_stream *s))
{
    list_each_safe (link, &h->streams) {
        visit(container_of(link, struct http2_stream, link));
    }
}

/* --- a stream --- */

static nghttp2_nv nv_of(const struct http2_field *f, uint8_t flags)
{
    union {
        const uint8_t *in;
        uint8_t *out;
    } name = {f->name.data}, value = {f->value.data};
    return (nghttp2_nv){.name = name.out,
                        .value = value.out,
                        .namelen = f->name.size,
                        .valuelen = f->value.size,
                        .flags = flags};
}

#define FIELDS_MAX 8

static size_t nvs_of(const struct http2_field *fields, size_t count,
                     uint8_t flags, nghttp2_nv to[FIELDS_MAX])
{
    must(count <= FIELDS_MAX);
    for (size_t i = 0; i < count; i++) {
        to[i] = nv_of(&fields[i], flags);
    }
    return count;
}

static void send_trailers(struct http2_stream *s)
{
    nghttp2_nv nvs[FIELDS_MAX];
    const size_t count = nvs_of(s->trailers, s->trailers_count,
                                NGHTTP2_NV_FLAG_NO_COPY_NAME, nvs);
    must(nghttp2_submit_trailer(s->h->session, s->id, nvs, count) == 0);
}

/* nghttp2 asks how much of the body may go into the next frame. */
static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *buf,
                         size_t length, uint32_t *flags,
                         nghttp2_data_source *source, void *arg)
{
    (void)session;
    (void)id;
    (void)buf;
    (void)arg;
    struct http2_stream *s = source->ptr;
    const size_t size = s->waiting < length ? s->waiting : length;
    if (s->ended && size == s->waiting) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (s->trailers_count > 0) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            send_trailers(s);
        }
    } else if (size == 0) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    return (ssize_t)size;
}

void http2_respond(struct http2_stream *s, const struct http2_field *fields,
                   size_t count, bool end)
{
    must(!s->responded);
    s->responded = true;
    s->ended = end;
    s->h->sent_since = true;
    nghttp2_nv nvs[FIELDS_MAX];
    const size_t nvs_count =
        nvs_of(fields, count, NGHTTP2_NV_FLAG_NO_COPY_NAME, nvs);
    const nghttp2_data_provider body = {.source.ptr = s,
                                        .read_callback = read_body};
    must(nghttp2_submit_response(s->h->session, s->id, nvs, nvs_count,
                                 end ? NULL : &body) == 0);
}

void http2_body_ready(struct http2_stream *s)
{
    must(s->responded);
    must(!s->ended);
    s->waiting = s->body.size - s->body_sent;
    if (s->deferred) {
        s->deferred = false;
        must(nghttp2_session_resume_data(s->h->session, s->id) == 0);
    }
}

void http2_end(struct http2_stream *s, const struct http2_field *trailers,
               size_t count)
{
    must(s->responded);
    must(!s->ended);
    must(count <= HTTP2_TRAILERS_MAX);
    s->ended = true;
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += trailers[i].value.size;
    }
    buf_clear(&s->trailer_text);
    uint8_t *to = buf_reserve(&s->trailer_text, size); /* does not move then */
    for (size_t i = 0; i < count; i++) {
        const struct bytes value = trailers[i].value;
        buf_append(&s->trailer_text, value);
        s->trailers[i] =
            (struct http2_field){trailers[i].name, {to, value.size}};
        to += value.size;
    }
    s->trailers_count = count;
    if (s->deferred) {
        s->deferred = false;
        must(nghttp2_session_resume_data(s->h->session, s->id) == 0);
    }
}

void http2_reset(struct http2_stream *s, uint32_t code)
{
    s->ended = true;
    s->over = true;
    must(nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id,
                                   code) == 0);
}

void http2_hold_window(struct http2_stream *s, bool hold)
{
    s->hold = hold;
    if (!hold && s->held_back > 0) {
        must(nghttp2_session_consume_stream(s->h->session, s->id,
                                            s->held_back) == 0);
        s->held_back = 0;
    }
}
