# SPDX-License-Identifier: MIT
"""What keeps a region busy, for programs that loaded libchurn.so as `churn`: threads that end, code that dies, C threads that come
and go, from begin_load(functions...) to end_load()."""
from sp import BUSY

LOAD = BUSY + """
import ctypes, itertools, os, threading, warnings
warnings.simplefilter("ignore") # fork() warns where there are threads
stop = threading.Event()
alone = len(os.listdir('/proc/self/task')) # an emulator has a thread of its own
def code_dies():
    for i in itertools.count():
        if stop.is_set(): return
        ns = {}
        exec('def f%d(n):\\n return f%d(n - 1) if n else sum(range(300))\\nf%d(%d)' % (i, i, i, i % 30), ns)
def threads_end():
    while not stop.is_set():
        t = threading.Thread(target=busy, args=(0.003,))
        t.start(); t.join()
def begin_load(*more):
    churn.churn_start(1)
    global load
    load = [threading.Thread(target=f) for f in (code_dies, threads_end, *more)]
    for t in load: t.start()
def end_load():
    stop.set()
    for t in load: t.join()
    churn.churn_end()
    while len(os.listdir('/proc/self/task')) > alone: time.sleep(0.001) # a thread's end comes after what join() waits for
"""
