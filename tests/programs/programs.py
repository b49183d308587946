#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Real programs from PyPI, plain and preloaded at 1 ms: the same result, no failed request, every profile whole.

usage: programs.py VENV_PYTHON LIBRARY BUILD [NAME...]     --list: the names
"""
import glob
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from xml.etree import ElementTree

import dozen  # noqa: F401
import foreign  # noqa: F401
import servers  # noqa: F401
from harness import BUSY, Skip, main, program

# ---- coroutines on C stacks of their own
SWITCHING = """
def chain(k):
    def burn(n): return sum(i for i in range(n))
    ns = {"switch": switch, "burn": burn}
    exec('''
def c%d_leaf():
    burn(3000)
    switch()
    burn(3000)
def c%d_middle(n):
    for i in range(n): c%d_leaf()
def c%d_root():
    for i in range(25): c%d_middle(8)
''' % (k, k, k, k, k), ns)
    return ns["c%d_root" % k]
"""


def only_whole_chains(run):
    """Each stack is one chain, root to leaf: never a mixture of two, never one without its root."""
    if not run.preload:
        return
    chains = 0
    for p in run.profiles():
        for stack, ns in p.stacks().items():
            mine = [s for s in stack if re.fullmatch(r"c\d+_\w+", s)]
            if not mine:
                continue
            assert len({s.split("_")[0] for s in mine}) == 1, stack
            assert "(shutdown)" not in stack, stack  # its first function has nothing below it, as what runs at the end
            assert [s.split("_")[1] for s in mine] == ["root", "middle", "leaf"][:len(mine)], stack
            chains += ns
        lost = sum(n for why, n in p.block["losses"]["unwalkable"].items() if why != "finalizing")
        # Between two greenlets no stack is whole: about one tick in a hundred here, of some hundred.
        assert lost <= 0.03 * p.block["samples"] + 6, p.block["losses"]
    assert chains > 0.1e9, run.functions()


@program
def greenlet(run):
    out = run.do(run.python, run.write("""
import greenlet
main = greenlet.getcurrent()
ring = []
def switch():
    ring.append(ring.pop(0))
    ring[0].switch()
""" + SWITCHING + """
done = []
def body(k):
    chain(k)()
    done.append(k)
    ring.remove(greenlet.getcurrent())
for k in range(20):
    ring.append(greenlet.greenlet(lambda k=k: body(k)))
while ring: ring[0].switch()
print(sorted(done))
"""))
    only_whole_chains(run)
    return out


@program
def gevent(run):
    out = run.do(run.python, run.write("""
from gevent import monkey; monkey.patch_all()
import gevent, socket
switch = lambda: gevent.sleep(0)
""" + SWITCHING + """
def echo(sock):
    for _ in range(300): sock.sendall(sock.recv(100))
def talk(k):
    a, b = socket.socketpair()
    g = gevent.spawn(echo, b)
    total = 0
    for i in range(300):
        a.sendall(b"%d" % i); total += int(a.recv(100))
    g.join()
    return total
jobs = [gevent.spawn(chain(k)) for k in range(10)] + [gevent.spawn(talk, k) for k in range(4)]
gevent.joinall(jobs, raise_error=True)
print([j.value for j in jobs])
"""))
    only_whole_chains(run)
    return out


@program
def greenlet_spans(run):
    """Each has a context of its own, gevent's too: what switches away in a span takes it along, and who goes on is in its own."""
    out = run.do(run.python, run.write("""
import contextlib, time
import gevent, greenlet
try: from spprof import span
except ImportError: span = contextlib.nullcontext
known = {}
def burn(s, *way):
    if way not in known:
        exec("def in_%s(s):\\n end = time.thread_time() + s\\n while time.thread_time() < end: pass" % "_".join(map(str, way or [0])), globals())
        known[way] = globals()["in_" + "_".join(map(str, way or [0]))]
    known[way](s)
def job(i, switch):
    for _ in range(25):
        with span(str(i)):
            burn(.002, i); switch(); burn(.002, i)
            with span(str(i + 10)): burn(.002, i, i + 10); switch(); burn(.002, i, i + 10)
        burn(.002); switch()
with span("outer"):
    gevent.joinall([gevent.spawn(job, i, lambda: gevent.sleep(0)) for i in (1, 2, 3)], raise_error=True)
pair = []
def other():
    here = greenlet.getcurrent()
    to = [g for g in pair if g is not here and not g.dead]
    if to: to[0].switch()
pair += [greenlet.greenlet(lambda i=i: job(i, other)) for i in (4, 5)]
for g in pair:
    while not g.dead: g.switch()
print("all")
"""))
    seen = set()
    for p in run.profiles() if run.preload else ():
        for stack in p.stacks():
            spans, said = [f[5:] for f in stack if f.startswith("span ")], [f[3:] for f in stack if re.fullmatch(r"in_[\d_]+", f)]
            assert not said or spans == ([] if said == ["0"] else said[0].split("_")), stack
            seen.update(tuple(spans) if said else () for _ in said)
    assert not run.preload or len(seen) > 5, seen
    return out


