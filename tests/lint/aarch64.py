#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The library's sources for aarch64, warnings as errors, and the walks of native stacks there under an emulator: those parts of
compat that differ by processor. usage: aarch64.py SOURCE_DIR"""
import glob
import os
import shutil
import subprocess
import sys
import tempfile

CC, RUN = "aarch64-linux-gnu-gcc", "qemu-aarch64"
FLAGS = ["-std=gnu11", "-O2", "-D_GNU_SOURCE", "-ftls-model=initial-exec", "-Wall", "-Wextra", "-Wshadow", "-Wconversion",
         "-Wmissing-prototypes", "-Werror"]
# What the emulator does not have: it reads itself what the kernel is asked about, and a library that was closed leaves no hole for
# the next.
NOT_THERE = {"files_change", "libraries_take_turns", "libraries_take_turns_beside_walks"}


def main(root):
    if not shutil.which(CC):
        print(f"skip: no {CC} (Debian: gcc-aarch64-linux-gnu libc6-dev-arm64-cross)")
        return 77
    compat = [f for f in glob.glob(os.path.join(root, "compat", "*.c")) if not f.endswith(("_darwin.c", "_windows.c", "_libunwind.c"))]
    others = [f for folder in ("sampler", "writers") for f in glob.glob(os.path.join(root, folder, "*.c"))]
    subprocess.run([CC, *FLAGS, "-I", root, "-fsyntax-only", *compat, *others], check=True)
    for source in glob.glob(os.path.join(root, "inject", "*.c")):  # what is inlined there warns as well
        subprocess.run([CC, *FLAGS, "-I", root, "-S", source, "-o", os.devnull], check=True)
    if not shutil.which(RUN):
        print(f"skip: compiled; no {RUN} to run it (Debian: qemu-user)")
        return 77
    failed = 0
    with tempfile.TemporaryDirectory() as d:
        flags = ["-O2", "-D_GNU_SOURCE", "-I", root]
        shared = [os.path.join(root, "tests/support/unit.c"), *compat]
        subprocess.run([CC, *flags, "-c", *shared], check=True, cwd=d)
        objects = [os.path.join(d, os.path.basename(f)[:-2] + ".o") for f in shared]
        turns = []
        for frame in (16, 112):
            turns.append(os.path.join(d, f"turn_{frame}.so"))
            subprocess.run([CC, "-shared", "-fPIC", f"-DFRAME={frame}", os.path.join(root, "tests/support/turn.c"), "-o", turns[-1]], check=True)
        for name in ("cfi", "unwind", "unwind_libraries"):
            exe = os.path.join(d, name)
            subprocess.run([CC, *flags, f'-DTURN_A="{turns[0]}"', f'-DTURN_B="{turns[1]}"', os.path.join(root, "tests/unit", name + ".c"),
                            *objects, "-o", exe, "-ldl", "-lpthread"], check=True)
            r = subprocess.run([RUN, "-L", "/usr/aarch64-linux-gnu", exe], capture_output=True, text=True, timeout=600)
            print(r.stdout, r.stderr, sep="")
            bad = [line.split()[1] for line in r.stdout.splitlines() if line.startswith("FAIL")]
            failed += bool(set(bad) - NOT_THERE) or "passed" not in r.stdout
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(os.path.abspath(sys.argv[1])))
