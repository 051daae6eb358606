/* A client's TCP connection: looking up, connecting, reading, writing, pinging.
 *
 *   LOOKING -> CONNECTING -> UP -> DOWN      DOWN: the owner was told, or is
 * the
 *      '-----------'---------'---^                 one who closed
 *
 * Out: what a session has to send is collected into the dialer's buffer and
 * tried at once; what the system does not take is kept by the connection and
 * written when there is room.  Until then nothing more is collected, so a
 * server that does not read costs one such buffer.
 */

#include "net/grpc_dial.h"

#include <stdlib.h>

#include "base/must.h"
#include "net/loop_internal.h"
#include "net/peer_conn.h"

#define READ_SIZE            ((size_t)256 << 10)
#define WRITE_SIZE           ((size_t)128 << 10)
#define CONNECT_MS           5000
#define KEEPALIVE_TIMEOUT_MS 10000
#define NS_PER_MS            INT64_C(1000000)

enum conn_state { CONN_LOOKING, CONN_CONNECTING, CONN_UP, CONN_DOWN };

struct grpc_dialer {
    struct loop *loop;
    struct loop_hook hook;
    struct loop_post post; /* when the hook may have run already */
    bool posted;
    bool hook_comes;   /* a round of hooks is still to come in this turn */
    struct list dirty; /* of grpc_conn.dirty */
    size_t conns;
    uint8_t *in;
    struct buf out;
};

struct grpc_conn {
    struct list dirty; /* in the dialer's, or alone */
    struct grpc_dialer *dialer;
    struct grpc_conn_options options;
    struct grpc_client *client;
    enum conn_state state;
    bool closing; /* by the owner */

    struct peer_lookup *lookup;
    union peer_socket_address candidates[PEER_LOOKUP_MAX];
    size_t candidates_count, candidates_next;
    struct loop_timer *timer;
    int64_t heard_ns;
    bool pinged;

    uv_tcp_t *tcp; /* owns itself once it is closed; NULL: none */
    uv_connect_t connect;
    uv_write_t write;
    bool writing;
    struct buf left; /* being written */
};

/* --- the end --- */

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

/* A handle that has a request under way is closed with it: its connection is
 * freed afterwards. */
static void tcp_closed(uv_handle_t *handle)
{
    struct grpc_conn *c = handle->data;
    free_handle(handle);
    if (c == NULL) {
        return;
    }
    must(c->closing);
    grpc_client_free(c->client);
    buf_fini(&c->left);
    free(c);
}

static void drop_tcp(struct grpc_conn *c)
{
    if (c->tcp != NULL) {
        c->tcp->data = NULL;
        uv_close((uv_handle_t *)c->tcp, free_handle);
        c->tcp = NULL;
    }
}

static void down(struct grpc_conn *c, const char *why)
{
    if (c->state == CONN_DOWN) {
        return;
    }
    c->state = CONN_DOWN;
    loop_timer_clear(c->timer);
    list_remove(&c->dirty);
    if (c->tcp != NULL) {
        (void)uv_read_stop((uv_stream_t *)c->tcp); /* never fails */
    }
    grpc_client_fail(c->client, why);
    if (!c->closing) {
        c->options.on_down(c->options.arg, why);
    }
}

static void down_by(struct grpc_conn *c, const char *what, int error)
{
    struct fault fault;
    if (error == UV_EOF) {
        down(c, "closed by the server");
        return;
    }
    peer_why(&fault, "%s%s", what, uv_strerror(error));
    down(c, fault.text);
}

