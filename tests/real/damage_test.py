#!/usr/bin/env python3
"""Damaged files: one flipped bit, a zeroed sector, a cut end, in the log or the
store of a stopped node.  The next start either refuses and says what is wrong,
or serves right values and errors: never a wrong value, never a silent loss.

The stated limit is the last batch of the log: its loss cannot be told from a
write that never finished.  The writer here is one, so that batch is one key."""

import os
import random
import shutil
import subprocess

import calls
import rig
import tap
from tap import expect, expect_equal, test

KEYS = 60


def more(parser):
    parser.add_argument("--flips", type=int, default=10, help="for each kind of damage and state")


class Original:
    """A data directory, and what it must serve."""

    def __init__(self, base, name, clean):
        self.base = os.path.join(base, name)
        self.values = {}
        chance = random.Random(5)
        node = rig.Node(base=self.base, mounts=("m",))
        try:
            node.start()
            root = node.mounts[0]
            for number in range(KEYS):
                self.last = "k%03d" % number
                self.values[self.last] = chance.randbytes(chance.choice((1, 10, 200, 3000, 30000)))
                calls.put("%s/%s" % (root, self.last), self.values[self.last])
            if clean:
                expect_equal(node.stop(), 0, "exit status")
                self.last = None  # all of it is in the store
            else:
                node.kill()
        finally:
            node.close()
        self.data = node.data
        self.files = []
        for folder, _, names in os.walk(self.data):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.getsize(path) and not name.lower().startswith("lock") and "lock" not in name:
                    self.files.append(os.path.relpath(path, self.data))
        self.used = {name: used_sectors(os.path.join(self.data, name)) for name in self.files}
        self.files = [name for name in self.files if self.used[name]]

    def interesting(self, chance):
        """(file, offset): mostly of a byte in a sector that is not all zeros."""
        name = chance.choice(self.files)
        if chance.random() < 0.1:
            return name, chance.randrange(os.path.getsize(os.path.join(self.data, name)))
        sector = chance.choice(self.used[name])
        with open(os.path.join(self.data, name), "rb") as f:
            f.seek(sector * 512)
            data = f.read(512)
        inside = [n for n, byte in enumerate(data) if byte]
        offset = chance.choice(inside) if chance.random() < 0.8 else chance.randrange(len(data))
        return name, sector * 512 + offset


