#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Native frames among Python frames (SPPROF_NATIVE). What is called by what is known by construction."""
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import BUSY, Profile, case, complaints, main, need_frames  # noqa: E402,F401

SPIN = BUSY + """
import ctypes, os, sys, threading
lib = ctypes.CDLL(sys.argv[1])
def spin(ms): lib.spin_ms(ms)
"""


def spin(b, program, **kw):
    return b.run(SPIN + program, os.path.join(b.build, "tests", "libspin.so"), **{"SPPROF_NATIVE": "on", "SPPROF_INTERVAL": "1ms", **kw})


def is_native(frame):
    return not frame["name"].startswith("(") and not frame.get("file", "").endswith((".py", ">")) or frame["name"] == "(native ?)"


def stacks(p, profile=0):
    """Stacks of (name, library or None), root first -> ns. Of a native frame only its library's name counts."""
    named = [("", f["name"]) if f["name"] == "(gc)" else ("", os.path.basename(f["file"])) if is_native(f) and "file" in f else
             (f["name"].split(" ")[0], None) for f in p.frames]
    sums = {}
    for s, w in zip(p.profiles[profile]["samples"], p.profiles[profile]["weights"]):
        key = tuple(named[i] for i in s)
        sums[key] = sums.get(key, 0) + w
    return sums


def python_only(stack):
    return tuple(name for name, library in stack if library is None)


def libraries_between(stack, above, below):
    """Libraries of the native frames between two Python functions that follow each other; None: they do not."""
    names = [(i, name) for i, (name, library) in enumerate(stack) if library is None]
    for (i, a), (j, c) in zip(names, names[1:]):
        if (a, c) == (above, below):
            return {library for _, library in stack[i + 1:j]}
    return None


@case(where="all")
def leaf_in_a_library(b):
    """C code that a function called is below it, and the function's total is what it was."""
    need_frames(b)
    p = spin(b, "def other(): busy(0.1)\nspin(300); other()\n").profile()
    below_spin = sum(w for s, w in stacks(p).items() if "spin" in python_only(s) and s[-1][1])
    in_library = sum(w for s, w in stacks(p).items() if ("", "libspin.so") in s)
    assert abs(p.total_ns()["spin"] - 0.3e9) <= p.doubt_ns(2), (p.total_ns(), p.block)
    assert below_spin >= p.total_ns()["spin"] - p.doubt_ns() and in_library >= p.total_ns()["spin"] - p.doubt_ns(), stacks(p)
    assert all(("", "libspin.so") not in s for s in stacks(p) if "other" in python_only(s)), stacks(p)


QSORT = """
libc = ctypes.CDLL(None)
compare_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
def sort(depth, compare): libc.qsort((ctypes.c_int * 2)(1, 2), 2, 4, compare)
def level(depth):
    def compare(a, c):
        if depth: level(depth - 1)
        else: busy(0.3)
        return 0
    sort(depth, compare_type(compare))
level(9)
"""


@case(where="all")
def ten_levels(b):
    """Python calls C calls Python, ten times: each call of libc's qsort() stands where it was made."""
    need_frames(b)
    p = spin(b, QSORT).profile()
    shown = {s: w for s, w in stacks(p).items() if "busy" in python_only(s) and "level" in python_only(s)}
    assert sum(shown.values()) >= 0.3e9 - p.doubt_ns(), stacks(p)
    compare = "level.<locals>.compare" if b.version >= (3, 11) else "compare"
    for s, w in shown.items():
        python = python_only(s)
        assert [n for n in python if n in ("level", "sort", compare)] == ["level", "sort", compare] * 10, s
        between = [i for i, (name, _) in enumerate(s) if name == "sort"]
        for i in between if "(native" not in python else ():  # the way through a JIT compiler's code is not seen
            called = [library for _, library in s[i + 1:i + s[i:].index((compare, None))]]
            assert any(library and library.startswith("libc") for library in called), (s, called)


