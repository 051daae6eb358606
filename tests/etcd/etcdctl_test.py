#!/usr/bin/python3
"""Debian's etcdctl against a cluster of three: what an operator types.

    KEELFS=build/cmd/keelfs tests/etcd/etcdctl_test.py [--self] [NAME...]"""

import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import servers  # noqa: E402  (finds tests/real)
import rig      # noqa: E402
import tap      # noqa: E402
from tap import expect, expect_equal  # noqa: E402


def environment(endpoints):
    return {**os.environ, "ETCDCTL_API": "3", "ETCDCTL_ENDPOINTS": ",".join(endpoints)}


def run(endpoints, *words, stdin="", limit=30):
    """(status, stdout, stderr) of one command."""
    done = subprocess.run(["etcdctl", *words], input=stdin, capture_output=True, text=True,
                          env=environment(endpoints), timeout=limit * tap.SLOW)
    return done.returncode, done.stdout, done.stderr


def ctl(endpoints, *words, stdin=""):
    """stdout of a command that must succeed."""
    status, out, err = run(endpoints, *words, stdin=stdin)
    expect(status == 0, "etcdctl %s: status %d\n%s%s" % (" ".join(words), status, out, err))
    return out


def refused(endpoints, *words, stdin=""):
    """The last line of stderr of a command that must fail."""
    status, out, err = run(endpoints, *words, stdin=stdin)
    expect(status != 0, "etcdctl %s succeeded: %s" % (" ".join(words), out))
    return err.strip().splitlines()[-1]


