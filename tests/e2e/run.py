#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""spprof run: the program is what it is without it, and the profile is where the options say."""
import os
import pty
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import CASES, WORK, Profile, case, clean_env, main  # noqa: E402,F401

TELLS = WORK + "print(os.getpid(), sys.argv[1:], sys.stdin.read())\nsys.stdout.flush()\n"
WAITS = WORK + """
got = []
signal.signal(signal.SIGTERM, lambda *a: got.append('TERM'))
signal.signal(signal.SIGINT, lambda *a: got.append('INT'))
print('ready', flush=True)
while not got: time.sleep(0.01)
busy(0.05)
print(got, flush=True)
sys.exit(5)
"""


def command(b, *args, **kw):
    kw = {"cwd": b.fresh(), "env": clean_env(), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "stdin": subprocess.PIPE, **kw}
    child = subprocess.Popen([os.path.join(b.build, "spprof"), "run", *args], **kw)
    child.directory = kw["cwd"]
    return child


def ends(child, text=None):
    out, err = child.communicate(text, timeout=120)
    return child.returncode, out, err, sorted(os.listdir(child.directory))


@case
def becomes_the_program(b):
    child = command(b, "-o", "p.json", "--interval", "1ms", "--lines=1", "--", b.python, b.write(TELLS), "-o", "--report", "--")
    assert ends(child, "words") == (0, f"{child.pid} ['-o', '--report', '--'] words\n", "", ["p.json"])
    p = Profile(os.path.join(child.directory, "p.json"))
    assert p.block["interval_ns"] == 1000000 and any(n.startswith("busy:") for n in p.total_ns()), (p.block, p.total_ns())
    for tail, status in (("sys.exit(3)", 3), ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM), ("os.kill(os.getpid(), signal.SIGINT)", -2)):
        assert ends(command(b, b.python, b.write(WORK + tail)))[0] == status, tail
    child = command(b, "env", env={**clean_env(), "LD_PRELOAD": "/nonexistent/other.so", "SPPROF_OUT": "before", "SPPROF_DEPTH": "99"})
    out = ends(child)[1].splitlines()
    assert f"LD_PRELOAD={b.library}:/nonexistent/other.so" in out and "SPPROF_OUT=before" in out and "SPPROF_DEPTH=99" in out, out


@case
def wrong_use(b):
    ran = b.write("open('ran', 'w')")
    for args, status, what in ((["--interval", "5x", b.python, ran], 2, "spprof: run --interval 5x: cannot be used; accepted: 100us ... 10s"),
                               (["--depth=1", b.python, ran], 2, "spprof: run --depth 1: cannot be used; accepted: 16 ... 65536"),
                               (["-o", "x" * 5000, b.python, ran], 2, "cannot be used"),
                               (["--run", "x", b.python, ran], 2, "spprof: run --run: there is no such option; see spprof help run"),
                               (["--bogus", b.python, ran], 2, "--bogus: there is no such option"), ([], 2, "usage: "), (["--"], 2, "usage: "),
                               (["/nonexistent"], 127, "/nonexistent: No such file"), ([ran], 126, "Permission denied"),
                               (["--report", "/nonexistent"], 127, "/nonexistent: No such file"),
                               (["--library", "/nonexistent", b.python, ran], 126, "/nonexistent: No such file"),
                               (["--report", "-o", "p.collapsed", b.python, ran], 2, "p.collapsed: is the name of a format that --report does not read"),
                               (["--report", "-o", "p.json", "--format", "pprof", b.python, ran], 2, "--format: --report reads Speedscope's alone"),
                               (["--report", "-o", "%p.json", b.python, ran], 2, "%p.json: --report finds no files")):
        code, out, err, files = ends(command(b, *args))
        assert (code, out, files) == (status, "", []) and what in err.splitlines()[0], (args, code, out, err, files)
        assert len(err.splitlines()) == 1, err
    spprof = os.path.join(b.build, "spprof")
    for name in ("--lib", "lib"):
        assert subprocess.check_output([spprof, name], env=clean_env(), text=True) == b.library + "\n"


