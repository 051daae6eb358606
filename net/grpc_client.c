/* A client's gRPC session over nghttp2: requests out, messages and outcomes in.
 *
 * nghttp2 knows a call by its stream's user data, which is NULL once the call
 * is the caller's again: whatever still comes for the stream meets nobody.
 */

#include "net/grpc_client.h"

#include <nghttp2/nghttp2.h>
#include <stdlib.h>

#include "base/must.h"

#define MESSAGE_SIZE_MAX_DEFAULT ((size_t)512 << 20)
#define PREFIX_SIZE              5 /* of a message: flag, length */
#define STREAM_WINDOW            (4 << 20)
#define CONNECTION_WINDOW        (64 << 20)
#define HEADER_LIST_MAX          (64 << 10)
#define TEXT_SIZE_MAX            (8 << 10)
/* Until the server's settings say otherwise. */
#define STREAMS_AT_FIRST 1000

struct grpc_client {
    nghttp2_session *session;
    struct grpc_client_options options;
    char *authority;
    struct list calls; /* of grpc_client_call.link */
    size_t calls_count;
    bool told;   /* on_output was called, collect() has not emptied it yet */
    bool closed; /* no new calls: GOAWAY, or over */
};

/* --- the end of a call --- */

static void wake(struct grpc_client *client)
{
    if (!client->told) {
        client->told = true;
        client->options.on_output(client->options.arg);
    }
}

/* The call is the caller's from here on. */
static void detach(struct grpc_client_call *c)
{
    struct grpc_client *client = c->client;
    must(client->calls_count > 0);
    client->calls_count--;
    list_remove(&c->link);
    (void)nghttp2_session_set_stream_user_data(client->session, c->stream,
                                               NULL); /* may be gone already */
    c->client = NULL;
    buf_fini(&c->out);
    buf_fini(&c->in);
    c->out = c->in = (struct buf){0};
}

