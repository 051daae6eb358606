#!/usr/bin/env python3
"""check_headers.py ROOT TABLE COMPILER [FLAG...]: every header can be included
first, and has a guard of its own name."""

import concurrent.futures
import os
import re
import subprocess
import sys

import tidy


def compile_alone(root, compiler, header):
    """The compiler's complaint about a file that holds only this #include,
    twice: the guard must work too."""
    line = f'#include "{header}"\n'
    done = subprocess.run(
        compiler
        + ["-x", "c", "-std=gnu17", "-D_GNU_SOURCE", "-fsyntax-only"]
        + ["-Wall", "-Wextra", "-Wpedantic", "-Wstrict-prototypes", "-Werror"]
        + ["-I", root, "-"],
        # A file of macros alone is no translation unit; with this it is one.
        input=line + line + "extern int tidy_end;\n",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return []
    first = [l for l in done.stderr.split("\n") if "error" in l] or [done.stderr]
    return [f"{header}: {first[0].strip()}"]


def guards(root, headers):
    problems = []
    for header in headers:
        name = re.sub(r"\W", "_", header).upper()
        text = tidy.without_comments_and_strings(tidy.text_of(root, header))
        if not re.match(rf"\s*#ifndef {name}\n#define {name}\n", text):
            problems.append(f"{header}: does not begin with its guard {name}")
    return problems


def main():
    root, table, compiler = sys.argv[1], tidy.Table(sys.argv[2]), sys.argv[3:]
    headers = tidy.sources(root, list(table.folders) + ["tests"], [".h"])
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda h: compile_alone(root, compiler, h), headers)
        problems = [p for result in results for p in result]
    tap = tidy.Tap()
    tap.rule("every header compiles alone", problems)
    tap.rule("every header has a guard of its own name", guards(root, headers))
    tap.end()


if __name__ == "__main__":
    main()
