"""What the checkers share: the table, the walk over the tree, TAP."""

import fnmatch
import os
import re
import sys

CODE = [".c", ".h"]


class Table:
    """layers.txt, parsed."""

    def __init__(self, path):
        self.folders = {}  # folder -> what it may include
        self.libraries = []  # (homes, pattern)
        self.system = []
        self.pure = {}  # library -> allowed symbols
        self.pure_except = {}  # library -> sources that are not pure
        self.pure_only = {}  # library -> the sources that are; else all
        self.banned = {}  # name -> why
        self.exempt = set()  # (file, name)
        with open(path) as lines:
            for number, line in enumerate(lines, 1):
                line = line.split("#")[0].strip()
                if line and not self._take(line):
                    raise SystemExit(f"{path}:{number}: not understood: {line}")

    def _take(self, line):
        head, colon, rest = line.partition(":")
        kind, *names = head.split()
        if not colon:
            return False
        words = rest.split()
        if kind == "folder" and len(names) == 1:
            self.folders[names[0]] = words
        elif kind == "library" and names:
            self.libraries += [(names, pattern) for pattern in words]
        elif kind == "system" and not names:
            self.system += words
        elif kind == "pure" and names[1:] == ["except"]:
            self.pure_except.setdefault(names[0], []).extend(words)
        elif kind == "pure" and names[1:] == ["only"]:
            self.pure_only.setdefault(names[0], []).extend(words)
        elif kind == "pure" and len(names) == 1:
            self.pure.setdefault(names[0], []).extend(words)
        elif kind == "banned" and len(names) == 1:
            self.banned[names[0]] = rest.strip()
        elif kind == "exempt" and len(names) == 2 and words:
            self.exempt.add((names[0], names[1]))
        else:
            return False
        return True

    def home_of(self, header):
        """The folders that may include this third-party header, or None."""
        homes = [
            home
            for folders, pattern in self.libraries
            if fnmatch.fnmatch(header, pattern)
            for home in folders
        ]
        return homes or None

    def is_system(self, header):
        return any(fnmatch.fnmatch(header, p) for p in self.system)


def sources(root, folders, endings=CODE):
    """The files below these folders, as paths from the root, in order."""
    found = []
    for folder in folders:
        for where, below, names in os.walk(os.path.join(root, folder)):
            below[:] = sorted(d for d in below if not d.startswith("."))
            for name in sorted(names):
                if os.path.splitext(name)[1] in endings:
                    path = os.path.join(where, name)
                    found.append(os.path.relpath(path, root))
    return found


def text_of(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as f:
        return f.read()


_TOKENS = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S
)


def without_comments_and_strings(text):
    """The code alone; lines keep their numbers."""
    return _TOKENS.sub(lambda m: " " + "\n" * m.group().count("\n"), text)


class Tap:
    """One test a rule: `problems` are lines that say file, line and what."""

    def __init__(self):
        self.count = 0
        self.failed = False

    def rule(self, name, problems):
        self.count += 1
        print(f"{'not ok' if problems else 'ok'} {self.count} - {name}")
        for problem in problems:
            print(f"# {problem}")
        self.failed = self.failed or bool(problems)

    def end(self):
        print(f"1..{self.count}")
        sys.exit(1 if self.failed else 0)
