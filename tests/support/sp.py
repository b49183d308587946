# SPDX-License-Identifier: MIT
"""What the end-to-end tests share: running a program under the library, and reading what it wrote."""
import collections
import contextlib
import glob
import json
import math
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SKIP = 77
MACHINE = os.environ.get("SPPROF_TEST_MACHINE", platform.machine())  # of the programs: scripts/aarch64 has them emulated
TICK_NS = round(time.clock_getres(6) * 1e9)  # CLOCK_MONOTONIC_COARSE: the scheduler's tick, at which CPU timers fire


class Skip(Exception):
    pass


# SPPROF_TEST_WALL=1, SPPROF_TEST_ENGINE=fine: what every program of a suite has as well; and how many timers a thread has so.
ASKED = {"SPPROF_" + name: os.environ["SPPROF_TEST_" + name] for name in ("WALL", "ENGINE") if os.environ.get("SPPROF_TEST_" + name)}
TIMERS = 2 if ASKED.get("SPPROF_ENGINE") == "fine" else 1


def share_bound(n, share=0.5):
    """How far what `n` independent samples show may be from the true share: more in less than one run of a million.
    Bernstein's inequality, which holds for small n and for samples of unequal weight."""
    if n <= 0:
        return 1.0
    a = math.log(2e6) / n
    return a / 3 + math.sqrt(a * a / 9 + 2 * a * share * (1 - share))


def without_emulator(err):
    """stderr without what is said of programs that are not emulated, which cannot load a library for another processor, and by qemu of deaths."""
    if MACHINE != platform.machine():
        err = re.sub(r"(ERROR: ld\.so: object .* ignored|qemu: uncaught target signal .* core dumped)\.?\n", "", err)
    return err


def leave_out_emulator(speedscope):
    """qemu has a thread of its own in the process, with a nameless profile that has no samples."""
    profiles, block = speedscope["profiles"], speedscope["spprof"]
    own = [t for t in block["threads"] if not (t["samples"] == 0 and t.get("name", "").startswith("(thread ") and t["cpu"] < 0.05e9)]
    if len(own) == len(block["threads"]) or not own:
        return
    left = [profiles[t["profile"]] for t in own] if len(profiles) > 1 else []
    if len(own) == 1:
        profiles[0]["name"] = own[0]["name"]
        left = []
    if "wall" in block:
        block["wall"]["profile"] = 1 + len(left)
    others = ("Wall: (thread ", *["Wall: All threads"] * (len(own) == 1))
    speedscope["profiles"] = profiles[:1] + left + [p for p in profiles if p["name"].startswith("Wall: ") and not p["name"].startswith(others)]
    for i, t in enumerate(own):
        t["profile"] = i + (len(own) > 1)
    block["threads"] = own


