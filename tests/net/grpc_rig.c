#include "tests/net/grpc_rig.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/must.h"

static struct grpc_rig *rig; /* the services' */

void grpc_rig_say(struct grpc_rig *r, const char *format, ...)
{
    const size_t size = strlen(r->trace);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(r->trace + size, sizeof r->trace - size, format, arguments);
    va_end(arguments);
}

/* --- services --- */

/* Echo: the message comes back, and the call ends. "fail:N:text" fails. */
static void echo_message(struct grpc_call *c, struct bytes message)
{
    char text[64];
    if (bytes_starts_with(message, bytes_of("fail:"))) {
        (void)snprintf(text, sizeof text, "%.*s", (int)message.size - 5,
                       (const char *)message.data + 5);
        char *rest;
        const long code = strtol(text, &rest, 10);
        grpc_finish(c, (int)code, *rest == ':' ? rest + 1 : NULL);
        return;
    }
    (void)grpc_send(c, message);
    grpc_finish(c, 0, NULL);
}

/* It is over: nobody may touch it. */
static void forget(const struct grpc_call *c)
{
    for (size_t i = 0; i < GRPC_RIG_CALLS; i++) {
        if (rig->held[i] == c) {
            rig->held[i] = NULL;
        }
    }
}

static void say_cancel(struct grpc_call *c)
{
    forget(c);
    grpc_rig_say(rig, "cancel ");
}

static const struct grpc_handler echo = {.on_message = echo_message,
                                         .on_cancel = say_cancel};

static const struct grpc_handler *echo_begin(void *arg, struct grpc_call *c)
{
    (void)arg;
    (void)c;
    return &echo;
}

/* Stream: each message comes back; the end ends it. */
static void stream_message(struct grpc_call *c, struct bytes message)
{
    grpc_rig_say(rig, "message:%zu ", message.size);
    if (rig->pause_next) {
        rig->pause_next = false;
        grpc_pause_reading(c);
    }
    (void)grpc_send(c, message);
}

static void stream_half_close(struct grpc_call *c)
{
    grpc_rig_say(rig, "half-close ");
    forget(c);
    grpc_finish(c, 0, NULL);
}

static const struct grpc_handler stream = {.on_message = stream_message,
                                           .on_half_close = stream_half_close,
                                           .on_cancel = say_cancel};

static const struct grpc_handler *stream_begin(void *arg, struct grpc_call *c)
{
    (void)arg;
    rig->held[rig->held_count++ % GRPC_RIG_CALLS] = c;
    return &stream;
}

/* Hold: the call stays open, the test answers. */
static void hold_message(struct grpc_call *c, struct bytes message)
{
    (void)c;
    grpc_rig_say(rig, "message:%zu ", message.size);
}

static void hold_writable(struct grpc_call *c)
{
    (void)c;
    grpc_rig_say(rig, "writable ");
}

static const struct grpc_handler hold = {.on_message = hold_message,
                                         .on_writable = hold_writable,
                                         .on_cancel = say_cancel};

static const struct grpc_handler *hold_begin(void *arg, struct grpc_call *c)
{
    (void)arg;
    const struct bytes token = grpc_call_metadata(c, "token");
    if (token.size > 0) {
        grpc_rig_say(rig, "token:%.*s ", (int)token.size,
                     (const char *)token.data);
    }
    rig->held[rig->held_count++ % GRPC_RIG_CALLS] = c;
    return &hold;
}

static const struct grpc_method methods[] = {
    {"/test.Echo/Say", false, false, echo_begin, NULL},
    {"/test.Echo/Stream", true, true, stream_begin, NULL},
    {"/test.Echo/Hold", true, true, hold_begin, NULL},
    {"/test.Echo/HoldOne", false, true, hold_begin, NULL},
};

