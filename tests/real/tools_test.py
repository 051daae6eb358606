#!/usr/bin/env python3
"""Programs that have never heard of us work on the mount (filesystem.md
section 11): copying, archiving, editing, searching, version control."""

import os
import random
import signal
import subprocess
import time

import calls
import rig
import tap
from tap import expect, expect_equal, test


def shell(command, cwd, status=0, limit=40):
    done = subprocess.run(["bash", "-c", command], cwd=cwd, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=limit * tap.SLOW,
                          env={**os.environ, "LC_ALL": "C", "HOME": "/nonexistent"})
    expect(done.returncode == status, "%s: exit status %d, wanted %d\n%s%s" % (
        command, done.returncode, status, done.stdout.decode("utf-8", "replace")[-1500:],
        done.stderr.decode("utf-8", "replace")[-1500:]))
    return done.stdout.decode("utf-8", "replace")


def sample(where):
    """An ordinary tree to copy: sizes from nothing to several requests."""
    chance = random.Random(7)
    os.makedirs(where + "/sub/deep/er")
    os.makedirs(where + "/sub/empty")
    for number, size in enumerate((0, 1, 100, 4096, 4097, 65536, 131073, 700001)):
        folder = ("", "sub/", "sub/deep/", "sub/deep/er/")[number % 4]
        with open("%s/%sfile-%d" % (where, folder, number), "wb") as f:
            f.write(chance.randbytes(size))
    with open(where + "/text", "w") as f:
        f.write("".join("line %d of the text\n" % n for n in range(500)))
    return where


def outside(tree):
    """A sample tree on an ordinary file system."""
    path = os.path.join(rig.directory(), "sample")
    return sample(path)


def finish(*paths):
    for path in paths:
        rig.clear(os.path.dirname(path))


@test(limit=90, plain=True)
def cp_a_copies_in_and_out(tree):
    a, b = tree.fresh("cp")
    source = outside(tree)
    try:
        shell("cp -a %s %s/copy" % (source, a), "/")
        expect_equal(shell("diff -r %s %s/copy" % (source, b), "/"), "", "differences")
        shell("cp -a %s/copy %s-back && diff -r %s %s-back" % (b, source, source, source), "/")
        shell("cp -a copy second && diff -r copy second", a)
        shell("cp copy/text copy/text2 && cmp copy/text copy/text2", a)
    finally:
        finish(source)


@test(limit=90, plain=True)
def tar_packs_and_unpacks(tree):
    a, b = tree.fresh("tar")
    source = outside(tree)
    try:
        shell("tar -C %s -cf - . | tar -C %s -xf -" % (source, a), "/")
        expect_equal(shell("diff -r %s %s" % (source, b), "/"), "", "differences")
        shell("tar -cf %s/../back.tar . && mkdir %s/../back && tar -C %s/../back -xf %s/../back.tar && "
              "diff -r %s %s/../back" % ((source,) * 6), b)
    finally:
        finish(source)


@test(limit=90, needs=["rsync"], plain=True)
def rsync_copies_updates_and_deletes(tree):
    a, b = tree.fresh("rsync")
    source = outside(tree)
    try:
        shell("rsync -a %s/ %s/" % (source, a), "/")
        expect_equal(shell("diff -r %s %s" % (source, b), "/"), "", "differences")
        shell("echo more >> %s/text; rm %s/file-4; mkdir %s/new" % (source, source, source), "/")
        shell("rsync -a --delete %s/ %s/" % (source, a), "/")
        expect_equal(shell("diff -r %s %s" % (source, b), "/"), "", "differences after an update")
        shell("rsync -a --inplace --checksum %s/ %s/" % (source, a), "/")
        expect_equal(shell("diff -r %s %s" % (source, b), "/"), "", "differences after --inplace")
    finally:
        finish(source)


