/* Making, installing and removing the directory of an incoming state.
 *
 * LMDB's lock file is made here, with its blocks: LMDB makes it with holes and
 * writes through a map, which on a full disk ends the process. */

#include "store/incoming.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* LMDB makes use of what there is beyond what it needs (8 KiB). */
#define LOCK_FILE_BYTES 16384

enum status incoming_of(const char *store, const char *name,
                        struct incoming *ret, struct fault *reterr)
{
    /* Room for the names of files too. */
    if (strlen(store) + strlen(name) + 33 > INCOMING_PATH_MAX) {
        return fault_set(reterr, ST_INVALID,
                         "the path of the store's directory is too long");
    }
    (void)snprintf(ret->store, sizeof ret->store, "%s", store);
    (void)snprintf(ret->path, sizeof ret->path, "%.*s/%.32s",
                   INCOMING_PATH_MAX - 34, store, name);
    return ST_OK;
}

/* flags: O_NOFOLLOW for what is removed and made here; the store's own
 * directory may be a link to another disk. */
static enum status open_directory(const char *path, int flags, int *ret,
                                  struct fault *reterr)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags, 0);
    if (fd < 0) {
        return fault_sys(reterr, errno, "cannot open the directory '%s'", path);
    }
    *ret = fd;
    return ST_OK;
}

static enum status make_lock_file(int directory, struct fault *reterr)
{
    const int fd = openat(directory, "lock.mdb",
                          O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fault_sys(reterr, errno, "cannot make LMDB's lock file");
    }
    const int error = posix_fallocate(fd, 0, LOCK_FILE_BYTES);
    (void)close(fd); /* it holds nothing that matters */
    return error == 0 ? ST_OK
                      : fault_sys(reterr, error,
                                  "cannot make room for LMDB's "
                                  "lock file");
}

enum status incoming_make(const struct incoming *in, struct fault *reterr)
{
    int fd = -1;
    enum status st = incoming_remove(in, reterr);
    if (st != ST_OK) {
        return st;
    }
    if (mkdir(in->store, 0700) != 0 && errno != EEXIST) {
        return fault_sys(reterr, errno,
                         "cannot make the store's directory '%s'", in->store);
    }
    if (mkdir(in->path, 0700) != 0) {
        return fault_sys(reterr, errno, "cannot make the directory '%s'",
                         in->path);
    }
    st = open_directory(in->path, O_NOFOLLOW, &fd, reterr);
    if (st == ST_OK) {
        st = make_lock_file(fd, reterr);
        (void)close(fd); /* nothing was written through it */
    }
    return st;
}

bool incoming_is_full(const struct incoming *in, uint64_t bytes)
{
    int directory = -1;
    if (open_directory(in->path, O_NOFOLLOW, &directory, NULL) != ST_OK) {
        return false;
    }
    int error = 0;
    const int fd = openat(directory, "probe",
                          O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd >= 0) {
        error = posix_fallocate(fd, 0, (off_t)bytes);
        (void)close(fd); /* it goes at once */
        /* When it stays it goes with its directory. */
        (void)unlinkat(directory, "probe", 0);
    }
    (void)close(directory); /* nothing was written through it */
    return error == ENOSPC || error == EDQUOT;
}

enum status incoming_sync(const struct incoming *in, struct fault *reterr)
{
    int directory = -1;
    enum status st = open_directory(in->path, O_NOFOLLOW, &directory, reterr);
    if (st != ST_OK) {
        return st;
    }
    const int fd = openat(directory, "data.mdb", O_RDWR | O_CLOEXEC, 0);
    if (fd < 0 || fsync(fd) != 0 || fsync(directory) != 0) {
        st = fault_sys(reterr, errno, "cannot sync the new state in '%s'",
                       in->path);
    }
    if (fd >= 0) {
        (void)close(fd); /* it was synced */
    }
    (void)close(directory); /* likewise */
    return st;
}

