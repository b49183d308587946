# SPDX-License-Identifier: MIT
"""A generator's own work, that of what it calls, and that of who reads it; coroutines and exceptions among them."""
from known import cpu, random, seconds, spin, tell

ns = {"makes": 0, "awaited": 0, "reads": 0, "rescues": 0}


def timed(f):
    begin = cpu()
    f(random.randrange(1000000))
    ns[f.__name__] += cpu() - begin


def makes(n): spin(n)
def awaited(n): spin(n)
def reads(n): spin(n)
def rescues(n): spin(n)


def inner():
    for i in range(4):
        timed(makes)
        yield i


def outer():
    yield from inner()


async def coroutine(): timed(awaited)


def run():
    while sum(ns.values()) < seconds * 1e9:
        for i in outer():
            timed(reads)
            try:
                coroutine().send(None)
            except StopIteration:
                timed(rescues)
    tell(ns, {**{f: ["timed"] for f in ns}, "timed": ["inner", "coroutine", "run"], "inner": ["outer"], "outer": ["run"], "coroutine": ["run"]})


run()
