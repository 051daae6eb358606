"""strace around a process: which write-class system calls it makes on its own
directory, and how to have one of them replaced by a kill or an error."""

import codecs
import glob
import os
import re
from dataclasses import dataclass, field

import tap

# Reading calls are not among them; lseek only says where writev writes.
CHANGES = ("pwrite64", "pwritev", "pwritev2", "write", "writev", "fdatasync", "fsync", "fallocate", "ftruncate",
           "rename", "renameat", "renameat2", "unlink", "unlinkat", "openat", "mkdir", "mkdirat", "rmdir",
           "sync_file_range", "msync")
# Those that need room on the disk, or may find out late that there is none.
NEED_ROOM = ("pwrite64", "pwritev", "pwritev2", "write", "writev", "fdatasync", "fsync", "fallocate", "ftruncate",
             "rename", "renameat", "renameat2", "openat", "mkdir", "mkdirat", "sync_file_range", "msync")
LONGEST = 70000  # bytes of an argument that the trace keeps

LINE = re.compile(rb"(\d+\.\d+) (\w+)\((.*)\) += (-?\d+|\?)(<[^>]*>)?(?: .*?)?(?: <(\d+\.\d+)>)?$", re.S)
FD = re.compile(rb"(\d+|AT_FDCWD)<([^>]*)>")
STRING = re.compile(rb'"((?:[^"\\]|\\.)*)"(\.\.\.)?', re.S)


@dataclass
class Call:
    """One call.  paths: what it names below the directory, relative to it."""
    thread: str
    name: str
    begin: float
    end: float
    result: int
    text: bytes
    paths: list = field(default_factory=list)
    number: int = 0  # which of its thread's calls of this name on the directory it is

    def changes(self):
        return self.name in CHANGES and (self.name != "openat" or b"O_CREAT" in self.text or b"O_TRUNC" in self.text)

    def is_zeros(self):
        """Writes nothing but zeros: how the log makes room."""
        found = STRING.search(self.text)
        return self.name == "pwrite64" and found is not None and not found.group(1).replace(b"\\0", b"")


def unescape(text):
    return codecs.escape_decode(text)[0]


def record_command(log):
    """The command before a process whose every call is to be written down."""
    return ["strace", "-ff", "-qq", "-y", "-ttt", "-T", "-s", str(LONGEST), "-o", log,
            "-e", "trace=?lseek,?" + ",?".join(CHANGES)]


def strike_command(log, home, paths, call, number, what):
    """The command before a process whose NUMBER-th CALL on these paths is to be
    replaced.  what: KILL, or an error's name."""
    effect = "signal=KILL" if what == "KILL" else "error=" + what
    command = ["strace", "-f", "-qq", "-o", log]
    for path in paths:  # without --seccomp-bpf: strace 6.1 forgets to inject with it
        command += ["-P", os.path.normpath(os.path.join(home, path))]
    return command + ["-e", "trace=" + call, "-e", "inject=%s:%s:when=%d" % (call, effect, number)]


def was_struck(log):
    with open(log, "rb") as f:
        text = f.read()
    return b"(INJECTED)" in text or b"+++ killed by SIGKILL" in text


def _paths(text, home):
    """What a call's arguments name in the directory."""
    found = [unescape(path) for _, path in FD.findall(text)]
    found += [unescape(path) for path, _ in STRING.findall(text)[:2] if path.startswith(b"/")]
    home = home.encode()
    below = []
    for path in found:
        path = path.removesuffix(b" (deleted)")
        if path == home or path.startswith(home + b"/"):
            below.append(os.path.relpath(path, home).decode())
    return below


def read(log, home):
    """All calls on a directory, in order of their beginning."""
    calls = []
    for name in glob.glob(glob.escape(log) + ".*"):
        counts, thread = {}, name.rsplit(".", 1)[1]
        with open(name, "rb") as f:
            lines = f.read().split(b"\n")
        for line in lines:
            made = LINE.match(line)
            if made is None:
                continue
            moment, call, text, result, _, took = made.groups()
            paths = _paths(text, home)
            if not paths:
                continue
            if call == b"openat" and made.group(5):
                text += b" = " + result + made.group(5)
            begin = float(moment)
            number = counts[call] = counts.get(call, 0) + 1
            calls.append(Call(thread, call.decode(), begin, begin + float(took or 0),
                              -1 if result == b"?" else int(result), text, paths, number))
    tap.expect(calls, "strace has seen nothing of %s" % home)
    return sorted(calls, key=lambda c: c.begin)


def points(calls):
    """The write-class calls, without the middle of long rows of zeros, which
    are written and synced again and again; (name, number) once, though several
    threads have it."""
    chosen, seen, row = [], set(), 0
    changes = [call for call in calls if call.changes()]
    for i, call in enumerate(changes):
        if call.is_zeros():
            row += 1
        elif not (row and call.name == "fdatasync" and i + 1 < len(changes) and changes[i + 1].is_zeros()):
            row = 0
        if row > 2 and row % 61 and any(c.is_zeros() for c in changes[i + 1:i + 3]):
            continue
        if (call.name, call.number) not in seen:
            seen.add((call.name, call.number))
            chosen.append(call)
    return chosen
