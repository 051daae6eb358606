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
    *c = (struct changes){0};
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
