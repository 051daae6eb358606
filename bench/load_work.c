/* The kinds of work: what is asked, and when an operation is over. */

#include "base/must.h"
#include "bench/load.h"

#define FILL_PUTS   100
#define LEASE_TTL_S 600
#define WATCHED_KEY 99999999 /* nobody else writes it */

static struct grpc_client *conn_of(struct load *l, size_t which)
{
    return grpc_conn_client(l->conns[which % l->options.conns]);
}

static struct bytes value_of(const struct load *l)
{
    return (struct bytes){l->value, l->options.value_size};
}

static void nothing(struct grpc_client_call *call, struct bytes message)
{
    (void)call;
    (void)message;
}

static void send(struct load_client *c, const char *path)
{
    c->answered = false;
    grpc_client_start(c->conn, &c->call, path, 0, NULL, 0);
    c->load->started++;
}

static void sent(struct load_client *c)
{
    grpc_client_end_message(&c->call);
    grpc_client_half_close(&c->call);
}

/* --- filling --- */

static void fill_next(struct load_client *c);

static void filled(struct grpc_client_call *call,
                   const struct grpc_outcome *how)
{
    struct load_client *c = container_of(call, struct load_client, call);
    if (how->code != GRPC_OK) {
        load_error(c->load, how);
    } else if (c->load->options.work == WORK_FILL) {
        load_sample(c->load, c->begun_ns);
    }
    fill_next(c);
}

static void fill_next(struct load_client *c)
{
    struct load *l = c->load;
    const uint64_t left =
        c->key < l->options.keys ? l->options.keys - c->key : 0;
    if (left == 0 || l->errors > 0) {
        load_client_ended(l);
        return;
    }
    c->begun_ns = clock_ns();
    send(c, "/etcdserverpb.KV/Txn");
    load_write_fill(grpc_client_begin_message(&c->call), c->key,
                    left < FILL_PUTS ? left : FILL_PUTS, value_of(l));
    sent(c);
    c->key += (uint64_t)FILL_PUTS * l->options.clients;
}

void load_begin_fill(struct load *l)
{
    for (unsigned i = 0; i < l->options.clients; i++) {
        struct load_client *c = &l->clients[i];
        c->conn = conn_of(l, i);
        c->key = (uint64_t)i * FILL_PUTS;
        c->call.on_message = nothing;
        c->call.on_end = filled;
        l->running++;
    }
    for (unsigned i = 0; i < l->options.clients; i++) {
        fill_next(&l->clients[i]);
    }
}

/* --- requests of one answer --- */

static void request_next(struct load_client *c);

static void got_answer(struct grpc_client_call *call, struct bytes message)
{
    struct load_client *c = container_of(call, struct load_client, call);
    /* A read must bring a kv, an own header is in every answer. */
    c->answered = load_has_field(message, c->reads ? 2 : 1);
}

static void request_ended(struct grpc_client_call *call,
                          const struct grpc_outcome *how)
{
    struct load_client *c = container_of(call, struct load_client, call);
    if (how->code == GRPC_OK && c->answered) {
        load_sample(c->load, c->begun_ns);
    } else {
        load_error(c->load, how);
    }
    request_next(c);
}

static void request_next(struct load_client *c)
{
    struct load *l = c->load;
    if (!load_goes_on(l)) {
        load_client_ended(l);
        return;
    }
    const struct load_put put = {prng_below(&c->chance, l->options.keys),
                                 value_of(l), 0};
    const enum work work = l->options.work;
    c->begun_ns = clock_ns();
    c->reads = work == WORK_GET || work == WORK_GET_SERIALIZABLE ||
               (work == WORK_MIXED && prng_chance(&c->chance, 1, 2));
    if (c->reads) {
        send(c, "/etcdserverpb.KV/Range");
        load_write_range(grpc_client_begin_message(&c->call), put.key,
                         work == WORK_GET_SERIALIZABLE);
    } else if (work == WORK_TXN) {
        send(c, "/etcdserverpb.KV/Txn");
        load_write_txn(grpc_client_begin_message(&c->call), &put);
    } else {
        send(c, "/etcdserverpb.KV/Put");
        load_write_put(grpc_client_begin_message(&c->call), &put);
    }
    sent(c);
}

/* --- leases kept alive, each over a stream of its own --- */

static void ask_keepalive(struct load_client *c)
{
    if (!load_goes_on(c->load)) {
        grpc_client_cancel(&c->call);
        load_client_ended(c->load);
        return;
    }
    c->begun_ns = clock_ns();
    c->load->started++;
    load_write_number(grpc_client_begin_message(&c->call), 1,
                      (uint64_t)c->lease);
    grpc_client_end_message(&c->call);
}