@program
def eventlet(run):
    out = run.do(run.python, "-W", "ignore", run.write("""
import eventlet
switch = lambda: eventlet.sleep(0)
""" + SWITCHING + """
pool = eventlet.GreenPool()
for k in range(10): pool.spawn(chain(k))
pool.waitall()
print("all")
"""))
    only_whole_chains(run)
    return out


@program
def setproctitle(run):
    """All 600 bytes of a title are shown, however the program was started."""
    if subprocess.run([run.python, "-c", "import setproctitle"], capture_output=True).returncode:
        raise Skip("setproctitle is not installed")
    path = run.write("""
import setproctitle, sys
setproctitle.setproctitle("x" * 600)
print(sys.argv[1], len(open("/proc/self/cmdline", "rb").read().rstrip(b"\\0")))
""")
    once = f"{run.python} {path}"
    return (run.do("bash", "-c", once + " bash; true") + run.do("sh", "-c", once + " sh; true") + run.do("env", run.python, path, "env") +
            run.do(run.python, path, "direct"))


# ---- frozen, compiled, embedded
APP = BUSY + """
import threading, sys
def work(): busy(0.2)
t = threading.Thread(target=work); t.start(); work(); t.join()
print("frozen", getattr(sys, "frozen", False))
"""


@program
def pyinstaller_directory(run):
    run.tool("pyinstaller", "--onedir", run.write(APP))
    out = run.do(os.path.join(run.directory, "dist", "app", "app"))
    run.seen("work", least=0.3e9)
    return out


@program
def pyinstaller_file(run):
    run.tool("pyinstaller", "--onefile", run.write(APP))
    out = run.do(os.path.join(run.directory, "dist", "app"))
    run.seen("work", least=0.3e9)
    assert len(run.profiles()) == run.preload
    return out


COMPILED = """
def loop(f, n: int) -> int:
    total = 0
    for i in range(n):
        for j in range(100):
            total += i ^ j
        total = f(total)
    return total
"""
CALLER = """
import compiled
assert not compiled.__file__.endswith(".py")
def called_back(x): return sum([x & 1] * 20)
def caller():
    return sum(compiled.loop(called_back, 20000) for _ in range(40))
print(caller())
"""


def around_compiled(run):
    """The compiled function has no frame; its caller and what it calls are on the stack, joined."""
    if run.preload:
        stacks = run.profiles()[0].stacks()
        assert sum(ns for s, ns in stacks.items() if "caller" in s) > 0.05e9, stacks
        assert any("called_back" in s and s[s.index("called_back") - 1] in ("caller", "caller.<locals>.<genexpr>", "loop")
                   for s in stacks), stacks


@program
def cython_module(run):
    run.write(COMPILED, "compiled.py")
    run.tool("cythonize", "-i", "-3", "compiled.py")
    out = run.do(run.python, run.write(CALLER))
    around_compiled(run)
    return out


@program
def mypyc_module(run):
    run.write(COMPILED, "compiled.py")
    run.tool("mypyc", "compiled.py")
    out = run.do(run.python, run.write(CALLER))
    around_compiled(run)
    return out