@case
def reports(b):
    tmp = b.fresh()
    env = {**clean_env(), "TMPDIR": tmp}
    child = command(b, "--report", b.python, b.write(TELLS + "if os.fork() == 0: busy(0.1); os._exit(0)\nos.wait()\n"), env=env)
    code, out, err, files = ends(child, "words")
    assert code == 0 and out.endswith(" [] words\n") and files == [] and os.listdir(tmp) == [], (code, out, err, files, os.listdir(tmp))
    assert " work (" in err and "busy (" in err, err
    child = command(b, "--report", "--wall", "1", b.python, b.write(WORK), env=env)
    code, out, err, files = ends(child)
    assert code == 0 and "Lives: " in err and "Wall self" in err, (code, out, err)
    with open(os.path.join(tmp, "p.7.json"), "w"):
        pass
    os.utime(os.path.join(tmp, "p.7.json"), (1, 1))
    child = command(b, "--report", "-o", "p.json", b.python, b.write(WORK + "os.kill(os.getpid(), signal.SIGTERM)"), env=env, cwd=tmp)
    code, out, err, files = ends(child)
    assert (code, out, files) == (-signal.SIGTERM, "", ["p.7.json", "p.json"]) and " work (" in err and "p.7" not in err, (code, out, err, files)
    fork = "import os\nif os.fork() == 0: work(); os._exit(0)\nos.wait()\n"
    code, out, err, files = ends(command(b, "--report", "-o", "p.json.gz", b.python, b.write(WORK + fork), env=env))
    assert code == 0 and len(files) == 2 and "Profiles:  2" in err and " work (" in err, (code, err, files)
    code, out, err, files = ends(command(b, "--report", "--format", "pprof", b.python, b.write(WORK), env=env))
    assert (code, out, files) == (0, "", []) and " work (" in err, (code, out, err, files)
    code, out, err, files = ends(command(b, "--report", "/bin/sh", "-c", "exit 4", env=env))
    assert (code, out, files) == (4, "", []) and "there is no profile" in err, (code, out, err)


@case
def shows_a_page(b):
    """--html: one page of all processes of the run, wherever their files are or are not to be; the status is the program's."""
    tmp, fork = b.fresh(), "import os\nif os.fork() == 0: work(); os._exit(0)\nos.wait()\n"
    env = {**clean_env(), "TMPDIR": tmp}

    def page(child, name="page.html"):
        with open(os.path.join(child.directory, name), encoding="utf-8") as f:
            text = f.read()
        assert "<html" in text[:2000].lower() and '"work"' in text, text[:3000]
        return text
    child = command(b, "--html", "page.html", b.python, b.write(TELLS + "sys.exit(3)"), env=env)
    code, out, err, files = ends(child, "words")
    assert (code, out, err, files, os.listdir(tmp)) == (3, f"{out.split()[0]} [] words\n", "", ["page.html"], []), (code, out, err, files)
    alone = page(child)
    child = command(b, "--html", "page.html", "--report", "-o", "p.json", b.python, b.write(WORK + fork + "os.kill(os.getpid(), signal.SIGTERM)"), env=env)
    code, out, err, files = ends(child)
    assert (code, out) == (-signal.SIGTERM, "") and " work (" in err and "Profiles:  2" in err and len(files) == 3, (code, out, err, files)
    name = next(f for f in files if f not in ("p.json", "page.html"))
    both = page(child)
    assert all(f"[{pid}]" in both and f"[{pid}]" not in alone for pid in (Profile(os.path.join(child.directory, f)).block["pid"] for f in ("p.json", name)))
    code, out, err, files = ends(command(b, "--html", "/nowhere/page.html", b.python, b.write(WORK + "sys.exit(4)"), env=env))
    assert (code, out, files) == (4, "", []) and err.count("\n") == 1 and "/nowhere/page.html" in err and os.listdir(tmp) == [], (code, err, files)
    code, out, err, files = ends(command(b, "--html", "page.html", "/bin/sh", "-c", "exit 4", env=env))
    assert (code, out, files) == (4, "", []) and "there is no profile" in err, (code, out, err)
    code, out, err, files = ends(command(b, "--html", "page.html", "-o", "%p.json", b.python, b.write(WORK), env=env))
    assert (code, files) == (2, []) and "%p.json: --html finds no files whose names are a pattern; give a name without %, or none\n" in err, err


@case
def hands_signals_on(b):
    """What one process sends to the command, and what a terminal sends to both: the program has it once."""
    child = command(b, "--report", b.python, b.write(WAITS))
    assert child.stdout.readline() == "ready\n", child.stderr.read()
    child.send_signal(signal.SIGTERM)
    code, out, err, _ = ends(child)
    assert (code, out) == (5, "['TERM']\n") and " work (" in err, (code, out, err)
    leader, terminal = pty.openpty()
    child = command(b, "--report", b.python, b.write(WAITS), stdin=terminal, start_new_session=True,
                    preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0))
    assert child.stdout.readline() == "ready\n", child.stderr.read()
    os.write(leader, b"\x03")
    code, out, err, _ = ends(child)
    assert (code, out) == (5, "['INT']\n") and " work (" in err, (code, out, err)
    os.close(leader)
    os.close(terminal)


if __name__ == "__main__":
    sys.exit(main())
