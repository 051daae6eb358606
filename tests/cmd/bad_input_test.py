#!/usr/bin/env python3
"""What `keelfs` says to wrong command lines and wrong places.  Each message is
held against one rule: it says what was being done, what is wrong with which
word, and what to do.  No test here needs a mount to succeed."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "real"))

import rig  # noqa: E402
import tap  # noqa: E402
from tap import expect, expect_equal, test  # noqa: E402


class Directory(rig.NoNode):
    """A fresh directory for each body; no FUSE needed."""

    def __init__(self):
        rig.keelfs()
        self.base = None


def keelfs(*words, cwd="/", environment=None, **files):
    """Runs it to its end: (exit status, standard output, standard error)."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("ETCD_", "KEELFS_MOUNT"))}
    own.update(environment or {})
    done = subprocess.run([rig.keelfs(), *words], cwd=cwd, env=own, timeout=20 * tap.SLOW,
                          stdin=subprocess.DEVNULL,
                          stdout=files.get("stdout", subprocess.PIPE),
                          stderr=files.get("stderr", subprocess.PIPE))
    return done.returncode, (done.stdout or b"").decode(), (done.stderr or b"").decode()


def refused(status, *words, says=(), **how):
    """It ends with that status, says all that, and prints nothing else."""
    code, out, err = keelfs(*words, **how)
    expect_equal(code, status, "exit status of %s (%s%s)" % (" ".join(words), out, err))
    expect_equal(out, "", "standard output")
    for part in says:
        expect(part in err, "'%s' is missing in: %s" % (part, err))
    if status == 2:
        expect("--help'" in err, "no pointer to --help in: " + err)
    return err


# --- words ---

@test()
def help_and_versions_go_to_standard_output(base):
    for words in (["--help"], ["help"], ["-h"]):
        code, out, err = keelfs(*words)
        expect_equal((code, err), (0, ""), "status and errors of %s" % words)
        expect("keelfs server" in out and "--mount" in out, out)
    for words in (["version"], ["--version"], ["server", "--version"]):
        code, out, err = keelfs(*words)
        expect_equal((code, err), (0, ""), "status and errors of %s" % words)
        # etcd's own tests look for this line.
        expect(any(line.startswith("etcd Version: 3.6.") for line in out.splitlines()), out)


@test()
def server_help_names_every_flag_with_its_default(base):
    code, out, err = keelfs("server", "--help")
    expect_equal((code, err), (0, ""))
    for part in ("--data-dir", "--mount DIR", "--mount-options", "--listen-client-urls",
                 "--election-timeout", "default 1000", "--auto-compaction-retention",
                 "not served by this version", "KEELFS_MOUNT", "ETCD_DATA_DIR"):
        expect(part in out, "%s is missing" % part)


@test()
def an_unknown_command_or_none_is_refused(base):
    refused(2, says=["a command is missing"])
    refused(2, "sever", says=["unknown command 'sever'", "did you mean 'server'?"])
    refused(2, "zzz", says=["unknown command 'zzz'"])


@test()
def an_unknown_flag_is_refused_with_the_nearest_one(base):
    refused(2, "server", "--moutn", "/x", says=["unknown flag '--moutn'", "did you mean '--mount'?"])
    refused(2, "server", "--data_dir=x", says=["did you mean '--data-dir'?"])
    refused(2, "server", "--election-timeouts=1", says=["did you mean '--election-timeout'?"])
    refused(2, "server", "--nothing-like-this", says=["unknown flag '--nothing-like-this'"])
    refused(2, "server", "stray", says=["'stray' is not a flag"])


@test()
def a_wrong_value_is_refused_by_name(base):
    data = "--data-dir=" + os.path.join(base, "data")
    for words, part in (
            (["--data-dir"], "--data-dir: its value is missing"),
            (["--max-txn-ops=many"], "--max-txn-ops: 'many' is not a whole number"),
            (["--heartbeat-interval", "-5"], "--heartbeat-interval: -5 is negative"),
            (["--initial-cluster-state=old"], "'old' is not one of: new existing"),
            (["--listen-client-urls=localhost:2379"], "'localhost:2379' must begin with http://"),
            (["--log-level=loud"], "'loud' is not one of: debug info"),
            (["--grpc-keepalive-interval=5"], "is not a length of time"),
            (["--pre-vote=perhaps"], "is neither true nor false")):
        refused(2, "server", data, *words, says=[part])
    expect(not os.path.exists(os.path.join(base, "data")), "a refused start touched the disk")


