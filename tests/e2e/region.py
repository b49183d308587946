#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The region under fire: threads that come and go by the thousand, while profiles are written and the program runs on."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import CASES, WORK, Profile, case, main  # noqa: E402,F401

CHURN = WORK + """
import ctypes
churn = ctypes.CDLL(sys.argv[1])
"""


def churn(b, program, **kw):
    return b.run(CHURN + program, os.path.join(b.build, "tests", "libchurn.so"), **kw)


@case
def slots_never_run_out(b):
    """Native threads end in eight threads at once: each had a slot."""
    r = churn(b, """
made = 0
while made < 4000:
    churn.churn_start(8); busy(0.3); made = churn.churn_end()
print(made)
""", SPPROF_MEMORY="4M", SPPROF_DEPTH=64)
    p = r.profile()
    assert p.block["losses"]["no_slot"] == 0, p.block["losses"]
    without_timer = p.block["losses"]["timer_refused"] / int(r.out)  # the kernel frees timers late, and counts them until then
    assert p.block["cpu"]["not_sampled"] < (0.2 + without_timer) * p.block["cpu"]["used"], (p.block["cpu"], p.block["losses"], r.out)


EXEC_FAILS = """
with open('bad', 'w') as f: f.write('no program')
os.chmod('bad', 0o755)
def exec_fails():
    try: os.execv('./bad', ['bad'])
    except OSError: pass
"""


@case
def ends_while_it_is_written(b):
    """Each exec that fails wrote a profile first. Threads that ended meanwhile give their slots back: there are 64."""
    r = churn(b, EXEC_FAILS + """
made = 0
while made <= 100:
    churn.churn_start(3)
    for _ in range(100):
        exec_fails()
        busy(0.003)
    before = time.process_time()
    made = churn.churn_end()
print(before)
""", SPPROF_MEMORY="1M", SPPROF_DEPTH=16)
    p = r.profile()
    assert p.block["losses"]["no_slot"] == 0, p.block["losses"]
    assert p.total() / 1e9 > float(r.out) - 0.1, (p.block["cpu"], r.out)


@case
def begins_while_it_is_written(b):
    """Threads that begin, end and fork while profiles are written have their name, their functions, their time."""
    r = churn(b, EXEC_FAILS + """
import threading
done = False
def work_in_thread(i):
    busy(0.03)
    if i % 10 == 0:
        pid = os.fork()
        if pid == 0:
            busy(0.03)
            os._exit(0)
        os.waitpid(pid, 0)
def start(i):
    while True: # while another thread is in an exec the kernel makes none (fs/exec.c: in_exec)
        t = threading.Thread(target=work_in_thread, args=(i,), name='w-%d' % i)
        try:
            t.start()
            return t
        except RuntimeError: pass
def begin_threads():
    global done
    for i in range(0, 40, 2):
        two = [start(i), start(i + 1)]
        for t in two: t.join()
    done = True
t = threading.Thread(target=begin_threads)
t.start()
n = 0
while not done:
    exec_fails()
    n += 1
    time.sleep(0.001)
t.join()
print(n)
""", SPPROF_INTERVAL="1ms", SPPROF_OUT="p.json")
    p = Profile(os.path.join(r.directory, "p.json"))
    assert int(r.out) >= 10, r.out
    seen = {t["name"]: t["cpu"] for t in p.block["threads"] if "name" in t}
    for i in range(40):
        assert seen[f"w-{i}"] >= 0.029e9, (i, seen[f"w-{i}"])
    if b.known:
        cpu = p.block["cpu"] # at this interval a thread that ends soon after a write may not have been seen since
        assert p.total_ns()["work_in_thread"] + cpu["not_sampled"] + cpu["thread_end"] > 0.9 * 40 * 0.03e9, (p.total_ns(), cpu)
    assert len(r.files()) == 5, r.files()
    assert p.block["losses"]["no_slot"] == 0, p.block["losses"]


@case
def spool_is_cut_off(b):
    """Somebody truncates the spool of a living process: it goes on, without a profile and with a line, however
    many threads meet it at once."""
    for size, wall in ((0, 0), (4096, 0), (20000, 0), *((20000, 1), (0, 1)) * 4):
        d = b.fresh()
        r = b.run(WORK + f"""
import threading, glob
spool, = glob.glob({d!r} + '/*.spool')
def cuts(): os.truncate(spool, {size}); time.sleep(0.01) # what touches it first is a tick, or a look at this wait
stop = not {wall}
def sleeps():
    while not stop: time.sleep(0.0011)
sleepers = [threading.Thread(target=sleeps) for _ in range(8)]
for t in sleepers: t.start()
cutter = threading.Thread(target=cuts); cutter.start(); cutter.join()
stop = True
for t in sleepers: t.join()
ts = [threading.Thread(target=busy, args=(0.05,)) for _ in range(3)]
for t in ts: t.start()
for i in range(200): exec(f'def f{{i}}(): pass\\nf{{i}}()')
busy(0.1)
for t in ts: t.join()
print('ok')
""", SPPROF_SPOOL=d, SPPROF_INTERVAL="1ms", SPPROF_WALL=wall, check=False)
        assert r.out == "ok\n", (size, wall, r.code, r.out, r.err)
        assert r.err.count("cut off") == 1 and not r.files(), (size, r.err, r.files())


@case
def spool_is_cut_off_at_the_end(b):
    """... or of one that begins, or writes its profile."""
    d = b.fresh()
    cutter = b.write("""
import os, random, sys, time
d, own, when = sys.argv[1], sys.argv[2], {}
while os.getppid() == int(own):
    for n in os.listdir(d):
        if not n.endswith('.spool') or n == 'spprof-%s.spool' % own: continue
        if time.monotonic() < when.setdefault(n, time.monotonic() + random.random() * 0.02): continue
        try: os.truncate(os.path.join(d, n), 0)
        except OSError: pass
        when[n] = time.monotonic() + 1
""", "cutter.py")
    r = b.run(WORK + f"""
import os, subprocess, sys
exec(chr(10).join(f"def f_{{i}}(n): return sum(range(n))" for i in range(300)))
fs = [f for name, f in list(globals().items()) if name.startswith('f_')]
cutter = subprocess.Popen([sys.executable, '-S', {cutter!r}, {d!r}, str(os.getpid())], env=dict(os.environ, LD_PRELOAD=''))
ends = []
for i in range(200):
    pid = os.fork()
    if pid == 0:
        for f in fs: f(300)
        os._exit(5)
    ends.append(os.waitpid(pid, 0)[1])
cutter.kill(); cutter.wait()
print(set(ends))
""", SPPROF_SPOOL=d, SPPROF_INTERVAL="1ms", SPPROF_OUT="%p.json", SPPROF_VERBOSE=0)
    assert r.out == "{1280}\n", (r.out, r.err)
    assert not [n for n in os.listdir(r.directory) if ".tmp-" in n], os.listdir(r.directory)


if __name__ == "__main__":
    sys.exit(main())
