#!/usr/bin/env python3
"""Names change places all the time, through all mounts of one node and of three
(renames that replace nothing, exchanges, directories), while files are written
under them.  Nothing is ever removed: whatever was acknowledged is in some file at
the end, and no call fails but for a name that is not there, or is."""

import errno
import os
import pickle
import random
import subprocess
import time

import calls
import cluster
import rig
import tap
from tap import expect, expect_equal, test

NAMES = ("a/f", "a/g", "b/f", "b/g", "b/h", "c/f")


def more(parser):
    parser.add_argument("--seconds", type=float, default=3)


def attempt(errors, call, *arguments):
    """The call's result; None when it failed, in a way that is to be expected or
    is remembered."""
    try:
        return call(*arguments)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EEXIST):
            name = call.__name__ + " " + errno.errorcode[error.errno]
            errors[name] = errors.get(name, 0) + 1
        return None


def move(mounts, end, chance):
    errors = {}
    while time.monotonic() < end:
        root, kind = chance.choice(mounts), chance.random()
        names = "abc" if kind < .2 else NAMES
        flag = calls.RENAME_EXCHANGE if .2 <= kind < .4 else calls.RENAME_NOREPLACE
        old, new = (os.path.join(root, chance.choice(names)) for _ in range(2))
        attempt(errors, calls.rename2, old, new, flag)
        if kind > .7:
            time.sleep(chance.random() * .003)
    return errors


def write_one(errors, path, flags, text, chance):
    """Whether the text was acknowledged: it takes its time over it."""
    fd = attempt(errors, os.open, path, flags, 0o644)
    if fd is None:
        return False
    if chance.random() < .5:
        time.sleep(chance.random() * .004)
    expect_equal(os.write(fd, text), len(text))
    if chance.random() < .3:
        attempt(errors, os.fsync, fd)
    failed = dict(errors)
    attempt(errors, os.close, fd)
    return errors == failed


def write(mounts, end, chance, number, pipe):
    errors, acknowledged, count = {}, [], 0
    while time.monotonic() < end:
        count += 1
        text = b"%d.%d\n" % (number, count)
        flags = os.O_WRONLY | os.O_APPEND | chance.choice((0, 0, os.O_CREAT, os.O_CREAT | os.O_EXCL))
        path = os.path.join(chance.choice(mounts), chance.choice(NAMES))
        if write_one(errors, path, flags, text, chance):
            acknowledged.append(text)
    with os.fdopen(pipe, "wb") as f:
        pickle.dump(acknowledged, f)
    return errors


def none_failed(body, *arguments):
    errors = body(*arguments)
    # The kernel walks a path twice at most; a name that has gone both times is ESTALE.
    for name in ("open ESTALE", "rename2 ESTALE"):
        expect(errors.pop(name, 0) <= 3, "%s, time and again" % name)
    expect_equal(errors, {}, "calls that failed")


def all_text(root):
    text = b""
    for folder, _, files in os.walk(root):
        for name in files:
            text += calls.read(os.path.join(folder, name))
    return set(text.splitlines(keepends=True))


def hop(mounts):
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    tap.note("seed %d, %g s" % (seed, OPTIONS.seconds))
    for name in ("a/f", "b/g"):
        os.makedirs(os.path.join(mounts[0], name[0]))
        calls.put(os.path.join(mounts[0], name), b"start\n")
    end = time.monotonic() + OPTIONS.seconds
    children = [calls.in_child(none_failed, move, mounts, end, random.Random(seed + n)) for n in range(3)]
    pipes = []
    for n in range(4):
        reading, writing = os.pipe()
        children.append(calls.in_child(none_failed, write, mounts, end, random.Random(seed + 9 + n), n, writing))
        os.close(writing)
        pipes.append(reading)
    acknowledged = []
    for pipe in pipes:
        with os.fdopen(pipe, "rb") as f:
            acknowledged += pickle.load(f)
    expect_equal(calls.join(*children), 0, "processes with calls that failed (see stderr)")
    for root in mounts:
        found = all_text(root)
        lost = [text for text in acknowledged if text not in found]
        expect(not lost, "%d of %d acknowledged lines are lost: %s" % (
            len(lost), len(acknowledged), tap.short(b"".join(lost), 80)))
    tap.note("%d lines" % len(acknowledged))
    expect(len(acknowledged) > 30 * OPTIONS.seconds, "hardly anything happened")


def watched(mounts, body):
    """With somebody who watches everything, so that changes are replayed."""
    rig.need_program("inotifywait")
    watchers = [subprocess.Popen(["inotifywait", "-q", "-m", "-r", m], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL) for m in mounts]
    try:
        body(mounts)
    finally:
        for w in watchers:
            w.kill()
            w.wait()


def with_one(base, body):
    node = rig.Node(base)
    try:
        node.start()
        body(node.mounts)
        expect_equal(node.stop(), 0, "how it ended")
    finally:
        node.close()


@test()
def two_mounts_of_one_node(base):
    with_one(base, hop)


@test()
def two_mounts_of_one_node_that_are_watched(base):
    with_one(base, lambda mounts: watched(mounts, hop))


@test()
def three_nodes_that_are_watched(base):
    with cluster.Cluster(base) as c:
        c.leader()
        watched(c.roots(), hop)
        c.stop()


if __name__ == "__main__":
    OPTIONS = tap.parse(__doc__, more)
    raise SystemExit(1 if tap.run(OPTIONS, rig.NoNode()) else 0)
