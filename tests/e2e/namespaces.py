#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Namespaces of pids, mounts and users, entered and left while a program runs: numbers and names mean something else there."""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import BUSY, CASES, WORK, Profile, Skip, case, complaints, main, spent  # noqa: E402,F401

UNSHARE = WORK + """
import ctypes, subprocess, time
libc = ctypes.CDLL(None, use_errno=True)
NEWNS, NEWUSER, NEWPID = 0x20000, 0x10000000, 0x20000000
def unshare(what):
    if libc.unshare(what): print("refused", ctypes.get_errno()); sys.exit(77)
got = []
signal.signal(signal.SIGUSR1, lambda *a: got.append(1))
class sigaction(ctypes.Structure): _fields_ = [("handler", ctypes.c_void_p), ("rest", ctypes.c_char * 200)]
def check(what):
    s = sigaction()
    libc.sigaction(10, None, ctypes.byref(s))
    os.kill(os.getpid(), signal.SIGUSR1)
    while not got: pass
    mine = [f for f in os.listdir(os.environ["OUT"]) if f == "p.json" or f.startswith(f"p.{os.getpid()}.")]
    mine = [f for f in mine if '"work"' in open(os.path.join(os.environ["OUT"], f)).read()] # not a fork child's, before its exec
    print(what, bool(s.handler), len(got), mine)
    got.clear()
"""


def command(b, *args):
    return subprocess.run([os.path.join(b.build, "spprof"), *args], capture_output=True, text=True)


def namespaced(b, program, *ways, **env):
    """The program, as process 1 of its namespace of pids, or behind a shell; with a directory of its own for profiles."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "-pf", "--mount-proc", "true"], capture_output=True).returncode:
        raise Skip("no namespace of pids can be made")
    source = b.write(program, "namespaced.py")
    inside = {"first": f"exec '{b.python}' '{source}'", "shell": f"'{b.python}' '{source}'; exit $?"}
    for way in ways or inside:
        directory = b.fresh()
        r = b.run(None, command=["unshare", "-pf", "--mount-proc", "sh", "-c", inside[way]], cwd=directory, OUT=directory, check=False,
                  SPPROF_OUT=os.path.join(directory, "p.json"), **env)
        if r.code == 77:
            raise Skip("namespaces are refused here: " + r.out)
        assert r.code == 0, (way, r.code, r.out, r.err)
        yield r


@case
def unshared_pids(b):
    """Children in a new namespace are numbered from 1: one of them has its parent's number, and is not its parent."""
    spool = b.fresh()
    for env in ({}, {"SPPROF_SPOOL": spool}):
        for r in namespaced(b, UNSHARE + """
unshare(NEWPID)
first = subprocess.Popen(["/bin/sleep", "60"]) # lives on, and the namespace with it
for i in range(4): subprocess.run(["/bin/echo", "x"], stdout=subprocess.DEVNULL, close_fds=bool(i % 2))
check("vfork")
for i in range(2): os.waitpid(os.posix_spawn("/bin/true", ["true"], os.environ), 0)
os.system("true")
check("spawn")
for i in range(3):
    pid = os.fork()
    if pid == 0: busy(0.05); os._exit(0)
    os.waitpid(pid, 0)
check("fork")
for fork in (getattr(libc, "_Fork", None), lambda: libc.syscall(57)):
    if fork and os.uname().machine == "x86_64":
        pid = fork()
        if pid == 0: os.execv("/bin/true", ["true"])
        os.waitpid(pid, 0)
check("raw fork")
work()
first.kill(); first.wait()
""", **env):
            assert [line for line in r.out.splitlines()] == [f"{k} True 1 []" for k in ("vfork", "spawn", "fork", "raw fork")], (r.out, r.err)
            p = Profile(os.path.join(r.directory, "p.json"))
            assert spent(b, p) > 0.2e9, (p.total_ns(), p.block)
            assert not os.listdir(spool), os.listdir(spool)


@case
def first_process(b):
    """The kernel ignores what is at its default in process 1: what the program's own work brings leaves no file."""
    for r in namespaced(b, UNSHARE + """
for sig in (signal.SIGPIPE, signal.SIGALRM, signal.SIGPROF, signal.SIGXFSZ, signal.SIGUSR2): signal.signal(sig, signal.SIG_DFL)
r, w = os.pipe()
os.close(r)
for i in range(5):
    try: os.write(w, b"x")
    except BrokenPipeError: pass
signal.setitimer(signal.ITIMER_REAL, 0.01)
busy(0.05)
for sig in (signal.SIGPROF, signal.SIGUSR2, signal.SIGABRT): os.kill(1, sig)
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, -1))
try: os.truncate(sys.argv[0], 2 << 20)
except OSError: pass
resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
check("alive")
work()
""", "first"):
        assert r.out == "alive True 1 []\n", (r.out, r.err)
        (p,) = r.profiles()
        assert p.block["complete"] and spent(b, p) > 0.2e9, (p.total_ns(), p.block)