@case(where="all")
def python_stays(b):
    """Without its native frames every stack is one that can be, and equal to one that is seen without them."""
    need_frames(b)
    program = """
import json, re
def gen(n):
    for i in range(n): yield inner(i)
def inner(i): return sorted([3, 1, 2], key=key)
def key(x): return -x
class Late:
    def __del__(self): key(1)
def many(n): return many(n - 1) if n else [sum(gen_of()) for _ in range(30)]
def gen_of():
    for i in range(20): yield len(json.dumps([i] * 20))
def deep(): many(100)
def sub(): re.sub("a", lambda m: str(inner(1)), "aaaa" * 20)
def run():
    end = thread_time() + 0.5
    while thread_time() < end:
        list(gen(30)); Late(); deep(); sub()
run()
"""
    may_call = {"run": {"gen", "__del__", "deep", "sub"}, "gen": {"inner"}, "inner": {"key"}, "deep": {"many"},
                "many": {"many", "<listcomp>", "gen_of"}, "<listcomp>": {"gen_of"}, "gen_of": {"dumps"}, "key": set()}
    seen = {}
    for native in ("off", "on", "full"):
        p = spin(b, program, SPPROF_NATIVE=native).profile()
        seen[native] = {}
        for s, w in stacks(p).items():
            python = python_only(s)
            if "run" in python:
                python = tuple(name.rpartition(".")[2] for name in python[python.index("run"):])
                seen[native][python] = seen[native].get(python, 0) + w
        for python in seen[native]:
            for above, below in zip(python, python[1:]):
                assert above not in may_call or below in may_call[above] or below.startswith("("), (native, python)
        assert sum(seen[native].values()) >= 0.5e9 - p.doubt_ns(), (native, seen[native], p.block)


@case
def names_of_functions(b):
    """A function has the name that its library's symbols give it, with the library; where the file is gone, or is another, its
    place there. In every format, and after a kill."""
    need_frames(b)
    spin_library = os.path.join(b.build, "tests", "libspin.so")
    for change, name in (("", "spin_ms [libspin.so]"), ("os.unlink(sys.argv[1])", "libspin.so+0x"),
                         ("os.rename(sys.argv[2], sys.argv[1])", "libspin.so+0x")):
        mine = shutil.copy(spin_library, os.path.join(b.fresh(), "libspin.so"))
        other = shutil.copy(os.path.join(b.build, "tests", "libchurn.so"), os.path.join(b.fresh(), "other.so"))
        for out in ("p.json", "p.collapsed"):
            shutil.copy(spin_library, mine)
            shutil.copy(os.path.join(b.build, "tests", "libchurn.so"), other)
            r = b.run(SPIN + f"spin(200)\n{change}\n", mine, other, SPPROF_NATIVE="on", SPPROF_INTERVAL="1ms", SPPROF_OUT=out)
            with open(os.path.join(r.directory, out)) as f:
                text = f.read()
            assert name in text and ("spin_ms" in text) == (not change), (change, out, text[:2000])
    anonymous = os.path.join(b.fresh(), "libspin.so")  # without a build id it is known by what it looks like
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "spin.c")
    for change, flags in (("", ()), ("os.rename(sys.argv[2], sys.argv[1])", ("-falign-functions=256",))):
        for path, also in ((anonymous, ()), (anonymous + ".other", flags)):
            subprocess.run(["cc", "-O1", "-w", "-shared", "-fPIC", "-Wl,--build-id=none", "-D_GNU_SOURCE", *also, source, "-o", path, "-lpthread", "-lrt"], check=True)
        p = b.run(SPIN + f"spin(200)\n{change}\n", anonymous, anonymous + ".other", SPPROF_NATIVE="on", SPPROF_INTERVAL="1ms").profile()
        raw = p.raw
        assert all("build_id" not in m for m in p.block["modules"] if "libspin.so" in m["path"]), p.block["modules"]
        assert (b"spin_ms" in raw) != bool(change) and (not change or b"libspin.so+0x" in raw), raw  # +0x: also a jump to libc, which has no name
    spool = b.fresh()
    spin(b, "spin(200); os.kill(os.getpid(), 9)\n", SPPROF_SPOOL=spool, check=False)
    out = os.path.join(b.fresh(), "p.collapsed")
    command = [os.path.join(b.build, "spprof"), "recover", "-o", out, os.path.join(spool, *os.listdir(spool))]
    subprocess.run(command, check=True, env=b.env(), capture_output=True)
    with open(out) as f:
        text = f.read()
    assert "spin_ms [libspin.so]" in text, text


