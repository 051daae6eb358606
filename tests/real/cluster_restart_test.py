#!/usr/bin/env python3
"""Members that restart, fall behind, or find their log damaged.

--transfers N: how often a follower is killed while it takes the whole state
(default 4)."""

import os
import random
import re
import time

import calls
import cluster
import rig
import tap
from inotify import Watcher
from tap import expect, expect_equal, test

SECTOR = 512
IN_PLACE = re.compile(r"the state of entry \d+ is in place")


def more(parser):
    parser.add_argument("--transfers", type=int, default=4)


def seeded():
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    tap.note("seed %d" % seed)
    return random.Random(seed)


def folders(c, prefix):
    """A folder for a writer on each member: (root, folder)."""
    return folders_on(c.members, prefix)


def folders_on(members, prefix):
    places = [(m.root, "%s-%s" % (prefix, m.name)) for m in members]
    for root, folder in places:
        os.mkdir(os.path.join(root, folder))
    return places


@test(limit=90)
def each_node_in_turn_may_be_killed_and_restarted(base):
    with cluster.Cluster(base, options={n: "timeout=2s" for n in (1, 2, 3)}) as c:
        logs = []
        for m in c.members:
            places = folders(c, "while " + m.name)
            handles = cluster.write_for(2.5 * tap.SLOW, places)
            time.sleep(0.3)
            m.kill()
            took = m.start(30)
            logs += cluster.logs_of(handles)
            tap.note("%s: ready after %.2f s, %d acknowledged so far" % (
                m.name, took, sum(len(log.acknowledged) for log in logs)))
            cluster.expect_kept(m.root, logs)
        c.agree()
        for m in c.members:
            cluster.expect_kept(m.root, logs)
        c.stop()


@test(limit=90)
def all_nodes_killed_at_once_lose_nothing_acknowledged(base):
    with cluster.Cluster(base) as c:
        logs = []
        for turn in range(2):
            handles = cluster.write_for(10 * tap.SLOW, folders(c, "turn %d" % turn))
            time.sleep(1)
            for m in c.members:
                m.kill()
            new = cluster.logs_of(handles)
            expect(sum(len(log.acknowledged) for log in new) > 0, "nothing was written")
            logs += new
            took = c.start()
            for m in c.members:
                cluster.expect_kept(m.root, logs)
            tap.note("all ready after %.2f s; %d acknowledged" % (took, sum(len(log.acknowledged) for log in logs)))
        before = c.agree()
        c.stop()
        c.start()
        expect_equal(c.agree(), before, "the revision after a clean stop and start of all")
        c.stop()


# --- behind the log ---

KEEP = ["--snapshot-catchup-entries", "5"]


def fill(root, chance, values, count, size=120000):
    """More than 25 MiB in large values are flushed (store_wants_flush), and the
    log behind them goes."""
    for number in range(count):
        name = "big%d" % number
        values[name] = chance.randbytes(size + number)
        calls.put("%s/%s" % (root, name), values[name])


def expect_values(m, values):
    names = set(os.listdir(m.root))
    expect_equal(names, set(values), "names on " + m.name)
    for name, value in values.items():
        expect(calls.read("%s/%s" % (m.root, name)) == value, "%s on %s has another value" % (name, m.name))


@test(limit=120)
def a_follower_behind_the_log_gets_the_whole_state(base):
    chance = seeded()
    with cluster.Cluster(base, arguments=KEEP) as c:
        values = {"gone": b"soon", "kept": b"1"}
        for name, value in values.items():
            calls.put("%s/%s" % (c.members[0].root, name), value)
        leader, (late, other) = c.followers()
        c.agree()
        # Frozen, not killed: its mount, the open file and the watcher live on.
        held = os.open(late.root + "/kept", os.O_RDONLY)
        watcher = Watcher()
        watcher.add(late.root)
        late.freeze()
        os.unlink(leader.root + "/gone")
        del values["gone"]
        values["kept"] = b"2"
        calls.put(leader.root + "/kept", b"2")
        fill(leader.root, chance, values, 420)
        # What waits for it in queues is dropped with the connection.
        tap.wait_until(lambda: "no sign of life" in leader.output(), 20, "the end of the connection")
        late.thaw()
        # A write moves on what waits for the follower.
        calls.put(leader.root + "/after", b"3")
        values["after"] = b"3"
        tap.wait_until(lambda: IN_PLACE.search(late.output()), 40, "the state's installation")
        c.agree()
        expect_values(late, values)
        expect_equal(os.pread(held, 10, 0), b"1", "what a file held open reads: the revision of its open")
        os.close(held)
        calls.put(leader.root + "/more", b"4")
        values["more"] = b"4"
        seen = watcher.until(lambda e: e.name == "more" and e.kind == "CLOSE_WRITE", 5 * tap.SLOW)
        expect(seen, "a change after the installation is not seen")
        watcher.quiet(0.3)
        names = {e.name for e in watcher.seen if e.kind in ("CREATE", "MOVED_TO")}
        lost = sorted(set(values) - {"kept"} - names)
        expect(not lost, "watchers were not told of the creation of %r" % lost[:5])
        expect(any(e.name == "gone" and e.kind == "DELETE" for e in watcher.seen), "the removal was not told")
        expect(any(e.name == "kept" and e.kind == "MODIFY" for e in watcher.seen), "the change was not told")
        watcher.close()
        # It leads as well as anybody, with a state that it was sent.
        leader.kill()
        tap.wait_until(lambda: calls.errno_of(calls.put, late.root + "/kept", b"5") == "ok", 20, "a write")
        values["kept"] = b"5"
        expect_values(late, values)
        expect_values(other, values)
        leader.start(30)
        c.stop()


