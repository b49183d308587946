#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Programs on Debian 11's glibc 2.31, where threads, timers and dlsym are in libraries of their own: each behaves as without us.

usage: old_glibc.py LIBRARY SOURCE_DIR [CASE...]
"""
import ast
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from lives import HEAD, agree, lives, waits as waits_in  # noqa: E402
from sp import Profile  # noqa: E402

CACHE = os.path.expanduser("~/.cache/spprof-glibc231")
ROOT = os.path.join(CACHE, "root")
PACKAGES = ("libc6 libc6-dev linux-libc-dev dash coreutils python3.9-minimal libpython3.9-minimal libpython3.9-stdlib libpython3.9 libexpat1 "
            "zlib1g libgcc-s1 libcrypt1 libuuid1")
PATH = [os.path.join(ROOT, p) for p in ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")]
DL, PTHREAD, RT = (os.path.join(PATH[0], f"lib{n}") for n in ("dl.so.2", "pthread.so.0", "rt.so.1"))
CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def skip(why):
    print("skip:", why)
    sys.exit(77)


def fetch():
    """Debian 11's packages beside the system: nothing is installed."""
    stamp = os.path.join(CACHE, "packages")
    if os.path.exists(stamp) and open(stamp).read() == PACKAGES:
        return
    mirror = subprocess.run("apt-get indextargets --format '$(REPO_URI)' | grep -v security | head -n 1", shell=True,
                            capture_output=True, text=True).stdout.strip()
    if not mirror:
        skip("no apt")
    for sub in ("lists/partial", "cache/archives/partial", "parts", "dl", "root"):
        os.makedirs(os.path.join(CACHE, sub), exist_ok=True)
    with open(os.path.join(CACHE, "parts/b.sources"), "w") as f:
        f.write(f"Types: deb\nURIs: {mirror}\nSuites: bullseye\nComponents: main\n"
                "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n")
    options = ["-o", "Dir::Etc::sourcelist=/dev/null", "-o", f"Dir::Etc::sourceparts={CACHE}/parts",
               "-o", f"Dir::State::Lists={CACHE}/lists", "-o", f"Dir::Cache={CACHE}/cache", "-o", "Dir::State::status=/dev/null"]
    if subprocess.run(["apt-get", *options, "update", "-qq"]).returncode or \
            subprocess.run(["apt-get", *options, "-qq", "download", *PACKAGES.split()], cwd=os.path.join(CACHE, "dl")).returncode:
        skip("Debian 11's packages cannot be downloaded")
    for name in sorted(os.listdir(os.path.join(CACHE, "dl"))):
        subprocess.run(["dpkg", "-x", os.path.join(CACHE, "dl", name), ROOT], check=True)
    with open(stamp, "w") as f:
        f.write(PACKAGES)


class Host:
    def __init__(self, library, source, directory):
        self.library, self.source, self.directory = os.path.abspath(library), os.path.abspath(source), directory
        self.profile = os.path.join(directory, "p.json")

    def compile(self, source, *flags):
        """A program of this folder, or of tests/..., for that glibc."""
        name = source.rsplit("/", 1)[-1][:-2] + (".so" if "-shared" in flags else "")
        path = os.path.join(self.directory, name)
        source = os.path.join(self.source, "tests", source if "/" in source else "old_glibc/" + source)
        start = [] if "-shared" in flags else [os.path.join(PATH[1], "Scrt1.o")]
        libc = [os.path.join(PATH[0], "libc.so.6"), os.path.join(PATH[1], "libc_nonshared.a"), os.path.join(PATH[0], "ld-2.31.so")]
        subprocess.run(["cc", "-O1", "-w", "-std=gnu11", "-D_GNU_SOURCE", "-isystem", os.path.join(ROOT, "usr/include"), "-isystem",
                        os.path.join(ROOT, "usr/include/x86_64-linux-gnu"), "-nostdlib", *start, os.path.join(PATH[1], "crti.o"), source,
                        os.path.join(PATH[1], "crtn.o"), "-Wl,--as-needed,-rpath-link," + PATH[0], *flags, *libc, "-lgcc", "-o", path], check=True)
        return path

    def run(self, *command, preload=True, **env):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("LD_", "SPPROF", "PYTHON"))} | env
        loader = [os.path.join(PATH[0], "ld-2.31.so"), "--library-path", ":".join(PATH)] + ["--preload", self.library] * preload
        r = subprocess.run(loader + list(command), capture_output=True, text=True, cwd=self.directory, timeout=60,
                           env=dict(env, SPPROF_OUT=self.profile))
        return r.returncode, r.stdout, r.stderr

    def same(self, *command, expect):
        """Without us and with us; `expect` is what both print."""
        plain, ours = self.run(*command, preload=False), self.run(*command)
        assert plain == ours and plain[1] == expect, (plain, ours)
        assert not os.path.exists(self.profile)


