# SPDX-License-Identifier: MIT
"""What the command costs a program that it asks, and what a dump of many threads takes."""
import os
import subprocess
import sys
import tempfile
import time

import ring
from cost import ROOT, check, preloaded

TOOL = os.path.join(ROOT, "build", "spprof")
SPIN = """
#include <time.h>
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e6 + t.tv_nsec / 1e3; }
double longest_us(double for_us) {
    double end = now() + for_us, last = now(), most = 0;
    for (double t; (t = now()) < end; last = t) most = t - last > most ? t - last : most;
    return most;
}
"""
PAUSES = """import ctypes, sys
l = ctypes.CDLL(sys.argv[1]); l.longest_us.restype = ctypes.c_double
print("ready", flush=True)
for line in sys.stdin: print(l.longest_us(ctypes.c_double(60000)), flush=True)
"""
MANY = """import threading
gone = threading.Event()
for i in range(1000): threading.Thread(target=gone.wait, daemon=True).start()
""" + PAUSES.replace("60000", "300000") + "import os; os._exit(0)\n"  # to list a thousand threads takes the command a while
CPU = """import resource, sys
def used():
    a, b = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return a.ru_utime + a.ru_stime + b.ru_utime + b.ru_stime
sum(range(20000000)) # something is recorded
print("ready", flush=True)
for line in sys.stdin: print(used(), flush=True)
"""
ASKED = 200
THREADS = """import sys, threading
gone = threading.Event()
for i in range(500): threading.Thread(target=gone.wait, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
import os; os._exit(0)
"""


def take_image(child):
    """As the command does where memory may not be read."""
    with tempfile.TemporaryFile() as f:
        bell = ring.Listener(ring.IMAGE)
        peer = bell.rings(child.pid)
        ring.pass_file(peer, ring.IMAGE, f.fileno())
        assert peer.recv(8192)
        peer.close()
        bell.socket.close()


def ask(child, *args):
    if args == ("image",):
        take_image(child)
        return
    subprocess.run([TOOL, *args, str(child.pid)], check=True, capture_output=True)


def begin(directory, source, *args, **env):
    child = subprocess.Popen([sys.executable, "-c", source, *args], cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                             env=preloaded(SPPROF_OUT=os.path.join(directory, "p.json"), **env))
    assert child.stdout.readline() == "ready\n"
    return child


def spin(directory):
    library = os.path.join(directory, "spin.so")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-x", "c", "-", "-o", library], input=SPIN, text=True, check=True)
    return library


def longest_of(child, request):
    """How long the program stood still, at a time and at most, while it was asked: microseconds."""
    child.stdin.write("\n")
    child.stdin.flush()
    if request:
        time.sleep(0.01)
        ask(child, request)
    return float(child.stdout.readline())


def longest_us(child, *asks):
    """... where nobody else had its CPU meanwhile: of many the least but two."""
    return sorted(longest_of(child, asks[i % len(asks)]) for i in range(24))[2]


@check(200, "us")
def pause():
    with tempfile.TemporaryDirectory() as d, begin(d, PAUSES, spin(d)) as child:
        return max(longest_us(child, *asks) for asks in (("dump",), ("image",), ("reset",), ("stop", "start")))


@check(200, "us")
def rotation_pause():
    with tempfile.TemporaryDirectory() as d, begin(d, PAUSES, spin(d), SPPROF_ROTATE="20ms", SPPROF_KEEP="2") as child:
        return longest_us(child, None)


@check(2, "ms")
def start_of_1000_threads():
    """How long the one that arms them all stands still."""
    with tempfile.TemporaryDirectory() as d:
        library, took = spin(d), []
        with begin(d, MANY, library) as child:
            for _ in range(12):
                ask(child, "stop")
                took.append(longest_of(child, "start") / 1e3)
            return sorted(took)[2]


@check(0.1, "%")
def image_each_second():
    """What spprof top takes of a CPU where the process must give it its image: with the child beside that does it."""
    with tempfile.TemporaryDirectory() as d, begin(d, CPU) as child:
        def used():
            child.stdin.write("\n")
            child.stdin.flush()
            return float(child.stdout.readline())
        used()
        before = used()
        for _ in range(ASKED):
            take_image(child)
        return (used() - before) / ASKED * 100


@check(15, "ms")
def dump_of_500_threads():
    with tempfile.TemporaryDirectory() as d, begin(d, THREADS) as child:
        took = []
        for _ in range(9):
            at = time.monotonic()
            ask(child, "dump")
            took.append((time.monotonic() - at) * 1e3)
        return min(took)
