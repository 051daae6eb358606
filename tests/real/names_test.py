#!/usr/bin/env python3
"""filesystem.md sections 1, 3 and 4: making, removing and renaming."""

import os
import subprocess
import time

import calls
import rig
import tap
from tap import expect, expect_equal, test


def tree_below(path):
    """Every path below, directories with a slash behind."""
    found = []
    for folder, folders, files in os.walk(path):
        inside = os.path.relpath(folder, path)
        found += [os.path.normpath(os.path.join(inside, d)) + "/" for d in folders]
        found += [os.path.normpath(os.path.join(inside, f)) for f in files]
    return sorted(found)


@test(plain=True)
def mkdir_makes_an_empty_directory_that_exists_everywhere(tree):
    a, b = tree.fresh("mkdir")
    os.mkdir(a + "/d")
    expect(os.path.isdir(b + "/d"), "it is a directory on B")
    expect_equal(os.listdir(b + "/d"), [], "entries")
    expect_equal(calls.errno_of(os.mkdir, b + "/d"), "EEXIST")
    calls.put(a + "/f", b"v")
    expect_equal(calls.errno_of(os.mkdir, a + "/f"), "EEXIST", "mkdir over a file")
    expect_equal(calls.errno_of(os.mkdir, a + "/none/d"), "ENOENT", "mkdir below nothing")
    expect_equal(calls.errno_of(os.mkdir, a + "/f/d"), "ENOTDIR", "mkdir below a file")


@test(plain=True)
def mkdir_has_one_winner(tree):
    a, b = tree.fresh("mkdir race")

    def race(which):
        for number in range(30):
            try:
                os.mkdir((a, b)[which % 2] + "/d%d" % number)
            except FileExistsError:
                continue
            os.mkdir(a + "/d%d/by%d" % (number, which))
    expect_equal(calls.join(*[calls.in_child(race, n) for n in range(4)]), 0, "racers that failed")
    for number in range(30):
        expect_equal(len(os.listdir(b + "/d%d" % number)), 1, "winners of d%d" % number)


@test(plain=True)
def rmdir_wants_an_empty_directory(tree):
    a, b = tree.fresh("rmdir")
    os.makedirs(a + "/d/below")
    expect_equal(calls.errno_of(os.rmdir, a + "/d"), "ENOTEMPTY", "with a directory in it")
    os.rmdir(b + "/d/below")
    calls.put(a + "/d/f", b"v")
    expect_equal(calls.errno_of(os.rmdir, b + "/d"), "ENOTEMPTY", "with a file in it")
    os.unlink(a + "/d/f")
    expect(os.path.isdir(b + "/d"), "a directory made by mkdir outlives its last file")
    os.rmdir(a + "/d")
    expect_equal(calls.errno_of(os.stat, b + "/d"), "ENOENT", "on B")
    expect_equal(calls.errno_of(os.rmdir, a + "/d"), "ENOENT", "once more")
    calls.put(a + "/f", b"v")
    expect_equal(calls.errno_of(os.rmdir, a + "/f"), "ENOTDIR", "rmdir of a file")
    expect_equal(calls.errno_of(os.unlink, a), "EISDIR", "unlink of a directory")


@test(limit=60, plain=True)
def rmdir_never_takes_a_file_that_was_just_made(tree):
    """rmdir on A against create on B: a create that succeeded is there, also
    where its publication came after the rmdir; one that failed left nothing."""
    a, b = tree.fresh("rmdir race")
    for number in range(150):
        os.mkdir(a + "/d")

        def make():
            try:
                calls.put(b + "/d/f", b"kept")
                return
            except (FileNotFoundError, NotADirectoryError):
                os._exit(9)
        child = calls.in_child(make)
        removed = calls.errno_of(os.rmdir, a + "/d") == "ok"
        made = os.waitpid(child, 0)[1] == 0
        if removed and made:  # published behind the rmdir: the directory is back
            tap.wait_until(lambda: calls.read_or_none(b + "/d/f") == b"kept", 2, "the file's return")
        there = calls.read_or_none(b + "/d/f")
        expect_equal(there, b"kept" if made else None, "the file (removed %s, made %s)" % (removed, made))
        if tree.node is None:
            expect(not (removed and made), "rmdir and create both succeeded")
        subprocess.run(["rm", "-rf", a + "/d"], check=True, timeout=10)


@test(plain=True)
def rename_moves_a_file(tree):
    a, b = tree.fresh("rename")
    os.mkdir(a + "/d")
    calls.put(a + "/x", b"value")
    os.rename(a + "/x", a + "/y")
    expect_equal(tree_below(b), ["d/", "y"], "after a move within")
    os.rename(b + "/y", b + "/d/z")
    expect_equal(tree_below(a), ["d/", "d/z"], "after a move across")
    expect_equal(calls.read(b + "/d/z"), b"value")
    expect_equal(calls.errno_of(os.rename, a + "/none", a + "/x"), "ENOENT")
    expect_equal(calls.errno_of(os.rename, a + "/d/z", a + "/none/x"), "ENOENT")
    os.rename(a + "/d/z", a + "/d/z")
    expect_equal(calls.read(b + "/d/z"), b"value", "after a rename onto itself")


