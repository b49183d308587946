#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""scripts/truth: what judges any profiler judges ours."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import CASES, case, clean_env, main, need_frames  # noqa: E402,F401

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts", "truth")


@case
def every_program_of_known_shares(b):
    need_frames(b)
    r = subprocess.run([sys.executable, SCRIPT, "--check", "--python", b.python, "--library", b.library, "--seconds", "0.5"], capture_output=True, text=True,
                       env=clean_env(), timeout=280)
    assert r.returncode == 0 and len(r.stdout.splitlines()) == 2 + 9, r.stdout + r.stderr


@case
def with_native_frames(b):
    """--native: the same shares, stacks that reach their root, leaves with names where the libraries have symbols."""
    need_frames(b)
    r = subprocess.run([sys.executable, SCRIPT, "--native", "--python", b.python, "--library", b.library, "--seconds", "1", "spprof"], capture_output=True,
                       text=True, env=clean_env(), timeout=100)
    row = r.stdout.splitlines()[-1].split()
    error, bound, samples, impossible, named, rooted = (float(row[i]) for i in (2, 3, 4, 5, -2, -1))
    assert r.returncode == 0 and error <= bound and impossible == 0 and rooted > 90 and named > 10, (r.stdout, r.stderr)


@case
def what_is_false_is_told(b):
    """The judge itself: a program that lies about its shares, and one that denies its callers."""
    need_frames(b)
    programs = os.path.join(os.path.dirname(os.path.abspath(SCRIPT)), "..", "tests", "truth", "programs")
    tree = b.fresh()
    for d in ("scripts", "tests/truth/programs"):
        os.makedirs(os.path.join(tree, d))
    for name, text in (("scripts/truth", open(SCRIPT).read()), ("tests/truth/programs/known.py", open(os.path.join(programs, "known.py")).read())):
        with open(os.path.join(tree, name), "w") as f:
            f.write(text)
    os.symlink(os.path.dirname(os.path.abspath(sys.modules["sp"].__file__)), os.path.join(tree, "tests", "support"))
    program = ("from known import seconds, spin, tell\ndef a(): spin(seconds * 5e8)\ndef b(): spin(seconds * 5e8)\na(); b()\n"
               "tell({'a': %s, 'b': %s}, {'a': ['%s']})\n")
    for a, c, caller, told in (("5e8", "5e8", "<module>", False), ("99e7", "1e7", "<module>", True), ("5e8", "5e8", "nobody", True)):
        with open(os.path.join(tree, "tests/truth/programs/x.py"), "w") as f:
            f.write(program % (a, c, caller))
        r = subprocess.run([sys.executable, os.path.join(tree, "scripts/truth"), "--check", "--python", b.python, "--library", b.library, "--seconds", "1"],
                           capture_output=True, text=True, env=clean_env(), timeout=100)
        is_told = "OUT OF BOUNDS" in r.stdout
        bound = float(r.stdout.splitlines()[-1].split()[3])  # where the machine has no CPU left it tells of nothing
        assert is_told == (r.returncode == 1) and (is_told == told or (told and caller == "<module>" and bound > 45)), (a, caller, r.stdout, r.stderr)


if __name__ == "__main__":
    sys.exit(main())
