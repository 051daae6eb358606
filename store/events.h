/* The changes of past and present revisions, in order: what watchers are fed
 * with. */
#ifndef STORE_EVENTS_H
#define STORE_EVENTS_H

#include "store/arena.h"
#include "store/store.h"
#include "store/version.h"

/* One change; borrowed from memtable, map or arena. */
struct change {
    struct bytes key;
    struct version version;
};

struct changes {
    struct change *list;
    size_t count, capacity;
    size_t seen;    /* those of other keys included */
    uint64_t bytes; /* of keys and values */
};

/* How much one read may look at: it goes on past these bounds only to the end
 * of a revision. */
struct changes_bounds {
    const struct kv_keys *keys; /* only changes of these; NULL: all */
    size_t seen_max;
    uint64_t bytes_max;
};

/* Reads the changes of revisions from .. to; none of them may be
 * swept.  *ret_next is the first revision that was not read (to + 1 when
 * all were).  Values from disk are unchecked.
 *   ST_CORRUPT, ST_IO */
enum status changes_read(const struct store *s, int64_t from, int64_t to,
                         struct changes_bounds bounds, struct arena *a,
                         struct changes *ret, int64_t *ret_next,
                         struct fault *reterr) MUST_USE;

/* The key of the `events` row with the changes from `sub` on. */
#define EVENT_KEY_SIZE 12
void event_key_write(uint8_t *to, int64_t revision, uint32_t sub);
bool event_key_read(struct bytes from, int64_t *ret_revision,
                    uint32_t *ret_sub);

#endif
