#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""SPPROF_ENGINE=fine: samples between the clock's ticks, at random moments of CPU; and no call is ended by one."""
import ast
import math
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from load import LOAD  # noqa: E402
from sp import BUSY, CASES, MACHINE, Skip, case, compile_support, main, need_frames, share_bound  # noqa: E402,F401

FINE = {"SPPROF_OUT": "p.json", "SPPROF_ENGINE": "fine", "SPPROF_INTERVAL": "1ms"}


def fine(b, program, *args, **env):
    r = b.run(program, *args, timeout=120, **{**FINE, **env})
    p = r.profile()
    assert p.block["engine"] == "fine" and p.block["complete"], p.block
    return r, p


def as_many_as_asked(p, least=0.7):
    """One sample a millisecond of CPU: gaps are uniform in twice that, so n of them vary by sqrt(n / 3)."""
    wanted = p.total() / 1e6
    assert least * wanted < p.block["samples"] < wanted + 5 * math.sqrt(wanted / 3) + 0.02 * wanted, (wanted, p.block)


def interrupted(b):
    return compile_support(b, "interrupted.c", "libinterrupted.so", "-shared", "-fPIC")


@case
def in_step_with_the_tick(b):
    """Work that begins with the clock's ticks, and has its parts in order: each has its share. The CPU engine shows one of them alone."""
    need_frames(b)
    r, p = fine(b, """
import sys, time
now, cpu = time.perf_counter, time.thread_time_ns
took = {}
def timed(f, until):
    c = cpu(); f(until); took[f.__name__] = took.get(f.__name__, 0) + cpu() - c
def part_a(until):
    while now() < until: pass
def part_b(until):
    while now() < until: pass
def part_c(until):
    while now() < until: pass
def cycles(period, busy, cpu_ns):
    end = cpu() + cpu_ns
    while cpu() < end:
        begin = (int(now() / period) + 1) * period
        time.sleep(max(0, begin - now()))
        timed(part_a, begin + .6 * busy); timed(part_b, begin + .9 * busy); timed(part_c, begin + busy)
cycles(.01, .003, 4e8); cycles(.004, .0036, 4e8); cycles(.02, .003, 1e8)
print(took)
""")
    took, seen = ast.literal_eval(r.out), p.total_ns()
    all_took, all_seen = sum(took.values()), sum(seen[f] for f in took)
    as_many_as_asked(p)
    assert all_seen > 0.8 * all_took, (seen, took, p.block)
    for f, ns in took.items():
        bound = share_bound(p.block["samples"], ns / all_took) + p.doubt_ns() / all_took
        assert abs(seen[f] / all_seen - ns / all_took) <= bound, (f, seen, took, bound)


@case
def time_in_the_kernel(b):
    """Half in Python, half in long and short calls that compute: each at its line."""
    need_frames(b)
    r, p = fine(b, """
import os, time
cpu = time.thread_time_ns
zero, took = os.open("/dev/zero", os.O_RDONLY), {"computes": 0, "reads": 0}
def computes(ns):
    end = cpu() + ns
    while cpu() < end: pass
def reads(ns, n):
    end = cpu() + ns
    while cpu() < end: os.read(zero, n)
for i in range(60):
    for ns, n in ((3e5, 1 << 20), (2e6, 1 << 16), (5e5, 512), (5e6, 1 << 24)):
        begin = cpu(); computes(ns); middle = cpu(); reads(ns, n); end = cpu()
        took["computes"] += middle - begin; took["reads"] += end - middle
print(took)
""")
    took, seen = ast.literal_eval(r.out), p.total_ns()
    as_many_as_asked(p, 0.4)  # a call of 3 ms has one
    whole = sum(took.values())
    share, seen_share = took["reads"] / whole, seen["reads"] / (seen["reads"] + seen["computes"])
    assert abs(seen_share - share) <= share_bound(p.block["samples"], share) + p.doubt_ns() / whole, (seen, took, p.block)


