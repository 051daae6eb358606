#!/usr/bin/env python3
"""`keelfs server` as a process: warnings, signals, places that are in use, mounts
that are dead or taken away."""

import os
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "real"))

import rig  # noqa: E402
import tap  # noqa: E402
from tap import expect, expect_equal, test  # noqa: E402


def started(base, name="one", **how):
    os.makedirs(os.path.join(base, name), exist_ok=True)
    node = rig.Node(base=os.path.join(base, name), **how)
    node.start()
    return node


def put(path, text):
    with open(path, "w") as f:
        f.write(text)


def get(path):
    with open(path) as f:
        return f.read()


def ends(node, limit=10):
    """Waits for a process that ends by itself; its exit status."""
    try:
        code = node.process.wait(limit * tap.SLOW)
    except subprocess.TimeoutExpired:
        node.kill()
        raise tap.Failure("it did not end by itself:\n" + node.output())
    node.process = None
    return code


@test()
def it_says_where_it_is_mounted_and_then_that_it_is_ready(base):
    node = started(base)
    lines = [line for line in node.output().splitlines()
             if line.startswith("keelfs: ") and "listening at" not in line]
    expect_equal(lines, ["keelfs: mounted at " + m for m in node.mounts]
                 + ["keelfs: ready to serve client requests"])
    expect_equal(node.stop(), 0, "exit status")


@test()
def flags_of_later_versions_are_told_and_do_not_hinder(base):
    """What a static pod of kubeadm sets, without TLS."""
    node = started(base, mounts=("m",), arguments=[
        "--name=host", "--snapshot-count=10000",
        "--advertise-client-urls=http://10.0.0.1:2379",
        "--initial-advertise-peer-urls=http://10.0.0.1:2380",
        "--initial-cluster=host=http://10.0.0.1:2380",
        "--listen-client-urls=http://127.0.0.1:0",
        "--listen-metrics-urls=http://127.0.0.1:0",
        "--listen-peer-urls=http://10.0.0.1:2380",
        "--feature-gates=InitialCorruptCheck=true",
        "--watch-progress-notify-interval=5s"])
    text = node.output()
    for flag in ("feature-gates",):
        lines = [line for line in text.splitlines() if "--%s:" % flag in line]
        expect_equal(len(lines), 1, "lines about --%s" % flag)
        expect("this version" in lines[0] and "warn" in lines[0], lines[0])
    for flag in ("name", "snapshot-count", "listen-peer-urls", "initial-cluster", "initial-advertise-peer-urls"):
        expect("--%s:" % flag not in text, text)
    expect_equal(node.stop(), 0, "exit status")


@test()
def what_a_client_port_cannot_do_is_refused(base):
    """A member that seems to be encrypted, and is not, is worse than none."""
    for flags, word in ((["--cert-file=/crt", "--key-file=/key"], "--cert-file"),
                        (["--client-cert-auth=true"], "--client-cert-auth"),
                        (["--listen-client-urls=https://127.0.0.1:0"], "https://127.0.0.1:0"),
                        (["--watch-progress-notify-interval=10ms"], "--watch-progress-notify-interval")):
        done = subprocess.run([rig.keelfs(), "server", "--data-dir", base + "/d"] + flags, cwd=base,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20 * tap.SLOW)
        expect(done.returncode in (1, 2), done.stderr)
        expect(word in done.stderr, done.stderr)


