#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""spprof dump: where each thread is. SPPROF_TEST_DUMPS: how many are made of threads that move."""
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from asked import HEAD, NO_CLONE, ORDERS, Program  # noqa: E402
from sp import MACHINE, CASES, Skip, case, compile_support, main, need_frames  # noqa: E402,F401

DUMPS = int(os.environ.get("SPPROF_TEST_DUMPS", "60"))


def dumped(p):
    r = p.command("dump", "--json", p.pid)
    assert r.returncode == 0, r.stderr
    d = json.loads(r.stdout)
    assert d["pid"] == p.pid
    return {t["name"]: t for t in d["threads"]}


def names(t):
    return [f["function"].split(".")[-1] for f in t["frames"] if not f["native"]]


EACH = HEAD + """
import select, socket
def lock(): l = threading.Lock(); l.acquire(); l.acquire()
def receives(): a, b = socket.socketpair(); a.recv(1)
def sleeps(): time.sleep(1000)
def polls(): select.poll().poll(1000000)
def reads(): os.read(os.pipe()[0], 1)
def spins():
    while True: busy(1)
def deep(n):
    if n: deep(n - 1)
    else: time.sleep(1000)
seen = [] # what a call that nothing begins anew returns
def canary():
    p = ctypes.create_string_buffer(8)
    while True: seen.append(ctypes.CDLL(None).poll(p, 0, 10**6))
threads = [(f.__name__, f) for f in (lock, receives, sleeps, polls, reads, spins, canary)] + [('deep', lambda: deep(300))]
for name, f in threads: threading.Thread(target=f, name=name, daemon=True).start()
print('ready', flush=True)
"""


@case
def where_each_is(b):
    """Those that wait as well as those that run; nobody's call is cut short by it, whether it is recorded or not."""
    need_frames(b)
    p = Program(b, EACH + ORDERS, SPPROF_START="off")
    p.do("busy(0.3)")
    for i in range(12):
        d = dumped(p)
        assert sorted(d) == sorted(["MainThread", "lock", "receives", "sleeps", "polls", "reads", "spins", "canary", "deep"]), d.keys()
        for name, call in (("lock", "futex"), ("receives", "recvfrom"), ("polls", "poll"), ("reads", "read"), ("canary", "poll")):
            t = d[name]
            assert names(t)[-1] == name and t["missing"] is None, t
            assert t["doing"] in (f"waiting: {call}", f"waiting: p{call}", "waiting: recv"), t
        assert d["sleeps"]["frames"][-1]["file"].endswith(".py") and d["sleeps"]["frames"][-1]["function"] == "sleeps"
        assert names(d["deep"])[-301:] == ["deep"] * 301, d["deep"]
        assert d["MainThread"]["frames"][0]["function"] == "<module>", d["MainThread"]
        spins = d["spins"]
        assert spins["missing"] or names(spins)[-1] in ("busy", "spins"), spins
    with open(p.source) as f:
        lines = f.read().splitlines()
    for name, text in (("sleeps", "def sleeps"), ("polls", "def polls"), ("deep", "    else: time.sleep")):
        line = d[name]["frames"][-1]["line"]
        assert lines[line - 1].startswith(text), (name, line, lines[line - 1])
    text = p.command("dump", p.pid).stdout
    assert re.search(r'Thread "sleeps" \(\d+\), waiting: \w+:\n(  File ".*", line \d+, in .*\n)+', text), text
    p.do("assert not seen, seen")
    p.do("ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)") # what may not be looked into is looked into by itself
    d = dumped(p)
    assert names(d["sleeps"])[-1] == "sleeps" and names(d["deep"])[-301:] == ["deep"] * 301, d
    p.child.kill()
    p.child.wait()


@case
def who_wants_the_gil(b):
    """Of threads that all want to run Python those that wait for their turn are told from one that waits for a lock of the program's."""
    need_frames(b)
    if b.free_threaded:
        raise Skip("no GIL")
    p = Program(b, HEAD + """
def spins():
    while True: busy(1)
def lock(): l = threading.Lock(); l.acquire(); l.acquire()
for f in (spins, spins, spins, lock): threading.Thread(target=f, name=f.__name__, daemon=True).start()
print('ready', flush=True)
""" + ORDERS)
    seen = set()
    for i in range(60):
        r = p.command("dump", "--json", p.pid)
        assert r.returncode == 0, r.stderr
        for t in json.loads(r.stdout)["threads"]:
            assert t["name"] != "spins" or t["doing"] != "waiting for the GIL" or t["missing"] or names(t)[-1] in ("busy", "spins"), t
            assert ("lock", "waiting: futex") not in seen or t["name"] != "lock" or t["doing"] == "waiting: futex", t
            seen.add((t["name"], t["doing"]))
        if seen >= {("spins", "waiting for the GIL"), ("lock", "waiting: futex")} and i > 5:
            break
    else:
        raise AssertionError(seen)
    p.child.kill()
    p.child.wait()


