#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the command asks of a process that runs: by a signal that harms nobody, answered by a process beside it. SPPROF_TEST_CARRIERS:
how many signals strangers get."""
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import ring  # noqa: E402
from asked import HEAD, NO_CLONE, ORDERS, Program  # noqa: E402
from sp import MACHINE, CASES, Profile, Skip, case, main, spent  # noqa: E402,F401

CARRIERS = int(os.environ.get("SPPROF_TEST_CARRIERS", "200"))

def snapshot(b, p, least):
    """Holds what samples have shown: on a machine without a CPU to spare they are late."""
    for _ in range(100):
        p.do("work()")
        p.ordered("snapshot", "-o", "s.json")
        s = Profile(p.file("s.json"))
        assert not s.block["complete"], s.block
        if s.total_ns()["work" if b.known else "(python)"] >= least:
            return
    raise AssertionError((least, s.block))


@case
def asked_without_rights(b):
    """A process that its own user may not look into, as every daemon that was root: it is asked, by its user and root alone."""
    p = Program(b, HEAD + "before = os.listdir('/proc/self/fd')\nprint('ready', flush=True)\n" + ORDERS)
    p.becomes(65534)
    for args in (["snapshot"], ["report"], ["convert", "-o", "x.json"]):
        r = p.command(*args, "--no-signal", p.pid)
        assert r.returncode == 1 and "may look into it" in r.stderr, r.stderr
    for i in range(3):
        snapshot(b, p, 0.1e9 * (i + 1))
    p.do("while children(): work()")
    p.do("assert os.listdir('/proc/self/fd') == before")
    r = p.command("report", p.pid)
    assert r.returncode == 0 and "work" in r.stdout, (r.stdout, r.stderr)
    if p.uid:
        stranger = p.command_as(65533, "stop", p.pid)
        assert stranger.returncode == 1 and "another user's" in stranger.stderr, stranger
        assert p.command_as(None, "reset", p.pid).returncode == 0
    assert p.ends() == ("", "")
    assert Profile(p.file()).block["complete"]


@case
def started_and_stopped(b):
    """Nothing is recorded and nothing ticks but between the two."""
    p = Program(b, HEAD + "assert timers() == 0\nprint('ready', flush=True)\n" + ORDERS, SPPROF_START="off")
    for order in ("stop", "reset"):
        r = p.command(order, p.pid)
        assert r.returncode == 1 and "nothing is recorded" in r.stderr, r.stderr
    assert p.command("start", "nobody").returncode == 2 and p.command("start", 999999999).returncode == 1
    for i in range(3):
        p.do("work()")
        assert "recording" in p.ordered("start")
        assert "recorded already" in p.command("start", p.pid).stderr
        p.do("assert timers() > 0; [work() for i in range(2)]")
        name = f"p-{i + 1}.json" if i else "p.json"
        assert p.file(name) in p.ordered("stop")
        f = Profile(p.file(name))
        assert f.block["complete"] and spent(b, f, spells=2) > 0.24e9 and f.total_ns()["work"] < 0.33e9, (f.total_ns(), f.block)
        p.do("while children(): work()")
        p.do("work(); assert timers() <= 1, open('/proc/self/timers').read()") # the first of all is kept, and stopped
    p.ordered("start")
    p.do("[work() for i in range(3)]")
    p.ordered("reset")
    p.do("work()")
    assert p.ends() == ("", "")
    last = Profile(p.file("p-4.json"))
    assert 0 < last.total_ns()["work" if b.known else "(python)"] < 0.33e9, (last.total_ns(), last.block)
    assert len(os.listdir(p.directory)) == 4, os.listdir(p.directory)


@case
def never_started(b):
    p = Program(b, HEAD + "print('ready', flush=True)\n" + ORDERS, SPPROF_START="off")
    p.do("work()")
    assert p.ends() == ("", "") and os.listdir(p.directory) == []


@case
def whole_trees(b):
    p = Program(b, HEAD + """
import subprocess
r, w = os.pipe()
if os.fork() == 0:
    os.close(w)
    os.read(r, 1) # until the parent ends
    os._exit(0)
