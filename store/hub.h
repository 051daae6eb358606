/* The watch hub: who wants to hear of which changes.
 *
 * A watcher is synced when it has been given everything up to the revision that
 * the hub has delivered; the synced ones are fed together, each change being
 * looked at once.  A watcher that starts further back catches up by itself, a
 * bounded slice of history at a time, in turn with the others, until it is
 * there (README, invariants S8 and S9).
 *
 * When another state takes this one's place (comparison.c), everything that
 * this one has is told first, then the synced watchers are taken over there, in
 * place, with the difference.
 */
#ifndef STORE_HUB_H
#define STORE_HUB_H

#include "base/hmap.h"
#include "base/list.h"
#include "store/arena.h"

struct hub {
    struct hmap single;   /* synced watchers of one key, by the key's hash */
    struct list ranges;   /* synced watchers of ranges */
    struct list catching; /* watchers that are behind, in turn */
    struct list parked;   /* likewise, that came when it was closed */
    struct list ended;    /* watchers whose end has to be told */
    struct list dead;     /* unwatched during a delivery; freed after it */
    int64_t delivered;    /* revisions up to here have been handed out */
    bool delivering;
    bool closed; /* another state is about to take this one's place: who begins
                    in the past now, begins in that one's */
    /* What comes after `delivered`, before any history: those that are synced
     * are told it first, while those that catch up wait.  NULL: none. */
    struct difference *difference;
    struct arena arena; /* of the delivery under way */
};

void hub_init(struct hub *h, int64_t revision);
/* Forgets all watchers without telling them. */
void hub_fini(struct hub *h);
/* Not closed any more. */
void hub_open(struct hub *h);

#endif
