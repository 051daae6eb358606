#!/usr/bin/python3
"""Compare-and-swap through the API: a counter that many increment.

    api.py KEY     adds one, prints the new number
"""
import os
import sys

import etcd3

if len(sys.argv) != 2:
    sys.exit(__doc__)
key = sys.argv[1]
host, port = os.environ.get("ENDPOINT", "127.0.0.1:2379").split(":")
client = etcd3.client(host=host, port=int(port))

while True:
    value, meta = client.get(key)
    number = int(value or 0) + 1
    # Written only if nobody has written since we read.
    done, _ = client.transaction(
        compare=[client.transactions.mod(key) == (meta.mod_revision if meta else 0)],
        success=[client.transactions.put(key, str(number))], failure=[])
    if done:
        print(number)
        break
