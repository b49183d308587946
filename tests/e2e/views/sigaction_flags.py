# What sigaction(), signal() and siginterrupt() say of handlers and their flags.
# expect: 1 True 0
# expect: 2 False 0
# expect: 10 True 0
# expect: 14 True 0
# expect: 15 True 0
# expect: 27 True 0
# expect: 11 True 0
# expect: None 1
# expect: None 1
# expect: 0 -1 -1
import ctypes
import signal

libc = ctypes.CDLL(None)
class SA(ctypes.Structure): _fields_ = [('h', ctypes.c_void_p), ('mask', ctypes.c_ulong * 16), ('flags', ctypes.c_int), ('r', ctypes.c_void_p)]
for s in (1, 2, 10, 14, 15, 27, 11):
    old = SA(); assert libc.sigaction(s, None, ctypes.byref(old)) == 0
    print(s, old.h in (None, 0, 1), old.flags & 0x10000000)
libc.signal.restype = ctypes.c_void_p
for s in (15, 27):
    libc.siginterrupt(s, 1); print(libc.signal(s, ctypes.c_void_p(1)), libc.signal(s, ctypes.c_void_p(0)))
old = SA()
libc.sigaction(15, None, ctypes.byref(old))
print(old.flags & 0x10000000, libc.sigaction(99, None, None), libc.sigaction(9, ctypes.byref(old), None))
