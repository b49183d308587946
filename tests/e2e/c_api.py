#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""spprof.h: windows, snapshots and spans from C, in programs with and without Python. SPPROF_TEST_SWAPS: how many windows."""
import gzip
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from embedding import ask, libpython, like_python  # noqa: E402
from lives import lives  # noqa: E402
from sp import BUSY, CASES, Profile, case, main, spent  # noqa: E402,F401

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
INCLUDE = "-I" + os.path.join(ROOT, "inject")
TIMES = int(os.environ.get("SPPROF_TEST_SWAPS", "300"))

# The functions by themselves, as dlsym() finds them; in_...() as in tests/support/api_calls.c.
HEAD = BUSY + """
import ctypes, os, sys, threading
def f(name, result, *arguments):
    function = getattr(ctypes.CDLL(None), 'spprof_' + name)
    function.restype, function.argtypes = result, arguments
    return function
class Figures(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint64) for n in 'samples dropped cpu_ns duration_ns interval_ns threads'.split()] + [('reserved', ctypes.c_uint64 * 10)]
start = f('start', ctypes.c_int, ctypes.c_uint64, ctypes.c_uint64)
stop = f('stop', ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(Figures))
is_active = f('is_active', ctypes.c_int)
stats_of = f('stats', ctypes.c_int, ctypes.POINTER(Figures))
snapshot = f('snapshot', ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)
begin = f('span_begin', ctypes.c_uint64, ctypes.c_char_p)
end = f('span_end', None, ctypes.c_uint64)
version = f('version', ctypes.c_char_p)
DONE, NOT_HERE, NO_PYTHON, OFF, IS_OPEN, NONE_OPEN, NOT_RECORDING, RANGE, NO_MEMORY, NOT_WRITTEN, LOST, BUSY = range(0, -12, -1)
stats = Figures()
known = {}
scale = int(os.environ.get('SCALE', 1))
def burn(s, *way):
    s *= scale
    if way not in known:
        name = "in_" + "_".join(map(str, way or [0]))
        exec(f"def {name}(s):\\n e = thread_time() + s\\n while thread_time() < e: pass", globals())
        known[way] = globals()[name]
    known[way](s)
"""


def calls(b, *flags, name="libapi_calls.so"):
    """tests/support/api_calls.c, compiled once a case."""
    path = os.path.join(b.directory, name)
    if not os.path.exists(path):
        subprocess.run(["cc", "-O1", "-Wall", "-Wextra", "-Werror", INCLUDE, *flags, os.path.join(ROOT, "tests", "support", "api_calls.c"), "-o", path,
                        "-ldl", "-pthread"], check=True)
    return path


def library(b):
    return calls(b, "-shared", "-fPIC")


def run(b, program, *args, **kw):
    r = b.run(HEAD + program + "\nprint('done')\n", *args, **kw)
    assert (r.out, r.err) == ("done\n", ""), (r.out, r.err)
    return r


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


