#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What threads are called: Python's by their last name, native ones as the system calls them, others by their number."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import BUSY, CASES, Profile, Skip, case, main, need_frames, telling  # noqa: E402,F401

NATIVE = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
static sem_t busy_is_over;
struct job { const char *name; int parks; };
static void *work(void *argument)
{
    struct job *job = argument;
    struct timespec t;
    if (*job->name)
        pthread_setname_np(pthread_self(), job->name);
    do
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    while (t.tv_sec == 0 && t.tv_nsec < 80000000);
    sem_post(&busy_is_over);
    while (job->parks)
        pause();
    return NULL;
}
void start(const char *name, int parks)
{
    static struct job jobs[8];
    static int n;
    struct job *job = &jobs[n++];
    pthread_t t;
    sem_init(&busy_is_over, 0, 0);
    *job = (struct job){strdup(name), parks};
    pthread_create(&t, NULL, work, job);
    sem_wait(&busy_is_over);
    if (!parks)
        pthread_join(t, NULL);
}
"""


def names(p):
    return {t["name"] for t in p.block["threads"]}


@case
def native_threads(b):
    """Named ones that live at the end have their names, as those that ended; the process's name, whenever it was given, is none."""
    library = os.path.join(b.directory, "native.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-w", "-x", "c", "-", "-o", library, "-lpthread"], input=NATIVE, text=True, check=True)
    p = b.run(f"""
import ctypes
native = ctypes.CDLL({library!r})
native.start(b'resize-pool', 1)
native.start(b'ended-pool', 0)
native.start(b'', 1)
native.start(b'', 0)
native.start(b'es\\xffc\\x1b[31mape', 1)
ctypes.CDLL(None).prctl(15, b'another title', 0, 0, 0)  # PR_SET_NAME: the process, as setproctitle does
native.start(b'', 1)
""").profile()
    named = {n for n in names(p) if not re.fullmatch(r"\(thread \d+\)", n)}
    assert named == {"MainThread", "resize-pool", "ended-pool", "es\\xffc\x1b[31mape"}, names(p)
    assert len(names(p)) == 7, names(p)
    for t in p.block["threads"]:
        listed = p.profiles[t["profile"]]["name"]
        assert listed == (t["name"] if t["name"].startswith("(") else f"{t['name']} (tid {t['tid']})"), (listed, t)


