/* The first file of a store.
 *
 * LMDB writes the head of a new file and syncs it only with the first commit:
 * power lost in between can leave a file that is none, which no start may
 * guess to be new.  So it is made under another name, and renamed when it is
 * durable; what an interrupted making left is thrown away. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "store/lmdb_env.h"

#define MAKING "making.mdb"

struct names {
    char file[4096], making[4096], lock[4096];
};

static enum status name_all(struct names *n, const char *directory,
                            struct fault *reterr)
{
    const int size = snprintf(n->lock, sizeof n->lock, "%s/" MAKING "-lock",
                              directory); /* the longest */
    if (size < 0 || (size_t)size >= sizeof n->lock) {
        return fault_set(reterr, ST_INVALID,
                         "the path of the store's directory is too long");
    }
    (void)snprintf(n->making, sizeof n->making, "%s/" MAKING, directory);
    (void)snprintf(n->file, sizeof n->file, "%s/data.mdb", directory);
    return ST_OK;
}

static enum status clear(const char *path, struct fault *reterr)
{
    return unlink(path) == 0 || errno == ENOENT
               ? ST_OK
               : fault_sys(reterr, errno, "cannot remove '%s'", path);
}

static enum status clear_both(const struct names *n, struct fault *reterr)
{
    const enum status st = clear(n->making, reterr);
    return st == ST_OK ? clear(n->lock, reterr) : st;
}

static enum status give_name(const struct names *n, const char *directory,
                             struct fault *reterr)
{
    if (rename(n->making, n->file) != 0) {
        return fault_sys(reterr, errno, "cannot make '%s'", n->file);
    }
    const int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int error = fd >= 0 && fsync(fd) == 0 ? 0 : errno;
    if (fd >= 0) {
        (void)close(fd); /* nothing was written through it */
    }
    return error == 0 ? ST_OK
                      : fault_sys(reterr, error, "cannot sync '%s'", directory);
}

enum status lmdb_env_make(const char *directory, uint64_t map_size,
                          struct fault *reterr)
{
    struct names n;
    struct lmdb_env e;
    enum status st = name_all(&n, directory, reterr);
    if (st != ST_OK) {
        return st;
    }
    if (access(n.file, F_OK) == 0) {
        return clear_both(&n, reterr);
    }
    if (errno != ENOENT) {
        return fault_sys(reterr, errno, "cannot look at '%s'", n.file);
    }
    st = clear_both(&n, reterr);
    if (st == ST_OK) {
        st = lmdb_env_open_file(&e, n.making, map_size, reterr);
    }
    if (st == ST_OK) {
        lmdb_env_close(&e); /* its databases are committed, and synced */
        st = clear(n.lock, reterr);
    }
    return st == ST_OK ? give_name(&n, directory, reterr) : st;
}
