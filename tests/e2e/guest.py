#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The program must not notice: the same program with and without the library prints the same, to the letter."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import BUSY, CASES, Profile, Skip, case, complaints, main, spent, telling  # noqa: E402,F401

VIEWS = {
    "descriptors": "print(sorted(os.listdir('/proc/self/fd')), os.open('/dev/null', 0))",
    "threads": "import threading; print(threading.active_count(), len(os.listdir('/proc/self/task')))",
    "getsignal": "print([(s, str(signal.getsignal(s))) for s in signal.valid_signals()] if hasattr(signal, 'valid_signals') else 0)",
    "mask": "print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), signal.sigpending())",
    "itimers": "print([signal.getitimer(i) for i in (0, 1, 2)])",
    "own_handler": """
n = 0
def h(s, f):
    global n; n += 1
signal.signal(signal.SIGPROF, h)
busy(0.1); print(n)
os.kill(os.getpid(), signal.SIGPROF); print(n)
signal.signal(signal.SIGPROF, signal.SIG_DFL); busy(0.05); print(signal.getsignal(signal.SIGPROF))
""",
    "itimer_prof": """
n = 0
def h(s, f):
    global n; n += 1
signal.signal(signal.SIGPROF, h); start = time.process_time(); signal.setitimer(signal.ITIMER_PROF, 0.02, 0.02)
while n < 15 and time.process_time() < start + 20: busy(0.02)
signal.setitimer(signal.ITIMER_PROF, 0); print(n >= 15 and time.process_time() > start + 0.1 or n) # its clock counts in ticks
""",
    "itimer_prof_kills": "signal.setitimer(signal.ITIMER_PROF, 0.05); busy(20); print('alive')",
    "itimer_virtual_kills": "signal.setitimer(signal.ITIMER_VIRTUAL, 0.05); busy(20); print('alive')",
    "ignored": "signal.signal(signal.SIGPROF, signal.SIG_IGN); os.kill(os.getpid(), signal.SIGPROF); busy(.05); print(signal.getsignal(signal.SIGPROF))\nimport subprocess; print(subprocess.run([sys.executable, '-c', 'import signal; print(signal.getsignal(signal.SIGPROF))'], capture_output=True).stdout)",
    "blocked": """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPROF]); busy(0.1)
print(signal.sigpending(), signal.sigtimedwait([signal.SIGPROF], 0))
os.kill(os.getpid(), signal.SIGPROF); busy(0.05); print(signal.sigpending(), signal.sigwaitinfo([signal.SIGPROF]).si_signo)
import subprocess
print(subprocess.run([sys.executable, '-c', 'import signal; print(signal.pthread_sigmask(0, []))'], capture_output=True).stdout)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGPROF]); busy(0.05); print(signal.pthread_sigmask(0, []))
""",
    "sigwait_thread": """
import threading
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPROF, signal.SIGUSR1])
got = []
def waiter():
    while True:
        s = signal.sigwait([signal.SIGPROF, signal.SIGUSR1])
        if s == signal.SIGUSR1: return
        got.append(s)
t = threading.Thread(target=waiter); t.start()
ts = [threading.Thread(target=busy, args=(.05,)) for i in range(3)]
for x in ts: x.start()
for x in ts: x.join()
until = time.time() + 60
for i in range(20):
    os.kill(os.getpid(), signal.SIGPROF)
    while len(got) <= i and time.time() < until: time.sleep(0.001)
os.kill(os.getpid(), signal.SIGUSR1); t.join(); print(len(got))
""",
    "sigwait_after_blocking_everything": """
import threading
signal.pthread_sigmask(signal.SIG_BLOCK, set(range(1, 65)) - {9, 19, 32, 33})
got = []
def waiter():
    while True:
        s = signal.sigwait([signal.SIGPROF, signal.SIGUSR1])
        if s == signal.SIGUSR1: return
        got.append(s)
ts = [threading.Thread(target=busy, args=(.1,)) for i in range(3)]
for x in ts: x.start()
time.sleep(0.02)
for i in range(5): os.kill(os.getpid(), signal.SIGPROF); time.sleep(0.01)
t = threading.Thread(target=waiter); t.start()
time.sleep(0.02)
until = time.time() + 60
while len(got) < 3 and time.time() < until: os.kill(os.getpid(), signal.SIGPROF); time.sleep(0.005)
for x in ts: x.join()
os.kill(os.getpid(), signal.SIGUSR1); t.join(); print(len(got) >= 3, signal.sigpending())
""",
    "wakeup_fd": """
r, w = os.pipe(); os.set_blocking(w, False); os.set_blocking(r, False); signal.set_wakeup_fd(w)
busy(0.1)
try: print(os.read(r, 100))
except BlockingIOError: print('silent')
""",
    "interrupted_read": """
r, w = os.pipe(); hit = []
signal.signal(signal.SIGPROF, lambda *a: (hit.append(1), os.write(w, b'x')))
import threading
threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGPROF)).start()
print(os.read(r, 1), hit)
""",
    "sleeps": "t = time.time(); time.sleep(0.2); import select; select.select([], [], [], 0.1); p = select.poll(); p.poll(100); print(0.39 < time.time() - t)",
    "fork_warnings": "import warnings; warnings.simplefilter('error')\npid = os.fork()\nif pid == 0: os._exit(3)\nprint(os.waitpid(pid, 0)[1])",
    "inherited": "import subprocess; print(subprocess.run(['/bin/sh', '-c', 'grep -E \"SigBlk|SigIgn|SigPnd|SigCgt\" /proc/self/status; ulimit -a'], capture_output=True).stdout.decode())",
    "faulthandler": "import faulthandler; faulthandler.enable(); faulthandler.register(signal.SIGUSR1); faulthandler.dump_traceback_later(10); faulthandler.cancel_dump_traceback_later(); print(faulthandler.is_enabled()); faulthandler.disable(); print(signal.getsignal(signal.SIGSEGV))",
    "sigaction_flags": """
import ctypes
libc = ctypes.CDLL(None)
class SA(ctypes.Structure): _fields_ = [('h', ctypes.c_void_p), ('mask', ctypes.c_ulong * 16), ('flags', ctypes.c_int), ('r', ctypes.c_void_p)]
for s in (1, 2, 10, 14, 15, 27, 11):
    old = SA(); assert libc.sigaction(s, None, ctypes.byref(old)) == 0
    print(s, old.h in (None, 0, 1), old.flags & 0x10000000)
libc.signal.restype = ctypes.c_void_p
for s in (15, 27):
    libc.siginterrupt(s, 1); print(libc.signal(s, ctypes.c_void_p(1)), libc.signal(s, ctypes.c_void_p(0)))
old = SA(); libc.sigaction(15, None, ctypes.byref(old)); print(old.flags & 0x10000000, libc.sigaction(99, None, None), libc.sigaction(9, ctypes.byref(old), None))
""",
    "old_names": """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
PROF = 1 << 26
def seen(): return signal.SIGPROF in signal.pthread_sigmask(0, []), signal.SIGPROF in signal.sigpending()
print(libc.sighold(27), seen()); busy(.05); print(seen())
print(libc.sigrelse(27), seen()); busy(.05); print(seen())
print(bool(libc.sigblock(PROF) & PROF), seen()); busy(.05); print(seen())
print(bool(libc.sigsetmask(0) & PROF), seen()); busy(.05); print(seen())
print(libc.sighold(15), libc.sigrelse(15), libc.sighold(99), ctypes.get_errno(), sorted(signal.pthread_sigmask(0, [])))
libc.sighold(27); os.kill(os.getpid(), 27); print(seen())
n = 0
def h(s, f):
    global n; n += 1
signal.signal(27, h)
libc.__sigpause(27, 1); print(n, seen()); libc.sigrelse(27)
""",
    "sigset_names": """
import ctypes
libc = ctypes.CDLL(None); libc.sigset.restype = libc.signal.restype = libc.bsd_signal.restype = ctypes.c_long
libc.sigset.argtypes = libc.signal.argtypes = [ctypes.c_int, ctypes.c_long]
for s in (27, 15):
    print(libc.sigset(s, 1), libc.sigset(s, 2), libc.sigset(s, 0), libc.sigset(s, 0), libc.sigignore(s), libc.signal(s, 0))
busy(.05); print(sorted(signal.pthread_sigmask(0, [])))
""",
    "handler_flags": """
import ctypes
libc = ctypes.CDLL(None)
class SA(ctypes.Structure): _fields_ = [('h', ctypes.c_void_p), ('mask', ctypes.c_ulong * 16), ('flags', ctypes.c_int), ('r', ctypes.c_void_p)]
H = ctypes.CFUNCTYPE(None, ctypes.c_int)
hits = []
def show():
    old = SA(); libc.sigaction(27, None, ctypes.byref(old)); return old.h is None, old.flags & 0xD8000000
depth = [0]
def handler(s):
    blocked = 27 in signal.pthread_sigmask(0, [])
    hits.append((depth[0], blocked))
    if depth[0] < 2 and len(hits) < 3:
        depth[0] += 1; os.kill(os.getpid(), 27); depth[0] -= 1
cb = H(handler)
for flags in (0x80000000, 0x40000000, 0xC0000000, 0x10000000, 0):
    hits.clear()
    for again in range(2):
        libc.sigaction(27, ctypes.byref(SA(ctypes.cast(cb, ctypes.c_void_p).value, (ctypes.c_ulong * 16)(), flags - (1 << 32) if flags >> 31 else flags, None)), None)
    busy(.03)
    if not flags & 0x80000000: os.kill(os.getpid(), 27)
    else:
        depth[0] = 2; os.kill(os.getpid(), 27); depth[0] = 0
    print(hex(flags), hits, show())
""",
    "signalfd": """
import ctypes, select
libc = ctypes.CDLL(None)
signal.pthread_sigmask(signal.SIG_BLOCK, [27, 10])
class Set(ctypes.Structure): _fields_ = [('v', ctypes.c_ulong * 16)]
s = Set(); libc.sigemptyset(ctypes.byref(s)); libc.sigaddset(ctypes.byref(s), 27); libc.sigaddset(ctypes.byref(s), 10)
fd = libc.signalfd(-1, ctypes.byref(s), 0)
busy(.1); print(select.select([fd], [], [], 0)[0])
os.kill(os.getpid(), 27); os.kill(os.getpid(), 10); print(len(os.read(fd, 4096)), signal.sigpending())
""",
    "exit_codes": "import subprocess; print([subprocess.run([sys.executable, '-c', c], capture_output=True).returncode for c in ('1/0', 'import os; os._exit(9)', 'import os; os.kill(os.getpid(), 15)', 'import sys; sys.exit(300)')])",
    "file_limit": "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000000, 1000000)); busy(.05); print('ok')",
    "closerange": "os.closerange(3, 65536); busy(0.1); print('ok')",
    "environment": "print(sorted(k for k in os.environ if not k.startswith(('LD_', 'SPPROF'))))",
    "argv": "print(sys.argv[1:], sys.orig_argv[2:] if hasattr(sys, 'orig_argv') else 0)",
    "umask_cwd": "print(oct(os.umask(0o22)), os.getcwd() == os.path.realpath(os.getcwd()))",
    "modules": "print(sorted(m for m in sys.modules if 'spprof' in m), 'spprof' in sys.builtin_module_names)",
    "gc_and_refs": "import gc; gc.collect(); print(gc.isenabled())",
    "thread_mask": """
import threading
out = []
t = threading.Thread(target=lambda: out.append(sorted(signal.pthread_sigmask(0, [])))); t.start(); t.join(); print(out)
signal.pthread_sigmask(signal.SIG_SETMASK, set(range(1, 65)) - {9, 19, 32, 33})
t = threading.Thread(target=lambda: (busy(.05), out.append(signal.SIGPROF in signal.pthread_sigmask(0, [])))); t.start(); t.join(); print(out)
""",
}
HEAD = BUSY + "import os, sys, signal, warnings\nwarnings.simplefilter('ignore')\n"


