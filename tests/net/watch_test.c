/* Descriptors, timers and signals. */

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/net/rig.h"

/* --- descriptors --- */

struct reader {
    struct rig *rig;
    struct loop_poll *poll;
    int calls_left; /* stops itself, and the loop, at 0 */
    bool reads;
};

static void reader_ready(void *arg, int fd)
{
    struct reader *r = arg;
    char byte[2] = {0};
    if (r->reads && read(fd, byte, 1) == 1) {
        say(r->rig, byte);
    } else {
        say(r->rig, "ready");
    }
    if (--r->calls_left == 0) {
        loop_poll_stop(r->poll);
        loop_stop(r->rig->loop);
    }
}

/* Readiness is a level: what was not read is announced again, or a request
 * left for the next turn (the filesystem handles a bounded number) is lost. */
TEST(poll, says_again_what_was_not_read)
{
    struct rig r;
    rig_begin(&r, 0);
    int pair[2];
    EXPECT_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    EXPECT_INT(write(pair[1], "abc", 3), 3);
    struct reader reader = {.rig = &r, .calls_left = 3, .reads = true};
    reader.poll = loop_poll_start(r.loop, pair[0], reader_ready, &reader);
    loop_run(r.loop);
    EXPECT_TEXT(r.trace, "a b c ");
    EXPECT_INT(close(pair[0]), 0);
    EXPECT_INT(close(pair[1]), 0);
    rig_end(&r);
}

/* An error condition (the device of a mount that is gone) is told like data,
 * and told again: the owner finds out by reading. */
TEST(poll, tells_errors_until_stopped)
{
    struct rig r;
    rig_begin(&r, 0);
    int ends[2];
    EXPECT_INT(pipe(ends), 0);
    EXPECT_INT(close(ends[0]), 0); /* the other end now shows EPOLLERR */
    struct reader reader = {.rig = &r, .calls_left = 3};
    reader.poll = loop_poll_start(r.loop, ends[1], reader_ready, &reader);
    loop_run(r.loop);
    EXPECT_TEXT(r.trace, "ready ready ready ");
    EXPECT_INT(close(ends[1]), 0);
    rig_end(&r);
}

struct two_readers {
    struct rig *rig;
    struct loop_poll *polls[2];
};

static void stop_both(void *arg, int fd)
{
    (void)fd;
    struct two_readers *t = arg;
    say(t->rig, "ready");
    loop_poll_stop(t->polls[0]);
    loop_poll_stop(t->polls[1]);
    loop_stop(t->rig->loop);
}

/* Both are ready in one turn, and the first ends the second: no call into an
 * owner that is gone. */
TEST(poll, is_silent_once_stopped)
{
    struct rig r;
    rig_begin(&r, 0);
    struct two_readers t = {.rig = &r};
    int pairs[2][2];
    for (int i = 0; i < 2; i++) {
        EXPECT_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]), 0);
        EXPECT_INT(write(pairs[i][1], "x", 1), 1);
        t.polls[i] = loop_poll_start(r.loop, pairs[i][0], stop_both, &t);
    }
    loop_run(r.loop);
    EXPECT_TEXT(r.trace, "ready ");
    for (int i = 0; i < 4; i++) {
        EXPECT_INT(close(pairs[i / 2][i % 2]), 0);
    }
    rig_end(&r);
}

/* --- timers --- */

struct alarm {
    struct rig *rig;
    struct loop_timer *timer;
    int64_t at_ns;
    int again; /* sets itself anew so many times, into the past */
};

static void alarm_fire(void *arg)
{
    struct alarm *a = arg;
    assert_true(loop_now_ns() >= a->at_ns);
    say(a->rig, "fire");
    if (a->again > 0) {
        a->again--;
        loop_timer_at(a->timer, 0);
    }
}

static void alarm_begin(struct alarm *a, struct rig *r)
{
    *a = (struct alarm){.rig = r};
    a->timer = loop_timer_new(r->loop, alarm_fire, a);
}

static void alarm_set(struct alarm *a, int64_t at_ns)
{
    a->at_ns = at_ns;
    loop_timer_at(a->timer, at_ns);
}

/* Early is wrong (a lease would end before its time); twice is wrong. The
 * odd nanoseconds make rounding down to milliseconds fail. */
TEST(timer, fires_once_and_never_early)
{
    for (int i = 0; i < 20; i++) {
        struct rig r;
        rig_begin(&r, 0);
        struct alarm a;
        struct rig_hook h = {.turns = 1};
        alarm_begin(&a, &r);
        alarm_set(&a, loop_now_ns() + 1000000 + i * 50021);
        rig_hook_add(&r, &h, "hook");
        loop_run(r.loop);
        EXPECT_TEXT(r.trace, "fire hook ");
        loop_hook_remove(&h.hook);
        loop_timer_free(a.timer);
        rig_end(&r);
    }
}

/* A timer that is set to the past whenever it fires must not keep hooks and
 * everybody else from running. */
