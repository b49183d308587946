#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Names of native functions for people: demangled by the command, and found later, elsewhere, by spprof symbolize."""
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import BUSY, Profile, Skip, case, main, need_frames  # noqa: E402,F401

# What C++ and Rust compilers would call them; hidden() is in no table but .symtab.
SOURCE = """
#include <time.h>
static volatile long sink;
static __attribute__((noinline)) void hidden(long ms)
{
    struct timespec t;
    long end = 0, now;
    do {
        for (int i = 0; i < 20000; i++) sink += i;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        now = t.tv_sec * 1000 + t.tv_nsec / 1000000;
        end = end ? end : now + ms;
    } while (now < end);
}
#define CALLER(c, name) void c(long ms) __asm__(name); void c(long ms) { hidden(ms); sink++; }
CALLER(cpp, "_ZN5outer4burnIiEEvT_")
CALLER(rust, "_ZN7mycrate4work17h0123456789abcdefE")
CALLER(rust_v0, "_RNvCs1234_7mycrate5other")
CALLER(plain, "plain")
"""
NAMES = ("_ZN5outer4burnIiEEvT_", "_ZN7mycrate4work17h0123456789abcdefE", "_RNvCs1234_7mycrate5other", "plain")


def command(b, *args, code=0, **kw):
    r = subprocess.run([os.path.join(b.build, "spprof"), *args], capture_output=True, text=True, env=b.env(preload=False), timeout=200, **kw)
    assert r.returncode == code and "\nspprof: out of" not in r.stderr, (args, r.returncode, r.stdout, r.stderr)
    return r


def built_with(b, library):
    if f"with {library}" not in command(b, "version").stdout.splitlines():
        raise Skip(f"the command is built without {library}")


def library(b, *flags):
    """The library with debug information, in a directory of its own."""
    directory = b.fresh()
    source = os.path.join(directory, "names.c")
    with open(source, "w") as f:
        f.write(SOURCE)
    path = os.path.join(directory, "libnames.so")
    subprocess.run(["cc", "-O1", "-g", "-fno-optimize-sibling-calls", "-shared", "-fPIC", "-Wl,--build-id", source, "-o", path, *flags], check=True)
    return path


def profile(b, path, out=None, **kw):
    need_frames(b)
    program = BUSY + "import ctypes, sys\nlib = ctypes.CDLL(sys.argv[1])\nfor name in sys.argv[2:]:\n    lib[name](100)\n"
    r = b.run(program, path, *NAMES, SPPROF_NATIVE="on", SPPROF_INTERVAL="1ms", SPPROF_OUT=out, **kw)
    return r if out else r.profile()


def of_library(p, path):
    """Frames of one library by where they begin in it, and its build id."""
    modules = p.block["modules"]
    ours = next(i for i, m in enumerate(modules) if m["path"] == path)
    return {place: p.frames[frame] for frame, module, place in p.block["native"] if module == ours}, modules[ours]["build_id"]


@case
def modules_and_places(b):
    """The block tells each native frame's library, its build id and where the function begins in it."""
    path = library(b)
    p = profile(b, path)
    frames, build_id = of_library(p, path)
    assert build_id in subprocess.run(["readelf", "-n", path], capture_output=True, text=True, check=True).stdout, build_id
    symbols = subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout
    places = {int(line.split()[0], 16): line.split()[2] for line in symbols.splitlines() if len(line.split()) == 3}
    assert {"hidden", *NAMES} <= {places[place] for place in frames}, frames
    for place, frame in frames.items():
        assert frame["file"] == path and frame["name"].split(" ")[0] == places[place], (frame, places[place])
        assert frame["name"].endswith(" [libnames.so]") != frame["name"].startswith("_"), frame # mangled alone: the viewer demangles it
    assert all(len(m) == 2 and m["path"] and bytes.fromhex(m["build_id"]) for m in p.block["modules"] if "build_id" in m), p.block["modules"]
    native = [frame for frame, _, _ in p.block["native"]]
    assert len(set(native)) == len(native) and all(m < len(p.block["modules"]) for _, m, _ in p.block["native"]), p.block["native"]
    off = b.run(BUSY + "busy(0.05)\n", SPPROF_NATIVE="off").profile()
    assert "modules" not in off.block and "native" not in off.block, off.block


@case
def readable_names(b):
    """The report prints what C++ and Rust compilers mangled as the source has it, with its library."""
    built_with(b, "libiberty")
    p = profile(b, library(b))
    r = command(b, "report", "-n", "0", p.path)
    for name in ("outer::burn<int> [libnames.so]", "mycrate::work [libnames.so]", "mycrate::other [libnames.so]", "plain [libnames.so]"):
        assert r.stdout.count("  " + name + "\n") == 1, (name, r.stdout)
    assert "_ZN" not in r.stdout and "_RN" not in r.stdout, r.stdout


@case
def hostile_names(b):
    """Names that stand for texts without end are cut; what only looks mangled stays."""
    built_with(b, "libiberty")
    p = profile(b, library(b))
    numbers = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    doubled = "_Z1fI1AIiiE" + "".join(f"S0_IS{numbers[i]}_S{numbers[i]}_E" for i in range(1, 35)) + "EvT_"  # each twice the one before
    nested = "_Z1fI" + "1XI" * 300 + "i" + "E" * 300 + "EvT_"
    names = [doubled, nested, "_Z", "_ZN", "_R", "_RNv", "_Z" + "N" * 1000, "_ZTV" + "1a" * 400, "_Z\x1b[31m", "_ZN3foo3barEv trailing",
             "_Zebra", "_Random_name", "_ZZ" * 300, "_RN" * 340, "_RINvC1f" + "B_" * 300 + "E"]
    shown = ""
    for i, name in enumerate(names):
        p.json["shared"]["frames"][i % len(p.frames)] = {"name": name, "file": "/x/liby.so"}
        if i % len(p.frames) == len(p.frames) - 1 or i == len(names) - 1:
            path = os.path.join(b.fresh(), "p.json")
            with open(path, "w") as f:
                f.write(json.dumps(p.json))
            out = command(b, "report", "-n", "0", path).stdout
            assert "\x1b" not in out and max(map(len, out.splitlines())) < 9000, out
            shown += out
    assert "... [liby.so]" in shown, shown


if __name__ == "__main__":
    sys.exit(main())