@test(limit=60, plain=True)
def rename_over_a_file_replaces_it_at_one_moment(tree):
    """The name is never missing and never holds anything but whole values."""
    a, b = tree.fresh("replace")
    calls.put(a + "/target", b"0" * 4000)
    end = time.monotonic() + 2

    def replace():
        number = 0
        while time.monotonic() < end:
            number += 1
            calls.put(a + "/new", b"%d" % (number % 10) * 4000)
            os.rename(a + "/new", a + "/target")
    child = calls.in_child(replace)
    reads = 0
    while time.monotonic() < end:
        value = calls.read((a, b)[reads % 2] + "/target")
        expect(len(value) == 4000 and len(set(value)) == 1, "read %s" % tap.short(value, 80))
        reads += 1
    expect_equal(calls.join(child), 0, "writers that failed")


@test()
def rename_is_one_revision(tree):
    a, b = tree.fresh("one revision")
    calls.put(a + "/x", b"x")
    calls.put(a + "/y", b"y")
    os.mkdir(a + "/d")
    for number in range(20):
        calls.put(a + "/d/f%d" % number, b"%d" % number)
    start = calls.revision(tree.a)
    os.rename(a + "/x", a + "/y")
    expect_equal(calls.revision(tree.b), start + 1, "revision after a rename over a file")
    os.rename(a + "/d", a + "/e")
    expect_equal(calls.revision(tree.b), start + 2, "revision after the rename of a directory of 20")
    expect_equal(sorted(os.listdir(b + "/e")), sorted("f%d" % n for n in range(20)), "entries")
    expect_equal(calls.read(b + "/e/f7"), b"7")
    expect_equal(calls.attribute(b + "/e/f7", "key"), "/one revision/e/f7", "key")


@test(plain=True)
def rename_noreplace_refuses_an_existing_target(tree):
    a, b = tree.fresh("noreplace")
    calls.put(a + "/x", b"x")
    calls.put(a + "/y", b"y")
    expect_equal(calls.errno_of(calls.rename2, a + "/x", b + "/y" if tree.node is None else a + "/y",
                                calls.RENAME_NOREPLACE), "EEXIST")
    expect_equal((calls.read(b + "/x"), calls.read(b + "/y")), (b"x", b"y"), "both files")
    calls.rename2(a + "/x", a + "/z", calls.RENAME_NOREPLACE)
    expect_equal(tree_below(b), ["y", "z"], "entries")


@test(plain=True)
def rename_exchange_swaps(tree):
    a, b = tree.fresh("exchange")
    calls.put(a + "/x", b"x")
    calls.put(a + "/y", b"yy")
    calls.rename2(a + "/x", a + "/y", calls.RENAME_EXCHANGE)
    expect_equal((calls.read(b + "/x"), calls.read(b + "/y")), (b"yy", b"x"), "both files")
    expect_equal(calls.errno_of(calls.rename2, a + "/x", a + "/none", calls.RENAME_EXCHANGE), "ENOENT")
    os.makedirs(a + "/d/deep")
    calls.put(a + "/d/deep/f", b"f")
    calls.rename2(a + "/d", a + "/x", calls.RENAME_EXCHANGE)
    expect_equal(tree_below(b), ["d", "x/", "x/deep/", "x/deep/f", "y"], "a file against a directory")
    expect_equal(calls.read(b + "/d"), b"yy")
    os.mkdir(a + "/e")
    calls.rename2(a + "/x", a + "/e", calls.RENAME_EXCHANGE)
    expect_equal(tree_below(b), ["d", "e/", "e/deep/", "e/deep/f", "x/", "y"], "two directories")


@test(plain=True)
def a_directory_moves_with_all_below_it(tree):
    a, b = tree.fresh("move directory")
    os.makedirs(a + "/d/one/two")
    os.mkdir(a + "/d/empty")
    calls.put(a + "/d/f", b"f")
    calls.put(a + "/d/one/two/g", b"g")
    calls.put(a + "/dx", b"a name that begins alike stays")
    os.rename(a + "/d", a + "/e")
    expect_equal(tree_below(b), ["dx", "e/", "e/empty/", "e/f", "e/one/", "e/one/two/", "e/one/two/g"])
    expect_equal(calls.read(b + "/e/one/two/g"), b"g")
    os.mkdir(a + "/target")
    os.rename(b + "/e", b + "/target")
    expect_equal(sorted(os.listdir(a)), ["dx", "target"], "onto an empty directory")
    os.makedirs(a + "/full/x")
    expect_equal(calls.errno_of(os.rename, a + "/target", a + "/full"), "ENOTEMPTY", "onto a full one")
    expect_equal(calls.errno_of(os.rename, a + "/target", a + "/dx"), "ENOTDIR", "onto a file")
    expect_equal(calls.errno_of(os.rename, a + "/dx", a + "/target"), "EISDIR", "a file onto a directory")
    expect_equal(calls.errno_of(os.rename, a + "/target", a + "/target/one/x"), "EINVAL", "into itself")