@test()
def contradictions_and_unsafe_flags_are_refused(base):
    data = os.path.join(base, "data")
    for words, part in (
            (["--heartbeat-interval=300"], "at least 5 times"),
            (["--unsafe-no-fsync"], "acknowledged writes would be lost"),
            (["--config-file=/etc/etcd.yml"], "--config-file: not read by this version"),
            (["--discovery-srv=example.com"], "discovery is not supported"),
            (["--name=a", "--initial-cluster=b=http://localhost:2380"], "does not name this member"),
            (["--cert-file=x"], "clients connect without encryption")):
        refused(2, "server", "--data-dir", data, *words, says=[part])
    expect(not os.path.exists(data), "a refused start touched the disk")


@test()
def wrong_mount_options_are_refused_with_the_right_ones(base):
    err = refused_options(base, "conssitency=linearizable")
    expect("conssitency" in err and "consistency" in err, err)
    refused_options(base, "file_mode=9x9")


def refused_options(base, text):
    mount = os.path.join(base, "m")
    os.makedirs(mount, exist_ok=True)
    code, out, err = keelfs("server", "--data-dir", os.path.join(base, "data"), "--mount", mount,
                            "--mount-options", text)
    expect_equal((code, out), (2, ""), "status and output for %s: %s" % (text, err))
    expect(not os.path.exists(os.path.join(base, "data")), "a refused start touched the disk")
    return err


@test()
def a_wrong_variable_is_named_and_the_line_wins(base):
    data = os.path.join(base, "data")
    refused(2, "server", "--data-dir", data, environment={"ETCD_MAX_TXN_OPS": "x"},
            says=["ETCD_MAX_TXN_OPS: 'x' is not a whole number"])
    # The line's value is the one that is checked; the variable's is not read.
    err = refused(1, "server", "--max-txn-ops=5", "--mount", base + "/none",
                  environment={"ETCD_MAX_TXN_OPS": "x", "ETCD_DATA_DIR": data},
                  says=["there is no such directory"])
    expect("ETCD_MAX_TXN_OPS: '" not in err, err)
    refused(1, "server", environment={"ETCD_DATA_DIR": data, "KEELFS_MOUNT": base + "/none"},
            says=[base + "/none"])


# --- places ---

def places(base):
    for name in ("m/inner", "n", "d"):
        os.makedirs(os.path.join(base, name))
    os.symlink("m", os.path.join(base, "to_m"))
    return [os.path.join(base, name) for name in ("m", "n", "d")]


@test()
def a_mount_point_that_is_missing_or_no_directory_is_refused(base):
    m, _, d = places(base)
    refused(1, "server", "--data-dir", d, "--mount", m + "x",
            says=["cannot mount at '%sx'" % m, "no such directory", "mkdir -p"])
    with open(base + "/file", "w"):
        pass
    refused(1, "server", "--data-dir", d, "--mount", base + "/file",
            says=["cannot mount at", "is not a directory"])
    expect_equal(os.listdir(d), [], "the data directory")


@test()
def data_inside_a_mount_is_refused(base):
    m, n, _ = places(base)
    for data in (m, m + "/inner", m + "/not/yet", base + "/to_m/x", m + "/../m/x"):
        refused(1, "server", "--data-dir", data, "--mount", n, "--mount", m,
                says=["cannot mount at '%s'" % m, "the data directory", "put one of the two elsewhere"])
    refused(1, "server", "--data-dir", "data", "--mount", base, cwd=base,
            says=["cannot mount at '%s'" % base])
    refused(1, "server", "--data-dir", m, "--mount", m + "/inner", says=["inside the data directory"])


@test()
def a_mount_inside_another_is_refused(base):
    m, n, d = places(base)
    for first, second in ((m, m + "/inner"), (m + "/inner", m), (base + "/to_m", m + "/inner")):
        refused(1, "server", "--data-dir", d, "--mount", first, "--mount", second,
                says=["inside another mount"])
    for second in (m, m + "/", base + "/to_m", n + "/../m"):
        refused(1, "server", "--data-dir", d, "--mount", m, "--mount", second,
                says=["is the same directory", "give it once"])


