/* The hash map and the hashes. */

#include "base/hmap.h"

#include <stdlib.h>

#include "base/codec.h"
#include "base/must.h"

#define HMAP_BUCKETS_MIN 16

void hmap_fini(struct hmap *m)
{
    free(m->buckets);
    *m = (struct hmap){0};
}

static size_t bucket_of(const struct hmap *m, uint64_t hash)
{
    return (size_t)hash & (m->buckets_count - 1);
}

static void link_node(struct hmap *m, struct hmap_node *node)
{
    const size_t bucket = bucket_of(m, node->hash);
    node->next = m->buckets[bucket];
    m->buckets[bucket] = node;
}

/* A node stays in its bucket or moves behind the old end, so that what was
 * empty at the beginning still is. */
static void grow(struct hmap *m)
{
    struct hmap_node **old = m->buckets;
    const size_t old_count = m->buckets_count;

    m->buckets_count = old_count > 0 ? old_count * 2 : HMAP_BUCKETS_MIN;
    m->buckets = xcalloc(m->buckets_count, sizeof(struct hmap_node *));
    for (size_t i = 0; i < old_count; i++) {
        struct hmap_node *node = old[i];
        while (node != NULL) {
            struct hmap_node *next = node->next;
            link_node(m, node);
            node = next;
        }
    }
    free(old);
}

void hmap_insert(struct hmap *m, struct hmap_node *node, uint64_t hash)
{
    if (m->count >= m->buckets_count) {
        grow(m);
    }
    node->hash = hash;
    link_node(m, node);
    m->count++;
    if (bucket_of(m, hash) < m->emptied) {
        m->emptied = bucket_of(m, hash);
    }
}

void hmap_remove(struct hmap *m, struct hmap_node *node)
{
    must(m->count > 0);
    struct hmap_node **at = &m->buckets[bucket_of(m, node->hash)];
    while (*at != node) {
        must(*at != NULL); /* the node is inside */
        at = &(*at)->next;
    }
    *at = node->next;
    node->next = NULL;
    m->count--;
}

/* `node` itself or the first one behind it with this hash. */
static struct hmap_node *with_hash(struct hmap_node *node, uint64_t hash)
{
    while (node != NULL && node->hash != hash) {
        node = node->next;
    }
    return node;
}

struct hmap_node *hmap_first(const struct hmap *m, uint64_t hash)
{
    if (m->count == 0) {
        return NULL;
    }
    return with_hash(m->buckets[bucket_of(m, hash)], hash);
}

struct hmap_node *hmap_next(const struct hmap_node *node)
{
    return with_hash(node->next, node->hash);
}

struct hmap_node *hmap_any(struct hmap *m)
{
    if (m->count == 0) {
        return NULL;
    }
    while (m->buckets[m->emptied] == NULL) {
        m->emptied++;
        must(m->emptied < m->buckets_count);
    }
    return m->buckets[m->emptied];
}

/* The finalizer of splitmix64 (Vigna): every input bit reaches every output
 * bit, and no two inputs meet. */
uint64_t hash_u64(uint64_t value)
{
    value += 0x9E3779B97F4A7C15U;
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9U;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBU;
    return value ^ (value >> 31);
}

uint64_t hash_bytes(struct bytes b, uint64_t seed)
{
    uint64_t state = hash_u64(hash_u64(seed) ^ b.size);
    while (b.size >= 8) {
        state = hash_u64(state ^ get_u64(b.data));
        b = bytes_after(b, 8);
    }
    if (b.size > 0) {
        uint8_t rest[8] = {0};
        memcpy(rest, b.data, b.size);
        state = hash_u64(state ^ get_u64(rest));
    }
    return state;
}
