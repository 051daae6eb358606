#!/usr/bin/env python3
"""filesystem.md section 4: when what was written becomes visible, and how."""

import os
import subprocess
import time

import calls
import rig
import tap
from tap import expect, expect_equal, test

IDLE = 1.0  # publish_idle's default


@test()
def nothing_is_visible_before_close_and_all_is_after_it(tree):
    """Readers on both mounts see the old value until the close, which is one
    revision."""
    a, b = tree.fresh("close")
    calls.put(a + "/f", b"old")
    before = calls.revision(tree.a)
    fd = os.open(a + "/f", os.O_WRONLY | os.O_TRUNC)
    started = time.monotonic()
    expect_equal(calls.read(b + "/f"), b"old", "B after the truncating open")
    os.write(fd, b"n" * 5000)
    os.write(fd, b"ew")
    seen = calls.read(b + "/f"), calls.read(a + "/f"), calls.revision(tree.a)
    if time.monotonic() - started < IDLE * 0.9:
        expect_equal(seen, (b"old", b"old", before), "A, B and the revision before the close")
    os.close(fd)
    expect_equal(calls.read(b + "/f"), b"n" * 5000 + b"ew", "B after the close")
    expect_equal(calls.read(a + "/f"), b"n" * 5000 + b"ew", "A after the close")
    expect_equal(calls.revision(tree.a), before + 1, "revisions")


