/* Calls of one request: from its message to kv or admin, and the answer back.
 *
 *   begun --message--> running --submitted--> waiting --done--> answered
 *                         |                   ^  |  |
 *                         +--refused--> answered |  +--no leader--> held --+
 *                                             +--|-------------------------+
 *                                                +--client gone--> cancelled,
 *                                                   released by done
 *
 * A call is released when the client has been answered, or has gone and nothing
 * is waited for. */

#include <stdlib.h>

#include "api/internal.h"

#define POOL_MAX 1024

static struct api_call *call_new(struct api_method *m, struct grpc_call *grpc)
{
    struct api *a = m->api;
    struct api_call *c;
    struct list *node = list_pop(&a->pool);
    if (node != NULL) {
        c = container_of(node, struct api_call, link);
        a->pool_count--;
    } else {
        c = xcalloc(1, sizeof *c);
        list_init(&c->link);
        list_init(&c->hold_link);
    }
    c->api = a;
    c->method = m;
    c->grpc = grpc;
    list_push(&a->calls, &c->link);
    return c;
}

void api_release(struct api_call *c)
{
    struct api *a = c->api;
    must(c->grpc == NULL);
    must(c->waiting == NULL);
    if (c->free_own != NULL) {
        c->free_own(c->own);
    }
    if (c->unpacked != NULL) {
        proto_free(&c->budget, c->unpacked);
    }
    kv_request_memory_fini(&c->memory);
    free(c->large);
    c->large = NULL;
    c->unpacked = NULL;
    c->own = NULL;
    c->free_own = NULL;
    c->resume = c->gone = c->again = NULL;
    c->since_ns = 0;
    list_remove(&c->hold_link);
    list_remove(&c->link);
    if (a->pool_count == POOL_MAX) {
        free(c);
        return;
    }
    a->pool_count++;
    /* The one used last is the one still in the cache. */
    list_insert_before(a->pool.next, &c->link);
}

/* --- from the client --- */

static void on_message(struct grpc_call *grpc, struct bytes message)
{
    struct api_call *c = grpc_call_state(grpc);
    c->method->received++;
    if (c->api->is_learner && !c->method->rpc->for_learners) {
        api_fail_status(c, ST_LEARNER);
        return;
    }
    c->method->rpc->run(c, message);
}

static void on_writable(struct grpc_call *grpc)
{
    struct api_call *c = grpc_call_state(grpc);
    if (c->resume != NULL) {
        c->resume(c);
    }
}

static void on_cancel(struct grpc_call *grpc)
{
    struct api_call *c = grpc_call_state(grpc);
    c->grpc = NULL;
    c->method->handled[GRPC_CANCELLED]++;
    if (c->gone != NULL) {
        c->gone(c);
    } else if (c->waiting == NULL) {
        api_release(c);
    } else {
        api_cancel_waiting(c);
    }
}

const struct grpc_handler api_call_handler = {.on_message = on_message,
                                              .on_writable = on_writable,
                                              .on_cancel = on_cancel};

const struct grpc_handler *api_call_begin(struct api_method *m,
                                          struct grpc_call *grpc)
{
    grpc_call_set_state(grpc, call_new(m, grpc));
    return &api_call_handler;
}

/* --- the request --- */

struct bytes api_keep(struct api_call *c, struct bytes message)
{
    uint8_t *to = c->small;
    must(c->large == NULL);
    if (message.size > sizeof c->small) {
        to = c->large = xmalloc(message.size);
    }
    if (message.size > 0) {
        memcpy(to, message.data, message.size);
    }
    return c->message = (struct bytes){to, message.size};
}

void *api_unpack(struct api_call *c, const ProtobufCMessageDescriptor *type,
                 struct bytes message)
{
    const struct proto_limits limits = api_proto_limits(c->api);
    struct fault fault;
    const enum status st =
        proto_unpack(type, message, &limits, &c->budget, &c->unpacked, &fault);
    if (st != ST_OK) {
        c->unpacked = NULL;
        api_fail(c,
                 (struct api_error){st == ST_TOO_LARGE ? GRPC_RESOURCE_EXHAUSTED
                                                       : GRPC_INTERNAL,
                                    fault.text});
        return NULL;
    }
    return c->unpacked;
}

/* --- to kv and admin --- */

static void submit(struct api_call *c, struct kv_call *call,
                   void (*done)(struct kv_call *),
                   void (*again)(struct api_call *c))
{
    must(c->waiting == NULL);
    call->done = done;
    c->waiting = call;
    c->waiting_admin = again == NULL;
    c->again = again;
    c->since_ns = 0;
    c->api->held++;
    if (again != NULL) {
        again(c);
    }
}

static void again_range(struct api_call *c)
{
    kv_range(c->api->kv, &c->range);
}

static void again_txn(struct api_call *c)
{
    kv_txn(c->api->kv, &c->txn);
}

static void again_compact(struct api_call *c)
{
    kv_compact(c->api->kv, &c->compact);
}

static void again_lease(struct api_call *c)
{
    kv_lease(c->api->kv, &c->lease);
}

void api_submit_range(struct api_call *c, void (*done)(struct kv_call *))
{
    submit(c, &c->range.call, done, again_range);
}

void api_submit_txn(struct api_call *c, void (*done)(struct kv_call *))
{
    submit(c, &c->txn.call, done, again_txn);
}

