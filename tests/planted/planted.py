#!/usr/bin/env python3
"""planted.py BUILD-DIR [--seeds N] [--only NAME,…] [--sample N] [--table] [--tap]

Builds the simulator from a copy of the sources with all the bugs of bugs.py in
it, each behind a switch, and runs it with one switched on after the other,
until a checker or an invariant stops it.  A bug that survives N seeds means a
checker that does not see it.
"""

import argparse
import concurrent.futures
import os
import random
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bugs import BUGS, CHANGES, MEMBERS, RARE

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SEED_SECONDS = 60  # a run takes a fraction of one; a bug may make it hang

HEADER = """
#ifndef PLANTED_H
#define PLANTED_H
int planted_is(const char *name);
#define PLANTED(name) (__extension__({ \\
    static signed char planted_on_ = -1; \\
    if (planted_on_ < 0) planted_on_ = (signed char)planted_is(name); \\
    planted_on_ == 1; }))
#endif
"""

SWITCH = """
int planted_is(const char *name)
{
    extern char *getenv(const char *);
    const char *on = getenv("KEELFS_PLANTED");
    return on != NULL && strcmp(on, name) == 0;
}
"""


def copy_sources(to):
    """Only what changed is written, so that the second build is short."""
    wanted = set()
    for folder, names, files in os.walk(ROOT):
        names[:] = [n for n in names if not n.startswith((".", "build", "__"))
                    and not os.path.ismount(os.path.join(folder, n))]
        below = os.path.relpath(folder, ROOT)
        for name in files:
            if name.endswith((".c", ".h", ".build", ".proto", ".py", ".txt")):
                wanted.add(os.path.normpath(os.path.join(below, name)))
    texts = {}
    for path in wanted:
        with open(os.path.join(ROOT, path), encoding="utf-8") as f:
            texts[path] = f.read()
    return texts


def plant(texts):
    for name, _, path, right, wrong in BUGS:
        if texts[path].count(right) != 1:
            sys.exit(f"planted: {name}: its text is not there once in {path}: "
                     "mend tests/planted/bugs.py")
        texts[path] = texts[path].replace(
            right, re.sub(r"\bBUG\b", f'PLANTED("{name}")', wrong))
    texts["base/must.c"] += SWITCH
    texts["planted.h"] = HEADER


def write_changed(texts, to):
    for path, text in texts.items():
        full = os.path.join(to, path)
        try:
            with open(full, encoding="utf-8") as f:
                if f.read() == text:
                    continue
        except OSError:
            os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as f:
            f.write(text)


def build(directory):
    source = os.path.join(directory, "source")
    out = os.path.join(directory, "out")
    texts = copy_sources(source)
    plant(texts)
    write_changed(texts, source)
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    if not os.path.exists(os.path.join(out, "build.ninja")):
        shutil.rmtree(out, ignore_errors=True)
        done = subprocess.run(
            ["meson", "setup", out, source, "-Dwerror=false",
             "--buildtype=debugoptimized",
             f"-Dc_args=-include {source}/planted.h"], **quiet)
        if done.returncode != 0:
            sys.exit(done.stdout)
    done = subprocess.run(["ninja", "-C", out, "tests/sim/keelfs-sim"], **quiet)
    if done.returncode != 0:
        sys.exit(done.stdout)
    return os.path.join(out, "tests/sim/keelfs-sim")


def why_it_stopped(done):
    text = done.stdout + done.stderr
    found = re.search(r"FAILED: (.*)", text)
    if found:
        return found.group(1)
    lines = [line for line in text.splitlines() if line.strip()]
    return "invariant: " + (lines[-1] if lines else f"signal {-done.returncode}")


def hunt(simulator, name, first_seed, seeds):
    """The number of seeds it took, and what found it; (None, …) when nothing
    did."""
    environment = dict(os.environ, KEELFS_PLANTED=name)
    more = ["--changes", "1"] if name in CHANGES else []
    more += ["--members", str(MEMBERS[name])] if name in MEMBERS else []
    for i in range(seeds):
        try:
            done = subprocess.run(
                [simulator, "--seed", str(first_seed + i), *more], env=environment,
                capture_output=True, text=True, timeout=SEED_SECONDS)
        except subprocess.TimeoutExpired:
            return i + 1, "it never ended"
        if done.returncode != 0:
            return i + 1, why_it_stopped(done)
    return None, "not found"


def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("build")
    flags.add_argument("--seeds", type=int, default=400)
    flags.add_argument("--seed", type=int, default=1)
    flags.add_argument("--only")
    flags.add_argument("--sample", type=int)
    flags.add_argument("--table", action="store_true")
    flags.add_argument("--tap", action="store_true")
    o = flags.parse_args()
    began = time.monotonic()
    simulator = build(os.path.abspath(o.build))
    bugs = [b for b in BUGS if b[1] and
            (not o.only or b[0] in o.only.split(","))]
    if o.sample:
        today = int(time.time()) // 86400
        common = [b for b in bugs if b[0] not in RARE]
        bugs = random.Random(today).sample(common, min(o.sample, len(common)))
    if o.tap:
        print(f"1..{len(bugs) + 1}")
    # No bug: no failure. Else the others prove nothing.
    clean = hunt(simulator, "none", o.seed, 5)
    rows, missed = [], [] if clean[0] is None else ["none"]
    if o.tap:
        print(("ok" if not missed else "not ok"),
              "1 - without a bug the simulator finds none")
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        jobs = [(b, pool.submit(hunt, simulator, b[0], o.seed, o.seeds))
                for b in bugs]
        for number, (bug, job) in enumerate(jobs, 2):
            took, why = job.result()
            if took is None:
                missed.append(bug[0])
            rows.append((bug[0], bug[1], took, why))
            if o.tap:
                print(("ok" if took else "not ok"),
                      f"{number} - {bug[0]}: {bug[1]}: {why}", flush=True)
            elif not o.table:
                print(f"{took or '-':>5}  {bug[0]:34} {why[:110]}", flush=True)
    if o.table:
        print("| bug | what it means | seeds | found by |\n|---|---|---|---|")
        for name, what, took, why in rows:
            print(f"| {name} | {what} | {took or 'not found'} | {why} |")
    if not o.tap:
        print(f"{len(rows) - len([m for m in missed if m != 'none'])} of "
              f"{len(rows)} found in {time.monotonic() - began:.0f} s; without "
              f"a bug: {'nothing' if clean[0] is None else clean[1]}")
    sys.exit(1 if missed else 0)


main()
