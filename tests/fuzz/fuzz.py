#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds and runs one fuzz target. usage: fuzz.py SOURCE_DIR BUILD_DIR TARGET     SPPROF_FUZZ_SECONDS: how long (2)

A crash leaves its input in BUILD_DIR/crash-TARGET-*; run the target on that file to see it again. Inputs that found
something new are kept in BUILD_DIR/corpus-TARGET.
"""
import gzip
import os
import shutil
import subprocess
import sys
import time
import zlib

source, build, target = sys.argv[1:]
clang = shutil.which("clang")
probe = subprocess.run([clang or "false", "-fsanitize=fuzzer", "-x", "c", "-", "-o", "/dev/null"], text=True, capture_output=True,
                       input="int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return 0; }")
if probe.returncode != 0:
    print("skip: no clang with libFuzzer (Debian: clang libclang-rt-14-dev)")
    sys.exit(77)
# The walker reads what the kernel says can be read, AddressSanitizer's own shadow included: it goes without.
sanitizers = "undefined" if target == "walk" else "address,undefined"
build += "-plain" if target == "walk" else ""
subprocess.run(["cmake", "-S", source, "-B", build, "-G", "Ninja", f"-DCMAKE_C_COMPILER={clang}", "-DSPPROF_FUZZ=ON", "-DCMAKE_BUILD_TYPE=Fuzzed",
                f"-DCMAKE_C_FLAGS=-fsanitize=fuzzer-no-link,{sanitizers} -fno-sanitize=alignment -fno-sanitize-recover=undefined "
                "-fno-omit-frame-pointer -O1 -g1"], check=True, stdout=subprocess.DEVNULL)
subprocess.run(["cmake", "--build", build, "--target", f"fuzz_{target}"], check=True, stdout=subprocess.DEVNULL)
corpus = os.path.join(build, f"corpus-{target}")
os.makedirs(corpus, exist_ok=True)
here = os.path.dirname(os.path.abspath(__file__))
seeds = [os.path.join(here, "../golden"), os.path.join(here, "seeds")] if target == "report" else []
if target == "gunzip":  # each kind of block, behind the bytes that say how much room there is
    seeds = [os.path.join(build, "seeds-gunzip")]
    os.makedirs(seeds[0], exist_ok=True)
    for i, (level, strategy) in enumerate([(0, 0), (1, 0), (9, 0), (6, zlib.Z_FIXED), (6, zlib.Z_HUFFMAN_ONLY)]):
        for bits in -15, 31:
            c = zlib.compressobj(level, zlib.DEFLATED, bits, 9, strategy)
            with open(os.path.join(seeds[0], f"{i}{bits}"), "wb") as f:
                f.write(bytes([bits > 0, 200]) + c.compress(b"".join(b"%d;%d," % (n, n * n) for n in range(300))) + c.flush())
if target == "ship":  # files of ours, alone and two of them, without their frames
    with open(os.path.join(here, "../golden/profile.pb.gz"), "rb") as f:
        golden = gzip.decompress(f.read())
    seeds = [os.path.join(build, "seeds-ship")]
    os.makedirs(seeds[0], exist_ok=True)
    for name, data in (("one", b"\0\0" + golden), ("two", b"\1\x80" + golden + golden)):
        with open(os.path.join(seeds[0], name), "wb") as f:
            f.write(data)
until, executed, status = time.monotonic() + float(os.environ.get("SPPROF_FUZZ_SECONDS", "2")), 0, 0
while status == 0 and time.monotonic() < until:
    seconds = max(1, min(30, round(until - time.monotonic())))  # report leaks what it read, as a command may
    r = subprocess.run([os.path.join(build, "tests/fuzz", f"fuzz_{target}"), f"-max_total_time={seconds}",
                        f"-artifact_prefix={build}/crash-{target}-", "-timeout=20", "-rss_limit_mb=4096", "-max_len=4096",
                        "-print_final_stats=1", "-detect_leaks=0", corpus, *seeds], capture_output=True, text=True,
                       env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))
    executed += sum(int(line.split()[-1]) for line in r.stderr.splitlines() if line.startswith("stat::number_of_executed_units"))
    status = r.returncode
print(f"{target}: {executed} inputs")
if status != 0:
    print(r.stderr[-6000:])
sys.exit(1 if status else 0)
