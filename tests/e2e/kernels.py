#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Kernels that lack a system call, and sandboxes that forbid one: both by a seccomp filter, as our calls pass no libc."""
import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import MACHINE, BUSY, CASES, WORK, Profile, Skip, case, complaints, main, need_frames, spent  # noqa: E402,F401

# asm/unistd_64.h
NUMBERS = dict(read=0, write=1, close=3, poll=7, mmap=9, mprotect=10, munmap=11, brk=12, rt_sigaction=13, rt_sigprocmask=14, rt_sigreturn=15,
               ioctl=16, sched_yield=24, mremap=25, madvise=28, getpid=39, exit=60, wait4=61, kill=62, prctl=157, gettid=186, futex=202, timer_create=222,
               timer_settime=223, timer_getoverrun=225, timer_delete=226, clock_gettime=228, clock_nanosleep=230, exit_group=231, tgkill=234,
               openat=257, newfstatat=262, set_robust_list=273, timerfd_create=283, dup3=292, prlimit64=302, process_vm_readv=310,
               renameat2=316, getrandom=318, memfd_create=319, membarrier=324, setpgid=109, rseq=334, clone=56, clone3=435, close_range=436, getdents64=217,
               sched_getaffinity=204, rt_sigtimedwait=128, clock_getres=229, lseek=8)

FILTER = f"""
import ctypes, struct
libc = ctypes.CDLL(None, use_errno=True)
NUMBERS = {NUMBERS!r}
def install(rules, default):
    "rules: number, action, and if it is for one value of an argument only, which and what."
    code = [(0x20, 0, 0, 0)]
    for number, action, *argument in rules:
        if argument:
            code += [(0x15, 0, 4, number), (0x20, 0, 0, 16 + 8 * argument[0]), (0x15, 0, 1, argument[1]), (6, 0, 0, action), (0x20, 0, 0, 0)]
        else:
            code += [(0x15, 0, 1, number), (6, 0, 0, action)]
    code.append((6, 0, 0, default))
    text = b"".join(struct.pack("HBBI", *c) for c in code)
    program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(keep(ctypes.create_string_buffer(text, len(text)))))
    assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.create_string_buffer(program, len(program)), 0, 0) == 0
kept = []
def keep(x): kept.append(x); return x
ALLOW, KILL, ERRNO = 0x7fff0000, 0x80000000, 0x00050000
"""


def need_x86():
    if MACHINE != "x86_64":
        raise Skip("the filters are written for x86-64")


def listed():
    """What the README says that a tick, and a thread's beginning and end, call."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../README.md"), encoding="utf-8") as f:
        text = re.sub(r"\s+", " ", f.read())
    names = re.findall(r"`(\w+)`", re.search(r"after its first second a tick makes (.*?)\.", text).group(1))
    assert len(names) > 10 and "openat" not in names, names
    return names


@case
def sandbox(b):
    """Only what the README lists, and what the interpreter itself needs, is allowed once the program runs: anything else kills."""
    need_x86()
    spool = b.fresh()
    own = "rt_sigaction read write mmap munmap mprotect brk madvise futex exit clone clone3 set_robust_list rseq sched_yield kill rt_sigreturn rt_sigprocmask getrandom".split()
    program = WORK + FILTER + f"""
import threading
busy(0.05)
def named(): busy(0.7)
def quick(): busy(0.001)
t = threading.Thread(target=quick); t.start(); t.join() # what the interpreter does once
install([(NUMBERS[n], ALLOW) for n in {sorted(set(own + listed()))!r}], KILL)
threads = [threading.Thread(target=named) for _ in range(2)]
for t in threads: t.start()
for i in range(20):
    t = threading.Thread(target=quick); t.start(); t.join()
for t in threads: t.join()
exec("def deep(n): return deep(n - 1) if n else busy(0.05)")
for i in range(30):
    space = {{"busy": busy}}
    exec("def f%d(n): return f%d(n - 1) if n else busy(0.01)" % (i, i), space)
    space["f%d" % i](100)
