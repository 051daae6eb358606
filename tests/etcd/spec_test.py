#!/usr/bin/python3
"""What etcd 3.4 cannot show: rules of etcd 3.6 and 3.7, from the specification.

    KEELFS=build/cmd/keelfs tests/etcd/spec_test.py [NAME...]"""

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import servers  # noqa: E402
import tap      # noqa: E402
from tap import expect, expect_equal  # noqa: E402

KV, WATCH, MAINTENANCE = "etcdserverpb.KV/", "etcdserverpb.Watch/Watch", "etcdserverpb.Maintenance/"


def client_of(at):
    import rpc
    return rpc.Client(at[0])


def error(answer):
    import rpc
    return tuple(answer) if isinstance(answer, rpc.Error) else "no error: %s" % tap.short(answer)


def fill(client, prefix, count, size):
    from schema import pb
    for first in range(0, count, 100):
        answer = client.call(KV + "Txn", pb.TxnRequest(success=[
            pb.RequestOp(request_put=pb.PutRequest(key=b"%s%05d" % (prefix, n), value=b"v" * size))
            for n in range(first, min(count, first + 100))]))
        expect(getattr(answer, "succeeded", False), answer)


# --- RangeStream ---

# Danger: a list that comes in pieces differs from one that comes whole.
@tap.test(limit=60)
def range_stream_adds_up_to_the_answer_of_range(at):
    from schema import pb
    client = client_of(at)
    fill(client, b"rs/", 3000, 1500)
    revision = client.call(KV + "Range", pb.RangeRequest(key=b"a")).header.revision
    client.call(KV + "Put", pb.PutRequest(key=b"rs/new", value=b"x"))
    for request in (pb.RangeRequest(key=b"rs/", range_end=b"rs0"),
                    pb.RangeRequest(key=b"rs/", range_end=b"rs0", revision=revision),
                    pb.RangeRequest(key=b"rs/", range_end=b"rs0", limit=2500),
                    pb.RangeRequest(key=b"rs/", range_end=b"rs0", keys_only=True, serializable=True),
                    pb.RangeRequest(key=b"rs/", range_end=b"rs0", count_only=True),
                    pb.RangeRequest(key=b"rs/00001"), pb.RangeRequest(key=b"rs/nothing"),
                    pb.RangeRequest(key=b"b", range_end=b"a")):
        whole = client.call(KV + "Range", request)
        got, failed = client.messages(KV + "RangeStream", request)
        expect_equal(failed, None, "the stream's end")
        pieces = [m.range_response for m in got]
        merged = pb.RangeResponse(header=pieces[-1].header, more=pieces[-1].more, count=pieces[-1].count)
        for piece in pieces:
            merged.kvs.extend(piece.kvs)
        expect(merged == whole, "%s: %d keys in %d pieces, %d whole" % (
            str(request).replace("\n", " "), len(merged.kvs), len(pieces), len(whole.kvs)))
        for piece in pieces[:-1]:
            expect(not piece.HasField("header") and not piece.more and not piece.count and piece.kvs,
                   "a piece that is not the last has more than keys")
            expect(piece.ByteSize() <= 1572864 + 512 * 1024, "a piece of %d bytes" % piece.ByteSize())
        if len(whole.kvs) > 2000 and not request.keys_only:
            expect(len(pieces) > 2, "%d keys in %d pieces" % (len(whole.kvs), len(pieces)))


# Danger: a long range is read in slices; what lies between two of them is lost
# or doubled, or counted twice.
@tap.test(limit=60)
def a_long_range_is_whole(at):
    from schema import pb
    client = client_of(at)
    fill(client, b"long/", 6000, 300)
    keys = [b"long/%05d" % n for n in range(6000)]
    for limit, count_only in ((0, False), (1, False), (2048, False), (4999, False), (6000, False), (7000, False),
                              (0, True), (10, True)):
        answer = client.call(KV + "Range", pb.RangeRequest(key=b"long/", range_end=b"long0", limit=limit,
                                                           count_only=count_only))
        wanted = [] if count_only else keys[:limit or None]
        expect_equal([kv.key for kv in answer.kvs], wanted, "the keys with limit %d" % limit)
        expect_equal((answer.count, answer.more), (6000, not count_only and 0 < limit < 6000),
                     "count and more with limit %d" % limit)
        expect(all(len(kv.value) == 300 for kv in answer.kvs), "the values with limit %d" % limit)


