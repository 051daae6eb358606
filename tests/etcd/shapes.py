"""Random requests, biased to edges.  Everything comes from world.random, so one
seed gives one sequence as long as the reference answers alike."""

from schema import pb

KEYS = [b"a", b"b", b"c", b"a/", b"a/1", b"a/2", b"a/3", b"a//", b"a0", b"\0", b"\0\0", b"\xff", b"\xff\xff",
        b"\xfe\xff", b"k\0", b"k", b"k\0x", b"/config/app/timeout", b"/config/app/", b"/config/app", b"/registry/pods/x",
        "ключ".encode(), b"long/" + b"x" * 1000, b"z"]
LEASES = [1, 2, 3, 7, 4096, 0x7fffffffffffffff, 0x1234567890abcdef, -1, -9]
BIG = 0x7fffffffffffffff


def chance(world, percent):
    return world.random.randrange(100) < percent


def key(world, empty=2):
    if chance(world, empty):
        return b""
    if chance(world, 3):
        return bytes(world.random.randrange(256) for _ in range(world.random.randrange(1, 12)))
    return world.random.choice(KEYS)


def prefix_end(prefix):
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else b"\0"


def span(world, empty=2):
    """(key, range_end) of every kind."""
    first = key(world, empty)
    kind = world.random.randrange(20)
    if kind < 9:
        return first, b""
    if kind < 12:
        return first, prefix_end(first)
    if kind < 14:
        return first, b"\0"
    if kind == 14:
        return b"\0", b"\0"
    if kind == 15:
        return first, first
    if kind == 16:
        return max(first, b"b"), b"a"
    return first, world.random.choice(KEYS)


def value(world):
    kind = world.random.randrange(40)
    if kind == 0:
        return b""
    if kind == 1:
        return bytes(world.random.randrange(256) for _ in range(world.random.randrange(200)))
    if kind == 2:
        return b"v" * world.random.choice([1000, 4095, 4096, 4097, 65535, 100000])
    return b"value %d" % world.random.randrange(6)


def revision(world):
    """Of a read."""
    kind = world.random.randrange(24)
    if kind < 12:
        return 0
    return [world.revision, world.revision - 1, world.revision + 1, world.compacted, world.compacted - 1,
            world.compacted + 1, -1, BIG, -BIG, 1,
            world.random.randint(min(world.compacted, world.revision), world.revision),
            world.random.randint(max(1, world.revision - 20), world.revision)][kind - 12]


def bound(world):
    return world.random.choice([0, 1, 2, -1, BIG, world.revision, world.revision + 1,
                                world.random.randint(1, world.revision),
                                world.random.randint(1, world.revision)])


def lease_for_put(world):
    kind = world.random.randrange(20)
    if kind < 14:
        return 0
    if kind < 18 and world.leases:
        return world.random.choice(sorted(world.leases))
    return world.random.choice(LEASES + [999])


def range_request(world):
    first, end = span(world)
    request = pb.RangeRequest(key=first, range_end=end, revision=revision(world))
    if chance(world, 30):
        request.limit = world.random.choice([1, 2, 3, 5, -1, BIG, 10])
    if chance(world, 40):
        request.sort_order = world.random.randrange(3)
        request.sort_target = world.random.randrange(5)
    request.serializable = chance(world, 20)
    request.keys_only = chance(world, 10)
    request.count_only = chance(world, 8)
    for name in ("min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision"):
        if chance(world, 6):
            setattr(request, name, bound(world))
    return request


def put_request(world):
    request = pb.PutRequest(key=key(world), value=value(world), lease=lease_for_put(world),
                            prev_kv=chance(world, 30))
    if chance(world, 6):
        request.ignore_value = True
        if chance(world, 70):
            request.value = b""
    if chance(world, 6):
        request.ignore_lease = True
        if chance(world, 70):
            request.lease = 0
    return request


def delete_request(world):
    first, end = span(world)
    if end == b"\0" and chance(world, 80):  # or hardly anything would live
        end = b""
    return pb.DeleteRangeRequest(key=first, range_end=end, prev_kv=chance(world, 40))


def compare(world):
    first, end = span(world)
    wanted = pb.Compare(result=world.random.randrange(4), key=first)
    if chance(world, 25):
        wanted.range_end = end
    target = world.random.randrange(5)
    wanted.target = target
    number = world.random.choice([0, 0, 1, 2, -1, BIG, world.revision, world.random.randint(0, world.revision)])
    if target == 0:
        wanted.version = number
    elif target == 1:
        wanted.create_revision = number
    elif target == 2:
        wanted.mod_revision = number
    elif target == 3:
        wanted.value = value(world)
    else:
        wanted.lease = world.random.choice(LEASES + [0, 0])
    if chance(world, 3):  # the target says one thing, the union another
        wanted.target = world.random.randrange(5)
    if chance(world, 3):
        wanted.ClearField(wanted.WhichOneof("target_union"))
    return wanted


