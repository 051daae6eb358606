#!/usr/bin/env python3
"""Upkeep as an operator does it: etcdctl and `keelfs snapshot` against running
members.  What etcdctl prints is the interface: its words are compared."""

import hashlib
import json
import os
import re
import selectors
import socket
import subprocess
import threading
import time

import rig
import tap
from ports import free_ports
from tap import expect, expect_equal, test

COUNT = 200


def ctl(member, *words, check=True, timeout=60):
    """What etcdctl prints."""
    rig.need_program("etcdctl")
    done = subprocess.run(["etcdctl", "--endpoints", member.url, "--command-timeout", "%ds" % timeout, *words],
                          env=dict(os.environ, ETCDCTL_API="3"), capture_output=True, text=True,
                          timeout=timeout + 5)
    if check:
        expect(done.returncode == 0, "etcdctl %s: %s" % (" ".join(words), done.stdout + done.stderr))
    return done.stdout if check else done.stdout + done.stderr


def keelfs(*words):
    done = subprocess.run([rig.keelfs(), *words], capture_output=True, text=True, timeout=60 * tap.SLOW)
    return done.returncode, done.stdout, done.stderr


class Member(rig.Node):
    """A member with a client port and no mount."""

    def __init__(self, base, number, peers, client, arguments=(), data=None):
        self.name = "n%d" % number
        self.url = "http://127.0.0.1:%d" % client
        self.urls = ["http://127.0.0.1:%d" % port for port in peers]
        mine = self.urls[number - 1]
        self.initial = ",".join("n%d=%s" % (n, url) for n, url in enumerate(self.urls, 1))
        self.own = mine
        folder = os.path.join(base, self.name)
        os.makedirs(folder, exist_ok=True)
        super().__init__(base=folder, mounts=(), data=data,
                         arguments=["--name", self.name, "--initial-advertise-peer-urls", mine,
                                    "--listen-peer-urls", mine, "--initial-cluster-token", "test",
                                    "--initial-cluster", self.initial, "--listen-client-urls", self.url,
                                    "--advertise-client-urls", self.url, *arguments])


def members_of(base, size, arguments=()):
    ports = free_ports(2 * size)
    return [Member(base, n, ports[:size], ports[size + n - 1], arguments) for n in range(1, size + 1)]


class Running:
    """Members that are stopped in the end."""

    def __init__(self, members):
        self.members = members

    def __enter__(self):
        for m in self.members:
            m.spawn()
        for m in self.members:
            m.wait_ready(30)
        return self.members

    def __exit__(self, *_):
        for m in self.members:
            if m.alive():
                m.kill()
            m.close()


def fill(member, count=COUNT, size=2000, prefix="k", step=50):
    value = "v" * size
    for n in range(0, count, step):
        puts = "".join("put %s%05d %s\n" % (prefix, i, value) for i in range(n, min(n + step, count)))
        done = subprocess.run(["etcdctl", "--endpoints", member.url, "txn"], input="\n%s\n\n" % puts,
                              env=dict(os.environ, ETCDCTL_API="3"), capture_output=True, text=True, timeout=30)
        expect("SUCCESS" in done.stdout, done.stdout + done.stderr)


def status(member):
    return json.loads(ctl(member, "endpoint", "status", "-w", "json"))[0]["Status"]


def hash_of(member, revision=0):
    return json.loads(ctl(member, "endpoint", "hashkv", "--rev", str(revision), "-w", "json"))[0]["HashKV"]["hash"]


