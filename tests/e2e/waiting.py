#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""SPPROF_WALL: where a thread's life went."""
import ast
import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from lives import HEAD, MARK, SHORT, agree, is_off, lives, unseen, waits  # noqa: E402
from sp import CASES, Profile, Skip, case, compile_support, main, need_frames  # noqa: E402,F401


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
def calls_of_python(b):
    """Files, locks, signals, children, other processes: each function's wait is the call's that Python makes."""
    need_frames(b)
    r = b.run(HEAD + """
import ctypes, fcntl, multiprocessing, struct
def delay():
    with open("/proc/thread-self/schedstat") as f: return int(f.read().split()[1])
def waited(f, prepare, release):
    # once more if the release came before the wait
    took[f.__name__] = n = 0
    while n < 10 and (n == 0 or ns < 45e6):
        prepare()
        t = threading.Thread(target=lambda: (time.sleep(.06), release()))
        t.start()
        queued_ns, a_ns = delay(), time.monotonic_ns()
        f()
        ns = time.monotonic_ns() - a_ns - (delay() - queued_ns); took[f.__name__] += ns; n += 1
        t.join()
def nothing(): pass
def put(data, fd): os.write(fd, data)
# another process with a lock, on request
asks, answers = os.pipe(), os.pipe()
held = os.open("held", os.O_CREAT | os.O_RDWR)
if os.fork() == 0:
    while os.read(asks[0], 1) == b"l":
        fcntl.lockf(held, fcntl.LOCK_EX); os.write(answers[1], b"x"); os.read(asks[0], 1); fcntl.lockf(held, fcntl.LOCK_UN)
    os._exit(0)
def hold(): fcntl.lockf(held, fcntl.LOCK_UN); os.write(asks[1], b"l"); os.read(answers[0], 1)
def let_go(): os.write(asks[1], b"u")
def call_lockf(): fcntl.lockf(held, fcntl.LOCK_EX)
def call_os_lockf(): os.lockf(held, os.F_LOCK, 0)
waited(call_lockf, hold, let_go); waited(call_os_lockf, hold, let_go)
os.write(asks[1], b"e"); os.wait()
a, b = os.open("f", os.O_CREAT | os.O_RDWR), os.open("f", os.O_RDWR)
def call_flock(): fcntl.flock(b, fcntl.LOCK_EX)
waited(call_flock, lambda: (fcntl.flock(b, fcntl.LOCK_UN), fcntl.flock(a, fcntl.LOCK_EX)), lambda: fcntl.flock(a, fcntl.LOCK_UN))
whole = lambda kind: struct.pack("hhqqi4x", kind, 0, 0, 0, 0)
def call_fcntl(): fcntl.fcntl(b, 38, whole(fcntl.F_WRLCK))
waited(call_fcntl, lambda: (fcntl.fcntl(b, 37, whole(fcntl.F_UNLCK)), fcntl.fcntl(a, 37, whole(fcntl.F_WRLCK))),
       lambda: fcntl.fcntl(a, 37, whole(fcntl.F_UNLCK)))
os.mkfifo("fifo")
ends = []
def call_open(): ends.append(os.open("fifo", os.O_RDONLY))
waited(call_open, nothing, lambda: ends.append(os.open("fifo", os.O_WRONLY)))
ours, theirs = socket.socketpair()
os.ftruncate(a, 1 << 20)
def drain():
    n = 0
    while n < 1 << 20: n += len(theirs.recv(1 << 20))
def call_sendfile():
    n = 0
    while n < 1 << 20: n += os.sendfile(ours.fileno(), a, n, (1 << 20) - n)
def call_sendall(): ours.sendall(bytes(1 << 20))
waited(call_sendfile, nothing, drain); waited(call_sendall, nothing, drain)
p, q = os.pipe(), os.pipe()
libc = ctypes.CDLL(None)
def call_splice(): libc.splice(p[0], None, q[1], None, ctypes.c_size_t(1), 0)
waited(call_splice, nothing, lambda: put(b"x", p[1]))
main = threading.get_ident()
signal.signal(signal.SIGALRM, lambda *a: None)
def call_pause(): signal.pause()
signal.setitimer(signal.ITIMER_REAL, .06, .06)
waited(call_pause, nothing, nothing)
signal.setitimer(signal.ITIMER_REAL, 0)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
def call_sigwait(): signal.sigwait({signal.SIGUSR1})
def call_sigwaitinfo(): signal.sigwaitinfo({signal.SIGUSR1})
def call_sigtimedwait(): signal.sigtimedwait({signal.SIGUSR1}, 100)
for f in call_sigwait, call_sigwaitinfo, call_sigtimedwait: waited(f, nothing, lambda: signal.pthread_kill(main, signal.SIGUSR1))
sem = multiprocessing.get_context("fork").Semaphore(0)
def call_sem(): sem.acquire()
waited(call_sem, nothing, sem.release)
def call_poll(): poll.poll()
poll = select.poll(); poll.register(p[0], select.POLLIN)
waited(call_poll, nothing, lambda: put(b"x", p[1])); os.read(p[0], 1)
def call_readv(): os.readv(p[0], [bytearray(1)])
waited(call_readv, nothing, lambda: put(b"x", p[1]))
server = socket.socket(); server.bind(("127.0.0.1", 0)); server.listen()
def call_accept(): ends.append(server.accept())
waited(call_accept, nothing, lambda: ends.append(socket.create_connection(server.getsockname())))
children = []
def child(): children.append(subprocess.Popen(["cat"], stdin=subprocess.PIPE))
def ends_it(): children[-1].stdin.close()
def call_wait4(): os.wait4(children[-1].pid, 0)
def call_waitid(): os.waitid(os.P_PID, children[-1].pid, os.WEXITED)
waited(call_wait4, child, ends_it); waited(call_waitid, child, ends_it)
print(took)
""", SPPROF_OUT="p.json", SPPROF_WALL=1)
    took = ast.literal_eval(r.out)
    stacks = lives(Profile(os.path.join(r.directory, "p.json")))["MainThread"]
    shown = {"call_lockf": "fcntl", "call_os_lockf": "lockf", "call_sendall": "send", "call_sem": "sem_wait", "call_accept": "accept4",
             "call_poll": "ppoll" if b.version >= (3, 15) else "poll"}
    for f, ns in took.items():
        mark = shown.get(f, f[5:])
        here = waits(stacks, f, f"{MARK}: {mark}")
        assert here > 0.2 * ns, (f, here / 1e6, ns / 1e6, stacks)
        assert here + waits(stacks, f, "(waiting for the GIL)") >= 0.9 * ns - SHORT, (f, here / 1e6, ns / 1e6, stacks)


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


