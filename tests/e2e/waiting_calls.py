#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""SPPROF_WALL: each call of inject/waits.def, whatever calls it."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from embedding import embed  # noqa: E402
from lives import HEAD, MARK, SHORT, lives, unseen, waits  # noqa: E402
from sp import CASES, case, compile_support, main, need_frames  # noqa: E402,F401

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@case
def every_row(b):
    """Something behind us waits in each: it is called with what we were called with, what it returns comes back, and its time is that
    call's."""
    need_frames(b)
    rows = compile_support(b, "wait_rows.c", "librows.so", "-shared", "-fPIC", "-Wl,-Bsymbolic", "-I", ROOT)
    r = b.run(HEAD + f"""
import ctypes, json
lib = ctypes.PyDLL({rows!r})
for f in (lib.row_name, lib.row_shown, lib.row_call, lib.other_call): f.restype = ctypes.c_char_p
lib.row_waited_ns.restype = ctypes.c_int64
names, i, at = [], 0, []
while lib.row_name(i):
    at.append(ctypes.cast(ctypes.CDLL(None)[lib.row_name(i).decode()], ctypes.c_void_p))
    names.append((lib.row_name(i).decode(), lib.row_shown(i).decode(), f"row_call({{i}}, at[{{i}}])")); i += 1
names += [(n, n, f"other_call(b'" + n + "')") for n in ("ppoll", "pselect", "epoll_pwait", "futex")]
seen = {{}}
for name, shown, call in names:
    exec(f"def call_{{name}}(): return lib.{{call}}")
    a_ns = time.monotonic_ns()
    wrong = globals()["call_" + name]()
    seen[name] = (shown, wrong.decode() if wrong else "", lib.row_waited_ns(), time.monotonic_ns() - a_ns)
print(json.dumps(seen))
""", preload=rows, SPPROF_OUT="p.json", SPPROF_WALL=1)
    stacks = lives(r.profile())["MainThread"]
    calls = json.loads(r.out)
    assert len(calls) > 90, calls
    lacking = 0
    for name, (shown, wrong, waited, took) in calls.items():
        assert not wrong, (name, wrong)
        here = waits(stacks, f"call_{name}", f"{MARK}: {shown})")
        assert 0.1 * waited <= here <= 1.02 * took + SHORT, (name, here / 1e6, waited / 1e6, took / 1e6)
        lacking += max(0, 0.95 * waited - here)
        assert waits(stacks, f"call_{name}") <= here + SHORT, (name, stacks)
    assert lacking <= unseen(stacks) + SHORT, (lacking / 1e6, stacks)  # of a wait that ends while the machine is busy a part is for a CPU


@case
def names_of_others(b):
    """A library of the program's has functions with the names of calls that wait, and other arguments: they get all of them."""
    foreign = compile_support(b, "foreign.c", "libforeign.so", "-shared", "-fPIC", "-I", ROOT)
    source = f"import ctypes, time\ntime.sleep(0.02)\nf = ctypes.CDLL({foreign!r}).foreign_wrong\nf.restype = ctypes.c_char_p\nprint(f())\n"
    for wall in (0, 1):
        r = embed(b, "once", source, linked=True, before=["-Wl,--no-as-needed", foreign], SPPROF_OUT="p.json", SPPROF_WALL=wall)
        assert r.out.startswith("None\n"), r.out
        assert r.profile().block["complete"]


@case
def signal_of_others(b):
    """... or signal(), as libc's is: our ticks neither kill the program nor reach its handler, and it is profiled."""
    behind = compile_support(b, "behind.c", "libbehind.so", "-shared", "-fPIC")
    for handler in ("None", "own", "ctypes.c_void_p(1)"):
        source = f"""
import ctypes, time
calls = []
own = ctypes.CFUNCTYPE(None, ctypes.c_int)(calls.append)
def busy(s):
    end = time.thread_time() + s
    while time.thread_time() < end: pass
busy(.05)
signal = ctypes.CDLL(None).signal
signal.restype = ctypes.c_void_p
signal(27, {handler})
busy(.3)
print(len(calls))
"""
        r = embed(b, "once", source, linked=True, before=["-Wl,--no-as-needed", behind], SPPROF_OUT="p.json")
        assert r.out.startswith("0\n") and r.err == "", (handler, r.out, r.err)
        assert r.profile().total_ns()["busy"] > 0.2e9, r.profile().stacks()


if __name__ == "__main__":
    sys.exit(main())
