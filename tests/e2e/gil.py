#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""SPPROF_WALL: what threads wait for when it is the interpreter itself."""
import ast
import collections
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from lives import HEAD, SHORT, lives, unseen, waits  # noqa: E402
from sp import CASES, Profile, Skip, case, compile_support, main, need_frames, telling  # noqa: E402,F401

# What a function was off its CPU, by its own two clocks.
OFF = HEAD + """
import gc
def off(f, *a):
    wall, cpu = time.monotonic_ns(), time.thread_time_ns(); f(*a)
    took[f.__name__] = time.monotonic_ns() - wall - (time.thread_time_ns() - cpu)
def both(f, g):
    ts = [threading.Thread(target=off, args=(x,), name=x.__name__) for x in (f, g)]
    for t in ts: t.start()
    for t in ts: t.join()
"""


def waits_of(b, program, thread, mark):
    """What the thread waited with this mark, and the most and the least that it can have. Where there is one processor threads
    are seldom in each other's way: more of the same then."""
    for times in (1, 4, 16):
        r = b.run(OFF + f"times = {times}\n{program}print(took)\n", SPPROF_OUT="p.json", SPPROF_WALL=1)
        off, stacks = ast.literal_eval(r.out)[thread], lives(r.profile())[thread]
        seen = waits(stacks, thread, mark)
        if seen > 5e6:
            break
    within = waits(stacks, "off", mark)  # it may be stopped on the way in and out as well
    assert seen > 5e6 and off - unseen(stacks) - SHORT <= within and seen <= off + SHORT, (seen, within, off, stacks)
    return seen, stacks


def need_a_gil(b):
    need_frames(b)
    if b.free_threaded:
        raise Skip("no GIL")


def held(p, waits_in):
    """{(function, last frame) of who held the GIL: ns}, while the thread of that name waited for it."""
    profile = next(t["profile"] for t in p.block["threads"] if t.get("name") == waits_in)
    out = collections.Counter()
    for i, ns, stack in p.block["gil"]:
        names = p.names(stack)
        for f in set(names) if i == profile else ():
            out[f, names[-1]] += ns
    return out


def by_function(sums, f):
    return sum(ns for (name, _), ns in sums.items() if name == f)


CONTENDED = OFF + """
import hashlib
ended, go = [], threading.Event()
def runs(): # wants the GIL all the time
    go.wait()
    while not ended: busy(.001)
def calls(f, *a):
    go.wait(); f(*a); ended.append(1)
def both_want(f, *a):
    ts = [threading.Thread(target=runs, name="runs"), threading.Thread(target=calls, args=(f, *a), name="calls")]
    for t in ts: t.start()
    go.set()
    for t in ts: t.join()
"""


@case
def who_holds_it(b):
    """Of two threads that want the GIL all the time each waits while the other has it, where that is."""
    need_a_gil(b)
    p = b.run(CONTENDED + """
def hogs():
    while thread_time() < .4: pow(7, 20000)
both_want(hogs)
""", SPPROF_OUT="p.json", SPPROF_WALL=1).profile()
    threads = {t["name"]: t for t in p.block["threads"] if "name" in t}
    total, calls = p.total_ns(p.thread("calls")), threads["calls"]
    waited = held(p, "runs")
    assert 0.8 * total["hogs"] - p.doubt_ns() <= calls.get("gil_held", 0) <= calls["cpu"], (calls, total)
    assert 0.8 * total["hogs"] - p.doubt_ns() <= by_function(waited, "hogs") <= calls["cpu"], (waited, total, calls)
    assert by_function(waited, "runs") == 0 and by_function(held(p, "calls"), "hogs") == 0, (waited, held(p, "calls"))
    seen = by_function(held(p, "calls"), "runs")
    assert seen <= threads["runs"]["cpu"], (seen, threads)


@case
def who_lets_it_go(b):
    """A thread that computes without the GIL does not hold it, whatever it uses; nobody waits for it then."""
    need_a_gil(b)
    def run(scale):
        return b.run(CONTENDED + """
large = bytes(1 << 22)
def hashes():
    while thread_time() < .4 * int(sys.argv[1]): hashlib.sha256(large).digest()
both_want(hashes)
""", scale, SPPROF_OUT="p.json", SPPROF_WALL=1).profile()
    def calling(p): return next(t for t in p.block["threads"] if t.get("name") == "calls")
    p, _ = telling(run, lambda p: calling(p)["samples"] > 20)
    calls = calling(p)
    assert calls.get("gil_held", 0) <= 0.5 * calls["cpu"], calls  # it has it a fiftieth of its time: of 20 samples not ten
    assert by_function(held(p, "runs"), "hashes") <= 0.5 * calls["cpu"], held(p, "runs")


@case
def who_sleeps_on_it(b):
    """A C function that waits and does not let the GIL go: no sample of its CPU tells."""
    need_a_gil(b)
    p = b.run(CONTENDED + """
import ctypes
usleep = ctypes.PyDLL(None).usleep
def sleeps():
    for i in range(6): usleep(50000)
both_want(sleeps)
""", SPPROF_OUT="p.json", SPPROF_WALL=1).profile()
    calls = next(t for t in p.block["threads"] if t.get("name") == "calls")
    seen = held(p, "runs")["sleeps", "(waiting: usleep)"]
    most = waits(lives(p)["calls"], "sleeps", "(waiting: usleep)")
    assert 0.29e9 - SHORT <= most and 0.15e9 <= seen <= most, (seen, most, p.block["gil"])
    assert calls.get("gil_held", 0) >= 0.29e9 - SHORT, calls