@case
def mounts_and_users(b):
    """Another root, other mounts, another user in a namespace of users: one profile, at the end."""
    out = tempfile.mkdtemp()
    os.chmod(out, 0o1777)
    try:
        for what in ("unshare(NEWNS)", "unshare(NEWNS); os.system('mount -t tmpfs none /mnt'); os.chdir('/mnt')", "unshare(NEWUSER)",
                     "unshare(NEWUSER | NEWNS | NEWPID); subprocess.run('/bin/true')"):
            r = b.run(UNSHARE + what + "\ncheck('here')\nwork()\n", OUT=out, SPPROF_OUT=os.path.join(out, "p.json"), SPPROF_SPOOL=out, check=False)
            if r.code == 77 or "mount:" in r.err:
                continue
            assert (r.code, r.out) == (0, "here True 1 []\n"), (what, r.out, r.err)
            names = set(os.listdir(out))
            assert "p.json" in names and names <= ({"p.json", "p.1.json"} if "subprocess" in what else {"p.json"}), (what, names, r.err)
            assert spent(b, Profile(os.path.join(out, "p.json"))) > 0.2e9, what
            for name in names:
                os.unlink(os.path.join(out, name))
    finally:
        shutil.rmtree(out)


def start(b, source, wrap, **env):
    """A program that says "go" and runs on, below a command; -> the command's process, the program's pid here."""
    path = b.write(source, f"forever{b.count}.py")
    child = subprocess.Popen([*wrap, b.python, path], cwd=b.fresh(), env=b.env(**env), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    line = child.stdout.readline().split()
    if not line:
        raise Skip("no namespace: " + child.stderr.read().decode())
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if f.read().split(b"\0")[1:2] == [path.encode()]:
                    return child, int(pid)
        except OSError:
            pass
    raise AssertionError("where is it?")


def stop(child, pid):
    os.kill(pid, signal.SIGKILL)
    child.communicate()


FOREVER = BUSY + """
import os, sys
def NAME(): busy(0.1)
NAME()
print("go", flush=True)
while True: NAME()
"""


@case
def snapshot_across_mounts(b):
    """Of a process that sees another file under the same name, or no such directory is here: its own profile."""
    if os.geteuid() != 0:
        raise Skip("needs root")
    place = tempfile.mkdtemp()
    inside = ["unshare", "-pmf", "--mount-proc", "sh", "-c", f'mount -t tmpfs none {place} && exec "$@"', "sh"]
    try:
        child, pid = start(b, FOREVER.replace("NAME", "inside"), inside, SPPROF_SPOOL=place, SPPROF_OUT="/nonexistent/p.json", TMPDIR=place)
        (name,) = os.listdir(f"/proc/{pid}/root{place}")
        for decoy in (None, f"/proc/{pid}/root{place}/{name}"):
            if decoy:  # a file of another process, whose number is the same
                other, other_pid = start(b, FOREVER.replace("NAME", "outside"), ["unshare", "-pf", "--mount-proc"], SPPROF_SPOOL=place)
                assert os.listdir(place) == [name], (os.listdir(place), name)
            out = os.path.join(b.fresh(), "s.json")
            r = command(b, "snapshot", "-o", out, str(pid))
            assert r.returncode == 0, r.stderr
            p = Profile(out)
            assert p.block["pid"] == 1 and (not b.known or p.total_ns()["inside"] > 0 and not p.total_ns()["outside"]), p.total_ns()
        stop(other, other_pid)
        stop(child, pid)
        # somebody who may not look into the process is told so, and is not given the other's profile
        r = subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", os.path.join(b.build, "spprof"), "snapshot", str(os.getpid())],
                           capture_output=True, text=True)
        assert r.returncode == 1 and r.stderr.count("\n") == 1, r.stderr
    finally:
        shutil.rmtree(place, ignore_errors=True)


