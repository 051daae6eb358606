#!/usr/bin/env python3
"""Counts what `meson test` ran: every TAP line of every test is one test.

    tests/report.py LOG.json...

The logs are meson's own (meson-logs/*.json, one JSON object a line).  Prints the
output of what failed and the reasons of what was skipped, and as its last line
"N passed, N failed", with ", N skipped" when there are any.  The exit status is
1 when something failed, when a log is missing, and when nothing ran at all.
"""

import json
import re
import sys

LINE = re.compile(r"(not )?ok\b *(\d+)? *(?:- *)?(.*?)(?: *# *(skip|todo)\b[: ]*(.*))?$", re.I)
PLAN = re.compile(r"1\.\.(\d+)(?: *# *skip\S*[: ]*(.*))?$", re.I)
REASON = re.compile(r"# *skip: *(.*)$", re.I)

# Results of meson that say no more than the lines and the exit status do.
ENDED = ("OK", "SKIP", "FAIL", "EXPECTEDFAIL", "ERROR")


class Count:
    def __init__(self):
        self.passed = 0
        self.failed = []   # (name, why)
        self.skipped = []  # (name, why)


def read_tap(name, text):
    """The lines of one TAP stream: a Count, and the plan (None: there is none)."""
    count = Count()
    plan = None
    reason = ""
    failed_numbers = set()  # cmocka repeats the line of a test that aborts
    for line in text.splitlines():
        found = REASON.match(line)
        if found:
            reason = found.group(1)
            continue
        found = PLAN.match(line)
        if found:
            plan = int(found.group(1))
            if plan == 0:
                count.skipped.append((name, found.group(2) or reason or "no reason given"))
            continue
        if line.startswith("Bail out!"):
            count.failed.append((name, line))
            continue
        found = LINE.match(line)
        if not found:
            continue
        bad, number, title, directive, why = found.groups()
        title = "%s: %s" % (name, title or number or "?")
        if directive and directive.lower() == "skip":
            # cmocka writes "not ok 3 # SKIP name", with the reason before it.
            if title.endswith(": " + (number or "?")) and why:
                title, why = "%s: %s" % (name, why), reason
            count.skipped.append((title, why or reason or "no reason given"))
        elif bad and not directive:
            if number is None or number not in failed_numbers:
                count.failed.append((title, ""))
            failed_numbers.add(number)
        else:
            count.passed += 1
        reason = ""
    return count, plan


def ran(count):
    return count.passed + len(count.failed) + len(count.skipped)


def read_entry(entry):
    """One test of meson's log."""
    name = entry["name"].split(" / ")[-1].split(":")[-1]
    result = entry["result"]
    text = entry.get("stdout") or ""
    if PLAN.search(text) is None and not re.search(r"^(1\.\.\d|(not )?ok\b)", text, re.M):
        count = Count()  # no TAP: the exit status is all there is
        if result == "OK":
            count.passed = 1
        elif result == "SKIP":
            count.skipped.append((name, "no reason given"))
        else:
            count.failed.append((name, "it ended as %s" % result))
        return count
    count, plan = read_tap(name, text)
    if result not in ENDED:
        count.failed.append((name, "it ended as %s" % result))
    elif plan is None:
        count.failed.append((name, "it printed no plan"))
    elif plan > 0 and plan != ran(count):
        count.failed.append((name, "it planned %d tests and ran %d" % (plan, ran(count))))
    elif entry.get("returncode", 0) != 0 and not count.failed:
        count.failed.append((name, "its exit status is %d" % entry["returncode"]))
    return count


def show_failure(entry, count):
    print("\n==== %s ====" % entry["name"])
    for stream in ("stdout", "stderr"):
        text = (entry.get(stream) or "").rstrip()
        if text:
            lines = text.splitlines()
            if len(lines) > 400:
                lines = lines[:200] + ["... %d lines ..." % (len(lines) - 400)] + lines[-200:]
            print("\n".join(lines))
    for title, why in count.failed:
        print("FAILED %s%s" % (title, " (%s)" % why if why else ""))


def main(paths):
    total = Count()
    for path in paths:
        try:
            with open(path, encoding="utf-8", errors="replace") as log:
                entries = [json.loads(line) for line in log]
        except (OSError, ValueError) as error:
            print("FAILED %s cannot be read: %s" % (path, error))
            total.failed.append((path, str(error)))
            continue
        for entry in entries:
            count = read_entry(entry)
            total.passed += count.passed
            total.failed += count.failed
            total.skipped += count.skipped
            if count.failed:
                show_failure(entry, count)
    if total.skipped:
        print("\nskipped:")
        for title, why in total.skipped:
            print("  %s (%s)" % (title, why))
    nothing = total.passed == 0 and not total.failed
    if nothing:
        print("nothing ran")
    line = "%d passed, %d failed" % (total.passed, len(total.failed))
    if total.skipped:
        line += ", %d skipped" % len(total.skipped)
    print(line)
    return 1 if total.failed or nothing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
