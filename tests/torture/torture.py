#!/usr/bin/python3
"""torture.py [--minutes M | --seconds S] [--members N] [--seed N] [--tap]

A cluster of real processes, each in a network namespace of its own and on a disk
of its own, is killed, stopped, cut off, starved of space and robbed of power,
while workers call it through the API and through the mounts.  Afterwards
everything heals, the members must agree, and every answer is judged.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("real", "etcd"):
    sys.path.insert(0, os.path.join(HERE, os.pardir, folder))

import calls    # noqa: E402
import disks    # noqa: E402
import rig      # noqa: E402
import tap      # noqa: E402
import workers  # noqa: E402
from judge import Append, Call, Hold, Wrong, judge, judge_appends, judge_locks  # noqa: E402
from wires import Wires  # noqa: E402

CALL_LIMIT = 5 + 2 * 1.0  # seconds: what a call may take at a node that runs


class Member(rig.Node):
    def __init__(self, base, number, size, wires):
        self.number = number
        self.name = "n%d" % number
        self.disk = disks.Disk(base, "ext4", 1024)
        peer = "http://%s:2380"
        mine, own = peer % Wires.address(number), "http://%s:2379" % Wires.address(number)
        super().__init__(base=base, mounts=("m",), data=os.path.join(self.disk.path, "data"),
                         wrap=wires.wrap(number), arguments=[
                             "--name", self.name, "--initial-cluster-token", "torture",
                             "--listen-peer-urls", mine, "--initial-advertise-peer-urls", mine,
                             "--listen-client-urls", own, "--advertise-client-urls", own,
                             "--initial-cluster", ",".join("n%d=%s" % (n, peer % Wires.address(n))
                                                           for n in range(1, size + 1))])
        self.root = self.mounts[0]
        self.address = "%s:2379" % Wires.address(number)
        self.peer_url = mine

    def restart(self):
        if not self.alive():
            if self.process is not None:
                self.reap()
            self.spawn()

    def server(self):
        """The server's process; None while there is none, or it is only begun."""
        return (self.pid or self._server_under_wrapper()) if self.alive() else None

    def forget(self):
        """Its data is lost; the next start is that of a member that was added."""
        shutil.rmtree(self.data)
        if "--initial-cluster-state" not in self.arguments:
            self.arguments += ["--initial-cluster-state", "existing"]

    def close(self):
        super().close()
        self.disk.close()


class Watcher(threading.Thread):
    """Follows everything from revision 1, at one node after the other."""

    def __init__(self, addresses, seed):
        super().__init__(daemon=True)
        self.addresses, self.random = addresses, random.Random(seed)
        self.changes, self.next, self.stop, self.resumed, self.wrong = [], 1, False, 0, None

    def run(self):
        import rpc
        import schema
        while not self.stop:
            client = rpc.Client(self.random.choice(self.addresses))
            stream = client.stream("etcdserverpb.Watch/Watch")
            request = schema.pb.WatchRequest()
            request.create_request.key = workers.FOLDER
            request.create_request.range_end = b"/t0"
            request.create_request.start_revision = self.next
            stream.send(request)
            end = time.monotonic() + self.random.uniform(1, 10)
            at = 0
            while not self.stop and time.monotonic() < end and stream.ended is None:
                stream.wait(lambda got: len(got) > at, 0.2)
                while at < len(stream.received):
                    self.take(stream.received[at])
                    at += 1
            stream.cancel()
            while at < len(stream.received):
                self.take(stream.received[at])
                at += 1
            client.channel.close()
            self.resumed += 1

    def take(self, response):
        if response.canceled:
            self.wrong = self.wrong or "a watch was cancelled: %s" % response
        for e in response.events:
            revision = e.kv.mod_revision
            if revision < self.next - 1 or (revision < self.next and (
                    not self.changes or self.changes[-1][0] != revision)):
                self.wrong = self.wrong or "revision %d came again" % revision
            self.changes.append((revision, e.kv.key[len(workers.FOLDER):].decode(),
                                 None if e.type == 1 else workers.name_of(e.kv.value)))
            self.next = revision + 1


