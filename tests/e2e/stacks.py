#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Stacks that are not the usual ones: small alternate signal stacks, fibres, goroutines. No byte beside a stack is written, the
program sees what it registered, and the work done there is in the profile."""
import fcntl
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import CASES, Skip, case, complaints, main, need_frames  # noqa: E402,F401

SUPPORT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support")
OWN_HANDLER, PAST_LIBC, AUTODISARM, IN_THREAD, KEEP, DIE = 1, 2, 4, 8, 16, 32


def call(b, calls, **kw):
    """Runs calls of libstacks.so, each on a line of its own -> what each answered, the profile's maker."""
    library = os.path.join(b.build, "tests", "libstacks.so")
    source = f"import ctypes\nlib = ctypes.CDLL({library!r})\nframe = lib.frame_bytes()\n"
    source += "".join(f"print({c}, flush=True)\n" for c in calls)
    r = b.run(source, check=False, SPPROF_INTERVAL="1ms", **kw)
    return r, [int(line) for line in r.out.split()]


def unharmed(b, calls, code=0):
    r, answers = call(b, calls)
    assert r.code == code and answers == [0] * len(calls), (list(zip(calls, answers)), r.code, r.err)
    assert complaints(r.err) == "", r.err
    return r.profile()


@case
def small_alternate_stacks(b):
    """Of 2 to 16 KB, in the main thread and in others; the least that the kernel's frame fits on is in between."""
    p = unharmed(b, [f"lib.alternate({size}, 60, {how})" for size in (2048, 3000, 4096, 8192, 16384) for how in (0, IN_THREAD)])
    assert p.block["samples"] >= 20, p.block


@case
def system_calls(b):
    """By syscall(): what lies above the return address is the caller's where it gives fewer arguments than there may be, and
    clone() may return on another stack."""
    for wall in "01":
        r, answers = call(b, ["lib.system_calls()"] * 20, SPPROF_WALL=wall)
        assert (r.code, answers, r.err) == (0, [0] * 20, ""), (wall, r.code, answers, r.err)


@case
def handler_on_alternate_stack(b):
    """A handler of the program's runs there, and burns: ticks come while it does, and at the same instant. Where the kernel has
    no room for that handler's frame it kills the program, without us too: not here."""
    unharmed(b, [f"lib.alternate({size}, 200, {OWN_HANDLER | how})" for size in ("frame + 1500", 8192) for how in (0, AUTODISARM)])


@case
def alternate_stack_past_libc(b):
    """Registered by a system call that no hook sees: ticks that find no room there are let go."""
    unharmed(b, [f"lib.alternate({size}, 60, {PAST_LIBC | how})" for size in ("frame + 700", 8192) for how in (0, IN_THREAD)])


@case
def answers_of_sigaltstack(b):
    """Sizes, addresses, flags and errors are those of the plain run, in handlers on the stack as well."""
    library = os.path.join(b.build, "tests", "libstacks.so")
    program = f"""
import ctypes
text = ctypes.create_string_buffer(1 << 16)
ctypes.CDLL({library!r}).answers(text)
print(text.value.decode())
"""
    plain, ours = b.run(program, preload=False), b.run(program)
    assert plain.out == ours.out and plain.out.count("\n") > 30, [line for line in zip(plain.out.split("\n"), ours.out.split("\n")) if line[0] != line[1]]


@case
def death_on_small_stack(b):
    """The profile is written from a handler that stands on it."""
    for how in (DIE, DIE | IN_THREAD, DIE | PAST_LIBC):
        r, _ = call(b, [f"lib.alternate({4096 if how != DIE | PAST_LIBC else 'frame + 4096'}, 60, {how})"])
        assert r.code == -signal.SIGTERM, (how, r.code, r.err)
        assert r.profile().total() > 0


@case
def stacks_of_threads_that_end(b):
    """Each thread leaves a small stack registered: its mappings do not pile up."""
    r, answers = call(b, [f"[lib.alternate(4096, 0, {IN_THREAD | KEEP}) for _ in range(300)].count(0)",
                          "open('/proc/self/maps').read().count('\\n')"])
    assert r.code == 0 and answers[0] == 300 and answers[1] < 900, (answers, r.err)


@case
def fork_with_small_stack(b):
    """A fork child has its parent's alternate stack, and what it shows of it."""
    library = os.path.join(b.build, "tests", "libstacks.so")
    r = b.run(f"""
import ctypes, os
lib = ctypes.CDLL({library!r})
class Stack(ctypes.Structure):
    _fields_ = [("sp", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]
libc = ctypes.CDLL(None)
memory = ctypes.create_string_buffer(4096)
mine, now = Stack(ctypes.addressof(memory), 0, 4096), Stack()
assert libc.sigaltstack(ctypes.byref(mine), None) == 0
pid = os.fork()
lib.fibre(lib.frame_bytes() + 2560, 60, 0)
assert libc.sigaltstack(None, ctypes.byref(now)) == 0 and (now.sp, now.size) == (mine.sp, 4096), (now.sp, now.size)
assert libc.sigaltstack(ctypes.byref(now), ctypes.byref(now)) == 0 and (now.sp, now.size) == (mine.sp, 4096)
assert libc.sigaltstack(ctypes.c_void_p(8), None) == -1
if pid:
    assert os.waitpid(pid, 0)[1] == 0
print(memory.raw.count(0), flush=True)
""", SPPROF_INTERVAL="1ms")
    assert r.out == "4096\n4096\n" and len(r.files()) == 2, (r.out, r.err)


