#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The signal-safety lint finds what is planted in sigsafe_planted.c. usage: sigsafe_planted.py CC SOURCE_DIR"""
import os
import subprocess
import sys
import tempfile

cc, source = sys.argv[1:3]
here = os.path.dirname(os.path.abspath(__file__))
with tempfile.TemporaryDirectory() as tmp:
    obj = os.path.join(tmp, "planted.o")
    subprocess.run([cc, "-std=gnu11", "-O2", "-fPIC", "-I", source, "-c", os.path.join(here, "sigsafe_planted.c"), "-o", obj],
                   check=True)
    r = subprocess.run([sys.executable, os.path.join(here, "sigsafe.py"), obj], capture_output=True, text=True)
print(r.stdout, end="")
missing = [w for w in ("calls_malloc refers to malloc", "calls_unmarked refers to unmarked",
                       "calls_pointer calls through a pointer", "table holds unmarked") if w not in r.stdout]
for w in missing:
    print("not found:", w)
sys.exit(1 if missing or r.returncode == 0 else 0)
