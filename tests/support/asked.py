# SPDX-License-Identifier: MIT
"""A program that runs while the command asks it, and does what it is told in lines of Python. For tests of both."""
import os
import shutil
import subprocess

import ring
from sp import WORK

HEAD = WORK + f"""
import ctypes, threading
sys.path.insert(0, {os.path.dirname(ring.__file__)!r})
def children(): # also those that wait() does not see
    with open('/proc/self/task/%d/children' % os.getpid()) as f: return f.read().split()
def timers():
    with open('/proc/self/timers') as f: return f.read().count('signal:')
"""
ORDERS = "for line in sys.stdin:\n    exec(line)\n    print('ok', flush=True)\n"
NO_CLONE = """
import struct
op = lambda code, k, t=0, f=0: struct.pack('HBBI', code, t, f, k)
clone = [op(0x20, 0), op(0x15, 56, 0, 3), op(0x20, 16), op(0x15, 0x180500, 0, 1), op(6, 0x50000 | 11), op(6, 0x7fff0000)]
code = ctypes.create_string_buffer(b''.join(clone))
class Filter(ctypes.Structure): _fields_ = [('n', ctypes.c_ushort), ('code', ctypes.c_void_p)]
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Filter(len(clone), ctypes.addressof(code))), 0, 0) == 0
"""


class Program:
    def __init__(self, b, source, **env):
        self.b, self.uid = b, None
        self.directory, self.tool = b.fresh(), os.path.join(b.build, "spprof")
        self.source = b.write(source)
        self.child = subprocess.Popen([b.python, self.source], cwd=self.directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      text=True, env=b.env(**{"SPPROF_OUT": "p.json", **env}))
        self.pid = self.child.pid
        self.says("ready")

    def becomes(self, uid):
        """As daemons do that were root; whoever else is, one who may not be looked into."""
        self.do("ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)")
        if os.geteuid() != 0:
            return
        os.chmod(self.directory, 0o777)
        os.chmod(self.b.directory, 0o755)
        self.tool = shutil.copy(self.tool, self.b.directory)
        os.chmod(self.tool, 0o755)
        self.do(f"os.setgroups([]); os.setgid({uid}); os.setuid({uid})")
        self.uid = uid

    def command_as(self, uid, *args):
        def become():
            if uid:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
        r = subprocess.run([self.tool, *map(str, args)], cwd=self.directory, capture_output=True, text=True, timeout=120, preexec_fn=become)
        assert "Sanitizer" not in r.stderr, r.stderr
        return r

    def says(self, line):
        got = self.child.stdout.readline()
        assert got == line + "\n", (got, self.child.poll(), self.child.stderr.read() if self.child.poll() is not None else "")

    def do(self, order):
        self.child.stdin.write(order + "\n")
        self.child.stdin.flush()
        self.says("ok")

    def command(self, *args):
        return self.command_as(self.uid, *args)

    def ordered(self, *args):
        r = self.command(*args, self.pid)
        assert r.returncode == 0, r.stderr
        return r.stderr

    def file(self, name="p.json"):
        return os.path.join(self.directory, name)

    def ends(self, code=0):
        self.child.stdin.close()
        out, err = self.child.stdout.read(), self.child.stderr.read()
        assert self.child.wait() == code, (self.child.returncode, out, err)
        return out, err
