#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""import spprof in the program: windows of the recording that goes on, recordings of its own, and what can go wrong."""
import gzip
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from embedding import embed  # noqa: E402
from sp import BUSY, CASES, case, main, spent  # noqa: E402,F401

HEAD = BUSY + """
import os, sys, threading
import spprof
def sum_of(p): return sum(s.weight_ns for s in p.samples)
def cpu_of(p, name): return sum(s.weight_ns for s in p.samples if any(f.function.endswith(name) for f in s.frames))
def raises(kind, text, f, *a, **k):
    try: f(*a, **k)
    except kind as e: assert text in str(e), e
    else: raise AssertionError("no " + kind.__name__)
def left_behind():
    with open('/proc/self/maps') as f: maps = len(f.readlines())
    with open('/proc/self/timers') as f: timers = f.read().count('\\nClockID:')
    return len(os.listdir('/proc/self/fd')), timers, maps
"""


def run(b, program, **kw):
    r = b.run(HEAD + program + "\nprint('done')\n", **kw)
    assert (r.out, r.err) == ("done\n", ""), (r.out, r.err)
    return r


@case(where="all")
def seen_by_the_program(b):
    """One name more among the builtin modules; nothing is imported. It is there in sub-interpreters, and needs no GIL."""
    names = "import sys\nprint(*sorted(sys.builtin_module_names))\nprint(*sorted(sys.modules))\n"
    with_us, without = (b.run(names, preload=on).out.splitlines() for on in (True, False))
    assert sorted(with_us[0].split()) == sorted(without[0].split() + ["spprof"] * b.known), with_us[0]
    assert with_us[1] == without[1]
    if not b.known:
        return
    run(b, """
    assert not (%s and sys._is_gil_enabled())
    code = "import spprof; spprof.start(); spprof.stop(); assert spprof.Frame(1, 2, 3).line == 3"
    try: import _interpreters as interpreters
    except ImportError:
        try: import _xxsubinterpreters as interpreters
        except ImportError: interpreters = None
    if interpreters:
        i = interpreters.create()
        assert not interpreters.run_string(i, code)
        interpreters.destroy(i)
    """.replace("\n    ", "\n") % b.free_threaded)


@case(where="few")
def windows(b):
    """A window holds what the process used meanwhile, to the nanosecond, and the file at the end all of it."""
    r = run(b, """
def before(): busy(0.1)
def inside(): busy(0.1)
def after(): busy(0.1)
before()
for i in range(3):
    a = time.process_time_ns()
    spprof.start()
    b = time.process_time_ns()
    assert spprof.is_active()
    t = threading.Thread(target=busy, args=(0.05,), name='worker'); t.start(); t.join()
    inside()
    c = time.process_time_ns()
    p = spprof.stop()
    d = time.process_time_ns()
    assert not spprof.is_active()
    assert c - b <= p.stats.cpu_ns == sum_of(p) <= d - a, (c - b, p.stats, sum_of(p), d - a)
    told = p._json()['spprof']
    cpu = told['cpu']
    late = (1 - told['prompt']) * cpu['python'] + cpu['not_sampled'] + cpu['thread_end'] + cpu['unwalkable'] + cpu['blocked'] + 4e7
    assert cpu_of(p, 'inside') >= 0.1e9 - late, p.samples
    assert cpu_of(p, 'before') <= late and not cpu_of(p, 'after'), p.samples
    assert {t.name for t in p.threads} == {'MainThread', 'worker'}, p.threads
    assert {s.thread_name for s in p.samples} <= {'MainThread', 'worker', ''}
    assert 0 < p.duration < 60 and p.stats.threads == 2
    assert p.stats.samples <= spprof.stats().samples and p.stats.cpu_ns < spprof.stats().cpu_ns
after()
""")
    p = r.profile()
    for name in ("before", "inside", "after"):
        assert spent(b, p, name, spells=3) >= (0.3e9 if name == "inside" else 0.1e9), (name, p.total_ns())


@case(where="few")
def short_windows(b):
    """However short: nothing in it is what was before it, and no more was seen promptly than there was."""
    run(b, """
def before(): busy(0.0073)
def inside(): busy(0.0061)
for i in range(100):
    before()
    spprof.start(); inside(); p = spprof.stop()
    assert not cpu_of(p, 'before'), p.samples
    assert p._json()['spprof']['prompt'] <= 1, p._json()['spprof']
""", SPPROF_INTERVAL="1ms")


