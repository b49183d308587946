# SPDX-License-Identifier: MIT
"""Short threads, one after the other: each parses for one part and renders for three, 6 ms in all."""
import threading

from known import cpu, random, seconds, spin, tell

ns = {"parse": 0, "render": 0}


def parse(n): spin(n)
def render(n): spin(n)


def request():
    part = random.randrange(1000000, 2000000)
    for f, n in (parse, part), (render, 3 * part):
        begin = cpu()
        f(n)
        ns[f.__name__] += cpu() - begin


def run():
    while sum(ns.values()) < seconds * 1e9:
        t = threading.Thread(target=request)
        t.start()
        t.join()
    tell(ns, {"parse": ["request"], "render": ["request"], "request": ["run"]})


run()
