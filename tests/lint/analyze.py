#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""gcc -fanalyzer, clang-tidy and cppcheck over the product's sources: clean, but for what EXPLAINED says why.

usage: analyze.py SOURCE_DIR     (scripts/nightly analyze: about three minutes)
"""
import glob
import os
import re
import shutil
import subprocess
import sys

root = sys.argv[1]
SYSTEM_CALL = "filled by a system call that is an asm statement, which the analyzer does not look into"
# (file, part of the message) -> why it is no fault
EXPLAINED = {
    ("compat/os_linux.c", "garbage value"): SYSTEM_CALL,
    ("compat/os_linux_files.c", "garbage value"): SYSTEM_CALL,
    ("compat/os_linux_signal.c", "garbage value"): SYSTEM_CALL,
    ("writers/speedscope.c", "dereference of NULL"): "the view lists threads that have a slot only (has_profile)",
    ("writers/view.c", "null pointer dereference"): "the same",
    ("writers/view.c", "repeated branch"): "head and tail of an elided stack",
    ("inject/command/salvage.c", "repeated branch"): "one kind a branch",
    ("sampler/intern.c", "Null pointer passed"): "a table's level that was just made is there, or there is no place",
    ("sampler/intern.c", "Dereference of null pointer"): "the same",
    ("inject/hook_process.c", "va_list"): "SP_COLLECT starts it",
    ("inject/hook_process.c", "macro argument"): "arguments are names and a statement",
    ("inject/command/report.c", "sizeof"): "an array of pointers",
    ("inject/command/report.c", "null pointer"): "rows were counted before",
    ("inject/command/report.c", "strcmp"): "different, as it reads",
    ("inject/command/report.c", "leak"): "a command that ends",
    ("inject/command/report.c", "unknown macro"): "cJSON_ArrayForEach",
}
CHECKS = ("-*,bugprone-*,-bugprone-easily-swappable-parameters,-bugprone-reserved-identifier,-bugprone-narrowing-conversions,"
          "-bugprone-assignment-in-if-condition,clang-analyzer-*,-clang-analyzer-security.insecureAPI.*")
FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-I."]


def run(*command):
    r = subprocess.run(command, cwd=root, capture_output=True, text=True)
    return r.stdout + r.stderr


def main():
    sources = [os.path.relpath(f, root) for d in ("compat", "sampler", "writers", "inject") for f in sorted(glob.glob(f"{root}/{d}/*.c"))]
    text = ""
    for f in sources:
        text += run("gcc", *FLAGS, "-O2", "-fanalyzer", "-Wno-deprecated-declarations", "-c", f, "-o", "/dev/null")
    tools = ["gcc"]
    if shutil.which("clang-tidy"):
        text += run("clang-tidy", "-quiet", f"--checks={CHECKS}", *sources, "--", *FLAGS)
        tools.append("clang-tidy")
    if shutil.which("cppcheck"):
        text += run("cppcheck", "--enable=warning,portability,performance", "-q", "--suppress=missingIncludeSystem", "-D__x86_64__",
                    "-D__linux__", *FLAGS[1:], "compat", "sampler", "writers", "inject")
        tools.append("cppcheck")
    found = sorted({(os.path.relpath(os.path.join(root, m.group(1)), root), m.group(2), m.group(3)) for m in
                    re.finditer(r"^(?:" + re.escape(root) + r"/)?([\w/]+\.c):(\d+):\d+: (?:warning|error): (.*)$", text, re.M)})
    new = [f for f in found if not any(f[0] == file and part in f[2] for file, part in EXPLAINED)]
    for file, line, message in new:
        print(f"{file}:{line}: {message}")
    print(f"{len(sources)} files, {' '.join(tools)}: {len(found)} findings, {len(new)} not explained")
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main())
