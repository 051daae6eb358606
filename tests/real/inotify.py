"""inotify by ctypes: a watch whose events come out as short texts."""

import ctypes
import os
import select
import struct
import time

libc = ctypes.CDLL(None, use_errno=True)

NAMES = [
    (0x001, "ACCESS"), (0x002, "MODIFY"), (0x004, "ATTRIB"), (0x008, "CLOSE_WRITE"),
    (0x010, "CLOSE_NOWRITE"), (0x020, "OPEN"), (0x040, "MOVED_FROM"), (0x080, "MOVED_TO"),
    (0x100, "CREATE"), (0x200, "DELETE"), (0x400, "DELETE_SELF"), (0x800, "MOVE_SELF"),
    (0x2000, "UNMOUNT"), (0x4000, "Q_OVERFLOW"), (0x8000, "IGNORED"),
]
MASKS = {name: bit for bit, name in NAMES}
IS_DIRECTORY = 0x40000000
# What a change can cause.  Reading causes OPEN and CLOSE_NOWRITE, so OPEN is
# wanted too, but the tests never read on the watched side while they watch.
CHANGES = sum(MASKS[n] for n in ("MODIFY", "ATTRIB", "CLOSE_WRITE", "OPEN", "MOVED_FROM",
                                 "MOVED_TO", "CREATE", "DELETE", "DELETE_SELF", "MOVE_SELF"))


class Event:
    def __init__(self, watch, mask, cookie, name, moment):
        self.watch = watch
        self.mask = mask
        self.cookie = cookie
        self.name = name
        self.moment = moment

    @property
    def kind(self):
        text = "|".join(name for bit, name in NAMES if self.mask & bit)
        return text + ("|ISDIR" if self.mask & IS_DIRECTORY else "")

    def __repr__(self):
        return "%s %s" % (self.kind, self.name) if self.name else self.kind


class Watcher:
    """One inotify instance.  Watches are told apart by the label given."""

    def __init__(self):
        self.fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self.labels = {}
        self.seen = []

    def add(self, path, label="", mask=CHANGES):
        number = libc.inotify_add_watch(self.fd, os.fsencode(path), ctypes.c_uint32(mask))
        if number < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), path)
        self.labels[number] = label
        return number

    def _take(self):
        try:
            data = os.read(self.fd, 1 << 20)
        except BlockingIOError:
            return []
        now = time.monotonic()
        events, at = [], 0
        while at < len(data):
            number, mask, cookie, size = struct.unpack_from("iIII", data, at)
            name = data[at + 16:at + 16 + size].rstrip(b"\0").decode("utf-8", "surrogateescape")
            events.append(Event(self.labels.get(number, ""), mask, cookie, name, now))
            at += 16 + size
        return events

    def until(self, condition, limit):
        """Collects events into self.seen until condition(event) holds for one,
        or the limit is over.  Returns that event or None."""
        end = time.monotonic() + limit
        checked = 0
        while True:
            for event in self.seen[checked:]:
                checked += 1
                if condition(event):
                    return event
            left = end - time.monotonic()
            if left <= 0:
                return None
            if select.select([self.fd], [], [], left)[0]:
                self.seen += self._take()

    def quiet(self, pause, limit=10):
        """Collects until nothing came for `pause` seconds."""
        end = time.monotonic() + limit
        while time.monotonic() < end and select.select([self.fd], [], [], pause)[0]:
            self.seen += self._take()

    def close(self):
        os.close(self.fd)
