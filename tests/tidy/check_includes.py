#!/usr/bin/env python3
"""check_includes.py ROOT TABLE: every #include line against the table."""

import os
import re
import sys

import tidy

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def includes_of(text):
    """(line, kind, header) of each; those in comments do not count."""
    plain = re.sub(
        r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.S
    )
    return [
        (plain.count("\n", 0, m.start()) + 1, m.group(1), m.group(2))
        for m in INCLUDE.finditer(plain)
    ]


def is_generated(header):
    return header.endswith(".pb-c.h")


class Checker:
    def __init__(self, root, table):
        self.root = root
        self.table = table
        files = list(table.folders) + ["tests", "bench", "examples"]
        self.files = tidy.sources(root, files)
        self.includes = {f: self._includes(f) for f in self.files}

    def _includes(self, path):
        """Written from the root; a test may call what is beside it by its bare
        name."""
        beside = os.path.dirname(path)
        found = []
        for line, kind, header in includes_of(tidy.text_of(self.root, path)):
            near = os.path.join(beside, header)
            if kind == '"' and path.startswith("tests/") and "/" not in header:
                if os.path.exists(os.path.join(self.root, near)):
                    header = near
            found.append((line, kind, header))
        return found

    def _allowed(self, path):
        """What a file may include, or None where all is allowed."""
        parts = path.split("/")
        if parts[0] in self.table.folders:
            return [parts[0]] + self.table.folders[parts[0]]
        if parts[0] == "tests" and parts[1] == "lib":
            return ["tests/lib", "base"]
        if parts[0] == "tests" and parts[1] in self.table.folders:
            own = [parts[1]] + self.table.folders[parts[1]]
            return own + ["tests/lib", "tests/" + parts[1]]
        return None

    def folders(self):
        problems = []
        for path in self.files:
            allowed = self._allowed(path)
            for line, kind, header in self.includes[path]:
                if kind == '"' and not self._may(allowed, header):
                    problems.append(
                        f"{path}:{line}: may not include {header}: "
                        f"only {' '.join(allowed)}"
                    )
        return problems

    @staticmethod
    def _may(allowed, header):
        return allowed is None or any(
            header == a or header.startswith(a + "/") for a in allowed
        )

    def spelling(self):
        """Quoted names start at the root and are there."""
        problems = []
        for path in self.files:
            for line, kind, header in self.includes[path]:
                if kind != '"' or is_generated(header):
                    continue
                if "/" not in header or header.startswith("."):
                    what = "is not written from the root (folder/file.h)"
                elif not os.path.exists(os.path.join(self.root, header)):
                    what = "does not exist"
                else:
                    continue
                problems.append(f"{path}:{line}: {header} {what}")
        return problems

    def private(self):
        """A header called internal is its folder's own business (and its
        tests', and the simulator's and the fuzz targets', which drive folders
        from inside)."""
        problems = []
        for path in self.files:
            for line, kind, header in self.includes[path]:
                folder = header.split("/")[0]
                if kind == '"' and re.search(r"internal\.h$", header):
                    if not path.startswith((folder + "/", f"tests/{folder}/",
                                            "tests/sim/", "tests/fuzz/")):
                        problems.append(
                            f"{path}:{line}: {header} is private to {folder}/"
                        )
        return problems

    def libraries(self):
        problems = []
        for path in self.files:
            homes_here = self._homes_of(path)
            for line, kind, header in self.includes[path]:
                homes = self.table.home_of(header)
                if homes is None and (kind == '"' or self.table.is_system(header)):
                    continue
                if homes is None:
                    problems.append(
                        f"{path}:{line}: <{header}> is in no line of layers.txt"
                    )
                elif homes_here is not None and not homes_here & set(homes):
                    problems.append(
                        f"{path}:{line}: <{header}> has its home in "
                        f"{' '.join(homes)}"
                    )
        return problems

    def _homes_of(self, path):
        """The homes whose libraries a file may include; None: all, for the
        rings of tests that drive the whole."""
        parts = path.split("/")
        if parts[0] in self.table.folders:
            return {parts[0]}
        if parts[1] in self.table.folders:
            return {parts[1], "tests"}
        return None

    def cycles(self):
        """Files that include each other in a ring."""
        graph = {
            f: [h for _, kind, h in self.includes[f] if kind == '"']
            for f in self.files
        }
        return [" -> ".join(c) for c in find_cycles(graph)]

    def table_cycles(self):
        graph = {
            f: [a.split("/")[0] for a in allowed]
            for f, allowed in self.table.folders.items()
        }
        problems = [" -> ".join(c) for c in find_cycles(graph)]
        for folder, allowed in graph.items():
            problems += [
                f"folder {folder}: no line for {a}"
                for a in allowed
                if a not in graph
            ]
        return problems


def find_cycles(graph):
    """One ring for each edge that closes one, in a depth-first walk."""
    state, found = {}, []

    def walk(node, trail):
        state[node] = "open"
        for following in graph.get(node, []):
            if state.get(following) == "open":
                found.append(trail[trail.index(following) :] + [following])
            elif following not in state and following in graph:
                walk(following, trail + [following])
        state[node] = "done"

    for node in sorted(graph):
        if node not in state:
            walk(node, [node])
    return found


def main():
    root, table = sys.argv[1], tidy.Table(sys.argv[2])
    c = Checker(root, table)
    tap = tidy.Tap()
    tap.rule("the table itself has no ring", c.table_cycles())
    tap.rule("folders include only what the table names", c.folders())
    tap.rule("names start at the root and exist", c.spelling())
    tap.rule("internal headers stay in their folder", c.private())
    tap.rule("every library has one home", c.libraries())
    tap.rule("no files include each other in a ring", c.cycles())
    tap.end()


if __name__ == "__main__":
    main()
