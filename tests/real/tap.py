"""Test runner: TAP output, and a time limit on everything.

Each test body runs in a forked child, in a session of its own.  A system call
that hangs on a mount therefore costs one failed test and never the suite: when
the limit is over, the child and what it started are killed, and where even
that does not help (a request that nobody will ever answer) the caller's
`unhang` is asked to cut the mount's connection.
"""

import argparse
import json
import os
import select
import shutil
import signal
import sys
import time
import traceback

# Under sanitizers and emulators everything takes longer: limits are scaled.
SLOW = float(os.environ.get("KEELFS_SLOW", "1"))


class Skip(Exception):
    """Raised by a test that cannot run here; its text is the reason."""


class Failure(AssertionError):
    """Raised by the expect functions."""


TESTS = []


def test(limit=30, needs=(), plain=False):
    """Registers a test.  limit: seconds.  needs: programs it calls.  plain: it
    must hold on an ordinary directory as well, so that the test itself can be
    tested (KEELFS_PLAIN=DIR)."""
    def register(body):
        TESTS.append((body.__name__.replace("_", " "), body, limit, tuple(needs), plain))
        return body
    return register


def expect(condition, text):
    if not condition:
        raise Failure(text)


def expect_equal(actual, wanted, what="value"):
    if actual != wanted:
        raise Failure("%s: wanted %s\n%s but is %s" % (
            what, short(wanted), " " * len(what), short(actual)))


def short(value, most=600):
    text = repr(value)
    if len(text) <= most:
        return text
    return "%s ... (%d characters)" % (text[:most], len(text))


def note(text):
    """A line of diagnostics in the output."""
    for line in str(text).splitlines():
        sys.stdout.write("# %s\n" % line)
    sys.stdout.flush()


def wait_until(condition, limit, what, pause=0.005):
    """Polls until condition() is true and returns its value."""
    end = time.monotonic() + limit * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure("%s did not happen within %g s" % (what, limit * SLOW))
        time.sleep(pause)


# --- running one body under a limit ---

def _child(write_fd, body, arguments):
    os.setsid()
    result = {"outcome": "ok", "text": ""}
    try:
        body(*arguments)
    except Skip as reason:
        result = {"outcome": "skip", "text": str(reason)}
    except Failure as failure:
        frames = [f for f in traceback.extract_tb(sys.exc_info()[2])
                  if not f.filename.endswith("tap.py")]
        where = " < ".join("%s:%d" % (os.path.basename(f.filename), f.lineno)
                           for f in reversed(frames))
        result = {"outcome": "fail", "text": "%s\nat %s" % (failure, where)}
    except BaseException:
        result = {"outcome": "fail", "text": traceback.format_exc()}
    sys.stdout.flush()
    os.write(write_fd, json.dumps(result).encode("utf-8", "backslashreplace")[:60000])
    os._exit(0)


def _read_result(read_fd, seconds):
    data = b""
    end = time.monotonic() + seconds
    while True:
        left = end - time.monotonic()
        if left <= 0:
            return None
        ready, _, _ = select.select([read_fd], [], [], left)
        if not ready:
            return None
        piece = os.read(read_fd, 65536)
        if not piece:
            return {"outcome": "fail", "text": "the test's process died"}
        data += piece
        try:
            return json.loads(data.decode())
        except ValueError:
            continue


