#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How processes end (see ends.py too), have children, and where their files go."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import BUSY, CASES, WORK, Profile, Result, Skip, case, complaints, complete, main, spent  # noqa: E402,F401


def both(b, tail, head=WORK, **kw):
    """The same program with and without the library: exit status, stdout and stderr must agree."""
    plain = b.run(head + tail, preload=False, check=False, **dict(kw, SPPROF_TEST_WORK=0))
    ours = b.run(head + tail, check=False, SPPROF_VERBOSE="0" if b.known else None, **kw)
    assert plain.code == ours.code, (plain.code, ours.code, ours.err)
    assert plain.out == ours.out, (plain.out, ours.out)
    err = complaints(ours.err)
    strip = re.compile(r"app\d+\.py|0x[0-9a-f]+")
    assert strip.sub("", plain.err) == strip.sub("", err), (plain.err, ours.err)
    return ours


@case(where="few")
def core_dump(b):
    """A fatal signal still leaves its core, with the signal that it was."""
    import resource
    def limit():
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    program = b.write(WORK + "os.abort()")
    for preload in (False, True):
        pid = subprocess.Popen([b.python, program], cwd=b.fresh(), env=b.env(preload), preexec_fn=limit,
                               stderr=subprocess.DEVNULL)
        _, status = os.waitpid(pid.pid, 0)
        pid.returncode = status
        result = (os.WTERMSIG(status), os.WCOREDUMP(status))
        if not preload:
            plain = result
    assert result == plain, (result, plain)


@case(where="few")
def failed_exec(b):
    r = both(b, """
for i in range(3):
    try: os.execv('/nonexistent/x', ['x'])
    except OSError as e: print(e.errno)
open('noexec', 'w').close(); os.chmod('noexec', 0o755)
try: os.execv('./noexec', ['x'])
except OSError as e: print(e.errno)
work()
""")
    complete(b, r, 0.24e9)


@case(where="all")
def exec_python(b):
    second = b.write(WORK + "print('two')", "second.py")
    r = both(b, f"print('one', flush=True); os.execv(sys.executable, [sys.executable, {second!r}])", SPPROF_OUT="p.json")
    files = [os.path.basename(f) for f in r.files()]
    assert len(files) == 2 and "p.json" in files and re.fullmatch(r"p\.\d+\.json", [f for f in files if f != "p.json"][0]), files
    for p in r.profiles():
        assert spent(b, p) >= 0.12e9, p.block


@case(where="few")
def two_ends_at_once(b):
    """A fatal signal in a thread while main returns; _exit in a thread during the destructor."""
    for tail in ("os.kill(os.getpid(), signal.SIGTERM)", "os._exit(4)"):
        for i in range(5):
            r = b.run(WORK + f"""
import threading
def other():
    time.sleep({0.001 * i}); {tail}
threading.Thread(target=other, daemon=True).start()
""", check=False)
            complete(b, r)


# ---- children
@case
def exec_of_no_path(b):
    """Pointers that lead nowhere are the kernel's to refuse."""
    program = ("import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nargs = (ctypes.c_char_p * 2)(b'x', None)\n"
               "for path in (None, 8):\n    for call, first in ((libc.execve, ()), (libc.execveat, (-100,))):\n"
               "        print(call(*first, ctypes.c_void_p(path), args, args, 0), ctypes.get_errno())\n")
    assert b.run(program, preload=False).out == b.run(program).out


@case
def fork_children(b):
    r = b.run(BUSY + """
import os, sys, time
busy(0.05)
for i in range(8):
    pid = os.fork()
    if pid == 0:
        busy(0.15)
        os.write(1, b"%d %d\\n" % (os.getpid(), time.process_time() * 1e9))
        os._exit(0) if i % 2 else sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
""", SPPROF_OUT="p.json")
    names = [os.path.basename(f) for f in r.files()]
    assert len(names) == 9 and "p.json" in names, names
    assert all(re.fullmatch(r"p(\.\d+)?(-\d+)?\.json", n) for n in names), names
    used = dict(map(int, line.split()) for line in r.out.splitlines())
    for p in r.profiles():
        if p.path.endswith("/p.json"):
            continue
        want = used[p.block["pid"]]
        # the child's own reading lacks what it used after it
        assert 0.15e9 <= want and 0.95 * want <= p.total() <= 1.1 * want + 100e6, (want, p.total())
        assert spent(b, p, "busy") >= 0.15e9, (p.stacks(), p.block)


