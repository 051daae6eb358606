#!/usr/bin/env python3
"""Three nodes hold one keyspace: what is written on one is read on any, the
leader may die, and a minority knows that it is one.

--kills N: the leader is killed N times in the test of that (default 1).
--writes N: writes read back on another node (default 300)."""

import os
import random
import statistics
import threading
import time

import calls
import cluster
import rig
import tap
from inotify import Watcher
from tap import expect, expect_equal, test

ARRIVES = 5.0
SETTLES = 0.3

CREATED = ["CREATE", "OPEN", "MODIFY", "CLOSE_WRITE"]
CHANGED = ["OPEN", "MODIFY", "CLOSE_WRITE"]


def more(parser):
    parser.add_argument("--kills", type=int, default=1)
    parser.add_argument("--writes", type=int, default=300)


def seeded():
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    tap.note("seed %d" % seed)
    return random.Random(seed)


def median_write(root, count, name):
    times = []
    for number in range(count):
        began = time.monotonic()
        calls.put("%s/%s" % (root, name), b"%d" % number)
        times.append(time.monotonic() - began)
    return statistics.median(times)


@test(limit=60)
def every_write_is_read_at_once_on_another_node(base):
    """A stale value is what a replica shows that answers by itself."""
    chance = seeded()
    with cluster.Cluster(base) as c:
        for number in range(OPTIONS.writes):
            here, there = chance.sample(c.members, 2)
            name, value = "k%d" % chance.randrange(10), b"%d of %s" % (number, here.name.encode())
            kind = chance.randrange(10)
            if kind == 0 and os.path.exists("%s/%s" % (here.root, name)):
                os.unlink("%s/%s" % (here.root, name))
                expect_equal(calls.read_or_none("%s/%s" % (there.root, name)), None, "a removed file on another node")
                continue
            calls.put("%s/%s" % (here.root, name), value)
            expect_equal(calls.read_or_none("%s/%s" % (there.root, name)), value,
                         "write %d, made on %s, read on %s" % (number, here.name, there.name))
            expect_equal(os.stat("%s/%s" % (there.root, name)).st_size, len(value), "its size")
            expect(name in os.listdir(there.root), "write %d is not listed on %s" % (number, there.name))
        c.stop()


@test(limit=60)
def a_change_on_any_node_reaches_watchers_on_every_other(base):
    """With the events of a local change, in order, none twice."""
    with cluster.Cluster(base) as c:
        for here in c.members:
            home = os.path.join(here.root, "from " + here.name)
            os.mkdir(home)
            watchers = []
            for m in c.others(here):
                watcher = Watcher()
                watcher.add(os.path.join(m.root, "from " + here.name))
                watchers.append((m, watcher))
            for words, change, wanted in (
                    ("create", lambda: calls.put(home + "/f", b"v"), ["%s f" % k for k in CREATED]),
                    ("change", lambda: calls.put(home + "/f", b"w"), ["%s f" % k for k in CHANGED]),
                    ("rename", lambda: os.rename(home + "/f", home + "/g"), ["MOVED_FROM f", "MOVED_TO g"]),
                    ("mkdir", lambda: os.mkdir(home + "/d"), ["CREATE|ISDIR d"]),
                    ("rmdir", lambda: os.rmdir(home + "/d"), ["DELETE|ISDIR d"]),
                    ("unlink", lambda: os.unlink(home + "/g"), ["DELETE g"])):
                change()
                for m, watcher in watchers:
                    end = time.monotonic() + ARRIVES * tap.SLOW
                    while len(watcher.seen) < len(wanted) and time.monotonic() < end:
                        watcher.quiet(0.02, 0.2)
                for m, watcher in watchers:
                    watcher.quiet(SETTLES / 3)
                    expect_equal([repr(e) for e in watcher.seen], wanted, "%s on %s, seen on %s" % (
                        words, here.name, m.name))
                    watcher.seen = []
            for m, watcher in watchers:
                watcher.close()
        c.stop()


