#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Pythons that are not the plain command: in a C program, in a virtual environment, from an archive."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from embedding import ask, embed, libpython, like_python  # noqa: E402,F401
from sp import BUSY, CASES, WORK, Skip, case, compile_support, complete, main, spent  # noqa: E402,F401


@case
def finalize_goes_on(b):
    """A C program that finalizes its interpreter and runs on."""
    for linked in (False, True):
        p = complete(b, embed(b, "once", WORK, linked=linked))
        assert p.block["cpu"]["native_thread"] + p.doubt_ns() >= 0.15e9, p.block


@case
def embedded_local(b):
    """A libpython that was loaded with RTLD_LOCAL, as plug-ins are."""
    source = BUSY + "def f(): busy(0.15)\nf()\n"
    p = embed(b, "local", source).profile()
    assert spent(b, p, "f") >= 0.15e9, p.stacks()


@case
def python_in_a_constructor(b):
    """A plug-in's constructor waits for a thread that is the first to initialise a CPython."""
    if b.version >= (3, 14):
        raise Skip("from 3.14 on CPython itself locks the loader while it starts (dladdr)")
    python = libpython(b)
    plugin = compile_support(b, "hosts_python.c", "libhosts_python.so", "-shared", "-fPIC", python)
    host = compile_support(b, "opens.c", "opens", *like_python(b, python))
    source = BUSY + "def hosted(): busy(0.15)\nhosted()\n"
    home = ask(b, "sys.base_prefix")
    r = b.run(None, command=[host, "1", "0", plugin], HOSTED_SCRIPT=b.write(source), PYTHONHOME=home, timeout=60)
    assert r.out == "done \n"
    assert spent(b, r.profile(), "hosted") >= 0.15e9, r.profile().stacks()


@case
def python_is_unloaded(b):
    """A program that closes its libpython and runs on: what we read stays mapped."""
    r = embed(b, "close", WORK)
    p = complete(b, r)
    assert p.block["cpu"]["native_thread"] > 0.1e9, p.block["cpu"]


@case
def embedded_after_many_keys(b):
    """CPython's pthread key is none of the first 32: its value lies in a block of its own, in each thread."""
    r = embed(b, "keys", WORK + "import threading\nt = threading.Thread(target=work)\nt.start(); t.join()\n")
    assert r.err == "", r.err
    assert spent(b, complete(b, r, 0.2e9)) > 0.2e9


@case
def embedded_main(b):
    """The program is linked with libpython and does what the python command does; children are profiled as well."""
    r = embed(b, "main", WORK + "if os.fork() == 0: work(); os._exit(0)\nos.wait()\n", linked=True)
    assert len(r.profiles()) == 2
    for p in r.profiles():
        assert spent(b, p) >= 0.12e9, p.block


@case(where="all")
def init_fini_init(b):
    for linked in (False, True):
        r = embed(b, "twice", WORK, linked=linked)
        assert r.out.count("round") == 2
        complete(b, r, 0.24e9, 2)


@case
def init_fini_init_with_daemon(b):
    """A daemon thread of the first life sits in C with a freed thread state while the second runs."""
    source = WORK + """
import threading, ctypes
lib = ctypes.CDLL(%r)
threading.Thread(target=lib.spin_ms, args=(700,), daemon=True).start()
work()
""" % os.path.join(b.build, "tests/libspin.so")
    r = embed(b, "twice", source, MALLOC_PERTURB_="85", check=False)
    plain = embed(b, "twice", source, MALLOC_PERTURB_="85", check=False, preload=False)
    assert r.code == plain.code, (r.code, plain.code, r.err)
    if r.code == 0:
        complete(b, r, 0.24e9, 2)


@case(where="few")
def hidden_namespaces(b):
    """RTLD_DEEPBIND and dlmopen hide an interpreter from a preloaded library: not a harm, and no lie."""
    for how in ("deep", "space"):
        plain = embed(b, how, WORK, preload=False, check=False)
        r = embed(b, how, WORK, check=False)
        assert (r.code, r.out, r.err) == (plain.code, plain.out, plain.err), (how, r.code, plain.code, r.err, plain.err)
        for p in r.profiles():
            assert spent(b, p) >= 0.12e9, (how, p.stacks())


@case(where="few")
def virtual_environment(b):
    """Its python is a link or a copy; the modules, a console script and `-m` are profiled like any other."""
    d = b.fresh()
    for kind in ("--symlinks", "--copies"):
        venv = os.path.join(d, kind.strip("-"))
        subprocess.run([b.python, "-m", "venv", "--without-pip", kind, venv], check=True, env=b.env(False), capture_output=True)
        python = os.path.join(venv, "bin", "python")
        asked = subprocess.run([python, "-c", "import site; print(site.getsitepackages()[0])"], capture_output=True, text=True, env=b.env(False))
        if asked.returncode != 0:
            raise Skip(f"{kind}: this interpreter does not start there, without a preload")
        site = asked.stdout.strip()
        with open(os.path.join(site, "worker.py"), "w") as f:
            f.write(WORK)
        script = os.path.join(venv, "bin", "work")
        with open(script, "w") as f:
            f.write(f"#!{python}\nimport worker\n")
        os.chmod(script, 0o755)
        for command in ([python, "-m", "worker"], [script]):
            complete(b, b.run(None, command=command))


@case(where="few")
def zipped(b):
    """A zipapp, run by name: the frames' files lie inside the archive."""
    d = b.fresh()
    os.mkdir(os.path.join(d, "app"))
    with open(os.path.join(d, "app", "__main__.py"), "w") as f:
        f.write(WORK)
    archive = os.path.join(d, "app.pyz")
    subprocess.run([b.python, "-m", "zipapp", os.path.join(d, "app"), "-o", archive, "-p", b.python], check=True, env=b.env(False))
    p = complete(b, b.run(None, command=[archive]))
    if b.known:
        assert [f for f in p.frames if f["name"] == "work"][0]["file"] == archive + "/__main__.py", p.frames


@case(where="few")
def shim(b):
    """A shell script that finds the interpreter and execs it: nothing of the shell is in the way."""
    d = b.fresh()
    path = os.path.join(d, "python")
    with open(path, "w") as f:
        f.write(f"#!/bin/bash\nx=$(printf '%s\\n' {b.python} | sed 's/x/x/')\nexec \"$x\" \"$@\"\n")
    os.chmod(path, 0o755)
    r = b.run(WORK, python=path, SPPROF_OUT="p.json")
    assert [os.path.basename(f) for f in r.files()] == ["p.json"]
    complete(b, r)


if __name__ == "__main__":
    sys.exit(main())
