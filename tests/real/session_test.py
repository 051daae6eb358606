#!/usr/bin/env python3
"""The session that the product promises to a person at a shell, line by line:
everything here is an unmodified program."""

import os
import re
import signal
import subprocess
import time

import calls
import rig
import tap
from tap import expect, expect_equal, test


def shell(command, cwd, status=0):
    """Runs a line of the session; its standard output."""
    done = subprocess.run(["bash", "-c", command], cwd=cwd, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=20 * tap.SLOW)
    tap.expect(done.returncode == status, "%s: exit status %d, wanted %d\n%s%s" % (
        command, done.returncode, status, done.stdout.decode(), done.stderr.decode()))
    return done.stdout.decode()


@test()
def the_root_is_an_empty_directory_at_first(tree):
    expect_equal(os.listdir(tree.a), [], "listing")
    expect_equal(shell("ls -A .", tree.a), "")


@test()
def mkdir_p_and_echo_make_a_key_and_cat_reads_it_on_both_mounts(tree):
    shell("mkdir -p config/app && echo 30s > config/app/timeout", tree.a)
    expect_equal(shell("cat config/app/timeout", tree.a), "30s\n")
    expect_equal(shell("cat config/app/timeout", tree.b), "30s\n")


@test(needs=["getfattr"])
def getfattr_d_shows_the_revisions_and_the_key(tree):
    text = shell("getfattr -d config/app/timeout", tree.a)
    lines = text.strip().splitlines()
    expect_equal(lines[0], "# file: config/app/timeout", "first line")
    values = dict(re.fullmatch(r'user\.keelfs\.(\w+)="(.*)"', line).groups() for line in lines[1:])
    expect_equal(sorted(values), ["create_revision", "key", "mod_revision", "version"], "names")
    expect_equal(values["key"], "/config/app/timeout", "key")
    expect_equal(values["version"], "1", "version")
    expect_equal(values["create_revision"], values["mod_revision"], "mod_revision")
    expect(int(values["create_revision"]) >= 2, "etcd's revisions begin at 1, the first write is 2")
    shell("echo 40s > config/app/timeout", tree.b)
    after = shell("getfattr -d config/app/timeout", tree.a)
    expect('version="2"' in after, "version after a second write: %s" % after)
    expect('create_revision="%s"' % values["create_revision"] in after, "same life: %s" % after)
    expect('mod_revision="%d"' % (int(values["mod_revision"]) + 1) in after, "one revision: %s" % after)


@test(needs=["getfattr"])
def getfattr_on_the_root_shows_the_state_of_the_store(tree):
    text = shell("getfattr -d .", tree.a)
    for name in ("revision", "compact_revision", "cluster_id", "member_id", "leader", "raft_term"):
        expect("user.keelfs.%s=" % name in text, "%s is missing in:\n%s" % (name, text))


@test()
def ls_lR_lists_the_tree(tree):
    shell("mkdir -p config/db && echo -n x > config/db/host", tree.a)
    text = shell("ls -lR .", tree.a)
    for line in (".:", "./config:", "./config/app:", "./config/db:"):
        expect(line in text.splitlines(), "%s is missing in:\n%s" % (line, text))
    expect(re.search(r"^-rw-r--r--\s+1 \S+ \S+\s+4 .* timeout$", text, re.M), "timeout's line in:\n" + text)
    expect(re.search(r"^-rw-r--r--\s+1 \S+ \S+\s+1 .* host$", text, re.M), "host's line in:\n" + text)
    expect(re.search(r"^drwxr-xr-x\s+1 .* app$", text, re.M), "app's line in:\n" + text)
    expect_equal(shell("ls -lR .", tree.b), text, "the other mount's listing")


@test()
def stat_shows_size_kind_and_a_recent_time(tree):
    text = shell("stat config/app/timeout", tree.a)
    expect("Size: 4" in text and "regular file" in text and "Links: 1" in text, text)
    changed = os.stat(os.path.join(tree.a, "config/app/timeout")).st_mtime
    expect(abs(time.time() - changed) < 3600, "mtime is the commit time, not %s" % changed)


