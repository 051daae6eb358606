#!/usr/bin/env python3
"""The node dies while it replays changes on its own mount: nothing may hang,
and the next start mounts over what is left (filesystem.md sections 5 and 9)."""

import ctypes
import os
import random
import signal
import time

import calls
import rig
import tap
from inotify import Watcher
from tap import expect, expect_equal, test

PTRACE_SEIZE = 0x4206
PTRACE_INTERRUPT = 0x4207
WALL = 0x40000000


def more(parser):
    parser.add_argument("--rounds", type=int, default=8)


def threads_of(pid):
    """(thread id, where it waits) of a process and its children."""
    found, waiting = [], [pid]
    while waiting:
        process = waiting.pop()
        try:
            for thread in os.listdir("/proc/%d/task" % process):
                with open("/proc/%d/task/%s/wchan" % (process, thread)) as f:
                    found.append((int(thread), f.read()))
                with open("/proc/%d/task/%s/children" % (process, thread)) as f:
                    waiting += [int(child) for child in f.read().split()]
        except OSError:
            continue
    return found


def write_until_error(root, which):
    """Creates, changes, renames and removes without end; any error ends it."""
    number = 0
    try:
        while True:
            number += 1
            path = "%s/w%d-%d" % (root, which, number % 7)
            calls.put(path, b"%d" % number)
            if number % 3 == 0:
                os.rename(path, path + "r")
                os.unlink(path + "r")
    except OSError:
        os._exit(0)


def ends_soon(pids, limit, what):
    end = time.monotonic() + limit * tap.SLOW
    left = set(pids)
    while left and time.monotonic() < end:
        for pid in list(left):
            if os.waitpid(pid, os.WNOHANG)[0]:
                left.discard(pid)
        time.sleep(0.005)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    expect(not left, "%d of %s still wait after %g s" % (len(left), what, limit))


def dead_mount_answers(path):
    """A dead mount gives ENOTCONN at once, it does not hang."""
    def look():
        outcome = calls.errno_of(os.stat, path + "/x")
        expect(outcome in ("ENOTCONN", "ECONNABORTED", "ENOENT"), "stat gives %s" % outcome)
    tap.run_limited(look, limit=5)


def after_the_kill(node, writers):
    node.reap(limit=5)
    ends_soon(writers, 5, "writers")
    for mount in node.mounts:
        dead_mount_answers(mount)
    took = node.start(limit=10)
    a, b = node.mounts

    def works():
        watcher = Watcher()
        watcher.add(b, "b")
        calls.put(a + "/again", b"%f" % took)
        expect_equal(calls.read(b + "/again"), b"%f" % took)
        expect(watcher.until(lambda e: e.name == "again" and "CLOSE_WRITE" in e.kind, 5),
               "no event after the restart: %r" % watcher.seen)
        os.unlink(a + "/again")
    tap.run_limited(works, limit=20, unhang=node.unhang)


@test(limit=1 << 20)
def kill_9_under_replay_leaves_nothing_hanging(base):
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    chance = random.Random(seed)
    tap.note("seed %d, %d rounds" % (seed, OPTIONS.rounds))
    node = rig.Node(base=base)
    try:
        node.start()
        for number in range(OPTIONS.rounds):
            watcher = Watcher()
            for mount in node.mounts:
                watcher.add(mount, mount)
            writers = [calls.in_child(write_until_error, node.mounts[n % 2], n) for n in range(4)]
            time.sleep(0.02 + chance.random() * 0.25)
            os.kill(node.pid, signal.SIGKILL)
            after_the_kill(node, writers)
            watcher.close()
        node.stop()
    finally:
        node.close()


@test(limit=120)
def kill_9_while_a_replayed_request_is_unanswered(base):
    """The thread that answers requests is stopped by ptrace; the helpers go on
    and wait for it, on the node's own mount.  Then the node is killed: a helper
    that still held the FUSE device would keep the mount hanging for good."""
    libc = ctypes.CDLL(None, use_errno=True)
    node = rig.Node(base=base)
    caught = 0
    try:
        node.start()
        for number in range(4):
            watcher = Watcher()
            for mount in node.mounts:
                watcher.add(mount, mount)
            # Changes made on A only: what waits on B is a helper.
            writers = [calls.in_child(write_until_error, node.mounts[0], n) for n in range(4)]
            time.sleep(0.1 + 0.03 * number)
            loop = node.pid  # the main thread is the loop's
            if libc.ptrace(PTRACE_SEIZE, loop, None, None) != 0:
                os.kill(node.pid, signal.SIGKILL)
                after_the_kill(node, writers)
                raise tap.Skip("ptrace: %s" % os.strerror(ctypes.get_errno()))
            libc.ptrace(PTRACE_INTERRUPT, loop, None, None)
            status = ctypes.c_int()
            libc.waitpid(loop, ctypes.byref(status), WALL)
            time.sleep(0.1)
            waits = [w for t, w in threads_of(node.pid) if t != loop and ("request" in w or "fuse" in w)]
            caught += bool(waits)
            os.kill(node.pid, signal.SIGKILL)
            # Traced by this process: the reaping below is by the same one.
            after_the_kill(node, writers)
            watcher.close()
        tap.note("a helper was waiting for an answer in %d of 4 rounds" % caught)
        node.stop()
    finally:
        node.close()


@test(limit=60)
def unmounting_from_outside_is_survived(base):
    """fusermount3 -u of one mount: the other goes on working."""
    node = rig.Node(base=base)
    try:
        node.start()
        a, b = node.mounts
        calls.put(a + "/f", b"v")
        rig.unmount(b)
        time.sleep(0.3)

        def works():
            expect_equal(calls.read(a + "/f"), b"v")
            calls.put(a + "/f", b"w")
            expect_equal(calls.read(a + "/f"), b"w")
        if node.alive():
            tap.run_limited(works, limit=10, unhang=node.unhang)
            node.stop()
        else:
            raise tap.Failure("the node ended:\n" + node.output()[-1000:])
    finally:
        node.close()


@test(limit=60)
def a_busy_mount_is_unmounted_at_a_clean_stop(base):
    """Someone sits in the directory and holds a file open: the stop must not
    wait for them, and they get errors."""
    node = rig.Node(base=base)
    try:
        node.start()
        a = node.mounts[0]
        os.mkdir(a + "/d")
        calls.put(a + "/d/f", b"v")
        read_end, write_end = os.pipe()

        def sits():
            os.chdir(a + "/d")
            fd = os.open("f", os.O_RDWR)
            os.write(write_end, b"x")
            time.sleep(3)
            expect(calls.errno_of(os.pread, fd, 10, 0) != "EINVAL", "read after the stop")
            os._exit(0)
        child = calls.in_child(sits)
        os.read(read_end, 1)
        started = time.monotonic()
        expect_equal(node.stop(limit=10), 0, "exit status")
        tap.note("stopped in %.2f s" % (time.monotonic() - started))
        expect_equal(rig.mounts_at(a), [], "mounts left")
        ends_soon([child], 10, "processes in the mount")
        node.start()
        expect_equal(calls.read(a + "/d/f"), b"v")
        node.stop()
    finally:
        node.close()


if __name__ == "__main__":
    OPTIONS = tap.parse(__doc__, more)
    raise SystemExit(1 if tap.run(OPTIONS, rig.NoNode()) else 0)
