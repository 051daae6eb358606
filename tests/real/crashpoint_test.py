#!/usr/bin/env python3
"""Scripted workloads, with every write-class system call that a node makes on
its data directory as a point at which things go wrong, in six modes:

    kill       the call is replaced by SIGKILL (strace, on the unmodified binary)
    EIO        the call fails with EIO, once
    ENOSPC     the call fails with ENOSPC, once
    unsynced   a kill there, and the file system (ext4 or xfs on a loop device)
               forgets what was not synced
    torn       the directory as lost power leaves it, the last unsynced write of
               each file torn between sectors of 512 bytes
    reordered  the same, with any part of what was not synced there or not

The last two are made from a trace of all calls and their bytes
(crash_image.py), of all members at one moment.  Afterwards the node starts in
bounded time, everything acknowledged is there, and what was under way is there
in whole or not at all: keys, history, leases, members.

Without --all a sample is taken, in which each workload has each mode.
strace counts the calls of each thread: a point is (call, N), the N-th of
whichever thread reaches it first."""

import ctypes
import fcntl
import os
import pickle
import random
import shutil
import socket
import struct
import subprocess
import time

import calls
import crash_group
import crash_image
import crash_loads
import crash_trace
import disks
import rig
import tap
from ports import free_ports
from tap import expect, expect_equal, test

MODES = ("kill", "EIO", "ENOSPC", "unsynced", "torn", "reordered")
LOADS = crash_loads.LOADS + crash_group.GROUPS
# Points that found something, visited every time: (call, file), the last of them.
KEPT = {
    ("transaction", "EIO"): ("writev", "store/data.mdb"),      # the last flush fails while the node stops
    ("state transfer", "ENOSPC"): ("openat", "installing"),    # no room for the mark of a state to be installed
}
CLONE_NEWNET = 0x40000000
VISIT_LIMIT = 90
# What a process says that stops because of an error.
WORDS = {"EIO": ("input/output error", "i/o", "eio"), "ENOSPC": ("space", "make room", "full")}


def more(parser):
    parser.add_argument("--all", action="store_true", help="every point in every mode")
    parser.add_argument("--points", type=int, default=1, help="how many of each workload in each mode, without --all")
    parser.add_argument("--load", action="append", help="only this workload")
    parser.add_argument("--mode", action="append", choices=MODES)
    parser.add_argument("--at", help="one point of the workload and mode: CALL:N")
    parser.add_argument("--jobs", type=int, default=3, help="workloads at a time")
    parser.add_argument("--keep", metavar="DIR", help="what a failed point left goes there")


class Result:
    def __init__(self):
        self.points = self.struck = self.recovered = 0
        self.slowest = 0.0
        self.failures = []
        self.skipped = None


def own_network():
    """Ports of its own for each workload: what is in a template names them."""
    if os.geteuid() != 0:
        return
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, 0x8914, struct.pack("16sH14s", b"lo", 1, b""))  # SIOCSIFFLAGS, IFF_UP


