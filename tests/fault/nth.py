#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every system call of ours fails once, for every N: the program runs on as if we were not there.

usage: nth.py FAULT_LIBRARY PYTHON
"""
import errno
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import Profile, clean_env  # noqa: E402

library, python = os.path.abspath(sys.argv[1]), sys.argv[2]
PROGRAM = """
import threading, os, time, signal
def f():
    e = time.process_time() + 0.02
    while time.process_time() < e: pass
t = threading.Thread(target=f); t.start(); t.join(); f()
pid = os.fork()
if pid == 0:
    f(); os._exit(3)
print(os.waitpid(pid, 0)[1], int(signal.getsignal(signal.SIGPROF)))
try: os.execv('/nonexistent', ['x'])
except OSError as e: print(e.errno)
"""
clean = not_complete = 0
with tempfile.TemporaryDirectory() as tmp:
    app = os.path.join(tmp, "app.py")
    with open(app, "w") as f:
        f.write(PROGRAM)
    for n in range(1, 140):
        for code in ((errno.EAGAIN,) if n % 3 else (errno.ENOMEM, errno.EINTR)):
            d = os.path.join(tmp, f"{n}-{code}")
            os.mkdir(d)
            env = dict(clean_env(), LD_PRELOAD=library, SPPROF_TEST_FAULT=f"{n}:{code}", SPPROF_OUT="p.json", TMPDIR=d)
            r = subprocess.run([python, app], cwd=d, env=env, capture_output=True, text=True, timeout=30)
            assert (r.returncode, r.stdout) == (0, "768 0\n2\n"), (n, code, r)
            assert r.stderr.count("\n") <= 3, (n, code, r.stderr)
            assert all(line.startswith("spprof: ") for line in r.stderr.splitlines()), (n, code, r.stderr)
            files = [f for f in os.listdir(d) if f.endswith(".json")]
            assert not any(".tmp" in f for f in os.listdir(d)), (n, code, os.listdir(d))
            for f in files:
                Profile(os.path.join(d, f))  # what is there is whole
            clean += len(files) == 2 and not r.stderr
            not_complete += len(files) < 2
print(f"{clean} runs as if nothing had failed, {not_complete} without one of the profiles")
assert clean > 60
