# SPDX-License-Identifier: MIT
"""C code, with the GIL (pow) and without it (zlib): it is the time of the functions that call it."""
import zlib

from known import cpu, random, seconds, spin, tell

data = bytes(random.randrange(256) for i in range(50000))


def compresses(): zlib.compress(data)
def computes(): pow(7, 30000)
def python(): spin(1000000)


def run():
    ns = {"compresses": 0, "computes": 0, "python": 0}
    while sum(ns.values()) < seconds * 1e9:
        f = random.choice((compresses, compresses, computes, python))
        begin = cpu()
        f()
        ns[f.__name__] += cpu() - begin
    tell(ns, {f: ["run"] for f in ns})


run()
