/* Commands: the payload of a log entry, as bytes (docs/FORMATS.md). */
#ifndef STORE_COMMAND_H
#define STORE_COMMAND_H

#include "store/arena.h"
#include "store/store.h"

enum command_type {
    COMMAND_TXN = 1,
    COMMAND_COMPACT = 2,
    COMMAND_LEASE_GRANT = 3,
    COMMAND_LEASE_REVOKE = 4,
    COMMAND_LEASE_CHECKPOINT = 5,
    COMMAND_ALARM = 16
};

struct command {
    enum command_type type;
    struct store_stamp stamp;
    struct kv_txn_spec txn;
    int64_t compact_revision;
    struct store_alarm_change alarm;

    struct store_lease lease; /* GRANT: id and ttl_s; REVOKE: id */
    uint64_t lease_term;      /* REVOKE, CHECKPOINT: see store_encode_… */
    int64_t lease_clock_ms;   /* CHECKPOINT, and of it: */
    const struct store_lease *leases; /* id and deadline_ms */
    size_t leases_count;
};

/* Decodes into the arena; bytes are borrowed from `from`.  What comes back is
 * well formed but not checked: see check_txn().
 *   ST_CORRUPT  anything else than what the encoder writes */
enum status command_decode(struct bytes from, struct arena *a,
                           struct command *ret) MUST_USE;

#endif
