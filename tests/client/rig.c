/* See rig.h. */

#include "rig.h"

#include <stdlib.h>

#include "base/must.h"

static void limit_reached(void *arg)
{
    (void)arg;
    fail_msg("waited for too long");
}

static void connection(void *arg, bool up, const char *endpoint,
                       const char *why)
{
    struct rig *r = arg;
    (void)why;
    r->ups += up;
    r->downs += !up;
    if (up) {
        (void)snprintf(r->endpoint, sizeof r->endpoint, "%s", endpoint);
    }
}

void rig_begin(struct rig *r)
{
    struct fault fault;
    *r = (struct rig){0};
    const struct loop_options options = {.spin_us = 0};
    EXPECT_INT(loop_new(&options, &r->loop, &fault), ST_OK);
    r->limit = loop_timer_new(r->loop, limit_reached, r);
}

void rig_connect(struct rig *r, const char *const *endpoints, size_t count,
                 const struct client_options *more)
{
    struct fault fault;
    struct client_options options = {0};
    if (more != NULL) {
        options = *more;
    }
    options.endpoints = endpoints;
    options.endpoints_count = count;
    options.on_connection = connection;
    options.arg = r;
    EXPECT_INT(client_new(r->loop, &options, &r->client, &fault), ST_OK);
    r->kv = client_kv(r->client);
}

void rig_disconnect(struct rig *r)
{
    client_free(r->client);
    r->client = NULL;
    r->kv = NULL;
}

void rig_end(struct rig *r)
{
    rig_disconnect(r);
    loop_timer_free(r->limit);
    loop_free(r->loop);
}

/* --- waiting --- */

struct waiting {
    struct loop_hook hook;
    struct rig *rig;
    const bool *done;
};

static bool look(void *arg)
{
    struct waiting *w = arg;
    if (*w->done) {
        loop_stop(w->rig->loop);
    }
    return false;
}

void rig_until(struct rig *r, const bool *done)
{
    struct waiting w = {.hook = {.run = look, .arg = &w}, .rig = r};
    w.done = done;
    if (*done) {
        return;
    }
    loop_timer_at(r->limit, loop_now_ns() + RIG_LIMIT_S * INT64_C(1000000000));
    loop_hook_add(r->loop, &w.hook);
    loop_run(r->loop);
    loop_hook_remove(&w.hook);
    loop_timer_clear(r->limit);
}

static void set_true(void *arg)
{
    *(bool *)arg = true;
}

void rig_for_ms(struct rig *r, int64_t ms)
{
    bool over = false;
    struct loop_timer *t = loop_timer_new(r->loop, set_true, &over);
    loop_timer_at(t, loop_now_ns() + ms * 1000000);
    rig_until(r, &over);
    loop_timer_free(t);
}

/* --- text --- */