static int hex_of(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const uint8_t lower = c | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Percent-decoding, in place; what is no escape stays as it is. */
static void decode_text(struct buf *text)
{
    size_t to = 0;
    for (size_t i = 0; i < text->size; i++) {
        uint8_t c = text->data[i];
        if (c == '%' && i + 2 < text->size) {
            const int high = hex_of(text->data[i + 1]);
            const int low = hex_of(text->data[i + 2]);
            if (high >= 0 && low >= 0) {
                c = (uint8_t)(high << 4 | low);
                i += 2;
            }
        }
        text->data[to++] = c;
    }
    text->size = to;
}

static void finish(struct grpc_client_call *c, struct grpc_outcome how)
{
    struct buf text = c->text;
    c->text = (struct buf){0};
    if (how.answered) {
        decode_text(&text);
        how.text = buf_bytes(&text);
    }
    detach(c);
    c->on_end(c, &how);
    buf_fini(&text);
}

/* We end it for what the server sent. */
static void refuse(struct grpc_client_call *c, int code, const char *why)
{
    struct grpc_client *client = c->client;
    /* Fails only without memory. */
    must(nghttp2_submit_rst_stream(client->session, NGHTTP2_FLAG_NONE,
                                   c->stream, NGHTTP2_CANCEL) == 0);
    wake(client);
    finish(c, (struct grpc_outcome){.code = code, .text = bytes_of(why)});
}

/* An HTTP status in place of gRPC's: what a proxy or another server says (gRPC
 * over HTTP/2, "HTTP to gRPC status code mapping"). */
static int code_of_http(int status)
{
    switch (status) {
    case 400:
        return GRPC_INTERNAL;
    case 401:
        return 16; /* UNAUTHENTICATED */
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

/* The response is complete. */
static void finish_answered(struct grpc_client_call *c)
{
    if (c->code == GRPC_OK && c->in.size > 0) {
        finish(c, (struct grpc_outcome){
                      .code = GRPC_INTERNAL,
                      .text = bytes_of("the response ends within a message")});
    } else if (c->code >= 0) {
        finish(c, (struct grpc_outcome){.code = c->code, .answered = true});
    } else if (c->http_status != 200) {
        finish(c, (struct grpc_outcome){
                      .code = code_of_http(c->http_status),
                      .text = bytes_of("an HTTP error in place of gRPC")});
    } else {
        finish(c, (struct grpc_outcome){
                      .code = GRPC_UNKNOWN,
                      .text = bytes_of(c->wrong_content
                                           ? "the response is not gRPC"
                                           : "the response has no status")});
    }
}

/* The stream ended before its response did. */
static struct grpc_outcome outcome_of_reset(const struct grpc_client_call *c,
                                            uint32_t error)
{
    struct grpc_outcome how = {.code = GRPC_INTERNAL,
                               .text = bytes_of("the stream was reset"),
                               .unprocessed = c->refused};
    switch (error) {
    case NGHTTP2_REFUSED_STREAM:
        how.unprocessed = true;
        how.code = GRPC_UNAVAILABLE;
        break;
    case NGHTTP2_NO_ERROR:
        how.code = GRPC_INTERNAL;
        break;
    case NGHTTP2_CANCEL:
        how.code = GRPC_CANCELLED;
        break;
    case NGHTTP2_ENHANCE_YOUR_CALM:
        how.code = GRPC_RESOURCE_EXHAUSTED;
        break;
    case NGHTTP2_INADEQUATE_SECURITY:
        how.code = GRPC_PERMISSION_DENIED;
        break;
    default:
        break;
    }
    if (how.unprocessed) {
        how.code = GRPC_UNAVAILABLE;
    }
    return how;
}

/* --- what nghttp2 tells us --- */

static struct grpc_client_call *call_of(nghttp2_session *session,
                                        int32_t stream)
{
    return nghttp2_session_get_stream_user_data(session, stream);
}

static int number_of(struct bytes b)
{
    int number = 0;
    if (b.size == 0 || b.size > 4) {
        return -1;
    }
    for (size_t i = 0; i < b.size; i++) {
        if (b.data[i] < '0' || b.data[i] > '9') {
            return -1;
        }
        number = number * 10 + b.data[i] - '0';
    }
    return number;
}

static bool is_name(struct bytes name, const char *text, size_t size)
{
    return name.size == size && memcmp(name.data, text, size) == 0;
}
#define IS(name, text) is_name(name, text, sizeof(text) - 1)

static int header_came(nghttp2_session *session, const nghttp2_frame *frame,
                       const uint8_t *name_at, size_t name_size,
                       const uint8_t *value_at, size_t value_size,
                       uint8_t flags, void *arg)
{
    (void)flags;
    (void)arg;
    struct grpc_client_call *c = call_of(session, frame->hd.stream_id);
    const struct bytes name = {name_at, name_size},
                       value = {value_at, value_size};
    if (c == NULL) {
        return 0;
    }
    if (IS(name, ":status")) {
        c->http_status = number_of(value);
    } else if (IS(name, "content-type")) {
        c->wrong_content =
            !bytes_starts_with(value, bytes_of("application/grpc"));
    } else if (IS(name, "grpc-status")) {
        const int code = number_of(value);
        c->code = code >= 0 ? code : GRPC_UNKNOWN;
    } else if (IS(name, "grpc-message")) {
        c->text.size = 0;
        buf_append(&c->text,
                   (struct bytes){value.data, value.size < TEXT_SIZE_MAX
                                                  ? value.size
                                                  : TEXT_SIZE_MAX});
    }
    return 0;
}

/* The size that a message's prefix promises; false: the call was refused. */
static bool read_prefix(struct grpc_client_call *c, const uint8_t *at,
                        size_t *ret_size)
{
    const size_t size =
        (size_t)at[1] << 24 | (size_t)at[2] << 16 | (size_t)at[3] << 8 | at[4];
    if (at[0] != 0) {
        refuse(c, GRPC_INTERNAL, "a compressed message that was not asked for");
        return false;
    }
    if (size > c->client->options.message_size_max) {
        refuse(c, GRPC_RESOURCE_EXHAUSTED, "a message beyond the limit");
        return false;
    }
    *ret_size = size;
    return true;
}

/* Adds from *data to the message that has begun, up to its end. */
static void fill(struct buf *in, size_t size, struct bytes *data)
{
    const size_t missing = size - in->size;
    const size_t more = data->size < missing ? data->size : missing;
    buf_append(in, (struct bytes){data->data, more});
    *data = bytes_after(*data, more);
}

/* The next message of which there is something in *data; false: the call is
 * over, or its message not whole. */
static bool take_message(struct grpc_client_call *c, struct bytes *data)
{
    size_t size;
    if (c->in.size == 0 && data->size >= PREFIX_SIZE) {
        if (!read_prefix(c, data->data, &size)) {
            return false;
        }
        if (data->size - PREFIX_SIZE >= size) {
            const struct bytes message = {data->data + PREFIX_SIZE, size};
            *data = bytes_after(*data, PREFIX_SIZE + size);
            c->on_message(c, message);
            return true;
        }
    }
    if (c->in.size < PREFIX_SIZE) {
        fill(&c->in, PREFIX_SIZE, data);
    }
    if (c->in.size < PREFIX_SIZE || !read_prefix(c, c->in.data, &size)) {
        return false;
    }
    fill(&c->in, PREFIX_SIZE + size, data);
    if (c->in.size < PREFIX_SIZE + size) {
        return false;
    }
    struct buf whole = c->in; /* the callback may end the call */
    c->in = (struct buf){0};
    c->on_message(c, bytes_after(buf_bytes(&whole), PREFIX_SIZE));
    buf_fini(&whole);
    return true;
}

static int data_came(nghttp2_session *session, uint8_t flags, int32_t stream,
                     const uint8_t *at, size_t size, void *arg)
{
    (void)flags;
    (void)arg;
    struct bytes data = {at, size};
    struct grpc_client_call *c;
    while (data.size > 0 && (c = call_of(session, stream)) != NULL) {
        if (c->wrong_content || c->http_status != 200) {
            break; /* a web page, perhaps */
        }
        if (!take_message(c, &data)) {
            break;
        }
    }
    return 0;
}

static void response_ended(nghttp2_session *session, int32_t stream)
{
    struct grpc_client_call *c = call_of(session, stream);
    if (c == NULL) {
        return;
    }
    struct grpc_client *client = c->client;
    if (!c->half_closed || c->out_sent < c->out.size) {
        must(nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream,
                                       NGHTTP2_CANCEL) == 0);
        wake(client);
    }
    finish_answered(c);
}

/* GOAWAY: what the server has not taken never will be.  nghttp2 would keep what
 * waits for a free stream until there is one. */
static void end_untaken(struct grpc_client *client, int32_t last)
{
    struct list now, *link;
    list_init(&now);
    list_splice(&now, &client->calls);
    while ((link = list_pop(&now)) != NULL) {
        struct grpc_client_call *c =
            container_of(link, struct grpc_client_call, link);
        list_push(&client->calls, &c->link);
        if (c->stream > last || !c->begun_sending) {
            must(nghttp2_submit_rst_stream(client->session, NGHTTP2_FLAG_NONE,
                                           c->stream, NGHTTP2_CANCEL) == 0);
            finish(c, (struct grpc_outcome){
                          .code = GRPC_UNAVAILABLE,
                          .text = bytes_of("the server is leaving"),
                          .unprocessed = true});
        }
    }
}

static int frame_came(nghttp2_session *session, const nghttp2_frame *frame,
                      void *arg)
{
    struct grpc_client *client = arg;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
            response_ended(session, frame->hd.stream_id);
        }
        break;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 &&
            client->options.on_pong != NULL) {
            client->options.on_pong(client->options.arg);
        }
        break;
    case NGHTTP2_GOAWAY:
        if (!client->closed && client->options.on_goaway != NULL) {
            client->closed = true;
            client->options.on_goaway(client->options.arg);
        }
        client->closed = true;
        end_untaken(client, frame->goaway.last_stream_id);
        break;
    default:
        break;
    }
    return 0;
}

