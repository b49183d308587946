#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""spprof.span() and tag(): each stack begins with the spans that its code ran in, and with no other."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from lives import lives  # noqa: E402
from pprof import Pprof  # noqa: E402
from sp import BUSY, CASES, Skip, case, main  # noqa: E402,F401

# in_7() runs in span 7 alone, in_0() in none, in_7_8() in 8 in 7.
TRUTH = """
import asyncio, contextlib, contextvars, sys, threading, time
import spprof
def f(way):
    name = "in_" + "_".join(map(str, way or [0]))
    exec(f"def {name}(s):\\n end = time.thread_time() + s\\n while time.thread_time() < end: pass", globals())
    return globals()[name]
known = {}
def burn(s, *way):
    if way not in known: known[way] = f(way)
    known[way](s)
def span(i): return spprof.span(str(i))
"""

CONTEXTS = TRUTH + """
async def job(i):
    for _ in range(8):
        with span(i):
            burn(.002, i); await asyncio.sleep(0); burn(.002, i)
            with span(i + 10): burn(.002, i, i + 10); await asyncio.sleep(0); burn(.002, i, i + 10)
            burn(.002, i)
        burn(.002); await asyncio.sleep(0)
async def child(i): burn(.003, i); await asyncio.sleep(0); burn(.003, i)
async def parent(i):
    with span(i):
        await asyncio.gather(*[child(i) for _ in range(3)])
        run = contextvars.copy_context().run
        await asyncio.get_running_loop().run_in_executor(None, run, burn, .01, i)
    burn(.003)
async def everybody():
    await asyncio.gather(*[job(i) for i in range(1, 5)], *[parent(i) for i in (5, 6)])
asyncio.run(everybody())

def thread(i):
    burn(.003)
    for _ in range(5):
        with span(i), contextlib.ExitStack() as stack:
            stack.enter_context(span(i + 1)); burn(.005, i, i + 1)
        burn(.003)
with span(30): # threads are in none
    threads = [threading.Thread(target=thread, args=(i,)) for i in (40, 50)] if INHERITS == 0 else []
    for t in threads: t.start()
    for t in threads: t.join()
    burn(.01, 30)

others = [contextvars.ContextVar(str(i)) for i in range(400)]
def many():
    for i, v in enumerate(others): v.set(i)
    for i in range(60, 70):
        with span(i):
            burn(.002, i)
            for v in others[i::30]: v.set(i)
            burn(.002, i)
        burn(.001)
contextvars.copy_context().run(many)

def raises():
    with span(71): burn(.005, 71); raise KeyError
try: raises()
except KeyError: burn(.005)
shared = span(72)
def again(n):
    with shared:
        if n: again(n - 1); burn(.003, *[72] * (3 - n))
        else: burn(.003, 72, 72, 72)
again(2); burn(.005)
def generates():
    with span(73): yield; burn(.003, 73)
for _ in generates(): burn(.003, 73)
burn(.005)
g = generates(); next(g)
with span(74): burn(.003, 73, 74); g.close()
burn(.005)
"""


def way_of(stack):
    """Of the frames: the spans that it begins with, and what the function says."""
    spans = []
    for f in stack:
        if not f.startswith("span "):
            break
        spans.append(f[5:])
    assert not any(f.startswith("span ") for f in stack[len(spans):]), stack
    said = [m.group(1).split("_") for m in (re.fullmatch(r"in_([\d_]+)", f) for f in stack) if m]
    return spans, [] if said == [["0"]] else said[0] if said else None


@case(where="all")
def of_each_stack(b):
    """Tasks that take turns, their children, executors, threads, 400 variables beside, errors, generators: no stack in a wrong one."""
    if not b.known:
        raise Skip("there is no module")
    inherits = b.free_threaded and b.version >= (3, 14)
    r = b.run(CONTEXTS.replace("INHERITS", str(int(inherits))), SPPROF_OUT="p.json", SPPROF_INTERVAL="1ms")
    assert r.err == "", r.err
    seen = 0
    for s in r.profile().stacks():
        spans, said = way_of(s)
        if said is not None:
            assert spans == said, (spans, said, s)
            seen += bool(spans)
        else: # on the way in or out
            assert len(spans) <= 3
    assert seen > 8, seen  # 30 where the machine is quiet


