#!/usr/bin/env python3
"""filesystem.md section 1: which path names which key.  The key is read back
from user.keelfs.key, so the test needs no other interface."""

import os
import random

import calls
import rig
import tap
from tap import expect, expect_equal, test


def key_of(path):
    return os.getxattr(path, b"user.keelfs.key" if isinstance(path, bytes) else "user.keelfs.key")


@test()
def ordinary_names_are_the_key_itself(tree):
    a, b = tree.fresh("ordinary")
    for name in ("plain", "with space", "tab\tand\nnewline", "-dash", "ünïcödé", "a.b.c", ".hidden", "$(x)"):
        calls.put(os.path.join(a, name), b"v")
        expect_equal(key_of(os.path.join(b, name)), b"/ordinary/" + name.encode(), "key")
    expect_equal(len(os.listdir(b)), 8, "entries")


@test()
def a_name_may_hold_any_byte_but_slash_and_nul(tree):
    """Names are bytes: nothing may be lost where they are not UTF-8."""
    a, b = tree.fresh("bytes")
    for byte in range(1, 256):
        if byte in (ord("/"), ord("%")):
            continue
        name = b"x" + bytes([byte])
        path = os.fsencode(a) + b"/" + name
        calls.put(path, b"v")
        expect_equal(key_of(os.fsencode(b) + b"/" + name), b"/bytes/" + name, "key")
    expect_equal(sorted(os.listdir(os.fsencode(b))),
                 sorted(b"x" + bytes([n]) for n in range(1, 256) if n not in (47, 37)), "names")


@test()
def escapes_stand_for_nul_percent_and_dots(tree):
    a, b = tree.fresh("escapes")
    for name, key in (("nul%00byte", b"nul\0byte"), ("per%25cent", b"per%cent"), ("%25", b"%"),
                      ("%00", b"\0"), ("%2E", b"."), ("%2E%2E", b".."), ("%25value", b"%value"),
                      ("tail%25%2B".replace("%2B", "+"), b"tail%+")):
        calls.put(os.path.join(a, name), b"v")
        expect_equal(key_of(os.path.join(b, name)), b"/escapes/" + key, "key of %r" % name)
        expect(name in os.listdir(b), "%r is listed: %r" % (name, os.listdir(b)))


@test()
def an_escape_that_is_never_produced_is_no_name(tree):
    """Otherwise one key would have two paths."""
    a, b = tree.fresh("wrong")
    calls.put(os.path.join(a, "A"), b"v")
    for name in ("%41", "%2e", "%2E%2e", "x%2E", "%2F", "half%4", "x%zz", "a%2Eb", "%00%41", "%%"):
        path = os.path.join(a, name)
        expect_equal(calls.errno_of(os.stat, path), "ENOENT", "stat %r" % name)
        expect_equal(calls.errno_of(os.open, path, os.O_RDONLY), "ENOENT", "open %r" % name)
        expect_equal(calls.errno_of(calls.put, path, b"v"), "EINVAL", "create %r" % name)
        expect_equal(calls.errno_of(os.mkdir, path), "EINVAL", "mkdir %r" % name)
        expect_equal(calls.errno_of(os.rename, os.path.join(a, "A"), path), "EINVAL", "rename to %r" % name)
    expect_equal(os.listdir(b), ["A"], "entries")


@test()
def a_key_that_is_also_a_directory_is_percent_value_inside_it(tree):
    a, b = tree.fresh("both")
    os.mkdir(os.path.join(a, "d"))
    calls.put(os.path.join(a, "d", "below"), b"below")
    calls.put(os.path.join(a, "d", "%value"), b"the value")
    expect_equal(key_of(os.path.join(b, "d", "%value")), b"/both/d", "key")
    expect_equal(calls.read(os.path.join(b, "d", "%value")), b"the value")
    expect_equal(sorted(os.listdir(os.path.join(b, "d"))), ["%value", "below"], "entries")
    expect_equal(os.listdir(b), ["d"], "entries above")
    os.unlink(os.path.join(a, "d", "%value"))
    expect_equal(os.listdir(os.path.join(b, "d")), ["below"], "entries afterwards")


