#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Frames where they are not expected: while the interpreter ends, and below code that runs on another stack."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from embedding import embed  # noqa: E402
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
def at_shutdown(): busy(.1)
class Module:
    def __del__(self, busy=busy): busy(.1)
class Cycle:
    def __del__(self, busy=busy): busy(.1)
class Late:
    def __del__(self, busy=busy): busy(.1)
class Ref: pass
def on_death(_, busy=busy): busy(.1)
atexit.register(at_exit)
threading._register_atexit(at_shutdown)
keep = Module()
ring = Cycle(); ring.me = ring; del ring
sys.late = Late()
watched = Ref(); sys.watch = weakref.ref(watched, on_death); watched.me = watched; del watched
"""


def is_told(p, ns, used=0.1e9):
    """On a busy machine a tick comes late, and stands for the function that runs then."""
    return ns + p.doubt_ns() >= used


# between (shutdown) and what threading's own end calls
OF_THREADING = ["_shutdown", "_register_atexit.<locals>.<lambda>"]


def is_whole(p):
    """An instant at which a state has no frame is no loss of the end: it may come from the start."""
    reasons = p.block["losses"]["unwalkable"]
    assert sum(reasons.values()) <= 2 + p.block["samples"] // 100 and "finalizing" not in reasons, p.block


def ends(b, p, functions):
    """ns by function under (shutdown); none of them is anywhere else, and nothing is lost."""
    seen = {f: 0 for f in functions}
    for stack, ns in p.stacks().items():
        names = [n.split(".")[-2] if n.endswith("__del__") and "." in n else n for n in stack if n not in OF_THREADING]
        for f in set(names) & set(functions):
            assert stack[0] == "(shutdown)" and names[1] == f, (stack, ns)
            seen[f] += ns
    is_whole(p)
    return seen


@case
def frames_of_the_end(b):
    """Functions of atexit, __del__ and a weak reference's callback, each 100 ms, at every stage of the end. On a busy machine a tick
    comes late by some of that."""
    need_frames(b)
    p = b.run(THE_END, SPPROF_INTERVAL="1ms").profile()
    early = ["at_exit", "at_shutdown"]
    if b.version >= (3, 11):
        seen = ends(b, p, early + ["on_death", "Module", "Cycle", "Late"])
        assert all(is_told(p, ns) for ns in seen.values()), (seen, p.stacks())
    else:
        seen = ends(b, p, early + ["on_death", "__del__"])
        assert all(is_told(p, ns) for ns in seen.values()) and is_told(p, seen["__del__"], 0.3e9), (seen, p.stacks())


def under(p, function):
    """ns of a function below (shutdown), and elsewhere."""
    sums = [0, 0]
    for stack, ns in p.stacks().items():
        if function in stack:
            sums[stack[0] != "(shutdown)"] += ns
    return sums


@case
def not_the_end(b):
    """What the end calls too, called by a thread of C with nothing below it: a callback, and all functions of atexit."""
    need_frames(b)
    p = b.run(HEAD + """
def called(*_): busy(.1)
def registered(): busy(.1)
def at_exit(): busy(.1)
atexit.register(registered)
c = ctypes.CDLL(None)
for f in (ctypes.CFUNCTYPE(None)(called), ctypes.CFUNCTYPE(None)(atexit._run_exitfuncs)):
    t = ctypes.c_ulong()
    assert c.pthread_create(ctypes.byref(t), None, f, None) == 0
    c.pthread_join(t, None)
atexit.register(at_exit)
""", SPPROF_INTERVAL="1ms").profile()
    for f in ("called", "registered"):
        assert under(p, f)[0] == 0 and is_told(p, under(p, f)[1]), (f, p.stacks())
    assert under(p, "at_exit")[1] == 0 and is_told(p, under(p, "at_exit")[0]), p.stacks()


@case
def lives_of_an_embedded(b):
    """A host runs code with nothing below it, ends its interpreter, and does so again: up to 3.11 the second end is known by what
    it frees alone."""
    need_frames(b)
    p = embed(b, "twice", HEAD.replace(", ctypes", "") + "def work(): busy(.1)\ndef at_exit(): busy(.1)\nwork(); atexit.register(at_exit)\n",
              SPPROF_INTERVAL="1ms").profile()
    assert under(p, "work")[0] == 0 and is_told(p, under(p, "work")[1], 0.2e9), p.stacks()
    told, untold = under(p, "at_exit")
    assert is_told(p, told + untold, 0.2e9) and (b.version < (3, 12) or untold == 0), p.stacks()


FORKED = HEAD + """
import os
fork = os.fork
if sys.version_info >= (3, 12):  # os.fork() refuses, C code may
    def fork(c=ctypes.PyDLL(None)):
        c.PyOS_BeforeFork()
        pid = c.fork()
        c.PyOS_AfterFork_Parent() if pid else c.PyOS_AfterFork_Child()
        return pid
