#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Recordings that begin and end by the clock, or on request: SPPROF_START, SPPROF_START_AFTER, SPPROF_DURATION."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import BUSY, CASES, case, main, need_frames, telling  # noqa: E402,F401

PHASES = BUSY + """
import os, signal, sys, threading, warnings
warnings.simplefilter("ignore") # of forks beside threads
def until(is_so):
    while not is_so(): busy(0.02)
def written(name='p.json'): return os.path.exists(name)
def timers(): # and what kernels tell that do not tell
    try:
        with open('/proc/self/timers') as f: return f.read().count('ClockID:')
    except OSError: return 0
def forked(f):
    pid = os.fork()
    if pid == 0:
        f()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
def ask(): os.kill(os.getpid(), signal.SIGUSR2)
def born(): # by the clock of boot, at most
    with open('/proc/self/stat') as f: return int(f.read().rsplit(')', 1)[1].split()[19]) / os.sysconf('SC_CLK_TCK')
def age(): return time.clock_gettime(time.CLOCK_BOOTTIME if hasattr(time, 'CLOCK_BOOTTIME') else 7) - born()
"""


def names(p):
    return set(p.total_ns())


def in_time(b, program, ms, **env):
    """A busy machine gives little of its processors in a time: with more of it, until each of the recordings has seen enough."""
    def run(scale):
        nonlocal r
        r = b.run(PHASES + program, SPPROF_DURATION=f"{ms * scale}ms", SPPROF_OUT="p.json", **env)
        return min(r.profiles(), key=lambda p: p.total_ns()["until"])
    r = None
    return telling(run, lambda p: p.total_ns()["until"] >= 0.15e9)[0], r


@case
def begins_late(b):
    """What was before the moment is not in the file, what came after is, of every thread; a process that ends first has none."""
    need_frames(b)
    r = b.run(PHASES + """
begun = time.monotonic() # behind the moment from which the program counts
def early(): busy(0.01)
def between(): busy(0.3)
def late(): busy(0.2)
def other():
    while not stop.is_set(): busy(0.01); time.sleep(0.001)
stop = threading.Event()
older = threading.Thread(target=other, name='older')
older.start()
pid = os.fork()
if pid == 0:
    while time.monotonic() < begun + 1.1: time.sleep(0.01)
    def of_child(): busy(0.4)
    of_child()
    os._exit(0)
while age() < 0.5: early()
a = time.process_time_ns()
while time.monotonic() < begun + 1.1: time.sleep(0.01)
between()
c = time.process_time_ns()
late()
younger = threading.Thread(target=late, name='younger')
younger.start(); younger.join()
stop.set(); older.join()
assert os.waitpid(pid, 0)[1] == 0
print(a, c, time.process_time_ns())
""", SPPROF_START_AFTER="1s", SPPROF_OUT="p.json")
    p, child = sorted(r.profiles(), key=lambda q: len(q.path))
    assert "of_child" in names(child), child.total_ns()
    a, c, end = map(int, r.out.split())
    assert "early" not in names(p), p.total_ns()
    assert {"late", "other"} <= names(p), p.total_ns()
    assert end - c - p.period_ns <= p.total() <= end - a + 0.1e9, (p.total(), a, c, end)
    assert {t["name"] for t in p.block["threads"]} >= {"older", "younger", "MainThread"}, p.block["threads"]
    r = b.run(PHASES + "forked(lambda: busy(0.15))\nbusy(0.25)", SPPROF_START_AFTER="1h", SPPROF_OUT="p.json")
    assert (r.err, r.files()) == ("", []), (r.err, r.files())


@case
def ends_early(b):
    """The file is there when the time is over; from then on nothing has a tick, children neither, and the file stays."""
    need_frames(b)
    p, r = in_time(b, """
def inside(): busy(0.02)
def outside(): busy(0.1)
before = os.times()
until(lambda: inside() or written())
seen, inode = time.process_time_ns(), os.stat('p.json').st_ino
assert timers() <= 1
outside()
t = threading.Thread(target=outside)
t.start(); t.join()
forked(outside)
assert timers() <= 1 and os.stat('p.json').st_ino == inode
print(seen)
""", 300)
    assert p.block["complete"] and os.listdir(r.directory) == ["p.json"], os.listdir(r.directory)
    assert "inside" in names(p) and "outside" not in names(p), p.total_ns()
    assert 0 < p.total() <= int(r.out), (p.total(), r.out)