@case
def views(b):
    bad = []
    for name, program in VIEWS.items():
        plain = b.run(HEAD + program, preload=False, check=False)
        ours = b.run(HEAD + program, check=False, SPPROF_INTERVAL="1ms", SPPROF_VERBOSE=None)
        err = complaints(ours.err)
        strip = re.compile(r"app\d+\.py|0x[0-9a-f]+")
        a, c = [(r.code, strip.sub("", r.out), strip.sub("", e)) for r, e in ((plain, plain.err), (ours, err))]
        if a != c:
            bad.append(f"{name}:\n  plain {a}\n  ours  {c}")
        if not any(f for f in ours.files()):
            bad.append(f"{name}: no profile")
    assert not bad, "\n".join(bad)


@case
def blocked_time_is_named(b):
    p = b.run(HEAD + """
def a(): busy(0.5)
def c(): busy(0.3)
old = signal.pthread_sigmask(signal.SIG_SETMASK, set(range(1, 65)) - {9, 19, 32, 33})
a()
signal.pthread_sigmask(signal.SIG_SETMASK, old)
c()
""").profile()
    assert abs(p.block["cpu"]["blocked"] - 0.5e9) < 0.03e9, p.block["cpu"]
    if b.known:
        assert p.total_ns()["a"] < 0.03e9 and spent(b, p, "c") >= 0.3e9, (p.total_ns(), p.block)


