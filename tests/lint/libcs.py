#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The library loads into other libcs: a C program on musl, Debian 11's glibc 2.31 with its Python 3.9.

usage: libcs.py LIBRARY SOURCE_DIR musl|old-glibc
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

library, source, what = os.path.abspath(sys.argv[1]), sys.argv[2], sys.argv[3]


def skip(why):
    print("skip:", why)
    sys.exit(77)


if what == "musl":
    if not shutil.which("musl-gcc"):
        skip("no musl-gcc")
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
        assert ours.stderr.replace("", "") == "", ours.stderr
        assert os.listdir(d) == ["host"]
    sys.exit(0)

# Debian 11's packages beside the system: nothing is installed.
cache = os.path.expanduser("~/.cache/spprof-glibc231")
root = os.path.join(cache, "root")
if not os.path.exists(os.path.join(root, "usr/bin/python3.9")):
    mirror = subprocess.run("apt-get indextargets --format '$(REPO_URI)' | grep -v security | head -n 1", shell=True,
                            capture_output=True, text=True).stdout.strip()
    if not mirror:
        skip("no apt")
    for sub in ("lists/partial", "cache/archives/partial", "parts", "dl", "root"):
        os.makedirs(os.path.join(cache, sub), exist_ok=True)
    with open(os.path.join(cache, "parts/b.sources"), "w") as f:
        f.write(f"Types: deb\nURIs: {mirror}\nSuites: bullseye\nComponents: main\n"
                "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n")
    options = ["-o", "Dir::Etc::sourcelist=/dev/null", "-o", f"Dir::Etc::sourceparts={cache}/parts",
               "-o", f"Dir::State::Lists={cache}/lists", "-o", f"Dir::Cache={cache}/cache", "-o", "Dir::State::status=/dev/null"]
    packages = "libc6 python3.9-minimal libpython3.9-minimal libpython3.9-stdlib libexpat1 zlib1g libgcc-s1 libcrypt1 libuuid1".split()
    if subprocess.run(["apt-get", *options, "update", "-qq"]).returncode or \
            subprocess.run(["apt-get", *options, "-qq", "download", *packages], cwd=os.path.join(cache, "dl")).returncode:
        skip("Debian 11's packages cannot be downloaded")
    for name in os.listdir(os.path.join(cache, "dl")):
        subprocess.run(["dpkg", "-x", os.path.join(cache, "dl", name), root], check=True)

loader = os.path.join(root, "lib/x86_64-linux-gnu/ld-2.31.so")
with tempfile.TemporaryDirectory() as d:
    app = os.path.join(d, "app.py")
    with open(app, "w") as f:
        f.write("import time, threading\ndef busy():\n e = time.thread_time() + .2\n while time.thread_time() < e: pass\n"
                "t = threading.Thread(target=busy, name='w'); t.start(); busy(); t.join(); print('ok')\n")
    path = ":".join(os.path.join(root, p) for p in ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"))
    env = {k: v for k, v in os.environ.items() if not k.startswith(("LD_", "SPPROF", "PYTHON"))}
    env.update(PYTHONHOME=os.path.join(root, "usr"), SPPROF_OUT=os.path.join(d, "p.json"))
    r = subprocess.run([loader, "--library-path", path, "--preload", library, os.path.join(root, "usr/bin/python3.9"), app],
                       env=env, capture_output=True, text=True)
    print(r)
    assert (r.returncode, r.stdout, r.stderr) == (0, "ok\n", "")
    block = json.load(open(os.path.join(d, "p.json")))["spprof"]
    assert block["python"] == "3.9.2" and block["cpu"]["python"] + block["cpu"]["not_sampled"] > 0.35e9, block
    assert any(t.get("name") == "w" for t in block["threads"]), block["threads"]
