# SPDX-License-Identifier: MIT
"""What rings (compat/ring.h), by hand: a listener, and signals true and forged. Imported by tests and by programs that ring themselves."""
import array
import ctypes
import os
import platform
import signal
import socket
import struct

IMAGE, BEGIN, END, RESET = 1, 2, 3, 4
_send = {"x86_64": 297, "aarch64": 240}.get(platform.machine())
_libc = ctypes.CDLL(None, use_errno=True)


def value(wish, number, mark=0x5350):
    return mark << 48 | wish << 40 | number


def send(pid, carried, tid=0, code=-1):
    """SIGURG with this in it, to a thread."""
    info = struct.pack("iii4xiiQ", signal.SIGURG, 0, code, os.getpid(), os.getuid(), carried).ljust(128, b"\0")
    if _libc.syscall(_send, pid, tid or pid, int(signal.SIGURG), info) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Listener:
    def __init__(self, wish):
        self.number = int.from_bytes(os.urandom(5), "little")
        self.value = value(wish, self.number)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.bind(f"\0spprof-{self.number:x}")
        self.socket.listen(4)

    def rings(self, pid):
        """Until somebody comes: who is busy leaves it."""
        for _ in range(60):
            send(pid, self.value)
            self.socket.settimeout(1)
            try:
                return self.socket.accept()[0]
            except socket.timeout:
                pass
        raise AssertionError("nobody answers")


def pass_file(peer, wish, fd):
    peer.sendmsg([struct.pack("II", 2, wish)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