@test(limit=120)
def a_killed_leader_loses_nothing_acknowledged_and_is_replaced(base):
    """Two writers on each node; the leader dies by SIGKILL, others go on.  What
    was on its way to the dead leader is made again when the next one has begun,
    and is there once."""
    with cluster.Cluster(base, options={n: "timeout=2s" for n in (1, 2, 3)}) as c:
        for turn in range(OPTIONS.kills):
            leader = c.leader()
            folders = ["t%d-%s-%d" % (turn, m.name, n) for m in c.members for n in range(2)]
            for folder in folders:
                os.mkdir(os.path.join(leader.root, folder))
            places = [(m.root, "t%d-%s-%d" % (turn, m.name, n)) for m in c.members for n in range(2)]
            handles = cluster.write_for(5 * tap.SLOW, places)
            time.sleep(0.5)
            leader.kill()
            killed = time.monotonic()
            logs = cluster.logs_of(handles)
            gap = cluster.gap([log for log in logs if leader.name not in log.folder], killed + 0.05)
            errors = {name: sum(log.errors.get(name, 0) for log in logs) for log in logs for name in log.errors}
            tap.note("%s killed: a write was acknowledged again after %.2f s; %d acknowledged; errors %r; "
                     "longest call %.2f s" % (leader.name, gap, sum(len(log.acknowledged) for log in logs),
                                              errors, max(log.slowest for log in logs)))
            expect(gap < 3.5 * cluster.ELECTION * tap.SLOW, "no write for %.2f s after the leader died" % gap)
            expect(max(log.slowest for log in logs) < 3 * tap.SLOW,
                   "a call took longer than its limit")
            expect(gap > 1.8 or not errors.get("ETIMEDOUT"), "a call on its way to the dead leader was lost")
            for m in c.others(leader):
                expect(any(m.name in log.folder and log.acknowledged and log.acknowledged[-1] > killed
                           for log in logs), "the mount of %s never worked again" % m.name)
                cluster.expect_kept(m.root, logs)
            expect(c.leader() is not leader, "a dead node leads")
            took = leader.start(30)
            cluster.expect_kept(leader.root, logs)
            calls.put(leader.root + "/back", b"%d" % turn)
            for m in c.members:
                expect_equal(calls.read(m.root + "/back"), b"%d" % turn, "what the returned node wrote, on " + m.name)
            tap.note("%s was ready again after %.2f s" % (leader.name, took))
        c.stop()


