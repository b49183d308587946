#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""SPPROF_SPOOL, `spprof recover`, `spprof snapshot`: nothing that was collected is lost to a kill."""
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import (BUSY, CASES, WORK, Profile, Skip, case, complete, enter_cgroup, main, memory_cgroup, need_frames,  # noqa: E402,F401
                memory_peak, spent)  # noqa: E402,F401

CHURN = BUSY + """
import os, threading, sys
def short(k):
    exec("def made_%d(): return [i for i in range(50)]\\nmade_%d()" % (k, k), {})
def churn():
    k = 0
    while True:
        threads = [threading.Thread(target=short, args=(k * 4 + i,)) for i in range(4)]
        for t in threads: t.start()
        for t in threads: t.join()
        busy(0.005)
        k += 1
print("go", flush=True)
churn()
"""


def command(b, *args, check=True):
    r = subprocess.run([os.path.join(b.build, "spprof"), *args], capture_output=True, text=True)
    if check and r.returncode != 0:
        raise AssertionError(f"{args}: exit {r.returncode}: {r.stderr}")
    return r


def spools(directory):
    return sorted(os.path.join(directory, f) for f in os.listdir(directory) if f.endswith(".spool"))


def recovered(b, spool):
    out = os.path.join(b.fresh(), "r.json")
    r = command(b, "recover", "-o", out, spool)
    assert "damaged" not in r.stderr, r.stderr
    p = Profile(out)
    assert p.block["complete"] is False
    return p


def used_ns(pid):
    """CPU of all its living threads, and of those that ended, by the kernel."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000000000 // os.sysconf("SC_CLK_TCK")


def wait_used(child, ns):
    while used_ns(child.pid) < ns:
        assert child.poll() is None
        time.sleep(0.005)


def start(b, source, **env):
    directory = b.fresh()
    path = b.write(source)
    env = b.env(SPPROF_SPOOL=directory, SPPROF_OUT=os.path.join(directory, "end.json"), **env)
    child = subprocess.Popen([b.python, path], cwd=directory, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout.readline() == b"go\n", child.stderr.read()
    return child, directory


@case
def killed(b):
    """At any instant: what the kernel counted up to the kill is in the profile, but for the last ticks."""
    for i in range(int(os.environ.get("SPPROF_TEST_KILLS", "5"))):
        child, directory = start(b, CHURN, SPPROF_INTERVAL="1ms")
        wait_used(child, used_ns(child.pid) + random.uniform(0, 0.5e9))
        child.kill()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = -signal.SIGKILL
        child.communicate()
        assert os.WTERMSIG(status) == signal.SIGKILL and not os.path.exists(os.path.join(directory, "end.json"))
        files = spools(directory)
        assert len(files) == 1, os.listdir(directory)
        p = recovered(b, files[0])
        used, seen = usage.ru_utime + usage.ru_stime, (p.total() + p.block["cpu"]["before_start"]) / 1e9
        # A thread that lives for less than a tick has no sample; what the main thread used since its last tick is missing. On an
        # overbooked CPU that was up to 0.1 s.
        assert seen <= used + 0.02 and seen > 0.4 * used - 0.2, (seen, used, p.block)
        if b.known and p.block["threads"][0]["samples"] > 20: # those of its start among them
            assert any("churn" in s for s in p.stacks()), p.stacks()


@case(where="few")
def fork_children_killed(b):
    source = BUSY + """
import os, signal, time
print("go", flush=True)
for i in range(3):
    if os.fork() == 0:
        busy(0.3)
        os.kill(os.getpid(), signal.SIGKILL)
    os.wait()
