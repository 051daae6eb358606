#!/usr/bin/env python3
"""One file beside a model of it, after the idea of Apple's fsx: random reads,
writes, truncations, holes and zeros at random places, syncs, sizes, closes and
opens on any of three nodes' mounts, while leaders are killed.

What a failed close or fsync has done is not known (docs/GUARANTEES.md): the file
must then hold the old or the new, and the test goes on with another file.

--ops N: at least so many operations (default 20000).  --kills N: at least so
many leaders (default 6).  --seconds N: not longer (default 120)."""

import errno
import os
import random
import time

import calls
import cluster
import rig
import tap
from tap import expect, test

KILL_EVERY = 1.0     # seconds after all are there again
AWAY = 0.7           # seconds until the killed node comes back
PATIENCE = 30        # seconds for an open or a read to succeed
SIZE_MAX = 48 * 1024
READ_MAX = WRITE_MAX = 6 * 1024
PUNCH, ZERO = calls.FALLOC_FL_KEEP_SIZE | calls.FALLOC_FL_PUNCH_HOLE, 0x10
# Nothing goes out by itself; on some nodes calls fail before there is another
# leader, on others they wait for it.
MOUNTS = {1: "publish_idle=0s,timeout=3s", 2: "publish_idle=0s,timeout=400ms", 3: "publish_idle=0s,timeout=800ms"}


def more(parser):
    parser.add_argument("--ops", type=int, default=20000)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=120)