@test()
def an_open_file_survives_the_move_of_its_directory(tree):
    a, b = tree.fresh("open in moved")
    os.mkdir(a + "/d")
    calls.put(a + "/d/f", b"1")
    fd = os.open(a + "/d/f", os.O_RDWR)
    os.rename(a + "/d", a + "/e")
    os.pwrite(fd, b"2", 0)
    os.close(fd)
    expect_equal(calls.read(b + "/e/f"), b"2")
    expect_equal(calls.errno_of(os.stat, b + "/d"), "ENOENT")


@test(limit=90, needs=["mv"])
def a_directory_beyond_one_transaction_is_exdev_and_mv_copies(tree):
    """A transaction holds 128 operations; half a move must never be seen."""
    a, b = tree.fresh("large move")
    os.mkdir(a + "/d")
    for number in range(400):
        calls.put(a + "/d/f%d" % number, b"%d" % number)
    outcome = calls.errno_of(os.rename, a + "/d", a + "/e")
    expect(outcome in ("EXDEV", "ok"), "rename gives %s" % outcome)
    if outcome == "EXDEV":
        expect_equal(calls.errno_of(os.stat, b + "/e"), "ENOENT", "nothing was moved")
        expect_equal(len(os.listdir(b + "/d")), 400, "entries that stayed")
        subprocess.run(["mv", "d", "e"], cwd=a, check=True, timeout=60)
    expect_equal(sorted(os.listdir(b)), ["e"], "directories")
    expect_equal(sorted(os.listdir(b + "/e")), sorted("f%d" % n for n in range(400)), "entries")
    expect_equal(calls.read(b + "/e/f399"), b"399")


@test(plain=True)
def unlink_removes_a_name_and_only_that(tree):
    a, b = tree.fresh("unlink")
    for name in ("x", "x.y", "x0", "xx"):
        calls.put(a + "/" + name, b"v")
    os.unlink(b + "/x")
    expect_equal(sorted(os.listdir(a)), ["x.y", "x0", "xx"], "entries")
    expect_equal(calls.errno_of(os.unlink, a + "/x"), "ENOENT", "once more")


@test(plain=True)
def names_that_begin_alike_are_told_apart(tree):
    """`/` sorts between `.` and `0`: a listing that skips a subtree by adding
    something to a name easily skips or doubles its neighbours."""
    a, b = tree.fresh("alike")
    wanted = []
    for name in ("d", "d!", "d-", "d.", "d0", "d\x7f", "dd", "d d", "d\xff"):
        os.mkdir(a + "/" + name)
        calls.put(a + "/" + name + "/f", b"v")
        wanted.append(name)
    for name in ("d.x", "d0x", "c", "e", "d,", "d~"):
        calls.put(a + "/" + name, b"v")
        wanted.append(name)
    expect_equal(sorted(os.listdir(b)), sorted(wanted), "entries")
    for name in wanted[:9]:
        expect_equal(os.listdir(b + "/" + name), ["f"], "entries of %r" % name)
    os.unlink(a + "/d/f")
    os.rmdir(a + "/d")
    expect_equal(sorted(os.listdir(b)), sorted(wanted[1:]), "entries without d")


@test(limit=60, plain=True)
def rm_r_and_deep_trees_work(tree):
    a, b = tree.fresh("deep")
    path = a
    for depth in range(40):
        path += "/level%d" % depth
        os.mkdir(path)
        calls.put(path + "/f", b"%d" % depth)
    expect_equal(calls.read(path.replace(a, b, 1) + "/f"), b"39")
    subprocess.run(["rm", "-r", a + "/level0"], check=True, timeout=30)
    expect_equal(os.listdir(b), [], "entries")


@test(limit=60, plain=True)
def a_directory_removed_while_in_use_gives_errors_and_no_ghost(tree):
    """rm -rf on one side while the other creates below: nothing may reappear
    without its directory."""
    a, b = tree.fresh("ghost")
    os.mkdir(a + "/d")
    fd = os.open(b + "/d", os.O_RDONLY | os.O_DIRECTORY)
    os.rmdir(a + "/d")
    outcome = calls.errno_of(lambda: os.close(os.open("f", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd)))
    expect(outcome in ("ENOENT", "ESTALE"), "create in a removed directory gives %s" % outcome)
    os.close(fd)
    time.sleep(0.1)
    expect_equal(os.listdir(b), [], "entries")


@test(limit=60)
def a_file_opened_in_a_directory_that_is_removed_is_not_published(tree):
    """Without O_EXCL a create commits only at publication: by then rmdir on the
    other mount may have succeeded, and the file must not come out of nowhere
    silently: either the close fails, or the directory is back with the file."""
    a, b = tree.fresh("late")
    os.mkdir(a + "/d")
    fd = os.open(a + "/d/f", os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(fd, b"v")
    removed = calls.errno_of(os.rmdir, b + "/d")
    closed = calls.errno_of(os.close, fd)
    there = calls.read_or_none(b + "/d/f")
    expect_equal(there, b"v" if closed == "ok" else None,
                 "the file (rmdir %s, close %s)" % (removed, closed))


if __name__ == "__main__":
    tap.main(__doc__, lambda options: rig.TwoMounts())
