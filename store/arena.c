/* Arenas: chunks of one size, and a chunk of its own for each large piece. */

#include "store/arena.h"

#include <stdlib.h>

#include "base/must.h"

#define ALIGNMENT 8u

/* Small at first, so that thousands of idle arenas are cheap; later chunks
 * are larger, so that a memtable of many megabytes is few chunks. */
#define CHUNK_SIZE_FIRST ((size_t)4 << 10)
#define CHUNK_SIZE_MAX   ((size_t)256 << 10)

struct arena_chunk {
    struct arena_chunk *next;
    size_t size;
    uint8_t data[];
};

static struct arena_chunk *chunk_new(struct arena *a, size_t size)
{
    struct arena_chunk *c = xmalloc(sizeof *c + size);
    c->size = size;
    a->size_bytes += sizeof *c + size;
    return c;
}

void arena_fini(struct arena *a)
{
    while (a->chunks != NULL) {
        struct arena_chunk *next = a->chunks->next;
        free(a->chunks);
        a->chunks = next;
    }
    *a = (struct arena){0};
}

void arena_clear(struct arena *a)
{
    struct arena_chunk *keep = a->chunks;
    if (keep == NULL) {
        return;
    }
    a->chunks = keep->next;
    if (keep->size > CHUNK_SIZE_MAX) {
        free(keep);
        arena_fini(a);
        return;
    }
    arena_fini(a);
    keep->next = NULL;
    a->chunks = keep;
    a->left = keep->size;
    a->size_bytes = sizeof *keep + keep->size;
}

/* The size of the next ordinary chunk: twice what there is, within bounds. */
static size_t next_chunk_size(const struct arena *a)
{
    size_t size = CHUNK_SIZE_FIRST;
    while (size < CHUNK_SIZE_MAX && size < a->size_bytes) {
        size *= 2;
    }
    return size;
}

void *arena_get(struct arena *a, size_t size)
{
    must(size < SIZE_MAX / 2);
    size = size == 0 ? 1 : size;
    size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (a->chunks != NULL && size <= a->left) {
        struct arena_chunk *c = a->chunks;
        uint8_t *piece = c->data + (c->size - a->left);
        a->left -= size;
        return piece;
    }
    const size_t ordinary = next_chunk_size(a);
    if (size > ordinary / 2 && a->chunks != NULL) {
        /* A chunk of its own, behind the first, which stays in use. */
        struct arena_chunk *own = chunk_new(a, size);
        own->next = a->chunks->next;
        a->chunks->next = own;
        return own->data;
    }
    struct arena_chunk *c = chunk_new(a, size > ordinary ? size : ordinary);
    c->next = a->chunks;
    a->chunks = c;
    a->left = c->size - size;
    return c->data;
}

void *arena_get_zeroed(struct arena *a, size_t size)
{
    void *piece = arena_get(a, size);
    memset(piece, 0, size);
    return piece;
}

struct bytes arena_copy(struct arena *a, struct bytes b)
{
    if (b.size == 0) {
        return BYTES_NONE;
    }
    uint8_t *copy = arena_get(a, b.size);
    memcpy(copy, b.data, b.size);
    return (struct bytes){copy, b.size};
}
