# SPDX-License-Identifier: MIT
"""spprof.h from C (api_calls.c) and from Python, by ctypes, for the end-to-end tests."""
import os
import subprocess

from sp import BUSY

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
INCLUDE = "-I" + os.path.join(ROOT, "inject")

# The functions by themselves, as dlsym() finds them; in_...() as in tests/support/api_calls.c.
HEAD = BUSY + """
import ctypes, os, sys, threading
def f(name, result, *arguments):
    function = getattr(ctypes.CDLL(None), 'spprof_' + name)
    function.restype, function.argtypes = result, arguments
    return function
class Figures(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint64) for n in 'samples dropped cpu_ns duration_ns interval_ns threads'.split()] + [('reserved', ctypes.c_uint64 * 10)]
start = f('start', ctypes.c_int, ctypes.c_uint64, ctypes.c_uint64)
stop = f('stop', ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(Figures))
is_active = f('is_active', ctypes.c_int)
stats_of = f('stats', ctypes.c_int, ctypes.POINTER(Figures))
snapshot = f('snapshot', ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)
begin = f('span_begin', ctypes.c_uint64, ctypes.c_char_p)
end = f('span_end', None, ctypes.c_uint64)
version = f('version', ctypes.c_char_p)
DONE, NOT_HERE, NO_PYTHON, OFF, IS_OPEN, NONE_OPEN, NOT_RECORDING, RANGE, NO_MEMORY, NOT_WRITTEN, LOST, BUSY = range(0, -12, -1)
stats = Figures()
known = {}
scale = int(os.environ.get('SCALE', 1))
def burn(s, *way):
    s *= scale
    if way not in known:
        name = "in_" + "_".join(map(str, way or [0]))
        exec(f"def {name}(s):\\n e = thread_time() + s\\n while thread_time() < e: pass", globals())
        known[way] = globals()[name]
    known[way](s)
"""


def calls(b, *flags, name="libapi_calls.so"):
    """tests/support/api_calls.c, compiled once a case."""
    path = os.path.join(b.directory, name)
    if not os.path.exists(path):
        subprocess.run(["cc", "-O1", "-Wall", "-Wextra", "-Werror", INCLUDE, *flags, os.path.join(ROOT, "tests", "support", "api_calls.c"), "-o", path,
                        "-ldl", "-pthread"], check=True)
    return path


def library(b):
    return calls(b, "-shared", "-fPIC")


def run(b, program, *args, **kw):
    r = b.run(HEAD + program + "\nprint('done')\n", *args, **kw)
    assert (r.out, r.err) == ("done\n", ""), (r.out, r.err)
    return r
