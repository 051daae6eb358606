"""A directory as lost power may have left it, made from the trace of the calls
that changed it.

What was synced is there: the bytes of a file after its fdatasync, a name after
the fsync of its directory, a write to a file that was opened with O_DSYNC.  Of
the rest:

- torn: what came before the cut is there, in order; of the last thing under
  way some 512-byte sectors are, and others not;
- reordered: of all that was not synced, any part is there and any is not, page
  by page and name by name.

Files that existed before the trace begins come from a template."""

import os
import random
import re
import shutil
import subprocess
from dataclasses import dataclass, field

import tap
from crash_trace import STRING, unescape

SECTOR, PAGE = 512, 4096


@dataclass
class Change:
    """To one file: data at an offset, or (data None) its size."""
    begin: float
    end: float
    offset: int
    data: bytes = None
    durable: bool = False


@dataclass
class File:
    origin: str = None  # in the template
    changes: list = field(default_factory=list)
    is_directory: bool = False


class Names:
    """name -> File.  Changes are kept apart until the directory is synced."""

    def __init__(self, template):
        self.synced = {".": File(".", is_directory=True)}
        for folder, folders, files in os.walk(template):
            for name in folders + files:
                path = os.path.relpath(os.path.join(folder, name), template)
                self.synced[path] = File(path, is_directory=name in folders)
        self.now = dict(self.synced)
        self.changes = []  # (begin, end, kind, path, to or File)

    def do(self, names, kind, path, other):
        if kind == "create":
            names[path] = other
        elif kind == "remove":
            names.pop(path, None)
        elif path in names:
            below = [name for name in names if name.startswith(path + "/")]
            names[other] = names.pop(path)
            for name in below:
                names[other + name[len(path):]] = names.pop(name)

    def change(self, call, kind, path, other):
        if kind == "rename" and path not in self.now:
            return
        self.do(self.now, kind, path, other)
        self.changes.append((call.begin, call.end, kind, path, other))

    def sync(self, directory, begin):
        """Everything that was done in a directory before `begin` stays."""
        kept = []
        for change in self.changes:
            _, end, kind, path, other = change
            places = {os.path.dirname(path) or "."} | ({os.path.dirname(other) or "."} if kind == "rename" else set())
            if end < begin and directory in places:
                self.do(self.synced, kind, path, other)
            else:
                kept.append(change)
        self.changes = kept


def _writes(call, at):
    """(offset, data) of a writing call; `at` is where the file stood."""
    pieces = []
    for text, cut in STRING.findall(call.text):
        piece = unescape(text)
        if cut:
            tap.expect(not piece.strip(b"\0"), "the trace has cut off a write of %d bytes" % call.result)
            piece = bytes(call.result)
        pieces.append(piece)
    data = b"".join(pieces)[:max(call.result, 0)] if call.result >= 0 else b"".join(pieces)
    if call.name in ("pwrite64", "pwritev", "pwritev2"):
        numbers = [int(n) for n in re.findall(rb", (\d+)", STRING.sub(b"", call.text))]
        at = numbers[-1] if call.name != "pwritev2" else numbers[-2]
    return at, data