@case(where="few")
def a_wait_left_by_a_jump(b):
    """A C handler jumped out of a wait, and all waits since are further in: one for the GIL ends all the same."""
    need_a_gil(b)
    library = compile_support(b, "wall.c", "libwall.so", "-shared", "-fPIC")
    p = b.run(HEAD + f"""
import ctypes
lib = ctypes.PyDLL({library!r})
def deep(n, f): list(map(lambda _: deep(n - 1, f), [0])) if n else f()
def burn(s):
    until = thread_time() + s
    while thread_time() < until: pass
def first(): burn(.2)
def second(): burn(.4)
def runs(): deep(1, first); deep(1, second)
def contends():
    other = threading.Thread(target=runs)
    other.start(); burn(.15); other.join()
lib.cancel(); lib.jump_out(2)
deep(8, contends)
""", SPPROF_OUT="p.json", SPPROF_WALL=1).profile()
    waited, total = held(p, "MainThread"), p.total_ns()
    assert by_function(waited, "first") > 0 and total["second"] > 0.3e9, (waited, total)
    assert by_function(waited, "second") < 0.25 * total["second"], (waited, total)


@case
def recordings_that_end(b):
    """The recording is over while threads want the GIL all the time: they go on, and so they do in the next."""
    program = HEAD + """
def hogs():
    until = thread_time() + .5
    while thread_time() < until: sum(range(2000))
threads = [threading.Thread(target=hogs) for _ in range(2)]
for t in threads: t.start()
for t in threads: t.join()
print("unharmed")
"""
    for options in ({"SPPROF_DURATION": "200ms"}, {"SPPROF_ROTATE": "50ms"}):
        r = b.run(program, SPPROF_OUT="p.json", SPPROF_WALL=1, **options)
        assert r.out == "unharmed\n" and r.files(), (r.out, r.err)


@case(where="few")
def the_report_of_it(b):
    """--by gil: threads and functions as the file has them, from a file, a spool that was left, and merged."""
    need_a_gil(b)
    command = os.path.join(b.build, "spprof")
    if not os.path.exists(command):
        raise Skip("no command")
    r = b.run(CONTENDED + """
def hogs():
    while thread_time() < .25: pow(7, 20000)
both_want(hogs)
os.kill(os.getpid(), 9)
""", SPPROF_OUT="p.json", SPPROF_WALL=1, SPPROF_SPOOL=".", check=False)
    spool = next(f for f in os.listdir(r.directory) if f.endswith(".spool"))

    def run(*words):
        return subprocess.run([command, *words], cwd=r.directory, capture_output=True, text=True, check=True, env=b.env(preload=False)).stdout
    run("recover", "-o", "p.json", spool)
    shutil.copy(os.path.join(r.directory, "p.json"), os.path.join(r.directory, "q.json"))
    run("merge", "-o", "m.json", "p.json", "q.json")
    p = Profile(os.path.join(r.directory, "p.json"))
    hogs = sum(by_function(held(p, t["name"]), "hogs") for t in p.block["threads"])
    assert hogs > 0, p.block["gil"]
    for source, times in ((spool, 1), ("p.json", 1), ("m.json", 2)):
        told = json.loads(run("report", "--by", "gil", "--json", source))
        row = next(x for x in told["rows"] if x["name"] == "hogs")
        assert row["total_ns"] == times * hogs and told["sum_ns"] == times * sum(ns for _, ns, _ in p.block["gil"]), (source, row, hogs)
        runs = [x for x in told["gil"] if x["name"].startswith("runs")]
        assert len(runs) == times and all("hogs" in x["most_of"] for x in runs), told["gil"]
        assert all(x["most_ns"] == held(p, "runs")["hogs", "hogs"] for x in runs), (told["gil"], held(p, "runs"))
        for x in told["gil"]:
            t = next(t for t in p.block["threads"] if x["name"].startswith(t["name"]))
            assert x["held_ns"] == t.get("gil_held", 0), (x, t)
    ignored = json.loads(run("report", "--by", "gil", "--json", "--ignore", "hogs", "p.json"))
    assert ignored["sum_ns"] == sum(ns for _, ns, s in p.block["gil"] if "hogs" not in p.names(s)), ignored
    text = run("report", "--by", "gil", "p.json")
    assert "\nGIL: " in text and "what held it most" in text and "hogs (" in text, text


@case(only="free-threaded")
def a_stopped_world(b):
    """A thread that runs while another collects garbage stands still meanwhile, where it is."""
    need_frames(b)
    waits_of(b, """
heap = [[i] for i in range(100000)]
ended = []
def collects():
    for i in range(20 * times): gc.collect()
    ended.append(1)
def runs():
    while not ended: busy(.001)
both(collects, runs)
""", "runs", "(waiting: the world is stopped)")


@case(only="free-threaded")
def stopping_the_world(b):
    """Who collects waits first until all others have come to where they stop: one call of C's at a time."""
    need_frames(b)
    waits_of(b, """
large = "x" * 1000000
ended = []
def calls():
    while not ended: large.translate({})
def collects():
    end = time.monotonic() + .15 * times
    while time.monotonic() < end: gc.collect()
    ended.append(1)
gc.disable()
both(collects, calls)
""", "collects", "(waiting: stopping the world)")


@case(only="free-threaded")
def an_object_in_use(b):
    """Who wants a dict while another thread copies it."""
    need_frames(b)
    seen, stacks = waits_of(b, """
large = dict.fromkeys(range(500000))
ended = []
def copies():
    for i in range(20 * times): large.copy()
    ended.append(1)
def writes():
    while not ended: large[5] = 1
gc.disable()
both(copies, writes)
""", "writes", "(waiting: ")
    assert waits(stacks, "writes", "(waiting: PyMutex)") >= 0.5 * seen, (seen, stacks)


if __name__ == "__main__":
    sys.exit(main())
