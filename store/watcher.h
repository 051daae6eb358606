/* Watchers and their places in the hub: between watch.c and deliver.c. */
#ifndef STORE_WATCHER_H
#define STORE_WATCHER_H

#include "kv/kv.h"
#include "store/hub.h"

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

uint64_t watcher_hash(struct bytes key);

/* Out of its place; it has to be given another, or discarded. */
void watcher_leave(struct hub *h, struct watcher *w);
void watcher_enter_synced(struct hub *h, struct watcher *w);
/* Its end is told by the next delivery. */
void watcher_enter_ended(struct hub *h, struct watcher *w, enum status why);
/* It is nobody's any more: freed, after the delivery if one is under way. */
void watcher_discard(struct hub *h, struct watcher *w);
/* Frees those that were discarded during a delivery. */
void hub_bury(struct hub *h);

#endif
