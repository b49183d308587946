# sigset(), sigignore() and signal().
# expect: 0 1 2 0 0 1
# expect: 0 1 2 0 0 1
# expect: []
import ctypes
import signal

from head import busy

libc = ctypes.CDLL(None)
libc.sigset.restype = libc.signal.restype = libc.bsd_signal.restype = ctypes.c_long
libc.sigset.argtypes = libc.signal.argtypes = [ctypes.c_int, ctypes.c_long]
for s in (27, 15):
    print(libc.sigset(s, 1), libc.sigset(s, 2), libc.sigset(s, 0), libc.sigset(s, 0), libc.sigignore(s), libc.signal(s, 0))
busy(.05)
print(sorted(signal.pthread_sigmask(0, [])))
