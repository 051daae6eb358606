#!/usr/bin/env python3
"""Members come and go while the cluster runs, driven by stock etcdctl."""

import json
import os
import shutil
import subprocess
import time

import calls
import cluster
import rig
import tap
from ports import free_ports
from tap import expect, expect_equal, test

HEALTHY = 5.5  # seconds: voters must have been connected so long (etcd's HealthInterval)


class Member(cluster.Member):
    """One that may join later: its own ports, and the cluster as it is told."""

    def __init__(self, base, name, state="new", others=(), arguments=()):
        self.name = name
        self.peer, self.client = free_ports(2)
        self.peer_url = "http://127.0.0.1:%d" % self.peer
        self.client_url = "http://127.0.0.1:%d" % self.client
        known = ["%s=%s" % (m.name, m.peer_url) for m in others] + ["%s=%s" % (name, self.peer_url)]
        rig.Node.__init__(self, base=os.path.join(base, name), mounts=("m",), mount_options="timeout=3s", arguments=[
            "--name", name, "--initial-advertise-peer-urls", self.peer_url, "--listen-peer-urls", self.peer_url,
            "--listen-client-urls", self.client_url, "--advertise-client-urls", self.client_url,
            "--initial-cluster-token", "test", "--initial-cluster", ",".join(known),
            "--initial-cluster-state", state, *arguments])
        self.root = self.mounts[0]
        self.is_stopped = False

    def knows(self, cluster_text):
        self.arguments[self.arguments.index("--initial-cluster") + 1] = cluster_text


def etcdctl(members, *words, ok=True):
    ends = ",".join(m.client_url for m in members)
    done = subprocess.run(["etcdctl", "--endpoints", ends, "--command-timeout=15s", *words], capture_output=True,
                          text=True, timeout=40 * tap.SLOW, env={**os.environ, "ETCDCTL_API": "3"})
    if ok:
        expect(done.returncode == 0, "etcdctl %s: %s%s" % (" ".join(words), done.stdout, done.stderr))
    return done.stdout if ok else done.stdout + done.stderr


def listed(members):
    """Name (or peer URL of one that has not started) -> what member list says."""
    found = json.loads(etcdctl(members, "member", "list", "-w", "json"))["members"]
    return {m.get("name") or m["peerURLs"][0]: m for m in found}


def id_of(members, name):
    return "%x" % listed(members)[name]["ID"]


class Group:
    def __init__(self, base):
        self.base = base
        self.all, self.now = [], []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for m in self.all:
            m.close()

    def first(self, name="n1", arguments=()):
        m = Member(self.base, name, arguments=arguments)
        self.all.append(m)
        m.start(30)
        self.now = [m]
        return m

    def together(self, names):
        """All of them begin as one cluster."""
        self.all = self.now = [Member(self.base, name) for name in names]
        everybody = ",".join("%s=%s" % (m.name, m.peer_url) for m in self.all)
        for m in self.all:
            m.knows(everybody)
            m.spawn()
        for m in self.all:
            m.wait_ready(30)
        tap.wait_until(lambda: set(listed(self.now)) == set(names), 20, "their names")

    def led_by(self, m):
        number = calls.attribute(m.root, "member_id")
        if calls.attribute(m.root, "leader") != number:
            etcdctl(self.now, "move-leader", number)
            tap.wait_until(lambda: calls.attribute(m.root, "leader") == number, 10, "%s to lead" % m.name)

    def grow(self, name, learner=False, arguments=()):
        m = Member(self.base, name, "existing", self.now, arguments)
        self.all.append(m)
        tap.wait_until(lambda: "added to cluster" in etcdctl(
            self.now, "member", "add", name, "--peer-urls=" + m.peer_url, *(["--learner"] if learner else []), ok=False),
            20, "%s to be added" % name)
        m.start(30)
        self.now.append(m)
        # Not of the new one: a learner does not answer.
        tap.wait_until(lambda: name in listed(self.now[:-1]), 20, "%s to say its name" % name)
        return m

    def remove(self, m):
        number = id_of(self.now, m.name)
        rest = [other for other in self.now if other is not m]
        tap.wait_until(lambda: "removed from cluster" in etcdctl(rest, "member", "remove", number, ok=False), 20,
                       "%s to be removed" % m.name)
        self.now = rest
        tap.wait_until(lambda: not m.alive(), 20, "%s to stop" % m.name)
        expect("removed from the cluster" in m.output(), "it does not say why it stopped:\n%s" % m.output()[-1500:])
        m.reap()

    def agree(self):
        def same():
            try:
                revisions = {calls.revision(m.root) for m in self.now if m.runs()}
            except OSError:
                return None
            return revisions.pop() if len(revisions) == 1 else None
        return tap.wait_until(same, 30, "one revision on all members")


