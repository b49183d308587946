#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What is sampled: threads however created, native code, exact stacks, recursion, names, accounting."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import BUSY, CASES, TIMERS, Skip, case, main, need_frames, spent, telling  # noqa: E402,F401

UNKNOWN = "(python)"


def all_seen(p, more_than=0):
    return all(t["samples"] > more_than for t in p.block["threads"] if t["tid"] != p.block["pid"])


@case(where="all")
def basic(b):
    program = BUSY + "import sys\ndef f(): busy(0.4 * int(sys.argv[1]))\nf()\nprint('x')\n"
    p, scale = telling(lambda scale: b.run(program, scale).profile(), lambda p: p.block["samples"] >= 20)
    assert p.block["python"].startswith("%d.%d" % b.version) and ("no-GIL" in p.block["build"]) == b.free_threaded, p.block
    assert p.block["samples"] >= 20
    assert len(p.profiles) == 1
    name = ("<module>", "f", "busy") if b.known else (UNKNOWN,)
    assert p.stacks()[name] + p.doubt_ns() >= 0.4e9 * scale, (p.stacks(), p.block)


@case(where="few")
def hooks_before_constructor(b):
    """A library whose constructor runs before ours uses everything that we stand before."""
    r = b.run(BUSY + "busy(0.1)\nprint('fine')\n", preload=os.path.join(b.build, "tests/libearly.so"))
    assert r.out == "fine\n" and r.profile().total() > 0.1e9


@case
def huge_function(b):
    """A function of 40,000 lines: its line table is copied in steps, and lines are right."""
    need_frames(b)
    p = b.run("""
import time
lines = ["def f(x):"] + [" x = x + 1; y = [x, x, x]"] * 40000 + [" for i in range(3000000): pass"]
ns = {}
exec(compile("\\n".join(lines), "huge.py", "exec"), ns)
ns["f"](0)
for i in range(12): ns["f"](0)
""", SPPROF_INTERVAL="4ms", timeout=300).profile()
    index = [i for i, f in enumerate(p.frames) if f["name"] == "f"][0]
    rows = dict(p.block["lines"])[index]
    hot = max(rows, key=lambda row: row[1])
    assert hot[0] == 40002, (hot, len(rows))
    assert all(1 <= row[0] <= 40002 for row in rows)


@case(where="few")
def small_region(b):
    """1 MB: everything may fill up, and the sums stay exact (Profile checks them)."""
    p = b.run(BUSY + """
import threading
def churn(n):
    for i in range(60):
        ns = {}
        exec("def f%d_%d(d):\\n if d: return f%d_%d(d-1)\\n for i in range(20000): pass\\n" % (n, i, n, i), ns)
        ns["f%d_%d" % (n, i)](i)
for r in range(5):
    ts = [threading.Thread(target=churn, args=(100 * r + k,)) for k in range(8)]
    for t in ts: t.start()
    for t in ts: t.join()
""", SPPROF_MEMORY="1M", SPPROF_INTERVAL="1ms").profile()
    assert p.total() > 0.15e9


@case
def threads(b):
    need_frames(b)
    program = BUSY + """
import sys, threading, _thread, concurrent.futures as cf
busy(0.02) # as in many_threads
part = 0.05 * int(sys.argv[1])
class Named(threading.Thread):
    def run(self): busy(part)
ts = [threading.Thread(target=busy, args=(part,), name='plain-\\u20ac'), Named(name='sub'), threading.Thread(target=busy, args=(part,), daemon=True, name='dae')]
for t in ts: t.start()
done = _thread.allocate_lock(); done.acquire()
def raw():
    busy(part); done.release()
_thread.start_new_thread(raw, ())
with cf.ThreadPoolExecutor(2, thread_name_prefix='pool') as ex:
    list(ex.map(busy, [part] * 4))
for t in ts: t.join()
done.acquire()
"""
    p, scale = telling(lambda scale: b.run(program, scale).profile(), all_seen)
    names = [x["name"].split(" (tid")[0] for x in p.profiles]
    for want in ("plain-\u20ac", "sub", "dae", "pool_0"):
        assert want in names, names
    i = p.thread("plain-")
    assert any("busy" in s for s in p.stacks(i)), p.stacks(i)
    assert p.total_ns()["raw"] and spent(b, p, "raw") >= 0.05e9 * scale, (p.total_ns(), p.block)


@case
def name_property_is_not_run(b):
    need_frames(b)
    r = b.run("""
import threading
class Evil(threading.Thread):
    @property
    def _name(self):
        import traceback
        if any('start' == f.name for f in traceback.extract_stack()[:-1]) and armed: print('ran')
        return self.__dict__['_n']
    @_name.setter
    def _name(self, v): self.__dict__['_n'] = v
armed = False
t = Evil(name='x')
import sys
def trace(*a): pass
t.start(); t.join()
print('end')
""")
    assert r.out == "end\n", r.out


