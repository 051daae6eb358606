#!/usr/bin/python3
"""Watchers that do not read, or read slowly: they cost a bounded buffer, lose
nothing, and nobody else waits for them.

    KEELFS=build/cmd/keelfs tests/etcd/slow_test.py [NAME...]"""

import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import servers  # noqa: E402
import tap      # noqa: E402
from tap import expect, expect_equal  # noqa: E402

KV, WATCH = "etcdserverpb.KV/", "etcdserverpb.Watch/Watch"
VALUE = 20000


def resident(pid):
    """MiB of memory that a process has now."""
    with open("/proc/%d/status" % pid) as f:
        return int(f.read().split("VmRSS:")[1].split()[0]) / 1024


class Lazy:
    """A watch stream whose answers are taken only when asked for, so that flow
    control holds the server back."""

    def __init__(self, address, requests):
        import rpc
        import queue
        self.client = rpc.Client(address)
        self.outgoing = queue.Queue()
        for request in requests:
            self.outgoing.put(request)
        self.call = self.client._stub(WATCH)(iter(self.outgoing.get, None))

    def next(self):
        return next(self.call)

    def close(self):
        self.call.cancel()
        self.outgoing.put(None)
        self.client.close()


def create(key, **more):
    from schema import pb
    return pb.WatchRequest(create_request=pb.WatchCreateRequest(key=key, **more))


def percentile(samples, part):
    samples = sorted(samples)
    return samples[min(len(samples) - 1, int(len(samples) * part))]


def write(client, count, samples=None, key=b"slow/%d"):
    from schema import pb
    for n in range(count):
        began = time.monotonic()
        answer = client.call(KV + "Put", pb.PutRequest(key=key % (n % 7), value=b"%08d" % n + b"v" * VALUE))
        expect(hasattr(answer, "header"), answer)
        if samples is not None:
            samples.append(time.monotonic() - began)


# Danger: events pile up in the server for those who never fetch them.
@tap.test(limit=120)
def watchers_that_never_read_cost_a_bounded_buffer(address, pid):
    import rpc
    normal = rpc.Client(address)
    before = []
    write(normal, 200, before)
    base = resident(pid)
    lazy = [Lazy(address, [create(b"slow/", range_end=b"slow0", prev_kv=True) for _ in range(10)]) for _ in range(20)]
    reader = normal.stream(WATCH)
    reader.send(create(b"slow/", range_end=b"slow0"))
    expect(reader.wait(lambda got: got and got[0].created), "no watch")
    during = []
    write(normal, 1500, during)  # 30 MB of events, 60 with the values before; 200 watches: 12 GB
    expect(reader.wait(lambda got: sum(len(r.events) for r in got) == 1500), "a watcher that reads was held back")
    grown = resident(pid) - base
    tap.note("memory grew by %.0f MiB; puts: p50 %.1f ms, p99 %.1f ms before, %.1f and %.1f ms during" % (
        grown, percentile(before, .5) * 1e3, percentile(before, .99) * 1e3,
        percentile(during, .5) * 1e3, percentile(during, .99) * 1e3))
    expect(grown < 300, "memory grew by %.0f MiB" % grown)
    expect(percentile(during, .99) < percentile(before, .99) * 10 + 0.25 * tap.SLOW, "others wait")
    for stream in lazy:
        stream.close()
    reader.cancel()
    tap.wait_until(lambda: normal.call(KV + "Range", _range()) is not None, 10, "an answer afterwards")


def _range():
    from schema import pb
    return pb.RangeRequest(key=b"slow/0", keys_only=True)


# Danger: whoever falls behind loses events, or gets them in another order.
@tap.test(limit=120)
def a_slow_watcher_gets_every_event_in_order(address, pid):
    import rpc
    normal = rpc.Client(address)
    lazy = Lazy(address, [create(b"order/", range_end=b"order0"), create(b"order/3")])
    expect(lazy.next().created and lazy.next().created, "no watch")
    write(normal, 1200, key=b"order/%d")
    got = {0: [], 1: []}
    while len(got[0]) < 1200 or len(got[1]) < 171:
        response = lazy.next()
        got[response.watch_id] += [int(e.kv.value[:8]) for e in response.events]
        time.sleep(0.002)
    expect_equal(got[0], list(range(1200)), "the events of the whole range")
    expect_equal(got[1], [n for n in range(1200) if n % 7 == 3], "the events of one key")
    lazy.close()


# Danger: one who stopped reading stops the other watches of his connection.
@tap.test(limit=120)
def streams_of_one_connection_do_not_hold_each_other_up(address, pid):
    import rpc
    import queue
    client = rpc.Client(address)
    outgoing = queue.Queue()
    outgoing.put(create(b"slow/", range_end=b"slow0", prev_kv=True))
    stuck = client._stub(WATCH)(iter(outgoing.get, None))  # never read
    reader = client.stream(WATCH)
    reader.send(create(b"slow/", range_end=b"slow0"))
    expect(reader.wait(lambda got: got), "no watch")
    done = threading.Thread(target=write, args=(client, 400))
    done.start()
    expect(reader.wait(lambda got: sum(len(r.events) for r in got) == 400, 60), "events are missing")
    done.join(60)
    expect(not done.is_alive(), "puts hang")
    stuck.cancel()
    outgoing.put(None)
    reader.cancel()


# Danger: a watch that is created and cancelled over and over leaves something.
@tap.test(limit=120)
def watches_that_come_and_go_leave_nothing(address, pid):
    import rpc
    from schema import pb
    client = rpc.Client(address)

    def churn(rounds):
        stream = client.stream(WATCH)
        for n in range(rounds):
            stream.send(create(b"churn/%d" % n))
            stream.send(pb.WatchRequest(cancel_request=pb.WatchCancelRequest(watch_id=n)))
        expect(stream.wait(lambda got: len(got) == 2 * rounds or stream.ended), "answers are missing")
        expect_equal(stream.ended, None, "the stream's end")
        stream.cancel()
    churn(3000)
    base = resident(pid)
    for _ in range(4):
        churn(3000)
    grown = resident(pid) - base
    tap.note("memory grew by %.1f MiB over 12,000 watches" % grown)
    expect(grown < 30, "memory grew by %.1f MiB" % grown)


# Danger: thousands of watches on one stream, each of which must be served.
@tap.test(limit=120)
def thousands_of_watches_share_a_stream(address, pid):
    import rpc
    from schema import pb
    client = rpc.Client(address)
    stream = client.stream(WATCH)
    for n in range(5000):
        stream.send(create(b"many/%d" % n))
    expect(stream.wait(lambda got: len(got) == 5000), "watches are missing")
    for n in range(0, 5000, 100):
        answer = client.call(KV + "Txn", pb.TxnRequest(success=[
            pb.RequestOp(request_put=pb.PutRequest(key=b"many/%d" % m)) for m in range(n, n + 100)]))
        expect(getattr(answer, "succeeded", False), answer)
    expect(stream.wait(lambda got: sum(len(r.events) for r in got) == 5000), "events are missing")
    wrong = [r for r in stream.received for e in r.events if e.kv.key != b"many/%d" % r.watch_id]
    expect_equal(len(wrong), 0, "events that went to another watch")
    stream.cancel()


class One(servers.Group):
    def arguments(self):
        return self.servers[0].address, self.servers[0].node.process.pid


def rig_of(_):
    servers.need_modules()
    return One(servers.Keelfs, 1)


if __name__ == "__main__":
    tap.main(__doc__, rig_of)
