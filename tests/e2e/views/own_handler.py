# A program's own SIGPROF handler gets its own signals and none of ours.
# where: all
import os
import signal

from head import busy

n = 0
def h(s, f):
    global n; n += 1
signal.signal(signal.SIGPROF, h)
busy(0.1)
print(n)
os.kill(os.getpid(), signal.SIGPROF)
print(n)
signal.signal(signal.SIGPROF, signal.SIG_DFL)
busy(0.05)
print(signal.getsignal(signal.SIGPROF))
