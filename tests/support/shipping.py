# SPDX-License-Identifier: MIT
"""Profiles to send, and `spprof ship` to send them."""
import os
import shutil
import subprocess
import time

from sp import BUSY, Skip, clean_env

PROGRAM = BUSY + """
import threading, spprof
def inner(): busy(0.05)
def outer():
    with spprof.span("job", n=threading.current_thread().name):
        with spprof.span("part"):
            inner()
    busy(0.02); threading.Event().wait(0.01)
ts = [threading.Thread(target=outer, name=f"pool-{i}") for i in range(3)]
for t in ts: t.start()
for t in ts: t.join()
outer()
"""
DROP = ("OTEL_", "POD_", "KUBERNETES_", "NODE_NAME", "CONTAINER_NAME", "HOSTNAME", "K8S_", "http_", "https_", "HTTP", "ALL_", "all_", "no_proxy")


def quiet_env(**extra):
    return {**{k: v for k, v in clean_env().items() if not k.startswith(DROP)}, **extra}


def begin(b, *args, env=None, cwd=None, command=()):
    return subprocess.Popen([*command, os.path.join(b.build, "spprof"), "ship", *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=quiet_env(**(env or {})), cwd=cwd or b.directory, errors="backslashreplace")


def ended(p, status=0):
    try:
        out, err = p.communicate(timeout=120)
    finally:
        p.kill()
    assert p.returncode == status and out == "", (p.returncode, out, err)
    assert all(c == "\n" or c.isprintable() for c in err), err
    return err


def ship(b, *args, status=0, **how):
    return ended(begin(b, *args, **how), status)


def need_curl(b):
    said = subprocess.run([os.path.join(b.build, "spprof"), "version"], capture_output=True, text=True, check=True).stdout
    if "\nwith libcurl\n" not in said:
        raise Skip("the command was built without libcurl")


def recorded(b, out="p.pb.gz", program=PROGRAM, **env):
    """The file of a run, in a directory of its own."""
    r = b.run(program, SPPROF_OUT=out, **{"SPPROF_INTERVAL": "1ms", **env})
    (name,) = os.listdir(r.directory)
    return os.path.join(r.directory, name)


def several(b, n, out="p.pb.gz"):
    """A directory of so many copies of a profile, and their names in order of time."""
    directory, made = b.fresh(), recorded(b, out)
    names = [f"{'zyxwvutsrqponm'[i]}-{out}" for i in range(n)]  # by name they come the other way round
    for i, name in enumerate(names):
        shutil.copy(made, os.path.join(directory, name))
        os.utime(os.path.join(directory, name), (1e9 + i, 1e9 + i))
    return directory, names


def left(directory):
    return sorted(f for f in os.listdir(directory) if not f.startswith("."))


def await_left(directory, names):
    for _ in range(3000):
        if left(directory) == sorted(names):
            return
        time.sleep(0.03)
    raise AssertionError((left(directory), names))
