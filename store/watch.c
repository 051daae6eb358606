/* Watching: taking watchers in, feeding them, letting them go. */

#include <stdlib.h>

#include "base/must.h"
#include "store/events.h"
#include "store/internal.h"

/* One slice: so many changes are looked at for one watcher that catches up, or
 * handed to all that are synced, before others have their turn. */
#define SLICE_CHANGES  512u
#define SLICE_BYTES    ((uint64_t)4 << 20)
#define SLICE_WATCHERS 8u /* that catch up in one delivery */

#define HASH_SEED UINT64_C(0x77617463686b6579)

enum watcher_place { PLACE_SINGLE, PLACE_RANGE, PLACE_CATCHING, PLACE_ENDED };

struct watcher {
    struct list link;
    struct hmap_node node;
    enum watcher_place place;
    struct kv_watch *watch; /* NULL: unwatched */
    struct kv_keys keys;    /* copies */
    bool prev_kv;
    int64_t next_revision; /* first one wanted */
    enum status why;       /* when ended */

    /* The batch of the delivery under way. */
    struct kv_event *events;
    size_t events_count, events_capacity;
    struct list touched;
};

void hub_init(struct hub *h, int64_t revision)
{
    *h = (struct hub){.delivered = revision};
    list_init(&h->ranges);
    list_init(&h->catching);
    list_init(&h->ended);
    list_init(&h->dead);
}

static void watcher_free(struct watcher *w)
{
    free((void *)(uintptr_t)w->keys.key.data);
    free((void *)(uintptr_t)w->keys.end.data);
    free(w);
}

static void free_list(struct list *l)
{
    struct list *node;
    while ((node = list_pop(l)) != NULL) {
        watcher_free(container_of(node, struct watcher, link));
    }
}

void hub_fini(struct hub *h)
{
    struct hmap_node *node;
    if (h->ranges.next == NULL) {
        return; /* never initialised */
    }
    while ((node = hmap_any(&h->single)) != NULL) {
        hmap_remove(&h->single, node);
        watcher_free(container_of(node, struct watcher, node));
    }
    hmap_fini(&h->single);
    free_list(&h->ranges);
    free_list(&h->catching);
    free_list(&h->ended);
    free_list(&h->dead);
    arena_fini(&h->arena);
}

static struct bytes own_copy(struct bytes b)
{
    if (b.size == 0) {
        return BYTES_NONE;
    }
    uint8_t *copy = xmalloc(b.size);
    memcpy(copy, b.data, b.size);
    return (struct bytes){copy, b.size};
}

static void leave_place(struct hub *h, struct watcher *w)
{
    if (w->place == PLACE_SINGLE) {
        hmap_remove(&h->single, &w->node);
    } else {
        list_remove(&w->link);
    }
}

static void enter_synced(struct hub *h, struct watcher *w)
{
    if (keys_single(&w->keys)) {
        w->place = PLACE_SINGLE;
        hmap_insert(&h->single, &w->node, hash_bytes(w->keys.key, HASH_SEED));
    } else {
        w->place = PLACE_RANGE;
        list_push(&h->ranges, &w->link);
    }
}

static void enter_ended(struct hub *h, struct watcher *w, enum status why)
{
    w->place = PLACE_ENDED;
    w->why = why;
    list_push(&h->ended, &w->link);
}

void store_watch(struct store *s, struct kv_watch *watch)
{
    static const uint8_t zero[1] = {0};
    struct hub *h = &s->hub;
    const struct state_numbers *n = &s->state.numbers;
    struct watcher *w = xcalloc(1, sizeof *w);
    list_init(&w->link);
    list_init(&w->touched);
    w->watch = watch;
    w->prev_kv = watch->prev_kv;
    w->keys.key =
        own_copy(watch->keys.key.size > 0 ? watch->keys.key
                                          : (struct bytes){zero, sizeof zero});
    w->keys.end = own_copy(watch->keys.end);
    w->next_revision =
        watch->start_revision == 0 ? n->revision + 1 : watch->start_revision;
    watch->state = w;

    const bool empty = !keys_single(&w->keys) && !keys_unbounded(&w->keys) &&
                       bytes_compare(w->keys.end, w->keys.key) <= 0;
    if (empty) {
        enter_ended(h, w, ST_INVALID);
    } else if (w->next_revision < 0 || w->next_revision < n->compact_revision) {
        enter_ended(h, w, ST_COMPACTED);
    } else if (w->next_revision > h->delivered) {
        enter_synced(h, w);
    } else {
        w->place = PLACE_CATCHING;
        list_push(&h->catching, &w->link);
    }
}

/* The watcher is nobody's any more. */
static void discard(struct hub *h, struct watcher *w)
{
    w->watch->state = NULL;
    w->watch = NULL;
    leave_place(h, w);
    if (h->delivering) {
        list_push(&h->dead, &w->link);
    } else {
        watcher_free(w);
    }
}

void store_unwatch(struct store *s, struct kv_watch *watch)
{
    if (watch->state != NULL) {
        discard(&s->hub, watch->state);
    }
}

