/* The life of a request:
 *
 *   request_go --ready--> sent --answer--> ended --end of the turn--> done()
 *        |                  |
 *        '----> waiting <---'  lost or refused, and it may be repeated
 *
 * Who waits is sent when a connection is ready, or after a pause when the one
 * there is refused.  Deadlines end it wherever it is.
 */

#include "client/internal.h"
#include "client/message.h"

#define AGAIN_MS     25 /* the pause before a repetition on the same member */
#define AGAIN_MS_MAX 400

static void set_deadline_timer(struct client *c)
{
    const struct heap_node *first = heap_first(&c->deadlines);
    if (first == NULL) {
        loop_timer_clear(c->deadline_timer);
    } else {
        loop_timer_at(c->deadline_timer, first->at);
    }
}

struct client_request *request_new(struct client *c, struct kv_call *kv)
{
    must(!c->stopping);
    struct client_request *r = xcalloc(1, sizeof *r);
    r->client = c;
    r->kv = kv;
    list_init(&r->link);
    list_init(&r->write_link);
    kv->state = r;
    kv->header = (struct kv_header){0};
    const int64_t ms =
        kv->timeout_ms > 0 ? kv->timeout_ms : c->options.request_ms;
    heap_push(&c->deadlines, &r->expires, loop_now_ns() + ms * NS_PER_MS);
    if (heap_first(&c->deadlines) == &r->expires) {
        set_deadline_timer(c);
    }
    return r;
}

static void request_free(struct client_request *r)
{
    if (r->end_scans != NULL) {
        r->end_scans(r);
    }
    arena_fini(&r->arena);
    buf_fini(&r->reply);
    free(r);
}

void request_end(struct client_request *r, enum status st)
{
    struct client *c = r->client;
    must(r->call.client == NULL);
    r->kv->status = st;
    heap_remove(&c->deadlines, &r->expires);
    list_remove(&r->link);
    list_push(&c->ended, &r->link);
    client_mark(c);
}

/* --- sending --- */

static void reply_came(struct grpc_client_call *call, struct bytes message)
{
    struct client_request *r = container_of(call, struct client_request, call);
    buf_clear(&r->reply);
    buf_append(&r->reply, message);
}

static void call_ended(struct grpc_client_call *call,
                       const struct grpc_outcome *how)
{
    struct client_request *r = container_of(call, struct client_request, call);
    client_mark(r->client); /* the connection may have drained */
    if (how->code == GRPC_OK) {
        request_replied(r);
    } else {
        request_failed(r, how);
    }
}

static void send_now(struct client_request *r)
{
    struct client *c = r->client;
    const int64_t left_ms = (r->expires.at - loop_now_ns()) / NS_PER_MS;
    r->conn = c->conn;
    r->seen = c->seen;
    r->call.on_message = reply_came;
    r->call.on_end = call_ended;
    buf_clear(&r->reply);
    list_remove(&r->link);
    list_push(&c->sent, &r->link);
    if (r->is_write) {
        list_remove(&r->write_link);
        list_push(&c->writes, &r->write_link);
    }
    grpc_client_start(grpc_conn_client(c->conn->grpc), &r->call, r->step->path,
                      left_ms > 0 ? left_ms : 1, NULL, 0);
    r->step->write(r, grpc_client_begin_message(&r->call));
    grpc_client_end_message(&r->call);
    grpc_client_half_close(&r->call);
}

void request_go(struct client_request *r)
{
    struct client *c = r->client;
    if (!channel_is_ready(c)) {
        list_remove(&r->link);
        list_push(&c->waiting, &r->link);
    } else if (r->is_keepalive) {
        keepalive_send(r);
    } else {
        send_now(r);
    }
}

void requests_resume(struct client *c)
{
    struct list now, *link;
    list_init(&now);
    list_splice(&now, &c->waiting);
    while ((link = list_pop(&now)) != NULL) {
        request_go(container_of(link, struct client_request, link));
    }
}