@case
def ends_before_the_interpreter_starts(b):
    """A time that is over by then lasts until there is something to write."""
    slow = os.path.join(b.build, "tests/libslow_start.so")
    r = b.run(PHASES + "until(lambda: written() or time.process_time() > 20)\n", preload=False, LD_PRELOAD=f"{slow}:{b.library}", SPPROF_DURATION="100ms",
              SPPROF_OUT="p.json")
    assert r.profile().block["complete"], r.profile().block


@case
def begins_when_asked(b):
    """Begun and ended as often as one likes; each recording is a file."""
    need_frames(b)
    _, r = in_time(b, """
def zero(): busy(0.1)
def one(): busy(0.02)
def two(): busy(0.02)
zero()
forked(zero)
assert timers() == 0 and not written()
ask()
assert not written()
until(lambda: one() or written())
zero()
ask()
until(lambda: two() or written('p-2.json'))
""", 400, SPPROF_START="off", SPPROF_SIGNAL="USR2")
    assert (r.err, sorted(os.listdir(r.directory))) == ("", ["p-2.json", "p.json"]), (r.err, os.listdir(r.directory))
    first, second = (next(p for p in r.profiles() if p.path.endswith(name)) for name in ("p.json", "p-2.json"))
    assert "one" in names(first) and not {"zero", "two"} & names(first), first.total_ns()
    assert not {"zero", "one"} & names(second), second.total_ns()
    assert first.block["complete"] and second.block["complete"]
    p = b.run(PHASES + "def more(): busy(0.1)\nask()\nmore()\nask()\nassert written()\nmore()", SPPROF_START="off", SPPROF_SIGNAL="USR2", SPPROF_OUT="p.json").profile()
    assert p.block["complete"] and p.total_ns()["more"] + p.doubt_ns(2) > 0.2e9, p.block


@case
def never_begun(b):
    """Without a request there is no file, no spool file, no timer; whatever the program does."""
    r = b.run(PHASES + """
t = threading.Thread(target=busy, args=(0.05,))
t.start(); t.join()
forked(lambda: busy(0.05))
assert timers() == 0
assert signal.getsignal(signal.SIGPROF) == signal.SIG_DFL
os.execv(sys.executable, [sys.executable, '-c', 'print(1)'])
""", SPPROF_START="off", SPPROF_SPOOL=".", SPPROF_VERBOSE="1")
    assert (r.out, r.err, os.listdir(r.directory)) == ("1\n", "", []), (r.out, r.err, os.listdir(r.directory))


@case
def with_all_else(b):
    """A spool file, lives, native frames, tasks: as in a recording that begins with the process."""
    r = b.run(PHASES + """
spools = lambda: [n for n in os.listdir('.') if n.endswith('.spool')]
assert not spools()
ask()
assert len(spools()) == 1
until(written)
assert not spools()
time.sleep(0.01)
""", SPPROF_START="off", SPPROF_SIGNAL="USR2", SPPROF_DURATION="300ms", SPPROF_OUT="p.json", SPPROF_SPOOL=".", SPPROF_WALL="1", SPPROF_NATIVE="on")
    assert r.profile().block["complete"] and r.err == "", r.err


@case
def who_wrote_is_buried(b):
    """When the recording is over its writer does not stay, dead, for as long as the program lives."""
    b.run(PHASES + """
def children(): # of any kind
    try: return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT | 0x40000000) is not None # __WALL
    except ChildProcessError: return None
until(written)
until(lambda: children() is None)
assert timers() <= 1
""", SPPROF_DURATION="50ms", SPPROF_OUT="p.json")


if __name__ == "__main__":
    sys.exit(main())
