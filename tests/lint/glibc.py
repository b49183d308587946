#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the library takes from glibc is there on every glibc from 2.17 on, by the list of their symbols beside this file.

usage: glibc.py LIBRARY SOURCE_DIR
       glibc.py --write ABILISTS      makes the list anew, from the file of that name in PyPI's ziglang (lib/libc/glibc)
"""
import collections
import os
import re
import struct
import subprocess
import sys

LIST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "glibc_symbols.txt")
HEAD = """# Symbols of glibc's libraries on x86-64, by library and version: facts, from the list that zig keeps (glibc.py --write).
# Names with an underscore in front only as far as spprof has to do with them.
"""
PRIVATE = {"__cxa_finalize", "__environ", "__errno_location", "__register_atfork", "__sysv_signal", "_Exit", "_exit", "_dl_find_object",
           "__progname", "__progname_full", "__stack_chk_fail", "__libc_start_main", "__sigsetjmp", "_setjmp", "_longjmp", "_Fork"}
OLDEST = (2, 17)


def number(version):
    return tuple(map(int, version.split(".")))


class Abilists:
    """zig's format: names of libraries, versions, targets; then symbols, each with sets of targets, library, versions."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.data = f.read()
        self.at = 0
        libraries = [self.text() for _ in range(self.byte())]
        versions = [".".join(str(self.byte()) for _ in range(3)).removesuffix(".0") for _ in range(self.byte())]
        target = [self.text() for _ in range(self.byte())].index("x86_64-linux-gnu")
        self.found = collections.defaultdict(set)
        for entry in ("", "H"):  # functions, then objects, which have a size
            name = None
            for _ in range(self.read("H")):
                name = name or self.text()
                targets = self.read("I")
                if entry:
                    self.read(entry)
                library, more = self.byte(), True
                while more:
                    version = self.byte()
                    more = not version & 0x80
                    if targets >> target & 1:
                        self.found[libraries[library], versions[version & 0x7f]].add(name)
                if targets >> 31:
                    name = None

    def read(self, kind):
        value, = struct.unpack_from("<" + kind, self.data, self.at)
        self.at += struct.calcsize("<" + kind)
        return value

    def byte(self):
        return self.read("B")

    def text(self):
        end = self.data.index(0, self.at)
        text = self.data[self.at:end].decode()
        self.at = end + 1
        return text


def write(path):
    with open(LIST, "w") as f:
        f.write(HEAD)
        for (library, version), names in sorted(Abilists(path).found.items(), key=lambda kv: (kv[0][0], number(kv[0][1]))):
            kept = sorted(n for n in names if n in PRIVATE or not n.startswith("_"))
            if library in ("c", "dl", "pthread", "rt") and number(version) <= (2, 36) and kept:
                f.write(f"{library} {version} {' '.join(kept)}\n")


def read():
    """{name: {(library, version)}}"""
    where = collections.defaultdict(set)
    with open(LIST) as f:
        for line in f:
            if not line.startswith("#"):
                library, version, *names = line.split()
                for name in names:
                    where[name].add((library, number(version)))
    return where


def undefined(library):
    symbols = subprocess.run(["readelf", "-W", "--dyn-syms", library], check=True, capture_output=True, text=True).stdout
    return re.findall(r" (?:GLOBAL|OBJECT\s+\S+) .* UND (\S+)@GLIBC_([0-9.]+)", symbols), re.findall(r" GLOBAL .* UND (\w+)$", symbols, re.M)


def check(library, source):
    where, problems = read(), []
    needed = set(re.findall(r"\(NEEDED\).*\[lib(\w+)\.so", subprocess.run(["readelf", "-dW", library], check=True, capture_output=True,
                                                                          text=True).stdout))
    wanted, unversioned = undefined(library)
    problems += [f"{name}: undefined without a version" for name in unversioned]
    if len(wanted) < 10:
        problems.append(f"only {wanted} are undefined")
    for name, version in wanted:
        if not any(lib in needed and v == number(version) <= OLDEST for lib, v in where[name]):
            problems.append(f"{name}@GLIBC_{version}: in {sorted(where[name])}, and NEEDED are {sorted(needed)}")
    # what is looked up by name, and had more than one implementation
    sources = [os.path.join(source, d, f) for d in ("compat", "inject", "sampler") for f in os.listdir(os.path.join(source, d))
               if f.endswith(".c")]
    slots = sorted({n for f in sources for n in re.findall(r"^SP_REAL_SLOT\((\w+)\)", open(f).read(), re.M)})
    waits = open(os.path.join(source, "inject/waits.def")).read()
    slots += re.findall(r"^SP_WAIT\(\w+, (\w+),", waits, re.M)
    table = dict(re.findall(r'\{"(\w+)", "GLIBC_([0-9.]+)"\}', open(os.path.join(source, "compat/real.c")).read()))
    for name in slots:
        # libc.so.6 took over what the others had, under a new version: that is no other function
        versions = sorted({v for lib, v in where[name] if lib != "c"} or {v for _, v in where[name]})
        if len(versions) > 1 and table.get(name) != ".".join(map(str, versions[-1])):
            problems.append(f"{name} has versions {versions}: compat/real.c must ask for the newest, not for {table.get(name)}")
    for p in problems:
        print(p)
    print(f"{len(wanted)} undefined names, {len(slots)} looked up, {len(problems)} problems")
    return 1 if problems or len(slots) < 40 else 0


if __name__ == "__main__":
    sys.exit(write(sys.argv[2]) if sys.argv[1] == "--write" else check(*sys.argv[1:3]))