def places(members, prefix):
    found = [(m.root, "%s-%s" % (prefix, m.name)) for m in members]
    for root, folder in found:
        os.mkdir(os.path.join(root, folder))
    return found


@test(limit=240)
def a_cluster_grows_from_one_to_three_to_five_and_loses_its_first_node_under_load(base):
    with Group(base) as g:
        first = g.first()
        handles = cluster.write_for(6 * tap.SLOW, places([first], "alone"))
        g.grow("n2")
        time.sleep(HEALTHY * tap.SLOW)
        g.grow("n3")
        logs = cluster.logs_of(handles, 60)
        time.sleep(HEALTHY * tap.SLOW)
        handles = cluster.write_for(14 * tap.SLOW, places(g.now, "three"))
        g.grow("n4")
        time.sleep(HEALTHY * tap.SLOW)
        g.grow("n5")
        logs += cluster.logs_of(handles, 60)
        time.sleep(HEALTHY * tap.SLOW)
        handles = cluster.write_for(6 * tap.SLOW, places(g.now[1:], "five"))
        time.sleep(1)
        g.remove(first)
        logs += cluster.logs_of(handles, 60)
        g.agree()
        for m in g.now:
            cluster.expect_kept(m.root, logs)
            names = {line.split()[1] for line in calls.read(m.root + "/.keelfs/members").decode().splitlines()}
            expect_equal(names, {"n2", "n3", "n4", "n5"}, "members on " + m.name)
        tap.note("%d writes acknowledged, all there" % sum(len(log.acknowledged) for log in logs))
        # Again with everything restarted: the flags say less than the data.
        for m in g.now:
            m.kill()
        for m in g.now:
            m.spawn()
        for m in g.now:
            m.wait_ready(30)
            cluster.expect_kept(m.root, logs)
        # The data of one that was removed is of no more use.
        first.spawn()
        tap.wait_until(lambda: not first.alive(), 20, "the removed member to end")
        expect("removed from the cluster" in first.output(), first.output()[-1500:])


@test(limit=120)
def a_member_that_is_removed_while_it_sleeps_is_told_when_it_wakes(base):
    """Its connections have outlived the change, and no leader speaks to it."""
    with Group(base) as g:
        first = g.first()
        g.grow("n2")
        time.sleep(HEALTHY * tap.SLOW)
        late = g.grow("n3")
        time.sleep(HEALTHY * tap.SLOW)
        number = id_of(g.now, "n3")
        late.freeze()
        expect("removed from cluster" in etcdctl(g.now[:2], "member", "remove", number), "the removal")
        calls.put(first.root + "/k", b"1")
        late.thaw()
        woke = time.monotonic()
        tap.wait_until(lambda: not late.alive(), 20, "the removed member to end")
        tap.note("it ended %.2f s after it woke" % (time.monotonic() - woke))
        expect("removed from the cluster" in late.output(), late.output()[-1500:])
        late.reap()
        g.now.remove(late)
        g.agree()


@test(limit=120)
def a_learner_reads_and_is_promoted_when_it_is_in_sync(base):
    with Group(base) as g:
        first = g.first()
        calls.put(first.root + "/before", b"1")
        late = Member(g.base, "n2", "existing", g.now)
        g.all.append(late)
        etcdctl(g.now, "member", "add", "n2", "--learner", "--peer-urls=" + late.peer_url)
        number = "%x" % listed(g.now)[late.peer_url]["ID"]
        said = etcdctl(g.now, "member", "promote", number, ok=False)
        expect("can only promote a learner member which is in sync with leader" in said, said)
        third = free_ports(1)[0]
        said = etcdctl(g.now, "member", "add", "n3", "--learner", "--peer-urls=http://127.0.0.1:%d" % third, ok=False)
        expect("too many learner members in cluster" in said, said)
        time.sleep(1.1)  # ids are made of URLs and the second
        said = etcdctl(g.now, "member", "add", "n3", "--peer-urls=" + late.peer_url, ok=False)
        expect("Peer URLs already exists" in said, said)
        late.start(30)
        g.now.append(late)
        tap.wait_until(lambda: "n2" in listed([first]), 20, "the learner to say its name")
        # Writes of the one member do not wait for the learner, which sees them all.
        calls.put(first.root + "/after", b"2")
        expect_equal(calls.read(late.root + "/before"), b"1", "a linearizable read on a learner")
        expect_equal(calls.read(late.root + "/after"), b"2", "a linearizable read on a learner")
        late.freeze()
        calls.put(first.root + "/alone", b"3")
        late.thaw()
        etcdctl([first], "member", "promote", number)
        expect(not listed([first])["n2"].get("isLearner"), "it is a learner still")
        said = etcdctl([first], "member", "promote", number, ok=False)
        expect("can only promote a learner member" in said, said)
        expect_equal(calls.read(late.root + "/alone"), b"3", "after the promotion")


