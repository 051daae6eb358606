#!/usr/bin/env python3
"""Wrong flags, odd data directories, odd mount points: a clear message or it
just works."""

import os
import shutil
import signal
import subprocess
import time

import calls
import rig
import tap
from tap import expect, expect_equal, test


def refused(arguments, words, limit=10):
    """The command must end by itself with an error and say what is wrong."""
    try:
        done = subprocess.run([rig.keelfs()] + arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=limit * tap.SLOW, preexec_fn=rig.die_with_parent)
    except subprocess.TimeoutExpired:
        raise tap.Failure("%s still runs after %g s" % (" ".join(arguments), limit))
    text = (done.stderr + done.stdout).decode("utf-8", "replace")
    shown = "%s: status %d, message:\n%s" % (" ".join(arguments), done.returncode, text[-800:])
    expect(done.returncode > 0, shown)
    for word in words:
        choices = word if isinstance(word, tuple) else (word,)
        expect(any(c.lower() in text.lower() for c in choices), "%r is not in it: %s" % (word, shown))
    expect(len(text) < 4000, "a clear message is short: %d bytes" % len(text))
    return text


@test()
def wrong_flags_are_named(base):
    refused(["server", "--no-such-flag"], ["no-such-flag"])
    refused(["server", "--data-dir"], ["data-dir"])
    refused(["no-such-command"], ["no-such-command"])
    refused(["server", "--data-dir", base + "/d", "--heartbeat-interval", "soon"], ["heartbeat-interval"])
    refused(["server", "--data-dir", base + "/d", "stray"], ["stray"])
    os.mkdir(base + "/m")
    refused(["server", "--data-dir", base + "/d", "--mount", base + "/m", "--mount-options", "nonsense=1"],
            ["nonsense"])
    expect_equal(rig.mounts_at(base + "/m"), [], "mounts left by a refused start")


@test()
def help_and_version_are_there(base):
    for arguments, word in ((["--help"], "server"), (["server", "--help"], "--data-dir"), (["--version"], "0.")):
        done = subprocess.run([rig.keelfs()] + arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=10)
        expect(done.returncode == 0 and word in done.stdout.decode(), "%r: %d %r" % (
            arguments, done.returncode, done.stdout[:300]))


@test()
def a_second_server_on_a_data_directory_is_refused(base):
    node = rig.Node(base=base)
    try:
        node.start()
        os.mkdir(base + "/c")
        refused(["server", "--data-dir", node.data, "--mount", base + "/c"],
                [node.data, ("another process", "in use", "already", "locked")])
        calls.put(node.mounts[0] + "/f", b"unharmed")
        expect_equal(calls.read(node.mounts[1] + "/f"), b"unharmed")
        expect_equal(node.stop(), 0, "exit status of the first")
    finally:
        node.close()


@test()
def a_data_directory_of_something_else_is_refused_and_left_alone(base):
    other = base + "/other"
    os.mkdir(other)
    with open(other + "/letter.txt", "w") as f:
        f.write("dear reader")
    os.mkdir(base + "/m")
    refused(["server", "--data-dir", other, "--mount", base + "/m"], [other])
    expect_equal(os.listdir(other), ["letter.txt"], "what is in it")
    with open(base + "/file", "w") as f:
        f.write("x")
    refused(["server", "--data-dir", base + "/file", "--mount", base + "/m"], [base + "/file"])
    refused(["server", "--data-dir", "/proc/keelfs-data", "--mount", base + "/m"], ["/proc/keelfs-data"])


@test()
def mount_points_that_cannot_be_are_refused(base):
    refused(["server", "--data-dir", base + "/d", "--mount", base + "/missing"], [base + "/missing"])
    with open(base + "/file", "w") as f:
        f.write("x")
    refused(["server", "--data-dir", base + "/d", "--mount", base + "/file"], [base + "/file"])
    expect_equal(calls.read(base + "/file"), b"x", "the file")


@test()
def a_mount_point_where_a_live_node_is_mounted_is_refused(base):
    node = rig.Node(base=base)
    try:
        node.start()
        calls.put(node.mounts[0] + "/f", b"v")
        refused(["server", "--data-dir", base + "/second", "--mount", node.mounts[0]],
                [node.mounts[0], ("busy", "mounted", "in use")])
        expect(not os.path.exists(base + "/second"), "a node was begun before its place was looked at")
        expect_equal(calls.read(node.mounts[0] + "/f"), b"v", "the first node's mount")
        expect_equal(len(rig.mounts_at(node.mounts[0])), 1, "mounts there")
        # A store cannot be kept in a store.
        os.mkdir(base + "/m")
        refused(["server", "--data-dir", node.mounts[0] + "/sub/data", "--mount", base + "/m"],
                [node.mounts[0], "inside a mounted keystore", "put it on a disk"])
        expect_equal(os.listdir(node.mounts[0]), ["f"], "what is in the first node's mount")
        node.stop()
    finally:
        node.close()


@test()
def the_same_mount_point_twice_is_refused(base):
    os.mkdir(base + "/m")
    refused(["server", "--data-dir", base + "/d", "--mount", base + "/m", "--mount", base + "/m"], [base + "/m"])
    expect_equal(rig.mounts_at(base + "/m"), [], "mounts left")


