/* What hashes.c and hash_kv.c share. */
#ifndef STORE_HASH_INTERNAL_H
#define STORE_HASH_INTERNAL_H

#include <stdatomic.h>

#include "base/codec.h"
#include "store/hashes.h"
#include "store/internal.h"

#define HASHER_KEPT_MAX ((size_t)512 << 10)

/* A live version from before the compact revision; bytes are the map's. */
struct kept {
    int64_t mod_revision, create_revision, version, lease;
    struct bytes key, value;
    uint32_t sub, value_crc;
};

struct store_hasher {
    enum store_hash_kind kind;
    struct store *shadow;
    int64_t revision, compact_revision;
    atomic_bool stop;
    uint32_t crc;
    struct buf row; /* scratch */
    struct kept *kept;
    size_t kept_count, kept_max; /* of one pass: some 40 MB */
};

/* ST_CANCELED once the hash is not wanted any more. */
enum status hasher_go_on(struct store_hasher *h, struct fault *reterr) MUST_USE;
enum status hasher_kv(struct store_hasher *h, struct fault *reterr) MUST_USE;

#endif