static int stream_closed(nghttp2_session *session, int32_t stream,
                         uint32_t error, void *arg)
{
    (void)arg;
    struct grpc_client_call *c = call_of(session, stream);
    if (c != NULL) {
        finish(c, outcome_of_reset(c, error));
    }
    return 0;
}

/* A request that nghttp2 could not send: the server had said GOAWAY. */
static int not_sent(nghttp2_session *session, const nghttp2_frame *frame,
                    int error, void *arg)
{
    (void)error;
    (void)arg;
    if (frame->hd.type == NGHTTP2_HEADERS) {
        struct grpc_client_call *c = call_of(session, frame->hd.stream_id);
        if (c != NULL) {
            c->refused = true;
        }
    }
    return 0;
}

static ssize_t read_out(nghttp2_session *session, int32_t stream, uint8_t *to,
                        size_t room, uint32_t *flags,
                        nghttp2_data_source *source, void *arg)
{
    (void)source;
    (void)arg;
    struct grpc_client_call *c = call_of(session, stream);
    if (c == NULL) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* resets the stream */
    }
    const size_t left = c->out.size - c->out_sent;
    const size_t size = left < room ? left : room;
    if (size > 0) {
        memcpy(to, c->out.data + c->out_sent, size);
        c->out_sent += size;
        c->begun_sending = true;
    }
    if (c->out_sent == c->out.size) {
        c->out_sent = 0;
        buf_clear(&c->out);
        if (c->half_closed) {
            *flags |= NGHTTP2_DATA_FLAG_EOF;
        } else if (size == 0) {
            c->deferred = true;
            return NGHTTP2_ERR_DEFERRED;
        }
    }
    return (ssize_t)size;
}

