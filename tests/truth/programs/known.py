# SPDX-License-Identifier: MIT
"""What the programs of this folder share. Each computes for so many seconds (its argument), measures by its threads' own clocks what
each of a few functions takes, none of which calls another, and prints that last of all, as one line of JSON:

  of        cpu or wall: what was measured
  ns        {function: ns}, of names that no module of Python has: what that one uses at its start would be theirs
  callers   {function: [who calls it]}; whoever shows another caller shows an impossible stack

Who judges a profiler by them compares the shares of these functions among each other, at whatever depth they stand."""
import json
import random
import sys
import time

seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
cpu = time.thread_time_ns
random.seed(7)


def spin(ns):
    end = cpu() + ns
    while cpu() < end:
        for i in range(50):
            pass


def tell(ns, callers, of="cpu"):
    print(json.dumps({"of": of, "ns": ns, "callers": callers}), flush=True)
