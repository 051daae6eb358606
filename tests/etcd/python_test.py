#!/usr/bin/python3
"""python3-etcd3 against keelfs: an unmodified client library of Debian.

    KEELFS=build/cmd/keelfs tests/etcd/python_test.py [--self] [NAME...]"""

import importlib.util
import os
import queue
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import servers  # noqa: E402
import tap      # noqa: E402
from tap import expect, expect_equal  # noqa: E402


def client(endpoints, number=0, timeout=20):
    import etcd3
    host, port = endpoints[number].rsplit(":", 1)
    return etcd3.client(host=host, port=int(port), timeout=timeout)


@tap.test()
def values_prefixes_and_ranges(at):
    etcd = client(at)
    expect_equal(etcd.get("py/none"), (None, None))
    etcd.put("py/a", b"\0\xff")
    etcd.put("py/b", "two")
    value, meta = etcd.get("py/a")
    expect_equal((value, meta.key, meta.version), (b"\0\xff", b"py/a", 1))
    expect_equal([v for v, _ in etcd.get_prefix("py/", sort_order="descend")], [b"two", b"\0\xff"])
    expect_equal([m.key for _, m in etcd.get_range("py/a", "py/b")], [b"py/a"])
    expect_equal(etcd.put("py/a", "again", prev_kv=True).prev_kv.value, b"\0\xff")
    expect_equal(etcd.put_if_not_exists("py/a", "x"), False)
    expect_equal(etcd.replace("py/a", "again", "swapped"), True)
    expect_equal(etcd.replace("py/a", "again", "never"), False)
    expect_equal(etcd.delete("py/b"), True)
    expect_equal(etcd.delete("py/b"), False)
    expect_equal(etcd.delete_prefix("py/").deleted, 1)


@tap.test()
def transactions(at):
    etcd = client(at)
    etcd.put("pt", "1")
    t = etcd.transactions
    done, answers = etcd.transaction(compare=[t.value("pt") == "1", t.version("pt") > 0],
                                     success=[t.put("pt", "2"), t.get("pt")], failure=[t.get("pt")])
    expect_equal((done, answers[1][0][0]), (True, b"2"))
    done, answers = etcd.transaction(compare=[t.create("pt") == 0], success=[], failure=[t.get("pt"), t.delete("pt")])
    expect_equal((done, answers[0][0][0]), (False, b"2"))


@tap.test()
def a_compacted_revision_is_its_own_error(at):
    import etcd3
    etcd = client(at)
    revision = etcd.put("pc", "1").header.revision
    etcd.put("pc", "2")
    etcd.compact(revision + 1, physical=True)
    try:
        iterator, cancel = etcd.watch("pc", start_revision=revision)
        next(iterator)
        raise tap.Failure("the watch began")
    except etcd3.exceptions.RevisionCompactedError as error:
        expect_equal(error.compacted_revision, revision + 1)


# Danger: a program that reacts to changes misses one.
@tap.test(limit=60)
def watches_and_their_cancel(at):
    etcd, other = client(at), client(at, -1)
    seen = queue.Queue()
    number = etcd.add_watch_callback("pw/", seen.put, range_end=b"pw0", prev_kv=True)
    other.put("pw/1", "one")
    other.put("pw/1", "two")
    other.delete("pw/1")
    events = []
    while len(events) < 3:
        events += seen.get(timeout=20).events
    expect_equal([(type(e).__name__, e.key, e.value, e.prev_value) for e in events],
                 [("PutEvent", b"pw/1", b"one", b""), ("PutEvent", b"pw/1", b"two", b"one"),
                  ("DeleteEvent", b"pw/1", b"", b"two")], "events")
    etcd.cancel_watch(number)
    iterator, cancel = etcd.watch_prefix("pw/", start_revision=events[0].mod_revision)
    expect_equal([next(iterator).value for _ in range(2)], [b"one", b"two"])
    cancel()
    expect_equal(list(iterator)[1:], [], "events after the cancel")
    many = [etcd.watch("pm/%d" % n) for n in range(50)]
    for n in range(50):
        other.put("pm/%d" % n, "v")
    expect_equal([next(i).key for i, _ in many], [b"pm/%d" % n for n in range(50)], "fifty watches")


@tap.test(limit=60)
def leases_and_locks(at):
    etcd, other = client(at), client(at, -1)
    lease = etcd.lease(60)
    etcd.put("pl/1", "v", lease)
    expect_equal((lease.granted_ttl, list(lease.keys)), (60, [b"pl/1"]))
    expect(55 <= lease.remaining_ttl <= 60, "remaining: %s" % lease.remaining_ttl)
    expect_equal([r.TTL for r in lease.refresh()], [60])
    lease.revoke()
    expect_equal(other.get("pl/1"), (None, None))
    # Only without contention: waiting fails in Debian's version of the library
    # (it calls its retry helper, tenacity, as an older one wants it).
    for mine in (etcd, other):
        lock = mine.lock("plock", ttl=30)
        expect(lock.acquire() and lock.is_acquired(), "the lock was not free")
        expect_equal(lock.release(), True, "release")
        expect(not lock.is_acquired(), "still held")


@tap.test()
def members_status_and_upkeep(at):
    import io
    etcd = client(at)
    members = list(etcd.members)
    expect_equal(sorted(m.name for m in members), ["s1", "s2", "s3"])
    expect_equal(sorted(u for m in members for u in m.client_urls), sorted("http://" + a for a in at))
    status = etcd.status()
    expect(status.version.startswith("3.") and status.db_size > 0, "status: %s" % vars(status))
    expect(status.leader.name in ("s1", "s2", "s3"), "leader: %s" % status.leader)
    expect_equal(list(etcd.list_alarms()), [])
    etcd.defragment()
    expect(etcd.hash() > 0, "no hash")
    saved = io.BytesIO()
    etcd.snapshot(saved)
    expect_equal(saved.tell() % 512, 32, "the snapshot's size modulo 512")


def more(parser):
    parser.add_argument("--self", action="store_true", help="against stock etcd: the tests tested")


def rig_of(options):
    servers.need_modules()
    if importlib.util.find_spec("etcd3") is None:
        tap.skip_all("python3-etcd3 is not installed")
    return servers.Group(servers.Etcd if options.self else servers.Keelfs, 3)


if __name__ == "__main__":
    tap.main(__doc__, rig_of, more)
