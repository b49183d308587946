# What sigaction() tells of what was set, in every word: masks, flags that the kernel does not know, defaults.
import ctypes
import signal

libc = ctypes.CDLL(None)
SIZE = 152  # of glibc's struct sigaction: handler, mask of 1,024 bits, flags, restorer


def call(sig, handler=None, mask=0, flags=0):
    old = ctypes.create_string_buffer(SIZE)
    new = None
    if handler is not None:
        new = ctypes.create_string_buffer(
            handler.to_bytes(8, "little") + mask.to_bytes(128, "little") + (flags & 0xffffffff).to_bytes(8, "little"), SIZE)
    rc = libc.sigaction(sig, new, old)
    words = [int.from_bytes(old.raw[at:at + 8], "little") for at in (0, 8)]
    return rc, words[0] if words[0] < 2 else "set", words[1], f"{int.from_bytes(old.raw[136:140], 'little'):08x}"


handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda sig: None)
own = ctypes.cast(handler, ctypes.c_void_p).value
for sig in (1, 2, 13, 14, 15, 17, 24, 27, 28, 31, 34, 64, 9, 32, 0, 65):
    for what in (0, 1, own):
        for flags in (0, 0x10000000, 0x400, 0x08000004, 0xc0000000, 0x40000800, 1):
            for mask in (0, 1 << 9, (1 << 64) - 1):
                print(sig, flags, call(sig, what, mask, flags), call(sig))
print(signal.getsignal(signal.SIGPROF))
