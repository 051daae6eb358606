"""Requests that are not random: new stores, upkeep, bytes that are no message,
and things that take time.  Each gets a runner on two fresh servers."""

import compare
import rpc
import watching
from schema import pb
from steps import ELECTION, KV, LEASE, LOCK, MAINTENANCE

CLUSTER, AUTH = "etcdserverpb.Cluster/", "etcdserverpb.Auth/"
HEALTH = "grpc.health.v1.Health/"


def new_store(run):
    """Before anything was written, and just after."""
    requests = [(KV + "Range", pb.RangeRequest(key=b"a", revision=r)) for r in (0, 1, 2, -1)]
    requests += [(KV + "Range", pb.RangeRequest(key=b"\0", range_end=b"\0", count_only=True))]
    requests += [(MAINTENANCE + "HashKV", pb.HashKVRequest(revision=r)) for r in (0, 1, 2)]
    requests += [(KV + "Compact", pb.CompactionRequest(revision=r)) for r in (-1, 2, 1, 1, 0)]
    requests += [(KV + "DeleteRange", pb.DeleteRangeRequest(key=b"\0", range_end=b"\0", prev_kv=True)),
                 (KV + "Txn", pb.TxnRequest()),
                 (KV + "Txn", pb.TxnRequest(compare=[pb.Compare(key=b"a", target=0, version=0)])),
                 (LEASE + "LeaseLeases", pb.LeaseLeasesRequest()),
                 (KV + "Put", pb.PutRequest(key=b"a")),
                 (KV + "Put", pb.PutRequest(key=b"a", prev_kv=True)),
                 (KV + "DeleteRange", pb.DeleteRangeRequest(key=b"a")),
                 (KV + "Compact", pb.CompactionRequest(revision=3, physical=True)),
                 (KV + "Range", pb.RangeRequest(key=b"a", revision=3)),
                 (KV + "Range", pb.RangeRequest(key=b"a", revision=2)),
                 (KV + "Compact", pb.CompactionRequest(revision=4)),
                 (KV + "Put", pb.PutRequest(key=b"a", value=b"again")),
                 (KV + "Range", pb.RangeRequest(key=b"a")),
                 (MAINTENANCE + "HashKV", pb.HashKVRequest())]
    for method, request in requests:
        run.both(method, request)


def upkeep(run):
    """Members, status, and what a store without users says (nothing is added: D23)."""
    for method, request in (
            (CLUSTER + "MemberList", pb.MemberListRequest()),
            (CLUSTER + "MemberList", pb.MemberListRequest(linearizable=True)),
            (CLUSTER + "MemberAdd", pb.MemberAddRequest()),
            (CLUSTER + "MemberAdd", pb.MemberAddRequest(peerURLs=["not a url"])),
            (CLUSTER + "MemberAdd", pb.MemberAddRequest(peerURLs=["ftp://127.0.0.1:1"])),
            (CLUSTER + "MemberAdd", pb.MemberAddRequest(peerURLs=["http://127.0.0.1"])),
            (CLUSTER + "MemberAdd", pb.MemberAddRequest(peerURLs=["http://127.0.0.1:1/path"])),
            (CLUSTER + "MemberRemove", pb.MemberRemoveRequest(ID=12345)),
            (CLUSTER + "MemberUpdate", pb.MemberUpdateRequest(ID=12345, peerURLs=["http://127.0.0.1:1"])),
            (CLUSTER + "MemberPromote", pb.MemberPromoteRequest(ID=12345)),
            (MAINTENANCE + "Status", pb.StatusRequest()),
            (MAINTENANCE + "Defragment", pb.DefragmentRequest()),
            (MAINTENANCE + "MoveLeader", pb.MoveLeaderRequest(targetID=12345)),
            (MAINTENANCE + "MoveLeader", pb.MoveLeaderRequest()),
            (AUTH + "AuthDisable", pb.AuthDisableRequest()),
            (AUTH + "AuthEnable", pb.AuthEnableRequest()),
            (AUTH + "Authenticate", pb.AuthenticateRequest(name="root", password="x")),
            (AUTH + "UserList", pb.AuthUserListRequest()),
            (AUTH + "RoleList", pb.AuthRoleListRequest()),
            (AUTH + "UserGet", pb.AuthUserGetRequest(name="nobody")),
            (AUTH + "RoleGet", pb.AuthRoleGetRequest(role="none")),
            (AUTH + "UserDelete", pb.AuthUserDeleteRequest(name="nobody")),
            (AUTH + "RoleDelete", pb.AuthRoleDeleteRequest(role="none")),
            (HEALTH + "Check", pb.HealthCheckRequest()),
            (HEALTH + "Check", pb.HealthCheckRequest(service="none"))):
        run.both(method, request)
    answers = [c.call(MAINTENANCE + "Hash", pb.HashRequest()) for c in run.clients]
    if not all(getattr(a, "hash", 0) for a in answers):
        run.judge.record(MAINTENANCE + "Hash", "", "hash", *answers)


