#!/usr/bin/python3
"""keelfs beside stock etcd: random requests, the same to both.

    KEELFS=build/cmd/keelfs SEED=7 tests/etcd/differential_test.py [NAME...]
    ... --requests 20000 --self   (stock etcd on both sides: no difference at all)
"""

import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import servers  # noqa: E402
import tap      # noqa: E402

SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
options = None


def replay(name):
    return "SEED=%d KEELFS=%s %s '%s' --requests %d%s" % (
        SEED, os.environ.get("KEELFS", "build/cmd/keelfs"), os.path.relpath(__file__), name.replace("_", " "), options.requests,
        " --self" if options.self else " --three" if options.three else "")


def finish(runner, name):
    """The verdict of a run, with how to see it again."""
    import compare
    judge = runner.judge
    tap.note("%d compared: %s" % (sum(judge.compared.values()), ", ".join(
        "%s %d" % (m.rsplit("/", 1)[-1], n) for m, n in sorted(judge.compared.items())
        if not m.startswith("metric "))))
    if judge.explained:
        tap.note("explained by differences.md: %s" % dict(sorted(judge.explained.items())))
    text = "\n".join(compare.describe(m) for m in judge.mismatches[:6])
    text += "".join("\n... %s at %s" % (m.method, m.path) for m in judge.mismatches[6:40])
    first = judge.mismatches[0] if judge.mismatches else None
    if first and first.method.endswith("/Txn"):
        import shrink
        small = shrink.shrink(runner, first.request)
        text += "\nthe first one shrunk: %s" % (small and compare.short(small, 3000))
    runner.close()
    if judge.mismatches:
        raise tap.Failure("%d differences\n%s\n%s" % (len(judge.mismatches), text, replay(name)))


def runner_of(left, right, salt=0, perturb=None):
    import runner
    tap.note("SEED=%d" % SEED)
    return runner.Runner(left, right, SEED + salt, perturb, options.services and options.services.split(","))


# Danger: a client written for etcd meets an answer that etcd would not give.
@tap.test(limit=90)
def every_answer_is_the_one_that_etcd_gives(left, right):
    import steps
    run = runner_of(left, right)
    end = time.monotonic() + options.seconds * tap.SLOW
    while run.sent < options.requests and time.monotonic() < end and not run.judge.mismatches:
        run.run(steps.random_steps(run.world, 100))
        run.keep_alive()
        run.unnamed_lease()
    finish(run, "every answer")


# Danger: an event that is lost, doubled, invented or out of order, or a watch
# that ends otherwise than a client's library understands.
@tap.test(limit=90)
def every_watch_gets_the_events_that_etcd_sends(left, right):
    import watching
    run = runner_of(left, right, salt=1)
    streams = watching.Streams(run, 3)
    end = time.monotonic() + options.seconds / 2 * tap.SLOW
    while run.sent < options.requests / 4 and time.monotonic() < end and not run.judge.mismatches:
        watching.random_round(streams, 25)
    streams.check()
    streams.close()
    finish(run, "every watch")


def fixed(name):
    """One sequence of fixed.py as a test."""
    def body(left, right):
        import fixed as sequences
        run = runner_of(left, right)
        getattr(sequences, name)(run)
        finish(run, name)
    body.__name__ = name
    tap.test(limit=60)(body)


# Danger: what is asked for seldom is what nobody has tried.
for sequence in ("new_store", "upkeep", "own_member", "no_messages", "expiry", "large_events", "waiting_locks",
                 "waiting_elections", "snapshots", "ends", "without_a_lease", "http", "metrics"):
    fixed(sequence)


# Danger: a comparison that sees nothing passes always.
@tap.test(limit=60)
def one_changed_answer_is_one_difference(left, right):
    import schema
    changed = []

    def perturb(number, answer):
        if number >= 50 and not changed and isinstance(answer, schema.pb.RangeResponse) and answer.kvs:
            changed.append(number)
            answer.kvs[0].version += 1
        return answer
    run = runner_of(left, right, salt=2, perturb=perturb)
    import steps
    run.run(steps.random_steps(run.world, 300))
    run.close()
    tap.expect(changed, "nothing was changed")
    seen = ["%s %s" % (m.method, m.path) for m in run.judge.mismatches]
    tap.expect_equal(seen, ["etcdserverpb.KV/Range kvs[0].version"], "differences (%s)" % replay("one changed"))


# Danger: the same, for events.
@tap.test(limit=60)
def one_lost_event_is_seen(left, right):
    import steps
    import watching
    run = runner_of(left, right, salt=3)
    streams = watching.Streams(run, 1)
    run.run(steps.writes(run.world, 40))
    streams.drain()
    tap.expect_equal(run.judge.mismatches, [], "differences before")
    with_events = [r for r in streams.streams[0][1].received if r.events]
    del with_events[len(with_events) // 2].events[0]
    streams.patience = 1
    streams.check()
    streams.close()
    run.close()
    tap.expect(run.judge.mismatches, "the lost event was not missed")


def more(parser):
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--seconds", type=float, default=20, help="no new round after these")
    parser.add_argument("--without", default="", help="not these tests: NAME,NAME")
    parser.add_argument("--services", help="only these: KV,Watch,Lease,...")
    parser.add_argument("--three", action="store_true", help="a follower of three members of keelfs")
    parser.add_argument("--self", action="store_true", help="stock etcd beside stock etcd")


def rig_of(parsed):
    global options
    options = parsed
    servers.need_modules()
    left_out = parsed.without.split(",")
    tap.TESTS[:] = [t for t in tap.TESTS if t[0] not in left_out]
    right = servers.Etcd if parsed.self else servers.Three if parsed.three else servers.Keelfs
    return servers.Pair(servers.Etcd, right, fresh=True)


if __name__ == "__main__":
    tap.main(__doc__, rig_of, more)