@test(limit=90)
def etcdctl_saves_a_snapshot_and_keelfs_restores_it(base):
    """The frame is what etcdctl checks; the contents are everything."""
    with Running(members_of(base, 1)) as (one,):
        fill(one)
        ctl(one, "del", "k00007")
        saved, ours = os.path.join(base, "etcdctl.db"), os.path.join(base, "ours.db")
        expect("Snapshot saved at" in ctl(one, "snapshot", "save", saved), "etcdctl's words")
        code, out, err = keelfs("snapshot", "save", ours, "--endpoints", one.url)
        expect_equal((code, out), (0, "Snapshot saved at %s\n" % ours), "keelfs snapshot save: %s" % err)
        expect_equal(keelfs("snapshot", "save", ours, "--endpoints", one.url)[0], 1, "saving over a file")
        for path in (saved, ours):
            expect_equal(os.path.getsize(path) % 512, 32, "bytes beyond whole sectors")
            data = open(path, "rb").read()
            expect_equal(hashlib.sha256(data[:-32]).digest(), data[-32:], "the digest at the end")
        code, out, _ = keelfs("snapshot", "status", ours, "-w", "json")
        expect_equal(code, 0, "status")
        expect_equal(json.loads(out)["totalKey"], COUNT - 1, "keys in it")
        revision, before = status(one)["header"]["revision"], hash_of(one)
        expect_equal(json.loads(out)["revision"], revision, "its revision")
    two = members_of(os.path.join(base, "again"), 1)[0]
    command = ["snapshot", "restore", saved, "--data-dir", two.data, "--name", "n1", "--initial-cluster",
               two.initial, "--initial-cluster-token", "test", "--initial-advertise-peer-urls", two.own]
    code, out, err = keelfs(*command)
    expect_equal(code, 0, "restore: %s" % err)
    code, _, err = keelfs(*command)
    expect(code == 1 and "nothing is ever overwritten" in err, "restoring twice: %s" % err)
    with Running([two]):
        expect_equal(hash_of(two, revision), before, "HashKV before and after")
        expect_equal(ctl(two, "get", "k00007"), "", "the deleted key")
        ctl(two, "put", "k00007", "again")
        expect_equal(status(two)["header"]["revision"], revision + 1, "the next revision")


