#!/usr/bin/env python3
"""selftest.py COMPILER NM AR: the checkers, each against a small tree that is
in order and against the same tree with one violation planted.  A checker that
finds nothing because it looks at nothing would pass every day."""

import concurrent.futures
import os
import subprocess
import sys
import tempfile

import tidy

HERE = os.path.dirname(os.path.abspath(__file__))

TABLE = """
folder base :
folder kv : base
folder raft : base
folder wal : base raft/types.h
folder store : base kv
library store : lmdb.h
library fs node : fuse.h fuse3/*
library tests : cmocka.h
library base wal : base/log.h
system : string.h stdint.h sys/*
pure raft : base memcpy
pure base : abort
pure base except : disk.c
banned strcpy : no bound
banned time : a clock is an input
exempt tests/lib/test.c time : the seed
"""


def header(path, body):
    guard = path.replace("/", "_").replace(".", "_").upper()
    return f"#ifndef {guard}\n#define {guard}\n{body}\n#endif\n"


TREE = {
    "layers.txt": TABLE,
    "base/must.h": header("base/must.h", "void must_fail(void);"),
    "base/must.c": '#include "base/must.h"\nvoid abort(void);\n'
    "void must_fail(void)\n{\n    abort();\n}\n",
    "base/disk.c": "int open(const char *path, int flags);\n"
    "int disk(void);\nint disk(void)\n{\n    return open(\"x\", 0);\n}\n",
    "raft/types.h": header("raft/types.h", "typedef int term;"),
    "raft/internal.h": header("raft/internal.h", '#include "raft/types.h"'),
    "raft/raft.c": '#include "base/must.h"\n#include "raft/internal.h"\n'
    "#include <string.h>\n"
    "/* strcpy() would be banned, and <uv.h> foreign; here both are words:\n"
    '#include "store/store.h"\n */\n'
    'const char *text(void);\nconst char *text(void)\n{\n'
    '    must_fail();\n    return "time(0) strcpy(";\n}\n',
    "raft/macros.h": header("raft/macros.h", "#define RAFT_NONE 0"),
    "wal/wal.c": '#include "raft/types.h"\n',
    "store/store.c": '#include <lmdb.h>\n#include "base/must.h"\n',
    "tests/lib/test.c": "#include <cmocka.h>\nlong seed = time(0);\n",
    "tests/raft/a_test.c": '#include "raft/internal.h"\n#include "rig.h"\n',
    "tests/raft/rig.h": header("tests/raft/rig.h", ""),
    "tests/real/whole.c": "#include <lmdb.h>\n#include <fuse3/fuse.h>\n",
}

RAFT = TREE["raft/raft.c"]

# checker, what the danger is, the planted file, its text, what must be said
PLANTED = [
    ("includes", "a folder that the table does not name", "raft/a.c",
     '#include "kv/kv.h"\n', "raft/a.c:1: may not include kv/kv.h"),
    ("includes", "another header than the one that is allowed", "wal/a.c",
     '#include "raft/internal.h"\n', "wal/a.c:1: may not include"),
    ("includes", "a folder below", "base/sub/a.c",
     '\n#include "kv/kv.h"\n', "base/sub/a.c:2: may not include"),
    ("includes", "spaces around the #", "raft/a.c",
     '  #  include "store/s.h"\n', "may not include store/s.h"),
    ("includes", "a folder whose name begins the same", "raft/a.c",
     '#include "basement/a.h"\n', "may not include basement/a.h"),
    ("includes", "a test that reaches past its folder", "tests/raft/b_test.c",
     '#include "store/s.h"\n', "tests/raft/b_test.c:1: may not include"),
    ("includes", "a name that does not start at the root", "raft/a.c",
     '#include "types.h"\n', "types.h is not written from the root"),
    ("includes", "a file that is not there", "raft/a.c",
     '#include "raft/gone.h"\n', "raft/gone.h does not exist"),
    ("includes", "a bare name that is not beside the test", "tests/raft/b_test.c",
     '#include "base.h"\n', "base.h is not written from the root"),
    ("includes", "another folder's private header", "tests/wal/a_test.c",
     '#include "raft/internal.h"\n', "raft/internal.h is private to raft/"),
    ("includes", "a library away from home", "raft/a.c",
     "#include <lmdb.h>\n", "raft/a.c:1: <lmdb.h> has its home in store"),
    ("includes", "a library's folder away from home", "store/a.c",
     "#include <fuse3/fuse_lowlevel.h>\n", "has its home in fs node"),
    ("includes", "the test library in the product", "base/a.c",
     "#include <cmocka.h>\n", "<cmocka.h> has its home in tests"),
    ("includes", "a library nobody decided on", "base/a.c",
     "#include <curl/curl.h>\n", "<curl/curl.h> is in no line"),
    ("includes", "a header of ours away from home", "store/a.c",
     '#include "base/log.h"\n', 'store/a.c:1: <base/log.h> has its home in base'),
    ("includes", "two files in a ring", "raft/types.h",
     header("raft/types.h", '#include "raft/internal.h"'),
     "raft/internal.h -> raft/types.h -> raft/internal.h"),
    ("includes", "a file that includes itself", "raft/types.h",
     header("raft/types.h", '#include "raft/types.h"'),
     "raft/types.h -> raft/types.h"),
    ("includes", "a ring in the table", "layers.txt",
     TABLE.replace("folder base :", "folder base : store"),
     "base -> store -> base"),
    ("includes", "a table that names an unknown folder", "layers.txt",
     TABLE.replace("folder kv : base", "folder kv : base jar"),
     "folder kv: no line for jar"),
    ("words", "a banned call", "raft/a.c",
     "void f(char *a)\n{\n    strcpy(a, a);\n}\n", "raft/a.c:3: strcpy(): no bound"),
    ("words", "a banned call behind a space", "base/a.h",
     "int x = time (0);\n", "base/a.h:1: time(): a clock"),
    ("words", "a banned call in a test", "tests/raft/b_test.c",
     "int x = time(0);\n", "tests/raft/b_test.c:1: time()"),
    ("words", "a banned call between strings", "raft/a.c",
     "f(\"\\\"\", '\"', time(0), \"\");\n", "raft/a.c:1: time()"),
    ("words", "unfinished work", "raft/a.c",
     "\n/* TO" "DO: later */\n", "raft/a.c:2: /* TO" "DO"),
    ("words", "unfinished work by another name", "tests/raft/b.h",
     "// FIX" "ME\n", "tests/raft/b.h:1:"),
    ("headers", "a header that needs another one first", "raft/a.h",
     header("raft/a.h", "uint32_t f(void);"), "raft/a.h: "),
    ("headers", "a header without a guard", "raft/a.h",
     "extern int x;\n", "raft/a.h: does not begin with its guard RAFT_A_H"),
    ("headers", "a guard copied from another header", "raft/a.h",
     header("raft/types.h", ""), "raft/a.h: does not begin with its guard"),
    ("headers", "a header that fails when included twice", "raft/a.h",
     header("raft/a.h", "") + "enum e { A };\n", "raft/a.h: "),
    ("purity", "a clock in the core", "raft/raft.c",
     RAFT + "int clock_gettime(int, void *);\nint f(void);\n"
     "int f(void)\n{\n    return clock_gettime(0, 0);\n}\n",
     "raft/raft.c: needs clock_gettime"),
    ("purity", "an impure part of a pure library", "raft/raft.c",
     RAFT + "int disk(void);\nint f(void);\nint f(void)\n{\n    return disk();\n}\n",
     "raft/raft.c: needs disk"),
    ("purity", "a pure part that turned impure", "base/must.c",
     TREE["base/must.c"] + "int rand(void);\nint f(void);\n"
     "int f(void)\n{\n    return rand();\n}\n", "base/must.c: needs rand"),
    ("purity", "a pure library that is not looked at", "layers.txt",
     TABLE + "pure kv : memcpy\n", "kv is called pure and was not given"),
    ("purity", "a pure file that was renamed away", "layers.txt",
     TABLE + "pure raft only : raft.c gone.c\n",
     "raft/gone.c: is called pure and is not there"),
    ("purity", "a pure file that calls an impure one", "layers.txt",
     TABLE.replace("except : disk.c", "only : must.c").replace(
         "pure raft : base", "pure raft : text"),
     "raft/raft.c: needs must_fail"),
]


