/* The real disk: one directory, held by file descriptor, so that nobody can
 * swap it for another one under us. */

#include "base/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Holds the lock and, as text, the process id of who has it.  It is never
 * removed: whoever waits on a removed file locks nothing. */
#define LOCK_NAME "LOCK"

struct posix_disk {
    struct disk disk;
    int fd;
    int lock_fd;
    char *path; /* for messages */
};

struct posix_file {
    struct disk_file file;
    int fd;
    bool failed; /* a sync failed: what the file holds is unknown */
    char *name;
};

static struct posix_disk *posix_disk_of(struct disk *d)
{
    return container_of(d, struct posix_disk, disk);
}

static struct posix_file *posix_file_of(struct disk_file *f)
{
    return container_of(f, struct posix_file, file);
}

static const char *path_of(const struct posix_file *f)
{
    return posix_disk_of(f->file.disk)->path;
}

static char *copy_of(const char *text)
{
    const size_t size = strlen(text) + 1;
    return memcpy(xmalloc(size), text, size);
}

static void check_name(const char *name)
{
    must(name[0] != '\0' && strchr(name, '/') == NULL);
    must(strcmp(name, LOCK_NAME) != 0);
}

static enum status posix_open(struct disk *disk, const char *name, bool create,
                              struct disk_file **ret, struct fault *reterr)
{
    struct posix_disk *d = posix_disk_of(disk);
    check_name(name);
    const int flags =
        O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT | O_EXCL : 0);
    const int fd = openat(d->fd, name, flags, 0600);
    if (fd < 0) {
        return fault_sys(reterr, errno, "cannot %s '%s/%s'",
                         create ? "create" : "open", d->path, name);
    }
    struct posix_file *f = xmalloc(sizeof *f);
    *f = (struct posix_file){
        .file = {.disk = disk}, .fd = fd, .name = copy_of(name)};
    *ret = &f->file;
    return ST_OK;
}

static void posix_close(struct disk_file *file)
{
    struct posix_file *f = posix_file_of(file);
    /* Whoever needs the bytes has synced them: an error here says nothing. */
    (void)close(f->fd);
    free(f->name);
    free(f);
}

