#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""SPPROF_WALL: what programs of the kinds that it is for waited for, by their own clocks."""
import ast
import collections
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from lives import HEAD, MARK, SHORT, agree, lives, unseen, waits  # noqa: E402
from sp import CASES, Profile, Skip, case, main, need_frames  # noqa: E402,F401

HEAD += """
def clocked(f):  # by all threads
    def g(*a):
        a_ns = time.monotonic_ns(); r = f(*a)
        with sums: took[f.__name__] = took.get(f.__name__, 0) + time.monotonic_ns() - a_ns
        return r
    return g
sums = threading.Lock()
# A server in a process of its own: it answers each line after as many milliseconds as that says
def start_server():
    listener = socket.socket(); listener.bind(("127.0.0.1", 0)); listener.listen()
    listener.set_inheritable(True)
    server = subprocess.Popen([sys.executable, "-c", '''
import socket, sys, threading, time
def serve(c):
    for line in c.makefile(): time.sleep(int(line) / 1000); c.sendall(b"done")
listener = socket.socket(fileno=int(sys.argv[1]))
while True: threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
''', str(listener.fileno())], close_fds=False, env=dict(os.environ, SPPROF="off"))
    return server, listener.getsockname()
"""


def all_agree(p, took, threads):
    """What threads of these names waited in each function, together, by their own clocks."""
    mine = [s for name, s in lives(p).items() if name.startswith(threads)]
    for f, ns in took.items():
        seen, missed = sum(waits(s, f) for s in mine), sum(unseen(s) for s in mine)
        assert 0.98 * (ns - missed) - SHORT * len(mine) <= seen <= 1.02 * ns + SHORT * len(mine), (f, seen / 1e6, ns / 1e6, missed / 1e6, mine)


@case
def a_slow_database(b):
    """Threads of a pool that ask a server, each over a connection of its own."""
    need_frames(b)
    r = b.run(HEAD + """
from concurrent.futures import ThreadPoolExecutor
server, address = start_server()
local = threading.local()
@clocked
def query(ms):
    if not hasattr(local, "s"): local.s = socket.create_connection(address)
    local.s.sendall(b"%d\\n" % ms); local.s.recv(4, socket.MSG_WAITALL)
def request(ms): busy(.005); query(ms)
with ThreadPoolExecutor(4, thread_name_prefix="pool") as pool: list(pool.map(request, [40] * 16))
server.kill()
print(took)
""", SPPROF_OUT="p.json", SPPROF_WALL=1)
    took = ast.literal_eval(r.out)
    all_agree(r.profile(), took, "pool")
    assert took["query"] >= 16 * 40e6, took


@case
def an_asyncio_client(b):
    """The loop's thread waits in its selector, whatever the tasks wait for."""
    need_frames(b)
    r = b.run(HEAD + """
import asyncio
server, address = start_server()
async def query(ms):
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"%d\\n" % ms); await reader.readexactly(4); writer.close()
async def several(): await asyncio.gather(*[query(60) for i in range(10)])
async def all_of_them():
    for i in range(5): await several()
def client(): asyncio.run(all_of_them())
before = thread_time()
timed(client)
print([took["client"], int((thread_time() - before) * 1e9)])
server.kill()
""", SPPROF_OUT="p.json", SPPROF_WALL=1)
    ns, cpu_ns = ast.literal_eval(r.out)
    stacks = lives(r.profile())["MainThread"]
    seen = waits(stacks, "client", "(waiting: epoll_wait)")
    assert 0.98 * (ns - cpu_ns - unseen(stacks)) - SHORT <= seen <= 1.02 * ns, (seen, ns, cpu_ns, stacks)


@case
def a_lock_and_a_queue(b):
    """A pool whose threads want one lock, and a worker fed by a queue: at the Python functions that wait, below threading's own."""
    need_frames(b)
    r = b.run(HEAD + """
from concurrent.futures import ThreadPoolExecutor
lock, ready, q = threading.Lock(), threading.Condition(), queue.Queue()
@clocked
def wants(): lock.acquire()
@clocked
def holds(): time.sleep(.03)
def critical(i):
    wants(); holds(); lock.release()
with ThreadPoolExecutor(4, thread_name_prefix="pool") as pool: list(pool.map(critical, range(12)))
@clocked
def takes(): return q.get()
@clocked
def is_told():
    with ready: ready.wait()
def work():
    for i in range(5): takes()
    is_told()
worker = threading.Thread(target=work, name="worker"); worker.start()
for i in range(5): time.sleep(.04); q.put(i)
time.sleep(.06)
while worker.is_alive():
    with ready: ready.notify()
    time.sleep(.01)
print([{k: took.pop(k) for k in ("wants", "holds")}, took])
""", SPPROF_OUT="p.json", SPPROF_WALL=1)
    p, (pool, worker) = r.profile(), ast.literal_eval(r.out)
    all_agree(p, pool, "pool")
    agree(p, "worker", worker, {})
    stacks = lives(p)["worker"]
    for f, inner in (("takes", ("Queue.get", "Condition.wait")), ("is_told", ("Condition.wait",))):
        names = inner if b.version >= (3, 11) else tuple(n.split(".")[1] for n in inner)
        at = sum(n for s, n in stacks.items() if s[-1].startswith(f"{MARK}: sem_") and s[-2 - len(inner):-1] == (f, *names))
        assert at >= 0.9 * (worker[f] - unseen(stacks)) - SHORT, (f, worker, stacks)


