/* The LMDB environment.
 *
 * Flags: NOTLS, since the loop's read transaction must not be tied to the
 * thread's slot while the store thread writes; NORDAHEAD, since gets of a store
 * larger than memory are random.  Commits are synced (the default): a commit
 * without sync can leave the file corrupt after power loss.  LMDB's own lock
 * file stays in use: it is what keeps pages of our read view from being reused.
 */

#include "store/lmdb_env.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/must.h"

static const char *const tree_names[TREES_COUNT] = {
    [TREE_CURRENT] = "current", [TREE_HISTORY] = "history",
    [TREE_EVENTS] = "events",   [TREE_DIRS] = "dirs",
    [TREE_LEASES] = "leases",
};

enum status lmdb_fault(struct fault *reterr, int error, const char *doing)
{
    must(error != MDB_SUCCESS);
    enum status st = ST_IO;
    if (error == MDB_MAP_FULL || error == ENOSPC || error == EDQUOT) {
        st = ST_NO_SPACE;
    } else if (error == MDB_CORRUPTED || error == MDB_PAGE_NOTFOUND ||
               error == MDB_INVALID || error == MDB_VERSION_MISMATCH ||
               error == MDB_CURSOR_FULL || error == MDB_INCOMPATIBLE ||
               error == MDB_BAD_VALSIZE) {
        st = ST_CORRUPT;
    } else if (error == EACCES || error == EPERM) {
        st = ST_DENIED;
    }
    return fault_set(reterr, st, "cannot %s: %s", doing, mdb_strerror(error));
}

/* A write that comes up short because the disk is full is EIO to LMDB.  Less is
 * free then than one of its writes, of which a large value's is the largest;
 * what was short has not touched the newest meta page, so a later try is sound.
 */
#define DISK_FULL_BYTES (4 * 1024 * 1024)

static bool disk_is_full(const struct lmdb_env *e)
{
    mdb_filehandle_t fd;
    struct statvfs disk;
    return mdb_env_get_fd(e->env, &fd) == MDB_SUCCESS &&
           fstatvfs(fd, &disk) == 0 &&
           (uint64_t)disk.f_bavail * disk.f_frsize < DISK_FULL_BYTES;
}

enum status lmdb_env_commit(const struct lmdb_env *e, MDB_txn *txn,
                            struct fault *reterr)
{
    int rc = mdb_txn_commit(txn);
    if (rc == MDB_SUCCESS) {
        return ST_OK;
    }
    if (rc == EIO && disk_is_full(e)) {
        rc = ENOSPC;
    }
    return lmdb_fault(reterr, rc, "commit to the store");
}

/* LMDB calls this when its own consistency checks fail, which a damaged file
 * can bring about: the process stops rather than serve what it finds. */
static void stop_on_assert(MDB_env *env __attribute__((unused)),
                           const char *message)
{
    must_fail("lmdb", 0, message);
}

/* Opens all databases, or makes them; counts those that are not there. */
static int open_all(struct lmdb_env *e, MDB_txn *txn, unsigned flags,
                    int *ret_missing)
{
    *ret_missing = 0;
    for (int id = 0; id <= TREES_COUNT; id++) {
        const bool is_meta = id == TREES_COUNT;
        const int rc = mdb_dbi_open(txn, is_meta ? "meta" : tree_names[id],
                                    flags, is_meta ? &e->meta : &e->trees[id]);
        if (rc == MDB_NOTFOUND) {
            (*ret_missing)++;
        } else if (rc != MDB_SUCCESS) {
            return rc;
        }
    }
    return MDB_SUCCESS;
}

static enum status make_databases(struct lmdb_env *e, struct fault *reterr)
{
    MDB_txn *txn = NULL;
    int missing;
    int rc = mdb_txn_begin(e->env, NULL, 0, &txn);
    if (rc != MDB_SUCCESS) {
        return lmdb_fault(reterr, rc, "begin a transaction in the store");
    }
    rc = open_all(e, txn, MDB_CREATE, &missing);
    if (rc != MDB_SUCCESS) {
        mdb_txn_abort(txn);
        return lmdb_fault(reterr, rc, "create the store's databases");
    }
    rc = mdb_txn_commit(txn);
    return rc == MDB_SUCCESS
               ? ST_OK
               : lmdb_fault(reterr, rc, "create the store's databases");
}

/* A page beyond the end of the file would end the process with SIGBUS.  The
 * file may rightly be somewhat shorter than what LMDB has numbered, since pages
 * that were freed in the transaction that made them are never written: those
 * are added, as zeros, which no check takes for a page. A file that lost half
 * of itself was cut. */
static enum status check_size(const struct lmdb_env *e, struct fault *reterr)
{
    mdb_filehandle_t fd;
    MDB_envinfo info;
    struct stat file;
    int rc = mdb_env_get_fd(e->env, &fd);
    if (rc == MDB_SUCCESS) {
        rc = mdb_env_info(e->env, &info);
    }
    if (rc == MDB_SUCCESS && fstat(fd, &file) != 0) {
        rc = errno;
    }
    if (rc != MDB_SUCCESS) {
        return lmdb_fault(reterr, rc, "look at the store's file (data.mdb)");
    }
    const uint64_t size = (uint64_t)file.st_size;
    const uint64_t wanted = ((uint64_t)info.me_last_pgno + 1) * e->page_size;
    if (size < wanted / 2) {
        return fault_set(reterr, ST_CORRUPT,
                         "the store is damaged: data.mdb has %llu bytes of "
                         "%llu; restore this member from a peer or a backup",
                         (unsigned long long)size, (unsigned long long)wanted);
    }
    if (size < wanted && ftruncate(fd, (off_t)wanted) != 0) {
        return lmdb_fault(reterr, errno, "extend the store's file (data.mdb)");
    }
    return ST_OK;
}

