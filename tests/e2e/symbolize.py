#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Names of native functions for people: demangled by the command, and found later, elsewhere, by spprof symbolize."""
import json
import lzma
import os
import random
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import BUSY, Profile, Skip, case, main, need_frames, telling  # noqa: E402,F401

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


def profile(b, path):
    """Of a program that calls all of the library's functions."""
    need_frames(b)
    program = "import ctypes, sys\nlib = ctypes.CDLL(sys.argv[1])\nfor name in sys.argv[3:]:\n    lib[name](int(sys.argv[2]))\n"

    def run(scale):
        return b.run(program, path, 60 * scale, *NAMES, SPPROF_NATIVE="on", SPPROF_INTERVAL="1ms").profile()
    return telling(run, lambda p: {f["name"].split(" ")[0] for f in p.frames} >= set(NAMES))[0]


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
    shown, native = "", [frame for frame, _, _ in p.block["native"]]
    for i, name in enumerate(names):
        p.json["shared"]["frames"][native[i % len(native)]] = {"name": name, "file": "/x/liby.so"}
        if i % len(native) == len(native) - 1 or i == len(names) - 1:
            path = os.path.join(b.fresh(), "p.json")
            with open(path, "w") as f:
                f.write(json.dumps(p.json))
            out = command(b, "report", "-n", "0", path).stdout
            assert "\x1b" not in out and max(map(len, out.splitlines())) < 9000, out
            shown += out
    assert "... [" in shown, shown


# --- spprof symbolize
class Stripped:
    """A profile of a library that has no symbols but those it exports; what they were is in files beside."""

    def __init__(self, b, *flags):
        self.whole = library(b, *flags)
        self.directory = os.path.dirname(self.whole)
        self.path, self.debug = os.path.join(b.fresh(), "libnames.so"), self.whole + ".debug"
        subprocess.run(["strip", "-o", self.path, self.whole], check=True)
        subprocess.run(["objcopy", "--only-keep-debug", self.whole, self.debug], check=True)
        p = profile(b, self.path)
        self.json, self.text = p.path, p.raw
        self.build_id = of_library(p, self.path)[1]
        assert "hidden" not in [f["name"].split(" ")[0] for f in p.frames] and "libnames.so+0x" in p.raw.decode(), p.frames

    def named(self, b, *args, hidden=True):
        """What symbolize makes of it -> the frame of hidden(), and what it said."""
        out = os.path.join(b.fresh(), "out.json")
        r = command(b, "symbolize", "-o", out, *args, self.json)
        p = Profile(out)
        found = [f for f in p.frames if f["name"] == "hidden [libnames.so]"]
        assert len(found) == hidden, (args, p.frames, r.stderr)
        return found[0] if found else None, r.stderr


def put(path, *below):
    to = os.path.join(*below)
    os.makedirs(os.path.dirname(to), exist_ok=True)
    shutil.copy(path, to)


@case
def later_elsewhere(b):
    """The library is gone; its debug file tells names and lines, wherever in the directory it lies, and nothing else changes."""
    s = Stripped(b, "-gz")
    kept = os.path.join(b.fresh(), "libnames.so")
    os.rename(s.path, kept)
    _, said = s.named(b, hidden=False)
    assert f"{s.path} (build id {s.build_id}): " in said and "no file with its build id was found" in said, said
    for i, where in enumerate((f".build-id/{s.build_id[:2]}/{s.build_id[2:]}.debug", f".build-id/{s.build_id[:2]}/{s.build_id[2:]}",
                               f"{s.build_id}/debuginfo", s.path[1:], s.path[1:] + ".debug", "libnames.so", "libnames.so.debug")):
        d = b.fresh()
        put(s.debug if i % 2 else s.whole, d, where)
        frame, _ = s.named(b, "--debug-dir", "/nowhere", "--debug-dir", d)
        if "with libdw" in command(b, "version").stdout:
            line = SOURCE.splitlines().index("static __attribute__((noinline)) void hidden(long ms)") + 1
            assert frame["file"].endswith("/names.c") and frame["line"] in (line, line + 1), frame
    out = os.path.join(b.fresh(), "out.json")
    demangles = "\nwith libiberty\n" in command(b, "version").stdout
    command(b, "symbolize", "--debug-dir", d, "-o", out, s.json)
    old, new = Profile(s.json), Profile(out)
    symbols = subprocess.run(["nm", s.whole], capture_output=True, text=True, check=True).stdout
    places = {int(line.split()[0], 16): line.split()[2] for line in symbols.splitlines() if len(line.split()) == 3}
    for place, frame in of_library(new, s.path)[0].items():
        readable = {"_ZN5outer4burnIiEEvT_": "outer::burn<int>", "_ZN7mycrate4work17h0123456789abcdefE": "mycrate::work",
                    "_RNvCs1234_7mycrate5other": "mycrate::other"}.get(places[place], places[place])
        assert frame["name"] == (f"{readable} [libnames.so]" if demangles or readable == places[place] else places[place]), frame
    assert "hidden" in [places[place] for place in of_library(new, s.path)[0]], new.frames
    native = {frame for frame, _, _ in old.block["native"]}
    assert all(i in native or f == old.frames[i] for i, f in enumerate(new.frames)), "a Python frame changed"
    begin, end = s.text.index(b'"shared"'), s.text.index(b'"profiles"')
    assert new.raw[:begin] == s.text[:begin] and new.raw[new.raw.index(b'"profiles"'):] == s.text[end:], "more than frames changed"
    assert "hidden [libnames.so]" in command(b, "report", "-n", "0", out).stdout
    rows = [dict(reversed(line.split(None, 4)[3:]) for line in command(b, "report", "-n", "0", "--by", "library", path).stdout.splitlines()
                 if line.endswith("]")) for path in (s.json, out)]
    assert "[libnames.so]" in rows[0] and rows[0] == rows[1], rows


