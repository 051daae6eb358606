/* The client's session against a server made of nghttp2 alone: bytes from one
 * to the other, no socket. */

#include <nghttp2/nghttp2.h>
#include <stdlib.h>

#include "base/must.h"
#include "net/grpc_client.h"
#include "tests/lib/test.h"

struct world {
    struct grpc_client *client;
    nghttp2_session *server;
    struct buf wire;
    size_t step;               /* bytes handed over at a time; 0: all */
    int32_t stream;            /* of the last request whose body has ended */
    unsigned requests;         /* that have ended */
    struct buf body;           /* of the last */
    struct bytes say;          /* what is left of the response's body */
    const char *status, *text; /* trailers; NULL: none */
    char path[64], timeout[24];
    bool lost;
};

struct call {
    struct grpc_client_call call;
    char trace[256];
    bool ended, unprocessed, answered, cancels;
    int code;
};

/* --- the server --- */

static int on_header(nghttp2_session *s, const nghttp2_frame *f,
                     const uint8_t *name, size_t name_size,
                     const uint8_t *value, size_t value_size, uint8_t flags,
                     void *arg)
{
    struct world *w = arg;
    (void)s;
    (void)f;
    (void)flags;
    char *to = name_size == 5 && memcmp(name, ":path", 5) == 0 ? w->path
               : name_size == 12 && memcmp(name, "grpc-timeout", 12) == 0
                   ? w->timeout
                   : NULL;
    if (to != NULL) {
        (void)snprintf(to, 24, "%.*s", (int)value_size, (const char *)value);
    }
    return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t stream,
                   const uint8_t *data, size_t size, void *arg)
{
    struct world *w = arg;
    (void)s;
    (void)flags;
    (void)stream;
    buf_append(&w->body, (struct bytes){data, size});
    return 0;
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *f, void *arg)
{
    struct world *w = arg;
    (void)s;
    if (f->hd.type == NGHTTP2_DATA &&
        (f->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        w->stream = f->hd.stream_id;
        w->requests++;
    }
    return 0;
}

static nghttp2_nv nv(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value,
                        strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static ssize_t say_body(nghttp2_session *s, int32_t stream, uint8_t *to,
                        size_t room, uint32_t *flags,
                        nghttp2_data_source *source, void *arg)
{
    struct world *w = arg;
    (void)source;
    const size_t size = w->say.size < room ? w->say.size : room;
    if (size > 0) {
        memcpy(to, w->say.data, size);
    }
    w->say = bytes_after(w->say, size);
    if (w->say.size == 0) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (w->status != NULL) {
            const nghttp2_nv trailers[2] = {
                nv("grpc-status", w->status),
                nv("grpc-message", w->text != NULL ? w->text : "")};
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            must(nghttp2_submit_trailer(s, stream, trailers,
                                        w->text != NULL ? 2 : 1) == 0);
        }
    }
    return (ssize_t)size;
}

static void respond(struct world *w, const char *http, const char *content,
                    struct bytes body, const char *status, const char *text)
{
    const nghttp2_nv fields[2] = {nv(":status", http),
                                  nv("content-type", content)};
    const nghttp2_data_provider provider = {.read_callback = say_body};
    w->say = body;
    w->status = status;
    w->text = text;
    must(nghttp2_submit_response(w->server, w->stream, fields, 2, &provider) ==
         0);
}

/* --- moving bytes --- */

static void on_output(void *arg)
{
    (void)arg; /* flow() looks by itself */
}

static bool to_client(struct world *w)
{
    const uint8_t *data;
    const ssize_t size = nghttp2_session_mem_send(w->server, &data);
    struct fault fault;
    if (size <= 0) {
        return false;
    }
    for (size_t at = 0; at < (size_t)size;) {
        size_t step = w->step > 0 ? w->step : (size_t)size;
        step = step < (size_t)size - at ? step : (size_t)size - at;
        if (grpc_client_receive(w->client, (struct bytes){data + at, step},
                                &fault) != ST_OK) {
            w->lost = true;
        }
        at += step;
    }
    return true;
}

static bool to_server(struct world *w)
{
    buf_clear(&w->wire);
    grpc_client_collect(w->client, &w->wire, 65536);
    if (w->wire.size == 0) {
        return false;
    }
    must(nghttp2_session_mem_recv(w->server, w->wire.data, w->wire.size) ==
         (ssize_t)w->wire.size);
    return true;
}

static void flow(struct world *w)
{
    bool any;
    do {
        any = to_server(w);
        any |= to_client(w);
    } while (any);
}

static void begin(struct world *w, uint32_t streams_max, size_t message_max)
{
    *w = (struct world){0};
    nghttp2_session_callbacks *callbacks;
    must(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks,
                                                              on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    must(nghttp2_session_server_new(&w->server, callbacks, w) == 0);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings = {
        NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams_max};
    must(nghttp2_submit_settings(w->server, 0, &settings, 1) == 0);
    const struct grpc_client_options options = {.authority = "here:1",
                                                .message_size_max = message_max,
                                                .on_output = on_output};
    w->client = grpc_client_new(&options);
    flow(w);
}

static void end(struct world *w)
{
    grpc_client_free(w->client);
    nghttp2_session_del(w->server);
    buf_fini(&w->wire);
    buf_fini(&w->body);
}

/* --- calls --- */

static void on_message(struct grpc_client_call *call, struct bytes message)
{
    struct call *c = container_of(call, struct call, call);
    const size_t used = strlen(c->trace);
    (void)snprintf(c->trace + used, sizeof c->trace - used, "%.*s|",
                   (int)message.size, (const char *)message.data);
    if (c->cancels) {
        grpc_client_cancel(call);
    }
}

static void on_end(struct grpc_client_call *call,
                   const struct grpc_outcome *how)
{
    struct call *c = container_of(call, struct call, call);
    const size_t used = strlen(c->trace);
    EXPECT(!c->ended);
    c->ended = true;
    c->code = how->code;
    c->answered = how->answered;
    c->unprocessed = how->unprocessed;
    (void)snprintf(c->trace + used, sizeof c->trace - used, "%d %.*s",
                   how->code, (int)how->text.size,
                   (const char *)how->text.data);
}

static void ask(struct world *w, struct call *c, const char *message)
{
    c->call.on_message = on_message;
    c->call.on_end = on_end;
    grpc_client_start(w->client, &c->call, "/pkg.Service/Method", 1500, NULL,
                      0);
    buf_append(grpc_client_begin_message(&c->call), bytes_of(message));
    grpc_client_end_message(&c->call);
    grpc_client_half_close(&c->call);
}

#define BYTES(text) ((struct bytes){(const uint8_t *)(text), sizeof(text) - 1})

/* Wherever the network cuts the bytes, the messages are the same. */
TEST(grpc_client, messages_come_whole_however_they_are_cut)
{
    for (size_t step = 0; step < 12; step++) {
        struct world w;
        struct call c = {.ended = false};
        begin(&w, 100, 0);
        ask(&w, &c, "ask");
        flow(&w);
        EXPECT_TEXT(w.path, "/pkg.Service/Method");
        EXPECT_TEXT(w.timeout, "1500m");
        EXPECT_BYTES(buf_bytes(&w.body), BYTES("\0\0\0\0\3ask"));
        w.step = step;
        respond(&w, "200", "application/grpc+proto",
                BYTES("\0\0\0\0\3one\0\0\0\0\0\0\0\0\0\5three"), "0", NULL);
        flow(&w);
        EXPECT_TEXT(c.trace, "one||three|0 ");
        EXPECT(c.answered);
        end(&w);
    }
}

static const char *outcome_of(struct call *c, size_t message_max,
                              const char *http, const char *content,
                              struct bytes body, const char *status,
                              const char *text)
{
    struct world w;
    *c = (struct call){.ended = false};
    begin(&w, 100, message_max);
    ask(&w, c, "");
    flow(&w);
    respond(&w, http, content, body, status, text);
    flow(&w);
    EXPECT(c->ended);
    EXPECT_INT(grpc_client_calls(w.client), 0);
    EXPECT(grpc_client_is_open(w.client)); /* one call's trouble is its own */
    EXPECT(!c->unprocessed);
    end(&w);
    return c->trace;
}

/* What a server, a proxy, or somebody else on the port says must become an
 * outcome, and never a message. */
TEST(grpc_client, every_response_has_an_outcome)
{
    static const char grpc[] = "application/grpc";
    struct call c;
    EXPECT_TEXT(
        outcome_of(&c, 0, "200", grpc, BYTES_NONE, "5", "a%20b%C3%BC 100% %zz"),
        "5 a b\xc3\xbc 100% %zz");
    EXPECT(c.answered);
    EXPECT_TEXT(
        outcome_of(&c, 0, "404", "text/html", BYTES("<html>\0\0"), NULL, NULL),
        "12 an HTTP error in place of gRPC");
    EXPECT_INT(
        (outcome_of(&c, 0, "503", "text/html", BYTES("x"), NULL, NULL), c.code),
        GRPC_UNAVAILABLE);
    EXPECT_TEXT(outcome_of(&c, 0, "200", "text/html", BYTES("\0\0\0\0\2hi"),
                           NULL, NULL),
                "2 the response is not gRPC");
    EXPECT_TEXT(
        outcome_of(&c, 0, "200", grpc, BYTES("\0\0\0\0\2hi"), NULL, NULL),
        "hi|2 the response has no status");
    EXPECT_TEXT(outcome_of(&c, 0, "200", grpc, BYTES("\0\0\0\0\2h"), "0", NULL),
                "13 the response ends within a message");
    EXPECT_TEXT(
        outcome_of(&c, 0, "200", grpc, BYTES("\1\0\0\0\2hi"), "0", NULL),
        "13 a compressed message that was not asked for");
    EXPECT_TEXT(outcome_of(&c, 10, "200", grpc,
                           BYTES("\0\0\0\0\12ten bytes.\0\xff\xff\xff\xff?"),
                           "0", NULL),
                "ten bytes.|8 a message beyond the limit");
    EXPECT_TEXT(outcome_of(&c, 0, "200", grpc, BYTES_NONE, "-1", NULL), "2 ");
}

/* A write said to be unprocessed is sent again: it must be so. */
TEST(grpc_client, unprocessed_is_what_no_server_looked_at)
{
    struct world w;
    struct call refused = {.ended = false}, reset = {.ended = false};
    struct call waiting = {.ended = false}, taken = {.ended = false};
    begin(&w, 1, 0);
    ask(&w, &refused, "a");
    flow(&w);
    must(nghttp2_submit_rst_stream(w.server, 0, w.stream,
                                   NGHTTP2_REFUSED_STREAM) == 0);
    flow(&w);
    EXPECT(refused.ended && refused.unprocessed);
    EXPECT_INT(refused.code, GRPC_UNAVAILABLE);
    ask(&w, &reset, "b");
    flow(&w);
    must(nghttp2_submit_rst_stream(w.server, 0, w.stream,
                                   NGHTTP2_INTERNAL_ERROR) == 0);
    flow(&w);
    EXPECT(reset.ended && !reset.unprocessed);
    EXPECT_INT(reset.code, GRPC_INTERNAL);
    ask(&w, &taken, "c");
    ask(&w, &waiting, "d"); /* beyond the server's streams */
    flow(&w);
    EXPECT_INT(w.requests, 3);
    grpc_client_fail(w.client, "lost");
    EXPECT_TEXT(taken.trace, "14 lost");
    EXPECT(!taken.unprocessed);
    EXPECT_TEXT(waiting.trace, "14 lost");
    EXPECT(waiting.unprocessed);
    EXPECT(!grpc_client_is_open(w.client));
    end(&w);
}

TEST(grpc_client, goaway_lets_what_was_taken_end)
{
    struct world w;
    struct call taken = {.ended = false}, waiting = {.ended = false};
    begin(&w, 1, 0);
    ask(&w, &taken, "a");
    ask(&w, &waiting, "b");
    flow(&w);
    must(nghttp2_submit_goaway(w.server, 0, w.stream, NGHTTP2_NO_ERROR, NULL,
                               0) == 0);
    flow(&w);
    EXPECT(!grpc_client_is_open(w.client));
    EXPECT(!taken.ended);
    EXPECT(waiting.ended && waiting.unprocessed);
    respond(&w, "200", "application/grpc", BYTES("\0\0\0\0\2hi"), "0", NULL);
    flow(&w);
    EXPECT_TEXT(taken.trace, "hi|0 ");
    end(&w);
}

/* The owner may end a call while its message is handed to it. */
TEST(grpc_client, nothing_comes_after_a_cancel)
{
    struct world w;
    struct call c = {.cancels = true}, other = {.ended = false};
    begin(&w, 100, 0);
    ask(&w, &other, "");
    ask(&w, &c, "");
    flow(&w);
    respond(&w, "200", "application/grpc", BYTES("\0\0\0\0\3one\0\0\0\0\3two"),
            "0", NULL);
    flow(&w);
    EXPECT_TEXT(c.trace, "one|");
    EXPECT(!c.ended);
    EXPECT_INT(grpc_client_calls(w.client), 1);
    grpc_client_cancel(&c.call); /* harmless */
    grpc_client_abandon(w.client);
    EXPECT(!other.ended);
    end(&w);
}

TEST(grpc_client, what_is_no_http2_ends_the_connection)
{
    struct world w;
    struct fault fault;
    begin(&w, 100, 0);
    const struct bytes answer =
        BYTES("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    enum status st = grpc_client_receive(w.client, answer, &fault);
    for (int i = 0; st == ST_OK && i < 3; i++) {
        buf_clear(&w.wire);
        grpc_client_collect(w.client, &w.wire, 65536);
        st = grpc_client_receive(w.client, answer, &fault);
    }
    EXPECT_INT(st, ST_IO);
    EXPECT(!grpc_client_is_open(w.client));
    end(&w);
}
