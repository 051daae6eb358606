"""The scripted workloads whose every write-class system call is a crash point.

A workload makes its data directories once, as nodes that were killed left them;
then it runs its script on copies, with one process (the victim) under strace,
and says afterwards whether what is left is right."""

import errno
import os
import random
import subprocess
import time

import calls
import crash_image
import crash_model
import history
import rig
import tap
from crash_model import Caller, Model, Record
from tap import expect, expect_equal

HEARTBEAT, ELECTION = 30, 300  # milliseconds
RECOVERY = 10                  # seconds: what a start may take
# What a process may end with when a system call failed: not with these.
CRASHES = (-11, -6, -7, -8, -4, 139, 134, 135, 136, 132)


class Load:
    """One node without a mount, called through the API."""

    name = ""
    nodes = ("n1",)
    victim = "n1"
    arguments = ()
    looks_at_members = False

    def __init__(self, ports):
        self.ports = ports  # name -> (peer's, client's)

    # --- nodes ---

    def peer(self, name):
        return "http://127.0.0.1:%d" % self.ports[name][0]

    def address(self, name):
        return "127.0.0.1:%d" % self.ports[name][1]

    def home(self, base, name, homes):
        """The directory whose changes count."""
        return homes.get(name) or os.path.join(base, name, "data")

    def node(self, base, name, wrap=(), homes=None, among=None, arguments=(), mounts=()):
        among = among or self.nodes
        return rig.Node(base=os.path.join(base, name), data=self.home(base, name, homes or {}), mounts=mounts, wrap=wrap,
                        arguments=["--name", name, "--initial-advertise-peer-urls", self.peer(name),
                                   "--listen-peer-urls", self.peer(name), "--initial-cluster-token", "points",
                                   "--initial-cluster", ",".join("%s=%s" % (n, self.peer(n)) for n in among),
                                   "--listen-client-urls", "http://" + self.address(name),
                                   "--advertise-client-urls", "http://" + self.address(name),
                                   "--heartbeat-interval", str(HEARTBEAT), "--election-timeout", str(ELECTION),
                                   *self.arguments, *arguments])

    def all(self, base, wraps, homes):
        made = {}
        for name in self.nodes:
            os.makedirs(os.path.join(base, name), exist_ok=True)
            made[name] = self.node(base, name, wraps.get(name, ()), homes)
        return made

    # --- the parts that differ ---

    def begin(self):
        """What is in the template, as a script."""
        return []

    def script(self):
        return []

    def model(self):
        return Model()

    def caller(self, nodes):
        return Caller(self.address(self.victim))

    # --- what the driver asks for ---

    def make(self, base):
        """The template; returns its state."""
        model = self.model()
        nodes = self.all(base, {}, {})
        try:
            for node in nodes.values():
                node.spawn()
            for node in nodes.values():
                node.wait_ready(30)
            caller = self.caller(nodes)
            caller.perform(("serves",))
            record = crash_model.run(caller, self.begin(), lambda: False)
            expect(record.finished and not record.said, "%s: the template: %s" % (self.name, record.said))
            caller.close()
            for operation in self.begin():
                model = model.after(operation)
        finally:
            for node in nodes.values():
                node.close()
        return model

    def copy(self, template, base, homes):
        for name in self.nodes:
            os.makedirs(os.path.join(base, name), exist_ok=True)
            source, to = os.path.join(template, name, "data"), self.home(base, name, homes)
            if os.path.exists(source):
                crash_image.copy_tree(source, to)

    def start(self, nodes):
        """True when the script can begin: the victim may die before."""
        for node in nodes.values():
            node.spawn()
        return self.wait(nodes)

    def wait(self, nodes):
        end = time.monotonic() + 30 * tap.SLOW
        for name, node in nodes.items():
            while not node.is_ready():
                if node.process.poll() is not None:
                    expect(name == self.victim, "%s ended, not the victim:\n%s" % (name, node.output()[-1500:]))
                    return False
                if nodes[self.victim].process.poll() is not None:
                    return False
                expect(time.monotonic() < end, "%s was not ready in time:\n%s" % (name, node.output()[-1500:]))
                time.sleep(0.002)
        return True

    def run(self, nodes):
        """The script, and a clean stop of the victim when nothing killed it.
        Returns (Record, the victim's exit status)."""
        victim, record = nodes[self.victim], Record()
        if self.start(nodes):
            caller = self.caller(nodes)
            record = crash_model.run(caller, self.script(), lambda: victim.process.poll() is not None)
            caller.close()
        return record, self.end(victim)

    @staticmethod
    def end(victim):
        pid = victim._server_under_wrapper() if victim.wrap else victim.process.pid
        if pid is not None and victim.process.poll() is None:
            try:
                os.kill(pid, 15)
            except ProcessLookupError:
                pass
        return victim.process.wait(30 * tap.SLOW)

    def recover(self, nodes):
        """Starts what does not run; returns the longest of the starts."""
        took = 0.0
        asleep = [node for node in nodes.values() if not node.alive()]
        for node in asleep:
            node.spawn()
        for node in asleep:
            took = max(took, node.wait_ready(RECOVERY))
        return took

    def check(self, nodes, states):
        """What is left, when everything runs again."""
        caller = self.caller(nodes)
        said = caller.perform(("serves",))
        expect(said is None, "no read is answered: %s" % said)
        state = crash_model.compare(caller.view(self.looks_at_members), states)
        self.check_more(nodes, caller, state)
        said = caller.perform(("txn", [("works", b"again", 0)]))
        expect(said is None, "a write afterwards: %s" % said)
        caller.close()

    def check_more(self, nodes, caller, state):
        pass