os.write(1, b"alive")
os.kill(os.getpid(), 9)
"""
    r = b.run(program, check=False, SPPROF_SPOOL=spool, SPPROF_INTERVAL="2ms")
    if r.out != "alive" and b.run(program, check=False, preload=False).out != "alive":
        raise Skip("the interpreter itself calls more")
    assert (r.code, r.out) == (-signal.SIGKILL, "alive"), (r.code, r.out, r.err)
    (name,) = os.listdir(spool)
    out = os.path.join(b.fresh(), "r.json")
    subprocess.run([os.path.join(b.build, "spprof"), "recover", "-o", out, os.path.join(spool, name)], check=True, capture_output=True)
    p = Profile(out)
    if b.known:
        assert p.total_ns()["named"] > 0.7e9, p.total_ns()
        r = b.run(program, check=False, SPPROF_INTERVAL="2ms")
        assert (r.code, r.out) == (-signal.SIGKILL, "alive"), (r.code, r.out, r.err)


OLD = {
    "renameat2": "(316, ERRNO | 38),",
    "no renameat2 flags": "(316, ERRNO | 22),",
    "memfd_create, clone3, close_range": "(319, ERRNO | 38), (435, ERRNO | 38), (436, ERRNO | 38),",
    "madvise: DONTDUMP, WIPEONFORK, POPULATE_WRITE": "(28, ERRNO | 22, 2, 16), (28, ERRNO | 22, 2, 18), (28, ERRNO | 22, 2, 23), (28, ERRNO | 22, 2, 15),",
    "PROCMAP_QUERY": "(16, ERRNO | 25, 1, 0xc0686611),",
    "process_vm_readv, membarrier, rseq": "(310, ERRNO | 38), (324, ERRNO | 38), (334, ERRNO | 38),",
}


@case(where="few")
def sandboxed_by_itself(b):
    """A program that forbids itself processes, on pain of death, lives on: we make none from then on."""
    need_x86()
    program = WORK + FILTER + """
import signal, threading
got = []
signal.signal(signal.SIGUSR1, lambda *a: got.append(1))
def naps():
    for i in range(20): time.sleep(.02)
t = threading.Thread(target=naps); t.start()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
install([(NUMBERS[n], KILL) for n in ("clone", "wait4", "setpgid", "close_range")], ALLOW)
os.kill(os.getpid(), signal.SIGUSR1)
busy(0.3)
t.join()
print("alive", got, flush=True)
os._exit(0)
"""
    for options in ({}, {"SPPROF_WALL": 1}):
        r = b.run(program, SPPROF_OUT="p.json", check=False, **options)
        assert (r.code, r.out) == (0, "alive [1]\n"), (options, r.code, r.out, r.err)


@case
def forbidden_calls(b):
    """A sandbox that refuses what sampling rests on: the program runs as without, and a line says what is missing."""
    need_x86()
    wrapper = b.write(FILTER + "import os, sys\ninstall(eval(sys.argv[1]), ALLOW)\nos.execv(sys.argv[2], sys.argv[2:])\n", "refuse.py")
    program = b.write(WORK + "import threading\nt = threading.Thread(target=work); t.start(); t.join(); print('ok')\n", "program.py")
    for number, said, files in ((222, "show as (not sampled)", 1), (13, "runs unprofiled", 0)):
        for error in (1, 38):
            r = b.run(None, command=["/usr/bin/python3", "-S", wrapper, f"[({number}, ERRNO | {error})]", "/usr/bin/env", f"LD_PRELOAD={b.library}",
                                     b.python, program], preload=False, SPPROF_OUT="p.json")
            assert r.out == "ok\n" and complaints(r.err).count("\n") == 1 and said in r.err, (number, error, r.out, r.err)
            assert len(r.files()) == files, r.files()
            for p in r.profiles():
                cpu = p.block["cpu"]
                assert cpu["not_sampled"] >= 0.9 * (cpu["used"] - cpu["thread_start_end"]) > 0.1e9, cpu


@case
def getpid_is_forbidden(b):
    """A signal that ends the program is nobody else's, whenever the filter came. In a namespace of pids: it would be everybody's."""
    need_x86()
    if subprocess.run(["unshare", "-pf", "--mount-proc", "true"], capture_output=True).returncode:
        raise Skip("no namespaces of pids")
    wrapper = b.write(FILTER + "import os, sys\ninstall([(39, ERRNO | 1)], ALLOW)\nos.execv(sys.argv[1], sys.argv[1:])\n", "refuse.py")
    program = b.write(WORK + FILTER + """
