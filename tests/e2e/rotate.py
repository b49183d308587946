#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""SPPROF_ROTATE: file after file from one process, written by another that shares its memory and that nobody notices.
SPPROF_TEST_ROTATIONS: how many."""
import collections
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from lives import lives  # noqa: E402
from load import LOAD  # noqa: E402
from sp import MACHINE, CASES, TICK_NS, Skip, case, compile_support, main, need_frames  # noqa: E402,F401

ROTATIONS = int(os.environ.get("SPPROF_TEST_ROTATIONS", "60"))

HEAD = LOAD + """
import re, signal, sys
churn = ctypes.CDLL(sys.argv[1])
def number(name):
    m = re.match(r'p(?:-(\\d+))?\\.json$', name)
    return int(m[1] or 1) if m else 0
def newest(): return max(map(number, os.listdir('.')), default=0)
def children(): # of every thread, also those that wait() does not see
    found = set()
    for task in os.listdir('/proc/self/task'):
        try:
            with open('/proc/self/task/%s/children' % task) as f: found.update(f.read().split())
        except OSError: pass
    return found
def memory():
    with open('/proc/self/statm') as f: size, resident = map(int, f.read().split()[:2])
    with open('/proc/self/maps') as f: maps = len(f.readlines())
    return size, resident, maps, len(os.listdir('/proc/self/fd'))
def rotate(n): # until so many more files are there
    until = newest() + n
    while newest() < until: busy(0.01)
"""


def run(b, program, *args, every="30ms", **env):
    r = b.run(HEAD + program, os.path.join(b.build, "tests", "libchurn.so"), *args, timeout=100 + ROTATIONS // 5,
              **{"SPPROF_OUT": "p.json", "SPPROF_ROTATE": every, "SPPROF_INTERVAL": "1ms", "SPPROF_MEMORY": "4M", "SPPROF_FILES": 0, **env})
    assert r.err == "", r.err
    return r


def number(path):
    return int(re.search(r"(\d+)?\.json$", path)[1] or 1)


def in_order(r):
    profiles = sorted(r.profiles(), key=lambda p: number(p.path))
    assert [number(p.path) for p in profiles] == list(range(1, len(profiles) + 1)), [p.path for p in profiles]
    return profiles


@case
def sums_are_exact(b):
    """File after file under load: together they hold what the process used, to the nanosecond."""
    r = run(b, """
begin_load()
rotate(12)
end_load()
print(time.process_time_ns(), flush=True)
os._exit(0)
""")
    profiles, first = in_order(r), int(r.out)
    used, before = sum(p.total() for p in profiles), profiles[0].block["cpu"]["before_start"]
    assert first <= used + before <= first + 0.1e9, (first, used, before)
    assert all(p.block["complete"] for p in profiles)
    starts = [p.block["started"] for p in profiles]
    assert starts == sorted(starts), starts


@case
def memory_is_flat(b):
    """However many: nothing is left of them but the newest files."""
    r = run(b, """
begin_load()
rotate(10)
before = memory()
rotate(int(sys.argv[2]))
assert len([n for n in os.listdir('.') if number(n)]) <= 6, os.listdir('.')
end_load()
after = memory()
keeps = not getattr(sys, '_is_gil_enabled', lambda: True)() # 3.13t keeps the constants of code that died
assert after[0] < before[0] + 20480 and (keeps or after[1] < before[1] + 4096) and after[2] < before[2] + 60 and after[3] <= before[3], (before, after)
assert len(children()) <= 1, children()
""", ROTATIONS, every="1ms", SPPROF_KEEP=5, MALLOC_ARENA_MAX=1)
    numbers = sorted(number(p.path) for p in r.profiles())
    assert len(numbers) == 5 and numbers == list(range(numbers[0], numbers[0] + 5)) and numbers[-1] >= ROTATIONS + 10, numbers


@case
def nobody_notices(b):
    """No SIGCHLD, no child for wait(), no thread, no warning of fork(); what the program forks and execs meanwhile is its own."""
    run(b, """
warnings.simplefilter("error")
signals = []
signal.signal(signal.SIGCHLD, lambda *a: signals.append(1))
made = 0
until = newest() + 15
while newest() < until:
    busy(0.005)
    try:
        assert os.waitpid(-1, os.WNOHANG) is None
    except ChildProcessError: pass
    assert len(os.listdir('/proc/self/task')) == 1
    if made < 5:
        made += 1
        pid = os.fork()
        if pid == 0:
            busy(0.002)
            os._exit(3)
        assert os.wait() == (pid, 3 << 8)
