/* Memory that is given out piece by piece and taken back all at once.
 *
 * Pieces are aligned to 8 bytes and never move.  Stops the process when memory
 * cannot be had; sizes from outside are bounded before they get here. */
#ifndef STORE_ARENA_H
#define STORE_ARENA_H

#include "base/bytes.h"

struct arena_chunk;

/* A zeroed struct is an empty arena; arena_fini() accepts it. */
struct arena {
    struct arena_chunk *chunks; /* the one being filled first */
    size_t left;                /* bytes free at the end of the first chunk */
    uint64_t size_bytes;        /* read-only: memory held, in bytes */
};

void arena_fini(struct arena *a);
/* Takes everything back; keeps one chunk of ordinary size for the next use. */
void arena_clear(struct arena *a);
void *arena_get(struct arena *a, size_t size);
void *arena_get_zeroed(struct arena *a, size_t size);
struct bytes arena_copy(struct arena *a, struct bytes b);

#endif
