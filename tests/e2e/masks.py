#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Signal masks: sampling goes on where the kernel lets it, whatever changed the mask; shares stay true; and a program that
looks at what is pending sees only what it was sent."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import BUSY, CASES, Skip, case, complaints, main, spent, telling  # noqa: E402,F401

HEAD = """
import ctypes, os, random, signal, sys, threading, time
lib = ctypes.CDLL(sys.argv[1])
lib.what_is_seen.restype = ctypes.c_char_p
"""
UNSEEN = ("handler", "restoring handler", "siglongjmp", "setcontext", "swapcontext", "system call")


def run(b, program, *args, **kw):
    return b.run(HEAD + program, os.path.join(b.build, "tests/libmasks.so"), *args, **kw)


@case
def unseen_changes(b):
    """Everything blocked by a call that a hook sees, and let go by what none does."""
    for how in UNSEEN:
        p = run(b, """
print(lib.let_go(sys.argv[2].encode(), 0))
def after(): lib.burn(250)
after()
""", how).profile()
        # a tick that an overbooked CPU makes late looks as if it had been held back: up to 0.1 s
        blocked = p.block["cpu"]["blocked"]
        assert spent(b, p, "after") + blocked >= 0.25e9 and blocked < 0.2e9, (how, p.block["cpu"], p.self_ns())


@case
def long_sections(b):
    """What is held back for longer than two periods has its own name, less one period that stays where it was let go. (But a
    handler's own CPU is the interrupted function's.)"""
    for how in UNSEEN[2:] + ("pthread_sigmask",):
        p = run(b, """
def section(): lib.let_go(sys.argv[2].encode(), 120)
section()
lib.burn(40)
""", how).profile()
        assert p.block["cpu"]["blocked"] > 0.09e9 and p.total_ns()["section"] < 0.05e9, (how, p.block["cpu"], p.self_ns())


@case
def blocked_to_the_end(b):
    """Nothing lets the tick in: by the main thread, by a thread that ends, by one that is still there at the exit."""
    p = run(b, """
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPROF})
def ends(): lib.burn(80)
def stays(): lib.burn(100); done.set(); time.sleep(100)
done = threading.Event()
t = threading.Thread(target=ends); t.start(); t.join()
threading.Thread(target=stays, daemon=True).start()
done.wait(); lib.burn(90)
""").profile()
    cpu = p.block["cpu"]
    assert cpu["blocked"] > 0.2e9 and cpu["not_sampled"] + cpu["thread_end"] < 0.07e9, (cpu, p.self_ns())


@case
def long_system_calls(b):
    """CPU that the kernel uses in one call is late, but not held back; so is that of a fork."""
    p = run(b, """
import mmap
def call(): return mmap.mmap(-1, 400 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x8000)
def copy():
    if os.fork() == 0: os._exit(0)
    os.wait()
before = time.thread_time(); m = call(); print(time.thread_time() - before)
before = time.thread_time(); copy(); print(time.thread_time() - before)
""", SPPROF_INTERVAL="1ms")
    p = max(p.profiles(), key=lambda p: p.total())
    assert p.block["cpu"]["blocked"] < 0.002e9, (p.block["cpu"], p.self_ns())


@case
def short_sections(b):
    """Signals blocked for 2 us of every 100 us in one function, not at all in the other: half each."""
    def measure(scale):
        r = run(b, """
cpu = [0, 0]
def plain(n): lib.sections(n, 0)
def blocking(n): lib.sections(n, 1)
for i in range(140 * int(sys.argv[2])):
    for which in random.sample((0, 1), 2):
        before = time.thread_time()
        (plain, blocking)[which](random.randrange(20, 160))
        cpu[which] += time.thread_time() - before
print(*cpu)
""", scale, SPPROF_INTERVAL="4ms")
        p, true = r.profile(), list(map(float, r.out.split()))
        i = p.thread("MainThread") if len(p.profiles) > 1 else 0
        p.entries = [(w, "blocking" in p.names(s)) for s, w in zip(p.profiles[i]["samples"], p.profiles[i]["weights"])
                     if {"plain", "blocking"} & set(p.names(s))]
        p.whole, p.share = sum(w for w, _ in p.entries), true[1] / sum(true)
        # joined samples count as one: five standard deviations and more
        p.sigma = (p.share * (1 - p.share) * sum(w * w for w, _ in p.entries)) ** 0.5 / max(1, p.whole)
        return p
    p, _ = telling(measure, lambda p: p.entries and 5 * p.sigma < 0.35)
    seen = sum(w for w, is_blocking in p.entries if is_blocking) / p.whole
    assert abs(seen - p.share) < 5 * p.sigma < 0.35, (seen, p.share, p.sigma, len(p.entries), p.block["cpu"])
    # what fell late, and into a section, looks as if it had been held back: on a busy machine only
    assert p.block["cpu"]["blocked"] < 0.2 * p.block["cpu"]["used"], p.block["cpu"]


