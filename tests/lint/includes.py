#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Who may include whom, and where #if may stand. usage: includes.py SOURCE_DIR"""
import os
import re
import sys

root = sys.argv[1]
MAY = {
    "inject": {"inject", "sampler", "writers", "compat"},
    "sampler": {"sampler", "compat"},
    "writers": {"writers", "sampler/store.h", "compat/base.h", "compat/buf.h", "compat/utc.h", "compat/version.h"},
    "compat": {"compat"},
}
# the writers' headers through which the store is read
problems = []
for folder, allowed in MAY.items():
    for name in sorted(os.listdir(os.path.join(root, folder))):
        if not name.endswith((".c", ".h", ".def")):
            continue
        path = os.path.join(folder, name)
        for number, line in enumerate(open(os.path.join(root, path), encoding="utf-8"), 1):
            m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if m:
                target = m.group(1)
                if not (target in allowed or target.split("/")[0] in allowed):
                    problems.append(f"{path}:{number}: {folder} may not include {target}")
                if not os.path.exists(os.path.join(root, target)) and "/" in target:
                    problems.append(f"{path}:{number}: no such file: {target}")
            m = re.match(r"\s*#\s*(if|ifdef|elif)\b(.*)", line)
            if m and folder != "compat" and not re.search(r"SP_\w+_H|__cplusplus|SP_FAULT", m.group(2)):
                problems.append(f"{path}:{number}: conditional code belongs in compat: {line.strip()}")
for p in problems:
    print(p)
print(f"{len(problems)} problems")
sys.exit(1 if problems else 0)
