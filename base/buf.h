/* A growing byte buffer.  A zeroed struct is an empty one; buf_fini() accepts
 * it.  Growth doubles, so n appended bytes cost O(n).  Stops the process when
 * memory cannot be had: whoever appends what came from outside bounds it
 * first. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/bytes.h"

struct buf {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

void buf_fini(struct buf *b);
/* Room for `size` more bytes behind the present ones; they are not counted
 * until buf_extend() or an append. Returns where they begin. */
uint8_t *buf_reserve(struct buf *b, size_t size);
/* Adds `size` uninitialised bytes and returns where they begin. */
uint8_t *buf_extend(struct buf *b, size_t size);
void buf_append(struct buf *b, struct bytes more); /* may not alias b */
void buf_append_byte(struct buf *b, uint8_t byte);
/* Sets the size; new bytes are zero. */
void buf_resize(struct buf *b, size_t size);

static inline void buf_clear(struct buf *b)
{
    b->size = 0;
}

/* Borrowed: valid until the buffer changes. */
static inline struct bytes buf_bytes(const struct buf *b)
{
    return (struct bytes){b->data, b->size};
}

#endif
