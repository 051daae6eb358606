"""Stock etcd and keelfs on loopback with free ports, both gone with the test."""

import importlib.util
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "real"))

import rig      # noqa: E402
import tap      # noqa: E402
from ports import free_ports  # noqa: E402


def memory():
    """A directory for data whose durability is not what is tested, so that a
    busy disk fails no election; None where there is no room."""
    try:
        free = shutil.disk_usage("/dev/shm").free
    except OSError:
        return None
    return rig.directory("/dev/shm") if free > 4 << 30 else None


def need_modules():
    """Ends the file with a reason where Debian's packages are missing."""
    for module, package in (("grpc", "python3-grpcio"), ("google.protobuf", "python3-protobuf")):
        try:
            found = importlib.util.find_spec(module)
        except ImportError:
            found = None
        if found is None:
            tap.skip_all("%s is not installed (%s)" % (package, sys.executable))


def wait_answer(url, process, log, limit=30):
    """Waits until an HTTP GET is answered with 200."""
    end = time.monotonic() + limit * tap.SLOW
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except (OSError, urllib.error.URLError):
            pass
        ended = process.poll() is not None
        if ended or time.monotonic() > end:
            with open(log, errors="replace") as f:
                text = f.read()[-2000:]
            raise tap.Failure("%s %s:\n%s" % (url, "ended" if ended else "is not answered", text))
        time.sleep(0.02)


def _flags(number, client_ports, peer_ports):
    """etcd's flags for one member of several; keelfs takes the same."""
    client, peer = ("http://127.0.0.1:%d" % ports[number - 1] for ports in (client_ports, peer_ports))
    return ["--name", "s%d" % number, "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", ",".join("s%d=http://127.0.0.1:%d" % (n, p) for n, p in enumerate(peer_ports, 1)),
            "--initial-cluster-token", "test"]


class Etcd:
    """Stock etcd: one, or one member of several."""

    name = "etcd"

    def __init__(self, arguments=(), number=1, ports=None, mounts=()):
        if shutil.which("etcd") is None:
            tap.skip_all("etcd is not installed")
        self.base = memory() or rig.directory()
        self.log = os.path.join(self.base, "etcd.log")
        client_ports, peer_ports = ports or ([p] for p in free_ports(2))
        self.address = "127.0.0.1:%d" % client_ports[number - 1]
        self.command = ["etcd", "--data-dir", os.path.join(self.base, "data"),
                        *_flags(number, client_ports, peer_ports), "--logger", "zap", "--log-level", "error",
                        *arguments]
        self.mounts = []
        self.process = None

    def start(self):
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            preexec_fn=rig.die_with_parent)

    def wait(self):
        wait_answer("http://%s/health" % self.address, self.process, self.log)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def output(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def close(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class Keelfs:
    """keelfs: one, or one member of several; without a mount unless asked."""

    name = "keelfs"

    def __init__(self, arguments=(), number=1, ports=None, mounts=()):
        client_ports, peer_ports = ports or ([p] for p in free_ports(2))
        self.address = "127.0.0.1:%d" % client_ports[number - 1]
        self.node = rig.Node(base=memory(), mounts=mounts, arguments=_flags(number, client_ports, peer_ports) + list(arguments))
        self.mounts = self.node.mounts

    def start(self):
        self.node.spawn()

    def wait(self):
        self.node.wait_ready(30)

    def alive(self):
        return self.node.alive()

    def output(self):
        return self.node.output()

    def close(self):
        self.node.close()


class Three:
    """Three members of keelfs, of which a follower is asked."""

    name = "keelfs"

    def __init__(self):
        ports = free_ports(6)
        ports = (ports[:3], ports[3:])
        self.members = [Keelfs(number=n, ports=ports) for n in (1, 2, 3)]
        self.address = None

    def start(self):
        for member in self.members:
            member.start()

    def wait(self):
        for member in self.members:
            member.wait()
        for member in self.members:
            with urllib.request.urlopen("http://%s/metrics" % member.address, timeout=10) as answer:
                if "\netcd_server_is_leader 0" in answer.read().decode():
                    self.address = member.address
        tap.expect(self.address, "no member says that it does not lead")

    def alive(self):
        return all(member.alive() for member in self.members)

    def output(self):
        return "".join(member.output()[-2000:] for member in self.members)

    def close(self):
        for member in self.members:
            member.close()


class Pair:
    """The surroundings of a test file: the two that are compared.  Each body
    gets a fresh pair of servers, unless `fresh` is false."""

    plain = None

    def __init__(self, left, right, fresh=False):
        if Keelfs in (left, right) or Three in (left, right):
            rig.keelfs()
        self.make = (left, right)
        self.fresh = fresh
        self.servers = ()

    def ensure(self):
        if self.servers and not self.fresh and all(s.alive() for s in self.servers):
            return
        self.close()
        self.servers = tuple(make() for make in self.make)
        for server in self.servers:
            server.start()
        for server in self.servers:
            server.wait()

    def arguments(self):
        return tuple(s.address for s in self.servers)

    def unhang(self):
        pass

    def after(self):
        return "".join("%s died:\n%s\n" % (s.name, s.output()[-6000:]) for s in self.servers if not s.alive())

    def close(self):
        for server in self.servers:
            server.close()
        self.servers = ()


class Group:
    """The surroundings of tests that use one cluster of `size` members."""

    plain = None

    def __init__(self, make, size, mounts=()):
        if make is Keelfs:
            rig.keelfs()
            if mounts:
                rig.need_fuse()
        self.make, self.size, self.mounts = make, size, mounts
        self.servers = []

    def ensure(self):
        if self.servers and all(s.alive() for s in self.servers):
            return
        self.close()
        ports = free_ports(2 * self.size)
        ports = (ports[:self.size], ports[self.size:])
        self.servers = [self.make(number=n, ports=ports, mounts=self.mounts) for n in range(1, self.size + 1)]
        for server in self.servers:
            server.start()
        for server in self.servers:
            server.wait()

    def arguments(self):
        return ([s.address for s in self.servers],)

    def unhang(self):
        for server in self.servers:
            for mount in server.mounts:
                rig.abort_connection(mount)

    def after(self):
        return "".join("%s died:\n%s\n" % (s.name, s.output()[-6000:]) for s in self.servers if not s.alive())

    def close(self):
        for server in self.servers:
            server.close()
        self.servers = []
