/* One delivery: what is new to all synced watchers, a slice of history to some
 * of those that catch up, and the ends that have to be told.
 *
 * Events are gathered first and handed out when all of a slice is known; the
 * callbacks may watch and unwatch whatever they like meanwhile.
 */

#include "base/must.h"
#include "store/difference.h"
#include "store/events.h"
#include "store/internal.h"
#include "store/watcher.h"

/* One slice: so many changes (store_options.watch_changes_max) are looked at
 * for one watcher that catches up, or handed to all that are synced, before
 * others have their turn; and at most so many bytes. */
#define SLICE_BYTES    ((uint64_t)4 << 20)
#define SLICE_WATCHERS 8u /* that catch up in one delivery */

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
    int64_t gone_by; /* deleted by then, nobody knows when; 0: as it says */
    struct kv_event event;
    bool prev_known;
    const struct kv_item *prev;
    enum status st;
    struct list *touched;
};

static void offer_to(struct offer *o, struct watcher *w)
{
    struct kv_event e = o->event;
    if (w->next_revision > o->change->version.mod_revision) {
        if (w->next_revision > o->gone_by) {
            return;
        }
        e.item.mod_revision = w->next_revision; /* perhaps not before */
    }
    if (w->prev_kv && !o->prev_known) {
        o->prev_known = true;
        const enum status st = prev_of(o->s, o->change, &o->prev);
        o->st = o->st == ST_OK ? st : o->st;
    }
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
            watcher_leave(h, w);
            watcher_enter_ended(h, w, w->why);
            continue;
        }
        w->watch->on_events(w->watch, events, count, header);
    }
}

static void offer_to_synced(struct offer *o)
{
    struct hub *h = &o->s->hub;
    const uint64_t hash = watcher_hash(o->change->key);
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
        watcher_leave(h, w);
        watcher_enter_ended(h, w, why);
    }
    struct list *link;
    while ((link = list_pop(&h->ranges)) != NULL) {
        watcher_enter_ended(h, container_of(link, struct watcher, link), why);
    }
}

/* --- what differs from the state that the watchers know --- */

/* What is told next, as a change of the state that is there now. */
static enum status change_of_next(const struct store *s,
                                  const struct difference *d, bool *ret_gone,
                                  struct change *ret)
{
    *ret_gone = d->gone_told < d->gone_count;
    if (*ret_gone) {
        const struct difference_gone *gone = &d->gone[d->gone_told];
        *ret = (struct change){
            .key = gone->key,
            .version = {.mod_revision = d->from + 1,
                        .tombstone = true,
                        .ino = gone->ino,
                        .mtime_ns = gone->mtime_ns,
                        .groups_changed = gone->groups_changed}};
        return ST_OK;
    }
    const struct difference_row *row = &d->rows[d->rows_told];
    bool found;
    *ret = (struct change){.key = row->key};
    /* It is there, compacted or not: nothing behind d->from is swept (S9). */
    const enum status st =
        find_live(s, row->key, d->at, &found, &ret->version, NULL);
    if (st == ST_OK && (!found || ret->version.mod_revision != row->revision)) {
        return ST_CORRUPT;
    }
    ret->version.moved = false; /* from where is not known */
    ret->version.attrs_only = false;
    ret->version.groups_changed = row->groups_changed;
    return st;
}

static bool difference_is_told(const struct difference *d)
{
    return d->gone_told == d->gone_count && d->rows_told == d->rows_count;
}

/* Whether what is told next has to be told in the same call as what was told
 * last (difference.h). */
static bool difference_goes_on(const struct difference *d)
{
    const bool is_one_revision = d->from + 2 >= d->at;
    if (d->gone_told < d->gone_count) {
        return is_one_revision;
    }
    const struct difference_row *row = &d->rows[d->rows_told];
    return d->rows_told > 0 ? row[-1].revision == row->revision
                            : is_one_revision && row->revision == d->from + 1;
}