def session_processes(session):
    """Process ids that belong to the session of a child of ours."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % name) as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(name))
    return found


def _stuck_where(pids):
    lines = []
    for pid in pids:
        try:
            with open("/proc/%d/cmdline" % pid, "rb") as f:
                command = f.read().replace(b"\0", b" ").decode("utf-8", "replace")[:100]
            with open("/proc/%d/wchan" % pid) as f:
                wait = f.read()
            try:
                with open("/proc/%d/stack" % pid) as f:
                    wait += " " + " ".join(s.split()[-1].split("+")[0] for s in f.read().splitlines()[:6])
            except OSError:
                pass
            lines.append("process %d waits in %s (%s)" % (pid, wait, command.strip()))
        except OSError:
            continue
    return "\n".join(lines)


def end_session(session, unhang=None):
    """Ends every process of a session that we started; returns those that
    could not be ended."""
    for attempt in range(3):
        end = time.monotonic() + 3
        while time.monotonic() < end:
            left = session_processes(session)
            if not left:
                return []
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.02)
            try:
                os.waitpid(session, os.WNOHANG)
            except ChildProcessError:
                pass
        if unhang is not None and attempt == 0:
            unhang()
    return session_processes(session)


def limited(body, arguments=(), limit=30, unhang=None):
    """Runs body in a child with a time limit.  Returns (outcome, text)."""
    sys.stdout.flush()
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_fd)
        _child(write_fd, body, arguments)
    os.close(write_fd)
    result = _read_result(read_fd, limit * SLOW)
    os.close(read_fd)
    stuck = ""
    if result is None:
        stuck = _stuck_where(session_processes(pid) or [pid])
        result = {"outcome": "fail", "text": "not finished within %g s\n%s" % (limit * SLOW, stuck)}
    left = end_session(pid, unhang)
    try:
        os.waitpid(pid, os.WNOHANG if left else 0)
    except ChildProcessError:
        pass
    if left:
        result = {"outcome": "fail", "text": result["text"] +
                  "\nprocesses that not even SIGKILL ended: %s\n%s" % (left, _stuck_where(left))}
    return result["outcome"], result["text"]


def run_limited(body, *arguments, limit=30, unhang=None):
    """As limited(), but a failure is raised here."""
    outcome, text = limited(body, arguments, limit, unhang)
    if outcome == "skip":
        raise Skip(text)
    if outcome != "ok":
        raise Failure(text)


# --- a test file's main ---

def skip_all(reason):
    print("1..0 # SKIP %s" % reason)
    sys.exit(0)


def parse(description, more=None):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("names", nargs="*", help="run only tests whose name contains one of these")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    if more is not None:
        more(parser)
    options = parser.parse_args()
    if options.list:
        for name, *_ in TESTS:
            print(name)
        sys.exit(0)
    return options


def _missing(needs):
    return [n for n in needs if shutil.which(n) is None]


def run(options, rig, before_each=None):
    """Runs the chosen tests.  rig.arguments() gives what bodies are called
    with; rig.unhang() cuts a connection; rig.after() returns text when the
    surroundings are broken (the node died)."""
    chosen = [t for t in TESTS
              if not options.names or any(n in t[0] for n in options.names)]
    print("TAP version 13")
    print("1..%d" % len(chosen), flush=True)
    failed = 0
    for number, (name, body, limit, needs, plain) in enumerate(chosen, 1):
        started = time.monotonic()
        if _missing(needs):
            outcome, text = "skip", "%s is not installed" % ", ".join(_missing(needs))
        elif rig.plain and not plain:
            outcome, text = "skip", "not a promise of an ordinary directory"
        else:
            try:
                rig.ensure()
                outcome, text = limited(body, rig.arguments(), limit, rig.unhang)
                broken = rig.after()
                if broken:
                    outcome, text = "fail", (text + "\n" + broken).strip()
            except Skip as reason:
                outcome, text = "skip", str(reason)
            except Exception:
                outcome, text = "fail", traceback.format_exc()
        took = time.monotonic() - started
        if outcome == "ok":
            print("ok %d - %s" % (number, name))
        elif outcome == "skip":
            print("ok %d - %s # SKIP %s" % (number, name, text))
        else:
            failed += 1
            print("not ok %d - %s" % (number, name))
            note(text)
        if took > 5:
            note("took %.1f s" % took)
        sys.stdout.flush()
    return failed


def main(description, rig_of, more=None):
    """main() of a test file: rig_of(options) makes the surroundings."""
    options = parse(description, more)
    rig = rig_of(options)
    failed = 1
    try:
        failed = run(options, rig)
    finally:
        rig.close()
    sys.exit(1 if failed else 0)