assert len(signals) == made, (signals, made)
assert signal.getsignal(signal.SIGPROF) == signal.SIG_DFL
os.execv(sys.executable, [sys.executable, '-c', '''
import os, signal, time
try:
    os.waitpid(-1, 0)
    print('a child')
except ChildProcessError: pass
'''])
""", SPPROF_CHILDREN=1)


@case
def files_are_closed(b):
    """What the program closes is closed: a lock is free, a file that was written can be executed, a pipe has its end."""
    run(b, """
import fcntl
until, rounds = newest() + 40, 0
while newest() < until:
    lock = os.open('lock', os.O_RDWR | os.O_CREAT); fcntl.flock(lock, fcntl.LOCK_EX)
    made = os.open('made', os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o755); os.write(made, b'#!/bin/true\\n')
    r, w = os.pipe()
    busy(0.002)
    os.close(w); os.close(made); os.close(lock)
    again = os.open('lock', os.O_RDWR)
    fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.set_blocking(r, False)
    assert os.read(r, 1) == b''
    with open('made', 'r+b') as f: pass # ETXTBSY while it runs
    pid = os.posix_spawn('made', ['made'], {})
    assert os.waitpid(pid, 0) == (pid, 0)
    os.close(r); os.close(again)
    rounds += 1
""", every="3ms", SPPROF_CHILDREN=0, SPPROF_KEEP=3)


@case
def written_in_place(b):
    """Where no process can be made the thread that had the tick writes, and then the program has its turn."""
    if MACHINE != "x86_64":
        raise Skip("the filter is for x86-64")
    r = run(b, """
import struct
op = lambda code, k, t=0, f=0: struct.pack('HBBI', code, t, f, k)
clone = [op(0x20, 0), op(0x15, 56, 0, 3), op(0x20, 16), op(0x15, 0x180500, 0, 1), op(6, 0x50000 | 11), op(6, 0x7fff0000)]
code = ctypes.create_string_buffer(b''.join(clone))
class Program(ctypes.Structure): _fields_ = [('n', ctypes.c_ushort), ('code', ctypes.c_void_p)]
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Program(len(clone), ctypes.addressof(code))), 0, 0) == 0
while children(): busy(0.001)
print(newest())
until = newest() + 6
begin_load()
while newest() < until:
    busy(0.01)
    assert not children()
end_load()
""", every="1ms", SPPROF_NATIVE="full") # whose names take their time
    profiles = in_order(r)[int(r.out):]
    assert len(profiles) >= 6
    for p, after in zip(profiles, profiles[1:-1]):
        assert after.block["wall_ns"] >= 20 * p.block["cpu"]["writer"], (p.block, after.block)


@case
def nobody_inherits(b):
    """Whichever way a program ends, who inherits its children gets none, and a program that it gives way to has none."""
    alone = compile_support(b, "alone.c", "alone")
    r = run(b, """
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) # a subreaper
ticks = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPROF]) # nobody writes for itself
while True:
    try: os.waitpid(-1, 0x40000000) # __WALL
    except ChildProcessError: break
ends = [lambda: sys.exit(0), lambda: os._exit(0), lambda: os.kill(os.getpid(), signal.SIGTERM),
        lambda: os.execv(sys.argv[2], sys.argv[2:3])]