def used_sectors(path):
    """Numbers of the 512-byte sectors that are not all zeros."""
    found = []
    with open(path, "rb") as f:
        number = 0
        while True:
            data = f.read(1 << 20)
            if not data:
                return found
            if data.strip(b"\0"):
                found += [number + n for n in range((len(data) + 511) // 512)
                          if data[n * 512:n * 512 + 512].strip(b"\0")]
            number += len(data) // 512


def flip(path, offset, chance):
    with open(path, "r+b") as f:
        f.seek(offset)
        byte = f.read(1)[0]
        f.seek(offset)
        f.write(bytes([byte ^ (1 << chance.randrange(8))]))


def zero_sector(path, offset, chance):
    with open(path, "r+b") as f:
        f.seek(offset // 512 * 512)
        f.write(b"\0" * min(512, os.path.getsize(path) - offset // 512 * 512))


def cut(path, offset, chance):
    os.truncate(path, offset)


def serve_and_compare(node, original):
    """What a node that started may show."""
    wrong, refused = [], 0
    root = node.mounts[0]

    def look():
        nonlocal refused
        try:
            names = set(os.listdir(root))
        except OSError as error:
            expect_equal(error.errno, 5, "errno of a listing")
            refused += 1
            names = None
        for name, value in original.values.items():
            try:
                got = calls.read_or_none(os.path.join(root, name))
            except OSError as error:
                if error.errno != 5:
                    wrong.append("%s: %s" % (name, error))
                refused += 1
                continue
            if got is None and name == original.last:
                continue  # the last batch: the stated limit
            if got != value:
                wrong.append("%s: %s instead of %s" % (name, tap.short(got, 40), tap.short(value, 40)))
            elif names is not None and name not in names:
                wrong.append("%s is not listed" % name)
        if names is not None and names - set(original.values):
            wrong.append("invented: %r" % sorted(names - set(original.values)))
        expect(not wrong, "; ".join(wrong[:5]))
    tap.run_limited(look, limit=20, unhang=node.unhang)
    return refused


def try_damage(base, original, damage, chance):
    """One damaged copy; returns what came of it."""
    name, offset = original.interesting(chance)
    where = os.path.join(base, "copy")
    os.makedirs(where)
    subprocess.run(["cp", "-a", "--sparse=always", original.data, where + "/data"], check=True, timeout=60)
    damage(os.path.join(where, "data", name), offset, chance)
    node = rig.Node(base=where, mounts=("m",))
    what = "%s of %s at %d" % (damage.__name__, name, offset)
    try:
        node.spawn()
        tap.wait_until(lambda: node.is_ready() or not node.alive(), 20, "an answer to the " + what)
        if node.is_ready() and node.alive():
            try:
                return "errors" if serve_and_compare(node, original) else "right"
            except tap.Failure as failure:
                if node.alive():
                    raise
                # It stopped on finding the damage: the message decides.
                expect("instead of" not in str(failure), str(failure))
        code = node.process.wait(10)
        text = node.output().strip()
        expect(code > 0, "%s: the node died with signal %d:\n%s" % (what, -code, text[-1500:]))
        lower = text.lower()
        expect(any(word in lower for word in ("corrupt", "damage", "checksum", "not a keelfs", "invalid")),
               "%s: refused with status %d, but the message does not say so:\n%s" % (what, code, text[-1500:]))
        return "refused"
    except tap.Failure as failure:
        raise tap.Failure("%s: %s\n%s" % (what, failure, node.output()[-800:]))
    finally:
        node.close()
        shutil.rmtree(where, ignore_errors=True)


def damages(base, name, clean):
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    chance = random.Random(seed)
    original = Original(base, name, clean)
    tap.note("seed %d; files: %s" % (seed, ", ".join(original.files)))
    for damage in (flip, zero_sector, cut):
        outcomes = {}
        rounds = OPTIONS.flips if damage is flip else (OPTIONS.flips + 2) // 3
        for number in range(rounds):
            try:
                outcome = try_damage(base, original, damage, chance)
            except tap.Failure as failure:
                raise tap.Failure("%s (seed %d, number %d)" % (failure, seed, number))
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        tap.note("%s: %s" % (damage.__name__, outcomes))


@test(limit=1 << 20)
def damage_after_a_kill_is_detected_or_harmless(base):
    damages(base, "killed", clean=False)


@test(limit=1 << 20)
def damage_after_a_clean_stop_is_detected_or_harmless(base):
    damages(base, "stopped", clean=True)


@test(limit=120)
def a_lost_file_of_the_data_directory_is_not_taken_for_an_empty_store(base):
    """Losing the log or the store must never look like a fresh node."""
    original = Original(base, "lost", clean=False)
    for name in sorted(set(f.split("/")[0] for f in original.files)):
        where = os.path.join(base, "copy")
        os.makedirs(where)
        subprocess.run(["cp", "-a", "--sparse=always", original.data, where + "/data"], check=True, timeout=60)
        lost = os.path.join(where, "data", name)
        if os.path.isdir(lost):
            shutil.rmtree(lost)
        else:
            os.unlink(lost)
        node = rig.Node(base=where, mounts=("m",))
        try:
            node.spawn()
            tap.wait_until(lambda: node.is_ready() or not node.alive(), 20, "an answer to the loss of " + name)
            if node.is_ready() and node.alive():
                serve_and_compare(node, original)
                tap.note("without %s: right" % name)
            else:
                expect(node.process.wait(10) > 0 and node.output().strip(), "without %s: status %s, message %r" % (
                    name, node.process.poll(), node.output()))
                tap.note("without %s: refused" % name)
        except tap.Failure as failure:
            raise tap.Failure("without %s: %s\n%s" % (name, failure, node.output()[-800:]))
        finally:
            node.close()
            shutil.rmtree(where, ignore_errors=True)


if __name__ == "__main__":
    OPTIONS = tap.parse(__doc__, more)
    raise SystemExit(1 if tap.run(OPTIONS, rig.NoNode()) else 0)
