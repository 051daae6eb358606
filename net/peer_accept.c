/* What others make to us: listeners, and the connections they bring.
 *
 * A connection has handshake_ms to say HELLO, then may be silent for twice
 * dead_ms (the other side sends heartbeats).  Each end of a connection calls
 * the owner last, since the owner may do anything then. */

#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "net/loop_internal.h"
#include "net/peer_internal.h"

#define BACKLOG 128
/* Answers that wait for somebody who asks and does not read. */
#define ANSWERS_MAX 16

static const struct peer_conn_ops conn_ops;

/* --- ends --- */

void peer_incoming_close(struct peer_incoming *i)
{
    must(i->hub->stats.incoming > 0);
    i->hub->stats.incoming--;
    list_remove(&i->link);
    loop_timer_free(i->timer);
    peer_conn_close(i->conn);
    free(i);
}

static void end(struct peer_incoming *i, enum peer_event event,
                const char *what)
{
    struct peer_hub *h = i->hub;
    const uint64_t from = i->from;
    struct fault fault;
    peer_why(&fault, "connection from %s: %s", i->address, what);
    h->stats.refused += event == PEER_EVENT_REFUSED;
    h->stats.malformed += event == PEER_EVENT_MALFORMED;
    peer_incoming_close(i);
    peer_say(h, event, from, &fault);
}

static void conn_end(void *owner, enum peer_end how, const struct fault *why)
{
    struct peer_incoming *i = owner;
    if (how == PEER_END_MALFORMED) {
        end(i, PEER_EVENT_MALFORMED, why->text);
    } else if (i->welcomed || i->asked) {
        end(i, PEER_EVENT_CLOSED, why->text);
    } else {
        end(i, PEER_EVENT_REFUSED, why->text); /* before it said who it is */
    }
}

static void timer_fired(void *arg)
{
    struct peer_incoming *i = arg;
    if (!i->welcomed) {
        end(i, PEER_EVENT_REFUSED, "no greeting in time");
        return;
    }
    const int64_t silent_ns = 2 * i->hub->options.dead_ms * 1000000;
    const int64_t at_ns = i->conn->heard_ns + silent_ns;
    if (loop_now_ns() >= at_ns) {
        end(i, PEER_EVENT_CLOSED, "no sign of life");
        return;
    }
    loop_timer_at(i->timer, at_ns);
}

/* --- greeting --- */

static void refuse(struct peer_incoming *i, enum peer_reason reason,
                   const char *why)
{
    struct peer_reject reject = {.reason = (uint16_t)reason};
    (void)snprintf(reject.text, sizeof reject.text, "%.*s",
                   (int)sizeof reject.text - 1, why);
    struct buf body = {0};
    peer_reject_put(&body, &reject);
    peer_queue_push_take(&i->conn->out, PEER_FRAME_REJECT, &body);
    /* A few bytes into an empty socket: they go at once, or there is nobody to
     * read them. */
    if (peer_conn_flush(i->conn)) {
        end(i, PEER_EVENT_REFUSED, why);
    }
}

/* Why this greeting is not for us; 0: it is. */
static unsigned judge(const struct peer_hub *h, const struct peer_hello *hello,
                      struct fault *why)
{
    const struct peer_hub_options *o = &h->options;
    if (hello->cluster_id != o->cluster_id) {
        peer_why(why,
                 "cluster %016llx was asked for, this is cluster "
                 "%016llx",
                 (unsigned long long)hello->cluster_id,
                 (unsigned long long)o->cluster_id);
        return PEER_REASON_CLUSTER;
    }
    if (hello->to != o->member_id) {
        peer_why(why, "member %016llx was asked for, this is member %016llx",
                 (unsigned long long)hello->to,
                 (unsigned long long)o->member_id);
        return PEER_REASON_TARGET;
    }
    if (hello->from == 0 || hello->from == o->member_id) {
        peer_why(why, "member %016llx cannot connect to this member",
                 (unsigned long long)hello->from);
        return PEER_REASON_SENDER;
    }
    struct fault denied = {{0}};
    const enum status st =
        h->callbacks.may_join == NULL
            ? ST_OK
            : h->callbacks.may_join(h->arg, hello->from, hello->addresses,
                                    &denied);
    if (st != ST_OK) {
        *why = denied;
        return st == ST_MEMBER_NOT_FOUND ? PEER_REASON_REMOVED
                                         : PEER_REASON_DENIED;
    }
    return 0;
}

/* A member makes a new connection when it has lost the old one, which we may
 * not know yet. */
