/* Memory for nghttp2: blocks of a few sizes that are kept for the next request,
 * since a turn's requests are more than malloc's own caches keep.
 *
 * Threads: none; one user. */
#ifndef NET_HTTP2_MEMORY_H
#define NET_HTTP2_MEMORY_H

#include <stddef.h>

#define HTTP2_MEMORY_CLASSES 6 /* 64 bytes, and each twice the one before */

struct http2_memory {
    struct http2_block *spare[HTTP2_MEMORY_CLASSES];
    size_t spare_size; /* bytes */
};

/* Zeroed is empty. What was given out has come back. */
void http2_memory_fini(struct http2_memory *m);

void *http2_memory_get(struct http2_memory *m, size_t size);
void http2_memory_put(struct http2_memory *m, void *block);
/* As realloc(). */
void *http2_memory_change(struct http2_memory *m, void *block, size_t size);

#endif
