# SPDX-License-Identifier: MIT
"""What walking native stacks costs, inside a Python that does many things."""
import functools
import glob
import os
import subprocess
import sys
import tempfile

from cost import LIBRARY, PLAIN, ROOT, check, compile_c

COMPAT = [f for f in glob.glob(os.path.join(ROOT, "compat", "*.c")) if not f.endswith("_libunwind.c")]

WALKS = r"""
#include <signal.h>
#include <sys/auxv.h>
#include <sys/time.h>
#include <ucontext.h>
#include "compat/os.h"
#include "compat/real.h"
#include "compat/unwind.h"
static struct sp_unwind u;
static struct sp_unwind_frame frames[4096];
static uint64_t n_samples, spent_ns, bottoms;
static void walk(const void *context)
{
    u.frames = frames;
    u.cap = 4096;
    u.stack_top = getauxval(AT_RANDOM);
    sp_unwind(&u, context);
}
static void on_tick(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info;
    uint64_t before = sp_os_thread_cpu_ns(), began = sp_os_thread_cpu_ns();
    walk(context);
    spent_ns += sp_os_thread_cpu_ns() - began - (began - before); /* the clock's own */
    n_samples++;
    bottoms += u.end == SP_UNWIND_BOTTOM;
}
void samples_begin(void)
{
    struct sigaction act = {.sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct itimerval each = {{0, 4000}, {0, 4000}};
    sp_os_probe_init();
    sp_real_find_all();
    sigaction(SIGPROF, &act, 0);
    setitimer(ITIMER_PROF, &each, 0);
}
/* Microseconds a sample; negative: too few, or not to the bottom. */
double samples_end(void)
{
    setitimer(ITIMER_PROF, &(struct itimerval){{0, 0}, {0, 0}}, 0);
    return n_samples < 100 || bottoms < n_samples * 9 / 10 ? -1 : spent_ns / 1e3 / n_samples;
}
/* Nanoseconds a frame of the same stack again and again, and of the same with nothing kept. */
double warm(int rounds, int forget)
{
    ucontext_t c;
    double best = 1e9;
    sp_os_probe_init();
    sp_real_find_all();
    getcontext(&c);
    for (int i = 0; i < rounds; i++) {
        uint64_t began = sp_os_thread_cpu_ns(), spent = 0;
        for (int k = 0; k < 50; k++) {
            if (forget) {
                spent += sp_os_thread_cpu_ns() - began;
                sp_unwind_closing();
                sp_unwind_closed();
                began = sp_os_thread_cpu_ns();
            }
            walk(&c);
        }
        double ns = (double)(spent + sp_os_thread_cpu_ns() - began) / 50 / u.n;
        best = ns < best ? ns : best;
    }
    return u.n > 40 ? best : -1;
}
"""

PROGRAM = """
import ctypes, sys, time
lib = ctypes.PyDLL(sys.argv[1])
lib.samples_end.restype = lib.warm.restype = ctypes.c_double
def deep(n, f): return min(map(lambda x: deep(n - 1, f), [1])) if n else f()
if sys.argv[2].strip() == 'cold':
    lib.samples_begin()
    import json, re, hashlib, zlib, decimal, random, csv, io, datetime, fractions, statistics, difflib, ast, tokenize, textwrap, argparse, logging, sqlite3, pickle, xml.etree.ElementTree as e
    end = time.thread_time() + 2
    k = 0
    while time.thread_time() < end:
        k += 1
        json.loads(json.dumps({'a': list(range(k % 50)), 'b': 'x' * k}))
        re.compile('(a|b%d)*c' % k).match('abab' * 10); ast.parse('x = %d + y[1:2]' % k); hashlib.sha256(b'x' * 3000).digest()
        zlib.compress(b'abc' * 500); decimal.Decimal(k).sqrt(); sorted(random.random() for i in range(50)); pickle.loads(pickle.dumps([k] * 9))
        difflib.SequenceMatcher(None, 'abcdef' * 3, 'abdcef' * 3).ratio(); str(fractions.Fraction(k, 7)); e.fromstring('<a><b c="%d"/></a>' % k)
        c = sqlite3.connect(':memory:'); c.execute('create table t (x)'); c.executemany('insert into t values (?)', [(i,) for i in range(20)]); c.close()
    print(lib.samples_end())
else:
    print(deep(20, lambda: lib.warm(200, sys.argv[2] == 'tables')))
"""