@tap.test()
def range_stream_refuses_what_it_cannot_stream(at):
    from schema import pb
    client = client_of(at)
    for request, wanted in (
            (pb.RangeRequest(), ("INVALID_ARGUMENT", "etcdserver: key is not provided")),
            (pb.RangeRequest(key=b"a", revision=1 << 40),
             ("OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision"))):
        _, failed = client.messages(KV + "RangeStream", request)
        expect_equal(tuple(failed or ()), wanted)
    for request in (pb.RangeRequest(key=b"a", sort_target=3), pb.RangeRequest(key=b"a", sort_order=2),
                    pb.RangeRequest(key=b"a", min_mod_revision=1), pb.RangeRequest(key=b"a", max_create_revision=1)):
        _, failed = client.messages(KV + "RangeStream", request)
        expect(failed is not None and failed.code == "UNIMPLEMENTED", "%s: %s" % (request, failed))


# --- KV ---

@tap.test()
def a_sort_that_does_not_exist_is_refused(at):
    from schema import pb
    client = client_of(at)
    for order, target in ((3, 0), (1, 5), (-1, 0), (0, 99)):
        expect_equal(error(client.call(KV + "Range", pb.RangeRequest(key=b"a", sort_order=order, sort_target=target))),
                     ("INVALID_ARGUMENT", "etcdserver: invalid sort option"), "order %d, target %d" % (order, target))


# Danger (D3): what makes stock etcd panic, at each start again, stops a cluster.
@tap.test()
def keeping_the_value_of_a_key_that_the_transaction_deletes(at):
    from schema import pb
    client = client_of(at)
    before = client.call(KV + "Put", pb.PutRequest(key=b"d3", value=b"v")).header.revision
    for flag in ("ignore_value", "ignore_lease"):
        answer = client.call(KV + "Txn", pb.TxnRequest(success=[
            pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=b"d3")),
            pb.RequestOp(request_txn=pb.TxnRequest(success=[
                pb.RequestOp(request_put=pb.PutRequest(key=b"d3x"))]))]))
        expect(answer.succeeded, answer)
        client.call(KV + "Put", pb.PutRequest(key=b"d3", value=b"v"))
        before = client.call(KV + "Range", pb.RangeRequest(key=b"d3")).header.revision
        put = pb.PutRequest(key=b"d3")
        setattr(put, flag, True)
        answer = client.call(KV + "Txn", pb.TxnRequest(success=[
            pb.RequestOp(request_put=pb.PutRequest(key=b"d3y")),
            pb.RequestOp(request_txn=pb.TxnRequest(success=[
                pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=b"d", range_end=b"e"))])),
            pb.RequestOp(request_txn=pb.TxnRequest(success=[pb.RequestOp(request_put=put)]))]))
        expect(error(answer)[0] == "INVALID_ARGUMENT", error(answer))
        after = client.call(KV + "Range", pb.RangeRequest(key=b"d3"))
        expect_equal((after.header.revision, after.count), (before, 1), "revision and keys after the refusal")


# --- upkeep ---

# Danger (D14): a store that was full once refuses writes until somebody types
# three commands.
@tap.test(limit=60)
def a_full_store_takes_writes_again_when_there_is_space(at):
    from schema import pb
    import rpc
    server = servers.Keelfs(arguments=["--quota-backend-bytes", str(16 << 20)])
    server.start()
    server.wait()
    client = rpc.Client(server.address)
    put = pb.PutRequest(key=b"full", value=b"v" * 1000000)
    answers = []
    while len(answers) < 60 and not (answers and isinstance(answers[-1], rpc.Error)):
        answers.append(client.call(KV + "Put", put))
    full = ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded")
    expect_equal(error(answers[-1]), full, "after %d MB" % len(answers))
    expect(client.call(KV + "Range", pb.RangeRequest(key=b"full")).count == 1, "a read is refused too")
    deleted = client.call(KV + "DeleteRange", pb.DeleteRangeRequest(key=b"full"))
    expect_equal(deleted.deleted, 1, "deleted")
    client.call(KV + "Compact", pb.CompactionRequest(revision=deleted.header.revision, physical=True))
    client.call(MAINTENANCE + "Defragment", pb.DefragmentRequest())
    tap.wait_until(lambda: not isinstance(client.call(KV + "Put", put), rpc.Error), 20, "a write that is taken again")
    expect_equal(len(client.call(MAINTENANCE + "Alarm", pb.AlarmRequest()).alarms), 0, "alarms")
    server.close()


