# SPDX-License-Identifier: MIT
"""Programs that are files, each with what it is expected to do in its first lines: what it is about, and

    # where: all          as in sp.case(); without: few
    # exit: 3             its exit status, or the signal that kills it; without: 0
    # expect: hello       the lines of its standard output; without any: whatever it prints without the library

Each is a case, FOLDER.NAME, and runs twice: with and without the library it must do and print the same, to the letter, and
with it leave a profile."""
import os
import re
import signal

from sp import case, complaints

E2E = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e")
VARIES = re.compile(r"0x[0-9a-f]+")  # addresses


class Program:
    def __init__(self, path):
        self.path = path
        with open(path) as f:
            text = f.read()
        said = re.findall(r"^# (\w+): ?(.*)$", text, re.M)
        unknown = {key for key, _ in said} - {"where", "exit", "expect"}
        assert not unknown, f"{path}: {unknown}"
        values = dict(said)
        self.where = values.get("where", "few")
        code = values.get("exit", "0")
        self.code = int(code) if code.isdigit() else -getattr(signal, code)
        self.expect = "".join(line + "\n" for key, line in said if key == "expect")

    def check(self, b, plain_env=None, **env):
        """Runs it both ways; returns what it did with the library."""
        always = {"PYTHONDONTWRITEBYTECODE": 1, "SPPROF_VERBOSE": "0" if b.known else None}
        plain = b.run(self.path, preload=False, check=False, **{**always, **(plain_env or {})})
        ours = b.run(self.path, check=False, **always, **env)
        assert plain.code == self.code, (plain.code, self.code, plain.err)
        assert plain.out == self.expect or not self.expect, (plain.out, self.expect)
        seen = [(r.code, VARIES.sub("", r.out), VARIES.sub("", err)) for r, err in ((plain, plain.err), (ours, complaints(ours.err)))]
        assert seen[0] == seen[1], f"\nplain {seen[0]}\nours  {seen[1]}"
        return ours


def register(folder, check):
    """Makes a case of each program in a folder: check(bench, program)."""
    where = os.path.join(E2E, folder)
    for name in sorted(n[:-3] for n in os.listdir(where) if n.endswith(".py") and n != "head.py"):
        program = Program(os.path.join(where, name + ".py"))
        case(where=program.where, name=f"{folder}.{name}")(lambda b, program=program: check(b, program))
