# SA_RESETHAND, SA_NODEFER and SA_RESTART of a handler for SIGPROF.
# expect: 0x80000000 [(2, True)] (True, 2147483648)
# expect: 0x40000000 [(0, False), (1, False), (2, False)] (False, 1073741824)
# expect: 0xc0000000 [(2, False)] (True, 3221225472)
# expect: 0x10000000 [(0, True), (0, True), (0, True)] (False, 268435456)
# expect: 0x0 [(0, True), (0, True), (0, True)] (False, 0)
import ctypes
import os
import signal

from head import busy

libc = ctypes.CDLL(None)
class SA(ctypes.Structure): _fields_ = [('h', ctypes.c_void_p), ('mask', ctypes.c_ulong * 16), ('flags', ctypes.c_int), ('r', ctypes.c_void_p)]
H = ctypes.CFUNCTYPE(None, ctypes.c_int)
hits = []
def show():
    old = SA(); libc.sigaction(27, None, ctypes.byref(old)); return old.h is None, old.flags & 0xD8000000
depth = [0]
def handler(s):
    blocked = 27 in signal.pthread_sigmask(0, [])
    hits.append((depth[0], blocked))
    if depth[0] < 2 and len(hits) < 3:
        depth[0] += 1; os.kill(os.getpid(), 27); depth[0] -= 1
cb = H(handler)
for flags in (0x80000000, 0x40000000, 0xC0000000, 0x10000000, 0):
    hits.clear()
    for again in range(2):
        libc.sigaction(27, ctypes.byref(SA(ctypes.cast(cb, ctypes.c_void_p).value, (ctypes.c_ulong * 16)(), flags - (1 << 32) if flags >> 31 else flags, None)), None)
    busy(.03)
    if not flags & 0x80000000: os.kill(os.getpid(), 27)
    else:
        depth[0] = 2; os.kill(os.getpid(), 27); depth[0] = 0
    print(hex(flags), hits, show())