@case
def read_in_a_handler(b):
    """Nothing is imported by what a signal handler, or a fork child, may call first."""
    run(b, """
import signal
had = set(sys.modules)
spprof.start()
busy(0.05)
p = spprof.stop()
p.samples, p.frames, p.stats, p.threads, p.duration, p.to_collapsed(), spprof.stats()
p.save('x.json'); spprof.snapshot('y.json')
assert set(sys.modules) == had, set(sys.modules) - had
""")


@case
def left_alone(b):
    """A program that is none of SPPROF_PROGRAMS has its own module of the name."""
    r = b.run("""
import os, sys
with open('spprof.py', 'w') as f: f.write('mine = 1')
sys.path.insert(0, os.getcwd())
import spprof
print(spprof.mine, 'spprof' in sys.builtin_module_names)
""", SPPROF_PROGRAMS="zz", SPPROF_VERBOSE=0)
    assert r.out == "1 False\n", r.out


@case(where="few")
def nothing_is_recorded(b):
    """A window is a recording then, with an interval of its own; nothing is left of it, and no file."""
    r = run(b, """
assert left_behind()[1] == 0
raises(RuntimeError, 'nothing is recorded', spprof.stats)
raises(RuntimeError, 'nothing is recorded', spprof.snapshot)
for ms in (1, 20, None):
    spprof.start(ms, memory_limit_mb=8)
    busy(0.05)
    p = spprof.stop()
    assert left_behind()[1] <= 1 # disarmed: by it a process knows itself
    assert p._json()['spprof']['interval_ns'] == (ms or 7) * 1000000, p._json()['spprof']
    assert 0.05e9 <= p.stats.cpu_ns == sum_of(p), p.stats
    assert not spprof.is_active()
busy(0.05)
spprof.start()
pid = os.fork()
if pid == 0:  # recorded as its parent is; its window is a part of that
    with spprof.Profiler() as p: busy(0.02)
    assert sum_of(p.profile) == p.profile.stats.cpu_ns >= 0.02e9
    assert spprof.stats().cpu_ns >= 0.02e9
    os._exit(3)
assert os.waitpid(pid, 0)[1] == 3 << 8
spprof.stop()
with open('child', 'w') as f: f.write(str(pid))
""", SPPROF_START="off", SPPROF_INTERVAL="7ms")
    assert [p.block["pid"] for p in r.profiles()] == [int(open(os.path.join(r.directory, "child")).read())], os.listdir(r.directory)


@case(where="few")
def refused_inside(b):
    """Errors name what was wrong, and change nothing."""
    run(b, """
raises(RuntimeError, 'no window is open', spprof.stop)
for bad, kind, text in ((0, ValueError, 'interval_ms must be from 0.1 to 10000, not 0'), (float('nan'), ValueError, 'not nan'),
                        ('1', TypeError, 'interval_ms must be a number from 0.1 to 10000, or None, not str'), (True, TypeError, 'not bool')):
    raises(kind, text, spprof.start, bad)
    raises(kind, text, spprof.Profiler, bad)
raises(ValueError, 'memory_limit_mb must be from 1 to 4096, not 5000', spprof.start, memory_limit_mb=5000)
raises(TypeError, 'native must be True, False or None, not int', spprof.start, native=1)
raises(ValueError, 'SPPROF_NATIVE=on', spprof.start, native=True)
assert not spprof.is_active()
spprof.start(native=False)
raises(RuntimeError, 'a window is open already', spprof.start)
with_error = spprof.Profiler()
raises(RuntimeError, 'a window is open already', with_error.start)
raises(RuntimeError, 'no open window', with_error.stop)
assert spprof.is_active()
p = spprof.stop()
raises(RuntimeError, 'no window is open', spprof.stop)
raises(ValueError, "format must be one of 'speedscope', ", p.save, 'x', format='svg')
raises(TypeError, 'not int', p.save, 'x', format=1)
raises(TypeError, 'int', p.save, 1)
raises(OSError, 'nowhere', p.save, '/nowhere/at/all.json')
raises(AttributeError, 'cannot be changed', setattr, p, 'samples', ())
raises(TypeError, 'not int', spprof.profile, 1)
spprof.register_thread(); spprof.register_thread(); spprof.unregister_thread(); spprof.unregister_thread()
""")


