#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""SPPROF_WALL: where a thread's life went. What a wait lasted is bounded by the clock that the program itself reads around it, and
from below by what was asked for, or by that reading less what the profile says was spent without a stack."""
import ast
import collections
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import BUSY, CASES, Profile, Skip, case, compile_support, main, need_frames  # noqa: E402,F401

HEAD = BUSY + """
import os, queue, select, signal, socket, subprocess, sys, threading
took = {}
def timed(f, *a):
    a_ns = time.monotonic_ns(); f(*a); took[f.__name__] = time.monotonic_ns() - a_ns
"""
MARK = "(waiting"
SHORT = 5e6  # short waits go to stacks some time later, as a sum, not all to their own


def lives(p):
    """{name of the thread: {stack: ns}} of the second set; whatever is in a profile must add up."""
    w = p.block["wall"]
    first, threads = w["profile"], [t for t in p.block["threads"] if "wall" in t]
    own = [x for x in p.profiles[first:] if not x["name"].startswith("Wall: All threads")]
    assert all(x["name"].startswith("Wall: ") for x in p.profiles[first:]), [x["name"] for x in p.profiles]
    assert not [x["name"] for x in p.profiles[:first] if x["name"].startswith("Wall: ")]
    assert not [f for i in range(first) for s in p.stacks(i) for f in s if f.startswith(MARK) or f == "(not running)"]
    assert [x["endValue"] for x in own] == [t["wall"] for t in threads], (own, threads)
    assert sum(t["wall"] for t in threads) == w["life"], (threads, w)
    assert w["life"] == w["cpu"] + sum(n for x in range(len(own)) for s, n in p.stacks(len(p.profiles) - len(own) + x).items() if is_off(s))
    out = collections.defaultdict(collections.Counter)
    for i, t in zip(range(len(p.profiles) - len(own), len(p.profiles)), threads):
        assert sum(n for s, n in p.stacks(i).items() if not is_off(s)) == t["cpu"], (t, p.stacks(i))
        out[t.get("name", "others")].update(p.stacks(i))
    return out


def is_off(stack):
    return stack[-1].startswith(MARK) or stack[-1] == "(not running)"


def waits(stacks, function, mark=MARK):
    return sum(n for s, n in stacks.items() if function in s and s[-1].startswith(mark))


def unseen(stacks):
    """What went by without a stack. A few things may be (not running), a wait that was not seen would be much more."""
    life = sum(stacks.values())
    return stacks[("(waiting for a CPU)",)] + min(stacks[("(not running)",)], life // 20)


def agree(p, thread, took, asked):
    """Each function's waits against the program's own clock; `asked`: what it cannot have waited less."""
    stacks = lives(p)[thread]
    for f, ns in took.items():
        seen = waits(stacks, f)
        least = asked[f] if f in asked else ns - unseen(stacks)
        assert 0.98 * least - SHORT <= seen <= 1.02 * ns + SHORT, (f, seen / 1e6, least / 1e6, ns / 1e6, stacks)


@case
def known_waits(b):
    """Sleeps, locks, queues, sockets, children, joins: each at its function."""
    need_frames(b)
    r = b.run(HEAD + """
def sleeps(): time.sleep(.25)
def polls(): select.select([quiet], [], [], .2)
def joins(): later.join()
def locks():
    with lock: pass
def queues(): q.get()
def receives(): ours.recv(1)
def children(): p.wait()
def spawned(f, *a):
    t = threading.Thread(target=f, args=a); t.start(); return t
def hold():
    with lock:
        held.set(); time.sleep(.25)
quiet, _ = socket.socketpair()
ours, theirs = socket.socketpair()
lock, held, q = threading.Lock(), threading.Event(), queue.Queue()
timed(sleeps); busy(.05); timed(polls)
spawned(hold); held.wait(); timed(locks)
spawned(lambda: (time.sleep(.2), q.put(1))); timed(queues)
spawned(lambda: (time.sleep(.2), theirs.send(b"x"))); timed(receives)
later = spawned(time.sleep, .25); timed(joins)
p = subprocess.Popen(["/bin/sleep", ".2"]); timed(children)
print(took)
""", SPPROF_OUT="p.json", SPPROF_WALL=1)
    took = ast.literal_eval(r.out)
    agree(r.profile(), "MainThread", took, {"sleeps": 0.25e9, "polls": 0.2e9})


@case
def asyncio_waits(b):
    """The loop's thread waits in its selector, and a pool's thread where its function does."""
    need_frames(b)
    r = b.run(HEAD + """
