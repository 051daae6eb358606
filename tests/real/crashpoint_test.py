#!/usr/bin/env python3
"""The node killed at each write-class system call of a scripted workload, by
strace, on the unmodified binary.

(Without --seccomp-bpf: strace 6.1 forgets to inject with it.)

The data directory begins as that of a node that was killed, so that recovery's
own writes are among the points; then operations of every kind; then a clean
stop, so that the last flush is too.  strace counts calls for each thread: the
points are (system call, N), the N-th of whichever thread reaches it first.

Without --all a sample is taken.  --all visits every point until a run passes
unharmed."""

import os
import random
import re
import shutil
import time

import calls
import history
import rig
import tap
from tap import expect, expect_equal, test

# The kill takes the place of the call.
CALLS = ("pwrite64", "pwritev", "pwritev2", "write", "writev", "fdatasync", "fsync", "fallocate",
         "ftruncate", "rename", "renameat", "renameat2", "unlink", "unlinkat", "openat", "mkdir",
         "sync_file_range", "msync")
SAMPLE = 18
RECOVERY_LIMIT = 10


def more(parser):
    parser.add_argument("--all", action="store_true", help="every point")
    parser.add_argument("--points", type=int, default=SAMPLE, help="how many, without --all")
    parser.add_argument("--at", help="one point, as CALL:N")


def script():
    """Operations of every kind, sizes from nothing to several log blocks."""
    chance = random.Random(1)
    big = chance.randbytes(150000)
    yield "put", "a", b"1"
    yield "put", "b", big
    yield "append", "a", b"2"
    yield "mkdir", "d"
    yield "rename", "a", "c"
    yield "sync", "e", b"synced"
    yield "truncate", "b", 1000
    yield "rename", "e", "c"
    yield "unlink", "b"
    yield "excl", "f"
    yield "rmdir", "d"
    yield "put", "last", big[:9000]


class Template:
    """A data directory as a killed node left it, and what it must hold."""

    def __init__(self, base):
        self.base = base
        node = rig.Node(base=os.path.join(base, "template"), mounts=("m",))
        try:
            node.start()
            root = node.mounts[0]
            os.mkdir(root + "/w")
            os.mkdir(root + "/old")
            self.old = history.Report("old", history.State())
            for number in range(30):
                operation = ("put", "k%d" % number, b"old %d" % number * (1 + number * 20))
                history.perform(root + "/old", operation)
                self.old.state.apply(operation)
            self.revision = calls.revision(root)
            node.kill()
        finally:
            node.close()
        self.data = node.data

    def copy(self, name):
        path = os.path.join(self.base, name)
        os.makedirs(path)
        shutil.copytree(self.data, os.path.join(path, "data"))
        return path


def traced(template, name, strace_arguments):
    base = template.copy(name)
    log = os.path.join(base, "strace.log")
    return rig.Node(base=base, mounts=("m",), wrap=[
        "strace", "-f", "-qq", "-o", log] + strace_arguments), log


def run_script(node):
    """The script's report; the node may die at any moment of it, also before
    it is ready."""
    report = history.Report("w", history.State())
    node.spawn()
    end = time.monotonic() + 30 * tap.SLOW
    while not node.is_ready():
        if node.process.poll() is not None:
            return report, False
        expect(time.monotonic() < end, "under strace the node was not ready in time:\n" + node.output()[-1500:])
        time.sleep(0.002)

    def body():
        root = os.path.join(node.mounts[0], "w")
        for operation in script():
            report.pending = operation
            try:
                history.perform(root, operation)
            except OSError as error:
                expect(error.errno in history.GONE, "%s: %s" % (operation[0], error))
                return
            report.pending = None
            report.state.apply(operation)
            report.acknowledged += 1
    body()
    survived = False
    if report.pending is None:
        pid = node._server_under_wrapper()
        if pid is not None:
            try:
                os.kill(pid, 15)
            except ProcessLookupError:
                pass
        survived = node.process.wait(20 * tap.SLOW) == 0
        node.process = None
    return report, survived


def visit(template, call, number):
    """One crash point.  True when the node passed it unharmed."""
    node, _ = traced(template, "%s-%d" % (call, number), [
        "-e", "trace=" + call, "-e", "inject=%s:signal=KILL:when=%d" % (call, number)])
    try:
        report, survived = run_script(node)
        node.kill()
        for mount in node.mounts:
            rig.unmount(mount)
        node.wrap = []
        took = node.start(limit=RECOVERY_LIMIT)
        try:
            def compare():
                root = node.mounts[0]
                history.check(root, [report, template.old], template.revision)
                calls.put(root + "/works", b"again")
            tap.run_limited(compare, limit=20, unhang=node.unhang)
            expect_equal(node.stop(), 0, "exit status of the node that recovered")
        except tap.Failure as failure:
            raise tap.Failure("killed at %s number %d, after %d operations (start took %.2f s): %s\n"
                              "replay: crashpoint_test.py --at %s:%d" % (
                                  call, number, report.acknowledged, took, failure, call, number))
        return survived
    finally:
        node.close()
        shutil.rmtree(node.base, ignore_errors=True)


def count(template):
    """How often the busiest thread makes each call, in a run that is not
    harmed."""
    node, log = traced(template, "count", ["-e", "trace=?" + ",?".join(CALLS)])
    try:
        report, survived = run_script(node)
        expect(survived, "the script does not pass under strace: after %d operations, pending %s\n%s" % (
            report.acknowledged, tap.short(report.pending, 80), node.output()[-1500:]))
        counts = {}
        with open(log) as f:
            for line in f:
                made = re.match(r"(\d+) +(\w+)\(", line)
                if made:
                    counts[made.groups()] = counts.get(made.groups(), 0) + 1
    finally:
        node.close()
        shutil.rmtree(node.base, ignore_errors=True)
    most = {}
    for (_, call), times in counts.items():
        most[call] = max(most.get(call, 0), times)
    return most


@test(limit=1 << 20, needs=["strace"])
def a_kill_at_any_write_class_system_call_is_survived(base):
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    template = Template(base)
    if OPTIONS.at:
        call, number = OPTIONS.at.split(":")
        visit(template, call, int(number))
        return
    most = count(template)
    tap.note("calls of the busiest thread: %s" % ", ".join("%s %d" % m for m in sorted(most.items())))
    points = [(call, number) for call in sorted(most) for number in range(1, most[call] + 1)]
    if not OPTIONS.all:
        # Data calls are few and every one matters; writev is every answer.
        weights = [1.0 / most[call] for call, _ in points]
        chance = random.Random(seed)
        chosen = set()
        while len(chosen) < min(OPTIONS.points, len(points)):
            chosen.add(chance.choices(points, weights)[0])
        points = sorted(chosen)
    unharmed = 0
    for call, number in points:
        unharmed += visit(template, call, number)
    if OPTIONS.all:  # runs differ: go on behind the count until one is unharmed
        for call in sorted(most):
            number = most[call] + 1
            while not visit(template, call, number) and number < most[call] + 200:
                number += 1
    expect(unharmed <= len(points) / 3, "%d of %d runs were not killed" % (unharmed, len(points)))
    tap.note("%d points visited (seed %d), %d runs passed theirs unharmed" % (len(points), seed, unharmed))


if __name__ == "__main__":
    OPTIONS = tap.parse(__doc__, more)
    raise SystemExit(1 if tap.run(OPTIONS, rig.NoNode()) else 0)