def value(chance, number, largest=30000):
    return b"%d:" % number + chance.randbytes(chance.choice((0, 9, 300, 5000, chance.randrange(largest))))


class First(Load):
    """The first start of a node, and its first writes."""
    name = "first start"

    def make(self, base):
        return Model()

    def script(self):
        return [("txn", [("a", b"1", 0)]), ("txn", [("b", b"2", 0)])]


class Transaction(Load):
    """Several keys at one revision, of sizes beyond a block of the log."""
    name = "transaction"

    def begin(self):
        chance = random.Random(2)
        return [("txn", [("k%d" % i, value(chance, 0, 4000), 0) for i in range(8)]), ("hash",),
                ("txn", [("k1", b"once more", 0)], ["k7"])]

    def script(self):
        chance = random.Random(3)
        for n in range(1, 6):
            yield ("txn", [("k%d" % i, value(chance, n), 0) for i in range(4)],
                   ["k%d" % i for i in (4, 5) if i % 2 == n % 2])
            if n == 3:
                yield ("hash",)  # the memtable goes into LMDB


class Compaction(Load):
    """History thrown away, the file made smaller, a snapshot taken."""
    name = "compaction"

    def begin(self):
        chance = random.Random(4)
        steps = [("txn", [("k%d" % (n % 5), value(chance, n, 3000), 0)], ["k%d" % ((n + 2) % 5)] if n % 4 == 3 else [])
                 for n in range(12)]
        return steps + [("hash",), ("txn", [("k0", b"later", 0)], ["k1"])]

    def script(self):
        chance = random.Random(5)
        yield ("compact", 6, True)
        yield ("txn", [("k2", value(chance, 100), 0)], ["k3"])
        yield ("compact", 13, False)
        yield ("hash",)
        yield ("defragment",)
        yield ("txn", [("k3", value(chance, 101), 0)])
        yield ("snapshot",)
        yield ("compact", 15, True)


class Lease(Load):
    """Granted, renewed, revoked with their keys, and ended by themselves."""
    name = "lease"
    SHORT = 1  # seconds

    def begin(self):
        return [("grant", 10, 300), ("txn", [("old", b"v", 10)]), ("hash",)]

    def script(self):
        yield ("grant", 1, 60)
        yield ("txn", [("a", b"1", 1), ("b", b"2", 1)])
        yield ("renew", 1)
        yield ("grant", 2, 90)
        yield ("txn", [("c", b"3" * 3000, 2), ("d", b"4", 2), ("a", b"5", 2)])
        yield ("revoke", 2)
        yield ("grant", 3, self.SHORT)
        yield ("txn", [("e", b"6", 3)])
        yield ("hash",)
        yield ("expire", 3)
        yield ("revoke", 10)

    def check(self, nodes, states):
        # What is short may end while the node starts again.
        ended = [state.after(("expire", 3)) for state in states if 3 in state.leases]
        super().check(nodes, states + ended)

    def check_more(self, nodes, caller, state):
        if 3 in state.leases:
            begun = time.monotonic()
            expect(caller.perform(("expire", 3)) is None, "the short lease does not end")
            tap.expect(time.monotonic() - begun < (self.SHORT + 3) * tap.SLOW, "the short lease ended late")
            state = state.after(("expire", 3))
            crash_model.compare(caller.view(self.looks_at_members), [state])