@case
def no_eintr(b):
    """A C program over every call that SA_RESTART does not restart."""
    r = b.run(f"""
import ctypes
lib = ctypes.CDLL({os.path.join(b.build, 'tests/libspin.so')!r})
print(lib.count_eintr(150))
""", SPPROF_INTERVAL="100us", SPPROF_MEMORY="20M")
    assert r.out == "0\n", r.out


@case
def alternate_stacks(b):
    """2 and 4 KB alternate stacks of the program are never touched by a tick."""
    for size in (2048, 4096):
        def run(scale):
            r = b.run(f"""
import ctypes
lib = ctypes.CDLL({os.path.join(b.build, 'tests/libspin.so')!r})
print(lib.spin_with_altstack({size}, {300 * scale}))
""", SPPROF_INTERVAL="1ms")
            assert r.out == "0\n", (size, r.out)
            return r.profile()
        p, _ = telling(run, lambda p: p.block["samples"] > 40)
        assert p.block["samples"] > 40, p.block


@case
def siglongjmp(b):
    """A SIGALRM handler that jumps out does not end sampling."""
    def run(scale):
        r = b.run(f"""
import ctypes
lib = ctypes.CDLL({os.path.join(b.build, 'tests/libspin.so')!r})
print(lib.spin_with_siglongjmp({600 * scale}))
""", SPPROF_INTERVAL="1ms")
        assert r.out == "0\n", r.out
        return r.profile()
    p, _ = telling(run, lambda p: p.block["samples"] > 100)
    assert p.block["samples"] > 100, p.block
    assert p.block["losses"]["nested"] == 0, p.block["losses"]


