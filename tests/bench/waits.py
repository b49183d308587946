# SPDX-License-Identifier: MIT
"""What a call costs that could wait and does not: SPPROF_WALL off, and on."""
import os
import subprocess
import sys
import tempfile

from cost import PLAIN, check, paired, preloaded

CALLS = """
#include <semaphore.h>
#include <time.h>
double call_ns(long rounds) {
    sem_t s; struct timespec a, b;
    sem_init(&s, 0, 0);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
    for (long i = 0; i < rounds; i++) { sem_post(&s); sem_wait(&s); }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
    return ((b.tv_sec - a.tv_sec) * 1e9 + b.tv_nsec - a.tv_nsec) / rounds;
}
"""
MAIN = "import ctypes, sys; l = ctypes.CDLL(sys.argv[1]); l.call_ns.restype = ctypes.c_double; print(min(l.call_ns(100000) for i in range(15)))"


def calls(**options):
    with tempfile.TemporaryDirectory() as d:
        library = os.path.join(d, "calls.so")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-x", "c", "-", "-o", library], input=CALLS, text=True, check=True)

        def run(env):
            return float(subprocess.run([sys.executable, "-c", MAIN, library], env=env, cwd=d, capture_output=True, text=True, check=True).stdout)
        return paired(lambda: run(preloaded(**options)), lambda: run(PLAIN))[0]


@check(2, "ns")
def off():
    return calls()


@check(70, "ns")
def on():
    return calls(SPPROF_WALL=1)


@check(800, "ns")
def fine():
    return calls(SPPROF_ENGINE="fine")


GIL = """
import resource, sys, threading, time
n, go, over, done = 200, threading.Event(), False, [0] * 200
def work(k):
    go.wait()
    while not over: sum(range(20000)); done[k] += 1
threads = [threading.Thread(target=work, args=(k,)) for k in range(n)]
for t in threads: t.start()
go.set(); time.sleep(.5)
begin, cpu = sum(done), time.process_time()
until = time.process_time() + 1.5
while time.process_time() < until: time.sleep(.1)
print((sum(done) - begin) / (time.process_time() - cpu))
over = True
"""


@check(10, "%")
def two_hundred_want_the_gil():
    """Of the work that they do in a second of CPU: how much less."""
    def run(env):
        with tempfile.TemporaryDirectory() as d:
            return float(subprocess.run([sys.executable, "-c", GIL], env=env, cwd=d, capture_output=True, text=True, check=True).stdout)
    return 100 * (1 - paired(lambda: run(preloaded(SPPROF_WALL=1)), lambda: run(PLAIN), 7)[1])
