"""What a store must hold when its node was killed in the middle of a script.

A script is a list of operations.  Each one that was acknowledged took place;
one that failed or was under way took place or did not, in whole.  So there are
a few states in which the store may be, and it must be in exactly one of them:
with all its history, its leases and its members."""

import copy
import hashlib
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "etcd"))

import tap  # noqa: E402
from tap import expect  # noqa: E402

LIMIT = 7      # seconds: a call's, at a node that has a quorum
LATEST = 1 << 62
UNCERTAIN = 4  # operations with an unknown outcome, in one run


def digest(value):
    """Values in messages: short, and different when they differ."""
    return "%s..%d:%s" % (value[:12].decode("latin-1"), len(value), hashlib.sha1(value).hexdigest()[:8])


class Model:
    """versions: key -> [(mod, create, version, value or None, lease)]."""

    def __init__(self, members=None):
        self.revision, self.compacted = 1, 0
        self.versions, self.leases = {}, {}
        self.members = members  # peer URL -> learner; None where nobody looks

    def after(self, operation):
        other = copy.deepcopy(self)
        getattr(other, "_" + operation[0])(*operation[1:])
        return other

    def _live(self, key):
        versions = self.versions.get(key)
        return versions[-1] if versions and versions[-1][3] is not None else None

    def _txn(self, puts, deletes=()):
        deletes = [key for key in deletes if self._live(key)]
        if not puts and not deletes:
            return
        self.revision += 1
        for key, value, lease in puts:
            was = self._live(key)
            self.versions.setdefault(key, []).append(
                (self.revision, was[1] if was else self.revision, was[2] + 1 if was else 1, digest(value), lease))
        for key in deletes:
            self.versions[key].append((self.revision, 0, 0, None, 0))

    def _compact(self, revision, _physical):
        self.compacted = max(self.compacted, revision)

    def _grant(self, lease, ttl):
        self.leases[lease] = ttl

    def keys_of(self, lease):
        return sorted(key for key in self.versions if (self._live(key) or (0,) * 5)[4] == lease)

    def _revoke(self, lease):
        self._txn([], self.keys_of(lease))
        self.leases.pop(lease, None)

    _expire = _revoke

    def _nothing(self, *_):
        pass

    _renew = _hash = _defragment = _snapshot = _serves = _nothing

    def _add(self, url, learner):
        self.members[url] = learner

    def _move(self, url, to):
        self.members[to] = self.members.pop(url, False)

    def _remove(self, url):
        self.members.pop(url, None)

    def at(self, revision):
        """What a range of everything gives at a revision."""
        if revision < self.compacted:
            return "compacted"
        found = {}
        for key, versions in self.versions.items():
            last = [v for v in versions if v[0] <= revision]
            if last and last[-1][3] is not None:
                found[key] = last[-1]
        return found

    def view(self):
        shown = {"revision": self.revision, "now": self.at(LATEST),
                 "leases": {lease: (ttl, self.keys_of(lease)) for lease, ttl in self.leases.items()}}
        for revision in range(1, self.revision + 1):
            shown["at %d" % revision] = self.at(revision)
        if self.members is not None:
            shown["members"] = self.members
        return shown


class Record:
    """What came of a script: for each operation begun (operation, begun, ended
    or None).  Moments are those of the wall clock, which strace prints too."""

    def __init__(self):
        self.done = []
        self.said = []
        self.finished = False

    def until(self, moment):
        """As a caller knew it who died at that moment."""
        other = Record()
        other.done = [(op, begun, ended if ended is not None and ended < moment else None)
                      for op, begun, ended in self.done if begun < moment]
        return other

    def acknowledged(self):
        return sum(1 for _, _, ended in self.done if ended is not None)

    def uncertain(self):
        return len(self.done) - self.acknowledged()

    def possible(self, model):
        """The states that fit."""
        states = [model]
        for operation, _, ended in self.done:
            after = [state.after(operation) for state in states]
            states = after if ended is not None else states + after
        return states