# --- files, through a mount ---

class FileModel:
    def __init__(self):
        self.state, self.old, self.revision = history.State(), {}, 0

    def after(self, operation):
        other = FileModel()
        other.state, other.old, other.revision = self.state.after(operation), self.old, self.revision + 1
        return other

    def view(self):
        short = {path: v if v is None else crash_model.digest(v) for path, v in self.state.values.items()}
        return {"revision": self.revision, "files": short, "old": self.old}


class FileCaller:
    goes_on = False  # after an error: what follows may need what was not done

    def __init__(self, root):
        self.root = root

    def close(self):
        pass

    def perform(self, operation):
        if operation[0] == "serves":
            return None
        try:
            history.perform(os.path.join(self.root, "w"), operation)
        except OSError as error:
            # Behind a mount that was taken away is the empty directory below it.
            expect(error.errno in history.GONE or (error.errno == errno.ENOENT and not rig.mounts_at(self.root)),
                   "%s: %s" % (operation[0], error))
            return "%s" % error
        return None

    def view(self, _):
        found = {}
        for folder in ("w", "old"):
            found[folder] = {path: v if v is None else crash_model.digest(v)
                             for path, v in history.found_in(os.path.join(self.root, folder)).items()}
        return {"revision": calls.revision(self.root), "files": found["w"], "old": found["old"]}


class Files(Load):
    """Operations of every kind on files, sizes from nothing to several blocks."""
    name = "put"

    def node(self, base, name, wrap=(), homes=None, **more):
        return super().node(base, name, wrap, homes, mounts=("m",), **more)

    def caller(self, nodes):
        return FileCaller(nodes[self.victim].mounts[0])

    def make(self, base):
        model = FileModel()
        os.makedirs(os.path.join(base, "n1"))
        node = self.node(base, "n1")
        try:
            node.start()
            root = node.mounts[0]
            os.mkdir(root + "/w")
            os.mkdir(root + "/old")
            for number in range(20):
                calls.put(root + "/old/k%d" % number, b"old %d" % number * (1 + number * 20))
            caller = self.caller({"n1": node})
            model.old, model.revision = caller.view(None)["old"], calls.revision(root)
            node.kill()
        finally:
            node.close()
        return model

    def script(self):
        big = random.Random(1).randbytes(60000)
        return [("put", "a", b"1"), ("put", "b", big), ("append", "a", b"2"), ("mkdir", "d"), ("rename", "a", "c"),
                ("sync", "e", b"synced"), ("truncate", "b", 1000), ("rename", "e", "c"), ("unlink", "b"),
                ("excl", "f"), ("rmdir", "d"), ("put", "last", big[:9000])]

    def recover(self, nodes):
        for mount in nodes["n1"].mounts:
            rig.unmount(mount)
        return super().recover(nodes)

    def check(self, nodes, states):
        caller = self.caller(nodes)
        crash_model.compare(caller.view(None), states)
        calls.put(caller.root + "/works", b"again")


# --- commands: a snapshot's file saved and restored ---

class Command(rig.Node):
    """A process that ends by itself."""

    def __init__(self, base, words, wrap):
        super().__init__(base=base, mounts=(), wrap=wrap)
        self.words = words

    def command(self):
        return self.wrap + [rig.keelfs(), *self.words]

    def run(self, limit=30):
        self.spawn()
        return self.process.wait(limit * tap.SLOW)


