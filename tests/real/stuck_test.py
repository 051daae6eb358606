#!/usr/bin/env python3
"""A mount whose node is stopped, killed, or without a quorum: every system call
comes back or can be ended by a signal within the mount's timeout, and no process
is left behind in one.

Each case is a process of its own, which opens what it needs while all is well."""

import ctypes
import os
import select
import signal
import time

import calls
import cluster
import rig
import tap
from tap import expect, test

TIMEOUT = 1   # seconds: the mount's
SLACK = 1.5   # what a busy machine may add
# What may succeed without a quorum: what is open, what was looked up before, and
# what says nothing about keys.  (Python's access() knows no errors.)
LOCAL = {"access", "statfs", "inotify_add_watch", "inotify_add_watch of a file", "chdir", "the control directory",
         "read of an open file", "fstat of an open file", "close of a file that was read", "seek to the end",
         "write to an open file", "ftruncate", "exit with what was written", "fallocate"}
libc = ctypes.CDLL(None, use_errno=True)


class Place:
    """What a case has: paths of its own, and what it opened before."""

    def __init__(self, root, number):
        self.root = root
        self.home = "%s/c%d" % (root, number)
        self.file, self.other, self.empty = self.home + "/file", self.home + "/other", self.home + "/empty"

    def make(self):
        """Before any node is harmed."""
        os.mkdir(self.home)
        os.mkdir(self.empty)
        calls.put(self.file, b"value" * 50)
        calls.put(self.other, b"other")

    def opened(self, flags):
        return os.open(self.file, flags)


def inotify(path):
    fd = libc.inotify_init1(os.O_CLOEXEC)
    if libc.inotify_add_watch(fd, os.fsencode(path), 0x2) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def write_all(fd, data):
    os.write(fd, data)
    os.close(fd)


# name: (what is opened before, the call with what was opened)
NOTHING = (lambda p: None)
READING = (lambda p: p.opened(os.O_RDONLY))
WRITING = (lambda p: p.opened(os.O_RDWR))
FOLDER = (lambda p: os.open(p.home, os.O_RDONLY | os.O_DIRECTORY))


def wrote(p):
    fd = p.opened(os.O_RDWR)
    os.write(fd, b"unpublished")
    return fd


