/* Looking at a data directory before anything in it is touched. */

#include "node/data_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/crc32c.h"
#include "base/must.h"

/* A new file system's own directory is nobody's data. */
static const char *const ours[] = {".",       "..",         "wal",
                                   "store",   "installing", "lost+found",
                                   "mending", "mending.new"};

static bool is_ours(const char *name)
{
    for (size_t i = 0; i < count_of(ours); i++) {
        if (strcmp(ours[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static enum status refuse_strangers(const char *path, struct fault *reterr)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return fault_sys(reterr, errno, "cannot read the data directory '%s'",
                         path);
    }
    enum status st = ST_OK;
    const struct dirent *entry;
    while (st == ST_OK && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, "member") == 0) {
            st = fault_set(reterr, ST_INVALID,
                           "'%s' is a data directory of etcd: give an empty or "
                           "new one with --data-dir",
                           path);
        } else if (!is_ours(entry->d_name)) {
            st = fault_set(reterr, ST_INVALID,
                           "'%s' is not a data directory of keelfs: it holds "
                           "'%s'; give an empty or new one with --data-dir",
                           path, entry->d_name);
        }
    }
    (void)closedir(dir);
    return st;
}

enum status data_dir_open(const char *path, struct data_dir *ret,
                          struct fault *reterr)
{
    if (path[0] == '\0' ||
        strlen(path) + sizeof "/mending.new" > DATA_DIR_PATH_MAX) {
        return fault_set(reterr, ST_INVALID,
                         "cannot use the data directory '%s': its path is %s",
                         path, path[0] == '\0' ? "empty" : "too long");
    }
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return fault_sys(reterr, errno, "cannot make the data directory '%s'",
                         path);
    }
    const enum status st = refuse_strangers(path, reterr);
    if (st != ST_OK) {
        return st;
    }
    (void)snprintf(ret->wal, sizeof ret->wal, "%s/wal", path);
    (void)snprintf(ret->store, sizeof ret->store, "%s/store", path);
    (void)snprintf(ret->installing, sizeof ret->installing, "%s/installing",
                   path);
    (void)snprintf(ret->mending, sizeof ret->mending, "%s/mending", path);
    (void)snprintf(ret->path, sizeof ret->path, "%s", path);
    return ST_OK;
}

/* --- the mark: index, term, CRC-32C --- */

#define MARK_SIZE 20

static enum status sync_names(const struct data_dir *d, struct fault *reterr)
{
    const int fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return fault_sys(reterr, errno, "cannot open '%s'", d->path);
    }
    const int error = fsync(fd) == 0 ? 0 : errno;
    (void)close(fd);
    return error == 0 ? ST_OK
                      : fault_sys(reterr, error, "cannot sync '%s'", d->path);
}

static enum status write_mark(const char *path, uint64_t index, uint64_t term,
                              struct fault *reterr)
{
    uint8_t mark[MARK_SIZE];
    put_u64(mark, index);
    put_u64(mark + 8, term);
    put_u32(mark + 16, crc32c(0, (struct bytes){mark, 16}));
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fault_sys(reterr, errno, "cannot make '%s'", path);
    }
    int error = 0;
    errno = EIO; /* of a short write */
    if (write(fd, mark, sizeof mark) != sizeof mark || fsync(fd) != 0) {
        error = errno;
    }
    (void)close(fd);
    return error == 0 ? ST_OK
                      : fault_sys(reterr, error, "cannot write '%s'", path);
}

/* ST_NOT_FOUND: there is none; ST_CORRUPT: it is not whole. */
static enum status read_mark(const char *path, uint64_t *ret_index,
                             uint64_t *ret_term, struct fault *reterr)
{
    uint8_t mark[MARK_SIZE];
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return fault_sys(reterr, errno, "cannot open '%s'", path);
    }
    const ssize_t size = read(fd, mark, sizeof mark);
    (void)close(fd);
    if (size != sizeof mark ||
        get_u32(mark + 16) != crc32c(0, (struct bytes){mark, 16})) {
        return fault_set(reterr, ST_CORRUPT, "'%s' is not whole", path);
    }
    *ret_index = get_u64(mark);
    *ret_term = get_u64(mark + 8);
    return ST_OK;
}

static enum status remove_mark(const struct data_dir *d, const char *path,
                               struct fault *reterr)
{
    if (unlink(path) != 0 && errno != ENOENT) {
        return fault_sys(reterr, errno, "cannot remove '%s'", path);
    }
    return sync_names(d, reterr);
}

/* --- a state that is being installed --- */

enum status data_dir_mark(const struct data_dir *d, uint64_t index,
                          uint64_t term, struct fault *reterr)
{
    const enum status st = write_mark(d->installing, index, term, reterr);
    return st == ST_OK ? sync_names(d, reterr) : st;
}

enum status data_dir_unmark(const struct data_dir *d, struct fault *reterr)
{
    return remove_mark(d, d->installing, reterr);
}

enum status data_dir_marked(const struct data_dir *d, uint64_t *ret_index,
                            uint64_t *ret_term, struct fault *reterr)
{
    const enum status st =
        read_mark(d->installing, ret_index, ret_term, reterr);
    /* A mark that is not whole was never relied upon. */
    return st == ST_CORRUPT ? ST_NOT_FOUND : st;
}

/* --- entries that were lost --- */

enum status data_dir_mending(const struct data_dir *d, uint64_t *ret_index,
                             uint64_t *ret_term, struct fault *reterr)
{
    const enum status st = read_mark(d->mending, ret_index, ret_term, reterr);
    return st != ST_CORRUPT
               ? st
               : fault_set(reterr, ST_CORRUPT,
                           "'%s' is damaged, which says how much of its log "
                           "this member lost and may have promised: replace "
                           "this member from its peers (remove it, empty its "
                           "data directory, add it again)",
                           d->mending);
}

enum status data_dir_set_mending(const struct data_dir *d, uint64_t index,
                                 uint64_t term, struct fault *reterr)
{
    char next[DATA_DIR_PATH_MAX + sizeof ".new"];
    uint64_t old_index, old_term;
    enum status st = data_dir_mending(d, &old_index, &old_term, reterr);
    if (st == ST_OK &&
        (old_term > term || (old_term == term && old_index >= index))) {
        return ST_OK;
    }
    if (st != ST_OK && st != ST_NOT_FOUND) {
        return st;
    }
    (void)snprintf(next, sizeof next, "%s.new", d->mending);
    st = write_mark(next, index, term, reterr);
    if (st == ST_OK && rename(next, d->mending) != 0) {
        st = fault_sys(reterr, errno, "cannot make '%s'", d->mending);
    }
    return st == ST_OK ? sync_names(d, reterr) : st;
}

enum status data_dir_end_mending(const struct data_dir *d, struct fault *reterr)
{
    return remove_mark(d, d->mending, reterr);
}
