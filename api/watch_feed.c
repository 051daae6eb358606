/* Events on their way to clients: filters, fragments, parking, progress. */

#include <stdlib.h>

#include "api/watch.h"

/* How many watchers of one stream come back from parking in one turn: each
 * costs a look into history. */
#define UNPARK_MAX 32

/* etcd's overhead of a request over --max-request-bytes. */
#define OVERHEAD_BYTES ((size_t)512 << 10)

static struct api *api_of(const struct watch_stream *s)
{
    return s->method->api;
}

struct kv_header watch_header(const struct watch_stream *s, int64_t revision)
{
    struct kv_header h = api_status(api_of(s))->header;
    h.revision = revision;
    return h;
}

void watch_send(struct watch_stream *s, const struct kv_watch_response *r)
{
    kv_response_watch(grpc_begin_message(s->grpc), r);
    s->method->sent++;
    if (!grpc_end_message(s->grpc) && !s->full) {
        /* What it asks for next would be answered: not before it has read. */
        s->full = true;
        grpc_pause_reading(s->grpc);
    }
}

/* --- parking --- */

static void park(struct watcher *w)
{
    struct watch_stream *s = w->stream;
    must(!w->parked);
    w->parked = true;
    list_push(&s->parked, &w->parked_link);
    api_of(s)->counts.watchers_parked++;
    if (!s->full) {
        watch_make_busy(s);
    }
}

static void unpark(struct watcher *w)
{
    must(w->parked);
    w->parked = false;
    list_remove(&w->parked_link);
    api_of(w->stream)->counts.watchers_parked--;
    watch_feed(w);
}

/* --- events --- */

static bool wanted(const struct watcher *w, const struct kv_event *e)
{
    return e->type == KV_EVENT_PUT ? !w->no_put : !w->no_delete;
}

/* Those that pass the filters; allocated when some do not. */
static struct kv_event *filtered(const struct watcher *w,
                                 const struct kv_event *events, size_t count,
                                 size_t *ret_count)
{
    struct kv_event *copy = xmalloc(count * sizeof *copy);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (wanted(w, &events[i])) {
            copy[kept++] = events[i];
        }
    }
    *ret_count = kept;
    return copy;
}

/* As many events as fit into `most` bytes, at least one; events may be of one
 * revision and still go into several responses. */
static size_t fitting(const struct kv_watch_response *r, size_t most)
{
    struct kv_watch_response head = *r;
    head.events_count = 0;
    head.fragment = true;
    size_t size = kv_response_watch_size(&head);
    size_t count = 0;
    while (count < r->events_count) {
        size += kv_response_event_size(&r->events[count]);
        if (count > 0 && size >= most) {
            break;
        }
        count++;
    }
    return count;
}

static void send_events(struct watcher *w, struct kv_watch_response r)
{
    struct watch_stream *s = w->stream;
    const size_t most =
        (size_t)api_of(s)->options.request_bytes_max + OVERHEAD_BYTES;
    if (!w->fragment || r.events_count < 2 ||
        kv_response_watch_size(&r) < most) {
        watch_send(s, &r);
        return;
    }
    const struct kv_event *left = r.events;
    size_t left_count = r.events_count;
    while (left_count > 0) {
        r.events = left;
        r.events_count = left_count;
        r.events_count = fitting(&r, most);
        left += r.events_count;
        left_count -= r.events_count;
        r.fragment = left_count > 0;
        watch_send(s, &r);
    }
}

static void on_events(struct kv_watch *watch, const struct kv_event *events,
                      size_t count, struct kv_header header)
{
    struct watcher *w = container_of(watch, struct watcher, watch);
    struct watch_stream *s = w->stream;
    struct api *a = api_of(s);
    must(count > 0);
    if (s->full) {
        kv_unwatch(a->kv, watch);
        w->next_revision = events[0].item.mod_revision;
        park(w);
        return;
    }
    w->next_revision = events[count - 1].item.mod_revision + 1;
    struct kv_event *own = NULL;
    if (w->no_put || w->no_delete) {
        own = filtered(w, events, count, &count);
        events = own;
    }
    if (count > 0) {
        a->counts.events += count;
        w->progress_due = false;
        send_events(w, (struct kv_watch_response){.header = header,
                                                  .id = w->id,
                                                  .events = events,
                                                  .events_count = count});
    }
    free(own);
}

static void on_end(struct kv_watch *watch, enum status why,
                   int64_t compact_revision)
{
    struct watcher *w = container_of(watch, struct watcher, watch);
    struct watch_stream *s = w->stream;
    if (why == ST_TOO_MANY) {
        park(w); /* it did not keep up: from history, then */
        return;
    }
    if (why != ST_COMPACTED) {
        watch_end(s, api_error_of(why));
        return;
    }
    const int64_t id = w->id;
    watch_drop(w);
    watch_send(
        s, &(struct kv_watch_response){.header = watch_header(s, 0),
                                       .id = id,
                                       .canceled = true,
                                       .compact_revision = compact_revision});
}