CASES = {
    "stat": (NOTHING, lambda p, _: os.stat(p.file)),
    "lstat of what is not there": (NOTHING, lambda p, _: os.lstat(p.home + "/none")),
    "stat of the root": (NOTHING, lambda p, _: os.stat(p.root)),
    "access": (NOTHING, lambda p, _: os.access(p.file, os.R_OK)),
    "statfs": (NOTHING, lambda p, _: os.statvfs(p.root)),
    "open and read": (NOTHING, lambda p, _: calls.read(p.file)),
    "open, write and close": (NOTHING, lambda p, _: calls.put(p.file, b"changed")),
    "make a file": (NOTHING, lambda p, _: calls.put(p.home + "/new", b"made")),
    "make a file exclusively": (NOTHING, lambda p, _: os.close(
        os.open(p.home + "/excl", os.O_CREAT | os.O_EXCL | os.O_WRONLY))),
    "append": (NOTHING, lambda p, _: write_all(os.open(p.file, os.O_WRONLY | os.O_APPEND), b"more")),
    "truncate": (NOTHING, lambda p, _: os.truncate(p.file, 3)),
    "list": (NOTHING, lambda p, _: os.listdir(p.home)),
    "list the root": (NOTHING, lambda p, _: os.listdir(p.root)),
    "mkdir": (NOTHING, lambda p, _: os.mkdir(p.home + "/made")),
    "rmdir": (NOTHING, lambda p, _: os.rmdir(p.empty)),
    "unlink": (NOTHING, lambda p, _: os.unlink(p.file)),
    "rename": (NOTHING, lambda p, _: os.rename(p.file, p.home + "/moved")),
    "rename over another": (NOTHING, lambda p, _: os.rename(p.file, p.other)),
    "rename a directory": (NOTHING, lambda p, _: os.rename(p.empty, p.home + "/full")),
    "exchange": (NOTHING, lambda p, _: calls.rename2(p.file, p.other, calls.RENAME_EXCHANGE)),
    "link": (NOTHING, lambda p, _: os.link(p.file, p.home + "/link")),
    "symlink": (NOTHING, lambda p, _: os.symlink("file", p.home + "/symlink")),
    "getxattr": (NOTHING, lambda p, _: calls.attribute(p.file, "mod_revision")),
    "listxattr": (NOTHING, lambda p, _: os.listxattr(p.file)),
    "setxattr": (NOTHING, lambda p, _: os.setxattr(p.file, "user.keelfs.ttl", b"60")),
    "inotify_add_watch": (NOTHING, lambda p, _: inotify(p.home)),
    "inotify_add_watch of a file": (NOTHING, lambda p, _: inotify(p.file)),
    "chmod": (NOTHING, lambda p, _: os.chmod(p.file, 0o600)),
    "utimes": (NOTHING, lambda p, _: os.utime(p.file)),
    "chdir": (NOTHING, lambda p, _: os.chdir(p.home)),
    "the control directory": (NOTHING, lambda p, _: calls.read(p.root + "/.keelfs/status")),
    "read of an open file": (READING, lambda p, fd: os.read(fd, 100)),
    "fstat of an open file": (READING, lambda p, fd: os.fstat(fd)),
    "close of a file that was read": (READING, lambda p, fd: os.close(fd)),
    "seek to the end": (READING, lambda p, fd: os.lseek(fd, 0, os.SEEK_END)),
    "write to an open file": (WRITING, lambda p, fd: os.write(fd, b"changed")),
    "ftruncate": (WRITING, lambda p, fd: os.ftruncate(fd, 1)),
    "fsync of what was written": (wrote, lambda p, fd: os.fsync(fd)),
    "close of what was written": (wrote, lambda p, fd: os.close(fd)),
    "exit with what was written": (wrote, lambda p, fd: None),
    "fallocate": (WRITING, lambda p, fd: os.posix_fallocate(fd, 0, 4000)),
    "list an open directory": (FOLDER, lambda p, fd: os.listdir(fd)),
    "openat": (FOLDER, lambda p, fd: os.close(os.open("file", os.O_RDONLY, dir_fd=fd))),
}


class Case:
    """One process: ready when its files are open, then it waits for the word."""

    def __init__(self, name, place, pipe):
        self.name, self.place = name, place
        self.answers, answer = os.pipe()
        self.pid = calls.in_child(self.body, pipe, answer)
        os.close(answer)

    def body(self, pipe, answer):
        rig.die_with_parent()
        os.close(pipe[1])
        before, call = CASES[self.name]
        opened = before(self.place)
        os.write(answer, b"ready\n")
        os.read(pipe[0], 1)  # until its other end is closed
        began = time.monotonic()
        said = calls.errno_of(call, self.place, opened)
        os.write(answer, ("%s %.3f\n" % (said, time.monotonic() - began)).encode())
        os._exit(0)

    def read(self, end):
        if not select.select([self.answers], [], [], max(0, end - time.monotonic()))[0]:
            return None
        return os.read(self.answers, 100).decode()

    def is_gone(self, end):
        """Whether the process ends before then."""
        while os.waitpid(self.pid, os.WNOHANG)[0] != self.pid:
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
        return True


def begin(c):
    """Every case's process, with its files open."""
    places = [Place(c.members[0].root, number) for number in range(len(CASES))]
    for place in places:
        place.make()
    c.agree()
    pipe = os.pipe()
    cases = [Case(name, place, pipe) for name, place in zip(CASES, places)]
    os.close(pipe[0])
    for case in cases:
        expect(case.read(time.monotonic() + 20 * tap.SLOW) == "ready\n", "'%s' cannot begin" % case.name)
    return cases, pipe[1]


