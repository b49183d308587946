#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a profile tells of the command line, who may read the file, and what the file is called."""
import os
import shutil
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from embedding import embed  # noqa: E402
from sp import CASES, WORK, case, main  # noqa: E402,F401

HERE = "pass\n"


def tells(b, *command, argv, name, stdin=None, **kw):
    """One profile, whose command line is argv, whose file is called name, with SECRET nowhere in it."""
    d = b.fresh()
    env = b.env(SPPROF_OUT="%e.json", **kw)
    r = subprocess.run(command, cwd=d, env=env, input=stdin, capture_output=True, text=True)
    assert r.returncode == 0, r
    assert os.listdir(d) == [name + ".json"], (os.listdir(d), r.stderr)
    with open(os.path.join(d, name + ".json"), encoding="utf-8") as f:
        text = f.read()
    assert "SECRET" not in text and "SECRET" not in r.stderr, text
    assert f'"argv":{argv}'.replace(" ", "").replace("'", '"') in text.replace(" ", ""), (argv, text[-2000:])


@case
def arguments_end(b):
    """The launcher's own words are shown, the program's are not; the file has a name that is no option."""
    p, here = b.python, b.fresh()
    for path in ("app.py", "pkg/__main__.py", "mod.py"):
        os.makedirs(os.path.dirname(os.path.join(here, path)), exist_ok=True)
        with open(os.path.join(here, path), "w", encoding="utf-8") as f:
            f.write(HERE)
    app, pkg = os.path.join(here, "app.py"), os.path.join(here, "pkg")
    tells(b, p, app, "--token=SECRET", argv=[p, app], name="app")
    tells(b, p, "-", "--token=SECRET", argv=[p, "-"], name="stdin", stdin="SECRET = 1")
    tells(b, p, "-uX", "dev", "-W", "ignore", "--check-hash-based-pycs", "never", "-", "SECRET",
          argv=[p, "-uX", "dev", "-W", "ignore", "--check-hash-based-pycs", "never", "-"], name="stdin", stdin="")
    tells(b, p, "-Sc", "SECRET = 1", "SECRET", argv=[p, "-Sc"], name="command")
    tells(b, p, "-ScSECRET = 1", argv=[p, "-Sc"], name="command")
    tells(b, p, "-Sm", "mod", "SECRET", argv=[p, "-Sm", "mod"], name="mod", PYTHONPATH=here)
    tells(b, p, pkg, "SECRET", argv=[p, pkg], name="pkg")
    tells(b, p, "--", app, "SECRET", argv=[p, "--", app], name="app")
    tells(b, p, argv=[p], name=os.path.basename(p), stdin="SECRET = 1")


@case
def other_programs(b):
    """Of what is not CPython's launcher only argv[0] is told, whatever it is called, as it was before a title took its place."""
    for name in ("python-worker", "python3"):
        r = embed(b, "once", HERE, "SECRET", name=name, SPPROF_OUT="%e.json")
        program = os.path.join(b.directory, name)
        assert r.profile().block["argv"] == [program] and os.path.basename(r.files()[0]) == name + ".json", r.files()
        assert b"SECRET" not in r.profile().raw
    r = embed(b, "title", HERE, "x" * 100, name="server", SPPROF_OUT="%e.json")
    assert r.profile().block["argv"] == [os.path.join(b.directory, "server")], r.profile().block["argv"]
    # the launcher by another name is the launcher
    link = os.path.join(b.fresh(), "python-link")
    os.symlink(os.path.realpath(b.python), link)
    home = subprocess.run([b.python, "-c", "import sys; print(sys.base_prefix)"], env=b.env(False), capture_output=True, text=True)
    tells(b, link, "-", "SECRET", argv=[link, "-"], name="stdin", stdin="", PYTHONHOME=home.stdout.strip())


@case
def worker_names(b):
    """What multiprocessing starts by -c has names of its own."""
    r = b.run("""
import multiprocessing as m, time
def f(q):
    n = 0
    for i in range(10**6): n += i
    q.put(n)
if __name__ == '__main__':
    for way in 'spawn', 'forkserver':
        c = m.get_context(way)
        q = c.Queue()
        p = c.Process(target=f, args=(q,)); p.start(); q.get(); p.join()
""", SPPROF_OUT="%e-%n.json", TMPDIR="/tmp")  # a socket's path is 107 bytes at most
    names = {os.path.basename(f).split("-")[0] for f in r.files()}
    titles = {p.json["name"].split(" (pid")[0].split(" ", 1)[1] for p in r.profiles()}
    assert {"-c (spawn)", "-c (forkserver)"} <= titles, titles
    # the tracker dies by a signal that cannot be seen coming, if the program does not wait for it
    assert {"spawn", "forkserver"} <= names <= {"spawn", "forkserver", "resource_tracker", f"app{b.count}"}, names


@case(where="few")
def file_modes(b):
    """A file may be read as any other that the program makes, but not where everybody may put files."""
    def mode(d, **kw):
        os.umask(0o022)
        r = b.run(HERE, cwd=d, **kw)
        return stat.S_IMODE(os.stat(r.files()[0]).st_mode)
    plain, sticky, nowhere = b.fresh(), b.fresh(), b.fresh()
    os.chmod(sticky, 0o1777)
    assert mode(plain) == 0o644
    assert mode(sticky) == mode(sticky, SPPROF_OUT="p.json") == mode(sticky, SPPROF_OUT="%p.json") == 0o600
    # a directory that nobody asked for
    r = b.run(HERE, SPPROF_OUT="/nowhere/p.json", TMPDIR=nowhere)
    found = os.listdir(nowhere)
    assert len(found) == 1 and stat.S_IMODE(os.stat(os.path.join(nowhere, found[0])).st_mode) == 0o600, (found, r.err)
    # what recover writes out of a spool, which is the owner's alone
    command = os.path.join(b.build, "spprof")
    for d, wanted in ((sticky, 0o600), (plain, 0o644)) if os.path.exists(command) else ():
        b.run("import os, signal\nsum(range(10**6))\nos.kill(os.getpid(), signal.SIGKILL)\n", check=False, SPPROF_SPOOL=d)
        spool, = [os.path.join(d, f) for f in os.listdir(d) if f.endswith(".spool")]
        assert stat.S_IMODE(os.stat(spool).st_mode) == 0o600
        subprocess.run([command, "recover", spool], check=True, capture_output=True)
        assert stat.S_IMODE(os.stat(spool[:-6] + ".speedscope.json").st_mode) == wanted
    shutil.rmtree(sticky)


@case
def unknown_fields(b):
    r = b.run(HERE, SPPROF_OUT="a%qb.json")
    assert [os.path.basename(f) for f in r.files()] == ["a%qb.json"], r.files()
    assert r.err.count("\n") == 1 and " has %q, " in r.err, r.err


if __name__ == "__main__":
    sys.exit(main())
