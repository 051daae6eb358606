/* Sorting a range's items as etcd's requests ask for it. */
#ifndef STORE_SORT_H
#define STORE_SORT_H

#include "kv/types.h"

/* Whether key order, in which items are found, is not what was asked for.
 * Another target with no order means ascending. */
bool sort_is_needed(enum kv_sort_target target, enum kv_sort_order order);
/* Items come in key order; equal ones stay in it, whichever way is sorted, so
 * that every node answers the same (and as etcd does for a few items). */
void sort_items(struct kv_item *items, size_t count, enum kv_sort_target target,
                enum kv_sort_order order);

#endif