class Terminal:
    """A command that goes on: its output line by line."""

    def __init__(self, endpoints, *words, stdin=subprocess.DEVNULL):
        self.process = subprocess.Popen(["etcdctl", *words], stdin=stdin, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, env=environment(endpoints),
                                        preexec_fn=rig.die_with_parent)

    def type(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def line(self):
        return self.process.stdout.readline().rstrip("\n")

    def lines(self, count):
        return [self.line() for _ in range(count)]

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(20 * tap.SLOW)


def revision_of(endpoints):
    return int(re.search(r'"revision":(\d+)', ctl(endpoints, "get", "none", "-w", "json")).group(1))


def leader_of(endpoints):
    """(its endpoint, its id, the id of another member)."""
    out = ctl(endpoints, "endpoint", "status")
    rows = [line.split(", ") for line in out.splitlines()]
    leader = [row for row in rows if row[4] == "true"]
    expect_equal(len(leader), 1, "leaders in\n" + out)
    other = [row for row in rows if row[4] == "false"][0]
    return leader[0][0], leader[0][1], other[1]


# --- keys ---

@tap.test()
def put_get_and_del_as_typed(at):
    expect_equal(ctl(at, "put", "t/a", "one"), "OK\n")
    expect_equal(ctl(at, "put", "t/b", "two words"), "OK\n")
    expect_equal(ctl(at, "put", "t/c", stdin="from stdin"), "OK\n")
    expect_equal(ctl(at, "get", "t/a"), "t/a\none\n")
    expect_equal(ctl(at, "get", "--prefix", "t/"), "t/a\none\nt/b\ntwo words\nt/c\nfrom stdin\n")
    expect_equal(ctl(at, "get", "--prefix", "t/", "--keys-only"), "t/a\n\nt/b\n\nt/c\n\n")
    expect_equal(ctl(at, "get", "--prefix", "t/", "--print-value-only", "--order", "DESCEND", "--limit", "2"),
                 "from stdin\ntwo words\n")
    expect_equal(ctl(at, "get", "--from-key", "t/b", "--sort-by", "CREATE", "--limit", "1"), "t/b\ntwo words\n")
    expect_equal(ctl(at, "get", "t/a", "t/c", "--consistency", "s"), "t/a\none\nt/b\ntwo words\n")
    expect_equal(ctl(at, "get", "nobody"), "")
    expect_equal(ctl(at, "put", "t/a", "three", "--prev-kv"), "OK\nt/a\none\n")
    expect_equal(ctl(at, "put", "t/a", "--ignore-value", "--prev-kv"), "OK\nt/a\nthree\n")
    expect_equal(ctl(at, "del", "t/", "--prefix", "--prev-kv"), "3\nt/a\nthree\nt/b\ntwo words\nt/c\nfrom stdin\n")
    expect_equal(ctl(at, "del", "t/a"), "0\n")


@tap.test()
def output_in_other_forms(at):
    ctl(at, "put", "form", "value")
    text = ctl(at, "get", "form", "-w", "json")
    expect('"key":"Zm9ybQ==","create_revision":' in text and '"count":1' in text, text)
    text = ctl(at, "get", "form", "-w", "fields")
    expect('"Key" : "form"\n' in text and '"Count" : 1\n' in text, text)
    expect_equal(ctl(at, "get", "form", "--hex"), "\\x66\\x6f\\x72\\x6d\n\\x76\\x61\\x6c\\x75\\x65\n")


# Danger: a client matches on the text of an error.
@tap.test()
def errors_have_etcds_texts(at):
    def said(text):
        return re.search(r'"error":"([^"]*)"', text).group(1) if '"error":"' in text else text
    for words, wanted in (
            (("get", "a", "--rev", "100000000"), "etcdserver: mvcc: required revision is a future revision"),
            (("compaction", "100000000"), "etcdserver: mvcc: required revision is a future revision"),
            (("put", "a", "b", "--lease", "7777"), "etcdserver: requested lease not found"),
            (("put", "never", "--ignore-value"), "etcdserver: key not found"),
            (("lease", "revoke", "7777"), "etcdserver: requested lease not found"),
            (("lease", "grant", "9000000001"), "etcdserver: too large lease TTL"),
            (("get", ""), "etcdserver: key is not provided")):
        got = said(refused(at, *words))
        expect(wanted in got, "%s: %s" % (" ".join(words), got))


@tap.test()
def old_revisions_until_compaction(at):
    ctl(at, "put", "old", "1")
    revision = int(re.search(r'"revision":(\d+)', ctl(at, "get", "old", "-w", "json")).group(1))
    ctl(at, "put", "old", "2")
    expect_equal(ctl(at, "get", "old", "--rev", str(revision)), "old\n1\n")
    expect_equal(ctl(at, "compaction", str(revision + 1), "--physical"), "compacted revision %d\n" % (revision + 1))
    expect("etcdserver: mvcc: required revision has been compacted" in
           refused(at, "get", "old", "--rev", str(revision)), "another error")
    expect("etcdserver: mvcc: required revision has been compacted" in
           refused(at, "compaction", str(revision + 1)), "another error")
    watch = Terminal(at, "watch", "old", "--rev", str(revision))
    expect("watch was canceled (etcdserver: mvcc: required revision has been compacted)" in
           "\n".join(watch.lines(1)), "another end of the watch")
    expect(watch.process.wait(20) != 0, "the watch ended well")


@tap.test()
def transactions_as_typed(at):
    ctl(at, "put", "x", "1")
    expect_equal(ctl(at, "txn", stdin='value("x") = "1"\nversion("none") = "0"\n\nput x 2\nget x\n\nput x failed\n\n'),
                 "SUCCESS\n\nOK\n\nx\n2\n")
    expect_equal(ctl(at, "txn", stdin='mod("x") < "1"\n\nput x 3\n\nget x\ndel x\n\n'), "FAILURE\n\nx\n2\n\n1\n")
    expect("etcdserver: duplicate key given in txn request" in
           refused(at, "txn", stdin='\nput x 1\nput x 2\n\n\n'), "another error")


# --- watches ---

# Danger: what one terminal writes does not reach the other.
@tap.test(limit=60)
def watches_in_two_terminals(at):
    revision = revision_of(at)
    watches = [Terminal([endpoint], "watch", "--prefix", "w/", "--prev-kv", "--rev", str(revision + 1))
               for endpoint in at]
    ctl(at, "put", "w/1", "a")
    ctl(at, "put", "other", "unseen")
    ctl(at, "put", "w/1", "b")
    ctl(at, "del", "--prefix", "w/")
    for watch in watches:
        expect_equal(watch.lines(13), ["PUT", "w/1", "a", "PUT", "w/1", "a", "w/1", "b",
                                       "DELETE", "w/1", "b", "w/1", ""], "lines")
        watch.interrupt()


@tap.test(limit=60)
def a_watch_runs_a_command_and_several_share_a_stream(at):
    revision = revision_of(at)
    watch = Terminal(at, "watch", "c1", "--rev", str(revision + 1), "--", "sh", "-c",
                     "echo event $ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_VALUE")
    both = Terminal(at, "watch", "-i", stdin=subprocess.PIPE)
    both.type("watch --rev %d c1\nwatch --rev %d c2\n" % (revision + 1, revision + 1))
    ctl(at, "put", "c1", "one")
    expect_equal(both.lines(3), ["PUT", "c1", "one"], "lines")
    ctl(at, "put", "c2", "two")
    expect_equal(both.lines(3), ["PUT", "c2", "two"], "lines")
    both.type("progress\n")
    expect(re.fullmatch(r"progress notify: \d+", both.line()), "no progress")
    expect_equal(watch.lines(4), ["PUT", "c1", "one", 'event "PUT" "c1" "one"'], "lines")
    watch.interrupt()
    both.interrupt()


# --- leases, locks, elections ---

@tap.test(limit=60)
def leases_as_typed(at):
    granted = re.fullmatch(r"lease ([0-9a-f]{16}) granted with TTL\(60s\)\n", ctl(at, "lease", "grant", "60"))
    expect(granted, "another answer to grant")
    number = granted.group(1)
    ctl(at, "put", "leased/1", "v", "--lease", number)
    ctl(at, "put", "leased/2", "v", "--lease", number)
    text = ctl(at, "lease", "timetolive", number, "--keys")
    expect(re.fullmatch(r"lease %s granted with TTL\(60s\), remaining\(\d+s\), attached keys\(\[(leased/1 leased/2|"
                        r"leased/2 leased/1)\]\)\n" % number, text), text)
    expect(number in ctl(at, "lease", "list").splitlines(), "not listed")
    expect_equal(ctl(at, "lease", "keep-alive", "--once", number), "lease %s keepalived with TTL(60)\n" % number)
    expect_equal(ctl(at, "lease", "revoke", number), "lease %s revoked\n" % number)
    expect_equal(ctl(at, "get", "--prefix", "leased/"), "")
    expect_equal(ctl(at, "lease", "timetolive", number), "lease %s already expired\n" % number)
    expect_equal(ctl(at, "lease", "keep-alive", number), "lease %s expired or revoked.\n" % number)


# Danger: a lease without a keeper lives on, and so does what depends on it.
@tap.test(limit=60)
def a_lease_that_nobody_keeps_takes_its_keys_along(at):
    number = ctl(at, "lease", "grant", "2").split()[1]
    watch = Terminal(at, "watch", "mortal", "--rev", str(revision_of(at) + 1))
    ctl(at, "put", "mortal", "v", "--lease", number)
    expect_equal(watch.lines(5), ["PUT", "mortal", "v", "DELETE", "mortal"], "lines")
    watch.interrupt()
    expect_equal(ctl(at, "get", "mortal"), "")


# Danger: two hold what one may hold.
@tap.test(limit=60)
def a_lock_has_one_holder(at):
    first = Terminal(at[:1], "lock", "mutex")
    name = first.line()
    expect(re.fullmatch(r"mutex/[0-9a-f]+", name), "the lock's key is %r" % name)
    second = Terminal(at[1:2], "lock", "mutex")
    third = run(at[2:], "--command-timeout", "1s", "lock", "other", "echo", "inside")
    expect_equal(third[:2], (0, "inside\n"), "a command under a lock")
    tap.wait_until(lambda: ctl(at, "get", "--prefix", "mutex/", "--keys-only").split().__len__() == 2, 10, "waiting")
    first.interrupt()
    name = second.line()
    expect(re.fullmatch(r"mutex/[0-9a-f]+", name), "the lock's key is %r" % name)
    second.interrupt()
    expect_equal(ctl(at, "get", "--prefix", "mutex/"), "")


@tap.test(limit=60)
def an_election_has_one_leader(at):
    first = Terminal(at[:1], "elect", "chair", "alice")
    expect(re.fullmatch(r"chair/[0-9a-f]+", first.line()), "no key")
    expect_equal(first.line(), "alice")
    second = Terminal(at[1:2], "elect", "chair", "bob")
    listener = Terminal(at[2:], "elect", "chair", "-l")
    expect(re.fullmatch(r"chair/[0-9a-f]+", listener.line()), "no key")
    expect_equal(listener.line(), "alice")
    tap.wait_until(lambda: ctl(at, "get", "--prefix", "chair/", "--keys-only").split().__len__() == 2, 10, "waiting")
    first.interrupt()
    expect(re.fullmatch(r"chair/[0-9a-f]+", second.line()), "no key")
    expect_equal(second.line(), "bob")
    expect(re.fullmatch(r"chair/[0-9a-f]+", listener.line()), "no key")
    expect_equal(listener.line(), "bob")
    listener.interrupt()
    second.interrupt()


# --- upkeep ---

@tap.test()
def members_endpoints_and_health(at):
    out = ctl(at, "member", "list")
    rows = sorted(line.split(", ") for line in out.splitlines())
    expect_equal(sorted(row[2] for row in rows), ["s1", "s2", "s3"], "names in\n" + out)
    expect(all(row[1] == "started" and row[5] == "false" for row in rows), out)
    expect_equal(sorted(row[4] for row in rows), sorted("http://" + a for a in at), "client URLs")
    out = ctl(at, "endpoint", "status", "-w", "table")
    head = [word.strip() for word in out.splitlines()[1].strip("|").split("|")]
    expect_equal(head, ["ENDPOINT", "ID", "VERSION", "DB SIZE", "IS LEADER", "IS LEARNER", "RAFT TERM", "RAFT INDEX",
                        "RAFT APPLIED INDEX", "ERRORS"], "the table's head")
    body = [[word.strip() for word in line.strip("|").split("|")] for line in out.splitlines()[3:-1]]
    expect_equal([row[0] for row in body], at, "endpoints")
    expect_equal(sorted(row[1] for row in body), sorted(row[0] for row in rows), "ids")
    expect(all(re.fullmatch(r"3\.\d+\.\d+", row[2]) and row[3] != "0 B" and row[9] == "" for row in body), out)
    expect_equal(sorted(row[4] for row in body), ["false", "false", "true"], "leaders")
    status, out, err = run(at, "endpoint", "health")
    expect(status == 0 and (out + err).count(" is healthy: successfully committed proposal: took = ") == 3, out + err)
    leader_of(at)
    hashes = [line.split(", ")[1] for line in ctl(at, "endpoint", "hashkv").splitlines()]
    expect(len(hashes) == 3 and len(set(hashes)) == 1, "the members' hashes differ: %s" % hashes)


@tap.test(limit=60)
def a_snapshot_is_saved_and_etcdctl_accepts_it(at):
    path = os.path.join(rig.directory(), "snap.db")
    for n in range(8):
        ctl(at[:1], "put", "snap/%d" % n, "v" * 100000)
    out = ctl(at[:1], "snapshot", "save", path)
    expect(out.splitlines()[-1] == "Snapshot saved at " + path, out)
    size = os.path.getsize(path)
    expect_equal(size % 512, 32, "the file's size modulo 512")
    rig.clear(os.path.dirname(path))


@tap.test(limit=60)
def defragmentation_and_alarms(at):
    out = ctl(at, "defrag")
    expect_equal(out.count("Finished defragmenting etcd member["), 3, out)
    expect_equal(ctl(at, "alarm", "list"), "")
    expect_equal(ctl(at, "alarm", "disarm"), "")


# Danger: leadership cannot be moved away from a machine before it is stopped.
@tap.test(limit=60)
def leadership_moves_on_request(at):
    endpoint, leader, other = leader_of(at)
    follower = [a for a in at if a != endpoint][0]
    expect("no leader endpoint given at [%s]" % follower in refused([follower], "move-leader", other), "another error")
    expect_equal(ctl([endpoint], "move-leader", other), "Leadership transferred from %s to %s\n" % (leader, other))
    expect_equal(leader_of(at)[1], other, "the leader")
    expect("etcdserver: bad leader transferee" in refused([leader_of(at)[0]], "move-leader", "1234"), "another error")


@tap.test(limit=60)
def a_mirror_follows_a_prefix(at):
    ctl(at, "put", "mirror/a", "1")
    mirror = Terminal(at, "make-mirror", "--prefix", "mirror/", "--dest-prefix", "copy/", at[0])
    tap.wait_until(lambda: ctl(at, "get", "copy/a") == "copy/a\n1\n", 10, "the copy")
    ctl(at, "put", "mirror/b", "2")
    tap.wait_until(lambda: ctl(at, "get", "copy/b") == "copy/b\n2\n", 10, "the copy")
    ctl(at, "del", "mirror/a")
    tap.wait_until(lambda: ctl(at, "get", "copy/a") == "", 10, "the removal")
    mirror.interrupt()


def more(parser):
    parser.add_argument("--self", action="store_true", help="against stock etcd: the tests tested")


def rig_of(options):
    if not rig.shutil.which("etcdctl"):
        tap.skip_all("etcdctl is not installed")
    return servers.Group(servers.Etcd if options.self else servers.Keelfs, 3)


if __name__ == "__main__":
    tap.main(__doc__, rig_of, more)
