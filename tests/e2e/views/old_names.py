# System V's and BSD's old functions for masks: sighold, sigrelse, sigblock, sigsetmask, sigpause.
# expect: 0 (True, False)
# expect: (True, False)
# expect: 0 (False, False)
# expect: (False, False)
# expect: False (True, False)
# expect: (True, False)
# expect: True (False, False)
# expect: (False, False)
# expect: 0 0 -1 22 []
# expect: (True, True)
# expect: 1 (True, False)
import ctypes
import os
import signal

from head import busy

libc = ctypes.CDLL(None, use_errno=True)
PROF = 1 << 26
def seen(): return signal.SIGPROF in signal.pthread_sigmask(0, []), signal.SIGPROF in signal.sigpending()
print(libc.sighold(27), seen())
busy(.05)
print(seen())
print(libc.sigrelse(27), seen())
busy(.05)
print(seen())
print(bool(libc.sigblock(PROF) & PROF), seen())
busy(.05)
print(seen())
print(bool(libc.sigsetmask(0) & PROF), seen())
busy(.05)
print(seen())
print(libc.sighold(15), libc.sigrelse(15), libc.sighold(99), ctypes.get_errno(), sorted(signal.pthread_sigmask(0, [])))
libc.sighold(27)
os.kill(os.getpid(), 27)
print(seen())
n = 0
def h(s, f):
    global n; n += 1
signal.signal(27, h)
libc.__sigpause(27, 1)
print(n, seen())
libc.sigrelse(27)
