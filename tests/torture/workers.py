"""Workers: processes that call through the API and through the mounts, and
remember what they asked and what they heard."""

import errno
import os
import pickle
import random
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("real", "etcd"):
    sys.path.insert(0, os.path.join(HERE, os.pardir, folder))

import calls  # noqa: E402
import rig    # noqa: E402
from judge import Append, Call, Hold  # noqa: E402

KEYS = ["k%d" % i for i in range(6)]
LOCK, GUARDED, APPENDED = "lock", "guarded", "log-%d"
SIZES = (0, 0, 0, 10, 300, 5000, 30000)
FOLDER = b"/t/"
NEVER = {errno.EROFS}
GONE = {errno.ENOTCONN, errno.ECONNABORTED, errno.ENODEV, errno.ESHUTDOWN, errno.ENXIO}


def value_of(name, chance):
    """What is written under a name: of one size or another, so that a value that
    is torn, or mixed of two, is no value."""
    size = chance.choice(SIZES)
    return b"%s:%d:" % (name.encode(), size) + (name.encode() * (size // len(name) + 1))[:size]


def name_of(value):
    """The name, or what is wrong with the value."""
    parts = value.split(b":", 2)
    if len(parts) == 3 and parts[1].isdigit():
        name, size = parts[0], int(parts[1])
        if name and parts[2] == (name * (size // len(name) + 1))[:size]:
            return name.decode()
    return "" if not value else "torn: %r and so on, %d bytes" % (value[:60], len(value))


class ByApi:
    """One client, one call at a time, to a node of its choice."""

    def __init__(self, number, addresses, seed):
        import rpc
        import schema
        self.rpc, self.pb = rpc, schema.pb
        self.addresses = addresses
        self.random = random.Random(seed)
        self.number, self.count = number, 0
        self.clients = {}
        self.known = {}  # key -> mod_revision last read

    def client(self):
        address = self.random.choice(self.addresses)
        if address not in self.clients:
            self.clients[address] = self.rpc.Client(address)
        return address, self.clients[address]

    def one(self):
        kind = self.random.choice(["get", "get", "get", "put", "put", "swap", "delete", "serializable"])
        key = self.random.choice(KEYS)
        self.count += 1
        value = "%d.%d" % (self.number, self.count)
        address, client = self.client()
        pb, raw = self.pb, FOLDER + key.encode()
        c = Call({"serializable": "get"}.get(kind, kind), key, value, time.monotonic_ns(), where=address)
        limit = 7
        if kind in ("get", "serializable"):
            c.serializable = kind == "serializable"
            answer = client.call("etcdserverpb.KV/Range", pb.RangeRequest(key=raw, serializable=c.serializable), limit)
        elif kind == "put":
            answer = client.call("etcdserverpb.KV/Put", pb.PutRequest(key=raw, value=value_of(value, self.random)), limit)
        elif kind == "delete":
            c.value = None
            answer = client.call("etcdserverpb.KV/DeleteRange", pb.DeleteRangeRequest(key=raw), limit)
        else:
            c.expected = self.known.get(key, 0)
            request = pb.TxnRequest()
            compare = request.compare.add(key=raw, mod_revision=c.expected)
            compare.target = 2  # MOD
            request.success.add().request_put.CopyFrom(pb.PutRequest(key=raw, value=value_of(value, self.random)))
            answer = client.call("etcdserverpb.KV/Txn", request, limit)
        if isinstance(answer, self.rpc.Error):
            if answer.text == "etcdserver: no leader":
                c.state = "never"
            return c
        c.end, c.state, c.revision = time.monotonic_ns(), "ok", answer.header.revision
        if c.kind == "get":
            c.value = name_of(answer.kvs[0].value) if answer.kvs else None
            if not c.serializable:
                self.known[key] = answer.kvs[0].mod_revision if answer.kvs else 0
        elif kind == "delete":
            c.took_place = answer.deleted > 0
        elif kind == "swap":
            c.took_place = answer.succeeded
        return c


class ByMount:
    def __init__(self, number, roots, seed):
        self.roots = roots
        self.random = random.Random(seed)
        self.number, self.count = number, 0

    def one(self):
        root = self.random.choice(self.roots)
        key = self.random.choice(KEYS)
        path = os.path.join(root, "t", key)
        self.count += 1
        value = "%d.%d" % (self.number, self.count)
        kind = self.random.choices(("read", "write", "replace", "append", "unlink"), (50, 25, 10, 10, 5))[0]
        if kind == "append":
            return self.append(root, value)
        writes = kind in ("write", "replace")
        c = Call(kind, key, value if writes else None, time.monotonic_ns(), where=root, took_place=kind != "read")
        folder = -1
        try:
            folder = os.open(root, os.O_PATH | os.O_DIRECTORY)  # of the mount, or of what is below it
            if kind == "read":
                c.value = self.read(folder, key, c)
            elif kind == "unlink":
                os.unlink("t/" + key, dir_fd=folder)
            elif kind == "write":
                self.write(path, value)
            else:
                new = os.path.join(root, "t", "new-%d" % self.number)
                self.write(new, value)
                os.rename(new, path)
            c.end, c.state = c.end if kind == "read" else time.monotonic_ns(), "ok"
        except FileNotFoundError:
            # Of a write: no parent; else: nothing there, or no mount.
            c.state = "ok" if not writes and self.is_mount(folder) else "unknown"
            c.took_place, c.end = False, time.monotonic_ns()
        except OSError as error:
            c.state = self.after_failure(error) if writes else "unknown"
        finally:
            if folder >= 0:
                os.close(folder)
        if c.state == "ok" and not writes and c.value == "":
            c.state = "unknown"  # somebody on this mount is about to write it
        return c

    @staticmethod
    def after_failure(error):
        if error.errno in GONE:
            time.sleep(0.05)
        return "never" if error.errno in NEVER else "unknown"

    def append(self, root, line):
        """Each write system call is a line, as `echo >>` does it."""
        a = Append(APPENDED % (self.count // 400), line, self.number)
        try:
            fd = os.open(os.path.join(root, "t", a.key), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                os.write(fd, line.encode() + b"\n")
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
            a.state = "ok"
        except OSError as error:
            a.state = self.after_failure(error)
        return a

    @staticmethod
    def is_mount(folder):
        """Whether it was the mount that said so: it may come and go meanwhile."""
        try:
            return os.getxattr("/proc/self/fd/%d" % folder, "user.keelfs.member_id") != b""
        except OSError:
            return False

    def write(self, path, value):
        """In one piece or in several; published by close either way."""
        data = value_of(value, self.random)
        piece = self.random.choice((len(data), 4096, 1000))
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            while data:
                data = data[os.write(fd, data[:piece]):]
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # outside the try: its outcome is the publication's

    @staticmethod
    def read(folder, key, c):
        """What was current at the open is what is read."""
        fd = os.open("t/" + key, os.O_RDONLY, dir_fd=folder)
        c.end = time.monotonic_ns()
        try:
            data = b""
            while piece := os.read(fd, 8192):
                data += piece
            return name_of(data)
        finally:
            os.close(fd)


class ByLock:
    """Takes the lock through the lock service, and writes under its protection: a
    write takes place only while the lock's key is there, and bears the token, the
    revision at which that key was made.  The lease is not renewed, so that some
    holders have lost the lock and do not know."""

    TTL = 3  # seconds

    def __init__(self, number, addresses, seed):
        import rpc
        import schema
        self.rpc, self.pb, self.lock_pb = rpc, schema.pb, schema.CLASSES
        self.addresses, self.random = addresses, random.Random(seed)
        self.number, self.count, self.clients = number, 0, {}

    def call(self, name, request, limit=7):
        address = self.random.choice(self.addresses)
        if address not in self.clients:
            self.clients[address] = self.rpc.Client(address)
        return self.clients[address].call(name, request, limit)

    def one(self):
        self.count += 1
        hold = Hold(self.number, time.monotonic_ns())
        grant = self.call("etcdserverpb.Lease/LeaseGrant", self.pb.LeaseGrantRequest(TTL=self.TTL))
        if not isinstance(grant, self.rpc.Error):
            self.hold(hold, grant.ID)
            self.call("etcdserverpb.Lease/LeaseRevoke", self.pb.LeaseRevokeRequest(ID=grant.ID))
        return hold

    def hold(self, hold, lease):
        answer = self.call("v3lockpb.Lock/Lock", self.lock_pb["v3lockpb.LockRequest"](
            name=FOLDER + LOCK.encode(), lease=lease))
        if isinstance(answer, self.rpc.Error):
            return
        hold.key, hold.revision, hold.state = answer.key[len(FOLDER):].decode(), answer.header.revision, "ok"
        found = self.call("etcdserverpb.KV/Range", self.pb.RangeRequest(key=answer.key))
        if isinstance(found, self.rpc.Error) or not found.kvs:
            return
        hold.token = found.kvs[0].create_revision
        for _ in range(self.random.randrange(1, 5)):
            self.guarded(hold, answer.key)
            time.sleep(self.random.choice((0, 0.05, 0.5, 1.5)))

    def guarded(self, hold, key):
        self.count += 1
        value = "%d/%d.%d" % (hold.token, self.number, self.count)
        request = self.pb.TxnRequest()
        request.compare.add(key=key, create_revision=hold.token).target = 1  # CREATE
        request.success.add().request_put.CopyFrom(
            self.pb.PutRequest(key=FOLDER + GUARDED.encode(), value=value_of(value, self.random)))
        answer = self.call("etcdserverpb.KV/Txn", request)
        if isinstance(answer, self.rpc.Error):
            hold.writes.append((value, "unknown", 0))
        else:
            hold.writes.append((value, "ok" if answer.succeeded else "never", answer.header.revision))


def work(worker_of, arguments, stop, path):
    """Until the file `stop` is there; then the history goes to `path`."""
    rig.die_with_parent()
    worker = worker_of(*arguments)
    history, slowest = [], 0
    while not os.path.exists(stop):
        begin = time.monotonic_ns()
        c = worker.one()
        history.append(c)
        slowest = max(slowest, time.monotonic_ns() - begin)
        if c.state != "ok":
            time.sleep(0.02)  # what is gone is not back at once
    with open(path + ".new", "wb") as f:
        pickle.dump((history, slowest / 1e9), f)
    os.rename(path + ".new", path)
