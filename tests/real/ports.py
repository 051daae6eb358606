"""Ports for servers that are stopped and started again.

The kernel gives outgoing connections their ports from a range of its own; a
server whose port is from there too may find it taken when it comes back, or be
dialled by itself.  So ours are from below that range.
"""

import random
import socket

BELOW_THE_KERNELS = range(10240, 32000)


def free_ports(count):
    """Ports that nobody uses now; held together, so that they differ."""
    chance = random.SystemRandom()
    sockets = []
    try:
        while len(sockets) < count:
            s = socket.socket()
            sockets.append(s)
            try:
                s.bind(("127.0.0.1", chance.choice(BELOW_THE_KERNELS)))
            except OSError:
                sockets.pop().close()
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()