class Fsx:
    def __init__(self, c, chance):
        self.c, self.chance = c, chance
        self.files = 0            # made so far
        self.committed = b""      # what every other open must see
        self.view = bytearray()   # what the open descriptor must see
        self.fd = self.member = None
        self.steps = []           # the last ones, for a failure
        self.doubts = {}          # name -> what it may hold, for ever
        self.counts = {}
        self.kills, self.dead, self.back_at = 0, None, 0.0
        self.kill_at = time.monotonic() + KILL_EVERY

    # --- nodes ---

    def nodes(self):
        now = time.monotonic()
        if self.dead is not None and now > self.back_at:
            self.dead.spawn()
            self.dead = None
            self.kill_at = now + KILL_EVERY
        if self.dead is None and now > self.kill_at and len(self.ready()) == len(self.c.members):
            leader = self.c.leader_now()
            if leader is not None and leader is not self.member:
                leader.kill()
                self.kills += 1
                self.dead, self.back_at = leader, time.monotonic() + AWAY

    def ready(self):
        return [m for m in self.c.members if m.runs() and m.is_ready()]

    def somewhere(self):
        """A node that is not about to be killed, where that can be had."""
        found = self.ready()
        if time.monotonic() > self.kill_at:
            leader = self.c.leader_now()
            found = [m for m in found if m is not leader] or found
        return self.chance.choice(found)

    def try_until(self, call):
        """call(root) on one node after the other, through what passes."""
        end = time.monotonic() + PATIENCE * tap.SLOW
        while True:
            self.nodes()
            try:
                m = self.somewhere()
                return m, call(m.root)
            except OSError as error:
                if error.errno not in cluster.PASSING | {errno.EAGAIN, errno.ENOENT} or time.monotonic() > end:
                    raise
            time.sleep(0.01)

    # --- the file ---

    def name(self):
        return "f%d" % self.files

    def note(self, *words):
        self.steps = self.steps[-25:] + [" ".join(str(w) for w in words)]
        self.counts[words[0]] = self.counts.get(words[0], 0) + 1

    def fail(self, text):
        raise tap.Failure("%s, file %s:\n%s" % (text, self.name(), "\n".join(self.steps)))

    def same(self, got, wanted, what):
        if got == wanted:
            return
        at = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
        self.fail("%s: %d bytes where %d were wanted, different from byte %d on: %s for %s" % (
            what, len(got), len(wanted), at, tap.short(bytes(got[at:at + 8])), tap.short(bytes(wanted[at:at + 8]))))

    def new_file(self, value):
        """Another one with that value: nobody knows what may still become of
        the one before."""
        while True:
            self.files += 1
            path = "/" + self.name()
            try:
                self.try_until(lambda root: calls.put(root + path, bytes(value)))
            except FileExistsError:
                continue
            # Whether an attempt before the last one comes late makes no difference.
            self.committed = bytes(value)
            return

    def doubt(self, *values):
        """One of these it is; which, whoever looks sees."""
        name = self.name()
        _, got = self.try_until(lambda root: calls.read(root + "/" + name))
        if got not in values:
            self.fail("after a failure it holds %d bytes that are neither the old value (%d) nor the new" % (
                len(got), len(values[0])))
        self.doubts[name] = set(values)
        self.note("doubt", "the old" if got == values[0] else "the new")
        self.new_file(got)

    def open(self):
        flags = os.O_RDWR
        self.member, self.fd = self.try_until(lambda root: os.open("%s/%s" % (root, self.name()), flags))
        self.note("open", self.member.name)
        self.view = bytearray(self.committed)
        self.tried = [self.committed]

    def publish(self, how):
        """close or fsync: what is seen elsewhere afterwards."""
        self.note(how, len(self.view))
        wrote = bytes(self.view)
        self.tried.append(wrote)
        try:
            if how == "fsync":
                os.fsync(self.fd)
            else:
                fd, self.fd = self.fd, None
                os.close(fd)
        except OSError as error:
            if error.errno not in cluster.PASSING | {errno.EAGAIN}:
                raise
            self.note(how + "_failed", errno.errorcode[error.errno])
            if self.fd is not None:
                try:
                    os.close(self.fd)
                except OSError:
                    pass
                self.fd = None
            self.doubt(*self.tried)
            return False
        self.committed = wrote
        self.tried = [wrote]
        return True

    # --- operations ---

    def place(self, most):
        return self.chance.randrange(self.chance.choice((256, 4096, most)))

    def do_read(self):
        at, size = self.place(SIZE_MAX), self.place(READ_MAX)
        self.note("read", at, size)
        self.same(os.pread(self.fd, size, at), bytes(self.view[at:at + size]), "read at %d" % at)

    def do_write(self):
        at, size = self.place(SIZE_MAX - WRITE_MAX), 1 + self.place(WRITE_MAX)
        data = bytes([self.chance.randrange(256)]) * size
        self.note("write", at, size)
        expect(os.pwrite(self.fd, data, at) == size, "a short write")
        if at > len(self.view):
            self.view.extend(bytes(at - len(self.view)))
        self.view[at:at + size] = data

    def do_truncate(self):
        size = self.place(SIZE_MAX)
        self.note("truncate", size)
        os.ftruncate(self.fd, size)
        del self.view[size:]
        self.view.extend(bytes(size - len(self.view)))

    def do_allocate(self):
        mode = self.chance.choice((0, PUNCH, ZERO))
        at, size = self.place(SIZE_MAX - WRITE_MAX), 1 + self.place(WRITE_MAX)
        self.note("fallocate", mode, at, size)
        calls.fallocate(self.fd, mode, at, size)
        if mode != PUNCH and at + size > len(self.view):
            self.view.extend(bytes(at + size - len(self.view)))
        if mode != 0:
            end = min(at + size, len(self.view))
            self.view[at:end] = bytes(max(0, end - at))

    def do_stat(self):
        self.note("fstat")
        size = os.fstat(self.fd).st_size
        if size != len(self.view):
            self.fail("fstat says %d bytes where there are %d" % (size, len(self.view)))

    def do_look(self):
        """What another descriptor sees, on any node."""
        m, got = self.try_until(lambda root: calls.read("%s/%s" % (root, self.name())))
        self.note("look", m.name)
        self.same(got, self.committed, "read on %s" % m.name)

    def run(self, ops, kills, seconds):
        end = time.monotonic() + seconds
        done = 0
        weights = ((self.do_write, 35), (self.do_read, 35), (self.do_truncate, 10), (self.do_allocate, 9),
                   (self.do_stat, 6), (self.do_look, 1))
        steps = [step for step, weight in weights for _ in range(weight)]
        self.new_file(b"")
        while (done < ops or self.kills < kills) and time.monotonic() < end:
            self.open()
            for _ in range(self.chance.randrange(5, 80)):
                self.nodes()
                done += 1
                if self.chance.randrange(40) == 0:
                    if not self.publish("fsync"):
                        break
                else:
                    self.chance.choice(steps)()
            if self.fd is not None and self.publish("close"):
                self.do_look()
            done += 2
        return done

    def check_doubts(self):
        for name, values in self.doubts.items():
            _, got = self.try_until(lambda root: calls.read("%s/%s" % (root, name)))
            expect(got in values, "%s holds what was never written" % name)


@test(limit=400)
def one_file_is_its_model_while_leaders_die(base):
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    tap.note("seed %d" % seed)
    with cluster.Cluster(base, options=MOUNTS) as c:
        c.leader()
        fsx = Fsx(c, random.Random(seed))
        began = time.monotonic()
        done = fsx.run(OPTIONS.ops, OPTIONS.kills, OPTIONS.seconds * tap.SLOW)
        took = time.monotonic() - began
        if fsx.dead is not None:
            fsx.dead.spawn()
            fsx.dead = None
        fsx.kill_at = float("inf")
        fsx.check_doubts()
        c.agree()
        tap.note("%d operations in %.0f s, %d leaders killed, %d files; %s" % (
            done, took, fsx.kills, fsx.files,
            ", ".join("%s %d" % item for item in sorted(fsx.counts.items()))))
        expect(fsx.kills > 0 or OPTIONS.kills == 0, "no leader died in %.0f s" % took)
        expect(not c.died(), c.died())
        c.stop()


if __name__ == "__main__":
    OPTIONS = tap.parse(__doc__, more)
    raise SystemExit(1 if tap.run(OPTIONS, rig.NoNode()) else 0)
