#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The program must not notice: system calls, alternate stacks, handlers and limits (what programs print: views.py)."""
import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import BUSY, CASES, TIMERS, Profile, Skip, case, complaints, main, spent, telling  # noqa: E402,F401

HEAD = BUSY + "import os, sys, signal, warnings\nwarnings.simplefilter('ignore')\n"


@case
def blocked_time_is_named(b):
    r = b.run(HEAD + """
def a(): busy(0.5)
def c(): busy(0.3)
print(time.process_time())
old = signal.pthread_sigmask(signal.SIG_SETMASK, set(range(1, 65)) - {9, 19, 32, 33})
a()
signal.pthread_sigmask(signal.SIG_SETMASK, old)
c()
""")
    p, before = r.profile(), float(r.out) * 1e9  # on an overbooked CPU the last tick before may be as long ago
    assert -0.03e9 < p.block["cpu"]["blocked"] - 0.5e9 < before + 0.01e9, p.block["cpu"]
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


@case(where="few")
def addresses_that_lead_nowhere(b):
    """What the kernel answers to them with EFAULT is no crash."""
    program = """
import ctypes
c = ctypes.CDLL(None, use_errno=True)
nowhere, full, room, soon = ctypes.c_void_p(8), ctypes.create_string_buffer(b"\\xff" * 128), ctypes.create_string_buffer(256), (ctypes.c_long * 2)(0, 1000)
for name, *arguments in (("sigsuspend", nowhere), ("sigwait", nowhere, room), ("sigwaitinfo", nowhere, None), ("sigtimedwait", nowhere, None, soon),
                         ("sigtimedwait", full, None, nowhere), ("sigpending", nowhere), ("signalfd", -1, nowhere, 0),
                         ("pselect", 0, None, None, None, soon, nowhere), ("ppoll", None, 0, soon, nowhere),
                         ("epoll_pwait", -1, room, 1, 0, nowhere), ("epoll_pwait2", -1, room, 1, soon, nowhere),
                         ("sigaltstack", nowhere, None), ("sigwait", None, room), ("sigtimedwait", None, None, soon)):
    if hasattr(c, name): # epoll_pwait2 came with glibc 2.35
        ctypes.set_errno(0)
        print(name, getattr(c, name)(*arguments), ctypes.get_errno(), flush=True)
"""
    plain = b.run(program, preload=False).out
    r = b.run(program, SPPROF_WALL=1)
    assert r.out == plain and plain.count(" 14") >= 12, (r.out, plain)


@case(where="few")
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


@case(where="few")
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


@case(where="few")
def raw_handler(b):
    """A library that sets SIGPROF by the raw system call gets the ticks: noticed, said, not fought. A SIGPROF that waits while the
    profile is written does not make the time before (SIGPROF blocked)."""
    program = HEAD + f"""
import ctypes, subprocess
lib = ctypes.CDLL({os.path.join(b.build, 'tests/libspin.so')!r})
busy(0.1)
print(lib.raw_sigprof_handler())
busy(0.2)
end = thread_time() + 20
while not lib.raw_sigprof_hits() and thread_time() < end: busy(0.02)
print(lib.raw_sigprof_hits() > 0)
hits = lib.raw_sigprof_hits()
subprocess.Popen(["sh", "-c", "while kill -PROF $PPID; do :; done"], env={{}}, stdout=-3, stderr=-3)
while lib.raw_sigprof_hits() < hits + 100: busy(0.01)
"""
    r = b.run(program, SPPROF_INTERVAL="1ms")
    assert r.out == "0\nTrue\n" and r.err.count("raw system call") == 1, (r.out, r.err)
    p = r.profile()
    assert p.block["losses"]["handler_replaced"] == 1 and p.block["cpu"]["not_sampled"] > 0.15e9, p.block


@case(where="few")
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
    late, stat = 0, os.open("/proc/%d/stat" % parent, os.O_RDONLY)
    for i in range(rounds):
        asleep = 0  # in the read: what comes just before it is noted by CPython and handled after it, in a plain run too
        while asleep < 3:
            state = os.pread(stat, 400, 0).rpartition(b")")[2].split()[0]  # closing a file takes 3.13t's child a second
            asleep = asleep + 1 if state == b"S" and shared[2] == i + 1 else 0
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
    for sig in (signal.SIGTERM, signal.SIGPROF):
        r = b.run(program, os.path.join(b.build, "tests/libspin.so"), int(sig), timeout=280, SPPROF_INTERVAL="1ms")
        assert r.out == "8 0\n", (sig, r.out)