def operation(world, depth):
    kind = world.random.randrange(100)
    if kind < 40:
        return pb.RequestOp(request_put=put_request(world))
    if kind < 70:
        return pb.RequestOp(request_range=range_request(world))
    if kind < 85:
        return pb.RequestOp(request_delete_range=delete_request(world))
    if kind < 98 and depth < 4:
        return pb.RequestOp(request_txn=txn_request(world, depth + 1))
    if kind == 98:
        return pb.RequestOp()
    return pb.RequestOp(request_range=pb.RangeRequest(key=b"a"))


def puts(request):
    """Every put of a transaction, nested ones too."""
    for op in list(request.success) + list(request.failure):
        if op.HasField("request_put"):
            yield op.request_put
        elif op.HasField("request_txn"):
            yield from puts(op.request_txn)


def deletes(request):
    """Every delete of a transaction, nested ones too."""
    for op in list(request.success) + list(request.failure):
        if op.HasField("request_delete_range"):
            yield op.request_delete_range
        elif op.HasField("request_txn"):
            yield from deletes(op.request_txn)


def tame(request):
    """Takes out of a transaction what differences.md says is not sent."""
    unhide(request.success)
    unhide(request.failure)
    for delete in deletes(request):
        if delete.range_end == b"\0":
            delete.range_end = b""  # D5
        for put in puts(request):
            put.ignore_value = put.ignore_lease = False  # D3


def unhide(operations):
    """etcd does not see that a transaction puts what a later one beside it
    deletes (D5): then that deletes something else."""
    put = set()
    for op in operations:
        if op.HasField("request_txn"):
            for delete in deletes(op.request_txn):
                if any(key >= delete.key and (key == delete.key or key < delete.range_end) for key in put):
                    delete.key, delete.range_end = b"zz/none", b""
            put |= {p.key for p in puts(op.request_txn)}
            unhide(op.request_txn.success)
            unhide(op.request_txn.failure)


def txn_request(world, depth=0):
    def some(make, most):
        return [make() for _ in range(world.random.randrange(most + 1))]
    request = pb.TxnRequest(compare=some(lambda: compare(world), 2),
                            success=some(lambda: operation(world, depth), 4),
                            failure=some(lambda: operation(world, depth), 3))
    if depth == 0 and chance(world, 2):
        grow(world, request)
    if depth == 0:
        tame(request)
    return request


def grow(world, request):
    """To the budget of operations, and one beyond."""
    count = world.random.choice([127, 128, 129, 130])
    kind = world.random.randrange(4)
    if kind == 0:
        del request.success[:]
        request.success.extend(pb.RequestOp(request_put=pb.PutRequest(key=b"n/%d" % n)) for n in range(count))
    elif kind == 1:
        del request.failure[:]
        request.failure.extend(pb.RequestOp(request_range=pb.RangeRequest(key=b"a")) for n in range(count))
    elif kind == 2:
        del request.compare[:]
        request.compare.extend(pb.Compare(key=b"none", target=pb.Compare.VERSION, version=0) for n in range(count))
    else:
        inner = pb.TxnRequest(success=[pb.RequestOp(request_put=pb.PutRequest(key=b"n/%d" % n))
                                       for n in range(count - 2)])
        del request.success[:], request.compare[:], request.failure[:]
        request.success.extend([pb.RequestOp(request_range=pb.RangeRequest(key=b"a")),
                                pb.RequestOp(request_txn=inner)])


def compaction_request(world):
    request = pb.CompactionRequest(revision=world.random.choice(
        [world.compacted, world.compacted - 1, world.compacted + 1, world.revision + 1, 0, -1, BIG, -BIG,
         max(world.compacted, world.revision - 30), max(world.compacted, world.revision - 100),
         max(world.compacted, world.revision - 7), world.revision]), physical=chance(world, 50))
    if request.revision == 0 and world.compacted == 0:
        request.revision = -1  # D7
    return request


def hash_kv_request(world):
    return pb.HashKVRequest(revision=world.random.choice(
        [0, world.revision, world.revision - 1, world.revision + 1, world.compacted, world.compacted - 1,
         world.compacted + 1, -1, BIG, world.random.randint(min(world.compacted, world.revision), world.revision)]))


def lease_id(world):
    if world.leases and chance(world, 60):
        return world.random.choice(sorted(world.leases))
    return world.random.choice(LEASES + [0, 999, -BIG])


# Long enough not to end during a run.
TTLS = [600, 3600, 86400, 9000000000, 9000000001, BIG, 1000000]


def grant_request(world):
    return pb.LeaseGrantRequest(TTL=world.random.choice(TTLS),
                                ID=world.random.choice([n for n in LEASES if n]))
