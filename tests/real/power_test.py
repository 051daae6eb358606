#!/usr/bin/env python3
"""Lost power, full disks, failing syncs: on real file systems on loop devices
and, for failing syncs, by strace on the unmodified binary."""

import os
import random
import signal
import time

import calls
import disks
import history
import rig
import tap
from tap import expect, expect_equal, test

WRITERS = 3


def more(parser):
    parser.add_argument("--rounds", type=int, default=3, help="power cuts for each file system")


def folders(node):
    states = {}
    for number in range(WRITERS):
        os.mkdir(os.path.join(node.mounts[0], "w%d" % number))
        states["w%d" % number] = history.State()
    return states, calls.revision(node.mounts[0])


def power_loss(base, kind):
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    chance = random.Random(seed)
    disk = disks.Disk(base, kind)
    node = rig.Node(base=base, data=os.path.join(disk.path, "data"))
    total = 0
    try:
        node.start()
        states, revision = folders(node)
        for number in range(OPTIONS.rounds):
            writers = history.start_writers(node.mounts, states, chance.randrange(1 << 30))
            time.sleep(0.05 + chance.random() * 0.5)
            disk.power_cut()
            time.sleep(0.05)
            node.kill()
            reports = history.collect(writers)
            disk.power_back()
            took = node.start(limit=15)
            try:
                states, revision = history.check(node.mounts[0], reports, revision)
            except tap.Failure as failure:
                raise tap.Failure("%s, round %d (seed %d): %s" % (kind, number, seed, failure))
            total += sum(r.acknowledged for r in reports)
        tap.note("%s: %d power cuts, %d operations acknowledged, last start %.2f s" % (
            kind, OPTIONS.rounds, total, took))
        expect(total > OPTIONS.rounds * 3, "hardly anything was written: %d operations" % total)
        node.stop()
    finally:
        node.close()
        disk.close()


@test(limit=1 << 20)
def lost_power_loses_nothing_acknowledged_on_ext4(base):
    power_loss(base, "ext4")


@test(limit=1 << 20)
def lost_power_loses_nothing_acknowledged_on_xfs(base):
    power_loss(base, "xfs")


@test(limit=120)
def lost_power_right_after_the_first_start(base):
    """The directory entries of what a new data directory holds must be synced
    before the first write is acknowledged."""
    disk = disks.Disk(base, "ext4")
    node = rig.Node(base=base, data=os.path.join(disk.path, "deep", "data"), mounts=("m",))
    os.makedirs(os.path.join(disk.path, "deep"))
    os.sync()
    try:
        node.start()
        calls.put(node.mounts[0] + "/f", b"acknowledged")
        disk.power_cut()
        node.kill()
        disk.power_back()
        node.start(limit=15)
        expect_equal(calls.read_or_none(node.mounts[0] + "/f"), b"acknowledged")
        node.stop()
    finally:
        node.close()
        disk.close()


@test(limit=240)
def a_full_disk_is_enospc_and_nothing_is_lost(base):
    disk = disks.Disk(base, "ext4", megabytes=640)
    node = rig.Node(base=base, data=os.path.join(disk.path, "data"), mounts=("m",))
    try:
        node.start()
        root = node.mounts[0]
        calls.put(root + "/before", b"written before")
        disk.fill(leave=3 << 20)
        kept, error = {}, None
        chance = random.Random(3)
        end = time.monotonic() + 90 * tap.SLOW
        while error is None and time.monotonic() < end:
            name, value = "/k%d" % len(kept), chance.randbytes(200000)
            try:
                calls.put(root + name, value)
                kept[name] = value
            except OSError as failed:
                error = failed.errno
        tap.note("%d values of 200,000 bytes were acknowledged on a disk with 3 MiB left" % len(kept))
        expect(error is not None, "no error, after %d values" % len(kept))
        expect_equal(os.strerror(error), os.strerror(28), "the error of a write on a full disk")
        alive = node.alive()
        if alive:
            expect_equal(calls.read(root + "/before"), b"written before", "reading on the full disk")
            expect_equal(calls.errno_of(calls.put, root + "/more", chance.randbytes(200000)), "ENOSPC", "again")
        else:
            expect("space" in node.output().lower(), "the node stopped and says why:\n" + node.output()[-1500:])
        disk.make_room()
        if not alive:
            node.kill()
            node.start()

        def writable():
            return calls.errno_of(calls.put, root + "/after", b"written after") == "ok"
        tap.wait_until(writable, 10, "a write once there is room again", pause=0.2)
        for again in range(2):
            for name, value in kept.items():
                expect(calls.read(root + name) == value, "%s has another value" % name)
            expect_equal(calls.read(root + "/before"), b"written before")
            expect_equal(calls.read(root + "/after"), b"written after")
            if not again:
                node.kill()
                node.start(limit=20)
        expect_equal(node.stop(), 0, "exit status")
    finally:
        node.close()
        disk.close()