def own_member(run):
    """What is said of a cluster's only member."""
    lists = [c.call(CLUSTER + "MemberList", pb.MemberListRequest()) for c in run.clients]
    # Not an update without URLs (D18): 3.4 takes it, and has a member nobody reaches.
    for method, make in (
            ("MemberPromote", lambda m: pb.MemberPromoteRequest(ID=m.ID)),
            ("MemberAdd", lambda m: pb.MemberAddRequest(peerURLs=list(m.peerURLs))),
            ("MemberUpdate", lambda m: pb.MemberUpdateRequest(ID=m.ID, peerURLs=list(m.peerURLs))),
            ("MemberRemove", lambda m: pb.MemberRemoveRequest(ID=m.ID))):
        answers = [c.call(CLUSTER + method, make(answer.members[0])) for c, answer in zip(run.clients, lists)]
        run.judge.compare(CLUSTER + method, "of the only member", *answers)
    answers = [c.call(MAINTENANCE + "MoveLeader", pb.MoveLeaderRequest(targetID=answer.members[0].ID))
               for c, answer in zip(run.clients, lists)]
    run.judge.compare(MAINTENANCE + "MoveLeader", "to the leader itself", *answers)


# Bytes that are no message, and names that are no method.
GARBAGE = [b"\xff", b"\x0a", b"\x0a\x05ab", b"\x08", b"\x0a\x01a\x07", b"\x00\x00", b"\x0b\x0c",
           b"\x0a\x01a\x12\xff\xff\xff\xff\x0f", b"\x0a\x01a" + b"\x80" * 12]
UNKNOWN_FIELDS = [b"\x0a\x01a\xf8\x3f\x01", b"\x0a\x01a\xfa\x3f\x02xy", b"\x0a\x01a\xfb\x3f\xfc\x3f"]
NO_METHODS = ["etcdserverpb.KV/Nothing", "etcdserverpb.Nothing/Range", "Nothing", "a/b/c"]


def no_messages(run):
    """Compared by code: the texts name the library that could not read."""
    for payload in GARBAGE + UNKNOWN_FIELDS:
        answers = [c.raw(KV + "Range", payload) for c in run.clients]
        kinds = [a.code if isinstance(a, rpc.Error) else "OK" for a in answers]
        run.judge.compared["raw"] += 1
        if kinds[0] != kinds[1]:
            run.judge.record(KV + "Range", payload, "the code", *answers)
    for name in NO_METHODS:
        run.judge.compare("no method", name, *[c.raw(name, b"") for c in run.clients])
    run.both(KV + "Put", pb.PutRequest(key=b"still", value=b"alive"))


