#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Collapsed stacks of ours in inferno, the crate: each frame of its flame graph has what the file's lines say, to the nanosecond.
usage: inferno.py UNIT_WRITER GOLDEN LIBRARY BUILD PYTHON. Needs cargo, which builds it once."""
import collections
import html
import os
import re
import shutil
import subprocess
import sys
import tempfile

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "support"))
from sp import BUSY, SKIP, Bench  # noqa: E402

PROGRAM = BUSY + """
import threading
def hottest(): busy(.15)
def warmest(): hottest(); busy(.05)
t = threading.Thread(target=warmest, name='w\\u00f6rker; <one>'); t.start(); warmest(); t.join()
"""


def built(build):
    cargo = shutil.which("cargo", path=os.environ.get("PATH", "") + ":" + os.path.expanduser("~/.cargo/bin"))
    if not cargo:
        print("skip: no cargo, to build inferno (Debian: cargo)")
        sys.exit(SKIP)
    target = os.path.join(build, "tests", "inferno")
    r = subprocess.run([cargo, "build", "-q", "--locked", "--target-dir", target], cwd=os.path.join(here, "inferno"), capture_output=True, text=True)
    if r.returncode:
        print("skip: inferno cannot be built here:", r.stderr[-300:])
        sys.exit(SKIP)
    return os.path.join(target, "debug", "reads_with_inferno")


def in_file(path):
    """(name, ns) of each frame of a flame graph of these stacks, "all" below them."""
    total, whole = collections.Counter(), 0
    with open(path, encoding="utf-8", newline="\n") as f:
        for line in f.read().split("\n")[1:-1]:
            stack, _, ns = line.rpartition(" ")
            names = stack.split(";")
            whole += int(ns)
            for i in range(len(names)):
                total[tuple(names[:i + 1])] += int(ns)
    return sorted([("all", whole)] + [(names[-1], ns) for names, ns in total.items()])


def shown(program, path):
    with open(path, "rb") as f:
        svg = subprocess.run([program], stdin=f, capture_output=True, text=True, check=True).stdout
    titles = [html.unescape(t) for t in re.findall(r"<title>([^<]*)</title>", svg)]
    return sorted((m[1], int(m[2].replace(",", ""))) for m in (re.fullmatch(r"(.*) \(([\d,]+) ns, [^()]*\)", t, re.S) for t in titles))


def main():
    writer, golden, library, build, python = [os.path.abspath(a) for a in sys.argv[1:6]]
    program, failed = built(build), 0
    tmp = tempfile.mkdtemp(prefix="spprof-inferno-")
    b = Bench(python, library, build)
    try:
        subprocess.run([writer], check=True, env=dict(os.environ, SPPROF_TEST_WRITE=tmp, SPPROF_TEST_GOLDEN=golden), stdout=subprocess.DEVNULL)
        b.run(PROGRAM, SPPROF_OUT=os.path.join(tmp, "program.collapsed"), SPPROF_NATIVE="on")
        files = sorted(f for f in os.listdir(tmp) if f.endswith(".collapsed"))
        assert len(files) >= 2, files
        for name in files:
            want = in_file(os.path.join(tmp, name))
            good = shown(program, os.path.join(tmp, name)) == want
            failed += not good
            print("ok  " if good else "FAIL", name, len(want), "frames")
    finally:
        b.close()
        shutil.rmtree(tmp)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