busy(0.05)
print("killed", flush=True)
time.sleep(600)
"""
    child, directory = start(b, source)
    assert child.stdout.readline() == b"killed\n"
    child.kill()
    child.communicate()
    files = spools(directory)
    assert len(files) == 4, files
    profiles = [recovered(b, f) for f in files]
    assert len({p.block["pid"] for p in profiles}) == 4
    for p in profiles:
        if p.block["pid"] != child.pid:
            assert p.block["ppid"] == child.pid
            # but for what came since the last tick
            assert p.total_ns()["busy" if b.known else "(python)"] > 0.05e9, (p.stacks(), p.block)
    command(b, "recover", "--remove", *files)
    assert not spools(directory) and len([f for f in os.listdir(directory) if f.endswith(".speedscope.json")]) == 4


@case
def refused_child_leaves_the_file_alone(b):
    """A fork child that got no memory of its own still has its parent's file mapped: code that dies in it is not its to forget."""
    need_frames(b)
    spool = b.fresh()
    r = b.run(BUSY + """
import gc, os, resource, signal, sys
hard = resource.getrlimit(resource.RLIMIT_AS)[1]
def make(i):
    ns = {"busy": busy}
    exec("def f%d(): busy(0.1)" % i, ns)
    return ns
made = [make(i) for i in range(6)]
for i, ns in enumerate(made): ns["f%d" % i]()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPROF])  # no tick from here on
file, = os.listdir(sys.argv[1])
def content():
    with open(os.path.join(sys.argv[1], file), "rb") as f: return f.read()
unchanged = 0
for ns in made:
    before = content()
    resource.setrlimit(resource.RLIMIT_AS, (1 << 20, hard))
    pid = os.fork()
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    if pid == 0:
        ns.clear(); gc.collect(); os._exit(0)
    os.waitpid(pid, 0)
    unchanged += content() == before
print(unchanged)
""", spool, SPPROF_SPOOL=spool, SPPROF_INTERVAL="40ms", SPPROF_MEMORY="1M", SPPROF_VERBOSE=1)
    assert r.err.count("no memory for the profile of this fork child") == 6, r.err
    assert int(r.out) == 6, r.out


def no_file_is_left(b, *tails):
    for tail in tails:
        directory = b.fresh()
        r = b.run(WORK + tail, check=False, SPPROF_SPOOL=directory)
        assert not os.listdir(directory), (tail, os.listdir(directory))
        assert r.profiles() and all(p.block["complete"] for p in r.profiles()), (tail, r.err)


@case(where="few")
def clean_ends_leave_no_file(b):
    no_file_is_left(b, "", "os._exit(3)", "os.kill(os.getpid(), signal.SIGTERM)", "os.abort()", "1/0")


@case(where="few")
def children_leave_no_file(b):
    second = b.write(WORK, "second.py")
    no_file_is_left(b, f"os.execv(sys.executable, [sys.executable, {second!r}])", "os.execv('/bin/true', ['true'])",
                    "import subprocess; subprocess.run([sys.executable, '-c', 'pass'])",
                    "pid = os.fork()\nif pid == 0: work(); os._exit(0)\nos.waitpid(pid, 0)")


@case(where="few")
def failed_exec_and_kill(b):
    """A failed exec leaves and re-enters the spool; what came before and after is in it."""
    tail = """
def before(): busy(0.3)
def after(): busy(0.3)
bad = os.path.join(sys.argv[0] + ".bad")
open(bad, "w").write("no program")
os.chmod(bad, 0o755)
before()
try: os.execv(bad, [bad])
except OSError: pass
after()
os.kill(os.getpid(), signal.SIGKILL)
"""
    directory = b.fresh()
    r = b.run(WORK + tail, check=False, SPPROF_SPOOL=directory)
    assert r.code == -signal.SIGKILL, r.err
    p = recovered(b, spools(directory)[0])
    if b.known:
        ns = p.total_ns()
        assert ns["before"] > 0.05e9 and ns["after"] > 0.05e9 and ns["work"] + p.doubt_ns() > 0.12e9, ns


