#!/usr/bin/python3
"""npm's `etcd3`, the version below, against keelfs.

The package is fetched by npm into a directory that goes with the test; without
npm, or where its registry does not answer, the test skips and says so.

    KEELFS=build/cmd/keelfs tests/etcd/npm_test.py [--self]"""

import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import servers  # noqa: E402  (finds tests/real)
import rig      # noqa: E402
import tap      # noqa: E402

VERSION = "1.1.2"
PARTS = ["values", "transactions", "watches", "leases", "locks", "elections", "upkeep"]


def install(base):
    done = subprocess.run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1",
                           "--fetch-timeout=15000", "etcd3@" + VERSION], cwd=base, capture_output=True, text=True,
                          env={**os.environ, "npm_config_cache": os.path.join(base, "cache")}, timeout=100)
    if done.returncode != 0:
        raise tap.Skip("npm cannot install etcd3@%s: %s" % (VERSION, (done.stderr.strip().splitlines() or ["?"])[-1]))


@tap.test(limit=180, needs=("npm", "node"))
def the_client_of_npm_finds_all_it_uses(at):
    base = rig.directory()
    try:
        install(base)
        done = subprocess.run(["node", os.path.join(HERE, "npm_test.js")], cwd=base, capture_output=True, text=True,
                              env={**os.environ, "ENDPOINTS": ",".join(at)}, timeout=60 * tap.SLOW)
        tap.expect_equal((done.returncode, done.stdout.split("\n")[:-1]), (0, ["ok " + part for part in PARTS]),
                         done.stderr + "\nits parts")
    finally:
        shutil.rmtree(base, ignore_errors=True)


def more(parser):
    parser.add_argument("--self", action="store_true", help="against stock etcd: the test tested")


def rig_of(options):
    for program in ("npm", "node"):
        if shutil.which(program) is None:
            tap.skip_all("%s is not installed" % program)
    return servers.Group(servers.Etcd if options.self else servers.Keelfs, 3)


if __name__ == "__main__":
    tap.main(__doc__, rig_of, more)
