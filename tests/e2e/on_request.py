#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""SPPROF_SIGNAL: a signal writes the profile so far; the program runs on and notices nothing."""
import json
import os
import re
import select
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import CASES, WORK, Profile, case, main, spent  # noqa: E402,F401

WAITS = WORK + """
import select, threading
print("ready", flush=True)
r, w = os.pipe()
queue = threading.Event()
seen = [time.sleep(0.3), select.select([r], [], [], 0.3), queue.wait(0.3)]
held = threading.Lock()
held.acquire()
seen.append(held.acquire(timeout=0.3))
def writes(): time.sleep(0.3); os.write(w, b"x")
t = threading.Thread(target=writes)
t.start()
seen.append(os.read(r, 1))
t.join()
print(seen, flush=True)
for line in sys.stdin: work()
"""


def start(b, source, **env):
    directory = b.fresh()
    child = subprocess.Popen([b.python, b.write(source)], cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             env=b.env(**{"SPPROF_OUT": "p.json", "SPPROF_SIGNAL": "USR2", **env}))
    assert child.stdout.readline() == "ready\n", child.stderr.read()
    return child, os.path.join(directory, "p.json")


def wait_for(child, is_true):
    while not is_true():
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.01)


def ends(child):
    child.stdin.close()
    out, err = child.stdout.read(), child.stderr.read()
    assert child.wait() == 0, (child.returncode, err)
    return out, err


@case
def written_on_request(b):
    """Any number of times, each replacing the one before, and the end replaces the last."""
    child, path = start(b, WAITS)
    assert child.stdout.readline() == "[None, ([], [], []), False, False, b'x']\n"
    last = None
    for i in range(3):
        child.stdin.write("work\n")
        child.stdin.flush()
        child.send_signal(signal.SIGUSR2)
        wait_for(child, lambda: os.path.exists(path) and os.stat(path).st_ino != last)
        last = os.stat(path).st_ino
        p = Profile(path)
        assert not p.block["complete"] and os.listdir(os.path.dirname(path)) == ["p.json"], (p.block, os.listdir(os.path.dirname(path)))
    assert ends(child) == ("", "")
    p = Profile(path)
    assert p.block["complete"] and os.listdir(os.path.dirname(path)) == ["p.json"] and spent(b, p, spells=4) > 0.4e9, p.block


@case
def waits_go_on(b):
    """A request every 10 ms while the program sleeps, selects, locks and reads."""
    child, path = start(b, WAITS)
    while not select.select([child.stdout], [], [], 0.01)[0]:
        child.send_signal(signal.SIGUSR2)
    line = child.stdout.readline()
    assert line == "[None, ([], [], []), False, False, b'x']\n", line
    assert ends(child) == ("", "") and Profile(path).block["complete"]


@case
def threads_and_forks_go_on(b):
    child, path = start(b, WORK + """
import threading, warnings
warnings.simplefilter("ignore") # of forks beside threads
print("ready", flush=True)
def end(): os.kill(os.getpid(), signal.SIGUSR2); busy(0.01)
for i in range(12):
    threads = [threading.Thread(target=end) for i in range(4)]
    for t in threads: t.start()
    if i % 3 == 0:
        pid = os.fork()
        if pid == 0: os.kill(os.getpid(), signal.SIGUSR2); os._exit(7)
        assert os.waitpid(pid, 0)[1] == 7 << 8
    for t in threads: t.join()
work()
""")
    said = ends(child)
    assert said == ("", ""), said
    p = Profile(path)
    assert p.block["complete"] and spent(b, p) > 0.1e9, p.block
    for name in os.listdir(os.path.dirname(path)):
        Profile(os.path.join(os.path.dirname(path), name))


