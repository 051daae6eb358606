/* The client against a server that fails on demand. */

#include <stdlib.h>

#include "base/must.h"
#include "fake.h"
#include "proto/wire.h"
#include "rig.h"

struct world {
    struct rig rig;
    struct fake fake;
    char trace[256];
};

static struct world *world_begin(void)
{
    struct world *w = xcalloc(1, sizeof *w);
    rig_begin(&w->rig);
    fake_begin(&w->fake, w->rig.loop);
    const char *endpoint = w->fake.address;
    rig_connect(&w->rig, &endpoint, 1, NULL);
    return w;
}

static void world_end(struct world *w)
{
    rig_disconnect(&w->rig);
    fake_end(&w->fake);
    rig_end(&w->rig);
    free(w);
}

static void trace(struct world *w, const char *word)
{
    const size_t used = strlen(w->trace);
    (void)snprintf(w->trace + used, sizeof w->trace - used, "%s ", word);
}

static const struct kv_range_spec one = {
    .keys = {{(const uint8_t *)"k", 1}, {NULL, 0}}};

static void answer_and_break(struct fake *f, struct grpc_call *c,
                             struct bytes message)
{
    (void)c;
    (void)message;
    fake_break(f);
}

/* A write sent twice may happen twice: a counter counts two, a lock is taken
 * from its new owner. */
TEST(client, a_write_whose_answer_is_lost_is_not_sent_again)
{
    struct world *w = world_begin();
    w->fake.on_txn = answer_and_break;
    EXPECT_INT(rig_put_status(&w->rig, "k", "v"), ST_TIMEOUT);
    w->fake.on_txn = NULL;
    fake_restart(&w->fake);
    EXPECT_INT(rig_range(&w->rig, &one, NULL, 0), ST_OK);
    EXPECT_INT(w->fake.txns, 1);
    world_end(w);
}

static void break_later(struct fake *f, struct grpc_call *c,
                        struct bytes message)
{
    (void)c;
    (void)message;
    f->on_range = NULL;
    fake_break(f);
}

static void restart(void *arg)
{
    fake_restart(arg);
}

/* A program must not see that a member was restarted, when nothing was lost. */
TEST(client, a_read_whose_answer_is_lost_is_sent_again)
{
    struct world *w = world_begin();
    struct loop_timer *t = loop_timer_new(w->rig.loop, restart, &w->fake);
    w->fake.on_range = break_later;
    loop_timer_at(t, loop_now_ns() + 40000000);
    EXPECT_INT(rig_range(&w->rig, &one, NULL, 0), ST_OK);
    EXPECT_INT(w->fake.ranges, 2);
    EXPECT_INT(w->rig.ups, 2);
    loop_timer_free(t);
    world_end(w);
}

static void refuse_twice(struct fake *f, struct grpc_call *c,
                         struct bytes message)
{
    (void)message;
    if (f->ranges + f->txns < 3) {
        grpc_finish(c, GRPC_UNAVAILABLE, "etcdserver: leader changed");
    } else {
        fake_reply(f, c, BYTES_NONE);
    }
}

/* An election is a matter of a second: reads outlast it, writes must say that
 * they do not know. */
TEST(client, a_refusal_for_now_is_asked_again_only_by_reads)
{
    struct world *w = world_begin();
    w->fake.on_range = w->fake.on_txn = refuse_twice;
    EXPECT_INT(rig_put_status(&w->rig, "k", "v"), ST_TIMEOUT);
    EXPECT_INT(w->fake.txns, 1);
    EXPECT_INT(rig_range(&w->rig, &one, NULL, 0), ST_OK);
    EXPECT_INT(w->fake.ranges, 2);
    EXPECT_INT(w->rig.ups, 1);
    world_end(w);
}