@case
def raw_handler(b):
    """A library that sets SIGPROF by the raw system call gets the ticks: noticed, said, not fought."""
    program = HEAD + f"""
import ctypes
lib = ctypes.CDLL({os.path.join(b.build, 'tests/libspin.so')!r})
busy(0.1)
print(lib.raw_sigprof_handler())
busy(0.2)
end = thread_time() + 20
while not lib.raw_sigprof_hits() and thread_time() < end: busy(0.02)
print(lib.raw_sigprof_hits() > 0)
"""
    r = b.run(program, SPPROF_INTERVAL="1ms")
    assert r.out == "0\nTrue\n" and r.err.count("raw system call") == 1, (r.out, r.err)
    p = r.profile()
    assert p.block["losses"]["handler_replaced"] == 1 and p.block["cpu"]["not_sampled"] > 0.15e9, p.block


@case
def signals_reach_the_main_thread(b):
    """A signal for the process interrupts the main thread's system call, however busy other threads are with ticks. On one
    processor, with the main thread last in line, every third is taken by another thread if nothing hands it over."""
    program = """
import ctypes, mmap, os, signal, sys, threading, time
lib = ctypes.CDLL(sys.argv[1])
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
shared = mmap.mmap(-1, 4096)
handled = 0
def handler(sig, frame):
    global handled
    handled += 1
    shared[0] = handled
signal.signal(int(sys.argv[2]), handler)
r, w = os.pipe()
parent, rounds = os.getpid(), 8
child = os.fork()
if child == 0:
    late = 0
    for i in range(rounds):
        asleep = 0  # in the read: what comes just before it is noted by CPython and handled after it, in a plain run too
        while asleep < 3:
            with open("/proc/%d/stat" % parent) as f: state = f.read().rpartition(")")[2].split()[0]
            asleep = asleep + 1 if state == "S" and shared[2] == i + 1 else 0
            time.sleep(0.003)
        os.kill(parent, int(sys.argv[2]))
        until = time.time() + 60
        while shared[0] == i and time.time() < until: time.sleep(0.002)
        late += shared[0] == i
        os.write(w, b"x")
    shared[1] = 1
    os._exit(late)
stop = False
def busy():
    while not shared[1]: lib.spin_ms(20)
threads = [threading.Thread(target=busy) for i in range(3)]
for t in threads: t.start()
os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
for i in range(rounds):
    shared[2] = i + 1
    os.read(r, 1)
for t in threads: t.join()
print(handled, os.waitpid(child, 0)[1] >> 8)
"""
    import signal
    for sig in (signal.SIGTERM, signal.SIGPROF):
        r = b.run(program, os.path.join(b.build, "tests/libspin.so"), int(sig), timeout=280, SPPROF_INTERVAL="1ms")
        assert r.out == "8 0\n", (sig, r.out)


