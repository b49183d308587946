#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Limits, places and loads that a production host may have: the program's result is the plain one, and the profile is
somewhere, or one line says why not."""
import os
import resource
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import CASES, TIMERS, WORK, Profile, Skip, case, complaints, complete, main, spent  # noqa: E402,F401

HEAD = WORK + "import os, sys, time, threading, signal\n"


def same(b, program, *args, files=1, lines=0, check_files=True, **kw):
    """Exit status and stdout as without the library; so many profiles, and so many lines of ours."""
    plain = b.run(HEAD + program, *args, preload=False, check=False, **kw)
    ours = b.run(HEAD + program, *args, check=False, SPPROF_VERBOSE=None, **kw)
    assert (plain.code, plain.out) == (ours.code, ours.out), (plain.code, plain.out, plain.err, ours.code, ours.out, ours.err)
    said = [line for line in ours.err.splitlines() if line.startswith("spprof:") and "cannot be looked into" not in line]
    assert len(said) == lines, ours.err
    if check_files:
        assert len(ours.files()) == files, (ours.files(), ours.err)
        for p in ours.profiles():
            assert p.total() > 0
    return ours


def need_root():
    if os.geteuid() != 0:
        raise Skip("needs root")


def limit(what, value):
    return lambda: resource.setrlimit(what, (value, value))


@case
def small_limits(b):
    """Stack, core size, descriptors at the end of the run: none of them is ours to use up."""
    same(b, "print('ok')", preexec=limit(resource.RLIMIT_STACK, 512 << 10))
    same(b, "print('ok')", preexec=limit(resource.RLIMIT_CORE, 0))
    same(b, "print('ok')", preexec=limit(resource.RLIMIT_NPROC, 1) if os.geteuid() else None)
    r = same(b, "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3)); print('ok')", files=0, lines=1)
    assert "too many open files" in r.err and "lost" in r.err, r.err


@case
def descriptors_used_up(b):
    """All descriptors that the program may have are open when it ends, or execs: its profile needs none of them."""
    fill = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (20, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
try:
    while True: os.dup(1)
except OSError as e: print(e.errno, flush=True)
"""
    r = same(b, fill + "try: os.execv('/nonexistent', ['x'])\nexcept OSError as e: print(e.errno, resource.getrlimit(resource.RLIMIT_NOFILE)[0])")
    assert r.out == "24\n2 20\n", r.out
    same(b, fill + "os.execv('/bin/sh', ['sh', '-c', 'ulimit -n'])")


@case
def pending_signals(b):
    """RLIMIT_SIGPENDING is shared by a user's processes: ours take a quarter, and the program has the rest."""
    need_root() # for a user of whom nothing else runs
    source = b.write(HEAD + """
import ctypes, resource
libc = ctypes.CDLL(None)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
go, out = threading.Event(), []
def queued(): return [int(x) for x in [l for l in open('/proc/self/status') if l.startswith('SigQ')][0].split()[1].split('/')]
limit = queued()[1]
def child(n):
    threads = [threading.Thread(target=go.wait) for _ in range(n)]
    for t in threads: t.start()
    return threads
children = []
r, w = os.pipe()
for i in range(6):
    pid = os.fork()
    if pid == 0:
        threads = child(10)
        os.write(w, b'x'); time.sleep(60)
    children.append(pid)
for _ in children: os.read(r, 1)
threads = child(10)
ours = queued()[0]
value, n = ctypes.c_void_p(1), 0
while libc.sigqueue(os.getpid(), signal.SIGRTMIN, value) == 0: n += 1
print(limit, ours <= limit // 4, n >= limit - limit // 4, resource.getrlimit(resource.RLIMIT_SIGPENDING)[0] == limit, file=sys.stderr)
for pid in children: os.kill(pid, signal.SIGKILL)
go.set()
for t in threads: t.join()
""")
    os.chmod(b.directory, 0o755)
    d = b.fresh()
    os.chmod(d, 0o777)
    for most in (40, 400):
        command = ["setpriv", "--reuid", "61000", "--clear-groups", b.python, source]
        try:
            r = b.run(None, command=command, cwd=d, preexec=limit(resource.RLIMIT_SIGPENDING, most), check=False)
        except PermissionError:
            raise Skip("another user cannot run this interpreter")
        if r.code and "spprof: " not in r.err:
            raise Skip("another user cannot run this interpreter")
        said = [line for line in complaints(r.err).splitlines() if line.startswith("spprof:")]
        assert f"{most} True True True" in r.err and len(said) == (most == 40), r.err
        assert most > 40 or "(not sampled)" in said[0], r.err