@test(limit=90)
def a_damaged_snapshot_is_refused_and_nothing_is_made(base):
    with Running(members_of(base, 1)) as (one,):
        fill(one)
        path, data = os.path.join(base, "s"), os.path.join(base, "data")
        expect_equal(keelfs("snapshot", "save", path, "--endpoints", one.url)[0], 0, "save")
    content = bytearray(open(path, "rb").read())
    content[len(content) // 2] ^= 1
    open(path, "wb").write(content)
    code, _, err = keelfs("snapshot", "status", path)
    expect(code == 1 and "SHA-256" in err, "status of a damaged file: %s" % err)
    code, _, err = keelfs("snapshot", "restore", path, "--data-dir", data)
    expect(code == 1 and "SHA-256" in err, "restoring a damaged file: %s" % err)
    code, _, err = keelfs("snapshot", "restore", path, "--data-dir", data, "--skip-hash-check")
    expect(code == 1, "the stream's own checksums hold")
    expect_equal([n for n in os.listdir(base) if n.startswith("data")], [], "what was made")


@test(limit=90)
def a_full_store_raises_nospace_and_clears_it_when_there_is_room(base):
    """etcd's runbook ends in `alarm disarm`; here the room is enough."""
    with Running(members_of(base, 1, ["--quota-backend-bytes", "14000000"])) as (one,):
        fill(one, 550, 20000)
        hash_of(one)  # all of it into the file
        refused = ""
        for n in range(60):
            refused = ctl(one, "put", "k%d" % n, "v" * 100000, check=False)
            if "OK" not in refused:
                break
        expect("mvcc: database space exceeded" in refused, "the refusal: %s" % refused)
        tap.wait_until(lambda: "alarm:NOSPACE" in ctl(one, "alarm", "list"), 10, "the alarm")
        expect("alarm:NOSPACE" in " ".join(status(one).get("errors", [])), "the alarm in the status")
        expect("database space exceeded" in ctl(one, "put", "small", "x", check=False), "a small put is refused too")
        ctl(one, "del", "k", "--prefix")
        ctl(one, "compaction", str(status(one)["header"]["revision"]), "--physical")
        tap.wait_until(lambda: ctl(one, "alarm", "list") == "", 20, "the alarm's end")
        expect_equal(ctl(one, "put", "small", "x"), "OK\n", "a put when there is room")
        before = status(one)["dbSize"]
        expect("Finished defragmenting" in ctl(one, "defrag"), "etcdctl's words")
        after = status(one)
        expect(after["dbSize"] < before / 2, "the file shrank: %d, %d" % (before, after["dbSize"]))
        expect_equal(ctl(one, "get", "small"), "small\nx\n", "a get after it")


@test(limit=120)
def defragmentation_and_snapshots_let_writes_through(base):
    """Writers must not notice: the longest of their pauses is bounded."""
    with Running(members_of(base, 1)) as (one,):
        fill(one, 2000, 5000)
        ctl(one, "del", "k00", "--prefix")
        ctl(one, "compaction", str(status(one)["header"]["revision"]), "--physical")
        at_work = [subprocess.Popen(["etcdctl", "--endpoints", one.url, "--command-timeout", "60s", *words],
                                    env=dict(os.environ, ETCDCTL_API="3"), stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL, preexec_fn=rig.die_with_parent)
                   for words in (["defrag"], ["snapshot", "save", os.path.join(base, "s")])]
        longest, count = 0.0, 0
        while any(p.poll() is None for p in at_work) or count < 5:
            began = time.monotonic()
            ctl(one, "put", "meanwhile", str(count))
            longest, count = max(longest, time.monotonic() - began), count + 1
        expect_equal([p.returncode for p in at_work], [0, 0], "exit codes")
        tap.note("%d puts meanwhile, the longest %.0f ms" % (count, 1000 * longest))
        expect(longest < 5 * tap.SLOW, "a put took %.1f s" % longest)
        expect_equal(ctl(one, "get", "meanwhile", "--print-value-only"), "%d\n" % (count - 1), "the last one")


@test(limit=90)
def history_is_compacted_by_itself(base):
    with Running(members_of(base, 1, ["--auto-compaction-mode", "periodic", "--auto-compaction-retention", "1s"])) as (
            one,):
        for n in range(5):
            ctl(one, "put", "a", str(n))
        tap.wait_until(lambda: "compacted" in ctl(one, "get", "a", "--rev=3", check=False), 20, "compaction")
        expect_equal(ctl(one, "get", "a", "--print-value-only"), "4\n", "the newest value")


@test(limit=180)
def a_member_that_differs_is_found_at_the_next_compaction_and_stops_serving(base):
    """Two members begin with one state, the third with another: nothing but the
    comparison can tell."""
    files = {}
    for name, value in (("right", "1"), ("wrong", "2")):
        with Running(members_of(os.path.join(base, name), 1)) as (m,):
            ctl(m, "put", "a", value)
            files[name] = os.path.join(base, name + ".db")
            expect_equal(keelfs("snapshot", "save", files[name], "--endpoints", m.url)[0], 0, "save")
    infos = [keelfs("snapshot", "status", files[name], "-w", "fields")[1] for name in ("right", "wrong")]
    positions = [re.search(r'"Index" : (\d+)\n"Term" : (\d+)', text).groups() for text in infos]
    expect_equal(positions[0], positions[1], "both are of one entry")
    three = members_of(os.path.join(base, "three"), 3)
    for m, name in zip(three, ("right", "right", "wrong")):
        code, _, err = keelfs("snapshot", "restore", files[name], "--data-dir", m.data, "--name", m.name,
                              "--initial-cluster", m.initial, "--initial-cluster-token", "test",
                              "--initial-advertise-peer-urls", m.own)
        expect_equal(code, 0, "restore: %s" % err)
    with Running(three):
        good, bad = three[0], three[2]
        expect_equal(ctl(bad, "get", "a", "--print-value-only", "--consistency=s"), "2\n", "the wrong value")
        watch = subprocess.Popen(["etcdctl", "--endpoints", bad.url, "watch", "b"], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, text=True, env=dict(os.environ, ETCDCTL_API="3"),
                                 preexec_fn=rig.die_with_parent)
        ctl(good, "put", "b", "1")
        ctl(good, "compaction", str(status(good)["header"]["revision"]))
        bad_id = status(bad)["header"]["member_id"]
        tap.wait_until(lambda: "memberID:%d alarm:CORRUPT" % bad_id in ctl(good, "alarm", "list"), 30, "the alarm")
        expect_equal(ctl(good, "alarm", "list").count("CORRUPT"), 1, "members under alarm")
        tap.wait_until(lambda: "corrupt" in ctl(bad, "get", "a", "--consistency=s", check=False), 10,
                       "the end of serving")
        expect("corrupt" in ctl(bad, "put", "c", "1", check=False), "a write through it")
        expect("remove it from the cluster" in bad.output(), "what to do")
        _, err = watch.communicate(timeout=20)
        expect("corrupt" in err, "the end of a watch on it: %s" % err)
        expect_equal(ctl(good, "get", "a", "--print-value-only"), "1\n", "the others serve")
        ctl(good, "put", "c", "1")


class Proxy(threading.Thread):
    """Before a member's peer port; cuts its connections when so many bytes have
    gone through."""

    def __init__(self, port, target, cuts):
        super().__init__(daemon=True)
        self.target, self.cuts, self.passed, self.pairs = target, list(cuts), 0, []
        self.listener = socket.create_server(("127.0.0.1", port))

    def run(self):
        selector = selectors.DefaultSelector()
        selector.register(self.listener, selectors.EVENT_READ)
        other = {}

        def drop(s):
            for one in (s, other.pop(s, None)):
                if one is not None:
                    other.pop(one, None)
                    selector.unregister(one)
                    one.close()

        while True:
            for key, _ in selector.select():
                s = key.fileobj
                if s is self.listener:
                    here = s.accept()[0]
                    try:
                        there = socket.create_connection(("127.0.0.1", self.target), 1)
                    except OSError:
                        here.close()
                        continue
                    other[here], other[there] = there, here
                    selector.register(here, selectors.EVENT_READ)
                    selector.register(there, selectors.EVENT_READ)
                    continue
                if s not in other:
                    continue
                try:
                    data = s.recv(65536)
                    if data:
                        other[s].sendall(data)
                except OSError:
                    data = b""
                if not data:
                    drop(s)
                    continue
                self.passed += len(data)
                if self.cuts and self.passed >= self.cuts[0]:
                    self.cuts.pop(0)
                    for one in list(other):
                        if one in other:
                            drop(one)


@test(limit=180)
def a_states_transfer_goes_on_after_a_broken_connection(base):
    """Large states over bad networks would never get there otherwise."""
    three = members_of(base, 3, ["--snapshot-catchup-entries", "10"])
    late = three[2]
    hidden = free_ports(1)[0]
    port = int(late.own.rsplit(":", 1)[1])
    late.arguments[late.arguments.index("--listen-peer-urls") + 1] = "http://127.0.0.1:%d" % hidden
    proxy = Proxy(port, hidden, [6000000, 16000000])
    proxy.start()
    with Running(three[:2]) as early:
        fill(early[0], 1500, 20000, step=10)  # more entries than are kept
        for m in early:
            hash_of(m)  # flushes
        ctl(early[0], "put", "last", "one")
        late.spawn()
        try:
            late.wait_ready(60)
            tap.wait_until(lambda: "is in place" in late.output(), 30, "the state")
            tap.wait_until(lambda: ctl(late, "get", "last", "--print-value-only", check=False) == "one\n", 30,
                           "the last write")
            expect_equal(proxy.cuts, [], "cuts that were not made")
            said = "".join(m.output() for m in early)
            expect(said.count("goes on at byte") >= 1, "nothing went on:\n" + said[-2000:])
            expect_equal(said.count("sending the state of entry"), 1, "how often it began")
            expect_equal(hash_of(late), hash_of(early[0]), "the hash there")
        finally:
            late.kill()
            late.close()


if __name__ == "__main__":
    OPTIONS = tap.parse(__doc__)
    raise SystemExit(1 if tap.run(OPTIONS, rig.NoNode()) else 0)