@case
def handlers_in_c_reach_the_main_thread(b):
    """The same with a handler that asks who sent the signal, and system calls that start again."""
    r = b.run("""
import ctypes, mmap, os, signal, sys, threading, time
lib = ctypes.CDLL(sys.argv[1])
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
counts = (ctypes.c_int * 4).from_buffer(mmap.mmap(-1, 4096))
assert lib.count_handlers(counts) == 0
r, w = os.pipe()
parent = os.getpid()
child = os.fork()
if child == 0:
    time.sleep(0.2)
    for i in range(10):
        os.kill(parent, signal.SIGUSR1)
        until = time.time() + 60
        while counts[0] + counts[1] == i and time.time() < until: time.sleep(0.002)
    counts[3] = 1
    os.write(w, b"x")
    os._exit(0)
def busy():
    while not counts[3]: lib.spin_ms(20)
threads = [threading.Thread(target=busy) for i in range(3)]
for t in threads: t.start()
os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
os.read(r, 1)
for t in threads: t.join()
print(counts[0], counts[1], counts[2] == child)
""", os.path.join(b.build, "tests/libspin.so"), timeout=280, SPPROF_INTERVAL="1ms")
    assert r.out == "10 0 True\n", r.out


@case
def signals_stay_where_they_were_sent(b):
    """Sent to a thread, or blocked in the main thread: the handler runs in the thread that the kernel chose."""
    r = b.run("""
import ctypes, os, signal, sys, threading, time
lib = ctypes.CDLL(sys.argv[1])
counts = (ctypes.c_int * 3)()
assert lib.count_handlers(counts) == 0
def thread():
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
    assert lib.raise_in_this_thread() == 0
t = threading.Thread(target=thread); t.start(); t.join()
print(counts[0], counts[1])
def other():
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
    while counts[1] == 2: lib.spin_ms(10)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
t = threading.Thread(target=other); t.start()
os.kill(os.getpid(), signal.SIGUSR1)
t.join()
print(counts[0], counts[1])
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
os.kill(os.getpid(), signal.SIGUSR1)
print(counts[0], counts[1], counts[2] == os.getpid())
""", os.path.join(b.build, "tests/libspin.so"), SPPROF_INTERVAL="1ms")
    assert r.out == "0 2\n0 3\n1 3 True\n", r.out


@case
def address_space_limit(b):
    import resource
    r = b.run(HEAD + "busy(0.1); print('ok')", preexec=lambda: resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20)))
    assert r.out == "ok\n"
    assert r.profile().total() > 0.1e9


@case
def timer_limit(b):
    """RLIMIT_SIGPENDING used up: one line, the time is shown as not sampled."""
    import resource
    r = b.run(HEAD + "busy(0.2); print('ok')", preexec=lambda: resource.setrlimit(resource.RLIMIT_SIGPENDING, (0, 0)))
    assert r.out == "ok\n" and "RLIMIT_SIGPENDING" in r.err, r.err
    p = r.profile()
    assert p.block["cpu"]["not_sampled"] > 0.2e9 and p.block["losses"]["timer_refused"] == 1, p.block


@case
def stderr_became_a_data_file(b):
    """A message of ours never lands in a file that took the place of stderr."""
    r = b.run(HEAD + """
os.close(2)
assert os.open('data', os.O_WRONLY | os.O_CREAT) == 2
os.write(2, b'precious'); busy(0.05)
os.chmod('gone', 0o700); import shutil; shutil.rmtree('gone')
""", cwd=made(b.fresh(), "gone"), SPPROF_OUT="gone/p.json", TMPDIR="/nonexistent", SPPROF_VERBOSE="1")
    assert open(os.path.join(r.directory, "data"), "rb").read() == b"precious"


def made(d, sub):
    os.mkdir(os.path.join(d, sub))
    return d


@case
def fork_storm(b):
    """Forks from threads while others sample: no zombie, no leak, no deadlock."""
    r = b.run(HEAD + """
import threading
def forks():
    for i in range(40):
        pid = os.fork()
        if pid == 0: os._exit(0)
        os.waitpid(pid, 0)
ts = [threading.Thread(target=forks) for i in range(3)] + [threading.Thread(target=busy, args=(0.5,)) for i in range(3)]
for t in ts: t.start()
for t in ts: t.join()
time.sleep(0.1)
print(open('/proc/self/timers').read().count('ClockID:'), len(os.listdir('/proc/self/fd')))
""", SPPROF_INTERVAL="1ms")
    assert r.out == "1 4\n", r.out
    assert len(r.files()) == 121, len(r.files())


if __name__ == "__main__":
    sys.exit(main())
