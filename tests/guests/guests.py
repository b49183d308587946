#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Other guests of the process: allocators, profilers, runtimes that bring threads, signal handlers and stacks of their own. Each
program prints the same and ends the same with and without us, whichever was preloaded first, at 1 ms and by default, and the
profile names the function that used the CPU. Go is in e2e/stacks.py, musl and old glibcs are under lint.

What comes from PyPI is looked for in the environment that scripts/check-programs makes for this version."""
import functools
import os
import shutil
import subprocess
import sys
import zipfile

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "support"))
from sp import BUSY, CASES, Skip, case, main  # noqa: E402,F401

PLACES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib")
WORK = BUSY + "import os, sys\ndef work(): busy(0.25)\nwork()\n"


def debian(name):
    for place in PLACES:
        path = os.path.join(place, name)
        if os.path.exists(path):
            return path
    raise Skip(f"no {name}: scripts/setup test installs it")


def with_module(b, module):
    """The interpreter of the environment with programs from PyPI that has the module."""
    python = os.path.expanduser("~/.cache/spprof-programs/py%d%d/bin/python" % b.version)
    found = os.path.exists(python) and subprocess.run([python, "-c", f"import {module}"], env=b.env(False), capture_output=True)
    if b.free_threaded or not found or found.returncode != 0:
        raise Skip(f"no {module} for this interpreter: scripts/check-programs installs it for 3.12")
    return python


def alike(b, program, names, beside=None, look=lambda r: None, code=0, **kw):
    """names: function -> ns of CPU that it uses at least, or 1 if that is not known. look: at what each run left."""
    def run(preload, **env):
        r = b.run(program, preload=False, check=False, LD_PRELOAD=preload, **env, **kw)
        look(r)
        return r

    plain = run(beside)
    if plain.code == 127 or "cannot be preloaded" in plain.err:
        raise Skip("this interpreter does not start with it: " + plain.err[-200:])
    assert plain.code == code, (plain.code, plain.out, plain.err)
    orders = [f"{b.library}:{beside}", f"{beside}:{b.library}"] if beside else [b.library]
    for preload in orders:
        for interval in ("1ms", None):
            ours = run(preload, SPPROF_INTERVAL=interval)
            what = (preload, interval)
            assert (ours.code, ours.out) == (plain.code, plain.out), (what, plain.code, plain.out, plain.err, ours.code, ours.out, ours.err)
            assert "spprof:" not in ours.err, (what, ours.err)
            p = ours.profile()
            for name, least in names.items():
                assert p.total_ns()[name] > 0 and p.total_ns()[name] + p.doubt_ns() >= least, (what, name, p.total_ns(), p.block)


# ---- allocators: every object of Python's comes from them
ALLOCATIONS = WORK + """
import hashlib, threading
def churn(k, out):
    kept, digest = [], hashlib.sha256()
    for i in range(int(sys.argv[2])):
        kept.append(bytes([i & 255]) * (i * 7 % 3000))
        if len(kept) > 400: digest.update(kept.pop(i * 7919 % 400))
    out[k] = digest.hexdigest()
out = {}
threads = [threading.Thread(target=churn, args=(k, out)) for k in range(3)]
for t in threads: t.start()
for t in threads: t.join()
with open("/proc/self/maps") as f: print(sys.argv[1] in f.read(), sorted(out.items()))
if os.fork() == 0:
    churn(9, out); os._exit(len(out))
print(os.wait()[1])
"""


def allocator(b, name, rounds=60000, **env):
    library = debian(name)
    if not b.free_threaded:  # that has its own only
        env["PYTHONMALLOC"] = "malloc"
    program = b.write(ALLOCATIONS, "allocations.py")
    alike(b, None, {"work": 0.25e9}, library, command=[b.python, program, name, str(rounds)], SPPROF_CHILDREN="0", **env)


@case
def tcmalloc(b):
    allocator(b, "libtcmalloc.so.4")


@case
def tcmalloc_samples(b):
    """It takes a stack inside malloc() for every 64 KB."""
    allocator(b, "libtcmalloc.so.4", 20000, TCMALLOC_SAMPLE_PARAMETER=65536)


@case
def jemalloc(b):
    allocator(b, "libjemalloc.so.2", MALLOC_CONF="background_thread:true,dirty_decay_ms:10,muzzy_decay_ms:10")


# ---- others that use signals and clocks
@case
def fault_handler(b):
    """Dumps by a timer's thread while ticks come, dumps by signal, and the one of a crash."""
    def look(r):
        with open(os.path.join(r.directory, "fatal")) as f:
            text = f.read()
        assert "Segmentation fault" in text and "crash" in text, text
    alike(b, WORK.replace("\nwork()\n", "\n") + """
import ctypes, faulthandler, signal
fatal, dumps = open("fatal", "w"), open("dumps", "w")
def seen():
    with open("dumps") as f: return f.read()
faulthandler.enable(fatal)
faulthandler.dump_traceback_later(0.005, repeat=True, file=dumps)
work()
while "in work" not in seen(): work()
faulthandler.cancel_dump_traceback_later()
faulthandler.register(signal.SIGUSR1, file=dumps, chain=False)
before = len(seen()); os.kill(os.getpid(), signal.SIGUSR1)
print(len(seen()) > before, "Timeout" in seen(), flush=True)
def crash(): ctypes.string_at(0)
crash()
""", {"work": 0.25e9}, look=look, code=-11)