@case(where="few")
def kept_and_sent(b):
    """Profiles as files of every format, and in pickles, which need no library to be read."""
    r = run(b, """
import io, pickle, pydoc
with spprof.Profiler() as p: busy(0.1)
first, p = p, p.profile
for name in ('a.json', 'a.collapsed', 'a.pb.gz', 'a.unknown', 'a.json.gz', b'b.folded'): p.save(name)
p.save('a.txt', format='collapsed')
out = io.BytesIO(); p.save(out); assert out.getvalue() == p.to_speedscope()
out = io.BytesIO(); p.save(out, format='pprof'); assert out.getvalue() == p.to_pprof()
with open('file.collapsed', 'wb') as f: p.save(f)
q = pickle.loads(pickle.dumps(p))
assert q == p and q.samples == p.samples and hash(q) == hash(p) and q.stats == p.stats and repr(q) == repr(p)
for x in (p.samples[0], p.frames[0], p.stats, p.threads[0]): assert pickle.loads(pickle.dumps(x)) == x
with first: pass
assert first.profile != p
help = pydoc.render_doc(spprof, renderer=pydoc.plaintext)
assert all(name in help for name in spprof.__all__) and '_start' not in help.split('FUNCTIONS')[1].split('DATA')[0]
assert all(getattr(spprof, n).__doc__ for n in spprof.__all__)
with open('p.pickle', 'wb') as f: pickle.dump(p.to_speedscope(), f)
assert spprof.snapshot('so-far.json') == 'so-far.json'
with open(spprof.snapshot()) as f: assert f.read(1) == '{'
assert spprof.__version__.count('.') == 2
""", SPPROF_OUT="own.json")
    at = lambda name: open(os.path.join(r.directory, name), "rb").read()  # noqa: E731
    command = os.path.join(b.build, "spprof")
    if os.path.exists(command):
        subprocess.run([command, "report", "a.json.gz"], cwd=r.directory, check=True, capture_output=True)
    whole = json.loads(at("a.json"))
    assert sum(whole["profiles"][0]["weights"]) == whole["spprof"]["cpu"]["used"] > 0.09e9
    assert at("a.json") == at("a.unknown") == gzip.decompress(at("a.json.gz"))
    assert at("a.collapsed") == at("a.txt") == at("b.folded") == at("file.collapsed")
    assert gzip.decompress(at("a.pb.gz"))
    own, so_far = (json.loads(at(n))["spprof"]["cpu"]["used"] for n in ("own.json", "so-far.json"))
    assert 0.1e9 < so_far <= own, (so_far, own)


@case(where="few")
def decorated(b):
    """Functions, methods, generators, async functions and generators behave as they did, and each call is a window."""
    run(b, """
import asyncio, inspect
@spprof.profile
def plain(x, *, y=2):
    "Its text."
    busy(0.03)
    return x + y
assert plain(1) == 3 and plain.__doc__ == 'Its text.' and plain.last_profile.stats.cpu_ns >= 0.03e9
@spprof.profile(path='calls.json', interval_ms=5)
def deep(n): return deep(n - 1) + 1 if n else 0
assert deep(5) == 5 and os.path.getsize('calls.json') > 100
class C:
    @spprof.profile
    def method(self): return self
    @spprof.profile
    @classmethod
    def of_class(cls): return cls
    @staticmethod
    @spprof.profile
    def static(): return 4
c = C()
assert c.method() is c and C.of_class() is C and C.static() == 4 and C.method.last_profile
@spprof.profile
def generator():
    got = yield 1
    assert got == 'sent' and spprof.is_active()
    yield 2
    return 3
g = generator()
assert inspect.isgeneratorfunction(generator) and not spprof.is_active()
assert next(g) == 1 and g.send('sent') == 2
raises(StopIteration, '3', next, g)
assert generator.last_profile and not spprof.is_active()
g = generator(); next(g); g.close(); assert not spprof.is_active()
@spprof.profile
async def coroutine(): await asyncio.sleep(0); return 5
@spprof.profile
async def stream():
    try: got = yield 1
    except KeyError: got = yield 'caught'
    yield got
async def use():
    assert await coroutine() == 5
    s = stream()
    assert await s.__anext__() == 1 and await s.asend('sent') == 'sent'
    await s.aclose()
    s = stream(); await s.__anext__()
    assert await s.athrow(KeyError('x')) == 'caught'
    assert [x async for x in s] == [None]
    assert not spprof.is_active()
assert inspect.iscoroutinefunction(coroutine) and inspect.isasyncgenfunction(stream)
asyncio.run(use())
@spprof.profile
def fails(): raise KeyError('mine')
raises(KeyError, 'mine', fails)
assert not spprof.is_active() and fails.last_profile
import warnings
@spprof.profile(path='/nowhere/at/all.json')
def cannot_be_kept(x): return 1 // x
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter('always')
    assert cannot_be_kept(1) == 1
    raises(ZeroDivisionError, 'zero', cannot_be_kept, 0)
assert len(said) == 2 and 'cannot_be_kept' in str(said[0].message), said
@spprof.profile
def closes_it(): spprof.stop(); return 7
assert closes_it() == 7 and closes_it.last_profile is None
with spprof.Profiler() as p:
    spprof.stop()
    spprof.start()
assert p.profile is None and spprof.is_active() and spprof.stop()
""")