@case
def limits_of_threads(b):
    """Threads that begin at the same moment, and forks between them: the limits are what the program set."""
    source = """
import ctypes, resource
def now(): return [resource.getrlimit(what) for what in (resource.RLIMIT_SIGPENDING, resource.RLIMIT_NOFILE)]
lib = ctypes.CDLL(sys.argv[1])
before, other, made, rounds = now(), 0, 0, 0
while made < 300 or rounds < 3:
    rounds += 1
    lib.churn_start(8)
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            os._exit(now() != before)
        other += os.waitpid(pid, 0)[1]
        busy(0.03)
    made = lib.churn_end()
    other += now() != before
print(other, now() == before)
"""
    r = same(b, source, os.path.join(b.build, "tests/libchurn.so"), check_files=False)
    assert r.out == "0 True\n", r.out


@case
def memory_of_the_program(b):
    """RLIMIT_DATA, and memory that is committed: what we reserve counts for neither, whenever the limit is set."""
    take = "def take(mb):\n    try: return len(bytearray(mb << 20))\n    except MemoryError: return 'refused'\n"
    data = "(int([l for l in open('/proc/self/status') if l.startswith('VmData')][0].split()[1]) << 10)"
    same(b, take + "print(take(90))", preexec=limit(resource.RLIMIT_DATA, 150000 << 10))
    same(b, take + f"import resource; resource.setrlimit(resource.RLIMIT_DATA, ({data} + (60 << 20),) * 2); print(take(50), take(70))")
    plain = int(b.run(f"print({data})", preload=False).out)
    heap_step = 132 << 10  # of malloc: where the heap ends without us is chance
    assert int(b.run(f"print({data})").out) - plain < (1 << 20) + heap_step
    r = b.run(HEAD + f"import resource; resource.setrlimit(resource.RLIMIT_DATA, ({data} + (1 << 20),) * 2)\nwork()")
    complete(b, r, 0.2e9)
    r = b.run(HEAD + "print('ok')", preexec=limit(resource.RLIMIT_DATA, 12 << 20), check=False, timeout=60)
    assert r.code == b.run(HEAD + "print('ok')", preload=False, preexec=limit(resource.RLIMIT_DATA, 12 << 20), check=False).code, r.err


@case
def small_thread_stacks(b):
    same(b, """
threading.stack_size(64 << 10)
def loop():
    end = time.thread_time() + 0.05
    while time.thread_time() < end: pass
for _ in range(5):
    ts = [threading.Thread(target=loop) for i in range(8)]
    for t in ts: t.start()
    for t in ts: t.join()
print('ok')
""", SPPROF_INTERVAL="1ms")


@case
def places_that_change(b):
    """The working directory removed, the user changed, the mask closed, the root changed before the end."""
    r = same(b, "d = os.getcwd() + '/sub'; os.mkdir(d); os.chdir(d); os.rmdir(d); print('ok')")
    r = same(b, "os.umask(0o777); print('ok')", check_files=os.geteuid() == 0)
    assert [f for f in os.listdir(r.directory) if f.endswith(".json")]
    elsewhere = tempfile.mkdtemp()
    try:
        os.chmod(elsewhere, 0o777)
        same(b, "print('ok')", files=0, lines=2, SPPROF_OUT=os.path.join(b.fresh(), "gone", "p.json"), TMPDIR=elsewhere)
        need_root()
        os.chmod(b.directory, 0o755)
        r = same(b, "os.setgid(65534); os.setuid(65534); print(os.getuid())", files=0, lines=1, TMPDIR=elsewhere)
        assert "could not be written" in r.err and elsewhere in r.err, r.err
        empty = b.fresh()
        r = same(b, f"os.chroot({empty!r}); os.chdir('/'); print('ok')", files=0, lines=1, TMPDIR=elsewhere)
        assert "is lost" in r.err, r.err
    finally:
        shutil.rmtree(elsewhere)


@case
def no_working_directory(b):
    """Started in a directory that is gone: a relative name means nothing, and is not taken for one under /."""
    elsewhere, source = b.fresh(), b.write(WORK)
    r = b.run(None, command=["sh", "-c", f"mkdir gone && cd gone && rmdir ../gone && exec {b.python} {source}"], TMPDIR=elsewhere,
              SPPROF_OUT="p.json")
    assert not os.path.exists("/p.json") and complaints(r.err).count("\n") == 1 and elsewhere in r.err, r.err
    (name,) = os.listdir(elsewhere)
    assert spent(b, Profile(os.path.join(elsewhere, name))) >= 0.12e9