# A wait that follows a short one of the same call is not seen before it returns; threading's own locks may make the thread wait shortly
# while it begins.
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
    assert waits(child, "child") >= 0.19e9 - unseen(child) and not waits(child, "parent"), child
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
    """Each reaches the main thread, however deep, and ends its wait: no look at its stack stands between them. (Who is put off its CPU
    between setting the timer and the sleep is late with or without us; with such a look nearly all are.)"""
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
    print("in time" if late < 20 else late)
deep(3000)
""", SPPROF_OUT="p.json", SPPROF_WALL=1)
    assert r.out == "in time\n", r.out


@case(where="few")
def lives_without_python(b):
    """SPPROF_WALL=all: they have lives as well, which are what they lasted."""
    library = compile_support(b, "wall.c", "libwall.so", "-shared", "-fPIC")
    program = HEAD + f"import ctypes\nlib = ctypes.CDLL({library!r})\ndef native(): lib.native_thread()\ntimed(native)\nprint(took)\n"
    p = b.run(program, SPPROF_OUT="p.json", SPPROF_WALL=1).profile()
    assert not p.block["wall"]["all"] and "sleeper" not in lives(p), lives(p)
    r = b.run(program, SPPROF_OUT="p.json", SPPROF_WALL="all")
    p, took = r.profile(), ast.literal_eval(r.out)
    stacks = lives(p)["sleeper"]
    asleep = sum(n for s, n in stacks.items() if s == ("(native thread)", "(waiting: nanosleep)"))
    assert 0.249e9 <= asleep <= 1.02 * took["native"] + SHORT and p.block["wall"]["all"], (stacks, took)
    assert sum(stacks.values()) <= 1.02 * took["native"] + SHORT, (stacks, took)
    if os.path.exists(os.path.join(b.build, "spprof")):
        code, out, err = lines_of(b, r.directory, "--wall", "--by", "thread", "p.json")
        assert code == 0 and any("sleeper" in line for line in out), (out, err)


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
        head = next(line for line in out if line.startswith(" %Self"))
        rows = [line.split(None, 6) for line in out[out.index(head) + 1:]]
        assert head.split()[:8] == ["%Self", "%Total", "Wall", "self", "Total", "CPU", "self", "Total"], head
        assert abs(sum(float(row[0]) for row in rows) - 100) < 0.1 * len(rows), out
        if by == "thread":
            assert sorted(row[6].split(" (tid")[0] for row in rows) == ["MainThread", "idle"], rows
        if by == "function":
            idle, busy, module = ([row for row in rows if re.match(f, row[6])][0] for f in (r"idle \(", r"busy \(", "<module> .*/app"))
            assert float(idle[1]) > 10 and busy[4] != "-" and any("(waiting: " in row[6] and row[4:6] == ["-", "-"] for row in rows), rows
            seconds = [float(t.rstrip("mus")) / {"m": 1e3, "u": 1e6}.get(t[-2], 1) for t in (module[5], busy[5], module[4].replace("-", "0us"))]
            assert seconds[0] >= seconds[1] > seconds[2], rows  # the CPU of what it calls, as its time of life
            assert rows[0][1] == max(rows, key=lambda row: float(row[1].lstrip(">")))[1], rows
            assert lines_of(b, r.directory, "--wall", "-n", "0", "p.json")[1] == out, "by total"
    assert "--wall shows" in "".join(lines_of(b, r.directory, "p.json")[1]) and "--wall shows" not in "".join(out)
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