def judge(cases, go, words):
    """The cases that are left in a call when they were told to end."""
    began = time.monotonic()
    os.close(go)
    end = began + (TIMEOUT + SLACK) * tap.SLOW
    said, waiting = {}, []
    for case in cases:
        answer = case.read(end)
        if answer:
            outcome, took = answer.split()
            said.setdefault(outcome, []).append((float(took), case.name))
        else:
            waiting.append(case)
            os.kill(case.pid, signal.SIGKILL)
    end = time.monotonic() + SLACK * tap.SLOW
    stuck = [case for case in cases if not case.is_gone(end)]
    back = len(cases) - len(waiting)
    tap.note("%s: %d cases: %d came back (%s), the slowest after %.2f s; %d were ended by a signal; %d stuck" % (
        words, len(cases), back, ", ".join("%d %s" % (len(s), o) for o, s in sorted(said.items())),
        max((t for s in said.values() for t, _ in s), default=0), len(waiting) - len([c for c in stuck if c in waiting]),
        len(stuck)))
    return said, waiting, stuck


def expect_none_stuck(stuck, words):
    expect(not stuck, "%s: stuck in a call: %s" % (words, ", ".join("'%s' (process %d in %s)" % (
        case.name, case.pid, wchan(case.pid)) for case in stuck)))


def wchan(pid):
    try:
        with open("/proc/%d/wchan" % pid) as f:
            return f.read()
    except OSError as error:
        return str(error)


def three(base):
    return cluster.Cluster(base, options={n: "timeout=%ds" % TIMEOUT for n in (1, 2, 3)})


@test(limit=90)
def no_call_is_stuck_without_a_quorum(base):
    with three(base) as c:
        cases, go = begin(c)
        for m in c.members[1:]:
            m.freeze()
        said, waiting, stuck = judge(cases, go, "without a quorum")
        expect(not waiting, "calls that did not come back: %s" % [case.name for case in waiting])
        expect_none_stuck(stuck, "without a quorum")
        expect(set(said) <= {"ok", "EROFS", "ETIMEDOUT"}, "answers: %s" % said)
        well = {name for _, name in said.get("ok", [])}
        expect(well <= LOCAL, "these succeeded: %s" % sorted(well - LOCAL))


@test(limit=90)
def no_call_is_stuck_in_the_mount_of_a_killed_node(base):
    with three(base) as c:
        cases, go = begin(c)
        c.members[0].kill()
        _, waiting, stuck = judge(cases, go, "killed")
        expect(not waiting, "calls that did not come back: %s" % [case.name for case in waiting])
        expect_none_stuck(stuck, "killed")


def holds_for_writing(case):
    return CASES[case.name][0] in (WRITING, wrote)


def stopped(base, words, then):
    """The kernel sends what close() asks (FLUSH) so that no signal ends it: who
    has a file open for writing waits for the node, and only for that."""
    with three(base) as c:
        cases, go = begin(c)
        c.members[0].freeze()
        try:
            _, _, stuck = judge(cases, go, words)
            expect_none_stuck([case for case in stuck if not holds_for_writing(case)], words)
        finally:
            then(c.members[0])
        end = time.monotonic() + SLACK * tap.SLOW
        expect_none_stuck([case for case in stuck if not case.is_gone(end)], words + ", and it did not stay so")


@test(limit=90)
def calls_into_a_stopped_node_can_be_ended(base):
    stopped(base, "stopped", lambda node: node.thaw())


@test(limit=90)
def who_waits_for_a_stopped_node_is_free_when_it_is_killed(base):
    stopped(base, "stopped and then killed", lambda node: node.kill())


if __name__ == "__main__":
    OPTIONS = tap.parse(__doc__)
    raise SystemExit(1 if tap.run(OPTIONS, rig.NoNode()) else 0)
