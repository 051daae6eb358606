#!/usr/bin/env python3
"""Disk use over a long life: however much is written, the log stays small, says
how large it is, and a start takes no longer."""

import os
import urllib.request

import calls
import cluster
import rig
import tap
from ports import free_ports
from tap import expect, test

SEGMENT = 64 << 20
# What memtables hold back, the newest 64 MiB for followers that lag, segments
# begun, made ahead and spare.
BOUND = 6 * SEGMENT
VALUE = os.urandom(250000)


def facts(root):
    return dict(line.split(": ", 1) for line in calls.read(root + "/.keelfs/status").decode().splitlines())


def log_bytes(m):
    """As the member says, and as the disk says."""
    folder = os.path.join(m.data, "wal")
    return int(facts(m.root)["log_bytes"]), sum(os.stat(os.path.join(folder, n)).st_size for n in os.listdir(folder))


def write(root, megabytes, prefix="r"):
    """The same few files again and again: history grows, the keyspace does not."""
    for n in range(megabytes * 1000000 // len(VALUE)):
        calls.put("%s/%s%d" % (root, prefix, n % 8), VALUE)


def measured(url):
    """Numbers of /metrics that have no labels."""
    with urllib.request.urlopen(url + "/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {line.split()[0]: float(line.split()[1]) for line in lines if line and line[0] != "#" and "{" not in line}


def expect_small(m, words, bound=BOUND):
    says, is_there = log_bytes(m)
    expect(abs(says - is_there) <= SEGMENT, "%s says its log has %d bytes, the disk says %d" % (m.name, says, is_there))
    expect(is_there <= bound, "%s: the log has %d bytes %s" % (m.name, is_there, words))
    return is_there


@test(limit=200)
def however_much_is_written_the_log_stays_small_and_a_start_short(base):
    """A log that is only appended to fills the disk in a month; one that is
    replayed from its beginning makes each restart slower than the last."""
    port = free_ports(1)[0]
    url = "http://127.0.0.1:%d" % port
    with cluster.Cluster(base, 1, arguments=["--listen-client-urls", url, "--advertise-client-urls", url]) as c:
        one = c.members[0]
        sizes, starts, kept = [], [], []
        for megabytes in (150, 450):
            write(one.root, megabytes)
            sizes.append(expect_small(one, "after %d MB" % megabytes))
            kept.append(int(facts(one.root)["log_entries"]))
            one.kill()
            starts.append(one.start(30))
            expect(calls.read(one.root + "/r3") == VALUE, "what was written")
        numbers = measured(url)
        expect("etcd_disk_wal_write_bytes_total" in numbers, "etcd's name for what is written to the log")
        expect(numbers["keelfs_log_size_in_bytes"] == int(facts(one.root)["log_bytes"]), "two words for one number")
        tap.note("log of %s MiB with %s entries; started again after kill -9 in %s s" % (
            [s >> 20 for s in sizes], kept, ["%.2f" % s for s in starts]))
        # A start replays what no flush has had yet: at most a few memtables.
        expect(kept[1] <= kept[0] + 400, "entries kept: %r" % kept)
        expect(starts[1] < 3 * starts[0] + 2 * tap.SLOW, "seconds to start: %r" % starts)


@test(limit=300)
def a_stopped_follower_does_not_hold_the_log(base):
    """Who keeps the log for a member that is gone for a month has no disk left;
    who does not sends that member the state."""
    with cluster.Cluster(base) as c:
        calls.put(c.members[0].root + "/first", b"1")
        leader, (late, other) = c.followers()
        c.agree()
        late.kill()
        write(leader.root, 450)
        for m in (leader, other):
            expect_small(m, "with a follower stopped")
        late.start(60)
        tap.wait_until(lambda: "is in place" in late.output(), 60, "the state at the follower that was stopped")
        c.agree(60)
        expect(calls.read(late.root + "/r3") == VALUE, "what was written meanwhile")
        expect_small(late, "after it took the state")
        # And one that stops in the middle of taking a state: for some time the
        # leader keeps what it will want next.
        late.freeze()
        write(leader.root, 750, "s")
        for m in (leader, other):
            expect_small(m, "with a follower frozen", BOUND + 4 * SEGMENT)
        late.thaw()
        c.agree(60)
        expect(calls.read(late.root + "/s3") == VALUE, "what was written while it was frozen")


if __name__ == "__main__":
    OPTIONS = tap.parse(__doc__)
    raise SystemExit(1 if tap.run(OPTIONS, rig.NoNode()) else 0)
