#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The single-step proof: after every machine instruction the stack is possible, or rejected and counted; no fault."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import CASES, MACHINE, Skip, case, main  # noqa: E402,F401

# A context variable whose value begins with the number of a span, as the module's own.
SPANS = r'''
import contextvars
var, spans = contextvars.ContextVar("span"), [int("104857%d" % (6 + i)) for i in range(4)]
class Known(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint64) for n in ("context", "variable", "value")] + [
        ("hash", ctypes.c_int64), ("number", ctypes.c_uint64), ("number_is", ctypes.c_uint32)]
lib.step_learn.argtypes = [Known, ctypes.c_int]
def learn(context, others):
    for i in range(others): contextvars.ContextVar(str(i)).set(i)
    value = (spans[0], others); var.set(value)
    return lib.step_learn(Known(id(context), id(var), id(value), hash(var), id(spans[0]), spans[0]), others == 0)
for n in (0, 200):
    context = contextvars.Context()
    assert context.run(learn, context, n)
allowed, NONE = ctypes.c_uint32.in_dll(lib, "step_allowed"), 1 << 31
allowed.value = NONE
'''

PROGRAM = r'''
import ctypes, sys, asyncio, gc
lib = ctypes.PyDLL(sys.argv[1]); steps = int(sys.argv[2])
class Result(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint64) for n in ("steps", "accepted", "no_tstate", "jumps")] + [
        ("rejected", ctypes.c_uint64 * 9), ("deepest", ctypes.c_uint64), ("tasks", ctypes.c_uint64),
        ("wrong_tasks", ctypes.c_uint64), ("spans", ctypes.c_uint64), ("wrong_spans", ctypes.c_uint64), ("ending", ctypes.c_uint64), ("early", ctypes.c_uint64), ("back", ctypes.c_uint64),
        ("jump", ctypes.c_char * 512)]
lib.step_start.argtypes = [ctypes.c_uint64]; lib.step_start.restype = None
lib.step_stop.argtypes = [ctypes.POINTER(Result)]; lib.step_stop.restype = None
def plain(n): return n if n < 2 else plain(n - 1) + 1
def star(*a, **k): return plain(*a)
def gen(n):
    for i in range(n): yield plain(i % 3)
def delegating(n):
    yield from gen(n)
    return [x for x in gen(3)]
async def leaf(): return 1
async def co():
    for i in range(3): await leaf()
    async for x in agen(): pass
async def agen():
    yield 1
    yield await leaf()
async def tasks():
    a = loop.create_task(co()); b = loop.create_task(co())
    if hasattr(a, "set_name"): b.set_name("named-%d" % len(gc.get_count()))
    await a; await b; a.get_name()
others = []
def spanned(n):
    before, was = var.get(None), allowed.value
    allowed.value = was | 1 << n; var.set((spans[n], before)); allowed.value = 1 << n; plain(2)
    if n == 1:
        others.append(contextvars.ContextVar("o%d" % len(others))); others[-1].set(n)
        contextvars.copy_context().run(spanned, 2)
    allowed.value |= was; var.set(before); allowed.value = was
def drive(c):
    try:
        while True: c.send(None)
    except StopIteration: pass
class Base:
    def __init__(self, v): self.v = v; self.f = lambda: v
    def __del__(self): plain(1)
    def __iter__(self): return gen(2)
    def __getattr__(self, n): return plain(2)
    def __add__(self, o): return plain(1)
    def __call__(self, *a): return star(*a)
    def __enter__(self): return self
    def __exit__(self, *a): return True
    @property
    def p(self): return self.f()
class Sub(Base):
    def __init__(self, v): super().__init__(v)
def raises(n):
    if n: raises(n - 1)
    raise ValueError
def tries():
    try: raises(3)
    except ValueError: plain(1)
    finally: plain(1)
compiled = compile('def f(a):\n return [b for b in (1, 2)]\nf(1)\n', '<c>', 'exec')
def round(k):
    spanned(k % 2)
    if k % 2 == 0: loop.run_until_complete(tasks())
    deep(400 if k % 4 == 0 else 30)  # across the end of a chunk of the data stack
    plain(8); star(3, **{}); list(gen(4)); list(delegating(3)); drive(co())
    tries()
    s = Sub(3); s.p; s.missing; s + s; s(2); list(s); list(map(plain, [1, 2])); sorted([3, 1, 2], key=lambda x: -x)
    with s: raises(1)
    class Local(Base):
        x = [plain(i) for i in range(2)]
        def m(self): return super().__iter__()
    Local(1).m()
    ns = {}
    exec("def f(a):\n return [a for a in (1, 2)]\nf(1)\n" if k % 4 == 3 else compiled, ns)
    {plain(i): 1 for i in range(2)}; any(x > 5 for x in gen(3)); [*gen(2)]
    g = gen(3); next(g); g.close()
    a = []; a.append(a); a.append(Sub(1)); del a
    if k % 8 == 7: gc.collect()
def deep(n): return deep(n - 1) if n else plain(1)
def run():
    for k in range(3): round(k)
    lib.step_start(steps)
    for k in range(10**9):
        round(k)
        r = peek()
        if r >= steps: break
    print(k, end=' rounds: ')
r = Result()
loop = asyncio.new_event_loop()
counter = ctypes.c_uint64.in_dll(lib, "step_count")
def peek(): return counter.value
assert lib.step_prepare() == 0
''' + SPANS + r'''
run()
lib.step_stop(ctypes.byref(r))
print(r.steps, r.accepted, r.no_tstate, r.jumps, list(r.rejected), r.deepest, r.tasks, r.wrong_tasks, r.early, r.spans, r.wrong_spans, r.jump)
'''


