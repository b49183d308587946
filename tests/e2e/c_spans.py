#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""spprof.h: spans from C, in native threads and in Python's, beside those of Python."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from api_calls import HEAD, library, run  # noqa: E402
from lives import lives  # noqa: E402
from sp import case, main  # noqa: E402


def run_until(b, program, enough, **kw):
    """run() with more CPU each time until enough(its profiles) holds: a machine that has none left gives no ticks."""
    for scale in (1, 2, 4, 8, 16):
        r = run(b, program, SCALE=scale, **kw)
        ps = r.profiles()
        for p in ps:
            judge(p)
        if enough(*ps):
            return r
    raise AssertionError([p.stacks() for p in ps])


def ways(p, function="in_0"):
    """The spans, each a tuple, that stacks with this leaf began with."""
    of = (p.names(s) for one in p.profiles for s in one["samples"])
    return {tuple(n for n in s if n.startswith(("span", "(other spans)"))) for s in of if any(n.startswith(function) for n in s)}


def judge(p):
    """Every stack with a function in_...() begins with the spans that its name says, of C and then of Python; in_x() in any."""
    for i, one in enumerate(p.profiles):
        for stack in {tuple(s) for s in one["samples"]}:
            names = p.names(stack)
            spans = [n[5:] for n in names if n.startswith("span ")]
            said = {m.group(1) for m in (re.match(r"in_([\d_]+)\b", n) for n in names) if m}
            assert list(names[:len(spans)]) == ["span " + s for s in spans], names
            if said:
                way = said.pop()
                assert spans == ([] if way == "0" else way.split("_")), names


@case(where="few")
def c_spans_of_native_threads(b):
    """Threads without Python: none of their samples in a wrong span, whatever was opened, ended out of order, twice, or left open when
    they ended; and none of the threads that come after them."""
    run_until(b, f"""
lib = ctypes.CDLL({library(b)!r})
ctypes.c_int.in_dll(lib, 'scale').value = scale
assert lib.threads_with_spans(4, 12, 3) == 0
""", lambda p: ways(p, "in_") >= {(), ("span 1",), ("span 1", "span 2"), ("span 1", "span 2", "span 3"), ("span 4",)},
              SPPROF_NATIVE="on", SPPROF_INTERVAL="1ms", SPPROF_OUT="p.json")


@case(where="few")
def c_spans_without_native_frames(b):
    """A native thread's CPU stands in its span, and is a native thread's still; so does a wait."""
    r = run_until(b, f"""
lib = ctypes.CDLL({library(b)!r})
ctypes.c_int.in_dll(lib, 'scale').value = scale
assert lib.threads_with_spans(2, 4, 4) == 0
def waits():
    s = begin(b'waits'); time.sleep(.05); end(s); time.sleep(.05)
waits()
""", lambda p: ways(p, "(native thread)") >= {(), ("span 1",), ("span 1", "span 2", "span 3")}, SPPROF_WALL=1, SPPROF_INTERVAL="1ms", SPPROF_OUT="p.json")
    p = r.profile()
    of = {s: ns for s, ns in p.stacks().items() if "(native thread)" in s}
    assert p.block["cpu"]["native_thread"] == sum(of.values()), (p.block["cpu"], of)
    off = {s[0] == "span waits" for s in lives(p)["MainThread"] if "waits" in s and s[-1].startswith("(waiting")}
    assert off == {True, False}, lives(p)


@case(where="few")
def c_spans_before_frames(b):
    """A wait of a thread with a Python state and no Python frame is in its span alone."""
    r = run(b, f"""
lib = ctypes.CDLL({library(b)!r})
assert lib.thread_with_state(ctypes.pythonapi.PyGILState_Ensure, ctypes.pythonapi.PyGILState_Release) == 0
""", SPPROF_WALL="all", SPPROF_OUT="p.json")
    off = {s for of in lives(r.profile()).values() for s in of if s[-1] == "(waiting: nanosleep)" and len(s) < 3}
    assert ("span waits", "(waiting: nanosleep)") in off and any(s[0] != "span waits" for s in off), lives(r.profile())


@case
def c_spans_recovered(b):
    """Native stacks in spans are native threads' CPU still where a profile's sums are made anew from its stacks."""
    for scale in (1, 2, 4, 8):
        r = b.run(HEAD + f"""
import signal
lib = ctypes.CDLL({library(b)!r})
ctypes.c_int.in_dll(lib, 'scale').value = scale
assert lib.threads_with_spans(2, 4, 3) == 0
os.kill(os.getpid(), signal.SIGKILL)
""", check=False, SCALE=scale, SPPROF_NATIVE="on", SPPROF_INTERVAL="1ms", SPPROF_SPOOL=".")
        assert r.code == -9, (r.code, r.err)
        spools = [f for f in os.listdir(r.directory) if f.endswith(".spool")]
        subprocess.run([os.path.join(b.build, "spprof"), "recover", *spools], cwd=r.directory, check=True, capture_output=True)
        p = r.profile()
        judge(p)
        in_spans = sum(ns for s, ns in p.stacks().items() if s[0].startswith("span") and any(n.startswith("in_") for n in s))
        if in_spans > 5e7:
            break
    assert p.block["cpu"]["native_thread"] >= in_spans > 0, (p.block["cpu"], p.stacks())


