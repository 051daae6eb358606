/* Compares: a key, or every key of a range, against an operand. */

#include "store/apply.h"

static bool holds(enum kv_compare_result wanted, int order)
{
    switch (wanted) {
    case KV_COMPARE_EQUAL:
        return order == 0;
    case KV_COMPARE_GREATER:
        return order > 0;
    case KV_COMPARE_LESS:
        return order < 0;
    case KV_COMPARE_NOT_EQUAL:
        return order != 0;
    }
    return false;
}

static bool item_holds(const struct kv_compare *c, const struct kv_item *item)
{
    int64_t number = 0;
    switch (c->target) {
    case KV_COMPARE_VERSION:
        number = item->version;
        break;
    case KV_COMPARE_CREATE:
        number = item->create_revision;
        break;
    case KV_COMPARE_MOD:
        number = item->mod_revision;
        break;
    case KV_COMPARE_VALUE:
        return holds(c->result, bytes_compare(item->value, c->value));
    case KV_COMPARE_LEASE:
        number = item->lease;
        break;
    }
    return holds(c->result, number < c->number ? -1 : number > c->number);
}

/* Nothing there compares as a key of zeros, but has no value to compare. */
static bool nothing_holds(const struct kv_compare *c)
{
    static const struct kv_item zeros;
    return c->target != KV_COMPARE_VALUE && item_holds(c, &zeros);
}

static enum status compare_one(const struct store *s,
                               const struct kv_compare *c, int64_t revision,
                               struct arena *arena, bool *ret,
                               struct fault *reterr)
{
    const struct kv_range_spec spec = {
        .keys = c->keys, .keys_only = c->target != KV_COMPARE_VALUE};
    struct kv_range_result found;
    const enum status st =
        range_run(s, &spec, revision, arena, false, &found, reterr);
    if (st != ST_OK) {
        return st;
    }
    *ret = found.items_count > 0 || nothing_holds(c);
    for (size_t i = 0; i < found.items_count && *ret; i++) {
        *ret = item_holds(c, &found.items[i]);
    }
    return ST_OK;
}

enum status compare_all(const struct store *s, const struct kv_compare *list,
                        size_t count, int64_t revision, bool *ret,
                        struct fault *reterr)
{
    struct arena arena = {0};
    enum status st = ST_OK;
    bool all = true;
    for (size_t i = 0; i < count && all && st == ST_OK; i++) {
        st = compare_one(s, &list[i], revision, &arena, &all, reterr);
        arena_clear(&arena);
    }
    arena_fini(&arena);
    *ret = all;
    return st;
}
