/* etcdserverpb.Watch: the requests of one stream (etcd-surface 1.5). */

#include "api/watch.h"

#include <stdlib.h>

#include "proto/rpc.pb-c.h"

#define NO_ID (-1)

static struct api *api_of(const struct watch_stream *s)
{
    return s->method->api;
}

/* --- watchers --- */

static uint64_t hash_of(int64_t id)
{
    return hash_u64((uint64_t)id);
}

struct watcher *watch_find(const struct watch_stream *s, int64_t id)
{
    for (struct hmap_node *n = hmap_first(&s->watchers, hash_of(id)); n != NULL;
         n = hmap_next(n)) {
        struct watcher *w = container_of(n, struct watcher, node);
        if (w->id == id) {
            return w;
        }
    }
    return NULL;
}

void watch_drop(struct watcher *w)
{
    struct watch_stream *s = w->stream;
    struct api *a = api_of(s);
    if (w->parked) {
        list_remove(&w->parked_link);
        a->counts.watchers_parked--;
    } else {
        kv_unwatch(a->kv, &w->watch);
    }
    hmap_remove(&s->watchers, &w->node);
    a->counts.watchers--;
    free(w);
}

/* As etcd: the next number that is free, also of those that clients chose. */
static int64_t free_id(struct watch_stream *s)
{
    while (watch_find(s, s->next_id) != NULL) {
        s->next_id++;
    }
    return s->next_id++;
}

static struct watcher *watcher_new(struct watch_stream *s,
                                   const Etcdserverpb__WatchCreateRequest *q)
{
    const struct bytes key = {q->key.data, q->key.len};
    const struct bytes end = {q->range_end.data, q->range_end.len};
    struct watcher *w = xcalloc(1, sizeof *w + key.size + end.size);
    list_init(&w->parked_link);
    if (key.size > 0) {
        memcpy(w->keys, key.data, key.size);
    }
    if (end.size > 0) {
        memcpy(w->keys + key.size, end.data, end.size);
    }
    w->stream = s;
    w->watch.keys =
        (struct kv_keys){{w->keys, key.size}, {w->keys + key.size, end.size}};
    w->watch.prev_kv = q->prev_kv;
    w->start_revision = w->next_revision = q->start_revision;
    w->fragment = q->fragment;
    w->progress = w->progress_due = q->progress_notify;
    for (size_t i = 0; i < q->n_filters; i++) {
        w->no_put |= (int)q->filters[i] == 0;
        w->no_delete |= (int)q->filters[i] == 1;
    }
    return w;
}

static void refuse(struct watch_stream *s, const char *reason)
{
    const int64_t revision = api_status(api_of(s))->header.revision;
    watch_send(s,
               &(struct kv_watch_response){.header = watch_header(s, revision),
                                           .id = NO_ID,
                                           .created = true,
                                           .canceled = true,
                                           .cancel_reason = reason});
}

static bool is_empty(const Etcdserverpb__WatchCreateRequest *q)
{
    static const uint8_t zero[1] = {0};
    const struct bytes end = {q->range_end.data, q->range_end.len};
    const struct bytes key = q->key.len > 0
                                 ? (struct bytes){q->key.data, q->key.len}
                                 : (struct bytes){zero, 1};
    const bool open = end.size == 1 && end.data[0] == 0;
    return end.size > 0 && !open && bytes_compare(key, end) >= 0;
}

static void create(struct watch_stream *s,
                   const Etcdserverpb__WatchCreateRequest *q)
{
    struct api *a = api_of(s);
    if (q->start_revision < 0) {
        refuse(s, status_text(ST_COMPACTED));
        return;
    }
    if (is_empty(q)) {
        refuse(s, "mvcc: watcher range is empty");
        return;
    }
    if (q->watch_id != 0 && watch_find(s, q->watch_id) != NULL) {
        refuse(s, "mvcc: duplicate watch ID provided on the WatchStream");
        return;
    }
    struct watcher *w = watcher_new(s, q);
    w->id = q->watch_id != 0 ? q->watch_id : free_id(s);
    hmap_insert(&s->watchers, &w->node, hash_of(w->id));
    a->counts.watchers++;
    const int64_t revision = api_fresh_status(a)->header.revision;
    if (w->next_revision == 0) {
        w->next_revision = revision + 1;
    }
    if (w->progress) {
        watch_want_notices(s);
    }
    watch_send(s,
               &(struct kv_watch_response){.header = watch_header(s, revision),
                                           .id = w->id,
                                           .created = true});
    watch_feed(w);
}

