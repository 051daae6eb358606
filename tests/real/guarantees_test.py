#!/usr/bin/env python3
"""docs/GUARANTEES.md names tests that exist, and every test of this folder
holds some promise there."""

import importlib
import os
import re
import sys

import tap

HERE = os.path.dirname(os.path.abspath(__file__))
PAGE = os.path.join(HERE, "..", "..", "docs", "GUARANTEES.md")


def tests_here():
    """name of the file -> names of its tests"""
    found = {}
    for file in sorted(os.listdir(HERE)):
        if not file.endswith("_test.py") or file == os.path.basename(__file__):
            continue
        tap.TESTS.clear()
        importlib.import_module(file[:-3])
        found[file[:-len("_test.py")]] = {name for name, *_ in tap.TESTS}
    tap.TESTS.clear()
    return found


def named_on(page):
    with open(page) as f:
        text = re.sub(r"\s+", " ", f.read())
    return re.findall(r"\*(\w+): ([^*]+)\*", text)


def main():
    found, named = tests_here(), named_on(PAGE)
    lines = []
    for file, name in named:
        if name not in found.get(file, ()):
            lines.append("%s: %s is promised, but there is no such test" % (file, name))
    print("TAP version 13\n1..2")
    print("%s 1 - every test named in GUARANTEES.md exists" % ("not ok" if lines else "ok"))
    for line in lines:
        print("# " + line)
    mentioned = set(named)
    idle = ["%s: %s" % (file, name) for file in found for name in sorted(found[file])
            if (file, name) not in mentioned]
    for line in idle:
        print("# no promise names %s" % line)
    print("ok 2 - tests that no promise names: %d" % len(idle))
    return 1 if lines or not named else 0


if __name__ == "__main__":
    sys.path.insert(0, HERE)
    sys.exit(main())
