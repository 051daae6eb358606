/* Contests; see contest.h. */

#include "api/contest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/errand.h"

/* As etcd's sessions. */
#define LEASE_TTL_S 60
#define RENEW_NS    (INT64_C(20000) * NS_PER_MS)

/* --- the end --- */

static void stop_watching(struct contest *t)
{
    if (t->watching) {
        t->watching = false;
        kv_unwatch(t->call->api->kv, &t->watch);
    }
}

static void contest_free(void *own)
{
    struct contest *t = own;
    stop_watching(t);
    loop_timer_free(t->renewals);
    buf_fini(&t->prefix);
    buf_fini(&t->prefix_end);
    buf_fini(&t->key);
    buf_fini(&t->awaited);
    free(t);
}

/* What was put is taken back. */
static void withdraw(struct contest *t)
{
    struct api *a = t->call->api;
    if (t->lease_is_ours) {
        api_errand_revoke(a, t->lease);
    } else if (t->entered) {
        api_errand_delete(a, buf_bytes(&t->key), t->lease);
    }
    t->lease_is_ours = t->entered = false;
}

void contest_fail(struct contest *t, struct api_error why)
{
    stop_watching(t);
    withdraw(t);
    api_fail(t->call, why);
}

static void gone(struct api_call *c)
{
    struct contest *t = contest_of(c);
    stop_watching(t);
    if (c->waiting != NULL) {
        api_cancel_waiting(c); /* contest_back() does the rest */
        return;
    }
    withdraw(t);
    api_release(c);
}

bool contest_back(struct contest *t)
{
    struct api_call *c = t->call;
    const struct kv_call *call = c->waiting;
    must(call != NULL);
    if (api_call_hold(c, call)) {
        return false;
    }
    c->waiting = NULL;
    c->api->held--;
    if (c->grpc == NULL) {
        withdraw(t);
        api_release(c);
        return false;
    }
    if (call->status != ST_OK) {
        contest_fail(t, api_error_of(call->status));
        return false;
    }
    return true;
}

/* --- the beginning --- */

void contest_prefix(struct bytes name, struct buf *prefix, struct buf *end)
{
    buf_append(prefix, name);
    buf_append_byte(prefix, '/');
    buf_append(end, name);
    buf_append_byte(end, '/' + 1);
}

static void renew(void *arg)
{
    struct contest *t = arg;
    api_errand_renew(t->call->api, t->lease);
    loop_timer_at(t->renewals, loop_now_ns() + RENEW_NS);
}

static void begin(struct contest *t)
{
    char digits[24];
    const int size =
        snprintf(digits, sizeof digits, "%" PRIx64, (uint64_t)t->lease);
    buf_append(&t->key, buf_bytes(&t->prefix));
    buf_append(&t->key, (struct bytes){(const uint8_t *)digits, (size_t)size});
    t->begin(t);
}

static void granted(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, lease.call);
    struct contest *t = contest_of(c);
    if (call->status == ST_OK) {
        t->lease = c->lease.result.id;
        t->lease_is_ours = true;
    }
    if (contest_back(t)) {
        t->renewals = loop_timer_new(c->api->loop, renew, t);
        loop_timer_at(t->renewals, loop_now_ns() + RENEW_NS);
        begin(t);
    }
}

void contest_start(struct api_call *c, struct bytes name, int64_t lease,
                   void (*begin_it)(struct contest *t),
                   void (*won)(struct contest *t), struct bytes value)
{
    struct contest *t = xcalloc(1, sizeof *t);
    t->call = c;
    t->begin = begin_it;
    t->won = won;
    t->lease = lease;
    t->value = value;
    contest_prefix(name, &t->prefix, &t->prefix_end);
    c->own = t;
    c->free_own = contest_free;
    c->gone = gone;
    if (lease != 0) {
        begin(t);
        return;
    }
    c->lease = (struct kv_lease){.op = KV_LEASE_GRANT, .ttl_s = LEASE_TTL_S};
    api_submit_lease(c, granted);
}

void contest_enter(struct contest *t, size_t success_count,
                   size_t failure_count, void (*done)(struct kv_call *))
{
    struct api_call *c = t->call;
    t->entered = true;
    t->compare = (struct kv_compare){.keys.key = buf_bytes(&t->key),
                                     .target = KV_COMPARE_CREATE,
                                     .result = KV_COMPARE_EQUAL,
                                     .number = 0};
    c->txn = (struct kv_txn){.spec = {.compares = &t->compare,
                                      .compares_count = 1,
                                      .success = t->ops,
                                      .success_count = success_count,
                                      .failure = t->ops + success_count,
                                      .failure_count = failure_count}};
    api_submit_txn(c, done);
}

struct kv_range_spec contest_oldest(struct bytes prefix, struct bytes end)
{
    return (struct kv_range_spec){.keys = {prefix, end},
                                  .limit = 1,
                                  .sort_order = KV_SORT_ASCEND,
                                  .sort_target = KV_SORT_CREATE};
}

/* --- waiting --- */

static void on_events(struct kv_watch *watch, const struct kv_event *events,
                      size_t count, struct kv_header header)
{
    struct contest *t = container_of(watch, struct contest, watch);
    (void)header;
    for (size_t i = 0; i < count; i++) {
        if (events[i].type == KV_EVENT_DELETE) {
            stop_watching(t);
            contest_wait(t);
            return;
        }
    }
}

/* Whatever ended it: looking again tells where things stand. */
static void on_end(struct kv_watch *watch, enum status why,
                   int64_t compact_revision)
{
    struct contest *t = container_of(watch, struct contest, watch);
    (void)compact_revision;
    t->watching = false;
    if (why == ST_COMPACTED || why == ST_TOO_MANY) {
        contest_wait(t);
    } else {
        contest_fail(t, api_error_of(why));
    }
}

static void looked(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, range.call);
    struct contest *t = contest_of(c);
    if (!contest_back(t)) {
        return;
    }
    if (c->range.result.items_count == 0) {
        t->won(t);
        return;
    }
    buf_clear(&t->awaited);
    buf_append(&t->awaited, c->range.result.items[0].key);
    t->watch =
        (struct kv_watch){.keys.key = buf_bytes(&t->awaited),
                          .start_revision = c->range.call.header.revision + 1,
                          .on_events = on_events,
                          .on_end = on_end};
    t->watching = true;
    kv_watch(c->api->kv, &t->watch);
}

void contest_wait(struct contest *t)
{
    struct api_call *c = t->call;
    must(!t->watching);
    c->range = (struct kv_range){
        .spec = {.keys = {buf_bytes(&t->prefix), buf_bytes(&t->prefix_end)},
                 .limit = 1,
                 .sort_order = KV_SORT_DESCEND,
                 .sort_target = KV_SORT_CREATE,
                 .max_create_revision = t->create_revision - 1}};
    api_submit_range(c, looked);
}
