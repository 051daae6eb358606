#!/usr/bin/env python3
"""Leases by shell on three nodes: who stops renewing goes, everywhere; who
renews stays, whatever happens to leaders.

--changes N: changes of leader in the test of that (default 3; the full form is
100).  --leases N: leases held meanwhile (default 150; the full form is 1000)."""

import os
import signal
import subprocess
import threading
import time

import calls
import cluster
import rig
import tap
from inotify import Watcher
from tap import expect, expect_equal, test

TTL = "user.keelfs.ttl"
INTERVAL = 5.0  # seconds: what a change of leader may give a lease, besides the election
ELECTION = 3.0  # until a new leader serves, at --election-timeout 1000
ARRIVES = 3.0   # a deletion on all nodes, on a busy machine


def more(parser):
    parser.add_argument("--changes", type=int, default=3)
    parser.add_argument("--leases", type=int, default=150)


def lease(path, seconds):
    os.setxattr(path, TTL, b"%d" % seconds)


def left(path):
    return int(os.getxattr(path, TTL))


def gone(path):
    return not os.path.exists(path)


SERVICE = """
echo 10.0.0.7:80 > "$1"
setfattr -n user.keelfs.ttl -v %d "$1"
while sleep 0.5; do touch -c "$1" || exit; done
"""


