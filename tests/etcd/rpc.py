"""A raw gRPC client: messages in, messages or (code, text) out, nothing retried
and nothing interpreted."""

import collections
import os
import queue
import threading
import time

# What is forked here only execs: grpc need not stop its threads for it, which it
# may wait for without end.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc  # noqa: E402

import schema  # noqa: E402

LIMIT = 20  # seconds that one call may take before the test calls it hung

OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
           ("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1),
           ("grpc.enable_http_proxy", 0)]

Error = collections.namedtuple("Error", "code text")


class Pending:
    """A unary call under way."""

    def __init__(self, future):
        self.future = future

    def result(self):
        """The response, or an Error."""
        try:
            return self.future.result()
        except grpc.RpcError as error:
            return Error(error.code().name, error.details())


class Stream:
    """A stream in both directions.  What arrives is kept in `received`; `ended`
    is None while it runs, then an Error."""

    def __init__(self, call_of, metadata=None):
        self.outgoing = queue.Queue()
        self.received = []
        self.changed = threading.Condition()
        self.ended = None
        self.call = call_of(iter(self.outgoing.get, None), metadata=metadata)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        error = Error("OK", "")
        try:
            for message in self.call:
                with self.changed:
                    self.received.append(message)
                    self.changed.notify_all()
        except grpc.RpcError as problem:
            error = Error(problem.code().name, problem.details())
        with self.changed:
            self.ended = error
            self.changed.notify_all()

    def send(self, message):
        self.outgoing.put(message)

    def half_close(self):
        self.outgoing.put(None)

    def wait(self, condition, limit=LIMIT):
        """Whether condition(received) became true in time."""
        with self.changed:
            return self.changed.wait_for(lambda: condition(self.received), limit)

    def wait_end(self, limit=LIMIT):
        with self.changed:
            self.changed.wait_for(lambda: self.ended is not None, limit)
        return self.ended

    def cancel(self):
        self.call.cancel()
        self.outgoing.put(None)
        self.thread.join(LIMIT)


class Client:
    def __init__(self, address):
        self.address = address
        self.channel = grpc.insecure_channel(address, options=OPTIONS)
        self.stubs = {}

    def _stub(self, name):
        if name not in self.stubs:
            kind, request, response = schema.CALLS[name]
            make = {"unary": self.channel.unary_unary, "server-stream": self.channel.unary_stream,
                    "bidi": self.channel.stream_stream}[kind]
            self.stubs[name] = make("/" + name, request_serializer=schema.CLASSES[request].SerializeToString,
                                    response_deserializer=schema.CLASSES[response].FromString)
        return self.stubs[name]

    def start(self, name, request, limit=LIMIT, metadata=None):
        """Begins a unary call."""
        return Pending(self._stub(name).future(request, timeout=limit, metadata=metadata))

    def call(self, name, request, limit=LIMIT, metadata=None):
        """A unary call: the response, or an Error."""
        return self.start(name, request, limit, metadata).result()

    def messages(self, name, request, limit=LIMIT):
        """A call whose answer is a stream: (messages, None or an Error)."""
        got = []
        try:
            for message in self._stub(name)(request, timeout=limit):
                got.append(message)
        except grpc.RpcError as error:
            return got, Error(error.code().name, error.details())
        return got, None

    def stream(self, name, metadata=None):
        return Stream(self._stub(name), metadata)

    def stream_of(self, name, request):
        """A call whose answer is a stream that goes on."""
        return Stream(lambda _, metadata: self._stub(name)(request, metadata=metadata))

    def raw(self, path, payload, limit=LIMIT):
        """A call of any name with any bytes: the bytes, or an Error."""
        call = self.channel.unary_unary("/" + path, request_serializer=None, response_deserializer=None)
        return Pending(call.future(payload, timeout=limit)).result()

    def wait_serving(self, limit=LIMIT):
        """Waits until a linearizable read is answered."""
        end = time.monotonic() + limit
        while True:
            answer = self.call("etcdserverpb.KV/Range", schema.pb.RangeRequest(key=b"health"), 2)
            if not isinstance(answer, Error):
                return answer
            if time.monotonic() > end:
                raise RuntimeError("%s does not serve: %s" % (self.address, answer))
            time.sleep(0.02)

    def close(self):
        self.channel.close()
