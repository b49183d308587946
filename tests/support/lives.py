# SPDX-License-Identifier: MIT
"""Profiles of whole lives (SPPROF_WALL). What a wait lasted is bounded by the clock that the program itself reads around it, and
from below by what was asked for, or by that reading less what the profile says was spent without a stack."""
import collections

from sp import BUSY

HEAD = BUSY + """
import os, queue, select, signal, socket, subprocess, sys, threading
took = {}
def timed(f, *a):
    a_ns = time.monotonic_ns(); f(*a); took[f.__name__] = time.monotonic_ns() - a_ns
"""
MARK = "(waiting"
SHORT = 5e6  # short waits go to stacks some time later, as a sum, not all to their own


def lives(p):
    """{name of the thread: {stack: ns}} of the second set; whatever is in a profile must add up."""
    w = p.block["wall"]
    first, threads = w["profile"], [t for t in p.block["threads"] if "wall" in t]
    own = [x for x in p.profiles[first:] if not x["name"].startswith("Wall: All threads")]
    assert all(x["name"].startswith("Wall: ") for x in p.profiles[first:]), [x["name"] for x in p.profiles]
    assert not [x["name"] for x in p.profiles[:first] if x["name"].startswith("Wall: ")]
    assert not [f for i in range(first) for s in p.stacks(i) for f in s if f.startswith(MARK) or f == "(not running)"]
    assert [x["endValue"] for x in own] == [t["wall"] for t in threads], (own, threads)
    assert sum(t["wall"] for t in threads) == w["life"], (threads, w)
    assert w["life"] == w["cpu"] + sum(n for x in range(len(own)) for s, n in p.stacks(len(p.profiles) - len(own) + x).items() if is_off(s))
    out = collections.defaultdict(collections.Counter)
    for i, t in zip(range(len(p.profiles) - len(own), len(p.profiles)), threads):
        assert sum(n for s, n in p.stacks(i).items() if not is_off(s)) == t["cpu"], (t, p.stacks(i))
        out[t.get("name", "others")].update(p.stacks(i))
    return out


def is_off(stack):
    return stack[-1].startswith(MARK) or stack[-1] == "(not running)"


def waits(stacks, function, mark=MARK):
    return sum(n for s, n in stacks.items() if function in s and s[-1].startswith(mark))


def unseen(stacks):
    """What went by without a stack. A few things may be (not running), a wait that was not seen would be much more."""
    life = sum(stacks.values())
    return stacks[("(waiting for a CPU)",)] + min(stacks[("(not running)",)], life // 20)


def agree(p, thread, took, asked):
    """Each function's waits against the program's own clock; `asked`: what it cannot have waited less."""
    stacks = lives(p)[thread]
    for f, ns in took.items():
        seen = waits(stacks, f)
        least = asked[f] if f in asked else ns - unseen(stacks)
        assert 0.98 * least - SHORT <= seen <= 1.02 * ns + SHORT, (f, seen / 1e6, least / 1e6, ns / 1e6, stacks)
