/* A call: from its headers to its trailers; see grpc.h. */

#include <inttypes.h>
#include <stdio.h>

#include "base/must.h"
#include "base/status.h"
#include "net/grpc_internal.h"
#include "net/grpc_text.h"

/* Of grpc-message, before it is encoded. */
#define TEXT_MAX 1024

#define FIELD(n, v)                                                            \
    {                                                                          \
        {(const uint8_t *)(n), sizeof(n) - 1},                                 \
        {                                                                      \
            (const uint8_t *)(v), sizeof(v) - 1                                \
        }                                                                      \
    }

static struct grpc_call *call_of(struct http2_stream *s)
{
    return container_of(s, struct grpc_call, stream);
}

/* --- how much waits to be sent --- */

bool grpc_session_is_full(const struct grpc_session *s)
{
    return s->waiting > s->host->limits.connection_send_max;
}

void grpc_call_count_waiting(struct grpc_call *c)
{
    struct grpc_session *s = c->session;
    const bool was_full = grpc_session_is_full(s);
    s->waiting = s->waiting - c->waiting_counted + c->stream.waiting;
    s->host->waiting =
        s->host->waiting - c->waiting_counted + c->stream.waiting;
    c->waiting_counted = c->stream.waiting;
    if (was_full && !grpc_session_is_full(s)) {
        s->work = true;
    }
}

static bool is_writable(const struct grpc_call *c)
{
    return c->stream.waiting < c->session->host->limits.call_send_max / 2 &&
           (c->stream.waiting == 0 || !grpc_session_is_full(c->session));
}

static bool has_room(const struct grpc_call *c)
{
    return c->stream.waiting < c->session->host->limits.call_send_max &&
           (c->stream.waiting == 0 || !grpc_session_is_full(c->session));
}

static void run_throttled(struct grpc_session *s)
{
    struct list now;
    list_init(&now);
    list_splice(&now, &s->throttled);
    struct list *link;
    while ((link = list_pop(&now)) != NULL) {
        struct grpc_call *c = container_of(link, struct grpc_call, throttled);
        if (!is_writable(c)) {
            list_push(&s->throttled, link);
        } else if (c->handler->on_writable != NULL) {
            c->handler->on_writable(c);
        }
    }
}

static void run_parked(struct grpc_session *s)
{
    struct list now;
    list_init(&now);
    list_splice(&now, &s->parked);
    struct list *link;
    while ((link = list_pop(&now)) != NULL) {
        grpc_receive_more(container_of(link, struct grpc_call, parked));
    }
}

void grpc_calls_run(struct grpc_session *s)
{
    s->work = false;
    run_throttled(s);
    if (!grpc_session_is_full(s)) {
        run_parked(s);
    }
}

/* --- the end --- */

/* Towards the service it is over. */
static void detach(struct grpc_call *c)
{
    c->finished = true;
    c->handler = NULL;
    heap_remove(&c->session->host->deadlines, &c->deadline);
    list_remove(&c->parked);
    list_remove(&c->throttled);
    if (!c->taking) {
        grpc_receive_clear(c);
    }
    if (c->stream.hold && !c->stream.over) {
        http2_hold_window(&c->stream, false);
    }
}

static void trailers_only(struct grpc_call *c, int http_status,
                          struct bytes code, struct bytes text)
{
    char status[GRPC_NUMBER_SIZE];
    struct http2_field fields[5] = {
        {bytes_of(":status"), grpc_text_number(http_status, status)},
        FIELD("content-type", "application/grpc"),
        {bytes_of("grpc-status"), code},
    };
    size_t count = 3;
    if (text.size > 0) {
        fields[count++] = (struct http2_field){bytes_of("grpc-message"), text};
    }
    if (c->encoding == GRPC_ENCODING_UNKNOWN) {
        fields[count++] =
            (struct http2_field)FIELD("grpc-accept-encoding", "gzip");
    }
    http2_respond(&c->stream, fields, count, true);
}

static void say_end(struct grpc_call *c, int http_status, int code,
                    const char *text)
{
    if (c->stream.over) {
        return; /* the client has reset it, or broken a rule */
    }
    char number[GRPC_NUMBER_SIZE];
    const struct bytes code_text = grpc_text_number(code, number);
    struct buf encoded = {0};
    if (text != NULL) {
        grpc_text_encode(&encoded, bytes_of(text), TEXT_MAX);
    }
    const struct bytes message = buf_bytes(&encoded);
    if (!c->stream.responded) {
        trailers_only(c, http_status, code_text, message);
    } else {
        const struct http2_field trailers[] = {
            {bytes_of("grpc-status"), code_text},
            {bytes_of("grpc-message"), message},
        };
        http2_end(&c->stream, trailers, message.size > 0 ? 2 : 1);
    }
    buf_fini(&encoded);
    grpc_session_wake(c->session);
}

void grpc_call_refuse(struct grpc_call *c, int http_status, int code,
                      const char *text)
{
    must(c->handler == NULL);
    c->finished = true;
    say_end(c, http_status, code, text);
}

void grpc_call_abort(struct grpc_call *c, int code, const char *text)
{
    const struct grpc_handler *handler = c->handler;
    must(handler != NULL);
    must(!c->encoding_message);
    detach(c);
    if (handler->on_cancel != NULL) {
        handler->on_cancel(c);
    }
    say_end(c, 200, code, text);
}

void grpc_call_stop(struct http2_stream *stream)
{
    struct grpc_call *c = call_of(stream);
    if (c->handler != NULL) {
        grpc_call_abort(c, GRPC_UNAVAILABLE, "the server is stopping");
    }
}

void grpc_finish(struct grpc_call *c, int code, const char *text)
{
    must(!c->finished);
    must(!c->encoding_message);
    detach(c);
    say_end(c, 200, code, text);
}