void api_submit_compact(struct api_call *c, void (*done)(struct kv_call *))
{
    submit(c, &c->compact.call, done, again_compact);
}

void api_submit_lease(struct api_call *c, void (*done)(struct kv_call *))
{
    if (c->api->kv->ops->lease == NULL) {
        api_fail(c, API_NOT_SUPPORTED);
        return;
    }
    submit(c, &c->lease.call, done, again_lease);
}

/* --- without a leader --- */

/* etcd's time for a request: 5 s and two elections. */
static int64_t patience_ns(const struct api *a)
{
    return (5000 + 2 * a->options.election_ms) * NS_PER_MS;
}

#define RETRY_NS (20 * NS_PER_MS)

static void retry(void *arg)
{
    struct api *a = arg;
    const bool has_leader = api_fresh_status(a)->leader != 0;
    const int64_t now_ns = loop_now_ns();
    struct list all;
    list_init(&all);
    list_splice(&all, &a->leaderless_calls);
    struct list *node;
    while ((node = list_pop(&all)) != NULL) {
        struct api_call *c = container_of(node, struct api_call, hold_link);
        const bool late = now_ns - c->since_ns >= patience_ns(a);
        if (has_leader || late) {
            a->held++;
            if (!late) {
                c->again(c);
                continue;
            }
            c->waiting->status = ST_TIMEOUT;
            c->waiting->done(c->waiting);
        } else {
            list_push(&a->leaderless_calls, &c->hold_link);
        }
    }
    if (!list_is_empty(&a->leaderless_calls)) {
        loop_timer_at(a->retry_timer, now_ns + RETRY_NS);
    }
}

bool api_call_hold(struct api_call *c, const struct kv_call *call)
{
    struct api *a = c->api;
    if (call->status != ST_NO_LEADER || c->again == NULL || c->grpc == NULL) {
        return false;
    }
    if (c->since_ns == 0) {
        c->since_ns = loop_now_ns();
    }
    a->held--; /* nothing was done, and nothing will be */
    list_push(&a->leaderless_calls, &c->hold_link);
    if (a->retry_timer == NULL) {
        a->retry_timer = loop_timer_new(a->loop, retry, a);
    }
    loop_timer_at(a->retry_timer, loop_now_ns() + RETRY_NS);
    return true;
}

static bool is_held(const struct api_call *c)
{
    return !list_is_empty(&c->hold_link);
}

/* The client of a call that is held has gone: there is nothing to cancel. */
static void answer_held(struct api_call *c)
{
    list_remove(&c->hold_link);
    c->api->held++;
    c->waiting->status = ST_CANCELED;
    c->waiting->done(c->waiting);
}

void api_cancel_waiting(struct api_call *c)
{
    must(c->waiting != NULL);
    if (is_held(c)) {
        answer_held(c);
    } else if (c->waiting_admin) {
        admin_cancel(c->api->admin, c->waiting);
    } else {
        kv_cancel(c->api->kv, c->waiting);
    }
}

bool api_submit_admin(struct api_call *c, struct kv_call *call,
                      void (*done)(struct kv_call *))
{
    if (c->api->admin == NULL) {
        api_fail(c, API_NOT_SUPPORTED);
        return false;
    }
    submit(c, call, done, NULL);
    return true;
}

bool api_call_returned(struct api_call *c)
{
    must(c->waiting != NULL);
    if (api_call_hold(c, c->waiting)) {
        return false;
    }
    c->waiting = NULL;
    c->api->held--;
    if (c->grpc == NULL) {
        api_release(c);
        return false;
    }
    return true;
}

bool api_call_back(struct api_call *c)
{
    const struct kv_call *call = c->waiting;
    if (!api_call_returned(c)) {
        return false;
    }
    if (call->status != ST_OK) {
        c->api->counts.writes_failed +=
            call->status == ST_TIMEOUT && c->again != again_range;
        api_fail_status(c, call->status);
        return false;
    }
    return true;
}

/* --- answers --- */

struct buf *api_begin(struct api_call *c)
{
    return grpc_begin_message(c->grpc);
}

bool api_send(struct api_call *c)
{
    c->method->sent++;
    return grpc_end_message(c->grpc);
}

static void finish(struct api_call *c, struct api_error how)
{
    struct grpc_call *grpc = c->grpc;
    c->grpc = NULL;
    api_finish(c->method, grpc, how);
    api_release(c);
}

void api_end(struct api_call *c)
{
    finish(c, (struct api_error){GRPC_OK, NULL});
}

void api_send_end(struct api_call *c)
{
    if (grpc_message_size(c->grpc) > API_MESSAGE_MAX) {
        grpc_drop_message(c->grpc);
        api_fail(c, API_MESSAGE_TOO_LARGE);
        return;
    }
    (void)api_send(c); /* nothing comes after it that could pause */
    api_end(c);
}

void api_fail(struct api_call *c, struct api_error why)
{
    must(why.code != GRPC_OK);
    finish(c, why);
}

void api_fail_status(struct api_call *c, enum status st)
{
    api_fail(c, api_error_of(st));
}

void api_refuse(struct api_call *c, enum status st, const struct fault *fault)
{
    if (st == ST_INVALID) {
        api_fail(c, (struct api_error){GRPC_INTERNAL, fault->text});
    } else {
        api_fail_status(c, st);
    }
}
