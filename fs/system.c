/* What threads are: asked of the kernel. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/internal.h"

/* The value of a line "name:\tvalue" of /proc/THREAD/status; false: none. */
static bool status_line(uint32_t thread, const char *name, int base,
                        uint64_t *ret)
{
    char path[32];
    char text[4096];
    (void)snprintf(path, sizeof path, "/proc/%u/status", thread);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    const ssize_t size = read(fd, text, sizeof text - 1);
    (void)close(fd);
    if (size <= 0) {
        return false;
    }
    text[size] = 0;
    const char *at = strstr(text, name);
    if (at == NULL) {
        return false;
    }
    *ret = strtoull(at + strlen(name), NULL, base);
    return true;
}

static uint32_t thread_group(uint32_t thread)
{
    /* A signal 0 to a thread of the group `thread` finds only a leader. */
    if (syscall(SYS_tgkill, thread, thread, 0) == 0 || errno == EPERM) {
        return thread;
    }
    uint64_t group;
    return status_line(thread, "\nTgid:", 10, &group) ? (uint32_t)group
                                                      : thread;
}

static bool is_dying(uint32_t thread)
{
    /* A deadly signal is pending as SIGKILL in every thread of its group. */
    uint64_t pending;
    return !status_line(thread, "\nSigPnd:", 16, &pending) ||
           (pending & (1ULL << (SIGKILL - 1))) != 0;
}

const struct fs_system fs_system_real = {.thread_group = thread_group,
                                         .is_dying = is_dying};