def write(root, path, text):
    where = os.path.join(root, path)
    os.makedirs(os.path.dirname(where), exist_ok=True)
    with open(where, "w", encoding="utf-8") as f:
        f.write(text)


def archive(root, folder, compiler, ar):
    """The folder's sources as a library, as the build makes it."""
    objects = []
    for name in sorted(os.listdir(os.path.join(root, folder))):
        if name.endswith(".c"):
            objects.append(os.path.join(root, f"{name}.o"))
            source = os.path.join(root, folder, name)
            subprocess.run(
                compiler + ["-w", "-O0", "-I", root, "-c", source, "-o", objects[-1]],
                check=True,
            )
    path = os.path.join(root, f"lib{folder}.a")
    subprocess.run(ar + ["csrDT", path] + objects, check=True)
    return f"{folder}={path}"


def run(checker, root, tools):
    """The exit code and the output of one checker on one tree."""
    compiler, nm, ar = tools
    table = os.path.join(root, "layers.txt")
    arguments = {
        "includes": lambda: [root, table],
        "words": lambda: [root, table],
        "headers": lambda: [root, table] + compiler,
        "purity": lambda: [table, nm]
        + [archive(root, folder, compiler, ar) for folder in ("base", "raft")],
    }[checker]()
    done = subprocess.run(
        [sys.executable, os.path.join(HERE, f"check_{checker}.py")] + arguments,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def tree(root, planted=None):
    for path, text in TREE.items():
        write(root, path, text)
    if planted:
        write(root, *planted)


def check_planted(row, tools):
    checker, _, path, text, wanted = row
    with tempfile.TemporaryDirectory() as root:
        tree(root, (path, text))
        code, output = run(checker, root, tools)
    if code == 1 and wanted in output and "not ok" in output:
        return []
    return [f"wanted: {wanted}"] + output.split("\n")


def check_clean(checker, tools):
    with tempfile.TemporaryDirectory() as root:
        tree(root)
        code, output = run(checker, root, tools)
    return output.split("\n") if code != 0 else []


def main():
    tools = ([sys.argv[1]], sys.argv[2], [sys.argv[3]])
    tap = tidy.Tap()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        checkers = ("includes", "words", "headers", "purity")
        clean = pool.map(lambda c: check_clean(c, tools), checkers)
        planted = pool.map(lambda row: check_planted(row, tools), PLANTED)
        for checker, problems in zip(checkers, clean):
            tap.rule(f"{checker}: a tree in order passes", problems)
        for row, problems in zip(PLANTED, planted):
            tap.rule(f"{row[0]}: finds {row[1]}", problems)
    tap.end()


if __name__ == "__main__":
    main()
