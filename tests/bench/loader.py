# SPDX-License-Identifier: MIT
"""What the hooks cost by which a CPython is noticed, and its key: in a program without Python, and in Python."""
import glob
import os
import re
import subprocess
import sys
import tempfile

from cost import PLAIN, check, compile_c, paired, preloaded

SOURCE = r"""
#include <pthread.h>
#include <stdio.h>
#include <time.h>

static double ns_each(void (*call)(void))
{
    struct timespec a, b;
    double least = 1e9;
    for (int round = 0; round < 50; round++) {
        clock_gettime(CLOCK_MONOTONIC, &a);
        for (int i = 0; i < 2000; i++)
            call();
        clock_gettime(CLOCK_MONOTONIC, &b);
        double ns = ((b.tv_sec - a.tv_sec) * 1e9 + b.tv_nsec - a.tv_nsec) / 2000;
        least = ns < least ? ns : least;
    }
    return least;
}

static void setclock(void)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
}

static void key(void)
{
    pthread_key_t key;
    pthread_key_create(&key, NULL);
    pthread_key_delete(key);
}

void measure(void)
{
    printf("setclock %.2f key %.2f\n", ns_each(setclock), ns_each(key));
    fflush(stdout);
}

#ifdef PROGRAM
int main(void)
{
    measure();
    return 0;
}
#endif
"""


def cost(what, in_python):
    with tempfile.TemporaryDirectory() as d:
        program = compile_c(SOURCE, d, *(["-shared", "-fPIC"] if in_python else ["-DPROGRAM"]))
        command = [sys.executable, "-c", f"import ctypes; ctypes.CDLL({program!r}).measure()"] if in_python else [program]

        def run(env):
            r = subprocess.run(command, env=env, cwd=d, capture_output=True, text=True, check=True)
            return float(re.search(what + r" ([0-9.]+)", r.stdout).group(1))
        difference = paired(lambda: run(preloaded()), lambda: run(PLAIN), 9)[0]
        assert bool(glob.glob(os.path.join(d, "*.json"))) == in_python
        return difference


@check(20, "ns")
def condattr_setclock():
    return cost("setclock", False)


@check(20, "ns")
def condattr_setclock_in_python():
    return cost("setclock", True)


@check(20, "ns")
def key_create():
    return cost("key", False)


@check(20, "ns")
def key_create_in_python():
    return cost("key", True)
