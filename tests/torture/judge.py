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
    kind: str  # put, get, swap, delete; by file: write, replace (by a rename), read, unlink
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
        self.by_file = self.kind in ("write", "replace", "read", "unlink")


@dataclass
class Append:
    """A line that was to go behind a file's end."""
    key: str
    line: str
    worker: int
    state: str = "unknown"


@dataclass
class Hold:
    """One attempt at the lock.  key, revision: as the lock service said; token: the
    revision that made the key; writes: (value, state, revision) under its protection,
    values beginning with the token."""
    worker: int
    begin: int
    end: float = FOREVER
    state: str = "unknown"
    key: str = ""
    revision: int = 0
    token: int = 0
    writes: list = field(default_factory=list)


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
        return self.at(key, since)[0] is None or self.was_one_of((None,), key, since, until)

    def was_one_of(self, values, key, since, until):
        """Whether a change in (since, until] made it one of the values."""
        revisions = self.revisions.get(key, [])
        i = bisect.bisect_right(revisions, since)
        while i < len(revisions) and revisions[i] <= until:
            if self.values[key][i] in values:
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


def _had_draft(calls, c):
    """Whether its mount may have shown a file that nobody has published yet."""
    return any(w.kind == "write" and w.key == c.key and w.where == c.where and w.begin < c.end and w.end > c.begin
               for w in calls)


def _by_file(model, c, since, until, replacements, calls):
    if c.kind == "unlink" and c.took_place:
        if not model.was_one_of((None,), c.key, since, until) and not (
                model.was_absent(c.key, since, until) and _had_draft(calls, c)):
            raise Wrong("a file was unlinked, and nothing removed it from %s to %s: %s" % (since, until, c))
        return
    if c.kind in ("read", "unlink") and c.value is None:
        if not model.was_absent(c.key, since, until):
            raise Wrong("a file was not found, which was there from %s to %s: %s" % (since, until, c))
        return
    if c.value not in model.of_value:
        # Written to a file that somebody unlinked meanwhile, or renamed another over.
        if c.kind == "write" and (model.was_absent(c.key, since, until)
                                  or model.was_one_of(replacements, c.key, since, until)):
            return
        raise Wrong("%s: %s" % ("acknowledged and lost" if c.kind != "read" else "read and never written", c))
    revision, key = model.of_value[c.value]
    if key != c.key or revision > until or (c.kind != "read" and revision <= since):
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
        if c.state == "never" and c.kind in ("put", "swap", "write", "replace") and c.value in model.of_value:
            raise Wrong("it was refused, and happened: %s" % c)
        if c.state == "ok" and not c.by_file:
            _answer(model, c)
    replacements = {c.value for c in calls if c.kind == "replace"}
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
            _by_file(model, c, since, lowest[bisect.bisect_right(begins, c.end)], replacements, calls)
        elif not c.serializable and (c.revision < since or (
                c.revision == since and c.kind in ("put", "swap") and c.took_place)):
            raise Wrong("it began after revision %d was acknowledged: %s" % (since, c))


def judge_appends(appends, files):
    """files: key to the lines that it has in the end.  Each acknowledged line is
    there once, each of unknown outcome at most once, a refused one never; one
    worker's lines are in the order of its calls; there are no others."""
    known = {(a.key, a.line): a for a in appends}
    places = {}
    for key, lines in files.items():
        for place, line in enumerate(lines):
            if (key, line) not in known:
                raise Wrong("%s has a line that nobody wrote: %r" % (key, line))
            if (key, line) in places:
                raise Wrong("%s has a line twice: %s" % (key, known[key, line]))
            places[key, line] = place
    last = {}
    for a in appends:
        place = places.get((a.key, a.line))
        if (place is None and a.state == "ok") or (place is not None and a.state == "never"):
            raise Wrong("a line that is %s: %s" % ("lost" if place is None else "there, and was refused", a))
        if place is not None:
            if place < last.get((a.key, a.worker), -1):
                raise Wrong("a line before an earlier one of its worker: %s" % a)
            last[a.key, a.worker] = place


def _owners(changes, folder):
    """(revision, key of the oldest waiter or None): whose lock it is from then on."""
    alive, owners = {}, [(0, None)]
    for revision, key, value in changes:
        if not key.startswith(folder + "/"):
            continue
        if value is None:
            alive.pop(key, None)
        else:
            alive.setdefault(key, revision)
        owner = min(alive, key=alive.get) if alive else None
        if owner != owners[-1][1]:
            owners.append((revision, owner))
    return owners


def judge_locks(holds, changes, folder, guarded):
    """Never held twice: who was told that the lock is his had the oldest key then,
    and what was written under its protection comes in the order of tokens."""
    owners = _owners(changes, folder)
    since = [revision for revision, _ in owners]
    for h in holds:
        if h.state != "ok":
            continue
        owner = owners[bisect.bisect_right(since, h.revision) - 1][1]
        if owner is not None and owner != h.key and not _owned(owners, h):
            raise Wrong("the lock was given to %s while %s had it: %s" % (h.key, owner, h))
    written, last = {}, 0
    for revision, key, value in changes:
        if key != guarded or value is None:
            continue
        token = int(value.split("/")[0])
        if token < last:
            raise Wrong("the lock was held twice: token %d wrote at revision %d, after token %d" % (token, revision, last))
        last, written[value] = token, revision
    for h in holds:
        for value, state, revision in h.writes:
            if state == "ok" and written.get(value) != revision:
                raise Wrong("acknowledged under the lock and lost: %s at revision %d" % (value, revision))
            if state == "never" and value in written:
                raise Wrong("refused under the lock, and happened: %s" % value)


def _owned(owners, hold):
    """Whether the key was the oldest at some revision up to the one said."""
    return any(key == hold.key and revision <= hold.revision for revision, key in owners)
