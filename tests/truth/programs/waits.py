# SPDX-License-Identifier: MIT
"""Of a life: sleeps, a socket, a computation. What waits is measured by the wall's clock, what computes by its thread's."""
import socket

from known import cpu, random, seconds, spin, tell, time

quiet, _ = socket.socketpair()


def sleeps(s): time.sleep(s)
def receives(s): quiet.settimeout(s), quiet.recv(1)
def computes(s): spin(int(s * 1e9))


def run():
    ns = {"sleeps": 0, "receives": 0, "computes": 0}
    while sum(ns.values()) < seconds * 1e9:
        f = random.choice((sleeps, sleeps, receives, computes))
        clock = cpu if f is computes else time.monotonic_ns
        begin = clock()
        try:
            f(random.uniform(0.005, 0.03))
        except OSError:  # nobody sends
            pass
        ns[f.__name__] += clock() - begin
    tell(ns, {f: ["run"] for f in ns}, of="wall")


run()
