#!/usr/bin/python3
"""Configuration that reloads itself, through the API.

    api.py KEY     prints the value, and each new one as soon as it is written
"""
import os
import sys

import etcd3

if len(sys.argv) != 2:
    sys.exit(__doc__)
key = sys.argv[1]
host, port = os.environ.get("ENDPOINT", "127.0.0.1:2379").split(":")
client = etcd3.client(host=host, port=int(port))

now = client.get_response(key)
for kv in now.kvs:
    print("loaded", kv.value.decode().strip(), flush=True)
# From the revision after the one that was read: no change is missed.
events, _ = client.watch(key, start_revision=now.header.revision + 1)
for event in events:
    if isinstance(event, etcd3.events.PutEvent):
        print("loaded", event.value.decode().strip(), flush=True)