# Danger: an operator who stops writes by hand, before something delicate, would
# find them going on a second later.
@tap.test(limit=60)
def an_alarm_that_was_raised_by_hand_stays(at):
    from schema import pb
    import rpc
    server = servers.Keelfs()
    server.start()
    server.wait()
    client = rpc.Client(server.address)
    put = pb.PutRequest(key=b"full", value=b"v")
    member = client.call(KV + "Put", put).header.member_id
    client.call(MAINTENANCE + "Alarm", pb.AlarmRequest(action=1, memberID=member, alarm=1))
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        expect_equal(error(client.call(KV + "Put", put)),
                     ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded"), "a put")
        time.sleep(0.1)
    expect_equal(len(client.call(MAINTENANCE + "Alarm", pb.AlarmRequest()).alarms), 1, "alarms")
    client.call(MAINTENANCE + "Alarm", pb.AlarmRequest(action=2, memberID=member, alarm=1))
    expect(not isinstance(client.call(KV + "Put", put), rpc.Error), "a put after it was disarmed")
    server.close()


# Danger (D21): a member whose state differs from the others' answers with it.
@tap.test()
def the_alarm_corrupt_stops_the_member_that_it_names(at):
    from schema import pb
    client = client_of(at)
    number = client.call("etcdserverpb.Cluster/MemberList", pb.MemberListRequest()).members[0].ID
    client.call(MAINTENANCE + "Alarm", pb.AlarmRequest(action=1, memberID=number, alarm=2))
    for method, request in (("Put", pb.PutRequest(key=b"a")), ("Range", pb.RangeRequest(key=b"a")),
                            ("Range", pb.RangeRequest(key=b"a", serializable=True)),
                            ("DeleteRange", pb.DeleteRangeRequest(key=b"a")),
                            ("Txn", pb.TxnRequest(success=[pb.RequestOp(request_put=pb.PutRequest(key=b"a"))]))):
        expect_equal(error(client.call(KV + method, request)), ("DATA_LOSS", "etcdserver: corrupt cluster"), method)
    expect("alarm:CORRUPT" in client.call(MAINTENANCE + "Status", pb.StatusRequest()).errors[0], "not in the status")
    client.call(MAINTENANCE + "Alarm", pb.AlarmRequest(action=2, memberID=number, alarm=2))
    expect(hasattr(client.call(KV + "Put", pb.PutRequest(key=b"a")), "header"), "refused afterwards")


@tap.test()
def status_has_what_3_6_adds(at):
    import re
    from schema import pb
    status = client_of(at).call(MAINTENANCE + "Status", pb.StatusRequest())
    expect(re.fullmatch(r"3\.6\.\d+", status.version), status.version)
    expect_equal(status.storageVersion, "3.6.0")
    expect(status.dbSize > 0 and 0 < status.dbSizeInUse <= status.dbSize, status)
    expect(status.dbSizeQuota > 0 and status.raftIndex >= status.raftAppliedIndex > 0 and status.leader, status)


@tap.test()
def a_hash_says_of_which_revision_it_is(at):
    from schema import pb
    client = client_of(at)
    revision = client.call(KV + "Put", pb.PutRequest(key=b"h", value=b"1")).header.revision
    first = client.call(MAINTENANCE + "HashKV", pb.HashKVRequest(revision=revision))
    expect_equal(first.hash_revision, revision)
    client.call(KV + "Put", pb.PutRequest(key=b"h", value=b"2"))
    newest = client.call(MAINTENANCE + "HashKV", pb.HashKVRequest())
    expect_equal(newest.hash_revision, revision + 1)
    again = client.call(MAINTENANCE + "HashKV", pb.HashKVRequest(revision=revision))
    expect_equal((again.hash, again.hash_revision), (first.hash, revision))
    expect(newest.hash != first.hash, "two states have one hash")


# --- watches ---

@tap.test()
def a_watch_from_a_negative_revision_is_refused_at_once(at):
    from schema import pb
    stream = client_of(at).stream(WATCH)
    stream.send(pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"a", start_revision=-5)))
    expect(stream.wait(lambda got: got), "no answer")
    got = stream.received[0]
    expect_equal((got.created, got.canceled, got.watch_id, got.cancel_reason, len(got.events)),
                 (True, True, -1, "etcdserver: mvcc: required revision has been compacted", 0))
    stream.send(pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"a")))
    expect(stream.wait(lambda got: len(got) == 2), "the stream did not go on")
    expect_equal((stream.received[1].created, stream.received[1].canceled, stream.received[1].watch_id),
                 (True, False, 0))
    stream.cancel()


