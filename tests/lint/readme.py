#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The README's option table is the one of options.def; its commands and files exist; the manual page describes what stands in a profile. usage: readme.py SOURCE_DIR SPPROF"""
import json
import os
import re
import subprocess
import sys

root, command = sys.argv[1:3]
text = open(os.path.join(root, "README.md"), encoding="utf-8").read()
rows = [(n, v, d, m.replace("\\\"", "\"")) for n, v, d, m in re.findall(r'SP_OPTION\(\w+, "(\w+)", \w+, [^,]+, [^,]+, [^,]+, "([^"]*)", "([^"]*)",\s*"((?:[^"\\\\]|\\\\.)*)"\)',
                  open(os.path.join(root, "inject/options.def")).read())]
help_text = subprocess.run([command, "help"], capture_output=True, text=True, check=True).stdout
manual = subprocess.run([command, "help", "--man"], capture_output=True, text=True, check=True).stdout
problems = []
if len(rows) < 8:
    problems.append(f"only {len(rows)} options found in options.def")
table = {m.group(1): [c.strip().strip("`") for c in m.group(0).split("|")[2:5]]
         for m in re.finditer(r"^\| `(SPPROF\w*)` \|.*$", text, re.M)}
for name, values, fallback, meaning in rows:
    if table.get(name) != [values, fallback, meaning]:
        problems.append(f"README: {name}: {table.get(name)} is not {[values, fallback, meaning]}")
    for where, t in (("help", help_text), ("manual", manual)):
        if name not in t or meaning not in t or fallback not in t:
            problems.append(f"{where} lacks {name}")
for extra in set(table) - {r[0] for r in rows}:
    problems.append(f"README has an option that does not exist: {extra}")
for path in re.findall(r"`((?:scripts|inject|sampler|writers|compat|tests)/[\w/.]+)`", text):
    if "3xx" not in path and "NAME" not in path and not os.path.exists(os.path.join(root, path)):
        problems.append(f"README names {path}, which is not there")
for frame in re.findall(r'"(\([a-zA-Z /]+\))"', open(os.path.join(root, "sampler/store.c")).read()):
    if f"`{frame}`" not in text and frame not in ("(no stack)", "(unknown)"):
        problems.append(f"README does not explain the frame {frame}")
# the manual describes the block "spprof": its keys, those of the golden profile
def keys(value):
    for k, v in value.items() if isinstance(value, dict) else ():
        yield k
        yield from keys(v)
    for v in value if isinstance(value, list) else ():
        yield from keys(v)


with open(os.path.join(root, "tests/golden/speedscope.json"), encoding="utf-8") as f:
    block = json.load(f)["spprof"]
losses = re.findall(r'\[SP_LOSS_\w+\] = "(\w+)"', open(os.path.join(root, "sampler/store.c")).read())
described = subprocess.run([command, "help", "--man5"], capture_output=True, text=True, check=True).stdout.partition(".SH BLOCK")[2].replace("\\-", "-")
for key in sorted(set(keys(block)) | set(losses) - {"none"}):
    if not re.search(rf"\b{key}\b", described):
        problems.append(f"the manual page does not describe {key}")
for p in problems:
    print(p)
print(f"{len(rows)} options, {len(problems)} problems")
sys.exit(1 if problems else 0)
