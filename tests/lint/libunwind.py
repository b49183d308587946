#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""-DSPPROF_LIBUNWIND=ON: the suite of native frames holds with libunwind as the engine, which is loaded for us alone and said; where it
cannot be loaded that is said, and our own tables serve. usage: libunwind.py SOURCE_DIR BUILD_DIR OF_TESTS"""
import glob
import os
import subprocess
import sys

source, build, tests = sys.argv[1:]
listed = (line.split() for line in subprocess.run([os.path.join(source, "scripts", "pythons")], capture_output=True, text=True).stdout.splitlines())
pythons = {tag: path for tag, _, _, path in listed if tag in ("py39", "py312", "py315-static")}
if not pythons or not (glob.glob("/usr/include/libunwind.h") + glob.glob("/usr/include/*/libunwind.h")):
    print("skip: no libunwind.h (Debian: libunwind-dev), or none of these interpreters")
    sys.exit(77)
subprocess.run(["cmake", "-S", source, "-B", build, "-G", "Ninja", "-DSPPROF_WERROR=ON", "-DSPPROF_TESTS=OFF", "-DSPPROF_COMMAND=OFF",
                "-DSPPROF_LIBUNWIND=ON"], check=True, stdout=subprocess.DEVNULL)
subprocess.run(["cmake", "--build", build, "-j", "2"], check=True, stdout=subprocess.DEVNULL)
library = os.path.join(build, "libspprof.so")
assert "unwind" not in subprocess.run(["readelf", "-dW", library], capture_output=True, text=True, check=True).stdout
PROGRAM = """
import ctypes, zlib
for i in range(300): zlib.compress(b'abc' * 100000)
print(hasattr(ctypes.CDLL(None), '_ULx86_64_step'), '/libunwind.so.8' in open('/proc/self/maps').read())
"""
env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "SPPROF", "LD_"))}
for tag, python in pythons.items():
    for native, limit, said, printed in (("off", [], "", "False False\n"), ("on", [], "native frames by libunwind, ", "False True\n"),
                                         ("on", ["unshare", "-rm", "sh", "-c", 'for f in /usr/lib/*/libunwind.so.8; do mount --bind /dev/null "$(realpath $f)"; done; exec "$@"', "sh"],
                                          "libunwind.so.8 could not be loaded; ", "False False\n")):
        out = os.path.join(build, "p.collapsed")
        r = subprocess.run([*limit, "env", "LD_PRELOAD=" + library, "SPPROF_OUT=" + out, "SPPROF_NATIVE=" + native, python, "-c", PROGRAM],
                           env=env, capture_output=True, text=True)
        if limit and "unshare:" in r.stderr:
            print("skip: not without libunwind, for no mount namespace can be made")
            continue
        assert r.returncode == 0 and r.stdout == printed, (python, native, r)
        assert r.stderr.startswith("spprof: " + said) and r.stderr.count("\n") == 1 if said else r.stderr == "", (python, native, r)
        with open(out) as f:
            assert ("deflate" in f.read()) == (native == "on"), (python, native)
    suite = os.path.join(source, "tests", "e2e", "native.py")
    if tag == "py312":
        subprocess.run([sys.executable, suite, python, library, tests], check=True)