@test()
def a_bind_mount_hides_nothing(base):
    rig.need_root("a bind mount")
    m, n, _ = places(base)
    if subprocess.run(["mount", "--bind", m, n], stderr=subprocess.DEVNULL).returncode != 0:
        raise tap.Skip("mount --bind is not allowed here")
    try:
        refused(1, "server", "--data-dir", n + "/data", "--mount", m, says=["the data directory"])
        refused(1, "server", "--data-dir", base + "/d", "--mount", m, "--mount", n,
                says=["is the same directory"])
    finally:
        rig.unmount(n)


@test()
def a_working_directory_inside_a_mount_is_refused(base):
    m, _, d = places(base)
    for cwd in (m, m + "/inner", base + "/to_m"):
        refused(1, "server", "--data-dir", d, "--mount", m, cwd=cwd,
                says=["the working directory", "start the server elsewhere"])


@test()
def a_log_inside_a_mount_is_refused(base):
    m, _, d = places(base)
    refused(1, "server", "--data-dir", d, "--mount", m, "--log-outputs", m + "/inner/log",
            says=["the log", "another --log-outputs"])
    expect(not os.path.exists(m + "/inner/log"), "the log was made")
    with open(m + "/out", "wb") as out:
        refused(1, "server", "--data-dir", d, "--mount", m, stdout=out,
                says=["the file of standard output"])
    with open(m + "/err", "wb") as err:
        code, _, _ = keelfs("server", "--data-dir", d, "--mount", m, stderr=err)
    expect_equal(code, 1, "exit status")
    with open(m + "/err") as err:
        expect("the file of standard error" in err.read(), "the message")


@test()
def a_log_that_cannot_be_written_is_refused(base):
    _, _, d = places(base)
    refused(1, "server", "--data-dir", d, "--log-outputs", base + "/none/log",
            says=["cannot write the log to", "No such file or directory"])


@test()
def a_data_directory_of_something_else_is_refused_and_left_alone(base):
    _, _, d = places(base)
    with open(d + "/letter.txt", "w") as f:
        f.write("dear")
    refused(1, "server", "--data-dir", d,
            says=["cannot start a node with its data in '%s'" % d, "letter.txt", "--data-dir"])
    expect_equal(os.listdir(d), ["letter.txt"], "the directory afterwards")
    os.unlink(d + "/letter.txt")
    os.makedirs(d + "/member/wal")
    refused(1, "server", "--data-dir", d, says=["etcd", "--data-dir"])
    expect_equal(os.listdir(d), ["member"], "the directory afterwards")


@test()
def a_data_directory_that_is_a_file_or_out_of_reach_is_refused(base):
    with open(base + "/file", "w"):
        pass
    refused(1, "server", "--data-dir", base + "/file", says=["'%s/file'" % base])
    refused(1, "server", "--data-dir", base + "/file/data", says=["'%s/file/data'" % base])
    os.symlink("loop", base + "/loop")
    refused(1, "server", "--data-dir", base + "/loop/data", says=["'%s/loop/data'" % base])
    refused(1, "server", "--data-dir", "", "--name=n", "--mount", base + "/none", cwd=base,
            says=["no such directory"])


@test()
def a_data_directory_without_rights_is_refused(base):
    if os.geteuid() == 0:
        raise tap.Skip("root has every right")
    os.mkdir(base + "/locked", 0o500)
    refused(1, "server", "--data-dir", base + "/locked/data",
            says=["Permission denied", "change its mode"])


@test()
def joining_a_cluster_that_is_not_there_is_refused(base):
    """Nobody answers: nothing is begun that would look like a member later."""
    refused(1, "server", "--data-dir", base + "/new", "--initial-cluster-state=existing", "--name=a",
            "--initial-cluster=a=http://localhost:2380,b=http://127.0.0.1:1",
            says=["cannot join", "no member of the cluster answers"])


@test()
def wrong_members_are_refused(base):
    for cluster, part in (
            ("a", "'a'"),
            ("a=", "'a='"),
            ("a=http://localhost:2380,b", "'b'"),
            ("a=http://localhost:2380,b=ftp://b:1", "'ftp://b:1'")):
        err = refused(1, "server", "--data-dir", base + "/d", "--name=a", "--initial-cluster", cluster,
                      "--initial-advertise-peer-urls=http://localhost:2380") if "2380" in cluster else \
            refused(2, "server", "--data-dir", base + "/d", "--name=a", "--initial-cluster", cluster)
        expect(part in err, "%s is missing in: %s" % (part, err))
    expect(not os.path.exists(base + "/d/wal"), "a refused start made a log")


if __name__ == "__main__":
    tap.main(__doc__, lambda options: Directory())