@case(where="few")
def multiprocessing_children(b):
    for method in ("fork", "spawn", "forkserver"):
        r = b.run(BUSY + f"""
import multiprocessing as mp
def task(n): busy(0.15); return n
if __name__ == '__main__':
    mp.set_start_method('{method}')
    with mp.Pool(2) as pool: print(sum(pool.map(task, range(4))))
    ps = [mp.Process(target=task, args=(1,)) for i in range(2)]
    for p in ps: p.start()
    for p in ps: p.join()
""", timeout=120, TMPDIR="/tmp")  # a socket's path is 107 bytes at most
        assert r.out == "6\n", r.out
        ps = r.profiles()
        total = sum(spent(b, p, "task", spells=3) for p in ps)
        assert total >= 0.9e9, (method, total, [p.path for p in ps])


@case(where="all")
def subprocess_children(b):
    r = b.run(WORK + """
import subprocess
code = open(sys.argv[0]).read().split('import subprocess')[0]
subprocess.run([sys.executable, '-c', code], check=True)
os.system("'%s' -c 'import time' > /dev/null; true" % sys.executable)
subprocess.run(['/bin/true']); subprocess.run('true; true', shell=True)
os.popen('echo hi').read()
try: subprocess.run(['/nonexistent'])
except OSError: pass
print('end')
""")
    assert r.out == "end\n"
    ps = r.programs()
    assert len(ps) == 3, [p.path for p in ps]
    assert sorted(spent(b, p) >= 0.12e9 for p in ps)[-2:] == [True, True], [p.total_ns() for p in ps]


@case(where="few")
def chosen_programs(b):
    """The first that is chosen has the name without a number, whatever ran before it; fork children are the same program."""
    code = b.write(WORK + "if os.fork() == 0: work(); os._exit(0)\nos.wait()\n", "worker_7.py")
    source = WORK + f"import subprocess\nfor i in range(2): subprocess.run([sys.executable, {code!r}], check=True)\n"
    for globs in ("worker_?", "xx,w*r*7,"):
        r = b.run(source, SPPROF_OUT="p.json", SPPROF_PROGRAMS=globs, SPPROF_TEST_WORK="0.03")
        ps = r.profiles()
        assert len(ps) == 4 and any(p.path.endswith("/p.json") for p in ps), (globs, r.files())
        assert all(p.block["argv"][-1] == code for p in ps), [p.block["argv"] for p in ps]
    r = b.run(source, SPPROF_PROGRAMS="worker,_7,worker_??,python", SPPROF_VERBOSE="1", SPPROF_TEST_WORK="0.01")
    assert not r.files() and r.err.count("none of SPPROF_PROGRAMS; it runs unprofiled") == 3, (r.files(), r.err)
    assert complete(b, b.run(WORK, SPPROF_PROGRAMS="")).block["complete"]


@case(where="few")
def no_children(b):
    r = b.run(WORK + """
import subprocess
if os.fork() == 0:
    busy(0.1); os._exit(0)
os.wait()
subprocess.run([sys.executable, '-c', 'import time; t=time.process_time()+.1\\nwhile time.process_time()<t: pass'], check=True)
""", SPPROF_CHILDREN="0")
    complete(b, r)


@case(where="few")
def not_python(b):
    r = b.run(None, command=["/bin/sh", "-c", "true; /bin/true; echo x | cat; exit 3"], check=False)
    assert (r.code, r.out, r.err, r.files()) == (3, "x\n", "", []), vars(r)


@case(where="few")
def pid_1(b):
    """As PID 1: a default SIGTERM does nothing but write a snapshot; the program runs on."""
    if os.geteuid() != 0:
        raise Skip("needs root")
    source = b.write(WORK + "os.kill(1, signal.SIGTERM); work(); print(os.getpid(), 'alive')")
    probe = subprocess.run(["unshare", "-pf", "--mount-proc", "true"], capture_output=True)
    if probe.returncode:
        raise Skip("no PID namespaces: " + probe.stderr.decode())
    r = b.run(None, command=["unshare", "-pf", "--mount-proc", b.python, source], SPPROF_OUT="p.json")
    assert r.out == "1 alive\n", r.out
    files = r.files()
    assert len(files) == 1, files
    assert spent(b, Profile(files[0])) >= 0.24e9


