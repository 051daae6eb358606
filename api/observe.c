/* Election.Observe: every leader's every proclamation, as they come.
 *
 *   looking --a leader--> following its key --deleted--> looking
 *      \--none--> awaiting the first key below the name --put--> following
 *
 * A client that does not read is not fed: the watch is given up, and taken up
 * again with the next revision when there is room. */

#include <stdlib.h>

#include "api/contest.h"
#include "proto/election.pb-c.h"
#include "proto/kv_response.h"

struct observer {
    struct api_call *call;
    struct buf prefix, end;
    struct buf key; /* the leader's; empty: none is known */
    struct kv_watch watch;
    bool watching;
    bool full;
    bool look; /* rather than watch, when there is room */
    int64_t next_revision;
};

static void stop_watching(struct observer *o)
{
    if (o->watching) {
        o->watching = false;
        kv_unwatch(o->call->api->kv, &o->watch);
    }
}

static void observer_free(void *own)
{
    struct observer *o = own;
    stop_watching(o);
    buf_fini(&o->prefix);
    buf_fini(&o->end);
    buf_fini(&o->key);
    free(o);
}

static void look(struct observer *o);
static void watch(struct observer *o);

static void go_on(struct observer *o)
{
    if (o->full || o->watching || o->call->waiting != NULL) {
        return;
    }
    if (o->look) {
        look(o);
    } else {
        watch(o);
    }
}

/* Tells the leader, and follows its key from the next revision on. */
static void tell(struct observer *o, struct kv_header header,
                 const struct kv_item *item)
{
    if (o->key.size == 0) {
        buf_append(&o->key, item->key);
    }
    o->next_revision = header.revision + 1;
    struct buf *b = api_begin(o->call);
    kv_response_header(b, &header);
    kv_response_item(b, 2, item);
    o->full = !api_send(o->call);
}

static void on_events(struct kv_watch *w, const struct kv_event *events,
                      size_t count, struct kv_header header)
{
    struct observer *o = container_of(w, struct observer, watch);
    const bool awaiting = o->key.size == 0;
    for (size_t i = 0; i < count; i++) {
        if (events[i].type == KV_EVENT_DELETE && awaiting) {
            continue;
        }
        if (events[i].type == KV_EVENT_DELETE) {
            o->look = true;
            stop_watching(o);
            go_on(o);
            return;
        }
        header.revision = events[i].item.mod_revision;
        tell(o, header, &events[i].item);
        if (awaiting || o->full) {
            stop_watching(o);
            go_on(o);
            return;
        }
    }
    o->next_revision = events[count - 1].item.mod_revision + 1;
}

static void on_end(struct kv_watch *w, enum status why,
                   int64_t compact_revision)
{
    struct observer *o = container_of(w, struct observer, watch);
    (void)compact_revision;
    o->watching = false;
    if (why == ST_COMPACTED || why == ST_TOO_MANY) {
        o->look = true;
        go_on(o);
    } else {
        api_fail_status(o->call, why);
    }
}

static void watch(struct observer *o)
{
    const struct kv_keys all = {buf_bytes(&o->prefix), buf_bytes(&o->end)};
    const struct kv_keys one = {buf_bytes(&o->key), BYTES_NONE};
    o->watch = (struct kv_watch){.keys = o->key.size > 0 ? one : all,
                                 .start_revision = o->next_revision,
                                 .on_events = on_events,
                                 .on_end = on_end};
    o->watching = true;
    kv_watch(o->call->api->kv, &o->watch);
}

static void looked(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, range.call);
    if (!api_call_back(c)) {
        return;
    }
    struct observer *o = c->own;
    o->look = false;
    buf_clear(&o->key);
    if (c->range.result.items_count > 0) {
        tell(o, call->header, &c->range.result.items[0]);
    } else {
        o->next_revision = call->header.revision + 1;
    }
    go_on(o);
}

static void look(struct observer *o)
{
    struct api_call *c = o->call;
    c->range = (struct kv_range){
        .spec = contest_oldest(buf_bytes(&o->prefix), buf_bytes(&o->end))};
    api_submit_range(c, looked);
}

static void resume(struct api_call *c)
{
    struct observer *o = c->own;
    o->full = false;
    go_on(o);
}

void api_observe(struct api_call *c, struct bytes message)
{
    const V3electionpb__LeaderRequest *q =
        api_unpack(c, &v3electionpb__leader_request__descriptor, message);
    if (q == NULL) {
        return;
    }
    struct observer *o = xcalloc(1, sizeof *o);
    o->call = c;
    o->look = true;
    contest_prefix((struct bytes){q->name.data, q->name.len}, &o->prefix,
                   &o->end);
    c->own = o;
    c->free_own = observer_free;
    c->resume = resume;
    look(o);
}