static enum status posix_read(struct disk_file *file, uint64_t offset, void *to,
                              size_t size, size_t *ret_size,
                              struct fault *reterr)
{
    struct posix_file *f = posix_file_of(file);
    must(offset <= INT64_MAX && size <= INT64_MAX - offset);
    size_t done = 0;
    while (done < size) {
        const ssize_t n = pread(f->fd, (uint8_t *)to + done, size - done,
                                (off_t)(offset + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return fault_sys(reterr, errno, "cannot read '%s/%s' at offset %ju",
                             path_of(f), f->name, (uintmax_t)(offset + done));
        }
        if (n == 0) {
            break;
        }
        done += (size_t)n;
    }
    *ret_size = done;
    return ST_OK;
}

static enum status refuse_failed(const struct posix_file *f,
                                 struct fault *reterr)
{
    return fault_set(reterr, ST_IO,
                     "an earlier sync of '%s/%s' failed: what the disk holds "
                     "is unknown until the file is read again",
                     path_of(f), f->name);
}

static enum status posix_write(struct disk_file *file, uint64_t offset,
                               struct bytes data, struct fault *reterr)
{
    struct posix_file *f = posix_file_of(file);
    must(offset <= INT64_MAX && data.size <= INT64_MAX - offset);
    if (f->failed) {
        return refuse_failed(f, reterr);
    }
    size_t done = 0;
    while (done < data.size) {
        const ssize_t n = pwrite(f->fd, data.data + done, data.size - done,
                                 (off_t)(offset + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return fault_sys(reterr, n < 0 ? errno : EIO,
                             "cannot write '%s/%s' at offset %ju", path_of(f),
                             f->name, (uintmax_t)(offset + done));
        }
        done += (size_t)n;
    }
    return ST_OK;
}

static enum status posix_sync(struct disk_file *file, struct fault *reterr)
{
    struct posix_file *f = posix_file_of(file);
    if (f->failed) {
        return refuse_failed(f, reterr);
    }
    if (fdatasync(f->fd) < 0) {
        f->failed = true;
        return fault_sys(reterr, errno, "cannot sync '%s/%s'", path_of(f),
                         f->name);
    }
    return ST_OK;
}

static enum status posix_size(struct disk_file *file, uint64_t *ret_size,
                              struct fault *reterr)
{
    struct posix_file *f = posix_file_of(file);
    struct stat st;
    if (fstat(f->fd, &st) < 0) {
        return fault_sys(reterr, errno, "cannot get the size of '%s/%s'",
                         path_of(f), f->name);
    }
    *ret_size = (uint64_t)st.st_size;
    return ST_OK;
}

static enum status posix_rename(struct disk *disk, const char *from,
                                const char *to, struct fault *reterr)
{
    struct posix_disk *d = posix_disk_of(disk);
    check_name(from);
    check_name(to);
    if (renameat(d->fd, from, d->fd, to) < 0) {
        return fault_sys(reterr, errno, "cannot rename '%s/%s' to '%s'",
                         d->path, from, to);
    }
    return ST_OK;
}

static enum status posix_remove(struct disk *disk, const char *name,
                                struct fault *reterr)
{
    struct posix_disk *d = posix_disk_of(disk);
    check_name(name);
    if (unlinkat(d->fd, name, 0) < 0) {
        return fault_sys(reterr, errno, "cannot remove '%s/%s'", d->path, name);
    }
    return ST_OK;
}

static enum status posix_sync_names(struct disk *disk, struct fault *reterr)
{
    struct posix_disk *d = posix_disk_of(disk);
    if (fsync(d->fd) < 0) {
        return fault_sys(reterr, errno, "cannot sync directory '%s'", d->path);
    }
    return ST_OK;
}

static bool is_listed(const struct posix_disk *d, const struct dirent *entry)
{
    if (strcmp(entry->d_name, LOCK_NAME) == 0) {
        return false;
    }
    if (entry->d_type != DT_UNKNOWN) {
        return entry->d_type == DT_REG;
    }
    struct stat st;
    return fstatat(d->fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(st.st_mode);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All names are read before the first is told, so that `each` may change the
 * directory. */
static enum status posix_list(struct disk *disk,
                              void (*each)(void *arg, const char *name),
                              void *arg, struct fault *reterr)
{
    struct posix_disk *d = posix_disk_of(disk);
    const int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        const int error = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        return fault_sys(reterr, error, "cannot list '%s'", d->path);
    }
    char **names = NULL;
    size_t count = 0;
    struct dirent *entry;
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        if (is_listed(d, entry)) {
            names = xrealloc(names, (count + 1) * sizeof(char *));
            names[count++] = copy_of(entry->d_name);
        }
    }
    const int error = errno;
    (void)closedir(dir);
    if (error == 0 && count > 0) {
        qsort(names, count, sizeof(char *), compare_names);
    }
    for (size_t i = 0; i < count; i++) {
        if (error == 0) {
            each(arg, names[i]);
        }
        free(names[i]);
    }
    free(names);
    if (error != 0) {
        return fault_sys(reterr, error, "cannot list '%s'", d->path);
    }
    return ST_OK;
}

static enum status posix_space(struct disk *disk, uint64_t *ret_bytes,
                               struct fault *reterr)
{
    struct posix_disk *d = posix_disk_of(disk);
    struct statvfs st;
    if (fstatvfs(d->fd, &st) < 0) {
        return fault_sys(reterr, errno, "cannot get the free space of '%s'",
                         d->path);
    }
    *ret_bytes = (uint64_t)st.f_bavail * st.f_frsize;
    return ST_OK;
}

static void posix_free(struct disk *disk)
{
    struct posix_disk *d = posix_disk_of(disk);
    if (d->lock_fd >= 0) {
        (void)close(d->lock_fd); /* gives the lock back */
    }
    if (d->fd >= 0) {
        (void)close(d->fd);
    }
    free(d->path);
    free(d);
}

static const struct disk_ops posix_ops = {
    .open = posix_open,
    .close = posix_close,
    .read = posix_read,
    .write = posix_write,
    .sync = posix_sync,
    .size = posix_size,
    .rename = posix_rename,
    .remove = posix_remove,
    .sync_names = posix_sync_names,
    .list = posix_list,
    .space = posix_space,
    .free = posix_free,
};

/* A new directory is only there after a crash when its parent says so. */
static enum status sync_parent(const char *path, struct fault *reterr)
{
    char *parent = copy_of(path);
    size_t size = strlen(parent);
    while (size > 1 && parent[size - 1] == '/') {
        size--;
    }
    while (size > 0 && parent[size - 1] != '/') {
        size--;
    }
    parent[size] = '\0';
    const int fd =
        open(size > 0 ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum status st = ST_OK;
    if (fd < 0 || fsync(fd) < 0) {
        st = fault_sys(reterr, errno, "cannot sync the parent of '%s'", path);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    free(parent);
    return st;
}

/* Who holds the lock, as it wrote itself; 0 when that cannot be told. */
static long holder_of(int lock_fd)
{
    char text[24] = {0};
    const ssize_t n = pread(lock_fd, text, sizeof text - 1, 0);
    if (n <= 0) {
        return 0;
    }
    const long pid = strtol(text, NULL, 10);
    return pid > 0 ? pid : 0;
}

static enum status take_lock(struct posix_disk *d, struct fault *reterr)
{
    d->lock_fd = openat(d->fd, LOCK_NAME,
                        O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (d->lock_fd < 0) {
        return fault_sys(reterr, errno, "cannot open '%s/%s'", d->path,
                         LOCK_NAME);
    }
    if (flock(d->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK) {
            return fault_sys(reterr, errno, "cannot lock '%s'", d->path);
        }
        const long pid = holder_of(d->lock_fd);
        if (pid == 0) {
            return fault_set(reterr, ST_BUSY,
                             "'%s' is in use by another process: stop it, or "
                             "choose another directory",
                             d->path);
        }
        return fault_set(reterr, ST_BUSY,
                         "'%s' is in use by process %ld: stop it, or choose "
                         "another directory",
                         d->path, pid);
    }
    /* On a full disk the lock holds all the same; then only the name of its
     * holder is missing. */
    char text[24];
    const int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(d->lock_fd, 0) == 0) {
        (void)!pwrite(d->lock_fd, text, (size_t)size, 0);
    }
    return ST_OK;
}

static enum status open_directory(struct posix_disk *d, struct fault *reterr)
{
    if (mkdir(d->path, 0700) == 0) {
        const enum status st = sync_parent(d->path, reterr);
        if (st != ST_OK) {
            return st;
        }
    } else if (errno != EEXIST) {
        return fault_sys(reterr, errno, "cannot make directory '%s'", d->path);
    }
    d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->fd < 0) {
        return fault_sys(reterr, errno, "cannot open directory '%s'", d->path);
    }
    return take_lock(d, reterr);
}

enum status disk_open(const char *path, struct disk **ret, struct fault *reterr)
{
    struct posix_disk *d = xmalloc(sizeof *d);
    *d = (struct posix_disk){.disk = {.ops = &posix_ops},
                             .fd = -1,
                             .lock_fd = -1,
                             .path = copy_of(path)};
    const enum status st = open_directory(d, reterr);
    if (st != ST_OK) {
        posix_free(&d->disk);
        return st;
    }
    *ret = &d->disk;
    return ST_OK;
}
