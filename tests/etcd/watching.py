"""Watches on both servers at once: the same creates, cancels and writes.

How events are packed into responses is the server's affair; which events each
watch gets, and in which order, is not.  Watch 0 of stream 0 sees everything;
from what it got follows how many events every other watch must get, so nothing
here waits for a time."""

import collections

import compare
import shapes
import steps
from schema import pb

METHOD = "etcdserverpb.Watch/Watch"
NOPUT, NODELETE = 0, 1


def covers(request, key):
    first, end = request.key or b"\0", request.range_end
    if end == b"":
        return key == first
    return key >= first and (end == b"\0" or key < end)


def kept(request, event):
    return not (NOPUT in request.filters and event.type == 0) and not (NODELETE in request.filters and event.type == 1)


class Watch:
    def __init__(self, request, watch_id, life, start):
        self.request = request
        self.watch_id = watch_id
        self.life = life
        self.start = start     # the first revision it gets
        self.stop = None       # the last one, once it is cancelled

    def expected(self, history):
        return [e for e in history if e.kv.mod_revision >= self.start and
                (self.stop is None or e.kv.mod_revision <= self.stop) and
                covers(self.request, e.kv.key) and kept(self.request, e)]


def events_of(received, watch_id, life=1):
    """Of the life-th watch with that id: ids are given again after a cancel."""
    events, current = [], 0
    for response in received:
        if response.watch_id == watch_id:
            current += response.created and not response.canceled
            if current == life:
                events += response.events
    return events


def control_of(received):
    """Responses without events."""
    return [r for r in received if not r.events]


class Streams:
    """`count` watch streams on each side of a runner."""

    def __init__(self, runner, count):
        self.runner = runner
        self.world = runner.world
        self.judge = runner.judge
        self.streams = [[c.stream(METHOD) for c in runner.clients] for _ in range(count)]
        self.watches = [[] for _ in range(count)]
        self.lives = [collections.Counter() for _ in range(count)]
        self.control = [0] * count
        self.spent = set()  # ids that etcd does not give back (D8)
        self.create(0, pb.WatchCreateRequest(key=b"\0", range_end=b"\0", prev_kv=True))

    # --- what is sent ---

    def _both(self, number, request):
        for stream in self.streams[number]:
            stream.send(request)

    def _control(self, number, count, what):
        """Waits for `count` more responses without events, compares them."""
        before = self.control[number]
        for side in self.streams[number]:
            side.wait(lambda got: len(control_of(got)) >= before + count or side.ended, 5)
        answers = [control_of(side.received)[before:before + count] for side in self.streams[number]]
        self.control[number] = before + count
        for n in range(count):
            pair = [a[n] if n < len(a) else side.ended for a, side in zip(answers, self.streams[number])]
            self.judge.compare(METHOD, what, *pair)
        return answers[0]

    def create(self, number, request):
        """Sends a create, waits for what must come of it."""
        self._both(number, pb.WatchRequest(create_request=request))
        got = self._control(number, 1, request)
        if not got or got[0].canceled:
            return
        if 0 < request.start_revision < self.world.compacted:
            self.lives[number][got[0].watch_id] += 1
            self.spent.add(got[0].watch_id)
            self._control(number, 1, request)
            return
        start = request.start_revision or got[0].header.revision + 1
        self._add(number, request, got[0].watch_id, start)

    def _add(self, number, request, watch_id, start):
        self.lives[number][watch_id] += 1
        self.watches[number].append(Watch(request, watch_id, self.lives[number][watch_id], start))

    def cancel(self, number, watch_id):
        self._both(number, pb.WatchRequest(cancel_request=pb.WatchCancelRequest(watch_id=watch_id)))
        for watch in self.watches[number]:
            if watch.watch_id == watch_id and watch.stop is None:
                self._control(number, 1, "cancel %d" % watch_id)
                watch.stop = self.world.revision

    def progress(self, number):
        self.settle()
        alive = [w for w in self.watches[number] if w.stop is None]
        if not alive or any(w.request.start_revision > self.world.revision for w in alive):
            return  # D10
        self._both(number, pb.WatchRequest(progress_request=pb.WatchProgressRequest()))
        self._control(number, 1, "progress")

    # --- what comes ---

    def drain(self):
        """Until every watch of both sides has all that is due."""
        first = self.streams[0]
        for side in first:
            side.wait(lambda got: self._seen(got) or side.ended, self.patience)
        history = events_of(first[0].received, 0)
        for number, watches in enumerate(self.watches):
            wanted = [(w.watch_id, w.life, len(w.expected(history))) for w in watches if w.stop is None]
            for side in self.streams[number]:
                side.wait(lambda got: side.ended or all(
                    len(events_of(got, watch_id, life)) >= count for watch_id, life, count in wanted), self.patience)
        return history

    def settle(self):
        """Until no watch is still catching up: one more that has to catch up on
        each stream is served after those before it."""
        put = self.runner.both("etcdserverpb.KV/Put", pb.PutRequest(key=b"settle"))
        for number in range(len(self.streams)):
            self.create(number, pb.WatchCreateRequest(key=b"settle", start_revision=put.header.revision))
            self.drain()
            self.cancel(number, self.watches[number][-1].watch_id)

    def _seen(self, received):
        """Whether the watch of everything has reached the newest revision."""
        events = events_of(received, 0)
        return self.world.revision <= self.opened or (events and events[-1].kv.mod_revision >= self.world.revision)

    patience = 10  # seconds after which what is missing is taken for lost
    opened = 1  # the revision at which the streams began

    def check(self):
        """Compares all that came; call it when everything is over."""
        history = self.drain()
        for number, watches in enumerate(self.watches):
            for side in self.streams[number]:
                self._laws(number, side.received)
            for watch in watches:
                sides = [events_of(s.received, watch.watch_id, watch.life) for s in self.streams[number]]
                self._compare_events(number, watch, sides, watch.expected(history))
            ended = [side.ended for side in self.streams[number]]
            if ended != [None, None]:
                self.judge.record(METHOD, "stream %d" % number, "its end", *ended)
            extra = [[r for r in side.received if not r.events][self.control[number]:]
                     for side in self.streams[number]]
            if extra != [[], []]:
                self.judge.record(METHOD, "stream %d" % number, "uncalled for", *extra)

    def _compare_events(self, number, watch, sides, expected):
        what = "stream %d: watch %d: %s" % (number, watch.watch_id, compare.short(watch.request))
        left, right = ([compare.plain(e) for e in side] for side in sides)
        self.judge.compared["events"] += len(left)
        if left != right:
            for n in range(max(len(left), len(right))):
                a = left[n] if n < len(left) else None
                b = right[n] if n < len(right) else None
                if a != b:
                    self.judge.record(METHOD, what, "event %d of %d and %d" % (n, len(left), len(right)), a, b)
                    break
        bare = [(e.type, compare.plain(e.kv)) for e in expected]
        for name, side in zip(("left", "right"), sides):
            got = [(e.type, compare.plain(e.kv)) for e in side]
            if got != bare:
                self.judge.record(METHOD, what, "what follows from the watch of everything (%s)" % name, len(bare), len(got))

    def _laws(self, number, received):
        """What holds for one stream by itself."""
        where = "stream %d" % number
        last = collections.defaultdict(int)
        floors = {}  # what progress said to the watches that were there
        pieces = set()
        for response in received:
            if response.created:
                floors[response.watch_id] = last[response.watch_id] = 0  # perhaps an id's next life
            elif response.watch_id == -1:
                floors = dict.fromkeys(floors, response.header.revision)
            if not response.events:
                continue
            revisions = [e.kv.mod_revision for e in response.events]
            if revisions != sorted(revisions) or response.header.revision < revisions[-1]:
                self.judge.record(METHOD, where, "order", revisions, response.header.revision)
            same = last[response.watch_id] == revisions[0] and response.watch_id not in pieces
            if last[response.watch_id] > revisions[0] or same:
                self.judge.record(METHOD, where, "a revision in two responses", last[response.watch_id], revisions[0])
            if revisions[0] <= floors[response.watch_id]:
                self.judge.record(METHOD, where, "an event that progress said was over",
                                  floors[response.watch_id], revisions[0])
            last[response.watch_id] = revisions[-1]
            (pieces.add if response.fragment else pieces.discard)(response.watch_id)

    def close(self):
        for pair in self.streams:
            for side in pair:
                side.cancel()


