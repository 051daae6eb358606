/* Intrusive doubly linked list.  A head is a node that is linked to itself
 * when the list is empty.  Nothing is allocated. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/must.h"

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

/* For an empty head, and for a node that list_init() or list_remove() left
 * alone. */
static inline bool list_is_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_insert_before(struct list *at, struct list *node)
{
    node->prev = at->prev;
    node->next = at;
    at->prev->next = node;
    at->prev = node;
}

/* Appends node to the list of that head. */
static inline void list_push(struct list *head, struct list *node)
{
    list_insert_before(head, node);
}

/* Takes the node out and leaves it alone, so that removing twice is harmless.
 */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* The first node, taken out; NULL when the list is empty. */
static inline struct list *list_pop(struct list *head)
{
    if (list_is_empty(head)) {
        return NULL;
    }
    struct list *first = head->next;
    list_remove(first);
    return first;
}

/* Moves all nodes of *from, in order, to the end of *to. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_is_empty(from)) {
        return;
    }
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

/* The body may not remove `node`; list_each_safe lets it. */
#define list_each(node, head)                                                  \
    for (struct list *node = (head)->next; node != (head); node = node->next)

#define list_each_safe(node, head)                                             \
    for (struct list *node = (head)->next, *node##_next = node->next;          \
         node != (head); node = node##_next, node##_next = node->next)

#endif