struct store_watches {
    struct list catching; /* each wants next_revision first */
    struct list ended;
};

static void detach(struct store_watches *to, struct watcher *w,
                   int64_t next_revision)
{
    w->next_revision = next_revision;
    w->place = PLACE_CATCHING;
    list_push(&to->catching, &w->link);
}

struct store_watches *store_take_watches(struct store *s)
{
    struct hub *h = &s->hub;
    struct store_watches *all = xmalloc(sizeof *all);
    must(!h->delivering);
    list_init(&all->catching);
    list_init(&all->ended);
    struct hmap_node *node;
    while ((node = hmap_any(&h->single)) != NULL) {
        struct watcher *w = container_of(node, struct watcher, node);
        leave_place(h, w);
        detach(all, w, h->delivered + 1);
    }
    struct list *link;
    while ((link = list_pop(&h->ranges)) != NULL) {
        detach(all, container_of(link, struct watcher, link), h->delivered + 1);
    }
    list_splice(&all->catching, &h->catching);
    list_splice(&all->ended, &h->ended);
    return all;
}

void store_give_watches(struct store *s, struct store_watches *take)
{
    must(!s->hub.delivering);
    list_splice(&s->hub.catching, &take->catching);
    list_splice(&s->hub.ended, &take->ended);
    free(take);
}

/* --- one delivery --- */

/* A change as an event; without `prev`. */
static enum status event_of(struct change *c, struct kv_event *ret,
                            struct fault *reterr)
{
    struct version *v = &c->version;
    *ret = (struct kv_event){
        .type = v->tombstone ? KV_EVENT_DELETE : KV_EVENT_PUT,
        .groups_changed = v->groups_changed,
        .attrs_only = v->attrs_only,
    };
    if (v->moved && v->tombstone) {
        ret->moved_to = v->other;
    } else if (v->moved) {
        ret->moved_from = v->other;
    }
    return item_of_version(NULL, c->key, v, (struct item_shape){0}, &ret->item,
                           reterr);
}

static enum status prev_of(struct store *s, const struct change *c,
                           const struct kv_item **ret)
{
    struct hub *h = &s->hub;
    const int64_t before = c->version.mod_revision - 1;
    struct version v;
    bool found;
    *ret = NULL;
    if (before < s->state.numbers.compact_revision) {
        return ST_OK;
    }
    enum status st = find_live(s, c->key, before, &found, &v, NULL);
    if (st == ST_OK && found) {
        struct kv_item *item = arena_get(&h->arena, sizeof *item);
        st = item_of_version(&h->arena, c->key, &v, (struct item_shape){0},
                             item, NULL);
        *ret = item;
    }
    return st;
}

static void batch_add(struct hub *h, struct watcher *w,
                      const struct kv_event *e, struct list *touched)
{
    if (w->events_count == w->events_capacity) {
        const size_t capacity =
            w->events_capacity == 0 ? 4 : 2 * w->events_capacity;
        struct kv_event *events =
            arena_get(&h->arena, capacity * sizeof *events);
        if (w->events_count > 0) {
            memcpy(events, w->events, w->events_count * sizeof *events);
        }
        w->events = events;
        w->events_capacity = capacity;
    }
    if (list_is_empty(&w->touched)) {
        list_push(touched, &w->touched);
    }
    w->events[w->events_count++] = *e;
}

/* One change, the event made of it, and its `prev`, made when first wanted. */
struct offer {
    struct store *s;
    struct change *change;
    struct kv_event event;
    bool prev_known;
    const struct kv_item *prev;
    enum status st;
    struct list *touched;
};

static void offer_to(struct offer *o, struct watcher *w)
{
    if (w->next_revision > o->change->version.mod_revision) {
        return;
    }
    if (w->prev_kv && !o->prev_known) {
        o->prev_known = true;
        const enum status st = prev_of(o->s, o->change, &o->prev);
        o->st = o->st == ST_OK ? st : o->st;
    }
    struct kv_event e = o->event;
    e.prev = w->prev_kv ? o->prev : NULL;
    batch_add(&o->s->hub, w, &e, o->touched);
    if (o->st != ST_OK) {
        w->why = o->st; /* told after this delivery */
    }
}

/* Hands out what was gathered; callbacks may watch, unwatch and free. */
static void flush_batches(struct store *s, struct list *touched,
                          struct kv_header header)
{
    struct hub *h = &s->hub;
    struct list *node;
    while ((node = list_pop(touched)) != NULL) {
        struct watcher *w = container_of(node, struct watcher, touched);
        const struct kv_event *events = w->events;
        const size_t count = w->events_count;
        w->events = NULL;
        w->events_count = w->events_capacity = 0;
        if (w->watch == NULL) {
            continue;
        }
        if (w->why != ST_OK) {
            leave_place(h, w);
            enter_ended(h, w, w->why);
            continue;
        }
        w->watch->on_events(w->watch, events, count, header);
    }
}