TEST(timer, in_the_past_fires_in_the_next_turn)
{
    struct rig r;
    rig_begin(&r, 0);
    struct alarm a;
    alarm_begin(&a, &r);
    struct rig_hook h = {.turns = 4};
    rig_hook_add(&r, &h, "hook");
    alarm_set(&a, -5);
    a.again = 3;
    loop_run(r.loop);
    EXPECT_TEXT(r.trace, "fire hook fire hook fire hook fire hook ");
    loop_hook_remove(&h.hook);
    loop_timer_free(a.timer);
    rig_end(&r);
}

/* A timer that became due while the loop was busy fires just before the loop
 * would sleep; its hooks must run all the same: they are where its work is
 * done.  (Hangs when broken.) */
static void be_busy(struct loop_post *p)
{
    (void)p;
    const int64_t until_ns = loop_now_ns() + 3000000;
    while (loop_now_ns() < until_ns) {
    }
}

TEST(timer, due_while_busy_has_its_hooks_run_before_the_sleep)
{
    struct rig r;
    rig_begin(&r, 0);
    struct alarm a;
    alarm_begin(&a, &r);
    struct loop_post busy = {.run = be_busy};
    struct rig_hook h = {.turns = 2};
    rig_hook_add(&r, &h, "hook");
    alarm_set(&a, loop_now_ns() + 1000000);
    loop_post(r.loop, &busy);
    loop_run(r.loop);
    EXPECT_TEXT(r.trace, "hook fire hook ");
    loop_hook_remove(&h.hook);
    loop_timer_free(a.timer);
    rig_end(&r);
}

TEST(timer, set_anew_forgets_the_earlier_setting_and_cleared_is_silent)
{
    struct rig r;
    rig_begin(&r, 0);
    struct alarm never, cleared, moved;
    alarm_begin(&never, &r);
    alarm_begin(&cleared, &r);
    alarm_begin(&moved, &r);
    alarm_set(&never, INT64_MAX);
    alarm_set(&cleared, 0);
    loop_timer_clear(cleared.timer);
    loop_timer_clear(cleared.timer);
    alarm_set(&moved, INT64_MAX);
    alarm_set(&moved, 0);
    struct rig_hook h = {.turns = 1};
    rig_hook_add(&r, &h, "hook");
    loop_run(r.loop);
    EXPECT_TEXT(r.trace, "fire hook ");
    loop_hook_remove(&h.hook);
    loop_timer_free(never.timer);
    loop_timer_free(cleared.timer);
    loop_timer_free(moved.timer);
    loop_timer_free(NULL);
    rig_end(&r);
}

static void free_own_timer(void *arg)
{
    struct alarm *a = arg;
    say(a->rig, "fire");
    loop_timer_free(a->timer);
    loop_stop(a->rig->loop);
}

TEST(timer, may_be_freed_while_it_fires)
{
    struct rig r;
    rig_begin(&r, 0);
    struct alarm a = {.rig = &r};
    a.timer = loop_timer_new(r.loop, free_own_timer, &a);
    loop_timer_at(a.timer, 0);
    loop_run(r.loop);
    EXPECT_TEXT(r.trace, "fire ");
    rig_end(&r);
}

/* --- signals --- */

static void on_signal(void *arg, int signal)
{
    struct rig *r = arg;
    say(r, signal == SIGTERM ? "TERM" : signal == SIGINT ? "INT" : "?");
    loop_stop(r->loop);
}

static bool has_default_action(int signal)
{
    struct sigaction now;
    must(sigaction(signal, NULL, &now) == 0);
    return now.sa_handler == SIG_DFL;
}

/* The first signal asks for an orderly end; the second must work even when
 * that end hangs, so nothing of ours may stand in its way. */
TEST(signals, the_first_is_told_and_the_second_is_left_to_the_system)
{
    const int both[] = {SIGINT, SIGTERM};
    const char *traces[] = {"INT ", "TERM "};
    for (int i = 0; i < 2; i++) {
        struct rig r;
        rig_begin(&r, 0);
        struct fault fault;
        EXPECT_INT(loop_on_signals(r.loop, on_signal, &r, &fault), ST_OK);
        EXPECT(!has_default_action(SIGINT));
        EXPECT(!has_default_action(SIGTERM));
        EXPECT_INT(raise(both[i]), 0);
        loop_run(r.loop);
        EXPECT_TEXT(r.trace, traces[i]);
        EXPECT(has_default_action(SIGINT));
        EXPECT(has_default_action(SIGTERM));
        rig_end(&r);
    }
}

/* A client that goes away while it is written to must not end the node. */
TEST(signals, a_broken_pipe_is_no_death)
{
    struct rig r;
    rig_begin(&r, 0);
    struct fault fault;
    EXPECT_INT(loop_on_signals(r.loop, on_signal, &r, &fault), ST_OK);
    int ends[2];
    EXPECT_INT(pipe(ends), 0);
    EXPECT_INT(close(ends[0]), 0);
    EXPECT_INT(write(ends[1], "x", 1), -1);
    EXPECT_INT(close(ends[1]), 0);
    rig_end(&r);
}