static void say_no_leader(struct fake *f, struct grpc_call *c,
                          struct bytes message)
{
    static const uint8_t succeeded[] = {0x10, 1, 0x1a, 2, 0x12, 0};
    (void)message;
    if (f->txns < 3) {
        grpc_finish(c, GRPC_UNAVAILABLE, "etcdserver: no leader");
    } else {
        fake_reply(f, c, (struct bytes){succeeded, sizeof succeeded});
    }
}

/* Nothing was done, so nothing is done twice: writes outlast an election. */
TEST(client, a_write_without_a_leader_is_sent_again)
{
    struct world *w = world_begin();
    w->fake.on_txn = say_no_leader;
    EXPECT_INT(rig_put_status(&w->rig, "k", "v"), ST_OK);
    EXPECT_INT(w->fake.txns, 3);
    world_end(w);
}

static void never_a_leader(struct fake *f, struct grpc_call *c,
                           struct bytes message)
{
    (void)f;
    (void)message;
    grpc_finish(c, GRPC_UNAVAILABLE, "etcdserver: no leader");
}

struct timed {
    struct kv_range range;
    struct world *world;
    bool done, inside;
};

static void timed_done(struct kv_call *call)
{
    struct timed *t = container_of(call, struct timed, range.call);
    EXPECT(!t->inside);
    t->done = true;
}

static enum status ask_for(struct world *w, struct timed *t, int64_t ms)
{
    t->range.call.done = timed_done;
    t->range.call.timeout_ms = ms;
    t->range.spec = one;
    kv_range(w->rig.kv, &t->range);
    rig_until(&w->rig, &t->done);
    return t->range.call.status;
}

/* Who waits for a server that is not there must not wait for ever. */
TEST(client, without_a_server_requests_end_in_time)
{
    struct world *w = world_begin();
    struct timed t = {.world = w};
    grpc_server_free(w->fake.server);
    w->fake.server = NULL;
    EXPECT_INT(ask_for(w, &t, 60), ST_NO_LEADER);
    world_end(w);
}

TEST(client, a_server_that_does_not_answer_costs_the_timeout)
{
    struct world *w = world_begin();
    struct timed t = {.world = w};
    w->fake.on_range = fake_hold;
    EXPECT_INT(ask_for(w, &t, 60), ST_TIMEOUT);
    world_end(w);
}

/* Turns of the loop until so many have come, however busy the machine is. */
static void until_count(struct world *w, const unsigned *count, unsigned wanted)
{
    for (int ms = 0; *count < wanted && ms < 10000; ms++) {
        rig_for_ms(&w->rig, 1);
    }
    EXPECT_INT(*count, wanted);
}

static void until_trace(struct world *w, const char *wanted)
{
    for (int ms = 0; strlen(w->trace) < strlen(wanted) && ms < 10000; ms++) {
        rig_for_ms(&w->rig, 1);
    }
    EXPECT_TEXT(w->trace, wanted);
}

static void put_done(struct kv_call *call)
{
    *(bool *)(uintptr_t)call->caller = true;
}

/* "Nothing was done" may be said only when it is so: also not when the time is
 * over while an attempt is on its way, which a busy machine can bring about. */
TEST(client, no_leader_means_that_nothing_was_done)
{
    enum status st = ST_TIMEOUT;
    for (int i = 0; i < 20 && st == ST_TIMEOUT; i++) {
        struct world *w = world_begin();
        const struct kv_op op = {.type = KV_OP_PUT,
                                 .put = {.key = bytes_of("k")}};
        bool done = false;
        struct kv_txn txn = {
            .call = {.done = put_done,
                     .caller = (const struct kv_caller *)(const void *)&done,
                     .timeout_ms = 200},
            .spec = {.success = &op, .success_count = 1}};
        w->fake.on_txn = never_a_leader;
        kv_txn(w->rig.kv, &txn);
        rig_until(&w->rig, &done);
        st = txn.call.status;
        EXPECT(w->fake.txns > 1 || st == ST_TIMEOUT);
        world_end(w);
    }
    EXPECT_INT(st, ST_NO_LEADER);
}

