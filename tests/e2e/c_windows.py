#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""spprof.h: windows and snapshots from C. SPPROF_TEST_SWAPS: how many windows."""
import gzip
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from api_calls import HEAD, library, run  # noqa: E402
from sp import Profile, case, main, spent  # noqa: E402

TIMES = int(os.environ.get("SPPROF_TEST_SWAPS", "300"))


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
""", TIMES, timeout=280 + TIMES // 10, SPPROF_OUT="p-%p.json", SPPROF_INTERVAL="1ms", SPPROF_FILES=5, PYTHONWARNINGS="ignore")


if __name__ == "__main__":
    sys.exit(main())
