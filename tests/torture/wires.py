"""Nodes in network namespaces of their own on one bridge, and the wires between
them, which can be cut, cut one way, or made lossy (nftables).

The process that builds the wires moves into a namespace on the bridge itself, so
that it reaches every node; mounts stay where they are.
"""

import ctypes
import os
import subprocess

import tap

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def run(*command, text=None):
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)
    if done.returncode != 0:
        raise OSError("%s: %s" % (" ".join(command), done.stdout.strip()))


class Wires:
    def __init__(self, count):
        self.prefix = "kt%d" % os.getpid()
        self.count = count
        self.own = open("/proc/self/ns/net")
        self.made = []
        try:
            self._build()
        except OSError as error:
            self.close()
            raise tap.Skip("network namespaces are not possible here: %s" % error)

    def name(self, number):
        return "%sn%d" % (self.prefix, number)

    @staticmethod
    def address(number):
        return "10.77.0.%d" % number

    def _build(self):
        hub = self.name(0)
        self._add(hub)
        run("ip", "-n", hub, "link", "add", "hub", "type", "bridge")
        run("ip", "-n", hub, "address", "add", self.address(100) + "/24", "dev", "hub")
        run("ip", "-n", hub, "link", "set", "hub", "up")
        for n in range(1, self.count + 1):
            node = self.name(n)
            self._add(node)
            run("ip", "-n", hub, "link", "add", "to%d" % n, "type", "veth", "peer", "name", "eth", "netns", node)
            run("ip", "-n", hub, "link", "set", "to%d" % n, "master", "hub", "up")
            run("ip", "-n", node, "address", "add", self.address(n) + "/24", "dev", "eth")
            run("ip", "-n", node, "link", "set", "eth", "up")
        self._enter("/run/netns/" + hub)

    def _add(self, name):
        run("ip", "netns", "add", name)
        self.made.append(name)
        run("ip", "-n", name, "link", "set", "lo", "up")

    @staticmethod
    def _enter(path):
        with open(path) as f:
            if libc.setns(f.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

    def wrap(self, number):
        """The command before a node's, which puts it into its namespace."""
        return ("nsenter", "--net=/run/netns/" + self.name(number))

    def filter(self, number, rules):
        """What comes in at a node: rules as of nftables; none lets all pass."""
        table = "table inet torture {}\ndelete table inet torture\n"
        if rules:
            table += ("table inet torture {\nchain arriving {\ntype filter hook input priority 0; policy accept;\n%s\n}\n}\n"
                      % "\n".join(rules))
        run("nsenter", "--net=/run/netns/" + self.name(number), "nft", "-f", "-", text=table)

    def from_node(self, number, how="drop"):
        return "ip saddr %s %s" % (self.address(number), how)

    def heal(self):
        for n in range(1, self.count + 1):
            self.filter(n, [])

    def close(self):
        libc.setns(self.own.fileno(), CLONE_NEWNET)
        self.own.close()
        for name in reversed(self.made):
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL, timeout=30)
        self.made = []
