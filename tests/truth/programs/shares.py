# SPDX-License-Identifier: MIT
"""Functions of 60, 25, 10, 4 and 1 % in calls of a tenth of a millisecond, shuffled."""
from known import cpu, random, seconds, spin, tell


def s60(): spin(100000)
def s25(): spin(100000)
def s10(): spin(100000)
def s4(): spin(100000)
def s1(): spin(100000)


def run():
    deck = [s60] * 60 + [s25] * 25 + [s10] * 10 + [s4] * 4 + [s1]
    ns = {f.__name__: 0 for f in deck}
    while sum(ns.values()) < seconds * 1e9:
        random.shuffle(deck)
        for f in deck:
            begin = cpu()
            f()
            ns[f.__name__] += cpu() - begin
    tell(ns, {f: ["run"] for f in ns})


run()
