/* Memory that is freed all at once: a result's arrays. A zeroed one is empty.
 */
#ifndef CLIENT_ARENA_H
#define CLIENT_ARENA_H

#include <stddef.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/must.h"

struct arena_block {
    struct arena_block *next;
    max_align_t data[];
};

struct arena {
    struct arena_block *blocks;
    size_t size; /* of all blocks */
};

/* Zeroed. */
static inline void *arena_new(struct arena *a, size_t count, size_t size)
{
    must(size > 0);
    must(count <= SIZE_MAX / 2 / size);
    struct arena_block *b = xcalloc(1, sizeof *b + count * size);
    b->next = a->blocks;
    a->blocks = b;
    a->size += count * size;
    return b->data;
}

static inline struct bytes arena_copy(struct arena *a, struct bytes b)
{
    if (b.size == 0) {
        return BYTES_NONE;
    }
    uint8_t *to = arena_new(a, b.size, 1);
    memcpy(to, b.data, b.size);
    return (struct bytes){to, b.size};
}

static inline void arena_fini(struct arena *a)
{
    while (a->blocks != NULL) {
        struct arena_block *b = a->blocks;
        a->blocks = b->next;
        free(b);
    }
    a->size = 0;
}

#endif
