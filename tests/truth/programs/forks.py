# SPDX-License-Identifier: MIT
"""Fork children of 60 ms; each computes for two parts in one function and for one in another."""
import os

from known import cpu, seconds, spin, tell


def two(): spin(40000000)
def one(): spin(20000000)


def child(pipe):
    begin = cpu()
    two()
    middle = cpu()
    one()
    os.write(pipe, b"%d %d\n" % (middle - begin, cpu() - middle))


def run():
    ns = {"two": 0, "one": 0}
    there, here = os.pipe()
    while sum(ns.values()) < seconds * 1e9:
        pid = os.fork()
        if pid == 0:
            child(here)
            os._exit(0)
        os.waitpid(pid, 0)
        for f, n in zip(ns, os.read(there, 100).split()):
            ns[f] += int(n)
    tell(ns, {"two": ["child"], "one": ["child"], "child": ["run"]})


run()
