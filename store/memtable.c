/* The memtable: three skip lists (keys, groups, leases) and a vector of
 * changes.
 *
 * Heights come from a generator with a fixed seed, so that runs repeat.  The
 * lists share their shape: a node begins with (key, payload, prefix) and ends
 * in its towers; the search compares eight bytes as a number first and looks
 * at the whole keys only when those are equal.
 */

#include "store/memtable.h"

#include <stdlib.h>

#include "base/must.h"
#include "base/prng.h"

#define SEED UINT64_C(0x6b65656c6d656d74)

struct memtable {
    struct arena arena;
    struct prng prng;
    struct mem_key *keys[MEMTABLE_LEVELS_MAX];
    struct mem_group *groups[MEMTABLE_LEVELS_MAX];
    struct mem_lease *leases[MEMTABLE_LEVELS_MAX];
    int keys_levels, groups_levels, leases_levels;
    struct hmap by_hash; /* of mem_key.node */

    struct mem_version **changes;
    size_t changes_count, changes_capacity;
};

struct memtable *memtable_new(void)
{
    struct memtable *m = xcalloc(1, sizeof *m);
    prng_init(&m->prng, SEED);
    m->keys_levels = 1;
    m->groups_levels = 1;
    m->leases_levels = 1;
    return m;
}

void memtable_free(struct memtable *m)
{
    if (m == NULL) {
        return;
    }
    hmap_fini(&m->by_hash);
    arena_fini(&m->arena);
    free(m->changes);
    free(m);
}

/* The first eight bytes, big-endian, padded with zeros: where two of them
 * differ, they order as the keys do. */
static uint64_t prefix_of(struct bytes key)
{
    uint64_t prefix = 0;
    const size_t size = key.size < 8 ? key.size : 8;
    for (size_t i = 0; i < size; i++) {
        prefix |= (uint64_t)key.data[i] << (56 - 8 * i);
    }
    return prefix;
}

static bool less(uint64_t a_prefix, struct bytes a, uint64_t b_prefix,
                 struct bytes b)
{
    if (a_prefix != b_prefix) {
        return a_prefix < b_prefix;
    }
    return bytes_compare(a, b) < 0;
}

/* One node in four reaches the next level. */
static int height_new(struct memtable *m)
{
    uint64_t bits = prng_next(&m->prng);
    int height = 1;
    while (height < MEMTABLE_LEVELS_MAX && (bits & 3) == 0) {
        height++;
        bits >>= 2;
    }
    return height;
}

/* Defines the search in one of the two lists: fills in, for each level, the
 * place that points to the first node >= key, and returns that node. */
#define DEFINE_SEARCH(name, type, heads, levels)                               \
    static struct type *name(const struct memtable *m, uint64_t prefix,        \
                             struct bytes key, struct type ***ret_places)      \
    {                                                                          \
        struct type *const *tower = m->heads;                                  \
        struct type *found = NULL;                                             \
        for (int level = m->levels - 1; level >= 0; level--) {                 \
            struct type *node = tower[level];                                  \
            while (node != found &&                                            \
                   less(node->prefix, node->key, prefix, key)) {               \
                tower = node->next;                                            \
                node = tower[level];                                           \
            }                                                                  \
            found = node;                                                      \
            if (ret_places != NULL) {                                          \
                ret_places[level] = (struct type **)(uintptr_t)&tower[level];  \
            }                                                                  \
        }                                                                      \
        return found;                                                          \
    }

DEFINE_SEARCH(search_keys, mem_key, keys, keys_levels)
DEFINE_SEARCH(search_groups, mem_group, groups, groups_levels)
DEFINE_SEARCH(search_leases, mem_lease, leases, leases_levels)

static struct mem_key *find_by_hash(const struct memtable *m, uint64_t hash,
                                    struct bytes key)
{
    for (struct hmap_node *node = hmap_first(&m->by_hash, hash); node != NULL;
         node = hmap_next(node)) {
        struct mem_key *k = container_of(node, struct mem_key, node);
        if (bytes_equal(k->key, key)) {
            return k;
        }
    }
    return NULL;
}

static struct mem_key *key_node(struct memtable *m, struct bytes key)
{
    struct mem_key **places[MEMTABLE_LEVELS_MAX];
    const uint64_t prefix = prefix_of(key), hash = hash_bytes(key, 0);
    struct mem_key *known = find_by_hash(m, hash, key);
    if (known != NULL) {
        return known;
    }
    (void)search_keys(m, prefix, key, places); /* for its place */
    const int height = height_new(m);
    while (m->keys_levels < height) {
        places[m->keys_levels] = &m->keys[m->keys_levels];
        m->keys_levels++;
    }
    struct mem_key *node =
        arena_get(&m->arena, sizeof *node + (size_t)height * sizeof(void *));
    node->key = arena_copy(&m->arena, key);
    node->newest = NULL;
    node->prefix = prefix;
    for (int level = 0; level < height; level++) {
        node->next[level] = *places[level];
        *places[level] = node;
    }
    hmap_insert(&m->by_hash, &node->node, hash);
    return node;
}

