/* The treap: ordered by key, heap-ordered by priority, so that its expected
 * depth is logarithmic whatever order the keys come in. */

#include "base/omap.h"

#include "base/hmap.h"
#include "base/must.h"

/* Where the parent, or the map, points to this node. */
static struct omap_node **place_of(struct omap *m, struct omap_node *node)
{
    if (node->parent == NULL) {
        return &m->root;
    }
    return node->parent->left == node ? &node->parent->left
                                      : &node->parent->right;
}

/* Puts `node` over its parent; the order of keys stays. */
static void rotate_up(struct omap *m, struct omap_node *node)
{
    struct omap_node *parent = node->parent;
    struct omap_node **place = place_of(m, parent);
    struct omap_node *moved;

    if (parent->left == node) {
        moved = node->right;
        parent->left = moved;
        node->right = parent;
    } else {
        moved = node->left;
        parent->right = moved;
        node->left = parent;
    }
    if (moved != NULL) {
        moved->parent = parent;
    }
    node->parent = parent->parent;
    parent->parent = node;
    *place = node;
}

struct omap_node *omap_insert(struct omap *m, struct omap_node *node)
{
    struct omap_node **place = &m->root;
    struct omap_node *parent = NULL;

    while (*place != NULL) {
        parent = *place;
        const int order = bytes_compare(node->key, parent->key);
        if (order == 0) {
            return parent;
        }
        place = order < 0 ? &parent->left : &parent->right;
    }
    node->left = node->right = NULL;
    node->parent = parent;
    node->priority = hash_u64(m->sequence++);
    *place = node;
    m->count++;
    while (node->parent != NULL && node->priority > node->parent->priority) {
        rotate_up(m, node);
    }
    return NULL;
}

void omap_remove(struct omap *m, struct omap_node *node)
{
    must(m->count > 0);
    must(*place_of(m, node) == node);
    while (node->left != NULL && node->right != NULL) {
        rotate_up(m, node->left->priority > node->right->priority
                         ? node->left
                         : node->right);
    }
    struct omap_node *child = node->left != NULL ? node->left : node->right;
    *place_of(m, node) = child;
    if (child != NULL) {
        child->parent = node->parent;
    }
    node->left = node->right = node->parent = NULL;
    m->count--;
}

struct omap_node *omap_find(const struct omap *m, struct bytes key)
{
    struct omap_node *node = omap_from(m, key);
    return node != NULL && bytes_equal(node->key, key) ? node : NULL;
}

struct omap_node *omap_from(const struct omap *m, struct bytes key)
{
    struct omap_node *best = NULL;
    struct omap_node *node = m->root;
    while (node != NULL) {
        const int order = bytes_compare(key, node->key);
        if (order == 0) {
            return node;
        }
        if (order < 0) {
            best = node;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return best;
}

static struct omap_node *leftmost(struct omap_node *node)
{
    while (node != NULL && node->left != NULL) {
        node = node->left;
    }
    return node;
}

struct omap_node *omap_first(const struct omap *m)
{
    return leftmost(m->root);
}

struct omap_node *omap_next(const struct omap_node *node)
{
    if (node->right != NULL) {
        return leftmost(node->right);
    }
    while (node->parent != NULL && node->parent->right == node) {
        node = node->parent;
    }
    return node->parent;
}
