"""Two answers, field by field.

What must differ between two clusters (cluster, member, term) is replaced by
"set"; everything else must be equal, or be explained by differences.py."""

import collections

import differences
import rpc

# At `path` the left answer has `left`, the right one `right` (None: not set).
Mismatch = collections.namedtuple("Mismatch", "method request path left right")

NOT_OURS = {"ResponseHeader.cluster_id", "ResponseHeader.member_id", "ResponseHeader.raft_term",
            "AlarmMember.memberID", "Member.ID", "Member.peerURLs", "Member.clientURLs",
            "StatusResponse.leader", "StatusResponse.raftTerm", "StatusResponse.raftIndex",
            "StatusResponse.raftAppliedIndex", "StatusResponse.dbSize", "StatusResponse.dbSizeInUse"}
# Stock etcd takes these from a map: any order, another one each time.
UNORDERED = {"LeaseTimeToLiveResponse.keys", "LeaseLeasesResponse.leases", "AlarmResponse.alarms"}


def plain(value):
    """A message as dicts of the fields that are set, lists and scalars."""
    if isinstance(value, rpc.Error):
        return {"error": {"code": value.code, "text": value.text}}
    if not hasattr(value, "ListFields"):
        return value
    fields = {}
    for field, content in value.ListFields():
        where = "%s.%s" % (value.DESCRIPTOR.name, field.name)
        if where in NOT_OURS:
            fields[field.name] = "set"
        elif field.label == field.LABEL_REPEATED:
            items = [plain(item) for item in content]
            if where in UNORDERED:
                items.sort(key=repr)
            fields[field.name] = items
        else:
            fields[field.name] = plain(content)
    return fields


def walk(left, right, path=""):
    """(path, left, right) of everything that is not equal."""
    if isinstance(left, dict) and isinstance(right, dict):
        for name in sorted(set(left) | set(right)):
            yield from walk(left.get(name), right.get(name), path + "." + name if path else name)
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for number, (a, b) in enumerate(zip(left, right)):
            yield from walk(a, b, "%s[%d]" % (path, number))
    elif left != right:
        yield path, left, right


class Judge:
    """Collects mismatches, and counts those that are explained."""

    def __init__(self, world):
        self.world = world
        self.mismatches = []
        self.explained = collections.Counter()
        self.compared = collections.Counter()

    def compare(self, method, request, left, right):
        """Whether the answers are equal, or their difference is written down."""
        return self.compare_plain(method, request, plain(left), plain(right))

    def compare_plain(self, method, request, left, right):
        """The same for dicts."""
        self.compared[method] += 1
        if left == right:
            return True
        self.explained.update(differences.settle(self.world, method, request, left, right))
        fine = True
        for path, a, b in walk(left, right):
            why = differences.of_fields(self.world, method, request, path, a, b)
            if why:
                self.explained[why] += 1
            else:
                self.mismatches.append(Mismatch(method, request, path, a, b))
                fine = False
        return fine

    def record(self, method, request, path, left, right):
        """A mismatch that no field of an answer shows."""
        self.mismatches.append(Mismatch(method, request, path, left, right))


def short(value, most=300):
    text = repr(value) if not hasattr(value, "ListFields") else str(value).strip().replace("\n", " ")
    return text if len(text) <= most else "%s ... (%d characters)" % (text[:most], len(text))


def describe(mismatch, names=("etcd", "keelfs")):
    return "%s %s\n  at %s\n  %-8s %s\n  %-8s %s" % (
        mismatch.method, short(mismatch.request, 700), mismatch.path or "the answer",
        names[0] + ":", short(mismatch.left), names[1] + ":", short(mismatch.right))