class Disk:
    """What is on the disk at a moment: calls that have not returned are under
    way, and may have done anything between nothing and everything."""

    def __init__(self, template, calls):
        self.template, self.calls = template, calls
        self.names = Names(template)
        self.positions, self.dsync = {}, {}

    def file(self, path):
        return self.names.now.setdefault(path, File())

    def play(self, moment):
        for call in self.calls:
            if call.begin > moment:
                break
            if call.result >= 0 or call.end >= moment:
                self.apply(call, call.end >= moment)
        return self

    def apply(self, call, under_way):
        path, name = call.paths[0], call.name
        fd = call.text.split(b"<", 1)[0]
        end = float("inf") if under_way else call.end
        if name in ("pwrite64", "pwritev", "pwritev2", "write", "writev"):
            offset, data = _writes(call, self.positions.get(fd, 0))
            if name in ("write", "writev"):
                self.positions[fd] = offset + len(data)
            self.file(path).changes.append(
                Change(call.begin, end, offset, data, self.dsync.get(fd, False) and not under_way))
        elif name == "lseek":
            self.positions[fd] = call.result
        elif name in ("ftruncate", "fallocate"):
            numbers = [int(n) for n in re.findall(rb", (\d+)", call.text)]
            size = numbers[-1] + (numbers[-2] if name == "fallocate" else 0)
            self.file(path).changes.append(Change(call.begin, end, size, None if name == "ftruncate" else b""))
        elif name in ("fdatasync", "fsync"):
            if not under_way:
                self.sync(path, call.begin)
        else:
            self.name_call(call, under_way)

    def sync(self, path, begin):
        file = self.file(path)
        if file.is_directory:
            self.names.sync(path, begin)
        for change in file.changes:
            change.durable = change.durable or change.end < begin

    def name_call(self, call, under_way):
        strings = [unescape(s).decode() for s, _ in STRING.findall(call.text)]
        # Relative names are of the directories that the call names, one for each.
        paths = [os.path.normpath(os.path.join(folder, s)) if not s.startswith("/") else folder
                 for s, folder in zip(strings, call.paths)]
        end = call
        if under_way:
            end = type(call)(call.thread, call.name, call.begin, float("inf"), call.result, call.text)
        if call.name == "openat":
            path = paths[0]
            opened = re.search(rb" = (\d+)", call.text)
            if opened:
                self.positions[opened.group(1)] = 0
                self.dsync[opened.group(1)] = b"O_DSYNC" in call.text or b"O_SYNC" in call.text
            if b"O_CREAT" in call.text and path not in self.names.now:
                self.names.change(end, "create", path, File())
            elif b"O_TRUNC" in call.text:
                self.file(path).changes.append(Change(call.begin, end.end, 0))
        elif call.name in ("mkdir", "mkdirat"):
            if paths[0] not in self.names.now:
                self.names.change(end, "create", paths[0], File(is_directory=True))
        elif call.name in ("unlink", "unlinkat", "rmdir"):
            self.names.change(end, "remove", paths[0], None)
        elif len(paths) == 2:
            self.names.change(end, "rename", paths[0], paths[1])

    # --- what is left ---

    def surviving_names(self, chance, mode):
        names = dict(self.names.synced)
        for begin, end, kind, path, other in self.names.changes:
            keep = chance.random() < 0.5 if mode == "reordered" or end == float("inf") else True
            parent = os.path.dirname(other if kind == "rename" else path)
            if keep and (not parent or parent in names) and (kind != "rename" or path in names):
                self.names.do(names, kind, path, other)
        return names

    def surviving_changes(self, file, chance, mode):
        loose = [c for c in file.changes if not c.durable]
        last = loose[-1] if loose else None
        temper = chance.random()
        for change in file.changes:
            if change.durable:
                yield change.offset, change.data
            elif change.data is None or not change.data:
                if mode == "torn" and change.end != float("inf") or chance.random() < 0.5:
                    yield change.offset, change.data
            elif mode == "torn":
                yield from (_torn(change, chance) if change is last else [(change.offset, change.data)])
            elif temper >= 0.25:  # else nothing of this file is there
                yield from _some(change, PAGE if temper < 0.7 else SECTOR, chance)

    def write(self, to, seed, mode):
        """Makes the directory `to`."""
        chance = random.Random(seed)
        names = self.surviving_names(chance, mode)
        os.makedirs(to)
        for path in sorted(names):
            if path == "." or not os.path.isdir(os.path.dirname(os.path.join(to, path))):
                continue  # a folder whose name was lost takes along what is in it
            file, full = names[path], os.path.join(to, path)
            if file.is_directory:
                os.makedirs(full, 0o700, exist_ok=True)
                continue
            if file.origin:
                copy_file(os.path.join(self.template, file.origin), full)
            fd = os.open(full, os.O_RDWR | os.O_CREAT, 0o600)
            for offset, data in self.surviving_changes(file, chance, mode):
                if data is None:
                    os.ftruncate(fd, offset)
                elif data:
                    _write_at(fd, data, offset)
                elif os.fstat(fd).st_size < offset:
                    os.ftruncate(fd, offset)
            os.close(fd)


def _write_at(fd, data, offset):
    """Zeros over nothing are a hole."""
    if not data.strip(b"\0") and os.fstat(fd).st_size <= offset:
        os.ftruncate(fd, offset + len(data))
    else:
        os.pwrite(fd, data, offset)


def _pieces(change, size):
    at = change.offset
    end = at + len(change.data)
    while at < end:
        to = min(end, (at // size + 1) * size)
        yield at, change.data[at - change.offset:to - change.offset]
        at = to


def _some(change, size, chance):
    return [piece for piece in _pieces(change, size) if chance.random() < 0.5]


def _torn(change, chance):
    """Its first sectors, or any of them."""
    if chance.random() < 0.5:
        pieces = list(_pieces(change, SECTOR))
        return pieces[:chance.randrange(len(pieces) + 1)]
    return _some(change, SECTOR, chance)


def copy_file(source, to):
    subprocess.run(["cp", "--sparse=always", "--preserve=mode", source, to], check=True)


def copy_tree(source, to):
    """With holes where there are zeros."""
    if os.path.exists(to):
        shutil.rmtree(to)
    subprocess.run(["cp", "-r", "--sparse=always", "--preserve=mode", source, to], check=True)