@test()
def a_dead_mount_left_by_a_killed_node_is_replaced(base):
    node = rig.Node(base=base)
    try:
        node.start()
        calls.put(node.mounts[0] + "/f", b"v")
        for _ in range(3):
            node.kill()
            node.start()
            expect_equal(calls.read(node.mounts[1] + "/f"), b"v")
            expect_equal([len(rig.mounts_at(m)) for m in node.mounts], [1, 1], "mounts there")
        node.stop()
    finally:
        node.close()


@test()
def a_dead_mount_that_is_held_open_is_replaced_too(base):
    node = rig.Node(base=base)
    try:
        node.start()
        calls.put(node.mounts[0] + "/f", b"v")
        fd = os.open(node.mounts[0] + "/f", os.O_RDONLY)
        folder = os.open(node.mounts[0], os.O_RDONLY | os.O_DIRECTORY)
        node.kill()
        node.start()
        expect_equal(calls.read(node.mounts[0] + "/f"), b"v", "through the new mount")
        expect_equal(calls.errno_of(os.pread, fd, 1, 0), "ENOTCONN", "through the old handle")
        os.close(fd)
        os.close(folder)
        node.stop()
    finally:
        node.close()


@test()
def paths_inside_ones_own_mount_are_refused(base):
    """The node would wait for itself."""
    os.makedirs(base + "/m/sub")
    os.makedirs(base + "/elsewhere")
    refused(["server", "--data-dir", base + "/m/data", "--mount", base + "/m"], [base + "/m"])
    os.symlink(base + "/m/sub", base + "/link")
    refused(["server", "--data-dir", base + "/link/data", "--mount", base + "/m"], [base + "/m"])
    done = subprocess.run([rig.keelfs(), "server", "--data-dir", base + "/d", "--mount", base + "/m"],
                          cwd=base + "/m/sub", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=10, preexec_fn=rig.die_with_parent)
    expect(done.returncode > 0 and b"working directory" in done.stdout.lower(),
           "working directory inside the mount: %d %r" % (done.returncode, done.stdout[-500:]))
    expect_equal(rig.mounts_at(base + "/m"), [], "mounts left")


@test()
def a_mount_over_a_directory_that_is_not_empty_hides_it_and_gives_it_back(base):
    os.mkdir(base + "/a")
    with open(base + "/a/below", "w") as f:
        f.write("x")
    node = rig.Node(base=base, mounts=("a",))
    try:
        node.start()
        expect_equal(os.listdir(base + "/a"), [], "entries of the mount")
        node.stop()
        expect_equal(os.listdir(base + "/a"), ["below"], "entries after the stop")
    finally:
        node.close()


@test()
def sigint_stops_as_sigterm_does(base):
    for number in (signal.SIGINT, signal.SIGTERM):
        node = rig.Node(base=base, mounts=("m",))
        try:
            node.start()
            calls.put(node.mounts[0] + "/f", b"%d" % number)
            started = time.monotonic()
            os.kill(node.pid, number)
            expect_equal(node.reap(limit=10), 0, "exit status")
            expect(time.monotonic() - started < 5, "the stop took %.1f s" % (time.monotonic() - started))
            expect_equal(rig.mounts_at(node.mounts[0]), [], "mounts left")
        finally:
            node.close()


@test()
def a_stop_while_starting_is_clean(base):
    """SIGTERM at any moment of the start: no mount stays."""
    node = rig.Node(base=base)
    try:
        for step in range(12):
            node.spawn()
            time.sleep(0.004 * step)
            os.kill(node.pid, signal.SIGTERM)
            code = node.reap(limit=10)
            expect(code in (0, -signal.SIGTERM), "exit status %s after %d ms" % (code, 4 * step))
            left = [m for m in node.mounts if rig.mounts_at(m)]
            expect(code != 0 or left == [], "mounts left after %d ms: %r" % (4 * step, left))
        node.start()
        node.stop()
    finally:
        node.close()


@test()
def relative_paths_and_paths_with_spaces_work(base):
    for folder in ("a mount", "plain"):
        os.mkdir(os.path.join(base, folder))
    log = open(base + "/log", "wb")
    child = subprocess.Popen([rig.keelfs(), "server", "--data-dir", "my data", "--mount", "a mount", "--mount",
                              "./plain"], cwd=base, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                             preexec_fn=rig.die_with_parent)
    try:
        tap.wait_until(lambda: rig.READY.encode() in open(base + "/log", "rb").read(), 10, "readiness")
        calls.put(base + "/a mount/f", b"v")
        expect_equal(calls.read(base + "/plain/f"), b"v")
        child.send_signal(signal.SIGTERM)
        expect_equal(child.wait(10), 0, "exit status")
        expect(os.path.isdir(base + "/my data"), "the data directory")
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        log.close()


@test()
def a_node_without_a_mount_runs(base):
    node = rig.Node(base=base, mounts=())
    try:
        node.start()
        expect_equal(node.stop(), 0, "exit status")
    finally:
        node.close()


@test()
def the_data_directory_is_private(base):
    node = rig.Node(base=base, mounts=("m",))
    try:
        node.start()
        expect_equal(oct(os.stat(node.data).st_mode & 0o077), "0o0", "rights of others on the data directory")
        node.stop()
        shutil.move(node.data, base + "/elsewhere")
        node.data = base + "/elsewhere"
        node.start()
        node.stop()
    finally:
        node.close()


if __name__ == "__main__":
    OPTIONS = tap.parse(__doc__)
    raise SystemExit(1 if tap.run(OPTIONS, rig.NoNode()) else 0)
