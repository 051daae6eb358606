#!/usr/bin/env python3
"""filesystem.md sections 2, 6 and 9: stat, times, extended attributes, errors."""

import errno
import os
import stat
import time

import calls
import rig
import tap
from tap import expect, expect_equal, test


@test()
def stat_gives_kind_size_mode_and_one_link(tree):
    a, b = tree.fresh("stat")
    calls.put(a + "/f", b"x" * 1234)
    os.mkdir(a + "/d")
    for side in (a, b):
        f, d = os.stat(side + "/f"), os.stat(side + "/d")
        expect(stat.S_ISREG(f.st_mode) and stat.S_ISDIR(d.st_mode), "kinds")
        expect_equal((f.st_size, f.st_nlink, d.st_nlink), (1234, 1, 1), "size and links")
        expect_equal((stat.S_IMODE(f.st_mode), stat.S_IMODE(d.st_mode)), (0o644, 0o755), "modes")
        expect_equal((f.st_uid, f.st_gid), (os.getuid(), os.getgid()), "owner")
        expect(f.st_blocks >= 3, "st_blocks of 1234 bytes is %d" % f.st_blocks)


@test()
def defaults_of_mode_and_owner_come_from_the_mount(tree):
    node = rig.Node(base=tree.node.base + "/defaults", mounts=("m",),
                    mount_options="fmode=0640,dmode=0711,uid=12,gid=34")
    try:
        node.start()
        calls.put(node.mounts[0] + "/f", b"v")
        os.mkdir(node.mounts[0] + "/d")
        f, d = os.stat(node.mounts[0] + "/f"), os.stat(node.mounts[0] + "/d")
        expect_equal((stat.S_IMODE(f.st_mode), stat.S_IMODE(d.st_mode), f.st_uid, f.st_gid),
                     (0o640, 0o711, 12, 34), "modes and owner")
        node.stop()
    finally:
        node.close()


@test()
def inode_numbers_are_stable_within_a_life_and_differ_between_lives(tree):
    a, b = tree.fresh("inodes")
    calls.put(a + "/x", b"1")
    first = os.stat(a + "/x").st_ino
    expect(first != 0, "inode number 0")
    calls.put(b + "/x", b"2")
    expect_equal(os.stat(b + "/x").st_ino, first, "after a change, on B")
    os.rename(a + "/x", a + "/y")
    expect_equal(os.stat(b + "/y").st_ino, first, "after a rename, on B")
    expect_equal(os.stat(a + "/y").st_ino, first, "after a rename, on A")
    os.unlink(a + "/y")
    calls.put(a + "/y", b"another life")
    expect(os.stat(b + "/y").st_ino != first, "another life has the old inode number")
    expect_equal(os.stat(b + "/y").st_ino, os.stat(a + "/y").st_ino, "A and B")
    numbers = set()
    for number in range(100):
        calls.put(a + "/n%d" % number, b"v")
        numbers.add(os.stat(b + "/n%d" % number).st_ino)
    expect_equal(len(numbers), 100, "different numbers of 100 files")
    with os.scandir(b) as entries:
        for entry in entries:
            expect_equal(entry.inode(), os.stat(b + "/" + entry.name).st_ino, "d_ino of " + entry.name)


@test(limit=60)
def mtime_moves_forward_with_every_change(tree):
    """Pollers compare nothing else: two changes never show the same mtime."""
    a, b = tree.fresh("mtime")
    last = 0
    for number in range(300):
        calls.put((a, b)[number % 2] + "/f", b"same")
        now = os.stat((b, a)[number % 2] + "/f")
        expect(now.st_mtime_ns > last, "change %d: %d after %d" % (number, now.st_mtime_ns, last))
        expect_equal(now.st_ctime_ns, now.st_mtime_ns, "ctime")
        expect_equal(os.stat((a, b)[number % 2] + "/f").st_mtime_ns, now.st_mtime_ns, "A and B")
        last = now.st_mtime_ns
    expect(abs(last / 1e9 - time.time()) < 60, "mtime is the wall clock's: %d" % last)


@test()
def a_directorys_mtime_moves_when_an_entry_comes_goes_or_is_renamed(tree):
    """cron, make and others rely on it."""
    a, b = tree.fresh("dirtime")
    os.mkdir(a + "/d")
    steps = [
        ("a file is made", lambda: calls.put(a + "/d/f", b"v")),
        ("a directory is made", lambda: os.mkdir(a + "/d/sub")),
        ("a file is renamed", lambda: os.rename(a + "/d/f", a + "/d/g")),
        ("a file is moved away", lambda: os.rename(a + "/d/g", a + "/g")),
        ("a file is moved in", lambda: os.rename(a + "/g", a + "/d/h")),
        ("a file is removed", lambda: os.unlink(a + "/d/h")),
        ("a directory is removed", lambda: os.rmdir(a + "/d/sub")),
    ]
    last = os.stat(b + "/d").st_mtime_ns
    for what, step in steps:
        step()
        now = os.stat(b + "/d").st_mtime_ns
        expect(now > last, "%s: mtime %d after %d" % (what, now, last))
        expect_equal(os.stat(a + "/d").st_mtime_ns, now, "A and B")
        last = now


