#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""SPPROF_WALL: waits that have not returned when a file is written."""
import ast
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from lives import HEAD, SHORT, lives, unseen, waits  # noqa: E402
from sp import CASES, Profile, Skip, case, main, need_frames  # noqa: E402,F401


IDLE = HEAD + """
def idle(): gate.acquire(); is_ready.append(True); event.wait()
is_ready, event, gate = [], threading.Event(), threading.Lock()
gate.acquire()
threading.Thread(target=idle, daemon=True, name="idle").start()
time.sleep(.05); gate.release()
while not is_ready: time.sleep(.01)
"""


def is_unpredicted(b, stacks):
    """Without a GIL threads stop for each other at any place, and that is a short wait of the same call."""
    return b.free_threaded and waits(stacks, "idle") < SHORT and stacks[("(not running)",)] > 0.2e9


@case
def waits_that_never_return(b):
    """Idle threads at the end, in whatever way that comes."""
    need_frames(b)
    for end in ("pass", "os._exit(0)"):
        r = b.run(IDLE + f"""
timed(time.sleep, .3)
print(took, flush=True)
{end}
""", SPPROF_OUT="p.json", SPPROF_WALL=1)
        stacks = lives(r.profile())["idle"]
        if is_unpredicted(b, stacks):
            continue
        assert waits(stacks, "idle") >= 0.98 * (ast.literal_eval(r.out)["sleep"] - unseen(stacks)), stacks
        assert waits(stacks, "idle", "(waiting: sem_"), stacks


@case
def ticks_before_waits(b):
    """A tick that comes while the stack of a wait is taken changes nothing of it. Threads that never return, and have deep stacks. (One
    of them may be missed: where the machine stands still for a millisecond between the two, that is CPU to it.)"""
    need_frames(b)
    r = b.run(HEAD + """
gate, there = threading.Lock(), threading.Semaphore(0)
gate.acquire()
def deep(n):
    if n: deep(n - 1)
    else: there.release(); gate.acquire()
def idle(i): busy(.003 + i % 40 * .0001); deep(300)
for i in range(200): threading.Thread(target=idle, args=(i,), daemon=True, name="idle").start()
for i in range(200): there.acquire()
time.sleep(.3)
os._exit(0)
""", SPPROF_OUT="p.json", SPPROF_WALL=1, SPPROF_INTERVAL="1ms", timeout=120)
    p = r.profile()
    w = [i for i, x in enumerate(p.profiles) if x["name"].startswith("Wall: idle")]
    unseen = [s for s in map(p.stacks, w) if s.get(("(not running)",), 0) > 0.15e9 and waits(s, "deep") < 0.15e9]
    assert len(w) > 150 and len(unseen) <= 1, (len(w), len(unseen), unseen[:2])


@case
def never_returns_and_was_not_noted(b):
    """A main thread's wait, the second within a second: its call is known, its stack is not. In a snapshot and in the file at the end;
    what has returned has its stack, also in a window in which it did."""
    need_frames(b)
    r = b.run(HEAD + """
import spprof
at = None
def look():
    while at != 1: time.sleep(.01)
    time.sleep(.2); spprof.snapshot("s.json"); spprof.start()
    while at != 2: time.sleep(.01)
    window = spprof.stop(); window.save("w.json"); time.sleep(.3); os._exit(0)
threading.Thread(target=look).start()
def noted():
    for i in range(5): time.sleep(.0001)
def returns(): select.select([], [], [], .6)
noted(); at = 1; returns()
noted(); at = 2; threading.Event().wait()
""", SPPROF_OUT="p.json", SPPROF_WALL=1)
    def bare(name):
        stacks = lives(Profile(os.path.join(r.directory, name)))["MainThread"]
        return sum(n for s, n in stacks.items() if len(s) == 1 and s[0].startswith("(waiting: ")), stacks
    snapshot, window, end = map(bare, ("s.json", "w.json", "p.json"))
    assert snapshot[0] > 0.1e9 and waits(snapshot[1], "returns") == 0, snapshot
    assert window[0] < 0.1e9 and waits(window[1], "returns") > 0.1e9, window
    assert end[0] > 0.1e9 and waits(end[1], "returns") > 0.58e9, end


@case
def what_follows_a_wait_at_a_window(b):
    """Threads whose wait ends while a window is begun wait for something else by then: what they wait for now is not the wait before."""
    need_frames(b)
    deep = "".join(f"def f{i}(): return f{i + 1}()\n" for i in range(300)) + "def f300(): sum(range(300))\n" # there is much to copy
    r = b.run(HEAD + deep + """
import spprof
over = False
def before(): time.sleep(.0015)
def last(): threading.Event().wait()
def waits():
    while not over: before()
    before(); last()
for i in range(16): threading.Thread(target=waits, name="waits", daemon=True).start()
until, k = time.thread_time() + .3, 0
while time.thread_time() < until: globals()["f%d" % (k % 300)](); k += 1
began = time.monotonic_ns()
for i in range(5): spprof.start(); spprof.stop()
over = True
spprof.start(); spprof.stop(); spprof.start(); spprof.stop()
ended = time.monotonic_ns(); time.sleep(1)
print(ended - began, flush=True); os._exit(0)
""", SPPROF_OUT="p.json", SPPROF_WALL=1)
    p = r.profile()
    last = min(sum(n for s, n in p.stacks(i).items() if "before" not in s) for i, x in enumerate(p.profiles) if x["name"].startswith("Wall: waits"))
    assert last > 0.9e9, (last, lives(p)["waits"])


@case
def killed_while_it_waits(b):
    """SIGKILL leaves what was known at the last sample or wait of any thread."""
    need_frames(b)
    command = os.path.join(b.build, "spprof")
    if not os.path.exists(command):
        raise Skip("no command")
    r = b.run(IDLE + """
time.sleep(.1)
time.sleep(.3)
os.kill(os.getpid(), signal.SIGKILL)
""", SPPROF_SPOOL=".", SPPROF_OUT="p.json", SPPROF_WALL=1, check=False)
    assert r.code == -signal.SIGKILL, r.err
    spool = [f for f in os.listdir(r.directory) if f.endswith(".spool")]
    subprocess.run([command, "recover", "-o", "out.json", *spool], cwd=r.directory, check=True, capture_output=True, env=b.env(preload=False))
    stacks = lives(Profile(os.path.join(r.directory, "out.json")))
    if not is_unpredicted(b, stacks["idle"]):
        assert waits(stacks["idle"], "idle") >= 0.29e9 - unseen(stacks["idle"]), stacks
        assert waits(stacks["idle"], "idle", "(waiting: sem_"), stacks
    assert waits(stacks["MainThread"], "<module>") >= 0.29e9 - unseen(stacks["MainThread"]), stacks


if __name__ == "__main__":
    sys.exit(main())
