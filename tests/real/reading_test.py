#!/usr/bin/env python3
"""filesystem.md section 3: what a reader may rely on."""

import ctypes
import mmap
import os
import time

import calls
import rig
import tap
from tap import expect, expect_equal, test


def value_of(number, size):
    """A value that says of itself which one it is: any mixture shows."""
    word = b"%07d|" % number
    return (word * (size // len(word) + 1))[:size]


@test()
def an_open_file_is_one_revision_however_long_it_is_read(tree):
    """A slow reader must not see the beginning of one value and the end of
    another, and not the emptiness between."""
    a, b = tree.fresh("pinned")
    for writer, reader in ((a, b), (b, a), (a, a)):
        calls.put(writer + "/f", value_of(1, 300000))
        fd = os.open(reader + "/f", os.O_RDONLY)
        try:
            got = os.read(fd, 1000)
            calls.put(writer + "/f", value_of(2, 5000))
            while True:
                piece = os.read(fd, 100000)
                if not piece:
                    break
                got += piece
            expect_equal(got, value_of(1, 300000), "what the open file holds")
            calls.put(writer + "/f", b"")
            expect_equal(os.pread(fd, 300000, 0), value_of(1, 300000), "read once more")
            os.unlink(writer + "/f")
            expect_equal(os.pread(fd, 50, 100), value_of(1, 300000)[100:150], "after unlink")
            calls.put(writer + "/f", b"another life")
            expect_equal(os.pread(fd, 50, 0), value_of(1, 300000)[:50], "after another life began")
        finally:
            os.close(fd)
        expect_equal(calls.read(reader + "/f"), b"another life")


@test()
def a_reader_at_the_end_goes_on_to_a_revision_that_adds_to_its_own(tree):
    """tail -f keeps its descriptor.  What it read and what follows are then the
    later revision in whole; where they would not be, nothing follows."""
    a, b = tree.fresh("at the end")
    calls.put(a + "/f", b"one\n")
    fd = os.open(b + "/f", os.O_RDONLY)
    try:
        expect_equal(os.read(fd, 100), b"one\n", "the first value")
        expect_equal(os.read(fd, 100), b"", "its end")
        line = os.open(a + "/f", os.O_WRONLY | os.O_APPEND)
        os.write(line, b"two\n")
        os.close(line)
        expect_equal(os.fstat(fd).st_size, 8, "fstat's size")
        expect_equal(os.read(fd, 100), b"two\n", "what was appended")
        expect_equal(os.read(fd, 100), b"", "its end")
        calls.put(a + "/f", b"ONE\ntwo\nthree\n")
        expect_equal(os.read(fd, 100), b"", "after a value that is no extension")
        expect_equal(os.pread(fd, 100, 0), b"one\ntwo\n", "read once more from its beginning")
    finally:
        os.close(fd)


@test(plain=True)
def a_new_open_sees_every_write_acknowledged_before_it(tree):
    """The default is linearizable: through whichever mount, at once."""
    a, b = tree.fresh("fresh reads")
    for number in range(300):
        writer, reader = ((a, b), (b, a))[number % 2]
        value = value_of(number, 1 + number * 7 % 9000)
        calls.put(writer + "/f", value)
        expect_equal(calls.read(reader + "/f"), value, "round %d" % number)
        expect_equal(os.stat(reader + "/f").st_size, len(value), "size, round %d" % number)


@test(plain=True)
def a_name_exists_and_is_gone_everywhere_at_once(tree):
    a, b = tree.fresh("fresh names")
    for number in range(200):
        writer, reader = ((a, b), (b, a))[number % 2]
        expect_equal(calls.errno_of(os.stat, reader + "/x"), "ENOENT", "before it is made")
        calls.put(writer + "/x", b"v")
        expect_equal(calls.errno_of(os.stat, reader + "/x"), "ok", "after it was made")
        expect_equal(os.listdir(reader), ["x"], "entries")
        os.unlink(writer + "/x")
        expect_equal(calls.errno_of(os.open, reader + "/x", os.O_RDONLY), "ENOENT", "after it was removed")
        expect_equal(os.listdir(reader), [], "entries")


@test(plain=True)
def reads_at_every_offset_give_the_right_bytes(tree):
    a, b = tree.fresh("offsets")
    value = os.urandom(200001)
    calls.put(a + "/f", value)
    fd = os.open(b + "/f", os.O_RDONLY)
    try:
        for offset in (0, 1, 4095, 4096, 4097, 131071, 131072, 131073, 200000, 200001, 200002, 1 << 40):
            for size in (1, 4096, 5000, 131072, 300000):
                expect_equal(os.pread(fd, size, offset), value[offset:offset + size],
                             "%d bytes at %d" % (size, offset))
        buffers = [bytearray(100), bytearray(5000)]
        expect_equal(os.preadv(fd, buffers, 77), 5100, "preadv")
        expect_equal(bytes(buffers[0] + buffers[1]), value[77:5177])
        expect_equal(os.lseek(fd, 0, os.SEEK_END), len(value), "SEEK_END")
    finally:
        os.close(fd)


@test()
def copy_file_range_copies_the_pinned_bytes(tree):
    a, b = tree.fresh("copy range")
    calls.put(a + "/f", value_of(1, 50000))
    source = os.open(a + "/f", os.O_RDONLY)
    target = os.open(a + "/copy", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        calls.put(b + "/f", value_of(2, 60000))
        copied = 0
        while copied < 50000:
            step = os.copy_file_range(source, target, 50000 - copied)
            expect(step > 0, "copy_file_range stopped at %d of 50000" % copied)
            copied += step
    finally:
        os.close(source)
        os.close(target)
    expect_equal(calls.read(b + "/copy"), value_of(1, 50000), "the copy")


@test(plain=True)
def private_mappings_read_the_value(tree):
    a, b = tree.fresh("private")
    value = value_of(3, 70000)
    calls.put(a + "/f", value)
    with open(b + "/f", "rb") as f:
        with mmap.mmap(f.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) as mapped:
            expect_equal(mapped[:], value)


@test()
def shared_mappings_are_refused(tree):
    """They cannot be kept coherent, so the answer is ENODEV, read-only too."""
    a, _ = tree.fresh("shared")
    calls.put(a + "/f", b"x" * 5000)
    for flags, protection in ((os.O_RDONLY, mmap.PROT_READ),
                              (os.O_RDWR, mmap.PROT_READ | mmap.PROT_WRITE)):
        fd = os.open(a + "/f", flags)
        try:
            expect_equal(calls.errno_of(mmap.mmap, fd, 5000, mmap.MAP_SHARED, protection), "ENODEV")
        finally:
            os.close(fd)


@test(limit=60, plain=True)
def sendfile_outside_of_a_change_gives_the_value(tree):
    """sendfile goes through the page cache, which handles share: the promise
    covers a file at rest; how often a file in motion shows something else is
    measured and printed."""
    a, b = tree.fresh("sendfile")

    def by_sendfile(path):
        source = os.open(path, os.O_RDONLY)
        read_end, write_end = os.pipe()
        try:
            got = b""
            while True:
                count = os.sendfile(write_end, source, None, 30000)
                if count == 0:
                    return got
                got += os.read(read_end, count)
        finally:
            for fd in (source, read_end, write_end):
                os.close(fd)
    for number in range(50):
        calls.put((a, b)[number % 2] + "/f", value_of(number, 20000))
        end = time.monotonic() + 2
        while True:  # the kernel's pages are renewed just behind the answer
            got = by_sendfile(b + "/f")
            if got == value_of(number, 20000):
                break
            expect(time.monotonic() < end, "sendfile of a file at rest gave %s" % tap.short(got, 100))
    end = time.monotonic() + 2

    def rewrite():
        number = 0
        while time.monotonic() < end:
            number += 1
            calls.put(a + "/f", value_of(number, 20000))
    writer = calls.in_child(rewrite)
    total = odd = 0
    while time.monotonic() < end:
        got = by_sendfile(b + "/f")
        total += 1
        odd += len(got) != 20000 or len(set(got.split(b"|")[:-1])) > 1
    expect_equal(calls.join(writer), 0, "writers that failed")
    tap.note("sendfile against a busy writer: %d of %d not one value" % (odd, total))


@test(limit=60)
def a_listing_is_one_moment_of_the_directory(tree):
    """A token moves from name to name by rename; a listing that is taken at
    one moment shows it exactly once, and all that stays exactly once."""
    a, b = tree.fresh("moment")
    stay = ["stay%04d" % n for n in range(600)]
    for name in stay:
        calls.put(os.path.join(a, name), b"v")
    calls.put(a + "/token-0", b"v")
    end = time.monotonic() + 2

    def move():
        number = 0
        while time.monotonic() < end:
            os.rename("%s/token-%d" % (a, number), "%s/token-%d" % (a, number + 1))
            number += 1
    mover = calls.in_child(move)
    listings, tokens = 0, set()
    while time.monotonic() < end:
        names = os.listdir((a, b)[listings % 2])
        token = [n for n in names if n.startswith("token")]
        expect_equal(len(token), 1, "tokens %r in one listing" % token)
        expect_equal(sorted(n for n in names if n.startswith("stay")), stay, "what stays")
        tokens.add(token[0])
        listings += 1
    expect_equal(calls.join(mover), 0, "movers that failed")
    expect(len(tokens) > 2, "the token never moved during the test")
    tap.note("%d listings, %d different moments" % (listings, len(tokens)))


@test(limit=60)
def an_open_directory_stays_at_its_moment_and_can_be_rewound(tree):
    a, b = tree.fresh("opendir")
    names = sorted("f%04d" % n for n in range(1500))
    for name in names:
        calls.put(os.path.join(a, name), b"v")

    class Entry(ctypes.Structure):
        _fields_ = [("ino", ctypes.c_uint64), ("off", ctypes.c_int64), ("reclen", ctypes.c_ushort),
                    ("type", ctypes.c_ubyte), ("name", ctypes.c_char * 256)]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
    libc.telldir.restype = ctypes.c_long
    for call in (libc.readdir, libc.telldir, libc.closedir, libc.rewinddir):
        call.argtypes = [ctypes.c_void_p]
    libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]

    def take(stream, most=1 << 30):
        got = []
        while len(got) < most:
            address = libc.readdir(stream)
            if not address:
                break
            got.append(Entry.from_address(address).name.decode())
        return got
    stream = libc.opendir(os.fsencode(b))
    expect(stream, "opendir failed")
    try:
        first = take(stream, 500)
        mark = libc.telldir(stream)
        os.unlink(os.path.join(a, names[0]))
        os.unlink(os.path.join(a, names[-1]))
        calls.put(os.path.join(a, "f9999"), b"v")
        rest = take(stream)
        listed = sorted(n for n in first + rest if n not in (".", ".."))
        expect_equal(listed, names, "entries of the open directory")
        libc.seekdir(stream, mark)
        expect_equal(take(stream), rest, "entries after seekdir")
        libc.rewinddir(stream)
        again = take(stream)
        expect_equal(len(again), len(set(again)), "entries without doubles after rewinddir")
    finally:
        libc.closedir(stream)
    expect_equal(sorted(os.listdir(b)), sorted(names[1:-1] + ["f9999"]), "a new listing")


@test(limit=120, plain=True)
def a_directory_of_ten_thousand_lists_each_name_once(tree):
    a, b = tree.fresh("many")

    def fill(which):
        for number in range(which, 10000, 8):
            calls.put("%s/n%05d" % (a, number), b"%d" % number)
    children = [calls.in_child(fill, n) for n in range(8)]
    expect_equal(calls.join(*children), 0, "writers that failed")
    for side in (a, b):
        names = os.listdir(side)
        expect_equal(len(names), 10000, "entries")
        expect_equal(sorted(names), ["n%05d" % n for n in range(10000)], "names")
    with os.scandir(b) as entries:
        for entry in entries:
            expect(entry.is_file(follow_symlinks=False), "d_type of %s" % entry.name)
    expect_equal(calls.read(b + "/n09999"), b"9999")


@test(limit=60)
def a_serializable_mount_catches_up_by_itself(tree):
    """The kernel caches names and attributes there; each change must take back
    exactly what it touched, or the cache would be wrong for good."""
    node = rig.Node(base=tree.node.base + "/serializable", mount_options="consistency=serializable")
    try:
        node.start()
        a, b = node.mounts

        def soon(condition, what):
            tap.wait_until(condition, 2, what, pause=0.001)
        for number in range(60):
            here, there = ((a, b), (b, a))[number % 2]
            value = value_of(number, 1 + number * 131)
            calls.put(here + "/f", value)
            soon(lambda: os.stat(there + "/f").st_size == len(value), "the size of change %d" % number)
            soon(lambda: calls.read(there + "/f") == value, "the value of change %d" % number)
            expect_equal(calls.errno_of(os.stat, there + "/x"), "ENOENT", "a name before it is made")
            calls.put(here + "/x", b"v")
            soon(lambda: calls.errno_of(os.stat, there + "/x") == "ok", "a new name behind a cached ENOENT")
            os.rename(here + "/x", here + "/y")
            soon(lambda: sorted(os.listdir(there)) == ["f", "y"], "the listing after a rename")
            soon(lambda: calls.errno_of(os.stat, there + "/x") == "ENOENT", "the old name gone")
            os.unlink(here + "/y")
            soon(lambda: calls.errno_of(os.stat, there + "/y") == "ENOENT", "a removed name gone")
            expect_equal(calls.read(here + "/f"), value, "a process reads its own writes")
        expect_equal(node.stop(), 0, "exit status")
    finally:
        node.close()


if __name__ == "__main__":
    tap.main(__doc__, lambda options: rig.TwoMounts())
