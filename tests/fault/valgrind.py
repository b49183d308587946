#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""valgrind's memcheck over end-to-end tests: no invalid or uninitialised read, no wild argument, no leak with the library
in its stack. Python takes its memory from malloc, so that reading a dead object is an invalid read.

usage: valgrind.py PYTHON LIBRARY BUILD [CASE...]     default: all of CASES, about two minutes
"""
import collections
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import SKIP, clean_env  # noqa: E402

# Suite -> cases that compare neither stderr, which may have valgrind's warnings, nor a child's time, nor want speed
CASES = {"sampling": "threads names c_threads recursion thread_churn native_code", "process": "subprocess_children two_ends_at_once",
         "spool": "clean_ends_leave_no_file children_leave_no_file", "versions": "tasks subinterpreters"}
OPTIONS = "-q --xml=yes --leak-check=full --show-leak-kinds=definite"


def findings(file):
    """Errors in whose first stack the library stands, as (kind, innermost function, stack)."""
    try:
        errors = list(ET.parse(file).iter("error"))
    except ET.ParseError:
        return  # that process was killed
    for e in errors:
        frames = list(e.find("stack").iter("frame"))
        if any((f.findtext("obj") or "").endswith("/libspprof.so") for f in frames):
            names = [f.findtext("fn") or "?" for f in frames]
            yield e.findtext("kind"), names[0], " < ".join(names[:6])


def main():
    python, library, build, *wanted = sys.argv[1:]
    here = os.path.dirname(os.path.abspath(__file__))
    directory = tempfile.mkdtemp(prefix="spprof-valgrind-")
    try:
        wrapped = os.path.join(directory, "python")
        malloc = dict(clean_env(), PYTHONMALLOC="malloc")  # a free-threaded build has its own allocator only
        has_choice = subprocess.run([python, "-c", "0"], env=malloc, capture_output=True).returncode == 0
        with open(wrapped, "w") as f:
            f.write(f"#!/bin/sh\n{'export PYTHONMALLOC=malloc' * has_choice}\nexec valgrind {OPTIONS} --xml-file={directory}/%p.xml {python} \"$@\"\n")
        os.chmod(wrapped, 0o755)
        if not shutil.which("valgrind") or subprocess.run([wrapped, "-c", "0"], env=clean_env(), capture_output=True).returncode != 0:
            print(f"skip: valgrind is not there, or cannot run {python}")
            return SKIP
        few = {"SPPROF_TEST_CHURN": "300"} if wanted else {}
        failed = 0
        for suite, cases in CASES.items():
            cases = [c for c in cases.split() if not wanted or c in wanted]
            if cases:
                command = [sys.executable, os.path.join(here, "../e2e", suite + ".py"), wrapped, library, build, *cases]
                failed |= subprocess.run(command, env=dict(os.environ, **few)).returncode not in (0, SKIP)
        reports = glob.glob(directory + "/*.xml")
        found = collections.Counter(f for r in reports for f in findings(r))
        for (kind, _, stack), n in found.items():
            print(f"{n} {kind}: {stack}")
        print(f"{len(reports)} processes, {len(found)} findings")  # that the library was there, the cases' profiles show
        return 1 if failed or found or not reports else 0
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
