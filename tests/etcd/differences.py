"""What keelfs answers otherwise than the etcd 3.4 beside it, and why: the code
of differences.md.  Each has the number of its line there.

settle() sees two whole answers; of_fields() one field that differs, and returns
the number of the difference that explains it, or None."""


# D22: counters of parts that count nothing yet.
NOT_MEASURED = {"metric " + name for name in """etcd_disk_backend_commit_duration_seconds
    etcd_disk_wal_fsync_duration_seconds etcd_mvcc_delete_total etcd_mvcc_put_total etcd_mvcc_range_total
    etcd_mvcc_txn_total etcd_server_proposals_pending etcd_server_slow_apply_total
    etcd_server_slow_read_indexes_total etcd_debugging_mvcc_db_compaction_keys_total""".split()}


def _ranges(request, answers):
    """(range request, the answers to it) of a Range, or of a Txn's operations."""
    if hasattr(request, "sort_target"):
        yield request, answers
    elif hasattr(request, "compare") and all("responses" in a for a in answers):
        done = [bool(a.get("succeeded")) for a in answers]
        if done[0] != done[1]:
            return
        operations = request.success if done[0] else request.failure
        for operation, *ours in zip(operations, *(a["responses"] for a in answers)):
            kind = operation.WhichOneof("request") or ""
            ours = [r.get(kind.replace("request", "response")) for r in ours]
            if kind in ("request_range", "request_txn") and None not in ours:
                yield from _ranges(getattr(operation, kind), ours)


def _sorted_ties(request, left, right):
    """D1: the order of equal keys of a sort (Go's sort is not stable)."""
    if request.sort_target == 0 or left.get("count", 0) < 12:
        return False
    field = {1: "version", 2: "create_revision", 3: "mod_revision", 4: "value"}.get(request.sort_target)
    a, b = left.get("kvs", []), right.get("kvs", [])
    if a == b or {**left, "kvs": 0} != {**right, "kvs": 0} or len(a) != len(b):
        return False
    if [kv.get(field) for kv in a] != [kv.get(field) for kv in b]:
        return False
    # Only the last group may have been cut by the limit.
    last = a[-1].get(field) if left.get("more") else None

    def settled(kvs):
        return sorted((kv for kv in kvs if not left.get("more") or kv.get(field) != last), key=lambda kv: kv["key"])
    return settled(a) == settled(b)


def settle(world, method, request, left, right):
    """Makes equal, in the right answer, what the left one might as well have
    said; returns the numbers of the differences that allow it."""
    used = []
    if method == "etcdserverpb.Maintenance/HashKV" and request.revision == world.compacted and "hash" in right:
        if left.get("error", {}).get("text", "").endswith("has been compacted"):
            right.clear()
            right.update(left)
            used.append("D16")
    for inner, (a, b) in _ranges(request, (left, right)):
        if _sorted_ties(inner, a, b):
            b["kvs"] = a["kvs"]
            used.append("D1")
    return used


def of_fields(world, method, request, path, left, right):
    if method == "etcdserverpb.Lease/LeaseTimeToLive" and path == "TTL":
        if isinstance(left, int) and isinstance(right, int) and abs(left - right) <= 1:
            return "D2"
    if method == "etcdserverpb.KV/Put" and path.startswith("error.") and request.lease:
        if "lease not found" in left or left == "NOT_FOUND":
            return "D6" if right in ("INVALID_ARGUMENT", "etcdserver: key not found") else None
    if method == "etcdserverpb.Maintenance/Alarm" and path == "header" and left is None:
        return "D11"
    if method == "etcdserverpb.Maintenance/HashKV" and path == "hash_revision" and left is None:
        return "D12"
    if method == "etcdserverpb.Maintenance/HashKV" and path == "hash" and request.revision < 0:
        return "D17"
    if method == "etcdserverpb.Maintenance/Status" and path in ("version", "storageVersion", "dbSizeQuota",
                                                                 "downgradeInfo"):
        return "D19"
    if method == "etcdserverpb.Maintenance/HashKV" and path == "compact_revision" and left == -1 and right is None:
        return "D7"
    if method.startswith("v3") and path == "error.code" and (left, right) == ("UNKNOWN", "NOT_FOUND"):
        return "D15"
    if method.startswith("GET /") and left is None and path in ("reason", "storage"):
        return "D13"
    if method in NOT_MEASURED and right is None:
        return "D22"
    if method == "no method" and request == "Nothing":
        return "D9"
    return None