@test()
def df_answers_with_sizes(tree):
    lines = shell("df -P .", tree.a).splitlines()
    expect_equal(len(lines), 2, "lines of df")
    blocks, used, free = (int(n) for n in lines[1].split()[1:4])
    expect(blocks > 0 and used >= 0 and free > 0 and used + free <= blocks + 1, lines[1])
    expect(lines[1].endswith(" " + tree.a), "mount point in: " + lines[1])


@test(limit=60, needs=["inotifywait"])
def inotifywait_m_r_sees_what_another_mount_changes(tree):
    """inotifywait is a stock program on B; every change is made through A."""
    log = os.path.join(tree.node.base, "inotifywait.log")
    with open(log, "wb") as out:
        watcher = subprocess.Popen(
            ["inotifywait", "-m", "-r", "--format", "%w %e %f", "config"],
            cwd=tree.b, stdout=out, stderr=subprocess.STDOUT)
    try:
        tap.wait_until(lambda: b"Watches established" in open(log, "rb").read(), 10,
                       "inotifywait's watches")
        shell("echo 50s > config/app/timeout", tree.a)
        shell("echo new > config/app/fresh", tree.a)
        shell("mv config/app/fresh config/app/renamed", tree.a)
        shell("rm config/app/renamed", tree.a)
        shell("mkdir config/made", tree.a)
        shell("rmdir config/made", tree.a)
        wanted = [
            "config/app/ MODIFY timeout", "config/app/ CLOSE_WRITE,CLOSE timeout",
            "config/app/ CREATE fresh", "config/app/ MODIFY fresh",
            "config/app/ CLOSE_WRITE,CLOSE fresh",
            "config/app/ MOVED_FROM fresh", "config/app/ MOVED_TO renamed",
            "config/app/ DELETE renamed",
            "config/ CREATE,ISDIR made", "config/ DELETE,ISDIR made",
        ]

        def seen_in_order():
            lines = iter(open(log).read().splitlines())
            return all(any(line == want for line in lines) for want in wanted)
        try:
            tap.wait_until(seen_in_order, 10, "the events in order")
        except tap.Failure as failure:
            raise tap.Failure("%s\nwanted, in this order:\n%s\nseen:\n%s" % (
                failure, "\n".join(wanted), open(log).read()))
    finally:
        watcher.send_signal(signal.SIGTERM)
        watcher.wait(10)


@test()
def rm_r_takes_a_tree_away_everywhere(tree):
    shell("rm -r config", tree.a)
    expect_equal(os.listdir(tree.a), [], "A's listing")
    expect_equal(os.listdir(tree.b), [], "B's listing")
    expect_equal(calls.errno_of(os.stat, os.path.join(tree.b, "config/app/timeout")), "ENOENT")


@test(limit=60)
def what_was_written_is_there_after_a_clean_restart(tree):
    """The node is started anew on the same data: values, revisions, times."""
    own = rig.Node(base=os.path.join(tree.node.base, "second"), mounts=("m",))
    try:
        own.start()
        root = own.mounts[0]
        shell("mkdir -p d/empty && echo kept > d/f && echo more >> d/f", root)
        before = os.stat(root + "/d/f")
        revision = calls.revision(root)
        version = calls.attribute(root + "/d/f", "version")
        expect_equal(own.stop(), 0, "exit status")
        expect_equal(rig.mounts_at(root), [], "mounts left by a clean stop")
        own.start()
        after = os.stat(root + "/d/f")
        expect_equal(calls.read(root + "/d/f"), b"kept\nmore\n")
        expect_equal(os.listdir(root + "/d/empty"), [])
        expect_equal(calls.revision(root), revision, "revision")
        expect_equal(calls.attribute(root + "/d/f", "version"), version, "version")
        expect_equal((after.st_mtime_ns, after.st_ino), (before.st_mtime_ns, before.st_ino), "mtime, inode")
        expect_equal(own.stop(), 0, "exit status")
    finally:
        own.close()


if __name__ == "__main__":
    tap.main(__doc__, lambda options: rig.TwoMounts())
