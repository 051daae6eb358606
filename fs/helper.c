/* What a helper thread does: operations on our own mount.
 *
 * A helper first gets a table of descriptors of its own and closes all in it
 * but its two pipes.  Otherwise it would, when the process is killed in the
 * middle of an operation, keep the FUSE device open while it waits, for good,
 * for an answer from that very device.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/must.h"
#include "fs/helper.h"
#include "fs/watchers.h"

#define STEP_MAX 3000 /* bytes of a path that are walked in one call */

/* --- own descriptors --- */

static bool close_all_but(int a, int b)
{
    const unsigned low = (unsigned)(a < b ? a : b);
    const unsigned high = (unsigned)(a < b ? b : a);
    return (low <= 3 || close_range(3, low - 1, 0) == 0) &&
           (high - low <= 1 || close_range(low + 1, high - 1, 0) == 0) &&
           close_range(high + 1, ~0U, 0) == 0;
}

static bool isolate(const struct fs_worker *w)
{
    return unshare(CLONE_FILES) == 0 && close_all_but(w->orders[0], w->results);
}

/* --- paths --- */

/* Opens the directory of a path, a few names at a time since the whole may be
 * longer than any call takes; *ret_name is the last name. -1: errno. */
static int open_parent(const char *mount_point, const char *path,
                       const char **ret_name)
{
    char step[STEP_MAX + FS_NAME_MAX + 2];
    int at = open(mount_point, O_PATH | O_DIRECTORY | O_CLOEXEC);
    while (at >= 0) {
        const char *end = NULL;
        for (const char *slash = strchr(path, '/');
             slash != NULL && slash - path <= STEP_MAX + FS_NAME_MAX;
             slash = strchr(slash + 1, '/')) {
            end = slash;
        }
        if (end == NULL) {
            break;
        }
        const size_t size = (size_t)(end - path);
        memcpy(step, path, size);
        step[size] = 0;
        const int next =
            openat(at, step, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        const int error = errno;
        (void)close(at);
        errno = error;
        at = next;
        path = end + 1;
    }
    *ret_name = path;
    return at;
}

/* --- operations; failures mean that there was nobody to tell --- */

static void attrib(int at, const char *name)
{
    (void)utimensat(at, name, NULL, AT_SYMLINK_NOFOLLOW);
}

static void write_into(int at, const char *name, int flags)
{
    const int fd = openat(
        at, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | flags, 0644);
    if (fd < 0) {
        if (errno == ETXTBSY) {
            attrib(at, name); /* it runs, and cannot be written to */
        } else if (errno == EEXIST) {
            write_into(at, name, 0); /* somebody has looked it up already */
        }
        return;
    }
    (void)fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1);
    (void)close(fd);
}

static void truncate_to(int at, const char *name, uint64_t size)
{
    char path[64 + FS_NAME_MAX];
    (void)snprintf(path, sizeof path, "/proc/thread-self/fd/%d/%s", at, name);
    (void)!truncate(path, (off_t)size);
}

static void refresh(int at, const char *name)
{
    struct statx stx;
    (void)statx(at, name, AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC,
                STATX_BASIC_STATS, &stx);
}

static void rename_to(int at, const char *name, const struct fs_order *order)
{
    const char *other_name;
    const int other =
        open_parent(order->mount_point, order->other_path, &other_name);
    if (other >= 0) {
        (void)renameat2(at, name, other, other_name,
                        order->type == FS_OP_EXCHANGE ? RENAME_EXCHANGE : 0);
        (void)close(other);
    }
}

static void carry_out(const struct fs_order *order)
{
    const char *name;
    const int at = open_parent(order->mount_point, order->path, &name);
    if (at < 0) {
        return;
    }
    if (order->refresh && order->type != FS_OP_CREATE &&
        order->type != FS_OP_MKDIR && order->type != FS_OP_STAT) {
        refresh(at, name);
    }
    switch (order->type) {
    case FS_OP_CREATE:
        write_into(at, name, O_CREAT | O_EXCL);
        break;
    case FS_OP_MODIFY:
        write_into(at, name, 0);
        break;
    case FS_OP_REPLACE:
        (void)renameat(at, FS_SOURCE_NAME, at, name);
        break;
    case FS_OP_UNLINK:
        (void)unlinkat(at, name, 0);
        break;
    case FS_OP_MKDIR:
        (void)mkdirat(at, name, 0755);
        break;
    case FS_OP_RMDIR:
        (void)unlinkat(at, name, AT_REMOVEDIR);
        break;
    case FS_OP_RENAME:
    case FS_OP_EXCHANGE:
        rename_to(at, name, order);
        break;
    case FS_OP_ATTRIB:
        attrib(at, name);
        break;
    case FS_OP_TRUNCATE:
        truncate_to(at, name, order->size);
        break;
    case FS_OP_STAT:
        refresh(at, name);
        break;
    }
    (void)close(at); /* none stays open: it would make umount busy */
}

/* Without a request: the device is the mount's for good. */
static bool is_watched(const struct fs_order *order)
{
    struct statx stx;
    return statx(AT_FDCWD, order->mount_point,
                 AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &stx) != 0 ||
           fs_watchers_exist(makedev(stx.stx_dev_major, stx.stx_dev_minor));
}

/* The loop reads these for as long as any helper runs. */
static void report(struct fs_worker *w)
{
    ssize_t written;
    do {
        written = write(w->results, &w, sizeof w);
    } while (written < 0 && errno == EINTR);
}

void *fs_worker_main(void *worker)
{
    struct fs_worker *w = worker;
    sigset_t all;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, NULL);
    (void)prctl(PR_SET_NAME, "keelfs-replay");
    if (isolate(w)) {
        w->helper->thread_id = (uint32_t)syscall(SYS_gettid);
        w->isolated = true;
    }
    report(w);
    const struct fs_order *order;
    while (w->isolated &&
           read(w->orders[0], &order, sizeof order) == sizeof order) {
        carry_out(order);
        if (order->looks) {
            w->helper->watched = is_watched(order);
        }
        report(w);
    }
    return NULL;
}