@case
def no_descriptors_left(b):
    """closerange over everything, the standard streams included."""
    r = same(b, "sys.stdout.flush(); os.closerange(0, 65536); work(); os._exit(5)")
    assert r.code == 5 and complaints(r.err) == ""


@case
def no_proc(b):
    need_root()
    source = b.write(HEAD + "print('ok')")
    script = f"umount -l /proc && exec {b.python} {source}"
    probe = subprocess.run(["unshare", "-m", "sh", "-c", "umount -l /proc"], capture_output=True)
    if probe.returncode:
        raise Skip("no mount namespaces")
    r = b.run(None, command=["unshare", "-m", "sh", "-c", script])
    assert r.out == "ok\n"
    complete(b, r)


@case
def secure_execution(b):
    """A set-user-ID program: the loader drops the preload, or the library is inert; nothing at all is to be seen."""
    need_root()
    real = os.path.realpath(b.python)
    if b"libpython" in open(real, "rb").read():
        raise Skip("a set-user-ID copy would not find its libpython")
    d = tempfile.mkdtemp()
    try:
        os.chmod(d, 0o777)
        copy = os.path.join(d, "python")
        shutil.copy(real, copy)
        os.chown(copy, 65533, 65533)
        os.chmod(copy, 0o6755)
        home = subprocess.run([b.python, "-c", "import sys; print(sys.base_prefix)"], capture_output=True, text=True).stdout.strip()
        try:
            r = b.run(None, command=["setpriv", "--reuid", "65534", "--clear-groups", copy, "-S", "-c", "print('ok')"], cwd=d, PYTHONHOME=home,
                      check=False)
        except PermissionError:
            raise Skip("the interpreter cannot be entered by others")
        if r.code != 0 and "spprof" not in r.err:
            raise Skip("another user cannot run this interpreter")
        assert (r.out, r.err, r.files()) == ("ok\n", "", []), (r.out, r.err)
    finally:
        shutil.rmtree(d)


@case
def planted_link(b):
    """Somebody else's link in a directory where all may write is not followed."""
    need_root()
    d = b.fresh()
    os.chmod(d, 0o1777)
    target = os.path.join(b.fresh(), "precious")
    with open(target, "w") as f:
        f.write("precious")
    link = os.path.join(d, "p.json")
    os.symlink(target, link)
    os.lchown(link, 65534, 65534)
    same(b, "print('ok')", files=1, lines=1, cwd=d, SPPROF_OUT=link, check_files=False)
    assert open(target).read() == "precious" and os.path.islink(link)
    assert len([f for f in os.listdir(d) if f.startswith("spprof-")]) == 1, os.listdir(d)


@case
def own_link(b):
    """A link of one's own: the profile is where it leads, be it there already or not, and the link stays."""
    for target in ("real.json", "../elsewhere/real.json", "second.json"):
        d = os.path.join(b.fresh(), "d")
        os.mkdir(d)
        os.mkdir(d + "/../elsewhere")
        os.symlink(target, d + "/p.json")
        os.symlink("../elsewhere/third.json", d + "/second.json")
        for run in range(3):
            same(b, "if len(sys.argv) > 1 and os.fork() == 0: work(); os._exit(0)", *(["x"] if run == 2 else []), cwd=d, SPPROF_OUT="p.json",
                 check_files=False)
            last = "../elsewhere/third.json" if target == "second.json" else target
            assert os.readlink(d + "/p.json") == target and not os.path.islink(os.path.join(d, last)), (target, os.listdir(d))
            assert spent(b, Profile(os.path.join(d, last))) > 0.08e9
    for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
        r = b.run(HEAD, SPPROF_OUT=name)
        assert r.err.startswith(f"spprof: {name} is not written to; ") and r.err.count("\n") == 1 and r.out == "", (r.out, r.err)