@test(plain=True)
def sed_i_edits_in_place(tree):
    a, b = tree.fresh("sed")
    calls.put(a + "/f", b"one\ntwo\nthree\n")
    shell("sed -i s/two/2/ f", a)
    expect_equal(calls.read(b + "/f"), b"one\n2\nthree\n")
    expect_equal(os.listdir(b), ["f"], "entries")


@test(limit=60, needs=["vim"], plain=True)
def vim_edits_a_file(tree):
    a, b = tree.fresh("vim")
    calls.put(a + "/f", b"one\ntwo\nthree\n")
    shell("vim -es -u NONE -N -c '%s/two/2/' -c 'wq' f < /dev/null", a)
    expect_equal(calls.read(b + "/f"), b"one\n2\nthree\n")
    shell("vim -es -u NONE -N --cmd 'set backup backupcopy=auto' -c '%s/one/1/' -c 'wq' f < /dev/null", a)
    expect_equal(calls.read(b + "/f"), b"1\n2\nthree\n")
    expect("f" in os.listdir(b) and not [n for n in os.listdir(b) if ".sw" in n], "entries %r" % os.listdir(b))


@test(limit=120, needs=["git"], plain=True)
def git_works_and_fsck_is_clean(tree):
    a, b = tree.fresh("git")
    set_up = ("export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=e GIT_COMMITTER_NAME=n "
              "GIT_COMMITTER_EMAIL=e GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'; ")
    shell(set_up + "git init -q . && seq 1000 > numbers && mkdir d && echo x > d/x && git add . && "
          "git commit -q -m first && echo y >> d/x && git commit -q -a -m second && git gc -q && "
          "git checkout -q -b other HEAD~1 && echo z > z && git add z && git commit -q -m third && "
          "git checkout -q - && git merge -q -m merged other", a, limit=90)
    expect_equal(shell(set_up + "git status --porcelain", a), "", "status")
    shell(set_up + "git fsck --full --strict", a)
    expect_equal(shell(set_up + "git log --oneline | wc -l", b).strip(), "4", "commits seen on B")
    shell(set_up + "git fsck --full --strict && git clone -q . ../git-clone && cd ../git-clone && git fsck", b)


@test(limit=60)
def tail_F_follows_a_file_written_on_the_other_mount(tree):
    a, b = tree.fresh("tail")
    calls.put(a + "/log", b"first\n")
    out = os.path.join(rig.directory(), "out")
    with open(out, "wb") as f:
        child = subprocess.Popen(["tail", "-n", "+1", "-F", b + "/log"], stdout=f, stderr=subprocess.DEVNULL)
    try:
        tap.wait_until(lambda: calls.read(out) == b"first\n", 5, "the first line")
        for number in range(5):
            fd = os.open(a + "/log", os.O_WRONLY | os.O_APPEND)
            os.write(fd, b"line %d\n" % number)
            os.close(fd)
        lines = b"first\n" + b"".join(b"line %d\n" % n for n in range(5))
        tap.wait_until(lambda: calls.read(out) == lines, 8, "five lines appended on A in tail's output")
        os.rename(a + "/log", a + "/log.1")  # as logrotate does
        calls.put(a + "/log", b"rotated\n")
        tap.wait_until(lambda: calls.read(out).endswith(b"rotated\n"), 10, "the line of the new log")
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(10)
        finish(out)


@test(limit=60)
def tail_f_shows_what_is_appended(tree):
    """With its own defaults it reads just as much as fstat says, never more."""
    a, b = tree.fresh("tailf")
    for here in (a, b):
        calls.put(here + "/log", b"first\n")
        out = os.path.join(rig.directory(), "out")
        with open(out, "wb") as f:
            child = subprocess.Popen(["tail", "-f", here + "/log"], stdout=f, stderr=subprocess.DEVNULL)
        try:
            tap.wait_until(lambda: calls.read(out) == b"first\n", 5, "the first line")
            for number in range(3):
                fd = os.open(a + "/log", os.O_WRONLY | os.O_APPEND)
                os.write(fd, b"line %d\n" % number)
                os.close(fd)
            tap.wait_until(lambda: calls.read(out) == b"first\nline 0\nline 1\nline 2\n", 8, "the appended lines")
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait(10)
            finish(out)


