/* States to send, and sending them in memory. */
#ifndef TESTS_STORE_TRANSFER_RIG_H
#define TESTS_STORE_TRANSFER_RIG_H

#include "base/prng.h"
#include "rig.h"
#include "store/transfer.h"

#define CLUSTER_ID UINT64_C(0xc1)

/* Random puts, deletes, moves and compactions, with long keys, zero bytes and
 * some large values, and flushes in between. */
void transfer_fill(struct rig *r, struct prng *chance, unsigned steps);
/* Identity and a record, then all of it into LMDB. */
void transfer_settle(struct rig *r, uint64_t member_id);

/* The whole stream of what is durable. */
void transfer_send(struct rig *r, size_t block_bytes, struct buf *to);
/* Its rest. */
void transfer_rest(struct store_export *e, struct buf *to);

/* A new store at r->path from the stream, not opened; `part` bytes by call. */
enum status transfer_receive(struct rig *r, struct bytes stream, size_t part,
                             uint64_t member_id);
/* A rig without a store, whose path does not exist. */
void transfer_rig_begin(struct rig *r);
/* Opens r->path, whatever is there. */
void transfer_open(struct rig *r);

/* All that a client can ask for, as one number: rows, times, groups at the
 * newest revision and at old ones, and all events since the compaction. */
uint32_t transfer_digest(struct rig *r);

bool transfer_exists(const char *path, const char *name);

#endif
