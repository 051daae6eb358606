#!/usr/bin/python3
"""The examples, each through the API and by shell on the mounts of a cluster.

    KEELFS=build/cmd/keelfs tests/etcd/examples_test.py [--self] [NAME...]

--self runs those of the API against stock etcd.  KEELFS_PLAIN=DIR runs those of
the mounts on an ordinary directory whose user.* attributes mean nothing."""

import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import servers  # noqa: E402  (finds tests/real)
import rig      # noqa: E402
import tap      # noqa: E402
from tap import expect, expect_equal  # noqa: E402

EXAMPLES = os.path.join(HERE, os.pardir, os.pardir, "examples")
SHELL = ("setfattr", "inotifywait")


def start(name, *words, at=None, ttl=2, **more):
    """An example as a process of its own session, its output a pipe."""
    environment = {**os.environ, "TTL": str(ttl)}
    if at is not None:
        environment.update(ENDPOINT=at, ETCDCTL_ENDPOINTS=at, ETCDCTL_API="3")
    command = [os.path.join(EXAMPLES, name), *words]
    if name.endswith(".py"):
        command.insert(0, sys.executable)
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True, **more)


def end(process, how=signal.SIGTERM):
    """The whole example, as a dying machine or an operator ends it."""
    try:
        os.killpg(process.pid, how)
    except ProcessLookupError:
        pass
    process.wait()
    process.stdout.close()


def line(process):
    return process.stdout.readline().rstrip("\n")


def guarded(base):
    """A command that fails when it runs twice at a time, and notes each run."""
    return ["sh", "-c", 'mkdir %s/inside && sleep 0.05 && rmdir %s/inside && echo run >> %s/runs' % ((base,) * 3)]


def everyone_ran_alone(base, processes, rounds):
    for process in processes:
        expect_equal(process.wait(), 0, "the status of one under the lock")
        process.stdout.close()
    with open(os.path.join(base, "runs")) as f:
        expect_equal(len(f.read().split()), rounds, "runs")


# --- distributed lock ---

@tap.test(limit=60, needs=("etcdctl",))
def lock_through_the_api(at, mounts):
    base = rig.directory()
    everyone_ran_alone(base, [start("lock/api.sh", "job", *guarded(base), at=a) for a in at * 2], 6)


@tap.test(limit=90, needs=SHELL, plain=True)
def lock_on_the_mount(at, mounts):
    base = rig.directory()
    os.makedirs(mounts[0] + "/locks", exist_ok=True)
    waiting = [start("lock/mount.sh", m + "/locks/job", *guarded(base)) for m in mounts * 2]
    everyone_ran_alone(base, waiting, len(waiting))
    expect_equal(os.listdir(mounts[0] + "/locks"), [], "what is left")


# Danger: a machine that dies with the lock keeps everybody out for ever.
@tap.test(limit=60, needs=SHELL)
def a_dead_holder_gives_the_lock_up(at, mounts):
    os.makedirs(mounts[0] + "/locks", exist_ok=True)
    holder = start("lock/mount.sh", mounts[0] + "/locks/mortal", "sh", "-c", "echo held; sleep 1000")
    expect_equal(line(holder), "held")
    heir = start("lock/mount.sh", mounts[1] + "/locks/mortal", "echo", "inherited", ttl=4)
    end(holder, signal.SIGKILL)
    expect_equal(line(heir), "inherited")
    expect_equal(heir.wait(), 0, "its status")
    end(heir)


# --- service registration and discovery ---

@tap.test(limit=60, needs=("etcdctl",))
def services_through_the_api(at, mounts):
    web = start("service/api.py", "register", "web", "10.0.0.1:80", at=at[0])
    watch = start("service/api.py", "watch", at=at[-1])
    expect_equal(line(watch), "up /services/web 10.0.0.1:80")
    database = start("service/api.py", "register", "db", "10.0.0.2:5432", at=at[1])
    expect_equal(line(watch), "up /services/db 10.0.0.2:5432")
    time.sleep(3)  # longer than the lease: it is kept alive
    end(web, signal.SIGKILL)
    expect_equal(line(watch), "down /services/web")
    end(database, signal.SIGKILL)
    expect_equal(line(watch), "down /services/db")
    end(watch)


@tap.test(limit=60, needs=SHELL)
def services_on_the_mount(at, mounts):
    os.makedirs(mounts[0] + "/services", exist_ok=True)
    web = start("service/mount.sh", "register", mounts[0] + "/services", "web", "10.0.0.1:80")
    tap.wait_until(lambda: os.path.exists(mounts[1] + "/services/web"), 10, "the registration")
    watch = start("service/mount.sh", "watch", mounts[-1] + "/services")
    expect_equal(line(watch), "up web 10.0.0.1:80")
    database = start("service/mount.sh", "register", mounts[1] + "/services", "db", "10.0.0.2:5432")
    expect_equal(line(watch), "up db 10.0.0.2:5432")
    time.sleep(3)  # longer than the lease: it is kept alive
    end(web, signal.SIGKILL)
    expect_equal(line(watch), "down web")
    end(database, signal.SIGKILL)
    expect_equal(line(watch), "down db")
    end(watch)
    expect_equal(os.listdir(mounts[0] + "/services"), [], "what is left")


# --- configuration that reloads itself ---

