/* What a watch has to be told when the state is replaced by a later one whose
 * history does not reach back to it: for each key that differs the change that
 * leads from the one to the other, as if nothing had happened in between.
 *
 * Keys are remembered, values are not: those are looked up when the events are
 * handed out (deliver.c), so memory is bounded by the keys that differ. */
#ifndef STORE_DIFFERENCE_H
#define STORE_DIFFERENCE_H

#include "store/internal.h"

struct difference_row {
    struct bytes key;
    int64_t
        revision; /* of the event: the version's, or `at` where it is gone */
    uint32_t sub;
    uint32_t groups_changed;
    bool gone;
    uint64_t ino; /* when it is gone: what it had, and when */
    int64_t mtime_ns;
};

struct difference {
    struct arena arena;
    struct difference_row *rows; /* in order of revisions */
    size_t count, capacity;
    size_t next; /* to be handed out */
    int64_t at;  /* the later state's revision that was compared */
};

/* Compares what is live in `from` at from_revision with what is live in `to` at
 * at. */
enum status difference_find(struct store *from, int64_t from_revision,
                            struct store *to, int64_t at,
                            const struct kv_keys *keys, struct difference **ret,
                            struct fault *reterr) MUST_USE;
void difference_free(struct difference *d); /* NULL is fine */

#endif