/* `done` from inside kv_cancel() would find its caller half-way. */
TEST(client, a_cancelled_request_ends_later)
{
    struct world *w = world_begin();
    struct timed t = {.world = w};
    w->fake.on_range = fake_hold;
    t.range.call.done = timed_done;
    t.range.spec = one;
    kv_range(w->rig.kv, &t.range);
    until_count(w, &w->fake.ranges, 1);
    t.inside = true;
    kv_cancel(w->rig.kv, &t.range.call);
    t.inside = false;
    rig_until(&w->rig, &t.done);
    EXPECT_INT(t.range.call.status, ST_CANCELED);
    world_end(w);
}

/* --- watches --- */

struct traced {
    struct kv_txn txn;
    struct kv_watch watch;
    struct world *world;
    bool done;
};

static void traced_done(struct kv_call *call)
{
    struct traced *t = container_of(call, struct traced, txn.call);
    trace(t->world, "done");
    t->done = true;
}

static void traced_events(struct kv_watch *watch, const struct kv_event *events,
                          size_t count, struct kv_header header)
{
    struct traced *t = container_of(watch, struct traced, watch);
    char word[32];
    (void)header;
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(word, sizeof word, "%.*s@%lld",
                       (int)events[i].item.key.size,
                       (const char *)events[i].item.key.data,
                       (long long)events[i].item.mod_revision);
        trace(t->world, word);
    }
}

static void traced_end(struct kv_watch *watch, enum status why, int64_t at)
{
    struct traced *t = container_of(watch, struct traced, watch);
    char word[48];
    (void)snprintf(word, sizeof word, "%s:%lld", status_name(why),
                   (long long)at);
    trace(t->world, word);
}

static struct traced *traced_new(struct world *w, int64_t start)
{
    struct traced *t = xcalloc(1, sizeof *t);
    t->world = w;
    t->watch = (struct kv_watch){.keys = keys_of("a", "z"),
                                 .start_revision = start,
                                 .on_events = traced_events,
                                 .on_end = traced_end};
    kv_watch(w->rig.kv, &t->watch);
    return t;
}

/* A caller that learns of its own change before its call has returned takes it
 * for somebody else's. */
TEST(client, events_wait_for_the_answer_of_their_write)
{
    struct world *w = world_begin();
    const struct kv_op op = {.type = KV_OP_PUT, .put = {.key = bytes_of("k")}};
    EXPECT_INT(rig_range(&w->rig, &one, NULL, 0), ST_OK); /* saw 10 */
    struct traced *t = traced_new(w, 0);
    w->fake.on_txn = fake_hold;
    t->txn = (struct kv_txn){.call = {.done = traced_done},
                             .spec = {.success = &op, .success_count = 1}};
    until_count(w, &w->fake.starts_count, 1);
    fake_event(&w->fake, 0, "before", 10 + 1);
    until_trace(w, "before@11 ");
    kv_txn(w->rig.kv, &t->txn);
    until_count(w, &w->fake.txns, 1);
    EXPECT_TEXT(w->trace, "before@11 ");
    fake_event(&w->fake, 0, "other", 12);
    fake_event(&w->fake, 0, "k", 13);
    rig_for_ms(&w->rig, 20);
    EXPECT_TEXT(w->trace, "before@11 ");
    static const uint8_t succeeded[] = {0x10, 1, 0x1a, 2, 0x12, 0};
    fake_reply(&w->fake, w->fake.held,
               (struct bytes){succeeded, sizeof succeeded});
    rig_until(&w->rig, &t->done);
    until_trace(w, "before@11 done other@12 k@13 ");
    EXPECT_INT(t->txn.call.status, ST_OK);
    EXPECT_INT(t->txn.call.header.revision, 13);
    world_end(w);
    free(t);
}

/* From a revision too low events come twice, from one too high some are lost.
 */