@case
def named_in_snapshots(b):
    """Of a process that runs: its native threads are asked for their names then."""
    command = os.path.join(b.build, "spprof")
    if not os.path.exists(command):
        raise Skip("built without the command")
    library = os.path.join(b.directory, "native.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-w", "-x", "c", "-", "-o", library, "-lpthread"], input=NATIVE, text=True, check=True)
    source = b.write(f"import ctypes, sys\nn = ctypes.CDLL({library!r})\nn.start(b'resize-pool', 1)\nn.start(b'', 1)\n"
                     "print('ready', flush=True)\nsys.stdin.read()\n")
    for env in {"SPPROF_SPOOL": b.fresh()}, {}:
        d = b.fresh()
        p = subprocess.Popen([b.python, source], env=b.env(SPPROF_INTERVAL="4ms", **env), cwd=d, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert p.stdout.readline() == "ready\n"
        out = os.path.join(d, "snapshot.json")
        r = subprocess.run([command, "snapshot", "-o", out, str(p.pid)], capture_output=True, text=True)
        p.communicate("")
        if "may not be read" in r.stderr:
            continue
        assert r.returncode == 0, r.stderr
        got = names(Profile(out))
        assert "resize-pool" in got and any(n.startswith("(thread ") for n in got), got


RENAMED = BUSY + """
import sys, threading
def after(): busy(.06 * int(sys.argv[1]))
ready, go = threading.Event(), threading.Event()
def me(): return threading.current_thread()
def by_itself(): busy(.03); me().name = 'renamed by itself'; after()
def by_another(): busy(.03); ready.set(); go.wait(); after()
def in_turn():
    busy(.03)
    for i in range(3): me().name = 'in turn %d' % i
    after()
def has_dict(): me().__dict__['x'] = 1; busy(.03); me().name = 'has a dict \\xe9'; after()
def has_many():
    for i in range(60): setattr(me(), 'a%d' % i, i)
    busy(.03); me().name = 'has many'; after()
class Sub(threading.Thread):
    def __init__(self): self.first = 1; super().__init__(name='sub')
    def run(self): busy(.03); self.second = 2; self.name = 'sub renamed'; after()
class Slots(threading.Thread):
    __slots__ = ('a', 'b')
    def run(self): self.a = 1; busy(.03); self.name = 'slots renamed'; after()
class Own(threading.Thread):
    '''Its name is made by code, which must not run for us.'''
    asked = 0
    @property
    def _name(self): Own.asked += 1; return 'own'
    @_name.setter
    def _name(self, value): pass
    def run(self): after()
ts = [threading.Thread(target=f, name='t-' + f.__name__) for f in (by_itself, by_another, in_turn, has_dict, has_many)] + [Sub(), Slots()]
for t in ts: t.start()
ready.wait(); ts[1].name = 'renamed by another'; go.set()
for t in ts: t.join()
before = Own(); asked = Own.asked
before.start(); before.join()
print(Own.asked - asked)
"""


@case
def renamed(b):
    """A thread has the last name that it was sampled with, whoever gave it; nothing of the program runs for that."""
    need_frames(b)
    plain = b.run(RENAMED, 1, preload=False)

    def run(scale):
        r = b.run(RENAMED, scale, SPPROF_INTERVAL="4ms")
        assert plain.out == r.out, (plain.out, r.out)
        return r.profile()

    def sampled_afterwards(p):
        return all(p.total_ns(t["profile"])["after"] >= 3 * p.period_ns for t in p.block["threads"] if t["tid"] != p.block["pid"])

    got = names(telling(run, sampled_afterwards)[0])
    wanted = {"renamed by itself", "renamed by another", "in turn 2", "has a dict \xe9", "has many", "sub renamed", "slots renamed"}
    if b.free_threaded:  # a dict may go at any instant: the name that it had at its start
        wanted = wanted - {"has a dict \xe9", "has many", "slots renamed"} | {"t-has_dict", "t-has_many"}
        if b.version >= (3, 14):  # what it tells the system, when it renames itself
            wanted = {"t-by_another"}
    assert wanted <= got, wanted - got


@case
def renamed_main_thread(b):
    """It has its last name, whatever made an end of the interpreter, and once it is asked for: a dict where a module was, a name
    that is made by code, no threading at all leave MainThread. Nothing of the program runs for that."""
    need_frames(b)
    head = BUSY + "import threading, sys, signal\nbusy(.03)\nmain = threading.main_thread()\n"
    own = """
class Own(type(main)):
    asked = 0
    @property
    def _name(self): Own.asked += 1; return 'own'
main.__class__ = Own
sys.stdout.write(''); import atexit
atexit.register(lambda: print(Own.asked))
class Late:
    def __del__(self, write=sys.stdout.write): write('late %d' % Own.asked)
late = Late()
"""
    for tail, wanted in (("main.name = 'the boss \xe9'", "the boss \xe9"), ("main.name = 'a'\ndef f(): pass\nt = threading.Thread(target=f); t.start(); t.join()\nmain.name = 'b' * 300", "b" * 124 + "\u2026"),
                         ("main.name = 'left'\nsys.exit(3)", "left"), ("main.name = 'raised'\n1 / 0", "raised"), ("", "MainThread"),
                         ("main.name = 'x'\ndel sys.modules['threading']", "MainThread"), ("main.name = 'x'\nsys.modules['threading'] = {'_active': 1}", "MainThread"),
                         ("main.name = 'x'\nsys.modules['threading'].__dict__['_active'] = [1]", "MainThread"), (own, "MainThread")):
        plain, r = (b.run(head + tail, preload=p, check=False) for p in (False, True))
        assert (plain.code, plain.out) == (r.code, r.out), (tail, plain.out, r.out, r.err)
        assert names(r.profile()) >= {wanted}, (tail, names(r.profile()))


@case
def renamed_all_the_time(b):
    """Names that change under the samples are whole ones."""
    need_frames(b)
    r = b.run(BUSY + """
import threading, sys
def work(i):
    for n in range(150):
        busy(.001)
        if n % 2: threading.current_thread().name = 'w%d-%d-end' % (i, n)
ts = [threading.Thread(target=work, args=(i,), name='w%d-x-end' % i) for i in range(3)]
for t in ts: t.start()
n = 0
while any(t.is_alive() for t in ts):
    n += 1
    for i, t in enumerate(ts): t.name = 'w%d-%s-end' % (i, 'x' * (n % 100))
for t in ts: t.join()
""", SPPROF_INTERVAL="1ms")
    for n in names(r.profile()) - {"MainThread"}:
        assert re.fullmatch(r"w\d-(\d+|x*)-end", n), n


if __name__ == "__main__":
    sys.exit(main())
