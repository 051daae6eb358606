"""Sequences of requests.  A step yields (method, request) and is sent the
reference's answer; the runner sends each request to both."""

import shapes
from schema import pb

KV, LEASE, MAINTENANCE = "etcdserverpb.KV/", "etcdserverpb.Lease/", "etcdserverpb.Maintenance/"
LOCK, ELECTION = "v3lockpb.Lock/", "v3electionpb.Election/"


# --- one request each ---

def one_range(world):
    yield KV + "Range", shapes.range_request(world)


def one_put(world):
    yield KV + "Put", shapes.put_request(world)


def one_delete(world):
    yield KV + "DeleteRange", shapes.delete_request(world)


def one_txn(world):
    yield KV + "Txn", shapes.txn_request(world)


def compaction(world):
    yield KV + "Compact", shapes.compaction_request(world)


def hash_kv(world):
    yield MAINTENANCE + "HashKV", shapes.hash_kv_request(world)


# --- leases ---

def grant(world):
    yield LEASE + "LeaseGrant", shapes.grant_request(world)


def revoke(world):
    yield LEASE + "LeaseRevoke", pb.LeaseRevokeRequest(ID=shapes.lease_id(world))


def time_to_live(world):
    yield LEASE + "LeaseTimeToLive", pb.LeaseTimeToLiveRequest(
        ID=shapes.lease_id(world), keys=shapes.chance(world, 70))


def leases(world):
    yield LEASE + "LeaseLeases", pb.LeaseLeasesRequest()


def short_lease(world):
    """TTLs below the least: over before the lease is."""
    number = 5000 + world.random.randrange(1000)
    yield LEASE + "LeaseGrant", pb.LeaseGrantRequest(ID=number, TTL=world.random.choice([0, 1, 2, 3, 5, -1, -5, -shapes.BIG]))
    yield LEASE + "LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=number, keys=True)
    yield LEASE + "LeaseRevoke", pb.LeaseRevokeRequest(ID=number)
    yield LEASE + "LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=number, keys=True)


def leased_keys(world):
    """A lease with keys that move, detach, and go with it."""
    number = 6000 + world.random.randrange(1000)
    yield LEASE + "LeaseGrant", pb.LeaseGrantRequest(ID=number, TTL=700)
    names = [b"leased/%d" % n for n in range(4)]
    for name in world.random.sample(names, 4):
        yield KV + "Put", pb.PutRequest(key=name, value=b"v", lease=number)
    yield KV + "Put", pb.PutRequest(key=names[0], value=b"detached")
    yield KV + "Put", pb.PutRequest(key=names[1], value=b"kept", ignore_lease=True)
    yield KV + "DeleteRange", pb.DeleteRangeRequest(key=names[2])
    yield LEASE + "LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=number, keys=True)
    yield LEASE + "LeaseRevoke", pb.LeaseRevokeRequest(ID=number)
    yield KV + "Range", pb.RangeRequest(key=b"leased/", range_end=b"leased0")
    yield KV + "Put", pb.PutRequest(key=names[3], value=b"v", lease=number)


# --- the shapes of Kubernetes ---

def registry(world):
    return b"/registry/pods/default/p%d" % world.random.randrange(5)


def mod_is(key, revision):
    return pb.Compare(key=key, target=pb.Compare.MOD, result=pb.Compare.EQUAL, mod_revision=revision)


def kube_create(world):
    key = registry(world)
    yield KV + "Txn", pb.TxnRequest(
        compare=[mod_is(key, 0)],
        success=[pb.RequestOp(request_put=pb.PutRequest(key=key, value=shapes.value(world),
                                                        lease=shapes.lease_for_put(world)))])


def kube_change(world):
    """Update or delete on the revision read, or on a stale one."""
    key = registry(world)
    answer = yield KV + "Range", pb.RangeRequest(key=key)
    revision = 0
    if getattr(answer, "kvs", None):
        revision = answer.kvs[0].mod_revision
    if shapes.chance(world, 25):
        revision = max(0, revision - 1)
    then = pb.RequestOp(request_put=pb.PutRequest(key=key, value=shapes.value(world)))
    if shapes.chance(world, 40):
        then = pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=key))
    yield KV + "Txn", pb.TxnRequest(compare=[mod_is(key, revision)], success=[then],
                                    failure=[pb.RequestOp(request_range=pb.RangeRequest(key=key))])


def kube_list(world):
    """Pages at one revision, the next page beginning behind the last key."""
    first, end = b"/registry/pods/", b"/registry/pods0"
    yield KV + "Range", pb.RangeRequest(key=first, range_end=end, count_only=True)
    yield KV + "Range", pb.RangeRequest(key=first, range_end=end, keys_only=True)
    revision = 0
    for _ in range(6):
        answer = yield KV + "Range", pb.RangeRequest(key=first, range_end=end, limit=2, revision=revision)
        if not getattr(answer, "kvs", None) or not answer.more:
            return
        revision = revision or answer.header.revision
        first = answer.kvs[-1].key + b"\0"


def kube_compact(world):
    """compact_rev_key guards who compacts; then the revision of the last round."""
    key = b"compact_rev_key"
    answer = yield KV + "Range", pb.RangeRequest(key=key)
    version = answer.kvs[0].version if getattr(answer, "kvs", None) else 0
    if shapes.chance(world, 30):
        version += 1
    answer = yield KV + "Txn", pb.TxnRequest(
        compare=[pb.Compare(key=key, target=pb.Compare.VERSION, result=pb.Compare.EQUAL, version=version)],
        success=[pb.RequestOp(request_put=pb.PutRequest(key=key, value=b"%d" % world.revision))],
        failure=[pb.RequestOp(request_range=pb.RangeRequest(key=key))])
    if getattr(answer, "succeeded", False) and shapes.chance(world, 25):
        yield KV + "Compact", pb.CompactionRequest(revision=max(1, world.revision - 60))


