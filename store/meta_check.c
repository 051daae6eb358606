/* The transaction numbers of LMDB's meta pages (format 1 of LMDB 0.9). */

#include "store/meta_check.h"

#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/codec.h"

/* Behind the page's header (16 bytes): magic and version (4 each), address and
 * size of the map (8 each), two databases (48 each), last page (8). */
#define META_MAGIC_AT  16
#define META_TXN_AT    144
#define META_READ_SIZE 152
#define META_MAGIC     0xBEEFC0DEu

static enum status read_meta(const struct lmdb_env *e, int fd, unsigned page,
                             uint64_t *ret_txn, struct fault *reterr)
{
    uint8_t meta[META_READ_SIZE];
    const ssize_t got =
        pread(fd, meta, sizeof meta, (off_t)(page * e->page_size));
    if (got < 0) {
        return fault_sys(reterr, errno,
                         "cannot read the store's file (data.mdb)");
    }
    if (got != (ssize_t)sizeof meta ||
        get_u32(meta + META_MAGIC_AT) != META_MAGIC) {
        return fault_set(reterr, ST_CORRUPT,
                         "the store is damaged: page %u of data.mdb is not "
                         "LMDB's; restore this member from a peer or a backup",
                         page);
    }
    *ret_txn = get_u64(meta + META_TXN_AT);
    return ST_OK;
}

enum status meta_check(const struct lmdb_env *e, struct fault *reterr)
{
    mdb_filehandle_t fd;
    uint64_t even = 0;
    uint64_t odd = 0;
    const int rc = mdb_env_get_fd(e->env, &fd);
    if (rc != MDB_SUCCESS) {
        return lmdb_fault(reterr, rc, "look at the store's file (data.mdb)");
    }
    enum status st = read_meta(e, fd, 0, &even, reterr);
    if (st == ST_OK) {
        st = read_meta(e, fd, 1, &odd, reterr);
    }
    if (st != ST_OK) {
        return st;
    }
    const bool adjacent = even + 1 == odd || odd + 1 == even;
    if (!adjacent || even % 2 != 0) {
        return fault_set(
            reterr, ST_CORRUPT,
            "the store is damaged: the meta pages of data.mdb are of "
            "transactions %llu and %llu, which do not follow each other; "
            "restore this member from a peer or a backup",
            (unsigned long long)even, (unsigned long long)odd);
    }
    return ST_OK;
}