@test()
def fstat_tells_the_pinned_size_to_its_holder_and_the_committed_one_to_others(tree):
    a, b = tree.fresh("fstat")
    calls.put(a + "/f", b"x" * 100)
    fd = os.open(a + "/f", os.O_RDONLY)
    calls.put(b + "/f", b"y" * 7)
    expect_equal(os.fstat(fd).st_size, 100, "fstat of the handle that pinned 100 bytes")
    sizes, report = os.pipe()

    def other():
        os.write(report, b"%d " % os.stat(a + "/f").st_size)
    expect_equal(calls.join(calls.in_child(other)), 0)
    expect_equal(os.read(sizes, 100), b"7 ", "stat by another process")
    os.close(fd)
    expect_equal(os.stat(a + "/f").st_size, 7, "stat after the close")
    fd = os.open(a + "/f", os.O_WRONLY | os.O_TRUNC)
    os.write(fd, b"z" * 31)
    expect_equal(os.fstat(fd).st_size, 31, "fstat of an unpublished buffer")
    started = time.monotonic()
    expect_equal(calls.join(calls.in_child(other)), 0)
    if time.monotonic() - started < 0.8:
        expect_equal(os.read(sizes, 100), b"7 ", "stat by another process before the close")
    os.close(fd)
    expect_equal(os.stat(b + "/f").st_size, 31, "stat after the close")


@test()
def keelfs_attributes_are_listed_and_follow_the_key(tree):
    a, b = tree.fresh("xattrs")
    calls.put(a + "/f", b"1")
    names = ["user.keelfs." + n for n in ("create_revision", "key", "mod_revision", "version")]
    expect_equal(sorted(os.listxattr(b + "/f")), names, "names on a file")
    created = calls.attribute(b + "/f", "create_revision")
    expect_equal(calls.attribute(b + "/f", "mod_revision"), created, "mod_revision at first")
    expect_equal(calls.attribute(b + "/f", "version"), "1", "version at first")
    calls.put(b + "/f", b"2")
    expect_equal(calls.attribute(a + "/f", "version"), "2", "version")
    expect_equal(calls.attribute(a + "/f", "create_revision"), created, "create_revision")
    expect_equal(int(calls.attribute(a + "/f", "mod_revision")), calls.revision(tree.a), "mod_revision")
    os.unlink(a + "/f")
    calls.put(a + "/f", b"3")
    expect_equal(calls.attribute(b + "/f", "version"), "1", "version of another life")
    os.mkdir(a + "/d")
    expect("user.keelfs.key" in os.listxattr(b + "/d"), "a directory has a key")
    expect(calls.attribute(b + "/d", "key") in ("/xattrs/d/", "/xattrs/d"), "a directory's key")
    for name in ("revision", "compact_revision", "cluster_id", "member_id", "leader", "raft_term"):
        expect("user.keelfs." + name in os.listxattr(tree.b), "%s is listed on the root" % name)
        expect_equal(calls.attribute(tree.a, name), calls.attribute(tree.b, name), name)


@test()
def setting_a_keelfs_attribute_is_accepted_and_ignored(tree):
    """cp -a and rsync -X try it; an error would make them fail."""
    a, b = tree.fresh("setxattr")
    calls.put(a + "/f", b"1")
    revision = calls.revision(tree.a)
    os.setxattr(a + "/f", "user.keelfs.version", b"77")
    os.setxattr(a + "/f", "user.keelfs.mod_revision", b"x")
    expect_equal(calls.attribute(b + "/f", "version"), "1", "version")
    expect_equal(calls.revision(tree.a), revision, "revision")


@test()
def what_is_not_there_or_not_supported_says_so(tree):
    a, _ = tree.fresh("noxattr")
    calls.put(a + "/f", b"1")
    expect_equal(calls.errno_of(os.getxattr, a + "/f", "user.unknown"), "ENODATA")
    expect_equal(calls.errno_of(os.getxattr, a + "/f", "user.keelfs.unknown"), "ENODATA")
    for name in ("security.capability", "system.posix_acl_access", "security.selinux"):
        expect_equal(calls.errno_of(os.getxattr, a + "/f", name), "EOPNOTSUPP", "reading " + name)
    # Capabilities and ACLs are checked by the kernel first: another name here.
    expect_equal(calls.errno_of(os.setxattr, a + "/f", "security.selinux", b"x"), "EOPNOTSUPP", "setting")
    small = calls.libc.getxattr
    expect_equal(small((a + "/f").encode(), b"user.keelfs.key", None, 0), len("/noxattr/f"),
                 "size asked for with an empty buffer")
    import ctypes
    buffer = ctypes.create_string_buffer(2)
    result = small((a + "/f").encode(), b"user.keelfs.key", buffer, 2)
    expect_equal((result, ctypes.get_errno()), (-1, errno.ERANGE), "a buffer that is too small")