@case(where="few")
def c_windows(b):
    """A window holds what the process used meanwhile, to the nanosecond, in every format; the file at the end all of it."""
    r = run(b, """
import gzip, json, spprof
def before(): busy(0.05)
def inside(): busy(0.1)
assert version() == spprof.__version__.encode()
before()
names = [b'w.json', b'w.collapsed', b'w.pb.gz', b'w.html', b'w.json.gz', b'w.odd', None]
for name in names:
    a = time.process_time_ns()
    assert start(0, 0) == DONE
    b = time.process_time_ns()
    assert is_active() == 1 and spprof.is_active()
    inside()
    assert stats_of(stats) == DONE and 0 < stats.cpu_ns
    c = time.process_time_ns()
    assert stop(name, stats) == DONE
    d = time.process_time_ns()
    assert c - b <= stats.cpu_ns <= d - a, (c - b, stats.cpu_ns, d - a)
    assert stats.samples and stats.threads == 1 and stats.interval_ns and 0 < stats.duration_ns < 60e9 and not any(stats.reserved)
    assert not is_active()
    if name in (b'w.json', b'w.odd', b'w.json.gz'):
        with (gzip.open if name.endswith(b'gz') else open)(name) as f: told = json.load(f)
        block = told['spprof']
        assert block['cpu']['used'] == stats.cpu_ns == sum(told['profiles'][0]['weights'])
        assert block['samples'] == stats.samples and block['wall_ns'] == stats.duration_ns
        assert block['effective_interval_ns'] == stats.interval_ns and len(block['threads']) == stats.threads
        assert stats.dropped == sum(block['losses']['unwalkable'].values()) + block['losses']['overflow']
assert stats_of(stats) == DONE and stats.cpu_ns > 0.6e9 # all that was recorded
""", SPPROF_OUT="p.json", SPPROF_FORMAT="auto")
    at = lambda name: open(os.path.join(r.directory, name), "rb").read()  # noqa: E731
    assert at("w.collapsed").startswith(b"#") and at("w.pb.gz")[:2] == b"\x1f\x8b" and b"<html" in at("w.html")[:2000].lower()
    assert gzip.decompress(at("w.json.gz"))[:1] == at("w.odd")[:1] == b"{"
    p = Profile(os.path.join(r.directory, "p.json"))
    assert spent(b, p, "inside", spells=7) >= 0.7e9 and spent(b, p, "before") >= 0.05e9, p.total_ns()
    assert b"before" not in at("w.collapsed") or json.loads(at("w.json"))["spprof"]["prompt"] < 1


@case(where="few")
def c_refused(b):
    """Each result, by what brings it about; errno is the caller's, but where a file cannot be written."""
    run(b, """
import resource, spprof
lib = ctypes.CDLL(None, use_errno=True)
c_stop, c_snapshot = lib.spprof_stop, lib.spprof_snapshot
c_stop.argtypes, c_snapshot.argtypes = stop.argtypes, snapshot.argtypes
def with_errno(f, *a):
    ctypes.set_errno(77)
    return f(*a), ctypes.get_errno()
assert stop(b'none.json', stats) == NONE_OPEN and not os.path.exists('none.json')
for bad in ((1, 0), (99999, 0), (10**10 + 1, 0), (0, 1), (0, 2**32 + 1)): assert start(*bad) == RANGE, bad
assert stats_of(None) == RANGE and not is_active()
assert start(10**6, 2**20) == DONE and start(0, 0) == IS_OPEN
try: spprof.start()
except RuntimeError as e: assert 'open already' in str(e)
assert with_errno(c_stop, b'/nowhere/at/all.json', stats) == (NOT_WRITTEN, 2) and is_active()
assert with_errno(c_stop, b'.', stats) == (NOT_WRITTEN, 21) and is_active()
os.mkfifo('fifo')
reader = os.open('fifo', os.O_RDONLY | os.O_NONBLOCK)
busy(.05)
assert with_errno(c_stop, b'fifo', stats) == (DONE, 77) and not is_active()
assert os.read(reader, 1) == b'{'
os.close(reader)
spprof.start()
busy(.05)
with open('older', 'w') as f: f.write('x' * 10**6)
os.symlink('older', 'link.json')
assert with_errno(c_stop, b'link.json', None) == (DONE, 77)
assert os.path.islink('link.json') and open('older').read(1) == '{' and 1000 < os.path.getsize('older') < 10**6
was = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, was[1]))
assert start(0, 0) == DONE
import signal
old = signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
assert with_errno(c_stop, b'large.json', stats) == (NOT_WRITTEN, 27) and not is_active() and not os.path.exists('large.json')
assert with_errno(c_snapshot, b'large.json', None, 0) == (NOT_WRITTEN, 27) and not os.path.exists('large.json')
resource.setrlimit(resource.RLIMIT_FSIZE, was)
name = ctypes.create_string_buffer(5)
assert with_errno(c_snapshot, b'so-far.json', name, 5) == (DONE, 77) and name.value == b'so-f', name.value
with open('so-far.json') as f: assert f.read(1) == '{'
name = ctypes.create_string_buffer(4096)
assert snapshot(None, name, 4096) == DONE and os.path.exists(name.value) and name.value.endswith(b'/own.json'), name.value
assert snapshot(None, None, 0) == DONE
with open('/proc/self/statm') as f: used = int(f.read().split()[0]) * 4096
limit = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (used + (40 << 20), limit[1]))
assert start(0, 0) == NO_MEMORY and not is_active()
resource.setrlimit(resource.RLIMIT_AS, limit)
assert start(0, 0) == DONE and stop(None, None) == DONE
""", SPPROF_OUT="own.json")