@test()
def a_client_port_in_use_is_a_failure_when_asked_for(base):
    """And only a warning when it is the default, with mounts that can be served."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        url = "http://127.0.0.1:%d" % taken.getsockname()[1]
        done = subprocess.run([rig.keelfs(), "server", "--data-dir", base + "/d", "--listen-client-urls", url],
                              cwd=base, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=20 * tap.SLOW)
        expect_equal(done.returncode, 1, "exit status")
        expect("cannot serve clients" in done.stderr, done.stderr)
    first = started(base, "first", mounts=("m",))
    second = started(base, "second", mounts=("m",))
    expect("no port for clients" in second.output(), second.output())
    expect_equal((first.stop(), second.stop()), (0, 0))


@test()
def variables_configure_it_and_lose_against_flags(base):
    os.makedirs(base + "/m")
    environment = dict(os.environ, ETCD_DATA_DIR=base + "/from-variable", KEELFS_MOUNT=base + "/m",
                       ETCD_NAME="variable", ETCD_NMAE="typo")
    with open(base + "/log", "wb") as log:
        process = subprocess.Popen([rig.keelfs(), "server", "--name", "flag"], env=environment, cwd=base,
                                   stdout=log, stderr=log, preexec_fn=rig.die_with_parent)
    tap.wait_until(lambda: rig.READY in get(base + "/log"), 20, "readiness")
    expect(rig.mounts_at(base + "/m"), "the mount of KEELFS_MOUNT")
    expect(os.path.isdir(base + "/from-variable/wal"), "the directory of ETCD_DATA_DIR")
    process.send_signal(signal.SIGINT)
    expect_equal(process.wait(20 * tap.SLOW), 0, "exit status")
    expect("ETCD_NAME: overridden by --name" in get(base + "/log"), get(base + "/log"))
    expect("ETCD_NMAE: no flag has this variable" in get(base + "/log"), get(base + "/log"))


@test()
def either_signal_unmounts_and_ends_with_0(base):
    for number, name in ((signal.SIGINT, "SIGINT"), (signal.SIGTERM, "SIGTERM")):
        node = started(base, name)
        put(node.mounts[0] + "/f", name)
        node.process.send_signal(number)
        expect_equal(ends(node), 0, "exit status after " + name)
        expect_equal([m for m in node.mounts if rig.mounts_at(m)], [], "mounts left by " + name)
        expect(name in node.output(), node.output())


@test()
def a_stop_does_not_wait_for_open_files(base):
    node = started(base)
    put(node.mounts[0] + "/f", "text")
    with open(node.mounts[0] + "/f") as held:
        node.process.send_signal(signal.SIGTERM)
        expect_equal(ends(node), 0, "exit status")
        expect_equal(rig.mounts_at(node.mounts[0]), [], "mounts left")
        try:
            held.read()
            expect(False, "a read without a node succeeded")
        except OSError:
            pass


@test()
def a_second_process_on_the_same_data_is_refused(base):
    first = started(base)
    put(first.mounts[0] + "/f", "first")
    second = rig.Node(base=base + "/two", data=first.data, mounts=("m",))
    second.spawn()
    expect_equal(ends(second), 1, "exit status")
    text = second.output()
    expect("cannot start a node with its data in '%s'" % first.data in text, text)
    expect("in use by process %d" % first.pid in text and "stop it" in text, text)
    expect_equal(rig.mounts_at(second.mounts[0]), [], "mounts of the refused one")
    put(first.mounts[0] + "/f", "still")
    expect_equal(get(first.mounts[1] + "/f"), "still")
    expect_equal(first.stop(), 0, "exit status of the first")


@test()
def a_mount_point_in_use_is_refused(base):
    first = started(base, mounts=("m",))
    put(first.mounts[0] + "/f", "first")
    second = rig.Node(base=base + "/two", mounts=("n",))
    second.mounts.append(first.mounts[0])
    second.spawn()
    expect_equal(ends(second), 1, "exit status")
    text = second.output()
    expect(first.mounts[0] in text and "mounted" in text, text)
    expect("unmount it first" in text or "elsewhere" in text, text)
    expect_equal(rig.mounts_at(second.mounts[0]), [], "its other mount is taken down again")
    expect_equal(len(rig.mounts_at(first.mounts[0])), 1, "mounts at the first's place")
    expect_equal(get(first.mounts[0] + "/f"), "first")
    expect_equal(first.stop(), 0, "exit status of the first")


@test()
def a_dead_mount_is_replaced(base):
    node = started(base)
    put(node.mounts[0] + "/f", "kept")
    node.kill()
    expect_equal([len(rig.mounts_at(m)) for m in node.mounts], [1, 1], "dead mounts")
    node.start()
    expect_equal([len(rig.mounts_at(m)) for m in node.mounts], [1, 1], "mounts")
    expect_equal(get(node.mounts[1] + "/f"), "kept")
    expect_equal(node.stop(), 0, "exit status")
    expect_equal([m for m in node.mounts if rig.mounts_at(m)], [], "mounts left")


@test()
def data_below_a_dead_mount_is_refused(base):
    """The place cannot even be looked at: it must not pass for a new one."""
    node = started(base, mounts=("m",))
    node.kill()
    node.data = node.mounts[0] + "/data"
    node.spawn()
    expect_equal(ends(node), 1, "exit status")
    expect("the data directory" in node.output(), node.output())
    rig.unmount(node.mounts[0])


@test()
def a_mount_taken_away_leaves_the_others(base):
    node = started(base)
    put(node.mounts[0] + "/f", "text")
    rig.unmount(node.mounts[0])
    tap.wait_until(lambda: "'%s' was unmounted" % node.mounts[0] in node.output(), 10, "the message")
    expect_equal(get(node.mounts[1] + "/f"), "text")
    put(node.mounts[1] + "/g", "more")
    rig.unmount(node.mounts[1])
    tap.wait_until(lambda: "no mount is left" in node.output(), 10, "the message")
    expect(node.alive(), "the node goes on")
    expect_equal(node.stop(), 0, "exit status")


@test()
def a_mount_over_files_says_that_they_are_hidden(base):
    os.makedirs(base + "/one/m")
    put(base + "/one/m/below", "hidden")
    node = started(base, mounts=("m",))
    expect("is not empty: its files are hidden" in node.output(), node.output())
    expect_equal(os.listdir(node.mounts[0]), [])
    expect_equal(node.stop(), 0, "exit status")
    expect_equal(get(base + "/one/m/below"), "hidden")


@test()
def the_log_goes_where_it_is_told(base):
    log = base + "/own.log"
    node = started(base, mounts=("m",), arguments=["--log-outputs", log, "--enable-pprof"])
    expect("--enable-pprof" in get(log), get(log))
    expect("--enable-pprof" not in node.output(), node.output())
    expect_equal(node.stop(), 0, "exit status")
    before = get(log)
    expect("SIGTERM" in before, before)
    node.start()
    expect_equal(node.stop(), 0, "exit status")
    expect(get(log).startswith(before), "an older log is kept")


@test()
def closed_descriptors_do_not_end_in_the_data(base):
    """Started with 0, 1 and 2 closed, the first files opened would get these
    numbers, and messages would be written into the store."""
    os.makedirs(base + "/m")

    def close_all():
        rig.die_with_parent()
        for fd in (0, 1, 2):
            os.close(fd)
    process = subprocess.Popen([rig.keelfs(), "server", "--data-dir", base + "/d", "--mount", base + "/m",
                                "--enable-pprof"], cwd="/", preexec_fn=close_all)
    tap.wait_until(lambda: rig.mounts_at(base + "/m"), 20, "the mount")
    for fd in (0, 1, 2):
        expect_equal(os.readlink("/proc/%d/fd/%d" % (process.pid, fd)), "/dev/null", "descriptor %d" % fd)
    put(base + "/m/f", "text")
    expect_equal(get(base + "/m/f"), "text")
    process.send_signal(signal.SIGTERM)
    expect_equal(process.wait(20 * tap.SLOW), 0, "exit status")


@test()
def a_reader_that_goes_away_does_not_end_it(base):
    """A pipe of standard output and error that nobody reads any more."""
    os.makedirs(base + "/m")
    process = subprocess.Popen([rig.keelfs(), "server", "--data-dir", base + "/d", "--mount", base + "/m"],
                               cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               preexec_fn=rig.die_with_parent)
    while rig.READY.encode() not in process.stdout.readline():
        expect(process.poll() is None, "it ended")
    process.stdout.close()
    put(base + "/m/f", "text")
    expect_equal(get(base + "/m/f"), "text")
    process.send_signal(signal.SIGTERM)
    expect_equal(process.wait(20 * tap.SLOW), 0, "exit status")


@test()
def a_node_that_serves_nothing_says_so(base):
    node = started(base, mounts=(), arguments=["--listen-client-urls="])
    expect("neither --mount nor --listen-client-urls" in node.output(), node.output())
    expect_equal(node.stop(), 0, "exit status")


@test()
def another_identity_on_the_same_data_is_refused(base):
    node = started(base, mounts=("m",), arguments=["--name=one"])
    expect_equal(node.stop(), 0, "exit status")
    node.arguments = ["--name=two"]
    node.spawn()
    expect_equal(ends(node), 1, "exit status")
    expect("--name" in node.output() and "belongs to" in node.output(), node.output())
    node.arguments = ["--name=one", "--initial-cluster-state=existing"]
    node.start()
    expect_equal(node.stop(), 0, "exit status")


if __name__ == "__main__":
    tap.main(__doc__, lambda options: rig.NoNode())
