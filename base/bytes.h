/* A range of bytes that somebody else owns. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *data; /* may be NULL when size is 0 */
    size_t size;         /* bytes */
};

#define BYTES_NONE ((struct bytes){NULL, 0})

/* A string literal or C string, without its terminating NUL. */
static inline struct bytes bytes_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

/* Bytewise order; the shorter one first when one is the other's beginning. */
static inline int bytes_compare(struct bytes a, struct bytes b)
{
    const size_t size = a.size < b.size ? a.size : b.size;
    const int order = size > 0 ? memcmp(a.data, b.data, size) : 0;
    if (order != 0) {
        return order;
    }
    return a.size < b.size ? -1 : a.size > b.size;
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size &&
           (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool bytes_starts_with(struct bytes b, struct bytes prefix)
{
    return b.size >= prefix.size &&
           (prefix.size == 0 || memcmp(b.data, prefix.data, prefix.size) == 0);
}

/* What is left after the first `skip` bytes; skip <= size. */
static inline struct bytes bytes_after(struct bytes b, size_t skip)
{
    /* NULL + 0 is undefined in C, and an empty range may have no address. */
    return skip == 0 ? b : (struct bytes){b.data + skip, b.size - skip};
}

#endif
