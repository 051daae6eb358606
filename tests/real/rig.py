"""Nodes and mounts for the tests: start, stop, kill, and leave nothing behind."""

import atexit
import ctypes
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import tap

READY = "ready to serve client requests"
MNT_DETACH = 2

libc = ctypes.CDLL(None, use_errno=True)


def keelfs():
    """The binary's path, or the end of the file with a reason."""
    path = os.environ.get("KEELFS")
    if not path:
        tap.skip_all("KEELFS does not name the binary")
    if not os.access(path, os.X_OK):
        tap.skip_all("%s is not an executable file" % path)
    return os.path.abspath(path)


def need_fuse():
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        tap.skip_all("/dev/fuse cannot be opened: %s" % error.strerror)
    if os.geteuid() != 0 and shutil.which("fusermount3") is None:
        tap.skip_all("fusermount3 is not installed")


def need_root(what):
    if os.geteuid() != 0:
        raise tap.Skip("%s needs root" % what)


def need_program(*names):
    for name in names:
        if shutil.which(name) is None:
            raise tap.Skip("%s is not installed" % name)


# --- mounts, seen from /proc: looking there never hangs ---

def _unescape(text):
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m.group(1), 8)), text)


def mounts_at(path):
    """(device minor, type) of what is mounted at path, last on top."""
    found = []
    with open("/proc/self/mountinfo") as f:
        for line in f:
            left, right = line.split(" - ", 1)
            fields = left.split()
            if _unescape(fields[4]) == path:
                found.append((int(fields[2].split(":")[1]), right.split()[0]))
    return found


def abort_connection(path):
    """Makes every request that waits on the FUSE mount at path fail."""
    for minor, kind in mounts_at(path):
        if not kind.startswith("fuse"):
            continue
        control = "/sys/fs/fuse/connections/%d/abort" % minor
        if not os.path.exists(control):
            subprocess.run(["mount", "-t", "fusectl", "none", "/sys/fs/fuse/connections"],
                           stderr=subprocess.DEVNULL, timeout=10)
        try:
            with open(control, "w") as f:
                f.write("1")
        except OSError:
            pass


def unmount(path):
    """Detaches whatever is mounted at path; never waits for it."""
    for _ in range(20):
        if not mounts_at(path):
            return
        if libc.umount2(path.encode(), MNT_DETACH) != 0:
            subprocess.run(["fusermount3", "-uz", path], stderr=subprocess.DEVNULL, timeout=10)


# --- temporary directories ---

_directories = []


def directory(under=None):
    """A new empty directory, gone when the process that made it ends."""
    path = tempfile.mkdtemp(prefix="keelfs-real-", dir=under or os.environ.get("TMPDIR") or "/tmp")
    _directories.append((os.getpid(), path))
    return path


def mounts_below(path):
    found = []
    with open("/proc/self/mountinfo") as f:
        for line in f:
            point = _unescape(line.split()[4])
            if point == path or point.startswith(path + "/"):
                found.append(point)
    return found


def clear(path):
    """Removes a directory and whatever is mounted below it."""
    for point in reversed(mounts_below(path)):
        abort_connection(point)
        unmount(point)
    shutil.rmtree(path, ignore_errors=True)


def _clean():
    for owner, path in _directories:
        if owner == os.getpid():
            clear(path)


atexit.register(_clean)


# --- a node ---

PR_SET_PDEATHSIG = 1


