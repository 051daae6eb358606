#!/usr/bin/python3
"""Service registration and discovery through the API.

    api.py register NAME ADDRESS   until it is ended: then NAME goes
    api.py watch                   who is there, and who comes and goes
"""
import os
import sys
import time

import etcd3

PREFIX = "/services/"
host, port = os.environ.get("ENDPOINT", "127.0.0.1:2379").split(":")
client = etcd3.client(host=host, port=int(port))


def register(name, address, ttl=int(os.environ.get("TTL", "10"))):
    lease = client.lease(ttl)
    client.put(PREFIX + name, address, lease)
    while True:  # whoever stops doing this is gone after the lease's seconds
        time.sleep(ttl / 3)
        if lease.refresh()[0].TTL == 0:  # it ended while we slept: once more
            lease = client.lease(ttl)
            client.put(PREFIX + name, address, lease)


def watch():
    everybody = client.get_prefix_response(PREFIX)
    for kv in everybody.kvs:
        print("up", kv.key.decode(), kv.value.decode(), flush=True)
    # From the revision after the one that was read: nothing is missed between.
    events, _ = client.watch_prefix(PREFIX, start_revision=everybody.header.revision + 1)
    for event in events:
        if isinstance(event, etcd3.events.DeleteEvent):
            print("down", event.key.decode(), flush=True)
        else:
            print("up", event.key.decode(), event.value.decode(), flush=True)


if len(sys.argv) == 4 and sys.argv[1] == "register":
    register(*sys.argv[2:])
elif sys.argv[1:] == ["watch"]:
    watch()
else:
    sys.exit(__doc__)
