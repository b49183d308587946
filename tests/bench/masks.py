# SPDX-License-Identifier: MIT
"""What a critical section costs in which signals are blocked: allocators and runtimes have millions of them."""
import os
import subprocess
import sys
import tempfile

from cost import PLAIN, check, paired, preloaded

SECTIONS = """
#include <pthread.h>
#include <signal.h>
#include <time.h>
double section_ns(long rounds) {
    sigset_t all, old; struct timespec a, b;
    sigfillset(&all);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
    for (long i = 0; i < rounds; i++) { pthread_sigmask(SIG_BLOCK, &all, &old); pthread_sigmask(SIG_SETMASK, &old, 0); }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
    return ((b.tv_sec - a.tv_sec) * 1e9 + b.tv_nsec - a.tv_nsec) / rounds;
}
"""
MAIN = "import ctypes, sys; l = ctypes.CDLL(sys.argv[1]); l.section_ns.restype = ctypes.c_double; print(min(l.section_ns(100000) for i in range(9)))"


def sections(*command):
    with tempfile.TemporaryDirectory() as d:
        library = os.path.join(d, "sections.so")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-x", "c", "-", "-o", library], input=SECTIONS, text=True, check=True)

        def run(env):
            return float(subprocess.run([*command, sys.executable, "-c", MAIN, library], env=env, cwd=d, capture_output=True, text=True,
                                        check=True).stdout)
        return paired(lambda: run(preloaded()), lambda: run(PLAIN))[0]


@check(20, "ns")
def block_and_restore():
    return sections()


@check(50, "ns")
def block_and_restore_when_started_blocked():
    """In a thread that goes on believing that SIGPROF is blocked, which it is told at each call."""
    block = "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPROF]); os.execvp(sys.argv[1], sys.argv[1:])"
    return sections(sys.executable, "-S", "-c", block)
