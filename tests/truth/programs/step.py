# SPDX-License-Identifier: MIT
"""In step with the clock: wakes each hundredth of a second and computes for 3 ms, 60, 25 and 15 % of that in three functions.
No profiler that ticks by the scheduler's clock can see it as it is."""
from known import cpu, seconds, spin, tell, time


def first(): spin(1800000)
def second(): spin(750000)
def third(): spin(450000)


def run():
    ns = {"first": 0, "second": 0, "third": 0}
    while sum(ns.values()) < seconds / 3 * 1e9:
        time.sleep(0.01 - time.monotonic() % 0.01)
        for f in first, second, third:
            begin = cpu()
            f()
            ns[f.__name__] += cpu() - begin
    tell(ns, {f: ["run"] for f in ns})


run()
