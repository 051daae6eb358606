#!/usr/bin/env python3
"""check_purity.py TABLE NM LIBRARY=[ARCHIVE]...: what the objects of a pure
library leave undefined.  No archive says that this build has no such library.  A function that is not there cannot be called: no
clock, no chance, no input or output, no thread."""

import fnmatch
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
        self.absent = {library for library, path in archives.items() if not path}
        archives = {l: path for l, path in archives.items() if path}
        self.defined, self.undefined, self.objects = {}, {}, {}
        for library, archive in archives.items():
            defined = symbols(nm, archive, "--defined-only")
            self.objects[library] = {o for o, _ in defined}
            self.defined[library] = {s for o, s in defined if self.is_pure(library, o)}
            self.undefined[library] = {
                (o, plain(s))
                for o, s in symbols(nm, archive, "--undefined-only")
                if self.is_pure(library, o) and not INSTRUMENTS.match(s)
            }

    def is_pure(self, library, source):
        only = self.table.pure_only.get(library)
        excepted = self.table.pure_except.get(library, [])
        return source not in excepted and (only is None or source in only)

    def missing(self):
        """What the table calls pure and nobody can look at."""
        problems = [
            f"{library} is called pure and was not given"
            for library in self.table.pure
            if library not in self.objects and library not in self.absent
        ]
        for library, sources in self.table.pure_only.items():
            problems += [
                f"{library}/{s}: is called pure and is not there"
                for s in sources
                if library in self.objects and s not in self.objects[library]
            ]
        return problems

    def problems(self, library):
        words = self.table.pure[library]
        libraries = [w for w in words if w in self.defined]
        allowed = set(self.defined[library]).union(
            *(self.defined[w] for w in libraries)
        )
        patterns = [w for w in words if w not in self.defined]
        return sorted(
            f"{library}/{o}: needs {s}"
            for o, s in self.undefined[library]
            if s not in allowed
            and not any(fnmatch.fnmatchcase(s, p) for p in patterns)
        )


def main():
    table, nm = tidy.Table(sys.argv[1]), sys.argv[2]
    archives = dict(a.split("=", 1) for a in sys.argv[3:])
    p = Purity(table, nm, archives)
    tap = tidy.Tap()
    tap.rule("every pure library is looked at", p.missing())
    for library in p.objects:
        if library in table.pure:
            tap.rule(f"{library} calls nothing impure", p.problems(library))
    tap.end()


if __name__ == "__main__":
    main()