static void changes_push(struct memtable *m, struct mem_version *mv)
{
    if (m->changes_count == m->changes_capacity) {
        m->changes_capacity =
            m->changes_capacity == 0 ? 64 : 2 * m->changes_capacity;
        m->changes =
            xrealloc(m->changes, m->changes_capacity * sizeof *m->changes);
    }
    m->changes[m->changes_count++] = mv;
}

void memtable_add(struct memtable *m, struct bytes key, const struct version *v)
{
    must(key.size > 0);
    must(!v->value_unchecked);
    struct mem_key *node = key_node(m, key);
    must(node->newest == NULL ||
         node->newest->v.mod_revision < v->mod_revision);

    struct mem_version *mv = arena_get(&m->arena, sizeof *mv);
    mv->v = *v;
    mv->v.attrs = arena_copy(&m->arena, v->attrs);
    mv->v.other = arena_copy(&m->arena, v->other);
    mv->v.value = arena_copy(&m->arena, v->value);
    mv->v.value_size = v->value.size;
    mv->key = node;
    mv->older = node->newest;
    node->newest = mv;
    changes_push(m, mv);
}

void memtable_set_group(struct memtable *m, struct bytes key,
                        const struct group *g)
{
    struct mem_group **places[MEMTABLE_LEVELS_MAX];
    const uint64_t prefix = prefix_of(key);
    struct mem_group *found = search_groups(m, prefix, key, places);
    if (found != NULL && bytes_equal(found->key, key)) {
        found->g = *g;
        return;
    }
    const int height = height_new(m);
    while (m->groups_levels < height) {
        places[m->groups_levels] = &m->groups[m->groups_levels];
        m->groups_levels++;
    }
    struct mem_group *node =
        arena_get(&m->arena, sizeof *node + (size_t)height * sizeof(void *));
    node->key = arena_copy(&m->arena, key);
    node->g = *g;
    node->prefix = prefix;
    for (int level = 0; level < height; level++) {
        node->next[level] = *places[level];
        *places[level] = node;
    }
}

void memtable_set_lease(struct memtable *m, struct bytes key,
                        const struct lease_row *l)
{
    struct mem_lease **places[MEMTABLE_LEVELS_MAX];
    const uint64_t prefix = prefix_of(key);
    struct mem_lease *found = search_leases(m, prefix, key, places);
    if (found != NULL && bytes_equal(found->key, key)) {
        found->l = *l;
        return;
    }
    const int height = height_new(m);
    while (m->leases_levels < height) {
        places[m->leases_levels] = &m->leases[m->leases_levels];
        m->leases_levels++;
    }
    struct mem_lease *node =
        arena_get(&m->arena, sizeof *node + (size_t)height * sizeof(void *));
    node->key = arena_copy(&m->arena, key);
    node->l = *l;
    node->prefix = prefix;
    for (int level = 0; level < height; level++) {
        node->next[level] = *places[level];
        *places[level] = node;
    }
}

const struct mem_key *memtable_from(const struct memtable *m, struct bytes key)
{
    return search_keys(m, prefix_of(key), key, NULL);
}

const struct mem_key *memtable_find(const struct memtable *m, struct bytes key)
{
    return find_by_hash(m, hash_bytes(key, 0), key);
}

const struct mem_version *mem_key_at(const struct mem_key *k, int64_t revision)
{
    const struct mem_version *mv = k->newest;
    while (mv != NULL && mv->v.mod_revision > revision) {
        mv = mv->older;
    }
    return mv;
}

const struct mem_group *memtable_groups_from(const struct memtable *m,
                                             struct bytes key)
{
    return search_groups(m, prefix_of(key), key, NULL);
}

const struct mem_group *memtable_find_group(const struct memtable *m,
                                            struct bytes key)
{
    const struct mem_group *found = memtable_groups_from(m, key);
    return found != NULL && bytes_equal(found->key, key) ? found : NULL;
}

const struct mem_lease *memtable_leases_from(const struct memtable *m,
                                             struct bytes key)
{
    return search_leases(m, prefix_of(key), key, NULL);
}

const struct mem_lease *memtable_find_lease(const struct memtable *m,
                                            struct bytes key)
{
    const struct mem_lease *found = memtable_leases_from(m, key);
    return found != NULL && bytes_equal(found->key, key) ? found : NULL;
}

size_t memtable_changes_count(const struct memtable *m)
{
    return m->changes_count;
}

const struct mem_version *memtable_change(const struct memtable *m, size_t i)
{
    must(i < m->changes_count);
    return m->changes[i];
}

size_t memtable_changes_from(const struct memtable *m, int64_t revision)
{
    size_t low = 0;
    size_t high = m->changes_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (m->changes[middle]->v.mod_revision < revision) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool memtable_is_empty(const struct memtable *m)
{
    return m->changes_count == 0;
}

size_t memtable_keys(const struct memtable *m)
{
    return m->by_hash.count;
}

uint64_t memtable_bytes(const struct memtable *m)
{
    return m->arena.size_bytes + m->changes_capacity * sizeof *m->changes +
           m->by_hash.buckets_count * sizeof m->by_hash.buckets[0];
}