@case(where="few")
def c_nothing_is_recorded(b):
    """A window is a recording of its own then, with the interval that it was given."""
    r = run(b, """
import json
assert stats_of(stats) == NOT_RECORDING and snapshot(None, None, 0) == NOT_RECORDING
assert snapshot(b'none.json', None, 0) == NOT_RECORDING and not os.path.exists('none.json')
for ms in (1, 20, 0):
    assert start(ms * 10**6, 8 << 20) == DONE
    busy(.05)
    assert stop(b'w.json', stats) == DONE and 0.05e9 <= stats.cpu_ns
    with open('w.json') as f: assert json.load(f)['spprof']['interval_ns'] == (ms or 7) * 10**6
    os.unlink('w.json')
assert stats_of(stats) == NOT_RECORDING
""", SPPROF_START="off", SPPROF_INTERVAL="7ms")
    assert r.files() == [], r.files()


@case(where="few")
def c_odd_places(b):
    """Fork children, several threads at once, handlers of signals and of faults on a small stack, atexit, and after the end."""
    r = b.run(HEAD + f"lib = ctypes.CDLL({library(b)!r})\n" + """
import signal, warnings
warnings.simplefilter('ignore', DeprecationWarning)
opened, closed = [], []
def both():
    opened.append(start(0, 0))
for i in range(20):
    ts = [threading.Thread(target=both) for _ in range(4)]
    for t in ts: t.start()
    for t in ts: t.join()
    assert sorted(opened) == [IS_OPEN] * 3 + [DONE], opened
    ts = [threading.Thread(target=lambda: closed.append(stop(b'one.json', None))) for _ in range(4)]
    for t in ts: t.start()
    for t in ts: t.join()
    assert sorted(closed) == [NONE_OPEN] * 3 + [DONE], closed
    opened.clear(); closed.clear()
assert start(0, 0) == DONE
pid = os.fork()
if pid == 0:
    assert not is_active() and stop(None, None) == NONE_OPEN
    assert start(0, 0) == DONE
    busy(.02)
    assert stop(b'child.json', stats) == DONE and stats.cpu_ns >= .02e9
    os._exit(7)
assert os.waitpid(pid, 0)[1] == 7 << 8 and is_active() and stop(None, None) == DONE
refused = lib.windows_in_handlers(signal.SIGUSR2, 60)
assert refused == 0, refused
refused = lib.windows_in_handlers(signal.SIGTRAP, 60) # a fault's: blocked nowhere
assert refused >= 0, refused
assert start(0, 0) == DONE and stop(None, None) == DONE
assert lib.at_the_end() == 0
print('done', flush=True)
""", SPPROF_OUT="p.json")
    assert r.err == "" and r.out.splitlines() == ["done", "atexit 0 0 1", "after -3 -5 -3 -3"], (r.out, r.err)
    at = lambda name: json.load(open(os.path.join(r.directory, name)))["spprof"]["cpu"]["used"]  # noqa: E731
    assert at("atexit.json") >= 0.019e9 and at("child.json") >= 0.02e9 and at("handler.json") >= 0 and at("p.json") > 0.1e9


