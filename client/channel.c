/* Which member is spoken to.
 *
 *   WAITING --back-off over--> OPENING --TCP--> GREETING --status--> READY
 *      ^                          |                |                  |
 *      '----- another round ------'----------------'--- lost, or no leader
 *
 * Each loss goes on to the next endpoint at once; after all of them have failed
 * in a row there is a pause, which doubles up to BACKOFF_MS_MAX.  A connection
 * that is left because its member cannot serve, or says GOAWAY, drains: answers
 * still come, and it closes when there are none to come.
 */

#include "client/internal.h"
#include "client/message.h"

#define BACKOFF_MS_MIN 50
#define BACKOFF_MS_MAX 3000
#define GREETING_MS    3000
/* A member is not left again so soon: the others may be no better. */
#define SUSPECT_MS 500

static void look_at_member(struct client_conn *n);
static void open_next(struct client *c);

static void set_timer(struct client *c, int64_t ms)
{
    loop_timer_at(c->timer, loop_now_ns() + ms * NS_PER_MS);
}

bool channel_is_ready(const struct client *c)
{
    return c->state == CHANNEL_READY && !c->conn->dead &&
           grpc_client_is_open(grpc_conn_client(c->conn->grpc));
}

/* --- leaving a connection --- */

static void conn_close(struct client_conn *n)
{
    list_remove(&n->link);
    grpc_conn_close(n->grpc);
    buf_fini(&n->reply);
    free(n);
}

void channel_sweep(struct client *c)
{
    list_each_safe (link, &c->draining) {
        struct client_conn *n = container_of(link, struct client_conn, link);
        if (n->dead || grpc_client_calls(grpc_conn_client(n->grpc)) == 0) {
            conn_close(n);
        }
    }
}

/* The present connection is no longer that. */
static void leave(struct client *c)
{
    struct client_conn *n = c->conn;
    if (n == NULL) {
        return;
    }
    c->conn = NULL;
    list_push(&c->draining, &n->link);
    grpc_client_cancel(&n->call);
    watches_leave(c);
    keepalives_end(c);
    client_mark(c);
}

/* On to the next endpoint; after a whole round, later. */
static void go_on(struct client *c)
{
    const bool was_ready = c->state == CHANNEL_READY;
    leave(c);
    c->state = CHANNEL_WAITING;
    c->endpoint = (c->endpoint + 1) % c->endpoints_count;
    c->failures = was_ready ? 0 : c->failures + 1;
    if (c->failures == 0 && c->endpoints_count > 1) {
        open_next(c);
        return;
    }
    int64_t wait_ms = 0;
    const size_t round =
        (c->failures + c->endpoints_count - 1) / c->endpoints_count;
    if (c->failures % c->endpoints_count == 0) {
        const unsigned doublings = round < 10 ? (unsigned)round : 10;
        wait_ms = (int64_t)BACKOFF_MS_MIN << doublings >> 1;
        wait_ms = wait_ms < BACKOFF_MS_MAX ? wait_ms : BACKOFF_MS_MAX;
        wait_ms += (int64_t)prng_below(&c->chance, (uint64_t)wait_ms / 4 + 1);
    }
    set_timer(c, wait_ms);
}

static void conn_down(void *arg, const char *why)
{
    struct client_conn *n = arg;
    struct client *c = n->client;
    n->dead = true;
    client_mark(c);
    if (n == c->conn) {
        if (c->options.on_connection != NULL) {
            c->options.on_connection(c->options.arg, false,
                                     c->endpoints[c->endpoint], why);
        }
        go_on(c);
    }
}

static void conn_draining(void *arg)
{
    struct client_conn *n = arg;
    if (n == n->client->conn) {
        go_on(n->client);
    }
}

void channel_suspect(struct client *c)
{
    if (c->state == CHANNEL_READY && c->endpoints_count > 1 &&
        loop_now_ns() - c->ready_ns > SUSPECT_MS * NS_PER_MS) {
        go_on(c);
    }
}

/* --- coming to a connection --- */

static void conn_up(void *arg)
{
    struct client_conn *n = arg;
    struct client *c = n->client;
    if (n == c->conn) {
        c->state = CHANNEL_GREETING;
        set_timer(c, GREETING_MS);
        look_at_member(n);
    }
}

static void open_next(struct client *c)
{
    struct client_conn *n = xcalloc(1, sizeof *n);
    const struct grpc_conn_options options = {
        .address = c->endpoints[c->endpoint],
        .connect_ms = c->options.dial_ms,
        .keepalive_ms = c->options.keepalive_ms,
        .keepalive_timeout_ms = c->options.keepalive_timeout_ms,
        .on_up = conn_up,
        .on_down = conn_down,
        .on_draining = conn_draining,
        .arg = n};
    struct fault fault;
    n->client = c;
    list_init(&n->link);
    /* Addresses were looked at by client_new(); what is left is a lookup that
     * cannot begin. */
    if (grpc_conn_open(c->dialer, &options, &n->grpc, &fault) != ST_OK) {
        free(n);
        go_on(c);
        return;
    }
    c->conn = n;
    c->state = CHANNEL_OPENING;
    loop_timer_clear(c->timer); /* the connection has its own */
}

