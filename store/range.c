/* Ranges: etcd's rules (limit, count, filters, sorting), and listings grouped
 * at the next '/'. */

#include "store/internal.h"
#include "store/sort.h"

/* The items gathered so far; the array doubles within the arena. */
struct gather {
    struct arena *arena;
    struct kv_item *items;
    size_t count, capacity;
};

static struct kv_item *gather_add(struct gather *g)
{
    if (g->count == g->capacity) {
        const size_t capacity = g->capacity == 0 ? 8 : 2 * g->capacity;
        struct kv_item *items = arena_get(g->arena, capacity * sizeof *items);
        if (g->count > 0) {
            memcpy(items, g->items, g->count * sizeof *items);
        }
        g->items = items;
        g->capacity = capacity;
    }
    return &g->items[g->count++];
}

enum status range_check_revision(const struct store *s,
                                 const struct kv_range_spec *spec)
{
    const struct state_numbers *n = &s->state.numbers;
    if (spec->revision <= 0) {
        return ST_OK;
    }
    if (spec->revision > n->revision) {
        return ST_FUTURE_REVISION;
    }
    return spec->revision < n->compact_revision ? ST_COMPACTED : ST_OK;
}

static bool has_filters(const struct kv_range_spec *spec)
{
    return spec->min_mod_revision != 0 || spec->max_mod_revision != 0 ||
           spec->min_create_revision != 0 || spec->max_create_revision != 0;
}

static bool passes(const struct kv_range_spec *spec, const struct version *v)
{
    return (spec->min_mod_revision == 0 ||
            v->mod_revision >= spec->min_mod_revision) &&
           (spec->max_mod_revision == 0 ||
            v->mod_revision <= spec->max_mod_revision) &&
           (spec->min_create_revision == 0 ||
            v->create_revision >= spec->min_create_revision) &&
           (spec->max_create_revision == 0 ||
            v->create_revision <= spec->max_create_revision);
}

/* One range under way. */
struct ranging {
    const struct store *store;
    const struct kv_range_spec *spec;
    int64_t revision;
    bool at_newest;
    bool copy;
    bool custom; /* filtered, or in an order asked for: all is fetched first */
    bool sorted; /* not in key order */
    struct gather gather;
    int64_t count;
    bool more;
    uint64_t bytes;    /* of keys and values gathered */
    struct bytes next; /* where a slice ended */
    struct fault *reterr;
};

/* Whether items are still wanted, and no longer only counted.  A target without
 * an order sorts what a limit has let through, and one more, as etcd does. */
static bool wants_items(const struct ranging *r)
{
    const struct kv_range_spec *spec = r->spec;
    const uint64_t limit = (uint64_t)spec->limit + (r->sorted ? 1 : 0);
    return !spec->count_only &&
           (r->custom || spec->limit <= 0 || r->gather.count < limit);
}

static enum status found_key(struct ranging *r, struct bytes key,
                             struct version *v)
{
    const struct kv_range_spec *spec = r->spec;
    r->count++;
    if (!wants_items(r)) {
        r->more = !spec->count_only;
        return ST_OK;
    }
    if (!passes(spec, v)) {
        return ST_OK;
    }
    const bool by_value = r->sorted && spec->sort_target == KV_SORT_VALUE;
    struct kv_item item;
    const enum status st = item_of_version(
        r->gather.arena, key, v,
        (struct item_shape){.keys_only = spec->keys_only && !by_value,
                            .copy = r->copy},
        &item, r->reterr);
    if (st == ST_OK) {
        *gather_add(&r->gather) = item;
        r->bytes += item.key.size + item.value.size;
    }
    return st;
}

/* The size of the group that the key falls into; 0: it is listed itself. */
static size_t group_size(const struct kv_range_spec *spec, struct bytes key)
{
    if (!spec->grouped || key.size <= spec->group_from) {
        return 0;
    }
    const uint8_t *slash =
        memchr(key.data + spec->group_from, '/', key.size - spec->group_from);
    return slash == NULL ? 0 : (size_t)(slash - key.data) + 1;
}

static enum status found_group(struct ranging *r, struct bytes name,
                               const struct group *g)
{
    r->count++;
    if (!wants_items(r)) {
        r->more = !r->spec->count_only;
        return ST_OK;
    }
    *gather_add(&r->gather) = (struct kv_item){
        .key = r->copy ? arena_copy(r->gather.arena, name) : name,
        .ino = g->live ? g->ino : 0,
        .mtime_ns = g->live ? g->mtime_ns : 0,
        .group = true,
    };
    return ST_OK;
}

/* Whether the rest of the range need not be looked at. */
static bool done_early(const struct ranging *r)
{
    return r->spec->count_bounded && r->more;
}

/* What needs all items before it can give one comes whole. */
static bool is_sliced(const struct ranging *r)
{
    return !r->custom && !r->sorted && !r->spec->grouped;
}

static bool slice_is_full(const struct ranging *r)
{
    return r->spec->slice_bytes > 0 && is_sliced(r) &&
           r->bytes >= r->spec->slice_bytes;
}

/* The group that stands next, decided by the index alone: it says whether any
 * key is live below, so that a directory full of deleted keys costs one look.
 * *ret_passed false: the index cannot tell, or what stands next is no group. */