def die_with_parent():
    """Runs in a child before exec: a killed test leaves no node behind."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Node:
    """One `keelfs server` process.

    wrap: a command before it (strace and the like).  Its output is in log."""

    def __init__(self, base=None, mounts=("a", "b"), data=None, arguments=(), wrap=(),
                 mount_options=None):
        self.base = base or directory()
        self.data = data or os.path.join(self.base, "data")
        self.mounts = [os.path.join(self.base, m) for m in mounts]
        for m in self.mounts:
            if not mounts_at(m):
                os.makedirs(m, exist_ok=True)
        self.arguments = list(arguments)
        if mount_options:
            self.arguments += ["--mount-options", mount_options]
        self.wrap = list(wrap)
        self.log = os.path.join(self.base, "node.log")
        self.process = None
        self.pid = None
        self.log_from = 0

    def command(self):
        command = self.wrap + [keelfs(), "server", "--data-dir", self.data]
        for m in self.mounts:
            command += ["--mount", m]
        return command + self.arguments

    def spawn(self):
        """Starts the process; does not wait until it is ready."""
        self.log_from = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        with open(self.log, "ab") as out, open(os.devnull, "rb") as nothing:
            self.process = subprocess.Popen(self.command(), stdin=nothing, stdout=out, stderr=out,
                                            cwd="/", preexec_fn=die_with_parent)
        self.pid = None if self.wrap else self.process.pid

    def output(self):
        """What the last process has printed."""
        with open(self.log, "rb") as f:
            f.seek(self.log_from)
            return f.read().decode("utf-8", "replace")

    def is_ready(self):
        return READY in self.output()

    def wait_ready(self, limit=20):
        started = time.monotonic()
        end = started + limit * tap.SLOW
        while not self.is_ready():
            code = self.process.poll()
            if code is not None:
                raise tap.Failure("the node ended with %d before it was ready:\n%s"
                                  % (code, self.output()[-2000:]))
            if time.monotonic() > end:
                text = self.output()[-2000:]
                self.kill()
                raise tap.Failure("the node was not ready within %g s:\n%s" % (limit * tap.SLOW, text))
            time.sleep(0.002)
        if self.wrap:
            self.pid = self._server_under_wrapper()
        return time.monotonic() - started

    def start(self, limit=20):
        self.spawn()
        return self.wait_ready(limit)

    def _server_under_wrapper(self):
        """The server's own process id when it runs under strace."""
        waiting = [self.process.pid]
        while waiting:
            pid = waiting.pop()
            try:
                if os.path.samefile("/proc/%d/exe" % pid, keelfs()):
                    return pid
                with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
                    waiting += [int(child) for child in f.read().split()]
            except OSError:
                continue
        return None

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, limit=20):
        """A clean stop; returns the exit status."""
        if self.process is None:
            return None
        pid = self.pid or self._server_under_wrapper() or self.process.pid
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        try:
            code = self.process.wait(limit * tap.SLOW)
        except subprocess.TimeoutExpired:
            self.kill()
            raise tap.Failure("the node did not stop within %g s of SIGTERM:\n%s"
                              % (limit * tap.SLOW, self.output()[-2000:]))
        self.process = None
        return code

    def kill(self):
        """kill -9.  The dead mounts stay, as after a crash."""
        if self.process is None:
            return
        pid = self.pid or self._server_under_wrapper()
        for victim in (pid, self.process.pid):
            if victim is None:
                continue
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.reap()

    def reap(self, limit=20):
        """Waits for a process that is known to be dying."""
        if self.process is None:
            return None
        try:
            code = self.process.wait(limit * tap.SLOW)
        except subprocess.TimeoutExpired:
            self.unhang()
            raise tap.Failure("the node's process did not die")
        self.process = None
        return code

    def unhang(self):
        for m in self.mounts:
            abort_connection(m)

    def close(self):
        """Whatever state it is in: afterwards nothing runs or is mounted."""
        try:
            if self.process is not None:
                self.kill()
        except tap.Failure as failure:
            tap.note(failure)
        finally:
            for m in self.mounts:
                if mounts_at(m):
                    abort_connection(m)
                    unmount(m)


# --- the surroundings of most test files ---

class Tree:
    """What a test body gets: one node's two mounts, or (plain) one ordinary
    directory under two names."""

    def __init__(self, a, b, node):
        self.a = a
        self.b = b
        self.node = node

    def fresh(self, name):
        """A new directory for one test: its paths under both mounts."""
        a = os.path.join(self.a, name)
        os.mkdir(a)
        return a, os.path.join(self.b, name)


class TwoMounts:
    """One node with two mounts, started once for all tests of a file and again
    when a test broke it."""

    def __init__(self, mount_options=None, arguments=()):
        self.plain = os.environ.get("KEELFS_PLAIN")
        self.node = None
        if self.plain:
            self.base = directory(self.plain)
            return
        keelfs()
        need_fuse()
        self.node = Node(mount_options=mount_options, arguments=arguments)

    def ensure(self):
        if self.node is not None and not self.node.alive():
            self.node.start()

    def arguments(self):
        if self.plain:
            return (Tree(self.base, self.base, None),)
        return (Tree(self.node.mounts[0], self.node.mounts[1], self.node),)

    def unhang(self):
        if self.node is not None:
            self.node.unhang()

    def after(self):
        if self.node is None or self.node.alive():
            return ""
        code = self.node.process.poll()
        text = "the node died (%s):\n%s" % (code, self.node.output()[-6000:])
        self.node.close()
        return text

    def close(self):
        if self.node is None:
            return
        try:
            if self.node.alive():
                code = self.node.stop()
                left = [m for m in self.node.mounts if mounts_at(m)]
                if code != 0 or left:
                    print("Bail out! stop: status %s, still mounted: %s\n%s"
                          % (code, left, self.node.output()[-2000:]))
                    raise SystemExit(1)
        finally:
            self.node.close()


class NoNode:
    """Surroundings of files whose tests start nodes of their own.  Each body
    gets a fresh directory; what it left mounted there is taken away."""

    plain = None

    def __init__(self):
        keelfs()
        need_fuse()
        self.base = None

    def ensure(self):
        self.base = directory()

    def arguments(self):
        return (self.base,)

    def unhang(self):
        for point in mounts_below(self.base):
            abort_connection(point)

    def after(self):
        left = mounts_below(self.base)
        clear(self.base)
        return "".join("left mounted: %s\n" % point for point in left)

    def close(self):
        pass
