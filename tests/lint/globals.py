#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A file of the library that has variables of its own says once which threads write them: "Threads: ...". usage: globals.py SOURCE_DIR"""
import os
import re
import sys

FOLDERS = ("compat", "sampler", "writers", "inject")
VARIABLE = re.compile(r"^(?:static |__thread )*(?!extern|const|typedef|enum|return|SP_|goto)(?:struct )?[a-z_]\w*(?: \w+)*[ *]+(\(\*)?\w+(\)\(|\[|;|,| = )", re.M)


def variables(text):
    """Lines at the outermost level that define what can change."""
    text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)
    for line in text.splitlines():
        if VARIABLE.match(line) and line.rstrip().endswith((";", "{")) and not re.search(r"\bconst\b[^*]*(=|\[)", line) and "* const" not in line:
            if "(" not in line.split("=")[0].replace("(*", "") or re.match(r"static [\w ]+\(\*\w+\)\(", line):
                yield line


def main(root):
    bad, n = [], 0
    for folder in FOLDERS:
        for where, folders, names in os.walk(os.path.join(root, folder)):
            folders[:] = [f for f in folders if f != "command"]
            for name in sorted(f for f in names if f.endswith(".c")):
                path = os.path.join(where, name)
                with open(path, encoding="utf-8") as f:
                    text = f.read()
                found = list(variables(text))
                n += len(found)
                if found and not re.search(r"\bThreads: ", text):
                    bad.append(f"{os.path.relpath(path, root)}: which threads write {found[0].strip()}")
    print(*bad, sep="\n")
    print(f"{n} variables, {len(bad)} files do not say who writes them")
    return 1 if bad or n < 50 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