@case(where="few")
def many_threads(b):
    p = b.run(BUSY + """
import threading
busy(0.02) # 3.15.2's JIT crashes if threads find the same code hot at once (gh-157740)
go = threading.Event()
def f():
    go.wait(); busy(0.006)
ts = [threading.Thread(target=f) for i in range(300)]
for t in ts: t.start()
go.set()
for t in ts: t.join()
import time, os, resource
""").profile()
    seen = p.block["cpu"]
    assert len(p.profiles) <= 203
    assert any("other threads" in x["name"] for x in p.profiles)
    assert seen["thread_start_end"] < 0.1 * seen["used"], seen


@case(where="few")
def thread_churn(b):
    """Thousands one after another: slots, timers and mappings are reused."""
    threads = int(os.environ.get("SPPROF_TEST_CHURN", "1500"))
    r = b.run(f"""
import threading, os
def f():
    s = 0
    for i in range(1000): s += i
def maps(): return open('/proc/self/maps').read().count('\\n')
for i in range(300):
    t = threading.Thread(target=f); t.start(); t.join()
before = maps()
for i in range({threads}):
    t = threading.Thread(target=f); t.start(); t.join()
import time
until = time.time() + 60
while len(os.listdir('/proc/self/task')) > 1 and time.time() < until: time.sleep(0.01)
print(maps() - before, open('/proc/self/timers').read().count('ClockID:'), len(os.listdir('/proc/self/task')))
""")
    grown, timers, tasks = map(int, r.out.split())
    assert grown <= 20 and timers == TIMERS and tasks == 1, r.out
    p = r.profile()
    assert p.block["losses"]["no_slot"] == 0 and p.block["losses"]["timer_refused"] == 0


@case(where="all")
def c_threads(b):
    """Threads that C code makes: raw, detached, cancelled, pthread_exit, C11, tiny stack, all signals blocked."""
    program = """
import ctypes, sys
lib = ctypes.CDLL(sys.argv[1])
for kind in range(8):
    assert lib.spin_in_thread(kind, 60 * int(sys.argv[2])) == 0, kind
"""
    p, scale = telling(lambda scale: b.run(program, os.path.join(b.build, "tests/libspin.so"), scale).profile(),
                       all_seen)
    assert len(p.block["threads"]) == 9 and all_seen(p), p.block["threads"]
    native = p.block["cpu"]["native_thread"] if b.known else p.total_ns()[UNKNOWN]
    assert native + p.doubt_ns(0) >= 0.06e9 * 8 * scale, p.block
    assert p.block["cpu"]["thread_start_end"] < 0.1 * p.block["cpu"]["used"], p.block["cpu"]


@case(where="few")
def threads_that_linger(b):
    """A thread that has given up its slot and is still listed is not taken for a new one: its time would count twice."""
    r = b.run(BUSY + """
import ctypes, sys, threading, time
lib = ctypes.CDLL(sys.argv[1])
t = threading.Thread(target=busy, args=(1.9,)); t.start()
assert lib.spin_and_linger(300, 1600) == 0
t.join()
print(int(time.process_time() * 1e9))
""", os.path.join(b.build, "tests/libspin.so"))
    p, used = r.profile(), int(r.out)
    assert len(p.block["threads"]) == 3, p.block["threads"]
    assert p.block["cpu"]["not_sampled"] < 0.25e9 and p.total() < used + 0.25e9, (p.block["cpu"], used)


@case(where="few")
def main_thread_leaves(b):
    """pthread_exit in the main thread: the kernel lists it until the process ends."""
    r = b.run(BUSY + """
import ctypes, sys, threading, time
lib = ctypes.CDLL(sys.argv[1])
threading.Thread(target=busy, args=(1.5,)).start()
lib.spin_ms(300)
lib.leave_main_thread()
""", os.path.join(b.build, "tests/libspin.so"))
    p = r.profile()
    assert len(p.block["threads"]) == 2 and p.total() < 2.2e9, p.block
    assert p.block["cpu"]["not_sampled"] < 0.25e9, p.block["cpu"]


@case(where="few")
def sigev_thread(b):
    """Callbacks of SIGEV_THREAD timers: glibc starts their threads with every signal blocked."""
    r = b.run("""
import ctypes, sys, time
lib = ctypes.CDLL(sys.argv[1])
for i in range(3): assert lib.spin_in_sigev_thread(150) == 0
while lib.spins_done() < 3: time.sleep(0.01)
""", os.path.join(b.build, "tests/libspin.so"))
    p = r.profile()
    seen = p.block["cpu"]["native_thread"] if b.known else p.total_ns()[UNKNOWN]
    assert seen + p.doubt_ns(0) >= 0.45e9 and seen > 0, p.block