static void offer_to_synced(struct offer *o)
{
    struct hub *h = &o->s->hub;
    const uint64_t hash = hash_bytes(o->change->key, HASH_SEED);
    for (struct hmap_node *n = hmap_first(&h->single, hash); n != NULL;
         n = hmap_next(n)) {
        struct watcher *w = container_of(n, struct watcher, node);
        if (bytes_equal(w->keys.key, o->change->key)) {
            offer_to(o, w);
        }
    }
    list_each (node, &h->ranges) {
        struct watcher *w = container_of(node, struct watcher, link);
        if (keys_contain(&w->keys, o->change->key)) {
            offer_to(o, w);
        }
    }
}

/* Nothing can be read any more: all synced watchers end. */
static void end_synced(struct hub *h, enum status why)
{
    struct hmap_node *node;
    while ((node = hmap_any(&h->single)) != NULL) {
        struct watcher *w = container_of(node, struct watcher, node);
        leave_place(h, w);
        enter_ended(h, w, why);
    }
    struct list *link;
    while ((link = list_pop(&h->ranges)) != NULL) {
        enter_ended(h, container_of(link, struct watcher, link), why);
    }
}

static void deliver_synced(struct store *s, struct kv_header header)
{
    struct hub *h = &s->hub;
    const int64_t newest = s->state.numbers.revision;
    if (h->delivered >= newest) {
        return;
    }
    if (h->single.count == 0 && list_is_empty(&h->ranges)) {
        h->delivered = newest;
        return;
    }
    /* What was not handed out is there still, compacted or not: garbage is
     * swept only up to what the hub has delivered (flush.c). */
    struct changes changes = {0};
    int64_t next = newest + 1;
    enum status st =
        changes_read(s, h->delivered + 1, newest,
                     (struct changes_bounds){NULL, SLICE_CHANGES, SLICE_BYTES},
                     &h->arena, &changes, &next, NULL);
    struct list touched;
    list_init(&touched);
    for (size_t i = 0; i < changes.count && st == ST_OK; i++) {
        struct offer o = {
            .s = s, .change = &changes.list[i], .touched = &touched};
        st = event_of(o.change, &o.event, NULL);
        if (st == ST_OK) {
            offer_to_synced(&o);
        }
    }
    h->delivered = st == ST_OK ? next - 1 : newest;
    if (st != ST_OK) {
        end_synced(h, st);
    }
    flush_batches(s, &touched, header);
}

/* One slice of history for one watcher. */
static void catch_up(struct store *s, struct watcher *w,
                     struct kv_header header)
{
    struct hub *h = &s->hub;
    struct changes changes = {0};
    int64_t next = h->delivered + 1;
    enum status st = ST_COMPACTED;
    if (w->next_revision >= s->state.numbers.compact_revision) {
        st = changes_read(
            s, w->next_revision, h->delivered,
            (struct changes_bounds){&w->keys, SLICE_CHANGES, SLICE_BYTES},
            &h->arena, &changes, &next, NULL);
    }
    struct list touched;
    list_init(&touched);
    for (size_t i = 0; i < changes.count && st == ST_OK; i++) {
        struct offer o = {
            .s = s, .change = &changes.list[i], .touched = &touched};
        st = event_of(o.change, &o.event, NULL);
        if (st == ST_OK) {
            offer_to(&o, w);
        }
    }
    leave_place(h, w);
    if (st != ST_OK) {
        enter_ended(h, w, st);
        list_remove(&w->touched);
        w->events = NULL;
        w->events_count = w->events_capacity = 0;
        return;
    }
    w->next_revision = next;
    if (next > h->delivered) {
        enter_synced(h, w);
    } else {
        w->place = PLACE_CATCHING;
        list_push(&h->catching, &w->link);
    }
    flush_batches(s, &touched, header);
}

static void deliver_catching(struct store *s, struct kv_header header)
{
    struct hub *h = &s->hub;
    for (unsigned i = 0; i < SLICE_WATCHERS && !list_is_empty(&h->catching);
         i++) {
        catch_up(s, container_of(h->catching.next, struct watcher, link),
                 header);
    }
}

static void deliver_ends(struct store *s)
{
    struct hub *h = &s->hub;
    while (!list_is_empty(&h->ended)) {
        struct watcher *w = container_of(h->ended.next, struct watcher, link);
        struct kv_watch *watch = w->watch;
        const enum status why = w->why;
        discard(h, w);
        watch->on_end(watch, why,
                      why == ST_COMPACTED ? s->state.numbers.compact_revision
                                          : 0);
    }
}

bool store_deliver(struct store *s, struct kv_header header)
{
    struct hub *h = &s->hub;
    must(!h->delivering);
    h->delivering = true;
    deliver_synced(s, header);
    deliver_catching(s, header);
    deliver_ends(s);
    h->delivering = false;
    free_list(&h->dead);
    arena_clear(&h->arena);
    return h->delivered < s->state.numbers.revision ||
           !list_is_empty(&h->catching) || !list_is_empty(&h->ended);
}
