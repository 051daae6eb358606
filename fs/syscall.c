/* Which system calls write: what proc_pid_syscall(5) shows, judged. */

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "fs/internal.h"

#define ARGUMENTS_MAX 6

static bool opens_for_writing(unsigned long flags)
{
    return (flags & O_ACCMODE) != O_RDONLY ||
           (flags & (O_CREAT | O_TRUNC)) != 0;
}

static const long writing[] = {
#ifdef SYS_creat
    SYS_creat,
#endif
#ifdef SYS_mkdir
    SYS_mkdir,       SYS_mknod,       SYS_symlink,   SYS_link,
    SYS_rename,      SYS_unlink,      SYS_rmdir,     SYS_chmod,
    SYS_chown,       SYS_lchown,      SYS_utime,     SYS_utimes,
    SYS_futimesat,
#endif
#ifdef SYS_renameat
    SYS_renameat,
#endif
    SYS_mkdirat,     SYS_mknodat,     SYS_symlinkat, SYS_linkat,
    SYS_renameat2,   SYS_unlinkat,    SYS_truncate,  SYS_fchmodat,
    SYS_fchownat,    SYS_utimensat,   SYS_setxattr,  SYS_lsetxattr,
    SYS_removexattr, SYS_lremovexattr};

bool fs_syscall_writes(const char *text)
{
    char *end;
    const long number = strtol(text, &end, 10); /* "running": 0, no argument */
    unsigned long arguments[ARGUMENTS_MAX] = {0};
    for (size_t i = 0; i < ARGUMENTS_MAX; i++) {
        const char *at = end;
        arguments[i] = strtoul(at, &end, 16);
        if (end == at) {
            return false;
        }
    }
#ifdef SYS_open
    if (number == SYS_open) {
        return opens_for_writing(arguments[1]);
    }
#endif
    if (number == SYS_openat) {
        return opens_for_writing(arguments[2]);
    }
    for (size_t i = 0; i < count_of(writing); i++) {
        if (number == writing[i]) {
            return true;
        }
    }
    return false;
}
