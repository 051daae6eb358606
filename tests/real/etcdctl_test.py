#!/usr/bin/env python3
"""Stock etcdctl against three members: whoever uses etcd today points it at
keelfs, and what it writes is on every mount.

The expected output is what etcd's own documentation of etcdctl shows."""

import json
import os
import re
import subprocess
import threading
import time
import urllib.error
import urllib.request

import calls
import cluster
import rig
import tap
from tap import expect, expect_equal, test

NEEDS = ("etcdctl",)
ADVERTISED = "http://127.0.0.1:1"  # ports are the system's choice: nobody connects there


def port_of(node):
    return int(re.search(r"listening at http://127\.0\.0\.1:(\d+)", node.output()).group(1))


class Trio(cluster.Cluster):
    def __init__(self, base):
        super().__init__(base, arguments=["--listen-client-urls", "http://127.0.0.1:0",
                                          "--advertise-client-urls", ADVERTISED])

    def endpoints(self, *members):
        return ",".join("127.0.0.1:%d" % port_of(m) for m in members or self.members)


def command(endpoints, *words):
    return ["etcdctl", "--endpoints", endpoints, "--command-timeout=20s", "--dial-timeout=10s", *words]


ENVIRONMENT = dict(os.environ, ETCDCTL_API="3")


def run(endpoints, *words, stdin="", status=0):
    done = subprocess.run(command(endpoints, *words), input=stdin, capture_output=True, text=True, timeout=60,
                          env=ENVIRONMENT)
    expect_equal(done.returncode, status, "exit status of etcdctl %s\n%s%s" % (" ".join(words), done.stdout,
                                                                              done.stderr))
    return done.stdout if status == 0 else done.stderr