@test(limit=120)
def a_wiped_node_cannot_come_back_as_itself_but_as_a_new_member(base):
    with cluster.Cluster(base) as c:
        calls.put(c.members[0].root + "/kept", b"1")
        c.agree()
        _, (victim, _) = c.followers()
        expect_equal(calls.read(victim.root + "/kept"), b"1", "the value")
        tap.wait_until(lambda: all(m.output().count("has said its name") >= 3 for m in c.members), 20, "all names")
        victim.kill()
        shutil.rmtree(victim.data)
        victim.spawn()
        tap.wait_until(lambda: not victim.alive(), 20, "the refusal")
        text = victim.output()
        expect("was in this cluster before" in text and "member remove" in text and "member add" in text, text[-1500:])
        expect_equal(calls.read(c.others(victim)[0].root + "/kept"), b"1", "the others go on")


@test(limit=120)
def a_member_moves_to_another_address(base):
    """The others must find it where `member update` says, without a restart of
    theirs."""
    with Group(base) as g:
        first = g.first()
        second = g.grow("n2")
        time.sleep(HEALTHY * tap.SLOW)
        third = g.grow("n3")
        calls.put(first.root + "/before", b"1")
        g.agree()
        for mover in (second, first):
            number = id_of(g.now, mover.name)
            old, port = mover.peer_url, free_ports(1)[0]
            new = "http://127.0.0.1:%d" % port
            rest = [m for m in g.now if m is not mover]
            tap.wait_until(lambda: "updated in cluster" in etcdctl(
                g.now, "member", "update", number, "--peer-urls=" + new, ok=False), 20, "the update")
            mover.stop()
            calls.put(rest[0].root + "/meanwhile", b"2")
            mover.peer, mover.peer_url = port, new
            mover.arguments = [a.replace(old, new) for a in mover.arguments]
            mover.start(30)
            expect_equal(listed(rest)[mover.name]["peerURLs"], [new], "where it is")
            calls.put(mover.root + "/after", mover.name.encode())
            expect_equal(calls.read(third.root + "/after"), mover.name.encode(), "a write through the one that moved")
            g.agree()
        g.remove(second)


@test(limit=120)
def the_last_one_left_goes_on_alone_when_it_is_forced_to(base):
    with Group(base) as g:
        first = g.first()
        g.grow("n2")
        time.sleep(HEALTHY * tap.SLOW)
        g.grow("n3")
        calls.put(first.root + "/kept", b"1")
        g.agree()
        for m in g.now:
            m.kill()
        first.arguments.append("--force-new-cluster")
        first.start(30)
        expect_equal(calls.read(first.root + "/kept"), b"1", "what it had")
        expect_equal(set(listed([first])), {"n1"}, "members")
        calls.put(first.root + "/alone", b"2")
        first.kill()
        first.arguments.remove("--force-new-cluster")
        first.start(30)
        expect_equal(calls.read(first.root + "/alone"), b"2", "after a restart without the flag")
        expect_equal(set(listed([first])), {"n1"}, "members")
        given_up, g.now = g.now[1:], [first]
        g.grow("n4")
        expect_equal(calls.read(g.now[1].root + "/kept"), b"1", "on the new member")
        # Those who were given up are told when they come back, and stop.
        given_up[0].spawn()
        tap.wait_until(lambda: not given_up[0].alive(), 20, "one that was given up to stop")
        expect("removed from the cluster" in given_up[0].output(), given_up[0].output()[-1500:])


def change(member, *flags, ok=True):
    """`keelfs member change`: several at once."""
    done = subprocess.run([rig.keelfs(), "member", "change", "--endpoints", member.client_url, *flags],
                          capture_output=True, text=True, timeout=40 * tap.SLOW)
    if ok:
        expect(done.returncode == 0, "keelfs member change %s: %s" % (" ".join(flags), done.stderr))
    return done.stdout if ok else "%d: %s" % (done.returncode, done.stderr)


