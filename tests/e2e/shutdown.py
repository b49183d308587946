#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Frames where they are not expected: while the interpreter ends, and below code that runs on another stack."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import CASES, case, main, need_frames  # noqa: E402,F401

# names that the end takes away are kept as defaults
HEAD = """
import atexit, sys, time, weakref, threading, ctypes
def busy(s, now=time.thread_time, range=range):
    end = now() + s
    while now() < end:
        for i in range(200): pass
"""
# expect: every root of these is (shutdown), with the function that busy() is called from, and nothing is lost
THE_END = HEAD + """
def at_exit(): busy(.1)
class Module:
    def __del__(self, busy=busy): busy(.1)
class Cycle:
    def __del__(self, busy=busy): busy(.1)
class Late:
    def __del__(self, busy=busy): busy(.1)
class Ref: pass
def on_death(_, busy=busy): busy(.1)
atexit.register(at_exit)
keep = Module()
ring = Cycle(); ring.me = ring; del ring
sys.late = Late()
watched = Ref(); sys.watch = weakref.ref(watched, on_death); watched.me = watched; del watched
"""


def ends(b, p, functions):
    """ns by function under (shutdown); none of them is anywhere else, and nothing is lost."""
    seen = {f: 0 for f in functions}
    for stack, ns in p.stacks().items():
        names = [n.split(".")[-2] if n.endswith("__del__") and "." in n else n for n in stack]
        for f in set(names) & set(functions):
            assert stack[0] == "(shutdown)" and names[1] == f, (stack, ns)
            seen[f] += ns
    # an instant at which a state has no frame is no loss of the end: it may come from the start
    assert sum(p.block["losses"]["unwalkable"].values()) <= 2, p.block["losses"]
    assert "finalizing" not in p.block["losses"]["unwalkable"], p.block["losses"]
    return seen


@case
def frames_of_the_end(b):
    """__del__ and a weak reference's callback, each 100 ms, at every stage of the end; functions of atexit come before it. On a busy
    machine a tick comes late by some of that."""
    need_frames(b)
    p = b.run(THE_END, SPPROF_INTERVAL="1ms").profile()
    at_exit = {s: ns for s, ns in p.stacks().items() if "at_exit" in s}
    assert sum(at_exit.values()) > 0.02e9 and all(s[0] == "at_exit" for s in at_exit), at_exit
    if b.version >= (3, 11):
        seen = ends(b, p, ["on_death", "Module", "Cycle", "Late"])
        assert all(ns > 0.02e9 for ns in seen.values()), (seen, p.stacks())
    else:
        seen = ends(b, p, ["on_death", "__del__"])
        assert seen["on_death"] > 0.02e9 and seen["__del__"] > 0.1e9, (seen, p.stacks())


@case
def the_name_alone(b):
    """A heap that is freed, and a daemon thread that is busy in C meanwhile: no Python runs, and it is no loss."""
    need_frames(b)
    p = b.run(HEAD + "lib = ctypes.CDLL(sys.argv[1])\nheap = [[i] for i in range(900000)]\nfor x in heap: x.append([x])\n"
              "t = threading.Thread(target=lib.spin_ms, args=(100000,), daemon=True); t.start()\ntime.sleep(.02)\n",
              os.path.join(b.build, "tests/libspin.so"), SPPROF_INTERVAL="1ms").profile()
    alone = p.stacks()[("(shutdown)",)]
    assert alone > 0.05e9, p.stacks()
    assert p.block["cpu"]["unwalkable"] <= 10e6 and "finalizing" not in p.block["losses"]["unwalkable"], p.block


@case
def exit_in_a_call(b):
    """Py_Exit() below frames (an exception that ends the program in a callback of C): they stand under (shutdown) too, and
    the strings that they are named by are freed while they still stand."""
    need_frames(b)
    r = b.run(HEAD + "class Late:\n    def __del__(self, busy=busy): busy(.05)\nsys.late = Late()\n"
              "names = [sys.intern('name%d' % i) for i in range(100000)]\n"
              "def deep(n):\n    if n: return deep(n - 1)\n    ctypes.pythonapi.Py_Exit(3)\ndeep(50)\n", check=False, SPPROF_INTERVAL="1ms",
              MALLOC_PERTURB_="85", PYTHONMALLOC=None if b.free_threaded else "malloc")
    assert r.code == 3, (r.code, r.err)
    p = r.profile()
    below = {s: ns for s, ns in p.stacks().items() if s[0] == "(shutdown)" and "deep" in s}
    assert sum(below.values()) > 0.03e9 and all(s[1] == "<module>" and s.count("deep") == 51 for s in below), p.stacks()
    assert any(s[-1] == "busy" for s in below), below


@case
def threads_that_go_on(b):
    """The main thread waits for others at the end: their frames are theirs, its own waiting is the end's."""
    need_frames(b)
    p = b.run(HEAD + "def work(): busy(.1)\nthreading.Thread(target=work).start()\n", SPPROF_INTERVAL="1ms").profile()
    assert p.total_ns()["work"] > 0.07e9
    assert not [s for s in p.stacks() if s[0] == "(shutdown)" and "work" in s], p.stacks()


@case
def fibres(b):
    """Native code, and Python that it calls, on a stack above the thread's own: the stack's place does not matter."""
    need_frames(b)
    p = b.run(HEAD + """
lib = ctypes.CDLL(sys.argv[1])
def called(): busy(.1)
back = ctypes.CFUNCTYPE(None)(called)
def resize():
    lib.spin_on_fibre(100)
    lib.call_on_fibre(back)
t = threading.Thread(target=resize)
t.start(); t.join()
resize()
""", os.path.join(b.build, "tests/libfibre.so"), SPPROF_INTERVAL="1ms").profile()
    for i in (p.thread("MainThread"), p.thread("Thread-1")):
        native = sum(ns for s, ns in p.stacks(i).items() if s[-1] == "resize")
        python = sum(ns for s, ns in p.stacks(i).items() if "called" in s and s[s.index("called") - 1] == "resize")
        assert native > 0.07e9 and python > 0.07e9, (i, p.stacks(i))
    assert sum(p.block["losses"]["unwalkable"].values()) <= 3, p.block["losses"]


if __name__ == "__main__":
    sys.exit(main())
