#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The library loads into a C program on musl. usage: musl.py LIBRARY SOURCE_DIR"""
import os
import shutil
import subprocess
import sys
import tempfile

library, source = os.path.abspath(sys.argv[1]), sys.argv[2]

if not shutil.which("musl-gcc"):
    print("skip: no musl-gcc")
    sys.exit(77)
with tempfile.TemporaryDirectory() as d:
    exe = os.path.join(d, "host")
    subprocess.run(["musl-gcc", "-O1", os.path.join(source, "tests/support/musl_host.c"), "-o", exe], check=True)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("LD_", "SPPROF"))}
    plain = subprocess.run([exe], env=env, capture_output=True, text=True)
    ours = subprocess.run([exe], env=dict(env, LD_PRELOAD=library), cwd=d, capture_output=True, text=True)
    print(plain, ours)
    maps = subprocess.run(["musl-gcc", "-x", "c", "-", "-o", exe], text=True, check=True, input=(
        '#include <stdio.h>\nint main(void){char b[300];FILE*f=fopen("/proc/self/maps","r");while(fgets(b,300,f))fputs(b,stdout);return 0;}'))
    loaded = subprocess.run([exe], env=dict(env, LD_PRELOAD=library), capture_output=True, text=True).stdout
    assert "libspprof" in loaded, "not loaded"
    assert (plain.returncode, plain.stdout) == (7, "1 5\n") == (ours.returncode, ours.stdout)
    assert ours.stderr == "", ours.stderr
    assert os.listdir(d) == ["host"]
