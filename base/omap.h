/* Intrusive ordered map (a treap whose priorities come from a hash of the
 * node's address-free sequence number, so that runs repeat).  Keys are bytes
 * that the node's owner keeps alive and unchanged while it is inside. */
#ifndef BASE_OMAP_H
#define BASE_OMAP_H

#include "base/bytes.h"

struct omap_node {
    struct bytes key;
    struct omap_node *left, *right, *parent; /* private */
    uint64_t priority;                       /* private */
};

/* Zeroed is empty. */
struct omap {
    struct omap_node *root;
    size_t count; /* read-only */
    uint64_t sequence;
};

/* Inserts node under node->key and returns NULL; when the key is taken nothing
 * changes and the node that has it is returned. */
struct omap_node *omap_insert(struct omap *m, struct omap_node *node);
void omap_remove(struct omap *m, struct omap_node *node);
struct omap_node *omap_find(const struct omap *m, struct bytes key);
/* The first node whose key is >= key; NULL when there is none. */
struct omap_node *omap_from(const struct omap *m, struct bytes key);
struct omap_node *omap_first(const struct omap *m);
struct omap_node *omap_next(const struct omap_node *node);

#endif