@case(where="few")
def decorated_in_need(b):
    """Where there is no memory for a window the call is made; a generator that may be awaited still may; names of threads are the
    program's, and snapshot() names a file that is there."""
    r = b.run(HEAD + """
import resource, types, warnings
@spprof.profile
def answers(): return 42
@types.coroutine
def waits(): return (yield 5)
waits = spprof.profile(waits)
async def awaits(): return await waits()
w = awaits()
assert w.send(None) == 5
try: w.send(9)
except StopIteration as e: assert e.value == 9
assert waits.last_profile is not None
spprof.start()
threads = [threading.Thread(target=busy, args=(.05,), name=n) for n in ("Wall: a", "All threads (b")]
for t in threads: t.start()
for t in threads: t.join()
p = spprof.stop()
assert sum_of(p) == p.stats.cpu_ns
for t in p.threads: assert sum(s.weight_ns for s in p.samples if s.thread_id == t.id) > 0.5 * t.cpu_ns, (t, p.samples)
was = resource.getrlimit(resource.RLIMIT_FSIZE)
kept = spprof.snapshot()
assert os.path.getsize(kept)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, was[1]))
raises(RuntimeError, "cannot be written", spprof.snapshot)
resource.setrlimit(resource.RLIMIT_FSIZE, was)
assert spprof.snapshot() == kept
with open("/proc/self/statm") as f: used = int(f.read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + (40 << 20), resource.RLIM_INFINITY))
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    assert answers() == 42
assert answers.last_profile is None and "memory" in str(told[0].message), told
print("done")
""", SPPROF_WALL=1)
    assert r.out == "done\n" and r.err.count("\n") == 1 and "over the file size limit" in r.err, (r.out, r.err)


@case(where="few")
def odd_places(b):
    """Fork children, atexit, Python's signal handlers, finalization, two threads at once."""
    run(b, """
import atexit, signal, warnings
warnings.simplefilter('ignore', DeprecationWarning)  # of a fork, where a thread that was joined is ending still
begun = []
def both():
    try: spprof.start(); begun.append(1)
    except RuntimeError: pass
for i in range(20):
    ts = [threading.Thread(target=both) for _ in range(4)]
    for t in ts: t.start()
    for t in ts: t.join()
    assert begun == [1] and spprof.stop(); begun.clear()
spprof.start()
pid = os.fork()
if pid == 0:
    assert not spprof.is_active()
    raises(RuntimeError, 'no window', spprof.stop)
    with spprof.Profiler() as p: busy(0.02)
    assert sum_of(p.profile) == p.profile.stats.cpu_ns >= 0.02e9, p.profile.stats
    os._exit(7)
assert os.waitpid(pid, 0)[1] == 7 << 8 and spprof.is_active()
spprof.stop()
@spprof.profile
def forks():
    with spprof.Profiler() if not spprof.is_active() else threading.Lock(): pid = os.fork()
    return pid
with spprof.Profiler() as p: pid = os.fork()  # the child leaves it too
if pid == 0: os._exit(8 if p.profile is None and not spprof.is_active() else 9)
assert os.waitpid(pid, 0)[1] == 8 << 8 and p.profile
pid = forks()
if pid == 0: os._exit(8 if not spprof.is_active() else 9)
assert os.waitpid(pid, 0)[1] == 8 << 8 and forks.last_profile
def handler(*_):
    with spprof.Profiler() as p: busy(0.01)
    begun.append(p.profile.stats.cpu_ns)
signal.signal(signal.SIGUSR1, handler)
os.kill(os.getpid(), signal.SIGUSR1)
while not begun: pass
assert begun[0] >= 0.01e9
def at_the_end():
    with spprof.Profiler() as p: busy(0.01)
    assert sum_of(p.profile) == p.profile.stats.cpu_ns >= 0.01e9
    spprof.start()  # and is left open
atexit.register(at_the_end)
class Last:
    def __del__(self, stop=spprof.stop):
        try: stop()
        except TypeError: pass  # the module is torn down, as any
last = Last()
""")