import asyncio
def blocks(): timed_here = time.monotonic_ns(); time.sleep(.3); took["blocks"] = time.monotonic_ns() - timed_here
async def main():
    await asyncio.sleep(.3)
    await asyncio.get_running_loop().run_in_executor(None, blocks)
asyncio.run(main())
print(took)
""", SPPROF_OUT="p.json", SPPROF_WALL=1)
    stacks = lives(r.profile())
    loop = "BaseEventLoop.run_forever" if b.version >= (3, 11) else "run_forever"
    assert waits(stacks["MainThread"], loop, "(waiting: epoll_wait)") >= 0.29e9 - unseen(stacks["MainThread"]), stacks
    pool = [s for n, s in stacks.items() if n != "MainThread"]
    assert sum(waits(s, "blocks") for s in pool) >= 0.29e9, stacks


@case
def short_waits(b):
    """A thousand waits of 0.2 ms: none is long, all together are there."""
    need_frames(b)
    r = b.run(HEAD + """
def naps():
    for i in range(1000): time.sleep(.0002)
timed(naps)
print(took)
""", SPPROF_OUT="p.json", SPPROF_WALL=1)
    took = ast.literal_eval(r.out)
    agree(r.profile(), "MainThread", took, {"naps": 0.2e9})


@case(where="few")
def calls_that_compute(b):
    """What a call used of its CPU is no wait."""
    need_frames(b)
    r = b.run(HEAD + """
def reads():
    end = thread_time() + .2
    while thread_time() < end: os.read(zero, 1 << 24)
zero = os.open("/dev/zero", os.O_RDONLY)
timed(reads)
print(took["reads"])
""", SPPROF_OUT="p.json", SPPROF_WALL=1)
    p = r.profile()
    stacks = lives(p)["MainThread"]
    assert waits(stacks, "reads") + p.total_ns()["reads"] <= 1.02 * int(r.out) + SHORT + p.doubt_ns(), (r.out, stacks)


@case
def waits_for_the_gil(b):
    """Threads that are busy all the time, with one GIL for all of them."""
    need_frames(b)
    if b.free_threaded:
        raise Skip("no GIL")
    p = b.run(HEAD + """
def work(): busy(.25)
ts = [threading.Thread(target=work) for i in range(3)]
[t.start() for t in ts]; [t.join() for t in ts]
""", SPPROF_OUT="p.json", SPPROF_WALL=1).profile()
    workers = {n: s for n, s in lives(p).items() if n.startswith("Thread-")}
    assert len(workers) == 3, workers
    held = sum(n for s in workers.values() for k, n in s.items() if not is_off(k))
    life = sum(n for s in workers.values() for n in s.values())
    for s in workers.values():
        off = sum(n for k, n in s.items() if is_off(k))
        assert waits(s, "work", "(waiting for the GIL)") >= 0.8 * (off - unseen(s)), s
    assert held < life, workers


@case
def waits_that_never_return(b):
    """Idle threads at the end, in whatever way that comes."""
    need_frames(b)
    for end in ("pass", "os._exit(0)"):
        r = b.run(HEAD + f"""
def idle(): ready.set(); event.wait()
ready, event = threading.Event(), threading.Event()
threading.Thread(target=idle, daemon=True, name="idle").start()
ready.wait()
timed(time.sleep, .3)
print(took, flush=True)
{end}
""", SPPROF_OUT="p.json", SPPROF_WALL=1)
        stacks = lives(r.profile())["idle"]
        assert waits(stacks, "idle") >= 0.98 * (ast.literal_eval(r.out)["sleep"] - unseen(stacks)), stacks
        assert waits(stacks, "idle", "(waiting: sem_"), stacks


@case
def killed_while_it_waits(b):
    """SIGKILL leaves what was known at the last sample or wait of any thread."""
    need_frames(b)
    command = os.path.join(b.build, "spprof")
    if not os.path.exists(command):
        raise Skip("no command")
    r = b.run(HEAD + """
