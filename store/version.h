/* One version of one key, as every part of the store speaks of it. */
#ifndef STORE_VERSION_H
#define STORE_VERSION_H

#include "kv/types.h"

struct version {
    int64_t mod_revision;
    uint32_t sub; /* place among the changes of its revision, from 0 */
    bool tombstone;
    bool attrs_only;         /* changed nothing but attributes or lease */
    bool moved;              /* `other` is the other end of a move */
    uint32_t groups_changed; /* as in kv_event */
    int64_t create_revision; /* 0 of a tombstone, like version and lease */
    int64_t version;
    int64_t lease;
    uint64_t ino;
    int64_t mtime_ns;
    struct bytes attrs;
    struct bytes other; /* moved from (a put) or to (a tombstone) */

    uint64_t value_size;
    struct bytes value;
    uint32_t value_crc;   /* when value_unchecked */
    bool value_unchecked; /* the value comes from disk and its checksum has not
                             been compared yet */
};

/* A row of the lease table: a lease, or a key that is attached to one
 * (store/lease.h). */
struct lease_row {
    bool live;           /* false: no such row (any more) */
    bool is_key;         /* attached; the rest is of leases alone */
    int64_t ttl_s;       /* granted */
    int64_t deadline_ms; /* as in struct store_lease */
};

/* A '/'-ended prefix of live keys. */
struct group {
    bool live;        /* false: no such group (any more) */
    bool marker;      /* the key that equals the prefix is live */
    uint64_t entries; /* direct entries below it */
    uint64_t ino;
    int64_t mtime_ns;
};

#endif