@test()
def a_directory_that_holds_its_own_value_is_not_empty(tree):
    """rmdir would lose the value; moved away, it is an ordinary file."""
    a, b = tree.fresh("back")
    os.mkdir(os.path.join(a, "x"))
    calls.put(os.path.join(a, "x", "%value"), b"v")
    expect_equal(calls.errno_of(os.rmdir, os.path.join(a, "x")), "ENOTEMPTY", "rmdir with a value inside")
    os.rename(os.path.join(a, "x", "%value"), os.path.join(a, "y"))
    os.rmdir(os.path.join(a, "x"))
    expect_equal(os.listdir(b), ["y"], "entries")
    expect_equal(key_of(os.path.join(b, "y")), b"/back/y", "key")


@test()
def percent_alone_is_the_empty_component(tree):
    a, b = tree.fresh("empty")
    os.mkdir(os.path.join(a, "d"))
    calls.put(os.path.join(a, "d", "%"), b"marker's value")
    expect_equal(key_of(os.path.join(b, "d", "%")), b"/empty/d/", "key")
    expect_equal(calls.read(os.path.join(b, "d", "%")), b"marker's value")
    expect_equal(os.listdir(os.path.join(b, "d")), ["%"], "entries")
    # The file goes, the directory stays, and may have it again.
    for there, other in ((a, b), (b, a)):
        with open(os.path.join(there, "d", "%"), "rb") as held:
            os.unlink(os.path.join(there, "d", "%"))
            expect_equal(os.listdir(os.path.join(other, "d")), [], "entries after rm")
            expect_equal(calls.errno_of(os.stat, os.path.join(there, "d", "%")), "ENOENT", "a removed %")
            expect_equal(calls.errno_of(os.unlink, os.path.join(other, "d", "%")), "ENOENT", "rm again")
            calls.put(os.path.join(there, "d", "%"), b"again")
            expect_equal(held.read()[:5], b"marke" if there == a else b"again", "the removed file, still open")
        expect_equal(calls.read(os.path.join(other, "d", "%")), b"again", "made again")
    os.unlink(os.path.join(b, "d", "%"))
    os.rmdir(os.path.join(b, "d"))
    expect(not os.path.exists(os.path.join(a, "d")), "rmdir after rm")
    os.mkdir(os.path.join(a, "e"))
    os.mkdir(os.path.join(a, "e", "%"))
    calls.put(os.path.join(a, "e", "%", "b"), b"v")
    expect_equal(key_of(os.path.join(b, "e", "%", "b")), b"/empty/e//b", "key")


@test()
def a_component_longer_than_a_name_is_continued_in_a_directory(tree):
    """A name holds 255 bytes; the first part carries all that fits before %+."""
    a, b = tree.fresh("long")
    first = "n" * 253 + "%+"
    if calls.errno_of(os.stat, os.path.join(a, first)) == "ENOENT":
        expect_equal(calls.errno_of(os.mkdir, os.path.join(a, first)), "ok", "mkdir of the first part")
    path = os.path.join(a, first, "rest")
    calls.put(path, b"v")
    expect_equal(key_of(os.path.join(b, first, "rest")), b"/long/" + b"n" * 253 + b"rest", "key")
    expect_equal(os.listdir(b), [first], "entries")
    expect_equal(os.listdir(os.path.join(b, first)), ["rest"], "entries of the first part")
    expect_equal(calls.errno_of(calls.put, os.path.join(a, "m" * 255), b"v"), "ok", "a name of 255 bytes")
    expect_equal(key_of(os.path.join(b, "m" * 255)), b"/long/" + b"m" * 255, "key")
    expect_equal(calls.errno_of(calls.put, os.path.join(a, "m" * 256), b"v"), "ENAMETOOLONG")


