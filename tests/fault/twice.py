#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A thread's stack after a wait is the one before it, function by function and to the instruction: a library that takes both says
how often they were the same."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import BUSY, CASES, Skip, case, main, need_frames  # noqa: E402,F401

PROGRAM = BUSY + """
import asyncio, ctypes, queue, select, signal, socket, subprocess, threading
lib = ctypes.PyDLL(None)
lib.twice_begin.restype = ctypes.c_uint64
def seen(*names): return [ctypes.c_uint64.in_dll(lib, "twice_" + n).value for n in names or ("same", "different")]
def run(*fs):
    ts = [threading.Thread(target=f) for f in fs]
    [t.start() for t in ts]; [t.join() for t in ts]
"""


def told(b, program):
    need_frames(b)
    return b.run(PROGRAM + program, preload=False, LD_PRELOAD=os.path.join(b.build, "tests/fault/libspprof_twice.so"), SPPROF_OUT="p.json",
                 SPPROF_WALL=1).out


def twice(b, program, least):
    out = told(b, program + "\nprint(*seen())\n").split()
    same, different = map(int, out)
    assert same >= least and not different, out


@case
def waits(b):
    """Sleeps, locks, queues, sockets, children, a loop and its pool; signals whose handlers run between two waits."""
    twice(b, """
inner, outer = socket.socketpair()
quiet, _ = socket.socketpair()
q, lock = queue.Queue(), threading.Lock()
def naps():
    for i in range(20): time.sleep(.001)
def holds():
    for i in range(10):
        with lock: time.sleep(.002)
def puts():
    for i in range(10): time.sleep(.001); q.put(i); outer.send(b"x")
def gets():
    for i in range(10): q.get(); inner.recv(1)
run(naps, holds, holds, puts, gets)
subprocess.run(["true"]); subprocess.run(["sleep", ".02"])
async def more():
    await asyncio.sleep(.01)
    await asyncio.get_running_loop().run_in_executor(None, naps)
async def several(): await asyncio.gather(*[more() for i in range(4)])
asyncio.run(several())
signal.signal(signal.SIGALRM, lambda *a: time.sleep(.001))
signal.setitimer(signal.ITIMER_REAL, .005, .005)
for i in range(10): time.sleep(.01); select.select([quiet], [], [], .01)
signal.setitimer(signal.ITIMER_REAL, 0)
""", 150)


@case
def waits_for_the_gil(b):
    """While others change what they share. Their own calls are all of one function each, again and again at other instructions."""
    twice(b, """
shared = {}
def changes():
    end = thread_time() + .15
    while thread_time() < end:
        shared[thread_time()] = 1
        if len(shared) > 1000: shared.clear()
        time.sleep(0)
run(changes, changes, changes)
""", 20)


@case
def one_wait_of_many_calls(b):
    """CPython waits for the GIL by one call after the other. Many threads that want it cost as much as one: the stack is taken once a wait."""
    if b.free_threaded:
        raise Skip("no GIL")
    entered, same, different, off_ns = map(int, told(b, """
import time
off = []
def runs():
    begin = time.monotonic_ns() - time.thread_time_ns()
    end = time.thread_time() + .1
    while time.thread_time() < end: sum(range(300))
    off.append(time.monotonic_ns() - time.thread_time_ns() - begin)
before = seen("entered", "same", "different")
run(*[runs] * 10)
after = seen("entered", "same", "different")
print(*[a - b for a, b in zip(after, before)], sum(off))
""").split())
    assert 20 < same and same <= entered < off_ns / 9e6 and not different, (entered, same, different, off_ns)


@case
def a_wait_of_two_places_is_told(b):
    """The comparison itself: what begins in one function and ends in another, and what begins and ends on two lines of one."""
    out = told(b, """
def begins(): return lib.twice_begin()
def ends(since): lib.twice_end(ctypes.c_uint64(since))
def both(): since = lib.twice_begin(); lib.twice_end(ctypes.c_uint64(since))
before = seen()[1]
ends(begins()); both()
print(seen()[1] - before)
""")
    assert out == "2\n", out


if __name__ == "__main__":
    sys.exit(main())