@case
def c_faults_in_between(b):
    """A fault's handler that comes while a window is opened or closed is refused in so many words, and changes nothing."""
    r = b.run(HEAD + f"lib = ctypes.CDLL({library(b)!r})\n" + """
import signal
refused = 0
for i in range(100):
    refused = lib.windows_in_handlers(signal.SIGTRAP, 10)
    if refused: break
print(refused > 0)
assert start(0, 0) == DONE and stop(None, None) == DONE
""", SPPROF_OUT="p.json")
    assert (r.out, r.err) == ("True\n", ""), (r.out, r.err)


@case(where="few")
def c_under_load(b):
    """Windows follow each other while threads run, end with spans open, and fork: nothing is left of them, sums are exact."""
    run(b, f"lib = ctypes.CDLL({library(b)!r})\n" + """
times, forks, over = int(sys.argv[1]), [], threading.Event()
def left_behind():
    with open('/proc/self/maps') as f: maps = len(f.readlines())
    return len(os.listdir('/proc/self/fd')), maps
def spans():
    while not over.is_set(): assert lib.threads_with_spans(2, 1, 1) == 0
def processes_fork():
    while not over.wait(.02):
        s = begin(b'forks')
        pid = os.fork()
        if pid == 0:
            inner = begin(b'child'); busy(.002); end(inner); end(s)
            os._exit(0)
        forks.append(os.waitpid(pid, 0)[1])
        end(s)
def window(name=None):
    a = time.process_time_ns()
    assert start(0, 0) == DONE
    b = time.process_time_ns()
    c = time.process_time_ns()
    assert stop(name, stats) == DONE
    d = time.process_time_ns()
    assert c - b <= stats.cpu_ns <= d - a, (c - b, stats.cpu_ns, d - a)
for i in range(20): window(b'w.json')
before = left_behind()
def code_dies():
    while not over.is_set(): exec('def dies(n):\\n return dies(n - 1) if n else sum(range(300))\\ndies(20)', {})
threads = [threading.Thread(target=t) for t in (spans, processes_fork, code_dies)]
for t in threads: t.start()
try:
    for i in range(times): window(b'w.json' if i % 10 == 0 else None)
finally:
    over.set()
    for t in threads: t.join()
assert forks and not any(forks), forks
after = left_behind()
assert after[0] == before[0] and after[1] <= before[1] + 40, (before, after)
""", TIMES, SPPROF_OUT="p-%p.json", SPPROF_INTERVAL="1ms", SPPROF_FILES=5, PYTHONWARNINGS="ignore")


WAYS = {"pie": (), "no pie": ("-no-pie", "-fno-pie"), "no undefined": ("-Wl,--no-undefined", "-Wl,-z,now"), "static pie": ("-static-pie",), "static": ("-static",)}


@case
def c_program_without_python(b):
    """However it is linked: without the library it is told so; with it, that recording begins with a Python; and nothing is left."""
    for way, flags in WAYS.items():
        program = calls(b, "-DPROGRAM", *flags, name="program-" + way.replace(" ", "-"))
        for env, result in (({"preload": False}, -1), ({}, -1 if "static" in way else -2), ({"SPPROF": "off"}, -1 if "static" in way else -3),
                            ({"SPPROF_CHILDREN": "0", "SPPROF_RUN": "1:1"}, None)):
            r = b.run(None, command=[program], **env)
            version, *results, name, has_span = r.out.split()
            if result is None:
                result = int(results[0])
            told = [str(result)] * 6
            told[1] = "0"
            assert (version, results, name) == ("none" if result == -1 else "0.1.0", told, "unchanged"), (way, env, r.out)
            assert has_span == str(int(result == -2)) and r.err == "" and os.listdir(r.directory) == [], (way, env, r.out, r.err)


