"""Several nodes on loopback, and writers that remember what was acknowledged."""

import errno
import os
import pickle
import select
import signal
import time

import calls
import rig
import tap
from ports import free_ports
from tap import expect

CALL_LIMIT = 5  # seconds: what `timeout` is when nobody sets it
ELECTION = 1.0  # seconds: --election-timeout when nobody sets it


class Member(rig.Node):
    """One member: a node with one mount."""

    def __init__(self, base, number, ports, arguments=(), mount_options=None, wrap=()):
        self.name = "n%d" % number
        urls = ["http://127.0.0.1:%d" % port for port in ports]
        mine = urls[number - 1]
        super().__init__(base=os.path.join(base, self.name), mounts=("m",), mount_options=mount_options, wrap=wrap,
                         arguments=["--name", self.name, "--initial-advertise-peer-urls", mine,
                                    "--listen-peer-urls", mine, "--initial-cluster-token", "test",
                                    "--initial-cluster", ",".join(
                                        "n%d=%s" % (n, url) for n, url in enumerate(urls, 1)),
                                    *arguments])
        self.root = self.mounts[0]
        self.is_stopped = False

    def freeze(self):
        os.kill(self.pid, signal.SIGSTOP)
        self.is_stopped = True

    def thaw(self):
        if self.is_stopped:
            os.kill(self.pid, signal.SIGCONT)
            self.is_stopped = False

    def kill(self):
        self.is_stopped = False
        super().kill()

    def runs(self):
        return self.alive() and not self.is_stopped

    def said(self, words):
        """Whether any life of this node has printed the words."""
        with open(self.log, "rb") as f:
            return words.encode() in f.read()


class Cluster:
    """options: number of a member -> its --mount-options."""

    def __init__(self, base, size=3, options=None, arguments=(), wrap=None):
        self.base = base
        self.ports = free_ports(size)
        self.members = [Member(base, n, self.ports, arguments, (options or {}).get(n), (wrap or {}).get(n, ()))
                        for n in range(1, size + 1)]

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            for m in self.members:
                tap.note("%s's last lines:" % m.name)
                tap.note("\n".join(m.output().splitlines()[-15:]))
        self.close()

    def start(self, members=None):
        """Starts members together; returns the seconds until all are ready."""
        members = self.members if members is None else members
        began = time.monotonic()
        for m in members:
            m.spawn()
        for m in members:
            m.wait_ready(30)
        return time.monotonic() - began

    def roots(self):
        return [m.root for m in self.members if m.runs()]

    def others(self, *members):
        return [m for m in self.members if m not in members]

    def leader_now(self):
        """The member whom a running one names, None when there is none now."""
        ids, leaders = {}, {}
        for m in self.members:
            if not m.runs():
                continue
            try:
                ids[calls.attribute(m.root, "member_id")] = m
                term, leader = int(calls.attribute(m.root, "raft_term")), calls.attribute(m.root, "leader")
            except OSError:
                continue
            leaders[term] = leader
        return ids.get(leaders[max(leaders)]) if leaders else None

    def leader(self, limit=20):
        return tap.wait_until(self.leader_now, limit, "a leader")

    def followers(self):
        leader = self.leader()
        return leader, self.others(leader)

    def agree(self, limit=30):
        """Waits until every running member shows one revision; returns it."""
        def same():
            try:
                revisions = {calls.revision(m.root) for m in self.members if m.runs()}
            except OSError:
                return None
            return revisions.pop() if len(revisions) == 1 else None
        return tap.wait_until(same, limit, "one revision on all members")

    def stop(self):
        """All members, cleanly."""
        for m in self.members:
            m.thaw()
            code = m.stop()
            expect(code in (0, None), "%s ended with %s:\n%s" % (m.name, code, m.output()[-1500:]))

    def died(self):
        return "".join("%s died (%s):\n%s\n" % (m.name, m.process.poll(), m.output()[-1500:])
                       for m in self.members if m.process is not None and m.process.poll() is not None)

    def close(self):
        for m in self.members:
            m.close()


# --- writers that remember ---