@case
def libfaketime(b):
    """It stands before clocks, sleeps and timers. With a false CLOCK_MONOTONIC threading hangs, without us too."""
    path = debian("faketime/libfaketime.so.1")
    alike(b, WORK + """
import datetime, threading
done = threading.Event()
threading.Timer(0.05, done.set).start()
print(done.wait(60), datetime.date.today().year, threading.active_count() < 3)
""", {"work": 0.25e9}, path, FAKETIME="@2001-02-03 04:05:06", FAKETIME_DONT_FAKE_MONOTONIC="1")


# ---- native stacks and runtimes
FIBRES = r"""
#include <sys/mman.h>
#include <ucontext.h>
#include <stdexcept>
#include <thread>
#include <vector>
#include <time.h>
struct fibre { ucontext_t here, back; long n = 0, caught = 0; bool done = false; };
static thread_local fibre *current;
static long deep(long n) { if (n == 0) throw std::runtime_error("deep"); return deep(n - 1) + 1; }
static double cpu() { timespec t; clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); return t.tv_sec + t.tv_nsec / 1e9; }
static void body()
{
    fibre *f = current;
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 20; i++)
            try { f->n += deep(i); } catch (const std::runtime_error &) { f->caught++; }
        swapcontext(&f->here, &f->back);
    }
    f->done = true;
    swapcontext(&f->here, &f->back);
}
static long run(double seconds)
{
    long caught = 0;
    for (double end = cpu() + seconds; cpu() < end;) {
        std::vector<fibre> fibres(8);
        std::vector<void *> stacks;
        for (auto &f : fibres) {
            void *stack = mmap(nullptr, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            stacks.push_back(stack);
            getcontext(&f.here);
            f.here.uc_stack = {stack, 0, 1 << 16};
            makecontext(&f.here, body, 0);
        }
        for (bool alive = true; alive;) {
            alive = false;
            for (auto &f : fibres)
                if (!f.done) { current = &f; swapcontext(&f.back, &f.here); alive = true; }
        }
        caught = 0;
        for (auto &f : fibres) caught += f.caught;
        for (void *s : stacks) munmap(s, 1 << 16);
    }
    return caught;
}
extern "C" long fibres(double seconds)
{
    long other = 0;
    std::thread t([&] { other = run(seconds); });
    long mine = run(seconds);
    t.join();
    return mine + other;
}
"""


@case
def cpp_fibres(b):
    """Exceptions thrown and caught on stacks of the program's own, in two threads."""
    library = os.path.join(b.directory, "libfibres.so")
    compiler = shutil.which("c++")
    made = compiler and subprocess.run([compiler, "-O1", "-std=c++14", "-shared", "-fPIC", "-pthread", "-x", "c++", "-", "-o", library], input=FIBRES,
                                       text=True, capture_output=True)
    if not made or made.returncode:
        raise Skip("no C++ compiler, or it has no library")
    probe = f"import ctypes; ctypes.CDLL({library!r})"
    if subprocess.run([b.python, "-c", probe], env=b.env(False), capture_output=True).returncode:
        raise Skip("this interpreter's C library does not load it")
    alike(b, f"""
import ctypes
lib = ctypes.CDLL({library!r})
lib.fibres.argtypes = [ctypes.c_double]; lib.fibres.restype = ctypes.c_long
def work(): print(lib.fibres(0.3))
work()
""", {"work": 0.3e9})