class Points:
    """One workload: its template, its trace, and visits to its points."""

    def __init__(self, load, base):
        self.load = load
        self.base = base
        self.template = os.path.join(base, "template")
        self.disk, self.count = None, 0

    # Whatever calls the API runs in a child: gRPC's threads do not survive a fork.

    def prepare(self):
        thick = os.path.join(self.base, "thick")
        self.model = self.limited(self.load.make, thick)
        os.makedirs(thick, exist_ok=True)
        crash_image.copy_tree(thick, self.template)  # the log's zeros become holes: each visit copies it
        shutil.rmtree(thick)
        self.record, self.traces = self.limited(self.trace)
        self.points = crash_trace.points(self.traces[self.load.victim])
        self.paths = sorted({p for call in self.traces[self.load.victim] for p in call.paths})

    def limited(self, body, *arguments):
        path = os.path.join(self.base, "answer")

        def write():
            rig.die_with_parent()
            answer = body(*arguments)
            with open(path, "wb") as f:
                pickle.dump(answer, f)
        tap.run_limited(write, limit=VISIT_LIMIT, unhang=self.unhang)
        with open(path, "rb") as f:
            return pickle.load(f)

    def unhang(self):
        for point in rig.mounts_below(self.base):
            rig.abort_connection(point)

    def traced(self):
        return [self.load.victim] if self.load.victim == "out" else self.load.nodes

    def trace(self):
        base = os.path.join(self.base, "trace")
        self.load.copy(self.template, base, {})
        logs = {name: os.path.join(base, name + ".strace") for name in self.traced()}
        nodes = self.load.all(base, {name: crash_trace.record_command(log) for name, log in logs.items()}, {})
        try:
            record, code = self.load.run(nodes)
            expect(record.finished and not record.said and code == 0, "%s does not pass under strace: status %s, %s\n%s" % (
                self.load.name, code, record.said, nodes[self.load.victim].output()[-1500:]))
            for node in nodes.values():
                node.stop()
            return record, {name: crash_trace.read(log, self.load.home(base, name, {})) for name, log in logs.items()}
        finally:
            for node in nodes.values():
                node.close()
            shutil.rmtree(base, ignore_errors=True)

    # --- visits ---

    def visit(self, mode, point):
        """(struck, seconds of the recovery)"""
        self.count += 1
        base = os.path.join(self.base, "v%d" % self.count)
        visit = self.image if mode in ("torn", "reordered") else self.strike
        try:
            return self.limited(visit, base, mode, point)
        except tap.Failure:
            if OPTIONS.keep:
                shutil.copytree(base, os.path.join(OPTIONS.keep, "%s-%s-%s-%d" % (
                    self.load.name, mode, point.name, point.number)), dirs_exist_ok=True)
            raise
        finally:
            rig.clear(base)

    def homes(self, mode):
        if mode != "unsynced":
            return {}
        if self.disk is None:
            self.disk = disks.Disk(self.base, random.choice(("ext4", "xfs")), megabytes=400)
        home = os.path.join(self.disk.path, "data")
        shutil.rmtree(home, ignore_errors=True)
        return {self.load.victim: home}

    def strike(self, base, mode, point):
        load, homes = self.load, self.homes(mode)
        load.copy(self.template, base, homes)
        if homes:
            subprocess.run(["sync", "-f", self.disk.path], check=True)
        log, home = os.path.join(base, "strace"), load.home(base, load.victim, homes)
        what = mode if mode in WORDS else "KILL"
        nodes = load.all(base, {load.victim: crash_trace.strike_command(
            log, home, self.paths, point.name, point.number, what)}, homes)
        victim = nodes[load.victim]
        try:
            record, code = load.run(nodes)
            struck = crash_trace.was_struck(log)
            if mode in WORDS:
                self.judge_end(victim, mode, struck, code)
            victim.process, victim.wrap = None, []
            if homes:
                self.disk.power_cut()
                self.disk.power_back()
            return struck, self.recover(nodes, record)
        finally:
            for node in nodes.values():
                node.close()

    @staticmethod
    def judge_end(victim, mode, struck, code):
        text = victim.output()
        expect(code not in crash_loads.CRASHES, "it crashed with status %s:\n%s" % (code, text[-2000:]))
        expect(code == 0 or struck, "it ended with status %s, and nothing was injected:\n%s" % (code, text[-2000:]))
        expect(code == 0 or any(word in text.lower() for word in WORDS[mode]),
               "it ended with status %s and does not say why:\n%s" % (code, text[-2000:]))

    def image(self, base, mode, point):
        load, moment = self.load, point.begin
        load.copy(self.template, base, {})
        for name, trace in self.traces.items():
            home = load.home(base, name, {})
            shutil.rmtree(home, ignore_errors=True)
            disk = crash_image.Disk(os.path.join(self.template, name, "data"), trace)
            disk.play(moment).write(home, "%d %s %s %d" % (SEED, mode, point.name, point.number), mode)
        nodes = load.all(base, {}, {})
        try:
            return True, self.recover(nodes, self.record.until(moment))
        finally:
            for node in nodes.values():
                node.close()

    def recover(self, nodes, record):
        load = self.load
        try:
            took = load.recover(nodes)
            load.check(nodes, record.possible(self.model))
        except tap.Failure as failure:
            raise tap.Failure("after %d operations (%s): %s\n%s" % (
                record.acknowledged(), "; ".join(record.said) or "no errors", failure,
                "\n".join("%s says: %s" % (name, node.output()[-700:]) for name, node in nodes.items()
                          if os.path.exists(node.log))))
        for name, node in nodes.items():
            if node.alive():
                expect_equal(node.stop(), 0, "the exit status of %s afterwards" % name)
        return took


def chosen(load, points, mode, chance):
    if mode == "ENOSPC":
        points = [p for p in points if p.name in crash_trace.NEED_ROOM]
    if OPTIONS.at:
        call, number = OPTIONS.at.split(":")
        return [p for p in points if p.name == call and p.number == int(number)]
    if OPTIONS.all:
        return points
    # Kinds of calls that are few matter as much as those that are many.
    kinds = {}
    for p in points:
        kinds.setdefault((p.name, os.path.basename(p.paths[0])), []).append(p)
    call, path = KEPT.get((load, mode), (None, None))
    picked = [p for p in points if p.name == call and path in p.paths][-1:]
    while len(picked) < min(OPTIONS.points, len(points)):
        p = chance.choice(kinds[chance.choice(sorted(kinds))])
        if p not in picked:
            picked.append(p)
    return picked