@case
def names_and_limits(b):
    """What a name may be; the first thousand are told apart; one inside sixteen others is the sixteenth."""
    r = b.run(TRUTH + """
for bad in (None, 3, b"x"):
    try: spprof.span(bad)
    except TypeError as e: assert "must be a str" in str(e), e
    else: raise AssertionError
class Odd:
    def __format__(self, spec): return "formatted"
    def __str__(self): return "as str"
class Bad:
    def __str__(self): raise KeyError
class Name(str):
    __hash__ = None
    def encode(self, *a): raise KeyError
def named(name, /, **tags):
    with spprof.span(name, **tags): burn(.02)
named("a", name=1, self="b"); named("odd", odd=Odd(), bad=Bad()); named("\\udcff\\0\\n"); named("\\u00e9" * 100); named("")
with spprof.span("outer", a=1):
    spprof.tag(b=[2], a=3)
    burn(.02)
    with spprof.span("inner"): burn(.02)
spprof.tag(alone=1)
burn(.02)
spprof.tag()
def deep(n):
    with spprof.span(f"d{n}"): deep(n - 1) if n else burn(.02)
contextvars.Context().run(deep, 20)
for i in range(1200): named(str(i)) if i in (1, 900, 1100) else spprof.span(str(i)).__enter__().__exit__()
with spprof.span("1100"):
    with spprof.span("1"): burn(.02)
burn(.02)
contextvars.Context().run(named, "1100")
named(Name("a"), name=1, self="b")
print(len(spprof.span._spans.numbers))
""", SPPROF_OUT="p.json", SPPROF_INTERVAL="1ms")
    assert r.err == "" and int(r.out) == 1000, (r.out, r.err)
    ways = {tuple(f for f in s if f.startswith(("span", "(other spans)"))) for s in r.profile().stacks() if s[-1].startswith("in_")}
    one = lambda name: [w for w in ways if w == (name,)]  # noqa: E731
    alone = "span alone=1"
    assert one("span a name=1 self=b") and one("span ") and one("span odd odd=as str bad=(KeyError)"), ways
    assert ("span outer a=3 b=[2]", "span inner") in ways, ways
    assert one("span " + "\u00e9" * 55) and any(w and w[0].startswith("span \\udcff") for w in ways), ways
    assert (alone, "span 1") in ways and (alone, "span 900") in ways and one("(other spans)"), ways
    assert not [w for w in ways if "span 1100" in w] and one(alone), ways
    assert tuple(f"span d{i}" for i in range(20, 4, -1)) in ways, ways


@case
def whole_lives(b):
    """What is waited for stands in the span as well."""
    r = b.run(BUSY + """
import spprof, threading
def waits():
    with spprof.span("waits"): time.sleep(.1)
    time.sleep(.1)
waits()
t = threading.Thread(target=waits, name="other"); t.start(); t.join()
""", SPPROF_OUT="p.json", SPPROF_WALL=1)
    stacks = lives(r.profile())
    for thread in ("MainThread", "other"):
        off = {s[0] == "span waits" for s in stacks[thread] if "waits" in s and s[-1].startswith("(waiting")}
        assert off == {True, False}, stacks[thread]


@case
def labels(b):
    """In pprof's files: each span of a stack, and the task in it."""
    if b.version < (3, 14) or b.free_threaded:
        raise Skip("tasks are told from 3.14 on, with a GIL")
    r = b.run(BUSY + """
import spprof, asyncio
async def main():
    with spprof.span("outer"), spprof.span("inner", n=1): busy(.1)
asyncio.run(main())
""", SPPROF_OUT="p.pb.gz", SPPROF_TASKS=1)
    q = Pprof(os.path.join(r.directory, "p.pb.gz"))
    inside = [s for s in q.samples if s.stack[0].name == "span outer"]
    assert inside and all(s.labels["span"] == ["outer", "inner n=1"] and s.labels["task"] == "Task-1" for s in inside), q.samples


