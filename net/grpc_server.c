/* The server on its loop; see grpc.h. */

#include "net/grpc_server.h"

#include <stdlib.h>

#include "base/must.h"

#define TICK_NS 1000000000

/* --- the end of a turn --- */

static void arm_deadline(struct grpc_server *s)
{
    const int64_t at_ns = grpc_host_deadline_ns(&s->host);
    if (at_ns < s->deadline_ns) {
        s->deadline_ns = at_ns;
        loop_timer_at(s->deadline, at_ns);
    }
}

static bool hook_run(void *arg)
{
    struct grpc_server *s = arg;
    if (s->posted) {
        loop_post_cancel(s->loop, &s->post);
        s->posted = false;
    }
    s->in_hook = true;
    struct list now;
    list_init(&now);
    list_splice(&now, &s->dirty);
    bool more = false;
    struct list *link;
    while ((link = list_pop(&now)) != NULL) {
        more |=
            grpc_socket_flush(container_of(link, struct grpc_socket, dirty));
    }
    grpc_host_shed(&s->host);
    s->in_hook = false;
    arm_deadline(s);
    return more || !list_is_empty(&s->dirty);
}

/* The hook follows in the same turn. */
static void post_run(struct loop_post *p)
{
    container_of(p, struct grpc_server, post)->posted = false;
}

/* Called by a hook that runs after ours, output would wait for the next event;
 * the post makes sure that there is one. */
void grpc_server_wake(struct grpc_server *s)
{
    if (!s->posted && !s->in_hook) {
        s->posted = true;
        loop_post(s->loop, &s->post);
    }
}

static void session_wake(void *owner)
{
    grpc_socket_mark(owner);
}

/* --- time --- */

static void deadline_fired(void *arg)
{
    struct grpc_server *s = arg;
    s->deadline_ns = INT64_MAX;
    grpc_host_expire(&s->host, loop_now_ns());
}

static void tick_fired(void *arg)
{
    struct grpc_server *s = arg;
    const int64_t now_ns = loop_now_ns();
    grpc_listeners_tick(s);
    list_each_safe (link, &s->conns) {
        grpc_socket_tick(container_of(link, struct grpc_socket, link), now_ns);
    }
    if (!list_is_empty(&s->conns)) {
        loop_timer_at(s->tick, now_ns + TICK_NS);
    }
}

/* --- life --- */

struct grpc_server *grpc_server_new(struct loop *l,
                                    const struct grpc_limits *limits,
                                    const struct grpc_method *methods,
                                    size_t methods_count,
                                    const struct grpc_http *http)
{
    struct grpc_server *s = xcalloc(1, sizeof *s);
    s->loop = l;
    grpc_host_init(&s->host, limits, methods, methods_count, http);
    s->host.wake = session_wake;
    list_init(&s->conns);
    list_init(&s->dirty);
    list_init(&s->listeners);
    (void)buf_reserve(&s->in, GRPC_READ_SIZE);
    s->post.run = post_run;
    s->tick = loop_timer_new(l, tick_fired, s);
    s->deadline = loop_timer_new(l, deadline_fired, s);
    s->deadline_ns = INT64_MAX;
    s->hook = (struct loop_hook){.run = hook_run, .arg = s};
    loop_hook_add(l, &s->hook);
    return s;
}

enum status grpc_server_listen(struct grpc_server *s, const char *address,
                               uint16_t *ret_port, struct fault *reterr)
{
    must(!s->draining);
    return grpc_listener_open(s, address, ret_port, reterr);
}

void grpc_server_drain(struct grpc_server *s)
{
    s->draining = true;
    grpc_listeners_close(s);
    list_each (link, &s->conns) {
        struct grpc_socket *c = container_of(link, struct grpc_socket, link);
        grpc_session_drain(c->session);
        grpc_socket_mark(c);
    }
}

size_t grpc_server_calls(const struct grpc_server *s)
{
    return s->host.counts.calls_now;
}

void grpc_server_counts(const struct grpc_server *s, struct grpc_counts *ret)
{
    *ret = s->host.counts;
}

void grpc_server_free(struct grpc_server *s)
{
    if (s == NULL) {
        return;
    }
    grpc_listeners_close(s);
    list_each_safe (link, &s->conns) {
        struct grpc_socket *c = container_of(link, struct grpc_socket, link);
        grpc_session_stop(c->session);
        (void)grpc_socket_flush(c); /* the last words, as far as they go now */
    }
    list_each_safe (link, &s->conns) {
        grpc_socket_close(container_of(link, struct grpc_socket, link));
    }
    if (s->posted) {
        loop_post_cancel(s->loop, &s->post);
    }
    loop_hook_remove(&s->hook);
    loop_timer_free(s->tick);
    loop_timer_free(s->deadline);
    grpc_host_fini(&s->host);
    buf_fini(&s->in);
    buf_fini(&s->out);
    free(s);
}
