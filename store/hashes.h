/* Hashes over one consistent view, computed beside everything else.
 *
 *   STORE_HASH_KV     etcd's HashKV (etcd-surface 1.8; mvcc/hash.go): CRC-32C
 *                     over "key" and, in order of revisions, the revision key
 *                     and the marshalled KeyValue of every version that counts:
 *                     those after the compact revision and up to `revision`,
 *                     and of those before it the ones that are live at
 *                     `revision`.  Equal to etcd's after the same operations.
 *   STORE_HASH_STATE  over what is live at `revision`, all that is known of it
 *                     (identity, times, attributes, leases): equal on members
 *                     with equal states, whatever each has flushed or swept.
 *   STORE_HASH_ALL    store_hash() of the view.
 */
#ifndef STORE_HASHES_H
#define STORE_HASHES_H

#include "store/store.h"

enum store_hash_kind { STORE_HASH_KV, STORE_HASH_STATE, STORE_HASH_ALL };

struct store_hash {
    uint32_t hash;
    int64_t compact_revision; /* of the view */
    int64_t revision;
};

struct store_hasher;

/* Takes a view of what is durable; revision 0 is its newest.  Loop thread; does
 * not block.  A long one keeps LMDB from reusing pages, as every view.
 *   ST_COMPACTED        the revision is before the compact revision
 *   ST_FUTURE_REVISION  it is not durable yet: flush first
 *   ST_CORRUPT, ST_IO                                                        */
enum status store_hasher_begin(struct store *s, enum store_hash_kind kind,
                               int64_t revision, struct store_hasher **ret,
                               struct fault *reterr) MUST_USE;
/* Blocks: reads everything.  On any thread, once.
 *   ST_CANCELED  store_hasher_stop() was called
 *   ST_CORRUPT, ST_IO                                                        */
enum status store_hasher_run(struct store_hasher *h, struct store_hash *ret,
                             struct fault *reterr) MUST_USE;
/* Ends the run soon; from the loop, while another thread runs it. */
void store_hasher_stop(struct store_hasher *h);
/* Before store_close(). NULL is fine. */
void store_hasher_free(struct store_hasher *h);

/* The newest revision that is in LMDB. */
int64_t store_durable_revision(const struct store *s);

#endif