/* An id that is not known is nobody's, and nothing is said about it. */
static void cancel(struct watch_stream *s, int64_t id)
{
    struct watcher *w = watch_find(s, id);
    if (w == NULL) {
        return;
    }
    watch_drop(w);
    const int64_t revision = api_status(api_of(s))->header.revision;
    watch_send(s,
               &(struct kv_watch_response){.header = watch_header(s, revision),
                                           .id = id,
                                           .canceled = true});
}

/* --- the stream --- */

void watch_make_busy(struct watch_stream *s)
{
    if (list_is_empty(&s->busy_link)) {
        list_push(&api_of(s)->busy_streams, &s->busy_link);
    }
}

void watch_free(struct watch_stream *s)
{
    struct hmap_node *node;
    while ((node = hmap_any(&s->watchers)) != NULL) {
        watch_drop(container_of(node, struct watcher, node));
    }
    hmap_fini(&s->watchers);
    loop_timer_free(s->progress_timer);
    list_remove(&s->link);
    list_remove(&s->busy_link);
    api_of(s)->counts.watch_streams--;
    free(s);
}

void watch_end(struct watch_stream *s, struct api_error why)
{
    struct api_method *m = s->method;
    struct grpc_call *grpc = s->grpc;
    watch_free(s);
    api_finish(m, grpc, why);
}

static void on_message(struct grpc_call *grpc, struct bytes message)
{
    struct watch_stream *s = grpc_call_state(grpc);
    const struct proto_limits limits = api_proto_limits(api_of(s));
    struct proto_budget budget;
    ProtobufCMessage *m;
    struct fault fault;
    s->method->received++;
    const enum status st =
        proto_unpack(&etcdserverpb__watch_request__descriptor, message, &limits,
                     &budget, &m, &fault);
    if (st != ST_OK) {
        watch_end(s, (struct api_error){GRPC_INTERNAL, fault.text});
        return;
    }
    const Etcdserverpb__WatchRequest *q = (const Etcdserverpb__WatchRequest *)m;
    switch (q->request_union_case) {
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST:
        create(s, q->create_request);
        break;
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CANCEL_REQUEST:
        cancel(s, q->cancel_request->watch_id);
        break;
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST:
        s->wants_progress = true;
        watch_make_busy(s);
        break;
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION__NOT_SET:
    case _ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION__CASE_IS_INT_SIZE:
        break; /* nothing is asked */
    }
    proto_free(&budget, m);
}

static void on_writable(struct grpc_call *grpc)
{
    struct watch_stream *s = grpc_call_state(grpc);
    s->full = false;
    grpc_resume_reading(grpc);
    if (!list_is_empty(&s->parked)) {
        watch_make_busy(s);
    }
}

static void on_cancel(struct grpc_call *grpc)
{
    struct watch_stream *s = grpc_call_state(grpc);
    s->method->handled[GRPC_CANCELLED]++;
    watch_free(s);
}

/* A client that has said all it wants goes on hearing what it asked for, so its
 * half-close is nothing to act upon. */
static const struct grpc_handler handler = {.on_message = on_message,
                                            .on_writable = on_writable,
                                            .on_cancel = on_cancel};

const struct grpc_handler *api_watch_begin(struct api_method *m,
                                           struct grpc_call *c)
{
    struct api *a = m->api;
    struct watch_stream *s = xcalloc(1, sizeof *s);
    s->method = m;
    s->grpc = c;
    s->wants_leader = api_wants_leader(c);
    list_init(&s->busy_link);
    list_init(&s->parked);
    list_push(&a->watch_streams, &s->link);
    a->counts.watch_streams++;
    if (s->wants_leader) {
        api_leader_timer_start(a);
    }
    grpc_call_set_state(c, s);
    return &handler;
}
