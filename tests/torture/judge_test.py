"""The judge, on histories whose verdict is known: one that says yes to all
proves nothing."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "real"))

import tap  # noqa: E402
from judge import Call, Wrong, judge  # noqa: E402
from tap import expect, test  # noqa: E402

CHANGES = [(2, "a", "1"), (3, "b", "2"), (4, "a", "3"), (5, "a", None)]


def verdict(*calls, changes=CHANGES):
    try:
        judge(calls, changes)
    except Wrong as wrong:
        return str(wrong)
    return None


def call(kind, key, value, begin, end, revision=0, **more):
    return Call(kind, key, value, begin, end, more.pop("state", "ok"), revision, **more)


@test(plain=True)
def a_right_history_passes(*_):
    expect(verdict(call("put", "a", "1", 0, 1, 2), call("get", "a", "1", 2, 3, 3), call("put", "b", "2", 2, 3, 3),
                   call("write", "a", "3", 4, 9), call("read", "a", "3", 5, 6), call("delete", "a", None, 10, 11, 5),
                   call("read", "a", None, 12, 13)) is None, "it was refused")


@test(plain=True)
def each_kind_of_lie_is_found(*_):
    lies = {
        "a lost write": [call("put", "b", "9", 0, 1, 4)],
        "a lost file": [call("put", "b", "2", 0, 1, 3), call("write", "b", "9", 2, 3)],
        "a wrong value": [call("get", "a", "1", 0, 1, 4)],
        "an old revision": [call("put", "a", "3", 0, 1, 4), call("get", "b", "2", 2, 3, 3)],
        "a stale file": [call("put", "a", "3", 0, 1, 4), call("read", "a", "1", 2, 3)],
        "a file from the future": [call("read", "a", "3", 0, 1), call("get", "a", "1", 2, 3, 3)],
        "a file that is gone and was there": [call("put", "a", "1", 0, 1, 2), call("read", "a", None, 2, 3),
                                              call("get", "a", "3", 4, 5, 4)],
        "a refused write that happened": [call("put", "a", "3", 0, 1, state="never")],
        "a swap over the wrong revision": [call("swap", "a", "3", 0, 1, 4, expected=1)],
        "a swap that should have won": [call("swap", "a", "9", 0, 1, 4, expected=4, took_place=False)],
        "a write before its time": [call("put", "b", "2", 0, 1, 3), call("write", "a", "1", 2, 3)],
    }
    for name, calls in lies.items():
        expect(verdict(*calls) is not None, "%s was not found" % name)


@test(plain=True)
def a_watch_that_goes_back_or_repeats_is_found(*_):
    expect(verdict(changes=[(3, "a", "1"), (2, "b", "2")]), "order")
    expect(verdict(changes=[(3, "a", "1"), (4, "b", "1")]), "twice")


class Nothing:
    plain = None

    def ensure(self):
        pass

    def arguments(self):
        return ()

    def unhang(self):
        pass

    def after(self):
        return ""

    def close(self):
        pass


tap.main("The judge of histories.", lambda _: Nothing())