@test(limit=120)
def a_start_on_a_full_disk_works_or_says_so(base):
    disk = disks.Disk(base, "ext4", megabytes=256)
    node = rig.Node(base=base, data=os.path.join(disk.path, "data"), mounts=("m",))
    try:
        disk.fill(leave=64 << 10)
        node.spawn()
        tap.wait_until(lambda: node.is_ready() or not node.alive(), 15, "readiness or an end", pause=0.02)
        if not node.alive():
            expect(node.process.poll() not in (0, -11, -6), "exit status %s" % node.process.poll())
            expect(any(w in node.output().lower() for w in ("no space", "make room")), "the message: " + node.output()[-1000:])
        node.kill()
        disk.make_room()
        node.start()
        calls.put(node.mounts[0] + "/f", b"v")
        expect_equal(calls.read(node.mounts[0] + "/f"), b"v")
        node.stop()
    finally:
        node.close()
        disk.close()


@test(limit=120)
def a_quota_is_enospc_for_writes_and_not_for_removals(base):
    quota = 16 << 20
    node = rig.Node(base=base, mounts=("m",), arguments=["--quota-backend-bytes", str(quota)])
    try:
        node.start()
        root, chance, kept, error = node.mounts[0], random.Random(4), {}, None
        end = time.monotonic() + 60 * tap.SLOW
        while error is None and time.monotonic() < end and len(kept) < 1000:
            name, value = "/k%d" % len(kept), chance.randbytes(100000)
            try:
                calls.put(root + name, value)
                kept[name] = value
            except OSError as failed:
                error = failed.errno
        tap.note("%d values of 100,000 bytes with a quota of %d" % (len(kept), quota))
        expect(error is not None, "no error, after %d values" % len(kept))
        expect_equal(os.strerror(error), os.strerror(28), "the error beyond the quota")
        expect(50 <= len(kept) <= 330, "%d values of 100,000 bytes fit into %d bytes" % (len(kept), quota))
        s = os.statvfs(root)
        expect(s.f_bavail * s.f_frsize < quota / 4, "df says that there is room: %r" % (s,))
        os.unlink(root + "/k0")
        del kept["/k0"]
        for again in range(2):
            for name, value in kept.items():
                expect(calls.read(root + name) == value, "%s has another value" % name)
            expect_equal(calls.read_or_none(root + "/k0"), None, "the removed key")
            if not again:
                node.kill()
                node.start()
        expect_equal(node.stop(), 0, "exit status")
    finally:
        node.close()


@test(limit=60)
def the_request_limit_is_a_flag(base):
    node = rig.Node(base=base, mounts=("m",), arguments=["--max-request-bytes", "65536"])
    try:
        node.start()
        calls.put(node.mounts[0] + "/f", b"x" * 60000)
        expect_equal(calls.errno_of(calls.put, node.mounts[0] + "/g", b"x" * 70000), "EFBIG", "beyond the limit")
        expect_equal(calls.read(node.mounts[0] + "/f"), b"x" * 60000)
        expect_equal(node.stop(), 0, "exit status")
    finally:
        node.close()


def failing_sync(base, call, number):
    node = rig.Node(base=os.path.join(base, "%s-%d" % (call, number)), wrap=[
        "strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + call,
        "-e", "inject=%s:error=EIO:when=%d+" % (call, number)])
    try:
        node.spawn()
        tap.wait_until(lambda: node.is_ready() or not node.alive(), 20, "readiness or an end")
        reports, revision = [], None
        if node.alive():
            try:
                states, revision = folders(node)
            except OSError:
                revision = None
        if revision is not None:
            writers = history.start_writers(node.mounts, states, number)
            tap.wait_until(lambda: not node.alive(), 20, "the end of the node after a failed %s" % call)
            reports = history.collect(writers)
        else:
            tap.wait_until(lambda: not node.alive(), 20, "the end of the node after a failed %s" % call)
        code = node.process.poll()
        text = node.output().lower()
        expect(code not in (0, -signal.SIGSEGV, -signal.SIGABRT), "exit status %s: %s" % (code, text[-800:]))
        expect("sync" in text and ("input/output error" in text or "i/o" in text or "eio" in text),
               "the message after a failed %s: %s" % (call, node.output()[-1000:]))
        node.kill()
        for mount in node.mounts:
            rig.unmount(mount)
        node.wrap = []
        node.start()
        if revision is not None:
            history.check(node.mounts[0], reports, revision)
        calls.put(node.mounts[0] + "/works", b"again")
        expect_equal(node.stop(), 0, "exit status afterwards")
        return sum(r.acknowledged for r in reports)
    finally:
        node.close()


@test(limit=240, needs=["strace"])
def a_failed_sync_stops_the_node_and_loses_nothing_acknowledged(base):
    """After a failed fdatasync the kernel has dropped the pages: a retry would
    lie.  strace counts for each thread; the number is chosen so that the
    failure comes at the start, in the set-up, and under load."""
    done = []
    for call, number in (("fdatasync", 1), ("fdatasync", 3), ("fdatasync", 12), ("fdatasync", 60)):
        done.append(failing_sync(base, call, number))
    tap.note("operations acknowledged before the failure: %r" % done)


if __name__ == "__main__":
    OPTIONS = tap.parse(__doc__, more)
    raise SystemExit(1 if tap.run(OPTIONS, rig.NoNode()) else 0)
