#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""spprof ship, of processes that go on: what is sent piece by piece is together what was recorded, each of it once."""
import collections
import contextlib
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import otlp  # noqa: E402
from pprof import Pprof  # noqa: E402
from receiver import Receiver, answer  # noqa: E402
from shipping import await_left, begin, ended, left, need_curl, ship  # noqa: E402
from sp import BUSY, Profile, case, main, need_frames  # noqa: E402

STEPS = BUSY + """
import sys, threading
def left(): busy(0.03)
def right(): busy(0.02)
print(flush=True)
n = 0
while not sys.stdin.readline().startswith('end'):
    left(); right()
    for i in range(20): # threads come and go, and are summed up
        t = threading.Thread(target=left if i % 2 else right, name=f't{n % 7}')
        n += 1
        t.start(); t.join()
    print(flush=True)
"""


@contextlib.contextmanager
def steps(b):
    p = subprocess.Popen([b.python, b.write(STEPS, "steps.py")], env=b.env(SPPROF_SPOOL=b.fresh(), SPPROF_INTERVAL="1ms"), cwd=b.fresh(),
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        p.stdout.readline()
        yield p
    finally:
        p.kill()
        p.wait()


def step(p):
    p.stdin.write("go\n")
    p.stdin.flush()
    p.stdout.readline()


@case
def of_a_process(b):
    """Of a process what is new each time: together exactly what was recorded, by stack, over restarts of who sends it."""
    need_frames(b)
    need_curl(b)
    queue = b.fresh()
    with Receiver(answer(200), answer(503), answer(503)) as r, steps(b) as p:
        args = ("--interval", "100ms", "--retry", "20ms", "--queue", queue, "--to", r.url(), p.pid)
        for _ in range(2):
            s, before = begin(b, *args), len(r.got)
            while len(r.got) < before + 4:
                step(p)
            s.terminate()
            ended(s)
        step(p)
        os.kill(p.pid, signal.SIGSTOP)
        ship(b, "--once", *args)
        n = len(r.got)
        ship(b, "--once", *args)  # nothing is new
        assert len(r.got) == n and left(queue) == [], left(queue)
        snapshot = os.path.join(b.fresh(), "now.pb.gz")
        subprocess.run([os.path.join(b.build, "spprof"), "snapshot", "-o", snapshot, str(p.pid)], check=True, capture_output=True)
        os.kill(p.pid, signal.SIGCONT)
        whole = Pprof(snapshot)
        taken = [otlp.Request(g.body) for i, g in enumerate(r.got) if i not in (1, 2)]
        for kind in ("cpu", "samples"):
            assert sum(q.total(kind) for q in taken) == whole.total(kind), (kind, [q.total(kind) for q in taken], whole.total(kind))
            assert all(s.values > 0 for q in taken for s in q.profiles[kind].samples)
        stacks, wanted = collections.Counter(), collections.Counter()
        for q in taken:
            for s in q.profiles["cpu"].samples:
                stacks[s.stack] += s.values
        for s in whole.samples:
            wanted[s.stack] += s.values["cpu"]
        # what a machine that stood still used up between two samples was sent as (not sampled), and stays that; so does (overflow), which
        # is a sample that was half in the store when it was read
        early = stacks - wanted
        assert all(s[0].name in ("(not sampled)", "(overflow)") for s in early) and stacks.total() == wanted.total(), (early, wanted - stacks)
        assert sum(n for s, n in early.items() if s[0].name == "(overflow)") < 30e6, early
        times = [(q.profiles["cpu"].time_ns, q.profiles["cpu"].duration_ns) for q in taken]
        assert len(times) >= 4 and times[0][0] == whole.time_ns and all(t + d == u for (t, d), (u, _) in zip(times, times[1:])), times
        p.communicate("end\n", timeout=100)
        assert "no such process" in ship(b, *args, status=1)


@case
def until_it_ends(b):
    """A process that ends is no failure: what was taken of it is sent, and the queue that was made for it is removed."""
    need_curl(b)
    where = b.fresh()
    with Receiver() as r, steps(b) as p:
        step(p)
        s = begin(b, "--interval", "50ms", "--to", r.url("/ingest"), p.pid, cwd=where)
        while not r.got:
            step(p)
        assert os.listdir(where) == [f"spprof-ship-{p.pid}"]
        p.communicate("end\n", timeout=100)
        err = ended(s)
        assert f"process {p.pid}: there is no such process; its profile is where SPPROF_OUT says" in err and os.listdir(where) == [], (err, os.listdir(where))


@case
def goes_on(b):
    """A profile that was written while its process ran on is sent; of the whole one then only what it had not."""
    need_curl(b)
    directory = b.fresh()
    program = BUSY + "import os, signal\ndef f(): busy(0.1)\nf(); os.kill(os.getpid(), signal.SIGUSR2); print(flush=True); input(); f()\n"
    p = subprocess.Popen([b.python, b.write(program, "goes_on.py")], env=b.env(SPPROF_OUT=os.path.join(directory, "p.json"), SPPROF_SIGNAL="USR2", SPPROF_INTERVAL="1ms"),
                         cwd=b.fresh(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    p.stdout.readline()
    with Receiver() as r:
        ship(b, "--once", "--to", r.url(), directory)
        assert len(r.got) == 1 and left(directory) == []
        p.communicate("\n", timeout=100)
        whole = Profile(os.path.join(directory, "p.json"))
        ship(b, "--once", "--to", r.url(), directory)
        first, second = (otlp.Request(g.body).total() for g in r.got)
        assert first > 0.09e9 and second > 0.09e9 and first + second == whole.total(), (first, second, whole.total())
        assert os.listdir(os.path.join(directory, ".spprof-ship")) == ["lock"], os.listdir(os.path.join(directory, ".spprof-ship"))


@case
def rotated(b):
    """What a program that rotates its profiles leaves is sent while it runs: together all that it used."""
    need_curl(b)
    directory = b.fresh()
    with Receiver() as r:
        s = begin(b, "--to", r.url(), directory)
        b.run(BUSY + "busy(2)\n", SPPROF_OUT=os.path.join(directory, "p-%n.pb.gz"), SPPROF_ROTATE="400ms")
        await_left(directory, [])
        s.terminate()
        ended(s)
        total = sum(otlp.Request(g.body).total() for g in r.got)
        assert len(r.got) >= 3 and total >= 2e9, (len(r.got), total)


if __name__ == "__main__":
    sys.exit(main())
