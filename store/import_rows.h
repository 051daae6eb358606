/* The rows of an incoming state: checked, and put behind each other. */
#ifndef STORE_IMPORT_ROWS_H
#define STORE_IMPORT_ROWS_H

#include "store/state.h"
#include "store/tree.h"

struct import_rows {
    const struct state *state;
    int newest_tree;             /* of the blocks counted */
    uint64_t given[TREES_COUNT]; /* rows in the blocks counted */

    /* The last row that was put. */
    int tree;
    uint64_t put[TREES_COUNT];
    uint32_t link;    /* what the next row's has to be */
    struct buf key;   /* full */
    struct buf place; /* LMDB's key */
    struct buf scratch;
    uint64_t leases; /* rows of leases themselves */
    uint64_t lease;  /* the latest of them */

    /* Within a transaction. */
    MDB_cursor *cursors[TREES_COUNT];
};

/* The state must outlive it. */
void import_rows_init(struct import_rows *r, const struct state *state);
void import_rows_fini(struct import_rows *r); /* a zeroed one is fine */

/* Counts the rows of a block; false when its bytes are not rows, or its tree
 * does not come now. */
bool import_rows_count(struct import_rows *r, int tree,
                       struct bytes body) MUST_USE;

enum status import_rows_begin(struct import_rows *r, MDB_txn *txn,
                              const MDB_dbi *trees,
                              struct fault *reterr) MUST_USE;
/* The rows of a block that was counted.
 *   ST_CORRUPT  a row is not what a store of this state has at this place */
enum status import_rows_put(struct import_rows *r, int tree, struct bytes body,
                            struct fault *reterr) MUST_USE;
/* Before the transaction ends; after a failed begin too. */
void import_rows_end(struct import_rows *r);

/* Whether all rows have come that the state tells of. */
enum status import_rows_check_end(struct import_rows *r,
                                  struct fault *reterr) MUST_USE;

#endif