static enum status pass_group(struct ranging *r, struct merge *m,
                              bool *ret_passed)
{
    struct bytes key;
    *ret_passed = false;
    if (!r->at_newest || !merge_stands_on(m, &key)) {
        return ST_OK;
    }
    const struct bytes name = {key.data, group_size(r->spec, key)};
    if (name.size == 0 || group_of(name) != name.size) {
        return ST_OK;
    }
    struct group g;
    enum status st = find_group(r->store, name, &g, r->reterr);
    if (st != ST_OK) {
        return st;
    }
    const struct kv_keys *keys = &r->spec->keys;
    const struct bytes after = prefix_end(r->gather.arena, name);
    if (g.live) {
        const bool whole =
            bytes_compare(keys->key, name) <= 0 &&
            (keys_unbounded(keys) || bytes_compare(after, keys->end) <= 0);
        if (!whole) {
            return ST_OK; /* live, but perhaps not within the range */
        }
        st = found_group(r, name, &g);
    }
    *ret_passed = true;
    return st == ST_OK ? merge_seek(m, after, r->reterr) : st;
}

/* A group of an old revision, or beyond what is indexed. */
static enum status reach_group(struct ranging *r, struct bytes name)
{
    struct group g = {0};
    const enum status st = find_group(r->store, name, &g, r->reterr);
    return st == ST_OK ? found_group(r, name, &g) : st;
}

static enum status walk(struct ranging *r, struct merge *m)
{
    const struct kv_keys *keys = &r->spec->keys;
    enum status st = merge_seek(m, keys->key, r->reterr);
    while (st == ST_OK && !done_early(r) && !slice_is_full(r)) {
        struct bytes key;
        struct version v;
        bool found, passed = false;
        if (r->spec->grouped) {
            st = pass_group(r, m, &passed);
        }
        if (st != ST_OK || passed) {
            continue;
        }
        st = merge_next(m, &found, &key, &v, r->reterr);
        if (st != ST_OK || !found) {
            break;
        }
        const struct bytes name = {key.data, group_size(r->spec, key)};
        if (name.size == 0) {
            st = found_key(r, key, &v);
            continue;
        }
        st = reach_group(r, name);
        if (st == ST_OK) {
            st = merge_seek(m, prefix_end(r->gather.arena, name), r->reterr);
        }
    }
    return st;
}

static enum status run_single(struct ranging *r)
{
    const struct bytes key = r->spec->keys.key;
    struct version v;
    bool found;
    const enum status st =
        find_live(r->store, key, r->revision, &found, &v, r->reterr);
    if (st != ST_OK || !found) {
        return st;
    }
    const size_t size = group_size(r->spec, key);
    return size == 0 ? found_key(r, key, &v)
                     : reach_group(r, (struct bytes){key.data, size});
}

static enum status run_many(struct ranging *r)
{
    const struct kv_keys *keys = &r->spec->keys;
    if (!keys_unbounded(keys) && bytes_compare(keys->end, keys->key) <= 0) {
        return ST_OK;
    }
    struct merge m = {0};
    enum status st =
        merge_open(&m, r->store, r->revision, r->gather.arena, r->reterr);
    if (st == ST_OK) {
        m.end = keys_unbounded(keys) ? BYTES_NONE : keys->end;
        if (r->spec->slice_keys > 0 && is_sliced(r)) {
            m.keys_left = r->spec->slice_keys;
        }
        st = walk(r, &m);
    }
    struct bytes next;
    if (st == ST_OK && (m.paused || slice_is_full(r)) &&
        merge_stands_on(&m, &next)) {
        r->next = arena_copy(r->gather.arena, next);
    }
    merge_close(&m);
    return st;
}

/* Sorting and cutting after everything was fetched. */
static void finish_custom(struct ranging *r)
{
    const struct kv_range_spec *spec = r->spec;
    if (r->sorted) {
        sort_items(r->gather.items, r->gather.count, spec->sort_target,
                   spec->sort_order);
    }
    if (spec->limit > 0 && r->gather.count > (uint64_t)spec->limit) {
        r->gather.count = (size_t)spec->limit;
        r->more = true;
    }
    if (spec->keys_only) {
        for (size_t i = 0; i < r->gather.count; i++) {
            r->gather.items[i].value = BYTES_NONE;
        }
    }
}

enum status range_run(const struct store *s, const struct kv_range_spec *spec,
                      int64_t newest, struct arena *a, bool copy,
                      struct kv_range_result *ret, struct fault *reterr)
{
    struct ranging r = {
        .store = s,
        .spec = spec,
        .revision = spec->revision <= 0 ? newest : spec->revision,
        .at_newest = spec->revision <= 0 || spec->revision == newest,
        .copy = copy,
        .sorted = sort_is_needed(spec->sort_target, spec->sort_order),
        .gather = {.arena = a},
        .reterr = reterr,
    };
    r.custom =
        has_filters(spec) || (r.sorted && spec->sort_order != KV_SORT_NONE);
    const enum status st =
        keys_single(&spec->keys) ? run_single(&r) : run_many(&r);
    if (st != ST_OK) {
        return st;
    }
    if ((r.custom || r.sorted) && !spec->count_only) {
        finish_custom(&r);
    }
    *ret = (struct kv_range_result){.items = r.gather.items,
                                    .items_count = r.gather.count,
                                    .more = r.more,
                                    .count = r.count,
                                    .next = r.next};
    return ST_OK;
}
