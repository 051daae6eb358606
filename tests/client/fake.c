/* See fake.h. */

#include "fake.h"

#include <stdio.h>

#include "base/must.h"
#include "proto/wire.h"
#include "tests/lib/test.h"

static void add_header(const struct fake *f, struct buf *to)
{
    const size_t mark = wire_begin(to, 1);
    wire_add_number(to, 1, 11);
    wire_add_number(to, 2, 22);
    wire_add_number(to, 3, (uint64_t)f->revision);
    wire_add_number(to, 4, 3);
    wire_end(to, mark);
}

void fake_reply(struct fake *f, struct grpc_call *c, struct bytes more)
{
    struct buf *b = grpc_begin_message(c);
    add_header(f, b);
    buf_append(b, more);
    (void)grpc_end_message(c);
    grpc_finish(c, GRPC_OK, NULL);
}

void fake_hold(struct fake *f, struct grpc_call *c, struct bytes message)
{
    (void)message;
    f->held = c;
}

/* --- methods --- */

static void answer(struct fake *f, fake_answer *with, struct grpc_call *c,
                   struct bytes message)
{
    if (with != NULL) {
        with(f, c, message);
    } else {
        fake_reply(f, c, BYTES_NONE);
    }
}

static void range_came(struct grpc_call *c, struct bytes message)
{
    struct fake *f = grpc_call_state(c);
    f->ranges++;
    answer(f, f->on_range, c, message);
}

static void txn_came(struct grpc_call *c, struct bytes message)
{
    struct fake *f = grpc_call_state(c);
    f->txns++;
    answer(f, f->on_txn, c, message);
}

static void revoke_came(struct grpc_call *c, struct bytes message)
{
    struct fake *f = grpc_call_state(c);
    f->revokes++;
    answer(f, f->on_revoke, c, message);
}

static void status_came(struct grpc_call *c, struct bytes message)
{
    struct buf more = {0};
    (void)message;
    wire_add_number(&more, 3, 4096); /* dbSize */
    wire_add_number(&more, 4, 22);   /* leader */
    fake_reply(grpc_call_state(c), c, buf_bytes(&more));
    buf_fini(&more);
}

static void members_came(struct grpc_call *c, struct bytes message)
{
    struct buf more = {0};
    (void)message;
    const size_t mark = wire_begin(&more, 2);
    wire_add_number(&more, 1, 22);
    wire_add_text(&more, 2, "fake");
    wire_end(&more, mark);
    fake_reply(grpc_call_state(c), c, buf_bytes(&more));
    buf_fini(&more);
}

static int64_t start_of(struct bytes message)
{
    struct wire_reader r = wire_reader_of(message), inside;
    struct wire_field f;
    int64_t start = 0;
    if (!wire_next(&r, &f) || f.number != 1) {
        return -1; /* no creation */
    }
    inside = wire_reader_of(f.bytes);
    while (wire_next(&inside, &f)) {
        start = f.number == 3 ? (int64_t)f.value : start;
    }
    return start;
}

static void watch_came(struct grpc_call *c, struct bytes message)
{
    struct fake *f = grpc_call_state(c);
    const int64_t start = start_of(message);
    f->watch = c;
    if (start < 0) {
        return;
    }
    EXPECT(f->starts_count < 16);
    f->starts[f->starts_count++] = start;
    struct buf *b = grpc_begin_message(c);
    add_header(f, b);
    wire_add_number(b, 2, (uint64_t)f->watch_ids++);
    wire_add_number(b, 3, 1);
    (void)grpc_end_message(c);
}

void fake_event(struct fake *f, int64_t id, const char *key, int64_t revision)
{
    struct buf *b = grpc_begin_message(f->watch);
    f->revision = revision;
    add_header(f, b);
    wire_add_number(b, 2, (uint64_t)id);
    const size_t event = wire_begin(b, 11), kv = wire_begin(b, 2);
    wire_add_text(b, 1, key);
    wire_add_number(b, 3, (uint64_t)revision);
    wire_end(b, kv);
    wire_end(b, event);
    (void)grpc_end_message(f->watch);
}

void fake_watch_canceled(struct fake *f, int64_t id, int64_t compact_revision,
                         const char *reason)
{
    struct buf *b = grpc_begin_message(f->watch);
    add_header(f, b);
    wire_add_number(b, 2, (uint64_t)id);
    wire_add_number(b, 4, 1);
    wire_add_number(b, 5, (uint64_t)compact_revision);
    wire_add_text(b, 6, reason);
    (void)grpc_end_message(f->watch);
}

static void gone(struct grpc_call *c)
{
    struct fake *f = grpc_call_state(c);
    f->held = f->held == c ? NULL : f->held;
    f->watch = f->watch == c ? NULL : f->watch;
}

static const struct grpc_handler handlers[] = {
    {.on_message = range_came, .on_cancel = gone},
    {.on_message = txn_came, .on_cancel = gone},
    {.on_message = revoke_came, .on_cancel = gone},
    {.on_message = status_came, .on_cancel = gone},
    {.on_message = members_came, .on_cancel = gone},
    {.on_message = watch_came, .on_cancel = gone}};

static const char *const paths[] = {
    "/etcdserverpb.KV/Range",           "/etcdserverpb.KV/Txn",
    "/etcdserverpb.Lease/LeaseRevoke",  "/etcdserverpb.Maintenance/Status",
    "/etcdserverpb.Cluster/MemberList", "/etcdserverpb.Watch/Watch"};

static const struct grpc_handler *begin_call(void *arg, struct grpc_call *c)
{
    grpc_call_set_state(c, arg);
    for (size_t i = 0; i < count_of(paths); i++) {
        if (strcmp(paths[i], grpc_call_method(c)->path) == 0) {
            return &handlers[i];
        }
    }
    unreachable("the server knows these paths only");
}

static struct grpc_method methods[count_of(paths)];

/* --- life --- */

static void start(struct fake *f)
{
    struct grpc_limits limits;
    struct fault fault;
    char address[32];
    for (size_t i = 0; i < count_of(paths); i++) {
        const bool streams = strcmp(paths[i], "/etcdserverpb.Watch/Watch") == 0;
        methods[i] = (struct grpc_method){.path = paths[i],
                                          .client_streams = streams,
                                          .server_streams = streams,
                                          .begin = begin_call,
                                          .arg = f};
    }
    grpc_limits_default(&limits);
    f->server =
        grpc_server_new(f->loop, &limits, methods, count_of(methods), NULL);
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", f->port);
    EXPECT_INT(grpc_server_listen(f->server, address, &f->port, &fault), ST_OK);
    (void)snprintf(f->address, sizeof f->address, "127.0.0.1:%u", f->port);
}

static void break_now(void *arg)
{
    struct fake *f = arg;
    grpc_server_free(f->server);
    f->server = NULL;
    f->watch_ids = 0;
}

void fake_break(struct fake *f)
{
    loop_timer_at(f->timer, 0);
}

void fake_restart(struct fake *f)
{
    if (f->server != NULL) {
        break_now(f);
    }
    start(f);
}

void fake_begin(struct fake *f, struct loop *l)
{
    *f = (struct fake){.loop = l, .revision = 10};
    f->timer = loop_timer_new(l, break_now, f);
    start(f);
}

void fake_end(struct fake *f)
{
    grpc_server_free(f->server);
    loop_timer_free(f->timer);
}
