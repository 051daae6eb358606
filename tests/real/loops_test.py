#!/usr/bin/env python3
"""Two loops: one process rewrites a file (truncate, two writes, close) with
values of 1 to 100,000 bytes, readers on both mounts read it all the time.  No
value is ever empty, torn, older than one seen before, or older than what was
acknowledged before the read began.  And loops in which a name goes from one
mount to the other."""

import mmap
import os
import random
import struct
import time

import calls
import rig
import tap
from tap import expect, expect_equal, test


def more(parser):
    parser.add_argument("--seconds", type=float, default=4)


def size_of(number, seed):
    chance = random.Random(number * 1000003 + seed)
    return chance.choice((chance.randint(1, 12), chance.randint(1, 5000), chance.randint(1, 100000)))


def value_of(number, seed):
    """The number, over and over: wherever two values are mixed, it shows."""
    size = size_of(number, seed)
    word = struct.pack("<Q", number)
    return (word * (size // 8 + 1))[:size]


class Progress:
    """How far the writer is, shared with the readers."""

    def __init__(self):
        self.memory = mmap.mmap(-1, 4096)

    def get(self, which):
        return struct.unpack_from("<Q", self.memory, 8 * which)[0]

    def set(self, which, value):
        # One copy of eight bytes: pack_into() clears them first, and a reader
        # then takes the writer to be at 0.
        self.memory[8 * which:8 * which + 8] = struct.pack("<Q", value)

    begun = property(lambda self: self.get(0))
    acknowledged = property(lambda self: self.get(1))


def identify(value, low, high, seed):
    """The number of a whole value in low..high, or None."""
    if len(value) >= 8:
        number = struct.unpack_from("<Q", value)[0]
        return number if low <= number <= high and value == value_of(number, seed) else None
    for number in range(low, high + 1):
        if value == value_of(number, seed):
            return number
    return None


def write_loop(path, progress, end, seed):
    number = 0
    while time.monotonic() < end:
        number += 1
        value = value_of(number, seed)
        cut = random.Random(number).randint(0, len(value))
        progress.set(0, number)
        fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
        if cut:
            os.write(fd, value[:cut])
        if cut < len(value):
            os.write(fd, value[cut:])
        os.close(fd)
        progress.set(1, number)


def read_loop(path, progress, end, seed, style, report):
    chance = random.Random(seed + style)
    last, reads = 0, 0
    while time.monotonic() < end:
        floor = max(last, progress.acknowledged)
        fd = os.open(path, os.O_RDONLY)
        pieces = []
        step = (1 << 20, 4096, 10000, 70000)[style]
        while True:
            piece = os.read(fd, step)
            if not piece:
                break
            pieces.append(piece)
            if style == 2 and chance.random() < 0.02:
                time.sleep(0.002)
        os.close(fd)
        value = b"".join(pieces)
        number = identify(value, floor, progress.begun, seed)
        if number is None:
            older = identify(value, 0, progress.begun, seed)
            expect(False, "read %d: %s, wanted a whole value between %d and %d%s" % (
                reads, "empty" if not value else tap.short(value, 60) + " of %d bytes" % len(value), floor,
                progress.begun, ", this is the older %d" % older if older is not None else ""))
        last = number
        reads += 1
    os.write(report, struct.pack("<I", reads))


@test(limit=1 << 20, plain=False)
def no_reader_sees_an_empty_torn_or_backward_value(tree):
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    tap.note("seed %d, %g s" % (seed, OPTIONS.seconds))
    a, b = tree.fresh("loops")
    calls.put(a + "/f", value_of(0, seed))
    progress = Progress()
    end = time.monotonic() + OPTIONS.seconds
    counts, report = os.pipe()
    writer = calls.in_child(write_loop, a + "/f", progress, end, seed)
    readers = [calls.in_child(read_loop, (a, b)[n % 2] + "/f", progress, end, seed, n // 2, report)
               for n in range(6)]
    failed = calls.join(*readers)
    expect_equal(calls.join(writer), 0, "the writer failed (see stderr)")
    expect_equal(failed, 0, "readers that saw something wrong (see stderr)")
    reads = sum(struct.unpack("<I", os.read(counts, 4))[0] for _ in readers)
    tap.note("%d values written, %d read" % (progress.acknowledged, reads))
    expect(progress.acknowledged > 10 * OPTIONS.seconds and reads > 60 * OPTIONS.seconds, "hardly anything happened")
    expect_equal(int(calls.attribute(b + "/f", "version")), progress.acknowledged + 1, "version")


def make_again_loop(mounts, folder, end, seed, report):
    """A file made, changed and taken away on one mount, then made on the other,
    which may still be telling its watchers of the first."""
    chance = random.Random(seed)
    os.mkdir(os.path.join(mounts[0], folder))
    rounds = 0
    while time.monotonic() < end:
        first, second = (os.path.join(m, folder) for m in chance.sample(mounts, 2))
        name = "/f%d" % chance.randrange(2)
        calls.put(first + name, b"old")
        for _ in range(chance.randrange(3)):
            calls.put(first + name, b"older")
        if chance.random() < 0.5:
            os.unlink(first + name)
        else:
            os.rename(first + name, first + "/g")
        value = b"%d" % rounds
        calls.put(second + name, value)
        expect_equal(calls.read_or_none(first + name), value, "round %d: what was put on the other mount" % rounds)
        if chance.random() < 0.7:
            os.unlink(second + name)
        rounds += 1
    os.write(report, struct.pack("<I", rounds))


@test(limit=1 << 20, plain=False)
def a_name_made_again_on_the_other_mount_keeps_what_is_written(tree):
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    tap.note("seed %d, %g s" % (seed, OPTIONS.seconds))
    mounts = tree.fresh("again")
    end = time.monotonic() + OPTIONS.seconds
    counts, report = os.pipe()
    loops = [calls.in_child(make_again_loop, mounts, "d%d" % n, end, seed + n, report) for n in range(6)]
    expect_equal(calls.join(*loops), 0, "loops that missed something (see stderr)")
    rounds = sum(struct.unpack("<I", os.read(counts, 4))[0] for _ in loops)
    tap.note("%d rounds" % rounds)
    expect(rounds > 60 * OPTIONS.seconds, "hardly anything happened")


if __name__ == "__main__":
    OPTIONS = tap.parse(__doc__, more)
    surroundings = rig.TwoMounts()
    failures = 1
    try:
        failures = tap.run(OPTIONS, surroundings)
    finally:
        surroundings.close()
    raise SystemExit(1 if failures else 0)