@test()
def fsync_and_fdatasync_publish(tree):
    a, b = tree.fresh("fsync")
    fd = os.open(a + "/f", os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(fd, b"one")
    os.fsync(fd)
    expect_equal(calls.read(b + "/f"), b"one", "after fsync")
    os.write(fd, b"two")
    os.fdatasync(fd)
    expect_equal(calls.read(b + "/f"), b"onetwo", "after fdatasync")
    revision = calls.revision(tree.a)
    os.fsync(fd)
    os.close(fd)
    expect_equal(calls.revision(tree.a), revision, "nothing new to publish: no revision")


@test()
def a_handle_opened_with_o_sync_publishes_every_write(tree):
    a, b = tree.fresh("osync")
    for flag in (os.O_SYNC, os.O_DSYNC):
        fd = os.open(a + "/f%d" % flag, os.O_WRONLY | os.O_CREAT | flag, 0o644)
        for piece, wanted in ((b"x", b"x"), (b"yy", b"xyy"), (b"z" * 70000, b"xyy" + b"z" * 70000)):
            os.write(fd, piece)
            expect_equal(calls.read(b + "/f%d" % flag), wanted, "after a write of %d" % len(piece))
        os.close(fd)


@test()
def a_shell_redirection_never_shows_an_empty_or_partial_value(tree):
    """`> f` duplicates the descriptor and closes the first copy before anything
    is written; each command that inherits it closes it too."""
    a, b = tree.fresh("redirect")
    calls.put(a + "/f", b"0\n0\n0\n")
    stop = time.monotonic() + 4
    child = subprocess.Popen(["bash", "-c", """
        for i in 1 2 3 4 5 6 7 8 9 10; do
            { echo $i; /bin/echo $i; (echo $i); } > f
        done"""], cwd=a)
    seen = set()
    try:
        while child.poll() is None and time.monotonic() < stop:
            seen.add(calls.read(b + "/f"))
    finally:
        child.wait(20)
    seen.add(calls.read(b + "/f"))
    expect_equal(child.returncode, 0, "exit status")
    whole = {b"%d\n%d\n%d\n" % (n, n, n) for n in range(11)}
    expect(seen <= whole, "a partial value was seen: %r" % sorted(seen - whole))
    expect(b"10\n10\n10\n" in seen, "the last value is there: %r" % seen)


@test()
def a_bare_truncation_is_published_on_the_last_close(tree):
    """`: > f` writes nothing, so no close by the opener publishes."""
    a, b = tree.fresh("colon")
    calls.put(a + "/f", b"something")
    subprocess.run(["sh", "-c", ": > f"], cwd=a, check=True, timeout=10)
    expect_equal(calls.read(a + "/f"), b"", "on this mount an open waits for it")
    tap.wait_until(lambda: calls.read(b + "/f") == b"", 2, "the empty value on B")
    subprocess.run(["sh", "-c", ": > made"], cwd=a, check=True, timeout=10)
    tap.wait_until(lambda: calls.read_or_none(b + "/made") == b"", 2, "the new empty file on B")


@test(plain=True)
def an_inherited_descriptor_publishes_on_the_last_close(tree):
    """Closes by children that inherited a descriptor publish nothing: their
    data is whole only when the last copy is closed."""
    a, b = tree.fresh("inherited")
    calls.put(a + "/f", b"old")
    fd = os.open(a + "/f", os.O_WRONLY | os.O_TRUNC)
    release, hold = os.pipe()

    def child_writes():
        os.close(hold)
        os.write(fd, b"by the child, ")
        os.read(release, 1)
        os.write(fd, b"all of it")
        os.close(fd)
    child = calls.in_child(child_writes)
    os.close(fd)  # by the opener, with nothing written by then or a part
    time.sleep(0.15)
    early = calls.read(b + "/f")
    expect(early in (b"old", b"by the child, "), "before the last close: %r" % early)
    os.close(hold)
    expect_equal(calls.join(child), 0, "children that failed")
    tap.wait_until(lambda: calls.read(b + "/f") == b"by the child, all of it", 2, "the whole value on B")
    expect_equal(calls.read(a + "/f"), b"by the child, all of it", "on this mount")


@test()
def a_childs_close_does_not_publish_while_the_opener_holds_the_file(tree):
    a, b = tree.fresh("child closes")
    calls.put(a + "/f", b"old")
    fd = os.open(a + "/f", os.O_WRONLY | os.O_TRUNC)

    def child_writes():
        os.write(fd, b"a part")
        os.close(fd)
    started = time.monotonic()
    expect_equal(calls.join(calls.in_child(child_writes)), 0, "children that failed")
    seen = calls.read(b + "/f")
    if time.monotonic() - started < IDLE * 0.9:
        expect_equal(seen, b"old", "B after the child's close")
    os.write(fd, b" and the rest")
    os.close(fd)
    expect_equal(calls.read(b + "/f"), b"a part and the rest", "B after the opener's close")


@test()
def a_long_lived_writers_lines_appear_after_an_idle_second(tree):
    a, b = tree.fresh("idle")
    fd = os.open(a + "/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        for number in range(2):
            os.write(fd, b"line %d\n" % number)
            wanted = b"".join(b"line %d\n" % n for n in range(number + 1))
            tap.wait_until(lambda: calls.read_or_none(b + "/log") == wanted, IDLE + 1.5, "line %d on B" % number)
    finally:
        os.close(fd)


@test()
def publish_idle_0_turns_that_off(tree):
    node = rig.Node(base=tree.node.base + "/idle0", mounts=("a", "b"), mount_options="publish_idle=0")
    try:
        node.start()
        a, b = node.mounts
        fd = os.open(a + "/f", os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(fd, b"waits")
        time.sleep(IDLE + 0.7)
        expect_equal(calls.read_or_none(b + "/f"), None, "B without a close")
        os.close(fd)
        expect_equal(calls.read(b + "/f"), b"waits", "B after the close")
        node.stop()
    finally:
        node.close()


@test(plain=True)
def two_writers_of_different_ranges_both_survive(tree):
    """Without O_TRUNC only the touched bytes are published, onto the value as
    it is then."""
    a, b = tree.fresh("ranges")
    calls.put(a + "/f", b"." * 20)
    first = os.open(a + "/f", os.O_WRONLY)
    second = os.open(b + "/f", os.O_WRONLY)
    os.pwrite(first, b"AAAA", 2)
    os.pwrite(second, b"BBBB", 10)
    os.close(first)
    os.close(second)
    expect_equal(calls.read(a + "/f"), b"..AAAA....BBBB......")
    expect_equal(calls.read(b + "/f"), b"..AAAA....BBBB......")


@test(plain=True)
def a_handle_reads_what_it_wrote_itself(tree):
    a, _ = tree.fresh("own writes")
    calls.put(a + "/f", b"0123456789")
    fd = os.open(a + "/f", os.O_RDWR)
    os.pwrite(fd, b"xy", 3)
    expect_equal(os.pread(fd, 100, 0), b"012xy56789", "before the close")
    os.pwrite(fd, b"end", 15)
    expect_equal(os.pread(fd, 100, 0), b"012xy56789\0\0\0\0\0end", "with a hole")
    expect_equal(os.fstat(fd).st_size, 18, "fstat's size")
    os.close(fd)
    expect_equal(calls.read(a + "/f"), b"012xy56789\0\0\0\0\0end", "after the close")


@test(limit=90, plain=True)
def lines_appended_from_many_processes_are_all_there(tree):
    """A log that loses or tears a line under concurrency is no log.  Half of
    the writers open for each line, half keep the file open."""
    a, b = tree.fresh("append")
    lines_each, writers = 60, 8

    def write_lines(which):
        path = ((a, b)[which % 2]) + "/log"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        keep = os.open(path, flags, 0o644) if which % 4 < 2 else None
        for number in range(lines_each):
            line = b"writer %d line %d %s\n" % (which, number, b"x" * (number * 13 % 300))
            fd = keep if keep is not None else os.open(path, flags, 0o644)
            expect_equal(os.write(fd, line), len(line), "written")
            if keep is None:
                os.close(fd)
            elif number % 5 == 4:
                os.fsync(fd)
        if keep is not None:
            os.close(keep)
    expect_equal(calls.join(*[calls.in_child(write_lines, n) for n in range(writers)]), 0, "writers that failed")
    lines = calls.read(a + "/log").split(b"\n")
    expect_equal(lines.pop(), b"", "after the last newline")
    for which in range(writers):
        mine = [l for l in lines if l.startswith(b"writer %d " % which)]
        wanted = [b"writer %d line %d %s" % (which, n, b"x" * (n * 13 % 300)) for n in range(lines_each)]
        expect_equal(mine, wanted, "writer %d's lines" % which)
    expect_equal(len(lines), lines_each * writers, "lines")
    expect_equal(calls.read(b + "/log"), calls.read(a + "/log"), "B's view")


@test(limit=60, plain=True)
def o_excl_has_one_winner_over_two_mounts(tree):
    a, b = tree.fresh("excl")
    names = 40

    def race(which):
        for number in range(names):
            path = (a, b)[which % 2] + "/lock%d" % number
            try:
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            except FileExistsError:
                continue
            os.write(fd, b"%d\n" % which)
            os.close(fd)
            fd = os.open(a + "/won%d" % which, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.write(fd, b"%d\n" % number)
            os.close(fd)
    expect_equal(calls.join(*[calls.in_child(race, n) for n in range(6)]), 0, "racers that failed")
    won = []
    for which in range(6):
        for line in (calls.read_or_none(a + "/won%d" % which) or b"").split():
            won.append(int(line))
            expect_equal(calls.read(b + "/lock%d" % int(line)), b"%d\n" % which, "the winner's value")
    expect_equal(sorted(won), list(range(names)), "names won, each once")


@test()
def o_excl_creates_at_once_and_plain_create_at_publication(tree):
    a, b = tree.fresh("creates")
    fd = os.open(a + "/excl", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    expect_equal(calls.errno_of(os.open, b + "/excl", os.O_WRONLY | os.O_CREAT | os.O_EXCL), "EEXIST")
    os.close(fd)
    started = time.monotonic()
    fd = os.open(a + "/plain", os.O_WRONLY | os.O_CREAT, 0o644)
    expect_equal(calls.errno_of(os.stat, a + "/plain"), "ok", "stat on this mount")
    expect("plain" in os.listdir(a), "listed on this mount")
    there = calls.read_or_none(b + "/plain")
    if time.monotonic() - started < IDLE * 0.9:
        expect_equal(there, None, "on the other mount before publication")
    os.write(fd, b"v")
    os.close(fd)
    expect_equal(calls.read(b + "/plain"), b"v", "on the other mount after it")


@test(plain=True)
def truncate_and_ftruncate_cut_and_extend_with_zeros(tree):
    a, b = tree.fresh("truncate")
    calls.put(a + "/f", b"0123456789")
    os.truncate(a + "/f", 4)
    expect_equal(calls.read(b + "/f"), b"0123", "cut")
    os.truncate(a + "/f", 8)
    expect_equal(calls.read(b + "/f"), b"0123\0\0\0\0", "extended")
    fd = os.open(a + "/f", os.O_RDWR)
    os.ftruncate(fd, 2)
    expect_equal(os.fstat(fd).st_size, 2, "fstat after ftruncate")
    os.pwrite(fd, b"Z", 5)
    os.close(fd)
    expect_equal(calls.read(b + "/f"), b"01\0\0\0Z", "ftruncate and a write behind the end")
    os.truncate(a + "/f", 0)
    expect_equal(calls.read(b + "/f"), b"", "cut to nothing")
    expect_equal(calls.errno_of(os.truncate, a + "/none", 1), "ENOENT")
    expect_equal(calls.errno_of(os.truncate, a, 1), "EISDIR")


@test(plain=True)
def fallocate_extends_and_keep_size_does_not(tree):
    a, b = tree.fresh("fallocate")
    fd = os.open(a + "/f", os.O_RDWR | os.O_CREAT, 0o644)
    os.write(fd, b"abc")
    calls.fallocate(fd, calls.FALLOC_FL_KEEP_SIZE, 0, 5000)
    expect_equal(os.fstat(fd).st_size, 3, "size after KEEP_SIZE")
    calls.fallocate(fd, 0, 0, 10)
    os.close(fd)
    expect_equal(calls.read(b + "/f"), b"abc" + b"\0" * 7)
    fd = os.open(a + "/f", os.O_RDWR)
    calls.fallocate(fd, calls.FALLOC_FL_KEEP_SIZE | calls.FALLOC_FL_PUNCH_HOLE, 1, 1)
    os.close(fd)
    expect_equal(calls.read(b + "/f"), b"a\0c" + b"\0" * 7, "after a punched hole")


@test(plain=True)
def holes_read_as_zeros(tree):
    a, b = tree.fresh("holes")
    fd = os.open(a + "/f", os.O_WRONLY | os.O_CREAT, 0o644)
    os.pwrite(fd, b"end", 300000)
    os.pwrite(fd, b"mid", 1000)
    os.close(fd)
    value = calls.read(b + "/f")
    expect_equal(len(value), 300003, "size")
    expect_equal(value.strip(b"\0"), b"mid" + b"\0" * 298997 + b"end")


@test()
def the_largest_value_fits_and_a_write_beyond_is_efbig(tree):
    """EFBIG comes at the write that crosses the limit, not at the close."""
    a, b = tree.fresh("large")
    value = os.urandom(1400 * 1024)
    calls.put(a + "/f", value)
    expect_equal(calls.read(b + "/f") == value, True, "1400 KiB come back")
    fd = os.open(a + "/big", os.O_WRONLY | os.O_CREAT, 0o644)
    failed = None
    try:
        for _ in range(40):
            os.write(fd, b"x" * 65536)
    except OSError as error:
        failed = error.errno
    expect_equal(failed, 27, "errno of the write that crosses 1.5 MiB (EFBIG)")
    os.close(fd)
    expect_equal(calls.errno_of(os.truncate, a + "/f", 1600 * 1024), "EFBIG", "truncate beyond")
    expect_equal(os.stat(b + "/f").st_size, len(value), "size after the refused truncate")
    fd = os.open(a + "/f", os.O_WRONLY)
    expect_equal(calls.errno_of(os.pwrite, fd, b"x", 1 << 30), "EFBIG", "a write far behind the end")
    os.close(fd)
    expect_equal(calls.read(b + "/f") == value, True, "the value afterwards")


@test()
def an_error_at_close_is_reported_to_the_closer(tree):
    """On a read-only mount nobody may believe that something was written."""
    node = rig.Node(base=tree.node.base + "/ro", mounts=("m",), mount_options="ro")
    try:
        node.start()
        errors = {calls.errno_of(calls.put, node.mounts[0] + "/f", b"v"),
                  calls.errno_of(os.mkdir, node.mounts[0] + "/d")}
        expect_equal(errors, {"EROFS"}, "errors")
        expect_equal(os.listdir(node.mounts[0]), [], "entries")
        node.stop()
    finally:
        node.close()


@test()
def each_close_that_published_is_one_revision_and_none_otherwise(tree):
    a, b = tree.fresh("count")
    calls.put(a + "/f", b"0")
    start = calls.revision(tree.a)
    for number in range(20):
        calls.put(((a, b)[number % 2]) + "/f", b"%d" % number)
    expect_equal(calls.revision(tree.b), start + 20, "revision after 20 writes")
    for _ in range(5):
        calls.read(a + "/f")
        os.close(os.open(a + "/f", os.O_RDWR))
        os.stat(b + "/f")
        os.listdir(a)
    expect_equal(calls.revision(tree.b), start + 20, "revision after reads and an idle open for writing")
    expect_equal(calls.attribute(a + "/f", "version"), "21", "version")


@test(plain=True)
def fcntl_may_set_append_after_the_open(tree):
    """The kernel computes offsets from a size that others change: only the
    write's own flags count."""
    import fcntl
    a, b = tree.fresh("setfl")
    calls.put(a + "/f", b"first\n")
    fd = os.open(a + "/f", os.O_WRONLY)
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
    line = os.open(b + "/f", os.O_WRONLY | os.O_APPEND)
    os.write(line, b"from B\n")
    os.close(line)
    os.stat(a + "/f")
    os.write(fd, b"from A\n")
    os.close(fd)
    expect_equal(calls.read(b + "/f"), b"first\nfrom B\nfrom A\n")


@test(limit=60, plain=True)
def a_write_returns_to_its_own_process_at_the_next_open(tree):
    """Also where publication happens at the asynchronous last close."""
    a, _ = tree.fresh("own")
    for number in range(60):
        fd = os.open(a + "/f", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        copy = os.dup(fd)
        os.close(fd)
        if number % 3:
            os.write(copy, b"%d" % number)
        os.close(copy)
        expect_equal(calls.read(a + "/f"), b"%d" % number if number % 3 else b"", "round %d" % number)


@test(plain=True)
def a_file_that_was_unlinked_while_open_can_be_written_and_stays_gone(tree):
    a, b = tree.fresh("unlinked")
    fd = os.open(a + "/f", os.O_RDWR | os.O_CREAT, 0o644)
    os.write(fd, b"before")
    os.unlink(a + "/f")
    os.write(fd, b" after")
    expect_equal(os.pread(fd, 100, 0), b"before after", "through the handle")
    os.close(fd)
    time.sleep(0.1)
    expect_equal(calls.read_or_none(b + "/f"), None, "the name on B")
    expect_equal(calls.read_or_none(a + "/f"), None, "the name on A")


@test(plain=True)
def a_file_that_is_renamed_while_open_is_published_under_its_new_name(tree):
    a, b = tree.fresh("moved")
    calls.put(a + "/old", b"value 1")
    fd = os.open(a + "/old", os.O_WRONLY)
    os.pwrite(fd, b"2", 6)
    os.rename(a + "/old", a + "/new")
    os.close(fd)
    expect_equal(calls.read(b + "/new"), b"value 2")
    expect_equal(calls.read_or_none(b + "/old"), None, "the old name")


if __name__ == "__main__":
    tap.main(__doc__, lambda options: rig.TwoMounts())