@case(where="few")
def under_load(b):
    """Windows one after the other while threads come and go: sums are exact, nothing is left behind."""
    r = run(b, """
stop = threading.Event()
def churn():
    while not stop.is_set():
        ts = [threading.Thread(target=busy, args=(0.0003,)) for _ in range(3)]
        for t in ts: t.start()
        for t in ts: t.join()
load = [threading.Thread(target=churn) for _ in range(2)]
for t in load: t.start()
try:
    for i in range(%d):
        if i == 5: before = left_behind()
        a = time.process_time_ns(); spprof.start(); b = time.process_time_ns()
        busy(0.0002)
        c = time.process_time_ns(); p = spprof.stop(); d = time.process_time_ns()
        assert c - b <= sum_of(p) == p.stats.cpu_ns <= d - a, (i, c - b, sum_of(p), p.stats, d - a)
finally:
    stop.set()
    for t in load: t.join()
after = left_behind()
assert after[0] <= before[0] and after[2] < before[2] + 40, (before, after)
""" % int(os.environ.get("SPPROF_TEST_WINDOWS", "50")), SPPROF_MEMORY="1M", SPPROF_DEPTH=64, SPPROF_INTERVAL="1ms")
    r.profile()


@case(where="few")
def waits_over_the_edge(b):
    """What a wait lasted before its window is not in it: no life is longer than the window, for the GIL or asleep."""
    run(b, """
import collections, json
over = False
def want():
    while not over: busy(.05)
def sleep():
    while not over: time.sleep(.3)
ts = [threading.Thread(target=f, name=f.__name__ + str(i)) for f, n in ((want, 16), (sleep, 4)) for i in range(n)]
for t in ts: t.start()
try:
    for i in range(6):
        time.sleep(.13)
        began = time.monotonic(); spprof.start(); time.sleep(.25); p = spprof.stop(); lasted = (time.monotonic() - began) * 1e9
        p.save('window.json')
        with open('window.json') as f: profile = json.load(f)
        frames = profile['shared']['frames']
        for q in profile['profiles']:
            if not q['name'].startswith(('Wall: want', 'Wall: sleep')): continue
            leaves = collections.Counter()
            for s, w in zip(q['samples'], q['weights']): leaves[frames[s[-1]]['name']] += w
            assert sum(leaves.values()) <= lasted + 10e6, (i, q['name'], lasted, leaves)
            assert leaves['(not running)'] < .3 * lasted, (i, q['name'], lasted, leaves)
finally:
    over = True
    for t in ts: t.join()
""", SPPROF_WALL=1, SPPROF_INTERVAL="1ms")


@case(where="few")
def rotation_waits(b):
    """A file does not end in a window, but with the first tick behind it."""
    r = run(b, """
spprof.start()
files = os.listdir('.')
busy(0.2); time.sleep(0.2); busy(0.1)
assert os.listdir('.') == files, (files, os.listdir('.'))
p = spprof.stop()
assert 0.3e9 <= sum_of(p) == p.stats.cpu_ns
while os.listdir('.') == files: busy(0.05)
""", SPPROF_ROTATE="100ms")
    assert r.files()


@case(where="few")
def embedded(b):
    """In an interpreter that a C program loads."""
    source = HEAD + "with spprof.Profiler() as p: busy(0.05)\nassert sum_of(p.profile) >= 0.05e9\n"
    embed(b, "local", source).profile()
    embed(b, "once", source, linked=True).profile()


if __name__ == "__main__":
    sys.exit(main())
