"""What the generator knows of both keyspaces, so that it can aim at edges."""


class World:
    def __init__(self, random):
        self.random = random
        self.revision = 1
        self.compacted = 0
        self.leases = set()         # ids granted and not revoked
        self.deletes = set()        # revisions that deleted something
        self.tombstone_floor = False  # the last compaction was at one of those
        self.watched = 0

    def saw(self, request_kind, request, answer):
        """Learns from the reference's answer."""
        header = getattr(answer, "header", None)
        if header is not None and header.revision > self.revision:
            self.revision = header.revision
        if not hasattr(answer, "ListFields"):
            return
        if request_kind == "LeaseGrant":
            self.leases.add(answer.ID)
        elif request_kind == "LeaseRevoke":
            self.leases.discard(request.ID)
            self.deletes.add(self.revision)
        elif request_kind == "DeleteRange" and answer.deleted:
            self.deletes.add(header.revision)
        elif request_kind == "Txn" and _deleted(answer):
            self.deletes.add(header.revision)
        elif request_kind == "Compact":
            self.compacted = max(self.compacted, request.revision)
            self.tombstone_floor = self.compacted in self.deletes


def _deleted(answer):
    for op in answer.responses:
        if op.HasField("response_delete_range") and op.response_delete_range.deleted:
            return True
        if op.HasField("response_txn") and _deleted(op.response_txn):
            return True
    return False