static void say(char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void say(char *text, size_t size, const char *format, ...)
{
    const size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    const int more = vsnprintf(text + used, size - used, format, args);
    va_end(args);
    must(more >= 0);
    must((size_t)more < size - used);
}

static int width(struct bytes b)
{
    return (int)(b.size < 200 ? b.size : 200);
}

static void say_item(const struct kv_item *i, char *text, size_t size)
{
    if (i->group) {
        say(text, size, "%.*s ", width(i->key), (const char *)i->key.data);
        return;
    }
    say(text, size, "%.*s=%.*s@%lld,%lld,%lld", width(i->key),
        (const char *)i->key.data, width(i->value),
        i->value.size > 0 ? (const char *)i->value.data : "",
        (long long)i->create_revision, (long long)i->mod_revision,
        (long long)i->version);
    if (i->value.size == 0 && i->value_size > 0) {
        say(text, size, "(%llu)", (unsigned long long)i->value_size);
    }
    if (i->lease != 0) {
        say(text, size, "L%lld", (long long)i->lease);
    }
    say(text, size, " ");
}

void say_range(const struct kv_range_result *result, char *text, size_t size)
{
    for (size_t i = 0; i < result->items_count; i++) {
        say_item(&result->items[i], text, size);
    }
    say(text, size, "%s%lld", result->more ? "more " : "",
        (long long)result->count);
}

static void say_txn(const struct kv_txn_result *txn, char *text, size_t size)
{
    say(text, size, txn->succeeded ? "then[" : "else[");
    for (size_t i = 0; i < txn->results_count; i++) {
        const struct kv_op_result *r = &txn->results[i];
        say(text, size, i > 0 ? "; " : "");
        switch (r->type) {
        case KV_OP_RANGE:
            say_range(&r->range, text, size);
            break;
        case KV_OP_PUT:
            say(text, size, "put");
            if (r->put.prev != NULL) {
                say(text, size, " over ");
                say_item(r->put.prev, text, size);
            }
            break;
        case KV_OP_DELETE_RANGE:
            say(text, size, "deleted %lld", (long long)r->delete_range.deleted);
            break;
        case KV_OP_TXN:
            say_txn(r->txn, text, size);
            break;
        case KV_OP_MOVE:
            fail();
        }
    }
    say(text, size, "]");
}

/* --- requests --- */

struct kv_keys keys_of(const char *key, const char *end)
{
    struct kv_keys keys = {bytes_of(key), BYTES_NONE};
    if (end != NULL) {
        keys.end =
            *end == 0 ? (struct bytes){(const uint8_t *)"", 1} : bytes_of(end);
    }
    return keys;
}

struct asked {
    union {
        struct kv_call call;
        struct kv_range range;
        struct kv_txn txn;
        struct kv_compact compact;
    };
    char *text;
    size_t size;
    bool done;
};

static void range_done(struct kv_call *call)
{
    struct asked *a = container_of(call, struct asked, call);
    if (call->status == ST_OK && a->text != NULL) {
        say_range(&a->range.result, a->text, a->size);
    }
    a->done = true;
}

enum status rig_range(struct rig *r, const struct kv_range_spec *spec,
                      char *text, size_t size)
{
    struct asked a = {.text = text, .size = size};
    a.range = (struct kv_range){.call = {.done = range_done}, .spec = *spec};
    if (text != NULL) {
        *text = 0;
    }
    kv_range(r->kv, &a.range);
    rig_until(r, &a.done);
    return a.call.status;
}

static void txn_done(struct kv_call *call)
{
    struct asked *a = container_of(call, struct asked, call);
    if (call->status == ST_OK && a->text != NULL) {
        say_txn(&a->txn.result, a->text, a->size);
    }
    a->done = true;
}

static enum status txn(struct rig *r, const struct kv_txn_spec *spec,
                       char *text, size_t size, int64_t *ret_revision)
{
    struct asked a = {.text = text, .size = size};
    a.txn = (struct kv_txn){.call = {.done = txn_done}, .spec = *spec};
    if (text != NULL) {
        *text = 0;
    }
    kv_txn(r->kv, &a.txn);
    rig_until(r, &a.done);
    *ret_revision = a.call.header.revision;
    return a.call.status;
}

enum status rig_txn(struct rig *r, const struct kv_txn_spec *spec, char *text,
                    size_t size)
{
    int64_t revision;
    return txn(r, spec, text, size, &revision);
}

static enum status put(struct rig *r, const char *key, const char *value,
                       int64_t *ret_revision)
{
    const struct kv_op op = {
        .type = KV_OP_PUT,
        .put = {.key = bytes_of(key), .value = bytes_of(value)}};
    return txn(r, &(struct kv_txn_spec){.success = &op, .success_count = 1},
               NULL, 0, ret_revision);
}

int64_t rig_put(struct rig *r, const char *key, const char *value)
{
    int64_t revision;
    EXPECT_INT(put(r, key, value, &revision), ST_OK);
    return revision;
}

enum status rig_put_status(struct rig *r, const char *key, const char *value)
{
    int64_t revision;
    return put(r, key, value, &revision);
}

int64_t rig_delete(struct rig *r, const char *key, const char *end)
{
    int64_t revision;
    const struct kv_op op = {.type = KV_OP_DELETE_RANGE,
                             .delete_range = {.keys = keys_of(key, end)}};
    EXPECT_INT(txn(r, &(struct kv_txn_spec){.success = &op, .success_count = 1},
                   NULL, 0, &revision),
               ST_OK);
    return revision;
}

static void plain_done(struct kv_call *call)
{
    container_of(call, struct asked, call)->done = true;
}

enum status rig_compact(struct rig *r, int64_t revision)
{
    struct asked a = {.done = false};
    a.compact =
        (struct kv_compact){.call = {.done = plain_done}, .revision = revision};
    kv_compact(r->kv, &a.compact);
    rig_until(r, &a.done);
    return a.call.status;
}

struct asked_lease {
    struct kv_lease *lease;
    bool done;
};

static void lease_done(struct kv_call *call)
{
    /* The ids and keys are gone with this: the tests look at the counts. */
    ((struct asked_lease *)(uintptr_t)call->caller)->done = true;
}

enum status rig_lease(struct rig *r, struct kv_lease *lease)
{
    struct asked_lease a = {.lease = lease};
    lease->call.done = lease_done;
    lease->call.caller = (const struct kv_caller *)(const void *)&a;
    kv_lease(r->kv, lease);
    rig_until(r, &a.done);
    return lease->call.status;
}

/* --- watches --- */

static void events_came(struct kv_watch *watch, const struct kv_event *events,
                        size_t count, struct kv_header header)
{
    struct rig_watch *w = container_of(watch, struct rig_watch, watch);
    (void)header;
    for (size_t i = 0; i < count; i++) {
        const struct kv_item *item = &events[i].item;
        w->out_of_order |= item->mod_revision < w->last_revision;
        w->last_revision = item->mod_revision;
        if (strlen(w->text) < sizeof w->text - 1024) {
            say(w->text, sizeof w->text, "%s %.*s=%.*s@%lld ",
                events[i].type == KV_EVENT_PUT ? "put" : "delete",
                width(item->key), (const char *)item->key.data,
                width(item->value),
                item->value.size > 0 ? (const char *)item->value.data : "",
                (long long)item->mod_revision);
            if (events[i].prev != NULL) {
                say(w->text, sizeof w->text, "(%.*s) ",
                    width(events[i].prev->value),
                    (const char *)events[i].prev->value.data);
            }
        }
    }
    w->events += count;
}

static void watch_ended(struct kv_watch *watch, enum status why,
                        int64_t compact_revision)
{
    struct rig_watch *w = container_of(watch, struct rig_watch, watch);
    EXPECT(!w->ended);
    w->ended = true;
    w->why = why;
    w->compact_revision = compact_revision;
}

void rig_watch(struct rig *r, struct rig_watch *w, struct kv_keys keys,
               int64_t start_revision)
{
    w->watch.keys = keys;
    w->watch.start_revision = start_revision;
    w->watch.on_events = events_came;
    w->watch.on_end = watch_ended;
    kv_watch(r->kv, &w->watch);
}

struct wanted {
    struct loop_hook hook;
    const struct rig_watch *watch;
    size_t events;
    bool done;
};

static bool has_events(void *arg)
{
    struct wanted *w = arg;
    w->done = w->watch->events >= w->events;
    return false;
}

void rig_until_events(struct rig *r, const struct rig_watch *watch,
                      size_t events)
{
    struct wanted w = {.hook = {.run = has_events, .arg = &w},
                       .watch = watch,
                       .events = events};
    (void)has_events(&w);
    loop_hook_add(r->loop, &w.hook);
    rig_until(r, &w.done);
    loop_hook_remove(&w.hook);
}
