#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Threads and children that end before their first period does: shares are as true as of long ones."""
import math
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import CASES, case, main, need_frames  # noqa: E402,F401

# On a busy machine threads get their processor at a tick and so begin in step with it: up to ten points were seen. That the
# estimate itself has no bias is in unit.weight, on a clock laid by hand.
IN_STEP = 0.12

REQUESTS = """
import sys, threading, time
ms, seconds = float(sys.argv[1]), float(sys.argv[2])
def spin(ms):
    end = time.thread_time_ns() + int(ms * 1e6)
    while time.thread_time_ns() < end: pass
def parses(): spin(ms * .25)
def renders(): spin(ms * .75)
def request(): parses(); renders()
"""
ONE_EACH = """
for _ in range(int(seconds * 1000 / ms)):
    t = threading.Thread(target=request)
    t.start(); t.join()
"""
SUBCLASS = """
class Worker(threading.Thread):
    def run(self): request()
for _ in range(int(seconds * 1000 / ms)):
    w = Worker(); w.start(); w.join()
"""
SERVER = """
import socket, socketserver
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        request()
        self.request.sendall(b"x")
server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, args=(0.02,)).start()
for _ in range(int(seconds * 1000 / ms)):
    s = socket.create_connection(server.server_address)
    s.recv(1); s.close()
server.shutdown(); server.server_close()
"""


def hold(what, seen, samples, total):
    """parses has a quarter of what parses and renders have: within five standard deviations of so many samples."""
    share = seen["parses"] / (seen["parses"] + seen["renders"])
    limit = 5 * math.sqrt(0.25 * 0.75 / samples) + IN_STEP
    assert samples > 20 and abs(share - 0.25) <= limit, (what, share, limit, samples, seen)
    assert seen["parses"] + seen["renders"] >= 0.75 * total, (what, seen, total)


def until_seen_ns(n, samples, ms):
    """CPU of threads that may end one after the other before a sample sees the first: more in one run of 10^6. They have no
    stack to give theirs to."""
    unseen = 1 - min(0.95, samples / n)
    return math.log(1e-6) / math.log(unseen) * ms * 1e6


@case
def short_threads(b):
    """One thread a task of 3, 9 and 40 ms: less than a period, about one, and a few."""
    need_frames(b)
    for rest, ms, seconds, interval in ((ONE_EACH, 3, 1.2, "10ms"), (ONE_EACH, 9, 1.2, "10ms"), (ONE_EACH, 40, 1, "10ms"),
                                        (ONE_EACH, 9, 0.6, "1ms"), (SUBCLASS, 9, 0.6, "10ms"), (SERVER, 9, 0.8, "10ms")):
        p = b.run(REQUESTS + rest, ms, seconds, SPPROF_INTERVAL=interval).profile()
        seen, total = p.total_ns(), p.total()
        hold((rest, ms, interval), seen, p.block["samples"], total)
        unknown = until_seen_ns(int(seconds * 1000 / ms), p.block["samples"], ms)
        assert seen["(thread end)"] < 0.02 * total + 5e6 + unknown, (rest, ms, interval, seen, unknown)


@case
def short_threads_of_their_own_kind(b):
    """No thread is like another: what no sample saw is below the function that the thread was made for."""
    need_frames(b)
    p = b.run(REQUESTS + "for i in range(200):\n    ns = {'spin': spin}\n    exec('def task_%d(): spin(2)' % i, ns)\n"
              "    t = threading.Thread(target=ns['task_%d' % i])\n    t.start(); t.join()\n", 2, 1).profile()
    below = {s[0]: ns for s, ns in p.stacks().items() if s[-1] == "(thread end)" and len(s) == 2}
    assert len(below) > 80 and all(f.startswith("task_") for f in below), below
    assert all(1e6 < ns < 12e6 for ns in below.values()), below
    assert p.stacks()[("(thread end)",)] < 0.05 * p.total(), p.stacks()
    assert p.block["cpu"]["thread_end"] >= sum(below.values()), p.block["cpu"]


@case
def short_native_threads(b):
    """Threads that Python does not know, of 3 ms."""
    p = b.run("import ctypes, sys\nlib = ctypes.CDLL(sys.argv[1])\nfor i in range(250): lib.spin_in_thread(0, 3)\n",
              os.path.join(b.build, "tests/libspin.so")).profile()
    cpu = p.block["cpu"]
    unknown = until_seen_ns(250, p.block["samples"], 3)
    assert cpu["native_thread"] + cpu["thread_end"] > 0.7e9 and cpu["thread_end"] < 0.02 * cpu["used"] + unknown, (cpu, unknown)


@case
def short_forks(b):
    """One fork child a job of 9 and 15 ms: most are seen, and those show it truly."""
    need_frames(b)
    source = REQUESTS + """
import os
begun = time.monotonic()
for _ in range(int(seconds * 1000 / ms)):
    pid = os.fork()
    if pid == 0: request(); os._exit(0)
    os.waitpid(pid, 0)
print(sum(os.times()[:4]) / (time.monotonic() - begun))
"""
    for ms in (9, 15):
        for _ in range(4):  # who shares a processor has it between two ticks, and ends before the next
            r = b.run(source, ms, 1)
            has_a_processor = float(r.out) > 0.75
            if has_a_processor:
                break
        profiles = [p for p in r.profiles() if p.block["ppid"] != os.getpid()]
        seen = {"parses": 0, "renders": 0, "(thread end)": 0}
        sampled = [p for p in profiles if p.block["samples"]]
        for p in profiles:
            for name in seen:
                seen[name] += p.total_ns()[name]
            cpu = p.block["cpu"]
            unseen = cpu["thread_end"] + cpu["thread_start_end"] + cpu["not_sampled"]
            assert p in sampled or unseen == p.total(), (ms, cpu)
        n = len(profiles)
        true = min(1, ms / 10)
        assert n >= int(1000 / ms), (ms, n)
        if not has_a_processor:
            print(f"{ms} ms: the machine is busy, {r.out.strip()} of a processor was left; not judged: how many were seen")
            continue
        assert len(sampled) >= n * true - 5 * math.sqrt(n * true * (1 - true) + 1) - n * IN_STEP, (ms, n, len(sampled))
        hold(("forks", ms), seen, len(sampled), 0)


if __name__ == "__main__":
    sys.exit(main())