@test(limit=60, plain=True)
def find_and_grep_see_the_whole_tree(tree):
    a, b = tree.fresh("find")
    sample(a + "/s")
    expect_equal(shell("find . -type f | wc -l", b).strip(), "9", "files")
    expect_equal(shell("find . -type d | wc -l", b).strip(), "6", "directories")
    expect_equal(shell("find s -name 'file-7' -size +600k", b).strip(), "s/sub/deep/er/file-7")
    expect_equal(shell("find s -type d -empty", b).strip(), "s/sub/empty")
    expect_equal(shell("grep -rl 'line 499 of' .", b).strip(), "./s/text")
    expect_equal(shell("du -s --apparent-size -b s/text | cut -f1", b).strip(),
                 str(os.path.getsize(a + "/s/text")))


@test(limit=60, needs=["make"], plain=True)
def make_builds_what_is_older(tree):
    a, _ = tree.fresh("make")
    calls.put(a + "/Makefile", b"out: in\n\tcat in > out\n\techo built >> log\n")
    calls.put(a + "/in", b"1")
    shell("make && make", a)
    expect_equal(calls.read(a + "/log"), b"built\n", "builds after two runs")
    time.sleep(0.02)
    shell("echo 2 > in && make", a)
    expect_equal((calls.read(a + "/log"), calls.read(a + "/out")), (b"built\nbuilt\n", b"2\n"))


@test(limit=60, plain=True)
def pythons_own_writers_work(tree):
    """Text, binary, with open(..., 'x'), tempfile,
    shutil, os.replace."""
    import shutil
    import tempfile
    a, b = tree.fresh("python")
    with open(a + "/t", "x") as f:
        f.write("text\n" * 1000)
    with open(a + "/t", "a") as f:
        f.write("end\n")
    with open(a + "/t", "r+") as f:
        f.seek(0)
        f.write("TEXT")
    expect_equal(open(b + "/t").read(), "TEXT\n" + "text\n" * 999 + "end\n")
    with tempfile.NamedTemporaryFile(dir=a, delete=False) as f:
        f.write(b"whole")
    os.replace(f.name, a + "/t")
    expect_equal(calls.read(b + "/t"), b"whole")
    shutil.copytree(a, a + "2")
    shutil.rmtree(a + "2")
    expect_equal(os.listdir(b), ["t"], "entries")


@test(limit=60, plain=True)
def dd_and_shell_redirections_of_every_form(tree):
    a, b = tree.fresh("shell")
    shell("echo one > f; echo two >> f; exec 3<> f; echo ONE >&3; exec 3>&-; exec 4>> f; echo four >&4; "
          "echo five >&4; exec 4>&-; dd if=/dev/zero of=z bs=1000 count=7 status=none; "
          "dd if=/dev/zero of=z bs=1 count=1 seek=9999 conv=notrunc status=none; "
          "printf x | tee t > u; yes | head -c 300000 > y; cp f g; : > empty; set -C; ! echo no > f; echo yes >| g", a)
    expect_equal(calls.read(b + "/f"), b"ONE\ntwo\nfour\nfive\n", "f")
    expect_equal(calls.read(b + "/z"), b"\0" * 10000, "z")
    expect_equal((calls.read(b + "/t"), calls.read(b + "/u")), (b"x", b"x"), "t, u")
    expect_equal(calls.read(b + "/y"), b"y\n" * 150000, "y")
    expect_equal(calls.read(b + "/g"), b"yes\n", "g")
    tap.wait_until(lambda: calls.read_or_none(b + "/empty") == b"", 2, "the empty file")


if __name__ == "__main__":
    tap.main(__doc__, lambda options: rig.TwoMounts())