@case
def room(b):
    """What a handler takes of a stack, kernel's frame included, measured on a painted one, is what the README says a stack must
    have; fibres with just that are left whole, and may end the process. A kernel may write a smaller frame than it announces, for
    registers that the process has not asked for."""
    r, (frame, depth) = call(b, ["frame", "lib.alternate_depth(1 << 18, 1200)"])
    assert 1024 < depth <= frame + 2560, (frame, depth)
    unharmed(b, [f"lib.fibre(frame + 2560, 100, {how})" for how in (0, 0)])
    r, _ = call(b, [f"lib.fibre(frame + 2560, 60, {DIE})"])
    assert r.code == 7 and r.profile().total() > 0, (r.code, r.err)


@case
def code_on_another_stack(b):
    """Native code on a fibre's stack, or in a handler on an alternate one, is its Python caller's, wherever that lies: memory that
    was mapped before a thread was made lies above the thread's own stack, what is mapped later below."""
    library = os.path.join(b.build, "tests", "libstacks.so")
    r = b.run(f"""
import ctypes, threading
lib = ctypes.CDLL({library!r})
room = lib.frame_bytes() + 2560
def fibre_above(): lib.fibre(room, 150, 0)
def fibre_below(): lib.fibre(room, 150, 0)
def handler(): lib.alternate(8192, 300, {OWN_HANDLER})
def run(function):
    t = threading.Thread(target=function)
    t.start()
    t.join()
lib.fibre_prepare(room)
run(fibre_above)
run(fibre_below)
run(handler)
handler()
""", SPPROF_INTERVAL="1ms")
    p = r.profile()
    need_frames(b)
    own = sum(p.total_ns()[name] for name in ("fibre_above", "fibre_below", "handler"))
    assert p.block["cpu"]["unwalkable"] < 0.05 * own, (p.total_ns(), p.block["losses"])
    assert all(p.total_ns()[name] for name in ("fibre_above", "fibre_below", "handler")), p.total_ns()


# ---- Go
def go_library(b):
    go = shutil.which("go", path=os.environ.get("PATH", "") + ":/usr/local/go/bin")
    if not go:
        raise Skip("no Go compiler")
    made = os.path.join(b.build, "tests", "go")
    os.makedirs(made, exist_ok=True)
    path = os.path.join(made, "libgoroutines.so")
    source = os.path.join(SUPPORT, "goroutines", "main.go")
    with open(path + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # cases run beside each other
        if os.path.exists(path) and os.path.getmtime(path) >= os.path.getmtime(source):
            return path
        env = {**os.environ, "GOFLAGS": "-mod=mod", "GOCACHE": os.path.join(made, "cache"), "GOPATH": os.path.join(made, "path"), "CGO_ENABLED": "1", "GOTOOLCHAIN": "local"}
        r = subprocess.run([go, "build", "-buildmode=c-shared", "-o", path + ".tmp", "."], cwd=os.path.dirname(source), env=env, capture_output=True, text=True)
        if r.returncode:
            raise Skip("Go builds no shared library here: " + r.stderr[-200:])
        os.rename(path + ".tmp", path)
    return path


def go(b, body, **kw):
    return b.run(f"import ctypes, os\ngo = ctypes.CDLL({go_library(b)!r})\ngo.Crunch.restype = go.Profiled.restype = ctypes.c_longlong\n{body}",
                 **kw)


@case
def goroutines(b):
    """64 of them on the small stacks that Go gives them; SIGURG moves them from thread to thread."""
    for interval in ("100us", "10ms"):
        r = go(b, "for _ in range(2): print(go.Crunch(400))", SPPROF_INTERVAL=interval)
        assert r.out == "64\n64\n", (r.out, r.err)
        p = r.profile()
        assert p.share("(native thread)") > 0.5, p.total_ns()


@case
def goroutines_asked(b):
    """SIGURG is Go's, and what the command sends by it is not."""
    r = go(b, f"""
import random, sys, threading
sys.path.insert(0, {SUPPORT!r})
import ring
stop, sent = False, 0
def rings():
    global sent
    while not stop:
        for tid in map(int, os.listdir('/proc/self/task')):
            try: ring.send(os.getpid(), ring.value(random.choice((ring.IMAGE, ring.BEGIN, ring.END, ring.RESET, 5, 6)), 9), tid)
            except OSError: continue
            sent += 1
t = threading.Thread(target=rings)
t.start()
while sent < 1000: print(go.Crunch(100), file=sys.stderr)
stop = True
t.join()
print(go.Crunch(500), file=sys.stderr) # what was asked may have been to forget
print('ok')
""", SPPROF_VERBOSE=0)
    assert r.out == "ok\n" and set(r.err.split()) == {"64"}, (r.out, r.err)
    assert r.profile().share("(native thread)") > 0.3, r.profile().total_ns()


@case
def go_profiles_itself(b):
    """Go's own profiler sees its own samples, and we ours."""
    r = go(b, "print(go.Profiled(500) > 0, go.Crunch(200))", SPPROF_INTERVAL="1ms")
    assert r.out == "True 64\n", (r.out, r.err)
    p = r.profile()
    assert p.share("(native thread)") + p.share("(SIGPROF blocked)") > 0.5, p.total_ns()


@case
def go_and_small_stacks(b):
    """Both in one process."""
    library = os.path.join(b.build, "tests", "libstacks.so")
    r = go(b, f"""
import threading
lib = ctypes.CDLL({library!r})
t = threading.Thread(target=lambda: print(go.Crunch(400)))
t.start()
print(*[lib.alternate(size, 60, how) for size in (2048, 4096) for how in ({IN_THREAD}, 0)], flush=True)
t.join()
print(lib.alternate(8192, 60, {OWN_HANDLER}), go.Crunch(50))
""", SPPROF_INTERVAL="1ms")
    assert sorted(r.out.split("\n")) == sorted(["0 0 0 0", "64", "0 64", ""]), (r.out, r.err)


if __name__ == "__main__":
    sys.exit(main())
