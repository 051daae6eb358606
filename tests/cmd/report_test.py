#!/usr/bin/env python3
"""tests/report.py: a failure that is not counted is worse than none found.
Each row is one test as meson logs it, and the last line wanted."""

import json
import os
import subprocess
import sys
import tempfile

REPORT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "report.py")

ROWS = [
    ("all pass", "OK", 0, "1..2\nok 1 - a\nok 2 - b\n", "2 passed, 0 failed"),
    ("one fails", "FAIL", 1, "1..2\nok 1 - a\nnot ok 2 - b\n", "1 passed, 1 failed"),
    ("a program that fails is not counted beside its failures", "ERROR", 1,
     "1..2\nok 1 - a\nnot ok 2 - b\n", "1 passed, 1 failed"),
    ("a crash after some tests", "ERROR", -11, "1..3\nok 1 - a\n", "1 passed, 1 failed"),
    ("a crash before any", "ERROR", -6, "", "0 passed, 1 failed"),
    ("a crash at the end", "ERROR", -6, "1..1\nok 1 - a\n", "1 passed, 1 failed"),
    ("sanitizers find a leak at exit", "ERROR", 23, "1..1\nok 1 - a\n", "1 passed, 1 failed"),
    ("a time-out", "TIMEOUT", -15, "1..2\nok 1 - a\n", "1 passed, 1 failed"),
    ("a time-out after the last", "TIMEOUT", -15, "1..1\nok 1 - a\n", "1 passed, 1 failed"),
    ("no plan", "OK", 0, "ok 1 - a\n", "1 passed, 1 failed"),
    ("the plan at the end", "OK", 0, "ok 1 - a\nok 2 - b\n1..2\n", "2 passed, 0 failed"),
    ("fewer than planned", "OK", 0, "1..3\nok 1\nok 2\n", "2 passed, 1 failed"),
    ("more than planned", "OK", 0, "1..1\nok 1\nok 2\n", "2 passed, 1 failed"),
    ("an abort repeats its line", "ERROR", -6, "1..2\nok 1 - a\nnot ok 2 - b\nnot ok 2 - b\n",
     "1 passed, 1 failed"),
    ("bail out", "ERROR", 1, "1..2\nok 1\nBail out! no disk\n", "1 passed, 1 failed"),
    ("skipped with a reason", "OK", 0, "1..2\nok 1 - a # SKIP no fuse\nok 2 - b\n",
     "1 passed, 0 failed, 1 skipped"),
    ("skipped as cmocka writes it", "FAIL", 0,
     "1..2\n# skip: no fuse\nnot ok 1 # SKIP a.b\nok 2 - a.c\n", "1 passed, 0 failed, 1 skipped"),
    ("skipped as a whole", "SKIP", 0, "1..0 # SKIP no fuse\n", "0 passed, 0 failed, 1 skipped"),
    ("no TAP, good", "OK", 0, "hello\n", "1 passed, 0 failed"),
    ("no TAP, bad", "FAIL", 1, "hello\n", "0 passed, 1 failed"),
    ("words that look like results", "OK", 0, "1..1\nokay then\n# not ok\nok 1 - a\n",
     "1 passed, 0 failed"),
]


def report(lines, missing=False):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "log.json")
        if not missing:
            with open(path, "w") as log:
                log.write("".join(line + "\n" for line in lines))
        done = subprocess.run([sys.executable, REPORT, path], stdout=subprocess.PIPE, check=False)
    return done.returncode, done.stdout.decode()


def entry(result, code, text):
    return json.dumps({"name": "keelfs:fast / x", "result": result, "returncode": code,
                       "stdout": text, "stderr": ""})


def main():
    checks = []
    for name, result, code, text, wanted in ROWS:
        status, output = report([entry(result, code, text)])
        # Nothing but skips is nothing: that is a failure too.
        bad = ", 0 failed" not in wanted or wanted.startswith("0 passed")
        right = output.splitlines()[-1] == wanted and status == (1 if bad else 0)
        checks.append((name, right, output))
    status, output = report([])
    checks.append(("nothing at all fails", status == 1 and output.endswith("0 passed, 0 failed\n"), output))
    status, output = report([], missing=True)
    checks.append(("a missing log fails", status == 1 and output.endswith("0 passed, 1 failed\n"), output))
    status, output = report([entry("OK", 0, "1..1\n# skip: the reason\nnot ok 1 # SKIP a.b\n")])
    checks.append(("the reason is printed", "x: a.b (the reason)" in output, output))
    print("1..%d" % len(checks))
    for number, (name, right, output) in enumerate(checks, 1):
        print("%s %d - %s" % ("ok" if right else "not ok", number, name))
        if not right:
            print("".join("# %s\n" % line for line in output.splitlines()), end="")
    return 0 if all(right for _, right, _ in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