def kube_health(world):
    yield KV + "Range", pb.RangeRequest(key=b"/registry/health")
    yield KV + "Range", pb.RangeRequest(key=b"health")


# --- too large, at the edges of limits ---

def huge_put(world):
    size = world.random.choice([1000000, 1500000, 1572864 - 2000, 1572864 + 100, 1600000, 2000000])
    yield KV + "Put", pb.PutRequest(key=b"huge", value=b"h" * size, prev_kv=True)
    yield KV + "DeleteRange", pb.DeleteRangeRequest(key=b"huge")


def beyond_the_wire(world):
    """More than the transport takes at all."""
    yield KV + "Put", pb.PutRequest(key=b"huge", value=b"h" * 2200000)


def huge_txn(world):
    part = world.random.choice([300000, 393000, 400000])
    yield KV + "Txn", pb.TxnRequest(success=[
        pb.RequestOp(request_put=pb.PutRequest(key=b"huge/%d" % n, value=b"x" * part)) for n in range(4)])
    yield KV + "DeleteRange", pb.DeleteRangeRequest(key=b"huge/", range_end=b"huge0")


def many_keys(world):
    """Enough for sorts and limits to matter, and for a full transaction."""
    yield KV + "Txn", pb.TxnRequest(success=[
        pb.RequestOp(request_put=pb.PutRequest(key=b"m/%03d" % n, value=b"%d" % (n * 7 % 31))) for n in range(128)])
    for target in range(5):
        yield KV + "Range", pb.RangeRequest(key=b"m/", range_end=b"m0", sort_order=world.random.randrange(3),
                                            sort_target=target, limit=world.random.choice([0, 10, 127, 128, 129]))
    yield KV + "DeleteRange", pb.DeleteRangeRequest(key=b"m/", range_end=b"m0", prev_kv=True)


# --- locks and elections, without waiting ---

def lock(world):
    number = 7000 + world.random.randrange(1000)
    yield LEASE + "LeaseGrant", pb.LeaseGrantRequest(ID=number, TTL=700)
    answer = yield LOCK + "Lock", pb.LockRequest(name=b"lock/" + shapes.key(world), lease=number)
    yield LOCK + "Lock", pb.LockRequest(name=b"lock/again", lease=number)
    yield LOCK + "Unlock", pb.UnlockRequest(key=getattr(answer, "key", b"none"))
    yield LOCK + "Unlock", pb.UnlockRequest(key=b"lock/nobody")
    yield LEASE + "LeaseRevoke", pb.LeaseRevokeRequest(ID=number)
    yield LOCK + "Lock", pb.LockRequest(name=b"lock/a", lease=number)


def election(world):
    number = 8000 + world.random.randrange(1000)
    name = b"e%d" % world.random.randrange(3)
    yield ELECTION + "Leader", pb.LeaderRequest(name=name)
    yield LEASE + "LeaseGrant", pb.LeaseGrantRequest(ID=number, TTL=700)
    answer = yield ELECTION + "Campaign", pb.CampaignRequest(name=name, lease=number, value=b"one")
    if hasattr(answer, "leader"):
        yield ELECTION + "Leader", pb.LeaderRequest(name=name)
        yield ELECTION + "Proclaim", pb.ProclaimRequest(leader=answer.leader, value=b"two")
        yield ELECTION + "Campaign", pb.CampaignRequest(name=name, lease=number, value=b"three")
        yield ELECTION + "Leader", pb.LeaderRequest(name=name)
        yield ELECTION + "Resign", pb.ResignRequest(leader=answer.leader)
        yield ELECTION + "Resign", pb.ResignRequest(leader=answer.leader)
        yield ELECTION + "Proclaim", pb.ProclaimRequest(leader=answer.leader, value=b"late")
    yield ELECTION + "Leader", pb.LeaderRequest(name=name)
    yield ELECTION + "Proclaim", pb.ProclaimRequest(value=b"x")
    yield ELECTION + "Resign", pb.ResignRequest()
    yield LEASE + "LeaseRevoke", pb.LeaseRevokeRequest(ID=number)


# weight: step
COMMON = [(30, one_range), (26, one_put), (9, one_delete), (26, one_txn), (2, compaction), (3, hash_kv),
          (3, grant), (2, revoke), (4, time_to_live), (1, leases), (1, short_lease), (1, leased_keys),
          (3, kube_create), (4, kube_change), (2, kube_list), (1, kube_compact), (1, kube_health)]
# Each a few times in a run.
RARE = [huge_put, huge_txn, many_keys, lock, election, beyond_the_wire]


def random_steps(world, count):
    """About `count` requests."""
    weights = [weight for weight, _ in COMMON]
    sent = 0
    while sent < count:
        if world.random.randrange(70) == 0:
            step = world.random.choice(RARE)
        else:
            step = world.random.choices([s for _, s in COMMON], weights)[0]
        inner = step(world)
        answer = None
        while True:
            try:
                request = inner.send(answer)
            except StopIteration:
                break
            answer = yield request
            sent += 1


def writes(world, count):
    """Only what makes events: for watchers."""
    for _ in range(count):
        step = world.random.choice([one_put, one_put, one_txn, one_delete, kube_create, kube_change])
        answer = None
        inner = step(world)
        while True:
            try:
                request = inner.send(answer)
            except StopIteration:
                break
            answer = yield request