@case(where="few")
def cannot_be_used(b):
    """One line, and the profile in memory as without."""
    plain = b.fresh()
    for where, limits in (("/nonexistent/spool", {}), (b.write("", "file"), {}), (plain, {"limit": 16 << 20})):
        preexec = (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (16 << 20, 16 << 20))) if limits else None
        r = b.run(WORK, SPPROF_SPOOL=where, preexec=preexec)
        lines = [line for line in r.err.splitlines() if "SPPROF_SPOOL" in line]
        assert len(lines) == 1 and "kept in memory" in lines[0], r.err
        complete(b, r)
    assert not os.listdir(plain)
    complete(b, b.run(WORK, SPPROF_SPOOL=plain, SPPROF_MEMORY="16M", preexec=lambda: resource.setrlimit(
        resource.RLIMIT_FSIZE, (16 << 20, 16 << 20))))


@case(where="few")
def full_disk(b):
    """On a file system that is full, or fills up while the program runs: a line, or nothing; never a SIGBUS."""
    if os.geteuid() != 0:
        raise Skip("needs root to mount a file system")
    directory = tempfile.mkdtemp()
    filled = b.write(BUSY + f"""
import os
try: open('{directory}/x', 'wb').write(bytes(20 << 20))
except OSError as e: print(e.errno)
for i in range(400):
    exec('def f%d(n): return f%d(n - 1) if n else busy(0.002)' % (i, i))
    exec('f%d(40)' % i)
""", "filled.py")
    script = f"""
mount -t tmpfs -o size=12m none {directory} || exit 77
export SPPROF_SPOOL={directory} SPPROF_OUT=$PWD/filled.json SPPROF_INTERVAL=1ms LD_PRELOAD={b.library}
{b.python} {filled} || exit 1
LD_PRELOAD= head -c 20M /dev/zero >{directory}/y
export SPPROF_OUT=$PWD/full.json
{b.python} {b.write(WORK, "full.py")} || exit 1
"""
    r = b.run(None, command=["unshare", "-m", "bash", "-c", script], preload=False, check=False)
    os.rmdir(directory)
    if r.code == 77 or "unshare" in r.err:
        raise Skip("no mount namespace")
    assert r.code == 0 and r.out == "28\n", (r.code, r.out, r.err)
    assert sum("no space left; the profile is kept in memory" in line for line in r.err.splitlines()) == 1, r.err
    filled, full = r.profiles()
    assert full.total() > 0.1e9 and not full.block["losses"]["overflow"], full.block["losses"]
    assert filled.total() > 0.8e9 and (not b.known or filled.block["losses"]["overflow"] > filled.block["samples"] / 2), filled.block


@case(where="few")
def out_of_memory(b):
    """The OOM killer comes in a memory cgroup; on a memory file system too the file takes only what it needs."""
    eat = BUSY + "def eat():\n    kept = []\n    while True:\n        kept.append(b'x' * (1 << 20)); busy(0.005)\nprint('go', flush=True)\neat()\n"
    shm = tempfile.mkdtemp(dir="/dev/shm")
    try:
        for directory in (b.fresh(), shm):
            with memory_cgroup(64 << 20) as group:
                r = b.run(eat, check=False, preexec=enter_cgroup(group), SPPROF_SPOOL=directory)
            assert (r.code, r.out) == (-9, "go\n"), r
            p = recovered(b, spools(directory)[0])
            assert p.total_ns()["eat" if b.known else "(python)"] > 0.05e9, (p.total_ns(), p.block)
            os.unlink(spools(directory)[0])
        limit = memory_peak(b, WORK, preload=False) + (3 << 20)
        for directory in (None, shm):
            with memory_cgroup(limit) as group:
                complete(b, b.run(WORK, preexec=enter_cgroup(group), SPPROF_SPOOL=directory))
    finally:
        shutil.rmtree(shm)


@case(where="few")
def not_written_is_kept(b):
    """The profile cannot be written anywhere: the spool file stays, and a line says so."""
    directory = b.fresh()
    tail = "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
    r = b.run(WORK + tail, SPPROF_SPOOL=directory, SPPROF_TEST_WORK=0.3)
    assert "spprof recover" in r.err and not r.files(), r.err
    assert recovered(b, spools(directory)[0]).total_ns()["work" if b.known else "(python)"] > 0.05e9


