/* LMDB: opening the environment and its databases, and what its errors mean
 * here.  The only user of lmdb.h besides the trees. */
#ifndef STORE_LMDB_ENV_H
#define STORE_LMDB_ENV_H

#include <lmdb.h>
#include <stdint.h>

#include "base/fault.h"

enum tree_id {
    TREE_CURRENT, /* key -> newest live version */
    TREE_HISTORY, /* (key, revision) -> superseded versions and tombstones */
    TREE_EVENTS,  /* (revision, sub) -> keys changed */
    TREE_DIRS,    /* group -> its state */
    TREE_LEASES,  /* lease -> it, (lease, key) -> attached */
    TREES_COUNT
};

struct lmdb_env {
    MDB_env *env;
    MDB_dbi trees[TREES_COUNT];
    MDB_dbi meta;
    size_t page_size;
};

/* Opens or makes the environment in the directory.  After a failure the
 * struct is empty again. */
enum status lmdb_env_open(struct lmdb_env *e, const char *path,
                          uint64_t map_size, struct fault *reterr) MUST_USE;
/* The same with the path of the file; its lock file is PATH-lock. */
enum status lmdb_env_open_file(struct lmdb_env *e, const char *path,
                               uint64_t map_size,
                               struct fault *reterr) MUST_USE;
/* Makes the file data.mdb with its databases in the directory, whole or not at
 * all also when power is lost; one that is there is left alone. The directory
 * is the caller's alone (lmdb_make.c). */
enum status lmdb_env_make(const char *directory, uint64_t map_size,
                          struct fault *reterr) MUST_USE;
void lmdb_env_close(struct lmdb_env *e); /* an empty one is fine */

/* The status of a failed LMDB call, with "cannot <doing>: <why>". Not for
 * MDB_SUCCESS. */
enum status lmdb_fault(struct fault *reterr, int error,
                       const char *doing) MUST_USE;

/* Commits; ST_NO_SPACE when the disk is full, in whatever way LMDB says it. The
 * transaction is gone either way. */
enum status lmdb_env_commit(const struct lmdb_env *e, MDB_txn *txn,
                            struct fault *reterr) MUST_USE;

/* Bytes of the file in use by the databases, as of the transaction. */
uint64_t lmdb_env_used_bytes(const struct lmdb_env *e, MDB_txn *txn);
uint64_t lmdb_env_file_bytes(const struct lmdb_env *e);

#endif
