# sigwait() gets each SIGPROF that is sent, also where all signals were blocked before it was named.
# expect: True set()
import os
import signal
import threading
import time

from head import busy

signal.pthread_sigmask(signal.SIG_BLOCK, set(range(1, 65)) - {9, 19, 32, 33})
got = []
def waiter():
    while True:
        s = signal.sigwait([signal.SIGPROF, signal.SIGUSR1])
        if s == signal.SIGUSR1: return
        got.append(s)
ts = [threading.Thread(target=busy, args=(.1,)) for i in range(3)]
for x in ts: x.start()
time.sleep(0.02)
for i in range(5): os.kill(os.getpid(), signal.SIGPROF); time.sleep(0.01)
t = threading.Thread(target=waiter)
t.start()
time.sleep(0.02)
until = time.time() + 60
while len(got) < 3 and time.time() < until: os.kill(os.getpid(), signal.SIGPROF); time.sleep(0.005)
for x in ts: x.join()
os.kill(os.getpid(), signal.SIGUSR1)
t.join()
print(len(got) >= 3, signal.sigpending())
