#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The README's first command in a fresh copy of the sources: builds, profiles, shows. usage: demo.py SOURCE_DIR"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

source = sys.argv[1]
with tempfile.TemporaryDirectory() as d:
    copy = os.path.join(d, "spprof")
    built = shutil.ignore_patterns("build*", ".git")
    shutil.copytree(source, copy, ignore=lambda folder, names: built(folder, names) if folder == source else ["node_modules"])
    r = subprocess.run(["./scripts/demo"], cwd=copy, capture_output=True, text=True, timeout=250, env=dict(os.environ, TMPDIR=d))
    print(r.stdout, r.stderr)
    assert r.returncode == 0
    assert "Function (file:first line)" in r.stdout and "pydoc" in r.stdout and "ERROR" not in r.stderr
    path = re.search(r"The profile is (\S+);", r.stdout).group(1)
    assert os.path.getsize(path) > 1000