other = subprocess.Popen([sys.executable, '-c', 'import sys; print("up", flush=True); sys.stdin.read()'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
assert other.stdout.readline() == b'up\\n'
alone = subprocess.Popen(['sleep', '1000'])
print('ready', flush=True)
""" + ORDERS + "other.stdin.close()\nother.wait()\nalone.kill()\nalone.wait()\nos.close(w)\nos.wait()\n", SPPROF_START="off")
    assert p.ordered("start", "--children").count("recording") == 3
    p.do("work()")
    assert p.ordered("stop", "--children").count("the profile is in") == 3
    assert p.ends() == ("", "")
    assert len([n for n in os.listdir(p.directory) if n.endswith(".json")]) == 3, os.listdir(p.directory)


@case
def own_signals_stay(b):
    """SIGURG is the program's: what it sets, waits for, reads and is sent is as without us."""
    p = Program(b, HEAD + """
import ring
assert signal.getsignal(signal.SIGURG) == signal.SIG_DFL
got = []
def ask(): ring.send(os.getpid(), ring.value(ring.IMAGE, 1))
def urged(n): # by others, n times
    for i in range(n): os.kill(os.getpid(), signal.SIGURG)
urged(2); ask()
signal.signal(signal.SIGURG, lambda *a: got.append(1))
ask(); urged(1); ask()
ring.send(os.getpid(), 7); ring.send(os.getpid(), ring.value(200, 1)); ring.send(os.getpid(), ring.value(ring.IMAGE, 1), code=-2)
assert got == [1] * 4, got
signal.signal(signal.SIGURG, signal.SIG_IGN); urged(1); ask()
signal.signal(signal.SIGURG, signal.SIG_DFL); urged(1); ask()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGURG])
threading.Timer(0.1, urged, (1,)).start()
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGURG])
assert signal.sigtimedwait([signal.SIGURG, signal.SIGUSR1], 0.4) is None # ignored, as nobody has it blocked
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGURG])
urged(1); signal.signal(signal.SIGURG, signal.SIG_DFL) # what waits is ignored
assert not signal.sigpending()
ask()
assert signal.sigtimedwait([signal.SIGURG], 0.01) is None
urged(1)
assert signal.sigwait([signal.SIGURG]) == signal.SIGURG
class Mask(ctypes.Structure): _fields_ = [('word', ctypes.c_ulong * 16)]
read_by = ctypes.CDLL(None).signalfd(-1, ctypes.byref(Mask((ctypes.c_ulong * 16)(1 << 22))), os.O_NONBLOCK)
for i in range(3):
    urged(2)
    told = os.read(read_by, 4096)
    assert len(told) == 128 and told[0] == signal.SIGURG, told
try: raise AssertionError(os.read(read_by, 4096))
except BlockingIOError: os.close(read_by)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGURG])
class Action(ctypes.Structure): # of both libcs, x86-64 and aarch64
    _fields_ = [('handler', ctypes.c_void_p), ('mask', ctypes.c_char * 128), ('flags', ctypes.c_int), ('restorer', ctypes.c_void_p)]
libc, once, now = ctypes.CDLL(None), [], Action()
handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(once.append)
libc.sigaction(23, ctypes.byref(Action(ctypes.cast(handler, ctypes.c_void_p).value, b'', -0x80000000)), None) # SA_RESETHAND
ask(); ask()
libc.sigaction(23, None, ctypes.byref(now))
assert once == [] and now.handler == ctypes.cast(handler, ctypes.c_void_p).value and now.flags & 0x80000000
urged(3)
libc.sigaction(23, None, ctypes.byref(now))
assert once == [23] and not now.handler
signal.signal(signal.SIGURG, lambda *a: got.append(2))
print('ready', flush=True)
""" + ORDERS)
    p.ordered("stop")
    p.ordered("start")
    p.do("assert got == [1] * 4, got")
    p.child.send_signal(signal.SIGURG)
    p.do("work(); assert got == [1] * 4 + [2], got")
    assert p.ends() == ("", "")


@case
def asked_while_it_waits(b):
    """Asked all the time, while it sleeps, selects, locks, reads, and waits for a signal."""
    p = Program(b, HEAD + """
import select
r, w = os.pipe()
def late(f, *a): threading.Timer(0.3, f, a).start()
def seen():
    held = threading.Lock()
    held.acquire()
    out = [time.sleep(0.2), select.select([r], [], [], 0.2), held.acquire(timeout=0.2)]
    late(os.write, w, b'x')
    out.append(os.read(r, 1))
    alarms = []
    signal.signal(signal.SIGALRM, lambda *a: alarms.append('alarm'))
    signal.setitimer(signal.ITIMER_REAL, 0.3, 0.3) # again, should it come before the wait
    signal.pause()
    signal.setitimer(signal.ITIMER_REAL, 0)
    return out + alarms[:1]
print('ready', flush=True)
""" + ORDERS)
    p.child.stdin.write("assert seen() == [None, ([], [], []), False, b'x', 'alarm'], seen\n")
    p.child.stdin.flush()
    i = 0
    while not select.select([p.child.stdout], [], [], 0.01)[0]:
        i += 1
        r = p.command(("stop", "start", "reset", "snapshot")[i % 4], p.pid) # the last by its memory, if that may be read
        assert r.returncode == 0 or "wait for signals" in r.stderr or "is recorded" in r.stderr or "already" in r.stderr or "not being profiled" in r.stderr, r.stderr
        ring.send(p.pid, ring.value(ring.IMAGE, i))
    p.says("ok")
    p.do("work()")
    assert p.ends() == ("", "")


@case
def asked_while_it_runs(b):
    """A program whose only thread runs and waits in turns, in C code that goes on by no wait of its own: it is asked while it runs."""
    p = Program(b, HEAD + """
class Poll(ctypes.Structure): _fields_ = [('fd', ctypes.c_int), ('events', ctypes.c_short), ('revents', ctypes.c_short)]
libc, wanted, cut = ctypes.CDLL(None), Poll(0, 1), 0
print('ready', flush=True)
while True:
    end = time.thread_time() + 0.02
    while time.thread_time() < end: pass
    n = libc.poll(ctypes.byref(wanted), 1, 40)
    cut += n < 0
    if n > 0:
        line = os.read(0, 1000)
        if not line: break
        exec(line)
        print('ok', flush=True)
""")

    def cut():
        p.child.stdin.write("print(cut, flush=True)\n")
        p.child.stdin.flush()
        n = int(p.child.stdout.readline())
        p.says("ok")
        return n
    seen = []
    for _ in range(5): # who asks may itself be without a CPU between its look and its signal
        before = cut()
        for _ in range(40):
            time.sleep(random.random() * 0.06)
            p.ordered("reset")
        seen.append(cut() - before)
        if seen[-1] < 20: # at any moment it would be 27
            break
    assert seen[-1] < 20, seen
    assert p.ends() == ("", "")


@case
def a_write_goes_on(b):
    """A thread in the middle of a write to a pipe is not asked where another one waits: it would be told of a part only."""
    p = Program(b, HEAD + """
import select
r, w = os.pipe()
wrote = []
t = threading.Thread(target=lambda: wrote.append(os.write(w, b'x' * 1000000)))
t.start()
print('ready', flush=True)
while select.select([0], [], []) and (line := os.read(0, 1000)):
    exec(line)
    print('ok', flush=True)
""")
    for _ in range(12):
        p.ordered("reset")
    p.do("assert not wrote, wrote")
    p.do("assert len(os.fdopen(r, 'rb').read(1000000)) == 1000000; t.join(); assert wrote == [1000000], wrote")
    assert p.ends() == ("", "")


@case
def forged(b):
    """Signals that nobody is behind cost their own time."""
    p = Program(b, HEAD + "print('ready', flush=True)\n" + ORDERS)
    for i in range(50 * CARRIERS):
        ring.send(p.pid, ring.value(i % 6, i * 7919 % (1 << 40)))
    p.do("work()")
    p.do("while children(): work()")
    p.ordered("reset")
    p.do("work()")
    assert p.ends() == ("", "")
    assert Profile(p.file()).block["complete"]


@case
def who_asks_goes_away(b):
    """Who asks says nothing more, in whatever moment: nothing is left of it, and the next one is answered."""
    p = Program(b, HEAD + "before = os.listdir('/proc/self/fd')\nprint('ready', flush=True)\n" + ORDERS)
    with tempfile.TemporaryFile() as f:
        for i in range(8):
            wish = ring.IMAGE if i % 4 else ring.RESET
            bell = ring.Listener(wish)
            if i % 4 == 1: # one who does not even listen any more
                ring.send(p.pid, bell.value)
            else:
                peer = bell.rings(p.pid)
                if i % 4 == 3:
                    ring.pass_file(peer, wish, f.fileno())
                peer.close()
            bell.socket.close()
            p.do("work()")
    still = ring.Listener(ring.IMAGE).rings(p.pid) # one who says nothing
    p.ordered("reset")
    p.do("while children(): work()")
    p.do("assert os.listdir('/proc/self/fd') == before")
    still.close()
    ring.Listener(ring.IMAGE).rings(p.pid)
    assert p.ends() == ("", "")
    assert Profile(p.file()).block["complete"]


@case
def strangers(b):
    """Programs that know nothing of us, with the library and without, and such as are becoming another: none dies."""
    d = b.fresh()
    loops = "import os, sys; n = int(sys.argv[1]); n and os.execv(sys.executable, [sys.executable, '-S', '-c', sys.argv[2], str(n - 1), sys.argv[2]])"
    pending = "import os, signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGURG]); print(flush=True); input(); os.execvp('sh', ['sh', '-c', 'exit 3'])"
    for preload in (True, False):
        env = b.env(preload)
        others = [subprocess.Popen(["sleep", "1000"], env=env, cwd=d), subprocess.Popen(["cat"], stdin=subprocess.PIPE, env=env, cwd=d)]
        looping = subprocess.Popen([b.python, "-S", "-c", loops, "12", loops], env=env, cwd=d)
        waiting = subprocess.Popen([b.python, "-S", "-c", pending], env=env, cwd=d, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        waiting.stdout.readline()
        for i in range(CARRIERS):
            for child in (*others, waiting, looping):
                if child.poll() is None:
                    ring.send(child.pid, ring.value(1 + i % 4, i))
            time.sleep(0.002)
        waiting.communicate(b"\n")
        assert looping.wait() == 0 and waiting.returncode == 3, (looping.returncode, waiting.returncode)
        assert all(o.poll() is None for o in others)
        for o in others:
            o.kill()
            o.wait()
        others[1].stdin.close()
    r = subprocess.run([os.path.join(b.build, "spprof"), "stop", str(os.getpid())], capture_output=True, text=True, timeout=60)
    assert r.returncode == 1 and "not loaded" in r.stderr, r


@case
def asked_at_forks_and_ends(b):
    """A fork, an exec, an end meanwhile."""
    r = b.run(HEAD + """
import random, ring, subprocess, warnings
warnings.simplefilter('ignore')
ends = set()
def rings():
    while not stop:
        for pid in [os.getpid(), *children()]:
            try: ring.send(pid, ring.value(random.choice((ring.IMAGE, ring.BEGIN, ring.END, ring.RESET)), 5))
            except OSError: pass
        time.sleep(0.0005)
stop = False
thread = threading.Thread(target=rings)
thread.start()
for i in range(60):
    pid = os.fork()
    if pid == 0:
        if i % 2: os.execv('/bin/sh', ['sh', '-c', 'exit 5'])
        sum(range(20000))
        os._exit(5)
    ends.add(os.waitpid(pid, 0)[1])
    if i % 10 == 0: assert subprocess.call(['sh', '-c', 'exit 6']) == 6
stop = True
thread.join()
try: print(ends, os.waitpid(-1, os.WNOHANG))
except ChildProcessError: print(ends)
""", SPPROF_OUT="%p.json", SPPROF_FILES=0)
    assert r.out == "{1280}\n" and r.err == "", (r.out, r.err)


@case
def answered_in_place(b):
    """Where there can be no process beside it a thread of the program does it."""
    if MACHINE != "x86_64":
        raise Skip("the filter is for x86-64")
    p = Program(b, HEAD + """
""" + NO_CLONE + """
before = os.listdir('/proc/self/fd')
print('ready', flush=True)
""" + ORDERS)
    p.becomes(65534)
    snapshot(b, p, 0.1e9)
    answers_in_place(p)


def answers_in_place(p):
    said = p.ordered("stop")
    assert "by a thread of its own" in said and p.file() in said, said
    for order in ("start", "reset"):
        said = p.ordered(order)
        assert "done by a thread of its own" in said and "written" not in said, said
    p.do("assert os.listdir('/proc/self/fd') == before and not children()")
    assert p.ends() == ("", "")


@case
def no_more_processes(b):
    """... for the user has as many as are allowed."""
    p = Program(b, HEAD + "import resource\nbefore = os.listdir('/proc/self/fd')\nprint('ready', flush=True)\n" + ORDERS)
    p.becomes(65534)
    p.do("work(); resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))")
    p.do("while children(): work()")
    answers_in_place(p)


if __name__ == "__main__":
    sys.exit(main())