class Caller:
    """Calls a node through the API."""

    goes_on = True  # after an error

    def __init__(self, address):
        import rpc
        import schema
        self.rpc, self.pb = rpc, schema.pb
        self.address = address
        self.client = rpc.Client(address)
        self.ids = {}  # of members: peer URL -> id
        self.gone = lambda: False  # whether nobody will ever answer

    def close(self):
        self.client.close()

    def call(self, name, request, limit=LIMIT):
        return self.client.call("etcdserverpb." + name, request, limit * tap.SLOW)

    def must(self, name, request, limit=LIMIT):
        answer = self.call(name, request, limit)
        expect(not isinstance(answer, self.rpc.Error), "%s: %s" % (name, answer))
        return answer

    def perform(self, operation):
        """None when it was acknowledged, else what was said."""
        answer = getattr(self, "_" + operation[0])(*operation[1:])
        return "%s: %s" % (answer.code, answer.text) if isinstance(answer, self.rpc.Error) else None

    def _txn(self, puts, deletes=()):
        request = self.pb.TxnRequest()
        for key, value, lease in puts:
            request.success.add().request_put.CopyFrom(
                self.pb.PutRequest(key=key.encode(), value=value, lease=lease))
        for key in deletes:
            request.success.add().request_delete_range.CopyFrom(self.pb.DeleteRangeRequest(key=key.encode()))
        return self.call("KV/Txn", request)

    def _compact(self, revision, physical):
        return self.call("KV/Compact", self.pb.CompactionRequest(revision=revision, physical=physical))

    def _grant(self, lease, ttl):
        answer = self.call("Lease/LeaseGrant", self.pb.LeaseGrantRequest(ID=lease, TTL=ttl))
        expect(isinstance(answer, self.rpc.Error) or answer.TTL == ttl, "granted: %s" % (answer,))
        return answer

    def _revoke(self, lease):
        return self.call("Lease/LeaseRevoke", self.pb.LeaseRevokeRequest(ID=lease))

    def _renew(self, lease):
        stream = self.client.stream("etcdserverpb.Lease/LeaseKeepAlive")
        stream.send(self.pb.LeaseKeepAliveRequest(ID=lease))
        stream.wait(lambda got: got or stream.ended, LIMIT * tap.SLOW)
        answer = stream.received[0] if stream.received else stream.ended
        stream.cancel()
        if isinstance(answer, self.pb.LeaseKeepAliveResponse):
            expect(answer.TTL > 0, "a lease that is there was said to have ended")
            return None
        return answer or self.rpc.Error("DEADLINE_EXCEEDED", "no answer to a keepalive")

    def _expire(self, lease):
        """Waits until the lease has ended by itself."""
        end = time.monotonic() + LIMIT * tap.SLOW
        while True:
            answer = self.call("Lease/LeaseLeases", self.pb.LeaseLeasesRequest())
            if isinstance(answer, self.rpc.Error) or all(l.ID != lease for l in answer.leases):
                return answer
            if time.monotonic() > end:
                return self.rpc.Error("DEADLINE_EXCEEDED", "the lease does not end")
            time.sleep(0.02)

    def _hash(self):
        return self.call("Maintenance/HashKV", self.pb.HashKVRequest())

    def _defragment(self):
        return self.call("Maintenance/Defragment", self.pb.DefragmentRequest())

    def _snapshot(self):
        _, error = self.client.messages("etcdserverpb.Maintenance/Snapshot", self.pb.SnapshotRequest(),
                                        LIMIT * tap.SLOW)
        return error

    def _serves(self):
        """A linearizable read is answered."""
        end = time.monotonic() + 2 * LIMIT * tap.SLOW
        while True:
            answer = self.call("KV/Range", self.pb.RangeRequest(key=b"none"), 2)
            if not isinstance(answer, self.rpc.Error) or self.gone() or time.monotonic() > end:
                return answer
            time.sleep(0.02)

    def _member(self, name, request):
        answer = self.call("Cluster/" + name, request)
        if not isinstance(answer, self.rpc.Error):
            self.ids.update({m.peerURLs[0]: m.ID for m in answer.members})
        return answer

    def _add(self, url, learner):
        return self._member("MemberAdd", self.pb.MemberAddRequest(peerURLs=[url], isLearner=learner))

    def _move(self, url, to):
        return self._member("MemberUpdate", self.pb.MemberUpdateRequest(ID=self.ids.get(url, 1), peerURLs=[to]))

    def _remove(self, url):
        return self._member("MemberRemove", self.pb.MemberRemoveRequest(ID=self.ids.get(url, 1)))

    def range_at(self, revision=0):
        request = self.pb.RangeRequest(key=b"\0", range_end=b"\0", revision=revision)
        answer = self.call("KV/Range", request)
        if isinstance(answer, self.rpc.Error):
            expect("has been compacted" in answer.text, "a range at %d: %s" % (revision, answer))
            return "compacted", 0
        return {kv.key.decode(): (kv.mod_revision, kv.create_revision, kv.version, digest(kv.value), kv.lease)
                for kv in answer.kvs}, answer.header.revision

    def view(self, members):
        """As Model.view(), asked of the node."""
        now, revision = self.range_at()
        shown = {"revision": revision, "now": now, "leases": {}}
        for lease in self.must("Lease/LeaseLeases", self.pb.LeaseLeasesRequest()).leases:
            found = self.must("Lease/LeaseTimeToLive", self.pb.LeaseTimeToLiveRequest(ID=lease.ID, keys=True))
            expect(found.TTL <= found.grantedTTL, "a lease has %d of %d seconds" % (found.TTL, found.grantedTTL))
            shown["leases"][lease.ID] = (found.grantedTTL, sorted(key.decode() for key in found.keys))
        for past in range(1, revision + 1):
            shown["at %d" % past] = self.range_at(past)[0]
        if members:
            answer = self.must("Cluster/MemberList", self.pb.MemberListRequest(linearizable=True))
            shown["members"] = {m.peerURLs[0]: m.isLearner for m in answer.members}
        return shown


def run(caller, script, gone, record=None):
    """Performs the script until its node is gone; returns the Record."""
    record = record or Record()
    caller.gone = gone
    for operation in script:
        begun = time.time()
        said = caller.perform(operation)
        record.done.append((operation, begun, None if said else time.time()))
        if said:
            record.said.append("%s: %s" % (operation[0], said))
            time.sleep(0.05)  # one that is dying is dead then
            if (gone() or not caller.goes_on or record.uncertain() >= UNCERTAIN
                    or operation[0] in ("expire", "serves")):
                return record
    record.finished = True
    return record


def difference(found, wanted):
    lines = []
    for what in sorted(set(found) | set(wanted)):
        if found.get(what) != wanted.get(what):
            lines.append("%s: %s instead of %s" % (what, tap.short(found.get(what), 300),
                                                   tap.short(wanted.get(what), 300)))
    return "\n  ".join(lines[:4])


def compare(found, states):
    """Fails unless the view is that of one of the states; returns that state."""
    views = [state.view() for state in states]
    for state, view in zip(states, views):
        if found == view:
            return state
    closest = min(views, key=lambda view: sum(1 for what in set(found) | set(view) if found.get(what) != view.get(what)))
    raise tap.Failure("the store is in none of %d possible states; the closest differs in\n  %s" % (
        len(states), difference(found, closest)))
