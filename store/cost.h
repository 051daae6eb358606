/* What a transaction weighs, before it is proposed. */
#ifndef STORE_COST_H
#define STORE_COST_H

#include "kv/types.h"

/* The keys and values in it: what its encoding has at least. */
uint64_t cost_txn_bytes(const struct kv_txn_spec *txn);
/* What it may add to the store, as etcd reckons: 256 and the sizes of key and
 * value for each put, of the dearer branch. */
uint64_t cost_txn_room(const struct kv_txn_spec *txn);

#endif
