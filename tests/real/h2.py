"""HTTP/2 and gRPC by hand: frames as bytes, so that they can also be wrong."""

import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 1
END_HEADERS = 4


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _number(value, bits, first):
    """HPACK's integers (RFC 7541, 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out = [first | most]
    value -= most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes(out + [value])


def field(name, value):
    """A literal that no table keeps."""
    name, value = name.encode(), value.encode()
    return b"\0" + _number(len(name), 7, 0) + name + _number(len(value), 7, 0) + value


def fields(path, content_type="application/grpc", method="POST", more=()):
    block = field(":method", method) + field(":scheme", "http") + field(":path", path)
    block += field(":authority", "localhost")
    if content_type is not None:
        block += field("content-type", content_type)
    return block + b"".join(field(n, v) for n, v in more)


def message(data, flag=0, size=None):
    return struct.pack(">BI", flag, len(data) if size is None else size) + data


def call(stream, path, data):
    """A whole unary call."""
    return (frame(HEADERS, END_HEADERS, stream, fields(path))
            + frame(DATA, END_STREAM, stream, message(data)))


def bytes_field(number, data):
    """A field of protobuf."""
    size, length = len(data), b""
    while size >= 128:
        length += bytes([size % 128 + 128])
        size //= 128
    return bytes([number << 3 | 2]) + length + bytes([size]) + data


RANGE = "/etcdserverpb.KV/Range"
PUT = "/etcdserverpb.KV/Put"
WATCH = "/etcdserverpb.Watch/Watch"


class Closed(Exception):
    """The server has closed the connection."""


class Connection:
    """A connection that reads frames; it answers SETTINGS and PING, and gives the
    windows back."""

    def __init__(self, port, settings=b"", timeout=10, preface=True):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.next = 1
        self.goaway = None
        if preface:
            self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as gone:
            raise Closed() from gone

    def greet(self):
        """Waits for the server's SETTINGS: its windows count from then on."""
        while self.read()[:2] != (SETTINGS, 0):
            pass
        return self

    def _receive(self, size):
        while len(self.buffer) < size:
            try:
                piece = self.socket.recv(65536)
            except ConnectionResetError as gone:
                raise Closed() from gone
            if not piece:
                raise Closed()
            self.buffer += piece
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def read(self):
        """The next frame: (kind, flags, stream, payload)."""
        head = self._receive(9)
        size = struct.unpack(">I", b"\0" + head[:3])[0]
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        payload = self._receive(size)
        if kind == SETTINGS and not flags & ACK:
            self.send(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.send(frame(PING, ACK, 0, payload))
        elif kind == DATA and payload:
            self.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", size)))
        elif kind == GOAWAY:
            self.goaway = struct.unpack(">I", payload[4:8])[0], payload[8:]
        return kind, flags, stream, payload

    def until_closed(self):
        """Reads to the end; returns the code of GOAWAY and its text, or None."""
        try:
            while True:
                self.read()
        except Closed:
            return self.goaway

    def unary(self, path, data):
        """Makes a call and returns its DATA; the status is in the trailers,
        whose HPACK state is not followed here."""
        stream, self.next = self.next, self.next + 2
        self.send(call(stream, path, data))
        return self.answer(stream)

    def answer(self, stream):
        body = b""
        while True:
            kind, flags, where, payload = self.read()
            if where != stream:
                continue
            if kind == RST_STREAM:
                raise Closed()
            if kind == DATA:
                body += payload
            if flags & END_STREAM and kind in (DATA, HEADERS):
                return body

    def close(self):
        self.socket.close()