@test(limit=90)
def a_mount_behind_a_long_backlog_hears_what_comes_next(base):
    """Changes in directories that no kernel holds leave its feed's queue without
    any helper's report: what gave the watch up must take it up again."""
    count, writers = 3840, 16
    with cluster.Cluster(base) as c:
        one, two = c.members[:2]
        for n in range(writers):
            os.makedirs(os.path.join(one.root, "deep", "d%d" % n))
        two.stop()
        two.start(30)  # a new mount: its kernel has looked at nothing
        c.agree()
        watcher = Watcher()
        watcher.add(two.root)
        two.freeze()

        def write(n):
            for number in range(count // writers):
                calls.put(os.path.join(one.root, "deep", "d%d" % n, "f%d" % number), b"v")
        threads = [threading.Thread(target=write, args=(n,)) for n in range(writers)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        two.thaw()
        calls.put(one.root + "/next", b"v")
        watcher.until(lambda e: e.name == "next" and "CREATE" in e.kind, 20 * tap.SLOW)
        expect(any(e.name == "next" and "CREATE" in e.kind for e in watcher.seen), "no event of what came next")
        expect_equal(len(os.listdir(os.path.join(two.root, "deep", "d0"))), count // writers, "files on the mount behind")
        watcher.close()
        c.stop()


@test(limit=120)
def a_minority_refuses_and_heals(base):
    """Two of three are stopped in the middle of their work."""
    with cluster.Cluster(base, options={1: "timeout=2s", 2: "timeout=2s", 3: "consistency=serializable"}) as c:
        one, two, cached = c.members
        calls.put(one.root + "/f", b"before")
        calls.put(one.root + "/e", b"")
        os.mkdir(one.root + "/d")
        c.agree()
        expect_equal(calls.read(cached.root + "/f"), b"before", "on the serializable mount")
        # The one left does not know yet, or it led and steps down later.
        two.freeze()
        cached.freeze()
        began = time.monotonic()
        outcome = calls.errno_of(calls.put, one.root + "/f", b"lost")
        took = time.monotonic() - began
        expect(outcome in ("EROFS", "ETIMEDOUT"), "the first write of a minority: %s" % outcome)
        expect(took < 3.5 * tap.SLOW, "it was refused after %.2f s only" % took)
        tap.wait_until(lambda: calls.errno_of(calls.put, one.root + "/f", b"x") == "EROFS", 10, "EROFS")
        slowest = 0.0
        for words, call in (("a write", lambda: calls.put(one.root + "/f", b"x")),
                            ("truncate", lambda: os.truncate(one.root + "/f", 1)),
                            ("unlink", lambda: os.unlink(one.root + "/f")),
                            ("rmdir", lambda: os.rmdir(one.root + "/d")),
                            ("rename", lambda: os.rename(one.root + "/f", one.root + "/e")),
                            ("a new file", lambda: calls.put(one.root + "/new", b"x")),
                            ("mkdir", lambda: os.mkdir(one.root + "/new")),
                            ("rename to a new name", lambda: os.rename(one.root + "/f", one.root + "/new"))):
            began = time.monotonic()
            expect_equal(calls.errno_of(call), "EROFS", words + " without a quorum")
            slowest = max(slowest, time.monotonic() - began)
            expect(slowest < 1 * tap.SLOW, "%s was refused after %.2f s" % (words, slowest))
        tap.note("writing calls are refused within %.3f s" % slowest)
        for words, call in (("a read", lambda: calls.read(one.root + "/f")),
                            ("a listing", lambda: os.listdir(one.root)),
                            ("stat of what is not there", lambda: os.stat(one.root + "/none"))):
            began = time.monotonic()
            expect_equal(calls.errno_of(call), "ETIMEDOUT", words + " without a quorum")
            took = time.monotonic() - began
            expect(took < 3.5 * tap.SLOW, "%s took %.2f s" % (words, took))
        two.thaw()
        cached.thaw()
        tap.wait_until(lambda: calls.errno_of(calls.put, one.root + "/f", b"healed") == "ok", 15, "a write after healing")
        for m in (one, two):
            expect_equal(calls.read(m.root + "/f"), b"healed", "after healing, on " + m.name)
        c.agree()
        expect_equal(calls.read(cached.root + "/f"), b"healed", "after healing, on the serializable mount")
        # Now the one left is the one that may answer by itself.
        one.kill()
        two.kill()
        tap.wait_until(lambda: calls.errno_of(calls.put, cached.root + "/f", b"x") == "EROFS", 15, "EROFS")
        began = time.monotonic()
        expect_equal(calls.read(cached.root + "/f"), b"healed", "serializable, without a quorum")
        expect("f" in os.listdir(cached.root), "serializable listing without a quorum")
        expect_equal(os.stat(cached.root + "/f").st_size, 6, "serializable stat without a quorum")
        expect_equal(calls.errno_of(os.stat, cached.root + "/none"), "ENOENT", "serializable, what is not there")
        expect(time.monotonic() - began < 1 * tap.SLOW, "serializable reads waited")
        c.start([one, two])
        tap.wait_until(lambda: calls.errno_of(calls.put, cached.root + "/f", b"again") == "ok", 15, "a write at last")
        expect_equal(calls.read(one.root + "/f"), b"again")
        c.stop()


@test(limit=60)
def appends_from_three_nodes_at_once_are_all_there(base):
    """O_APPEND means the committed end, whoever moved it last."""
    lines = 40
    with cluster.Cluster(base) as c:
        # O_EXCL commits at once; `: > log` would be published behind its close.
        os.close(os.open(c.members[0].root + "/log", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))

        def append(m):
            for number in range(lines):
                fd = os.open(m.root + "/log", os.O_WRONLY | os.O_APPEND)
                os.write(fd, b"%s %03d %s\n" % (m.name.encode(), number, b"x" * (number * 7 % 50)))
                os.close(fd)
        failed = calls.join(*[calls.in_child(append, m) for m in c.members])
        expect_equal(failed, 0, "appenders that failed")
        wanted = {m.name: [b"%s %03d %s" % (m.name.encode(), n, b"x" * (n * 7 % 50)) for n in range(lines)]
                  for m in c.members}
        for m in c.members:
            got = calls.read(m.root + "/log").split(b"\n")
            expect_equal(got.pop(), b"", "the end")
            expect_equal(len(got), 3 * lines, "lines on " + m.name)
            for name in wanted:
                expect_equal([line for line in got if line.startswith(name.encode())], wanted[name],
                             "lines of %s, in order, on %s" % (name, m.name))
        c.stop()


@test(limit=60)
def an_exclusive_create_has_one_winner_of_three_nodes(base):
    rounds = 30
    with cluster.Cluster(base) as c:
        start = time.monotonic() + 0.3
        os.mkdir(c.members[0].root + "/won")

        def race(m):
            wins = []
            for number in range(rounds):
                calls.sleep_until(start + number * 0.03)
                outcome = calls.errno_of(lambda: os.close(os.open(
                    "%s/lock%d" % (m.root, number), os.O_WRONLY | os.O_CREAT | os.O_EXCL)))
                expect(outcome in ("ok", "EEXIST"), "O_EXCL: %s" % outcome)
                if outcome == "ok":
                    wins.append(str(number))
            calls.put("%s/won/%s" % (m.root, m.name), " ".join(wins).encode())
        expect_equal(calls.join(*[calls.in_child(race, m) for m in c.members]), 0, "racers that failed")
        wins = [int(n) for m in c.members for n in calls.read("%s/won/%s" % (c.members[0].root, m.name)).split()]
        tap.note("wins: %s" % {m.name: len(calls.read("%s/won/%s" % (m.root, m.name)).split()) for m in c.members})
        expect_equal(sorted(wins), list(range(rounds)), "each lock's winners")
        c.stop()


@test(limit=60)
def a_slow_follower_does_not_slow_the_others(base):
    """It is stopped for three seconds, as by a disk that hangs."""
    with cluster.Cluster(base) as c:
        leader, followers = c.followers()
        slow, other = followers
        # The best of several: the machine has other work, the medians wander.
        before = min(median_write(leader.root, 60, "f") for _ in range(4))
        slow.freeze()
        began, during = time.monotonic(), []
        while time.monotonic() - began < 3:
            during.append(median_write(leader.root, 60, "f"))
        slow.thaw()
        tap.note("p50 of a write on the leader: %.2f ms before, %.2f ms while %s is stopped (best of %d)" % (
            before * 1e3, min(during) * 1e3, slow.name, len(during)))
        expect(min(during) < 2 * before, "p50 went from %.2f to %.2f ms" % (before * 1e3, min(during) * 1e3))
        expect(c.leader() is leader, "the leader changed because a follower was slow")
        calls.put(other.root + "/f", b"after")
        expect_equal(calls.read(slow.root + "/f"), b"after", "on the slow one, when it is back")
        c.agree()
        c.stop()


@test(limit=60, needs=("strace",))
def one_write_costs_one_sync_on_each_member(base):
    """Telling followers what is committed must not cost them a sync again."""
    count = 100
    logs = {n: os.path.join(base, "%d.strace" % n) for n in (1, 2, 3)}
    wrap = {n: ["strace", "-f", "-qq", "--seccomp-bpf", "-o", logs[n], "-e", "trace=fdatasync,fsync,msync"]
            for n in logs}

    def syncs():
        time.sleep(0.3)
        total = 0
        for log in logs.values():
            with open(log) as f:
                total += sum(1 for line in f if "resumed" not in line)
        return total
    with cluster.Cluster(base, wrap=wrap) as c:
        leader = c.leader()
        calls.put(leader.root + "/f", b"0")
        before = syncs()
        for number in range(count):
            calls.put(leader.root + "/f", b"%d" % number)
        made = syncs() - before
        tap.note("%d syncs of three members for %d writes" % (made, count))
        # Some slack: an election, the log's next segment.
        expect(2 * count <= made <= 3.3 * count, "%d syncs for %d writes of three members" % (made, count))
        c.stop()


@test(limit=90)
def two_of_five_nodes_may_die(base):
    with cluster.Cluster(base, size=5) as c:
        leader = c.leader()
        victims = [leader, c.others(leader)[0]]
        living = c.others(*victims)
        for m in c.members:
            os.mkdir("%s/%s" % (leader.root, m.name))
        handles = cluster.write_for(5 * tap.SLOW, [(m.root, m.name) for m in c.members])
        time.sleep(0.7)
        for m in victims:
            m.kill()
        killed = time.monotonic()
        logs = cluster.logs_of(handles)
        tap.note("two of five killed, the leader among them: written again after %.2f s" % cluster.gap(
            [log for log in logs if log.folder not in [v.name for v in victims]], killed))
        for m in living:
            cluster.expect_kept(m.root, logs)
        c.start(victims)
        for m in victims:
            cluster.expect_kept(m.root, logs)
        c.stop()


if __name__ == "__main__":
    OPTIONS = tap.parse(__doc__, more)
    raise SystemExit(1 if tap.run(OPTIONS, rig.NoNode()) else 0)