@case
def full_disk_at_the_end(b):
    """No space where the profile should go: it goes to TMPDIR, a line says so; nothing half-written stays."""
    need_root()
    full, spare = tempfile.mkdtemp(), tempfile.mkdtemp()
    source = b.write(HEAD + "print('ok')")
    script = f"""
mount -t tmpfs -o size=64k none {full} || exit 77
dd if=/dev/zero of={full}/x bs=1k count=64 2>/dev/null
LD_PRELOAD={b.library} SPPROF_OUT={full}/p.json TMPDIR={spare} {b.python} {source}; echo $?; ls {full}
"""
    try:
        r = b.run(None, command=["unshare", "-m", "sh", "-c", script], preload=False, check=False)
        if r.code == 77 or "unshare" in r.err:
            raise Skip("no mount namespaces")
        assert r.out == "ok\n0\nx\n", r.out
        assert "no space left" in r.err and len(os.listdir(spare)) == 1, r.err
        complete_file = Profile(os.path.join(spare, os.listdir(spare)[0]))
        assert spent(b, complete_file) >= 0.12e9
    finally:
        shutil.rmtree(full)
        shutil.rmtree(spare)


@case
def spawn_storm(b):
    """vfork, posix_spawn, system, popen, fork and exec, daemons, while threads are sampled: no zombie, no leak."""
    r = b.run(HEAD + """
import subprocess
stop = False
def busy_thread():
    while not stop: work()
threads = [threading.Thread(target=busy_thread) for _ in range(2)]
for t in threads: t.start()
for i in range(25):
    subprocess.run(["/bin/true"])
    subprocess.run("exit 0", shell=True)
    os.system("exit 0")
    with os.popen("echo x") as f: f.read()
    os.waitpid(os.posix_spawn("/bin/true", ["true"], os.environ), 0)
    pid = os.fork()
    if pid == 0: os.execv("/bin/true", ["true"])
    os.waitpid(pid, 0)
r, w = os.pipe()
pid = os.fork()
if pid == 0:
    os.setsid()
    if os.fork(): os._exit(0)
    work(); os._exit(0)
os.waitpid(pid, 0)
os.close(w)
assert os.read(r, 1) == b"" # the daemon has ended
os.close(r)
stop = True
for t in threads: t.join()
try: print(os.waitpid(-1, os.WNOHANG))
except ChildProcessError: print('no zombie')
# a thread's end comes after what join() waits for
while len(os.listdir('/proc/self/task')) > 1: time.sleep(0.01)
print(open('/proc/self/timers').read().count('ClockID:'), len(os.listdir('/proc/self/fd')))
""", SPPROF_INTERVAL="1ms")
    assert r.out == f"no zombie\n{TIMERS} 4\n", r.out
    names = [os.path.basename(f) for f in r.files()]
    assert len(names) >= 3 and not [f for f in os.listdir(r.directory) if "tmp-" in f], names


@case
def libraries_come_and_go(b):
    """dlopen and dlclose in one thread, exceptions and thread exits by unwinding in others."""
    lib = os.path.join(b.build, "tests/libspin.so")
    same(b, f"""
import ctypes, _ctypes
def load():
    for i in range(300):
        h = _ctypes.dlopen({lib!r}, 1); _ctypes.dlclose(h)
keep = ctypes.CDLL({lib!r})
def unwind():
    for i in range(100): keep.spin_in_thread(1, 2)
def errors():
    def deep(n):
        if n: deep(n - 1)
        else: raise ValueError
    for i in range(3000):
        try: deep(20)
        except ValueError: pass
ts = [threading.Thread(target=f) for f in (load, unwind, errors, errors)]
for t in ts: t.start()
for t in ts: t.join()
print('ok')
""", SPPROF_INTERVAL="1ms")


@case
def cpp_exceptions(b):
    """C++ exceptions thrown and caught while ticks come."""
    compiler = shutil.which("c++")
    if not compiler:
        raise Skip("no C++ compiler")
    library = os.path.join(b.directory, "libthrow.so")
    source = """
struct E { int v; };
static int deep(int n) { struct Guard { ~Guard() { asm volatile(""); } } g; if (n == 0) throw E{1}; return deep(n - 1) + 1; }
extern "C" int throws(int times) { int sum = 0; for (int i = 0; i < times; i++) try { deep(10); } catch (E &e) { sum += e.v; } return sum; }
"""
    made = subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-x", "c++", "-", "-o", library], input=source, text=True, capture_output=True)
    if made.returncode:
        raise Skip("the C++ compiler has no library")
    same(b, f"""
import ctypes
lib = ctypes.CDLL({library!r})
out = []
ts = [threading.Thread(target=lambda: out.append(lib.throws(20000))) for _ in range(3)]
for t in ts: t.start()
for t in ts: t.join()
print(out)
""", SPPROF_INTERVAL="100us")


if __name__ == "__main__":
    sys.exit(main())
