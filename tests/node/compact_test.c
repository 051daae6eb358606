/* A physical compaction is over when its garbage is gone. */

#include "tests/node/rig.h"

#include "base/must.h"

struct asked {
    struct kv_compact compact;
    struct rig *rig;
};

static void asked_done(struct kv_call *call)
{
    const struct asked *a = container_of(call, struct asked, compact.call);
    rig_say(a->rig, "compact %lld %s", (long long)a->compact.revision,
            status_name(call->status));
}

static void ask_within(struct rig *r, struct asked *a, int64_t revision,
                       bool physical, int64_t timeout_ms)
{
    *a = (struct asked){
        .rig = r,
        .compact = {.call = {.done = asked_done, .timeout_ms = timeout_ms},
                    .revision = revision,
                    .physical = physical}};
    kv_compact(r->kv, &a->compact);
    rig_settle(r);
}

static void ask(struct rig *r, struct asked *a, int64_t revision, bool physical)
{
    ask_within(r, a, revision, physical, 0);
}

/* Who measures free space after it must find it. */
TEST(compact, a_physical_one_is_answered_when_the_file_is_swept)
{
    struct rig r = {0};
    struct rig_put put;
    struct asked a, b, c;
    rig_start(&r);
    rig_settle(&r);
    for (int i = 0; i < 5; i++) {
        rig_put(&r, &put, "/a", "1");
        rig_settle(&r);
    }
    rig_flush(&r);
    (void)rig_trace(&r);
    ask(&r, &a, 3, true);
    EXPECT_TEXT(rig_trace(&r), "");
    ask(&r, &b, 4, true);
    ask(&r, &c, 5, false);
    EXPECT_TEXT(rig_trace(&r), "compact 5 OK\n");
    EXPECT(store_has_garbage(r.store));
    rig_flush(&r);
    rig_turn(&r);
    EXPECT(!store_has_garbage(r.store));
    EXPECT_TEXT(rig_trace(&r), "compact 3 OK\ncompact 4 OK\n");
    ask(&r, &a, 4, true);
    EXPECT_TEXT(rig_trace(&r), "compact 4 COMPACTED\n");
    rig_end(&r);
}

/* Its caller may give up, or the member stop, while the sweep is under way. */
TEST(compact, a_physical_one_can_time_out_be_cancelled_and_stopped)
{
    struct rig r = {0};
    struct rig_put put;
    struct asked a, b, c;
    rig_start(&r);
    rig_settle(&r);
    for (int i = 0; i < 5; i++) {
        rig_put(&r, &put, "/a", "1");
        rig_settle(&r);
    }
    (void)rig_trace(&r);
    ask_within(&r, &a, 3, true, 7000);
    r.clock.now_ns += INT64_C(7000000000);
    ask(&r, &b, 4, true);
    EXPECT_TEXT(rig_trace(&r), "compact 3 TIMEOUT\n");
    kv_cancel(r.kv, &b.compact.call);
    rig_turn(&r);
    EXPECT_TEXT(rig_trace(&r), "compact 4 CANCELED\n");
    ask(&r, &c, 5, true);
    replica_stop(r.replica);
    EXPECT_TEXT(rig_trace(&r), "compact 5 STOPPED\n");
    rig_end(&r);
}

/* A million versions take longer to sweep than a request may take to commit:
 * an operator who waits for the space would be told that it failed. */
TEST(compact, a_physical_one_takes_its_time_once_it_is_committed)
{
    struct rig r = {0};
    struct rig_put put;
    struct asked a;
    rig_start(&r);
    rig_settle(&r);
    for (int i = 0; i < 5; i++) {
        rig_put(&r, &put, "/a", "1");
        rig_settle(&r);
    }
    (void)rig_trace(&r);
    ask(&r, &a, 3, true);
    r.clock.now_ns += INT64_C(3600000000000);
    rig_turn(&r);
    EXPECT_TEXT(rig_trace(&r), "");
    rig_flush(&r);
    rig_turn(&r);
    EXPECT_TEXT(rig_trace(&r), "compact 3 OK\n");
    rig_end(&r);
}