@case(where="few")
def c_spans_elsewhere(b):
    """A token is its thread's; a fork child is in its parent's spans, and ends them."""
    run_until(b, f"""
lib = ctypes.CDLL({library(b)!r})
ctypes.c_int.in_dll(lib, 'scale').value = scale
assert lib.tokens_elsewhere() == 0
""", lambda *ps: len(ps) == 2 and all(ways(p, "in_") >= {(), ("span 1",), ("span 1", "span 2")} for p in ps) and
              any(("span 5",) in ways(p, "in_5") for p in ps), SPPROF_NATIVE="on", SPPROF_INTERVAL="1ms", SPPROF_OUT="p-%p.json")


@case(where="few")
def c_library_comes_and_goes(b):
    """A library that uses spprof.h is unloaded and loaded anew while its spans are open: nothing refers to it any more, and the window that
    it was in goes on."""
    run_until(b, f"""
import _ctypes, signal
path = {library(b)!r}
def is_mapped():
    with open('/proc/self/maps') as f: return path in f.read()
over = threading.Event()
def works():
    while not over.is_set(): burn(.002, 'x')
threads = [threading.Thread(target=works) for i in range(2)]
for t in threads: t.start()
assert start(0, 0) == DONE
for i in range(20):
    lib = ctypes.CDLL(path)
    assert is_mapped()
    ctypes.c_int.in_dll(lib, 'scale').value = scale
    assert lib.threads_with_spans(2, 1, 1) == 0
    assert lib.windows_in_handlers(signal.SIGUSR2, 2) == 0 if i % 2 else is_active()
    lib.left_open.restype = ctypes.c_uint64
    opened = lib.left_open()
    assert opened
    _ctypes.dlclose(lib._handle)
    del lib
    assert not is_mapped()
    burn(.002, 'x')
    end(opened)
    burn(.002)
    if i % 4 == 0:
        assert stop(b'w.json', stats) == DONE and start(0, 0) == DONE
assert is_active() and stop(None, stats) == DONE
over.set()
for t in threads: t.join()
""", lambda *ps: any(ways(p, "in_") >= {(), ("span 1",), ("span 1", "span 2"), ("span 1", "span 2", "span 3"), ("span 4",)} and
                                   ("span left open",) in ways(p, "in_x") for p in ps), SPPROF_NATIVE="on", SPPROF_INTERVAL="1ms", SPPROF_OUT="p.json")


@case(where="few")
def c_spans_and_python(b):
    """A thread's spans stand above those of its contexts, whichever was opened first; tasks that take turns, threads."""
    run_until(b, """
import asyncio
import spprof
def span(i): return spprof.span(str(i))
for _ in range(5):
    one = begin(b'1')
    with span(2):
        burn(.004, 1, 2)
        three = begin(b'3')
        burn(.004, 1, 3, 2)
        with span(4): burn(.004, 1, 3, 2, 4)
        end(three)
        burn(.004, 1, 2)
        end(one)
        burn(.004, 2)
    burn(.004)
async def job(i):
    for _ in range(5):
        with span(i):
            burn(.002, *thread, i); await asyncio.sleep(0); burn(.002, *thread, i)
        burn(.002, *thread); await asyncio.sleep(0)
async def both(): await asyncio.gather(job(5), job(6))
def of_thread(i):
    global thread
    s = begin(str(i).encode()) if i else 0
    thread = (i,) if i else ()
    asyncio.run(both())
    end(s)
    burn(.004)
of_thread(7)
of_thread(0)
t = threading.Thread(target=of_thread, args=(8,)); s = begin(b'9'); t.start(); t.join(); end(s)
burn(.01)
""", lambda p: ways(p, "in_") >= {(), *[tuple(f"span {i}" for i in w.split()) for w in ("1 2", "1 3 2", "1 3 2 4", "2", "7 5", "7 6", "7", "5", "8 6")]},
              SPPROF_OUT="p.json", SPPROF_INTERVAL="1ms")


@case
def c_names_and_limits(b):
    """What a name may be, 16 deep and 1,000 that differ; what is deeper or more ends as it should."""
    e = "\u00e9" * 55
    deep = tuple(f"span d{i}" for i in range(16))
    seen = []

    def enough(p):
        seen[:] = [ways(p, "in_x")]
        return seen[0] >= {("span " + e,), ("span x" + e,), ("span ",), deep, deep[:15], (), ("(other spans)",), ("span 900",)}
    run_until(b, """
def named(name):
    s = begin(name); burn(.02, 'x'); end(s)
assert begin(None) == 0
end(0); end(1); end((1 << 64) - 1)
long = '\u00e9' * 80
named(long.encode()); named(b'x' + long.encode()); named(b''); named(b'a\\nb;c\\xff')
tokens = [begin(f'd{i}'.encode()) for i in range(300)]
assert len(set(tokens)) > 250 and 0 not in tokens
burn(.02, 'x')
for t in reversed(tokens[17:]): end(t)
burn(.02, 'x')
end(tokens[16]); end(tokens[15])
burn(.02, 'x')
end(tokens[20]); end(tokens[15])
end(tokens[0])
burn(.02)
for i in range(1200): end(begin(str(i).encode()))
named(b'1100'); named(b'900')
s = begin(b'1101'); t = begin(b'900'); burn(.02, 'x'); end(t); burn(.02, 'x'); end(s)
burn(.02, 'x')
""", enough, SPPROF_OUT="p.json", SPPROF_INTERVAL="1ms")
    assert {w for w in seen[0] if w[:1] == ("(other spans)",)} == {("(other spans)",)} and not any("span 1100" in w for w in seen[0]), seen


if __name__ == "__main__":
    sys.exit(main())
