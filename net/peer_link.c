/* One stream to one peer: connecting, greeting, sending, losing, waiting.
 *
 *   WAITING     timer: the pause is over            -> RESOLVING, CONNECTING
 *   RESOLVING   the name's addresses are known      -> CONNECTING
 *               no such name, or timer              -> WAITING
 *   CONNECTING  connected: HELLO is sent            -> GREETING
 *               failed: the next of the addresses   -> CONNECTING
 *               none is left, or timer              -> WAITING
 *   GREETING    WELCOME                             -> UP
 *               REJECT, closed, nonsense, or timer  -> WAITING
 *   UP          closed, nonsense, or silence        -> WAITING
 *
 * Every way to WAITING goes through peer_link_fail(), which drops what is
 * queued.  The owner is never called from here but by peer_link_serve(), at the
 * end of the turn, so no call of the owner's comes back to it. */

#include <stdio.h>

#include "base/must.h"
#include "net/loop_internal.h"
#include "net/peer_internal.h"

static struct peer_hub *hub_of(const struct peer_link *l)
{
    return l->peer->hub;
}

static void notice(struct peer_link *l, unsigned bits)
{
    l->notices |= bits;
    peer_mark(l);
}

/* --- failing --- */

static void tell_unreachable(struct peer_link *l)
{
    if (!l->told) {
        l->told = true;
        notice(l, NOTICE_UNREACHABLE);
    }
}

/* "Exponential back-off with jitter": the pause doubles, and a random part of
 * its second half is left out, so that members that lost the same peer at the
 * same time do not come back at the same time. */
static int64_t pause_ms(struct peer_link *l)
{
    const struct peer_hub_options *o = &hub_of(l)->options;
    int64_t ms = o->backoff_min_ms;
    for (uint32_t i = 0; i < l->failures && ms < o->backoff_max_ms; i++) {
        ms *= 2;
    }
    if (ms > o->backoff_max_ms) {
        ms = o->backoff_max_ms;
    }
    return ms - (int64_t)prng_below(&hub_of(l)->chance, (uint64_t)ms / 2 + 1);
}

static void add_sent(struct peer_link *l)
{
    l->stats.frames_sent += l->conn->frames_sent;
    l->stats.bytes_sent += l->conn->bytes_sent;
}

void peer_link_drop(struct peer_link *l)
{
    if (l->conn != NULL) {
        add_sent(l);
        peer_conn_close(l->conn);
        l->conn = NULL;
    }
}

static size_t count_lost(const struct peer_link *l)
{
    size_t count = l->waiting.count;
    if (l->state == LINK_UP) {
        list_each (link, &l->conn->out.frames) {
            const struct peer_out *f =
                container_of(link, struct peer_out, link);
            count += f->header[4] == PEER_FRAME_MESSAGE;
        }
    }
    return count;
}

/* The attempt, or the connection, is over. */
void peer_link_fail(struct peer_link *l, enum peer_event event,
                    const char *what, const char *why)
{
    must(l->state != LINK_WAITING);
    const bool was_up = l->state == LINK_UP;
    const size_t lost = count_lost(l);
    l->stats.dropped += lost;
    l->stats.losses += was_up;
    peer_link_drop(l);
    peer_queue_clear(&l->waiting);
    l->full = false;
    l->notices &= ~(unsigned)NOTICE_DRAINED;

    peer_why(&l->notice_fault, "%s%s%s%s%s", what,
             l->address[0] != 0 ? " " : "", l->address, why[0] != 0 ? ": " : "",
             why);
    l->notice_event = event;
    if (was_up && (l->notices & NOTICE_CONNECTED) == 0) {
        notice(l, NOTICE_LOST);
    } else {
        /* Never told that it was there: never told that it is gone. */
        l->notices &= ~(unsigned)NOTICE_CONNECTED;
        notice(l, NOTICE_FAILED);
    }
    l->state = LINK_WAITING;
    l->told = false;
    if (lost > 0 || was_up) { /* what had left may not have arrived */
        tell_unreachable(l);
    }
    loop_timer_at(l->timer, peer_ms_from_now(pause_ms(l)));
    l->failures++;
}

/* --- for the hub: addresses --- */

void peer_link_readdress(struct peer_link *l)
{
    peer_dial_cancel(l);
    l->address_next = 0;
    l->candidates_count = 0;
    if (l->state == LINK_RESOLVING) {
        peer_link_fail(l, PEER_EVENT_FAILED, "cannot reach",
                       "the address changed");
    }
    peer_link_hurry(l);
}

void peer_link_hurry(struct peer_link *l)
{
    if (l->state == LINK_WAITING) {
        loop_timer_at(l->timer, 0);
    }
}

/* --- greeting --- */

