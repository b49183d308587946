#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Timer stress: threads that make and drop code, raise, run generators, coroutines and the collector are walked at
arbitrary instants, thousands of times a second: no fault, no impossible stack. SPPROF_TEST_SAMPLES: how many."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import CASES, Skip, case, main  # noqa: E402,F401

PROGRAM = r'''
import asyncio, ctypes, gc, sys, threading, weakref
lib = ctypes.PyDLL(sys.argv[1]); want = int(sys.argv[2])
class Result(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint64) for n in ("samples", "accepted", "nested", "no_tstate", "impossible")] + [
        ("rejected", ctypes.c_uint64 * 9), ("example", ctypes.c_char * 512)]
lib.stress_start.argtypes = [ctypes.c_long]; lib.stress_result.argtypes = [ctypes.POINTER(Result)]; lib.stress_result.restype = None
lib.stress_stop.restype = None
def l3_plain(n): return sum(i for i in range(n))
def l3_raises(n):
    if n: return l3_more(n)
    raise KeyError
def l9_more(n):
    if n: return l9_more(n - 1)
    raise ValueError
l3_more = l9_more
def l2_exceptions(k):
    for i in range(5):
        try: l3_raises(3)
        except ValueError: l3_plain(5)
def l2_generators(k):
    def l3_gen(n):
        for i in range(n):
            yield sum([i])
    def l3_delegate(n):
        yield from l4_inner(n)
    def l4_inner(n):
        for i in range(n): yield i
    for i in l3_gen(20): pass
    list(l3_delegate(10))
    g = l3_gen(5); next(g); g.close()
def l2_code(k):
    ns = {}
    exec("def l3_made(n):\n return [l4_x(i) for i in range(n)]\ndef l4_x(i): return i\n" + "\n" * (k % 50), ns)
    ns["l3_made"](10)
def l2_objects(k):
    class Node:
        def __init__(self): self.me = self
        def __del__(self): l9_drop()
    for i in range(5): Node()
    if k % 20 == 0: gc.collect()
def l9_drop(): return sum((1, 2))
def l2_coroutines(k):
    async def l3_leaf(): return 1
    async def l3_co(): return await l4_wait()
    async def l4_wait(): return [i for i in range(10)]
    c = l3_co()
    try: c.send(None)
    except StopIteration: pass
def l2_deep(k):
    def l9_down(n): return l9_down(n - 1) if n else 0
    return l3_plain(2) + l9_down(100)
def l1_round(k):
    l2_exceptions(k); l2_generators(k); l2_code(k); l2_objects(k); l2_coroutines(k); l2_deep(k)
def l0_thread():
    assert lib.stress_start(interval) == 0
    k = 0
    while not done: l1_round(k); k += 1
    lib.stress_stop()
interval = 100000
done = False
assert lib.stress_prepare() == 0
threads = [threading.Thread(target=l0_thread) for _ in range(4)]
for t in threads: t.start()
r = Result()
import time
while True:
    time.sleep(0.1)
    lib.stress_result(ctypes.byref(r))
    if r.samples >= want or r.impossible: break
done = True
for t in threads: t.join()
print(r.samples, r.accepted, r.nested, r.no_tstate, r.impossible, list(r.rejected), r.example)
'''


@case(where="all")
def stress(b):
    if not b.known:
        raise Skip("this version's frames are not known")
    want = int(os.environ.get("SPPROF_TEST_SAMPLES", "20000"))
    r = b.run(PROGRAM, os.path.join(b.build, "tests/fault/libstress.so"), want, preload=False, timeout=3000)
    print(r.out.strip())
    samples, accepted, _, no_tstate, impossible = map(int, r.out.split()[:5])
    assert impossible == 0, r.out
    assert samples >= want and accepted > 0.99 * (samples - no_tstate), r.out


if __name__ == "__main__":
    sys.exit(main())