def expiry(run):
    """A lease that nobody keeps: its keys go in one revision, in order."""
    streams = watching.Streams(run, 1)
    run.both(LEASE + "LeaseGrant", pb.LeaseGrantRequest(ID=11, TTL=1))
    for name in (b"e/3", b"e/1", b"\xff", b"e/2", b"e"):
        run.both(KV + "Put", pb.PutRequest(key=name, value=b"v", lease=11))
    run.both(LEASE + "LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=11, keys=True))
    for side in streams.streams[0]:
        side.wait(lambda got: len(watching.events_of(got, 0)) >= 10)
    run.world.revision += 1
    for name in (b"e/3", b"e"):
        run.both(KV + "Range", pb.RangeRequest(key=name))
    run.both(LEASE + "LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=11, keys=True))
    run.both(LEASE + "LeaseRevoke", pb.LeaseRevokeRequest(ID=11))
    run.both(LEASE + "LeaseGrant", pb.LeaseGrantRequest(ID=11, TTL=100))
    streams.check()
    streams.close()


def large_events(run):
    """One revision that is larger than a message may be, in pieces and whole."""
    streams = watching.Streams(run, 2)
    for fragment in (False, True):
        streams.create(1, pb.WatchCreateRequest(key=b"big/", range_end=b"big0", prev_kv=True, fragment=fragment))
    for _ in range(2):
        run.both(KV + "Txn", pb.TxnRequest(success=[
            pb.RequestOp(request_put=pb.PutRequest(key=b"big/%d" % n, value=b"%d" % n * 240000)) for n in range(6)]))
    streams.drain()
    for _ in range(4):
        run.both(KV + "Put", pb.PutRequest(key=b"big/x", value=b"x" * 1400000))
    streams.drain()
    streams.create(1, pb.WatchCreateRequest(key=b"big/", range_end=b"big0", prev_kv=True, start_revision=1,
                                            fragment=True))
    streams.create(1, pb.WatchCreateRequest(key=b"big/", range_end=b"big0", start_revision=1))
    streams.check()
    pieces = [sum(r.fragment for r in side.received) for side in streams.streams[1]]
    if not all(pieces):
        run.judge.record(watching.METHOD, "fragment", "pieces", *pieces)
    largest = [max(r.ByteSize() for r in side.received if r.watch_id in (1, 2)) for side in streams.streams[1]]
    if max(largest) > 1572864 + 512 * 1024 + 1500000:
        run.judge.record(watching.METHOD, "fragment", "the largest piece", *largest)
    streams.close()


def waiting_locks(run):
    """Who waits is served in order; who waits no longer is passed over."""
    for number in (21, 22, 23):
        run.both(LEASE + "LeaseGrant", pb.LeaseGrantRequest(ID=number, TTL=600))
    held = run.both(LOCK + "Lock", pb.LockRequest(name=b"q", lease=21))
    waiting = []
    for number in (22, 23):
        waiting.append([c.start(LOCK + "Lock", pb.LockRequest(name=b"q", lease=number)) for c in run.clients])
        _until_keys(run, b"q/", len(waiting) + 1)
    run.both(LOCK + "Unlock", pb.UnlockRequest(key=held.key))
    second = [p.result() for p in waiting[0]]
    run.judge.compare(LOCK + "Lock", "the second", *second)
    run.both(LEASE + "LeaseRevoke", pb.LeaseRevokeRequest(ID=22))
    run.judge.compare(LOCK + "Lock", "the third", *[p.result() for p in waiting[1]])
    run.both(KV + "Range", pb.RangeRequest(key=b"q/", range_end=b"q0"))
    run.both(LEASE + "LeaseRevoke", pb.LeaseRevokeRequest(ID=23))


def waiting_elections(run):
    """A second candidate waits; an observer sees each leader."""
    for number in (31, 32):
        run.both(LEASE + "LeaseGrant", pb.LeaseGrantRequest(ID=number, TTL=600))
    first = run.both(ELECTION + "Campaign", pb.CampaignRequest(name=b"e", lease=31, value=b"one"))
    seen = [c.stream_of(ELECTION + "Observe", pb.LeaderRequest(name=b"e")) for c in run.clients]
    _each(run, seen, 1)
    waiting = [c.start(ELECTION + "Campaign", pb.CampaignRequest(name=b"e", lease=32, value=b"two"))
               for c in run.clients]
    _until_keys(run, b"e/", 2)
    run.both(ELECTION + "Proclaim", pb.ProclaimRequest(leader=first.leader, value=b"one again"))
    _each(run, seen, 2)
    run.both(ELECTION + "Resign", pb.ResignRequest(leader=first.leader))
    run.judge.compare(ELECTION + "Campaign", "the second", *[p.result() for p in waiting])
    _each(run, seen, 3)
    run.both(ELECTION + "Leader", pb.LeaderRequest(name=b"e"))
    run.both(ELECTION + "Proclaim", pb.ProclaimRequest(leader=first.leader, value=b"too late"))
    for stream in seen:
        stream.cancel()


def _until_keys(run, prefix, count):
    """Waits until both have that many keys: their order is then settled."""
    import tap
    request = pb.RangeRequest(key=prefix, range_end=prefix[:-1] + b"0", count_only=True)
    for client in run.clients:
        tap.wait_until(lambda: getattr(client.call(KV + "Range", request), "count", 0) == count, 10,
                       "%d keys in %r" % (count, prefix))


def _each(run, streams, count):
    for stream in streams:
        stream.wait(lambda got: len(got) >= count or stream.ended)
    last = [s.received[count - 1] if len(s.received) >= count else s.ended for s in streams]
    run.judge.compare(ELECTION + "Observe", "answer %d" % count, *last)


def snapshots(run):
    """The shape of the stream; its content and its cuts are each server's own (D20)."""
    import hashlib
    run.both(KV + "Put", pb.PutRequest(key=b"s", value=b"x" * 200000))
    for name, client in zip(("left", "right"), run.clients):
        got, error = client.messages(MAINTENANCE + "Snapshot", pb.SnapshotRequest())
        blobs = [m.blob for m in got]
        body = b"".join(blobs)
        left = [m.remaining_bytes for m in got]
        laws = {"it ended well": error is None,
                "the last 32 bytes are the SHA-256": hashlib.sha256(body[:-32]).digest() == body[-32:],
                "whole sectors and a hash": len(body) % 512 == 32,
                "messages of at most 32 KiB": max(len(b) for b in blobs) <= 32768,
                "what remains counts down to nothing": left == sorted(left, reverse=True) and left[-1] == 0}
        for law, holds in laws.items():
            run.judge.compared["snapshot"] += 1
            if not holds:
                run.judge.record(MAINTENANCE + "Snapshot", name, law, True, compare.short(left))


def ends(run):
    """Streams that end, and callers that give up."""
    for create in (False, True):
        streams = [c.stream(watching.METHOD) for c in run.clients]
        for stream in streams:
            if create:
                stream.send(pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"a")))
                stream.wait(lambda got: got)
            stream.half_close()
        run.judge.compare(watching.METHOD, "half-closed", *[s.wait_end(1) or "goes on" for s in streams])
        for stream in streams:
            stream.cancel()
    # An empty request is none, and does not end the stream.
    streams = [c.stream(watching.METHOD) for c in run.clients]
    for stream in streams:
        stream.send(pb.WatchRequest())
        stream.send(pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"a")))
        stream.wait(lambda got: got or stream.ended)
    run.judge.compare(watching.METHOD, "an empty request first", *[
        s.received[0] if s.received else s.ended for s in streams])
    for stream in streams:
        stream.cancel()
    # Who gives up waiting for a lock leaves the queue.
    for number in (41, 42):
        run.both(LEASE + "LeaseGrant", pb.LeaseGrantRequest(ID=number, TTL=600))
    run.both(LOCK + "Lock", pb.LockRequest(name=b"g", lease=41))
    given_up = [c.start(LOCK + "Lock", pb.LockRequest(name=b"g", lease=42), limit=0.5) for c in run.clients]
    run.judge.compare(LOCK + "Lock", "given up", *[p.result()[:1] for p in given_up])
    _until_keys(run, b"g/", 1)
    run.both(KV + "Range", pb.RangeRequest(key=b"g/", range_end=b"g0", keys_only=True))


