#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Which case of which suite runs under which interpreter: prints calls of sp_case() for CMake, from suites.txt, from what the
cases say of themselves, and from scripts/pythons. usage: suites.py INTERPRETERS every|all HAS..."""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
FEW = ["py39", "py312", "py313t", "py315-static"]
# Of what does not look into frames debug builds run a choice: it is the release builds' code in other proportions.
SAME_IN_DEBUG = ("views", "ends", "process", "guest", "limits", "embedded", "spool")
JIT = ("sampling", "versions")  # suites that run again with the JIT compiler on, where it is built in; and cases for `all`


class Python:
    def __init__(self, line):
        self.tag, version, _, self.path = line.split(" ", 3)
        self.version = tuple(int(x) for x in version.split(".")[:2])
        self.is_debug = self.tag.split("-")[0].endswith("d")
        self.kind = ("refused" if "trace-refs" in self.tag else "unknown" if self.version < (3, 9) else
                     "free-threaded" if self.tag.split("-")[0].rstrip("d").endswith("t") else "")


class Suite:
    def __init__(self, line):
        self.folder, self.name, self.cpus, interpreters, pod, self.needs = line.split()
        self.interpreters = [tag for word in interpreters.split(",") for tag in (FEW if word == "few" else [word])]
        self.pod = pod == "yes"
        self.script = os.path.join(HERE, self.folder, self.name + ".py")

    def cases(self):
        """(name, where, only) of each."""
        listed = subprocess.run([sys.executable, self.script, "--list"], capture_output=True, text=True, check=True).stdout
        return [line.split() for line in listed.splitlines()]


def runs(suite, python, where, only, everything):
    if python.kind in ("unknown", "refused") and only != python.kind:
        # 3.8 stands for every version whose layout is not known; the older ones just must not be harmed
        return only == "-" and python.kind == "unknown" and python.version == (3, 8) and suite.folder == "e2e" and (
            everything or ("all" in suite.interpreters and where == "all"))
    if only not in ("-", python.kind):
        return False
    if everything or only == "unknown":
        return True
    if python.is_debug and suite.name in SAME_IN_DEBUG and where != "all":
        return False
    return (python.tag in suite.interpreters or "all" in suite.interpreters) and (where != "few" or python.tag in FEW or
                                                                                  "all" not in suite.interpreters)


def runs_with_jit(suite, python, where, everything):
    return python.version >= (3, 14) and (everything or (not python.is_debug and (suite.name in JIT or where == "all")))


def main(found, extent, *has):
    everything = extent == "all"
    pythons = [Python(line) for line in found.split(";")]
    with open(os.path.join(HERE, "suites.txt")) as f:
        suites = [Suite(line) for line in f if line.strip() and not line.startswith("#")]
    for suite in suites:
        if suite.needs != "-" and suite.needs not in has:
            continue
        cases = suite.cases()
        print(f'sp_reads("{suite.script}")')
        for python in pythons:
            for name, where, only in cases:
                if not runs(suite, python, where, only, everything):
                    continue
                words = f'"{suite.script}" "{python.path}" {name} {suite.cpus}'
                print(f"sp_case({suite.folder} {python.tag} {words} OFF)")
                if runs_with_jit(suite, python, where, everything):
                    print(f"sp_case({suite.folder} {python.tag}-jit {words} ON)")
            if suite.pod and (python.tag == "py312" or (everything and not python.kind == "unknown")):
                print(f'sp_pod_suite({python.tag} {suite.name} "{suite.script}" "{python.path}")')


if __name__ == "__main__":
    main(*sys.argv[1:])
