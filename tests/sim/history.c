/* The final history, and what every key was at every revision of it. */

#include "tests/sim/history.h"

#include <stdlib.h>

#include "base/must.h"

void changes_add(struct changes *c, struct change one)
{
    if (c->count == c->capacity) {
        c->capacity = c->capacity > 0 ? 2 * c->capacity : 64;
        c->list = xrealloc(c->list, c->capacity * sizeof *c->list);
    }
    c->list[c->count++] = one;
}

void changes_fini(struct changes *c)
{
    free(c->list);
    free(c->by_value);
    *c = (struct changes){0};
}

/* Negative, 0, positive: the change comes before what is looked for, is it, ...
 */
static int order(const struct change *c, uint32_t key, uint64_t value)
{
    if (c->value != value) {
        return c->value < value ? -1 : 1;
    }
    return c->key < key ? -1 : c->key > key;
}

static int by_value(const void *a, const void *b, void *list)
{
    const size_t i = *(const size_t *)a, k = *(const size_t *)b;
    const struct change *changes = list;
    const int o = order(&changes[i], changes[k].key, changes[k].value);
    return o != 0 ? o : i < k ? -1 : i > k;
}

void changes_index(struct changes *c)
{
    must(c->by_value == NULL);
    c->by_value = xcalloc(c->count + 1, sizeof c->by_value[0]);
    for (size_t i = 0; i < c->count; i++) {
        c->by_value[i] = i;
    }
    qsort_r(c->by_value, c->count, sizeof c->by_value[0], by_value, c->list);
}

const struct change *changes_find(const struct changes *c, uint32_t key,
                                  uint64_t value)
{
    size_t low = 0, high = c->count;
    must(c->by_value != NULL);
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (order(&c->list[c->by_value[middle]], key, value) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    const struct change *found =
        low < c->count ? &c->list[c->by_value[low]] : NULL;
    return found != NULL && order(found, key, value) == 0 ? found : NULL;
}

size_t changes_at(const struct changes *c, int64_t revision)
{
    size_t low = 0, high = c->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (c->list[middle].revision < revision) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

uint64_t value_at(const struct changes *c, uint32_t key, int64_t revision,
                  int64_t *ret_mod_revision)
{
    for (size_t i = changes_at(c, revision + 1); i > 0; i--) {
        const struct change *one = &c->list[i - 1];
        if (one->key == key) {
            *ret_mod_revision = one->value == 0 ? 0 : one->revision;
            return one->value;
        }
    }
    *ret_mod_revision = 0;
    return 0;
}

struct record *history_add(struct history *h)
{
    if (h->count == h->capacity) {
        h->capacity = h->capacity > 0 ? 2 * h->capacity : 1024;
        h->records = xrealloc(h->records, h->capacity * sizeof *h->records);
    }
    struct record *r = &h->records[h->count++];
    *r = (struct record){.end_ns = INT64_MAX};
    return r;
}

void history_index(struct history *h)
{
    must(h->file_puts == NULL);
    h->file_puts = xcalloc(h->count + 1, sizeof h->file_puts[0]);
    for (size_t i = 0; i < h->count; i++) {
        if (h->records[i].by_file && h->records[i].kind == CALL_PUT) {
            h->file_puts[h->file_puts_count++] = i;
        }
    }
}

void history_fini(struct history *h)
{
    free(h->records);
    free(h->file_puts);
    *h = (struct history){0};
}
