/* Alarms: one list for the whole cluster, in the log's order, kept. */

#include "rig.h"
#include "store/command.h"

#include "base/codec.h"
#include "base/must.h"

static enum status change(struct rig *r, bool clear, uint64_t member,
                          enum admin_alarm_type type)
{
    struct buf command = {0};
    const struct store_stamp stamp = {.ticket = 1, .member = 7};
    const struct store_alarm_change c = {
        .clear = clear,
        .automatic = member == 7,
        .alarm = {.member = member, .type = type}};
    store_encode_alarm(&stamp, &c, &command);
    write_sized(&r->log, buf_bytes(&command));
    EXPECT_INT(store_apply(r->store, r->index++, 1, buf_bytes(&command),
                           &r->outcome, &r->fault),
               ST_OK);
    buf_fini(&command);
    return r->outcome.status;
}

/* "7 1, 9 2": member and type of each. */
static const char *alarms(struct rig *r)
{
    static struct buf text;
    struct admin_alarm_member list[STORE_ALARMS_MAX];
    const size_t count = store_alarms(r->store, list);
    buf_clear(&text);
    for (size_t i = 0; i < count; i++) {
        char one[64];
        (void)snprintf(one, sizeof one, "%s%llu %d", i > 0 ? ", " : "",
                       (unsigned long long)list[i].member, list[i].type);
        buf_append(&text, bytes_of(one));
    }
    return rig_text(&text);
}

/* An alarm that a restart forgets is no alarm; raising twice is raising once,
 * and the answer says what is up. */
TEST(alarm, raised_and_cleared_in_order_and_kept)
{
    struct rig r;
    rig_begin(&r);
    EXPECT_TEXT(alarms(&r), "");
    EXPECT_INT(change(&r, false, 9, ADMIN_ALARM_CORRUPT), ST_OK);
    EXPECT_INT(r.outcome.alarm.member, 9);
    EXPECT_INT(change(&r, false, 7, ADMIN_ALARM_NOSPACE), ST_OK);
    EXPECT_INT(change(&r, false, 9, ADMIN_ALARM_NOSPACE), ST_OK);
    EXPECT_INT(change(&r, false, 9, ADMIN_ALARM_NOSPACE), ST_OK);
    EXPECT_INT(r.outcome.alarm.type, ADMIN_ALARM_NOSPACE);
    EXPECT_TEXT(alarms(&r), "7 1, 9 1, 9 2");
    for (int flushed = 0; flushed < 2; flushed++) {
        rig_restart(&r);
        EXPECT_TEXT(alarms(&r), "7 1, 9 1, 9 2");
        EXPECT(store_alarm_is_automatic(r.store, 7, ADMIN_ALARM_NOSPACE));
        EXPECT(!store_alarm_is_automatic(r.store, 9, ADMIN_ALARM_NOSPACE));
        EXPECT(!store_has_alarm(r.store, 7, ADMIN_ALARM_CORRUPT));
        EXPECT(store_has_alarm(r.store, 0, ADMIN_ALARM_CORRUPT));
        rig_flush(&r);
    }
    EXPECT_INT(change(&r, true, 9, ADMIN_ALARM_NOSPACE), ST_OK);
    EXPECT_INT(r.outcome.alarm.member, 9);
    EXPECT_INT(change(&r, true, 9, ADMIN_ALARM_NOSPACE), ST_OK);
    EXPECT_INT(r.outcome.alarm.type, ADMIN_ALARM_NONE); /* there was none */
    EXPECT_TEXT(alarms(&r), "7 1, 9 2");
    rig_end(&r);
}

/* Whoever raises alarms for made-up members must not fill the state. */
TEST(alarm, there_is_room_for_so_many_and_no_more)
{
    struct rig r;
    rig_begin(&r);
    for (uint64_t i = 0; i < STORE_ALARMS_MAX; i++) {
        EXPECT_INT(change(&r, false, 1000 - i, ADMIN_ALARM_NOSPACE), ST_OK);
    }
    EXPECT_INT(change(&r, false, 1, ADMIN_ALARM_NOSPACE), ST_TOO_MANY);
    EXPECT_INT(change(&r, false, 1000, ADMIN_ALARM_NOSPACE), ST_OK);
    EXPECT_INT(change(&r, true, 1000, ADMIN_ALARM_NOSPACE), ST_OK);
    EXPECT_INT(change(&r, false, 1, ADMIN_ALARM_NOSPACE), ST_OK);
    rig_end(&r);
}

/* What is full must not take more in, whoever's store it is; what makes room,
 * or takes none, gets through.  Apply never refuses: the log has it already. */
TEST(alarm, no_space_refuses_puts_before_the_log_and_nothing_after_it)
{
    struct rig r;
    rig_begin(&r);
    const struct kv_op put = {
        .type = KV_OP_PUT,
        .put = {.key = bytes_of("a"), .value = bytes_of("1")}};
    const struct kv_op delete = {.type = KV_OP_DELETE_RANGE,
                                 .delete_range = {{.key = bytes_of("a")}}};
    const struct kv_op range = {.type = KV_OP_RANGE,
                                .range = {.keys = {.key = bytes_of("a")}}};
    const struct kv_txn_spec inner = {.failure = &put, .failure_count = 1};
    const struct kv_op nested = {.type = KV_OP_TXN, .txn = &inner};
    const struct {
        const struct kv_op *op;
        enum status expected;
    } rows[] = {{&put, ST_NO_SPACE},
                {&nested, ST_NO_SPACE},
                {&delete, ST_OK},
                {&range, ST_OK}};
    for (size_t i = 0; i < count_of(rows); i++) {
        const struct kv_txn_spec txn = {.success = rows[i].op,
                                        .success_count = 1};
        EXPECT_INT(store_check_room(r.store, &txn), ST_OK);
        EXPECT_INT(change(&r, false, 9, ADMIN_ALARM_NOSPACE), ST_OK);
        EXPECT_INT(store_check_room(r.store, &txn), rows[i].expected);
        EXPECT_INT(rig_txn(&r, &txn), ST_OK);
        EXPECT_INT(change(&r, true, 9, ADMIN_ALARM_NOSPACE), ST_OK);
    }
    rig_end(&r);
}

/* A command of no alarm that exists is no command. */
TEST(alarm, odd_commands_are_refused)
{
    struct arena arena = {0};
    struct buf good = {0};
    struct command c;
    const struct store_stamp stamp = {.ticket = 1, .member = 7};
    const struct store_alarm_change ch = {
        .alarm = {.member = 5, .type = ADMIN_ALARM_CORRUPT}};
    store_encode_alarm(&stamp, &ch, &good);
    EXPECT_INT(command_decode(buf_bytes(&good), &arena, &c), ST_OK);
    EXPECT_INT(c.alarm.alarm.member, 5);
    for (size_t size = 0; size < good.size; size++) {
        EXPECT_INT(command_decode((struct bytes){good.data, size}, &arena, &c),
                   ST_CORRUPT);
    }
    const size_t type_at = good.size - 9;
    good.data[type_at] = ADMIN_ALARM_NONE;
    EXPECT_INT(command_decode(buf_bytes(&good), &arena, &c), ST_CORRUPT);
    good.data[type_at] = ADMIN_ALARM_CORRUPT + 1;
    EXPECT_INT(command_decode(buf_bytes(&good), &arena, &c), ST_CORRUPT);
    buf_fini(&good);
    arena_fini(&arena);
}
