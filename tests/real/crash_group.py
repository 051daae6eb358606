"""Workloads of several nodes: a whole state taken from the leader, members that
change, a node that joins."""

import os
import random
import socket
import time

import crash_model
import tap
from crash_loads import RECOVERY, Load
from crash_model import Caller, Model
from tap import expect


class Group(Load):
    nodes = ("n1", "n2", "n3")

    def hashes(self, names):
        """HashKV of members, which must agree at one revision."""
        end = time.monotonic() + 10 * tap.SLOW
        while True:
            found = set()
            for name in names:
                caller = Caller(self.address(name))
                answer = caller.call("Maintenance/HashKV", caller.pb.HashKVRequest())
                caller.close()
                found.add(repr(answer) if isinstance(answer, caller.rpc.Error) else (answer.header.revision, answer.hash))
            if len(found) == 1 and isinstance(next(iter(found)), tuple):
                return
            expect(time.monotonic() < end, "members do not agree: %s" % found)
            time.sleep(0.02)

    def check_more(self, nodes, caller, state):
        self.hashes([name for name in self.nodes if nodes[name].alive()])


class State(Group):
    """The third member is behind what the log keeps and takes the leader's
    whole state."""
    name = "state transfer"
    victim = "n3"
    arguments = ("--snapshot-catchup-entries", "5")

    def later(self):
        chance = random.Random(8)
        steps = [("txn", [("k%d" % i, chance.randbytes(9000), 0) for i in range(n, n + 4)], ["early"])
                 for n in range(0, 24, 4)]
        steps += [("txn", [("n", b"%d" % n, 0)]) for n in range(20)] + [("hash",)]
        return steps + [("txn", [("last", b"%d" % n, 0)]) for n in range(8)] + [("hash",)]

    def make(self, base):
        model, nodes = Model(), self.all(base, {}, {})
        try:
            for node in nodes.values():
                node.spawn()
            for node in nodes.values():
                node.wait_ready(30)
            for turn, (name, steps) in enumerate((("n3", [("txn", [("early", b"1", 0)]), ("hash",)]),
                                                  ("n1", self.later()), ("n2", [("hash",)]))):
                caller = Caller(self.address(name))
                for operation in [("serves",)] + steps:
                    said = caller.perform(operation)
                    expect(said is None, "the template of %s: %s" % (self.name, said))
                    model = model.after(operation)
                caller.close()
                if turn == 0:
                    nodes["n3"].kill()
            time.sleep(0.3)  # the log's beginning is dropped a moment later
        finally:
            for node in nodes.values():
                node.close()
        return model

    def script(self):
        return [("serves",), ("txn", [("new", b"1", 0)]), ("hash",), ("txn", [("new", b"2", 0)])]

    def start(self, nodes):
        for name in ("n1", "n2"):
            nodes[name].spawn()
        for name in ("n1", "n2"):
            nodes[name].wait_ready(30)
        nodes["n3"].spawn()
        return self.wait(nodes)


class Members(Group):
    """A learner is added, given another URL and removed; then a member goes."""
    name = "member change"
    arguments = ("--strict-reconfig-check=false",)
    looks_at_members = True

    def model(self):
        return Model({self.peer(name): False for name in self.nodes})

    def begin(self):
        return [("txn", [("k", b"0", 0)]), ("hash",)]

    def caller(self, nodes):
        caller = super().caller(nodes)
        end = time.monotonic() + 10 * tap.SLOW
        while not caller.ids and nodes[self.victim].alive() and time.monotonic() < end:
            answer = caller.call("Cluster/MemberList", caller.pb.MemberListRequest(linearizable=True))
            if not isinstance(answer, caller.rpc.Error):
                caller.ids = {m.peerURLs[0]: m.ID for m in answer.members}
        return caller

    def script(self):
        one, two = "http://127.0.0.1:1", "http://127.0.0.1:2"
        yield ("add", one, True)
        yield ("txn", [("k", b"1", 0)])
        yield ("move", one, two)
        yield ("remove", two)
        yield ("txn", [("k", b"2", 0)])
        yield ("remove", self.peer("n3"))
        yield ("txn", [("k", b"3", 0)])

    def wait(self, nodes):
        end = time.monotonic() + 30 * tap.SLOW
        victim = nodes[self.victim]
        while not victim.is_ready():
            if victim.process.poll() is not None:
                return False
            expect(time.monotonic() < end, "the victim was not ready in time:\n%s" % victim.output()[-1500:])
            time.sleep(0.002)
        return True

    def recover(self, nodes):
        asleep = [name for name in self.nodes if not nodes[name].alive()]
        for name in asleep:
            # The third may have been removed: then it ended by itself.
            if name != "n3" or nodes[name].process is None:
                nodes[name].spawn()
        begun = time.monotonic()
        for name in asleep:
            if name != "n3":
                nodes[name].wait_ready(RECOVERY)
        return time.monotonic() - begun

    def check_more(self, nodes, caller, state):
        names = [name for name in self.nodes if self.peer(name) in state.members]
        for name in names:
            tap.expect(nodes[name].alive(), "%s is a member and has ended:\n%s" % (name, nodes[name].output()[-1500:]))
            tap.wait_until(nodes[name].is_ready, RECOVERY, "%s to be ready" % name)
        if "n3" not in names:
            tap.wait_until(lambda: not nodes["n3"].alive(), 20, "the removed member to end")
        self.hashes(names)


class Join(Group):
    """A cluster of one that waits for its second member; the new one is the
    victim, from its first breath."""
    name = "join"
    nodes = ("n1", "n2")
    victim = "n2"
    arguments = ("--strict-reconfig-check=false",)
    looks_at_members = True

    def node(self, base, name, wrap=(), homes=None, **more):
        if name == "n1":
            return super().node(base, name, wrap, homes, among=("n1",), **more)
        return super().node(base, name, wrap, homes, arguments=["--initial-cluster-state", "existing"], **more)

    def make(self, base):
        model = Model({self.peer("n1"): False})
        os.makedirs(os.path.join(base, "n1"))
        node = self.node(base, "n1")
        try:
            node.start()
            caller = Caller(self.address("n1"))
            for operation in [("txn", [("k%d" % i, b"%d" % i * 3000, 0) for i in range(9)]), ("hash",),
                              ("txn", [("k", b"1", 0)]), ("add", self.peer("n2"), False)]:
                said = caller.perform(operation)
                expect(said is None, "the template of %s: %s" % (self.name, said))
                model = model.after(operation)
            caller.close()
            node.kill()
        finally:
            node.close()
        return model

    def script(self):
        return [("serves",), ("txn", [("k", b"2", 0)]), ("hash",)]

    def first(self, nodes):
        """The one that can be asked; it has no quorum without the other."""
        def listens():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.ports["n1"][0])) == 0
        if not nodes["n1"].alive():
            nodes["n1"].spawn()
        tap.wait_until(listens, 10, "the first member to listen")

    def start(self, nodes):
        self.first(nodes)
        nodes["n2"].spawn()
        return self.wait(nodes)

    def recover(self, nodes):
        self.first(nodes)
        took = nodes["n2"].start(RECOVERY)
        nodes["n1"].wait_ready(RECOVERY)
        return took

    def wait(self, nodes):
        end = time.monotonic() + 30 * tap.SLOW
        while not nodes["n2"].is_ready():
            if nodes["n2"].process.poll() is not None:
                return False
            expect(time.monotonic() < end, "the new member was not ready in time:\n%s" % nodes["n2"].output()[-1500:])
            time.sleep(0.002)
        return True


GROUPS = [State, Members, Join]
