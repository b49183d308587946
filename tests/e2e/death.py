#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What should die dies: of its own signal, with its core, in the main thread and in others, after the profile is written.
What the kernel ignores for PID 1 does no more than write a snapshot."""
import contextlib
import glob
import os
import re
import resource
import signal
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import MACHINE, CASES, WORK, Profile, Skip, case, main, spent  # noqa: E402,F401

BY_INSTRUCTION = {"breakpoint": "TRAP", "icebp": "TRAP", "single_step": "TRAP", "null": "SEGV", "wild_address": "SEGV",
                  "division": "FPE", "undefined": "ILL", "end_of_file": "BUS", "bad_return": "SEGV"}
FORBIDDEN = {"forbidden_call": "SYS"}
TOLD = {"memory_error_told": "BUS", "memory_error": "BUS", "hardware_breakpoint": "TRAP", "told_segv": "SEGV", "told_bus": "BUS",
        "told_fpe": "FPE", "told_ill": "ILL", "told_sys": "SYS", "told_user": "USR1", "told_tkill": "QUIT"}
OTHER = {"in_sigsuspend": "TERM", "before_another": "TRAP", "abort": "ABRT"}
RAISED = {f"raise_{int(s)}": s.name[3:] for s in (signal.SIGTRAP, signal.SIGSYS, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE,
                                                  signal.SIGILL, signal.SIGTERM, signal.SIGXCPU, signal.SIGRTMIN)}


def program(b, way, in_thread, work):
    library = os.path.join(b.build, "tests", "libdeaths.so")
    return f"import ctypes\nlib = ctypes.CDLL({library!r})\n{work}lib.die({way.encode()!r}, {int(in_thread)})\n"


def dump_core():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)


def cores_are_files():
    with open("/proc/sys/kernel/core_pattern") as f:
        return re.fullmatch(r"core(\.%p)?", f.read().strip())


def core_says(directory):
    """Of the thread that died: what the signal said, and the last three digits of its instruction (libraries move by pages)."""
    names = glob.glob(os.path.join(directory, "core*"))
    assert len(names) == 1, os.listdir(directory)
    with open(names[0], "rb") as f:
        data = f.read(1 << 20)
    (phoff,), (phnum,) = struct.unpack_from("<Q", data, 32), struct.unpack_from("<H", data, 56)
    notes, says = [], {}
    for i in range(phnum):
        kind, _, offset, _, _, size = struct.unpack_from("<IIQQQQ", data, phoff + 56 * i)
        if kind == 4:
            notes.append((offset, offset + size))
    for at, end in notes:
        while at < end:
            name, size, kind = struct.unpack_from("<III", data, at)
            body = at + 12 + (name + 3 & ~3)
            if kind == 1 and "ip" not in says:  # NT_PRSTATUS, of the thread that died first: registers from 112 on, rip is the 17th
                says["ip"] = struct.unpack_from("<Q", data, body + 112 + 8 * 16)[0] & 0xfff
                says["signal"] = struct.unpack_from("<H", data, body + 12)[0]
            elif kind == 0x53494749:  # NT_SIGINFO: signal, errno, code, and what depends on it
                says["info"] = struct.unpack_from("<iii", data, body)
            at = body + (size + 3 & ~3)
    os.unlink(names[0])
    return says


def run(b, way, in_thread=False, preload=True, before=(), work=""):
    source = b.write(program(b, way, in_thread, work), "dies.py")
    return b.run(None, command=[*before, b.python, "-I", "-S", source], preload=preload, check=False,
                 preexec=dump_core if cores_are_files() and not before else None)


def die(b, ways):
    for way, name in ways.items():
        plain, ours, in_thread = run(b, way, preload=False), run(b, way), run(b, way, in_thread=True)
        for r in (plain, ours, in_thread):
            assert r.code == -getattr(signal, "SIG" + name) and r.out == "", (way, r is plain, r is in_thread, r.code, r.out, r.err)
            assert len(r.files()) == (r is not plain), (way, r.files(), r.err)
        if cores_are_files():
            says = [core_says(r.directory) if glob.glob(r.directory + "/core*") else None for r in (plain, ours, in_thread)]
            assert says[0] == says[1] == says[2], (way, says)


@case
def by_instruction(b):
    die(b, BY_INSTRUCTION)


@case
def by_filter(b):
    die(b, FORBIDDEN)


@case
def told(b):
    """What hardware cannot give here, sent to oneself with the code that it would have."""
    die(b, TOLD)


@case
def raised(b):
    die(b, RAISED)
    die(b, OTHER)


@case
def profile_is_whole(b):
    """All that the program used before it died is in the profile."""
    for way in ("breakpoint", "forbidden_call"):
        r = run(b, way, work=WORK)
        assert r.code < 0 and spent(b, r.profile()) > 0.1e9, (way, r.code)


@case
def as_init(b):
    """PID 1: what the kernel raises itself kills; what is sent does not, without us either."""
    if os.geteuid() != 0:
        raise Skip("needs root")
    probe = subprocess.run(["unshare", "-pf", "--mount-proc", "true"], capture_output=True)
    if probe.returncode:
        raise Skip("no PID namespaces: " + probe.stderr.decode())
    ways = [*BY_INSTRUCTION, *FORBIDDEN, *TOLD, "raise_5", "raise_15", "raise_11"]
    for way in ways:
        plain, ours = (run(b, way, preload=preload, before=["unshare", "-pf", "--mount-proc"]) for preload in (False, True))
        assert plain.code != 1 and (plain.code, plain.out) == (ours.code, ours.out), (way, plain.code, plain.out, ours.code, ours.out, ours.err)
        assert len(ours.files()) == 1, (way, ours.files(), ours.err)
        Profile(ours.files()[0])


# A thread that ends the process, whose calls that match the filter wait for an answer from another process; and one that ends it later.
HELD = """
import ctypes, fcntl, os, struct, sys, threading, time
libc, ALLOW, ASK = ctypes.CDLL(None, use_errno=True), 0x7fff0000, 0x7fc00000
CREATES, RENAMES = 0o200, 316 # O_EXCL; renameat2
def held_filter():
    code = [(0x20, 0, 0, 0), (0x15, 3, 0, RENAMES), (0x15, 0, 3, 257), (0x20, 0, 0, 16 + 16), (0x45, 0, 1, CREATES), (6, 0, 0, ASK), (6, 0, 0, ALLOW)]
    text = b"".join(struct.pack("HBBI", *c) for c in code)
    held = ctypes.create_string_buffer(text, len(text))
    program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(held))
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    return libc.syscall(317, 1, 8, ctypes.create_string_buffer(program, len(program))) # seccomp(SET_MODE_FILTER, NEW_LISTENER)
def answer(listener, seconds, told):
    for i in range(2):
        asked = bytearray(80)
        fcntl.ioctl(listener, 0xc0502100, asked) # SECCOMP_IOCTL_NOTIF_RECV
        os.write(told, b"x")
        time.sleep(seconds)
        fcntl.ioctl(listener, 0xc0182101, asked[:8] + struct.pack("qiI", 0, 0, 1)) # ..._SEND: go on
    os.kill(os.getpid(), 9)