@case
def no_call_is_ended(b):
    """Threads that work and wait by turns, in calls that a signal would end: none does. At 10 kHz as well; with SPPROF_WALL."""
    library = interrupted(b)
    for env in ({}, {"SPPROF_INTERVAL": "100us"}, {"SPPROF_WALL": "all"}):
        r, p = fine(b, f"""
import ctypes, threading
lib, ended = ctypes.CDLL({library!r}), []
threads = [threading.Thread(target=lambda: ended.append(lib.ended_early(60))) for i in range(3)]
for t in threads: t.start()
ended.append(lib.ended_early(60))
for t in threads: t.join()
print(ended)
""", **env)
        assert ast.literal_eval(r.out) == [0] * 4 and p.block["samples"] > 30, (r.out, p.block)


@case
def who_shares_a_processor(b):
    """An alarm comes too soon to who was put off its CPU meanwhile: no sample, and another one in time. Two processes on one CPU."""
    need_frames(b)
    r, p = fine(b, BUSY + """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
parent, pid = os.getpid(), os.fork()
if pid == 0:
    while os.getppid() == parent: sum(range(1000))
    os._exit(0)
busy(1)
os.kill(pid, 9)
""", SPPROF_CHILDREN=0)
    as_many_as_asked(p, 0.5)


@case(where="few")
def where_no_hook_is(b):
    """A thread that sleeps by a system call of its own is let sleep, once it has shown that it does; and is seen when it works again."""
    need_frames(b)
    if MACHINE != "x86_64":
        raise Skip("the call is x86-64's")
    r, p = fine(b, BUSY + f"""
import ctypes
lib = ctypes.CDLL({interrupted(b)!r})
def works_again(): busy(.3)
woken = [lib.woken(500), lib.woken(500)]
works_again()
print(woken, time.process_time_ns())
""")
    woken, used = r.out.rsplit(" ", 1)
    assert sum(ast.literal_eval(woken)) < 40, r.out  # at 1 kHz it would be 1,000
    assert p.total_ns()["works_again"] > 0.25e9 and p.block["samples"] > 100, p.block


@case(where="few")
def an_alarm_that_a_jump_lost(b):
    """The alarm that its hook stopped is found dead, and set again."""
    need_frames(b)
    r, p = fine(b, BUSY + f"""
import ctypes
lib = ctypes.CDLL({compile_support(b, "wall.c", "libwall.so", "-shared", "-fPIC")!r})
lib.jump_out.restype = ctypes.c_char_p
def after(): busy(.8)
lib.cancel()
said = lib.jump_out(2)
after() # and no wait between
print(said)
""")
    assert r.out == "None\n", r.out
    as_many_as_asked(p)
    assert p.total_ns()["after"] > 0.75e9, p.block


@case(where="few")
def waits_after_a_jump(b):
    """Those further in on the stack than the one that was left are not ended either; nor where the thread had been seen asleep before."""
    for unseen_ms in (0, 100):
        r, p = fine(b, f"import ctypes; print(ctypes.CDLL({interrupted(b)!r}).ended_early_after_a_jump(60, {unseen_ms}))")
        assert r.out == "0\n" and p.block["samples"] > 60, (unseen_ms, r.out, p.block)


@case(where="few")
def a_stack_that_is_gone(b):
    """The wait that was left was on a fibre's stack, which is no more: nobody looks there."""
    r, p = fine(b, f"import ctypes; print(ctypes.CDLL({interrupted(b)!r}).works_below_a_stack_that_is_gone())")
    assert r.out == "0\n" and p.total() > 0.19e9, (r.out, p.block)


@case(where="few")
def a_sample_that_takes_longer_than_its_interval(b):
    """Stacks of thousands of frames, asked for each 100 us: the program goes on."""
    r, p = fine(b, """
import sys, threading
sys.setrecursionlimit(100000); threading.stack_size(256 << 20)
def deep(n): return deep(n - 1) if n else 0
def run():
    for i in range(300): deep(4000)
    print("done")
t = threading.Thread(target=run); t.start(); t.join()
""", SPPROF_INTERVAL="100us", SPPROF_NATIVE="full", SPPROF_DEPTH=65536)
    assert r.out == "done\n", r.out