@tap.test(limit=60, needs=("etcdctl",))
def reload_through_the_api(at, mounts):
    def put(value):
        subprocess.run(["etcdctl", "put", "/config/timeout", value], check=True, stdout=subprocess.DEVNULL,
                       env={**os.environ, "ETCDCTL_API": "3", "ETCDCTL_ENDPOINTS": at[0]})
    put("30s")
    program = start("reload/api.py", "/config/timeout", at=at[-1])
    expect_equal(line(program), "loaded 30s")
    for value in ("40s", "50s"):
        put(value)
        expect_equal(line(program), "loaded " + value)
    end(program)


@tap.test(limit=60, needs=SHELL, plain=True)
def reload_on_the_mount(at, mounts):
    os.makedirs(mounts[0] + "/config", exist_ok=True)
    path = mounts[0] + "/config/timeout"

    def write(value):
        with open(path, "w") as f:
            f.write(value + "\n")
    write("30s")
    program = start("reload/mount.sh", mounts[-1] + "/config/timeout")
    expect_equal(line(program), "loaded 30s")
    write("40s")
    expect_equal(line(program), "loaded 40s")
    with open(path + ".new", "w") as f:
        f.write("50s\n")
    os.rename(path + ".new", path)
    expect_equal(line(program), "loaded 50s")
    if at:
        subprocess.run(["etcdctl", "put", "/config/timeout", "60s"], check=True, stdout=subprocess.DEVNULL,
                       env={**os.environ, "ETCDCTL_API": "3", "ETCDCTL_ENDPOINTS": at[0]})
        expect_equal(line(program), "loaded 60s")
    end(program)


# --- leader election ---

@tap.test(limit=60, needs=("etcdctl",))
def election_through_the_api(at, mounts):
    first = start("election/api.sh", "chair", "alice", at=at[0])
    expect(line(first).startswith("chair/"), "no key")
    expect_equal(line(first), "alice")
    second = start("election/api.sh", "chair", "bob", at=at[-1])
    end(first, signal.SIGINT)
    expect(line(second).startswith("chair/"), "no key")
    expect_equal(line(second), "bob")
    end(second, signal.SIGINT)


@tap.test(limit=60, needs=SHELL, plain=True)
def election_on_the_mount(at, mounts):
    os.makedirs(mounts[0] + "/leaders", exist_ok=True)
    lead = ["sh", "-c", "echo leading; exec sleep 1000"]
    first = start("election/mount.sh", mounts[0] + "/leaders/chair", *lead)
    expect_equal(line(first), "leading")
    with open(mounts[-1] + "/leaders/chair") as f:
        expect_equal(f.read().split()[1], str(first.pid), "the leader's file")
    second = start("election/mount.sh", mounts[-1] + "/leaders/chair", *lead)
    end(first)
    expect_equal(line(second), "leading")
    end(second)
    tap.wait_until(lambda: not os.path.exists(mounts[0] + "/leaders/chair"), 10, "the resignation")


# --- compare-and-swap ---

def count(start_one, each=6):
    """Several processes increment; every number is given once."""
    numbers = []
    for _ in range(each):
        running = [start_one(n) for n in range(3)]
        for process in running:
            numbers.append(int(line(process)))
            expect_equal(process.wait(), 0, "the status of an increment")
            process.stdout.close()
    expect_equal(sorted(numbers), list(range(1, 3 * each + 1)), "the numbers given")


@tap.test(limit=60)
def compare_and_swap_through_the_api(at, mounts):
    count(lambda n: start("cas/api.py", "/count", at=at[n % len(at)]))


@tap.test(limit=60, plain=True)
def compare_and_swap_on_the_mount(at, mounts):
    os.makedirs(mounts[0] + "/versions", exist_ok=True)
    count(lambda n: start("cas/mount.sh", mounts[n % len(mounts)] + "/versions"))


# Danger: an example that nobody mentions is one that nobody finds.
@tap.test(plain=True)
def the_readme_names_every_example(at, mounts):
    with open(os.path.join(EXAMPLES, "README.md")) as f:
        text = f.read()
    for folder, _, names in sorted(os.walk(EXAMPLES)):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), EXAMPLES)
            expect(path == "README.md" or "`%s`" % path in text, "README.md does not name %s" % path)


def more(parser):
    parser.add_argument("--self", action="store_true", help="the API's against stock etcd")


class Plain:
    """An ordinary directory under three names."""

    plain = True

    def __init__(self, under):
        self.base = rig.directory(under)

    def ensure(self):
        pass

    def arguments(self):
        return [], [self.base] * 3

    def unhang(self):
        pass

    def after(self):
        return ""

    def close(self):
        pass


class Cluster(servers.Group):
    def arguments(self):
        return [s.address for s in self.servers], [s.mounts[0] for s in self.servers if s.mounts]


def rig_of(options):
    if os.environ.get("KEELFS_PLAIN"):
        return Plain(os.environ["KEELFS_PLAIN"])
    servers.need_modules()
    if options.self:
        for entry in list(tap.TESTS):
            if "mount" in entry[0] or "dead holder" in entry[0]:
                tap.TESTS.remove(entry)
    return Cluster(servers.Etcd if options.self else servers.Keelfs, 3, mounts=() if options.self else ("m",))


if __name__ == "__main__":
    tap.main(__doc__, rig_of, more)
