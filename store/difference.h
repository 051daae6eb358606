/* What watches have to be told when the state is replaced by a later one whose
 * history does not reach back to it: for each key that differs the change that
 * leads from the one to the other, as if nothing had happened in between.
 *
 *   (new) -> WALKING, keys in order -> ORDERING, by revision -> whole
 *
 * Both take steps of a bounded size, and nothing is held between two of them:
 * the stores may be written, flushed and moved to another view meanwhile, as
 * long as `from` has the same revision.
 *
 * Told are, in this order (deliver.c):
 *   the keys that are gone, as deleted at the revision after `from`, in as many
 *   calls as it takes;
 *   those that are there, at the revision that they were put at, whole
 *   revisions in a call.
 * Whoever breaks off in between and asks again for what follows the last it was
 * told, asks for a revision that has been compacted, and hears so; or, from
 * `at` on, has been told all else.  (Where there is but one revision between
 * `from` and `at`, what is told at it is told in one call, for the same
 * reason.)
 *
 * Keys are remembered, values are not: those are looked up when the events are
 * handed out, so memory is bounded by the keys that differ. */
#ifndef STORE_DIFFERENCE_H
#define STORE_DIFFERENCE_H

#include "store/internal.h"

struct difference_row {
    struct bytes key;
    int64_t revision; /* that it was put at */
    uint32_t sub;
    uint32_t groups_changed;
};

struct difference_gone {
    struct bytes key;
    uint64_t ino; /* what it had, and when */
    int64_t mtime_ns;
    uint32_t groups_changed;
};

struct difference {
    int64_t from, at; /* the revisions compared */
    struct arena arena;
    struct difference_row *rows;
    struct difference_gone *gone; /* in order of keys */
    size_t rows_count, rows_capacity;
    size_t gone_count, gone_capacity;

    /* WALKING */
    struct buf next; /* the key to go on at */
    bool walked;
    /* ORDERING: runs of `run` rows are in order; those of rows[merged] and
     * behind are being merged, two at a time, into `spare`. */
    struct difference_row *spare; /* NULL: not begun, or over */
    size_t run, merged;
    size_t left, right; /* rows taken of the two runs at `merged` */
    bool ordered;

    size_t gone_told, rows_told;
};

struct difference *difference_new(int64_t from, int64_t at);
void difference_free(struct difference *d); /* NULL is fine */

/* Looks at so many keys, or orders so many rows, of what is live in `from` at
 * d->from, its newest revision, and in `to` at d->at. */
enum status difference_step(struct difference *d, struct store *from,
                            struct store *to, size_t rows_max,
                            struct fault *reterr) MUST_USE;
/* comparison.c: what was found, if it is whole; the caller's. */
struct difference *comparison_take(struct store_comparison *c);

static inline bool difference_is_whole(const struct difference *d)
{
    return d->ordered;
}

#endif
