# SPDX-License-Identifier: MIT
"""What the checks of real programs share: running one plain or preloaded, asking a server, looking into the profiles."""
import glob
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import ASKED, BUSY, Profile, Skip, clean_env  # noqa: E402,F401

PROGRAMS = {}


def program(f):
    PROGRAMS[f.__name__.rstrip("_")] = f
    return f


class Run:
    """One program, once: preloaded or not, in a directory of its own."""

    def __init__(self, python, library, preload):
        self.python, self.library, self.preload = python, library, preload
        self.bin = os.path.dirname(python)
        self.directory = tempfile.mkdtemp(prefix="spprof-program-")
        self.out = os.path.join(self.directory, "profiles")
        os.mkdir(self.out)

    def close(self):
        shutil.rmtree(self.directory, ignore_errors=True)

    def env(self, preload=None, **extra):
        env = clean_env()
        env.update(PATH=self.bin + ":" + env["PATH"], HOME=self.directory, **extra)
        if self.preload if preload is None else preload:
            env.update(LD_PRELOAD=self.library, SPPROF_OUT=self.out, SPPROF_INTERVAL="1ms", SPPROF_VERBOSE="0",
                       **ASKED)
        return env

    def write(self, text, name="app.py"):
        path = os.path.join(self.directory, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def tool(self, *command, timeout=600, **kw):
        """A step before the program: never preloaded."""
        subprocess.run(command, cwd=self.directory, env=self.env(False), check=True, capture_output=True, timeout=timeout, **kw)

    def do(self, *command, timeout=600, code=0, **extra):
        r = subprocess.run(command, cwd=self.directory, env=self.env(**extra), capture_output=True, timeout=timeout, text=True,
                           errors="backslashreplace", stdin=subprocess.DEVNULL)
        assert code is None or r.returncode == code, f"{command}: exit {r.returncode}\n{r.stdout[-3000:]}\n{r.stderr[-3000:]}"
        assert "spprof:" not in r.stderr, r.stderr
        return r.stdout

    def profiles(self):
        return [Profile(f) for f in sorted(glob.glob(os.path.join(self.out, "*.json")))]

    def functions(self):
        """Name -> ns with it on the stack, over all processes."""
        sums = {}
        for p in self.profiles():
            for name, ns in p.total_ns().items():
                sums[name] = sums.get(name, 0) + ns
        return sums

    def seen(self, *names, least=0.05e9):
        if self.preload:
            sums, doubt = self.functions(), sum(p.doubt_ns() for p in self.profiles())
            for name in names:
                assert sums.get(name, 0) > 0 and sums[name] + doubt >= least, (name, doubt, sums.get(name), sorted(sums.items(), key=lambda x: -x[1])[:10])


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def serve(run, command, port, requests=200, clients=4, stop=signal.SIGTERM, codes=(0,), meanwhile=lambda: None):
    """Starts a server, asks it `requests` times, stops it: the answers, sorted."""
    server = subprocess.Popen(command, cwd=run.directory, env=run.env(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    answers, failed = [], []
    try:
        until = time.time() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/?n=0", timeout=10).read()
                break
            except OSError:
                assert time.time() < until and server.poll() is None, "the server does not start"
                time.sleep(0.1)

        def client(k):
            for i in range(k, requests, clients):
                try:
                    answers.append(urllib.request.urlopen(f"http://127.0.0.1:{port}/?n={i}", timeout=30).read())
                except Exception as e:  # noqa: BLE001
                    failed.append(repr(e))
        threads = [threading.Thread(target=client, args=(k,)) for k in range(clients)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        meanwhile()
        server.send_signal(stop)
        output = server.communicate(timeout=60)[0].decode(errors="replace")
    finally:
        if server.poll() is None:
            server.kill()
    assert not failed and server.returncode in codes, (failed[:3], server.returncode, output[-2000:])
    return sorted(answers)


def pair(name, python, library):
    """-> the program's results plain and preloaded, by test id if it is a test suite."""
    results = []
    for preload in (False, True):
        run = Run(python, library, preload)
        try:
            started = time.time()
            r = PROGRAMS[name](run)
            results.append(r if isinstance(r, dict) else {name: r})
            n = len(run.profiles())
            print(f"  {name}: {'preloaded' if preload else 'plain'} {time.time() - started:.1f} s" + (f", {n} profiles" if preload else ""))
        finally:
            run.close()
    return results


def differences(plain, ours):
    return {k: (plain.get(k), ours.get(k)) for k in {**plain, **ours} if plain.get(k) != ours.get(k)}


def check(name, python, library):
    """Single tests of a suite that differ get a second run of both: a test may be unsteady by itself."""
    found = differences(*pair(name, python, library))
    if found and list(found) != [name]:
        again = differences(*pair(name, python, library))
        for k in found.keys() - again.keys():
            print(f"  {k}: plain {found[k][0]}, preloaded {found[k][1]}; unsteady: no difference when run again")
        found = {k: v for k, v in found.items() if k in again}
    assert not found, f"{name}: " + "; ".join(f"{k}: plain {str(p)[:800]}, preloaded {str(o)[:800]}" for k, (p, o) in found.items())


def main():
    if sys.argv[1:] == ["--list"]:
        print("\n".join(PROGRAMS))
        return 0
    python, library, _ = sys.argv[1:4]
    if not os.path.exists(python):
        print(f"skip: no virtual environment {python}: scripts/check-programs makes it")
        return 77
    signal.signal(signal.SIGINT, signal.default_int_handler)
    failed = skipped = 0
    names = sys.argv[4:] or list(PROGRAMS)
    for name in names:
        try:
            check(name, os.path.abspath(python), os.path.abspath(library))
            print("ok  ", name, flush=True)
        except Skip as e:
            print(f"skip {name}: {e}")
            skipped += 1
        except Exception:  # noqa: BLE001
            traceback.print_exc()
            print("FAIL", name, flush=True)
            failed += 1
    return 1 if failed else 77 if skipped == len(names) else 0
