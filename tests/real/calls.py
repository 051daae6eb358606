"""System calls that Python's os module does not have, and small helpers."""

import ctypes
import errno
import os
import struct
import time

libc = ctypes.CDLL(None, use_errno=True)

AT_FDCWD = -100
RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
FALLOC_FL_KEEP_SIZE = 1
FALLOC_FL_PUNCH_HOLE = 2

SHUTDOWN = 0x8004587D  # _IOR('X', 125, u32): EXT4_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN
SHUTDOWN_NO_LOG_FLUSH = 2


def _check(result, *names):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), *names)
    return result


def rename2(old, new, flags):
    _check(libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new),
                          ctypes.c_uint(flags)), old)


def fallocate(fd, mode, offset, length):
    _check(libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)))


def power_off(directory):
    """The file system that holds directory forgets what was not synced."""
    import fcntl
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", SHUTDOWN_NO_LOG_FLUSH))
    finally:
        os.close(fd)


def errno_of(call, *arguments, **named):
    """The errno's name that a call fails with; "ok" when it succeeds."""
    try:
        call(*arguments, **named)
    except OSError as error:
        return {errno.EOPNOTSUPP: "EOPNOTSUPP"}.get(error.errno) or errno.errorcode.get(error.errno, str(error.errno))
    return "ok"


def read(path):
    with open(path, "rb", buffering=0) as f:
        return f.read()


def read_or_none(path):
    try:
        return read(path)
    except FileNotFoundError:
        return None


def put(path, value):
    """As `echo > path`: open with O_TRUNC, one write, close."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        written = 0
        while written < len(value):
            written += os.write(fd, value[written:])
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)  # outside the try: its outcome is the publication's


def attribute(path, name):
    """user.keelfs.NAME of a path, as text."""
    return os.getxattr(path, "user.keelfs." + name).decode("utf-8", "surrogateescape")


def revision(mount):
    """The store's revision, from the mount's root."""
    return int(attribute(mount, "revision"))


def in_child(body, *arguments):
    """Starts body in a child process and returns its pid; exit status 0 means
    that it returned, 1 that it raised."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        body(*arguments)
        status = 0
    except BaseException:
        import traceback
        traceback.print_exc()
    os._exit(status)


def join(*pids):
    """Waits for children of in_child; returns how many of them raised."""
    return sum(1 for pid in pids if os.waitpid(pid, 0)[1] != 0)


def sleep_until(moment):
    left = moment - time.monotonic()
    if left > 0:
        time.sleep(left)
