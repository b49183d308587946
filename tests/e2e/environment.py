#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The environment is the program's: it may write over it, and the strings in it follow each other as the kernel laid them."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import CASES, WORK, Profile, case, complaints, main, spent  # noqa: E402,F401

# Room for a title as setproctitle and PostgreSQL count it: from argv[0] on, as long as the next string begins where the last
# one ended. All that the kernel laid there should be in it.
AREA = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
environ = ctypes.POINTER(ctypes.c_void_p).in_dll(libc, "environ")
fields = open("/proc/self/stat").read().rsplit(")", 1)[1].split()
arg_start, arg_end, env_start, env_end = map(int, fields[45:49])
def strings():
    i = 0
    while environ[i]:
        yield environ[i]
        i += 1
def area():
    end = arg_end - 1
    for at in strings():
        if at == end + 1: end = at + len(ctypes.string_at(at))
    return end - arg_start
def move_away_and_write_over(title):
    "What setproctitle does with a title."
    size = area()
    kept = [ctypes.create_string_buffer(ctypes.string_at(at)) for at in strings()]
    table = (ctypes.c_void_p * (len(kept) + 1))(*[ctypes.addressof(k) for k in kept], None)
    environ.contents, environ_address = None, ctypes.c_void_p.in_dll(libc, "environ")
    environ_address.value = ctypes.addressof(table)
    shown = title.encode()[:size].ljust(size, b"\\0")
    ctypes.memmove(arg_start, shown, size)
    return kept, table
""".replace("    environ.contents, environ_address = None, ctypes", "    environ_address = ctypes")


@case
def room_for_a_title(b):
    """Started directly and below shells, env, another Python: the whole block is in one piece."""
    program = b.write(AREA + "print(area() == env_end - arg_start - 1, environ[0] == env_start)\n", "area.py")
    once = f"'{b.python}' '{program}'"
    ways = {
        "direct": [b.python, program],
        "bash": ["bash", "-c", once + "; true"],
        "sh": ["sh", "-c", once + "; true"],
        "shells": ["sh", "-c", f"bash -c \"{once}; true\"; true"],
        "env": ["env", "A=1", b.python, program],
        "exec": [b.python, "-c", f"import os; os.execv({b.python!r}, [{b.python!r}, {program!r}])"],
        "child": [b.python, "-c", f"import subprocess as s; print(s.run([{b.python!r}, {program!r}], executable={b.python!r}, stdout=-1, text=1).stdout, end='')"],
        "first": ["env", "-i", f"SPPROF_RUN={'0' * 20}:{'0' * 10}:{'0' * 10}", f"LD_PRELOAD={b.library}", b.python, program],
    }
    for name, command in ways.items():
        r = b.run(None, command=command)
        assert r.out == "True True\n", (name, r.out, r.err)


@case
def written_over(b):
    """A program that shows a title has all its bytes for it; names of files come from the environment of the start."""
    for tail in ("", "if os.fork() == 0: busy(0.05); os._exit(0)\nos.wait()\n",
                 "import subprocess; subprocess.run([sys.executable, '-c', 'pass'], check=True)\n"):
        program = b.write(AREA + WORK + """
kept = move_away_and_write_over("x" * 600)
print(len(open("/proc/self/cmdline", "rb").read().rstrip(b"\\0")), os.environ["POD"])
sys.stdout.flush()
""" + tail, "title.py")
        tmp = b.fresh()
        for where, place in (("", None), ("/nonexistent/", tmp)):
            r = b.run(None, command=["bash", "-c", f"'{b.python}' '{program}'; true"], POD="web/1", SPPROF_OUT=where + "p-%{POD}.json", TMPDIR=tmp)
            assert r.out.splitlines()[0] == "600 web/1", (r.out, r.err)
            names = sorted(os.listdir(place or r.directory))
            assert names[0] in ("p-web_1.json", f"p-web_1.{names[0].split('.')[1]}.json"), names
            # a slow fork child leaves one before its exec
            assert "p-web_1.json" in names and len(names) in ({2, 3} if "subprocess" in tail else {1 + bool(tail)}), names
            assert not place or "could not be written" in r.err, r.err
        for f in os.listdir(tmp):
            os.unlink(os.path.join(tmp, f))


@case
def changed_later(b):
    """What the program puts into its environment changes nothing of ours, and reaches its children."""
    r = b.run(WORK + """
import subprocess
for name in ("POD", "TMPDIR", "SPPROF_OUT", "SPPROF_VERBOSE"): os.environ[name] = "/changed"
subprocess.run("true", env={}, shell=True)
os.environ.clear()
""", POD="web", SPPROF_OUT="p-%{POD}.json")
    names = [os.path.basename(f) for f in r.files()]  # a tick may fall between a fork and its exec: the child's own file
    assert "p-web.json" in names and all(re.fullmatch(r"p-web(\.\d+)?\.json", n) for n in names) and complaints(r.err) == "", (names, r.err)
    assert max(spent(b, Profile(f)) for f in r.files()) > 0.08e9


@case
def long_values(b):
    """A name that is too long for a file is said, and the default is used."""
    r = b.run(WORK, SPPROF_OUT="x" * 5000)
    assert "SPPROF_OUT=xxx" in r.err and "is used" in r.err and len(r.files()) == 1, r.err
    r = b.run(WORK, SPPROF_OUT="p-%{LONG}.json", LONG="y" * 300)
    assert len(r.err.splitlines()) <= 3 and "too long" in r.err, r.err


if __name__ == "__main__":
    sys.exit(main())
