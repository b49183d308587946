# ITIMER_PROF with a handler works beside ticks.
# expect: True
import signal
import time

from head import busy

n = 0
def h(s, f):
    global n; n += 1
signal.signal(signal.SIGPROF, h)
start = time.process_time()
signal.setitimer(signal.ITIMER_PROF, 0.02, 0.02)
while n < 15 and time.process_time() < start + 20: busy(0.02)
signal.setitimer(signal.ITIMER_PROF, 0); print(n >= 15 and time.process_time() > start + 0.1 or n) # its clock counts in ticks
