#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every system call of ours fails once, for every N: the program runs on as if we were not there. With two errors each, of five;
SPPROF_TEST_ERRORS=all: with all of them.

usage: nth.py FAULT_LIBRARY PYTHON BUILD
"""
import errno
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import Profile, clean_env  # noqa: E402

library, python, build = os.path.abspath(sys.argv[1]), sys.argv[2], sys.argv[3]
PROGRAM = """
import threading, os, time, signal
def f():
    e = time.process_time() + 0.012 # a tick, or three
    while time.process_time() < e:
        for i in range(200): pass
t = threading.Thread(target=f); t.start(); t.join(); f()
pid = os.fork()
if pid == 0:
    f(); os._exit(3)
print(os.waitpid(pid, 0)[1], int(signal.getsignal(signal.SIGPROF)))
try: os.execv('/nonexistent', ['x'])
except OSError as e: print(e.errno)
"""


def run(app, tmp, n, code, spool):
    d = os.path.join(tmp, f"{n}-{code}-{spool}")
    os.mkdir(d)
    env = dict(clean_env(), LD_PRELOAD=library, SPPROF_TEST_FAULT=f"{n}:{code}", SPPROF_OUT="p.json", TMPDIR=d,
               SPPROF_VERBOSE="1", SPPROF_INTERVAL="4ms", **{"SPPROF_SPOOL": d} if spool else {})
    r = subprocess.run([python, app], cwd=d, env=env, capture_output=True, text=True, timeout=200)
    assert (r.returncode, r.stdout) == (0, "768 0\n2\n"), (n, code, spool, r)
    return d, r.stderr.splitlines()


def one(app, tmp, n, code, spool):
    """-> whether all went as if nothing had failed."""
    d, said = run(app, tmp, n, code, spool)
    files = os.listdir(d)
    what = (n, code, spool, said, files)
    assert all(line.startswith("spprof: ") for line in said) and not any(".tmp" in f for f in files), what
    complaints = [line for line in said if not re.search(r"\d+ samples; the profile is in ", line)]
    assert len(complaints) <= 3, what
    profiles = [f for f in files if f.endswith(".json")]
    spools = [f for f in files if f.endswith(".spool")]
    # What is there is whole, and what is not there was said to be lost.
    for f in spools:
        command = [os.path.join(build, "spprof"), "recover", "-o", os.path.join(d, f + ".json"), os.path.join(d, f)]
        c = subprocess.run(command, capture_output=True, text=True)
        assert c.returncode == 0, (what, c)
        Profile(os.path.join(d, f + ".json"))
    for f in profiles:
        Profile(os.path.join(d, f))
    assert len(profiles) + len(spools) == 2 or complaints, what
    return len(profiles) == 2 and not spools and not complaints


errors = [errno.EAGAIN, errno.ENOSPC, errno.ENOMEM, errno.EINTR]
everything = os.environ.get("SPPROF_TEST_ERRORS") == "all"
clean = complained = 0
with tempfile.TemporaryDirectory() as tmp:
    app = os.path.join(tmp, "app.py")
    with open(app, "w") as f:
        f.write(PROGRAM)
    for spool in (False, True):
        calls = int(re.search(r"calls: (\d+)", "\n".join(run(app, tmp, 0, 0, spool)[1]))[1])
        for n in range(1, calls + 10):  # more or fewer ticks are some calls more or fewer
            for code in (errno.EINVAL, *(errors if everything else [errors[(n + n // 4) % 4]])):
                result = one(app, tmp, n, code, spool)
                clean += result
                complained += not result
        print(f"{calls} calls{' with a spool file' if spool else ''}")
print(f"{clean} runs as if nothing had failed, {complained} with a complaint")
assert clean > 40 and complained > 10
