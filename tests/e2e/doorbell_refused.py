#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Of what the command asks of a process: what it does not get, and the line that says why; and what check says beforehand."""
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from asked import HEAD, ORDERS, Program  # noqa: E402
from sp import CASES, case, compile_support, main  # noqa: E402,F401


@case
def no_file(b):
    """A recording that ends and cannot be written is over, and that is said."""
    p = Program(b, HEAD + "import resource\nwork()\nprint('ready', flush=True)\n" + ORDERS)
    p.do("resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))")
    r = p.command("stop", p.pid)
    assert r.returncode == 1 and r.stderr.endswith(
        f"process {p.pid}: stopped, but no profile was written: its standard error, or a file NAME.skipped, says why\n"), r
    p.do("resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)")
    p.ordered("start")
    out, err = p.ends()
    assert out == "" and err.count("\n") == 1 and "spprof: " in err, (out, err)


@case
def not_to_be_asked(b):
    """--no-signal: nothing is asked, whoever could be."""
    p = Program(b, HEAD + "print('ready', flush=True)\n" + ORDERS)
    for order in ("stop", "reset", "dump", "start"):
        r = p.command(order, "--no-signal", p.pid)
        assert r.returncode == 1 and r.stdout == "" and "was not asked" in r.stderr, r
    assert "recorded already" in p.command("start", p.pid).stderr
    assert p.ends() == ("", "") and os.listdir(p.directory) == ["p.json"]


@case
def told_by_check(b):
    """spprof check says of a process who would get an answer, and why not."""
    spool = b.fresh()
    p = Program(b, HEAD + "print('ready', flush=True)\n" + ORDERS, SPPROF_SPOOL=spool)

    def told(status, level, *words, of=None):
        of = of or p
        r = of.command("check", of.pid)
        lines = [line for line in r.stdout.splitlines() if line.startswith(level) and " control " in line]
        assert r.returncode == status and len(lines) == 1 and all(w in lines[0] for w in words), r.stdout
    told(0, "ok", "read its spool file, without a signal;", "ask it by SIGURG")
    p.child.send_signal(signal.SIGSTOP)
    while " T " not in open(f"/proc/{p.pid}/stat").read():
        time.sleep(0.001)
    told(1, "but", "read its spool file", "dump, start, stop and reset get no answer: it is stopped")
    p.child.send_signal(signal.SIGCONT)
    p.do("signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGURG])")
    told(1, "but", "get no answer", "SIGURG blocked")
    p.do("signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGURG]); signal.signal(signal.SIGURG, signal.SIG_IGN)")
    told(1, "but", "get no answer", "ignores SIGURG")
    p.do("signal.signal(signal.SIGURG, lambda *a: None)")
    told(0, "ok", "ask it by SIGURG")
    assert p.ends() == ("", "")
    p = Program(b, HEAD + "print('ready', flush=True)\n" + ORDERS, SPPROF_START="off")
    told(3, "ok", "dump and start ask it by SIGURG")
    p.ordered("start")
    told(0, "ok", "read its memory, without a signal" if os.geteuid() == 0 else "SIGURG")
    p.becomes(65534)
    told(3, "ok", "cannot read it and ask it by SIGURG")
    if p.uid:
        stranger = p.command_as(65533, "check", p.pid)
        assert stranger.returncode == 3 and "get no answer" in stranger.stdout and "another user's" in stranger.stdout, stranger
    assert p.ends() == ("", "")
    p = Program(b, HEAD + "print('ready', flush=True)\n" + ORDERS, SPPROF="off")
    told(3, "but", "get no answer", "SPPROF=off")
    assert p.ends() == ("", "")


@case
def another_version(b):
    """One line says so, at once, and nothing else comes of it."""
    library, d = compile_support(b, "other_version.c", "libspprof-of-another-version.so", "-shared", "-fPIC"), b.fresh()
    child = subprocess.Popen([b.python, "-S", "-c", "print(flush=True); input()"], env={**b.env(False), "LD_PRELOAD": library}, cwd=d, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
    child.stdout.readline()
    for order in ("dump", "start", "stop"):
        r = subprocess.run([os.path.join(b.build, "spprof"), order, str(child.pid)], capture_output=True, text=True, timeout=60)
        assert r.returncode == 1 and r.stdout == "" and r.stderr == \
            f"spprof: process {child.pid}: its library is of another version than this command: ask with the command of that version\n", r
    child.communicate(b"\n")
    assert child.returncode == 0


@case
def cannot_be_asked(b):
    """One line says why."""
    p = Program(b, HEAD + "print('ready', flush=True)\n" + ORDERS)

    def refused(*words):
        r = p.command("reset", p.pid)
        assert r.returncode == 1 and r.stderr.count("\n") == 1 and all(w in r.stderr for w in words), r.stderr
    p.child.send_signal(signal.SIGSTOP)
    while " T " not in open(f"/proc/{p.pid}/stat").read():
        time.sleep(0.001)
    refused("it is stopped")
    p.child.send_signal(signal.SIGCONT)
    p.do("signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGURG])")
    refused("SIGURG blocked")
    p.do("signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGURG])")
    p.do("signal.signal(signal.SIGURG, signal.SIG_IGN)")
    refused("ignores SIGURG")
    p.do("signal.signal(signal.SIGURG, signal.SIG_DFL)")
    p.ordered("reset")
    p.do("import spprof; spprof.start()")
    refused("import spprof")
    p.do("spprof.stop()")
    assert p.ends() == ("", "")
    p = Program(b, HEAD + "print('ready', flush=True)\n" + ORDERS, SPPROF_START_AFTER="1h")
    p.ordered("start")
    p.do("work()")
    p.ordered("stop")
    assert p.ends() == ("", "") and os.listdir(p.directory) == ["p.json"]


if __name__ == "__main__":
    sys.exit(main())
