"""What keelfs answers otherwise than the etcd 3.4 beside it, and why: the code
of differences.md.  Each has the number of its line there.

of_answers sees two whole answers, of_fields one field that differs.  Both
return the number of the difference that explains it, or None."""

MAINTENANCE = "etcdserverpb.Maintenance/"


def _sorted_ties(method, request, left, right):
    """D1: the order of equal keys of a sort (Go's sort is not stable)."""
    if method != "etcdserverpb.KV/Range" or "error" in left or "error" in right:
        return None
    if request.sort_target == 0 or len(left.get("kvs", ())) < 12:
        return None
    field = {1: "version", 2: "create_revision", 3: "mod_revision", 4: "value"}[request.sort_target]
    a, b = left.get("kvs", []), right.get("kvs", [])
    if {**left, "kvs": 0} != {**right, "kvs": 0} or len(a) != len(b):
        return None
    if [kv.get(field) for kv in a] != [kv.get(field) for kv in b]:
        return None
    # Only the last group may have been cut by the limit.
    last = a[-1].get(field) if left.get("more") else None

    def settled(kvs):
        return sorted((kv for kv in kvs if not left.get("more") or kv.get(field) != last), key=lambda kv: kv["key"])
    return "D1" if settled(a) == settled(b) else None


def of_answers(world, method, request, left, right):
    return _sorted_ties(method, request, left, right)


def of_fields(world, method, request, path, left, right):
    if method == "etcdserverpb.Lease/LeaseTimeToLive" and path == "TTL":
        if isinstance(left, int) and isinstance(right, int) and abs(left - right) <= 1:
            return "D2"
    return None
