# SPDX-License-Identifier: MIT
"""What a span costs: to open and close one, and for a sample to find it."""
import subprocess
import sys

from cost import check, paired, preloaded

WITH = """
import spprof, sys, time
def best(f):
    times = []
    for _ in range(15):
        a = time.thread_time(); f(); times.append(time.thread_time() - a)
    return min(times) / 20000 * 1e9
def spans():
    for _ in range(20000):
        with spprof.span("checkout"): pass
def nothing():
    for _ in range(20000): pass
print(best({"spans": spans, "nothing": nothing}[sys.argv[1]]))
"""


@check(1100, "ns")
def opened_and_closed():
    def run(what):
        return float(subprocess.run([sys.executable, "-c", WITH, what], env=preloaded(), capture_output=True, text=True, check=True).stdout)
    return paired(lambda: run("spans"), lambda: run("nothing"))[0]
