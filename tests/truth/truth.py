#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Truth: programs whose shares, stacks and CPU are known beforehand."""
import math
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import BUSY, CASES, Skip, case, main  # noqa: E402,F401


def need_frames(b):
    if not b.known:
        raise Skip("this version's frames are not known")


SHARES = """
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
while clock() < end:
    random.shuffle(deck)
    for f in deck:
        t = clock(); f(); spent[f] += clock() - t
for f, ns in spent.items(): print(f.__name__, ns)
"""


@case
def shares(b):
    """60/25/10/4/1 %, in calls of 20 us, 1 ms and 50 ms, shuffled: within the binomial limit of the samples."""
    need_frames(b)
    for call_us, seconds in ((20, 3), (1000, 3), (50000, 5)):
        r = b.run(SHARES, call_us, seconds, SPPROF_INTERVAL="4ms")
        p = r.profile()
        true = {n: int(ns) for n, ns in (line.split() for line in r.out.splitlines())}
        whole, n = sum(true.values()), p.block["samples"]
        seen = p.total_ns()
        seen_whole = sum(seen[f] for f in true)
        assert n > 300, p.block
        for f, ns in true.items():
            share, got = ns / whole, seen[f] / seen_whole
            # a long call catches several samples in a row: as many independent ones as there are calls, at most
            independent = min(n, whole / (call_us * 1000))
            limit = 4.5 * math.sqrt(share * (1 - share) / independent) + 0.004
            assert abs(got - share) <= limit, (call_us, f, share, got, limit, n)


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


@case
def exact_stacks(b):
    """Every possible stack is known: none impossible, none without its caller."""
    need_frames(b)
    seconds = float(os.environ.get("SPPROF_TEST_EXACT", "4"))
    p = b.run(EXACT, seconds, SPPROF_INTERVAL="1ms").profile()
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
    assert p.block["samples"] > 200 * seconds * 0.7 and lost <= 3 + 0.002 * p.block["samples"], p.block


ACCOUNT = BUSY + """
import threading, sys, resource, json
n, ms = int(sys.argv[1]), float(sys.argv[2])
out = {}
def f(i):
    busy(ms / 1000)
    out['w%d' % i] = time.thread_time_ns()
for start in range(0, n, 50):
    ts = [threading.Thread(target=f, args=(i,), name='w%d' % i) for i in range(start, min(start + 50, n))]
    for t in ts: t.start()
    for t in ts: t.join()
out['main'] = time.thread_time_ns()
print(json.dumps(out)); sys.stdout.flush()
print(time.process_time_ns())
"""


@case
def accounting(b):
    """CPU by thread of 2 ms and more, and of the process, within 1 % of the program's own reading."""
    import json
    for n, ms, interval in ((4, 100, "10ms"), (300, 6, "10ms"), (1000, 0.1, "10ms"), (4, 100, "100us"), (4, 100, "1s")):
        r = b.run(ACCOUNT, n, ms, SPPROF_INTERVAL=interval)
        first, second = r.out.splitlines()
        own, process = json.loads(first), int(second)
        p = r.profile()
        # what the interpreter uses after the last reading and before our start is not in it
        used = p.block["cpu"]["used"] + p.block["cpu"]["before_start"]
        assert process <= used * 1.01 and used - process < 0.01 * process + 40e6, (n, ms, interval, process, used)
        if ms >= 2:
            threads = {t["name"]: t["cpu"] for t in p.block["threads"] if "name" in t}
            # beyond 200 they are together. A virtual machine that was held up in a thread's last microseconds counts as CPU
            # after that thread's own reading: one in a hundred may be off by that, in the one direction.
            off = [(name, threads[name], ns) for name, ns in own.items() if name in threads and
                   abs(threads[name] - ns) > 0.01 * ns + 400e3]
            assert len(off) <= len(own) / 100 and all(seen > ns for _, seen, ns in off), off
        assert p.block["cpu"]["thread_start_end"] <= 0.08 * used + 5e6, p.block["cpu"]


@case
def interval_does_not_change_totals(b):
    shares = []
    for interval in ("100us", "1ms", "10ms", "50ms"):
        # irregular lengths: a program in step with the clock's tick would be seen at the same places only
        p = b.run(BUSY + "import random\nrandom.seed(3)\ndef hot(s): busy(s)\ndef cold(s): busy(s)\nfor i in range(160):\n"
                  "    s = random.uniform(0.001, 0.004)\n    hot(3 * s); cold(s)\n", SPPROF_INTERVAL=interval).profile()
        assert 1.5e9 <= p.total() <= 1.9e9, (interval, p.total())
        if b.known:
            shares.append(p.total_ns()["hot"] / max(1, p.total_ns()["hot"] + p.total_ns()["cold"]))
    assert all(abs(s - 0.75) < 0.12 for s in shares[:3]), shares


if __name__ == "__main__":
    sys.exit(main())