class Profile:
    """A Speedscope file of ours."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as f:
            self.raw = f.read()
        self.json = json.loads(self.raw.decode("utf-8"))
        self.block = self.json["spprof"]
        if MACHINE != platform.machine():
            leave_out_emulator(self.json)
        self.frames = self.json["shared"]["frames"]
        self.profiles = self.json["profiles"]
        for p in self.profiles:
            assert len(p["samples"]) == len(p["weights"]), "samples and weights differ in length"
            assert all(w > 0 for w in p["weights"]), "a weight of nothing"
            assert sum(p["weights"]) == p["endValue"], f"{p['name']}: weights do not add up to endValue"
            assert all(0 <= i < len(self.frames) for s in p["samples"] for i in s), "frame index out of range"
        cpu = self.block["cpu"]
        parts = ("python", "startup", "thread_end", "thread_start_end", "blocked", "unwalkable", "native_thread",
                 "not_sampled")
        assert sum(cpu[k] for k in parts) == cpu["used"], f"parts do not add up: {cpu}"
        assert self.total() == cpu["used"], f"viewer's total {self.total()} is not the CPU used {cpu['used']}"
        assert 0 <= self.json["activeProfileIndex"] < len(self.profiles)
        own = self.profiles[1:] if len(self.profiles) > 1 else self.profiles
        for t, p in zip(self.block["threads"], own):
            if len(own) > 1:
                assert t["cpu"] == p["endValue"], f"{t}: {p['endValue']}"

    def total(self):
        return self.profiles[0]["endValue"]

    def names(self, stack):
        """Names of functions, root first; a module's without its path."""
        return tuple("<module>" if n.startswith("<module> ") else n for n in (self.frames[i]["name"] for i in stack))

    def stacks(self, profile=0):
        """Stack of names -> ns."""
        p = self.profiles[profile]
        sums = collections.Counter()
        for s, w in zip(p["samples"], p["weights"]):
            sums[self.names(s)] += w
        return sums

    def self_ns(self, profile=0):
        sums = collections.Counter()
        for s, w in self.stacks(profile).items():
            sums[s[-1] if s else "(idle)"] += w
        return sums

    def total_ns(self, profile=0):
        sums = collections.Counter()
        for s, w in self.stacks(profile).items():
            for n in set(s):
                sums[n] += w
        return sums

    def thread(self, prefix):
        """Index of the first profile whose name begins so."""
        for i, p in enumerate(self.profiles):
            if p["name"].startswith(prefix):
                return i
        raise AssertionError(f"no thread {prefix!r} in {[p['name'] for p in self.profiles]}")

    @property
    def period_ns(self):
        """An interval is kept in whole ticks."""
        return -(-self.block["interval_ns"] // TICK_NS) * TICK_NS

    def doubt_ns(self, spells=1):
        """CPU that may stand elsewhere than where it was used. On an overbooked CPU ticks fall on other threads, 80 ms of a busy
        thread's CPU without one were seen with a bare timer, no library: `prompt` tells how much came late, and stands where
        the thread was then. What no tick showed at all has its own names. And what was used since the last tick at each end of
        a function's `spells` comes with the next tick, at most two periods later, or it would be late."""
        cpu = self.block["cpu"]
        sampled = cpu["python"] + cpu["startup"] + cpu["unwalkable"] + cpu["native_thread"]
        return (1 - self.block["prompt"]) * sampled + cpu["not_sampled"] + cpu["thread_end"] + 2 * spells * self.period_ns

    def independent(self, profile=0):
        """How many samples of one weight would tell as much as these do; consecutive equal stacks are one."""
        weights = self.profiles[profile]["weights"]
        return sum(weights) ** 2 / max(1, sum(w * w for w in weights))

    def share(self, name, profile=0):
        total = self.profiles[profile]["endValue"]
        return self.total_ns(profile)[name] / total if total else 0.0


class Result:
    def __init__(self, code, out, err, directory):
        self.code, self.out, self.err, self.directory = code, out, err, directory

    def files(self):
        return sorted(glob.glob(os.path.join(self.directory, "**", "*.json"), recursive=True))

    def profiles(self):
        return [Profile(f) for f in self.files()]

    def programs(self):
        """Without those of fork children on their way to an exec: a slow one meets a tick there, and leaves a profile."""
        ps = self.profiles()
        begun = {p.block["pid"]: p.block["argv"] for p in ps}
        return [p for p in ps if begun.get(p.block["ppid"]) != p.block["argv"] or p.total() > 0.1e9]

    def profile(self):
        ps = self.programs()
        assert len(ps) == 1, f"one profile expected, found {self.files()}; stderr: {self.err!r}"
        return ps[0]


class Bench:
    """One interpreter, one library, one scratch directory."""

    def __init__(self, python, library, build):
        self.python, self.library, self.build = python, library, build
        self.directory = tempfile.mkdtemp(prefix="spprof-test-")
        out = subprocess.run([python, "-I", "-S", "-c", "import sys; print(*sys.version_info[:2], getattr(sys, 'abiflags', ''))"], capture_output=True, text=True,
                             env=clean_env(), check=True).stdout.split() if python else ["0", "0"]
        self.version = tuple(map(int, out[:2]))
        self.free_threaded = self.version >= (3, 13) and "t" in "".join(out[2:])
        self.debug = "d" in "".join(out[2:])
        self.count = 0

    def close(self):
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def known(self):
        return self.version >= (3, 9)

    def fresh(self):
        self.count += 1
        d = os.path.join(self.directory, str(self.count))
        os.mkdir(d)
        return d

    def write(self, text, name="app.py"):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as f:
            f.write(text)
        return path

    def env(self, preload=True, **extra):
        env = clean_env()
        if preload:
            env["LD_PRELOAD"] = self.library if preload is True else f"{self.library}:{preload}"
            env.update(ASKED)
        env.update({k: str(v) for k, v in extra.items() if v is not None})
        return env

    def run(self, program, *args, python=None, preload=True, cwd=None, timeout=280, check=True, stdin=None, command=None,
            preexec=None, **env):
        """Runs `program` (source text, or a path) and returns what it did; profiles land in a fresh directory."""
        directory = cwd or self.fresh()
        if command is None:
            path = program if os.path.exists(program) and "\n" not in program else self.write(program, f"app{self.count}.py")
            command = [python or self.python, path, *map(str, args)]
        r = subprocess.run(command, cwd=directory, env=self.env(preload, **env), capture_output=True, timeout=timeout,
                           stdin=stdin or subprocess.DEVNULL, preexec_fn=preexec)
        out, err = r.stdout.decode("utf-8", "backslashreplace"), without_emulator(r.stderr.decode("utf-8", "backslashreplace"))
        if check and r.returncode != 0:
            raise AssertionError(f"exit {r.returncode}\n{out}\n{err}")
        return Result(r.returncode, out, err, directory)


def program_file(path):
    """The program that is run as `path`: an emulated one lies beside its launcher (emulated.c)."""
    path = os.path.realpath(path)
    return os.path.realpath(path + ".guest") if os.path.exists(path + ".guest") else path


@contextlib.contextmanager
def memory_cgroup(limit):
    """Makes a cgroup of so many bytes, without swap; -> its directory, the files' names differ between v1 and v2."""
    root = "/sys/fs/cgroup/memory"
    v1 = os.path.exists(os.path.join(root, "memory.limit_in_bytes"))
    if not v1:
        root = "/sys/fs/cgroup"
    group = os.path.join(root, f"spprof-test-{os.getpid()}")
    try:
        os.mkdir(group)
        for name in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes") if v1 else ("memory.max", "memory.swap.max"):
            if os.path.exists(os.path.join(group, name)) or "sw" not in name:
                with open(os.path.join(group, name), "w") as f:
                    f.write("0" if name == "memory.swap.max" else str(limit))
    except OSError as e:
        if os.path.exists(group):
            os.rmdir(group)
        raise Skip(f"no memory cgroup can be made: {e}")
    try:
        yield group
    finally:
        for _ in range(50):  # the dead leave it a little later
            try:
                os.rmdir(group)
                break
            except OSError:
                time.sleep(0.1)


def enter_cgroup(group):
    def enter():
        with open(os.path.join(group, "cgroup.procs"), "w") as f:
            f.write(str(os.getpid()))
    return enter


def memory_peak(b, program, **kw):
    with memory_cgroup(4 << 30) as group:
        b.run(program, preexec=enter_cgroup(group), **kw)
        for name in ("memory.max_usage_in_bytes", "memory.peak"):
            if os.path.exists(os.path.join(group, name)):
                with open(os.path.join(group, name)) as f:
                    return int(f.read())
    raise Skip("the kernel does not tell a cgroup's peak")


def need_frames(b):
    if not b.known:
        raise Skip("this version's frames are not known")


def compile_support(b, source, name, *flags):
    """A C program or library of this folder, compiled once in the case's directory."""
    path = os.path.join(b.directory, name)
    if not os.path.exists(path):
        here = os.path.dirname(os.path.abspath(__file__))
        subprocess.run(["cc", "-O1", "-w", os.path.join(here, source), "-o", path, *flags, "-ldl", "-lpthread"], check=True)
    return path


def complaints(err):
    """stderr without the one line that names a version whose frames are not known."""
    return re.sub(r"spprof: CPython .* cannot be looked into.*\n", "", err)


def clean_env():
    drop = ("PYTHON", "SPPROF", "LD_")
    env = {k: v for k, v in os.environ.items() if not k.startswith(drop)}
    if os.environ.get("SPPROF_TEST_JIT"):
        env["PYTHON_JIT"] = "1"
    return env


BUSY = """
import time
thread_time = getattr(time, 'thread_time', time.process_time)
def busy(seconds):
    end = thread_time() + seconds
    while thread_time() < end:
        for i in range(200): pass
"""
# SPPROF_TEST_WORK: less of it where only what is printed matters
WORK = BUSY + "import os, sys, signal\ndef work(): busy(float(os.environ.get('SPPROF_TEST_WORK', '0.12')))\nwork()\n"


def spent(b, p, name="work", spells=1, profile=0):
    """The most CPU that a function may have used, by what the profile shows and by what it says it cannot show."""
    return p.total_ns(profile)[name if b.known else "(python)"] + p.doubt_ns(spells)


def telling(run, enough, most=16):
    """A machine that has no CPU left gives no ticks: run(scale) again with twice the CPU, until the profile is `enough` to judge
    by, or that was asked `most` times. A thread that was busy for long and has no sample is never the machine's fault."""
    scale = 1
    while True:
        p = run(scale)
        unseen = [t for t in p.block["threads"] if not t["samples"] and t["cpu"] > 0.8e9]
        assert not unseen, unseen
        if scale >= most or enough(p):
            return p, scale
        scale *= 2


def complete(b, r, least=0.12e9, spells=1):
    p = r.profile()
    assert spent(b, p, spells=spells) >= least, (p.total_ns(), p.block)
    return p


CASES = {}


def case(function=None, *, where="releases", only="", name=None):
    """A test. `where` every run has it (tests/suites.py): few, what is the same under all versions; releases; all, also under
    builds of which only a choice is run. `only`: the one kind of build that it is for."""
    def add(f):
        f.where, f.only = where, only
        CASES[name or f.__name__] = f
        return f
    return add(function) if function else add


def main(argv=None):
    argv = argv or sys.argv[1:]
    if argv[0] == "--list":
        for name, f in CASES.items():
            print(name, f.where, f.only or "-")
        return 0
    python, library, build, *names = argv
    failed = 0
    for name in names or CASES:
        bench = Bench(python, os.path.abspath(library), os.path.abspath(build))
        try:
            CASES[name](bench)
            print(f"ok   {name}")
        except Skip as why:
            print(f"skip {name}: {why}")
            if len(names) == 1:
                return SKIP
        except Exception:
            import traceback
            traceback.print_exc()
            print(f"FAIL {name}")
            failed += 1
        finally:
            bench.close()
    return 1 if failed else 0
