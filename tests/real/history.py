"""What was done, what was acknowledged, and what must therefore be there.

A writer works in a directory of its own, one operation after the other, until
one fails because the node is gone.  Each operation is exactly one revision.
Afterwards the directory must hold what was acknowledged, with the one operation
that was under way either done in whole or not at all.
"""

import collections
import errno
import os
import pickle
import random
import signal
import time

import calls
import rig
import tap

# What a caller sees of a node that died or lost its disk.
GONE = {errno.ENOTCONN, errno.ECONNABORTED, errno.EIO, errno.ENODEV, errno.ETIMEDOUT, errno.EROFS,
        errno.ENOSPC, errno.ESTALE, errno.EBADF, errno.EINTR, errno.ESHUTDOWN, errno.ECONNREFUSED,
        errno.ENXIO}


def perform(root, operation):
    """When it returns, the operation is acknowledged.  (A put of nothing is not
    among them: it is published behind the last close.)"""
    kind, path = operation[0], os.path.join(root, operation[1])
    if kind == "put":
        calls.put(path, operation[2])
    elif kind == "append":
        fd = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(fd, operation[2])
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
    elif kind == "sync":
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            os.write(fd, operation[2])
            os.fsync(fd)
        finally:
            os.close(fd)
    elif kind == "excl":
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    elif kind == "truncate":
        os.truncate(path, operation[2])
    elif kind == "unlink":
        os.unlink(path)
    elif kind == "rename":
        os.rename(path, os.path.join(root, operation[2]))
    elif kind == "mkdir":
        os.mkdir(path)
    elif kind == "rmdir":
        os.rmdir(path)


class State:
    """Paths to values; a directory's value is None.  versions: how often a key
    was written in this life, None where the contract does not say."""

    def __init__(self):
        self.values = {}
        self.versions = {}

    def copy(self):
        other = State()
        other.values = dict(self.values)
        other.versions = dict(self.versions)
        return other

    def apply(self, operation):
        kind, path = operation[0], operation[1]
        if kind in ("put", "sync"):
            self._write(path, operation[2])
        elif kind == "excl":
            self._write(path, b"")
        elif kind == "append":
            self._write(path, self.values[path] + operation[2])
        elif kind == "truncate":
            self._write(path, self.values[path][:operation[2]].ljust(operation[2], b"\0"))
        elif kind in ("unlink", "rmdir"):
            del self.values[path]
            self.versions.pop(path, None)
        elif kind == "rename":
            self.values[operation[2]] = self.values.pop(path)
            self.versions.pop(path, None)
            self.versions[operation[2]] = None
        elif kind == "mkdir":
            self.values[path] = None

    def _write(self, path, value):
        fresh = path not in self.values
        self.values[path] = value
        before = 0 if fresh else self.versions.get(path)
        self.versions[path] = None if before is None else before + 1

    def after(self, operation):
        other = self.copy()
        other.apply(operation)
        return other

    def files(self):
        return sorted(p for p, v in self.values.items() if v is not None)

    def folders(self):
        return sorted(p for p, v in self.values.items() if v is None)


def next_operation(chance, state, number, names=16, largest=20000):
    """A random operation that is possible in this state."""
    value = b"%d:%x:" % (number, chance.getrandbits(48)) + chance.randbytes(
        chance.choice((0, 10, 10, 300, 300, 5000, chance.randrange(largest))))
    files, folders = state.files(), state.folders()
    free = ["n%d" % n for n in range(names) if "n%d" % n not in state.values]
    while True:
        kind = chance.choice(("put",) * 6 + ("sync", "append", "append", "truncate", "unlink",
                                             "rename", "rename", "mkdir", "rmdir"))
        if kind in ("put", "sync") and (files or free):
            return kind, chance.choice(files + free[:2] or free), value
        if kind == "mkdir" and free and len(folders) < 4:
            return "mkdir", chance.choice(free)
        if kind == "rmdir" and folders:
            return "rmdir", chance.choice(folders)
        if not files:
            continue
        path = chance.choice(files)
        if kind == "append" and len(state.values[path]) < 100000:
            return "append", path, value[:200]
        if kind == "truncate":
            size = chance.randrange(len(state.values[path]) + 100)
            if size != len(state.values[path]):
                return "truncate", path, size
        if kind == "unlink":
            return "unlink", path
        if kind == "rename":
            others = [f for f in files if f != path]
            to = chance.choice(others + free[:1] or [None])
            if to is not None:
                return "rename", path, to


class Report:
    """What one writer knows when its node is gone."""

    def __init__(self, folder, state):
        self.folder = folder
        self.state = state
        self.pending = None
        self.acknowledged = 0
        self.revisions = {}  # path -> mod_revision seen after its last change
        self.error = None


