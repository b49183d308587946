#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Forks that are not os.fork(): by _Fork(), which runs no handlers, and one within another."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import CASES, WORK, Skip, case, main, spent  # noqa: E402,F401

HEAD = WORK + """
import ctypes
libc = ctypes.PyDLL(None)
def blocked(): return sorted(int(s) for s in signal.pthread_sigmask(signal.SIG_BLOCK, []))
"""


def by_function(b, r, *functions):
    """For each file the functions that its process ran; each of them in one file alone, with all of its CPU."""
    files = [[f for f in functions if p.total_ns()[f]] for p in r.profiles()]
    assert sorted(map(tuple, files)) == sorted((f,) for f in functions), (files, r.err)
    for p in r.profiles():
        (f,) = [f for f in functions if p.total_ns()[f]]
        assert spent(b, p, f) >= 0.15e9, (f, p.block)


@case
def bare(b):
    """What _Fork() makes is a child like any other; signal masks and the parent's ticks stay."""
    r = b.run(HEAD + """
def child(): busy(.15)
def parent(): busy(.15)
before = blocked()
pid = libc._Fork()
if pid < 0: print("none"); sys.exit()
assert blocked() == before
if pid == 0:
    child(); os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
parent()
""", SPPROF_OUT="p.json")
    if r.out == "none\n":
        raise Skip("glibc before 2.34")
    by_function(b, r, "child", "parent")


@case
def within_another(b):
    """A handler of fork(), inside ours, forks: both processes of the outer fork have their ticks, and their masks."""
    r = b.run(HEAD + """
forks = ctypes.CDLL(sys.argv[1])
def child(): busy(.15)
def parent(): busy(.15)
before = blocked()
if os.confstr("CS_GNU_LIBC_VERSION") < "glibc 2.34": print("none"); sys.exit()
ctypes.c_int.in_dll(forks, "forks_wanted").value = 3
pid = os.fork()
assert blocked() == before
if pid == 0:
    child(); os._exit(0)
assert os.waitpid(pid, 0)[1] == 0 and ctypes.c_int.in_dll(forks, "forks_within").value == 3
parent()
""", os.path.join(b.build, "tests/libforks.so"), preload=os.path.join(b.build, "tests/libforks.so"), SPPROF_OUT="p.json")
    if r.out == "none\n":
        raise Skip("glibc before 2.34")
    by_function(b, r, "child", "parent")


if __name__ == "__main__":
    sys.exit(main())