@program
def cython_program(run):
    run.write(APP, "app.py")
    run.tool("cython", "-3", "--embed", "app.py")
    def ask(names):
        return subprocess.run([run.python, "-c", f"import sysconfig as s; print(*map(s.get_config_var, {names!r}))"], capture_output=True,
                              text=True, env=run.env(False), check=True).stdout.split()
    libdir, name = ask(["LIBDIR", "INSTSONAME"])
    include = subprocess.run([run.python, "-c", "import sysconfig as s; print(s.get_path('include'))"], capture_output=True, text=True,
                             env=run.env(False), check=True).stdout.strip()
    if ".so" not in name:
        raise Skip("no shared libpython")
    run.tool("cc", "-O1", "-w", "app.c", "-I", include, os.path.join(libdir, name), f"-Wl,-rpath,{libdir}", "-o", "app")
    home = subprocess.run([run.python, "-c", "import sys; print(sys.base_prefix)"], capture_output=True, text=True,
                          env=run.env(False), check=True).stdout.strip()
    out = run.do(os.path.join(run.directory, "app"), PYTHONHOME=home)
    run.seen("Thread.run", least=0.1e9)
    return out


# ---- tools that work through a tree of files
def tree(run, *packages):
    root = os.path.join(run.directory, "tree")
    stdlib = subprocess.run([run.python, "-c", "import sysconfig as s; print(s.get_path('stdlib'))"], capture_output=True, text=True,
                            env=run.env(False), check=True).stdout.strip()
    for p in packages:
        shutil.copytree(os.path.join(stdlib, p), os.path.join(root, p), ignore=shutil.ignore_patterns("__pycache__"))
    return root


@program
def black(run):
    root = tree(run, "json", "asyncio")
    run.do("black", "-q", "--workers", "2", root)
    digest = hashlib.sha256()
    for path in sorted(glob.glob(root + "/**/*.py", recursive=True)):
        digest.update(open(path, "rb").read())
    assert not run.preload or run.profiles()
    return digest.hexdigest()


@program
def pylint(run):
    root = tree(run, "json", "email")
    # duplicate-code shows a pair by chance: plain runs with -j2 differ among themselves
    out = run.do("pylint", "-j2", "--exit-zero", "--score=n", "--disable=duplicate-code", root).replace(run.directory, "")
    assert not run.preload or len(run.profiles()) >= 3
    return sorted(out.splitlines())


@program
def mypy(run):
    return run.do("mypy", "--no-incremental", run.write("import json\nx: int = json.loads('1')\ny: str = 1\n"), code=1).replace(run.directory, "")


# ---- numbers
@program
def sci(run):
    out = run.do(run.python, run.write("""
import numpy as np, scipy.optimize as so, pandas as pd
rng = np.random.default_rng(1)
def svd(): return np.linalg.svd(rng.random((300, 300)), compute_uv=False).sum()
def bfgs(): return so.minimize(so.rosen, np.full(20, 1.3), method="BFGS").fun
def groups():
    f = pd.DataFrame({"k": rng.integers(0, 300, 20000), "v": rng.random(20000)})
    return f.groupby("k")["v"].apply(lambda s: (s * s).sum()).sum()
print("%.6f %.6f %.6f" % (sum(svd() for _ in range(10)), bfgs(), sum(groups() for _ in range(5))))
"""))
    run.seen("svd", "bfgs", "groups", least=0.01e9)
    return out


@program
def sklearn(run):
    out = run.do(run.python, run.write("""
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier, HistGradientBoostingClassifier
from joblib import Parallel, delayed
x, y = make_classification(3000, 20, random_state=1)
def forest(): return RandomForestClassifier(40, n_jobs=2, random_state=1).fit(x, y).score(x, y)
def boost(): return HistGradientBoostingClassifier(max_iter=30, random_state=1).fit(x, y).score(x, y)
def part(k): return sum(i * k for i in range(100000))
def loky(): return sum(Parallel(n_jobs=2)(delayed(part)(k) for k in range(40)))
print("%.4f %.4f %d" % (forest(), boost(), loky()))
"""))
    run.seen("_parallel_build_trees", "boost", "part", least=0.01e9)
    return out