@case
def nothing_impossible(b):
    """Threads that block for a moment at any depth: each stack is one that there was, with native frames and without."""
    need_frames(b)
    for native in ("off", "full"):
        stacks_of_threads_that_move(b, native)


def stacks_of_threads_that_move(b, native):
    p = Program(b, HEAD + """
import random, select
lock = threading.Lock()
def block_sleep(): time.sleep(random.random() * 0.0002)
def block_select(): select.select([], [], [], random.random() * 0.0002)
def block_lock(): lock.acquire(timeout=random.random() * 0.0002)
lock.acquire()
source = ''.join(f'def f{i}():\\n    f{i-1}()\\n' if i else 'def f0():\\n    random.choice((block_sleep, block_select, block_lock))()\\n' for i in range(31))
exec(source)
def work():
    while not stop: globals()['f%d' % random.randrange(31)]()
stop = False
threads = [threading.Thread(target=work, name='w%d' % i) for i in range(8)]
for t in threads: t.start()
print('ready', flush=True)
""" + ORDERS, SPPROF_NATIVE=native)
    taken = 0
    for i in range(DUMPS // 2):
        for name, t in dumped(p).items():
            if not name.startswith("w") or t["missing"]:
                continue
            taken += 1
            stack = [n for n in names(t) if n not in ("_bootstrap", "_bootstrap_inner", "run")]
            f = [int(n[1:]) for n in stack if re.fullmatch(r"f\d+", n)]
            assert stack[:1] in ([], ["work"]) and f == list(range(f[0], f[-1] - 1, -1) if f else []), stack
            tail = stack[1 + len(f):]
            assert not f or f[-1] == 0 or not tail, stack
            assert tail in ([], ["block_sleep"], ["block_select"], ["block_lock"], ["randrange"], ["choice"]) or tail[0] in ("randrange", "choice"), stack
    assert taken > DUMPS // 2, taken
    p.do("stop = True")
    p.do("[t.join() for t in threads]")
    assert p.ends() == ("", "")


def chain(t):
    """Its frames, outermost first: Python's "f()", native ones without their library."""
    return [f["function"].split(" [")[0] if f["native"] else f["function"].split(".")[-1] + "()" for f in t["frames"]]


def judge_chain(b, way):
    """Each where it was called; -> which of the program's threads it is of, "": one that is not there yet."""
    if "spin_ms" in way:
        assert way.index("runs()") < way.index("spin_ms"), way
        return "runs"
    if "within()" in way:
        between = way[way.index("called_back()"):way.index("within()")]
        assert "qsort_r" in between or ("(native ?)" in way and b.version >= (3, 14)), way  # these keep frame pointers
        assert way[-1] not in ("within()", "(native ?)"), way
        return "called_back"
    if "nap_within" in way:
        is_python, at = "sleeps()" in way, way.index("nap")
        assert way[at + 1] == "nap_within" and way[at + 2].endswith("poll") and not any(f.endswith("()") for f in way[at:]), way
        assert way.index("sleeps()") < at if is_python else way[at - 1] == "naps", way
        return "sleeps" if is_python else "other"
    return ""


@case
def native_frames(b):
    """Where SPPROF_NATIVE is on, of those that run and of those that sleep, in threads of Python and in others."""
    need_frames(b)
    naps, spin = compile_support(b, "naps.c", "libnaps.so", "-shared", "-fPIC"), os.path.join(b.build, "tests", "libspin.so")
    for native, start in (("on", "off"), ("full", "on")):
        p = Program(b, HEAD + f"""
naps, spin = ctypes.CDLL({naps!r}), ctypes.CDLL({spin!r})
T = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
def sleeps(): naps.nap()
def runs():
    while True: spin.spin_ms(1000)
def within(a, c): time.sleep(1000)
def called_back(): ctypes.CDLL(None).qsort((ctypes.c_int * 2)(1, 2), 2, 4, T(within))
for f in (sleeps, runs, called_back): threading.Thread(target=f, name=f.__name__, daemon=True).start()
naps.begin_to_nap()
print('ready', flush=True)
""" + ORDERS, SPPROF_NATIVE=native, SPPROF_START=start)
        # No table tells of a sleeper how to pass libffi, which keeps a place in a register; 3.9 wants the whole way.
        seen = {"sleeps"} if b.version < (3, 10) else set()
        for i in range(60):
            d = dumped(p)
            for t in d.values():
                assert not (t["missing"] and t["frames"]), t
                which, way = judge_chain(b, chain(t)), chain(t)
                seen.add(which)
                if native == "on" and names(t):
                    assert way[0] in ("_bootstrap()", "<module>()"), way
                elif which == "runs":
                    assert not way[0].endswith("()"), way
            if seen >= {"runs", "called_back", "sleeps", "other"}:
                break
        else:
            raise AssertionError((seen, d))
        nap = next(f for t in d.values() for f in t["frames"] if f["function"].startswith("nap "))
        assert nap == {"function": "nap [libnaps.so]", "file": naps, "line": 0, "native": True}, nap
        text = p.command("dump", p.pid).stdout
        assert re.search(r'  File ".*", line \d+, in within\n(  \S+( \[.*\])?\n)*  \w*(nanosleep|select) \[libc|libc.so.6\+0x\w+\n\n', text), text
        assert "\n  nap [libnaps.so]\n  nap_within [libnaps.so]\n" in text, text
        p.do("ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)") # where they sleep may be nobody's to know then
        t = dumped(p)["called_back"]
        assert names(t)[-2:] == ["called_back", "within"], t
        p.child.kill()
        p.child.wait()


@case
def dumped_many_threads(b):
    need_frames(b)
    p = Program(b, HEAD + """
gone = threading.Event()
def waits(): gone.wait()
threads = [threading.Thread(target=waits) for i in range(300)]
for t in threads: t.start()
print('ready', flush=True)
""" + ORDERS)
    d = dumped(p)
    assert sum("waits" in names(t) and t["doing"] == "waiting: futex" for t in d.values()) >= 299, [t for t in d.values() if "waits" not in names(t)]
    p.do("gone.set()")
    p.do("[t.join() for t in threads]")
    assert p.ends() == ("", "")


@case
def dumped_while_all_changes(b):
    """Threads that begin and end, forks, the interpreter's end, names of every kind."""
    p = Program(b, HEAD + """
import warnings
warnings.simplefilter('ignore')
exec('def na\\u00efve(): time.sleep(1000)')
threading.Thread(target=globals()['na\\u00efve'], name='\\x1b[31m "quoted" \\u65e5\\u672c', daemon=True).start()
stop = False
def churns():
    while not stop:
        t = threading.Thread(target=busy, args=(0.0005,))
        t.start()
        t.join()
def forks():
    while not stop:
        pid = os.fork()
        if pid == 0: os._exit(0)
        os.waitpid(pid, 0)
threads = [threading.Thread(target=f) for f in (churns, forks)]
for t in threads: t.start()
class Late:
    def __del__(self, sleep=time.sleep): sleep(0.3)
late = Late()
print('ready', flush=True)
""" + ORDERS + "stop = True\n[t.join() for t in threads]\n")
    for i in range(20):
        d = dumped(p)
    if b.known:
        odd = next(t for name, t in d.items() if "quoted" in name)
        assert odd["name"] == '\x1b[31m "quoted" \u65e5\u672c' and names(odd)[-1] == "na\u00efve", odd
    assert "\x1b" not in p.command("dump", p.pid).stdout
    p.child.stdin.close()
    while p.child.poll() is None:
        p.command("dump", p.pid)
    said = p.child.stderr.read()
    assert p.child.wait() == 0 and said == "", said


@case
def dumped_in_place(b):
    """Where there can be no process beside: the thread that is asked is shown, the others are named."""
    if MACHINE != "x86_64":
        raise Skip("the filter is for x86-64")
    p = Program(b, HEAD + "threading.Thread(target=time.sleep, args=(1000,), name='other', daemon=True).start()\n" + NO_CLONE + "print('ready', flush=True)\n" + ORDERS, SPPROF_NATIVE="on")
    d = dumped(p)
    missing = [t["missing"] for t in d.values()]
    assert len(d) == 2 and any(m and "no process beside" in m for m in missing), d
    assert not b.known or any(f["native"] for t in d.values() for f in t["frames"]), d
    assert p.ends() == ("", "")


if __name__ == "__main__":
    sys.exit(main())
