/* Alarms of a member: raised when its store is full, cleared when there is room
 * again, and what they stop. */

#include "tests/node/rig.h"

#include <stdlib.h>

#include "base/must.h"

struct asked {
    struct admin_alarm alarm;
    struct rig *rig;
};

static void asked_done(struct kv_call *call)
{
    struct asked *a = container_of(call, struct asked, alarm.call);
    rig_say(a->rig, "alarm %s", status_name(call->status));
    for (size_t i = 0; i < a->alarm.alarms_count; i++) {
        rig_say(a->rig, "  %llu %d",
                (unsigned long long)a->alarm.alarms[i].member,
                a->alarm.alarms[i].type);
    }
}

static void ask(struct rig *r, struct asked *a, enum admin_alarm_op op,
                uint64_t member, enum admin_alarm_type type)
{
    *a = (struct asked){.rig = r,
                        .alarm = {.call = {.done = asked_done},
                                  .op = op,
                                  .member = member,
                                  .type = type}};
    replica_alarm(r->replica, &a->alarm);
}

/* etcd's answers: what was raised, what was cleared, all or some of them. */
TEST(alarm, operators_raise_list_and_clear)
{
    struct rig r = {0};
    struct asked a;
    rig_start(&r);
    rig_settle(&r);
    ask(&r, &a, ADMIN_ALARM_GET, 0, ADMIN_ALARM_NONE);
    EXPECT_TEXT(rig_trace(&r), ""); /* never from inside the submission */
    rig_settle(&r);
    ask(&r, &a, ADMIN_ALARM_RAISE, 7, ADMIN_ALARM_NOSPACE);
    rig_settle(&r);
    ask(&r, &a, ADMIN_ALARM_RAISE, 7, ADMIN_ALARM_NONE);
    rig_settle(&r);
    EXPECT_TEXT(rig_trace(&r), "alarm OK\nalarm OK\n  7 1\nalarm OK\n");
    ask(&r, &a, ADMIN_ALARM_GET, 0, ADMIN_ALARM_NONE);
    rig_settle(&r);
    ask(&r, &a, ADMIN_ALARM_GET, 7, ADMIN_ALARM_CORRUPT);
    rig_settle(&r);
    ask(&r, &a, ADMIN_ALARM_CLEAR, 7, ADMIN_ALARM_NOSPACE);
    rig_settle(&r);
    ask(&r, &a, ADMIN_ALARM_CLEAR, 7, ADMIN_ALARM_NOSPACE);
    rig_settle(&r);
    EXPECT_TEXT(rig_trace(&r), "alarm OK\n  7 1\n"
                               "alarm OK\n"
                               "alarm OK\n  7 1\n"
                               "alarm OK\n");
    rig_end(&r);
}

static bool is_full(struct rig *r)
{
    struct kv_status s;
    kv_status(r->kv, &s);
    return s.no_space;
}

static void tick(struct rig *r)
{
    replica_tick(r->replica);
    rig_settle(r);
}

static void txn_done(struct kv_call *call)
{
    rig_say(container_of(call, struct rig_put, txn.call)->rig, "%s",
            status_name(call->status));
}

static void delete_all(struct rig *r, struct rig_put *p)
{
    *p = (struct rig_put){.rig = r, .txn.call.done = txn_done};
    p->op = (struct kv_op){
        .type = KV_OP_DELETE_RANGE,
        .delete_range = {{bytes_of("\1"), {(const uint8_t *)"", 1}}}};
    p->txn.spec = (struct kv_txn_spec){.success = &p->op, .success_count = 1};
    kv_txn(r->kv, &p->txn);
    rig_settle(r);
}

static void compact_done(struct kv_call *call)
{
    (void)call;
}

static void compact_all(struct rig *r)
{
    struct kv_compact c = {.call = {.done = compact_done}};
    struct kv_status s;
    kv_status(r->kv, &s);
    c.revision = s.header.revision;
    kv_compact(r->kv, &c);
    rig_settle(r);
    while (store_has_garbage(r->store)) {
        rig_flush(r);
        rig_turn(r);
    }
}

/* The trap of etcd: full, and nothing but an operator's hand gets it out.  Here
 * deleting and compacting do, both of which must get through. */
TEST(alarm, a_full_store_says_so_and_takes_writes_again_when_there_is_room)
{
    struct rig r = {.quota_bytes = 1024 * 1024};
    struct rig_put put;
    char *value = calloc(1, 50001);
    memset(value, 'v', 50000);
    rig_start(&r);
    rig_settle(&r);
    int puts = 0;
    while (!is_full(&r)) {
        char key[32];
        (void)snprintf(key, sizeof key, "key%d", puts++);
        rig_put(&r, &put, key, value);
        rig_settle(&r);
        EXPECT(puts < 40);
    }
    EXPECT(puts > 10);
    (void)rig_trace(&r);
    rig_put(&r, &put, "small", "x");
    rig_settle(&r);
    EXPECT_TEXT(rig_trace(&r), "put small NO_SPACE @0\n");
    tick(&r);
    EXPECT(is_full(&r)); /* nothing has changed */
    rig_crash(&r);
    rig_start(&r);
    rig_settle(&r);
    EXPECT(is_full(&r)); /* nor by a restart */

    delete_all(&r, &put);
    EXPECT_TEXT(rig_trace(&r), "OK\n");
    compact_all(&r);
    rig_flush(&r);
    tick(&r);
    EXPECT(!is_full(&r));
    rig_put(&r, &put, "small", "x");
    rig_settle(&r);
    EXPECT(strncmp(rig_trace(&r), "put small OK", 12) == 0);
    rig_end(&r);
    free(value);
}