void grpc_conn_close(struct grpc_conn *c)
{
    if (c == NULL || c->closing) {
        return;
    }
    c->closing = true;
    c->state = CONN_DOWN;
    c->dialer->conns--;
    grpc_client_abandon(c->client);
    list_remove(&c->dirty);
    peer_lookup_cancel(c->lookup);
    c->lookup = NULL;
    loop_timer_free(c->timer);
    if (c->tcp == NULL) {
        /* A handle of its own, so that it is freed behind whoever calls. */
        c->tcp = xcalloc(1, sizeof *c->tcp);
        must(uv_tcp_init(&c->dialer->loop->uv, c->tcp) == 0);
        c->tcp->data = c;
    }
    uv_close((uv_handle_t *)c->tcp, tcp_closed);
}

/* --- out --- */

static void flush(struct grpc_conn *c);

static void written(uv_write_t *request, int error)
{
    struct grpc_conn *c = container_of(request, struct grpc_conn, write);
    c->writing = false;
    if (c->state != CONN_UP) {
        return;
    }
    loop_count_event(c->dialer->loop);
    c->dialer->hook_comes = true;
    buf_clear(&c->left);
    if (error < 0) {
        down_by(c, "cannot write: ", error);
    } else {
        flush(c);
    }
}

/* Hands over what the dialer's buffer holds; false: not all of it was taken. */
static bool put_out(struct grpc_conn *c)
{
    struct buf *out = &c->dialer->out;
    uv_buf_t piece = uv_buf_init((char *)out->data, (unsigned)out->size);
    int done = uv_try_write((uv_stream_t *)c->tcp, &piece, 1);
    if (done == UV_EAGAIN) {
        done = 0;
    }
    if (done < 0) {
        down_by(c, "cannot write: ", done);
        return false;
    }
    if ((size_t)done == out->size) {
        return true;
    }
    buf_append(&c->left, bytes_after(buf_bytes(out), (size_t)done));
    piece = uv_buf_init((char *)c->left.data, (unsigned)c->left.size);
    const int error =
        uv_write(&c->write, (uv_stream_t *)c->tcp, &piece, 1, written);
    if (error < 0) {
        down_by(c, "cannot write: ", error);
    } else {
        c->writing = true;
    }
    return false;
}

static void flush(struct grpc_conn *c)
{
    struct buf *out = &c->dialer->out;
    while (c->state == CONN_UP && !c->writing) {
        buf_clear(out);
        grpc_client_collect(c->client, out, WRITE_SIZE); /* may end calls */
        if (out->size == 0 || c->state != CONN_UP || !put_out(c)) {
            return;
        }
    }
}

static bool end_of_turn(void *arg)
{
    struct grpc_dialer *d = arg;
    struct list now, *link;
    d->hook_comes = true; /* if the list has grown when this is over */
    list_init(&now);
    list_splice(&now, &d->dirty);
    while ((link = list_pop(&now)) != NULL) {
        flush(container_of(link, struct grpc_conn, dirty));
    }
    d->hook_comes = false;
    return !list_is_empty(&d->dirty);
}

static void post_came(struct loop_post *p)
{
    struct grpc_dialer *d = container_of(p, struct grpc_dialer, post);
    d->posted = false; /* the hooks follow */
}

static void output_waits(void *arg)
{
    struct grpc_conn *c = arg;
    struct grpc_dialer *d = c->dialer;
    if (c->state != CONN_UP) {
        return;
    }
    list_remove(&c->dirty);
    list_push(&d->dirty, &c->dirty);
    if (!d->hook_comes && !d->posted) {
        d->posted = true;
        loop_post(d->loop, &d->post);
    }
}

/* --- in --- */

static void make_room(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    (void)suggested;
    struct grpc_conn *c = handle->data;
    *ret = uv_buf_init((char *)c->dialer->in, READ_SIZE);
}

static void arrived(uv_stream_t *stream, ssize_t size, const uv_buf_t *at)
{
    struct grpc_conn *c = stream->data;
    if (c == NULL || c->state != CONN_UP) {
        return;
    }
    loop_count_event(c->dialer->loop);
    c->dialer->hook_comes = true;
    if (size < 0) {
        down_by(c, "cannot read: ", (int)size);
        return;
    }
    struct fault fault;
    c->heard_ns = c->options.keepalive_ms > 0 ? loop_now_ns() : 0;
    if (size > 0 &&
        grpc_client_receive(
            c->client, (struct bytes){(const uint8_t *)at->base, (size_t)size},
            &fault) != ST_OK) {
        down(c, fault.text);
    }
}