@case
def c_example_host(b):
    """tests/examples/host.c: linked to nothing of ours it works with and without Python, with and without the library."""
    source, directory = os.path.join(ROOT, "tests", "examples", "host.c"), b.fresh()
    python, home = libpython(b), ask(b, "sys.base_prefix")
    program = os.path.join(directory, "host")
    subprocess.run(["cc", "-std=c99", "-O2", "-Wall", "-Wextra", "-pedantic", "-Werror", "-Wl,--no-undefined", *like_python(b, python), INCLUDE, source, "-o",
                    program, "-ldl"], check=True)
    for preload, arguments, text in ((False, [], "spprof is not in this process"), (False, [python], "spprof is not in this process"),
                                     (True, [], "no CPython has begun")):
        r = b.run(None, command=[program, *arguments], preload=preload, PYTHONHOME=home)
        assert r.out.startswith("no profile: " + text) and r.err == "" and not r.files(), (r.out, r.err)
    r = b.run(None, command=[program, python], PYTHONHOME=home, SPPROF_OUT="all.json", SPPROF_INTERVAL="1ms")
    assert re.fullmatch(r"0\.\d\d\d s of CPU are in requests.json\n", r.out) and r.err == "", (r.out, r.err)
    for name in ("all.json", "requests.json"):
        p = Profile(os.path.join(r.directory, name))
        for request in ("span GET /index", "span GET /report"):
            of = [s for s in p.stacks() if s[0] == request]
            assert any("render" in s for s in of) and (request, "(unwalkable)") in of, p.stacks()
        assert all(s[0].startswith("span GET") for s in p.stacks() if "render" in s), p.stacks()


@case
def c_example_pool(b):
    """tests/examples/pool.cpp: pages are told apart in threads that run no Python."""
    directory = b.fresh()
    pool = os.path.join(directory, "libpool.so")
    subprocess.run(["c++", "-std=c++11", "-O2", "-g", "-Wall", "-Wextra", "-pedantic", "-Werror", "-shared", "-fPIC", "-Wl,--no-undefined", INCLUDE,
                    os.path.join(ROOT, "tests", "examples", "pool.cpp"), "-o", pool, "-pthread"], check=True)
    program = f"import ctypes\nassert ctypes.CDLL({pool!r}).convert_pages(6, 2) == 6\n"
    assert b.run(program, preload=False).err == ""
    r = b.run(program, SPPROF_OUT="p.json", SPPROF_NATIVE="on", SPPROF_INTERVAL="1ms")
    p = r.profile()
    stacks = [s for s in p.stacks() if any("convert_page" in n for n in s) and s[0].startswith("span")]
    assert {s[0] for s in stacks} <= {f"span page {i}" for i in range(6)} and len({s[0] for s in stacks}) > 3, p.stacks()
    assert any(s[1] == "span fonts" for s in stacks), p.stacks()
    by = subprocess.run([os.path.join(b.build, "spprof"), "report", "--by", "span", r.files()[0]], capture_output=True, text=True, check=True).stdout
    assert by.count("page ") > 3, by


@case
def c_readme(b):
    """The README's program in C, as it stands there: by itself, without and with the library; and in a Python."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        blocks = re.findall(r"```c\n(.*?)```", f.read().split("\n## In your code\n")[1].split("\n## ")[0], re.S)
    assert len(blocks) == 1, blocks
    directory = b.fresh()
    source, program = os.path.join(directory, "app.c"), os.path.join(directory, "app")
    with open(source, "w") as f:
        f.write("#include <stdio.h>\n#include <time.h>\nstatic void work(void)\n{\n    clock_t end = clock() + CLOCKS_PER_SEC / 10;\n    while (clock() < end)\n"
                "        ;\n}\n" + blocks[0])
    for flags, name in (((), program), (("-shared", "-fPIC"), program + ".so")):
        subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", INCLUDE, *flags, source, "-o", name], check=True)
    for preload, why in ((False, "spprof is not in this process"), (True, "no CPython has begun")):
        r = b.run(None, command=[program], preload=preload)
        assert r.err.startswith("no profile: " + why) and r.err.count("\n") == 1 and not r.files(), r.err
    r = b.run(f"import ctypes\nassert ctypes.CDLL({program + '.so'!r}).main() == 0\n", SPPROF_OUT="own.json")
    p = Profile(os.path.join(r.directory, "work.json"))
    assert r.err == "" and p.total_ns()["span GET /index"] > 0, (r.err, p.stacks())


if __name__ == "__main__":
    sys.exit(main())
