#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Truth: programs whose shares, stacks and CPU are known beforehand."""
import json
import math
import os
import resource
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import BUSY, CASES, Skip, case, main, share_bound, telling  # noqa: E402,F401


def need_frames(b):
    if not b.known:
        raise Skip("this version's frames are not known")


# Each call through another of eight functions: samples of two calls in a row are two entries of the file, with their weights.
MARKS = """
marks = {}
for k in range(8): exec("def m%d(f, *args): f(*args)" % k, marks)
marks = [marks["m%d" % k] for k in range(8)]
"""
SHARES = MARKS + """
import random, sys, time
call_us, seconds = int(sys.argv[1]), float(sys.argv[2])
clock = time.thread_time_ns
def spin(ns):
    end = clock() + ns
    while clock() < end: pass
def s60(): spin(call_us * 1000)
def s25(): spin(call_us * 1000)
def s10(): spin(call_us * 1000)
def s4(): spin(call_us * 1000)
def s1(): spin(call_us * 1000)
deck = [s60] * 60 + [s25] * 25 + [s10] * 10 + [s4] * 4 + [s1]
random.seed(7)
spent = {f: 0 for f in deck}
end = clock() + int(seconds * 1e9)
k = 0
while clock() < end:
    random.shuffle(deck)
    for f in deck:
        k = (k + 1) % 8
        mark = marks[k]
        t = clock(); mark(f); spent[f] += clock() - t
for f, ns in spent.items(): print(f.__name__, ns)
"""


@case(where="few")
def shares(b):
    """60/25/10/4/1 %, in calls of 20 us, 1 ms and 50 ms, shuffled: within the statistical limit of the samples."""
    need_frames(b)
    def run(scale):
        nonlocal r
        r = b.run(SHARES, call_us, seconds * scale, timeout=280, SPPROF_INTERVAL="4ms")
        return r.profile()
    for call_us, seconds in ((20, 3), (1000, 3), (50000, 5)):
        r = None
        p, _ = telling(run, lambda p: p.block["samples"] > 300, most=4)
        true = {n: int(ns) for n, ns in (line.split() for line in r.out.splitlines())}
        whole, seen = sum(true.values()), p.total_ns()
        seen_whole = sum(seen[f] for f in true)
        for f, ns in true.items():
            share, got = ns / whole, seen[f] / seen_whole
            limit = share_bound(p.independent(), share)
            # Of a long call only its two ends are left to chance: the sample after each belongs to another function in part.
            ends = 2 * ns / (call_us * 1000) + 2
            by_ends = 2 * p.period_ns * math.sqrt(math.log(2e6) / 2 * ends) / whole + (1 - p.block["prompt"])
            assert abs(got - share) <= min(limit, by_ends), (call_us, f, share, got, limit, by_ends, p.block["samples"])


EXACT = """
import sys, time, asyncio, functools
end = time.thread_time() + float(sys.argv[1])
def a0(): return b0() + c0()
def b0(): return leaf()
def c0(): return leaf()
def leaf():
    s = 0
    for i in range(30): s += i
    return s
def g1():
    for i in range(3): yield g_leaf()
def g_leaf(): return leaf()
def g2():
    yield from g1()
async def co1(): return await co2()
async def co2(): return co_leaf()
def co_leaf(): return leaf()
class P:
    def __init__(self): self.v = init_leaf()
    @property
    def p(self): return prop_leaf()
    def __del__(self): del_leaf()
def init_leaf(): return leaf()
def prop_leaf(): return leaf()
def del_leaf(): return leaf()
def key(x): return key_leaf()
def key_leaf(): return leaf()
def exc1():
    try: exc2()
    except KeyError: handler()
def exc2(): raise KeyError(leaf())
def handler(): leaf()
def make():
    class Body:
        x = body_leaf()
    return Body
def body_leaf(): return leaf()
ns = {'leaf': leaf}
exec("def ex1(): return ex2()\\ndef ex2(): return leaf()\\n", ns)
ex1 = ns['ex1']
def comp(): return sum([comp_leaf() for i in range(3)])
def comp_leaf(): return leaf()
def drive():
    c = co1()
    try: c.send(None)
    except StopIteration: pass
def rec(n): return rec(n - 1) if n else leaf()
def entry():
    while time.thread_time() < end:
        a0(); list(g2()); drive(); P().p; sorted([1, 2], key=key); exc1(); make(); ex1(); comp(); rec(20)
entry()
"""
# who may call whom; a name's own entry lists its callers
CALLERS = {
    "entry": {"<module>"}, "a0": {"entry"}, "b0": {"a0"}, "c0": {"a0"}, "g2": {"entry"}, "g1": {"g2"}, "g_leaf": {"g1"},
    "drive": {"entry"}, "co1": {"drive"}, "co2": {"co1"}, "co_leaf": {"co2"},
    "P.__init__": {"entry"}, "P.p": {"entry"}, "P.__del__": {"entry"},
    "init_leaf": {"P.__init__"}, "prop_leaf": {"P.p"}, "del_leaf": {"P.__del__"}, "key": {"entry"}, "key_leaf": {"key"},
    "exc1": {"entry"}, "exc2": {"exc1"}, "handler": {"exc1"}, "make": {"entry"}, "make.<locals>.Body": {"make"},
    "body_leaf": {"make.<locals>.Body"}, "ex1": {"entry"}, "ex2": {"ex1"}, "comp": {"entry"},
    "comp.<locals>.<listcomp>": {"comp"}, "comp_leaf": {"comp", "comp.<locals>.<listcomp>"}, "rec": {"entry", "rec"},
    "leaf": {"b0", "c0", "g_leaf", "co_leaf", "init_leaf", "prop_leaf", "del_leaf", "key_leaf", "exc2", "handler", "body_leaf",
             "ex2", "comp_leaf", "rec"},
}
SHORT = {"__init__": "P.__init__", "p": "P.p", "__del__": "P.__del__", "Body": "make.<locals>.Body",
         "<listcomp>": "comp.<locals>.<listcomp>"}