static void conn_connected(void *owner)
{
    struct peer_link *l = owner;
    must(l->state == LINK_CONNECTING);
    const struct peer_hub *h = hub_of(l);
    struct peer_hello hello = {.version_min = PEER_VERSION_MIN,
                               .version_max = PEER_VERSION_MAX,
                               .cluster_id = h->options.cluster_id,
                               .from = h->options.member_id,
                               .to = l->peer->id,
                               .stream = l->stream};
    (void)snprintf(hello.addresses, sizeof hello.addresses, "%s", h->advertise);
    struct buf body = {0};
    peer_hello_put(&body, &hello);
    l->state = LINK_GREETING;
    peer_queue_push_take(&l->conn->out, PEER_FRAME_HELLO, &body);
    peer_mark(l);
}

static void ping(struct peer_link *l)
{
    struct buf body = {0};
    peer_ping_put(&body, ++l->ping);
    l->ping_waits = true;
    l->ping_ns = loop_now_ns();
    peer_queue_push_take(&l->conn->out, PEER_FRAME_PING, &body);
    peer_mark(l);
}

static void welcomed(struct peer_link *l, struct bytes body)
{
    const struct peer_hub_options *o = &hub_of(l)->options;
    struct peer_welcome w;
    struct fault fault;
    if (peer_welcome_read(body, &w, &fault) != ST_OK) {
        peer_link_fail(l, PEER_EVENT_MALFORMED, "cannot understand",
                       fault.text);
        return;
    }
    /* The other side checked our greeting; this checks that it means us. */
    if (w.version < PEER_VERSION_MIN || w.version > PEER_VERSION_MAX ||
        w.cluster_id != o->cluster_id || w.from != l->peer->id ||
        w.to != o->member_id) {
        peer_why(&fault,
                 "welcomed by member %016llx of cluster %016llx, "
                 "version %u",
                 (unsigned long long)w.from, (unsigned long long)w.cluster_id,
                 w.version);
        peer_link_fail(l, PEER_EVENT_REJECTED, "somebody else is at",
                       fault.text);
        return;
    }
    l->state = LINK_UP;
    l->stats.connects++;
    l->alive_ns = loop_now_ns();
    peer_queue_move(&l->conn->out, &l->waiting);
    notice(l, NOTICE_CONNECTED);
    ping(l);
    loop_timer_at(l->timer, peer_ms_from_now(o->heartbeat_ms));
}

static void rejected(struct peer_link *l, struct bytes body)
{
    struct peer_reject r;
    struct fault fault;
    if (peer_reject_read(body, &r, &fault) != ST_OK) {
        peer_link_fail(l, PEER_EVENT_MALFORMED, "cannot understand",
                       fault.text);
        return;
    }
    peer_link_fail(l,
                   r.reason == PEER_REASON_REMOVED ? PEER_EVENT_REMOVED
                                                   : PEER_EVENT_REJECTED,
                   "refused by", r.text);
}

static void answered(struct peer_link *l, struct bytes body)
{
    uint64_t number;
    struct fault fault;
    if (peer_ping_read(body, &number, &fault) != ST_OK) {
        peer_link_fail(l, PEER_EVENT_MALFORMED, "cannot understand",
                       fault.text);
        return;
    }
    if (l->ping_waits && number == l->ping) {
        l->ping_waits = false;
        l->alive_ns = loop_now_ns();
        l->stats.round_trip_ns = l->alive_ns - l->ping_ns;
        l->failures = 0; /* it works: the next pause is a short one */
    }
}

static void conn_frame(void *owner, enum peer_frame_type type,
                       struct bytes body)
{
    struct peer_link *l = owner;
    if (l->state == LINK_GREETING && type == PEER_FRAME_WELCOME) {
        welcomed(l, body);
    } else if (l->state == LINK_GREETING && type == PEER_FRAME_REJECT) {
        rejected(l, body);
    } else if (l->state == LINK_UP && type == PEER_FRAME_PONG) {
        answered(l, body);
    } else {
        peer_link_fail(l, PEER_EVENT_MALFORMED, "cannot understand",
                       "a frame out of turn");
    }
}

/* --- up --- */

static bool is_half_empty(const struct peer_link *l)
{
    const struct peer_queue_limits *q = &hub_of(l)->options.queue[l->stream];
    const struct peer_queue *out = &l->conn->out;
    return out->count <= q->frames_max / 2 && out->bytes <= q->bytes_max / 2;
}

static void conn_sent(void *owner)
{
    struct peer_link *l = owner;
    if (l->full && is_half_empty(l)) {
        l->full = false;
        l->told = false;
        notice(l, NOTICE_DRAINED);
    }
}

static void conn_end(void *owner, enum peer_end how, const struct fault *why)
{
    struct peer_link *l = owner;
    if (l->state == LINK_CONNECTING) {
        peer_dial_next(l, why->text);
        return;
    }
    peer_link_fail(
        l, how == PEER_END_MALFORMED ? PEER_EVENT_MALFORMED : PEER_EVENT_FAILED,
        l->state == LINK_UP ? "lost" : "not welcomed by", why->text);
}

const struct peer_conn_ops peer_link_conn_ops = {.connected = conn_connected,
                                                 .frame = conn_frame,
                                                 .sent = conn_sent,
                                                 .end = conn_end};