def without_a_lease(run):
    """Lock and Campaign without a lease are given one of 60 seconds."""
    for method, request in ((LOCK + "Lock", pb.LockRequest(name=b"free")),
                            (ELECTION + "Campaign", pb.CampaignRequest(name=b"run", value=b"v"))):
        answers = [c.call(method, request) for c in run.clients]
        granted = []
        for client, answer in zip(run.clients, answers):
            key = getattr(answer, "key", None) or getattr(getattr(answer, "leader", None), "key", b"")
            kvs = getattr(client.call(KV + "Range", pb.RangeRequest(key=key or b"none")), "kvs", [])
            lease = kvs[0].lease if kvs else 0
            left = client.call(LEASE + "LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=lease))
            granted.append((key == b"%s/%x" % (request.name, lease), left.grantedTTL))
        run.judge.compared[method] += 1
        if granted[0] != granted[1]:
            run.judge.record(method, request, "key of the lease, seconds granted", *granted)


def http(run):
    """What the same port says to plain HTTP."""
    import json
    import urllib.error
    import urllib.request

    def get(client, path, method="GET"):
        request = urllib.request.Request("http://%s%s" % (client.address, path), method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            status, body = refused.code, refused.read()
        try:
            body = {k: "set" if k.startswith("etcd") else v for k, v in json.loads(body).items()}
        except ValueError:
            body = {"text": "some" if len(body) > 200 else body.decode()}
        return {"status": status, **body}
    for path in ("/health", "/version", "/metrics", "/nothing", "/health?serializable=true"):
        run.judge.compare_plain("GET " + path, path, *[get(c, path) for c in run.clients])


def metrics(run):
    """Names and kinds of what is measured."""
    import urllib.request
    names = []
    for client in run.clients:
        with urllib.request.urlopen("http://%s/metrics" % client.address, timeout=10) as answer:
            text = answer.read().decode()
        names.append({line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE ")})
    for name in METRICS:
        run.judge.compare_plain("metric " + name, name, {"type": names[0].get(name)}, {"type": names[1].get(name)})


# Used by etcd's own alerts or common on dashboards, and in 3.4 too.
METRICS = """etcd_cluster_version etcd_disk_backend_commit_duration_seconds etcd_disk_wal_fsync_duration_seconds
etcd_disk_wal_write_bytes_total etcd_debugging_mvcc_current_revision etcd_debugging_mvcc_compact_revision
etcd_mvcc_db_total_size_in_bytes etcd_mvcc_db_total_size_in_use_in_bytes etcd_mvcc_delete_total etcd_mvcc_put_total
etcd_mvcc_range_total etcd_mvcc_txn_total etcd_network_client_grpc_received_bytes_total
etcd_network_client_grpc_sent_bytes_total etcd_server_has_leader etcd_server_id etcd_server_is_leader
etcd_server_is_learner etcd_server_leader_changes_seen_total etcd_server_proposals_applied_total
etcd_server_proposals_committed_total etcd_server_proposals_failed_total etcd_server_proposals_pending
etcd_server_quota_backend_bytes etcd_server_slow_apply_total etcd_server_slow_read_indexes_total etcd_server_version
etcd_debugging_mvcc_db_compaction_keys_total etcd_debugging_mvcc_keys_total etcd_debugging_mvcc_slow_watcher_total
etcd_debugging_mvcc_watcher_total grpc_server_started_total grpc_server_handled_total
process_resident_memory_bytes process_cpu_seconds_total process_open_fds process_start_time_seconds""".split()
