/* Intrusive hash map: chained, doubling, from a 64-bit hash to nodes that the
 * caller embeds and owns.  Equality is the caller's: it walks the nodes of one
 * hash.  Only the bucket array is allocated. */
#ifndef BASE_HMAP_H
#define BASE_HMAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct hmap_node {
    struct hmap_node *next;
    uint64_t hash;
};

/* Zeroed is empty; hmap_fini() frees the buckets, not the nodes. */
struct hmap {
    struct hmap_node **buckets;
    size_t buckets_count; /* a power of two, or 0 */
    size_t count;         /* read-only: nodes inside */
    size_t emptied;       /* private: no node in the buckets before this one */
};

void hmap_fini(struct hmap *m);
/* Equal hashes may be inserted more than once. */
void hmap_insert(struct hmap *m, struct hmap_node *node, uint64_t hash);
/* The node must be inside. */
void hmap_remove(struct hmap *m, struct hmap_node *node);
/* The first node with this hash, and the next one after `node` with the same
 * hash; NULL at the end. */
struct hmap_node *hmap_first(const struct hmap *m, uint64_t hash);
struct hmap_node *hmap_next(const struct hmap_node *node);
/* Any node at all, for emptying a map, in time that adds up to the size of the
 * map; NULL when there is none. */
struct hmap_node *hmap_any(struct hmap *m);

/* Well mixed; the same on every machine for the same seed. */
uint64_t hash_u64(uint64_t value);
uint64_t hash_bytes(struct bytes b, uint64_t seed);

#endif
