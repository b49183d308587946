# SPDX-License-Identifier: MIT
"""Large profiles stay usable in every output: what the command needs for each, printed as a table."""
import functools
import os
import subprocess
import tempfile

from cost import ROOT, check
from region import with_store

SPOOL = r"""
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "tests/support/region.h"
static uint64_t x = 88172645463325252ull;
static uint64_t next(void) { x ^= x << 13; x ^= x >> 7; return x ^= x << 17; }
int main(int argc, char **argv)
{
    uint32_t megabytes = (uint32_t)atoi(argv[1]), functions = (uint32_t)atoi(argv[2]), deep = (uint32_t)atoi(argv[3]);
    uint32_t paths = (uint32_t)atoi(argv[4]), threads = (uint32_t)atoi(argv[5]), samples = (uint32_t)atoi(argv[6]), made = 0, first = 0;
    struct sp_region *r = region_new((uint64_t)megabytes << 20, 65536);
    uint32_t *leaves = malloc(paths * 4ull);
    for (uint32_t i = 0; i < functions; i++) {
        char name[48], file[48];
        snprintf(name, sizeof name, "Class%u.method_%u", i % 500, i);
        snprintf(file, sizeof file, "/srv/app/package%u/module%u.py", i % 20, i % 300);
        uint32_t code = region_code(r, name, file, (int32_t)(i / 300 * 20 + 1));
        first = first ? first : code;
    }
    for (uint32_t i = 0; i < paths; i++) { /* the first half of a path is shared */
        uint32_t leaf = 0;
        for (uint32_t d = 0; d < deep; d++)
            leaf = region_node(r, leaf, first + (d < deep / 2 ? d % functions : (uint32_t)(d == deep / 2 ? i % functions : next() % functions)), 0);
        leaves[made] = leaf;
        made += leaf != 0;
    }
    for (uint32_t i = 0; i < threads; i++) {
        char name[32];
        snprintf(name, sizeof name, "worker-%u", i);
        struct sp_thread *t = region_thread(r, (int)i + 1, name);
        for (uint32_t k = 0; k < samples / threads; k++)
            region_sample(r, t, leaves[k < paths ? (i + k) % made : next() % made], 10000000, k * 10000000ull);
        t->end_cpu_ns = t->last_cpu_ns;
    }
    r->last_ns = samples / threads * 10000000ull;
    int fd = open(argv[7], O_WRONLY | O_CREAT | O_TRUNC, 0666);
    for (uint64_t at = 0; at < r->next;) {
        ssize_t n = write(fd, (char *)r + at, r->next - at > 1 << 20 ? 1 << 20 : r->next - at);
        if (n <= 0)
            return 1;
        at += (uint64_t)n;
    }
    printf("%u %llu\n", made, (unsigned long long)r->time_order_until_ns);
    return made < paths / 10 * 9 || ftruncate(fd, (off_t)r->bytes) != 0;
}
"""
#                megabytes, functions, depth, paths, threads, samples
SHAPES = {"800 threads": (256, 2000, 30, 5000, 800, 800_000),
          "stacks of 20,000 frames": (512, 3000, 20_000, 100, 4, 20_000),
          "5 million samples": (512, 5000, 40, 20_000, 8, 5_000_000),
          "200,000 functions": (512, 200_000, 8, 200_000, 4, 400_000)}
OUTPUTS = {"report": ["report", "IN"], "report --tree": ["report", "--tree", "IN"], "report --by line": ["report", "--by", "line", "IN"],
           "report --json -n 0": ["report", "--json", "IN"], "report --focus": ["report", "--focus", "method_7", "IN"],
           "report --callers": ["report", "--callers", "Class7.method_7", "IN"], "report --lines": ["report", "--lines", "Class7.method_7", "IN"],
           ".json": ["convert", "IN", "-o", "OUT/p.json"], ".pb.gz": ["convert", "IN", "-o", "OUT/p.pb.gz"],
           ".html": ["convert", "IN", "-o", "OUT/p.html"], ".collapsed": ["convert", "IN", "-o", "OUT/p.collapsed"],
           ".trace.json": ["convert", "IN", "-o", "OUT/p.trace.json"], "merge": ["merge", "IN", "-o", "OUT/m.json"],
           "diff": ["diff", "IN", "IN"], "report of .json": ["report", "OUT/p.json"], "report --tree of .json": ["report", "--tree", "OUT/p.json"]}


@functools.lru_cache(maxsize=None)
def table(shape):
    """Seconds of CPU, megabytes on disk, megabytes of memory: the most of all outputs."""
    most = [0, 0, 0]
    with tempfile.TemporaryDirectory() as d:
        spool = os.path.join(d, "p.spool")
        with_store(SPOOL, *map(str, SHAPES[shape]), spool)
        print(f"     {shape}: {'CPU s':>26} {'MB':>8} {'MB of memory':>14}")
        for name, args in OUTPUTS.items():
            command = [os.path.join(ROOT, "build", "spprof"), *(a.replace("IN", spool).replace("OUT", d) for a in args)]
            out = os.path.join(d, "stdout")
            with open(out, "w") as f:
                p = subprocess.Popen(command, stdout=f, stderr=subprocess.DEVNULL)
            _, status, used = os.wait4(p.pid, 0)
            p.returncode = os.waitstatus_to_exitcode(status)
            assert p.returncode == 0, (shape, command, p.returncode)
            size = os.path.getsize(command[-1] if "-o" in command else out) / 1e6
            row = used.ru_utime + used.ru_stime, size, used.ru_maxrss / 1024
            print(f"     {name:24} {row[0]:16.2f} {row[1]:8.1f} {row[2]:14.0f}", flush=True)
            most = [max(a, b) for a, b in zip(most, row)]
    return most


@check(0.6, "s of CPU at most, 800 threads")
def threads():
    return table("800 threads")[0]


@check(4, "s of CPU at most, stacks of 20,000 frames")
def deep_stacks():
    return table("stacks of 20,000 frames")[0]


@check(8, "s of CPU at most, 5 million samples")
def samples():
    return table("5 million samples")[0]


@check(3, "s of CPU at most, 200,000 functions")
def functions():
    return table("200,000 functions")[0]


@check(67, "MB at most, of any output of these (a trace's bound is 64)")
def sizes():
    return max(table(shape)[1] for shape in SHAPES)


@check(400, "MB of memory at most, of any of these")
def memory():
    return max(table(shape)[2] for shape in SHAPES)