# Danger: a client takes progress for "you have seen all", and has not.
@tap.test(limit=60)
def progress_never_overtakes_a_watch_that_catches_up(at):
    from schema import pb
    client = client_of(at)
    first = client.call(KV + "Put", pb.PutRequest(key=b"prog")).header.revision
    for n in range(1500):
        client.call(KV + "Put", pb.PutRequest(key=b"prog", value=b"%d" % n))
    stream = client.stream(WATCH)
    for _ in range(5):
        stream.send(pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"prog", start_revision=first)))
        stream.send(pb.WatchRequest(progress_request=pb.WatchProgressRequest()))
    for _ in range(200):
        stream.send(pb.WatchRequest(progress_request=pb.WatchProgressRequest()))
    expect(stream.wait(lambda got: sum(len(r.events) for r in got) >= 5 * 1501), "events are missing")
    stream.send(pb.WatchRequest(progress_request=pb.WatchProgressRequest()))
    expect(stream.wait(lambda got: got[-1].watch_id == -1), "no progress when all is sent")
    alive, said = {}, 0
    for response in stream.received:
        if response.created:
            alive[response.watch_id] = 0
        elif response.watch_id == -1:
            said += 1
            for number in alive:
                alive[number] = response.header.revision
        else:
            lowest = min(e.kv.mod_revision for e in response.events)
            expect(lowest > alive[response.watch_id], "revision %d came after progress %d" % (
                lowest, alive[response.watch_id]))
    stream.cancel()


# --- the transport ---

@tap.test()
def requests_may_be_compressed(at):
    import grpc
    import schema
    channel = grpc.insecure_channel(at[0])
    put = channel.unary_unary("/" + KV + "Put", request_serializer=schema.pb.PutRequest.SerializeToString,
                              response_deserializer=schema.pb.PutResponse.FromString)
    put(schema.pb.PutRequest(key=b"gz", value=b"z" * 100000), compression=grpc.Compression.Gzip, timeout=10)
    got = client_of(at).call(KV + "Range", schema.pb.RangeRequest(key=b"gz"))
    expect_equal(got.kvs[0].value, b"z" * 100000)
    try:  # small on the wire, and more than a request may be
        put(schema.pb.PutRequest(key=b"gz", value=b"z" * 30000000), compression=grpc.Compression.Gzip, timeout=10)
        raise tap.Failure("30 MB were accepted")
    except grpc.RpcError as refused:
        expect_equal(refused.code().name, "RESOURCE_EXHAUSTED", refused.details())


@tap.test()
def metadata_of_real_clients_is_accepted(at):
    from schema import pb
    client = client_of(at)
    answer = client.call(KV + "Range", pb.RangeRequest(key=b"a"), metadata=(
        ("hasleader", "true"), ("client-api-version", "3.5"), ("x-anything-bin", b"\0\xff")))
    expect(answer.header.revision >= 1, answer)


def rig_of(_):
    servers.need_modules()
    return servers.Group(servers.Keelfs, 1)


if __name__ == "__main__":
    tap.main(__doc__, rig_of)