/* --- answers --- */

void request_replied(struct client_request *r)
{
    const struct bytes reply = buf_bytes(&r->reply);
    struct kv_header header;
    enum status st = message_read_header(reply, &header);
    if (st == ST_OK) {
        client_saw(r->client, &header);
        if (r->scan_revision == 0) {
            r->kv->header = header; /* a scan sees what its first step saw */
        }
        r->goes_on = false;
        st = r->step->read(r);
    }
    if (st == ST_OK && r->goes_on) {
        request_go(r);
    } else {
        request_end(r, st);
    }
}

static void repeat(struct client_request *r)
{
    struct client *c = r->client;
    r->attempts++;
    list_remove(&r->write_link);
    list_remove(&r->link);
    list_push(&c->waiting, &r->link);
    if (channel_is_ready(c)) {
        int64_t ms = AGAIN_MS * (int64_t)r->attempts;
        ms = ms < AGAIN_MS_MAX ? ms : AGAIN_MS_MAX;
        ms += (int64_t)prng_below(&c->chance, AGAIN_MS);
        client_again(c, ms);
    }
}

void request_failed(struct client_request *r, const struct grpc_outcome *how)
{
    const bool unavailable = how->code == GRPC_UNAVAILABLE;
    enum status st = status_of_outcome(how);
    if (st == ST_LEASE_NOT_FOUND && r->is_revoke && r->tried) {
        st = ST_OK;
    }
    /* Without a leader nothing is proposed: then nothing was done. */
    const bool undone =
        how->unprocessed || (how->answered && st == ST_NO_LEADER);
    r->tried |= !undone;
    if (unavailable && how->answered) {
        channel_suspect(r->client);
    }
    if (undone || (unavailable && !r->is_once)) {
        repeat(r);
        return;
    }
    if (st == ST_COMPACTED && scan_restart(r)) {
        request_go(r);
        return;
    }
    /* What became of a write is not known when its answer was lost, nor when a
     * server gave it up half-way. */
    if (r->is_once && (!how->answered || unavailable)) {
        st = ST_TIMEOUT;
    }
    request_end(r, st);
}

/* --- the end --- */

static void take_back(struct client_request *r)
{
    grpc_client_cancel(&r->call);
    client_mark(r->client);
}

void requests_expire(void *client)
{
    struct client *c = client;
    const int64_t now_ns = loop_now_ns();
    struct heap_node *first;
    while ((first = heap_first(&c->deadlines)) != NULL && first->at <= now_ns) {
        struct client_request *r =
            container_of(first, struct client_request, expires);
        const bool under_way = r->call.client != NULL; /* may be done */
        const bool suspect = under_way && r->conn == c->conn;
        take_back(r);
        request_end(r, under_way || r->tried || r->is_keepalive ? ST_TIMEOUT
                                                                : ST_NO_LEADER);
        if (suspect) {
            channel_suspect(c); /* alive, but no answer */
        }
    }
    set_deadline_timer(c);
}

void requests_cancel(struct client *c, struct kv_call *kv)
{
    struct client_request *r = kv->state;
    if (r != NULL && heap_has(&r->expires)) {
        take_back(r);
        request_end(r, ST_CANCELED);
    }
    (void)c;
}

bool requests_deliver(struct client *c)
{
    struct list *link;
    bool any = false;
    while ((link = list_pop(&c->ended)) != NULL) {
        struct client_request *r =
            container_of(link, struct client_request, link);
        list_remove(&r->write_link);
        r->kv->state = NULL;
        r->kv->done(r->kv); /* may free it */
        request_free(r);
        any = true;
    }
    return any;
}

void requests_stop(struct client *c)
{
    struct heap_node *first;
    while ((first = heap_first(&c->deadlines)) != NULL) {
        struct client_request *r =
            container_of(first, struct client_request, expires);
        take_back(r);
        request_end(r, ST_STOPPED);
    }
    (void)requests_deliver(c);
}