@case(where="all")
def exact_stacks(b):
    """Every possible stack is known: none impossible, none without its caller."""
    need_frames(b)
    seconds = float(os.environ.get("SPPROF_TEST_EXACT", "2"))
    p, _ = telling(lambda scale: b.run(EXACT, seconds * scale, timeout=280, SPPROF_INTERVAL="1ms").profile(),
                   lambda p: p.block["samples"] > 150 * seconds)
    n = 0
    for stack in p.stacks():
        if "entry" not in stack:
            # the interpreter's own start and end
            assert not {"leaf", "rec", "a0", "drive", "comp"} & set(stack), stack
            continue
        names = [SHORT.get(s, s) if b.version < (3, 11) else s for s in stack]
        assert names[0] == "<module>", stack
        for caller, callee in zip(names, names[1:]):
            assert caller in CALLERS.get(callee, ()), (caller, callee, stack)
        n += 1
    assert n > 20, p.stacks()
    reasons = p.block["losses"]["unwalkable"]
    lost = sum(reasons.values()) - reasons.get("finalizing", 0)
    assert p.block["samples"] > 150 * seconds and lost <= 3 + 0.002 * p.block["samples"], p.block


ACCOUNT = BUSY + """
import os, threading, sys, json
n, ms = int(sys.argv[1]), float(sys.argv[2])
out = {}
def f(i):
    busy(ms / 1000)
    out['w%d' % i] = time.thread_time_ns()
for start in range(0, n, 50):
    ts = [threading.Thread(target=f, args=(i,), name='w%d' % i) for i in range(start, min(start + 50, n))]
    for t in ts: t.start()
    for t in ts: t.join()
while len(os.listdir('/proc/self/task')) > 1: time.sleep(0.001) # a thread's end comes after what join() waits for
main, process = time.thread_time_ns(), time.process_time_ns()
print(json.dumps([out, main, process]))
"""


def children_ns():
    """CPU of the children that were waited for, by the kernel."""
    u = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round((u.ru_utime + u.ru_stime) * 1e9)


def run_counted(b, *args, **kw):
    """-> what it did, its profile, its CPU by the kernel, from its fork to its end."""
    before = children_ns()
    r = b.run(*args, **kw)
    return r, r.profile(), children_ns() - before


GRAIN_NS = 500000  # the process's CPU and its threads' are not read at one instant


@case(where="few")
def accounting(b):
    """CPU by thread and of the process: never less than the program's own reading, nor more than the kernel's."""
    for n, ms, interval in ((4, 100, "10ms"), (300, 6, "10ms"), (1000, 0.1, "10ms"), (4, 100, "100us"), (4, 100, "1s")):
        r, p, total = run_counted(b, ACCOUNT, n, ms, SPPROF_INTERVAL=interval)
        own, main_thread, process = json.loads(r.out)
        cpu = p.block["cpu"]
        # what the interpreter used before our start is not in it
        used = cpu["used"] + cpu["before_start"]
        assert process <= used + GRAIN_NS and used <= total + GRAIN_NS, (n, ms, interval, process, used, total)
        # what the threads used after their own last reading, by the program; beyond 200 they are together
        after = process - main_thread - sum(own.values())
        more = [t["cpu"] - own[t["name"]] for t in p.block["threads"] if t.get("name") in own]
        assert len(more) >= min(n, 190) and min(more) >= -20000 and sum(more) <= after + GRAIN_NS, (n, ms, interval, min(more), sum(more), after)
        assert cpu["thread_start_end"] <= after + total - process + GRAIN_NS, (cpu, after, total, process)


STEADY = MARKS + BUSY + """
import random
random.seed(3)
def hot(s): busy(s)
def cold(s): busy(s)
for i in range(160):
    s = random.uniform(0.001, 0.004)  # a program in step with the clock's tick would be seen at the same places only
    marks[i % 8](hot, 3 * s); marks[i % 8](cold, s)
print(time.process_time_ns())
"""


@case(where="few")
def interval_does_not_change_totals(b):
    for interval in ("100us", "1ms", "10ms", "50ms"):
        r, p, total = run_counted(b, STEADY, SPPROF_INTERVAL=interval)
        used = p.block["cpu"]["used"] + p.block["cpu"]["before_start"]
        assert int(r.out) <= used + GRAIN_NS and used <= total + GRAIN_NS, (interval, used, r.out, total)
        if b.known:
            hot, cold = p.total_ns()["hot"], p.total_ns()["cold"]
            share, limit = hot / max(1, hot + cold), share_bound(p.independent(), 0.75)
            assert abs(share - 0.75) <= limit, (interval, share, limit, p.block)


if __name__ == "__main__":
    sys.exit(main())
