# gsignal(), raise()'s old name: a SIGPROF that it sends is the program's, though a tick of ours waits.
# expect: True 1 2
import ctypes
import signal

from head import busy

libc = ctypes.CDLL(None)
n = 0
def h(s, f):
    global n; n += 1
signal.signal(27, h)
libc.sighold(27)
busy(.05)
libc.gsignal(27)
waits = 27 in signal.sigpending()
libc.sigrelse(27)
busy(.01)
first = n
libc.gsignal(27)
print(waits, first, n)