@case
def debian_programs(h):
    """Debian's own shell and cat, which are linked with libc alone; and one that is ours."""
    h.same(os.path.join(ROOT, "bin/dash"), "-c", "echo one; (exit 3); echo $?; exit 4", expect="one\n3\n")
    h.same(os.path.join(ROOT, "bin/cat"), os.path.join(h.source, "tests/old_glibc/hello.c"),
           expect=open(os.path.join(h.source, "tests/old_glibc/hello.c")).read())
    h.same(h.compile("hello.c"), expect="hello\n")


@case
def timers(h):
    h.same(h.compile("timers.c", RT, PTHREAD), expect="expired\n")


@case
def conditions(h):
    h.same(h.compile("conditions.c", PTHREAD), expect="2000 turns, timed out\n")


@case
def spawns(h):
    text = os.path.join(h.directory, "text")
    with open(text, "w") as f:
        f.write("exit 5\n")
    os.chmod(text, 0o755)
    h.same(h.compile("spawns.c"), text, expect="Exec format error, status 0\nExec format error\n")


@case
def weak_references(h):
    h.same(h.compile("weak.c"), expect="mask 1, wrong 1, errno 0\nunblocked 1\none thread 1\n")


@case
def late_threads(h):
    """libpthread and librt come with a library that is opened later, whose constructor waits for a thread."""
    waits = h.compile("support/waits.c", "-shared", "-fPIC", PTHREAD, RT)
    h.same(h.compile("late.c", DL), waits, expect="opened\n")


@case
def constructors(h):
    waits = h.compile("support/waits.c", "-shared", "-fPIC", PTHREAD, RT)
    h.same(h.compile("support/opens.c", PTHREAD, DL), "2", "2", waits, expect="done \n")


@case
def waits(h):
    """SPPROF_WALL: threads that wait for the GIL by condition variables, whose symbols are there twice; sleeps, locks, queues."""
    app = os.path.join(h.directory, "waits.py")
    with open(app, "w") as f:
        f.write(HEAD + """
def sleeps(): time.sleep(.2)
def takes(): q.get()
def locks(): lock.acquire()
q, lock = queue.Queue(), threading.Lock()
ts = [threading.Thread(target=busy, args=(.1,)) for i in range(3)]
[t.start() for t in ts]; [t.join() for t in ts]
timed(sleeps)
threading.Thread(target=lambda: (time.sleep(.2), q.put(1))).start(); timed(takes)
lock.acquire(); threading.Thread(target=lambda: (time.sleep(.2), lock.release())).start(); timed(locks)
print(took)
""")
    rc, out, err = h.run(os.path.join(ROOT, "usr/bin/python3.9"), app, SPPROF_WALL="1", PYTHONHOME=os.path.join(ROOT, "usr"))
    assert (rc, err) == (0, ""), (rc, out, err)
    p = Profile(h.profile)
    agree(p, "MainThread", ast.literal_eval(out), {"sleeps": 0.2e9})
    assert sum(waits_in(s, "busy", "(waiting for the GIL)") for s in lives(p).values()), lives(p)
    os.remove(h.profile)


@case
def python(h):
    app = os.path.join(h.directory, "app.py")
    with open(app, "w") as f:
        f.write("import time, threading\ndef busy():\n e = time.thread_time() + .2\n while time.thread_time() < e: pass\n"
                "t = threading.Thread(target=busy, name='w'); t.start(); busy(); t.join(); print('ok')\n")
    embed = h.compile("support/embed.c", DL)
    for command, out in (([os.path.join(ROOT, "usr/bin/python3.9"), app], "ok\n"),
                         ([embed, "local", app, os.path.join(PATH[1], "libpython3.9.so.1.0")], "ok\nround 0\n")):
        got = h.run(*command, PYTHONHOME=os.path.join(ROOT, "usr"))
        assert got == (0, out, ""), got
        block = json.load(open(h.profile))["spprof"]
        assert block["python"] == "3.9.2" and block["cpu"]["python"] + block["cpu"]["not_sampled"] > 0.35e9, block
        assert any(t.get("name") == "w" for t in block["threads"]), block["threads"]
        os.unlink(h.profile)


def main(library, source, *names):
    fetch()
    failed = 0
    for name in names or CASES:
        with tempfile.TemporaryDirectory() as d:
            try:
                CASES[name](Host(library, source, d))
                print("ok  ", name)
            except (AssertionError, subprocess.TimeoutExpired) as e:
                print("FAIL", name, e)
                failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