@case
def asked_by_a_container_beside(b):
    """What an ephemeral container of a pod is: with the program's processes and network, other files, the same user, no right. Who is
    another user there is refused, and root may ask from where there is another network."""
    if os.geteuid() != 0:
        raise Skip("needs root")
    place, tool = tempfile.mkdtemp(), shutil.copy(os.path.join(b.build, "spprof"), b.directory)
    for path, mode in ((place, 0o777), (b.directory, 0o755), (tool, 0o755)):
        os.chmod(path, mode)
    becomes = 'os.setgroups([]); os.setgid(65534); os.setuid(65534)\nprint("go"'
    child, pid = start(b, FOREVER.replace("NAME", "inside").replace('print("go"', becomes), ["unshare", "-pnf", "--mount-proc"],
                       SPPROF_OUT=os.path.join(place, "p.json"))

    def asks(uid, *args):
        beside = ["nsenter", "-t", str(pid), "-p", "-n", "unshare", "-mf", "--mount-proc", "sh", "-c", f'mount -t tmpfs none {place} && exec "$@"', "sh"]
        no_rights = ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
        return subprocess.run([*beside, *no_rights, tool, *args], capture_output=True, text=True, timeout=120, cwd="/")
    try:
        r = asks("65534", "dump", "1")
        assert r.returncode == 0 and (not b.known or re.search(r"line \d+, in inside\n", r.stdout)), r
        for name in ("p.json", "p-2.json"):
            r = asks("65534", "stop", "1")
            assert r.returncode == 0 and os.path.join(place, name) in r.stderr and Profile(os.path.join(place, name)).block["complete"], r
            r = asks("65534", "start", "1")
            assert r.returncode == 0 and "recording" in r.stderr, r
        out = os.path.join(b.fresh(), "s.json")
        for _ in range(100):
            r = asks("65534", "snapshot", "-o", "-", "1")
            assert r.returncode == 0, r
            with open(out, "w") as f:
                f.write(r.stdout)
            if Profile(out).total_ns()["inside" if b.known else "(python)"] > 0:
                break
        else:
            raise AssertionError(Profile(out).total_ns())
        for order in ("dump", "stop", "snapshot"):
            r = asks("65533", order, "1")
            assert r.returncode == 1 and r.stderr.count("\n") == 1 and ("another user's" in r.stderr or "may not be" in r.stderr), r
        assert command(b, "reset", str(pid)).returncode == 0
        assert sorted(os.listdir(place)) == ["p-2.json", "p.json"], os.listdir(place)
    finally:
        stop(child, pid)
        shutil.rmtree(place)


@case
def living_files_stay(b):
    """recover --remove takes the file of a dead process, and never that of a living one, whatever its namespaces."""
    if os.geteuid() != 0:
        raise Skip("needs root")
    shm = tempfile.mkdtemp(dir="/dev/shm")
    disk = b.fresh()
    try:
        for wrap in ([], ["unshare", "-pf", "--mount-proc"]):
            for place in (disk, shm):
                child, pid = start(b, FOREVER.replace("NAME", "f"), wrap, SPPROF_SPOOL=place)
                (name,) = os.listdir(place)
                path, out = os.path.join(place, name), os.path.join(b.fresh(), "r.json")
                for force in ([], ["--force"]):
                    r = command(b, "recover", "--remove", *force, "-o", out, path)
                    assert r.returncode == 0 and "still running" in r.stderr and os.path.exists(path), r.stderr
                    assert Profile(out).total() > 0
                    os.unlink(out)
                stop(child, pid)
                r = command(b, "recover", "--remove", "-o", out, path)
                assert r.returncode == 0 and not os.path.exists(path), r.stderr
    finally:
        shutil.rmtree(shm)


@case
def overlay_does_not_tell(b):
    """On overlayfs a lease says nothing: the file goes only if the process was of this kernel and namespace, or by force."""
    if os.geteuid() != 0:
        raise Skip("needs root")
    top = tempfile.mkdtemp()
    for d in ("lower", "upper", "work", "merged"):
        os.mkdir(os.path.join(top, d))
    place = os.path.join(top, "merged")
    if subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={top}/lower,upperdir={top}/upper,workdir={top}/work", place],
                      capture_output=True).returncode:
        shutil.rmtree(top)
        raise Skip("no overlayfs")
    try:
        for wrap, dead in (([], "is gone"), (["unshare", "-pf", "--mount-proc"], "stays")):
            child, pid = start(b, FOREVER.replace("NAME", "f"), wrap, SPPROF_SPOOL=place)
            (name,) = os.listdir(place)
            path, out = os.path.join(place, name), os.path.join(b.fresh(), "r.json")
            r = command(b, "recover", "--remove", "-o", out, path)
            assert os.path.exists(path) and ("still running" in r.stderr if not wrap else "it stays" in r.stderr), r.stderr
            os.unlink(out)
            stop(child, pid)
            r = command(b, "recover", "--remove", "-o", out, path)
            assert os.path.exists(path) == (dead == "stays") and (dead != "stays" or "--force" in r.stderr), r.stderr
            if dead == "stays":
                os.unlink(out)
                r = command(b, "recover", "--remove", "--force", "-o", out, path)
                assert r.returncode == 0 and not os.path.exists(path), r.stderr
    finally:
        subprocess.run(["umount", "-l", place])
        shutil.rmtree(top, ignore_errors=True)


@case
def first_child_is_the_program_s(b):
    """Who unshared a namespace of pids makes its process 1: no process of ours is that."""
    for how in ("SPPROF_ROTATE", "SPPROF_DURATION"):
        r = b.run(UNSHARE + """
unshare(NEWPID)
while not os.path.exists('p.json'): busy(0.02)
busy(0.1)
pid = os.fork()
if pid == 0: os._exit(os.getpid())
print(os.waitpid(pid, 0)[1] >> 8)
""", check=False, SPPROF_OUT="p.json", **{how: "60ms"})
        if r.code == 77:
            raise Skip("namespaces are refused here: " + r.out)
        assert r.out == "1\n", (how, r.out, r.err)


if __name__ == "__main__":
    sys.exit(main())