def child(): busy(.15); os._exit(0)
def make():
    if fork() == 0: child()
    os.wait()
def make_in_thread():
    while not threading._SHUTTING_DOWN: time.sleep(.005)
    make()
if sys.argv[1] == "thread": threading.Thread(target=make_in_thread).start()
else: atexit.register(make)
busy(.05)
"""


@case
def forks_of_the_end(b):
    """A child that the ending thread forks is in the same call; one that another thread forked meanwhile is not."""
    need_frames(b)
    for how in ("thread", "atexit"):
        for p in b.run(FORKED, how, SPPROF_INTERVAL="1ms").profiles():
            told, untold = under(p, "child")
            assert (told if how == "thread" else untold) == 0, (how, p.stacks())
            if told + untold:
                assert is_told(p, told + untold, 0.15e9), p.stacks()
                break
        else:
            raise AssertionError(f"{how}: no child seen")


@case
def the_name_alone(b):
    """A heap that is freed, and a daemon thread that is busy in C meanwhile: no Python runs, and it is no loss."""
    need_frames(b)
    p = b.run(HEAD + "lib = ctypes.CDLL(sys.argv[1])\nheap = [[i] for i in range(400000)]\nfor x in heap: x.append([x])\n"
              "t = threading.Thread(target=lib.spin_ms, args=(100000,), daemon=True); t.start()\ntime.sleep(.02)\n",
              os.path.join(b.build, "tests/libspin.so"), SPPROF_INTERVAL="1ms").profile()
    alone = p.stacks()[("(shutdown)",)]
    assert alone > 0.05e9, p.stacks()
    is_whole(p)


@case
def exit_in_a_call(b):
    """Py_Exit() below frames (an exception that ends the program in a callback of C): they stand under (shutdown) too, and
    the strings that they are named by are freed while they still stand."""
    need_frames(b)
    r = b.run(HEAD + "class Late:\n    def __del__(self, busy=busy): busy(.2)\nsys.late = Late()\n"
              "names = [sys.intern('name%d' % i) for i in range(100000)]\n"
              "def deep(n):\n    if n: return deep(n - 1)\n    ctypes.pythonapi.Py_Exit(3)\ndeep(50)\n", check=False, SPPROF_INTERVAL="1ms",
              MALLOC_PERTURB_="85", PYTHONMALLOC=None if b.free_threaded else "malloc")
    assert r.code == 3, (r.code, r.err)
    p = r.profile()
    below = {s: ns for s, ns in p.stacks().items() if s[0] == "(shutdown)" and "deep" in s}
    assert is_told(p, sum(below.values()), 0.2e9) and all(s[1] == "<module>" and s.count("deep") == 51 for s in below), p.stacks()
    assert any(s[-1] == "busy" for s in below) or p.doubt_ns() > 0.2e9, (below, p.block)


@case
def threads_that_go_on(b):
    """The main thread waits for others at the end: their frames are theirs, its own waiting is the end's."""
    need_frames(b)
    p = b.run(HEAD + "def work(): busy(.1)\nthreading.Thread(target=work).start()\n", SPPROF_INTERVAL="1ms").profile()
    assert is_told(p, p.total_ns()["work"])
    assert not [s for s in p.stacks() if s[0] == "(shutdown)" and "work" in s], p.stacks()


@case
def fibres(b):
    """Native code, and Python that it calls, on a stack above the thread's own: the stack's place does not matter, at the end
    neither."""
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
def at_exit(): busy(.1)
last = ctypes.CFUNCTYPE(None)(at_exit)
atexit.register(lib.call_on_fibre, last)
""", os.path.join(b.build, "tests/libfibre.so"), SPPROF_INTERVAL="1ms").profile()
    for i in (p.thread("MainThread"), p.thread("Thread-1")):
        native = sum(ns for s, ns in p.stacks(i).items() if s[-1] == "resize")
        python = sum(ns for s, ns in p.stacks(i).items() if "called" in s and s[s.index("called") - 1] == "resize")
        assert is_told(p, native) and is_told(p, python), (i, p.stacks(i))
    assert under(p, "resize")[0] == 0 and under(p, "at_exit")[1] == 0 and is_told(p, under(p, "at_exit")[0]), p.stacks()
    is_whole(p)


if __name__ == "__main__":
    sys.exit(main())
