# SPDX-License-Identifier: MIT
"""Short threads, one after the other: each parses for one part and renders for three, 6 ms in all."""
import threading

from known import cpu, random, seconds, spin, tell

ns = {"parses": 0, "renders": 0}


def parses(n): spin(n)
def renders(n): spin(n)


def request():
    part = random.randrange(1000000, 2000000)
    for f, n in (parses, part), (renders, 3 * part):
        begin = cpu()
        f(n)
        ns[f.__name__] += cpu() - begin


def run():
    while sum(ns.values()) < seconds * 1e9:
        t = threading.Thread(target=request)
        t.start()
        t.join()
    tell(ns, {"parses": ["request"], "renders": ["request"], "request": ["run"]})


run()