@case(where="few")
def raw_clone(b):
    """A thread that no hook can see is found by the look at the thread list, and its time is not lost."""
    r = b.run("""
import ctypes, sys, time
lib = ctypes.CDLL(sys.argv[1])
assert lib.spin_in_raw_clone(2000) == 0
main = time.thread_time()
while time.process_time() - time.thread_time() < 1.9: sum(range(1000))
print(int((time.thread_time() - main) * 1e9))
""", os.path.join(b.build, "tests/libspin.so"))
    p = r.profile()
    cpu = p.block["cpu"]
    native = cpu["native_thread"] if b.known else cpu["python"] - int(r.out)
    assert native + cpu["blocked"] > 0.2e9, cpu


@case
def native_code(b):
    """C code without the GIL shows its own thread's stack, never another's."""
    need_frames(b)
    program = BUSY + """
import ctypes, sys, threading, hashlib, zlib
lib, scale = ctypes.CDLL(sys.argv[1]), int(sys.argv[2])
def until(): return time.thread_time() + 0.25 * scale
def spin(): lib.spin_ms(250 * scale)
def digest():
    data, end = b'x' * 10_000_000, until()
    while time.thread_time() < end: hashlib.sha256(data).digest()
def crunch():
    data, end = bytes(range(256)) * 20_000, until()
    while time.thread_time() < end: zlib.compress(data, 9)
def python_only(): busy(0.25 * scale)
ts = [threading.Thread(target=f, name=f.__name__) for f in (spin, digest, crunch, python_only)]
for t in ts: t.start()
for t in ts: t.join()
"""
    p, scale = telling(lambda scale: b.run(program, os.path.join(b.build, "tests/libspin.so"), scale).profile(),
                       lambda p: all_seen(p, 8))
    for f in ("spin", "digest", "crunch", "python_only"):
        i = p.thread(f)
        for stack, ns in p.stacks(i).items():
            others = {"spin", "digest", "crunch", "python_only"} - {f}
            assert not others & set(stack), (f, stack)
        assert p.total_ns(i)[f] > 0 and spent(b, p, f, profile=i) >= 0.25e9 * scale, (f, p.stacks(i), p.block)


@case
def recursion(b):
    need_frames(b)
    # 3.12 counts C recursion apart; from 3.11 on pure Python calls need no C stack
    for depth, stored in ((900, 4096), (3000, 4096), (20000, 4096), (20000, 65536), (900, 16)):
        if depth > 3000 and b.version < (3, 11):
            limit = "import threading; threading.stack_size(512*1024*1024)"
        else:
            limit = "import threading; threading.stack_size(64*1024*1024)"
        r = b.run(f"""
import sys, time
{limit}
sys.setrecursionlimit(10**6)
def leaf():
    end = time.thread_time() + 0.25
    while time.thread_time() < end: pass
def dive(n):
    if n: dive(n - 1)
    else: leaf()
t = threading.Thread(target=dive, args=({depth} - 5,), name='deep'); t.start(); t.join()
""", SPPROF_DEPTH=stored)
        p = r.profile()
        i = p.thread("deep")
        stacks = [(s, w) for s, w in p.stacks(i).items() if "leaf" in s]
        assert stacks and sum(w for _, w in stacks) + p.doubt_ns() >= 0.25e9, (depth, stored, p.stacks(i).most_common(1), p.block)
        cut = depth > stored
        for s, _ in stacks:
            assert s[-1] == "leaf", s[-3:]
            shown = 1 + sum(n == "dive" for n in s)
            if cut:
                assert s[0] == "(truncated)", s[:3]
            else:
                assert s[0] in ("Thread._bootstrap", "_bootstrap"), s[:3]
            full = min(depth, stored)
            if full > 1024:
                gap = [n for n in s if "frames elided" in n]
                assert len(gap) == 1 and len(s) == 1025, (len(s), gap)
                hidden = int(gap[0].split()[1])
                assert abs(hidden + 1024 - full) <= 6, (hidden, full)
            else:
                assert abs(shown - full) <= 6, (shown, full)
        assert (p.block["losses"]["truncated"] > 0) == cut, p.block["losses"]