@test()
def a_continuation_that_is_never_produced_is_no_name(tree):
    a, _ = tree.fresh("nocont")
    for name in ("short%+", "%+", "a%+b"):
        expect_equal(calls.errno_of(os.stat, os.path.join(a, name)), "ENOENT", "stat %r" % name)
        expect_equal(calls.errno_of(os.mkdir, os.path.join(a, name)), "EINVAL", "mkdir %r" % name)
        expect_equal(calls.errno_of(calls.put, os.path.join(a, name), b"v"), "EINVAL", "create %r" % name)


@test()
def keys_outside_the_prefix_live_under_percent_root(tree):
    root = os.path.join(tree.a, "%root")
    if calls.errno_of(os.stat, root) == "ENOENT":
        expect_equal(calls.errno_of(os.mkdir, root), "ok", "mkdir %root")
    calls.put(os.path.join(root, "foo"), b"v")
    expect_equal(key_of(os.path.join(tree.b, "%root", "foo")), b"foo", "key")
    expect("%root" in os.listdir(tree.b), "%%root is listed: %r" % os.listdir(tree.b))
    os.unlink(os.path.join(root, "foo"))
    expect_equal(calls.errno_of(os.stat, os.path.join(tree.b, "%root", "foo")), "ENOENT")


@test()
def the_control_directorys_name_is_kept_free(tree):
    """A key /.keelfs is %2Ekeelfs: a file must not hide the control directory."""
    path = os.path.join(tree.a, "%2Ekeelfs")
    calls.put(path, b"v")
    expect_equal(key_of(os.path.join(tree.b, "%2Ekeelfs")), b"/.keelfs", "key")
    expect("%2Ekeelfs" in os.listdir(tree.b), "listed: %r" % os.listdir(tree.b))
    expect(calls.errno_of(calls.put, os.path.join(tree.a, ".keelfs"), b"v") != "ok",
           ".keelfs was taken as an ordinary name")
    os.unlink(path)


@test(limit=60)
def random_names_come_back_as_they_were_made(tree):
    """The escaping is reversible: every name listed opens the key it was made
    for, whatever bytes it has."""
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    chance = random.Random(seed)
    a, b = tree.fresh("random")
    made = {}
    for number in range(300):
        raw = bytes(chance.choice(b"%./\0ab+\xff ") for _ in range(chance.randint(1, 12)))
        raw = raw.replace(b"/", b"")
        if raw == b"":
            continue
        name = raw.replace(b"%", b"%25").replace(b"\0", b"%00")
        if raw in (b".", b".."):
            name = name.replace(b".", b"%2E")
        calls.put(os.fsencode(a) + b"/" + name, b"%d" % number)
        made[name] = (raw, b"%d" % number)
    expect_equal(sorted(os.listdir(os.fsencode(b))), sorted(made), "names (seed %d)" % seed)
    for name, (raw, value) in made.items():
        path = os.fsencode(b) + b"/" + name
        expect_equal(key_of(path), b"/random/" + raw, "key (seed %d)" % seed)
        expect_equal(calls.read(path), value, "value of %r (seed %d)" % (name, seed))


@test()
def a_mount_may_show_a_prefix_only(tree):
    """-o prefix=/p/: keys under it, and nothing else."""
    node = rig.Node(base=os.path.join(tree.node.base, "prefixed"), mounts=("m",), mount_options="prefix=/p/")
    try:
        node.start()
        calls.put(os.path.join(node.mounts[0], "x"), b"v")
        expect_equal(key_of(os.path.join(node.mounts[0], "x")), b"/p/x", "key")
        node.stop()
        node.arguments = []
        node.start()
        expect_equal(os.listdir(node.mounts[0]), ["p"], "the whole keyspace")
        expect_equal(calls.read(os.path.join(node.mounts[0], "p", "x")), b"v")
        calls.put(os.path.join(node.mounts[0], "outside"), b"v")
        node.stop()
        node.arguments = ["--mount-options", "prefix=/p/"]
        node.start()
        expect_equal(os.listdir(node.mounts[0]), ["x"], "the prefix alone")
        expect_equal(node.stop(), 0, "exit status")
    finally:
        node.close()


if __name__ == "__main__":
    tap.main(__doc__, lambda options: rig.TwoMounts())