@case
def snapshots(b):
    """Of a running process, by spool file and by memory; it notices nothing, and they grow."""
    for spooled in (True, False):
        source = BUSY + "import sys\nprint('go', flush=True)\ndef forever():\n while True: busy(0.1)\nforever()\n"
        child, directory = start(b, source)
        if not spooled:
            child.kill()
            child.communicate()
            env = b.env(SPPROF_OUT=os.path.join(directory, "end.json"))
            child = subprocess.Popen([b.python, b.write(source)], cwd=directory, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            child.stdout.readline()
        seen = []
        for i in range(3):
            wait_used(child, used_ns(child.pid) + 0.3e9)
            out = os.path.join(b.fresh(), "s.json")
            r = command(b, "snapshot", "-o", out, str(child.pid), check=False)
            if not spooled and "may not be read" in r.stderr:
                child.kill()
                child.communicate()
                raise Skip("memory of another process may not be read here")
            assert r.returncode == 0, r.stderr
            seen.append(Profile(out).total())
        assert child.poll() is None and seen == sorted(seen) and seen[2] > seen[0] + 0.1e9, seen
        status = open(f"/proc/{child.pid}/status").read()
        assert "TracerPid:\t0" in status and "SigPnd:\t0000000000000000" in status, status
        if spooled:
            r = command(b, "recover", "-o", os.path.join(b.fresh(), "r.json"), "--remove", spools(directory)[0])
            assert "still running" in r.stderr and len(spools(directory)) == 1
        child.terminate()
        child.communicate()
        end = Profile(os.path.join(directory, "end.json"))
        assert end.total() >= seen[2] and spent(b, end, "forever") + end.block["cpu"]["startup"] >= seen[2] - 0.05e9, end.block


@case(where="few")
def wrong_files(b):
    d = b.fresh()
    for name, data in (("empty.spool", b""), ("text.spool", b"x" * 100000), ("zero.spool", bytes(100000))):
        path = os.path.join(d, name)
        with open(path, "wb") as f:
            f.write(data)
        r = command(b, "recover", path, check=False)
        assert r.returncode == 1 and r.stderr.count("\n") == 1 and name in r.stderr, r.stderr
    assert command(b, "recover", check=False).returncode == 2
    assert command(b, "recover", os.path.join(d, "none"), check=False).returncode == 1
    assert command(b, "snapshot", "999999999", check=False).returncode == 1
    assert command(b, "snapshot", str(os.getpid()), check=False).stderr.count("is not being profiled") == 1
    assert not [f for f in os.listdir(d) if f.endswith(".json")]


@case(where="few")
def fork_while_an_exec_fails(b):
    """Between an exec's profile and its failure the region lies in a file that has no name: a child does not share it."""
    need_frames(b)
    directory = b.fresh()
    no_program = b.write("\x01 no program\n", "no_program")
    os.chmod(no_program, 0o755)
    r = b.run(BUSY + """
import ctypes, os, sys, threading
libc, args = ctypes.CDLL(None), (ctypes.c_char_p * 2)(b"x", None)
done, shared = False, 0
def execs():
    while not done: libc.execv(sys.argv[1].encode(), args)
t = threading.Thread(target=execs); t.start()
for i in range(200):
    pid = os.fork()
    if pid == 0:
        with open("/proc/self/maps") as f: os._exit(".spool (deleted)" in f.read())
    shared += os.waitpid(pid, 0)[1] != 0
done = True
t.join()
print(os.getpid(), shared)
""", no_program, cwd=directory, SPPROF_SPOOL=directory, SPPROF_OUT="p.json", SPPROF_INTERVAL="1ms")
    pid, shared = map(int, r.out.split())
    assert shared == 0, shared
    p, = (p for p in r.profiles() if p.block["pid"] == pid)
    assert p.total() < 300e9 and not spools(directory), (p.block, os.listdir(directory))


if __name__ == "__main__":
    sys.exit(main())
