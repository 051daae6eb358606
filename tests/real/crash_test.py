#!/usr/bin/env python3
"""kill -9 at a random moment under write load, again and again on the same
data: nothing acknowledged is lost, nothing is invented, revisions unbroken.

--rounds 1000 is the long run; the test command does a few."""

import os
import random
import time

import calls
import history
import rig
import tap
from tap import expect, expect_equal, test

WRITERS = 4
ROUNDS = 25


def more(parser):
    parser.add_argument("--rounds", type=int, default=ROUNDS)


def prepare(node):
    """Folders for the writers; their states, and the revision."""
    node.start()
    root = node.mounts[0]
    states = {}
    for number in range(WRITERS):
        os.mkdir(os.path.join(root, "w%d" % number))
        states["w%d" % number] = history.State()
    return states, calls.revision(root)


def round_of(node, states, revision, chance, number):
    writers = history.start_writers(node.mounts, states, chance.randrange(1 << 30))
    time.sleep(chance.choice((0.005, 0.03, 0.1, 0.2, 0.4)) * chance.random() * 2)
    node.kill()
    reports = history.collect(writers)
    if number % 5 == 4:  # recovery itself is killed now and then
        node.spawn()
        time.sleep(chance.random() * 0.06)
        node.kill()
    took = node.start(limit=10)
    try:
        states, revision = history.check(node.mounts[number % 2], reports, revision)
    except tap.Failure as failure:
        raise tap.Failure("round %d: %s" % (number, failure))
    return states, revision, sum(r.acknowledged for r in reports), took


@test(limit=1 << 20)
def nothing_acknowledged_is_lost_by_kill_9(base):
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    chance = random.Random(seed)
    tap.note("seed %d, %d rounds" % (seed, OPTIONS.rounds))
    node = rig.Node(base=base)
    total, slowest = 0, 0.0
    try:
        states, revision = prepare(node)
        for number in range(OPTIONS.rounds):
            try:
                states, revision, acknowledged, took = round_of(node, states, revision, chance, number)
            except tap.Failure as failure:
                raise tap.Failure("%s\nreplay: SEED=%d --rounds %d; the data directory's copy: %s" % (
                    failure, seed, OPTIONS.rounds, keep(node)))
            total += acknowledged
            slowest = max(slowest, took)
            if number % 100 == 99:
                tap.note("%d rounds, %d operations acknowledged" % (number + 1, total))
        expect(total > OPTIONS.rounds, "hardly anything was written: %d operations" % total)
        tap.note("%d rounds, %d operations acknowledged, slowest start %.2f s" % (
            OPTIONS.rounds, total, slowest))
        expect_equal(node.stop(), 0, "exit status of a clean stop")
    finally:
        node.close()


def keep(node):
    """A copy of the data directory of a failed round, for whoever looks."""
    import shutil
    import tempfile
    where = tempfile.mkdtemp(prefix="keelfs-failed-")
    node.close()
    shutil.copytree(node.data, os.path.join(where, "data"), dirs_exist_ok=True)
    shutil.copy(node.log, where)
    return where


@test(limit=120)
def a_clean_stop_under_load_loses_nothing_either(base):
    """SIGTERM answers or refuses what is under way; it does not half do it."""
    node = rig.Node(base=base)
    try:
        states, revision = prepare(node)
        for number in range(3):
            writers = history.start_writers(node.mounts, states, 77 + number)
            time.sleep(0.3)
            code = node.stop()
            expect(code == 0, "exit status %s:\n%s" % (code, node.output()[-1500:]))
            reports = history.collect(writers)
            expect_equal([m for m in node.mounts if rig.mounts_at(m)], [], "mounts left")
            node.start()
            states, revision = history.check(node.mounts[0], reports, revision)
        node.stop()
    finally:
        node.close()


if __name__ == "__main__":
    OPTIONS = tap.parse(__doc__, more)
    surroundings = rig.NoNode()
    raise SystemExit(1 if tap.run(OPTIONS, surroundings) else 0)
