#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""(gc): the garbage collector's work stands below the function that set it off, in the thread that does it (SPPROF_NATIVE)."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import BUSY, CASES, Skip, case, clean_env, main, need_frames, share_bound, telling  # noqa: E402,F401

GARBAGE = BUSY + """
import gc, sys, threading
class Node:
    def __init__(self): self.me = self
    def __del__(self): finalizes()
"""


def need_symbols(b):
    need_frames(b)
    where = "import sys; print({line.split()[-1] for line in open('/proc/self/maps') if 'python' in line.split()[-1]})"
    files = eval(subprocess.run([b.python, "-S", "-c", where], capture_output=True, text=True, check=True, env=clean_env()).stdout)
    names = (b"\0collect\0",) if b.version == (3, 9) else (b"\0gc_collect_main\0", b"\0_PyGC_Collect\0")
    for path in files:
        with open(path, "rb") as f:
            text = f.read() if os.path.isfile(path) else b""
        if any(n in text for n in names):
            return
    raise Skip("the interpreter has no symbols")


@case
def a_function_that_allocates(b):
    """Its garbage is collected below it, for as long as gc.callbacks say; finalizers are seen, below that."""
    need_symbols(b)

    def run(scale):
        nonlocal r
        r = b.run(GARBAGE + """
spent = 0
def told(phase, info):
    global spent, begun
    if phase == "start": begun = thread_time()
    else: spent += thread_time() - begun
def finalizes(): busy(.00002)
def allocates():
    end = thread_time() + .6 * float(sys.argv[1])
    while thread_time() < end:
        kept = [[] for i in range(1000)]; Node()
heap = [[i] for i in range(100000)]
gc.callbacks.append(told)
gc.set_threshold(2000, 2, 2)
allocates()
print(round(spent * 1e9))
""", scale, SPPROF_NATIVE="on", SPPROF_INTERVAL="4ms")
        return r.profile()
    r = None
    p, scale = telling(run, lambda p: p.block["samples"] > 60)
    total, whole = p.total_ns(), p.total()
    bound = share_bound(p.independent(), int(r.out) / whole) * whole + p.doubt_ns()
    assert abs(total["(gc)"] - int(r.out)) <= bound and total["(gc)"] > 0, (total["(gc)"], r.out, bound)
    stacks = p.stacks()
    below = {s for s in stacks if "finalizes" in s and "(shutdown)" not in s}
    assert all("allocates" in s[:s.index("(gc)")] for s in below if "(gc)" in s), below
    assert sum(stacks[s] for s in below) - sum(stacks[s] for s in below if "(gc)" in s) <= p.doubt_ns(), below


@case
def others_do_not_collect(b):
    """While a finalizer waits the interpreter is still collecting; what other threads do meanwhile is no part of that."""
    need_symbols(b)
    p = b.run(GARBAGE + """
inside, done = threading.Event(), threading.Event()
def finalizes(): inside.set(); done.wait()
def other(): inside.wait(); busy(.3); done.set()
t = threading.Thread(target=other, name="other"); t.start()
Node(); gc.collect(); t.join()
""", SPPROF_NATIVE="on").profile()
    stacks = p.stacks(p.thread("other"))
    assert not [s for s in stacks if "(gc)" in s], stacks


if __name__ == "__main__":
    sys.exit(main())
