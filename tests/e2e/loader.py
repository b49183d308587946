#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The loader is locked while the constructor or destructor of a library runs, which may wait for a thread: nothing that the
thread calls in us may want that lock."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import MACHINE, CASES, WORK, Skip, case, complete, compile_support, main  # noqa: E402,F401


def waits(b):
    return compile_support(b, "waits.c", "libwaits.so", "-shared", "-fPIC")


def opens(b, *args, **kw):
    """Runs the C program as it is and with us: the same must come out."""
    program = compile_support(b, "opens.c", "opens")
    plain = b.run(None, command=[program, *args], preload=False, timeout=60)
    ours = b.run(None, command=[program, *args], timeout=60, **kw)
    assert (ours.code, ours.out, ours.err) == (plain.code, plain.out, plain.err) and "done \n" == plain.out, (plain.err, ours.err, ours.out)
    assert not ours.files()


@case
def constructors(b):
    """In a C program and in Python, at once in several threads."""
    library = waits(b)
    opens(b, "2", "0", library)
    opens(b, "2", "3", library)
    r = b.run(WORK + f"""
import ctypes, _ctypes, threading
def opens():
    for i in range(2):
        library = ctypes.CDLL({library!r})
        _ctypes.dlclose(library._handle)
threads = [threading.Thread(target=opens) for i in range(2)]
for t in threads: t.start()
for t in threads: t.join()
""")
    complete(b, r)


@case
def before_ours(b):
    """Constructors that run before ours, one of which opens another library."""
    library = waits(b)
    opener = compile_support(b, "waits.c", "libopener.so", "-shared", "-fPIC", f'-DOPENS="{library}"')
    for early in (library, opener):
        complete(b, b.run(WORK, preload=early, timeout=60))
    linked = compile_support(b, "opens.c", "linked", "-Wl,--no-as-needed", opener)
    assert b.run(None, command=[linked, "1", "1", library], timeout=60).out == "done \n"


@case
def others_behind_us(b):
    """What the program calls goes to the library behind ours, also where libc has the function in several versions."""
    if MACHINE != "x86_64":
        raise Skip("glibc for this processor began with the newest versions")
    program = compile_support(b, "wraps.c", "wraps")
    other = compile_support(b, "wraps.c", "libwraps.so", "-shared", "-fPIC", "-DLIBRARY")
    said = {preload: b.run(None, command=["env", "LD_PRELOAD=" + preload, program], preload=False).out
            for preload in (other, f"{b.library}:{other}", f"{other}:{b.library}")}
    assert set(said.values()) == {"pthread_cond_timedwait\ntimer_create\nposix_spawn\n"}, said


if __name__ == "__main__":
    sys.exit(main())