@case(where="few")
def calls_end_where_a_tick_came_first(b):
    """A tick and a signal that come together: the tick's handler runs first, and has the system call begin anew. It ends all the same
    (by EINTR) if the signal's handler wants that."""
    program = """
import ctypes, os, re, signal, sys, threading, time
lib = ctypes.CDLL(sys.argv[1])
main, rounds, done, late, r, w = threading.get_native_id(), 20, 0, [], *os.pipe()
timers = open("/proc/self/timers").read() if os.path.exists("/proc/self/timers") else ""
value = [int(v, 16) for v, tid in re.findall(r"signal: %d/([0-9a-f]+)\\nnotify: signal/tid.(\\d+)" % signal.SIGPROF, timers) if int(tid) == main]
if not value:
    print("none")
    os._exit(0)
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
class Ended(Exception): pass
def handler(sig, frame): raise Ended
sig = int(sys.argv[2])
signal.signal(sig, handler)
def sleeps(): return os.pread(call, 200, 0).split()[:2] == [b"0", b"%#x" % r]
def send():
    signal.pthread_sigmask(signal.SIG_BLOCK, [sig])
    for i in range(rounds):
        while not sleeps(): time.sleep(0.001)
        time.sleep(0.003)
        assert lib.tick_and_signal(main, ctypes.c_ulong(value[0]), sig) == 0
        looks = 0  # on a busy machine the thread may not have run yet: then it is not asleep
        while done == i and looks < 200:
            looks = looks + 1 if sleeps() else 0
            time.sleep(0.001)
        late.append(done == i)
        os.write(w, b"xx" if done == i else b"x")
        while done < i + 1: time.sleep(0.001)
call = os.open("/proc/self/task/%d/syscall" % main, os.O_RDONLY)
thread = threading.Thread(target=send)
thread.start()
os.setpriority(os.PRIO_PROCESS, main, 10)
for i in range(rounds):
    try:
        while True: os.read(r, 1)
    except Ended: done = i + 0.5
    os.read(r, 1)
    done = i + 1
thread.join()
print(len(late), sum(late))
"""
    for sig in (signal.SIGTERM, signal.SIGCHLD):
        r = b.run(program, os.path.join(b.build, "tests/libspin.so"), int(sig), SPPROF_INTERVAL="1ms")
        if r.out == "none\n":
            raise Skip("/proc/self/timers does not tell the value of a tick")
        assert r.out == "20 0\n", (sig, r.out)


@case(where="few")
def flags_are_read_back(b):
    """sigaction() tells what the program set, before a handler that is to run once has run, and after."""
    b.run("""
import ctypes, os, signal
libc = ctypes.CDLL(None)
class Action(ctypes.Structure): # glibc's and musl's on 64 bits
    _fields_ = [("handler", ctypes.c_void_p), ("mask", ctypes.c_char * 128), ("flags", ctypes.c_uint), ("restorer", ctypes.c_void_p)]
seen = []
handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda sig: seen.append(sig))
at = ctypes.cast(handler, ctypes.c_void_p).value
def read(sig):
    a = Action()
    assert libc.sigaction(sig, None, ctypes.byref(a)) == 0
    return a.handler or 0, a.flags & ~0x04000000 # SA_RESTORER
for sig in (signal.SIGCHLD, signal.SIGUSR1, signal.SIGTERM):
    for flags in (0, 4, 0x80000000, 0x80000004, 0x90000000, 0x50000000):
        a = Action(handler=at, flags=flags)
        assert libc.sigaction(sig, ctypes.byref(a), None) == 0
        assert read(sig) == (at, flags), (sig, flags, read(sig))
        os.kill(os.getpid(), sig)
        once = flags & 0x80000000
        assert read(sig) == (0 if once else at, flags), (sig, flags, read(sig))
        a = Action(flags=flags)
        assert libc.sigaction(sig, ctypes.byref(a), None) == 0 and read(sig) == (0, flags), (sig, flags, read(sig))
assert len(seen) == 18, seen
""")


@case(where="few")
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


@case(where="few")
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


@case(where="few")
def address_space_limit(b):
    import resource
    r = b.run(HEAD + "busy(0.1); print('ok')", preexec=lambda: resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20)))
    assert r.out == "ok\n"
    assert r.profile().total() > 0.1e9


@case(where="few")
def timer_limit(b):
    """RLIMIT_SIGPENDING used up: one line, the time is shown as not sampled."""
    import resource
    r = b.run(HEAD + "busy(0.2); print('ok')", preexec=lambda: resource.setrlimit(resource.RLIMIT_SIGPENDING, (0, 0)))
    assert r.out == "ok\n" and "RLIMIT_SIGPENDING" in r.err, r.err
    p = r.profile()
    assert p.block["cpu"]["not_sampled"] > 0.2e9 and p.block["losses"]["timer_refused"] == 1, p.block


@case(where="few")
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


@case(where="few")
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
while len(os.listdir('/proc/self/task')) > 1: time.sleep(0.01) # a thread's end comes after what join() waits for
print(open('/proc/self/timers').read().count('ClockID:'), len(os.listdir('/proc/self/fd')))
""", SPPROF_INTERVAL="1ms")
    assert r.out == f"{TIMERS} 4\n", r.out
    assert len(r.files()) == 121, len(r.files())


if __name__ == "__main__":
    sys.exit(main())
