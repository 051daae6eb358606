/* When history is compacted by itself, in etcd's two modes. */

#include "node/compactor.h"

#include "base/buf.h"
#include "tests/lib/test.h"

#define SECOND_NS INT64_C(1000000000)
#define MINUTE_NS (60 * SECOND_NS)

struct rig {
    struct compactor c;
    struct buf trace;
    int64_t now_ns;
    bool leads, fails;
};

static void begin(struct rig *r, int64_t period_ns, int64_t revisions)
{
    const struct compactor_options o = {.period_ns = period_ns,
                                        .revisions = revisions};
    *r = (struct rig){.now_ns = 7 * SECOND_NS, .leads = true};
    compactor_init(&r->c, &o, r->now_ns);
}

static void end(struct rig *r)
{
    compactor_fini(&r->c);
    buf_fini(&r->trace);
}

/* So many minutes pass, with a tick each second; the revision at a time is
 * the minutes that have passed since the beginning, plus 100.  What is asked
 * for is traced as "<minute>: <revision>". */
static const char *minutes(struct rig *r, int count)
{
    buf_clear(&r->trace);
    for (int64_t i = 0; i < (int64_t)count * 60; i++) {
        const int64_t minute = (r->now_ns - 7 * SECOND_NS) / MINUTE_NS;
        const int64_t wanted =
            compactor_tick(&r->c, r->now_ns, 100 + minute, r->leads);
        if (wanted != 0) {
            char text[64];
            (void)snprintf(text, sizeof text, "%lld: %lld\n", (long long)minute,
                           (long long)wanted);
            buf_append(&r->trace, bytes_of(text));
            if (!r->fails) {
                compactor_done(&r->c, r->now_ns, wanted);
            }
        }
        r->now_ns += SECOND_NS;
    }
    buf_append_byte(&r->trace, '\0');
    return (const char *)r->trace.data;
}

/* Off means off: history that goes by itself is lost to whoever counted on it.
 */
TEST(compactor, without_retention_nothing_goes)
{
    struct rig r;
    begin(&r, 0, 0);
    EXPECT_TEXT(minutes(&r, 200), "");
    end(&r);
}

/* Every five minutes, all but so many. */
TEST(compactor, by_number_the_newest_stay)
{
    struct rig r;
    begin(&r, 0, 103);
    EXPECT_TEXT(minutes(&r, 21), "5: 2\n10: 7\n15: 12\n20: 17\n");
    end(&r);
}

/* Never younger than the period: ten minutes here. */
TEST(compactor, by_time_what_is_younger_than_the_period_stays)
{
    struct rig r;
    begin(&r, 10 * MINUTE_NS, 0);
    EXPECT_TEXT(minutes(&r, 31), "10: 100\n20: 109\n30: 119\n");
    end(&r);
}

/* A period of two hours: after the first, a compaction each hour. */
TEST(compactor, long_periods_are_compacted_every_hour)
{
    struct rig r;
    begin(&r, 120 * MINUTE_NS, 0);
    EXPECT_TEXT(minutes(&r, 245), "120: 100\n180: 154\n240: 214\n");
    end(&r);
}

/* A leader of yesterday must not ask; a new one knows the past at once. */
TEST(compactor, only_leaders_ask_and_a_new_one_knows_the_past)
{
    struct rig r;
    begin(&r, 10 * MINUTE_NS, 0);
    r.leads = false;
    EXPECT_TEXT(minutes(&r, 30), "");
    r.leads = true;
    EXPECT_TEXT(minutes(&r, 2), "30: 119\n");
    end(&r);
}

/* What failed is asked for again at the next sample. */
TEST(compactor, what_failed_is_tried_again)
{
    struct rig r;
    begin(&r, 10 * MINUTE_NS, 0);
    r.fails = true;
    EXPECT_TEXT(minutes(&r, 13), "10: 100\n11: 100\n12: 101\n");
    end(&r);
}