def explore(kind, base, to):
    """All of one workload; the results go to a file."""
    rig.die_with_parent()
    own_network()
    chance = random.Random("%d %s" % (SEED, kind.name))
    random.seed(chance.random())
    ports = free_ports(2 * len(kind.nodes))
    load = kind({name: (ports[2 * i], ports[2 * i + 1]) for i, name in enumerate(("n1", "n2", "n3")[:len(kind.nodes)])})
    points, results = Points(load, base), {}
    try:
        points.prepare()
        for mode in OPTIONS.mode or MODES:
            results[mode] = explore_mode(points, mode, chance)
    except tap.Failure as failure:
        results.setdefault("kill", Result()).failures.append("%s: %s" % (kind.name, failure))
    finally:
        if points.disk is not None:
            points.disk.close()
        rig.clear(base)
    with open(to + ".new", "wb") as f:
        pickle.dump(results, f)
    os.rename(to + ".new", to)


def explore_mode(points, mode, chance):
    r = Result()
    try:
        if mode == "unsynced":
            points.homes(mode)  # in this process: the next visits use it too
    except tap.Skip as reason:
        r.skipped = str(reason)
        return r
    for point in chosen(points.load.name, points.points, mode, chance):
        r.points += 1
        try:
            struck, took = points.visit(mode, point)
        except tap.Failure as failure:
            r.failures.append("%s, %s at %s number %d on %s: %s\nreplay: SEED=%d crashpoint_test.py --load '%s' "
                              "--mode %s --at %s:%d" % (
                                  points.load.name, mode, point.name, point.number, " ".join(point.paths), failure,
                                  SEED, points.load.name, mode, point.name, point.number))
            tap.note("failed: " + r.failures[-1])
            continue
        r.struck += struck
        r.recovered += 1
        r.slowest = max(r.slowest, took)
    return r


def table(results):
    """Workload by mode: points visited, of which so many were reached and
    recovered from, and the slowest recovery."""
    modes = OPTIONS.mode or MODES
    tap.note("| workload | %s |" % " | ".join(modes))
    tap.note("|---|%s" % ("---|" * len(modes)))
    for name in sorted(results):
        cells = []
        for mode in modes:
            r = results[name].get(mode)
            cells.append("-" if r is None or r.skipped else "%d, %d, %.2f s" % (r.points, r.recovered, r.slowest))
        tap.note("| %s | %s |" % (name, " | ".join(cells)))


@test(limit=1 << 20, needs=["strace"])
def any_write_class_system_call_may_be_the_last_or_fail(base):
    try:
        import rpc     # noqa: F401
        import schema  # noqa: F401
    except ImportError as error:
        raise tap.Skip("the API cannot be called: %s" % error)
    waiting = [kind for kind in LOADS if not OPTIONS.load or kind.name in OPTIONS.load]
    running, results, begun = {}, {}, time.monotonic()
    while waiting or running:
        while waiting and len(running) < OPTIONS.jobs:
            kind = waiting.pop()  # those of several nodes take longest
            home = os.path.join(base, kind.name.replace(" ", "-"))
            os.makedirs(home)
            running[calls.in_child(explore, kind, home, home + ".results")] = (kind, home + ".results")
        pid, status = os.wait()
        if pid not in running:
            continue
        kind, path = running.pop(pid)
        expect(status == 0 and os.path.exists(path), "%s: its process failed (see stderr)" % kind.name)
        with open(path, "rb") as f:
            results[kind.name] = pickle.load(f)
    table(results)
    every = [(name, mode, r) for name, by in results.items() for mode, r in by.items()]
    for name, mode, r in every:
        if r.skipped:
            tap.note("%s, %s: skipped: %s" % (name, mode, r.skipped))
    total, struck = sum(r.points for *_, r in every), sum(r.struck for *_, r in every)
    tap.note("%d points in %.0f s (seed %d): %d struck, %d recoveries, the slowest %.2f s" % (
        total, time.monotonic() - begun, SEED, struck, sum(r.recovered for *_, r in every),
        max([r.slowest for *_, r in every], default=0)))
    failures = [f for *_, r in every for f in r.failures]
    expect(not failures, "%d points failed:\n%s" % (len(failures), "\n".join(failures[:5])))
    expect(struck >= total * 2 / 3, "only %d of %d points were reached" % (struck, total))


if __name__ == "__main__":
    OPTIONS = tap.parse(__doc__, more)
    SEED = int(os.environ.get("SEED", random.randrange(1 << 30)))
    raise SystemExit(1 if tap.run(OPTIONS, rig.NoNode()) else 0)
