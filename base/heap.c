/* The binary min-heap. */

#include "base/heap.h"

#include <stdlib.h>

#include "base/must.h"

#define HEAP_CAPACITY_MIN 16

void heap_fini(struct heap *h)
{
    free(h->nodes);
    *h = (struct heap){0};
}

static bool is_before(const struct heap_node *a, const struct heap_node *b)
{
    return a->at != b->at ? a->at < b->at : a->tie < b->tie;
}

static void set(struct heap *h, size_t index, struct heap_node *node)
{
    h->nodes[index] = node;
    node->place = index + 1;
}

/* Finds the node's place at `index` or above it. */
static void sift_up(struct heap *h, size_t index, struct heap_node *node)
{
    while (index > 0) {
        const size_t parent = (index - 1) / 2;
        if (!is_before(node, h->nodes[parent])) {
            break;
        }
        set(h, index, h->nodes[parent]);
        index = parent;
    }
    set(h, index, node);
}

/* Finds the node's place at `index` or below it. */
static void sift_down(struct heap *h, size_t index, struct heap_node *node)
{
    for (;;) {
        size_t child = index * 2 + 1;
        if (child >= h->count) {
            break;
        }
        if (child + 1 < h->count &&
            is_before(h->nodes[child + 1], h->nodes[child])) {
            child++;
        }
        if (!is_before(h->nodes[child], node)) {
            break;
        }
        set(h, index, h->nodes[child]);
        index = child;
    }
    set(h, index, node);
}

void heap_push(struct heap *h, struct heap_node *node, int64_t at)
{
    must(!heap_has(node));
    if (h->count == h->capacity) {
        const size_t capacity =
            h->capacity > 0 ? h->capacity * 2 : HEAP_CAPACITY_MIN;
        h->nodes = xrealloc(h->nodes, capacity * sizeof(struct heap_node *));
        h->capacity = capacity;
    }
    node->at = at;
    node->tie = h->ties++;
    h->count++;
    sift_up(h, h->count - 1, node);
}

struct heap_node *heap_first(const struct heap *h)
{
    return h->count > 0 ? h->nodes[0] : NULL;
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    if (!heap_has(node)) {
        return;
    }
    const size_t index = node->place - 1;
    must(index < h->count);
    must(h->nodes[index] == node);

    node->place = 0;
    h->count--;
    struct heap_node *last = h->nodes[h->count];
    if (last == node) {
        return;
    }
    if (is_before(last, node)) {
        sift_up(h, index, last);
    } else {
        sift_down(h, index, last);
    }
}
