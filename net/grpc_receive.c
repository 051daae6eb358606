/* Messages out of a request's bytes: five bytes of prefix, then the message,
 * cut anywhere.  A message that lies whole in what arrived is handed on in
 * place; only what is cut, or has to wait, is copied. */

#include <stdio.h>

#include "base/must.h"
#include "base/status.h"
#include "net/grpc_internal.h"

static uint32_t length_of(const uint8_t *prefix)
{
    return (uint32_t)prefix[1] << 24 | (uint32_t)prefix[2] << 16 |
           (uint32_t)prefix[3] << 8 | prefix[4];
}

static void too_large(struct grpc_call *c, size_t size, size_t max)
{
    char text[96];
    (void)snprintf(text, sizeof text,
                   "grpc: received message larger than max (%zu vs. %zu)", size,
                   max);
    grpc_call_abort(c, GRPC_RESOURCE_EXHAUSTED, text);
}

/* False: the call is over. */
static bool decompress(struct grpc_call *c, struct bytes *message)
{
    struct grpc_host *host = c->session->host;
    const size_t max = host->limits.message_max;
    switch (grpc_gzip_inflate(*message, max, &host->plain)) {
    case GRPC_GZIP_OK:
        *message = buf_bytes(&host->plain);
        return true;
    case GRPC_GZIP_TOO_LARGE:
        too_large(c, host->plain.size, max);
        return false;
    case GRPC_GZIP_BAD:
        grpc_call_abort(c, GRPC_INTERNAL,
                        "grpc: failed to decompress the received message");
        return false;
    }
    unreachable("an outcome of gzip");
}

static void deliver(struct grpc_call *c, bool compressed, struct bytes message)
{
    if (!c->method->client_streams && c->messages > 0) {
        grpc_call_abort(c, GRPC_INTERNAL,
                        "cardinality violation: received multiple request "
                        "messages for non-client-streaming RPC");
        return;
    }
    if (compressed && !decompress(c, &message)) {
        return;
    }
    c->messages++;
    c->handler->on_message(c, message);
}

/* False: the prefix is wrong, and the call over. */
static bool check_prefix(struct grpc_call *c, uint8_t flag, size_t size)
{
    const size_t max = c->session->host->limits.message_max;
    if (flag > 1) {
        char text[64];
        (void)snprintf(text, sizeof text,
                       "grpc: received unexpected payload format %u", flag);
        grpc_call_abort(c, GRPC_INTERNAL, text);
        return false;
    }
    if (flag == 1 && c->encoding != GRPC_GZIP) {
        grpc_call_abort(c, GRPC_INTERNAL,
                        "grpc: compressed flag set with identity or empty "
                        "encoding");
        return false;
    }
    if (size > max) {
        too_large(c, size, max);
        return false;
    }
    return true;
}

/* Hands on the whole messages at the beginning of data; returns how many bytes
 * that were. The handler may pause or end the call with each. */
static size_t take(struct grpc_call *c, struct bytes data)
{
    size_t used = 0;
    while (c->handler != NULL && !c->paused &&
           !grpc_session_is_full(c->session)) {
        const struct bytes left = bytes_after(data, used);
        if (left.size < GRPC_PREFIX_SIZE) {
            break;
        }
        const size_t size = length_of(left.data);
        if (!check_prefix(c, left.data[0], size) ||
            left.size - GRPC_PREFIX_SIZE < size) {
            break;
        }
        used += GRPC_PREFIX_SIZE + size;
        deliver(c, left.data[0] == 1,
                (struct bytes){left.data + GRPC_PREFIX_SIZE, size});
    }
    return used;
}

static void count(struct grpc_call *c)
{
    struct grpc_session *s = c->session;
    s->receiving = s->receiving - c->in_counted + c->in.size;
    s->host->receiving = s->host->receiving - c->in_counted + c->in.size;
    c->in_counted = c->in.size;
}

void grpc_receive_clear(struct grpc_call *c)
{
    buf_clear(&c->in);
    count(c);
}

/* Too much is held in half messages: whoever holds most of it pays, with this
 * call when it is this session, else with its connection. False: this call is
 * over. */
static bool make_room(struct grpc_call *c)
{
    struct grpc_host *host = c->session->host;
    while (host->receiving > host->limits.receiving_max) {
        struct grpc_session *most = grpc_session_greediest(host, false);
        if (most == c->session) {
            grpc_call_abort(c, GRPC_RESOURCE_EXHAUSTED,
                            "grpc: too many messages are half received");
            return false;
        }
        grpc_session_shed(most);
    }
    return true;
}

static bool must_wait(const struct grpc_call *c)
{
    return c->paused || grpc_session_is_full(c->session);
}

/* After something was taken, or could not be: what is left waits for more
 * bytes, for us, or is the end. */
static void settle(struct grpc_call *c)
{
    if (c->handler == NULL) {
        grpc_receive_clear(c);
        return;
    }
    count(c);
    if (!make_room(c)) {
        return;
    }
    const bool wait = must_wait(c);
    http2_hold_window(&c->stream, wait);
    if (wait) {
        if (!c->paused && list_is_empty(&c->parked)) {
            list_push(&c->session->parked, &c->parked);
        }
        return;
    }
    if (!c->stream.request_over || c->half_closed) {
        return;
    }
    if (c->in.size > 0) {
        grpc_call_abort(c, GRPC_INTERNAL, "unexpected EOF");
    } else if (!c->method->client_streams && c->messages == 0) {
        grpc_call_abort(c, GRPC_INTERNAL,
                        "cardinality violation: received no request message "
                        "from non-client-streaming RPC");
    } else {
        c->half_closed = true;
        if (c->handler->on_half_close != NULL) {
            c->handler->on_half_close(c);
        }
    }
}

void grpc_receive(struct grpc_call *c, struct bytes data)
{
    if (c->handler == NULL) {
        return;
    }
    if (c->in.size == 0) {
        data = bytes_after(data, take(c, data));
    }
    if (c->handler == NULL) {
        return;
    }
    if (data.size > 0) {
        buf_append(&c->in, data);
        grpc_receive_more(c);
    } else if (must_wait(c)) {
        settle(c);
    }
}

void grpc_receive_more(struct grpc_call *c)
{
    must(!c->taking);
    c->taking = true;
    const size_t used = take(c, buf_bytes(&c->in));
    c->taking = false;
    must(used <= c->in.size);
    if (used > 0) {
        c->in.size -= used;
        memmove(c->in.data, c->in.data + used, c->in.size);
    }
    settle(c);
}