@case(where="all")
def singlestep(b):
    if not b.known:
        raise Skip("this version's frames are not known")
    if MACHINE != "x86_64":
        raise Skip("the trap flag is x86-64's")
    steps = int(os.environ.get("SPPROF_TEST_STEPS", "700000"))
    r = b.run(PROGRAM, os.path.join(b.build, "tests/fault/libstep.so"), steps, preload=False, timeout=3000)
    n, accepted, no_tstate, jumps, deepest = map(int, r.out.replace("]", " ").split()[2:6] + [r.out.split("]")[1].split()[0]])
    print(r.out.strip())
    assert n >= steps, "fewer steps than asked"
    assert jumps == 0, r.out
    assert deepest > 400 or b.debug or "-O0" in b.python, "the chunk's end was not crossed: " + r.out
    assert accepted > 0.99 * n, r.out
    seen, wrong, early, spans, wrong_spans = map(int, r.out.split("]")[1].split()[1:6])
    assert spans > 0 and wrong_spans == 0, r.out
    assert early == 0, "before the end: " + r.out
    assert wrong == 0 and (seen > 0) == (b.version >= (3, 14) and not b.free_threaded), r.out


# Run with -S -E: few modules, so that all of the end can be stepped through.
THE_END = r'''
import ctypes, sys, atexit, gc
lib = ctypes.PyDLL(sys.argv[1])
assert lib.step_prepare() == 0
''' + SPANS + r'''
allowed.value = 1 << 3 | NONE; var.set((spans[3], None))
def plain(n): return n if n < 2 else plain(n - 1) + 1
def gen(n, plain=plain):
    for i in range(n): yield plain(i % 3)
class Base:
    def __init__(self): self.me = self
    def __del__(self, plain=plain, gen=gen, list=list):
        try: list(gen(3)); plain(4); raise KeyError
        except BaseException: plain(2)
atexit.register(lambda: (lib.step_some(), list(gen(4))))
ring, keep = Base(), Base(); del keep.me
sys.late = Base()
fun = {i: eval("lambda a: plain(a) + %d" % i) for i in range(20)}
waiting = gen(5); next(waiting)
class Stream:
    def __init__(self, f): self.f = f
    def write(self, s): self.f.write(s)
    def flush(self, plain=plain): plain(3)
sys.stderr = Stream(sys.stderr)
lib.step_to_the_end.argtypes = [ctypes.c_uint64]
lib.step_to_the_end(int(sys.argv[2]))
'''


@case
def the_whole_end(b):
    """The instructions of an interpreter's end (a sample of them, all in the nightly): no fault and no impossible stack while
    what is freed is overwritten."""
    if not b.known:
        raise Skip("this version's frames are not known")
    if MACHINE != "x86_64":
        raise Skip("the trap flag is x86-64's")
    burst = os.environ.get("SPPROF_TEST_STEPS_OF_END", "500")  # 0: all
    r = b.run(None, command=[b.python, "-S", "-E", b.write(THE_END, "end.py"), os.path.join(b.build, "tests/fault/libstep.so"), burst],
              preload=False, timeout=3000, MALLOC_PERTURB_="85")
    print(r.out.strip(), r.err.strip())
    steps, accepted, ending, jumps, bad_tstate, early, back, spans, wrong_spans = map(int, r.out.split()[:9])
    assert spans > 0 and wrong_spans == 0, r.out
    assert steps > 5000 and ending > 0.5 * steps and accepted > 0, r.out
    assert jumps == 0 and bad_tstate == 0, r.out
    assert early > 0 and back == 0, r.out


if __name__ == "__main__":
    sys.exit(main())