/* A sign of life is an answer, or bytes that the other side's system took
 * while more were waiting. */
static void beat(struct peer_link *l)
{
    const struct peer_hub_options *o = &hub_of(l)->options;
    const int64_t now_ns = loop_now_ns();
    if (peer_conn_moved(l->conn)) {
        l->alive_ns = now_ns;
    }
    if (now_ns - l->alive_ns > o->dead_ms * 1000000) {
        peer_link_fail(l, PEER_EVENT_FAILED, "lost", "no sign of life");
        return;
    }
    if (!l->ping_waits) {
        ping(l);
    }
    loop_timer_at(l->timer, peer_ms_from_now(o->heartbeat_ms));
}

static void timer_fired(void *arg)
{
    struct peer_link *l = arg;
    switch (l->state) {
    case LINK_WAITING:
        peer_dial_begin(l);
        return;
    case LINK_RESOLVING:
    case LINK_GREETING:
        peer_link_fail(l, PEER_EVENT_FAILED, "cannot reach", "timed out");
        return;
    case LINK_CONNECTING:
        peer_dial_next(l, "timed out");
        return;
    case LINK_UP:
        beat(l);
        return;
    }
}

/* --- for the hub --- */

void peer_link_begin(struct peer_link *l, struct peer *peer,
                     enum peer_stream stream)
{
    *l = (struct peer_link){
        .peer = peer, .stream = stream, .state = LINK_WAITING};
    list_init(&l->dirty);
    peer_queue_init(&l->waiting);
    l->timer = loop_timer_new(hub_of(l)->loop, timer_fired, l);
    loop_timer_at(l->timer, 0);
}

void peer_link_end(struct peer_link *l)
{
    list_remove(&l->dirty);
    loop_timer_free(l->timer);
    peer_dial_cancel(l);
    peer_link_drop(l);
    peer_queue_clear(&l->waiting);
}

bool peer_link_send_take(struct peer_link *l, struct buf *frame)
{
    const struct peer_hub_options *o = &hub_of(l)->options;
    const struct peer_queue_limits *limits = &o->queue[l->stream];
    struct peer_queue *q = l->state == LINK_UP ? &l->conn->out : &l->waiting;
    const bool fits =
        q->count == 0 ||
        (q->count < limits->frames_max && q->bytes <= limits->bytes_max &&
         sizeof(struct peer_out) + frame->capacity <=
             limits->bytes_max - q->bytes);
    if (l->state == LINK_WAITING || frame->size > o->frame_size_max || !fits) {
        l->full = l->full || (!fits && l->state == LINK_UP);
        l->stats.dropped++;
        buf_fini(frame);
        tell_unreachable(l);
        return false;
    }
    peer_queue_push_take(q, PEER_FRAME_MESSAGE, frame);
    if (l->state == LINK_UP) {
        peer_mark(l);
    }
    return true;
}

bool peer_link_serve(struct peer_link *l)
{
    if (l->conn != NULL) {
        (void)peer_conn_flush(l->conn); /* the end becomes a notice */
    }
    /* Of the past first: it was lost before it was connected again. */
    const unsigned order[] = {NOTICE_LOST, NOTICE_FAILED, NOTICE_UNREACHABLE,
                              NOTICE_CONNECTED, NOTICE_DRAINED};
    unsigned one = 0;
    for (size_t i = 0; i < count_of(order) && one == 0; i++) {
        one = l->notices & order[i];
    }
    l->notices &= ~one;
    if (l->notices != 0) {
        peer_mark(l);
    }
    const struct peer_hub *h = hub_of(l);
    const struct peer_hub_callbacks *c = &h->callbacks;
    const uint64_t id = l->peer->id;
    const struct fault fault = l->notice_fault;
    if (one == NOTICE_LOST && c->on_lost != NULL) {
        c->on_lost(h->arg, id, l->stream, &fault);
    } else if (one == NOTICE_FAILED && c->on_event != NULL) {
        c->on_event(h->arg, l->notice_event, id, &fault);
    } else if (one == NOTICE_UNREACHABLE && c->on_unreachable != NULL) {
        c->on_unreachable(h->arg, id, l->stream);
    } else if (one == NOTICE_CONNECTED && c->on_connected != NULL) {
        c->on_connected(h->arg, id, l->stream);
    } else if (one == NOTICE_DRAINED && c->on_drained != NULL) {
        c->on_drained(h->arg, id, l->stream);
    }
    return one != 0;
}

void peer_link_stats(const struct peer_link *l, struct peer_stream_stats *ret)
{
    *ret = l->stats;
    ret->connected = l->state == LINK_UP;
    ret->queue_bytes = l->waiting.bytes;
    ret->queue_frames = l->waiting.count;
    if (l->conn != NULL) {
        ret->frames_sent += l->conn->frames_sent;
        ret->bytes_sent += l->conn->bytes_sent;
        ret->queue_bytes += l->conn->out.bytes;
        ret->queue_frames += l->conn->out.count;
    }
}