def write_until_gone(roots, folder, state, seed, most=1 << 30):
    """The body of a writer process; returns its Report."""
    chance = random.Random(seed)
    report = Report(folder, state.copy())
    recent = collections.deque(maxlen=12)
    while report.acknowledged < most:
        operation = next_operation(chance, report.state, report.acknowledged)
        report.pending = operation
        root = os.path.join(chance.choice(roots), folder)
        recent.append("%.4f %s" % (time.time(), tap.short((root,) + operation, 100)))
        try:
            perform(root, operation)
        except OSError as error:
            # Behind a mount that was taken away is the empty directory below it.
            if error.errno not in GONE and not (error.errno == errno.ENOENT and not rig.mounts_at(os.path.dirname(root))):
                tap.note("what the writer of %s did last:\n%s" % (folder, "\n".join(recent)))
                raise
            report.error = error.errno
            return report
        report.pending = None
        report.state.apply(operation)
        report.acknowledged += 1
        for path in operation[1:3]:
            report.revisions.pop(path, None)
        path = operation[1]
        if chance.random() < 0.2 and path in report.state.values and report.state.values[path] is not None:
            try:
                report.revisions[path] = int(calls.attribute(os.path.join(root, path), "mod_revision"))
            except OSError as error:
                if error.errno not in GONE and rig.mounts_at(os.path.dirname(root)):
                    raise
                report.error = error.errno
                return report
    return report


def start_writers(roots, states, seed):
    """One process for each folder of states.  Returns handles for collect()."""
    handles = []
    for number, folder in enumerate(sorted(states)):
        read_fd, write_fd = os.pipe()

        def body():
            os.close(read_fd)
            signal.alarm(int(120 * tap.SLOW))
            report = write_until_gone(roots, folder, states[folder], seed * 1000 + number)
            with os.fdopen(write_fd, "wb") as f:
                pickle.dump(report, f)
        pid = calls.in_child(body)
        os.close(write_fd)
        handles.append((pid, read_fd, folder))
    return handles


def collect(handles, limit=20):
    """The reports; a writer that does not come back is a failure."""
    reports = []
    end = time.monotonic() + limit * tap.SLOW
    for pid, read_fd, folder in handles:
        with os.fdopen(read_fd, "rb") as f:
            import select
            ready = select.select([f], [], [], max(0, end - time.monotonic()))[0]
            if not ready:
                os.kill(pid, signal.SIGKILL)
                raise tap.Failure("the writer of %s still waits %g s after the node was gone" % (
                    folder, limit * tap.SLOW))
            data = f.read()
        status = os.waitpid(pid, 0)[1]
        tap.expect(status == 0 and data, "the writer of %s failed with status %d (see stderr)" % (folder, status))
        reports.append(pickle.loads(data))
    return reports


def found_in(root):
    """The values below a directory: one level, as the writers use it."""
    values = {}
    for name in os.listdir(root):
        path = os.path.join(root, name)
        values[name] = None if os.path.isdir(path) else calls.read(path)
    return values


def difference(found, wanted):
    lines = []
    for path in sorted(set(found) | set(wanted)):
        if path not in found:
            lines.append("%s is missing" % path)
        elif path not in wanted:
            lines.append("%s is there with %s" % (path, tap.short(found[path], 60)))
        elif found[path] != wanted[path]:
            lines.append("%s: %s instead of %s" % (path, tap.short(found[path], 60), tap.short(wanted[path], 60)))
    return "; ".join(lines)


def check_folder(root, report):
    """Compares one writer's folder with its report; returns (the state that is
    there, 1 if the pending operation took place else 0)."""
    path = os.path.join(root, report.folder)
    found = found_in(path)
    candidates = [(report.state, 0)]
    if report.pending is not None:
        candidates.append((report.state.after(report.pending), 1))
    for state, happened in reversed(candidates):
        if found == state.values:
            break
    else:
        raise tap.Failure("%s after %d acknowledged operations, pending %s: %s" % (
            report.folder, report.acknowledged, tap.short(report.pending, 100),
            difference(found, report.state.values)))
    for name in state.files():
        version = state.versions.get(name)
        if version is not None:
            tap.expect_equal(calls.attribute(os.path.join(path, name), "version"), str(version),
                             "version of %s/%s" % (report.folder, name))
        if name in report.revisions and not (happened and name in report.pending[1:3]):
            tap.expect_equal(int(calls.attribute(os.path.join(path, name), "mod_revision")),
                             report.revisions[name], "mod_revision of %s/%s" % (report.folder, name))
    return state, happened


def check(root, reports, revision_before):
    """All folders, and the count of revisions: one for each operation that took
    place, none more.  Returns (states, revision)."""
    states, took_place = {}, 0
    for report in reports:
        state, happened = check_folder(root, report)
        # Versions after a pending change are known again from the store.
        states[report.folder] = state
        took_place += report.acknowledged + happened
    revision = calls.revision(root)
    # A pending write of the value that was there already cannot be told apart.
    doubtful = sum(1 for r in reports if r.pending is not None and
                   r.state.after(r.pending).values == r.state.values)
    tap.expect(revision_before + took_place - doubtful <= revision <= revision_before + took_place,
               "revision %d, wanted %d + %d operations" % (revision, revision_before, took_place))
    revisions = []
    for folder in states:
        for name in states[folder].files():
            revisions.append(int(calls.attribute(os.path.join(root, folder, name), "mod_revision")))
    tap.expect(len(set(revisions)) == len(revisions), "two keys share a mod_revision: %r" % sorted(revisions))
    tap.expect(all(0 < r <= revision for r in revisions), "a mod_revision beyond the store's %d" % revision)
    return states, revision
