/* See http2_memory.h.  Each block has a head that says its class. */

#include "net/http2_memory.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"

#define SMALLEST       ((size_t)64)
#define SPARE_SIZE_MAX ((size_t)16 << 20)
#define NO_CLASS       HTTP2_MEMORY_CLASSES /* larger: malloc's */

struct http2_block {
    size_t size; /* of what the user has */
    uint32_t class;
    struct http2_block *next; /* among the spare ones; the user's otherwise */
};
#define HEAD_SIZE 16

_Static_assert(offsetof(struct http2_block, next) == HEAD_SIZE,
               "the user's part is aligned as malloc's");

static uint32_t class_of(size_t size)
{
    uint32_t class = 0;
    while (class < NO_CLASS && SMALLEST << class < size) {
        class ++;
    }
    return class;
}

static struct http2_block *block_of(void *user)
{
    return (struct http2_block *)(void *)((char *)user - HEAD_SIZE);
}

void http2_memory_fini(struct http2_memory *m)
{
    for (size_t i = 0; i < HTTP2_MEMORY_CLASSES; i++) {
        while (m->spare[i] != NULL) {
            struct http2_block *b = m->spare[i];
            m->spare[i] = b->next;
            free(b);
        }
    }
    m->spare_size = 0;
}

void *http2_memory_get(struct http2_memory *m, size_t size)
{
    const uint32_t class = class_of(size);
    struct http2_block *b;
    if (class == NO_CLASS) {
        b = xmalloc(HEAD_SIZE + size);
        b->size = size;
    } else if (m->spare[class] != NULL) {
        b = m->spare[class];
        m->spare[class] = b->next;
        m->spare_size -= b->size;
    } else {
        b = xmalloc(HEAD_SIZE + (SMALLEST << class));
        b->size = SMALLEST << class;
    }
    b->class = class;
    return &b->next;
}

void http2_memory_put(struct http2_memory *m, void *block)
{
    if (block == NULL) {
        return;
    }
    struct http2_block *b = block_of(block);
    if (b->class == NO_CLASS || m->spare_size + b->size > SPARE_SIZE_MAX) {
        free(b);
        return;
    }
    m->spare_size += b->size;
    b->next = m->spare[b->class];
    m->spare[b->class] = b;
}

void *http2_memory_change(struct http2_memory *m, void *block, size_t size)
{
    if (block != NULL && block_of(block)->size >= size &&
        class_of(size) == block_of(block)->class) {
        return block;
    }
    void *new = http2_memory_get(m, size);
    if (block != NULL) {
        const size_t old = block_of(block)->size;
        memcpy(new, block, old < size ? old : size);
        http2_memory_put(m, block);
    }
    return new;
}