static enum status offer_difference(struct store *s, struct list *touched)
{
    struct difference *d = s->hub.difference;
    enum status st = ST_OK;
    for (size_t i = 0;
         st == ST_OK && !difference_is_told(d) &&
         (i < s->options.watch_changes_max || difference_goes_on(d));
         i++) {
        struct change change;
        struct offer o = {.s = s, .change = &change, .touched = touched};
        bool gone;
        st = change_of_next(s, d, &gone, &change);
        o.gone_by = gone ? d->at : 0;
        if (st == ST_OK) {
            st = event_of(&change, &o.event, NULL);
        }
        if (st == ST_OK) {
            offer_to_synced(&o);
        }
        if (gone) {
            d->gone_told++;
        } else {
            d->rows_told++;
        }
    }
    return st;
}

static void forget_difference(struct hub *h)
{
    difference_free(h->difference);
    h->difference = NULL;
}

static void deliver_difference(struct store *s, struct kv_header header)
{
    struct hub *h = &s->hub;
    struct difference *d = h->difference;
    struct list touched;
    list_init(&touched);
    const enum status st = offer_difference(s, &touched);
    if (st != ST_OK) {
        h->delivered = s->state.numbers.revision;
        end_synced(h, st);
    } else if (difference_is_told(d)) {
        h->delivered = d->at;
    }
    if (h->delivered > d->from) {
        h->difference = NULL;
    }
    flush_batches(s, &touched, header);
    if (h->difference == NULL) {
        difference_free(d); /* its keys were in the events */
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
        forget_difference(h);
        h->delivered = newest;
        return;
    }
    if (h->difference != NULL) {
        deliver_difference(s, header);
        return;
    }
    /* What was not handed out is there still, compacted or not: garbage is
     * swept only up to what the hub has delivered (flush.c). */
    struct changes changes = {0};
    int64_t next = newest + 1;
    enum status st =
        changes_read(s, h->delivered + 1, newest,
                     (struct changes_bounds){NULL, s->options.watch_changes_max,
                                             SLICE_BYTES},
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
    if (w->next_revision > h->delivered) { /* it waits for what is to come */
        watcher_leave(h, w);
        watcher_enter_synced(h, w);
        return;
    }
    struct changes changes = {0};
    int64_t next = h->delivered + 1;
    enum status st = ST_COMPACTED;
    if (w->next_revision >= s->state.numbers.compact_revision) {
        st = changes_read(s, w->next_revision, h->delivered,
                          (struct changes_bounds){&w->keys,
                                                  s->options.watch_changes_max,
                                                  SLICE_BYTES},
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
    watcher_leave(h, w);
    if (st != ST_OK) {
        watcher_enter_ended(h, w, st);
        list_remove(&w->touched);
        w->events = NULL;
        w->events_count = w->events_capacity = 0;
        return;
    }
    w->next_revision = next;
    if (next > h->delivered) {
        watcher_enter_synced(h, w);
    } else {
        w->place = PLACE_CATCHING;
        list_push(&h->catching, &w->link);
    }
    flush_batches(s, &touched, header);
}

static void deliver_catching(struct store *s, struct kv_header header)
{
    struct hub *h = &s->hub;
    if (h->difference != NULL) {
        return;
    }
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
        watcher_discard(h, w);
        watch->on_end(watch, why,
                      why == ST_COMPACTED ? s->state.numbers.compact_revision
                                          : 0);
    }
}

bool store_end_watches(struct store *s, enum status why)
{
    struct hub *h = &s->hub;
    must(!h->delivering);
    h->delivering = true;
    forget_difference(h);
    hub_open(h);
    end_synced(h, why);
    struct list *link;
    while ((link = list_pop(&h->catching)) != NULL) {
        watcher_enter_ended(h, container_of(link, struct watcher, link), why);
    }
    const bool any = !list_is_empty(&h->ended);
    deliver_ends(s);
    h->delivering = false;
    h->delivered = s->state.numbers.revision;
    hub_bury(h);
    return any;
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
    hub_bury(h);
    arena_clear(&h->arena);
    return h->delivered < s->state.numbers.revision ||
           !list_is_empty(&h->catching) || !list_is_empty(&h->ended);
}
