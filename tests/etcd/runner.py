"""Sends each request to both servers at once and has the answers compared."""

import random

import compare
import rpc
import shapes
import world as worlds
from schema import pb

GAVE_UP = 5  # mismatches after which both go separate ways


class Runner:
    """left is the reference.  perturb(number, answer) may change what the right
    one has answered: how the test is tested.  services: the names of those that
    are used at all (None: every one)."""

    def __init__(self, left, right, seed, perturb=None, services=None):
        self.clients = (rpc.Client(left), rpc.Client(right))
        self.world = worlds.World(random.Random(seed))
        self.judge = compare.Judge(self.world)
        self.perturb = perturb
        self.services = services
        self.sent = 0
        for client in self.clients:
            client.wait_serving()

    def uses(self, method):
        return self.services is None or method.split("/")[0].split(".")[-1] in self.services

    def both(self, method, request):
        """One request to both, compared; returns the reference's answer."""
        if not self.uses(method):
            return None
        pending = [client.start(method, request) for client in self.clients]
        left, right = (p.result() for p in pending)
        self.sent += 1
        if self.perturb is not None:
            right = self.perturb(self.sent, right)
        self.judge.compare(method, request, left, right)
        self.world.saw(method.rsplit("/", 1)[1], request, left)
        return left

    def run(self, steps):
        """Until the steps end, or the two differ too much to go on."""
        answer = None
        while len(self.judge.mismatches) < GAVE_UP:
            try:
                method, request = steps.send(answer)
            except StopIteration:
                return
            answer = self.both(method, request)

    def unnamed_lease(self):
        """An id of the server's choice differs; what is done with it does not."""
        if not self.uses("Lease/"):
            return
        grants = [c.call("etcdserverpb.Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=800)) for c in self.clients]
        ids = [g.ID if hasattr(g, "ID") else 0 for g in grants]
        for side, number in zip(("left", "right"), ids):
            if number <= 0:
                self.judge.record("Lease/LeaseGrant", "TTL: 800", "ID", side, number)
        for grant in grants:
            if hasattr(grant, "ID"):
                grant.ID = 1
        self.judge.compare("etcdserverpb.Lease/LeaseGrant", "TTL: 800", *grants)
        for method, make in (("LeaseTimeToLive", lambda n: pb.LeaseTimeToLiveRequest(ID=n, keys=True)),
                             ("LeaseRevoke", lambda n: pb.LeaseRevokeRequest(ID=n))):
            answers = [c.call("etcdserverpb.Lease/" + method, make(n)) for c, n in zip(self.clients, ids)]
            for answer in answers:
                if hasattr(answer, "ID"):
                    answer.ID = 1
            self.judge.compare("etcdserverpb.Lease/" + method, "of a lease without a given id", *answers)

    def keep_alive(self):
        """Several ids on one stream, in order, known and unknown."""
        if not self.uses("Lease/"):
            return
        ids = [shapes.lease_id(self.world) for _ in range(self.world.random.randrange(1, 8))]
        streams = [c.stream("etcdserverpb.Lease/LeaseKeepAlive") for c in self.clients]
        for stream in streams:
            for number in ids:
                stream.send(pb.LeaseKeepAliveRequest(ID=number))
        for stream in streams:
            stream.wait(lambda got: len(got) >= len(ids) or stream.ended)
        for n, number in enumerate(ids):
            answers = [s.received[n] if n < len(s.received) else s.ended for s in streams]
            self.judge.compare("etcdserverpb.Lease/LeaseKeepAlive", pb.LeaseKeepAliveRequest(ID=number), *answers)
        for stream in streams:
            stream.half_close()
        ends = [stream.wait_end() for stream in streams]
        self.judge.compare("etcdserverpb.Lease/LeaseKeepAlive", "half-closed", *ends)

    def close(self):
        for client in self.clients:
            client.close()
