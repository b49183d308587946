#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Versions and builds: those that are not known, newer ones, free-threaded ones; sub-interpreters, tasks, trampolines."""
import collections
import os
import re
import shutil
import struct
import subprocess
import sys

for folder in ("support", "layout"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", folder))
import layout  # noqa: E402
from sp import BUSY, CASES, Skip, case, main, need_frames, spent, telling  # noqa: E402,F401

UNKNOWN = "(python)"


@case(where="all", only="unknown")
def unknown_version(b):
    if b.known:
        raise Skip("a known version")
    r = b.run(BUSY + "busy(0.2)\nprint('unharmed')\n")
    assert r.out == "unharmed\n"
    assert r.err.count("spprof:") == 1 and "cannot be looked into" in r.err, r.err
    assert spent(b, r.profile()) >= 0.2e9, r.profile().block
    r = b.run(BUSY + "import threading\nt = threading.Thread(target=time.sleep, args=(.05,)); t.start(); busy(0.05); t.join(); print('unharmed')\n",
              SPPROF_WALL="all", SPPROF_NATIVE="full", SPPROF_TASKS=1, SPPROF_LINES=1, SPPROF_INTERVAL="1ms")
    assert r.out == "unharmed\n" and r.profile().block["wall"]["life"], r.err


@case
def layout_mismatch(b):
    """A version that is not known, or a layout that is not what the version says: one line, CPU by thread, no harm."""
    need_frames(b)
    if b"libpython" not in open(os.path.realpath(b.python), "rb").read():
        raise Skip("a static build's Py_GetVersion cannot be replaced")
    fake = os.path.join(b.build, "tests/libfake_version.so")
    versions = ["3.99.1 (fake)", "3.8.1", "2.7.18"] + (["3.13.0 (fake)"] if b.version < (3, 13) else [])
    for version in versions:
        r = b.run(BUSY + "busy(0.15)\nprint('unharmed')\n", preload=fake, FAKE_VERSION=version)
        assert r.out == "unharmed\n"
        assert r.err.count("spprof:") == 1 and "cannot be looked into" in r.err, (version, r.err)
        p = r.profile()
        assert p.total_ns()[UNKNOWN] + p.doubt_ns() >= 0.15e9, (version, p.block)


@case(only="refused")
def refused_build(b):
    """--with-trace-refs puts two pointers before every object's count, up to 3.12."""
    if "trace-refs" not in b.python:
        raise Skip("no build with trace-refs (VARIANTS=trace-refs scripts/fleet)")
    r = b.run(BUSY + "busy(0.15)\nprint('unharmed')\n")
    assert r.out == "unharmed\n" and r.err.count("spprof:") == 1 and "--with-trace-refs" in r.err, r.err
    assert r.profile().total_ns()[UNKNOWN] + r.profile().doubt_ns() >= 0.15e9


@case
def newer_release(b):
    """A release newer than any that was looked at is taken at its word, and from 3.13 on by its own description."""
    need_frames(b)
    if b"libpython" not in open(os.path.realpath(b.python), "rb").read():
        raise Skip("a static build's Py_GetVersion cannot be replaced")
    r = b.run(BUSY + "busy(0.2)\n", preload=os.path.join(b.build, "tests/libfake_version.so"),
              FAKE_VERSION="%d.%d.99 (newer)" % b.version)
    p = r.profile()
    assert r.err == "" and spent(b, p, "busy") >= 0.2e9 and p.block["python"] == "%d.%d.99" % b.version, (r.err, p.total_ns())


@case
def own_description_differs(b):
    """From 3.13 on a build describes its layout: what contradicts our table is not looked into."""
    need_frames(b)
    if b.version < (3, 13):
        raise Skip("this version does not describe itself")
    real = os.path.realpath(b.python)
    library = subprocess.run([b.python, "-c", "import sysconfig as s; print(s.get_config_var('LIBDIR'), s.get_config_var('INSTSONAME'))"],
                             capture_output=True, text=True).stdout.split()
    described = real if b"xdebugpy" in open(real, "rb").read() else os.path.join(*library)
    data = bytearray(open(described, "rb").read())
    at = next(m.start() for m in re.finditer(b"xdebugpy", data) if data[m.start() + 11] == 3)  # a version follows
    row = layout.table(os.path.join(b.build, "tests/layout/layout_dump"))[b.version[1], b.free_threaded]
    place = at + 8 * row["debug.fr_owner"]
    assert struct.unpack_from("<Q", data, place)[0] == row["fr_owner"], row
    struct.pack_into("<Q", data, place, row["fr_owner"] - 4)
    copy = os.path.join(b.fresh(), os.path.basename(described))
    open(copy, "wb").write(data)
    shutil.copymode(described, copy)
    prefix = subprocess.run([b.python, "-c", "import sys; print(sys.base_prefix)"], capture_output=True, text=True).stdout.strip()
    if described == real:
        r = b.run(BUSY + "busy(0.15)\nprint('unharmed')\n", python=copy, PYTHONHOME=prefix)
    else:
        r = b.run(BUSY + "busy(0.15)\nprint('unharmed')\n", LD_LIBRARY_PATH=os.path.dirname(copy))
    assert r.out == "unharmed\n" and r.err.count("spprof:") == 1 and "own description" in r.err, r.err
    p = r.profile()
    assert p.total_ns()[UNKNOWN] + p.doubt_ns() >= 0.15e9, p.block


@case
def subinterpreters(b):
    """On the main thread and on another, a sub-interpreter's own stack is shown."""
    need_frames(b)
    program = """
import sys, threading
try: import _interpreters as I
except ImportError: import _xxsubinterpreters as I
code = '''
import time
def sub_busy():
    end = time.thread_time() + 0.25 * SCALE
    while time.thread_time() < end: pass
def sub_main(): sub_busy()
sub_main()
'''
def caller():
    i = I.create()
    (I.exec if hasattr(I, 'exec') else I.run_string)(i, code)
    I.destroy(i)
caller()
def own_busy():
    import time
    end = time.thread_time() + 0.12 * SCALE
    while time.thread_time() < end: pass
own_busy()
t = threading.Thread(target=caller, name='other'); t.start(); t.join()
"""
    def enough(p): return p.block["samples"] > 20 and p.block["prompt"] > 0.7
    p, scale = telling(lambda scale: b.run(program.replace("SCALE", str(scale))).profile(), enough)
    # a thread that runs in two interpreters has a profile for each; one that only passes time in another has one
    for name in ("MainThread", "other"):
        own = [i for i, q in enumerate(p.profiles) if q["name"].startswith(name + " [interpreter ")]
        assert len(own) == 1, [q["name"] for q in p.profiles]
        assert p.stacks(own[0])[("<module>", "sub_main", "sub_busy")] + p.doubt_ns() >= 0.25e9 * scale, (p.stacks(own[0]), p.block)
        assert re.fullmatch(name + r" \[interpreter [1-9]\d*\] \(tid \d+\)", p.profiles[own[0]]["name"])
    main = p.stacks(p.thread("MainThread"))
    assert not any("sub_busy" in s for s in main) and main[("<module>", "own_busy")] + p.doubt_ns() >= 0.12e9 * scale, main
    for t in p.block["threads"]:
        assert ("interpreter" in t) == ("[interpreter" in t["name"]), t
        if "interpreter" in t:
            assert 0 < t["samples"] and t["cpu"] + p.doubt_ns() >= 0.25e9 * scale, t
    assert p.profiles[0]["name"] == "All threads (2)" and sum(t["samples"] for t in p.block["threads"]) == p.block["samples"]

@case(where="few")
def subinterpreter_of_another_thread(b):
    """One that the main thread made and another runs. Up to 3.11 nothing tells that: its time is the caller's."""
    need_frames(b)
    if b.version < (3, 12):
        raise Skip("the state that runs has the number of the thread that made it")
    program = BUSY + """
import threading
try: import _interpreters as I
except ImportError: import _xxsubinterpreters as I
code = '''
import time
def sub_busy():
    end = time.thread_time() + 0.2 * SCALE
    while time.thread_time() < end: pass
sub_busy()
'''
ids = [I.create() for _ in range(2)]
def guest(i):
    (I.exec if hasattr(I, 'exec') else I.run_string)(i, code)
    busy(.1 * SCALE)
threads = [threading.Thread(target=guest, args=(i,), name='guest') for i in ids]
for t in threads: t.start()
busy(.1 * SCALE)
for t in threads: t.join()
for i in ids: I.destroy(i)
"""
    def enough(p): return p.block["samples"] > 40 and p.block["prompt"] > 0.7
    p, scale = telling(lambda scale: b.run(program.replace("SCALE", str(scale)), SPPROF_INTERVAL="4ms").profile(), enough)
    stacks = p.stacks()
    assert stacks[("<module>", "sub_busy")] + p.doubt_ns(2) >= 0.4e9 * scale, (stacks, p.block)
    own = [q["name"] for q in p.profiles if q["name"].startswith("guest [interpreter ")]
    assert len(own) == 2, [q["name"] for q in p.profiles]


@case
def tasks(b):
    """SPPROF_TASKS=1: a stack begins with the task it runs in, under its name of that moment."""
    need_frames(b)
    program = """
import asyncio, sys, time
class Mine(asyncio.Task): pass
def burn(s):
    end = time.thread_time() + s
    while time.thread_time() < end: pass
async def inner():
    for _ in range(2):
        burn(part); await asyncio.sleep(0)
async def work(): await inner()
async def main():
    loop = asyncio.get_running_loop()
    made = [asyncio.create_task(work(), name="alpha"), asyncio.create_task(work()), Mine(work(), loop=loop, name="caf\u00e9"),
            asyncio.tasks._PyTask(work(), loop=loop, name="pure")]
    await asyncio.gather(*made)
    made[1].get_name()
part = 0.1 * int(sys.argv[1])
asyncio.run(main())
burn(2 * part)
"""
    def run(scale):
        nonlocal r
        r = b.run(program, scale, SPPROF_TASKS=1)
        return r.profile()
    def burnt(p):
        sums = collections.Counter()
        for stack, ns in p.stacks().items():
            if stack[-1:] == ("burn",):
                sums[stack[0] if stack[0].startswith("task ") else "inner" in stack] += ns
        return sums
    r, kinds = None, 2 if b.version < (3, 14) or b.free_threaded else 5
    p, scale = telling(run, lambda p: len(burnt(p)) == kinds)
    sums = burnt(p)
    if b.version < (3, 14) or b.free_threaded:
        assert r.err.count("spprof:") == 1 and "SPPROF_TASKS=1 has no effect" in r.err, r.err
        assert sums.keys() == {True, False}, sums
        return
    assert sums.keys() == {"task alpha", "task Task-2", "task caf\u00e9", True, False}, sums
    assert all(ns + p.doubt_ns(2) >= 0.2e9 * scale for ns in sums.values()), (sums, p.block)
    assert not any(f["name"].startswith("task ") and "file" in f for f in p.frames)


@case
def perf_trampoline(b):
    """-X perf puts a trampoline on the C stack for every function: the Python stack is the same."""
    need_frames(b)
    if b.version < (3, 12):
        raise Skip("-X perf came with 3.12")
    program = b.write(BUSY + "def inner(): busy(0.2)\ndef outer(): inner()\nouter()\nimport sys\nprint(sys.is_stack_trampoline_active())\n")
    r = b.run(None, command=[b.python, "-X", "perf", program])
    if r.out != "True\n":
        raise Skip("this build has no trampolines")
    p = r.profile()
    assert p.stacks()[("<module>", "outer", "inner", "busy")] + p.doubt_ns() >= 0.2e9, (p.stacks(), p.block)


@case(only="free-threaded")
def free_threaded(b):
    """Threads run in handlers at once; nothing of ours turns the GIL on or touches a count."""
    if not b.free_threaded:
        raise Skip("this build has a GIL")
    program = BUSY + """
import gc, sys, threading, time
def work(): busy(0.4)
def churn():
    end = time.thread_time() + 0.3
    k = 0
    while time.thread_time() < end:
        k += 1
        made = {}
        exec("def f%d(): return [i for i in range(20)]\\nf%d()" % (k, k), made)
        made["me"] = made  # dies in the collector, with the world stopped
        if k % 50 == 0: gc.collect()
threads = [threading.Thread(target=work, name="w%d" % i) for i in range(2)] + [threading.Thread(target=churn) for i in range(2)]
for t in threads: t.start()
for t in threads: t.join()
print(sys._is_gil_enabled(), [sys.getrefcount(x) for x in (work, busy, work.__code__, busy.__code__, threads[0], gc)])
"""
    plain, r = b.run(program, preload=False), b.run(program, SPPROF_INTERVAL="1ms")
    assert r.out == plain.out and r.out.startswith("False "), (plain.out, r.out)
    p = r.profile()
    assert p.block["losses"]["unwalkable"].get("bad_code", 0) <= 1, p.block["losses"]
    for name in ("w0", "w1"):
        assert spent(b, p, profile=p.thread(name)) >= 0.4e9, (p.stacks(p.thread(name)), p.block)


if __name__ == "__main__":
    sys.exit(main())
