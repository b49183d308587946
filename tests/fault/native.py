#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Native stacks: after every machine instruction the walk is what calls and returns made of the stack, and what libunwind says."""
import argparse
import json
import os
import platform
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import CASES, Skip, case, main  # noqa: E402,F401

# Of each part the first instructions, some rounds long.
PROGRAM = r'''
import ctypes, sys, json, re, hashlib, zlib, time, struct, functools, itertools, random, decimal, collections
lib = ctypes.PyDLL(sys.argv[1]); steps, every = int(sys.argv[3]), int(sys.argv[4])
class Result(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint64) for n in ("steps", "right", "too_short", "wrong", "table_faults", "jit", "moved")] + [
        ("ends", ctypes.c_uint64 * 8)] + [(n, ctypes.c_uint64) for n in ("asked", "differing", "frames", "misses", "by_fp")] + [
        ("first", ctypes.c_char * 1024)]
lib.native_start.argtypes = [ctypes.c_uint64]; lib.native_start.restype = None
lib.native_stop.argtypes = [ctypes.POINTER(Result)]; lib.native_stop.restype = None
lib.native_prepare.argtypes = [ctypes.c_void_p, ctypes.c_uint64]
other = ctypes.cast(ctypes.CDLL(sys.argv[2]).native_oracle, ctypes.c_void_p) if sys.argv[2] else None
@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
def order(a, b): return a[0] - b[0]
libc = ctypes.CDLL(None)
class C:
    def __init__(self, v): self.v = v
    def __eq__(self, o): return self.v == o.v
    def __hash__(self): return hash(self.v)
    def __lt__(self, o): return self.v < o.v
    def __getattr__(self, n): raise AttributeError(n)
    def __del__(self): list(gen(1))
    def __enter__(self): return self
    def __exit__(self, *a): return True
    def __call__(self, *a): return sorted(a)
def gen(n):
    for i in range(n): yield i
def deep(n): return deep(n - 1) if n else sum(gen(3))
def raises(n):
    if n: raises(n - 1)
    raise ValueError(n)
text = 'the quick brown fox 12 jumps over 345 lazy dogs ' * 2
numbers = [random.random() for i in range(40)]
def parts():
    yield lambda k: json.loads(json.dumps({'a': [1, 2.5, 'x\u1234', None, {'b': [k]}]}, indent=1))
    yield lambda k: re.sub(r'(\w+) (\d+)', lambda m: m.group(2), text)
    yield lambda k: [hashlib.new(n, b'x' * 150).hexdigest() for n in ('sha1', 'sha256', 'sha512', 'md5', 'blake2b', 'sha3_256')]
    yield lambda k: zlib.decompress(zlib.compress(text.encode()))
    yield lambda k: sorted(numbers, key=lambda x: -x)
    yield lambda k: (sorted(C(i % 5) for i in range(7)), {C(i) for i in range(4)}, getattr(C(1), 'missing', 0))
    yield lambda k: deep(20)
    yield guarded
    yield lambda k: exec('def f(a):\n class L: x = [a for a in (1, 2)]\n return L\nf(1)', {})
    yield lambda k: (time.time(), time.monotonic(), time.thread_time(), time.gmtime())
    yield lambda k: libc.qsort((ctypes.c_int * 6)(3, 1, 2, 9, 0, k), 6, 4, order)
    yield lambda k: (str(decimal.Decimal(k) / 7), '%.9g' % (k / 7), float('1.2345e-7'), divmod(10 ** 40 + k, 10 ** 19), pow(3, 200, 10 ** 30 + k))
    yield lambda k: (struct.pack('<Qd', k, 1.5), functools.reduce(lambda a, b: a + b, gen(5)), list(itertools.permutations('abc', 2)))
    yield lambda k: (collections.Counter(text), text.encode('utf-16').decode('utf-16'), text.split(), ''.join(reversed(text)))
    yield lambda k: getattr(libc, ('labs', 'abs', 'atoi', 'toupper', 'ffs', 'isalpha')[k % 6])
def guarded(k):
    with C(1): raises(2)
    try: raises(3)
    except ValueError: deep(2)
    finally: list(gen(2))
parts = list(parts())
assert lib.native_prepare(other, every) == 0
r = Result()
budget = steps // 3 // len(parts)
for k in range(10**6):  # in the first round names are bound when they are called
    for p in parts:
        lib.native_start(budget); p(k); lib.native_stop(ctypes.byref(r))
    if r.steps >= steps * 0.9: break
print(json.dumps({f[0]: getattr(r, f[0]) for f in Result._fields_ if f[0] not in ('ends', 'first')}), list(r.ends), r.first.decode(), sep='\n')
'''


def stepped(b, oracle, steps, every):
    r = b.run(PROGRAM, os.path.join(b.build, "tests/fault/libnative_step.so"), oracle, steps, every, preload=False, timeout=3000)
    print(r.out.strip())
    return argparse.Namespace(**json.loads(r.out.splitlines()[0]))


@case
def native_singlestep(b):
    if platform.machine() != "x86_64":
        raise Skip("the trap flag is x86-64's")
    steps = int(os.environ.get("SPPROF_TEST_STEPS", "60000"))
    r = stepped(b, "", steps, 1)
    assert r.steps > 0.8 * steps and r.too_short == 0 and r.wrong == 0, "not what calls and returns made of it"
    assert r.right + r.table_faults + r.jit > 0.99 * r.steps
    assert r.table_faults < r.steps // 10000 and r.jit < 0.01 * r.steps and r.moved < 0.2 * r.steps


@case(where="few")
def native_oracle(b):
    if platform.machine() != "x86_64":
        raise Skip("the trap flag is x86-64's")
    oracle = os.path.join(b.build, "tests/fault/libnative_oracle.so")
    if not os.path.exists(oracle):
        raise Skip("no libunwind (Debian: libunwind-dev)")
    steps = int(os.environ.get("SPPROF_TEST_STEPS", "20000"))
    r = stepped(b, oracle, steps, 7)
    assert r.asked > steps // 10 and r.differing == 0, "libunwind says otherwise"


if __name__ == "__main__":
    sys.exit(main())
