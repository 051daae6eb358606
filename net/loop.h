/* The event loop: libuv with the few shapes this program uses.
 *
 * One loop, one thread; everything but loop_post() belongs to it.  While work
 * keeps coming the loop polls without sleeping for `spin_us` after the last
 * event, since waking a sleeping core costs more than a round trip
 * (shared figures: 70 to 90 us against 8 us); not while others want the cores
 * (net/loop_spin.h).
 *
 * A turn is: descriptors, timers and posts that are ready, then every turn
 * hook in order, until no hook asks for another round.  Hooks are where work
 * gathered in the turn is carried out together (one log write for all
 * proposals of a turn).  After 64 rounds in a row descriptors, timers and posts
 * get a look in before the next round; the loop does not sleep meanwhile.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/list.h"

struct loop;

struct loop_options {
    uint32_t spin_us; /* 0: sleep at once */
};

enum status loop_new(const struct loop_options *options, struct loop **ret,
                     struct fault *reterr) MUST_USE;
/* Nothing may be registered any more, no post may be waiting, and threads that
 * post have been joined. NULL is fine. */
void loop_free(struct loop *l);

/* Runs until loop_stop() was called; the turn is finished first. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* Asks the kernel to run this thread in short turns, so that it runs soon when
 * it has something to do, on cores that others want, too; threads that it makes
 * afterwards inherit that.  loop_run() does so itself. */
void loop_ask_for_short_turns(void);

/* CLOCK_MONOTONIC, read afresh. */
int64_t loop_now_ns(void);

/* --- a descriptor that is readable, or writable --- */
struct loop_poll;
struct loop_poll *loop_poll_start(struct loop *l, int fd,
                                  void (*ready)(void *arg, int fd), void *arg);
/* What to wait for; at first only for readable(). ready() learns by trying. */
void loop_poll_want(struct loop_poll *p, bool readable, bool writable);
/* ready() is not called after this; frees. The descriptor may be closed next,
 * not before. NULL is fine. */
void loop_poll_stop(struct loop_poll *p);

/* --- one timer, set as often as wanted --- */
struct loop_timer;
struct loop_timer *loop_timer_new(struct loop *l, void (*fire)(void *arg),
                                  void *arg);
/* Fires once at or after that time, rounded up to the next millisecond of the
 * clock; replaces an earlier setting. A time that has passed means the next
 * turn. */
void loop_timer_at(struct loop_timer *t, int64_t at_ns);
void loop_timer_clear(struct loop_timer *t);
void loop_timer_free(struct loop_timer *t); /* NULL is fine */

/* --- the end of a turn --- */
struct loop_hook {
    struct list link;       /* private */
    bool (*run)(void *arg); /* true: there is more, run a round again */
    void *arg;
};
/* A hook added from a hook first runs in the next round. */
void loop_hook_add(struct loop *l, struct loop_hook *h);
void loop_hook_remove(struct loop_hook *h);

/* --- from other threads --- */
struct loop_post {
    struct list link; /* private; zeroed before the first post */
    void (*run)(struct loop_post *p);
};
/* Runs p->run(p) on the loop's thread, soon. The post belongs to the loop until
 * then. From any thread. */
void loop_post(struct loop *l, struct loop_post *p);
/* p->run(p) is not called after this, unless it is posted again; p need not be
 * waiting.  On the loop's thread, with the threads that post p joined: for
 * owners that free their posts when they end. */
void loop_post_cancel(struct loop *l, struct loop_post *p);

/* --- signals --- */
/* fire(arg, signal) on the loop for the first SIGINT or SIGTERM; by then both
 * have their default action again, so that a second one ends the process even
 * while the loop is busy ending it.  SIGPIPE is ignored.  Once per loop. */
enum status loop_on_signals(struct loop *l, void (*fire)(void *arg, int signal),
                            void *arg, struct fault *reterr) MUST_USE;

#endif