/* --- what the stream says --- */

static struct http2_stream *opened(void *owner)
{
    struct grpc_session *s = owner;
    struct grpc_call *c = grpc_host_call(s->host);
    c->session = s;
    return &c->stream;
}

static void requested(struct http2_stream *stream, bool too_large)
{
    struct grpc_call *c = call_of(stream);
    struct grpc_host *host = c->session->host;
    c->too_large = too_large;
    if (grpc_page_is_asked(c)) {
        grpc_page_begin(c);
        return;
    }
    if (!grpc_request_check(c)) {
        return;
    }
    if (c->timeout_ns >= 0) {
        heap_push(&host->deadlines, &c->deadline,
                  c->session->now_ns + c->timeout_ns);
    }
    const struct grpc_handler *handler = c->method->begin(c->method->arg, c);
    must(handler != NULL || c->finished);
    if (!c->finished) {
        must(handler->on_message != NULL);
        c->handler = handler;
    }
}

static void arrived(struct http2_stream *stream, struct bytes data)
{
    struct grpc_call *c = call_of(stream);
    if (c->page.call != NULL) {
        grpc_page_data(c);
    } else {
        grpc_receive(c, data);
    }
}

static void half_closed(struct http2_stream *stream)
{
    struct grpc_call *c = call_of(stream);
    if (c->page.call != NULL) {
        grpc_page_give(c);
    } else if (c->handler != NULL) {
        grpc_receive_more(c);
    }
}

static void sent(struct http2_stream *stream)
{
    struct grpc_call *c = call_of(stream);
    grpc_call_count_waiting(c);
    if (!list_is_empty(&c->throttled) && is_writable(c)) {
        c->session->work = true;
    }
}

static void closed(struct http2_stream *stream, uint32_t code)
{
    (void)code;
    struct grpc_call *c = call_of(stream);
    stream->over = true; /* nothing can be said any more */
    if (c->handler != NULL) {
        const struct grpc_handler *handler = c->handler;
        detach(c);
        if (handler->on_cancel != NULL) {
            handler->on_cancel(c);
        }
    }
    grpc_page_gone(c);
    stream->waiting = 0;
    grpc_call_count_waiting(c);
    grpc_receive_clear(c);
    grpc_host_call_free(c->session->host, c);
}

const struct http2_ops grpc_call_ops = {
    .open = opened,
    .field = grpc_request_field,
    .request = requested,
    .data = arrived,
    .half_close = half_closed,
    .sent = sent,
    .closed = closed,
};

/* --- what the service says --- */

void grpc_call_set_state(struct grpc_call *c, void *state)
{
    c->state = state;
}

void *grpc_call_state(const struct grpc_call *c)
{
    return c->state;
}

const struct grpc_method *grpc_call_method(const struct grpc_call *c)
{
    return c->method;
}

int64_t grpc_call_deadline_ns(const struct grpc_call *c)
{
    return heap_has(&c->deadline) ? c->deadline.at : INT64_MAX;
}

struct buf *grpc_begin_message(struct grpc_call *c)
{
    static const struct http2_field fields[] = {
        FIELD(":status", "200"),
        FIELD("content-type", "application/grpc"),
    };
    must(!c->finished);
    must(!c->encoding_message);
    if (!c->stream.responded && !c->stream.over) {
        http2_respond(&c->stream, fields, count_of(fields), false);
    }
    struct buf *body = http2_body(&c->stream);
    c->encoding_message = true;
    c->message_at = body->size;
    (void)buf_extend(body, GRPC_PREFIX_SIZE);
    return body;
}

size_t grpc_message_size(struct grpc_call *c)
{
    must(c->encoding_message);
    const struct buf *body = http2_body(&c->stream);
    must(body->size >= c->message_at + GRPC_PREFIX_SIZE);
    return body->size - c->message_at - GRPC_PREFIX_SIZE;
}

void grpc_drop_message(struct grpc_call *c)
{
    must(c->encoding_message);
    c->encoding_message = false;
    buf_resize(http2_body(&c->stream), c->message_at);
}

bool grpc_end_message(struct grpc_call *c)
{
    const size_t size = grpc_message_size(c);
    struct buf *body = http2_body(&c->stream);
    c->encoding_message = false;
    must(size <= UINT32_MAX);
    uint8_t *prefix = body->data + c->message_at;
    prefix[0] = 0;
    prefix[1] = (uint8_t)(size >> 24);
    prefix[2] = (uint8_t)(size >> 16);
    prefix[3] = (uint8_t)(size >> 8);
    prefix[4] = (uint8_t)size;
    if (c->stream.over) {
        return true; /* reset; on_cancel is near */
    }
    http2_body_ready(&c->stream);
    grpc_call_count_waiting(c);
    grpc_session_wake(c->session);
    if (has_room(c)) {
        return true;
    }
    if (list_is_empty(&c->throttled)) {
        list_push(&c->session->throttled, &c->throttled);
    }
    return false;
}

bool grpc_send(struct grpc_call *c, struct bytes message)
{
    buf_append(grpc_begin_message(c), message);
    return grpc_end_message(c);
}

void grpc_pause_reading(struct grpc_call *c)
{
    must(!c->finished);
    c->paused = true;
    list_remove(&c->parked);
    http2_hold_window(&c->stream, true);
}

void grpc_resume_reading(struct grpc_call *c)
{
    must(!c->finished);
    if (!c->paused) {
        return;
    }
    c->paused = false;
    if (list_is_empty(&c->parked)) {
        list_push(&c->session->parked, &c->parked);
    }
    c->session->work = true;
    grpc_session_wake(c->session);
}