/* Databases are made only in a file that has none: in a damaged file whose
 * list of databases cannot be read, nothing must be made up for them. */
static enum status open_databases(struct lmdb_env *e, struct fault *reterr)
{
    MDB_txn *txn = NULL;
    MDB_dbi root;
    MDB_stat stat = {0};
    int missing = 0;
    int rc = mdb_txn_begin(e->env, NULL, MDB_RDONLY, &txn);
    if (rc != MDB_SUCCESS) {
        return lmdb_fault(reterr, rc, "begin a transaction in the store");
    }
    rc = open_all(e, txn, 0, &missing);
    if (rc == MDB_SUCCESS) {
        rc = mdb_dbi_open(txn, NULL, 0, &root);
    }
    if (rc == MDB_SUCCESS) {
        rc = mdb_stat(txn, root, &stat);
    }
    if (rc != MDB_SUCCESS) {
        mdb_txn_abort(txn);
        return lmdb_fault(reterr, rc, "open the store's databases");
    }
    rc = mdb_txn_commit(txn); /* keeps the handles */
    if (rc != MDB_SUCCESS) {
        return lmdb_fault(reterr, rc, "open the store's databases");
    }
    if (missing == TREES_COUNT + 1 && stat.ms_entries == 0) {
        return make_databases(e, reterr);
    }
    if (missing > 0 || stat.ms_entries != TREES_COUNT + 1) {
        return fault_set(reterr, stat.ms_entries == 0 ? ST_CORRUPT : ST_INVALID,
                         "the LMDB file in the store's directory is not a "
                         "store of this program, or is damaged: %d of its %d "
                         "databases are missing",
                         missing, TREES_COUNT + 1);
    }
    return ST_OK;
}

static enum status open_at(struct lmdb_env *e, const char *path, unsigned flags,
                           uint64_t map_size, struct fault *reterr)
{
    *e = (struct lmdb_env){0};
    int rc = mdb_env_create(&e->env);
    if (rc != MDB_SUCCESS) {
        e->env = NULL;
        return lmdb_fault(reterr, rc, "set up LMDB");
    }
    rc = mdb_env_set_assert(e->env, stop_on_assert);
    if (rc == MDB_SUCCESS) {
        rc = mdb_env_set_mapsize(e->env, map_size);
    }
    if (rc == MDB_SUCCESS) {
        rc = mdb_env_set_maxdbs(e->env, TREES_COUNT + 1);
    }
    if (rc == MDB_SUCCESS) {
        rc =
            mdb_env_open(e->env, path, MDB_NOTLS | MDB_NORDAHEAD | flags, 0600);
    }
    if (rc != MDB_SUCCESS) {
        lmdb_env_close(e);
        return lmdb_fault(reterr, rc, "open the store's file (data.mdb)");
    }
    /* Slots of readers that a crash left behind would pin pages for ever; the
     * directory is ours alone, so every one of them is stale. */
    int stale = 0;
    (void)mdb_reader_check(e->env, &stale); /* best effort */
    MDB_stat stat;
    must(mdb_env_stat(e->env, &stat) == MDB_SUCCESS); /* only reads the meta */
    e->page_size = stat.ms_psize;
    enum status st = check_size(e, reterr);
    if (st == ST_OK) {
        st = open_databases(e, reterr);
    }
    if (st != ST_OK) {
        lmdb_env_close(e);
    }
    return st;
}

enum status lmdb_env_open(struct lmdb_env *e, const char *path,
                          uint64_t map_size, struct fault *reterr)
{
    return open_at(e, path, 0, map_size, reterr);
}

enum status lmdb_env_open_file(struct lmdb_env *e, const char *path,
                               uint64_t map_size, struct fault *reterr)
{
    return open_at(e, path, MDB_NOSUBDIR, map_size, reterr);
}

void lmdb_env_close(struct lmdb_env *e)
{
    if (e->env != NULL) {
        mdb_env_close(e->env);
    }
    *e = (struct lmdb_env){0};
}

static uint64_t pages_of(MDB_txn *txn, MDB_dbi dbi)
{
    MDB_stat stat;
    if (mdb_stat(txn, dbi, &stat) != MDB_SUCCESS) {
        return 0;
    }
    return stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
}

uint64_t lmdb_env_used_bytes(const struct lmdb_env *e, MDB_txn *txn)
{
    uint64_t pages = 2; /* the two meta pages */
    for (int id = 0; id < TREES_COUNT; id++) {
        pages += pages_of(txn, e->trees[id]);
    }
    pages += pages_of(txn, e->meta) + 1; /* and the list of databases */
    return pages * e->page_size;
}

uint64_t lmdb_env_file_bytes(const struct lmdb_env *e)
{
    MDB_envinfo info;
    if (mdb_env_info(e->env, &info) != MDB_SUCCESS) {
        return 0;
    }
    return ((uint64_t)info.me_last_pgno + 1) * e->page_size;
}
