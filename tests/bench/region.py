# SPDX-License-Identifier: MIT
"""What the region costs when it is full and many threads use it."""
import os
import subprocess
import sys
import tempfile

from cost import PLAIN, ROOT, check, compile_c, paired, preloaded


def with_store(source, *arguments):
    """Figures printed by a C program on the store and the writers."""
    with tempfile.TemporaryDirectory() as d:
        exe = compile_c(source, d, "-D_GNU_SOURCE", "-I", ROOT, "-x", "none", os.path.join(ROOT, "build", "inject", "command", "libprofile.a"), "-ldl", "-lpthread")
        return list(map(float, subprocess.run([exe, *arguments], check=True, capture_output=True, text=True).stdout.split()))


THREAD_ENDS = r"""
#include <stdio.h>
#include "compat/os.h"
#include "tests/support/region.h"
static struct sp_thread *living[3000];
static double end_all(struct sp_region *r, int n) /* mean of one */
{
    uint64_t began = sp_os_thread_cpu_ns();
    for (int i = 0; i < n; i++)
        sp_thread_end(r, living[i], living[i]->last_cpu_ns + 1000, 1000, SP_TICKS_COMING);
    return (double)(sp_os_thread_cpu_ns() - began) / n / 1000;
}
int main(void)
{
    struct sp_region *r = region_new(256 << 20, 128);
    r->log_limit = 0; /* long full: all goes to sums */
    uint32_t code = region_code(r, "f", "f.py", 1);
    for (int i = 0; i < 3000; i++) {
        living[i] = region_thread(r, i + 1, "w");
        for (int k = 0; k < 100; k++)
            region_sample(r, living[i], region_node(r, 0, code, 2 * (i * 100 + k)), 10000000, 1000);
    }
    double worst = 0;
    struct sp_thread *kept[3000];
    memcpy(kept, living, sizeof kept);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 300; i++) {
            living[i] = region_thread(r, 5000 + i, "short");
            region_sample(r, living[i], region_node(r, 0, code, 2), 10000000, 1000);
        }
        double mean = end_all(r, 300);
        worst = mean > worst ? mean : worst;
    }
    memcpy(living, kept, sizeof kept);
    double heavy = end_all(r, 2500);
    printf("%f\n", heavy > worst ? heavy : worst);
    return r->loss[SP_LOSS_NO_SLOT] != 0;
}
"""


@check(5, "us")
def thread_end():
    """With 3,000 living threads and 300,000 sums: of threads with one sum, and of those with a hundred."""
    return with_store(THREAD_ENDS)[0]


WRITER = r"""
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "compat/os.h"
#include "tests/support/region.h"
#include "writers/writer.h"
#define DAYS 30
static int sink(void *fd, const void *data, size_t n) { return write(*(int *)fd, data, n) == (ssize_t)n ? 0 : -5; }
static uint64_t x = 88172645463325252ull;
static uint64_t next(void) { x ^= x << 13; x ^= x >> 7; return x ^= x << 17; }
int main(int argc, char **argv)
{
    enum { FUNCTIONS = 3000, DEEP = 40 };
    struct sp_region *r = region_new(strtoull(argv[1], 0, 10) << 20, 4096);
    uint32_t paths = (uint32_t)(r->bytes / 512), made = 0, first = 0, *node = malloc(paths * 4ull);
    for (int i = 0; i < FUNCTIONS; i++) {
        char name[32];
        snprintf(name, sizeof name, "function_%d", i);
        uint32_t code = region_code(r, name, "/srv/app/module.py", i + 1);
        first = first ? first : code;
    }
    while (made < paths) {
        uint32_t leaf = 0;
        for (int d = 0; d < DEEP && made < paths && (made == 0 || leaf || d == 0); d++) {
            leaf = region_node(r, leaf, first + (uint32_t)(d < 12 ? d : next() % FUNCTIONS), (int32_t)(next() >> 40 & 62));
            if (leaf)
                node[made++] = leaf;
            else
                paths = made;
        }
    }
    struct sp_thread *t = region_thread(r, 1, "");
    uint64_t records = r->log_limit / 16 * 5 / 4, step = DAYS * 86400ull * SP_NS_PER_S / records;
    for (uint64_t i = 0; i < records; i++) {
        region_sample(r, t, node[next() % paths], 10000000, i * step);
    }
    r->last_ns = records * step;
    int fd = open("/dev/null", O_WRONLY);
    static char buffer[65536];
    struct sp_out out = {.sink = sink, .arg = &fd, .buffer = buffer, .cap = sizeof buffer, .most = UINT64_MAX};
    struct sp_profile p = {.region = r, .wall_ns = DAYS * 86400ull * SP_NS_PER_S, .process_cpu_ns = records * 10000000ull,
                           .most_bytes = UINT64_MAX};
    uint64_t began = sp_os_thread_cpu_ns();
    int rc = sp_writer_for(argv[2])->write(&p, &out);
    printf("%f\n", (double)(sp_os_thread_cpu_ns() - began) / 1e9);
    return rc != 0 || argc != 3;
}
"""


@check(0.3, "s")
def writer_100_megabytes():
    """CPU for a region that is full after a month, of 200,000 call paths."""
    return min(with_store(WRITER, "100", "p.json")[0] for _ in range(3))


@check(2, "s")
def writer_1_gigabyte():
    return with_store(WRITER, "1024", "p.json")[0]


@check(0.3, "s")
def writer_collapsed():
    return min(with_store(WRITER, "100", "p.collapsed")[0] for _ in range(3))


@check(0.3, "s")
def writer_page():
    return min(with_store(WRITER, "100", "p.html")[0] for _ in range(3))


EXECS = """
import ctypes, os, sys, time
churn = ctypes.CDLL(sys.argv[1])
churn.churn_start(2)
with open('bad', 'w') as f: f.write('no program')
os.chmod('bad', 0o755)
longest = 0
for i in range(20):
    began = time.monotonic()
    try: os.execv('./bad', ['bad'])
    except OSError: pass
    longest = max(longest, time.monotonic() - began)
    time.sleep(0.005)
churn.churn_end()
print(longest * 1e3)
"""


@check(15, "ms")
def exec_fails_while_threads_end():
    """The longest of twenty execs that fail, each of which writes a small profile: 10 ms and the writing."""
    def run(env):
        with tempfile.TemporaryDirectory() as d:
            return float(subprocess.run([sys.executable, "-c", EXECS, os.path.join(ROOT, "build", "tests", "libchurn.so")], cwd=d,
                                        env=env, check=True, capture_output=True, text=True).stdout)
    return paired(lambda: run(preloaded()), lambda: run(PLAIN), 5)[0]