STRANGE = '''
import sys, time
part = 0.06 * int(sys.argv[1])
def busy(s):
    end = time.thread_time() + s
    while time.thread_time() < end: pass
names = {0: "caf\\u00e9", 1: "\\u4f60\\u597d", 2: "\\U00010400x", 3: "ascii"}
for n in names.values():
    ns = {"busy": busy, "part": part}
    exec(compile("def %s():\\n busy(part)\\n" % n, "/x/%s<\\"&'\\u2028.py" % n, "exec"), ns)
    ns[n]()
def rename(f, **kw):
    f.__code__ = f.__code__.replace(**kw); return f
def g0(): busy(part)
def g1(): busy(part)
def g2(): busy(part)
def g3(): busy(part)
def g4(): busy(part)
key = "co_qualname" if hasattr(g0.__code__, "co_qualname") else "co_name"
rename(g0, **{key: "sur\\ud800\\udc41\\udcff"})()
rename(g1, **{key: "ctl\\x00\\x01\\t\\x7f</script>\\"q\\\\"})()
rename(g2, **{key: "L" * 10000})()
rename(g3, co_filename="/p/\\udcff\\udcfe.py")()
rename(g4, co_filename="/q/" + "\\u20ac" * 5000)()
'''


@case
def names(b):
    need_frames(b)
    # ten functions; on a machine that is out of CPU one may have no tick
    p, _ = telling(lambda scale: b.run(STRANGE, scale).profile(), lambda p: len([s for s in p.stacks() if s[-1:] == ("busy",)]) == 9)
    found = {f["name"] for f in p.frames}
    files = {f.get("file") for f in p.frames}
    for want in ("caf\u00e9", "\u4f60\u597d", "\U00010400x", "ascii", "sur\\ud800\\x41\\xff".replace("\\x41", "\\udc41"),
                 "ctl\u2400\x01\t\x7f</script>\"q\\"):
        assert want in found, (want, found)
    long = [n for n in found if n.startswith("LLL")]
    assert long and long[0].endswith("\u2026") and 1000 < len(long[0].encode()) <= 1024, long
    assert "/p/\\xff\\xfe.py" in files, files
    wide = [f for f in files if f and f.startswith("/q/")]
    assert wide and wide[0].endswith("\u2026") and len(wide[0].encode()) <= 4096, wide
    assert all(c not in p.raw for c in range(32) if c != 10), "raw control characters"


@case
def recycled_code(b):
    """Code objects made and dropped: the same addresses over and over, and never a wrong name."""
    need_frames(b)
    seconds = float(os.environ.get("SPPROF_TEST_RECYCLE", "5" if b.version in ((3, 9), (3, 12)) else "2"))
    # A stale name comes with its own file and looks right; its caller, which never dies, tells: gI calls fN only if
    # N % 16 == I.
    p = b.run(f"""
import time
ns = {{}}
for i in range(16): exec("def g%d(f): return f()" % i, ns)
end = time.thread_time() + {seconds}
n = 0
while time.thread_time() < end:
    n += 1
    own = {{}}
    exec(compile("def f%d():\\n s = 0\\n for i in range(20000): s += i\\n" % n, "file%d" % n, "exec"), own)
    ns["g%d" % (n % 16)](own["f%d" % n])
    del own
""", SPPROF_INTERVAL="1ms", SPPROF_MEMORY="200M").profile()
    wrong = right = 0
    for stack in p.stacks():
        for caller, callee in zip(stack, stack[1:]):
            if caller[:1] == "g" and caller[1:].isdigit():
                assert callee[:1] == "f" and callee[1:].isdigit(), stack
                if int(callee[1:]) % 16 == int(caller[1:]):
                    right += 1
                else:
                    wrong += 1
    for f in p.frames:
        if f["name"][:1] == "f" and f["name"][1:].isdigit():
            assert f["file"] == "file" + f["name"][1:], f
    assert right > 5 * seconds and wrong == 0, (right, wrong)


@case
def imports(b):
    """From the first instruction on: imports are in the profile."""
    need_frames(b)
    total = 0
    for i in range(6):
        p = b.run("import json, argparse, unittest, email.message, http.client, asyncio\n", SPPROF_INTERVAL="1ms").profile()
        total += p.total_ns()["(import)"]
    assert total > 0.1e9, total


@case
def lines_option(b):
    need_frames(b)
    source = BUSY + "import sys\ndef f():\n    busy(0.15 * int(sys.argv[1]))\n    busy(0.15 * int(sys.argv[1]))\nf()\n"
    def enough(p): return p.block["samples"] > 8 and p.block["prompt"] > 0.7
    p, _ = telling(lambda scale: b.run(source, scale, SPPROF_LINES="1").profile(), enough)
    lines = {n for s in p.stacks() for n in s if n.startswith("f:")}
    assert lines == {"f:10", "f:11"}, p.stacks()
    p, scale = telling(lambda scale: b.run(source, scale).profile(), enough)
    index = [i for i, f in enumerate(p.frames) if f["name"] == "f"][0]
    rows = dict((i, dict((l, (s, t)) for l, s, t in rows)) for i, rows in p.block["lines"])[index]
    assert set(rows) == {10, 11} and all(abs(t - 0.15e9 * scale) <= p.doubt_ns() and s < 0.1 * t for s, t in rows.values()), rows


if __name__ == "__main__":
    sys.exit(main())
