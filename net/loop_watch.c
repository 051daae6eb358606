/* What the loop watches: descriptors, timers, signals.
 *
 * Lifetime: libuv may touch a handle until its close callback, which runs at
 * the end of a turn; so stop() only closes, and the close callback frees.
 */

#include <signal.h>
#include <stdlib.h>

#include "net/loop_internal.h"

/* --- descriptors --- */

struct loop_poll {
    uv_poll_t uv;
    struct loop *loop;
    int fd;
    int events; /* of libuv; 0: none is waited for */
    bool stopped;
    void (*ready)(void *arg, int fd);
    void *arg;
};

static void poll_event(uv_poll_t *handle, int status, int events);

static void poll_begin(struct loop_poll *p)
{
    if (p->events == 0) {
        must(uv_poll_stop(&p->uv) == 0);
    } else {
        must(uv_poll_start(&p->uv, p->events, poll_event) == 0);
    }
}

void loop_poll_want(struct loop_poll *p, bool readable, bool writable)
{
    must(!p->stopped);
    const int events =
        (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
    if (events != p->events) {
        p->events = events;
        poll_begin(p);
    }
}

static void poll_event(uv_poll_t *handle, int status, int events)
{
    (void)events;
    struct loop_poll *p = handle->data;
    must(!p->stopped); /* libuv drops the events of a closed handle */
    loop_count_event(p->loop);
    p->ready(p->arg, p->fd);
    /* libuv stops at an error condition (a FUSE device whose mount is gone);
     * the owner learns it from read() and decides itself. */
    if (status < 0 && !p->stopped) {
        poll_begin(p);
    }
}

struct loop_poll *loop_poll_start(struct loop *l, int fd,
                                  void (*ready)(void *arg, int fd), void *arg)
{
    must(fd >= 0);
    must(ready != NULL);
    struct loop_poll *p = xcalloc(1, sizeof *p);
    *p = (struct loop_poll){
        .loop = l, .fd = fd, .events = UV_READABLE, .ready = ready, .arg = arg};
    must(uv_poll_init(&l->uv, &p->uv, fd) == 0);
    p->uv.data = p;
    poll_begin(p);
    l->polls++;
    return p;
}

static void poll_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void loop_poll_stop(struct loop_poll *p)
{
    if (p == NULL) {
        return;
    }
    must(!p->stopped);
    must(p->loop->polls > 0);
    p->stopped = true;
    p->loop->polls--;
    uv_close((uv_handle_t *)&p->uv, poll_closed);
}

/* --- timers --- */

/* A timer is in libuv's heap, in l->overdue, or off.  libuv would fire one that
 * is set to "now" by its own callback again and again in one turn; so those go
 * to l->overdue, for the next turn. */
struct loop_timer {
    uv_timer_t uv;
    struct loop *loop;
    struct list overdue; /* in loop.overdue, or alone */
    bool freed;
    void (*fire)(void *arg);
    void *arg;
};

struct loop_timer *loop_timer_new(struct loop *l, void (*fire)(void *arg),
                                  void *arg)
{
    must(fire != NULL);
    struct loop_timer *t = xcalloc(1, sizeof *t);
    *t = (struct loop_timer){.loop = l, .fire = fire, .arg = arg};
    must(uv_timer_init(&l->uv, &t->uv) == 0);
    t->uv.data = t;
    list_init(&t->overdue);
    l->timers++;
    return t;
}

static void timer_event(uv_timer_t *handle)
{
    struct loop_timer *t = handle->data;
    loop_count_event(t->loop);
    t->fire(t->arg); /* may free it */
}

void loop_run_overdue(struct loop *l)
{
    struct list now;
    list_init(&now);
    list_splice(&now, &l->overdue);
    struct list *link;
    while ((link = list_pop(&now)) != NULL) {
        timer_event(&container_of(link, struct loop_timer, overdue)->uv);
    }
}

void loop_timer_at(struct loop_timer *t, int64_t at_ns)
{
    loop_timer_clear(t);
    if (at_ns <= loop_now_ns()) {
        list_push(&t->loop->overdue, &t->overdue);
        return;
    }
    /* libuv counts milliseconds of the same clock, rounded down: it fires once
     * that count has reached the first whole one at or after at_ns. */
    uv_update_time(&t->loop->uv);
    const uint64_t now_ms = uv_now(&t->loop->uv);
    const uint64_t at_ms = ((uint64_t)at_ns + 999999) / 1000000;
    const uint64_t wait_ms = at_ms > now_ms ? at_ms - now_ms : 0;
    must(uv_timer_start(&t->uv, timer_event, wait_ms, 0) == 0);
}

void loop_timer_clear(struct loop_timer *t)
{
    must(!t->freed);
    list_remove(&t->overdue);
    must(uv_timer_stop(&t->uv) == 0);
}

static void timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void loop_timer_free(struct loop_timer *t)
{
    if (t == NULL) {
        return;
    }
    must(t->loop->timers > 0);
    loop_timer_clear(t);
    t->freed = true;
    t->loop->timers--;
    uv_close((uv_handle_t *)&t->uv, timer_closed);
}

/* --- signals --- */

static const int signals_watched[] = {SIGINT, SIGTERM};

static void signal_event(uv_signal_t *handle, int signal)
{
    struct loop *l = handle->data;
    loop_count_event(l);
    for (size_t i = 0; i < count_of(signals_watched); i++) {
        must(uv_signal_stop(&l->signals.handles[i]) == 0);
    }
    l->signals.fire(l->signals.arg, signal);
}

enum status loop_on_signals(struct loop *l, void (*fire)(void *arg, int signal),
                            void *arg, struct fault *reterr)
{
    must(fire != NULL);
    must(!l->signals.used);
    must(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    int error = uv_signal_init(&l->uv, &l->signals.handles[0]);
    if (error < 0) {
        return fault_sys(reterr, -error, "cannot watch for signals");
    }
    /* The loop has its descriptors for signals now: this cannot fail. */
    must(uv_signal_init(&l->uv, &l->signals.handles[1]) == 0);
    l->signals.used = true;
    l->signals.fire = fire;
    l->signals.arg = arg;
    for (size_t i = 0; i < count_of(signals_watched); i++) {
        l->signals.handles[i].data = l;
        error = uv_signal_start(&l->signals.handles[i], signal_event,
                                signals_watched[i]);
        if (error < 0) {
            return fault_sys(reterr, -error, "cannot watch for signal %d",
                             signals_watched[i]);
        }
    }
    return ST_OK;
}

void loop_signals_close(struct loop *l)
{
    if (!l->signals.used) {
        return;
    }
    for (size_t i = 0; i < count_of(signals_watched); i++) {
        uv_close((uv_handle_t *)&l->signals.handles[i], NULL);
    }
}
