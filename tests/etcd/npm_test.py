#!/usr/bin/python3
"""npm's `etcd3`, the version below, against keelfs.

The package is fetched by npm into a directory that goes with the test; without
npm, or where its registry does not answer, the test skips and says so.  Its own
suite is not in the package: it is run where ETCD3_SOURCES names a checkout, or
git can fetch one.

    KEELFS=build/cmd/keelfs tests/etcd/npm_test.py [--self]"""

import contextlib
import json
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
SOURCES = "https://github.com/microsoft/etcd3"
# Those that make users: authentication is not there yet.
NEED_USERS = ("roles and auth ", "watch() network interruptions emits an error if a watcher is cancelled upon creation (#114)")
PARTS = ["values", "transactions", "watches", "leases", "locks", "elections", "upkeep"]


def install(base, what=("etcd3@" + VERSION,)):
    done = subprocess.run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1",
                           "--fetch-timeout=15000", *what], cwd=base, capture_output=True, text=True,
                          env={**os.environ, "npm_config_cache": os.path.join(base, "..", "cache")}, timeout=100)
    if done.returncode != 0:
        raise tap.Skip("npm cannot install etcd3@%s: %s" % (VERSION, (done.stderr.strip().splitlines() or ["?"])[-1]))


@tap.test(limit=180, needs=("npm", "node"))
def the_client_of_npm_finds_all_it_uses(at):
    with scratch() as base:
        install(base)
        done = subprocess.run(["node", os.path.join(HERE, "npm_test.js")], cwd=base, capture_output=True, text=True,
                              env={**os.environ, "ENDPOINTS": ",".join(at)}, timeout=60 * tap.SLOW)
        tap.expect_equal((done.returncode, done.stdout.split("\n")[:-1]), (0, ["ok " + part for part in PARTS]),
                         done.stderr + "\nits parts")


@contextlib.contextmanager
def scratch():
    base = rig.directory()
    try:
        os.mkdir(os.path.join(base, "package"))
        yield os.path.join(base, "package")
    finally:
        shutil.rmtree(base, ignore_errors=True)


def fetch_sources(base):
    given = os.environ.get("ETCD3_SOURCES")
    done = subprocess.run(["git", "clone", "-q", "--depth", "1", "--branch", "v" + VERSION, SOURCES, base]
                          if given is None else ["git", "clone", "-q", given, base],
                          capture_output=True, text=True, env={**os.environ, "GIT_TERMINAL_PROMPT": "0"}, timeout=60)
    if done.returncode != 0:
        raise tap.Skip("the sources of etcd3 are not at hand (ETCD3_SOURCES): %s" % done.stderr.strip()[-200:])


@contextlib.contextmanager
def tls_before(address, base):
    """Yields the address of TLS with the suite's own certificate."""
    certificates = os.path.join(base, "src", "test", "certs")
    front = subprocess.Popen(["node", os.path.join(HERE, "npm_tls.js"),
                              os.path.join(certificates, "certs", "etcd0.localhost.crt"),
                              os.path.join(certificates, "private", "etcd0.localhost.key"), address],
                             stdout=subprocess.PIPE, text=True, preexec_fn=rig.die_with_parent)
    try:
        yield "127.0.0.1:" + front.stdout.readline().strip()
    finally:
        front.kill()
        front.wait()


@tap.test(limit=300, needs=("npm", "node", "git"))
def its_own_suite_passes_but_for_users_and_roles(at):
    with scratch() as base:
        fetch_sources(base)
        install(base, ())
        subprocess.run(["npx", "tsc"], cwd=base, check=True, capture_output=True, timeout=120 * tap.SLOW)
        with tls_before(at[0], base) as address:
            done = subprocess.run(["npx", "mocha", "--reporter", "json", "--reporter-option", "output=report.json"],
                                  cwd=base, capture_output=True, text=True, env={**os.environ, "ETCD_ADDR": address},
                                  timeout=180 * tap.SLOW)
        tap.expect(os.path.exists(os.path.join(base, "report.json")), done.stdout[-1000:] + done.stderr[-1000:])
        with open(os.path.join(base, "report.json")) as f:
            report = json.load(f)
        tap.note("%(passes)d passed, %(failures)d failed" % report["stats"])
        wrong = ["%s: %s" % (f["fullTitle"], f["err"].get("message", "")) for f in report["failures"]
                 if not f["fullTitle"].startswith(NEED_USERS)]
        tap.expect(not wrong, "\n".join(wrong))
        tap.expect(report["stats"]["passes"] >= 140, "only %d tests ran and passed" % report["stats"]["passes"])


def more(parser):
    parser.add_argument("--self", action="store_true", help="against stock etcd: the test tested")


def rig_of(options):
    for program in ("npm", "node"):
        if shutil.which(program) is None:
            tap.skip_all("%s is not installed" % program)
    return servers.Group(servers.Etcd if options.self else servers.Keelfs, 3)


if __name__ == "__main__":
    tap.main(__doc__, rig_of, more)