/* --- keepalive --- */

static void watch_silence(struct grpc_conn *c, int64_t ms)
{
    loop_timer_at(c->timer, loop_now_ns() + ms * NS_PER_MS);
}

static void look_at_silence(struct grpc_conn *c)
{
    const int64_t now_ns = loop_now_ns();
    const int64_t silent_ms = (now_ns - c->heard_ns) / NS_PER_MS;
    if (silent_ms >= c->options.keepalive_ms && c->pinged) {
        down(c, "no answer to a keepalive ping");
    } else if (silent_ms >= c->options.keepalive_ms &&
               grpc_client_calls(c->client) > 0) {
        c->pinged = true;
        grpc_client_ping(c->client);
        watch_silence(c, c->options.keepalive_timeout_ms);
    } else {
        c->pinged = false;
        watch_silence(c, silent_ms >= c->options.keepalive_ms
                             ? c->options.keepalive_ms
                             : c->options.keepalive_ms - silent_ms);
    }
}

/* --- connecting --- */

static void connect_next(struct grpc_conn *c, const char *why);

static void connected(uv_connect_t *request, int error)
{
    struct grpc_conn *c = container_of(request, struct grpc_conn, connect);
    if (c->state != CONN_CONNECTING || error == UV_ECANCELED) {
        return;
    }
    loop_count_event(c->dialer->loop);
    c->dialer->hook_comes = true;
    if (error == 0) {
        /* A request must not wait for the acknowledgement of another. */
        error = uv_tcp_nodelay(c->tcp, 1);
    }
    if (error == 0) {
        error = uv_read_start((uv_stream_t *)c->tcp, make_room, arrived);
    }
    if (error < 0) {
        connect_next(c, uv_strerror(error));
        return;
    }
    c->state = CONN_UP;
    c->heard_ns = loop_now_ns();
    loop_timer_clear(c->timer);
    if (c->options.keepalive_ms > 0) {
        watch_silence(c, c->options.keepalive_ms);
    }
    output_waits(c); /* the preface */
    c->options.on_up(c->options.arg);
}

static void connect_next(struct grpc_conn *c, const char *why)
{
    while (c->candidates_next < c->candidates_count) {
        const struct sockaddr *to = &c->candidates[c->candidates_next++].any;
        if (c->tcp != NULL) {
            /* Its callback has run, or it was never started. */
            drop_tcp(c);
        }
        c->tcp = xcalloc(1, sizeof *c->tcp);
        must(uv_tcp_init(&c->dialer->loop->uv, c->tcp) == 0);
        c->tcp->data = c;
        const int error = uv_tcp_connect(&c->connect, c->tcp, to, connected);
        if (error == 0) {
            c->state = CONN_CONNECTING;
            return;
        }
        why = uv_strerror(error);
    }
    struct fault fault;
    peer_why(&fault, "cannot connect: %s", why);
    down(c, fault.text);
}

static void looked_up(void *arg, const struct fault *fault,
                      const union peer_socket_address *list, size_t count)
{
    struct grpc_conn *c = arg;
    c->lookup = NULL;
    if (c->state != CONN_LOOKING) {
        return; /* it took too long */
    }
    if (fault != NULL) {
        down(c, fault->text);
        return;
    }
    must(count <= PEER_LOOKUP_MAX);
    memcpy(c->candidates, list, count * sizeof list[0]);
    c->candidates_count = count;
    connect_next(c, "no address");
}