static void close_older(const struct peer_incoming *newer,
                        const struct peer_hello *hello)
{
    list_each (link, &newer->hub->incoming) {
        struct peer_incoming *i =
            container_of(link, struct peer_incoming, link);
        if (i->welcomed && i->from == hello->from &&
            i->stream == hello->stream) {
            end(i, PEER_EVENT_CLOSED, "replaced by a newer connection");
            return; /* there was only one, for the same reason */
        }
    }
}

static void hurry_back(const struct peer_hub *h, uint64_t id)
{
    struct peer *peer = peer_find(h, id);
    for (size_t s = 0; peer != NULL && s < PEER_STREAMS; s++) {
        peer_link_hurry(&peer->links[s]); /* it is alive */
    }
}

static void welcome(struct peer_incoming *i, const struct peer_hello *hello)
{
    struct peer_hub *h = i->hub;
    close_older(i, hello); /* before this one can be taken for it */
    i->welcomed = true;
    i->from = hello->from;
    i->stream = hello->stream;
    const struct peer_welcome w = {
        .version = hello->version_max < PEER_VERSION_MAX ? hello->version_max
                                                         : PEER_VERSION_MAX,
        .cluster_id = h->options.cluster_id,
        .from = h->options.member_id,
        .to = hello->from};
    struct buf body = {0};
    peer_welcome_put(&body, &w);
    peer_queue_push_take(&i->conn->out, PEER_FRAME_WELCOME, &body);
    i->conn->frame_size_max = h->options.frame_size_max;
    loop_timer_at(i->timer, peer_ms_from_now(2 * h->options.dead_ms));
    h->stats.accepted++;
    hurry_back(h, i->from);
    if (peer_conn_flush(i->conn)) {
        struct fault fault;
        peer_why(&fault, "connection from %s: %s stream", i->address,
                 i->stream == PEER_BULK ? "bulk" : "message");
        peer_say(h, PEER_EVENT_ACCEPTED, i->from, &fault);
    }
}

/* Who asks closes when it has the answer, or is closed in time. */
static void asked(struct peer_incoming *i, struct bytes question)
{
    struct peer_hub *h = i->hub;
    struct buf answer = {0};
    if (i->asked || h->callbacks.on_query == NULL) {
        end(i, PEER_EVENT_MALFORMED, "a question out of turn");
        return;
    }
    i->asked = true;
    h->callbacks.on_query(h->arg, question, &answer);
    peer_queue_push_take(&i->conn->out, PEER_FRAME_INFO, &answer);
    (void)peer_conn_flush(i->conn); /* its end has been dealt with */
}

static void greeted(struct peer_incoming *i, enum peer_frame_type type,
                    struct bytes body)
{
    struct peer_hub *h = i->hub;
    struct peer_hello hello;
    struct fault fault = {{0}};
    if (type == PEER_FRAME_QUERY) {
        asked(i, body);
        return;
    }
    if (type != PEER_FRAME_HELLO) {
        end(i, PEER_EVENT_MALFORMED, "no greeting");
        return;
    }
    const enum status st = peer_hello_read(body, &hello, &fault);
    if (st == ST_UNSUPPORTED) {
        refuse(i, PEER_REASON_VERSION, fault.text);
        return;
    }
    if (st != ST_OK) {
        end(i, PEER_EVENT_MALFORMED, fault.text);
        return;
    }
    const unsigned reason = judge(h, &hello, &fault);
    if (reason != 0) {
        refuse(i, (enum peer_reason)reason, fault.text);
        return;
    }
    welcome(i, &hello);
}

/* --- frames --- */

static void message(struct peer_incoming *i, struct bytes body)
{
    struct peer_hub *h = i->hub;
    struct peer *peer = peer_find(h, i->from);
    if (peer != NULL) {
        struct peer_stream_stats *s = &peer->links[i->stream].stats;
        s->frames_received++;
        s->bytes_received += body.size;
    }
    h->callbacks.on_message(h->arg, i->from, i->stream, body);
}

static void pinged(struct peer_incoming *i, struct bytes body)
{
    uint64_t number;
    struct fault fault;
    if (peer_ping_read(body, &number, &fault) != ST_OK) {
        end(i, PEER_EVENT_MALFORMED, fault.text);
        return;
    }
    if (i->conn->out.count >= ANSWERS_MAX) {
        end(i, PEER_EVENT_MALFORMED, "heartbeats, and no answer is read");
        return;
    }
    struct buf answer = {0};
    peer_ping_put(&answer, number);
    peer_queue_push_take(&i->conn->out, PEER_FRAME_PONG, &answer);
    (void)peer_conn_flush(i->conn); /* its end has been dealt with */
}