TEST(client, a_lost_watch_is_asked_for_where_it_was)
{
    struct world *w = world_begin();
    EXPECT_INT(rig_range(&w->rig, &one, NULL, 0), ST_OK);
    struct traced *now = traced_new(w, 0), *old = traced_new(w, 5);
    until_count(w, &w->fake.starts_count, 2);
    fake_event(&w->fake, 0, "x", 14);
    fake_event(&w->fake, 1, "y", 7);
    until_trace(w, "x@14 y@7 ");
    fake_restart(&w->fake);
    EXPECT_INT(rig_range(&w->rig, &one, NULL, 0), ST_OK);
    until_count(w, &w->fake.starts_count, 4);
    EXPECT_INT(w->fake.starts[0], 11);
    EXPECT_INT(w->fake.starts[1], 5);
    const bool swapped = w->fake.starts[2] == 8;
    EXPECT_INT(w->fake.starts[swapped ? 3 : 2], 15);
    EXPECT_INT(w->fake.starts[swapped ? 2 : 3], 8);
    /* The server may begin earlier: what came once does not come again. */
    fake_event(&w->fake, swapped ? 0 : 1, "y", 7);
    fake_event(&w->fake, swapped ? 0 : 1, "z", 8);
    until_trace(w, "x@14 y@7 z@8 ");
    kv_unwatch(w->rig.kv, &now->watch);
    kv_unwatch(w->rig.kv, &old->watch);
    world_end(w);
    free(now);
    free(old);
}

TEST(client, the_end_of_a_watch_says_why)
{
    struct world *w = world_begin();
    struct traced *old = traced_new(w, 5), *other = traced_new(w, 6);
    until_count(w, &w->fake.starts_count, 2);
    fake_watch_canceled(&w->fake, 0, 9, "");
    fake_watch_canceled(
        &w->fake, 1, 0,
        "rpc error: code = PermissionDenied desc = etcdserver: permission "
        "denied");
    until_trace(w, "COMPACTED:9 DENIED:0 ");
    world_end(w);
    free(old);
    free(other);
}

/* --- answers that are none --- */

static void say_garbage(struct fake *f, struct grpc_call *c,
                        struct bytes message)
{
    (void)message;
    (void)f;
    (void)grpc_send(c, bytes_of("\x12\x7f short"));
    grpc_finish(c, GRPC_OK, NULL);
}

static void say_nothing(struct fake *f, struct grpc_call *c,
                        struct bytes message)
{
    (void)message;
    (void)f;
    grpc_finish(c, GRPC_INTERNAL, "broken %");
}

TEST(client, an_answer_that_is_none_is_an_error)
{
    struct world *w = world_begin();
    w->fake.on_range = say_garbage;
    EXPECT_INT(rig_range(&w->rig, &one, NULL, 0), ST_IO);
    w->fake.on_range = say_nothing;
    EXPECT_INT(rig_range(&w->rig, &one, NULL, 0), ST_IO);
    w->fake.on_range = NULL;
    EXPECT_INT(rig_range(&w->rig, &one, NULL, 0), ST_OK);
    EXPECT_INT(w->rig.ups, 1);
    world_end(w);
}

static void say_much(struct fake *f, struct grpc_call *c, struct bytes message)
{
    struct buf more = {0};
    (void)message;
    const size_t kv = wire_begin(&more, 2);
    wire_add_text(&more, 1, "k");
    const size_t at = wire_begin(&more, 5);
    buf_resize(&more, more.size + (3 << 20));
    wire_end(&more, at);
    wire_end(&more, kv);
    wire_add_number(&more, 4, 1);
    fake_reply(f, c, buf_bytes(&more));
    buf_fini(&more);
}

/* More than a frame, a read and a window hold. */
TEST(client, a_large_answer_comes_whole)
{
    struct world *w = world_begin();
    char text[128];
    w->fake.on_range = say_much;
    struct kv_range_spec spec = one;
    spec.keys_only = true;
    EXPECT_INT(rig_range(&w->rig, &spec, text, sizeof text), ST_OK);
    EXPECT_TEXT(text, "k=@0,0,0(3145728) 1");
    world_end(w);
}

