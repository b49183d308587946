# A thread waits for SIGPROF by sigwait(), and gets each that is sent while others tick.
# where: all
# expect: 20
import os
import signal
import threading
import time

from head import busy

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPROF, signal.SIGUSR1])
got = []
def waiter():
    while True:
        s = signal.sigwait([signal.SIGPROF, signal.SIGUSR1])
        if s == signal.SIGUSR1: return
        got.append(s)
t = threading.Thread(target=waiter)
t.start()
ts = [threading.Thread(target=busy, args=(.05,)) for i in range(3)]
for x in ts: x.start()
for x in ts: x.join()
until = time.time() + 60
for i in range(20):
    os.kill(os.getpid(), signal.SIGPROF)
    while len(got) <= i and time.time() < until: time.sleep(0.001)
os.kill(os.getpid(), signal.SIGUSR1)
t.join()
print(len(got))