@case
def in_children(b):
    """A fork child is in the span that its parent's thread was in."""
    r = b.run(BUSY + """
import os, spprof
def child(): busy(.1)
with spprof.span("parent"):
    pid = os.fork()
    if not pid:
        child()
        with spprof.span("own"): child()
        os._exit(0)
    os.waitpid(pid, 0)
""", SPPROF_OUT="p-%p.json")
    stacks = [s for p in r.profiles() for s in p.stacks() if "child" in s]
    assert {s[:2] for s in stacks} == {("span parent", "<module>"), ("span parent", "span own")}, stacks


@case
def imported_anew(b):
    """Who has the module from before, and who imports it again: one variable, and the numbers are the same."""
    r = b.run(TRUTH + """
from spprof import span as old
for i in range(30):
    del sys.modules["spprof"]
    import spprof
    with old("7"):
        burn(.02, 7)
        with span(8): burn(.02, 7, 8)
    burn(.01)
numbers = {spprof.span._spans.number(None, str(i), {}) for i in range(30)}
assert numbers == {old._spans.number(None, str(i), {}) for i in range(30)}
""", SPPROF_OUT="p.json")
    assert r.err == "", r.err
    for s in r.profile().stacks():
        spans, said = way_of(s)
        assert said is None or spans == said, s


@case(where="few")
def at_the_end(b):
    """Daemon threads, generators and __del__() are in spans while the interpreter ends."""
    for _ in range(5):
        r = b.run(TRUTH + """
def daemon():
    while True:
        with span(1): burn(.001, 1)
def waits():
    with span(2): yield
class Last:
    def __init__(self): self.me = self
    def __del__(self, span=spprof.span, tag=spprof.tag):
        with span("del"): tag(a=1)
for _ in range(4): threading.Thread(target=daemon, daemon=True).start()
last, waiting = Last(), waits()
next(waiting)
del last.me
time.sleep(.05)
""", SPPROF_OUT="p.json", timeout=60)
        assert r.err == "", r.err


@case
def where_nothing_is_loaded(b):
    """What an installed package has of it does nothing: a program that has spans runs anywhere."""
    r = b.run(f"""
import sys
sys.path.insert(0, {os.path.join(b.build, "inject", "python")!r})
import spprof
with spprof.span("a", b=1): spprof.tag(c=2)
spprof.tag(d=3)
try: spprof.span(1)
except TypeError: print("none")
""", preload=False)
    assert r.out == "none\n" and not r.err, r


@case
def in_sub_interpreters(b):
    """Each interpreter has a variable of its own, of however many; their numbers are the same."""
    r = b.run(BUSY + """
try: import _interpreters as interpreters
except ImportError: import _xxsubinterpreters as interpreters
import spprof
code = '''
import time, spprof
def busy(s):
    end = time.thread_time() + s
    while time.thread_time() < end: pass
def within(): busy(.1)
with spprof.span("of the other"): within()
within()
'''
with spprof.span("main"):
    for n in range(40):
        i = interpreters.create()
        assert not interpreters.run_string(i, code.replace(".1", ".1" if n % 20 > 17 else ".0001"))
        interpreters.destroy(i)
    busy(.1)
assert spprof.span._spans.number(None, "next", {}) == (1 << 20) + 3
""", SPPROF_OUT="p.json")
    assert r.err == "", r.err
    stacks = set(r.profile().stacks())
    inside = {s[0] for s in stacks if "within" in s}
    assert inside >= {"span of the other", "<module>"} and "span main" not in inside, stacks
    assert any(s[0] == "span main" and s[-1] == "busy" for s in stacks), stacks


if __name__ == "__main__":
    sys.exit(main())
