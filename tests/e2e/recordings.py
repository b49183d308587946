#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Recordings begin, end and give way to others, thousands of times, while threads run, end, fork, and code dies. No CPU is
lost or counted twice, and nothing is left behind. SPPROF_TEST_SWAPS: how many times."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from load import LOAD  # noqa: E402
from sp import CASES, WORK, case, main, spent  # noqa: E402,F401

TIMES = int(os.environ.get("SPPROF_TEST_SWAPS", "1500"))

HEAD = WORK + LOAD + """
import sys
lib = ctypes.CDLL(sys.argv[1])
churn = ctypes.CDLL(sys.argv[2])
lib.recording_figure.restype = ctypes.c_ulong
lib.recording_swap.restype = ctypes.c_long
figure = lambda name: lib.recording_figure(name.encode())
times, forks = int(sys.argv[3]), []
def processes_fork():
    while not stop.wait(0.05):
        pid = os.fork()
        if pid == 0:
            busy(0.002)
            os._exit(0)
        forks.append(os.waitpid(pid, 0)[1])
def left_behind():
    with open('/proc/self/maps') as f: maps = len(f.readlines())
    with open('/proc/self/timers') as f: timers = f.read().count('\\nClockID:')
    return len(os.listdir('/proc/self/fd')), timers, maps
def check_sums():
    assert figure('wrong') == 0, figure('wrong')
    assert figure('threads') <= figure('used'), (figure('threads'), figure('used'))
"""


def run(b, program, **env):
    b.library = os.path.join(b.build, "tests", "librecordings.so")
    r = b.run(HEAD + program + "print('done')\n", b.library, os.path.join(b.build, "tests", "libchurn.so"), TIMES, SPPROF_FILES=5, **env)
    assert (r.out, r.err) == ("done\n", ""), (r.out, r.err)
    return r


@case
def swapped(b):
    """Regions follow each other under load: together they hold what the process used, to the nanosecond."""
    run(b, """
lib.recording_swap(20, 1000)
before = left_behind()
begin_load(processes_fork)
done = lib.recording_swap(times, 300)
end_load()
assert done == times, done
assert forks and not any(forks), forks
first = time.process_time_ns()
assert lib.recording_end()
last = time.process_time_ns()
assert figure('n') == times + 21
check_sums()
whole = figure('before') + figure('used')
assert first <= whole <= last, (first, whole, last)
assert figure('threads') > 0.8 * figure('used'), (figure('threads'), figure('used'))
after = left_behind()
assert after[0] <= before[0] and after[1] <= 3 and after[2] < before[2] + 40, (before, after)
""", SPPROF_MEMORY="1M", SPPROF_DEPTH=64, SPPROF_INTERVAL="1ms")


@case
def begun_and_ended(b):
    """Sessions with nothing between them recorded: no ticks, no timers; threads that live through many of them are in each
    with what they used meanwhile."""
    run(b, """
assert lib.recording_end() and not lib.recording_end()
begin_load(processes_fork)
recorded = 0
for i in range(times // 10):
    a = time.process_time_ns()
    assert lib.recording_begin() and not lib.recording_begin()
    b = time.process_time_ns()
    busy(0.002)
    c = time.process_time_ns()
    assert lib.recording_end()
    d = time.process_time_ns()
    now = figure('used')
    assert i == 0 or c - b <= now - recorded <= d - a, (i, b, c, now - recorded)
    recorded = now
    if i == 20: before = left_behind()
    if i % 10 == 0: busy(0.002)
end_load()
check_sums()
assert figure('samples') > 5 # a session is shorter than a tick of some kernels
after = left_behind()
assert after[0] <= before[0] and after[1] <= 3 and after[2] < before[2] + 40, (before, after)
""", SPPROF_MEMORY="1M", SPPROF_DEPTH=64, SPPROF_INTERVAL="1ms")


@case
def profile_at_the_end(b):
    """What is written at the end is the last recording; without one nothing is."""
    r = run(b, """
def before(): busy(0.1)
before()
assert lib.recording_swap(1, 0) == 1
t = threading.Thread(target=busy, args=(0.1,), name='later')
t.start(); t.join()
""")
    p = r.profile()
    assert any(t.get("name") == "later" for t in p.block["threads"]), p.block["threads"]
    assert "before" not in p.total_ns() and p.block["cpu"]["before_start"] > 0.1e9 and p.total() > 0.1e9, (p.total_ns(), p.block)
    assert spent(b, p, "busy") >= 0.1e9, (p.total_ns(), p.block)
    assert not run(b, "busy(0.05)\nassert lib.recording_end()\n").files()


if __name__ == "__main__":
    sys.exit(main())