@case
def nothing_is_seen(b):
    """No tick of ours shows, or ends a wait, while SIGPROF is blocked; whether by a call or behind our back."""
    for is_raw in (0, 1):
        r = run(b, """
def look(): return lib.what_is_seen(int(sys.argv[2])).decode()
print(repr(look()), signal.SIGPROF in signal.pthread_sigmask(signal.SIG_BLOCK, []))
def after(): lib.burn(100)
after()
""", is_raw, SPPROF_INTERVAL="1ms")
        p = r.profile()
        assert r.out == "'' False\n", (is_raw, r.out)
        assert spent(b, p, "after") > 0.09e9, (is_raw, p.self_ns(), p.block["cpu"])
        assert p.total_ns()["look"] + p.block["cpu"]["blocked"] > 0.2e9, (is_raw, p.self_ns(), p.block["cpu"])


@case
def what_is_sent_arrives(b):
    """A SIGPROF that the program sends to a thread in which a tick waits."""
    for how in ("kill", "raise", "pthread_kill", "thread"):
        r = run(b, "print(lib.is_lost(sys.argv[2].encode()))", how, SPPROF_INTERVAL="1ms")
        assert r.out == "0\n", (how, r.out)


BELIEF = BUSY + """
import ctypes, os, signal, subprocess, sys, threading, warnings
warnings.simplefilter('ignore')
def mine(): return signal.SIGPROF in signal.pthread_sigmask(signal.SIG_BLOCK, [])
def child(*command):
    out = subprocess.run(['grep', 'SigBlk', '/proc/self/status'], capture_output=True).stdout
    return int(out.split()[1], 16) >> 26 & 1
def spin(): busy(.15)
spin()
print('main', mine(), signal.sigpending())
print('child', child(), os.system('exit $((0x$(sed -n "s/SigBlk:.//p" /proc/self/status | cut -c10) & 4))') >> 8)
seen = []
t = threading.Thread(target=lambda: (seen.append(mine()), spin())); t.start(); t.join()
print('thread', seen)
sys.stdout.flush()
pid = os.fork()
if pid == 0:
    spin(); print('fork', mine(), child()); sys.stdout.flush(); os._exit(0)
os.waitpid(pid, 0)
os.kill(os.getpid(), signal.SIGPROF)
print('sent', signal.SIGPROF in signal.sigpending(), signal.sigtimedwait([signal.SIGPROF], 1).si_signo)
old = signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGPROF])
print('unblocked', signal.SIGPROF in old, mine(), child())
"""


@case
def inherited_masks(b):
    """Started by a parent that has signals blocked: sampled as a library's thread that blocks all, and still believes them
    blocked, as do its threads and children."""
    source = b.write(BELIEF)
    for blocked in ("signal.valid_signals()", "{signal.SIGPROF}"):
        start = f"""
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {blocked})
os.execv(sys.executable, [sys.executable, {source!r}])
"""
        plain, ours = b.run(start, preload=False), b.run(start)
        assert plain.out == ours.out and complaints(ours.err) == "", (blocked, plain.out, ours.out, ours.err)
        p = max(ours.profiles(), key=lambda p: p.total_ns()["spin"])
        assert spent(b, p, "spin") > 0.28e9 and p.block["cpu"]["blocked"] < 0.05e9, (p.block["cpu"], p.self_ns())
        assert len([p for p in ours.profiles() if p.total_ns()["spin"] > 0.03e9]) == 2, [p.self_ns() for p in ours.profiles()]


