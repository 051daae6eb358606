/* Where a broken invariant ends the process. */

#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

void must_fail(const char *file, int line, const char *condition)
{
    (void)fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line,
                  condition);
    abort();
}

static void *checked(void *memory, size_t size)
{
    if (memory == NULL && size > 0) {
        (void)fprintf(stderr, "out of memory: %zu bytes\n", size);
        abort();
    }
    return memory;
}

void *xmalloc(size_t size)
{
    return checked(malloc(size > 0 ? size : 1), size);
}

void *xcalloc(size_t count, size_t size)
{
    return checked(calloc(count > 0 ? count : 1, size > 0 ? size : 1), size);
}

void *xrealloc(void *old, size_t size)
{
    return checked(realloc(old, size > 0 ? size : 1), size);
}