@test(limit=240)
def several_members_are_replaced_at_once_or_none_is(base):
    """One after the other the cluster would be at times of four, with a quorum of
    three; at once it goes from five old ones to three old and two new ones."""
    with Group(base) as g:
        g.together(["n1", "n2", "n3", "n4", "n5"])
        time.sleep(HEALTHY * tap.SLOW)
        first, second, third = g.now[:3]
        g.led_by(first)
        old = listed(g.now)
        # What cannot be made whole is not made at all, whoever is asked.
        for flags, words in ((["--remove", "%x" % old["n2"]["ID"], "--remove", "77"], "member not found"),
                             (["--add", "n6=" + third.peer_url, "--remove", "%x" % old["n2"]["ID"]], "already exists")):
            said = change(third, *flags, ok=False)
            expect(said.startswith("1: ") and words in said, said)
        everybody = ["--remove=%x" % old["n%d" % n]["ID"] for n in range(1, 5)]
        said = change(third, *everybody, "--add=n6=http://127.0.0.1:%d" % free_ports(1)[0], ok=False)
        expect("not enough started members" in said, said)
        expect_equal(change(third, "--remove", "nobody", ok=False)[:2], "2:", "an id that is none")
        expect_equal(listed(g.now), old, "the members after refusals")
        handles = cluster.write_for(12 * tap.SLOW, places(g.now[2:], "meanwhile"))
        comers = [Member(base, name, "existing", [], ()) for name in ("n6", "n7")]
        g.all = g.all + comers
        said = change(third, *["--add=%s=%s" % (m.name, m.peer_url) for m in comers],
                      "--remove=%x" % old["n1"]["ID"], "--remove=%x" % old["n2"]["ID"])
        told = said.split('ETCD_INITIAL_CLUSTER="')[1].split('"')[0]
        expect_equal({pair.split("=")[0] for pair in told.split(",")}, {"n3", "n4", "n5", "n6", "n7"}, "whom it names")
        for gone in (first, second):
            tap.wait_until(lambda: not gone.alive(), 20, "%s to stop" % gone.name)
            expect("removed from the cluster" in gone.output(), gone.output()[-1500:])
            gone.reap()
        for m in comers:
            m.knows(told)
            m.start(30)
        g.now = g.now[2:] + comers
        logs = cluster.logs_of(handles, 60)
        g.agree()
        for m in g.now:
            cluster.expect_kept(m.root, logs)
        slowest = max(log.slowest for log in logs)
        tap.note("%d writes acknowledged, all there; the slowest took %.2f s" % (
            sum(len(log.acknowledged) for log in logs), slowest))
        # The leader was among those removed: it handed the leadership on.
        expect(slowest < cluster.ELECTION * tap.SLOW, "a write waited %.2f s, as for an election" % slowest)
        tap.wait_until(lambda: set(listed(g.now)) == {"n3", "n4", "n5", "n6", "n7"}, 20, "their names")
        # A learner takes a voter's place in one step.
        time.sleep(HEALTHY * tap.SLOW)
        g.grow("n8", learner=True)
        now = listed(g.now[:-1])
        leaver = g.now[0]
        tap.wait_until(lambda: change(g.now[1], "--promote=%x" % now["n8"]["ID"], "--remove=%x" % now["n3"]["ID"],
                                      ok=False).startswith("0:"), 30, "the promotion")
        tap.wait_until(lambda: not leaver.alive(), 20, "n3 to stop")
        leaver.reap()
        g.now = g.now[1:]
        found = listed(g.now[:-1])  # the learner may not have heard yet that it is none
        expect_equal((set(found), any(m.get("isLearner") for m in found.values())),
                     ({"n4", "n5", "n6", "n7", "n8"}, False), "members in the end")
        g.agree()


@test(limit=120)
def leadership_moves_where_etcdctl_says(base):
    with Group(base) as g:
        first = g.first()
        g.grow("n2")
        number = id_of(g.now, "n2")
        said = etcdctl([g.now[1]], "move-leader", number, ok=False)
        expect("no leader endpoint" in said or "not leader" in said, said)
        etcdctl([first], "move-leader", number)
        tap.wait_until(lambda: calls.attribute(first.root, "leader") == calls.attribute(
            g.now[1].root, "member_id"), 10, "the new leader")


@test(limit=300)
def the_transcript_of_the_documentation_happens(base):
    """docs/OPERATIONS.md is what people follow when something is wrong."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples", "members.sh")
    port = 20000 + 40 * (os.getpid() % 250)
    folder = os.path.join(base, "transcript")
    with open(os.path.join(base, "out"), "w+") as out:
        done = subprocess.run([script, folder], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                              timeout=280 * tap.SLOW, env={**os.environ, "KEELFS": rig.keelfs(), "PORT": str(port)},
                              preexec_fn=rig.die_with_parent)
        out.seek(0)
        text = out.read()
    for mount in rig.mounts_below(folder):
        rig.unmount(mount)
    expect(done.returncode == 0, "it ended with %d:\n%s" % (done.returncode, text[-3000:]))
    expect_equal(text.count(" writes acknowledged, 0 lost"), 5, "members that have everything")


if __name__ == "__main__":
    OPTIONS = tap.parse(__doc__)
    raise SystemExit(1 if tap.run(OPTIONS, rig.NoNode()) else 0)