/* Who stops writes on purpose must not find them running again. */
TEST(alarm, what_an_operator_raised_only_an_operator_clears)
{
    struct rig r = {0};
    struct asked a;
    rig_start(&r);
    rig_settle(&r);
    ask(&r, &a, ADMIN_ALARM_RAISE, 7, ADMIN_ALARM_NOSPACE);
    rig_settle(&r);
    tick(&r);
    EXPECT(is_full(&r));
    ask(&r, &a, ADMIN_ALARM_CLEAR, 7, ADMIN_ALARM_NOSPACE);
    rig_settle(&r);
    EXPECT(!is_full(&r));
    rig_end(&r);
}

/* One who left must not leave his alarm behind for good. */
TEST(alarm, the_leader_clears_those_of_members_that_are_none)
{
    struct rig r = {0};
    struct asked a;
    rig_start(&r);
    rig_settle(&r);
    ask(&r, &a, ADMIN_ALARM_RAISE, 8, ADMIN_ALARM_CORRUPT);
    rig_settle(&r);
    ask(&r, &a, ADMIN_ALARM_RAISE, 9, ADMIN_ALARM_NOSPACE);
    rig_settle(&r);
    EXPECT(is_full(&r));
    tick(&r);
    tick(&r);
    EXPECT(!is_full(&r));
    (void)rig_trace(&r);
    ask(&r, &a, ADMIN_ALARM_GET, 0, ADMIN_ALARM_NONE);
    rig_settle(&r);
    EXPECT_TEXT(rig_trace(&r), "alarm OK\n");
    rig_end(&r);
}

static struct rig *watching;

static void on_events(struct kv_watch *w, const struct kv_event *events,
                      size_t count, struct kv_header header)
{
    (void)w;
    (void)header;
    rig_say(watching, "%zu events from @%lld", count,
            (long long)events[0].item.mod_revision);
}

static void on_end(struct kv_watch *w, enum status why, int64_t compacted)
{
    rig_say(watching, "watch from %lld ends: %s, %lld",
            (long long)w->start_revision, status_name(why),
            (long long)compacted);
}

/* Who waits for changes on a member that tells no more must hear of it, and go
 * to another; silence looks like peace. */
TEST(alarm, the_watches_of_a_corrupt_member_end)
{
    struct rig r = {0};
    struct asked a;
    struct rig_put put;
    rig_start(&r);
    rig_settle(&r);
    rig_put(&r, &put, "a", "1");
    rig_settle(&r);
    watching = &r;
    struct kv_watch w[3];
    static const int64_t from[] = {0, 1, 100}; /* now, history, later */
    for (size_t i = 0; i < count_of(w); i++) {
        w[i] = (struct kv_watch){.keys = {.key = bytes_of("a")},
                                 .start_revision = from[i],
                                 .on_events = on_events,
                                 .on_end = on_end};
    }
    kv_watch(r.kv, &w[0]);
    kv_watch(r.kv, &w[2]);
    ask(&r, &a, ADMIN_ALARM_RAISE, 7, ADMIN_ALARM_CORRUPT);
    (void)rig_trace(&r);
    rig_settle(&r);
    kv_watch(r.kv, &w[1]);
    EXPECT_TEXT(rig_trace(&r), "alarm OK\n  7 2\n"
                               "watch from 100 ends: CORRUPT, 0\n"
                               "watch from 0 ends: CORRUPT, 0\n");
    rig_settle(&r);
    EXPECT_TEXT(rig_trace(&r), "watch from 1 ends: CORRUPT, 0\n");
    ask(&r, &a, ADMIN_ALARM_CLEAR, 7, ADMIN_ALARM_CORRUPT);
    rig_settle(&r);
    (void)rig_trace(&r);
    kv_watch(r.kv, &w[1]);
    rig_settle(&r);
    EXPECT_TEXT(rig_trace(&r), "1 events from @2\n");
    kv_unwatch(r.kv, &w[1]);
    rig_end(&r);
}

/* A member whose state is wrong must not be believed: no read, however stale,
 * and no write through it; but its operator can still be heard. */
TEST(alarm, a_corrupt_member_serves_nothing)
{
    struct rig r = {0};
    struct asked a;
    struct rig_put put;
    struct rig_get get, stale;
    rig_start(&r);
    rig_settle(&r);
    ask(&r, &a, ADMIN_ALARM_RAISE, 7, ADMIN_ALARM_CORRUPT);
    rig_get(&r, &get, "a", false); /* submitted before, answered after */
    rig_settle(&r);
    (void)rig_trace(&r);
    rig_put(&r, &put, "a", "1");
    rig_get(&r, &get, "a", false);
    rig_get(&r, &stale, "a", true);
    rig_settle(&r);
    EXPECT_TEXT(rig_trace(&r), "put a CORRUPT @0\n"
                               "get a CORRUPT ''\n"
                               "get a CORRUPT ''\n");
    struct kv_status s;
    kv_status(r.kv, &s);
    EXPECT(s.corrupt);
    ask(&r, &a, ADMIN_ALARM_CLEAR, 7, ADMIN_ALARM_CORRUPT);
    rig_settle(&r);
    (void)rig_trace(&r);
    rig_get(&r, &get, "a", false);
    rig_settle(&r);
    EXPECT_TEXT(rig_trace(&r), "get a OK ''\n");
    rig_end(&r);
}