@test(limit=90, needs=("setfattr", "touch", "inotifywait"))
def a_service_that_dies_disappears_on_every_node(base):
    """As a person would do it: echo, setfattr, touch; seen by inotifywait."""
    seconds = 3
    with cluster.Cluster(base) as c:
        here, there, third = c.members
        os.mkdir(here.root + "/services")
        with open(base + "/heard", "wb") as heard:
            listener = subprocess.Popen(["inotifywait", "-m", "-q", "-e", "delete", "--format", "%e %f",
                                         there.root + "/services"], stdout=heard)
        watchers = {}
        for m in c.members:
            watchers[m] = Watcher()
            watchers[m].add(m.root + "/services")
        service = subprocess.Popen(["sh", "-c", SERVICE % seconds, "sh", here.root + "/services/web"],
                                   start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        tap.wait_until(lambda: calls.read_or_none(third.root + "/services/web") == b"10.0.0.7:80\n", 10,
                       "the service on another node")
        tap.wait_until(lambda: "user.keelfs.lease" in os.listxattr(third.root + "/services/web"), 10, "its lease")
        time.sleep(0.5)
        for m in c.others(here):  # what came of its registration
            watchers[m].quiet(0.3)
            watchers[m].seen = []
        revision = calls.revision(there.root)
        time.sleep(2 * seconds)
        expect_equal(calls.read_or_none(there.root + "/services/web"), b"10.0.0.7:80\n", "a service that lives")
        expect_equal(calls.revision(there.root), revision, "the revision after renewals")
        for m in c.others(here):
            watchers[m].quiet(0.1)
            expect_equal([repr(e) for e in watchers[m].seen if e.kind != "OPEN"], [], "events of renewals")
        os.killpg(service.pid, signal.SIGKILL)
        service.wait()
        died = time.monotonic()
        for m in c.members:
            event = watchers[m].until(lambda e: e.kind == "DELETE" and e.name == "web",
                                      (seconds + ARRIVES) * tap.SLOW)
            expect(event is not None, "no DELETE on %s: %r" % (m.name, watchers[m].seen))
            expect(event.moment - died > seconds - 1.0, "it went %.1f s after its death" % (event.moment - died))
            expect(gone(m.root + "/services/web"), "the file is there on %s" % m.name)
        tap.wait_until(lambda: open(base + "/heard").read() == "DELETE web\n", 5, "inotifywait to say DELETE")
        listener.terminate()
        listener.wait()
        c.stop()


@test(limit=120)
def a_change_of_leader_ends_no_lease_early_and_extends_none_for_long(base):
    """Idle leases of 12 s; the leader dies when 7 are gone."""
    with cluster.Cluster(base, options={n: "timeout=2s" for n in (1, 2, 3)}) as c:
        leader, (a, b) = c.followers()
        files = ["l%d" % n for n in range(20)]
        begun, granted = {}, {}
        for name in files:
            calls.put("%s/%s" % (a.root, name), b"x")
            begun[name] = time.monotonic()
            lease("%s/%s" % (a.root, name), 12)
            granted[name] = time.monotonic()
        time.sleep(max(0, granted[files[0]] + 7 - time.monotonic()))
        leader.kill()
        ended = {}
        limit = 12 + INTERVAL + ELECTION + ARRIVES
        while len(ended) < len(files) and time.monotonic() < granted[files[-1]] + limit * tap.SLOW:
            for name in files:
                try:
                    os.stat("%s/%s" % (b.root, name))
                except FileNotFoundError:
                    ended.setdefault(name, time.monotonic())
                except OSError:
                    pass  # no leader yet
            time.sleep(0.02)
        expect_equal(sorted(ended), sorted(files), "files that have ended")
        shortest = min(ended[name] - begun[name] for name in files)
        longest = max(ended[name] - granted[name] for name in files)
        tap.note("leases of 12 s lived %.1f to %.1f s over the death of the leader" % (shortest, longest))
        expect(shortest >= 12, "one ended after %.2f s" % shortest)
        expect(longest <= (12 + INTERVAL + ELECTION) * tap.SLOW, "one lived for %.1f s" % longest)
        c.stop()


class Holder(threading.Thread):
    """Renews files through whichever node answers.  held[name] is the moment
    before the last renewal that was acknowledged."""

    def __init__(self, members, names, seconds):
        super().__init__(daemon=True)
        self.members, self.names, self.seconds = members, names, seconds
        self.held, self.lost, self.late = {}, [], []
        self.renewals, self.stops = 0, False
        self.slowest = 0.0
        self.avoids, self.uses = None, None

    def leave(self, member):
        """Nobody can come back from a call into a process that is stopped."""
        self.avoids = member
        tap.wait_until(lambda: self.uses is not member, 10, "the holder to leave a node")

    def renew(self, name):
        for m in self.members * 20:
            self.uses = m
            if m is self.avoids or not m.runs():
                continue
            before = time.monotonic()
            try:
                os.utime("%s/%s" % (m.root, name))
            except FileNotFoundError:
                # A node that has just started again shows the tree when it is mounted.
                if rig.mounts_at(m.root):
                    if before - self.held[name] >= self.seconds:
                        self.late.append("%s: not renewed for %.1f s" % (name, before - self.held[name]))
                    else:
                        self.lost.append("%s, renewed %.2f s before, says %s; there: %s" % (
                            name, before - self.held[name], m.name,
                            [os.path.exists("%s/%s" % (x.root, name)) for x in self.members if x.runs()]))
                    return False
                continue
            except OSError:
                time.sleep(0.02)
                continue
            now = time.monotonic()
            self.slowest = max(self.slowest, now - self.held[name])
            self.held[name] = before
            self.renewals += 1
            return True
        return True

    def run(self):
        while not self.stops:
            self.uses = None
            for name in list(self.names):
                if self.stops:
                    break
                if not self.renew(name):
                    self.names.remove(name)
            time.sleep(0.05)


def hold(c, count, seconds):
    """So many files with leases, renewed from now on."""
    root, names = c.leader().root, ["held%04d" % n for n in range(count)]
    holder = Holder(c.members, list(names), seconds)
    for name in names:
        calls.put("%s/%s" % (root, name), b"x")
        holder.held[name] = time.monotonic()
        lease("%s/%s" % (root, name), seconds)
    holder.start()
    return holder, names


def release(c, holder, names, seconds):
    """All are there; and when nobody renews them any more, all go."""
    holder.stops = True
    holder.join(60)
    root = c.leader().root
    expect_equal(holder.lost, [], "leases that ended early (%s, %d renewals)" % (holder.late[:3], holder.renewals))
    if holder.late:  # nothing can be said: a machine so busy, or a cluster without a leader
        raise tap.Skip("the holder did not come to renew in time: " + ", ".join(holder.late[:3]))
    there = set(os.listdir(root))
    expect_equal([name for name in names if name not in there], [], "files lost while they were renewed")
    stopped = time.monotonic()
    tap.wait_until(lambda: not any(n.startswith("held") for n in os.listdir(root)),
                   seconds + INTERVAL + ELECTION + len(names) / 500 + 2, "all to end")
    return time.monotonic() - stopped


@test(limit=120)
def a_stopped_leader_that_goes_on_revokes_nothing(base):
    """It sleeps for longer than the leases live, and wakes up in their midst."""
    with cluster.Cluster(base, options={n: "timeout=2s" for n in (1, 2, 3)}) as c:
        holder, names = hold(c, 30, 10)
        old = c.leader()
        holder.leave(old)
        old.freeze()
        tap.wait_until(lambda: c.leader_now() not in (None, old), 20, "another leader")
        time.sleep(12)
        old.thaw()
        holder.avoids = None
        time.sleep(3)
        release(c, holder, names, 10)
        c.stop()


def change_leader(c, holder, number):
    """Every third leader is killed and starts again, the others sleep through the election."""
    old = c.leader()
    holder.leave(old)
    began = time.monotonic()
    if number % 3 == 0:
        old.kill()
    else:
        old.freeze()
    tap.wait_until(lambda: c.leader_now() not in (None, old), 20, "another leader")
    took = time.monotonic() - began
    if number % 3 == 0:
        c.start([old])
    else:
        old.thaw()
    holder.avoids = None
    return took


@test(limit=900)
def no_lease_is_lost_over_many_changes_of_leader(base):
    seconds = 20
    with cluster.Cluster(base, options={n: "timeout=2s" for n in (1, 2, 3)}) as c:
        holder, names = hold(c, OPTIONS.leases, seconds)
        took = []
        for number in range(OPTIONS.changes):
            took.append(change_leader(c, holder, number))
            time.sleep(0.3)
        ended = release(c, holder, names, seconds)
        tap.note("%d changes of leader with %d leases of %d s: %d lost early; %d renewals, at most %.1f s between two "
                 "of one lease; elections took %.2f s in the middle, %.2f s at most; without renewals all ended "
                 "within %.1f s" % (OPTIONS.changes, OPTIONS.leases, seconds, len(holder.lost), holder.renewals,
                                    holder.slowest, sorted(took)[len(took) // 2], max(took), ended))
        c.stop()


@test(limit=60)
def the_control_directory_grants_lists_renews_and_revokes(base):
    with cluster.Cluster(base) as c:
        leader, (a, b) = c.followers()
        said = subprocess.run(["sh", "-c", 'exec 3<>"$1"/.keelfs/leases/grant; echo 60 >&3; read id <&3; echo $id',
                               "sh", a.root], capture_output=True, text=True, check=True).stdout.strip()
        for m in c.members:
            home = "%s/.keelfs/leases/%s" % (m.root, said)
            expect_equal(calls.read(home + "/granted_ttl"), b"60\n", "granted_ttl on " + m.name)
            expect(55 <= int(calls.read(home + "/ttl")) <= 60, "ttl on " + m.name)
            expect(said in os.listdir(m.root + "/.keelfs/leases"), "it is not listed on " + m.name)
        calls.put(b.root + "/one", b"1")
        calls.put(b.root + "/two", b"2")
        for name in ("one", "two"):
            os.setxattr("%s/%s" % (b.root, name), "user.keelfs.attach", said.encode())
        expect_equal(calls.read("%s/.keelfs/leases/%s/keys" % (a.root, said)), b"/one\n/two\n", "its keys")
        expect_equal(os.getxattr(a.root + "/one", "user.keelfs.lease").decode(), said, "the file's lease")
        os.utime("%s/.keelfs/leases/%s" % (b.root, said))
        revision = calls.revision(a.root)
        os.rmdir("%s/.keelfs/leases/%s" % (a.root, said))
        for m in c.members:
            tap.wait_until(lambda m=m: gone(m.root + "/one") and gone(m.root + "/two"), 5, "both files to go")
            expect(gone("%s/.keelfs/leases/%s" % (m.root, said)), "the lease is there on " + m.name)
        expect_equal(c.agree(), revision + 1, "the revision of the revoke: one for both files")
        c.stop()


if __name__ == "__main__":
    OPTIONS = tap.parse(__doc__, more)
    raise SystemExit(1 if tap.run(OPTIONS, rig.NoNode()) else 0)