# ---- queues
@program
def celery(run):
    os.mkdir(os.path.join(run.directory, "q"))
    run.write(BUSY + """
from celery import Celery
app = Celery("tasks", broker="filesystem://", backend="file://" + %r)
app.conf.broker_transport_options = {"data_folder_in": %r, "data_folder_out": %r}
@app.task
def square(n):
    busy(0.02)
    return n * n
""" % ((os.path.join(run.directory, "q"),) * 3), "tasks.py")
    worker = subprocess.Popen(["celery", "-A", "tasks", "worker", "-c", "2", "-l", "WARNING", "--without-gossip", "--without-mingle"],
                              cwd=run.directory, env=run.env(C_FORCE_ROOT="1"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        asked = subprocess.run([run.python, "-c", "from tasks import square\nr = [square.delay(n) for n in range(20)]\n"
                                "print([x.get(timeout=60) for x in r])"], cwd=run.directory, env=run.env(False), capture_output=True,
                               text=True, timeout=120)
        worker.send_signal(signal.SIGTERM)
        output = worker.communicate(timeout=60)[0]
    finally:
        if worker.poll() is None:
            worker.kill()
    assert asked.returncode == 0 and worker.returncode == 0, (asked.stderr[-2000:], worker.returncode, output[-2000:])
    run.seen("square", least=0.2e9)
    return asked.stdout


@program
def dramatiq(run):
    out = run.do(run.python, run.write(BUSY + """
import dramatiq
from dramatiq.brokers.stub import StubBroker
broker = StubBroker(); dramatiq.set_broker(broker)
done = []
@dramatiq.actor
def job(n):
    busy(0.01); done.append(n)
worker = dramatiq.Worker(broker, worker_threads=4); worker.start()
for n in range(60): job.send(n)
broker.join("default"); worker.join(); worker.stop()
print(sorted(done))
"""))
    run.seen("job", least=0.3e9)
    return out


# ---- other people's tests
def outcomes(run, *arguments, least):
    """pytest's result of each test, by its id; at least `least` of them pass."""
    xml = os.path.join(run.directory, "outcomes.xml")
    out = run.do("pytest", "-q", "-p", "no:cacheprovider", "--junit-xml", xml, *arguments, code=None)
    cases = {f"{c.get('classname')}::{c.get('name')}": sorted(e.tag for e in c if e.tag in ("failure", "error", "skipped"))
             for c in ElementTree.parse(xml).iter("testcase")}
    assert sum(not o for o in cases.values()) >= least, out[-2000:]
    return cases


def source(run, name, version):
    run.tool("pip", "download", "-q", "--no-deps", "--no-binary", ":all:", f"{name}=={version}")
    run.tool("tar", "-xf", f"{name}-{version}.tar.gz")
    return f"{name}-{version}"


@program
def trio_tests(run):
    return outcomes(run, "-p", "trio._tests.pytest_plugin", "--pyargs", "trio._core", least=250)


# Those that fail plainly (no IPv6, no name service) are to fail alike.
@program
def anyio_tests(run):
    tests = source(run, "anyio", "4.16.0")
    return outcomes(run, "--rootdir", tests, "-c", f"{tests}/pyproject.toml", "-W", "ignore", "-k", "not ipv6", f"{tests}/tests", least=4000)


@program
def httpcore_tests(run):
    tests = source(run, "httpcore", "1.0.9")
    return outcomes(run, "--rootdir", tests, "-c", f"{tests}/pyproject.toml", "-o", "markers=trio", "-W", "ignore", f"{tests}/tests", least=200)


@program
def attrs_tests(run):
    tests = source(run, "attrs", "26.1.0")
    return outcomes(run, "--hypothesis-seed=1", f"{tests}/tests", "--rootdir", tests, "--ignore", f"{tests}/tests/test_mypy.yml", least=1300)


@program
def django_tests(run):
    run.do(run.python, source(run, "django", "6.1.3") + "/tests/runtests.py", "--parallel", "2", "template_tests.syntax_tests", "utils_tests", "basic",
           "queries", "signals", "dispatch", "handlers", "model_forms")
    assert not run.preload or len(run.profiles()) >= 3
    return "OK"


@program
def pyperformance(run):
    out = os.path.join(run.directory, "result.json")
    run.do("pyperformance", "run", "-b", "nbody,deltablue,json_dumps", "--debug-single-value", "-o", out,
           "--inherit-environ", "LD_PRELOAD,SPPROF_OUT,SPPROF_INTERVAL,SPPROF_VERBOSE")
    run.seen("advance")
    return sorted(b["metadata"]["name"] for b in json.load(open(out))["benchmarks"] if "metadata" in b and "name" in b["metadata"])


if __name__ == "__main__":
    sys.exit(main())
