#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""spprof check: does it work here, in words and as an exit status?"""
import os
import re
import resource
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import CASES, Skip, case, main  # noqa: E402,F401

WORKS, PARTLY, USAGE, NOT = 0, 1, 2, 3


def check(b, *args, preexec=None, cwd=None, command=None, **env):
    """Exit status, and text by level and topic."""
    command = command or [os.path.join(b.build, "spprof"), "check", "--library", b.library]
    r = subprocess.run([*command, *args], cwd=cwd or b.fresh(), env=b.env(False, **env), capture_output=True, text=True,
                       stdin=subprocess.DEVNULL, preexec_fn=preexec, timeout=120)
    lines = {}
    for line in r.stdout.splitlines():
        m = re.match(r"(ok|note|but|no) +([a-z ]+?)  +(.*)", line)
        if m:
            lines.setdefault((m.group(1), m.group(2)), []).append(m.group(3))
    assert r.stderr == "" or r.returncode == USAGE, r.stderr
    # a busy machine may refuse timers to this user: said as a limit
    return r.returncode, lines, r.stdout


def is_said(lines, level, topic, pattern):
    said = lines.get((level, topic), [])
    assert any(re.search(pattern, s) for s in said), (pattern, lines)


@case
def works_here(b):
    """An interpreter that works: what it is, what came of a trial, what the system allows; nothing stays behind."""
    tmp = b.fresh()
    code, lines, text = check(b, b.python, TMPDIR=tmp)
    assert code == WORKS and text.endswith("\nProfiling works here.\n"), text
    is_said(lines, "ok", "interpreter", r"CPython %d\.%d\.\d+, (glibc|another)" % b.version)
    is_said(lines, "ok", "preload", "loaded")
    is_said(lines, "ok", "profile", r"written; (shared|static) build, \d+ samples")
    is_said(lines, "ok", "kernel", r"\d+\.\d+")
    is_said(lines, "note", "tick", r"CONFIG_HZ=\d+")
    is_said(lines, "ok", "control", "are answered, by a process beside")
    is_said(lines, "ok", "files", "can be written to")
    is_said(lines, "note", "lost", "SIGKILL.*exit_group")
    assert os.listdir(tmp) == [], os.listdir(tmp)
    code, lines, text = check(b, "-q", b.python)
    assert (code, text) == (WORKS, ""), text
    # where the command finds the library by itself
    code, lines, text = check(b, b.python, command=[os.path.join(b.build, "spprof"), "check"])
    assert code == WORKS and b.library in text, text


@case
def partly(b):
    """What is less than it could be has a line and an exit status of its own."""
    def limits():
        resource.setrlimit(resource.RLIMIT_SIGPENDING, (200, 200))
        resource.setrlimit(resource.RLIMIT_FSIZE, (100 << 10, 100 << 10))
    code, lines, text = check(b, b.python, preexec=limits, SPPROF_OUT="/nowhere/p.json", SPPROF_SPOOL="/nowhere", SPPROF_INTERVAL="x",
                              SPPROF="off")
    assert code == PARTLY and "not all of it" in text, text
    for topic, pattern in (("limits", "timers"), ("limits", "100 KB"), ("files", "/nowhere cannot be written to"), ("spool", "/nowhere"),
                           ("it says", "SPPROF_INTERVAL=x cannot be used"), ("options", "SPPROF=off")):
        is_said(lines, "but", topic, pattern)
    code, lines, text = check(b, b.python, SPPROF_SPOOL=b.fresh(), SPPROF_OUT="%h/%p.json")
    assert code == WORKS, text
    is_said(lines, "ok", "spool", "can be written to")
    is_said(lines, "note", "files", "has fields")


@case
def refused(b):
    """Why it will not work."""
    d = b.fresh()
    code, lines, text = check(b, os.path.join(d, "nothing"))
    assert code == NOT, text
    is_said(lines, "no", "interpreter", "No such file")
    code, lines, text = check(b, "/bin/sh")
    assert code == NOT and ("no", "interpreter") in lines, text
    is_python = b"import os; print('version=3.1.4'); print('implementation=other')"
    other = os.path.join(d, "other")
    with open(other, "wb") as f:
        f.write(b"#!" + os.path.realpath(b.python).encode() + b" -S\n" + is_python)
    os.chmod(other, 0o755)
    code, lines, text = check(b, other)
    assert code == NOT, text
    is_said(lines, "no", "interpreter", "other 3.1.4.*only CPython")
    static = os.path.join(d, "static")
    r = subprocess.run(["cc", "-w", "-static", "-x", "c", "-", "-o", static], input='int main(){puts("version=1\\nimplementation=cpython");}', text=True,
                       capture_output=True)
    if r.returncode == 0:
        code, lines, text = check(b, static)
        assert code == NOT, text
        is_said(lines, "no", "preload", "statically linked")
    endless = os.path.join(d, "endless")
    with open(endless, "w") as f:
        f.write("#!/bin/sh\nexec yes\n")
    os.chmod(endless, 0o755)
    code, lines, text = check(b, endless)
    assert code == NOT, text
    is_said(lines, "no", "interpreter", "killed by signal %d" % signal.SIGXFSZ)
    for library, pattern in ((os.path.join(d, "none.so"), "No such file"), (os.path.join(d, "a b"), "blank")):
        if "a b" in library:
            shutil.copy(b.library, library)
        code, lines, text = check(b, "--library", library, b.python)
        assert code == NOT, text
        is_said(lines, "no", "library", pattern)
    broken = os.path.join(d, "broken.so")
    with open(broken, "wb") as f:
        f.write(bytes(100))
    code, lines, text = check(b, "--library", broken, b.python)
    assert code == NOT, text
    is_said(lines, "no", "preload", "refuses the library")
    for args in (["--nope"], ["a", "b"]):
        assert check(b, *args)[0] == USAGE


