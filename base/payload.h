/* Immutable bytes with a count of their holders: a log entry's data is one
 * payload from the proposal to the last follower that needs it, never copied.
 * The count belongs to the loop's thread; other threads read the bytes while
 * the loop holds a reference for them. */
#ifndef BASE_PAYLOAD_H
#define BASE_PAYLOAD_H

#include <stdlib.h>

#include "base/bytes.h"
#include "base/must.h"

struct payload {
    uint32_t holders;
    uint32_t size;
    uint8_t data[];
};

/* With one holder, to be filled in before anybody else sees it. */
static inline struct payload *payload_new(size_t size)
{
    must(size <= UINT32_MAX);
    struct payload *p = xmalloc(sizeof *p + size);
    p->holders = 1;
    p->size = (uint32_t)size;
    return p;
}

static inline struct payload *payload_copy_of(struct bytes b)
{
    struct payload *p = payload_new(b.size);
    if (b.size > 0) {
        memcpy(p->data, b.data, b.size);
    }
    return p;
}

/* NULL stands for empty and may be held and dropped. */
static inline struct payload *payload_hold(struct payload *p)
{
    if (p != NULL) {
        p->holders++;
    }
    return p;
}

static inline void payload_drop(struct payload *p)
{
    if (p != NULL) {
        must(p->holders > 0);
        if (--p->holders == 0) {
            free(p);
        }
    }
}

static inline struct bytes payload_bytes(const struct payload *p)
{
    return p == NULL ? BYTES_NONE : (struct bytes){p->data, p->size};
}

#endif
