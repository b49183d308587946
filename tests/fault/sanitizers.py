#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""AddressSanitizer and UndefinedBehaviorSanitizer: the unit tests, and the library under real interpreters. ThreadSanitizer:
the store's tables, which threads fill at once, and its gate.

usage: sanitizers.py SOURCE_DIR BUILD_DIR PYTHON...
"""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import Profile, clean_env  # noqa: E402

source, build, *pythons = sys.argv[1:]
subprocess.run(["cmake", "-S", source, "-B", build, "-G", "Ninja", "-DCMAKE_C_COMPILER=gcc", "-DSPPROF_COMMAND=OFF",
                "-DCMAKE_BUILD_TYPE=Sanitized", "-DCMAKE_C_FLAGS=-O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"],
               check=True, stdout=subprocess.DEVNULL)
units = ["unit_config", "unit_names", "unit_lines", "unit_elf", "unit_walk", "unit_store", "unit_gate", "unit_swap", "unit_salvage", "unit_writer"]
subprocess.run(["cmake", "--build", build, "--target", "spprof_library", *units], check=True, stdout=subprocess.DEVNULL)
env = dict(clean_env(), ASAN_OPTIONS="detect_leaks=0", SPPROF_TEST_GOLDEN=os.path.join(source, "tests/golden"))
for unit in units:
    subprocess.run([os.path.join(build, "tests/unit", unit)], check=True, env=env)

threads = build + "-threads"
subprocess.run(["cmake", "-S", source, "-B", threads, "-G", "Ninja", "-DCMAKE_C_COMPILER=gcc", "-DSPPROF_COMMAND=OFF",
                "-DCMAKE_BUILD_TYPE=Sanitized", "-DCMAKE_C_FLAGS=-O1 -g1 -fsanitize=thread -fno-omit-frame-pointer"], check=True, stdout=subprocess.DEVNULL)
subprocess.run(["cmake", "--build", threads, "--target", "unit_store", "unit_gate", "unit_swap"], check=True, stdout=subprocess.DEVNULL)
for unit in ("unit_store", "unit_gate", "unit_swap"):
    subprocess.run([os.path.join(threads, "tests/unit", unit)], check=True, env=dict(clean_env(), TSAN_OPTIONS="halt_on_error=1", SPPROF_TEST_SWAPS="100"))

PROGRAM = """
import threading, time, os, json, asyncio
def busy(s):
    end = time.thread_time() + s
    while time.thread_time() < end: json.loads('{"a":[1,2,3]}')
def churn():
    for i in range(150):
        ns = {}
        exec("def f%d(n):\\n if n: return f%d(n-1)\\n for i in range(3000): pass\\nf%d(%d)" % (i, i, i, i % 50), ns)
ts = [threading.Thread(target=busy, args=(.2,)) for _ in range(3)] + [threading.Thread(target=churn)]
for t in ts: t.start()
for t in ts: t.join()
async def co(n):
    for i in range(n): await asyncio.sleep(0)
async def gather(): await asyncio.gather(*[co(100) for _ in range(30)])
asyncio.run(gather())
import spprof
for i in range(20):
    with spprof.Profiler() as p: threading.Thread(target=busy, args=(.005,)).start(); busy(.005)
    assert sum(s.weight_ns for s in p.profile.samples) == p.profile.stats.cpu_ns
zero = os.open("/dev/zero", os.O_RDONLY)
end = time.thread_time() + .2
while time.thread_time() < end: os.read(zero, 1 << 16) # ticks in frames of ours
for i in range(2):
    if os.fork() == 0: busy(.05); os._exit(0)
    os.wait()
print("done")
"""
libraries = [subprocess.run(["gcc", f"-print-file-name={n}"], capture_output=True, text=True).stdout.strip()
             for n in ("libasan.so", "libubsan.so")]
for python in pythons:
    if ".cache" in python and "13-t" not in python:
        continue  # another glibc: the system's sanitizers do not load there
    with tempfile.TemporaryDirectory() as d:
        app = os.path.join(d, "app.py")
        with open(app, "w") as f:
            f.write(PROGRAM)
        r = subprocess.run([python, app], cwd=d, capture_output=True, text=True, timeout=200, env=dict(
            env, LD_PRELOAD=" ".join([*libraries, os.path.join(build, "libspprof.so")]), SPPROF_INTERVAL="1ms"))
        assert (r.returncode, r.stdout, r.stderr) == (0, "done\n", ""), (python, r)
        files = [f for f in os.listdir(d) if f.endswith(".json")]
        assert len(files) == 3, files
        for f in files:
            Profile(os.path.join(d, f))
        print("ok  ", python)