for i in range(60):
    pid = os.fork()
    if pid == 0:
        os.environ['SPPROF'] = 'off'
        signal.pthread_sigmask(signal.SIG_SETMASK, ticks)
        threading.Thread(target=busy, args=(1000,), daemon=True).start()
        while not [n for n in os.listdir('.') if '.%d' % os.getpid() in n]: busy(0.001)
        ends[3 if i % 2 else i // 2 % 3]()
    end = os.waitpid(pid, 0)[1]
    assert end in (0, signal.SIGTERM), (i, end)
    try: print(i, os.waitpid(-1, os.WNOHANG | 0x40000000))
    except ChildProcessError: pass
""", alone, every="1ms")
    assert r.out == "", r.out


@case
def no_trace_of_the_dead(b):
    """One that has written is out of the way of a fork, for there may be so many processes; one that writes is in a group of its own,
    for what stops the program's would be told to the program, and not where the program is, which may unmount that."""
    r = run(b, """
def state(pid):
    try:
        with open('/proc/%s/stat' % pid) as f: return f.read().rsplit(')', 1)[1].split()
    except OSError: return ['gone', '', '']
def at(pid):
    try: return os.readlink('/proc/%s/cwd' % pid)
    except OSError: return ''
if not os.path.exists('/proc/self/task/%d/children' % os.getpid()): print('skip'); sys.exit()
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2]) # where there are many one is gone before it is looked at
begin_load()
buried = apart = 0
until = newest() + 3000
while (buried < 5 or apart < 5) and newest() < until:
    for pid in children():
        s = state(pid)
        apart += s[0] in 'RSD' and s[2] == pid and at(pid) == '/'
        if s[0] == 'Z':
            made = os.fork()
            if made == 0: os._exit(0)
            assert pid not in children(), 'a dead one was in the way'
            os.waitpid(made, 0)
            buried += 1
end_load()
print(min(buried, 5), min(apart, 5))
""", every="1ms", SPPROF_KEEP=3, SPPROF_CHILDREN=0, SPPROF_NATIVE="full") # one that writes is to be seen
    if r.out == "skip\n":
        raise Skip("the kernel does not list children")
    assert r.out == "5 5\n", r.out


@case(where="few")
def waited_for_a_cpu(b):
    """Two processes on one CPU: each file has what its threads waited for that in its time; a sleep that no hook sees is none."""
    need_frames(b)
    r = b.run(HEAD + """
cpu = min(os.sched_getaffinity(0))
os.sched_setaffinity(0, {cpu})
pid = os.fork()
if pid == 0:
    while os.getppid() != 1 and not os.path.exists('over'): sum(range(1000))
    os._exit(0)
def hog():
    rotate(3)
    open('over', 'w').close()
    os.waitpid(pid, 0)
    ctypes.CDLL(None).syscall(35, (ctypes.c_long * 2)(1, 0), 0)
t = threading.Thread(target=hog, name="hog"); t.start(); t.join()
""", os.path.join(b.build, "tests", "libchurn.so"), timeout=100, SPPROF_OUT="p.json", SPPROF_ROTATE="300ms", SPPROF_WALL=1, SPPROF_CHILDREN=0)
    files = [lives(p).get("hog", {}) for p in in_order(r) if "wall" in p.block]
    queued = [(s.get(("(waiting for a CPU)",), 0), s.get(("(not running)",), 0)) for s in files]
    assert len(queued) >= 4 and all(ready > 50e6 and ready > none for ready, none in queued[1:3]), queued
    asleep = next(i for i, (_, none) in enumerate(queued) if none > 0.9e9)
    assert queued[asleep][0] < 0.5 * sum(ready for ready, _ in queued), queued


WHOLE_LIVES = """
sys.setswitchinterval(.001)
def life():
    a = time.monotonic_ns()
    for i in range(2): busy(.08); time.sleep(.25)
    inside[threading.current_thread().name] = time.monotonic_ns() - a
inside, outside, ts = {}, {}, [threading.Thread(target=life, name="t%d" % i) for i in range(12)]
for t in ts: outside[t.name] = -time.monotonic_ns(); t.start()
for t in ts: t.join(); outside[t.name] += time.monotonic_ns()
for n in inside: print(n, inside[n], outside[n])
"""


@case(where="few")
def lives_over_files(b):
    """What threads that want the GIL and sleep do over many files is there once, with its stacks: each life adds up."""
    if b.free_threaded:
        raise Skip("no GIL")
    for engine in ("cpu", "fine"):
        r = run(b, WHOLE_LIVES, every="100ms", SPPROF_WALL=1, SPPROF_ENGINE=engine)
        sums = collections.defaultdict(collections.Counter)
        for p in in_order(r):
            for name, stacks in lives(p).items() if "wall" in p.block else ():
                sums[name].update(stacks)
        for name, inside, outside in (line.split() for line in r.out.splitlines()):
            life = sum(sums[name].values())
            assert int(inside) - 20e6 <= life <= int(outside) + 20e6, (engine, name, inside, life, outside)
        whole = sum(sums.values(), collections.Counter())
        assert whole[("(not running)",)] < 0.05 * sum(whole.values()), (engine, whole)


@case(where="few")
def sleeps_to_the_end(b):
    """A main thread that only sleeps, over many files until the process ends: its life is there."""
    need_frames(b)
    r = run(b, """
born = time.monotonic_ns()
def works(): rotate(5); print(time.monotonic_ns() - born, flush=True); os._exit(0)
threading.Thread(target=works).start()
for i in range(5): time.sleep(.0001)
threading.Event().wait()
""", every="100ms", SPPROF_WALL=1)
    files = [lives(p) if "wall" in p.block else {} for p in in_order(r)]
    life = sum(sum(f.get("MainThread", {}).values()) for f in files)
    assert len(files) >= 5 and int(r.out) - 50e6 <= life, (len(files), life, r.out)


@case
def no_more_files_than_allowed(b):
    """SPPROF_FILES counts a rotation's files; what there is no file for stands in lines, to the nanosecond, and in one message."""
    r = b.run("""
import os, time
def burn(s):
    end = time.process_time() + s
    while time.process_time() < end: sum(range(1000))
burn(1)
print(time.process_time())
""", SPPROF_OUT="q.json", SPPROF_ROTATE="40ms", SPPROF_FILES=3, SPPROF_INTERVAL="1ms")
    profiles = [p for p in r.profiles()]
    assert len(profiles) == 3 and r.err.count("\n") == 1, (os.listdir(r.directory), r.err)
    with open(os.path.join(r.directory, "q.json.skipped")) as f:
        lines = [float(line.rsplit("\t", 1)[1]) for line in f]
    assert len(lines) >= 2, lines
    total = sum(lines) + sum(p.total() for p in profiles) / 1e9
    assert 0.99 <= total <= float(r.out) + 0.5, (r.out, total, lines, [p.total() for p in profiles])


@case
def kept_and_allowed(b):
    """Of as many files as are allowed the newest are kept."""
    r = b.run("""
import os, time
until = time.process_time() + 20
while time.process_time() < until and not any(f.startswith("q-5.") for f in os.listdir()): sum(range(1000))
""", SPPROF_OUT="q.json", SPPROF_ROTATE="40ms", SPPROF_FILES=2, SPPROF_KEEP=2, SPPROF_INTERVAL="1ms")
    assert len(r.files()) == 2 and "q.json.skipped" not in os.listdir(r.directory) and r.err == "", (r.files(), r.err)


@case
def said_once(b):
    """A directory that is full, or is not there: one line, for however many files."""
    r = b.run(HEAD + "begin_load()\nbusy(0.5)\nend_load()", os.path.join(b.build, "tests", "libchurn.so"), SPPROF_OUT="none/p.json",
              SPPROF_ROTATE="5ms", SPPROF_INTERVAL="1ms", SPPROF_MEMORY="4M", TMPDIR=b.directory)
    assert r.err.count("\n") <= 2, r.err


@case
def killed_at_work(b):
    """Who kills the process that writes loses that file and no more: the program goes on, and so do the files."""
    r = run(b, """
if not os.path.exists('/proc/self/task/%d/children' % os.getpid()): print('skip'); sys.exit()
kills, until = 0, time.monotonic() + 60
while kills < 3 and time.monotonic() < until:
    for i in range(200): pass
    for pid in children():
        try:
            with open('/proc/%s/stat' % pid) as f: was = f.read().rsplit(')', 1)[1].split()[0]
            os.kill(int(pid), signal.SIGKILL)
            kills += was != 'Z'
        except (ProcessLookupError, FileNotFoundError): pass
print(kills)
rotate(3)
""")
    if r.out == "skip\n":
        raise Skip("the kernel does not list children")
    assert r.out == "3\n" and len(r.profiles()) >= 3, (r.out, os.listdir(r.directory))


@case
def names_of_files(b):
    """%n counts upwards, %t tells the files apart without; fork children have files of their own; an earlier run's are replaced."""
    need_frames(b)
    r = run(b, "begin_load()\nwhile len(os.listdir('.')) < 4: busy(0.01)\nend_load()", SPPROF_OUT="q-%n.json")
    files = sorted(os.listdir(r.directory))
    assert {"q-1.json", "q-2.json", "q-3.json"} <= set(files), files
    again = run(b, "begin_load()\nbusy(0.3)\nend_load()", cwd=None, SPPROF_OUT=os.path.join(r.directory, "q-%n.json"), every="1h")
    assert sorted(os.listdir(r.directory)) == files and not again.files(), os.listdir(r.directory)
    r = run(b, "while len(os.listdir('.')) < 3: busy(0.01)", SPPROF_OUT="q-%t.json", every="1100ms")
    assert all(re.fullmatch(r"q-\d{8}T\d{6}Z(-\d+)?\.json", n) for n in os.listdir(r.directory)), os.listdir(r.directory)
    r = run(b, """
pid = os.fork()
mine = lambda n: number(n) if pid else '.%d' % os.getpid() in n
while len([n for n in os.listdir('.') if mine(n)]) < 3: busy(0.01)
if pid == 0: os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
""")
    assert len([n for n in os.listdir(r.directory) if re.fullmatch(r"p(-\d+)?\.json", n)]) >= 3, os.listdir(r.directory)
    assert len([n for n in os.listdir(r.directory) if re.fullmatch(r"p\.\d+(-\d+)?\.json", n)]) >= 3, os.listdir(r.directory)
    out = b.run("print(1)", SPPROF_ROTATE="10m", SPPROF_SPOOL=".").err
    assert out.count("\n") == 1 and "SPPROF_ROTATE has no effect with SPPROF_SPOOL" in out, out


if __name__ == "__main__":
    sys.exit(main())