@functools.lru_cache(None)
def measured(what):
    with tempfile.TemporaryDirectory() as d:
        library = compile_c(WALKS, d, "-x", "c", "-D_GNU_SOURCE", "-I", ROOT, "-shared", "-fPIC", "-ftls-model=initial-exec",
                            *COMPAT, "-ldl", "-lpthread")
        return float(subprocess.run([sys.executable, "-c", PROGRAM, library, what], env=PLAIN, check=True, capture_output=True,
                                    text=True).stdout)


@check(15, "ns")
def warm_frame():
    """A frame whose rule is kept, in a stack of some hundred."""
    return min(measured("warm"), measured("warm "))


@check(10, "us")
def cold_sample():
    """The mean of a program's first 500 samples and more, at every tick, imports among them. What it costs is memory that nobody
    has touched since the last tick: on a machine whose caches others use it is twice as much."""
    return min(measured("cold"), measured("cold "))


@check(150, "ns")
def frame_by_tables():
    """A frame whose rule is read from the tables, all pages asked for again in each stack."""
    return measured("tables")


SYMBOLS = r"""
#include <stdio.h>
#include <stdlib.h>
#include "compat/os.h"
#include "compat/symbols.h"
static void named(void *arg, uint32_t i, const char *name) { *(uint64_t *)arg += i + (uint8_t)name[1]; }
int main(int argc, char **argv)
{
    enum { WANTED = 2000, EACH = 100 };
    static struct sp_symbol wanted[WANTED];
    static uint8_t scratch[65536];
    struct sp_symbols s = {.path = argv[1], .wanted = wanted, .n = WANTED, .scratch = scratch, .n_scratch = sizeof scratch};
    uint64_t first = strtoull(argv[2], 0, 16), sum = 0, best = UINT64_MAX;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < WANTED; i++)
            wanted[i].start = first + (uint64_t)i * EACH * 16;
        uint64_t began = sp_os_thread_cpu_ns();
        uint32_t n = sp_symbols_name(&s, named, &sum);
        uint64_t took = sp_os_thread_cpu_ns() - began;
        best = took < best ? took : best;
        if (n != WANTED)
            return 1;
    }
    printf("%f\n", best / 1e6);
    return argc != 3;
}
"""


@check(50, "ms")
def names_of_200000_symbols():
    """Of two thousand functions, from a library that has 200,000."""
    with tempfile.TemporaryDirectory() as d:
        text = ".text\n" + "".join(f".p2align 4\n.globl f{i}\n.type f{i}, @function\nf{i}: ret\n.size f{i}, 16\n" for i in range(200000))
        library = os.path.join(d, "library.so")
        subprocess.run(["cc", "-shared", "-nostdlib", "-x", "assembler", "-", "-o", library], input=text, text=True, check=True)
        symbols = subprocess.run(["nm", library], check=True, capture_output=True, text=True).stdout
        first = next(line.split()[0] for line in symbols.splitlines() if line.endswith(" f0"))
        exe = compile_c(SYMBOLS, d, "-x", "c", "-D_GNU_SOURCE", "-I", ROOT, *COMPAT, "-ldl",
                        "-lpthread")
        return float(subprocess.run([exe, library, first], check=True, capture_output=True, text=True).stdout)


@check(1000, "KB")
def memory():
    """The peak of a program that does something, its profile written: 256 KB of our own, and what is read of the tables that
    libraries have, pages that processes share. 0.7 MB were measured."""
    program = "import json, re, hashlib\nfor i in range(300000): json.dumps([i])"
    # of what is executed the kernel's peak begins with that of who did so: of a small Python here
    launch = "import os, sys; print(os.wait4(os.posix_spawn(sys.executable, [sys.executable, *sys.argv[1:]], dict(os.environ, LD_PRELOAD=%r)), 0)[2].ru_maxrss)"

    def peak(native):
        with tempfile.TemporaryDirectory() as d:
            env = dict(PLAIN, SPPROF_NATIVE=native, SPPROF_OUT=os.path.join(d, "p.json"))
            command = [sys.executable, "-I", "-S", "-c", launch % LIBRARY, "-c", program]
            return int(subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout)
    return sorted(peak("on") for _ in range(3))[1] - sorted(peak("off") for _ in range(3))[1]
