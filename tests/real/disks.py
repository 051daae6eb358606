"""Small real file systems on loop devices, which can lose power and fill up."""

import os
import shutil
import subprocess

import calls
import rig
import tap


def _run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60 * tap.SLOW)
    return done.returncode, done.stdout.decode("utf-8", "replace")


class Disk:
    """A file system of `kind` in an image file, mounted at .path."""

    def __init__(self, base, kind="ext4", megabytes=512):
        if os.geteuid() != 0:
            raise tap.Skip("loop devices need root")
        if shutil.which("mkfs." + kind) is None:
            raise tap.Skip("mkfs.%s is not installed" % kind)
        self.image = os.path.join(base, kind + ".img")
        self.path = os.path.join(base, kind)
        self.kind = kind
        os.makedirs(self.path)
        with open(self.image, "wb") as f:
            f.truncate(megabytes << 20)
        options = ["-q", "-F", "-m", "0"] if kind == "ext4" else ["-q", "-f"]
        status, text = _run("mkfs." + kind, *options, self.image)
        if status != 0:
            raise tap.Skip("mkfs.%s: %s" % (kind, text.strip()))
        self.mount()

    def mount(self):
        status, text = _run("mount", "-t", self.kind, "-o", "loop", self.image, self.path)
        if status != 0:
            raise tap.Skip("a loop mount is not possible: %s" % text.strip())

    def unmount(self):
        tap.wait_until(lambda: _run("umount", self.path)[0] == 0 or not rig.mounts_at(self.path), 10,
                       "umount of %s" % self.path, pause=0.05)

    def power_cut(self):
        """From here on nothing reaches the disk; what was not synced is gone
        after power_back()."""
        try:
            calls.power_off(self.path)
        except OSError as error:
            raise tap.Skip("%s has no shutdown ioctl here: %s" % (self.kind, error.strerror))

    def power_back(self):
        self.unmount()
        self.mount()

    def free_bytes(self):
        s = os.statvfs(self.path)
        return s.f_bavail * s.f_frsize

    def fill(self, leave):
        """A file that takes all room but about `leave` bytes."""
        size = self.free_bytes() - leave
        tap.expect(size > 0, "only %d bytes are free" % self.free_bytes())
        fd = os.open(os.path.join(self.path, "filler"), os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(fd, 0, size)
            os.fsync(fd)
        finally:
            os.close(fd)

    def make_room(self):
        os.unlink(os.path.join(self.path, "filler"))
        os.sync()

    def close(self):
        if rig.mounts_at(self.path):
            rig.unmount(self.path)
