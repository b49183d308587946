#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The ELF rules of a library that is loaded into strangers: usage: elf.py LIBRARY MAP"""
import os
import re
import subprocess
import sys

library, map_file = sys.argv[1:3]


def readelf(*args):
    return subprocess.run(["readelf", "-W", *args, library], check=True, capture_output=True, text=True).stdout


problems = []


def check(ok, what):
    print(("ok   " if ok else "FAIL ") + what)
    if not ok:
        problems.append(what)


dynamic = readelf("-d")
needed = re.findall(r"\(NEEDED\).*\[(.+)\]", dynamic)
check(set(needed) == {"libc.so.6", "libdl.so.2"}, f"NEEDED {needed} is libc.so.6 and libdl.so.2")
check(not re.search(r"\((RUNPATH|RPATH)\)", dynamic), "looks for them nowhere but where the system does")
check("BIND_NOW" in dynamic or re.search(r"FLAGS.*\bNOW\b", dynamic), "bound at load time (-z now)")
check(re.search(r"FLAGS_1.*NODELETE", dynamic), "never unmapped (-z nodelete)")
check("GNU_RELRO" in readelf("-l"), "RELRO")
check(not re.search(r"GNU_STACK.*RWE", readelf("-l")), "no executable stack")
check("Version definition section" not in readelf("-V"), "anonymous version script: no version definition")
check("TEXTREL" not in dynamic, "no text relocations")
check("BUILD_ID" in readelf("-n") or "Build ID" in readelf("-n"), "has a build id")

symbols = [line.split() for line in readelf("--dyn-syms").splitlines() if re.match(r"\s*\d+:", line)]
floor = max((tuple(map(int, v.split("."))) for v in re.findall(r"GLIBC_([0-9.]+)", readelf("--dyn-syms"))),
            default=(0,))
check(floor <= (2, 17), f"newest symbol version GLIBC_{'.'.join(map(str, floor))} is at most 2.17")

exported = {s[7].split("@")[0] for s in symbols if len(s) > 7 and s[6] != "UND" and s[4] in ("GLOBAL", "WEAK")}
listed = set(re.findall(r"([A-Za-z_]\w*)\s*;", re.sub(r"/\*.*?\*/", "", open(map_file).read(), flags=re.S)))
listed -= {"local"}
check(exported == listed, f"exports exactly the map's symbols; differing: {sorted(exported ^ listed)}")

# Every name that the library wants from libc is one that musl has too.
names = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libc_names.txt")).read().split()
undefined = {s[7].split("@")[0] for s in symbols if len(s) > 7 and s[6] == "UND"}
check(undefined <= set(names), f"undefined names are in libc_names.txt; others: {sorted(undefined - set(names))}")
check(not any(n.endswith(("_chk", "64")) for n in undefined), "no fortified and no LFS64 names")

tls = re.findall(r"^\s+TLS\s+\S+\s+\S+\s+\S+\s+\S+\s+(0x[0-9a-f]+)", readelf("-l"), re.M)
check(sum(int(t, 16) for t in tls) <= 512, f"static TLS {tls} is at most 512 bytes")
check("__tls_get_addr" not in undefined, "initial-exec TLS only")
sys.exit(1 if problems else 0)
