/* Looking for marks of inotify and fanotify: /proc/PID/fdinfo shows on which
 * device each lies (proc_pid_fdinfo(5)). */

#include "fs/watchers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define NAME_SIZE 32

/* Of the first pid namespace, from which all processes are seen. */
#define FIRST_PID_NAMESPACE "pid:[4026531836]"

static bool sees_all(void)
{
    char link[NAME_SIZE];
    const ssize_t size =
        readlink("/proc/self/ns/pid", link, sizeof FIRST_PID_NAMESPACE);
    return size == (ssize_t)sizeof FIRST_PID_NAMESPACE - 1 &&
           memcmp(link, FIRST_PID_NAMESPACE, (size_t)size) == 0;
}

/* The kernel's number of a device, as fdinfo prints it. */
static unsigned long kernel_device(dev_t device)
{
    return (unsigned long)major(device) << 20 | minor(device);
}

/* Lines that count: "inotify wd:1 ino:2 sdev:HEX …", "fanotify … sdev:HEX …",
 * "fanotify mnt_id:…", which may be any mount. */
static bool line_is_about(const char *line, unsigned long device)
{
    const bool is_mark = strncmp(line, "inotify wd:", 11) == 0 ||
                         strncmp(line, "fanotify ino:", 13) == 0 ||
                         strncmp(line, "fanotify sdev:", 14) == 0;
    if (!is_mark) {
        return strncmp(line, "fanotify mnt_id:", 16) == 0;
    }
    const char *at = strstr(line, "sdev:");
    return at != NULL && strtoul(at + 5, NULL, 16) == device;
}

static bool marks_are_about(int process, const char *fd, unsigned long device)
{
    char path[2 * NAME_SIZE];
    char line[512];
    (void)snprintf(path, sizeof path, "fdinfo/%.*s", NAME_SIZE - 1, fd);
    const int info = openat(process, path, O_RDONLY | O_CLOEXEC);
    FILE *f = info < 0 ? NULL : fdopen(info, "r");
    if (f == NULL) {
        if (info >= 0) {
            (void)close(info);
        }
        return info < 0 && errno != ENOENT; /* closed meanwhile */
    }
    bool found = false;
    while (!found && fgets(line, sizeof line, f) != NULL) {
        found = line_is_about(line, device);
    }
    (void)fclose(f);
    return found;
}

static bool is_notify(int process, const char *fd)
{
    char path[2 * NAME_SIZE];
    char link[NAME_SIZE];
    (void)snprintf(path, sizeof path, "fd/%.*s", NAME_SIZE - 1, fd);
    const ssize_t size = readlinkat(process, path, link, sizeof link - 1);
    if (size <= 0) {
        return false;
    }
    link[size] = '\0';
    return strcmp(link, "anon_inode:inotify") == 0 ||
           strcmp(link, "anon_inode:[fanotify]") == 0;
}

/* False also for a process that has ended. */
static bool process_watches(int proc, const char *pid, unsigned long device)
{
    const int process = openat(proc, pid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int fds =
        process < 0 ? -1
                    : openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fds < 0 ? NULL : fdopendir(fds);
    bool found = d == NULL && (errno == EACCES || errno == EPERM);
    const struct dirent *e;
    while (d != NULL && !found && (e = readdir(d)) != NULL) {
        found = e->d_name[0] != '.' && is_notify(process, e->d_name) &&
                marks_are_about(process, e->d_name, device);
    }
    if (d != NULL) {
        (void)closedir(d);
    } else if (fds >= 0) {
        (void)close(fds);
    }
    if (process >= 0) {
        (void)close(process);
    }
    return found;
}

bool fs_watchers_exist(dev_t device)
{
    DIR *d = sees_all() ? opendir("/proc") : NULL;
    bool found = d == NULL;
    const struct dirent *e;
    while (!found && (e = readdir(d)) != NULL) {
        found = e->d_name[0] >= '1' && e->d_name[0] <= '9' &&
                process_watches(dirfd(d), e->d_name, kernel_device(device));
    }
    if (d != NULL) {
        (void)closedir(d);
    }
    return found;
}