# What a caller may see of a node that is dying, or of a cluster without a leader.
PASSING = {errno.ENOTCONN, errno.ECONNABORTED, errno.ETIMEDOUT, errno.EROFS, errno.EIO, errno.ENODEV,
           errno.EINTR, errno.ESHUTDOWN, errno.ESTALE, errno.EBADF, errno.ENXIO}
# After these the mount is gone; after the rest of PASSING it is worth trying again.
GONE = {errno.ENOTCONN, errno.ECONNABORTED, errno.ENODEV, errno.ESHUTDOWN, errno.ENXIO}


class Log:
    """acknowledged: moments; tried: how many numbers were begun.  Number n is
    the file FOLDER/n, written once or, after an error, again with the same value."""

    def __init__(self, folder):
        self.folder = folder
        self.acknowledged = []
        self.tried = 0
        self.errors = {}
        self.slowest = 0.0


def value_of(folder, number):
    return b"%s %d\n" % (folder.encode(), number) * (1 + number % 7)


def _write(root, folder, end, pipe):
    log = Log(folder)
    while time.monotonic() < end:
        number = len(log.acknowledged)
        log.tried = number + 1
        began = time.monotonic()
        try:
            calls.put("%s/%s/%d" % (root, folder, number), value_of(folder, number))
        except OSError as error:
            now = time.monotonic()
            log.slowest = max(log.slowest, now - began)
            if error.errno not in PASSING and not (error.errno == errno.ENOENT and not rig.mounts_at(root)):
                raise
            name = errno.errorcode[error.errno]
            log.errors[name] = log.errors.get(name, 0) + 1
            if error.errno in GONE or error.errno == errno.ENOENT:
                break
            time.sleep(0.005)
            continue
        now = time.monotonic()
        log.slowest = max(log.slowest, now - began)
        log.acknowledged.append(now)
        time.sleep(0.005)  # what is written has to be read again, on each node
    with os.fdopen(pipe, "wb") as f:
        pickle.dump(log, f)


def write_for(seconds, places):
    """places: (root, folder) of each writer.  Returns handles for logs_of()."""
    handles, end = [], time.monotonic() + seconds
    for root, folder in places:
        read_fd, write_fd = os.pipe()
        pid = calls.in_child(_write, root, folder, end, write_fd)
        os.close(write_fd)
        handles.append((pid, read_fd, folder))
    return handles


def logs_of(handles, limit=30):
    """Every writer's log.  One that does not come back is a failure."""
    logs, end = [], time.monotonic() + limit * tap.SLOW
    for pid, read_fd, folder in handles:
        with os.fdopen(read_fd, "rb") as f:
            if not select.select([f], [], [], max(0, end - time.monotonic()))[0]:
                os.kill(pid, signal.SIGKILL)
                raise tap.Failure("the writer of %s still hangs in a call after %g s" % (folder, limit * tap.SLOW))
            data = f.read()
        status = os.waitpid(pid, 0)[1]
        expect(status == 0 and data, "the writer of %s failed with status %d (see stderr)" % (folder, status))
        logs.append(pickle.loads(data))
    return logs


def expect_kept(root, logs):
    """All that was acknowledged is there with its value; nothing is invented."""
    for log in logs:
        path = os.path.join(root, log.folder)
        names = set(os.listdir(path))
        for number in range(len(log.acknowledged)):
            expect(str(number) in names, "%s/%d was acknowledged and is lost (of %d)" % (
                path, number, len(log.acknowledged)))
        for name in names:
            expect(int(name) < log.tried, "%s/%s was never written" % (path, name))
            got = calls.read(os.path.join(path, name))
            # The one under way may be published or not: created is not written.
            if got != value_of(log.folder, int(name)) and not (
                    int(name) >= len(log.acknowledged) and got == b""):
                raise tap.Failure("%s/%s holds %s" % (path, name, tap.short(got, 80)))


def gap(logs, moment):
    """Seconds from a moment to the first acknowledgement after it."""
    later = [t for log in logs for t in log.acknowledged if t > moment]
    expect(later, "nothing was acknowledged after it")
    return min(later) - moment
