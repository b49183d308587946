#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""spprof top in a real terminal, tmux's: keys are typed, the screen is read."""
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from asked import HEAD, ORDERS, Program  # noqa: E402
from convert import made  # noqa: E402
from sp import CASES, Skip, case, main  # noqa: E402,F401

CASES.clear()

BUSY = HEAD + """
class Caf\u00e9:
    def inner(self):
        busy(0.02)
def outer(): Caf\u00e9().inner()
stop = False
def works():
    while not stop: outer()
def other():
    while not stop: busy(0.01)
threads = [threading.Thread(target=works, name='first worker'), threading.Thread(target=other, name='second worker')]
for t in threads: t.start()
print('ready', flush=True)
""" + ORDERS + "stop = True\n[t.join() for t in threads]\n"


class Terminal:
    def __init__(self, b, command, columns=100, lines=24, **env):
        if not shutil.which("tmux"):
            raise Skip("no tmux (Debian: tmux)")
        if "with ncurses" not in subprocess.run([os.path.join(b.build, "spprof"), "version"], capture_output=True, text=True).stdout.replace("without", "-"):
            raise Skip("the command was built without ncurses (Debian: libncurses-dev)")
        self.socket = os.path.join(b.fresh(), "tmux")  # a server that ends has its socket for a while
        settings = " ".join(f"{k}={v}" for k, v in {"LC_ALL": "C.UTF-8", **env}.items())
        line = f"env {settings} {shlex.join(command)}; echo status $?; read forever"
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(lines), line)

    def tmux(self, *args):
        return subprocess.run(["tmux", "-u", "-S", self.socket, *args], capture_output=True, text=True, check=True, timeout=60).stdout

    def screen(self):
        return self.tmux("capture-pane", "-p")

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def shows(self, *patterns, without=None):
        """Sooner or later."""
        for _ in range(600):
            screen = self.screen()
            if all(re.search(p, screen, re.M) for p in patterns) and not (without and re.search(without, screen, re.M)):
                return screen
            time.sleep(0.1)
        raise AssertionError(f"{patterns}, without {without}:\n{screen}")

    def close(self):
        self.tmux("kill-server")


def top(b, p, *args, **kw):
    return Terminal(b, [p.tool, "top", *args, str(p.pid)], **kw)


@case
def keys_and_columns(b):
    p = Program(b, BUSY)
    can_read = p.command("snapshot", "--no-signal", "-o", "s.json", p.pid).returncode == 0
    t = top(b, p, *(["--no-signal"] if can_read else [])) # nothing is asked where it need not be
    try:
        screen = t.shows(r"^ +%Own %Total +OwnTime TotalTime Function", r"^ +[\d.]+ +[\d.]+ +\S+ +\S+ busy \(", r"^CPU [1-9]", r"Caf\u00e9.inner|inner")
        assert f"(pid {p.pid})" in screen.splitlines()[0] and "Python 3." in screen, screen
        own = [float(m) for m in re.findall(r"^ *([\d.]+) +[\d.]+ +\S+ +\S+ \S", screen, re.M)]
        assert own and own == sorted(own, reverse=True), screen
        t.keys("2")
        t.shows(r"OwnTime TotalTime Function.*\n +[\d.]+ +(100\.0|9\d\.\d|[5-9]\d\.\d) ")
        t.keys("L")
        line = next(i for i, text in enumerate(open(p.source).read().splitlines(), 1) if text.startswith("def outer"))
        t.shows(r"Function \(file:line\)", rf"outer \(.*app.*:{line}\)|outer \(.*py:{line}\)")
        t.keys("t")
        t.shows(r"TotalTime Thread", "first worker", "second worker")
        t.keys("t")
        t.keys("/")
        t.keys("inner", "Enter")
        t.shows("^Filter: inner", "inner", without="outer")
        t.keys("/")
        t.keys("Enter")
        t.shows("outer", without="Filter")
        t.keys("p")
        t.shows("PAUSED")
        t.keys("p")
        t.shows("CPU", without="PAUSED")
        t.keys("?")
        t.shows("sort by %Own", "q +quit")
        t.keys("?")
        p.do("busy(2)")
        t.shows(r"busy \(", r" [1-9]\d*\.\d+s +\S+ busy \(")
        t.keys("R")
        t.shows(r" \d+\.\dms +\S+ busy \(")
        t.tmux("resize-window", "-x", "44", "-y", "10")
        screen = t.shows(r"^ +%Own %Total +OwnTime TotalTime", r"^CPU [1-9]")
        assert all(len(row) <= 44 for row in screen.splitlines()), screen
        t.keys("q")
        t.shows("^status 0")
    finally:
        t.close()
    assert p.ends() == ("", "")


