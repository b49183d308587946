#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Who may include whom, where #if and Linux's own calls may stand, and that files do not lean on each other in a circle: FILE.c and
FILE.h are one. usage: includes.py SOURCE_DIR"""
import os
import re
import sys

root = sys.argv[1]
MAY = {  # folder, those below it without a row of their own included
    "inject": {"inject", "sampler", "writers", "compat"},
    "inject/command": {"inject/command", "inject/config.h", "inject/options.def", "sampler", "writers", "compat"},
    "sampler": {"sampler", "compat"},
    # the writers' headers through which the store is read
    "writers": {"writers", "sampler/store.h", "compat/base.h", "compat/buf.h", "compat/symbols.h", "compat/utc.h", "compat/version.h"},
    "compat": {"compat"},
}
LINUX = re.compile(r'\bSYS_\w+|\bgetauxval\b|\bsp_syscall6\b|<linux/|<sys/(auxv|prctl|syscall)\.h>|"/(proc|sys)/')
problems = []
leans = {}  # file without its suffix -> those that it includes


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
            leans.setdefault(os.path.splitext(path)[0], set()).add(os.path.splitext(target)[0])
            if not os.path.exists(os.path.join(root, target)) and "/" in target:
                problems.append(f"{path}:{number}: no such file: {target}")
        m = re.match(r"\s*#\s*(if|ifdef|elif)\b(.*)", line)
        if m and folder != "compat" and not re.search(r"SP_\w+_H|SPPROF_\w+_H|__cplusplus|SP_FAULT", m.group(2)):
            problems.append(f"{path}:{number}: conditional code belongs in compat: {line.strip()}")
        if folder not in ("compat", "inject/command") and LINUX.search(re.sub(r"/\*.*?\*/", "", line)) and not line.startswith(" *"):
            problems.append(f"{path}:{number}: Linux's own calls belong in compat: {line.strip()}")


def circle(file, way):
    """The files of a circle that `file` leads into, or None."""
    if file in way:
        return way[way.index(file):] + [file]
    if file in done:
        return None
    for target in sorted(leans.get(file, set()) - {file}):
        found = circle(target, way + [file])
        if found:
            return found
    done.add(file)
    return None


done = set()
found = next(filter(None, (circle(file, []) for file in sorted(leans))), None)
if found:
    problems.append("a circle: " + " -> ".join(found))
for p in problems:
    print(p)
print(f"{len(problems)} problems")
sys.exit(1 if problems else 0)