# --- random use ---

def random_create(streams, number):
    world = streams.world
    first, end = shapes.span(world, empty=5)
    request = pb.WatchCreateRequest(key=first, range_end=end, prev_kv=shapes.chance(world, 50),
                                    progress_notify=shapes.chance(world, 20), fragment=shapes.chance(world, 20))
    kind = world.random.randrange(10)
    if kind < 4:
        request.start_revision = world.random.randint(1, world.revision)
    elif kind == 4:
        request.start_revision = world.random.choice(
            [world.revision, world.revision + 1, world.revision + 3, world.compacted, world.compacted + 1,
             max(0, world.compacted - 1)])
    if request.start_revision == world.compacted and world.tombstone_floor:
        request.start_revision += 1  # D4
    for kind in (NOPUT, NODELETE):
        if shapes.chance(world, 12):
            request.filters.append(kind)
    # A watch that ends at once since its start is compacted has no chosen id, and
    # its id is not chosen: etcd does not give it back (D8).
    if shapes.chance(world, 15) and not 0 < request.start_revision < world.compacted:
        request.watch_id = world.random.choice(sorted({1, 2, 3, 5, 1000, shapes.BIG} - streams.spent) + [0])
    return request


def random_round(streams, count):
    """Some creates and cancels, then writes, then everything is waited for."""
    world = streams.world
    for _ in range(world.random.randrange(1, 6)):
        number = world.random.randrange(len(streams.streams))
        kind = world.random.randrange(10)
        alive = [w.watch_id for w in streams.watches[number] if w.stop is None and (number, w.watch_id) != (0, 0)]
        if kind < 7:
            streams.create(number, random_create(streams, number))
        elif kind == 7 and alive:
            streams.cancel(number, world.random.choice(alive))
        elif kind == 8:
            streams.cancel(number, world.random.choice([77, -1, -5, 123456]))
        elif streams.watches[number]:
            streams.progress(number)
        streams.drain()
    streams.runner.run(steps.writes(world, count))
    streams.drain()
    if world.random.randrange(6) == 0 and world.revision - world.compacted > 5:
        streams.settle()
        revision = world.random.randint(world.compacted + 1, world.revision)
        streams.runner.both("etcdserverpb.KV/Compact", pb.CompactionRequest(revision=revision))