# ---- files
def listing(r):
    return sorted(os.path.basename(f) for f in r.files())


@case(where="few")
def file_default(b):
    r = b.run(WORK)
    assert re.fullmatch(r"spprof-\d+\.speedscope\.json", listing(r)[0]), listing(r)
    d = b.fresh()
    os.mkdir(d + "/sub")
    r = b.run(WORK, cwd=d, SPPROF_OUT="sub")
    assert re.fullmatch(r"spprof-\d+\.speedscope\.json", os.path.basename(r.files()[0])) and "/sub/" in r.files()[0]
    r = b.run(WORK + "os.chdir('/')\n", SPPROF_OUT="here.json")
    assert listing(r) == ["here.json"]


@case(where="few")
def file_replaced_only_if_older_and_ours(b):
    d = b.fresh()
    b.run(WORK, cwd=d, SPPROF_OUT="p.json")
    first = os.stat(d + "/p.json").st_ino
    time.sleep(0.05)
    r = b.run(WORK, cwd=d, SPPROF_OUT="p.json")
    assert listing(r) == ["p.json"] and os.stat(d + "/p.json").st_ino != first, "an earlier run's is replaced"
    for content in ("{}", "x" * 1000):
        d = b.fresh()
        with open(d + "/p.json", "w") as f:
            f.write(content)
        r = b.run(WORK, cwd=d, SPPROF_OUT="p.json")
        assert open(d + "/p.json").read() == content and listing(r) == ["p-2.json", "p.json"], listing(r)
        assert "numbered name" in r.err, r.err
    d = b.fresh()
    open(d + "/p.json", "w").close()
    r = b.run(WORK, cwd=d, SPPROF_OUT="p.json")
    assert listing(r) == ["p.json"] and os.path.getsize(d + "/p.json") > 0, "an empty one is filled"


@case(where="few")
def file_shell_steps(b):
    """Three Pythons of one script, one literal name: three files."""
    source = b.write(WORK)
    r = b.run(None, command=["/bin/sh", "-c", f"'{b.python}' '{source}'; '{b.python}' '{source}'; '{b.python}' '{source}'"],
              SPPROF_OUT="p.json")
    assert len(listing(r)) == 3 and "p.json" in listing(r), listing(r)


@case(where="few")
def file_reused_pid(b):
    """Two children of one run with the same pid: two files."""
    if os.geteuid() != 0:
        raise Skip("needs root")
    source = b.write(WORK + """
def child():
    pid = os.fork()
    if pid == 0:
        busy(0.05); os._exit(0)
    os.waitpid(pid, 0)
    return pid
first = child()
open('/proc/sys/kernel/ns_last_pid', 'w').write(str(first - 1))
print(child() == first)
""")
    r = b.run(None, command=["unshare", "-pf", "--mount-proc", "/bin/sh", "-c", f"'{b.python}' '{source}'; exit $?"],
              SPPROF_OUT="p.json", check=False)
    if r.code or "True" not in r.out:
        raise Skip("pids cannot be chosen here: " + r.err[-200:])
    names = listing(r)
    assert len(names) == 3 and len([n for n in names if re.fullmatch(r"p\.\d+-2\.json", n)]) == 1, names


@case(where="few")
def file_patterns(b):
    r = b.run(WORK, SPPROF_OUT="%e-%p-%t-%h-%{FOO}%%.speedscope.json", FOO="a/b")
    assert re.fullmatch(r"app\d+-\d+-\d{8}T\d{6}Z-.+-a_b%\.speedscope\.json", listing(r)[0]), listing(r)
    d = b.fresh()
    for i in range(3):
        r = b.run(WORK, cwd=d, SPPROF_OUT="r%n.json")
        assert len(listing(r)) in (1, 2, 3)
    r = b.run(WORK + "if os.fork() == 0: busy(0.05); os._exit(0)\nos.wait()\n", SPPROF_OUT="%e.json")
    names = listing(r)
    assert len(names) == 2 and sum(bool(re.fullmatch(r"app\d+\.\d+\.json", n)) for n in names) == 1, names
    r = b.run(WORK + "if os.fork() == 0: busy(0.05); os._exit(0)\nos.wait()\n", SPPROF_OUT="x%p.json")
    assert all(re.fullmatch(r"x\d+\.json", n) for n in listing(r)) and len(listing(r)) == 2