@test(limit=1 << 20)
def a_follower_killed_while_it_takes_the_state_comes_right(base):
    chance = seeded()
    with cluster.Cluster(base, arguments=KEEP) as c:
        values = {}
        leader, (late, other) = c.followers()
        installed = 0
        for turn in range(OPTIONS.transfers):
            late.kill()
            fill(leader.root, chance, values, 300)
            late.spawn()
            moment = ("taking the state", "is complete", "is in place")[turn % 3]
            tap.wait_until(lambda: moment in late.output(), 30, "'%s'" % moment, pause=0.0005)
            time.sleep(chance.random() * (0.08, 0.02, 0.002)[turn % 3])
            installed += bool(IN_PLACE.search(late.output()))
            late.kill()
            late.start(40)
            calls.put(leader.root + "/turn", b"%d" % turn)
            values["turn"] = b"%d" % turn
            expect_values(late, values)
            leader = c.leader()
            if leader is late:
                leader = other
        tap.note("%d of %d installations were over before the kill" % (installed, OPTIONS.transfers))
        c.stop()


# --- damage ---

def segments(m):
    """The log's files, oldest first, with the numbers of their last used sector."""
    folder = os.path.join(m.data, "wal")
    found = []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.path.getsize(path) >= SECTOR:
            with open(path, "rb") as f:
                data = f.read()
            used = [n for n in range(len(data) // SECTOR) if data[n * SECTOR:(n + 1) * SECTOR].strip(b"\0")]
            if used:
                found.append((path, used))
    return found


@test(limit=90)
def a_torn_tail_on_one_node_is_repaired_from_the_others(base):
    """What was being written when the node died: never synced, so the node may
    cut it, and the others have it.  A record that was synced is a promise: when
    the disk loses that, the node must not go on as if it never had it."""
    chance = seeded()
    with cluster.Cluster(base) as c:
        leader, (victim, _) = c.followers()
        for damage in ("half a sector", "a shorter file", "a lost promise"):
            handles = cluster.write_for(1.0, folders(c, damage))
            time.sleep(0.5)
            victim.kill()
            logs = cluster.logs_of(handles)
            path, used = segments(victim)[-1]
            with open(path, "rb") as f:
                whole = f.read()
            with open(path, "r+b") as f:
                if damage == "a shorter file":
                    f.truncate((used[-1] + 1) * SECTOR)
                elif damage == "half a sector":
                    f.seek((used[-1] + 1) * SECTOR)
                    f.write(chance.randbytes(200))
                else:
                    f.seek(used[-1] * SECTOR + 100)
                    f.write(b"\0" * (SECTOR - 100))
            victim.spawn()
            tap.wait_until(lambda: victim.is_ready() or not victim.alive(), 30, "an answer to " + damage)
            if not victim.alive():
                text = victim.output()
                expect(damage != "half a sector", "%s is refused: %s" % (damage, text[-800:]))
                expect("damaged" in text or "lost data it had promised" in text,
                       "refused without saying why: %s" % text[-800:])
                tap.note("%s: refused" % damage)
                with open(path, "wb") as f:
                    f.write(whole)
                victim.reap()
                if damage == "a lost promise":
                    break
                victim.start(30)
            for m in c.members:
                cluster.expect_kept(m.root, logs)
            tap.note("%s: all is there" % damage)
        c.stop()


def newest(m):
    """The segment that was written to last; others may be spares."""
    return max(segments(m), key=lambda found: os.stat(found[0]).st_mtime_ns)


def damage(path, sector, chance):
    """Flips one bit of a used sector's contents."""
    with open(path, "r+b") as f:
        at = sector * SECTOR + chance.randrange(40, 400)
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 0x10]))


MENDED = "all entries that the log had lost are back"