ready, go, listener = threading.Event(), threading.Event(), []
def first():
    listener.append(held_filter())
    ready.set()
    go.wait()
    libc._exit(3)
threading.Thread(target=first, daemon=True).start()
ready.wait()
if listener[0] < 0: print("refused"); os._exit(77)
told, tell = os.pipe()
if os.fork() == 0: answer(listener[0], float(sys.argv[1]), tell)
go.set()
os.read(told, 1)
print("held", flush=True)
os._exit(7)
"""


@case
def writer_is_held(b):
    """Who ends the process while another writes: waits as long as the writer gets on, twelve seconds here, and not for one that hangs."""
    if MACHINE != "x86_64":
        raise Skip("the filter is written for x86-64")
    source, running = b.write(HELD, "held.py"), []
    for seconds in (6, 60):
        directory = b.fresh()
        running.append((directory, subprocess.Popen([b.python, source, str(seconds)], cwd=directory, env=b.env(SPPROF_OUT="p.json"),
                                                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)))
    for hangs, (directory, child) in enumerate(running):
        code = child.wait()
        said = child.stdout.readline()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # who answers
        if code == 77:
            raise Skip("seccomp's notifications are refused here")
        assert said == b"held\n" and code in ((7,) if hangs else (3, 7)), (said, code)
        assert os.path.exists(os.path.join(directory, "p.json")) == (not hangs), os.listdir(directory)


if __name__ == "__main__":
    sys.exit(main())
