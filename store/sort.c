/* Orders of items. Items that compare equal stay in key order. */

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

static int by_number(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int by_version(const void *a, const void *b)
{
    const struct kv_item *x = a;
    const struct kv_item *y = b;
    return by_number(x->version, y->version);
}

static int by_create(const void *a, const void *b)
{
    const struct kv_item *x = a;
    const struct kv_item *y = b;
    return by_number(x->create_revision, y->create_revision);
}

static int by_mod(const void *a, const void *b)
{
    const struct kv_item *x = a;
    const struct kv_item *y = b;
    return by_number(x->mod_revision, y->mod_revision);
}

static int by_value(const void *a, const void *b)
{
    const struct kv_item *x = a;
    const struct kv_item *y = b;
    return bytes_compare(x->value, y->value);
}

static void reverse(struct kv_item *items, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        const struct kv_item kept = items[i];
        items[i] = items[count - 1 - i];
        items[count - 1 - i] = kept;
    }
}

/* Puts runs of equal items back into key order after a reversal. */
static void reverse_ties(struct kv_item *items, size_t count,
                         int (*compare)(const void *, const void *))
{
    size_t from = 0;
    for (size_t i = 1; i <= count; i++) {
        if (i == count || compare(&items[from], &items[i]) != 0) {
            reverse(items + from, i - from);
            from = i;
        }
    }
}

/* Merge sort: items come in key order, and equal ones stay in it. */
static void sort_stable(struct kv_item *items, size_t count,
                        int (*compare)(const void *, const void *))
{
    struct kv_item *from = items;
    struct kv_item *other = xmalloc(count * sizeof *other);
    struct kv_item *to = other;
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t low = 0; low < count; low += 2 * width) {
            const size_t middle = low + width < count ? low + width : count;
            const size_t high =
                low + 2 * width < count ? low + 2 * width : count;
            size_t left = low;
            size_t right = middle;
            for (size_t i = low; i < high; i++) {
                const bool take_left =
                    left < middle &&
                    (right == high || compare(&from[left], &from[right]) <= 0);
                to[i] = from[take_left ? left++ : right++];
            }
        }
        struct kv_item *swap = from;
        from = to;
        to = swap;
    }
    if (from != items) {
        memcpy(items, from, count * sizeof *items);
    }
    free(other);
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
    if (count < 2) {
        return;
    }
    sort_stable(items, count, compare);
    if (order == KV_SORT_DESCEND) {
        reverse(items, count);
        reverse_ties(items, count, compare);
    }
}