@test(limit=90)
def a_damaged_entry_in_the_middle_of_the_log_is_fetched_from_the_others(base):
    """It says so, gets back what it lost, serves right values, and nothing is
    lost when those it got it from are gone."""
    chance = seeded()
    with cluster.Cluster(base) as c:
        leader, (victim, other) = c.followers()
        logs = cluster.logs_of(cluster.write_for(1.0, folders(c, "before")))
        for place in (6, 5, 4):  # the rest may be left from earlier use of the file
            c.agree()
            victim.kill()
            path, used = newest(victim)
            damage(path, used[len(used) // place], chance)
            handles = cluster.write_for(0.7, folders_on(c.others(victim), "while %d" % place))
            took = victim.start(30)
            logs += cluster.logs_of(handles)
            text = victim.output()
            expect("the log is damaged: segment" in text and "are fetched from the other members again" in text,
                   "it does not say what happened:\n%s" % text[-1500:])
            tap.wait_until(lambda: MENDED in victim.output(), 20, "the end of the repair")
            expect(not os.path.exists(victim.data + "/mending"), "the mark stays behind")
            cluster.expect_kept(victim.root, logs)
            tap.note("ready after %.2f s: %s" % (
                took, [line for line in text.splitlines() if "log is damaged" in line][-1][:200]))
        # It is a full member again: with it alone the others' writes survive.
        leader = c.leader()
        if leader is victim:
            leader = other
        leader.kill()
        cluster.expect_kept(victim.root, logs)
        calls.put(victim.root + "/goes on", b"yes")
        leader.start(30)
        c.agree()
        for m in c.members:
            cluster.expect_kept(m.root, logs)
        c.stop()


@test(limit=90)
def a_member_that_lost_entries_does_not_help_to_elect_one_that_lacks_them(base):
    """Two of three have what was acknowledged; one of them has its log damaged
    and the other is away: the third must not lead."""
    chance = seeded()
    with cluster.Cluster(base) as c:
        keeper, (victim, other) = c.followers()
        calls.put(keeper.root + "/first", b"1")
        c.agree()
        other.kill()
        before = newest(victim)[1][-1]
        for n in range(40):
            calls.put("%s/only%d" % (keeper.root, n), b"%d" % n)
        c.agree()
        keeper.kill()
        victim.kill()
        path, used = newest(victim)
        behind = [n for n in used if n > before + 4]
        damage(path, behind[len(behind) // 3], chance)
        other.spawn()
        victim.spawn()
        tap.wait_until(lambda: "are fetched from the other members again" in victim.output(), 20, "the damage")
        time.sleep(5 * cluster.ELECTION)
        for m in (other, victim):
            expect(m.alive() and not m.is_ready(), "%s found a leader:\n%s" % (m.name, m.output()[-1500:]))
        # A crash in the middle of the repair changes nothing.
        victim.kill()
        victim.spawn()
        time.sleep(3 * cluster.ELECTION)
        for m in (other, victim):
            expect(m.alive() and not m.is_ready(), "%s found a leader:\n%s" % (m.name, m.output()[-1500:]))
        keeper.start(30)
        for m in (other, victim):
            m.wait_ready(30)
        tap.wait_until(lambda: MENDED in victim.output(), 20, "the end of the repair")
        for m in c.members:
            for n in range(40):
                expect_equal(calls.read("%s/only%d" % (m.root, n)), b"%d" % n, "only%d on %s" % (n, m.name))
        c.stop()


@test(limit=60)
def the_only_member_refuses_a_damaged_log_and_says_what_to_do(base):
    """Nobody else has what is lost: nothing is changed, and with the byte as it
    was the node starts again."""
    chance = seeded()
    with cluster.Cluster(base, size=1) as c:
        only = c.members[0]
        logs = cluster.logs_of(cluster.write_for(0.7, folders(c, "before")))
        only.kill()
        path, used = newest(only)
        with open(path, "rb") as f:
            whole = f.read()
        damage(path, used[len(used) // 3], chance)
        only.spawn()
        tap.wait_until(lambda: not only.alive(), 20, "the refusal")
        code, text = only.process.wait(5), only.output()
        expect(code > 0, "it died with signal %d:\n%s" % (-code, text[-1500:]))
        for words in ("the log is damaged: segment", "at offset", "Nothing was changed", "restore a snapshot"):
            expect(words in text, "the message does not say %r:\n%s" % (words, text[-1500:]))
        with open(path, "wb") as f:
            f.write(whole)
        only.reap()
        only.start(30)
        cluster.expect_kept(only.root, logs)
        c.stop()


if __name__ == "__main__":
    OPTIONS = tap.parse(__doc__, more)
    raise SystemExit(1 if tap.run(OPTIONS, rig.NoNode()) else 0)