@case
def linked_debug_file(b):
    """A stripped library names its debug file, which lies beside it, in .debug or below the directory; of another build it counts for
    nothing."""
    for where in ("", ".debug/", "given"):
        s = Stripped(b, "-gsplit-dwarf" if where else "-gdwarf-4")
        subprocess.run(["objcopy", f"--add-gnu-debuglink={s.debug}", s.path], check=True)
        at, args = (b.fresh(), ["--debug-dir"]) if where == "given" else (os.path.join(os.path.dirname(s.path), where), [])
        put(s.debug, at, "libnames.so.debug")
        frame, _ = s.named(b, *args, *([at] if args else []))
        assert "with libdw" not in command(b, "version").stdout or frame["file"].endswith("names.c"), frame
    other = library(b, "-DCALLER2")
    subprocess.run(["cc", "-shared", "-fPIC", "-Wl,--build-id", "-o", other, os.path.join(os.path.dirname(other), "names.c"), "-O0"], check=True)
    put(other, at, "libnames.so.debug")
    s.named(b, "--debug-dir", at, hidden=False)


@case
def packed_symbols(b):
    """Symbols that a library brings along in .gnu_debugdata; damaged ones are said."""
    built_with(b, "liblzma")
    s = Stripped(b)
    small = os.path.join(b.fresh(), "small")
    subprocess.run(["objcopy", "-S", "--keep-symbol=hidden", s.debug, small], check=True)
    whole = lzma.compress(open(small, "rb").read())
    for packed, hidden in ((whole, True), (whole[:len(whole) // 2], False), (b"\xfd7zXZ\0" + bytes(100), False),
                           (lzma.compress(b"\x7fELF" + bytes(5000)), False)):
        with open(small + ".xz", "wb") as f:
            f.write(packed)
        subprocess.run(["objcopy", "--remove-section=.gnu_debugdata", s.path], check=True)
        subprocess.run(["objcopy", f"--add-section=.gnu_debugdata={small}.xz", s.path], check=True)
        _, said = s.named(b, hidden=hidden)
        assert hidden or "libnames.so (build id" in said, said


@case
def damaged_files(b):
    """Whatever a library's or a debug file's bytes say: names are missing, and that is said."""
    s = Stripped(b, "-gdwarf-5")
    with open(s.debug, "rb") as f:
        good = f.read()
    dice = random.Random(1)
    d = b.fresh()
    put(s.debug, d, "libnames.so.debug")
    for i in range(32):
        bad = bytearray(good[:dice.randrange(64, len(good))] if i % 4 == 0 else good)
        for _ in range(0 if i % 4 == 0 else 3 ** (i % 4) * 10):
            bad[dice.randrange(0x300, len(bad))] = dice.choice((0, 1, 0x7f, 0x80, 0xff, dice.randrange(256)))
        with open(os.path.join(d, "libnames.so.debug"), "wb") as f:
            f.write(bad)
        r = command(b, "symbolize", "--debug-dir", d, "-o", "-", s.json)
        json.loads(r.stdout)
        assert all(line.startswith("spprof: ") for line in r.stderr.splitlines()) and len(r.stderr.splitlines()) < 20, r.stderr


@case
def a_reader_that_dies(b):
    """Debug information is read in a process of its own: what kills that costs the source lines, and is said."""
    built_with(b, "libdw")
    s = Stripped(b)
    source = b.write("#include <stdlib.h>\nvoid *dwarf_begin(int fd, int how) { BODY; return NULL; }\n", "dies.c")
    for body in ("abort()", "*(volatile int *)8 = 1", "exit(3)"):
        dies = os.path.join(b.fresh(), "dies.so")
        subprocess.run(["cc", "-shared", "-fPIC", f"-DBODY={body}", source, "-o", dies], check=True)
        out = os.path.join(b.fresh(), "out.json")
        r = subprocess.run([os.path.join(b.build, "spprof"), "symbolize", "--debug-dir", s.directory, "-o", out, s.json], capture_output=True,
                           text=True, env=dict(b.env(preload=False), LD_PRELOAD=dies))
        own = [line for line in r.stderr.splitlines() if s.path in line]
        assert r.returncode == 0 and len(own) == 1 and "its debug information is damaged" in own[0], r.stderr
        assert {f["name"] for f in Profile(out).frames} >= {"hidden [libnames.so]"} and "names.c" not in Profile(out).raw.decode()


@case
def damaged_profiles(b):
    """What is no profile of ours, or damaged, is one line; a file stays as it is."""
    s = Stripped(b)
    whole = s.text.decode()
    block = json.loads(whole)["spprof"]

    def changed(**keys):
        return json.dumps(dict(json.loads(whole), spprof=dict(block, **keys)))

    bad = {
        "is empty": "", "no JSON text": "hello", "is cut off": whole[:len(whole) // 2], "is not a Speedscope profile": "{\"a\": 1}",
        "not one that spprof wrote": json.dumps(dict(json.loads(whole), spprof=None)),
        "names no libraries": changed(native=[]),
        "its list of native frames": changed(native=[[0, len(block["modules"]), 4]]),
    }
    odd = [changed(native=n) for n in ([[99999, 0, 0]], [[0, 0]], [[0, 0, -1]], [[0, 0, 1e300]], [[0, 0, 1, 2]], [1], [[0, 0, "1"]])]
    odd += [changed(modules=m) for m in ([], [{}], [{"path": 1}], [{"path": "x" * 5000}], 7, [{"path": "/\0"}])]
    odd += [whole[:-3], whole + "x", "[" * 100000, "{\"a\":" * 100000, whole.replace("\"frames\":[", "\"frames\":[,", 1)]
    for message, text in [*bad.items(), *(("", text) for text in odd)]:
        path = os.path.join(b.fresh(), "p.json")
        with open(path, "w") as f:
            f.write(text)
        r = command(b, "symbolize", path, code=0 if message == "names no libraries" else 1)
        assert message in r.stderr and r.stderr.count("\n") == 1 and not r.stdout, (message, r.stderr, text[:100])
        with open(path) as f:
            assert f.read() == text, message
    for path in ("/nowhere", b.directory, "/dev/null"):
        r = command(b, "symbolize", path, code=1)
        assert r.stderr.count("\n") == 1, r.stderr
    harmless = changed(modules=[dict(m, build_id=i) for m, i in zip(block["modules"], ["x", "", "a" * 65, 7, "abc", None, "a" * 64] * 9)])
    with open(path := os.path.join(b.fresh(), "p.json"), "w") as f:
        f.write(harmless)
    command(b, "symbolize", path, "-o", path + ".out")
    for args in ([], ["--nope", s.json], [s.json, s.json], ["--debug-dir"], ["-o"], [*["--debug-dir", "x"] * 9, s.json]):
        assert command(b, "symbolize", *args, code=2).stderr, args


@case
def in_place(b):
    """Without -o the profile itself gets the names: a link stays one, the mode too; what is no profile of ours is not replaced."""
    s = Stripped(b)
    os.chmod(s.json, 0o640)
    link = os.path.join(b.fresh(), "link.json")
    os.symlink(s.json, link)
    args = ["symbolize", "--debug-dir", s.directory]
    command(b, *args, link)
    assert os.path.islink(link) and os.stat(s.json).st_mode & 0o777 == 0o640, os.stat(s.json)
    first = Profile(link)
    assert "hidden [libnames.so]" in [f["name"] for f in first.frames], first.frames
    command(b, *args, link)
    assert Profile(link).raw == first.raw, "twice is not as once"
    assert os.listdir(os.path.dirname(link)) == ["link.json"], "a file is left"
    mine = os.path.join(b.fresh(), "notes.json")
    with open(mine, "w") as f:
        f.write("mine")
    r = command(b, *args, "-o", mine, s.json, code=1)
    assert "is no profile of spprof, and stays" in r.stderr and open(mine).read() == "mine", r.stderr


if __name__ == "__main__":
    sys.exit(main())