static void kept_alive(struct grpc_client_call *call, struct bytes message)
{
    struct load_client *c = container_of(call, struct load_client, call);
    if (load_number(message, 3) > 0) {
        load_sample(c->load, c->begun_ns);
    } else {
        load_error(c->load, NULL);
    }
    ask_keepalive(c);
}

static void stream_ended(struct grpc_client_call *call,
                         const struct grpc_outcome *how)
{
    struct load_client *c = container_of(call, struct load_client, call);
    load_error(c->load, how);
    load_client_ended(c->load);
}

static void lease_came(struct grpc_client_call *call, struct bytes message)
{
    struct load_client *c = container_of(call, struct load_client, call);
    c->lease = (int64_t)load_number(message, 2);
}

static void granted(struct grpc_client_call *call,
                    const struct grpc_outcome *how)
{
    struct load_client *c = container_of(call, struct load_client, call);
    if (how->code != GRPC_OK || c->lease == 0) {
        load_error(c->load, how);
    }
    load_prepared(c->load);
}

static void grant(struct load_client *c)
{
    c->call.on_message = lease_came;
    c->call.on_end = granted;
    send(c, "/etcdserverpb.Lease/LeaseGrant");
    load_write_number(grpc_client_begin_message(&c->call), 1, LEASE_TTL_S);
    sent(c);
}

/* --- one change, and all who watch it --- */

static void change_next(struct load_client *c);

/* The change is over for this sample when all watchers know of it; the answer
 * to the put is waited for, too, before the next one. */
static void look_whether_all_know(struct load *l)
{
    struct load_client *c = &l->clients[0];
    if (l->changing && l->told == l->options.watchers && c->answered) {
        l->changing = false;
        change_next(c);
    }
}

static void event_came(struct grpc_client_call *call, struct bytes message)
{
    struct load_watcher *w = container_of(call, struct load_watcher, call);
    struct load *l = w->load;
    if (!w->created) {
        w->created = load_number(message, 3) != 0;
        load_prepared(l);
    } else if (load_has_field(message, 11) && l->changing &&
               ++l->told == l->options.watchers) {
        load_sample(l, l->change_ns);
        look_whether_all_know(l);
    }
}

static void watch_ended(struct grpc_client_call *call,
                        const struct grpc_outcome *how)
{
    struct load_watcher *w = container_of(call, struct load_watcher, call);
    load_error(w->load, how);
    load_client_ended(w->load);
}

static void changed(struct grpc_client_call *call,
                    const struct grpc_outcome *how)
{
    struct load_client *c = container_of(call, struct load_client, call);
    if (how->code != GRPC_OK) {
        load_error(c->load, how);
        load_client_ended(c->load);
        return;
    }
    c->answered = true;
    look_whether_all_know(c->load);
}

static void change_next(struct load_client *c)
{
    struct load *l = c->load;
    if (!load_goes_on(l)) {
        load_client_ended(l);
        return;
    }
    l->changing = true;
    l->told = 0;
    send(c, "/etcdserverpb.KV/Put");
    l->change_ns = clock_ns();
    load_write_put(grpc_client_begin_message(&c->call),
                   &(struct load_put){WATCHED_KEY, value_of(l), 0});
    sent(c);
}

static void begin_watch(struct load *l, size_t which)
{
    struct load_watcher *w = &l->watchers[which];
    w->load = l;
    w->call.on_message = event_came;
    w->call.on_end = watch_ended;
    grpc_client_start(conn_of(l, which + 1), &w->call,
                      "/etcdserverpb.Watch/Watch", 0, NULL, 0);
    load_write_watch(grpc_client_begin_message(&w->call), WATCHED_KEY);
    grpc_client_end_message(&w->call);
}

/* --- */

void load_prepare(struct load *l)
{
    if (l->options.work == WORK_KEEPALIVE) {
        l->preparing = l->options.clients;
        for (unsigned i = 0; i < l->options.clients; i++) {
            l->clients[i].conn = conn_of(l, i);
            grant(&l->clients[i]);
        }
    } else if (l->options.work == WORK_WATCH) {
        l->preparing = l->options.watchers;
        for (unsigned i = 0; i < l->options.watchers; i++) {
            begin_watch(l, i);
        }
    }
}

void load_begin(struct load_client *c)
{
    struct load *l = c->load;
    if (l->options.work == WORK_KEEPALIVE) {
        c->call.on_message = kept_alive;
        c->call.on_end = stream_ended;
        grpc_client_start(c->conn, &c->call,
                          "/etcdserverpb.Lease/LeaseKeepAlive", 0, NULL, 0);
        ask_keepalive(c);
    } else if (l->options.work == WORK_WATCH) {
        c->conn = conn_of(l, 0);
        c->call.on_message = nothing;
        c->call.on_end = changed;
        change_next(c);
    } else {
        c->conn = conn_of(l, (size_t)(c - l->clients));
        c->call.on_message = got_answer;
        c->call.on_end = request_ended;
        request_next(c);
    }
}
