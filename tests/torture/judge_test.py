"""The judge, on histories whose verdict is known: one that says yes to all
proves nothing."""

import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "real"))

import tap  # noqa: E402
import workers  # noqa: E402
from judge import Append, Call, Hold, Wrong, judge, judge_appends, judge_locks  # noqa: E402
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
                   call("read", "a", None, 12, 13), call("unlink", "a", None, 9, 11),
                   call("unlink", "a", None, 12, 13, took_place=False)) is None, "it was refused")


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
        "an unlink of nothing": [call("put", "a", "3", 0, 1, 4), call("unlink", "b", None, 2, 3)],
        "a replacement that was lost": [call("put", "b", "2", 0, 1, 3), call("replace", "a", "9", 2, 3)],
        "a write before its time": [call("put", "b", "2", 0, 1, 3), call("write", "a", "1", 2, 3)],
    }
    for name, calls in lies.items():
        expect(verdict(*calls) is not None, "%s was not found" % name)


@test(plain=True)
def a_watch_that_goes_back_or_repeats_is_found(*_):
    expect(verdict(changes=[(3, "a", "1"), (2, "b", "2")]), "order")
    expect(verdict(changes=[(3, "a", "1"), (4, "b", "1")]), "twice")


LOCKED = [(2, "lock/a", ""), (3, "lock/b", ""), (4, "g", "2/1.1"), (5, "lock/a", None), (6, "g", "3/2.1"),
          (7, "lock/b", None)]


def lock_verdict(*holds, changes=LOCKED):
    try:
        judge_locks(holds, changes, "lock", "g")
    except Wrong as wrong:
        return str(wrong)
    return None


def hold(key, revision, token, *writes):
    return Hold(1, 0, 1, "ok", key, revision, token, list(writes))


@test(plain=True)
def a_lock_that_one_has_at_a_time_passes(*_):
    expect(lock_verdict(hold("lock/a", 2, 2, ("2/1.1", "ok", 4), ("2/1.2", "never", 6)),
                        hold("lock/b", 5, 3, ("3/2.1", "ok", 6))) is None, "it was refused")
    expect(lock_verdict(hold("lock/a", 3, 2)) is None, "told a little later")


@test(plain=True)
def a_lock_held_twice_is_found(*_):
    expect(lock_verdict(hold("lock/b", 4, 3)), "given while another had it")
    expect(lock_verdict(changes=LOCKED + [(8, "g", "2/1.2")]), "an old token wrote after a newer one")
    expect(lock_verdict(hold("lock/a", 2, 2, ("2/1.9", "ok", 4))), "a write under it that is lost")
    expect(lock_verdict(hold("lock/a", 2, 2, ("2/1.1", "never", 4))), "a refused write that happened")


@test(plain=True)
def a_torn_value_is_no_value(*_):
    chance = random.Random(1)
    for size in range(20):
        value = workers.value_of("7.%d" % size, chance)
        expect(workers.name_of(value) == "7.%d" % size, "a whole value")
        for cut in (1, len(value) // 2, len(value) - 1):
            expect(workers.name_of(value[:cut]).startswith("torn"), "a value of %d bytes cut at %d" % (len(value), cut))
        expect(workers.name_of(value + b"\0" * 9).startswith("torn"), "a value with zeros behind it")


@test(plain=True)
def each_lie_about_appended_lines_is_found(*_):
    def verdict_of(lines, *appends):
        try:
            judge_appends(appends, {"log": lines})
        except Wrong as wrong:
            return str(wrong)
        return None
    one, two, lost = (Append("log", "1.%d" % n, 1, "ok") for n in (1, 2, 3))
    maybe, never = Append("log", "2.1", 2), Append("log", "2.2", 2, "never")
    expect(verdict_of(["1.1", "1.2"], one, two, maybe, never) is None, "it was refused")
    expect(verdict_of(["2.1", "1.1", "1.2"], one, two, maybe) is None, "it was refused")
    for name, lines in {"lost": ["1.1", "1.2"], "twice": ["1.1", "1.2", "1.1", "1.3"], "order": ["1.2", "1.1", "1.3"],
                        "refused": ["1.1", "1.2", "1.3", "2.2"], "torn": ["1.1", "1.2", "1.31.4"]}.items():
        expect(verdict_of(lines, one, two, lost, never) is not None, "%s was not found" % name)


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