/* --- the session --- */

static void set_up(struct grpc_client *client)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADER_LIST_MAX},
    };
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    /* All of these fail only without memory. */
    must(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, header_came);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks,
                                                              data_came);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, frame_came);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks,
                                                           stream_closed);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks,
                                                             not_sent);
    must(nghttp2_option_new(&option) == 0);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_peer_max_concurrent_streams(option, STREAMS_AT_FIRST);
    must(nghttp2_session_client_new2(&client->session, callbacks, client,
                                     option) == 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    must(nghttp2_submit_settings(client->session, NGHTTP2_FLAG_NONE, settings,
                                 count_of(settings)) == 0);
    must(nghttp2_session_set_local_window_size(
             client->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) == 0);
}

struct grpc_client *grpc_client_new(const struct grpc_client_options *options)
{
    must(options->on_output != NULL);
    struct grpc_client *client = xcalloc(1, sizeof *client);
    const size_t size = strlen(options->authority) + 1;
    client->options = *options;
    client->authority = xmalloc(size);
    memcpy(client->authority, options->authority, size);
    client->options.authority = client->authority;
    if (client->options.user_agent == NULL) {
        client->options.user_agent = "keelfs";
    }
    if (client->options.message_size_max == 0) {
        client->options.message_size_max = MESSAGE_SIZE_MAX_DEFAULT;
    }
    list_init(&client->calls);
    set_up(client);
    client->told = true; /* the preface: whoever made it collects first */
    return client;
}

void grpc_client_abandon(struct grpc_client *client)
{
    client->closed = true;
    while (!list_is_empty(&client->calls)) {
        struct grpc_client_call *c =
            container_of(client->calls.next, struct grpc_client_call, link);
        buf_fini(&c->text);
        c->text = (struct buf){0};
        detach(c);
    }
}

void grpc_client_free(struct grpc_client *client)
{
    if (client == NULL) {
        return;
    }
    grpc_client_abandon(client);
    nghttp2_session_del(client->session);
    free(client->authority);
    free(client);
}

enum status grpc_client_receive(struct grpc_client *client, struct bytes data,
                                struct fault *reterr)
{
    const ssize_t taken =
        nghttp2_session_mem_recv(client->session, data.data, data.size);
    if (taken < 0) {
        client->closed = true;
        return fault_set(reterr, ST_IO, "no HTTP/2: %s",
                         nghttp2_strerror((int)taken));
    }
    const bool wants = nghttp2_session_want_write(client->session) != 0;
    if (!wants && nghttp2_session_want_read(client->session) == 0) {
        client->closed = true;
        return fault_set(reterr, ST_IO, "the server has ended the session");
    }
    if (wants) {
        wake(client);
    }
    return ST_OK;
}

void grpc_client_collect(struct grpc_client *client, struct buf *to,
                         size_t size_max)
{
    const size_t enough = to->size + size_max;
    while (to->size < enough) {
        const uint8_t *data;
        const ssize_t size = nghttp2_session_mem_send(client->session, &data);
        if (size <= 0) {
            /* Its errors are ours or a lack of memory; the connection ends. */
            client->closed = client->closed || size < 0;
            client->told = false;
            return;
        }
        buf_append(to, (struct bytes){data, (size_t)size});
    }
}

bool grpc_client_has_output(const struct grpc_client *client)
{
    return client->told && nghttp2_session_want_write(client->session) != 0;
}

void grpc_client_fail(struct grpc_client *client, const char *why)
{
    client->closed = true;
    while (!list_is_empty(&client->calls)) {
        struct grpc_client_call *c =
            container_of(client->calls.next, struct grpc_client_call, link);
        finish(c, (struct grpc_outcome){.code = GRPC_UNAVAILABLE,
                                        .text = bytes_of(why),
                                        .unprocessed = !c->begun_sending});
    }
}

bool grpc_client_is_open(const struct grpc_client *client)
{
    return !client->closed &&
           nghttp2_session_check_request_allowed(client->session) != 0;
}

size_t grpc_client_calls(const struct grpc_client *client)
{
    return client->calls_count;
}

void grpc_client_ping(struct grpc_client *client)
{
    must(nghttp2_submit_ping(client->session, NGHTTP2_FLAG_NONE, NULL) == 0);
    wake(client);
}

