/* Watching: taking watchers in and letting them go; deliver.c feeds them. */

#include <stdlib.h>

#include "base/must.h"
#include "store/difference.h"
#include "store/internal.h"
#include "store/watcher.h"

void hub_init(struct hub *h, int64_t revision)
{
    *h = (struct hub){.delivered = revision};
    list_init(&h->ranges);
    list_init(&h->catching);
    list_init(&h->parked);
    list_init(&h->ended);
    list_init(&h->dead);
}

void hub_open(struct hub *h)
{
    h->closed = false;
    list_splice(&h->catching, &h->parked);
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

void hub_bury(struct hub *h)
{
    free_list(&h->dead);
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
    free_list(&h->parked);
    free_list(&h->ended);
    free_list(&h->dead);
    difference_free(h->difference);
    arena_fini(&h->arena);
}

uint64_t watcher_hash(struct bytes key)
{
    return hash_bytes(key, UINT64_C(0x77617463686b6579));
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

void watcher_leave(struct hub *h, struct watcher *w)
{
    if (w->place == PLACE_SINGLE) {
        hmap_remove(&h->single, &w->node);
    } else {
        list_remove(&w->link);
    }
}

void watcher_enter_synced(struct hub *h, struct watcher *w)
{
    if (keys_single(&w->keys)) {
        w->place = PLACE_SINGLE;
        hmap_insert(&h->single, &w->node, watcher_hash(w->keys.key));
    } else {
        w->place = PLACE_RANGE;
        list_push(&h->ranges, &w->link);
    }
}

void watcher_enter_ended(struct hub *h, struct watcher *w, enum status why)
{
    w->place = PLACE_ENDED;
    w->why = why;
    list_push(&h->ended, &w->link);
}

/* Where it belongs by the revision that it wants next. */
static void watcher_enter(struct hub *h, struct watcher *w)
{
    /* History has all of what it wants, so no difference is for it. */
    const bool waits =
        h->difference != NULL && w->next_revision == h->difference->at;
    if (w->next_revision > h->delivered && !waits) {
        watcher_enter_synced(h, w);
    } else {
        w->place = PLACE_CATCHING;
        list_push(h->closed ? &h->parked : &h->catching, &w->link);
    }
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
        watcher_enter_ended(h, w, ST_INVALID);
    } else if (w->next_revision < 0 || w->next_revision < n->compact_revision) {
        watcher_enter_ended(h, w, ST_COMPACTED);
    } else {
        watcher_enter(h, w);
    }
}

/* The watcher is nobody's any more. */
void watcher_discard(struct hub *h, struct watcher *w)
{
    w->watch->state = NULL;
    w->watch = NULL;
    watcher_leave(h, w);
    if (h->delivering) {
        list_push(&h->dead, &w->link);
    } else {
        watcher_free(w);
    }
}

void store_unwatch(struct store *s, struct kv_watch *watch)
{
    if (watch->state != NULL) {
        watcher_discard(&s->hub, watch->state);
    }
}

int64_t store_watched(const struct store *s, const struct kv_watch *watch)
{
    const struct watcher *w = watch->state;
    must(!s->hub.delivering);
    if (w == NULL) {
        return 0; /* it has ended */
    }
    return w->place == PLACE_SINGLE || w->place == PLACE_RANGE
               ? s->hub.delivered
               : w->next_revision - 1;
}

struct store_watches {
    struct list all; /* each wants next_revision first */
    struct list ended;
    int64_t delivered; /* those that want what follows this have all before */
    struct difference *difference; /* that does; NULL: history, or nothing */
};

/* One that waits for a later revision goes on waiting for it. */
static void detach(struct store_watches *to, struct watcher *w)
{
    if (w->next_revision <= to->delivered) {
        w->next_revision = to->delivered + 1;
    }
    list_push(&to->all, &w->link);
}

struct store_watches *store_take_watches(struct store *s,
                                         struct store_comparison *c)
{
    struct hub *h = &s->hub;
    struct store_watches *take = xmalloc(sizeof *take);
    must(!h->delivering);
    *take = (struct store_watches){.delivered = h->delivered,
                                   .difference =
                                       c != NULL ? comparison_take(c) : NULL};
    list_init(&take->all);
    list_init(&take->ended);
    struct hmap_node *node;
    while ((node = hmap_any(&h->single)) != NULL) {
        struct watcher *w = container_of(node, struct watcher, node);
        watcher_leave(h, w);
        detach(take, w);
    }
    struct list *link;
    while ((link = list_pop(&h->ranges)) != NULL) {
        detach(take, container_of(link, struct watcher, link));
    }
    hub_open(h);
    list_splice(&take->all, &h->catching);
    list_splice(&take->ended, &h->ended);
    return take;
}

/* What the hub has handed out is what its watchers had where they come from, if
 * it can go on from there. */
static void hub_go_back(struct store *s, struct store_watches *take)
{
    struct hub *h = &s->hub;
    const int64_t compacted = s->state.numbers.compact_revision;
    if (take->delivered >= h->delivered) {
        return;
    }
    if (take->delivered + 1 >= compacted) {
        h->delivered = take->delivered;
    } else if (take->difference != NULL) {
        must(take->difference->from == take->delivered &&
             take->difference->at == compacted);
        h->delivered = take->delivered;
        h->difference = take->difference;
        take->difference = NULL;
    }
}

void store_give_watches(struct store *s, struct store_watches *take)
{
    struct hub *h = &s->hub;
    struct list *link;
    must(!h->delivering && h->difference == NULL);
    hub_go_back(s, take);
    while ((link = list_pop(&take->all)) != NULL) {
        watcher_enter(h, container_of(link, struct watcher, link));
    }
    list_splice(&h->ended, &take->ended);
    difference_free(take->difference);
    free(take);
}
