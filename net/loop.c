/* Turns of the loop: waiting, posts from other threads, hooks.
 *
 * One call of uv_run() gathers descriptors and timers; posts and hooks are run
 * here, after it.  It may sleep only when nothing is left to do:
 *
 *   - a timer that is due when uv_run() begins runs before the sleep, and its
 *     hooks have not run yet: before_sleep() then forbids the sleep;
 *   - a post that comes while the loop is awake wakes nobody: the loop looks
 *     for posts, under the mutex, in the same step that declares it asleep.  A
 *     callback inside uv_run() may post, too: before_sleep() looks for that.
 */

#include "net/loop.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "net/loop_internal.h"

/* A hook that always asks for more must not keep descriptors waiting. */
#define ROUNDS_MAX 64
#define ROUNDS_NS  1000000

static void woken(uv_async_t *handle)
{
    (void)handle; /* the posts are looked at once uv_run() is over */
}

static void before_sleep(uv_prepare_t *handle)
{
    struct loop *l = handle->data;
    if (l->events > 0 || l->posted_inside) {
        uv_stop(&l->uv); /* only for this call of uv_run() */
    }
}

enum status loop_new(const struct loop_options *options, struct loop **ret,
                     struct fault *reterr)
{
    struct loop *l = xcalloc(1, sizeof *l);
    int error = uv_loop_init(&l->uv);
    if (error < 0) {
        free(l);
        return fault_sys(reterr, -error, "cannot make an event loop");
    }
    error = uv_async_init(&l->uv, &l->wake, woken);
    if (error < 0) {
        must(uv_loop_close(&l->uv) == 0);
        free(l);
        return fault_sys(reterr, -error, "cannot make an event loop");
    }
    /* Neither of these can fail: they make no system call. */
    must(uv_prepare_init(&l->uv, &l->before) == 0);
    l->before.data = l;
    must(uv_prepare_start(&l->before, before_sleep) == 0);
    must(pthread_mutex_init(&l->mutex, NULL) == 0);
    list_init(&l->hooks);
    list_init(&l->round);
    list_init(&l->overdue);
    list_init(&l->posts);
    list_init(&l->due);
    l->spin_ns = (int64_t)options->spin_us * 1000;
    l->last_event_ns = INT64_MIN / 2;
    *ret = l;
    return ST_OK;
}

void loop_free(struct loop *l)
{
    if (l == NULL) {
        return;
    }
    must(!l->running);
    must(l->polls == 0);
    must(l->timers == 0);
    must(list_is_empty(&l->hooks));
    must(list_is_empty(&l->posts));
    must(list_is_empty(&l->due));
    loop_signals_close(l);
    loop_spin_close(&l->spin);
    uv_close((uv_handle_t *)&l->wake, NULL);
    uv_close((uv_handle_t *)&l->before, NULL);
    while (uv_run(&l->uv, UV_RUN_NOWAIT) != 0) {
        /* the handles' last callbacks */
    }
    must(uv_loop_close(&l->uv) == 0);
    must(pthread_mutex_destroy(&l->mutex) == 0);
    free(l);
}

int64_t loop_now_ns(void)
{
    struct timespec now;
    must(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Waits for descriptors, timers or posts, and runs the first two. */
static void gather(struct loop *l, bool may_sleep)
{
    if (may_sleep && l->spin_ns > 0) {
        const int64_t now_ns = loop_now_ns();
        may_sleep = now_ns - l->last_event_ns >= l->spin_ns ||
                    !loop_spin_pays(&l->spin, now_ns);
    }
    if (may_sleep) {
        must(pthread_mutex_lock(&l->mutex) == 0);
        l->asleep = may_sleep = list_is_empty(&l->posts);
        must(pthread_mutex_unlock(&l->mutex) == 0);
    }
    l->posted_inside = false;
    (void)uv_run(&l->uv, may_sleep ? UV_RUN_ONCE : UV_RUN_NOWAIT);

    must(pthread_mutex_lock(&l->mutex) == 0);
    l->asleep = false;
    list_splice(&l->due, &l->posts);
    must(pthread_mutex_unlock(&l->mutex) == 0);
}

/* Those posted until now; what they post again is for the next turn. */
static void run_posts(struct loop *l)
{
    for (;;) {
        must(pthread_mutex_lock(&l->mutex) == 0);
        struct list *link = list_pop(&l->due);
        must(pthread_mutex_unlock(&l->mutex) == 0);
        if (link == NULL) {
            return;
        }
        struct loop_post *p = container_of(link, struct loop_post, link);
        loop_count_event(l);
        p->run(p); /* may free or post it */
    }
}

/* Each hook once. A hook may remove any hook; one that is added meanwhile waits
 * for the next round. */
static bool run_round(struct loop *l)
{
    bool more = false;
    must(list_is_empty(&l->round));
    list_splice(&l->round, &l->hooks);
    struct list *link;
    while ((link = list_pop(&l->round)) != NULL) {
        list_push(&l->hooks, link);
        struct loop_hook *h = container_of(link, struct loop_hook, link);
        more |= h->run(h->arg);
    }
    return more;
}

static bool run_more(struct loop *l)
{
    const int64_t until_ns = loop_now_ns() + ROUNDS_NS;
    bool more = true;
    for (size_t i = 1; more && i < ROUNDS_MAX && loop_now_ns() < until_ns;
         i++) {
        more = run_round(l);
    }
    return more;
}

void loop_run(struct loop *l)
{
    must(!l->running);
    l->running = true;
    l->thread = pthread_self();
    loop_ask_for_short_turns();
    bool more = false;
    while (!l->stopping) {
        l->events = 0;
        gather(l, !more && list_is_empty(&l->overdue));
        loop_run_overdue(l);
        run_posts(l);
        if (l->events > 0 && l->spin_ns > 0) {
            l->last_event_ns = loop_now_ns();
        }
        more = run_round(l);
        if (more) {
            more = run_more(l);
        }
    }
    l->running = false;
    l->stopping = false;
}

void loop_stop(struct loop *l)
{
    l->stopping = true;
}

void loop_hook_add(struct loop *l, struct loop_hook *h)
{
    must(h->run != NULL);
    list_push(&l->hooks, &h->link);
}

void loop_hook_remove(struct loop_hook *h)
{
    list_remove(&h->link);
}

static bool is_waiting(const struct loop_post *p)
{
    return p->link.next != NULL && !list_is_empty(&p->link);
}

void loop_post(struct loop *l, struct loop_post *p)
{
    must(p->run != NULL);
    must(pthread_mutex_lock(&l->mutex) == 0);
    must(!is_waiting(p));
    list_push(&l->posts, &p->link);
    const bool wake = l->asleep;
    if (wake && pthread_equal(pthread_self(), l->thread)) {
        l->posted_inside = true; /* by a callback of uv_run(): it is awake */
    } else if (wake) {
        l->asleep = false; /* whoever comes next need not wake it again */
        must(uv_async_send(&l->wake) == 0);
    }
    must(pthread_mutex_unlock(&l->mutex) == 0);
}

void loop_post_cancel(struct loop *l, struct loop_post *p)
{
    must(pthread_mutex_lock(&l->mutex) == 0);
    if (is_waiting(p)) {
        list_remove(&p->link);
    }
    must(pthread_mutex_unlock(&l->mutex) == 0);
}
