#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What scripts/wheel built installs into a fresh environment of each interpreter by pip, and by uv, works there, and leaves without a
trace; and so does the source distribution where there is no cJSON. With network. usage: wheel.py DIST PYTHON..."""
import glob
import os
import subprocess
import sys
import tempfile

dist, pythons = sys.argv[1], sys.argv[2:]
WHEEL, = glob.glob(os.path.join(dist, "*.whl"))
SOURCE = WHEEL[:WHEEL.index("-py3-")] + ".tar.gz"
APP = """
import sys
def f(n): return sum(i * i for i in range(n))
f(4000000)
print(sys.argv[1])
"""
INSIDE = """
import os, spprof
spprof.start()
sum(range(1000000))
p = spprof.stop()
assert p.stats.cpu_ns > 0
print(os.path.realpath(spprof.library_path()))
"""
OUTSIDE = """
import os, spprof
try: spprof.start()
except spprof.NotPreloaded as e: assert "spprof run " in str(e), e
else: raise AssertionError("started")
assert os.path.exists(os.path.join(os.path.dirname(spprof.__file__), "py.typed"))
print(os.path.realpath(spprof.library_path()))
"""
env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "SPPROF", "LD_", "VIRTUAL_ENV", "PIP_TARGET"))}


def run(*command, **kw):
    r = subprocess.run(command, capture_output=True, text=True, env=env, **kw)
    assert r.returncode == 0, (command, r.returncode, r.stdout, r.stderr)
    return r.stdout.strip()


def names(d):
    return sorted(os.path.join(p, f) for p, _, fs in os.walk(d) for f in fs if not p.endswith("__pycache__"))


def works(d, has_command=True):
    python = os.path.join(d, "bin", "python")
    library = run(python, "-c", OUTSIDE)
    assert os.path.basename(library) == "libspprof.so" and library.startswith(os.path.realpath(d)), library
    app = os.path.join(d, "app.py")
    with open(app, "w") as f:
        f.write(APP)
    if not has_command:
        r = subprocess.run([python, "-m", "spprof", "report"], capture_output=True, text=True, env=env)
        assert r.returncode == 1 and r.stderr.strip().endswith(library), r
        assert run(python, app, "7") == "7"
        run("env", "LD_PRELOAD=" + library, "SPPROF_OUT=" + app + ".json", python, app, "7")
        assert os.path.getsize(app + ".json") > 1000
        return
    command = os.path.join(d, "bin", "spprof")
    assert os.path.realpath(run(command, "--lib")) == library
    for start in ([command], [python, "-m", "spprof"]):
        out = run(*start, "run", "--report", "--out", app + ".json", "--", python, app, "it ran")
        assert out.startswith("it ran") and " f (" in out + run(*start, "report", app + ".json"), out
        assert run(*start, "run", "--out", app + ".2.json", "--", python, "-c", INSIDE) == library
    r = subprocess.run([command, "ship", "--once", "--to", "http://127.0.0.1:1", d], capture_output=True, text=True, env=env)
    assert r.returncode == 1 and "built without libcurl" in r.stderr and r.stderr.count("\n") == 1, r
    # What Python ignores for itself is not handed on.
    assert run(python, "-m", "spprof", "run", "--", "grep", "SigIgn", "/proc/self/status").split()[1] == \
        run("grep", "SigIgn", "/proc/self/status").split()[1]


of_source = False
for python in pythons:
    with tempfile.TemporaryDirectory() as d:
        d = os.path.join(d, "v")
        pip = [os.path.join(d, "bin", "python"), "-m", "pip", "--disable-pip-version-check", "-q"]
        if subprocess.run([python, "-m", "venv", d], capture_output=True, env=env).returncode:  # it has no pip
            d += "-folder"  # what venv left links to the interpreter
            run(sys.executable, "-m", "pip", "-q", "install", "--target", d, WHEEL)
            with open(os.path.join(d, "bin", "python"), "x") as f:
                f.write(f'#!/bin/sh\nPYTHONPATH={d} exec {python} "$@"\n')
            os.chmod(f.name, 0o755)
            works(d)
            print(f"-- {python}: ok, in a folder", flush=True)
            continue
        before = names(d)
        run(*pip, "install", WHEEL)
        works(d)
        run(*pip, "uninstall", "-y", "spprof")
        left = [f for f in names(d) if f not in before and not os.path.basename(f).startswith("app.py")]
        assert not left, left
        print(f"-- {python}: ok", flush=True)
        if of_source:
            continue
        run(*pip, "install", "uv==0.9.7")
        run(os.path.join(d, "bin", "uv"), "pip", "install", "-q", "--python", os.path.join(d, "bin", "python"), WHEEL)
        works(d)
        run(os.path.join(d, "bin", "uv"), "pip", "uninstall", "-q", "--python", os.path.join(d, "bin", "python"), "spprof")
        run(*pip, "install", SOURCE, "-Ccmake.define.CMAKE_IGNORE_PATH=/usr/include;/usr/local/include")
        works(d, has_command=False)
        run(*pip, "install", "--force-reinstall", SOURCE)
        works(d)
        of_source = True
        print(f"-- {python}: uv and the source distribution ok", flush=True)
assert of_source