@case
def privileged(b):
    """A setuid interpreter: the loader ignores LD_PRELOAD."""
    if os.geteuid() != 0:
        raise Skip("needs root")
    d = b.fresh()
    for path in (b.directory, d):
        os.chmod(path, 0o755)
    # a program of its own: the copy of an interpreter would have to find its library
    program = os.path.join(d, "setuid")
    subprocess.run(["cc", "-w", "-x", "c", "-", "-o", program], input='int main(){puts("version=1\\nimplementation=cpython");}', text=True, check=True)
    os.chmod(program, 0o4755)
    library, command = os.path.join(d, "libspprof.so"), os.path.join(d, "spprof")
    shutil.copy(b.library, library)
    shutil.copy(os.path.join(b.build, "spprof"), command)
    code, lines, text = check(b, program, command=["setpriv", "--reuid", "65534", "--clear-groups", command, "check"])
    assert code == NOT, text
    is_said(lines, "no", "preload", "setuid")


def running(b, preload=True, **env):
    """A process that waits, and has used some CPU."""
    source = b.write("import sys, time\nend = time.process_time() + .1\nwhile time.process_time() < end: pass\nprint('ready', flush=True)\nsys.stdin.read()\n")
    p = subprocess.Popen([b.python, source], env=b.env(preload, **env), cwd=b.fresh(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "ready\n"
    return p


@case
def process(b):
    """Of a process: is the library loaded, since when, with which options, where is the spool?"""
    spool = b.fresh()
    for env in ({"SPPROF_SPOOL": spool}, {}):
        p = running(b, SPPROF_INTERVAL="5ms", **env)
        code, lines, text = check(b, str(p.pid))
        assert code == WORKS and "It is being profiled" in text, text
        is_said(lines, "ok", "process", r"threads: 1")
        is_said(lines, "ok", "library", re.escape(b.library))
        is_said(lines, "ok", "option", "SPPROF_INTERVAL=5ms")
        is_said(lines, "ok", "profile", r"since 20\d\d-.*CPython %d\.%d\..*5 ms" % b.version)
        if env:
            is_said(lines, "ok", "spool", re.escape(os.path.join(spool, f"spprof-{p.pid}.spool")))
        else:
            is_said(lines, "note", "lost", "no spool file")
        p.communicate("")
        assert p.returncode == 0
    for preload, env, topic, pattern in ((False, {}, "library", "not loaded"), (True, {"SPPROF": "off"}, "profile", "SPPROF=off")):
        p = running(b, preload, **env)
        code, lines, text = check(b, str(p.pid))
        assert code == NOT and "not being profiled" in text, text
        is_said(lines, "no", topic, pattern)
        p.send_signal(signal.SIGKILL)
        p.communicate()
    code, lines, text = check(b, str(p.pid))
    assert code == NOT, text
    is_said(lines, "no", "process", "no such process")
    for number in ("0", "99999999999999999999", str(1 << 32 | os.getpid())):
        code, lines, text = check(b, number)
        assert code == NOT, text
        is_said(lines, "no", "process", f"^{number}: there is no such process")


@case
def threads_that_ended(b):
    """A main thread that ended before others ends no process: the commands find it. What has ended altogether is said to have."""
    source = b.write("""
import ctypes, os, sys, threading, time
def runs():
    while open('/proc/self/stat').read().rsplit(')')[1].split()[0] != 'Z': time.sleep(.01)
    end = time.thread_time() + .1
    while time.thread_time() < end: pass
    print('ready', flush=True)
    os.read(0, 1)
    os._exit(0)
threading.Thread(target=runs).start()
ctypes.CDLL(None).pthread_exit(None)
""")
    command = os.path.join(b.build, "spprof")
    for env in ({"SPPROF_SPOOL": b.fresh()}, {}):
        d = b.fresh()
        p = subprocess.Popen([b.python, source], env=b.env(**env), cwd=d, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert p.stdout.readline() == "ready\n"
        code, lines, text = check(b, str(p.pid))
        assert "It is being profiled" in text, text
        for args, seen in ((["dump"], "in runs"), (["report"], "runs"), (["stop"], "stopped")):
            r = subprocess.run([command, *args, str(p.pid)], cwd=d, capture_output=True, text=True, timeout=60)
            assert r.returncode == 0 and seen in r.stdout + r.stderr, (args, r.stdout, r.stderr)
        p.stdin.close()
        os.waitid(os.P_PID, p.pid, os.WEXITED | os.WNOWAIT)
        code, lines, text = check(b, str(p.pid))
        assert code == NOT, text
        is_said(lines, "no", "process", "has ended")
        assert p.wait() == 0


if __name__ == "__main__":
    sys.exit(main())
