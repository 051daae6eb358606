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

/* Signal 0 finds a thread only by the group it is in. */
static bool is_in_group(uint32_t thread, uint32_t group)
{
    return syscall(SYS_tgkill, group, thread, 0) == 0 || errno == EPERM;
}

/* The file in /proc costs more than all the rest of a request, so where a
 * thread was is tried first. */
static uint32_t thread_group(uint32_t thread)
{
    static _Thread_local struct {
        uint32_t thread, group;
    } seen[256];
    const size_t at = thread % count_of(seen);
    if (is_in_group(thread, thread)) {
        return thread;
    }
    if (seen[at].thread == thread && is_in_group(thread, seen[at].group)) {
        return seen[at].group;
    }
    uint64_t group;
    if (!status_line(thread, "\nTgid:", 10, &group)) {
        return thread;
    }
    seen[at].thread = thread;
    seen[at].group = (uint32_t)group;
    return seen[at].group;
}

static bool is_dying(uint32_t thread)
{
    /* A deadly signal is pending as SIGKILL in every thread of its group. */
    uint64_t pending;
    return !status_line(thread, "\nSigPnd:", 16, &pending) ||
           (pending & (1ULL << (SIGKILL - 1))) != 0;
}

/* This does not wait.  The file is guarded by a lock that only an execve() in
 * the thread's group takes, when all its other threads are gone; and a thread
 * whose request was read goes nowhere before the answer, not even killed. */
static bool is_writing(uint32_t thread)
{
    char path[32];
    char text[256];
    (void)snprintf(path, sizeof path, "/proc/%u/syscall", thread);
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
    return fs_syscall_writes(text);
}

const struct fs_system fs_system_real = {.thread_group = thread_group,
                                         .is_dying = is_dying,
                                         .is_writing = is_writing};