@case(where="few")
def file_not_regular(b):
    d = b.fresh()
    os.mkfifo(d + "/fifo.json")
    r = b.run(WORK, cwd=d, SPPROF_OUT="fifo.json")
    assert "is not written to" in r.err, r.err
    assert len(listing(r)) == 2, listing(r)
    before = os.stat("/dev/null").st_rdev
    r = b.run(WORK, SPPROF_OUT="/dev/null")
    assert os.stat("/dev/null").st_rdev == before
    assert "is not written to" in r.err and len(r.files()) == 1, r.err


@case(where="few")
def file_directory_missing(b):
    tmp = b.fresh()
    r = b.run(WORK, SPPROF_OUT="/nonexistent/p.json", TMPDIR=tmp)
    assert r.err.count("cannot be written to") == 1, r.err
    assert len(os.listdir(tmp)) == 1, os.listdir(tmp)
    Profile(os.path.join(tmp, os.listdir(tmp)[0]))
    r = b.run(WORK + "import shutil; shutil.rmtree('gone')\n", cwd=made(b.fresh(), "gone"), SPPROF_OUT="gone/p.json", TMPDIR=tmp)
    assert len(os.listdir(tmp)) == 2 and "could not be written" in r.err, r.err


@case(where="few")
def file_elsewhere_keeps_its_name(b):
    """Where the file goes to TMPDIR it has the name and the format that were asked for; nothing that is there is touched or followed."""
    def left(out, program=WORK, **env):
        tmp = os.path.join(b.fresh(), "50%p")
        os.mkdir(tmp)
        for name, make in env.pop("before", {}).items():
            make(os.path.join(tmp, name))
        r = b.run(program, SPPROF_OUT="/nonexistent/" + out, TMPDIR=tmp, SPPROF_VERBOSE=1, SPPROF_TEST_WORK="0.01", **env)
        return tmp, {n: os.path.join(tmp, n) for n in os.listdir(tmp)}, r

    def begins(path):
        with open(path, "rb") as f:
            return f.read(40)
    for out, head in (("p.json", b'{"$schema'), ("my.html", b"<!DOCTYPE html><!-- spprof"), ("x.pb.gz", b"\x1f\x8b"), ("a.b.folded", b"# spprof"), ("plain", b'{"$schema')):
        tmp, files, r = left(out)
        assert list(files) == [out] and begins(files[out]).startswith(head) and os.stat(files[out]).st_mode & 0o77 == 0, (files, r.err)
        assert r.err.count(os.path.join(tmp, out)) >= 1, r.err
    assert list(left("%e/q-%e.json")[1]) == [f"q-app{b.count}.json"]
    child = WORK + "import os\nif not os.fork():\n    work(); os._exit(0)\nos.wait()\n"
    assert sorted(re.sub(r"\d+", "N", n) for n in left("p.json", child)[1]) == ["p.N.json", "p.json"]
    assert sorted(re.sub(r"\d+", "N", n) for n in left("p-%p.json", child)[1]) == ["p-N.json", "p-N.json"]
    victim = b.write("precious", "victim")
    old = b.run(WORK, SPPROF_OUT="p.json").files()[0]
    os.utime(old, (1, 1))
    for make in (lambda p: os.symlink(victim, p), lambda p: os.symlink("/dev/null", p), os.mkdir, os.mkfifo, lambda p: shutil.copy2(old, p), lambda p: open(p, "w").close()):
        tmp, files, r = left("p.json", before={"p.json": make})
        own = [p for n, p in files.items() if re.fullmatch(r"p\.\d+\.json", n)]
        assert len(files) == 2 and len(own) == 1 and Profile(own[0]).block["pid"], (files, r.err)
    with open(victim) as f:
        assert f.read() == "precious"
    long = "n" * 300 + ".json"  # no file can be called so: the default name can
    assert [re.sub(r"\d+", "N", n) for n in left(long)[1]] == ["spprof-N.speedscope.json"]
    assert [re.sub(r"\d+", "N", n) for n in left("", cwd=b.fresh())[1]] == ["spprof-N.speedscope.json"]


