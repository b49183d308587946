# SPDX-License-Identifier: MIT
"""Costs that are promised. A check in tests/bench/*.py measures one, against a reference in the same run; `scripts/bench --check`
runs them all and fails where the figure is more than twice what was promised. Nothing else may assert on time."""
import os
import re
import statistics
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIBRARY = os.path.join(ROOT, "build", "libspprof.so")
PLAIN = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "SPPROF", "LD_"))}
CHECKS = {}


def check(promised, unit):
    """The decorated function returns what was measured, in `unit`; `promised` is the most that the README or an issue allows."""
    def register(function):
        CHECKS[function.__module__.rsplit(".", 1)[-1] + "." + function.__name__] = (function, promised, unit)
        return function
    return register


def preloaded(**options):
    return dict(PLAIN, LD_PRELOAD=LIBRARY, **{k: str(v) for k, v in options.items()})


def compile_c(source, directory, *flags):
    exe = os.path.join(directory, "program")
    subprocess.run(["cc", "-O2", "-x", "c", "-", "-o", exe, *flags], input=source, text=True, check=True)
    return exe


def paired(ours, plain, pairs=15):
    """Medians of (ours - plain) and ours / plain over pairs of calls in turn; each call returns one figure."""
    differences, ratios = [], []
    for i in range(pairs):
        if i % 2:
            a, b = ours(), plain()
        else:
            b, a = plain(), ours()
        differences.append(a - b)
        ratios.append(a / b if b else 0.0)
    return statistics.median(differences), statistics.median(ratios)


def instructions(command, env):
    """Instructions of the whole run, counted by valgrind."""
    with tempfile.TemporaryDirectory() as d:
        r = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={d}/out", *command], env=env, cwd=d,
                           capture_output=True, text=True, check=True)
    return int(re.search(r"Collected : (\d+)", r.stderr).group(1))