static void http_request(void *arg, struct grpc_http_request *r,
                         struct bytes method, struct bytes target,
                         struct bytes body)
{
    (void)arg;
    grpc_rig_say(rig, "%.*s %.*s %zu;", (int)method.size,
                 (const char *)method.data, (int)target.size,
                 (const char *)target.data, body.size);
    if (!bytes_equal(target, bytes_of("/held"))) {
        grpc_http_answer(r, 200, "text/plain", target);
    }
}

static void http_gone(void *arg, struct grpc_http_request *r)
{
    (void)arg;
    (void)r;
    grpc_rig_say(rig, "gone ");
}

static const struct grpc_http http = {http_request, http_gone, NULL};

/* --- the client --- */

static struct rig_answer *answer_of(struct grpc_rig *r, int32_t id)
{
    for (size_t i = 0; i < r->answers_count; i++) {
        if (r->answers[i].id == id) {
            return &r->answers[i];
        }
    }
    return NULL;
}

static void copy(char *to, size_t room, const uint8_t *from, size_t size)
{
    (void)snprintf(to, room, "%.*s", (int)size, (const char *)from);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
                     const uint8_t *name, size_t name_size,
                     const uint8_t *value, size_t value_size, uint8_t flags,
                     void *arg)
{
    (void)session;
    (void)flags;
    struct rig_answer *a = answer_of(arg, frame->hd.stream_id);
    const struct bytes n = {name, name_size};
    if (bytes_equal(n, bytes_of(":status"))) {
        copy(a->http_status, sizeof a->http_status, value, value_size);
    } else if (bytes_equal(n, bytes_of("grpc-status"))) {
        char text[16];
        copy(text, sizeof text, value, value_size);
        a->grpc_status = (int)strtol(text, NULL, 10);
    } else if (bytes_equal(n, bytes_of("grpc-message"))) {
        copy(a->message, sizeof a->message, value, value_size);
    } else if (bytes_equal(n, bytes_of("grpc-accept-encoding"))) {
        copy(a->accept_encoding, sizeof a->accept_encoding, value, value_size);
    }
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame,
                    void *arg)
{
    (void)session;
    struct grpc_rig *r = arg;
    if (frame->hd.type == NGHTTP2_HEADERS) {
        answer_of(r, frame->hd.stream_id)->headers++;
    } else if (frame->hd.type == NGHTTP2_GOAWAY) {
        r->goaways++;
        r->goaway_code = frame->goaway.error_code;
        copy(r->goaway_text, sizeof r->goaway_text, frame->goaway.opaque_data,
             frame->goaway.opaque_data_len);
    } else if (frame->hd.type == NGHTTP2_PING &&
               (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
        r->pings++;
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id,
                   const uint8_t *data, size_t size, void *arg)
{
    (void)flags;
    (void)session;
    buf_append(&answer_of(arg, id)->body, (struct bytes){data, size});
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code,
                    void *arg)
{
    (void)session;
    struct rig_answer *a = answer_of(arg, id);
    a->closed = true;
    a->reset_code = code;
    return 0;
}

static ssize_t read_request(nghttp2_session *session, int32_t id, uint8_t *to,
                            size_t length, uint32_t *flags,
                            nghttp2_data_source *source, void *arg)
{
    (void)session;
    (void)source;
    struct rig_answer *a = answer_of(arg, id);
    size_t size = a->request.size - a->request_at;
    if (size > length) {
        size = length;
    }
    if (size > 0) {
        memcpy(to, a->request.data + a->request_at, size);
    }
    a->request_at += size;
    if (a->request_at == a->request.size) {
        if (a->request_end) {
            *flags |= NGHTTP2_DATA_FLAG_EOF;
        } else if (size == 0) {
            a->deferred = true;
            return NGHTTP2_ERR_DEFERRED;
        }
    }
    return (ssize_t)size;
}

static nghttp2_nv nv(const char *name, const char *value)
{
    union {
        const char *in;
        uint8_t *out;
    } n = {name}, v = {value};
    return (nghttp2_nv){n.out, v.out, strlen(name), strlen(value), 0};
}

static const char *or_usual(const char *value, const char *usual)
{
    return value != NULL ? value : usual;
}

struct rig_answer *grpc_rig_call(struct grpc_rig *r,
                                 const struct rig_request *q)
{
    must(r->answers_count < GRPC_RIG_CALLS);
    struct rig_answer *a = &r->answers[r->answers_count++];
    *a = (struct rig_answer){.grpc_status = -1, .request_end = !q->open};
    buf_append(&a->request, q->body);
    nghttp2_nv nvs[10] = {
        nv(":method", or_usual(q->method, "POST")),
        nv(":scheme", "http"),
        nv(":path", q->path),
        nv(":authority", "#initially=[127.0.0.1:2379]"),
        nv("content-type", or_usual(q->content_type, "application/grpc")),
        nv("te", "trailers"),
    };
    size_t count = 6;
    if (q->timeout != NULL) {
        nvs[count++] = nv("grpc-timeout", q->timeout);
    }
    if (q->encoding != NULL) {
        nvs[count++] = nv("grpc-encoding", q->encoding);
    }
    if (q->extra_name != NULL) {
        nvs[count++] = nv(q->extra_name, q->extra_value);
    }
    const nghttp2_data_provider provider = {.read_callback = read_request};
    const bool empty = q->body.size == 0 && !q->open;
    a->id = nghttp2_submit_request(r->client, NULL, nvs, count,
                                   empty ? NULL : &provider, NULL);
    must(a->id > 0);
    return a;
}

struct rig_answer *grpc_rig_call_with(struct grpc_rig *r, const char *path,
                                      const nghttp2_nv *more, size_t count)
{
    nghttp2_nv nvs[64] = {nv(":method", "POST"), nv(":scheme", "http"),
                          nv(":path", path),
                          nv("content-type", "application/grpc")};
    must(count <= 60);
    memcpy(nvs + 4, more, count * sizeof *more);
    struct rig_answer *a = &r->answers[r->answers_count++];
    *a = (struct rig_answer){.grpc_status = -1, .request_end = true};
    a->id = nghttp2_submit_request(r->client, NULL, nvs, 4 + count, NULL, NULL);
    must(a->id > 0);
    return a;
}

void grpc_rig_more(struct grpc_rig *r, struct rig_answer *a, struct bytes body,
                   bool end)
{
    buf_append(&a->request, body);
    a->request_end = end;
    if (a->deferred) {
        a->deferred = false;
        must(nghttp2_session_resume_data(r->client, a->id) == 0);
    }
}

void grpc_rig_reset(struct grpc_rig *r, struct rig_answer *a)
{
    must(nghttp2_submit_rst_stream(r->client, 0, a->id, NGHTTP2_CANCEL) == 0);
}

void grpc_rig_frame(struct buf *to, uint8_t flag, struct bytes message)
{
    const uint8_t prefix[5] = {
        flag, (uint8_t)(message.size >> 24), (uint8_t)(message.size >> 16),
        (uint8_t)(message.size >> 8), (uint8_t)message.size};
    buf_append(to, (struct bytes){prefix, sizeof prefix});
    buf_append(to, message);
}

static void literal(struct buf *to, const char *name, const char *value)
{
    must(strlen(name) < 127 && strlen(value) < 127);
    buf_append_byte(to, 0); /* not indexed, new name */
    buf_append_byte(to, (uint8_t)strlen(name));
    buf_append(to, bytes_of(name));
    buf_append_byte(to, (uint8_t)strlen(value));
    buf_append(to, bytes_of(value));
}

void grpc_rig_fields(struct buf *to, const char *path)
{
    literal(to, ":method", "POST");
    literal(to, ":scheme", "http");
    literal(to, ":path", path);
    literal(to, "content-type", "application/grpc");
}

static bool next_message(struct bytes *left, struct bytes *ret)
{
    if (left->size < 5) {
        return false;
    }
    const uint8_t *p = left->data;
    const size_t size =
        (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    EXPECT_INT(p[0], 0);
    if (left->size < 5 + size) {
        return false;
    }
    *ret = (struct bytes){p + 5, size};
    *left = bytes_after(*left, 5 + size);
    return true;
}

size_t grpc_rig_messages(const struct rig_answer *a)
{
    struct bytes left = buf_bytes(&a->body), message;
    size_t count = 0;
    while (next_message(&left, &message)) {
        count++;
    }
    return count;
}

struct bytes grpc_rig_message(const struct rig_answer *a, size_t n)
{
    struct bytes left = buf_bytes(&a->body), message = BYTES_NONE;
    for (size_t i = 0; i <= n; i++) {
        EXPECT(next_message(&left, &message));
    }
    return message;
}

/* --- the rig --- */

static void wake(void *owner)
{
    ((struct grpc_rig *)owner)->woken = true;
}

bool grpc_rig_give(struct grpc_rig *r, struct bytes bytes)
{
    r->server_alive = grpc_session_receive(r->session, bytes, r->now_ns);
    return r->server_alive;
}

static bool server_to_client(struct grpc_rig *r)
{
    if (!r->reads || !grpc_session_has_output(r->session)) {
        return false;
    }
    struct buf out = {0};
    grpc_session_pull(r->session, &out, 16 << 10);
    buf_append(&r->raw, buf_bytes(&out));
    bool moved = out.size > 0;
    if (moved && r->client != NULL) {
        EXPECT_INT(nghttp2_session_mem_recv(r->client, out.data, out.size),
                   out.size);
    }
    buf_fini(&out);
    return moved;
}

static bool client_to_server(struct grpc_rig *r)
{
    const uint8_t *data;
    bool moved = false;
    if (r->client == NULL) {
        return false;
    }
    for (;;) {
        const ssize_t size = nghttp2_session_mem_send(r->client, &data);
        must(size >= 0);
        if (size == 0) {
            return moved;
        }
        moved = true;
        if (r->server_alive) {
            (void)grpc_rig_give(r, (struct bytes){data, (size_t)size});
        }
    }
}

void grpc_rig_pump(struct grpc_rig *r)
{
    for (bool moved = true; moved;) {
        moved = client_to_server(r);
        moved |= server_to_client(r);
    }
}

static nghttp2_session *client_new(struct grpc_rig *r)
{
    nghttp2_session_callbacks *c;
    must(nghttp2_session_callbacks_new(&c) == 0);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_close);
    nghttp2_session *session;
    nghttp2_option *o;
    must(nghttp2_option_new(&o) == 0);
    nghttp2_option_set_max_send_header_block_length(o, (size_t)1 << 20);
    must(nghttp2_session_client_new2(&session, c, r, o) == 0);
    nghttp2_option_del(o);
    nghttp2_session_callbacks_del(c);
    must(nghttp2_submit_settings(session, 0, NULL, 0) == 0);
    return session;
}

void grpc_rig_begin_with(struct grpc_rig *r, const struct grpc_limits *limits)
{
    *r = (struct grpc_rig){
        .now_ns = 1000000000, .reads = true, .server_alive = true};
    rig = r;
    grpc_host_init(&r->host, limits, methods, count_of(methods), &http);
    r->host.wake = wake;
    r->session = grpc_session_new(&r->host, r, r->now_ns);
    r->client = client_new(r);
}

void grpc_rig_begin(struct grpc_rig *r)
{
    struct grpc_limits limits;
    grpc_limits_default(&limits);
    grpc_rig_begin_with(r, &limits);
}

void grpc_rig_end(struct grpc_rig *r)
{
    grpc_session_free(r->session);
    grpc_host_fini(&r->host);
    nghttp2_session_del(r->client);
    for (size_t i = 0; i < r->answers_count; i++) {
        buf_fini(&r->answers[i].body);
        buf_fini(&r->answers[i].request);
    }
    buf_fini(&r->raw);
    rig = NULL;
}
