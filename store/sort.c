/* Orders of items. Ties are broken by key, so that the outcome is one. */

#include "store/sort.h"

#include <stdlib.h>

#include "base/must.h"

bool sort_is_needed(enum kv_sort_target target, enum kv_sort_order order)
{
    return target != KV_SORT_KEY || order == KV_SORT_DESCEND;
}

static int by_key(const void *a, const void *b)
{
    const struct kv_item *x = a;
    const struct kv_item *y = b;
    return bytes_compare(x->key, y->key);
}

static int by_number(int64_t a, int64_t b, const void *x, const void *y)
{
    if (a != b) {
        return a < b ? -1 : 1;
    }
    return by_key(x, y);
}

static int by_version(const void *a, const void *b)
{
    const struct kv_item *x = a;
    const struct kv_item *y = b;
    return by_number(x->version, y->version, a, b);
}

static int by_create(const void *a, const void *b)
{
    const struct kv_item *x = a;
    const struct kv_item *y = b;
    return by_number(x->create_revision, y->create_revision, a, b);
}

static int by_mod(const void *a, const void *b)
{
    const struct kv_item *x = a;
    const struct kv_item *y = b;
    return by_number(x->mod_revision, y->mod_revision, a, b);
}

static int by_value(const void *a, const void *b)
{
    const struct kv_item *x = a;
    const struct kv_item *y = b;
    const int order = bytes_compare(x->value, y->value);
    return order != 0 ? order : by_key(a, b);
}

static void reverse(struct kv_item *items, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        const struct kv_item kept = items[i];
        items[i] = items[count - 1 - i];
        items[count - 1 - i] = kept;
    }
}

void sort_items(struct kv_item *items, size_t count, enum kv_sort_target target,
                enum kv_sort_order order)
{
    int (*compare)(const void *, const void *) = NULL;
    switch (target) {
    case KV_SORT_KEY:
        compare = by_key;
        break;
    case KV_SORT_VERSION:
        compare = by_version;
        break;
    case KV_SORT_CREATE:
        compare = by_create;
        break;
    case KV_SORT_MOD:
        compare = by_mod;
        break;
    case KV_SORT_VALUE:
        compare = by_value;
        break;
    }
    must(compare != NULL);
    if (count > 1) {
        qsort(items, count, sizeof *items, compare);
    }
    if (order == KV_SORT_DESCEND) {
        reverse(items, count);
    }
}