@case
def the_gil_in_the_report(b):
    """What share of all lives went by waiting for it."""
    command = os.path.join(b.build, "spprof")
    if not os.path.exists(command):
        raise Skip("no command")
    r = b.run(HEAD + """
ts = [threading.Thread(target=busy, args=(.15,)) for i in range(3)]
[t.start() for t in ts]; [t.join() for t in ts]
""", SPPROF_OUT="p.json", SPPROF_WALL=1)
    all_lives = lives(Profile(os.path.join(r.directory, "p.json"))).values()
    share = sum(n for s in all_lives for k, n in s.items() if k[-1] == f"{MARK} for the GIL)") / sum(n for s in all_lives for n in s.values())
    out = subprocess.run([command, "report", "--wall", "p.json"], cwd=r.directory, capture_output=True, text=True, check=True).stdout
    told = float(re.search(r"\(([0-9.]+) % for the GIL", out)[1]) / 100
    assert abs(told - share) < 0.001 and (share > 0 or b.free_threaded), (share, out)


@case
def idle_threads(b):
    """report --wall has them behind all others, and --no-idle not at all."""
    command = os.path.join(b.build, "spprof")
    if not os.path.exists(command):
        raise Skip("no command")
    r = b.run(HEAD + """
def idle(): ended.wait()
ended = threading.Event()
ts = [threading.Thread(target=idle, name=f"idle-{i}") for i in range(4)] + [threading.Thread(target=busy, args=(.1,), name="zz")]
[t.start() for t in ts]; busy(.1); time.sleep(1.2); ended.set(); [t.join() for t in ts]
""", SPPROF_OUT="p.json", SPPROF_WALL=1)
    p = Profile(os.path.join(r.directory, "p.json"))
    is_idle = {t["name"]: t["cpu"] < t["wall"] // 1000 for t in p.block["threads"]}
    n = sum(is_idle.values())

    def report(*options):
        out = subprocess.run([command, "report", "--wall", "-n", "0", *options, "p.json"], cwd=r.directory, capture_output=True, text=True, check=True)
        lines = out.stdout.splitlines()
        return lines[next(i for i, line in enumerate(lines) if line.startswith(" %Self")) + 1:], out.stdout
    for sort in ("self", "name"):
        rows, out = report("--by", "thread", "--sort", sort)
        order = [is_idle[row.split()[6]] for row in rows]
        assert len(rows) == len(is_idle) and order == sorted(order), out
        assert (f"of {n} thread" in out and "left out" not in out) or not n, out
    rows, out = report("--by", "thread", "--no-idle")
    assert sorted(row.split()[6] for row in rows) == sorted(t for t in is_idle if not is_idle[t]) and ("left out" in out or not n), out
    rows, out = report("--by", "function", "--no-idle")
    assert any(" idle (" in row for row in rows) == any(not is_idle[t] for t in is_idle if t.startswith("idle")), out
    if b.known and n:
        assert any(" idle (" in row for row in report("--by", "function")[0])


@case
def snapshots_of_waits(b):
    """A wait that goes on stands in a snapshot with the time that it has lasted, and nobody is woken for it."""
    need_frames(b)
    command = os.path.join(b.build, "spprof")
    if not os.path.exists(command):
        raise Skip("no command")
    source = b.write(HEAD + """
def idle(): ready.set(); a_ns = time.monotonic_ns(); ended.wait(); print(time.monotonic_ns() - a_ns)
ready, ended = threading.Event(), threading.Event()
t = threading.Thread(target=idle, name="idle"); t.start()
ready.wait(); a_ns = time.monotonic_ns(); busy(.2)
print(time.monotonic_ns() - a_ns, flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), ended.set())).start()
while not ended.is_set(): busy(.01)
t.join()
""")
    for spool in (".", None):
        d = b.fresh()
        child = subprocess.Popen([b.python, source], cwd=d, env=b.env(SPPROF_OUT="p.json", SPPROF_WALL=1, SPPROF_SPOOL=spool), text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        lasted, seen = int(child.stdout.readline()), 0
        for i in range(200):  # up to the last sample of any thread
            r = subprocess.run([command, "snapshot", "-o", "s.json", str(child.pid)], cwd=d, capture_output=True, text=True)
            if "may not be read" in r.stderr:
                break
            assert r.returncode == 0, r.stderr
            stacks = lives(Profile(os.path.join(d, "s.json")))["idle"]
            seen = waits(stacks, "idle", f"{MARK}: sem_")
            os.remove(os.path.join(d, "s.json"))
            if seen >= lasted - unseen(stacks):
                break
            time.sleep(.05)
        ended = int(child.communicate("", timeout=60)[0])
        assert child.returncode == 0, child.returncode
        assert "may not be read" in r.stderr or lasted - unseen(stacks) <= seen <= 1.02 * ended + SHORT, (seen, lasted, ended, stacks)


@case
def same_system_calls(b):
    """What the kernel sees of it: clocks read, masks changed while a stack is taken, who is asking; and of each thread's queueing
    time. Nothing interrupted, and of the program's own calls not one more or less."""
    if not shutil.which("strace"):
        raise Skip("no strace")
    program = b.write(HEAD + """
ours, theirs = socket.socketpair()
def answers():
    for i in range(20): theirs.recv(1); time.sleep(.002); theirs.send(b"x")
t = threading.Thread(target=answers); t.start()
for i in range(20): ours.send(b"x"); ours.recv(1)
t.join(); time.sleep(.05); select.select([ours], [], [], .05)
subprocess.run(["true"]); os.close(os.open("/dev/null", os.O_RDONLY))
""")
    own = {"clock_gettime", "rt_sigprocmask", "rt_sigpending", "gettid", "getpid", "sigaltstack", "timer_getoverrun"}
    steps = {"mprotect", "prlimit64", "madvise", "futex", "mmap", "munmap", "brk"}  # by size, by chance
    seen = []
    for wall in (0, 1):
        lines = ["SIGPROF {"]
        while any("SIGPROF {" in line for line in lines):  # a tick has calls of its own
            d = b.fresh()
            subprocess.run(["strace", "-f", "-qq", "-o", "trace", "env", "LD_PRELOAD=" + b.library, "SPPROF_OUT=p.json", f"SPPROF_WALL={wall}",
                            "SPPROF_INTERVAL=10s", b.python, "-S", "-B", program], cwd=d, env=b.env(preload=False), check=True, capture_output=True)
            lines = [line.split(None, 1)[1] for line in open(os.path.join(d, "trace")) if "resumed>" not in line]
        assert not [line for line in lines if "EINTR" in line or "ERESTART" in line]
        files = [line for line in lines if "/schedstat" in line]
        of_each = collections.Counter(line.split("/")[4] for line in files).values()
        assert sorted(of_each) == ([1, 3] if wall else []), files  # the main thread's also where its profile begins
        calls = collections.Counter(line.split("(")[0] for line in lines if "(" in line and "/schedstat" not in line)
        calls.subtract({"fcntl": 3 * len(files), "pread64": len(files), "close": len(files), "fstat": 2 * len(files)})
        seen.append(calls)
    more = {n: (seen[0][n], seen[1][n]) for n in seen[0] | seen[1] if seen[0][n] != seen[1][n] and n not in own | steps}
    assert not more, more


@case
def no_descriptor_of_ours(b):
    """Threads end and signals arrive while the main thread forks: no child has a file of the kernel's that was ours."""
    r = b.run("""
import os, signal, threading, time
signal.signal(signal.SIGUSR1, lambda *a: None)
is_over = False
def end(): time.sleep(.0015)
def churn():
    while not is_over:
        threads = [threading.Thread(target=end) for _ in range(8)]
        for t in threads: t.start()
        for t in threads: t.join()
        os.kill(os.getpid(), signal.SIGUSR1)
threads = [threading.Thread(target=churn) for _ in range(3)]
for t in threads: t.start()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
foreign = 0
def own():
    links = []
    for fd in os.listdir("/proc/self/fd"):
        try: links.append(os.readlink("/proc/self/fd/" + fd))
        except OSError: pass
    return sum("stat" in f for f in links)
for _ in range(300):
    pid = os.fork()
    if pid == 0: os._exit(own())
    foreign += os.waitpid(pid, 0)[1] >> 8
is_over = True
for t in threads: t.join()
print(foreign)
""", SPPROF_OUT="p.json", SPPROF_WALL=1, SPPROF_FILES=1, SPPROF_VERBOSE=0, timeout=120)
    assert r.out == "0\n", r.out


if __name__ == "__main__":
    sys.exit(main())
