/* The newest changes, in memory, in front of LMDB.
 *
 * Ordered by key, and found by its hash; the versions of one key hang on its
 * node, newest first.  A second order, by revision, serves the watch hub and
 * the flush.  Groups (the `dirs` index) and rows of the lease table have lists
 * of their own: only their newest state is kept.
 *
 * A memtable is written by the loop's thread alone.  Once frozen it is never
 * written again, so the store thread and the loop read it without locks.
 */
#ifndef STORE_MEMTABLE_H
#define STORE_MEMTABLE_H

#include "base/hmap.h"
#include "store/arena.h"
#include "store/version.h"

#define MEMTABLE_LEVELS_MAX 16

struct mem_version {
    struct version v;
    struct mem_version *older; /* of the same key, in the same memtable */
    const struct mem_key *key;
};

struct mem_key {
    struct hmap_node node; /* private: by the key's hash */
    struct bytes key;
    struct mem_version *newest;
    uint64_t prefix; /* the key's first eight bytes, for quick comparison */
    struct mem_key *next[];
};

struct mem_group {
    struct bytes key;
    struct group g;
    uint64_t prefix;
    struct mem_group *next[];
};

struct mem_lease {
    struct bytes key;
    struct lease_row l;
    uint64_t prefix;
    struct mem_lease *next[];
};

struct memtable;

struct memtable *memtable_new(void);
void memtable_free(struct memtable *m); /* NULL is fine */

/* Adds a version, newer than all that are inside; key and bytes are copied. */
void memtable_add(struct memtable *m, struct bytes key,
                  const struct version *v);
/* Sets the newest state of a group; the key is copied when it is new. */
void memtable_set_group(struct memtable *m, struct bytes key,
                        const struct group *g);
/* Likewise of a row of the lease table. */
void memtable_set_lease(struct memtable *m, struct bytes key,
                        const struct lease_row *l);

/* NULL: not here. */
const struct mem_key *memtable_find(const struct memtable *m, struct bytes key);
/* The first node with a key >= key; NULL at the end. */
const struct mem_key *memtable_from(const struct memtable *m, struct bytes key);
static inline const struct mem_key *mem_key_next(const struct mem_key *k)
{
    return k->next[0];
}
/* The newest version of the key at or before the revision; NULL: none here. */
const struct mem_version *mem_key_at(const struct mem_key *k, int64_t revision);

const struct mem_group *memtable_find_group(const struct memtable *m,
                                            struct bytes key);
const struct mem_group *memtable_groups_from(const struct memtable *m,
                                             struct bytes key);
static inline const struct mem_group *mem_group_next(const struct mem_group *g)
{
    return g->next[0];
}

const struct mem_lease *memtable_find_lease(const struct memtable *m,
                                            struct bytes key);
const struct mem_lease *memtable_leases_from(const struct memtable *m,
                                             struct bytes key);
static inline const struct mem_lease *mem_lease_next(const struct mem_lease *l)
{
    return l->next[0];
}

/* The changes in the order in which they were made. */
size_t memtable_changes_count(const struct memtable *m);
const struct mem_version *memtable_change(const struct memtable *m, size_t i);
/* The place of the first change of a revision >= revision. */
size_t memtable_changes_from(const struct memtable *m, int64_t revision);

bool memtable_is_empty(const struct memtable *m);
/* Memory held. */
uint64_t memtable_bytes(const struct memtable *m);
size_t memtable_keys(const struct memtable *m); /* different ones */

#endif