class Save(Load):
    """`keelfs snapshot save`: the file is whole, or is not there."""
    name = "snapshot save"
    nodes = ("n1", "out")
    victim = "out"

    def begin(self):
        chance = random.Random(6)
        return [("txn", [("k%d" % i, chance.randbytes(20000), 0) for i in range(6)]), ("hash",)]

    def caller(self, nodes):
        return Caller(self.address("n1"))

    def all(self, base, wraps, homes):
        for name in self.nodes:
            os.makedirs(os.path.join(base, name), exist_ok=True)
        home = self.home(base, "out", homes)
        os.makedirs(home, exist_ok=True)
        self.file = os.path.join(home, "s.db")
        made = Command(os.path.join(base, "out"), self.words(base, home), wraps.get("out", ()))
        return {"n1": self.node(base, "n1", among=("n1",)), "out": made}

    def words(self, base, home):
        return ["snapshot", "save", os.path.join(home, "s.db"), "--endpoints", "http://" + self.address("n1")]

    def make(self, base):
        self.nodes = ("n1",)
        node = self.node(base, "n1") if os.makedirs(os.path.join(base, "n1")) is None else None
        model = self.model()
        try:
            node.start()
            caller = Caller(self.address("n1"))
            for operation in self.begin():
                expect(caller.perform(operation) is None, "the template of " + self.name)
                model = model.after(operation)
            caller.close()
            node.kill()
        finally:
            node.close()
            del self.nodes
        os.makedirs(os.path.join(base, "out", "data"))
        self.make_more(base)
        return model

    def make_more(self, base):
        pass

    def run(self, nodes):
        nodes["n1"].start(30)
        return self.run_command(nodes)

    def run_command(self, nodes):
        record, begun = Record(), time.time()
        code = nodes["out"].run()
        record.done.append((("serves",), begun, time.time() if code == 0 else None))
        record.finished = code == 0
        if code != 0:
            record.said.append(nodes["out"].output()[-300:])
        return record, code

    def recover(self, nodes):
        self.acknowledged = nodes["out"].process is not None and nodes["out"].process.poll() == 0
        if not nodes["n1"].alive():
            nodes["n1"].start(30)
        begun = time.monotonic()
        if not os.path.exists(self.file):
            nodes["out"].wrap = []
            code = nodes["out"].run()
            expect(code == 0, "saving again: %s" % nodes["out"].output()[-1000:])
        return time.monotonic() - begun

    def check(self, nodes, states):
        done = subprocess.run([rig.keelfs(), "snapshot", "status", self.file, "-w", "json"], capture_output=True,
                              text=True, timeout=30 * tap.SLOW)
        expect_equal(done.returncode, 0, "status of what was saved: %s" % (done.stdout + done.stderr))
        expect('"revision":%d' % states[0].revision in done.stdout.replace(" ", ""), "its revision: " + done.stdout)


class Restore(Save):
    """`keelfs snapshot restore`: the data directory is whole, or is not there."""
    name = "snapshot restore"

    def words(self, base, home):
        return ["snapshot", "restore", os.path.join(base, "n1", "s.db"), "--data-dir", os.path.join(home, "data"),
                "--name", "n1", "--initial-cluster", "n1=" + self.peer("n1"), "--initial-cluster-token", "points",
                "--initial-advertise-peer-urls", self.peer("n1")]

    def make_more(self, base):
        node = self.node(base, "n1", among=("n1",))
        node.start()
        done = subprocess.run([rig.keelfs(), "snapshot", "save", os.path.join(base, "n1", "s.db"), "--endpoints",
                               "http://" + self.address("n1")], capture_output=True, text=True, timeout=60)
        node.kill()
        expect_equal(done.returncode, 0, done.stderr)

    def copy(self, template, base, homes):
        os.makedirs(os.path.join(base, "n1"), exist_ok=True)
        crash_image.copy_file(os.path.join(template, "n1", "s.db"), os.path.join(base, "n1", "s.db"))
        os.makedirs(self.home(base, "out", homes), exist_ok=True)

    def run(self, nodes):
        return self.run_command(nodes)

    def recover(self, nodes):
        begun = time.monotonic()
        data = os.path.join(os.path.dirname(self.file), "data")
        if not os.path.exists(data) or not os.listdir(data):
            nodes["out"].wrap = []
            code = nodes["out"].run()
            expect(code == 0, "restoring again: %s" % nodes["out"].output()[-1000:])
        node = nodes["n1"]
        node.data = data
        node.start(RECOVERY)
        return time.monotonic() - begun

    def check(self, nodes, states):
        caller = Caller(self.address("n1"))
        found = caller.range_at()
        expect(found == (states[0].at(crash_model.LATEST), states[0].revision), "what was restored: %s" % tap.short(found))
        expect(caller.perform(("txn", [("works", b"again", 0)])) is None, "a write afterwards")
        caller.close()


LOADS = [First, Files, Transaction, Compaction, Save, Restore, Lease]
