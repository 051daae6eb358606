/* Mounting and unmounting. */

#include "fs/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"
#include "fs/events.h"
#include "fs/session.h"

static void detach(const char *path)
{
    /* Lazily: whoever is inside keeps an answer of ENOTCONN. */
    (void)umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
}

/* An existing directory with nothing mounted on it, after a mount that a killed
 * process has left there was taken away. */
enum status fs_mount_check(const char *path, struct fault *reterr)
{
    struct stat here;
    struct stat above;
    char *parent = NULL;
    int got = stat(path, &here);
    if (got != 0 && (errno == ENOTCONN || errno == ECONNABORTED)) {
        detach(path);
        got = stat(path, &here);
    }
    if (got != 0) {
        return fault_sys(reterr, errno, "cannot mount on '%s'", path);
    }
    if (!S_ISDIR(here.st_mode)) {
        return fault_set(reterr, ST_INVALID,
                         "cannot mount on '%s': it is not a directory", path);
    }
    parent = xmalloc(strlen(path) + sizeof "/..");
    (void)stpcpy(stpcpy(parent, path), "/..");
    got = stat(parent, &above);
    free(parent);
    if (got == 0 && (above.st_dev != here.st_dev)) {
        return fault_set(reterr, ST_BUSY,
                         "cannot mount on '%s': something is mounted there "
                         "already; unmount it first (umount '%s')",
                         path, path);
    }
    return ST_OK;
}

static int64_t clock_ns(clockid_t id)
{
    struct timespec now;
    (void)clock_gettime(id, &now); /* cannot fail for these clocks */
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

enum status fs_mount(struct kv *kv, const char *path,
                     const struct fs_options *options, struct fs **ret,
                     struct fault *reterr)
{
    enum status st = fs_mount_check(path, reterr);
    if (st != ST_OK) {
        return st;
    }
    struct fs *fs = fs_new(kv, options);
    fs->mount_point = realpath(path, NULL);
    if (fs->mount_point == NULL) {
        st = fault_sys(reterr, errno, "cannot mount on '%s'", path);
        goto out;
    }
    fs->wall_offset_ns = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC);
    fs->now_ns = clock_ns(CLOCK_MONOTONIC);
    fs->started_wall_ns = fs_wall_ns(fs);
    st = fs_session_open(fs, reterr);
    if (st != ST_OK) {
        goto out;
    }
    if (fuse_session_mount(fs->session, fs->mount_point) != 0) {
        st = fault_set(reterr, ST_DENIED,
                       "cannot mount on '%s': the kernel refuses (is "
                       "/dev/fuse there, and may this user mount?)",
                       path);
        goto out;
    }
    fs->mounted = true;
    const int fd = fuse_session_fd(fs->session);
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK | O_RDWR) != 0) {
        st = fault_sys(reterr, errno, "cannot set up the mount on '%s'", path);
        goto out;
    }
    st = fs_helpers_start(fs, reterr);
    if (st != ST_OK) {
        goto out;
    }
    fs_events_init(fs);
    *ret = fs;
    return ST_OK;

out:
    fs_free(fs);
    return st;
}

void fs_free(struct fs *fs)
{
    if (fs == NULL) {
        return;
    }
    if (fs->mounted) {
        fuse_session_unmount(fs->session); /* lazily */
        fs->mounted = false;
    }
    fs_close(fs);
}