/* --- leaving --- */

/* A member that is being restarted says GOAWAY: what it has, it still answers.
 */
TEST(client, a_draining_server_still_answers_what_it_has)
{
    struct world *w = world_begin();
    struct timed t = {.world = w};
    w->fake.on_range = fake_hold;
    t.range.call.done = timed_done;
    t.range.spec = one;
    kv_range(w->rig.kv, &t.range);
    until_count(w, &w->fake.ranges, 1);
    grpc_server_drain(w->fake.server);
    rig_for_ms(&w->rig, 20);
    EXPECT(!t.done);
    fake_reply(&w->fake, w->fake.held, BYTES_NONE);
    rig_until(&w->rig, &t.done);
    EXPECT_INT(t.range.call.status, ST_OK);
    EXPECT_INT(w->fake.ranges, 1);
    world_end(w);
}

static void say_lease_not_found(struct fake *f, struct grpc_call *c,
                                struct bytes message)
{
    (void)f;
    (void)message;
    grpc_finish(c, GRPC_NOT_FOUND, "etcdserver: requested lease not found");
}

static void revoke_and_break(struct fake *f, struct grpc_call *c,
                             struct bytes message)
{
    (void)c;
    (void)message;
    f->on_revoke = say_lease_not_found;
    fake_break(f);
}

/* The first one, whose answer was lost, had done it. */
TEST(client, a_repeated_revocation_finds_its_work_done)
{
    struct world *w = world_begin();
    struct kv_lease lease = {.op = KV_LEASE_REVOKE, .id = 7};
    struct loop_timer *t = loop_timer_new(w->rig.loop, restart, &w->fake);
    w->fake.on_revoke = say_lease_not_found;
    EXPECT_INT(rig_lease(&w->rig, &lease), ST_LEASE_NOT_FOUND);
    w->fake.on_revoke = revoke_and_break;
    loop_timer_at(t, loop_now_ns() + 40000000);
    struct kv_lease again = {.op = KV_LEASE_REVOKE, .id = 8};
    EXPECT_INT(rig_lease(&w->rig, &again), ST_OK);
    EXPECT_INT(w->fake.revokes, 3);
    loop_timer_free(t);
    world_end(w);
}

/* A program that stops its client gets every answer, and no other call. */
TEST(client, the_end_answers_everything)
{
    struct world *w = world_begin();
    struct timed t = {.world = w};
    struct traced *watch = traced_new(w, 3);
    w->fake.on_range = fake_hold;
    t.range.call.done = timed_done;
    t.range.spec = one;
    kv_range(w->rig.kv, &t.range);
    until_count(w, &w->fake.ranges, 1);
    rig_disconnect(&w->rig);
    EXPECT(t.done);
    EXPECT_INT(t.range.call.status, ST_STOPPED);
    EXPECT_TEXT(w->trace, "STOPPED:0 ");
    world_end(w);
    free(watch);
}

TEST(client, endpoints_that_are_none_are_refused)
{
    struct rig rig;
    rig_begin(&rig);
    static const struct {
        const char *endpoint;
        enum status st;
    } cases[] = {{"", ST_INVALID},          {"host", ST_INVALID},
                 {"host:port", ST_INVALID}, {"a:1,b:2", ST_INVALID},
                 {"ftp://a:1", ST_INVALID}, {"https://a:1", ST_UNSUPPORTED}};
    for (size_t i = 0; i < count_of(cases); i++) {
        struct client *client;
        struct fault fault;
        const struct client_options options = {.endpoints = &cases[i].endpoint,
                                               .endpoints_count = 1};
        EXPECT_INT(client_new(rig.loop, &options, &client, &fault),
                   cases[i].st);
    }
    rig_end(&rig);
}