@case
def jvm(b):
    """Java by JPype: the collector's and compilers' threads, SIGSEGV for null checks and stack overflows."""
    python = with_module(b, "jpype")
    if not shutil.which("java"):
        raise Skip("no Java")
    alike(b, BUSY + """
import jpype, jpype.imports, threading
jpype.startJVM("-Xmx256m", "-Xss512k")
from java.lang import StackOverflowError, NullPointerException, System
from java.math import BigInteger
from java.util import ArrayList, TreeMap
def work(out, k):
    end = thread_time() + 0.4
    while thread_time() < end:
        out[k] = int(BigInteger.valueOf(3 + k).pow(4000).multiply(BigInteger.valueOf(7)).bitLength())
    made = ArrayList()
    for i in range(3000): made.add(str(i * 7919 % 1000))
    made.sort(None)
    own = ArrayList(); own.add(own)
    for i in range(20):
        try: own.hashCode()
        except StackOverflowError: out[k] += 1
        try: TreeMap().put(None, "x")
        except NullPointerException: out[k] += 1
    System.gc()
    out[k] = (out[k], str(made.get(17)))
out = {}
threads = [threading.Thread(target=work, args=(out, k)) for k in range(2)]
for t in threads: t.start()
work(out, 2)
for t in threads: t.join()
print(sorted(out.items()))
jpype.shutdownJVM()
print("down")
""", {"work": 1.2e9}, python=python)


@case
def wasm(b):
    """wasmtime takes SIGSEGV, SIGILL and SIGFPE for traps of the code that it compiled."""
    python = with_module(b, "wasmtime")
    alike(b, BUSY + '''
import wasmtime
store = wasmtime.Store()
module = wasmtime.Module(store.engine, """(module
  (memory 1)
  (func (export "spin") (param i32) (result i32) (local i32)
    (loop (local.set 1 (i32.add (i32.mul (local.get 1) (i32.const 31)) (local.get 0)))
      (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get 1))
  (func $down (export "down") (param i32) (result i32) (i32.add (call $down (local.get 0)) (i32.const 1)))
  (func (export "outside") (result i32) (i32.load (i32.const 9999999)))
  (func (export "divide") (param i32) (result i32) (i32.div_s (i32.const 1) (local.get 0)))
  (func (export "never") unreachable))""")
called = wasmtime.Instance(store, module, []).exports(store)
def work():
    end, traps = thread_time() + 0.4, 0
    while thread_time() < end: result = called["spin"](store, 1000000)
    for name, args in (("down", (1,)), ("outside", ()), ("divide", (0,)), ("never", ())) * 5:
        try: called[name](store, *args)
        except (wasmtime.Trap, wasmtime.WasmtimeError): traps += 1
    return result, traps
print(work())
''', {"work": 0.4e9}, python=python)


@functools.lru_cache(maxsize=None)
def rust_module(python, made):
    """Builds tests/guests/rust by maturin, with the crates of its Cargo.lock -> a directory to import from."""
    maturin = os.path.join(os.path.dirname(python), "maturin")
    path = os.environ["PATH"] + ":" + os.path.expanduser("~/.cargo/bin")
    if not shutil.which("cargo", path=path):
        raise Skip("no cargo")
    r = subprocess.run([maturin, "build", "--release", "--locked", "-q", "-i", python, "-o", made, "--target-dir", os.path.join(made, "target")],
                       cwd=os.path.join(here, "rust"), env=dict(os.environ, PATH=path), capture_output=True, text=True)
    if r.returncode:
        raise Skip("the Rust module cannot be built here: " + r.stderr[-300:])
    wheel = [f for f in os.listdir(made) if f.endswith(".whl")][0]
    with zipfile.ZipFile(os.path.join(made, wheel)) as z:
        z.extractall(os.path.join(made, "out"))
    return os.path.join(made, "out")


@case
def rust(b):
    """pyo3: threads of Rust's without the GIL, calls back into Python, a panic that becomes an exception."""
    python = with_module(b, "maturin")
    alike(b, """
import guest_of_rust as rust, os
def back(n): return sum(range(n))
def work(): return rust.crunch(2, 200)
def caller(): return rust.call_back(back, 400000)
os.close(2)  # the panic's message has a thread's number in it
print(work() > 0, caller())
try: rust.panics()
except BaseException as e: print(type(e).__name__, e)
""", {"work": 1, "caller": 1}, python=python, PYTHONPATH=rust_module(python, os.path.join(b.build, "rust-guest")))


if __name__ == "__main__":
    sys.exit(main())