import sys
busy(0.05)
if sys.argv[1] == "later": install([(39, ERRNO | 1)], ALLOW)
print("up", flush=True)
for i in range(200): busy(.05)
""", "program.py")
    driver = b.write(f"""
import os, subprocess, sys
library = ["/usr/bin/env", "LD_PRELOAD={b.library}", {b.python!r}, "-S", {program!r}]
for name, command in (("first", ["/usr/bin/python3", "-S", {wrapper!r}] + library), ("later", library)):
    bystander = subprocess.Popen(["sleep", "60"])
    p = subprocess.Popen(command + [name], stdout=subprocess.PIPE)
    p.stdout.readline()
    p.terminate()
    print(name, p.wait(), bystander.poll())
    bystander.kill()
""", "driver.py")
    r = b.run(None, command=["unshare", "-pf", "--mount-proc", "/usr/bin/python3", driver], preload=False, SPPROF_OUT="p.json")
    assert r.out == "first -15 None\nlater -15 None\n", (r.out, r.err)
    assert complaints(r.err) == "spprof: the system forbids getpid(); this process runs unprofiled\n", r.err


@case(where="few")
def interrupted_for_ever(b):
    """A filter that lets calls on files be interrupted each time: said in a line, and the program ends."""
    need_x86()
    for name, number in (("write", 1), ("read", 0), ("pread64", 17)):
        of_files = "".join(f"({number}, ERRNO | 4, 0, {fd})," for fd in range(3, 60))
        r = b.run(BUSY + FILTER + f"import os\nbusy(.05)\ninstall([{of_files}], ALLOW)\nbusy(.05)\nprint(1, flush=True)\nos._exit(0)\n",
                  SPPROF_OUT="p.json", timeout=100)
        told = "the profile could not be written" in r.err
        assert r.out == "1\n" and told == (name == "write") and r.err.count("\n") == told, (name, r.err)


@case
def old_kernels(b):
    """A call that is missing is done without: files are replaced, children profiled, spools made as ever."""
    need_x86()
    wrapper = b.write(FILTER + "import os, sys\ninstall(eval(sys.argv[1]), ALLOW)\nos.execv(sys.argv[2], sys.argv[2:])\n", "old.py")
    program = b.write(WORK + """
import threading
t = threading.Thread(target=work); t.start(); t.join()
if os.fork() == 0: busy(0.06); os._exit(0)
print(os.wait()[1])
""", "program.py")
    for name, rules in {**OLD, "all": "".join(OLD.values())}.items():
        d, spool = b.fresh(), b.fresh()
        for run in range(2):
            r = b.run(None, command=["/usr/bin/python3", "-S", wrapper, f"[{rules}]", "/usr/bin/env", f"LD_PRELOAD={b.library}", b.python, "-W", "ignore", program],
                      preload=False, cwd=d, SPPROF_OUT="p.json", SPPROF_SPOOL=spool if name in ("all", list(OLD)[3]) else None)
            assert r.out == "0\n" and complaints(r.err) == "", (name, run, r.out, r.err)
        names = sorted(os.listdir(d))
        assert len(names) == 3 and "p.json" in names and not os.listdir(spool), (name, names)
        assert spent(b, Profile(os.path.join(d, "p.json"))) > 0.2e9, name


if __name__ == "__main__":
    sys.exit(main())