def idle(): ready.set(); event.wait()
ready, event = threading.Event(), threading.Event()
threading.Thread(target=idle, daemon=True, name="idle").start()
ready.wait(); time.sleep(.3)
os.kill(os.getpid(), signal.SIGKILL)
""", SPPROF_SPOOL=".", SPPROF_OUT="p.json", SPPROF_WALL=1, check=False)
    assert r.code == -signal.SIGKILL, r.err
    spool = [f for f in os.listdir(r.directory) if f.endswith(".spool")]
    subprocess.run([command, "recover", "-o", "out.json", *spool], cwd=r.directory, check=True, capture_output=True, env=b.env(preload=False))
    stacks = lives(Profile(os.path.join(r.directory, "out.json")))
    assert waits(stacks["idle"], "idle") >= 0.29e9 - unseen(stacks["idle"]), stacks
    assert waits(stacks["idle"], "idle", "(waiting: sem_"), stacks
    assert waits(stacks["MainThread"], "<module>") >= 0.29e9, stacks


@case
def fork_children_that_wait(b):
    """A child's life is its own."""
    need_frames(b)
    r = b.run(HEAD + """
def parent(): os.waitpid(pid, 0)
def child(): busy(.15); time.sleep(.2)
pid = os.fork()
child() if pid == 0 else timed(parent)
print(took.get("parent", ""))
""", SPPROF_OUT="p.json", SPPROF_WALL=1)
    one, other = (lives(p)["MainThread"] for p in r.profiles())
    parent, child = (one, other) if waits(one, "parent") else (other, one)
    assert waits(child, "child") >= 0.19e9 and not waits(child, "parent"), child
    assert 0.98 * int(r.out) - unseen(parent) - SHORT <= waits(parent, "parent") <= 1.02 * int(r.out) + SHORT, (r.out, parent)


@case(where="few")
def waits_that_are_interrupted(b):
    """A signal's handler in C writes to a pipe (set_wakeup_fd) while a wait goes on, which goes on afterwards: it has all of its time."""
    need_frames(b)
    r = b.run(HEAD + """
def selects():
    until = time.monotonic() + 1
    while time.monotonic() < until: select.select([quiet], [], [], max(0, until - time.monotonic()))
quiet, _ = socket.socketpair()
inner, outer = socket.socketpair()
inner.setblocking(False); outer.setblocking(False)
signal.set_wakeup_fd(outer.fileno())
signal.signal(signal.SIGALRM, lambda *a: None)
signal.setitimer(signal.ITIMER_REAL, .45, .45)
timed(selects)
signal.setitimer(signal.ITIMER_REAL, 0)
print(took)
""", SPPROF_OUT="p.json", SPPROF_WALL=1)
    agree(r.profile(), "MainThread", ast.literal_eval(r.out), {"selects": 0.99e9})


@case(where="few")
def signals_are_in_time(b):
    """Each reaches the main thread, however deep, and ends its wait: no look at its stack stands between them."""
    r = b.run(HEAD + """
class Out(Exception): pass
def handler(*a): raise Out
signal.signal(signal.SIGALRM, handler)
threading.Thread(target=threading.Event().wait, daemon=True).start()
sys.setrecursionlimit(10 ** 6)
def deep(n):
    if n: return deep(n - 1)
    late = 0
    for i in range(100):
        before = time.monotonic()
        try: signal.setitimer(signal.ITIMER_REAL, (30 + i * 5) * 1e-6); time.sleep(2)
        except Out: pass
        late += time.monotonic() - before > 1.9
    print("in time" if late < 3 else late)
deep(3000)
""", SPPROF_OUT="p.json", SPPROF_WALL=1)
    assert r.out == "in time\n", r.out


@case(where="few")
def unusual_ends(b):
    """Waits that are cancelled, jumped out of, forked in; errors and errno; a child on its parent's memory. The same without us."""
    library = compile_support(b, "wall.c", "libwall.so", "-shared", "-fPIC")
    program = HEAD + f"""
import ctypes
lib = ctypes.CDLL({library!r})
for name, args in [("cancel", ()), ("errors", ()), ("interrupted", ()), ("jump_out", (60,)), ("fork_in_wait", ()), ("share_memory", ()),
                   ("jump_out", (60,)), ("errors", ())]:
    f = getattr(lib, name); f.restype = ctypes.c_char_p
    print(name, f(*args))
def afterwards(): busy(.15); time.sleep(.2)
afterwards()
"""
    plain = b.run(program, preload=False).out
    assert "b'" not in plain, plain
    r = b.run(program, SPPROF_OUT="p.json", SPPROF_WALL=1, SPPROF_INTERVAL="1ms")
    assert r.out == plain, (r.out, plain)
    need_frames(b)
    p = next(p for p in r.profiles() if p.total_ns()["afterwards"])
    assert waits(lives(p)["MainThread"], "afterwards") >= 0.19e9, lives(p)


