/* Upkeep of a running member: calls are answered once, from the loop, and what
 * they say is true. */

#include "tests/node/host.h"

#include "base/must.h"

static enum status hash(struct host *h, int64_t revision,
                        struct admin_hash *call)
{
    *call = (struct admin_hash){.call = {.done = host_call_done},
                                .revision = revision};
    admin_hash(h->admin, call);
    host_wait(h, &call->call);
    return call->call.status;
}

/* etcd's recorded answers again, now through a member: what was just written
 * and is only in memory counts. */
TEST(upkeep, hashes_count_what_was_just_written)
{
    struct host h = {0};
    struct admin_hash call;
    host_start(&h);
    EXPECT_INT(host_put(&h, "a", bytes_of("1")), ST_OK);
    EXPECT_INT(hash(&h, 0, &call), ST_OK);
    EXPECT_INT(call.hash, 2587454935);
    EXPECT_INT(call.hash_revision, 2);
    EXPECT_INT(host_put(&h, "b", bytes_of("22")), ST_OK);
    EXPECT_INT(host_put(&h, "a", bytes_of("333")), ST_OK);
    EXPECT_INT(hash(&h, 3, &call), ST_OK);
    EXPECT_INT(call.hash, 2627027711);
    EXPECT_INT(hash(&h, 0, &call), ST_OK);
    EXPECT_INT(call.hash, 734767682);
    EXPECT_INT(call.compact_revision, 0);
    EXPECT_INT(call.call.header.revision, 4);
    EXPECT_INT(hash(&h, 5, &call), ST_FUTURE_REVISION);
    EXPECT_INT(host_compact(&h, 3, true), ST_OK);
    EXPECT_INT(hash(&h, 2, &call), ST_COMPACTED);
    EXPECT_INT(hash(&h, 3, &call), ST_OK);
    EXPECT_INT(call.compact_revision, 3);
    host_stop(&h);
}

/* A caller that goes away, and a node that stops, must not be answered twice,
 * nor left waiting. */
TEST(upkeep, calls_end_when_cancelled_and_when_the_node_stops)
{
    struct host h = {0};
    struct admin_hash one = {.call = {.done = host_call_done}};
    struct admin_hash two = one;
    host_start(&h);
    EXPECT_INT(host_put(&h, "a", bytes_of("1")), ST_OK);
    admin_hash(h.admin, &one);
    admin_cancel(h.admin, &one.call);
    host_wait(&h, &one.call);
    EXPECT_INT(one.call.status, ST_CANCELED);
    two.call.status = ST_OK;
    admin_hash(h.admin, &two);
    host_stop(&h);
    EXPECT_INT(two.call.status, ST_STOPPED);
}

/* What an operator sees must be what is. */
TEST(upkeep, status_tells_of_the_log_and_the_alarms)
{
    struct host h = {0};
    struct admin_status s;
    host_start(&h);
    EXPECT_INT(host_put(&h, "a", bytes_of("1")), ST_OK);
    admin_status(h.admin, &s);
    EXPECT(s.raft_index >= 2);
    EXPECT_INT(s.raft_applied, s.raft_index);
    EXPECT(s.kv.size_bytes > 0);
    EXPECT(!s.is_learner);
    EXPECT_INT(s.alarms_count, 0);
    struct admin_alarm raise = {.call = {.done = host_call_done},
                                .op = ADMIN_ALARM_RAISE,
                                .member = s.kv.header.member_id,
                                .type = ADMIN_ALARM_NOSPACE};
    admin_alarm(h.admin, &raise);
    host_wait(&h, &raise.call);
    admin_status(h.admin, &s);
    EXPECT_INT(s.alarms_count, 1);
    EXPECT_INT(s.alarms[0].type, ADMIN_ALARM_NOSPACE);
    EXPECT_INT(host_put(&h, "a", bytes_of("1")), ST_NO_SPACE);
    EXPECT_INT(host_delete(&h, "a"), ST_OK);
    host_stop(&h);
}

static enum status defragment(struct host *h, struct admin_defragment *call)
{
    *call = (struct admin_defragment){.call = {.done = host_call_done}};
    admin_defragment(h->admin, call);
    host_wait(h, &call->call);
    return call->call.status;
}

/* etcd's way of making the file smaller stops the world; here the space comes
 * back while the member serves. */
TEST(upkeep, defragmentation_gives_space_back)
{
    struct host h = {0};
    struct admin_defragment call;
    struct admin_hash before, after;
    struct kv_status s, t;
    char value[20000];
    memset(value, 'v', sizeof value);
    host_start(&h);
    for (int i = 0; i < 200; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "k%03d", i % 20);
        EXPECT_INT(
            host_put(&h, key,
                     (struct bytes){(const uint8_t *)value, sizeof value}),
            ST_OK);
    }
    EXPECT_INT(hash(&h, 0, &before), ST_OK); /* flushes */
    EXPECT_INT(host_compact(&h, host_revision(&h), true), ST_OK);
    kv_status(h.kv, &s);
    EXPECT_INT(defragment(&h, &call), ST_OK);
    kv_status(h.kv, &t);
    EXPECT(t.size_bytes < s.size_bytes / 2);
    EXPECT_INT(hash(&h, 0, &before), ST_OK);
    EXPECT_INT(host_put(&h, "later", bytes_of("x")), ST_OK);
    EXPECT_INT(hash(&h, host_revision(&h) - 1, &after), ST_OK);
    EXPECT_INT(before.hash, after.hash);
    host_stop(&h);
    host_start(&h);
    EXPECT_INT(hash(&h, host_revision(&h) - 1, &after), ST_OK);
    EXPECT_INT(before.hash, after.hash);
    host_stop(&h);
}

/* Two at once, one that is cancelled, one when the node stops. */
TEST(upkeep, defragmentations_wait_for_each_other_and_can_end_early)
{
    struct host h = {0};
    struct admin_defragment one = {.call = {.done = host_call_done}};
    struct admin_defragment two = one, three = one;
    host_start(&h);
    EXPECT_INT(host_put(&h, "a", bytes_of("1")), ST_OK);
    admin_defragment(h.admin, &one);
    admin_defragment(h.admin, &two);
    admin_cancel(h.admin, &one.call);
    host_wait(&h, &one.call);
    EXPECT_INT(one.call.status, ST_CANCELED);
    host_wait(&h, &two.call);
    EXPECT_INT(two.call.status, ST_OK);
    admin_defragment(h.admin, &three);
    EXPECT_INT(host_put(&h, "a", bytes_of("2")), ST_OK);
    host_stop(&h);
    EXPECT(three.call.status == ST_STOPPED || three.call.status == ST_OK);
}
