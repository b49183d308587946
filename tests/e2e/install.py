#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""cmake --install puts everything in its place, and the header can be compiled. usage: install.py BUILD_DIR CC"""
import os
import subprocess
import sys
import tempfile

build, cc = sys.argv[1:3]
with tempfile.TemporaryDirectory() as d:
    subprocess.run(["cmake", "--install", build, "--prefix", d], check=True, stdout=subprocess.DEVNULL)
    found = sorted(os.path.relpath(os.path.join(p, f), d) for p, _, fs in os.walk(d) for f in fs)
    print("\n".join(found))
    names = [os.path.basename(f) for f in found]
    assert sorted(names) == ["_spprof", "libspprof.so", "spprof", "spprof", "spprof.1", "spprof.fish", "spprof_region.h"], names
    for f in found:
        assert f.split("/")[0] in ("bin", "lib", "lib64", "include", "share"), f
    header = next(f for f in found if f.endswith("spprof_region.h"))
    c = os.path.join(d, "t.c")
    with open(c, "w") as f:
        f.write('#include "spprof_region.h"\nint main(void) { return sizeof(struct sp_region) && SP_REGION_LAYOUT > 0 && SPPROF_VERSION[0] == 48 ? 0 : 1; }\n')
    exe = os.path.join(d, "t")
    subprocess.run([cc, "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-I", os.path.dirname(os.path.join(d, header)), c, "-o", exe], check=True)
    subprocess.run([exe], check=True)
    out = subprocess.run([os.path.join(d, "bin/spprof"), "version"], capture_output=True, text=True, check=True).stdout
    assert out.startswith("spprof 0."), out
    completion = os.path.join(d, "share/bash-completion/completions/spprof")
    for typed, wanted in (("spprof re", ["recover", "report"]), ("spprof report --so", ["--sort"]), ("spprof run --interv", ["--interval"])):
        words = typed.split()
        script = f'. {completion}; COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}; _spprof; echo "${{COMPREPLY[@]}}"'
        offered = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split()
        assert sorted(offered) == wanted, (typed, offered)
    for shell, name in (("zsh", "share/zsh/site-functions/_spprof"), ("fish", "share/fish/vendor_completions.d/spprof.fish")):
        try:
            subprocess.run([shell, "-n", os.path.join(d, name)], check=True)
        except FileNotFoundError:
            print(f"no {shell} to read its completion")
print("installed")