@case(where="few")
def no_call_is_interrupted(b):
    """Many threads wait beside a busy one, with a tick a millisecond: not one wait ends early."""
    r = b.run(HEAD + """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
early = []
def wait():
    for i in range(20):
        if libc.poll(None, 0, 15) != 0: early.append(ctypes.get_errno())
ts = [threading.Thread(target=wait) for i in range(8)]
[t.start() for t in ts]; busy(.3); [t.join() for t in ts]
print(early)
""", SPPROF_OUT="p.json", SPPROF_WALL=1, SPPROF_INTERVAL="1ms")
    assert r.out == "[]\n", r.out


@case(where="few")
def off_unless_asked_for(b):
    """Without the option there is nothing of it in the file."""
    p = b.run(HEAD + "time.sleep(.1)\nbusy(.05)\n", SPPROF_OUT="p.json").profile()
    assert "wall" not in p.block and not [x["name"] for x in p.profiles if "Wall" in x["name"]]
    assert not [f["name"] for f in p.frames if f["name"].startswith(MARK)]


@case(where="few")
def reports_tell_of_cpu(b):
    """The report by threads does not count lives."""
    command = os.path.join(b.build, "spprof")
    if not os.path.exists(command):
        raise Skip("no command")
    r = b.run(HEAD + "t = threading.Thread(target=time.sleep, args=(.2,)); t.start(); busy(.1); t.join()\n", SPPROF_OUT="p.json", SPPROF_WALL=1)
    out = subprocess.run([command, "report", "--by", "thread", os.path.join(r.directory, "p.json")], capture_output=True, text=True,
                         check=True).stdout
    assert "MainThread" in out and "Wall" not in out, out


def lines_of(b, directory, *args):
    r = subprocess.run([os.path.join(b.build, "spprof"), "report", *args], cwd=directory, capture_output=True, text=True)
    return r.returncode, r.stdout.splitlines(), r.stderr


@case(where="few")
def reports_of_lives(b):
    """report --wall: the lives of the file, its CPU beside them; a spool file and what is recovered of it say the same."""
    if not os.path.exists(os.path.join(b.build, "spprof")):
        raise Skip("no command")
    r = b.run(HEAD + """
def idle(): ready.set(); event.wait()
ready, event = threading.Event(), threading.Event()
t = threading.Thread(target=idle, name="idle"); t.start()
ready.wait(); busy(.3); time.sleep(.2); event.set(); t.join()
""", SPPROF_OUT="p.json", SPPROF_WALL=1, SPPROF_MEMORY="4M")
    p = Profile(os.path.join(r.directory, "p.json"))
    for by in ("thread", "process", "function", "file"):
        code, out, err = lines_of(b, r.directory, "--wall", "--by", by, "-n", "0", "--sort", "total", "p.json")
        assert code == 0 and not err and f"of {p.block['wall']['threads']} threads that ran Python" in "".join(out), (by, out, err)
        rows = [line.split(None, 5) for line in out[out.index(next(line for line in out if line.startswith(" %Self"))) + 1:]]
        assert abs(sum(float(row[0]) for row in rows) - 100) < 0.1 * len(rows), out
        if by == "thread":
            assert sorted(row[5].split(" (tid")[0] for row in rows) == ["MainThread", "idle"], rows
        if by == "function":
            idle, busy = ([row for row in rows if row[5].startswith(f)] for f in ("idle (", "busy ("))
            assert float(idle[0][1]) > 10 and busy[0][4] != "-" and any("(waiting: " in row[5] and row[4] == "-" for row in rows), rows
    assert lines_of(b, r.directory, "--wall", "--by", "line", "p.json")[0] == 2
    b.run(HEAD + "threading.Thread(target=time.sleep, args=(.3,)).start(); busy(.1); time.sleep(.1); os.kill(os.getpid(), signal.SIGKILL)\n",
          cwd=r.directory, SPPROF_SPOOL=".", SPPROF_OUT="k.json", SPPROF_WALL=1, check=False)
    spool = next(f for f in os.listdir(r.directory) if f.endswith(".spool"))
    subprocess.run([os.path.join(b.build, "spprof"), "recover", "-o", "k.json", spool], cwd=r.directory, check=True, capture_output=True)
    for by in ("thread", "process", "function", "file", "library"):
        asked = ("--wall", "--by", by, "-n", "0")
        assert lines_of(b, r.directory, *asked, spool) == lines_of(b, r.directory, *asked, "k.json"), (by, *[lines_of(b, r.directory, *asked, f) for f in (spool, "k.json")])
    b.run(HEAD + "busy(.05)\n", cwd=r.directory, SPPROF_OUT="cpu.json")
    code, out, err = lines_of(b, r.directory, "--wall", "cpu.json")
    assert code == 1 and not out and "tells of CPU only" in err, (code, out, err)


if __name__ == "__main__":
    sys.exit(main())