def made(d, sub):
    os.mkdir(os.path.join(d, sub))
    return d


@case(where="few")
def file_two_runs_at_once(b):
    d = b.fresh()
    source = b.write(WORK + "import sys\nprint(1, flush=True)\nsys.stdin.read()\n")
    for round in range(3):
        ps = [subprocess.Popen([b.python, source], cwd=d, env=b.env(SPPROF_OUT="p.json"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE) for i in range(3)]
        for p in ps:  # all have begun before one ends
            p.stdout.readline()
        for p in ps:
            p.communicate()
        files = sorted(f for f in os.listdir(d))
        # each run may replace what an earlier round wrote, and nothing of its own round
        assert len(files) >= 3 and not any(".tmp" in f for f in files), files
        pids = {Profile(os.path.join(d, f)).block["pid"] for f in files}
        assert {p.pid for p in ps} <= pids, (files, pids)


@case(where="few")
def file_bind_mount(b):
    if os.geteuid() != 0:
        raise Skip("needs root")
    d = b.fresh()
    open(d + "/real.json", "w").close()
    open(d + "/p.json", "w").close()
    source = b.write(WORK)
    r = b.run(None, command=["unshare", "-m", "sh", "-c", f"mount --bind real.json p.json && exec '{b.python}' '{source}'"],
              cwd=d, SPPROF_OUT="p.json", check=False)
    if "mount" in r.err:
        raise Skip(r.err)
    assert Profile(d + "/real.json").total() > 0.1e9, (r.err, os.listdir(d))


@case(where="few")
def file_size_limit(b):
    import resource
    r = b.run("""
import time
def make(n):
    ns = {}
    exec("def f_%d_%s():\\n for i in range(3000): pass\\n" % (n, 'x' * 150), ns); return [v for k, v in ns.items() if k[0] == 'f'][0]
fs = [make(i) for i in range(2000)]
end = time.process_time() + 1.5
while time.process_time() < end:
    for f in fs: f()
""", SPPROF_INTERVAL="1ms", preexec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)))
    p = r.profile()
    assert os.path.getsize(p.path) <= 100_000


@case(where="few")
def no_samples(b):
    r = b.run("pass", SPPROF_INTERVAL="10s")
    p = r.profile()
    assert p.block["samples"] <= 1 and len(p.profiles) >= 1


@case(where="few")
def verbose(b):
    r = b.run(WORK, SPPROF_VERBOSE="1")
    assert re.search(r"spprof: \d+ samples; the profile is in /.*json\n", r.err), r.err
    r = b.run(WORK)
    assert "samples" not in r.err


@case(where="few")
def off(b):
    r = b.run(WORK + "print(os.environ.get('SPPROF_RUN'))", SPPROF="off")
    assert r.files() == [] and r.out == "None\n" and r.err == ""


@case(where="few")
def options(b):
    r = b.run(WORK, SPPROF_INTERVAL="fast", SPPROF_DEPTH="7", SPPROF_INTERVALL="1ms", SPPROF_LINES="maybe")
    err = re.sub(r"spprof: CPython .*\n", "", r.err)
    assert err.count("\n") == 4, r.err
    assert "spprof: SPPROF_INTERVAL=fast cannot be used; accepted: 100us ... 10s, or 0.1hz ... 10000hz; 10ms is used" in err, err
    assert "SPPROF_INTERVALL is no option of spprof; the nearest is SPPROF_INTERVAL" in err, err
    assert r.profile().block["interval_ns"] == 10_000_000
    for text, ns in (("5ms", 5_000_000), ("200hz", 5_000_000), ("7", 7_000_000), ("0.5s", 500_000_000), ("100us", 100_000), ("4000000ns", 4_000_000)):
        assert b.run("pass", SPPROF_INTERVAL=text).profile().block["interval_ns"] == ns


if __name__ == "__main__":
    sys.exit(main())