static void member_known(struct client_conn *n)
{
    struct client *c = n->client;
    set_timer(c, c->options.status_ms);
    if (c->state != CHANNEL_GREETING) {
        return;
    }
    c->state = CHANNEL_READY;
    c->ready_ns = loop_now_ns();
    c->failures = 0;
    if (c->options.on_connection != NULL) {
        c->options.on_connection(c->options.arg, true,
                                 c->endpoints[c->endpoint], "");
    }
    requests_resume(c);
    watches_resume(c);
}

/* --- what the member says of itself and the others --- */

static void keep_reply(struct grpc_client_call *call, struct bytes message)
{
    struct client_conn *n = container_of(call, struct client_conn, call);
    buf_clear(&n->reply);
    buf_append(&n->reply, message);
}

static void ask(struct client_conn *n, const char *path,
                void (*on_end)(struct grpc_client_call *call,
                               const struct grpc_outcome *how))
{
    buf_clear(&n->reply);
    n->call.on_message = keep_reply;
    n->call.on_end = on_end;
    grpc_client_start(grpc_conn_client(n->grpc), &n->call, path, GREETING_MS,
                      NULL, 0);
    (void)grpc_client_begin_message(&n->call); /* empty */
    grpc_client_end_message(&n->call);
    grpc_client_half_close(&n->call);
}

static void members_came(struct grpc_client_call *call,
                         const struct grpc_outcome *how)
{
    struct client_conn *n = container_of(call, struct client_conn, call);
    struct client *c = n->client;
    if (how->code == GRPC_OK) {
        struct arena arena = {0};
        struct kv_member *members;
        size_t count;
        if (message_read_members(&arena, buf_bytes(&n->reply),
                                 c->header.member_id, &members,
                                 &count) == ST_OK) {
            arena_fini(&c->members_arena);
            c->members_arena = arena;
            c->members = members;
            c->members_count = count;
        } else {
            arena_fini(&arena);
        }
    }
    member_known(n);
}

static void status_came(struct grpc_client_call *call,
                        const struct grpc_outcome *how)
{
    struct client_conn *n = container_of(call, struct client_conn, call);
    struct client *c = n->client;
    struct message_status status;
    if (how->code == GRPC_OK &&
        message_read_status(buf_bytes(&n->reply), &status) == ST_OK) {
        client_saw(c, &status.header);
        c->facts = status.facts;
        if (status.is_learner && c->endpoints_count > 1) {
            go_on(c); /* it answers next to nothing */
            return;
        }
    } else if (how->code != GRPC_UNIMPLEMENTED) {
        if (c->state == CHANNEL_GREETING) {
            go_on(c);
        } else {
            set_timer(c, c->options.status_ms);
        }
        return;
    }
    if (c->state == CHANNEL_READY && c->members_count > 0 &&
        prng_chance(&c->chance, 3, 4)) {
        member_known(n); /* members seldom change */
    } else if (grpc_client_is_open(grpc_conn_client(n->grpc))) {
        ask(n, "/etcdserverpb.Cluster/MemberList", members_came);
    }
}

static void look_at_member(struct client_conn *n)
{
    if (n->call.client == NULL &&
        grpc_client_is_open(grpc_conn_client(n->grpc))) {
        ask(n, "/etcdserverpb.Maintenance/Status", status_came);
    }
}

static void timer_fired(void *arg)
{
    struct client *c = arg;
    switch (c->state) {
    case CHANNEL_WAITING:
        open_next(c);
        break;
    case CHANNEL_GREETING:
        go_on(c);
        break;
    case CHANNEL_READY:
        look_at_member(c->conn);
        break;
    case CHANNEL_OPENING:
    case CHANNEL_STOPPED:
        break;
    }
}

/* --- life --- */

void channel_begin(struct client *c)
{
    list_init(&c->draining);
    c->timer = loop_timer_new(c->loop, timer_fired, c);
    c->endpoint = (size_t)prng_below(&c->chance, c->endpoints_count);
    c->state = CHANNEL_WAITING;
    set_timer(c, 0);
}

void channel_end(struct client *c)
{
    c->state = CHANNEL_STOPPED;
    leave(c);
    while (!list_is_empty(&c->draining)) {
        conn_close(container_of(c->draining.next, struct client_conn, link));
    }
    loop_timer_free(c->timer);
}
