# SPDX-License-Identifier: MIT
"""Two leaves at the ends of stacks of 20 and of 300 calls, three to one."""
import sys

from known import cpu, random, seconds, spin, tell

sys.setrecursionlimit(2000)


def near(): spin(random.randrange(2000000))
def far(): spin(random.randrange(2000000))
def down(n, f): return down(n - 1, f) if n else f()


def run():
    ns = {"near": 0, "far": 0}
    while sum(ns.values()) < seconds * 1e9:
        for depth, f in (20, near), (300, far), (20, near), (20, near):
            begin = cpu()
            down(depth, f)
            ns[f.__name__] += cpu() - begin
    tell(ns, {"near": ["down"], "far": ["down"], "down": ["down", "run"]})


run()
