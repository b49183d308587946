#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Formats: chosen by the name, equal in what they say."""
import collections
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from page import Page  # noqa: E402
from sp import BUSY, CASES, Profile, case, main, need_frames  # noqa: E402,F401

THREADS = BUSY + """
import threading
def inner(): busy(0.1)
def outer(): inner(); busy(0.05)
t = threading.Thread(target=outer, name="pool;1")
t.start(); t.join()
outer()
"""


def collapsed(path):
    """Stack of names, the thread's first -> ns."""
    with open(path, encoding="utf-8", newline="\n") as f:
        head, *lines = f.read().split("\n")
    assert head.startswith("# spprof ") and not head[-1].isdigit() and lines.pop() == "", (head, lines)
    sums = collections.Counter()
    for line in lines:
        stack, _, ns = line.rpartition(" ")
        assert stack not in sums, f"twice: {line}"
        sums[tuple("<module>" if n.startswith("<module> ") else n for n in stack.split(";"))] += int(ns)
    return sums


def left_by_a_kill(b, **env):
    """The spool file of THREADS, killed at its end."""
    directory = b.fresh()
    path = b.write(THREADS + "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    r = subprocess.run([b.python, path], cwd=directory, env=b.env(SPPROF_SPOOL=directory, **env))
    assert r.returncode == -signal.SIGKILL, r
    return os.path.join(directory, *(f for f in os.listdir(directory) if f.endswith(".spool")))


def recovered(b, spool, name):
    out = os.path.join(b.fresh(), name)
    subprocess.run([os.path.join(b.build, "spprof"), "recover", "-o", out, spool], check=True, stderr=subprocess.DEVNULL)
    return out


@case
def same_in_all(b):
    """One profile in three formats: the same stacks, to the nanosecond."""
    need_frames(b)
    spool = left_by_a_kill(b, SPPROF_INTERVAL="1ms")
    lines, p, page = collapsed(recovered(b, spool, "p.folded")), Profile(recovered(b, spool, "p.json")), Page(recovered(b, spool, "p.html"))
    assert sum(lines.values()) == p.total() == page.total(), (sum(lines.values()), p.total(), page.total())
    assert page.block == p.block, (page.block, p.block)
    threads = {t["name"].replace(";", "\\x3b"): t["profile"] for t in p.block["threads"]}
    assert set(threads) == {"MainThread", "pool\\x3b1"}, threads
    for name, number in threads.items():
        of_thread = {stack[1:]: ns for stack, ns in lines.items() if stack[0] == name}
        assert of_thread == dict(p.stacks(number)), (name, of_thread, p.stacks(number))
    inner = sum(ns for stack, ns in lines.items() if stack[-3:-1] == ("outer", "inner"))
    assert inner > 0, lines


@case
def by_name(b):
    """Written by the library itself; an earlier profile is replaced whatever its format, anything else is not."""
    directory = b.fresh()
    for _ in range(2):
        r = b.run(THREADS, cwd=directory, SPPROF_OUT="p.collapsed")
        assert r.err == "" and os.listdir(directory) == ["p.collapsed"], (r.err, os.listdir(directory))
    assert sum(collapsed(os.path.join(directory, "p.collapsed")).values()) > 0.25e9
    with open(os.path.join(directory, "p.collapsed"), "w") as f:
        f.write("# not spprof's\n")
    r = b.run(THREADS, cwd=directory, SPPROF_OUT="p.collapsed")
    assert "it stays" in r.err and sorted(os.listdir(directory)) == ["p-2.collapsed", "p.collapsed"], r.err
    page = Page(os.path.join(b.run(THREADS, SPPROF_OUT="page.html", SPPROF_WALL=1).directory, "page.html"))
    assert page.total() == page.block["cpu"]["used"] and 0 < page.total(wall=True) == page.block["wall"]["life"], page.block
    r = b.run("import os, sys\nif os.fork() == 0:\n    sum(range(10**7)); os._exit(0)\nos.wait()\n", SPPROF_OUT="p.folded")
    assert all(name.endswith(".folded") for name in os.listdir(r.directory)), os.listdir(r.directory)


@case
def names_for_people(b):
    """A module's code by its file, the import system as one frame; all of it on demand, and in the region always."""
    need_frames(b)
    program = "import sys\nsys.dont_write_bytecode = True\nimport made.slow\n"
    for imports in ("short", "full"):
        directory = b.fresh()
        os.makedirs(os.path.join(directory, "site-packages", "made"))
        with open(os.path.join(directory, "site-packages", "made", "slow.py"), "w") as f:
            f.write(BUSY + "busy(0.1)\n" + "x = 0\n" * 20000)
        r = b.run(program, cwd=directory, PYTHONPATH=os.path.join(directory, "site-packages"), SPPROF_IMPORTS=imports, SPPROF_INTERVAL="1ms")
        names = [[r.profile().frames[i]["name"] for i in stack] for stack in r.profile().profiles[0]["samples"]]
        slow = next(s for s in names if s[-1] == "busy")
        assert slow[-2] == "<module> made/slow.py" and slow[0].startswith("<module> ") and slow[0].endswith("py"), slow
        assert (slow[1:-2] == ["(import)"]) == (imports == "short") and ("_find_and_load" in slow) == (imports == "full"), slow


@case
def lines_add_up(b):
    """What the lines of a function cost is what it cost, whoever its tail was booked to."""
    need_frames(b)
    r = b.run(THREADS + "for i in range(20): threading.Thread(target=busy, args=(0.006,)).start()\nouter()\n")
    p = r.profile()
    own = collections.Counter()
    for stack, ns in zip(p.profiles[0]["samples"], p.profiles[0]["weights"]):
        own[stack[-1]] += ns
    lines = {frame: sum(ns for _, ns, _ in of) for frame, of in p.block["lines"]}
    assert lines and all(own[f] == ns for f, ns in lines.items()), [(p.frames[f], own[f], ns) for f, ns in lines.items()]


@case
def older_profile_is_replaced(b):
    """By recover too; what is no profile stays."""
    spool = left_by_a_kill(b)
    command = [os.path.join(b.build, "spprof"), "recover", spool]
    made = spool.replace(".spool", ".speedscope.json")
    for _ in range(2):
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        assert Profile(made).total() > 0.2e9
    with open(made, "w") as f:
        f.write("mine")
    r = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    assert r.returncode == 1 and "it exists" in r.stderr and open(made).read() == "mine", r
    assert sorted(os.listdir(os.path.dirname(spool))) == sorted(map(os.path.basename, (spool, made)))


@case
def lines_survive_a_kill(b):
    need_frames(b)
    p = Profile(recovered(b, left_by_a_kill(b, SPPROF_LINES=1), "p.json"))
    names = {f["name"] for f in p.frames}
    first = THREADS[:THREADS.index("def inner")].count("\n") + 1
    assert f"outer:{first + 1}" in names and "outer" not in names, names


if __name__ == "__main__":
    sys.exit(main())
