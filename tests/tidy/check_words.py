#!/usr/bin/env python3
"""check_words.py ROOT TABLE: banned calls, and notes of unfinished work."""

import re
import sys

import tidy

NOTES = re.compile(r"\b(TODO|FIXME|XXX)\b")


def calls(root, table, files):
    names = "|".join(map(re.escape, table.banned))
    # Not a member: ops->time(...) is somebody else's.
    banned = re.compile(r"(?<![\w.>])(" + names + r")\s*\(")
    problems = []
    for path in files:
        code = tidy.without_comments_and_strings(tidy.text_of(root, path))
        for m in banned.finditer(code):
            name = m.group(1)
            if (path, name) not in table.exempt:
                line = code.count("\n", 0, m.start()) + 1
                problems.append(f"{path}:{line}: {name}(): {table.banned[name]}")
    return problems


def notes(root, files):
    problems = []
    for path in files:
        for number, line in enumerate(tidy.text_of(root, path).split("\n"), 1):
            if NOTES.search(line):
                problems.append(f"{path}:{number}: {line.strip()}")
    return problems


def main():
    root, table = sys.argv[1], tidy.Table(sys.argv[2])
    folders = list(table.folders) + ["tests", "bench", "examples"]
    files = tidy.sources(root, folders)
    tap = tidy.Tap()
    tap.rule("banned functions are not called", calls(root, table, files))
    tap.rule("no notes of unfinished work", notes(root, files))
    tap.end()


if __name__ == "__main__":
    main()