/* --- calls --- */

/* The name and the value live as long as the client, or until it is sent. */
#define NO_COPY (NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE)

static nghttp2_nv field(const char *name, const char *value, uint8_t flags)
{
    /* nghttp2 takes them as not const and does not write to them. */
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value,
                        strlen(name), strlen(value), flags};
}

static const char *timeout_text(int64_t timeout_ms, char text[24])
{
    /* At most eight digits and a unit. */
    size_t at = 23;
    text[at] = 0;
    text[--at] = timeout_ms > 99999999 ? 'S' : 'm';
    uint64_t left =
        (uint64_t)(timeout_ms > 99999999 ? timeout_ms / 1000 : timeout_ms);
    if (left > 99999999) {
        left = 99999999;
    }
    do {
        text[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    return text + at;
}

void grpc_client_start(struct grpc_client *client, struct grpc_client_call *c,
                       const char *path, int64_t timeout_ms,
                       const struct grpc_metadata *metadata,
                       size_t metadata_count)
{
    must(c->client == NULL);
    must(metadata_count <= GRPC_METADATA_MAX);
    nghttp2_nv fields[8 + GRPC_METADATA_MAX] = {
        field(":method", "POST", NO_COPY),
        field(":scheme", "http", NO_COPY),
        field(":path", path, NO_COPY),
        field(":authority", client->authority, NO_COPY),
        field("content-type", "application/grpc", NO_COPY),
        field("user-agent", client->options.user_agent, NO_COPY),
        field("te", "trailers", NO_COPY)};
    size_t count = 7;
    char timeout[24];
    if (timeout_ms > 0) {
        fields[count++] =
            field("grpc-timeout", timeout_text(timeout_ms, timeout),
                  NGHTTP2_NV_FLAG_NONE);
    }
    for (size_t i = 0; i < metadata_count; i++) {
        fields[count] = field(metadata[i].name, "", NGHTTP2_NV_FLAG_NONE);
        fields[count].value = (uint8_t *)(uintptr_t)metadata[i].value.data;
        fields[count++].valuelen = metadata[i].value.size;
    }
    const nghttp2_data_provider provider = {.source = {.ptr = NULL},
                                            .read_callback = read_out};
    const int32_t stream = nghttp2_submit_request(client->session, NULL, fields,
                                                  count, &provider, c);
    must(stream > 0); /* grpc_client_is_open() */
    c->client = client;
    c->stream = stream;
    c->out = c->in = c->text = (struct buf){0};
    c->out_sent = c->begun = 0;
    c->half_closed = c->deferred = c->wrong_content = false;
    c->begun_sending = c->refused = false;
    c->http_status = 0;
    c->code = -1;
    list_push(&client->calls, &c->link);
    client->calls_count++;
    wake(client);
}

static void resume(struct grpc_client_call *c)
{
    if (c->deferred) {
        c->deferred = false;
        /* Fails when the stream is being closed: then nothing is sent. */
        (void)nghttp2_session_resume_data(c->client->session, c->stream);
    }
    wake(c->client);
}

struct buf *grpc_client_begin_message(struct grpc_client_call *c)
{
    must(c->client != NULL);
    must(!c->half_closed);
    c->begun = c->out.size;
    (void)buf_extend(&c->out, PREFIX_SIZE);
    return &c->out;
}

void grpc_client_end_message(struct grpc_client_call *c)
{
    const size_t size = c->out.size - c->begun - PREFIX_SIZE;
    must(size <= UINT32_MAX);
    uint8_t *at = c->out.data + c->begun;
    at[0] = 0;
    for (int i = 0; i < 4; i++) {
        at[1 + i] = (uint8_t)(size >> (24 - 8 * i));
    }
    resume(c);
}

void grpc_client_half_close(struct grpc_client_call *c)
{
    must(c->client != NULL);
    if (!c->half_closed) {
        c->half_closed = true;
        resume(c);
    }
}

void grpc_client_cancel(struct grpc_client_call *c)
{
    struct grpc_client *client = c->client;
    if (client == NULL) {
        return;
    }
    must(nghttp2_submit_rst_stream(client->session, NGHTTP2_FLAG_NONE,
                                   c->stream, NGHTTP2_CANCEL) == 0);
    wake(client);
    buf_fini(&c->text);
    c->text = (struct buf){0};
    detach(c);
}

size_t grpc_client_unsent(const struct grpc_client_call *c)
{
    return c->client == NULL ? 0 : c->out.size - c->out_sent;
}