@case
def what_another_thread_sends(b):
    """Each SIGPROF of the program's arrives, once, in a thread that works and waits for the GIL."""
    for interval in ("1ms", "100us"):
        r, _ = fine(b, BUSY + """
import os, signal, threading
n, wrong, over = 0, [], False
def arrived(*_):
    global n
    n += 1
signal.signal(signal.SIGPROF, arrived)
main = threading.main_thread().ident
def sends():
    global over
    for i in range(200):
        before = n
        signal.pthread_kill(main, signal.SIGPROF) if i % 2 else os.kill(os.getpid(), signal.SIGPROF)
        until = time.monotonic() + 60
        while n == before and time.monotonic() < until: time.sleep(.0002)
        if n != before + 1: wrong.append((i, n - before)); break
    over = True
t = threading.Thread(target=sends); t.start()
while not over: busy(.001)
t.join(); print(n, wrong)
""", SPPROF_INTERVAL=interval)
        assert r.out == "200 []\n", r.out


@case
def what_waits_in_another_thread(b):
    """A SIGPROF of the program's that its receiver has blocked is none of ours: who sends the next does not sleep for it."""
    r, _ = fine(b, """
import resource, signal, threading, time
signal.signal(signal.SIGPROF, lambda *a: None)
over, ready = threading.Event(), threading.Event()
def blocks(): signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPROF]); ready.set(); over.wait()
t = threading.Thread(target=blocks); t.start(); ready.wait(); time.sleep(.1)
before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
for i in range(200): signal.pthread_kill(t.ident, signal.SIGPROF)
slept = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before
over.set(); t.join()
print(slept < 100 or slept)
""")
    assert r.out == "True\n", r.out


@case
def sums_of_short_threads(b):
    """Threads and processes that come and go, code that dies: what was used is there, to the nanosecond."""
    r, p = fine(b, LOAD.replace("churn.", "lib.") + """
import sys
lib = ctypes.CDLL(sys.argv[1])
begin_load()
for i in range(10):
    busy(.03)
    pid = os.fork()
    if pid == 0: busy(.005); os._exit(0)
    os.waitpid(pid, 0)
end_load()
print(time.process_time_ns(), flush=True)
os._exit(0)
""", os.path.join(b.build, "tests", "libchurn.so"), SPPROF_CHILDREN=0)
    used = p.total() + p.block["cpu"]["before_start"]
    assert int(r.out) <= used <= int(r.out) + 0.05e9, (r.out, used, p.block)
    assert p.block["samples"] > 300, p.block


@case(where="few")
def no_second_timer(b):
    """Where it is refused threads are sampled at the clock's tick, which is said once."""
    if MACHINE != "x86_64":
        raise Skip("the filter is for x86-64")
    need_frames(b)
    r = b.run(BUSY + """
import ctypes, struct, os, sys, threading
op = lambda code, k, t=0, f=0: struct.pack('HBBI', code, t, f, k)
code = ctypes.create_string_buffer(b''.join([op(0x20, 0), op(0x15, 222, 0, 3), op(0x20, 16), op(0x15, 1, 0, 1), op(6, 0x50000 | 11), op(6, 0x7fff0000)]))
class Program(ctypes.Structure): _fields_ = [('n', ctypes.c_ushort), ('code', ctypes.c_void_p)]
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.byref(Program(6, ctypes.addressof(code))), 0, 0) == 0
def coarse(): busy(.2)
for i in range(2):
    t = threading.Thread(target=coarse); t.start(); t.join()
""", **FINE)
    p = r.profile()
    assert r.err.count("\n") == 1 and "a second timer for a thread was refused" in r.err, r.err
    assert p.total_ns()["coarse"] > 0.35e9 and p.block["losses"]["timer_refused"] == 0, p.block


@case(where="few")
def by_default_it_is_not(b):
    """auto is the CPU engine."""
    for env in ({}, {"SPPROF_ENGINE": "auto"}, {"SPPROF_ENGINE": "cpu"}):
        p = b.run(BUSY + "busy(.02)", SPPROF_OUT="p.json", SPPROF_INTERVAL="1ms", **env).profile()
        assert p.block["engine"] == "cpu", p.block


if __name__ == "__main__":
    sys.exit(main())
