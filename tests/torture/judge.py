"""What must hold of a history, checked in linear time by revisions.

The watch of everything from revision 1 is the model: every answer must fit it
at its revision, and revisions must not contradict real time.  Calls through a
mount are told no revision; unique values say theirs.
"""

import bisect
from dataclasses import dataclass, field

FOREVER = float("inf")


@dataclass
class Call:
    """key: of the call; value: written or read (None: not there); state: "ok",
    "unknown" or "never" (promised not to have happened)."""
    kind: str  # put, get, swap, delete, write, read (the last two by file)
    key: str
    value: object
    begin: int
    end: float = FOREVER
    state: str = "unknown"
    revision: int = 0
    expected: int = 0
    took_place: bool = True
    where: str = ""
    serializable: bool = False
    by_file: bool = field(init=False)

    def __post_init__(self):
        self.by_file = self.kind in ("write", "read")


class Wrong(Exception):
    pass


class Model:
    """changes: (revision, key, value or None) in order."""

    def __init__(self, changes):
        self.revisions = {}
        self.values = {}
        self.of_value = {}
        last = 0
        for revision, key, value in changes:
            if revision < last:
                raise Wrong("the watch went back from revision %d to %d" % (last, revision))
            last = revision
            self.revisions.setdefault(key, []).append(revision)
            self.values.setdefault(key, []).append(value)
            if value is not None:
                if value in self.of_value:
                    raise Wrong("value %s was written twice: at revisions %d and %d"
                                % (value, self.of_value[value][0], revision))
                self.of_value[value] = (revision, key)

    def at(self, key, revision):
        """(value, mod_revision) of a key at a revision."""
        revisions = self.revisions.get(key, [])
        i = bisect.bisect_right(revisions, revision) - 1
        if i < 0 or self.values[key][i] is None:
            return None, 0
        return self.values[key][i], revisions[i]

    def after(self, key, revision):
        """The next revision that changed the key; None."""
        revisions = self.revisions.get(key, [])
        i = bisect.bisect_right(revisions, revision)
        return revisions[i] if i < len(revisions) else None

    def was_absent(self, key, since, until):
        if self.at(key, since)[0] is None:
            return True
        revisions = self.revisions.get(key, [])
        i = bisect.bisect_right(revisions, since)
        while i < len(revisions) and revisions[i] <= until:
            if self.values[key][i] is None:
                return True
            i += 1
        return False


def _answer(model, c):
    if c.kind in ("put", "swap", "delete") and c.took_place:
        value, mod = model.at(c.key, c.revision)
        wanted = None if c.kind == "delete" else c.value
        if value != wanted or (wanted is not None and mod != c.revision):
            raise Wrong("acknowledged and lost: %s" % c)
    if c.kind == "swap":
        mod = model.at(c.key, c.revision - (1 if c.took_place else 0))[1]
        if c.took_place != (mod == c.expected):
            raise Wrong("the compare was wrong, its key had mod revision %d: %s" % (mod, c))
    if c.kind == "get" and model.at(c.key, c.revision)[0] != c.value:
        raise Wrong("a read gave %s where %s was right: %s" % (c.value, model.at(c.key, c.revision)[0], c))


def _by_file(model, c, since, until):
    if c.kind == "read" and c.value is None:
        if not model.was_absent(c.key, since, until):
            raise Wrong("a file was not found, which was there from %s to %s: %s" % (since, until, c))
        return
    if c.value not in model.of_value:
        # Written to a file that somebody unlinked meanwhile.
        if c.kind == "write" and model.was_absent(c.key, since, until):
            return
        raise Wrong("%s: %s" % ("acknowledged and lost" if c.kind == "write" else "read and never written", c))
    revision, key = model.of_value[c.value]
    if key != c.key or revision > until or (c.kind == "write" and revision <= since):
        raise Wrong("revision %d is out of its time (%s to %s): %s" % (revision, since, until, c))
    c.revision = revision
    replaced = model.after(c.key, revision)
    if c.kind == "read" and replaced is not None and replaced <= since:
        raise Wrong("a stale read: revision %d had replaced it: %s" % (replaced, c))


def judge(calls, changes):
    """Raises Wrong at the first thing that cannot be."""
    model = Model(changes)
    calls = sorted(calls, key=lambda c: c.begin)
    for c in calls:
        if c.state == "never" and c.kind in ("put", "swap", "write") and c.value in model.of_value:
            raise Wrong("it was refused, and happened: %s" % c)
        if c.state == "ok" and not c.by_file:
            _answer(model, c)
    begins = [c.begin for c in calls]
    lowest, until = [FOREVER] * (len(calls) + 1), FOREVER
    for i in range(len(calls) - 1, -1, -1):
        c = calls[i]
        if c.state == "ok" and not c.by_file and not c.serializable:
            until = min(until, c.revision)
        lowest[i] = until
    ended = sorted((c for c in calls if c.state == "ok"), key=lambda c: c.end)
    at, since = 0, 0
    for c in calls:
        while at < len(ended) and ended[at].end < c.begin:
            since = max(since, ended[at].revision)
            at += 1
        if c.state != "ok":
            continue
        if c.by_file:
            _by_file(model, c, since, lowest[bisect.bisect_right(begins, c.end)])
        elif not c.serializable and (c.revision < since or (
                c.revision == since and c.kind in ("put", "swap") and c.took_place)):
            raise Wrong("it began after revision %d was acknowledged: %s" % (since, c))