def profiler(name):
    for d in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"):
        if os.path.exists(os.path.join(d, name)):
            return os.path.join(d, name)
    raise Skip(f"no {name} (gperftools)")


@case
def other_profilers(b):
    """gperftools' CPU profiler, alone and with tcmalloc: its unwinder restores masks in its handler, 100 times a second. Both
    profiles are whole."""
    import struct
    for name in ("libprofiler.so.0", "libtcmalloc_and_profiler.so.4"):
        theirs = profiler(name)
        for preload in (f"{b.library}:{theirs}", f"{theirs}:{b.library}"):
            where = os.path.join(b.fresh(), "cpu.prof")
            r = b.run(BUSY + "def spin(): busy(.5)\nspin()\n", CPUPROFILE=where, SPPROF_INTERVAL="4ms", LD_PRELOAD=preload)
            p = r.profile()
            blocked = p.block["cpu"]["blocked"]
            assert spent(b, p, "spin") + blocked > 0.48e9 and blocked < 0.2e9, (preload, p.block["cpu"], p.self_ns())
            words = struct.unpack("@%dQ" % (os.path.getsize(where) // 8), open(where, "rb").read()[:os.path.getsize(where) // 8 * 8])
            ticks, at = 0, 5
            while at + 2 < len(words) and not (words[at] == 0 and words[at + 1] == 1):
                ticks, at = ticks + words[at], at + 2 + words[at + 1]
            assert ticks > 5, (preload, ticks)  # 50 on a quiet machine


SENT_TO_ONE = BUSY + """
import signal, threading, time
def work(): busy(0.2)
old = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
t = threading.Thread(target=work); t.start()
signal.pthread_sigmask(signal.SIG_SETMASK, old)
time.sleep(0.02)
signal.pthread_kill(t.ident, signal.SIGPROF)
t.join()
print("alive")
"""


@case
def handlers_are_not_left(b):
    """No handler of ours is interrupted by what may leave it: not by libc's own signals, which cancel a thread, either."""
    r = run(b, """
import struct
libc = ctypes.CDLL(None)
for sig in (signal.SIGPROF, signal.SIGTERM, signal.SIGUSR1, signal.SIGSEGV):
    kernels = ctypes.create_string_buffer(32) # struct sigaction as the kernel has it; its mask is the last word
    assert libc.syscall(13, int(sig), None, kernels, 8) == 0
    mask = struct.unpack("QQQQ", kernels)[3]
    print([n for n in range(1, 65) if n not in (7, 9, 11, 19) and not mask >> (n - 1) & 1])
""")
    assert r.out == "[]\n" * 4, r.out


@case
def sent_to_a_thread_that_blocks_all(b):
    """It waits there, and reaches no other thread, where it would kill."""
    assert b.run(SENT_TO_ONE, preload=False).out == b.run(SENT_TO_ONE).out == "alive\n"


@case
def all_blocked_by_the_call_itself(b):
    """The main thread has everything blocked, libc's own signals too: another thread takes what the process is sent, each time. Who
    took it writes to a socket: up to 3.12 the main thread itself may not look for long, without us either."""
    r = b.run("""
import ctypes, os, platform, signal, socket, threading, time
seen, told = socket.socketpair()
seen.setblocking(False)
told.setblocking(False)
signal.signal(signal.SIGUSR1, lambda *a: None)
signal.set_wakeup_fd(told.fileno())
threading.Thread(target=lambda: time.sleep(600), daemon=True).start()
time.sleep(.05)
everything = ctypes.c_uint64(2**64 - 1)
number = {"x86_64": 14, "aarch64": 135}[platform.machine()]
assert ctypes.CDLL(None).syscall(number, 2, ctypes.byref(everything), None, 8) == 0
def take():
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try: return seen.recv(9)
        except BlockingIOError: sum(range(100))
took = []
for n in range(5):
    os.kill(os.getpid(), signal.SIGUSR1)
    took.append(take())
print(took == [bytes([signal.SIGUSR1])] * 5, took, flush=True)
os._exit(0)
""", SPPROF_OUT="p.json", timeout=400)
    assert r.out.startswith("True"), r.out


if __name__ == "__main__":
    sys.exit(main())
