#!/usr/bin/env python3
"""Three servers on loopback, as an operator starts them: the flags of a cluster,
and that each one's mount shows what was written through another's."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "real"))

import rig  # noqa: E402
import tap  # noqa: E402
from ports import free_ports  # noqa: E402
from tap import expect, expect_equal, test  # noqa: E402


class Cluster:
    def __init__(self, base, count=3):
        urls = ["http://127.0.0.1:%d" % port for port in free_ports(count)]
        members = ",".join("n%d=%s" % (i, url) for i, url in enumerate(urls))
        self.nodes = []
        for i, url in enumerate(urls):
            own = os.path.join(base, "n%d" % i)
            os.makedirs(own)
            self.nodes.append(rig.Node(base=own, mounts=("m",), arguments=[
                "--name=n%d" % i, "--initial-cluster", members, "--listen-peer-urls", url,
                "--initial-advertise-peer-urls", url, "--initial-cluster-token", os.path.basename(base)]))

    def start(self):
        for node in self.nodes:
            node.spawn()
        for node in self.nodes:
            node.wait_ready()

    def stop(self):
        for node in self.nodes:
            if node.alive():
                expect_equal(node.stop(), 0, "exit status of " + node.base)
                expect_equal(rig.mounts_at(node.mounts[0]), [], "mounts left by " + node.base)


def put(path, text):
    with open(path, "w") as f:
        f.write(text)


def get(path):
    try:
        with open(path) as f:
            return f.read()
    except FileNotFoundError:
        return None


@test(limit=90)
def three_members_show_one_tree(base):
    cluster = Cluster(base)
    cluster.start()
    roots = [node.mounts[0] for node in cluster.nodes]
    for i, root in enumerate(roots):
        put("%s/from-%d" % (root, i), "text %d" % i)
        for other in roots:
            # A linearizable read: what was acknowledged is there at once.
            expect_equal(get("%s/from-%d" % (other, i)), "text %d" % i, "from %d at %s" % (i, other))
    cluster.stop()


@test(limit=120)
def two_of_three_go_on_and_the_third_catches_up(base):
    cluster = Cluster(base)
    cluster.start()
    first, second, third = cluster.nodes
    put(first.mounts[0] + "/before", "a")
    third.kill()

    def write_works():
        try:
            put(first.mounts[0] + "/during", "b")
            return True
        except OSError:
            return False
    tap.wait_until(write_works, 30, "a write with two members")
    expect_equal(get(second.mounts[0] + "/during"), "b")
    third.start(limit=40)
    expect_equal(get(third.mounts[0] + "/before"), "a")
    expect_equal(get(third.mounts[0] + "/during"), "b")
    cluster.stop()


@test(limit=90)
def one_of_three_is_not_ready_and_can_be_stopped(base):
    """Without a quorum there is nothing to serve: it waits, and ends when told."""
    cluster = Cluster(base)
    alone = cluster.nodes[0]
    alone.spawn()
    tap.wait_until(lambda: os.path.isdir(alone.data + "/wal"), 10, "the start")
    try:
        tap.wait_until(alone.is_ready, 3, "readiness")
        ready = True
    except tap.Failure:
        ready = False
    expect(not ready, "one of three says it is ready:\n" + alone.output())
    expect_equal(rig.mounts_at(alone.mounts[0]), [], "mounts of a member that is not ready")
    expect_equal(alone.stop(), 0, "exit status")


if __name__ == "__main__":
    tap.main(__doc__, lambda options: rig.NoNode())