@test()
def xattrs_hidden_leaves_them_out_of_listings(tree):
    node = rig.Node(base=tree.node.base + "/hidden", mounts=("m",), mount_options="xattrs=hidden")
    try:
        node.start()
        calls.put(node.mounts[0] + "/f", b"v")
        expect_equal(os.listxattr(node.mounts[0] + "/f"), [], "listed")
        expect_equal(calls.attribute(node.mounts[0] + "/f", "version"), "1", "by name")
        node.stop()
    finally:
        node.close()


@test()
def hard_links_are_refused_with_eperm(tree):
    a, _ = tree.fresh("link")
    calls.put(a + "/f", b"v")
    expect_equal(calls.errno_of(os.link, a + "/f", a + "/g"), "EPERM")


@test(plain=True)
def paths_that_lead_nowhere_give_the_usual_errors(tree):
    a, b = tree.fresh("errors")
    calls.put(a + "/f", b"v")
    os.mkdir(a + "/d")
    expect_equal(calls.errno_of(os.open, b + "/none", os.O_RDONLY), "ENOENT")
    expect_equal(calls.errno_of(os.open, b + "/f/x", os.O_RDONLY), "ENOTDIR")
    expect_equal(calls.errno_of(os.open, b + "/d", os.O_WRONLY), "EISDIR")
    expect_equal(calls.errno_of(os.open, b + "/none/x", os.O_WRONLY | os.O_CREAT), "ENOENT")
    expect_equal(calls.errno_of(os.listdir, b + "/f"), "ENOTDIR")
    expect_equal(calls.errno_of(os.stat, b + "/" + "n" * 256), "ENAMETOOLONG")
    expect_equal(calls.errno_of(os.mkdir, b + "/" + "n" * 256), "ENAMETOOLONG")
    expect_equal(calls.errno_of(os.rename, a + "/f", a + "/" + "n" * 256), "ENAMETOOLONG")
    expect_equal(calls.errno_of(os.open, b + "/f", os.O_RDONLY | os.O_DIRECTORY), "ENOTDIR")
    fd = os.open(b + "/f", os.O_RDONLY)
    expect_equal(calls.errno_of(os.write, fd, b"x"), "EBADF", "write to a handle for reading")
    os.close(fd)


@test()
def statfs_tells_the_room_and_the_longest_name(tree):
    for side in (tree.a, tree.b):
        s = os.statvfs(side)
        expect_equal(s.f_namemax, 255, "f_namemax")
        expect(s.f_blocks > 0 and 0 < s.f_bfree <= s.f_blocks and s.f_bavail <= s.f_bfree, repr(s))
        expect(s.f_bsize > 0 and s.f_frsize > 0, repr(s))


@test(plain=True)
def changing_mode_owner_and_times_is_accepted(tree):
    """Programs that copy files die on EPERM."""
    a, _ = tree.fresh("setattr")
    calls.put(a + "/f", b"v")
    os.chmod(a + "/f", 0o644)
    os.chown(a + "/f", os.getuid(), os.getgid())
    os.utime(a + "/f")
    os.utime(a + "/f", (1e9, 1e9))
    os.chmod(a + "/f", 0o600)
    expect_equal(calls.read(a + "/f"), b"v")


@test(limit=60)
def other_users_are_held_to_the_modes(tree):
    """allow_other with default modes: a stranger reads 0644 and may not
    write."""
    rig.need_root("becoming another user")
    node = rig.Node(base=tree.node.base + "/other", mounts=("m",), mount_options="allow_other")
    os.chmod(tree.node.base, 0o755)
    try:
        os.makedirs(node.base, exist_ok=True)
        os.chmod(node.base, 0o755)
        node.start()
        root = node.mounts[0]
        calls.put(root + "/f", b"v")

        def stranger():
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            expect_equal(calls.read(root + "/f"), b"v")
            expect_equal(calls.errno_of(calls.put, root + "/f", b"w"), "EACCES", "write")
            expect_equal(calls.errno_of(os.unlink, root + "/f"), "EACCES", "unlink")
            expect_equal(calls.errno_of(os.mkdir, root + "/d"), "EACCES", "mkdir")
            expect_equal(calls.errno_of(os.rename, root + "/f", root + "/g"), "EACCES", "rename")
        expect_equal(calls.join(calls.in_child(stranger)), 0, "a stranger's failures (see stderr)")
        expect_equal(calls.read(root + "/f"), b"v")
        node.stop()
    finally:
        node.close()


if __name__ == "__main__":
    tap.main(__doc__, lambda options: rig.TwoMounts())