@case
def own_handlers_stay(b):
    """What the program sets for the signal is the program's, which sees the default until then."""
    child, path = start(b, WORK + """
assert signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL
got = []
signal.signal(signal.SIGUSR2, lambda *a: got.append(1))
os.kill(os.getpid(), signal.SIGUSR2)
while not got: pass
signal.signal(signal.SIGUSR2, signal.SIG_IGN)
os.kill(os.getpid(), signal.SIGUSR2)
print("ready")
print(os.path.exists("p.json"), got)
signal.signal(signal.SIGUSR2, signal.SIG_DFL)
os.kill(os.getpid(), signal.SIGUSR2)
print(os.path.exists("p.json"), flush=True)
""")
    out, err = ends(child)
    assert out == "False [1]\nTrue\n", (out, err)
    assert err.count("spprof:") == 1 and "SPPROF_SIGNAL: the program handles this signal itself" in err, err
    with open(path) as f:
        assert json.load(f)["spprof"]["complete"]
    for value in ("KILL", "15", "33", "USR3"):
        r = b.run("print(1)", SPPROF_SIGNAL=value, check=False)
        assert (r.code, r.out) == (0, "1\n") and f"SPPROF_SIGNAL={value} cannot be used; accepted: off, HUP, USR1, USR2, 34 ... 64; off is used" in r.err, r.err
    for value, sig in (("hup", "SIGHUP"), ("SIGUSR1", "SIGUSR1"), ("40", "SIGRTMIN + 6")):
        r = b.run(f"import os, signal; os.kill(os.getpid(), signal.{sig}); print(os.listdir('.'))", SPPROF_SIGNAL=value, SPPROF_OUT="p.json")
        assert r.out == "['p.json']\n", (value, r.out, r.err)


@case
def asked_while_it_starts(b):
    """From the moment on at which the signal does not kill."""
    bit = 1 << (signal.SIGUSR2 - 1)
    for i in range(50):
        d = b.fresh()
        child = subprocess.Popen([b.python, "-S", "-c", "[sum(range(50000)) for i in range(4)]; raise SystemExit(7)"], cwd=d,
                                 env=b.env(SPPROF_OUT="p.json", SPPROF_SIGNAL="USR2", SPPROF_SPOOL=d), stderr=subprocess.PIPE)
        with open(f"/proc/{child.pid}/status", "rb", buffering=0) as f:
            while child.poll() is None:
                f.seek(0)
                caught = re.search(rb"SigCgt:\s*(\w+)", f.read())
                if caught and int(caught[1], 16) & bit:
                    break
        for k in range(i % 4 + 1):
            child.send_signal(signal.SIGUSR2)
        assert child.wait() == 7, (i, child.returncode, child.stderr.read())
        child.stderr.close()
        left = [n for n in os.listdir(d) if ".tmp-" in n or n.endswith(".spool")]
        assert not left, left


@case
def asked_at_a_fork(b):
    """A child takes its signal from its first moment on."""
    r = b.run("""
import os, random, signal, time
ends = []
for i in range(500):
    pid = os.fork()
    if pid == 0:
        for k in range(3): sum(range(20000))
        os._exit(5)
    time.sleep(random.random() * random.choice((0.0003, 0.004)))
    for k in range(i % 3 + 1): os.kill(pid, signal.SIGUSR2)
    ends.append(os.waitpid(pid, 0)[1])
print(set(ends))
""", SPPROF_OUT="%p.json", SPPROF_SIGNAL="USR2", SPPROF_DURATION="5ms", SPPROF_FILES=0)
    assert r.out == "{1280}\n", r.out


@case
def what_is_closed_stays_closed(b):
    """A program that closed its stderr and writes there writes into no file of ours."""
    r = b.run("""
import json, os, signal, threading, time
os.close(2)
stop = False
def writes():
    while not stop:
        try: os.write(2, b"XXERRXX")
        except OSError: pass
t = threading.Thread(target=writes)
t.start()
for i in range(30):
    os.kill(os.getpid(), signal.SIGUSR2)
    time.sleep(0.003)
    with open("p.json") as f: json.load(f)
stop = True
t.join()
print("ok")
""", SPPROF_OUT="p.json", SPPROF_SIGNAL="USR2", SPPROF_VERBOSE=0)
    assert r.out == "ok\n", r.out


if __name__ == "__main__":
    sys.exit(main())
