/* One flush: what it takes along from the loop, and its parts. */
#ifndef STORE_FLUSH_H
#define STORE_FLUSH_H

#include "store/internal.h"

/* Everything that the store thread touches. */
struct store_flush {
    const struct lmdb_env *env;
    const struct memtable *frozen;
    struct state_numbers numbers;
    struct state_local local; /* brought up to date by the run */
    struct state_records records;
    /* Versions superseded at or before this revision are garbage. */
    int64_t garbage_revision;
    uint32_t sweep_rows_max; /* of store_options */
    bool done;

    /* During the run. */
    MDB_txn *txn;
    struct tree trees[TREES_COUNT];
};

/* sweep.c: one bounded slice of garbage, within the flush's transaction. */
enum status sweep_run(struct store_flush *f, struct fault *reterr) MUST_USE;

#endif
