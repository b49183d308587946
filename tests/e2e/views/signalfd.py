# A signalfd() that reads SIGPROF gets no tick.
# expect: []
# expect: 256 set()
import ctypes
import os
import select
import signal

from head import busy

libc = ctypes.CDLL(None)
signal.pthread_sigmask(signal.SIG_BLOCK, [27, 10])
class Set(ctypes.Structure): _fields_ = [('v', ctypes.c_ulong * 16)]
s = Set()
libc.sigemptyset(ctypes.byref(s))
libc.sigaddset(ctypes.byref(s), 27)
libc.sigaddset(ctypes.byref(s), 10)
fd = libc.signalfd(-1, ctypes.byref(s), 0)
busy(.1)
print(select.select([fd], [], [], 0)[0])
os.kill(os.getpid(), 27)
os.kill(os.getpid(), 10)
print(len(os.read(fd, 4096)), signal.sigpending())