@case
def threads_without_python(b):
    """A thread without Python is its native stack."""
    need_frames(b)
    program = "lib.spin_in_thread(0, 300)\n"
    p = spin(b, program, SPPROF_NATIVE="off").profile()
    assert p.total_ns()["(native thread)"] >= 0.3e9 - p.doubt_ns(), p.total_ns()
    p = spin(b, program).profile()
    in_library = sum(w for s, w in stacks(p).items() if ("", "libspin.so") in s)
    assert in_library >= 0.3e9 - p.doubt_ns() and not p.total_ns()["(native thread)"], (stacks(p), p.block)
    assert p.block["cpu"]["native_thread"] >= in_library - p.doubt_ns(), p.block["cpu"]


@case
def all_frames(b):
    """full: down to where the program begins, the evaluation loops being the Python frames."""
    need_frames(b)
    p = spin(b, "def f(): spin(200)\nf()\n", SPPROF_NATIVE="full").profile()
    whole = [s for s in stacks(p) if "f" in python_only(s)]
    assert whole, stacks(p)
    for s in whole:
        assert s[0][1] and any(library and library.startswith("libc.") for _, library in s[:4]), s
    p = spin(b, "def f(): spin(200)\nf()\n").profile()
    assert all(s[0] == ("<module>", None) for s in stacks(p) if "f" in python_only(s)), stacks(p)


@case
def libraries_take_turns(b):
    """Two libraries that come to lie at one address are told apart."""
    need_frames(b)
    made = []
    for name in ("first", "second"):
        source = b.write("int turn(long n) { volatile long i = 0; while (i < n) i++; return 0; }\n", name + ".c")
        made.append(os.path.join(b.directory, f"lib{name}.so"))
        subprocess.run(["cc", "-O0", "-shared", "-fPIC", "-w", source, "-o", made[-1]], check=True)
    p = spin(b, f"""
import _ctypes
def first(lib): lib.turn(2000000)
def second(lib): lib.turn(2000000)
places = set()
end = thread_time() + 0.8
while thread_time() < end:
    for function, path in ((first, {made[0]!r}), (second, {made[1]!r})):
        lib = ctypes.CDLL(path)
        places.add(ctypes.cast(lib.turn, ctypes.c_void_p).value)
        function(lib)
        handle = lib._handle
        del lib
        _ctypes.dlclose(handle)
print(len(places))
""").profile()
    for s in stacks(p):
        for name, library in (("first", "libsecond.so"), ("second", "libfirst.so")):
            assert not (name in python_only(s) and ("", library) in s), s
    assert any(("", "libfirst.so") in s for s in stacks(p)), stacks(p)


@case
def forks_and_kills(b):
    """A fork child has its own; a killed process's are in its spool."""
    need_frames(b)
    r = spin(b, "spin(200)\nsys.stdout.flush()\nif os.fork() == 0: spin(200); os._exit(0)\nos.wait()\n")
    for p in r.profiles():
        assert sum(w for s, w in stacks(p).items() if ("", "libspin.so") in s) >= 0.2e9 - p.doubt_ns(), stacks(p)
    spool = b.fresh()
    r = spin(b, "spin(200); os.kill(os.getpid(), 9)\n", SPPROF_SPOOL=spool, check=False)
    assert r.code == -signal.SIGKILL, r.code
    left = [os.path.join(spool, f) for f in os.listdir(spool)]
    out = os.path.join(b.fresh(), "p.json")
    subprocess.run([os.path.join(b.build, "spprof"), "recover", "-o", out, *left], check=True, env=b.env(), capture_output=True)
    p = Profile(out)
    assert sum(w for s, w in stacks(p).items() if ("", "libspin.so") in s) >= 0.2e9 - p.doubt_ns(), stacks(p)


if __name__ == "__main__":
    sys.exit(main())