class Running:
    """An etcdctl that goes on; its lines arrive by and by."""

    def __init__(self, endpoints, *words):
        self.process = subprocess.Popen(command(endpoints, *words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        stdin=subprocess.DEVNULL, text=True, env=ENVIRONMENT,
                                        preexec_fn=rig.die_with_parent)
        self.lines = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_count(self, count, what):
        try:
            tap.wait_until(lambda: len(self.lines) >= count, 20, what)
        except tap.Failure as failure:
            raise tap.Failure("%s; it said %s" % (failure, self.lines)) from None

    def wait_lines(self, wanted, what):
        self.wait_count(len(wanted), what)
        expect_equal(self.lines[:len(wanted)], wanted, what)

    def end(self):
        self.process.terminate()
        self.process.wait(20)
        self.thread.join(20)


@test(limit=120, needs=NEEDS)
def keys_are_put_got_and_deleted_through_any_member(base):
    with Trio(base) as c:
        one, two, three = (c.endpoints(m) for m in c.members)
        expect_equal(run(one, "put", "/foo", "bar"), "OK\n")
        expect_equal(run(two, "get", "/foo"), "/foo\nbar\n")
        expect_equal(calls.read_or_none(c.members[2].root + "/foo"), b"bar", "the file of what was put")
        expect_equal(run(three, "put", "/foo", "baz", "--prev-kv"), "OK\n/foo\nbar\n")
        for key in ("/foo1", "/foo2", "/foo3", "/zoo"):
            run(one, "put", key, "at " + key)
        expect_equal(run(two, "get", "--prefix", "/foo", "--keys-only"), "/foo\n\n/foo1\n\n/foo2\n\n/foo3\n\n")
        expect_equal(run(two, "get", "--from-key", "/foo3", "--print-value-only"), "at /foo3\nat /zoo\n")
        expect_equal(run(two, "get", "/foo1", "/foo3"), "/foo1\nat /foo1\n/foo2\nat /foo2\n")
        expect_equal(run(two, "get", "--prefix", "/foo", "--limit=1", "--order=DESCEND", "--sort-by=KEY"),
                     "/foo3\nat /foo3\n")
        answer = json.loads(run(three, "get", "/foo", "-w", "json"))
        expect_equal((answer["count"], answer["kvs"][0]["version"]), (1, 2))
        created = answer["kvs"][0]["create_revision"]
        expect_equal(run(three, "get", "/foo", "--rev=%d" % created), "/foo\nbar\n")
        expect_equal(run(one, "get", "absent"), "")
        expect_equal(run(one, "del", "/foo", "--prev-kv"), "1\n/foo\nbaz\n")
        expect_equal(run(two, "del", "--prefix", "/foo"), "3\n")
        expect_equal(run(two, "del", "/foo"), "0\n")
        left = [name for name in os.listdir(c.members[0].root) if not name.startswith("%")]
        expect_equal(left, ["zoo"], "what is left on the mount")
        calls.put(c.members[0].root + "/by-file", b"written here")
        expect_equal(run(three, "get", "/by-file"), "/by-file\nwritten here\n")
        expect("key is not provided" in run(one, "put", "", "x", status=1), "the refusal of an empty key")
        c.stop()


@test(limit=120, needs=NEEDS)
def transactions_and_compaction(base):
    with Trio(base) as c:
        all_of_them = c.endpoints()
        run(all_of_them, "put", "user", "bad")
        script = 'value("user") = "bad"\n\ndel user\n\nput user good\n\n'
        expect_equal(run(all_of_them, "txn", stdin=script), "SUCCESS\n\n1\n")
        expect_equal(run(all_of_them, "txn", stdin=script), "FAILURE\n\nOK\n")
        expect_equal(run(all_of_them, "get", "user"), "user\ngood\n")
        twice = 'version("user") > "0"\n\nput a 1\nput a 2\n\n\n'
        expect("duplicate key given in txn request" in run(all_of_them, "txn", stdin=twice, status=1), "duplicates")
        now = json.loads(run(all_of_them, "get", "user", "-w", "json"))["header"]["revision"]
        expect_equal(run(all_of_them, "compaction", str(now)), "compacted revision %d\n" % now)
        expect("required revision has been compacted" in run(all_of_them, "get", "user", "--rev=%d" % (now - 1),
                                                             status=1), "reading what was compacted")
        expect("required revision has been compacted" in run(all_of_them, "compaction", str(now), status=1),
               "compacting twice")
        expect("required revision is a future revision" in run(all_of_them, "compaction", str(now + 99), status=1),
               "compacting the future")
        c.stop()


@test(limit=120, needs=NEEDS)
def a_watch_hears_what_others_and_mounts_do(base):
    with Trio(base) as c:
        one, two = c.endpoints(c.members[0]), c.endpoints(c.members[1])
        run(one, "put", "/w/early", "1")
        first = json.loads(run(one, "get", "/w/early", "-w", "json"))["kvs"][0]["mod_revision"]
        watch = Running(two, "watch", "--prefix", "/w/", "--rev=%d" % first)
        plain = Running(one, "watch", "/w/late", "--prev-kv")
        watch.wait_lines(["PUT", "/w/early", "1"], "the past")
        run(one, "put", "/w/late", "2")
        calls.put(c.members[2].root + "/w/file", b"by file")
        os.unlink(c.members[2].root + "/w/early")
        watch.wait_lines(["PUT", "/w/early", "1", "PUT", "/w/late", "2", "PUT", "/w/file", "by file", "DELETE", "/w/early",
                          ""], "all of it, in order")
        run(one, "put", "/w/late", "3")
        tap.wait_until(lambda: plain.lines[-6:] == ["PUT", "/w/late", "2", "PUT", "/w/late", "3"]
                       or plain.lines[-5:] == ["PUT", "/w/late", "2", "/w/late", "3"], 15,
                       "the value before: %s" % plain.lines)
        watch.end()
        plain.end()
        c.stop()


@test(limit=120, needs=NEEDS)
def leases_keep_and_end_keys(base):
    with Trio(base) as c:
        one, two, three = (c.endpoints(m) for m in c.members)
        watch = Running(three, "watch", "--prefix", "/svc/")
        granted = re.fullmatch(r"lease ([0-9a-f]{16}) granted with TTL\(60s\)\n", run(one, "lease", "grant", "60"))
        expect(granted, "the answer of lease grant")
        lease = granted.group(1)
        expect_equal(run(two, "put", "/svc/a", "1", "--lease=" + lease), "OK\n")
        told = run(three, "lease", "timetolive", lease, "--keys")
        expect(re.fullmatch(r"lease %s granted with TTL\(60s\), remaining\(\d+s\), attached keys\(\[/svc/a\]\)\n" % lease,
                            told), told)
        expect_equal(run(two, "lease", "keep-alive", "--once", lease), "lease %s keepalived with TTL(60)\n" % lease)
        expect_equal(run(two, "lease", "list"), "found 1 leases\n%s\n" % lease)
        expect_equal(run(three, "lease", "revoke", lease), "lease %s revoked\n" % lease)
        expect_equal(run(one, "get", "/svc/a"), "")
        expect("already expired" in run(one, "lease", "timetolive", lease), "a lease that is gone")
        expect("requested lease not found" in run(one, "lease", "revoke", lease, status=1), "revoking it again")
        expect("requested lease not found" in run(one, "put", "k", "v", "--lease=" + lease, status=1), "using it")
        short = re.search("lease ([0-9a-f]+) granted", run(one, "lease", "grant", "2")).group(1)
        run(two, "put", "/svc/b", "2", "--lease=" + short)
        expect(os.path.exists(c.members[0].root + "/svc/b"), "the file of a key with a lease")
        watch.wait_lines(["PUT", "/svc/a", "1", "DELETE", "/svc/a", "", "PUT", "/svc/b", "2", "DELETE", "/svc/b", ""],
                         "lives and deaths")
        expect(not os.path.exists(c.members[2].root + "/svc/b"), "the file of a key whose lease has ended")
        watch.end()
        c.stop()


@test(limit=120, needs=NEEDS)
def locks_exclude_and_elections_have_one_winner(base):
    with Trio(base) as c:
        one, two = c.endpoints(c.members[0]), c.endpoints(c.members[1])
        first = Running(one, "lock", "l")
        first.wait_count(1, "the first lock")
        expect(re.fullmatch("l/[0-9a-f]+", first.lines[0]), first.lines[0])
        second = Running(two, "lock", "l")
        time.sleep(0.5)
        expect_equal(second.lines, [], "a second owner")
        first.end()
        second.wait_count(1, "the second lock")
        second.end()
        leader = Running(one, "elect", "e", "me")
        leader.wait_count(2, "the leader")
        expect_equal(leader.lines[1], "me")
        observer = Running(two, "elect", "-l", "e")
        observer.wait_count(2, "the observer")
        expect_equal(observer.lines[:2], leader.lines)
        observer.end()
        leader.end()
        c.stop()


@test(limit=120, needs=NEEDS)
def operators_see_the_cluster(base):
    with Trio(base) as c:
        run(c.endpoints(), "put", "a", "1")
        statuses = json.loads(run(c.endpoints(), "endpoint", "status", "-w", "json"))
        expect_equal(len(statuses), 3)
        ids = {s["Status"]["header"]["member_id"] for s in statuses}
        expect_equal(len(ids), 3, "identities")
        for s in (s["Status"] for s in statuses):
            expect(s["version"].startswith("3.6."), s)
            expect(s["dbSize"] > 0, s)
            expect(s["leader"] in ids, s)
            expect(s["raftAppliedIndex"] > 0 and s["raftTerm"] > 0, s)
        table = run(c.endpoints(), "endpoint", "status", "-w", "table")
        expect_equal(table.count(" true "), 1, "leaders in\n" + table)
        health = subprocess.run(command(c.endpoints(), "endpoint", "health"), capture_output=True, text=True,
                                env=ENVIRONMENT, timeout=60)
        expect_equal((health.stdout + health.stderr).count("is healthy"), 3, "healthy members")
        hashes = {h["HashKV"]["hash"] for h in json.loads(run(c.endpoints(), "endpoint", "hashkv", "-w", "json"))}
        expect_equal(len(hashes), 1, "different hashes")
        expect_equal(run(c.endpoints(), "alarm", "list"), "")
        saved = os.path.join(base, "snapshot")
        run(c.endpoints(c.members[0]), "snapshot", "save", saved)
        expect_equal(os.path.getsize(saved) % 512, 32, "the rest of the snapshot's size by 512")
        leader = next(s["Status"]["leader"] for s in statuses)
        target = next(i for i in ids if i != leader)
        at_leader = next(s["Endpoint"] for s in statuses if s["Status"]["header"]["member_id"] == leader)
        expect_equal(run(at_leader, "move-leader", "%x" % target),
                     "Leadership transferred from %x to %x\n" % (leader, target))
        listed = run(c.endpoints(), "member", "list")
        expect_equal(listed.count(", started, "), 3, "members in\n" + listed)
        expect_equal(listed.count(", %s, false" % ADVERTISED), 3, "client URLs in\n" + listed)
        c.stop()


@test(limit=120, needs=NEEDS)
def a_store_without_users_says_so(base):
    with Trio(base) as c:
        e = c.endpoints()
        expect_equal(run(e, "user", "list"), "")
        expect_equal(run(e, "role", "list"), "")
        expect("root user does not exist" in run(e, "auth", "enable", status=1), "auth enable")
        expect_equal(run(e, "auth", "disable"), "Authentication Disabled\n")
        expect("user name not found" in run(e, "user", "get", "x", status=1), "user get")
        expect("keeps no users" in run(e, "user", "add", "x:y", status=1), "user add")
        expect("role name not found" in run(e, "role", "get", "x", status=1), "role get")
        c.stop()


def http(port, path):
    try:
        with urllib.request.urlopen("http://127.0.0.1:%d%s" % (port, path), timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read().decode()


@test(limit=60)
def the_same_port_answers_http(base):
    with Trio(base) as c:
        port = port_of(c.members[0])
        expect_equal(http(port, "/health"), (200, '{"health":"true","reason":""}'))
        expect_equal(http(port, "/livez"), (200, "ok\n"))
        expect_equal(http(port, "/readyz"), (200, "ok\n"))
        expect_equal(http(port, "/readyz/linearizable_read"), (200, "ok\n"))
        expect("[+]serializable_read ok" in http(port, "/readyz?verbose")[1], "the checks by name")
        expect_equal(http(port, "/nothing")[0], 404)
        version = json.loads(http(port, "/version")[1])
        expect(version["etcdserver"].startswith("3.6.") and version["etcdcluster"] == "3.6.0", version)
        metrics = http(port, "/metrics")[1]
        for line in ("etcd_server_has_leader 1", "process_max_fds ",
                     'grpc_server_handled_total{grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary",'
                     'grpc_code="OK"} 0'):
            expect(any(got.startswith(line) for got in metrics.splitlines()), line)
        leader = next(m for m in c.members if "etcd_server_is_leader 1" in http(port_of(m), "/metrics")[1])
        others = [m for m in c.members if m is not leader]
        leader.freeze()
        others[0].freeze()
        alone = others[1]
        tap.wait_until(lambda: http(port_of(alone), "/health")[0] == 503, 20, "a minority that is unhealthy")
        expect_equal(http(port_of(alone), "/livez")[0], 200, "it lives all the same")
        leader.thaw()
        others[0].thaw()
        tap.wait_until(lambda: http(port_of(alone), "/health")[0] == 200, 20, "health again")
        c.stop()


if __name__ == "__main__":
    OPTIONS = tap.parse(__doc__)
    raise SystemExit(1 if tap.run(OPTIONS, rig.NoNode()) else 0)
