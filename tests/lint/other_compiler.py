#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds with another compiler, warnings as errors, and holds its objects to the same rules.
usage: other_compiler.py SOURCE_DIR BUILD_DIR CC"""
import glob
import os
import subprocess
import sys

source, build, cc = sys.argv[1:4]
if not os.path.exists(cc):
    print("skip: no clang")
    sys.exit(77)
here = os.path.dirname(os.path.abspath(__file__))
subprocess.run(["cmake", "-S", source, "-B", build, "-G", "Ninja", f"-DCMAKE_C_COMPILER={cc}", "-DSPPROF_WERROR=ON",
                "-DSPPROF_TESTS=OFF"], check=True, stdout=subprocess.DEVNULL)
subprocess.run(["cmake", "--build", build, "-j", "2"], check=True)
objects = [o for d in ("compat", "sampler", "writers", "inject") for o in glob.glob(f"{build}/{d}/CMakeFiles/{d}.dir/*.o")]
rules = [["sigsafe.py", *objects], ["elf.py", f"{build}/libspprof.so", f"{source}/inject/libspprof.map"]]
sys.exit(max(subprocess.run([sys.executable, os.path.join(here, r[0]), *r[1:]]).returncode for r in rules))