void watch_feed(struct watcher *w)
{
    w->watch.start_revision = w->next_revision;
    w->watch.on_events = on_events;
    w->watch.on_end = on_end;
    kv_watch(api_of(w->stream)->kv, &w->watch);
}

/* --- progress --- */

/* Everything up to the present has been sent to it. */
static bool is_synced(const struct watcher *w, int64_t revision)
{
    return !w->parked &&
           kv_watched(api_of(w->stream)->kv, &w->watch) >= revision;
}

enum progress { PROGRESS_NOW, PROGRESS_LATER, PROGRESS_NEVER };

/* For all of them: nobody may hear of a revision up to which it still lacks an
 * event. One that waits for the future makes the question moot. */
static enum progress progress_of(const struct watch_stream *s, int64_t revision)
{
    enum progress p = s->watchers.count == 0 ? PROGRESS_NEVER : PROGRESS_NOW;
    for (size_t i = 0; i < s->watchers.buckets_count; i++) {
        for (struct hmap_node *n = s->watchers.buckets[i]; n != NULL;
             n = n->next) {
            const struct watcher *w = container_of(n, struct watcher, node);
            if (w->start_revision > revision) {
                return PROGRESS_NEVER;
            }
            if (!is_synced(w, revision)) {
                p = PROGRESS_LATER;
            }
        }
    }
    return p;
}

static void send_progress(struct watch_stream *s, int64_t id, int64_t revision)
{
    watch_send(s, &(struct kv_watch_response){
                      .header = watch_header(s, revision), .id = id});
}

static void notices_are_due(void *arg)
{
    struct watch_stream *s = arg;
    const int64_t revision = api_status(api_of(s))->header.revision;
    for (size_t i = 0; i < s->watchers.buckets_count && !s->full; i++) {
        for (struct hmap_node *n = s->watchers.buckets[i]; n != NULL;
             n = n->next) {
            struct watcher *w = container_of(n, struct watcher, node);
            if (w->progress && w->progress_due && is_synced(w, revision) &&
                w->start_revision <= revision) {
                send_progress(s, w->id, revision);
            }
            w->progress_due = true;
        }
    }
    watch_want_notices(s);
}

/* A tenth more or less, so that streams do not all speak at once. */
static int64_t notice_after_ns(const struct watch_stream *s)
{
    const int64_t interval =
        api_of(s)->options.progress_interval_ms * NS_PER_MS;
    const uint64_t chance =
        hash_u64((uint64_t)(uintptr_t)s ^ (uint64_t)loop_now_ns());
    return interval + (int64_t)(chance % (uint64_t)(interval / 10 + 1));
}

void watch_want_notices(struct watch_stream *s)
{
    if (s->progress_timer == NULL) {
        s->progress_timer = loop_timer_new(api_of(s)->loop, notices_are_due, s);
    }
    loop_timer_at(s->progress_timer, loop_now_ns() + notice_after_ns(s));
}

/* --- the end of a turn --- */

/* True: the stream has more to do in the next turn. */
static bool run_stream(struct watch_stream *s)
{
    unsigned left = UNPARK_MAX;
    while (!s->full && left > 0 && !list_is_empty(&s->parked)) {
        left--;
        unpark(container_of(s->parked.next, struct watcher, parked_link));
    }
    if (s->wants_progress) {
        const int64_t revision = api_fresh_status(api_of(s))->header.revision;
        const enum progress p = progress_of(s, revision);
        s->wants_progress = p == PROGRESS_LATER;
        if (p == PROGRESS_NOW) {
            send_progress(s, -1, revision);
        }
    }
    return s->wants_progress || (!s->full && !list_is_empty(&s->parked));
}

void api_watch_turn(struct api *a)
{
    struct list now; /* what is made busy meanwhile is the next turn's */
    list_init(&now);
    list_splice(&now, &a->busy_streams);
    struct list *node;
    while ((node = list_pop(&now)) != NULL) {
        struct watch_stream *s =
            container_of(node, struct watch_stream, busy_link);
        if (run_stream(s)) {
            watch_make_busy(s);
        }
    }
}

void api_watch_leader_lost(struct api *a)
{
    list_each_safe (node, &a->watch_streams) {
        struct watch_stream *s = container_of(node, struct watch_stream, link);
        if (s->wants_leader) {
            watch_end(s, api_error_of(ST_NO_LEADER));
        }
    }
}