static void conn_frame(void *owner, enum peer_frame_type type,
                       struct bytes body)
{
    struct peer_incoming *i = owner;
    struct peer_hub *h = i->hub;
    must(!h->in_event);
    h->in_event = true;
    if (!i->welcomed) {
        greeted(i, type, body);
    } else if (type == PEER_FRAME_MESSAGE) {
        message(i, body);
    } else if (type == PEER_FRAME_PING) {
        pinged(i, body);
    } else {
        end(i, PEER_EVENT_MALFORMED, "a frame out of turn");
    }
    h->in_event = false;
}

static void conn_sent(void *owner)
{
    (void)owner;
}

static const struct peer_conn_ops conn_ops = {
    .frame = conn_frame, .sent = conn_sent, .end = conn_end};

/* --- listeners --- */

/* Room for one more: whoever has not said who it is goes first, the oldest of
 * them, so that a flood of silent connections keeps no member out for long. */
static bool make_room(struct peer_hub *h)
{
    if (h->stats.incoming < h->options.incoming_max) {
        return true;
    }
    list_each (link, &h->incoming) {
        struct peer_incoming *i =
            container_of(link, struct peer_incoming, link);
        if (!i->welcomed) {
            h->stats.evicted++;
            peer_incoming_close(i);
            return true;
        }
    }
    return false;
}

static void name_other_end(struct peer_incoming *i)
{
    union peer_socket_address address;
    int size = sizeof address;
    if (uv_tcp_getpeername(&i->conn->tcp, &address.any, &size) == 0) {
        peer_address_text(&address.any, i->address);
    } else {
        (void)snprintf(i->address, sizeof i->address, "unknown address");
    }
}

static void someone_came(uv_stream_t *stream, int error)
{
    struct peer_listener *l = stream->data;
    struct peer_hub *h = l->hub;
    if (h == NULL) {
        return;
    }
    loop_count_event(h->loop);
    struct fault fault;
    if (error < 0) {
        peer_why(&fault, "cannot accept a connection: %s", uv_strerror(error));
        peer_say(h, PEER_EVENT_REFUSED, 0, &fault);
        return;
    }
    const bool has_room = make_room(h);
    struct peer_incoming *i = xcalloc(1, sizeof *i);
    i->hub = h;
    i->conn = peer_conn_new(h->loop, &conn_ops, i);
    i->timer = loop_timer_new(h->loop, timer_fired, i);
    list_push(&h->incoming, &i->link);
    h->stats.incoming++;
    if (peer_conn_accept(i->conn, stream, &fault) != ST_OK) {
        (void)snprintf(i->address, sizeof i->address, "unknown address");
        end(i, PEER_EVENT_REFUSED, fault.text);
        return;
    }
    name_other_end(i);
    if (!has_room) {
        end(i, PEER_EVENT_REFUSED, "too many connections");
        return;
    }
    loop_timer_at(i->timer, peer_ms_from_now(h->options.handshake_ms));
}

static void listener_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void peer_listener_close(struct peer_listener *l)
{
    l->hub = NULL;
    list_remove(&l->link);
    uv_close((uv_handle_t *)&l->tcp, listener_closed);
}

enum status peer_listener_open(struct peer_hub *h,
                               const union peer_socket_address *address,
                               uint16_t *ret_port, struct fault *reterr)
{
    char text[PEER_ADDRESS_TEXT_SIZE];
    peer_address_text(&address->any, text);
    struct peer_listener *l = xcalloc(1, sizeof *l);
    l->hub = h;
    must(uv_tcp_init(&h->loop->uv, &l->tcp) == 0);
    l->tcp.data = l;
    list_push(&h->listeners, &l->link);
    int error = uv_tcp_bind(&l->tcp, &address->any, 0);
    if (error == 0) {
        error = uv_listen((uv_stream_t *)&l->tcp, BACKLOG, someone_came);
    }
    union peer_socket_address bound;
    int size = sizeof bound;
    if (error == 0) {
        error = uv_tcp_getsockname(&l->tcp, &bound.any, &size);
    }
    if (error < 0) {
        peer_listener_close(l);
        return fault_sys(reterr, -error, "cannot listen at %s", text);
    }
    *ret_port = ntohs(bound.any.sa_family == AF_INET ? bound.v4.sin_port
                                                     : bound.v6.sin6_port);
    return ST_OK;
}