static void timer_fired(void *arg)
{
    struct grpc_conn *c = arg;
    switch (c->state) {
    case CONN_LOOKING:
        if (c->lookup == NULL) {
            connect_next(c, "no address"); /* a number: nothing to look up */
            if (c->state == CONN_CONNECTING) {
                watch_silence(c, c->options.connect_ms);
            }
        } else {
            down(c, "looking the name up takes too long");
        }
        break;
    case CONN_CONNECTING:
        down(c, "connecting takes too long");
        break;
    case CONN_UP:
        look_at_silence(c);
        break;
    case CONN_DOWN:
        break;
    }
}

static void goaway_came(void *arg)
{
    struct grpc_conn *c = arg;
    if (c->state == CONN_UP && c->options.on_draining != NULL) {
        c->options.on_draining(c->options.arg);
    }
}

static MUST_USE enum status parse_address(const char *address,
                                          struct peer_addresses *ret,
                                          struct fault *reterr)
{
    const enum status st = peer_addresses_parse(address, ret, reterr);
    if (st == ST_OK && ret->count != 1) {
        return fault_set(reterr, ST_INVALID, "'%s' is more than one address",
                         address);
    }
    return st;
}

enum status grpc_address_check(const char *address, struct fault *reterr)
{
    struct peer_addresses addresses;
    return parse_address(address, &addresses, reterr);
}

static MUST_USE enum status begin(struct grpc_conn *c, struct fault *reterr)
{
    struct peer_addresses addresses;
    const enum status st =
        parse_address(c->options.address, &addresses, reterr);
    if (st != ST_OK) {
        return st;
    }
    if (peer_address_is_numeric(&addresses.list[0], &c->candidates[0])) {
        c->candidates_count = 1;
        loop_timer_at(c->timer, 0);
        return ST_OK;
    }
    watch_silence(c, c->options.connect_ms);
    return peer_lookup_start(c->dialer->loop, &addresses.list[0], looked_up, c,
                             &c->lookup, reterr);
}

enum status grpc_conn_open(struct grpc_dialer *d,
                           const struct grpc_conn_options *options,
                           struct grpc_conn **ret, struct fault *reterr)
{
    struct grpc_conn *c = xcalloc(1, sizeof *c);
    c->dialer = d;
    c->options = *options;
    if (c->options.connect_ms == 0) {
        c->options.connect_ms = CONNECT_MS;
    }
    if (c->options.keepalive_timeout_ms == 0) {
        c->options.keepalive_timeout_ms = KEEPALIVE_TIMEOUT_MS;
    }
    list_init(&c->dirty);
    c->timer = loop_timer_new(d->loop, timer_fired, c);
    const struct grpc_client_options session = {.authority = options->address,
                                                .message_size_max =
                                                    options->message_size_max,
                                                .on_output = output_waits,
                                                .on_goaway = goaway_came,
                                                .arg = c};
    c->client = grpc_client_new(&session);
    d->conns++;
    const enum status st = begin(c, reterr);
    c->options.address = NULL; /* was borrowed */
    if (st != ST_OK) {
        grpc_conn_close(c);
        return st;
    }
    *ret = c;
    return ST_OK;
}

struct grpc_client *grpc_conn_client(struct grpc_conn *c)
{
    return c->client;
}

/* --- the dialer --- */

struct grpc_dialer *grpc_dialer_new(struct loop *l)
{
    struct grpc_dialer *d = xcalloc(1, sizeof *d);
    d->loop = l;
    d->in = xmalloc(READ_SIZE);
    list_init(&d->dirty);
    d->hook = (struct loop_hook){.run = end_of_turn, .arg = d};
    d->post.run = post_came;
    loop_hook_add(l, &d->hook);
    return d;
}

void grpc_dialer_free(struct grpc_dialer *d)
{
    if (d == NULL) {
        return;
    }
    must(d->conns == 0);
    must(list_is_empty(&d->dirty));
    loop_hook_remove(&d->hook);
    loop_post_cancel(d->loop, &d->post);
    free(d->in);
    buf_fini(&d->out);
    free(d);
}
