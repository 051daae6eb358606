/* Intrusive binary min-heap, for timers: push, pop and remove in O(log n).
 * Ties are broken by order of insertion, so that runs repeat exactly. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    int64_t at;   /* the order; set by heap_push */
    uint64_t tie; /* private */
    size_t place; /* private: index + 1; 0 when outside */
};

/* Zeroed is empty; heap_fini() frees the array, not the nodes. */
struct heap {
    struct heap_node **nodes;
    size_t count; /* read-only */
    size_t capacity;
    uint64_t ties;
};

void heap_fini(struct heap *h);
void heap_push(struct heap *h, struct heap_node *node, int64_t at);
/* The least; NULL when empty. It stays inside. */
struct heap_node *heap_first(const struct heap *h);
/* Harmless when the node is outside. */
void heap_remove(struct heap *h, struct heap_node *node);

static inline bool heap_has(const struct heap_node *node)
{
    return node->place != 0;
}

#endif
