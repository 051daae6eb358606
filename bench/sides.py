"""Servers side by side, and words for what was measured: shared by bench/cluster
and bench/api."""

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(ROOT, "tests", "real"))
sys.dont_write_bytecode = True

import cluster  # noqa: E402
import rig  # noqa: E402

PAGE = os.path.join(ROOT, "docs", "PERFORMANCE.md")


def tool(options, name):
    return os.path.join(options.build, "bench", "bench-" + name)


def measured(*command, limit=120):
    """A measuring program's line of JSON."""
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=limit)
    if done.returncode != 0:
        raise RuntimeError("%s: %s" % (" ".join(map(str, command)), done.stderr.decode()))
    return json.loads(done.stdout.decode().splitlines()[0])


def cpu_of(pids):
    """Seconds of user and system time of processes."""
    total = 0
    for pid in pids:
        with open("/proc/%d/stat" % pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def memory_of(pids):
    """(resident MiB, of it anonymous MiB) of processes together."""
    values = {"Rss:": 0, "Anonymous:": 0}
    for pid in pids:
        with open("/proc/%d/smaps_rollup" % pid) as f:
            for line in f:
                fields = line.split()
                if fields[0] in values:
                    values[fields[0]] += int(fields[1]) / 1024
    return values["Rss:"], values["Anonymous:"]


class Api:
    """A cluster of `size` members that speak etcd's API on loopback: stock etcd,
    or keelfs without mounts."""

    def __init__(self, kind, options, base, size, wrap=None):
        self.name, self.options = kind, options
        self.clients, self.peers = cluster.free_ports(size), cluster.free_ports(size)
        self.processes, self.logs = [], []
        names = ",".join("m%d=http://127.0.0.1:%d" % (n, port) for n, port in enumerate(self.peers, 1))
        for n in range(1, size + 1):
            client, peer = ["http://127.0.0.1:%d" % ports[n - 1] for ports in (self.clients, self.peers)]
            where = os.path.join(base, "%s-%d-%d" % (kind, size, n))
            command = ["etcd"] if kind == "etcd" else [os.environ["KEELFS"], "server"]
            self.logs.append(where + ".log")
            with open(where + ".log", "wb") as log:
                self.processes.append(subprocess.Popen(
                    [*(wrap or {}).get(n, ()), *command, "--name", "m%d" % n, "--data-dir", where,
                     "--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
                     "--initial-advertise-peer-urls", peer, "--initial-cluster", names],
                    stdout=log, stderr=log, stdin=subprocess.DEVNULL, preexec_fn=rig.die_with_parent))
        self.wait_ready()

    def wait_ready(self):
        """Until every member takes a write."""
        end = time.monotonic() + 30
        for member in range(len(self.clients)):
            while True:
                try:
                    if self.load("put", "--count", 1, "--warm", 0, "--keys", 1, member=member)["errors"] == 0:
                        break
                except (RuntimeError, subprocess.SubprocessError):
                    pass
                if time.monotonic() > end:
                    self.give_up()
                time.sleep(0.1)

    def find_leader(self):
        """Index of the member that leads."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            done = subprocess.run(["etcdctl", "--endpoints", self.endpoints(), "endpoint", "status", "-w", "json"],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30,
                                  env=dict(os.environ, ETCDCTL_API="3"))
            try:
                for one in json.loads(done.stdout):
                    status = one["Status"]
                    if status.get("leader", 0) and status["leader"] == status["header"]["member_id"]:
                        return self.clients.index(int(one["Endpoint"].rsplit(":", 1)[1]))
            except (ValueError, KeyError):
                pass
            time.sleep(0.2)
        return self.give_up()

    def give_up(self):
        said = b""
        for log in self.logs:
            with open(log, "rb") as f:
                said += f.read()[-600:]
        self.close()
        raise RuntimeError("%s did not start: %s" % (self.name, said.decode(errors="replace")))

    def endpoints(self, member=None):
        ports = self.clients if member is None else [self.clients[member]]
        return ",".join("127.0.0.1:%d" % p for p in ports)

    def pids(self):
        return [p.pid for p in self.processes]

    def load(self, work, *arguments, member=None, limit=120):
        """One run of the load generator; its CPU figures are of all members."""
        return measured(tool(self.options, "load"), work, "--endpoints", self.endpoints(member),
                        "--pids", ",".join(map(str, self.pids())), *arguments, limit=limit)

    def close(self):
        for p in self.processes:
            p.terminate()
        for p in self.processes:
            try:
                p.wait(20)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()


# --- words ---

def spread(values, shape):
    return (shape + " (" + shape + " to " + shape + ")") % (statistics.median(values), min(values), max(values))


def table(head, rows):
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] + ["| " + " | ".join(r) + " |" for r in rows]


def first_line(*command):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20)
        return done.stdout.decode().splitlines()[0].strip()
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return "not found"


def machine(base):
    with open("/proc/cpuinfo") as f:
        model = [line.split(":")[1].strip() for line in f if line.startswith("model name")][:1] or ["?"]
    return ["- %d cores %s, Linux %s, data on %s; load average %.1f when it began" % (
                os.cpu_count(), model[0], platform.release(), first_line("findmnt", "-n", "-o", "FSTYPE", "-T", base),
                os.getloadavg()[0]),
            "- keelfs %s; %s" % (first_line("git", "-C", ROOT, "describe", "--always"), first_line("etcd", "--version"))]


def need_etcd():
    for name in ("etcd", "etcdctl"):
        if shutil.which(name) is None:
            sys.exit("bench: %s is not installed" % name)


def write_page(mark, title, lines):
    """Puts the lines between the page's marks, which are added when missing."""
    begin, end = "<!-- %s: begin -->" % mark, "<!-- %s: end -->" % mark
    with open(PAGE) as f:
        old = f.read()
    if begin not in old:
        old = old.rstrip("\n") + "\n\n## %s\n\n%s\n%s\n" % (title, begin, end)
    before, _, rest = old.partition(begin)
    with open(PAGE, "w") as f:
        f.write(before + "\n".join([begin, "", *lines, "", end]) + rest.partition(end)[2])