/* The store's own lock, which store_open() takes too. */
static enum status lock_store(int directory, const struct incoming *in,
                              int *ret, struct fault *reterr)
{
    const int fd =
        openat(directory, "store.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fault_sys(reterr, errno,
                         "cannot open the lock of the store in "
                         "'%s'",
                         in->store);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        const int error = errno;
        (void)close(fd); /* nothing was written */
        return error == EWOULDBLOCK
                   ? fault_set(reterr, ST_BUSY,
                               "the store in '%s' is in use: its state cannot "
                               "be replaced now",
                               in->store)
                   : fault_sys(reterr, error, "cannot lock the store in '%s'",
                               in->store);
    }
    *ret = fd;
    return ST_OK;
}

/* The directory, and its own name: it may be new. */
static enum status sync_names(const struct incoming *in, int directory,
                              struct fault *reterr)
{
    const int above =
        openat(directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    enum status st = ST_OK;
    if (above < 0 || fsync(directory) != 0 || fsync(above) != 0) {
        st = fault_sys(reterr, errno, "cannot sync the directory '%s'",
                       in->store);
    }
    if (above >= 0) {
        (void)close(above); /* nothing was written through it */
    }
    return st;
}

/* LMDB's lock file first: whoever looks on at the old state holds the old one
 * open, and is not to speak with those who open the new state.  What a lock
 * file says is of no account when nobody has it open. */
static enum status swap(const struct incoming *in, int from, int to,
                        struct fault *reterr)
{
    static const char *const files[] = {"lock.mdb", "data.mdb"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (renameat(from, files[i], to, files[i]) != 0) {
            return fault_sys(reterr, errno,
                             "cannot put the new %s in its place in '%s'",
                             files[i], in->store);
        }
    }
    return sync_names(in, to, reterr);
}

int incoming_hold(const struct incoming *in)
{
    const int directory = open(in->store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) {
        return -1;
    }
    const int fd = openat(directory, "data.mdb", O_RDONLY | O_CLOEXEC);
    (void)close(directory); /* nothing was written through it */
    return fd;
}

enum status incoming_install(const struct incoming *in, bool is_locked,
                             struct fault *reterr)
{
    int from = -1;
    int to = -1;
    int lock = -1;
    enum status st = open_directory(in->path, O_NOFOLLOW, &from, reterr);
    if (st == ST_OK) {
        st = open_directory(in->store, 0, &to, reterr);
    }
    if (st == ST_OK && !is_locked) {
        st = lock_store(to, in, &lock, reterr);
    }
    if (st == ST_OK) {
        st = swap(in, from, to, reterr);
    }
    const int open_ones[] = {from, to, lock};
    for (size_t i = 0; i < sizeof open_ones / sizeof open_ones[0]; i++) {
        if (open_ones[i] >= 0) {
            (void)close(open_ones[i]); /* what mattered was synced */
        }
    }
    if (st == ST_OK) {
        incoming_clear(in);
    }
    return st;
}

void incoming_clear(const struct incoming *in)
{
    const enum status st = incoming_remove(in, NULL);
    (void)st; /* what stays is removed at the next start, or import */
}

static enum status remove_files(int directory, const struct incoming *in,
                                struct fault *reterr)
{
    DIR *dir = fdopendir(directory);
    if (dir == NULL) {
        const int error = errno;
        (void)close(directory); /* nothing was done with it */
        return fault_sys(reterr, error, "cannot read the directory '%s'",
                         in->path);
    }
    enum status st = ST_OK;
    const struct dirent *entry;
    while (st == ST_OK && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 ||
            strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        if (unlinkat(dirfd(dir), entry->d_name, 0) != 0) {
            st = fault_sys(reterr, errno, "cannot remove '%s' in '%s'",
                           entry->d_name, in->path);
        }
    }
    (void)closedir(dir); /* nothing was written through it */
    return st;
}

enum status incoming_remove(const struct incoming *in, struct fault *reterr)
{
    int fd = -1;
    const enum status found = open_directory(in->path, O_NOFOLLOW, &fd, reterr);
    if (found == ST_NOT_FOUND) {
        return ST_OK;
    }
    if (found != ST_OK) {
        return found;
    }
    const enum status st = remove_files(fd, in, reterr);
    if (st != ST_OK) {
        return st;
    }
    if (rmdir(in->path) != 0) {
        return fault_sys(reterr, errno, "cannot remove the directory '%s'",
                         in->path);
    }
    return ST_OK;
}
