#!/usr/bin/env python3
"""check_purity.py TABLE NM LIBRARY=ARCHIVE...: what the objects of a pure
library leave undefined.  A function that is not there cannot be called: no
clock, no chance, no input or output, no thread."""

import os
import re
import subprocess
import sys

import tidy

# What sanitizers, coverage and hardening put into every object.
INSTRUMENTS = re.compile(
    r"__(asan|ubsan|tsan|msan|lsan|sanitizer|sancov|gcov|llvm|start_|stop_)"
    r"|__stack_chk_fail$|_GLOBAL_OFFSET_TABLE_$|__odr_asan|__asan|gcov"
)


def plain(symbol):
    """memcpy for __memcpy_chk: the same function, hardened."""
    m = re.fullmatch(r"__(\w+)_chk", symbol)
    return m.group(1) if m else symbol


def symbols(nm, archive, option):
    """(object, symbol) pairs; the object as the name of its source."""
    text = subprocess.run(
        [nm, "-P", option, archive], check=True, capture_output=True, text=True
    ).stdout
    pairs, member = [], os.path.basename(archive)
    for line in text.split("\n"):
        if line.endswith(":"):
            inside = re.search(r"\[(.+)\]:$", line)
            member = inside.group(1) if inside else line[:-1]
            member = os.path.basename(member).removesuffix(".o")
        elif line.strip():
            pairs.append((member, line.split()[0]))
    return pairs


class Purity:
    def __init__(self, table, nm, archives):
        self.table = table
        self.defined, self.undefined = {}, {}
        for library, archive in archives.items():
            excepted = table.pure_except.get(library, [])
            self.defined[library] = {
                s
                for o, s in symbols(nm, archive, "--defined-only")
                if o not in excepted
            }
            self.undefined[library] = [
                (o, plain(s))
                for o, s in symbols(nm, archive, "--undefined-only")
                if o not in excepted and not INSTRUMENTS.match(s)
            ]

    def problems(self, library):
        allowed = set(self.defined[library])
        for word in self.table.pure[library]:
            allowed |= self.defined[word] if word in self.defined else {word}
        return sorted(
            f"{library}/{o}: needs {s}"
            for o, s in set(self.undefined[library])
            if s not in allowed
        )


def main():
    table, nm = tidy.Table(sys.argv[1]), sys.argv[2]
    archives = dict(a.split("=", 1) for a in sys.argv[3:])
    tap = tidy.Tap()
    missing = [f"{lib} is called pure and was not given" for lib in table.pure
               if lib not in archives]
    tap.rule("every pure library is looked at", missing)
    p = Purity(table, nm, archives)
    for library in archives:
        if library in table.pure:
            tap.rule(f"{library} calls nothing impure", p.problems(library))
    tap.end()


if __name__ == "__main__":
    main()
