/* Alarms: a short list in the replicated state, kept as one of its records.
 *
 * They change by commands in the log alone, so every member has the same ones
 * at the same index; what follows from them is decided by whoever proposes. */

#include "store/alarms.h"

#include <stdlib.h>

#include "base/codec.h"
#include "base/must.h"

#define RECORD     "alarms"
#define ALARM_SIZE 9 /* member (8), type and flag (1) */
#define AUTOMATIC  0x80u

static struct admin_alarm_member alarm_at(struct bytes record, size_t i)
{
    const uint8_t *at = record.data + i * ALARM_SIZE;
    return (struct admin_alarm_member){
        .member = get_u64(at),
        .type = (enum admin_alarm_type)(at[8] & ~AUTOMATIC)};
}

/* Whether a comes before b: by member, then by type. */
static bool comes_before(const struct admin_alarm_member *a,
                         const struct admin_alarm_member *b)
{
    return a->member != b->member ? a->member < b->member : a->type < b->type;
}

static bool is_type(unsigned type)
{
    return type == ADMIN_ALARM_NOSPACE || type == ADMIN_ALARM_CORRUPT;
}

bool alarms_are_valid(struct bytes record)
{
    const size_t count = record.size / ALARM_SIZE;
    if (record.size % ALARM_SIZE != 0 || count > STORE_ALARMS_MAX) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct admin_alarm_member alarm = alarm_at(record, i);
        if (!is_type(record.data[i * ALARM_SIZE + 8] & ~AUTOMATIC)) {
            return false;
        }
        if (i > 0) {
            const struct admin_alarm_member before = alarm_at(record, i - 1);
            if (!comes_before(&before, &alarm)) {
                return false;
            }
        }
    }
    return true;
}

size_t store_alarms(const struct store *s, struct admin_alarm_member *to)
{
    const struct bytes record = store_record(s, RECORD);
    const size_t count = record.size / ALARM_SIZE;
    must(count <= STORE_ALARMS_MAX);
    for (size_t i = 0; i < count; i++) {
        to[i] = alarm_at(record, i);
    }
    return count;
}

bool store_has_alarm(const struct store *s, uint64_t member,
                     enum admin_alarm_type type)
{
    const struct bytes record = store_record(s, RECORD);
    for (size_t i = 0; i < record.size / ALARM_SIZE; i++) {
        const struct admin_alarm_member alarm = alarm_at(record, i);
        if (alarm.type == type && (member == 0 || alarm.member == member)) {
            return true;
        }
    }
    return false;
}

bool store_alarm_is_automatic(const struct store *s, uint64_t member,
                              enum admin_alarm_type type)
{
    const struct bytes record = store_record(s, RECORD);
    for (size_t i = 0; i < record.size / ALARM_SIZE; i++) {
        const struct admin_alarm_member alarm = alarm_at(record, i);
        if (alarm.type == type && alarm.member == member) {
            return (record.data[i * ALARM_SIZE + 8] & AUTOMATIC) != 0;
        }
    }
    return false;
}

enum status alarms_apply(struct store *s, const struct store_alarm_change *c,
                         bool *ret_any, struct fault *reterr)
{
    const struct bytes record = store_record(s, RECORD);
    const size_t count = record.size / ALARM_SIZE;
    size_t place = 0;
    bool there = false;
    for (; place < count; place++) {
        const struct admin_alarm_member alarm = alarm_at(record, place);
        if (!comes_before(&alarm, &c->alarm)) {
            there =
                alarm.member == c->alarm.member && alarm.type == c->alarm.type;
            break;
        }
    }
    *ret_any = there || !c->clear;
    if (there != c->clear) {
        return ST_OK; /* it is as it should be */
    }
    if (!c->clear && count == STORE_ALARMS_MAX) {
        return ST_TOO_MANY;
    }
    struct buf to = {0};
    buf_append(&to, (struct bytes){record.data, place * ALARM_SIZE});
    if (!c->clear) {
        write_u64(&to, c->alarm.member);
        write_u8(&to, (uint8_t)((unsigned)c->alarm.type |
                                (c->automatic ? AUTOMATIC : 0)));
    }
    buf_append(&to,
               bytes_after(record, (place + (there ? 1 : 0)) * ALARM_SIZE));
    const enum status st = store_set_record(s, RECORD, buf_bytes(&to), reterr);
    buf_fini(&to);
    return st;
}
