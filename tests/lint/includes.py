#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Who may include whom, and where #if may stand. usage: includes.py SOURCE_DIR"""
import os
import re
import sys

root = sys.argv[1]
MAY = {  # folder, those below it without a row of their own included
    "inject": {"inject", "sampler", "writers", "compat"},
    "inject/command": {"inject/command", "inject/options.def", "sampler", "writers", "compat"},
    "sampler": {"sampler", "compat"},
    # the writers' headers through which the store is read
    "writers": {"writers", "sampler/store.h", "compat/base.h", "compat/buf.h", "compat/utc.h", "compat/version.h"},
    "compat": {"compat"},
}
problems = []


def rule_of(path):
    """The row of MAY that a file falls under: the longest."""
    return max((f for f in MAY if path.startswith(f + "/")), key=len, default="")


def sources():
    for folder in sorted(set(f.split("/")[0] for f in MAY)):
        for where, _, names in os.walk(os.path.join(root, folder)):
            for name in sorted(names):
                if name.endswith((".c", ".h", ".def")):
                    yield os.path.relpath(os.path.join(where, name), root)


for path in sources():
    folder = rule_of(path)
    for number, line in enumerate(open(os.path.join(root, path), encoding="utf-8"), 1):
        m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if m:
            target = m.group(1)
            if not (target in MAY[folder] or rule_of(target) in MAY[folder]):
                problems.append(f"{path}:{number}: {folder} may not include {target}")
            if not os.path.exists(os.path.join(root, target)) and "/" in target:
                problems.append(f"{path}:{number}: no such file: {target}")
        m = re.match(r"\s*#\s*(if|ifdef|elif)\b(.*)", line)
        if m and folder != "compat" and not re.search(r"SP_\w+_H|SPPROF_\w+_H|__cplusplus|SP_FAULT", m.group(2)):
            problems.append(f"{path}:{number}: conditional code belongs in compat: {line.strip()}")
for p in problems:
    print(p)
print(f"{len(problems)} problems")
sys.exit(1 if problems else 0)