FACTS = r"^CPU [1-9]\d* %   GIL "
MEASURED = FACTS + r"[1-9]\d* %, (0\.[1-9]|[1-9]\.\d) wait"


@case
def header(b):
    """What the process has and does now, as much of it as fits; no more is said than is known."""
    p = Program(b, BUSY, SPPROF_WALL="1")
    t = top(b, p, columns=120, LC_ALL="C")
    try:
        t.shows(MEASURED + r"   Threads 3   Losses \d+   Python 3\.\d+\.\d+\S*   Samples [1-9]\d*$")
        t.tmux("resize-window", "-x", "80", "-y", "12")
        t.shows(MEASURED + r"   Threads 3   Losses \d+   Python 3\.\d+\.\d+\S*$")
        t.tmux("resize-window", "-x", "40", "-y", "10")
        t.shows(MEASURED + r"(   Losses \d+)?$")
        t.keys("p", "/", "busy")
        screen = t.shows("^PAUSED   Filter: busy_")
        assert all(len(row) <= 40 for row in screen.splitlines()), screen
        t.keys("Enter", "p", "q")
        t.shows("^status 0")
    finally:
        t.close()
    p.ordered("snapshot", "-o", "free.json")
    assert p.ends() == ("", "")
    with open(p.file("free.json")) as f:
        text = f.read()
    with open(p.file("free.json"), "w") as f:
        f.write(re.sub(r'"build": ?"\w+"', '"build":"shared no-GIL"', text))
    other = Program(b, BUSY)
    for args, pattern in (([p.file("free.json")], r"^CPU \d+ %   GIL none   Losses \d+   Python"),
                          ([str(other.pid)], FACTS + "with SPPROF_WALL   Threads 3   Losses"),
                          ([str(other.pid), p.file()], FACTS + r"\d+ %, \d+\.\d wait \(of some\)   Threads 3   Losses")):
        t = Terminal(b, [p.tool, "top", *args])
        try:
            t.shows(pattern)
        finally:
            t.close()
    assert other.ends() == ("", "")


@case
def asked_when_it_ran(b):
    """A process that may not be looked into is asked by top, but not while it uses no CPU: each time leaves a child until it next runs."""
    p = Program(b, HEAD + "print('ready', flush=True)\n" + ORDERS)
    p.becomes(65534)
    as_user = ["setpriv", "--reuid", str(p.uid), "--regid", str(p.uid), "--clear-groups"] if p.uid else []
    t = Terminal(b, [*as_user, p.tool, "top", str(p.pid)])

    def children():
        with open(f"/proc/{p.pid}/task/{p.pid}/children") as f:
            return f.read()
    try:
        p.do("work()")
        t.shows("^CPU [1-9]", "work")
        t.shows("^CPU 0 %", "work")
        for _ in range(10): # what a ring takes may itself be what makes the kernel's count of 10 ms full
            before = children()
            time.sleep(2.5)
            if before and before == children():
                break
        else:
            raise AssertionError("it is asked each second")
        p.do("work()")
        t.shows("^CPU [1-9]", "work")
        p.ordered("stop")
        p.do("work()")
        t.shows("nothing is recorded at the moment|not being profiled")
        t.keys("q")
        t.shows("^status 0")
    finally:
        t.close()
    assert p.ends() == ("", "")


@case
def other_terminals(b):
    """One that knows no UTF-8; a program that ends; one that is asked each second; files; none at all."""
    p = Program(b, BUSY)
    t = top(b, p, "--children", LC_ALL="C")
    try:
        t.shows(r"Caf\?\.inner|inner", without="\u00e9")
        p.do("ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)")
        t.shows("^CPU [1-9]", "busy")
        p.child.send_signal(signal.SIGKILL)
        p.child.wait()
        t.shows("there is no such process", "busy")
        t.keys("q")
        t.shows("^status 0")
    finally:
        t.close()
    directory = b.fresh()
    for i, name in enumerate(("first", "second")):
        made(os.path.join(directory, f"{name}.json"), {f"main;of_{name}": 10**9}, pid=i + 1)
    for args in ([directory], [os.path.join(directory, "*.json")]):
        t = Terminal(b, [p.tool, "top", *args])
        try:
            t.shows("of_first", "of_second")
        finally:
            t.close()
    assert "has no profile" in p.command("top", b.fresh()).stderr
    r = p.command("top", p.pid)
    assert r.returncode == 1 and "wants a terminal" in r.stderr, r.stderr
    assert p.command("top").returncode == 2


if __name__ == "__main__":
    sys.exit(main())