class Torture:
    def __init__(self, options):
        self.o = options
        self.random = random.Random(options.seed)
        self.base = rig.directory()
        self.wires = Wires(options.members)
        self.members, self.faults, self.hung, self.pids = [], {}, [], []
        self.chosen = [f for f in self.FAULTS if not options.only or f.__name__ in options.only]
        for n in range(1, options.members + 1):
            base = os.path.join(self.base, str(n))
            os.makedirs(base)
            self.members.append(Member(base, n, options.members, self.wires))

    def close(self):
        for pid in self.pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for m in self.members:
            m.close()
        self.wires.close()

    # --- faults: each lasts a while and heals ---

    def some(self):
        """A minority."""
        return self.random.sample(self.members, self.random.randint(1, (len(self.members) - 1) // 2))

    def leader(self):
        for m in self.members:
            try:
                if m.alive() and calls.attribute(m.root, "leader") == calls.attribute(m.root, "member_id"):
                    return [m]
            except OSError:
                pass
        return self.some()

    def lasts(self, least=0.3, most=3.0):
        time.sleep(self.random.uniform(least, most))

    def kill(self, members):
        for m in members:
            m.kill()
        self.lasts(0.0, 2.0)
        for m in members:
            m.restart()

    def kill_one(self):
        self.kill(self.some())

    def kill_leader(self):
        self.kill(self.leader())

    def kill_all(self):
        self.kill(self.members)

    def pause(self):
        chosen = self.leader() if self.random.random() < 0.5 else self.some()
        pids = {m: m.server() for m in chosen if m.server() is not None}
        for pid in pids.values():
            os.kill(pid, signal.SIGSTOP)
        self.lasts()
        for m, pid in pids.items():
            self.try_to_leave(m)
            os.kill(pid, signal.SIGCONT)

    def try_to_leave(self, m):
        """A call at a stopped node can be interrupted."""
        child = subprocess.Popen(["stat", os.path.join(m.root, "t")], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        time.sleep(0.1)
        child.kill()
        try:
            child.wait(3 * tap.SLOW)
        except subprocess.TimeoutExpired:
            self.hung.append("a call at a stopped %s could not be interrupted" % m.name)

    def isolate(self):
        for m in self.some():
            self.cut(m, True, True)
        self.lasts()
        self.wires.heal()

    def one_way(self):
        m = self.random.choice(self.members)
        into = self.random.random() < 0.5
        self.cut(m, into, not into)
        self.lasts()
        self.wires.heal()

    def cut(self, m, into, out):
        others = [x for x in self.members if x is not m]
        if into:
            self.wires.filter(m.number, [self.wires.from_node(x.number) for x in others])
        if out:
            for x in others:
                self.wires.filter(x.number, [self.wires.from_node(m.number)])

    def lose_packets(self):
        for m in self.members:
            self.wires.filter(m.number, ["ip saddr 10.77.0.0/28 numgen random mod 100 < 30 drop"])
        self.lasts(1.0, 4.0)
        self.wires.heal()

    def fill_disk(self):
        m = self.random.choice(self.members)
        m.disk.fill(200 * 1024)
        self.lasts(1.0, 4.0)
        m.disk.make_room()
        m.restart()

    def power_cut(self):
        m = self.random.choice(self.members)
        m.disk.power_cut()
        self.lasts(0.2, 1.5)
        m.kill()
        m.disk.power_back()
        m.restart()

    def failed_sync(self):
        m = self.random.choice(self.members)
        pid = m.server()
        if pid is None:
            return
        tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e",
                                   "inject=fdatasync:error=EIO:when=3", "-p", str(pid)],
                                  stderr=subprocess.DEVNULL)
        end = time.monotonic() + 5
        while m.alive() and time.monotonic() < end:
            time.sleep(0.05)
        tracer.terminate()
        tracer.wait(10)
        if not m.alive():
            m.restart()

    # --- what operators do meanwhile ---

    def ask(self, name, request, limit=10, members=None):
        """A call at a member of choice: the answer, or None."""
        import rpc
        m = self.random.choice(members or self.members)
        client = rpc.Client(m.address)
        answer = client.call("etcdserverpb." + name, request, limit)
        client.close()
        if self.o.verbose and isinstance(answer, rpc.Error):
            print("# %s at %s: %s" % (name, m.name, answer), flush=True)
        return None if isinstance(answer, rpc.Error) else answer

    def until(self, name, request_of, members, what, limit=60):
        """Asks until it is done: request_of() is None when it was."""
        end = time.monotonic() + limit * tap.SLOW
        while (request := request_of()) is not None:
            if self.ask(name, request, 10, members) is not None:
                return
            if time.monotonic() > end:
                raise Wrong("%s was not possible within %d s" % (what, limit))
            time.sleep(0.2)

    def members_known(self, members):
        import schema
        answer = self.ask("Cluster/MemberList", schema.pb.MemberListRequest(linearizable=True), 5, members)
        return None if answer is None else {m.peerURLs[0]: m.ID for m in answer.members}

    def replace_member(self):
        """One member loses its data; it is removed, and added anew, while (of
        five) another one is cut off."""
        import schema
        m = self.random.choice(self.members)
        others = [x for x in self.members if x is not m]
        m.kill()
        m.forget()
        away = self.random.choice(others) if len(self.members) > 3 else None
        if away is not None:
            self.cut(away, self.random.random() < 0.7, True)
            others.remove(away)

        def removal():
            known = self.members_known(others)
            if known is None:
                return schema.pb.MemberRemoveRequest(ID=1)
            return schema.pb.MemberRemoveRequest(ID=known[m.peer_url]) if m.peer_url in known else None

        def addition():
            known = self.members_known(others)
            return None if known is not None and m.peer_url in known else schema.pb.MemberAddRequest(peerURLs=[m.peer_url])
        self.until("Cluster/MemberRemove", removal, others, "removing a member that is gone")
        if away is not None:
            self.lasts()
            self.wires.heal()  # a voter that is not connected forbids additions
        self.until("Cluster/MemberAdd", addition, others, "adding a member")
        self.start_anew(m)

    @staticmethod
    def start_anew(m):
        """Whoever it asks may be behind, and know it as the one that lost its data:
        then it says so and ends, and is started again."""
        end = time.monotonic() + 60 * tap.SLOW
        while True:
            m.spawn()
            try:
                m.wait_ready(60)
                return
            except tap.Failure:
                if "was in this cluster before" not in m.output() or time.monotonic() > end:
                    raise
                m.reap()
                time.sleep(0.5)

    def compact(self):
        """No watch is further behind than what goes."""
        import schema
        revision = min(w.next for w in self.watchers) - 1 - self.random.choice((0, 50, 1000))
        if revision > 1:
            self.ask("KV/Compact", schema.pb.CompactionRequest(
                revision=revision, physical=self.random.random() < 0.5))

    def defragment(self):
        import schema
        self.ask("Maintenance/Defragment", schema.pb.DefragmentRequest(), 20)

    FAULTS = [kill_one, kill_leader, kill_leader, kill_all, pause, pause, isolate, isolate, one_way, one_way,
              lose_packets, fill_disk, power_cut, failed_sync, replace_member, compact, compact, defragment]

    # --- a run ---

    def save(self, history, changes):
        """What there is to look at when the judgement was bad."""
        import pickle
        os.makedirs(self.o.keep, exist_ok=True)
        with open(os.path.join(self.o.keep, "history"), "wb") as f:
            pickle.dump((history, changes), f)

    def save_logs(self):
        os.makedirs(self.o.keep, exist_ok=True)
        for m in self.members:
            shutil.copy(m.log, os.path.join(self.o.keep, m.name + ".log"))

    def start(self):
        for m in self.members:
            m.spawn()
        for m in self.members:
            m.wait_ready(30)
        os.makedirs(os.path.join(self.members[0].root, "t"), exist_ok=True)
        calls.put(os.path.join(self.members[0].root, "t", "%"), b"first:0:")  # the directory stays

    def start_workers(self):
        stop = os.path.join(self.base, "stop")
        addresses, roots = [m.address for m in self.members], [m.root for m in self.members]
        jobs = [(workers.ByApi, (n, addresses, self.o.seed * 100 + n)) for n in range(3)]
        jobs += [(workers.ByMount, (n, roots, self.o.seed * 100 + n)) for n in range(3, 6)]
        jobs += [(workers.ByLock, (n, addresses, self.o.seed * 100 + n)) for n in range(6, 9)]
        self.paths = [os.path.join(self.base, "history-%d" % i) for i in range(len(jobs))]
        self.pids = [calls.in_child(workers.work, kind, arguments, stop, path)
                     for (kind, arguments), path in zip(jobs, self.paths)]
        return stop

    def collect(self, stop):
        import pickle
        open(stop, "w").close()
        history, slowest = [], 0.0
        end = time.monotonic() + 20 * tap.SLOW
        for pid, path in zip(list(self.pids), self.paths):
            while not os.path.exists(path) and time.monotonic() < end:
                time.sleep(0.02)
            if not os.path.exists(path):
                self.hung.append("worker %d hangs in a call" % pid)
                os.kill(pid, signal.SIGKILL)
                continue
            os.waitpid(pid, 0)
            self.pids = [p for p in self.pids if p != pid]
            with open(path, "rb") as f:
                calls_made, took = pickle.load(f)
            history += calls_made
            slowest = max(slowest, took)
        return history, slowest

    def heal(self):
        self.wires.heal()
        for m in self.members:
            if not m.alive():
                m.restart()
        for m in self.members:
            m.wait_ready(60)

    def agree(self):
        def same():
            try:
                revisions = {calls.revision(m.root) for m in self.members}
            except OSError:
                return None
            return revisions.pop() if len(revisions) == 1 else None
        return tap.wait_until(same, 60, "one revision on all members", pause=0.05)

    def appended(self):
        """The lines of each file that was appended to."""
        files, folder = {}, os.path.join(self.random.choice(self.members).root, "t")
        prefix = workers.APPENDED.split("%")[0]
        for name in os.listdir(folder):
            if name.startswith(prefix):
                text = calls.read(os.path.join(folder, name)).decode()
                files[name] = text.split("\n")
                if files[name].pop() != "":
                    raise Wrong("%s ends within a line: %r" % (name, text[-60:]))
        return files

    def trouble(self, end):
        while time.monotonic() < end:
            fault = self.random.choice(self.chosen)
            name = fault.__name__.replace("_", " ")
            self.faults[name] = self.faults.get(name, 0) + 1
            if self.o.verbose:
                print("# %s" % name, flush=True)
            fault(self)
            time.sleep(self.random.uniform(0.2, 1.5))

    def run(self):
        self.start()
        stop = self.start_workers()  # forks: before there are threads
        watchers = [Watcher([m.address for m in self.members], self.o.seed * 7 + i) for i in range(2)]
        self.watchers = watchers
        for w in watchers:
            w.start()
        began = time.monotonic()
        self.trouble(began + self.o.seconds)
        self.heal()
        time.sleep(2)
        history, slowest = self.collect(stop)
        revision = self.agree()
        for w in watchers:
            tap.wait_until(lambda: w.next > revision or w.wrong, 30, "a watch that has all revisions")
            w.stop = True
            w.join(30)
            if w.wrong:
                raise Wrong(w.wrong)
        changes = watchers[0].changes
        if changes != watchers[1].changes:
            raise Wrong("two watches of the same differ")
        if self.o.keep:
            self.save(history, changes)
        holds = [h for h in history if isinstance(h, Hold)]
        judge([c for c in history if isinstance(c, Call)],
              [c for c in changes if c[1] in workers.KEYS])
        judge_appends([a for a in history if isinstance(a, Append)], self.appended())
        judge_locks(holds, changes, workers.LOCK, workers.GUARDED)
        if self.hung:
            raise Wrong("; ".join(self.hung))
        return history, slowest, time.monotonic() - began


def report(t, history, slowest, took):
    by = {}
    holds = [h for h in history if isinstance(h, Hold)]
    for c in history:
        by[c.state] = by.get(c.state, 0) + 1
    writes = [state for h in holds for _, state, _ in h.writes]
    print("# %d operations on %d members in %.0f s: %s; slowest call %.1f s"
          % (len(history), t.o.members, took, ", ".join("%d %s" % (n, s) for s, n in sorted(by.items())), slowest))
    print("# the lock: taken %d times of %d, with %d writes under it, of which %d came after it was lost"
          % (sum(h.state == "ok" for h in holds), len(holds), len(writes), writes.count("never")))
    print("# %d faults: %s" % (sum(t.faults.values()), ", ".join(
        "%d %s" % (n, f) for f, n in sorted(t.faults.items()))))


def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("--minutes", type=float)
    flags.add_argument("--seconds", type=float, default=60)
    flags.add_argument("--members", type=int, default=3, choices=(3, 5))
    flags.add_argument("--seed", type=int, default=int(time.time()))
    flags.add_argument("--tap", action="store_true")
    flags.add_argument("--keep", metavar="DIR", help="the histories and the members' logs go there")
    flags.add_argument("--only", action="append", choices=sorted({f.__name__ for f in Torture.FAULTS}),
                       help="these faults and no others")
    flags.add_argument("--verbose", action="store_true")
    o = flags.parse_args()
    o.seconds = o.minutes * 60 if o.minutes else o.seconds
    if o.tap:
        print("TAP version 13\n1..1", flush=True)
    replay = "./dev torture --seed %d --seconds %g --members %d" % (o.seed, o.seconds, o.members)
    try:
        if os.geteuid() != 0:
            raise tap.Skip("namespaces and loop devices need root")
        for program in ("ip", "nft", "nsenter", "strace", "mkfs.ext4"):
            rig.need_program(program)
        try:
            import rpc  # noqa: F401
        except ImportError:
            raise tap.Skip("python3-grpcio is not installed (%s)" % sys.executable)
        rig.need_fuse()
        t = Torture(o)
    except tap.Skip as reason:
        print("ok 1 - torture # SKIP %s" % reason)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and leaves nothing behind
    try:
        done = t.run()
        report(t, *done)
        print("ok 1 - torture")
        return 0
    except (Wrong, tap.Failure) as wrong:
        print("# %s\n# again (as far as processes repeat): %s" % (str(wrong).replace("\n", "\n# "), replay))
        for m in t.members:
            print("# the end of %s's log:\n#   %s" % (m.name, "\n#   ".join(m.output()[-1200:].splitlines())))
        print("not ok 1 - torture")
        return 1
    finally:
        if o.keep:
            t.save_logs()
        t.close()


if __name__ == "__main__":
    sys.exit(main())
