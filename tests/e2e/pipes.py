#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The command reads standard input and pipes as it reads files, and writes to pipes and devices."""
import gzip
import os
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from convert import made  # noqa: E402
from formats import collapsed, left_by_a_kill, recovered  # noqa: E402
from sp import CASES, Profile, case, main  # noqa: E402

CASES.clear()


def spprof(b, *args, status=0, **how):
    how.setdefault("stdin", subprocess.DEVNULL)
    r = subprocess.run([os.path.join(b.build, "spprof"), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)
    assert r.returncode == status, (args, r)
    return r.stdout.decode(), r.stderr.decode()


def fed(data, step, write, close):
    """Somebody who writes it bit by bit, and is not stopped."""
    def feed():
        for at in range(0, len(data), step):
            write(data[at:at + step])
        close()
    t = threading.Thread(target=feed)
    t.start()
    return t


def through_pipe(b, data, *args, step=1 << 16, name=None, status=0, nonblocking=False):
    """What the command makes of `data` on standard input, or with a name of /dev/fd at a descriptor of its own."""
    r, w = os.pipe()
    os.set_blocking(r, not nonblocking)
    gone = []

    def write(some):
        try:
            while some:
                some = some[os.write(w, some):]
        except BrokenPipeError:
            gone.append(True)
    t = fed(data, step, write, lambda: os.close(w))
    try:
        how = {"pass_fds": [r]} if name else {"stdin": r}
        out = spprof(b, *(a.replace("@", f"/dev/fd/{r}") for a in args), status=status, **how)
    finally:
        os.close(r)
        t.join()
    return (*out, bool(gone))


def read(path):
    with open(path, "rb") as f:
        return f.read()


@case
def what_comes_through_a_pipe(b):
    """Each format that can be read: by -, by /dev/stdin, by <(...), in small pieces, from a socket, from a file behind it."""
    spool = left_by_a_kill(b, SPPROF_INTERVAL="1ms")
    whole = [spool] + [recovered(b, spool, name) for name in ("p.json", "p.json.gz")]
    for path in whole[:2]:  # as gzip does it
        whole.append(os.path.join(b.fresh(), os.path.basename(path) + ".gz"))
        with gzip.open(whole[-1], "wb") as f:
            f.write(read(path))
    for path in whole:
        data, want = read(path), spprof(b, "report", "-n", "0", path)[0]
        assert "inner" in want, want
        for out, err, gone in (through_pipe(b, data, "report", "-n", "0", "-"), through_pipe(b, data, "report", "-n", "0", "/dev/stdin"),
                               through_pipe(b, data, "report", "-n", "0", "@", name="<"),
                               through_pipe(b, data, "report", "-n", "0", "-", step=len(data) // 50 + 1, nonblocking=True)):
            assert out == want and not err and not gone, (path, out, err, want)
        with open(path, "rb") as f:
            assert spprof(b, "report", "-n", "0", "-", stdin=f)[0] == want
        for name in ("-", "/dev/stdin"):
            ours, theirs = socket.socketpair()
            t = fed(data, 1 << 16, ours.sendall, ours.close)
            assert spprof(b, "report", "-n", "0", name, stdin=theirs)[0] == want
            theirs.close()
            t.join()
    small = read(made(os.path.join(b.fresh(), "s.json"), {"main;f": 10**7}))
    for data in (small, gzip_frame(b, small)):
        assert "f (/srv/shop/app.py" in through_pipe(b, data, "report", "-", step=1)[0]


def gzip_frame(b, data):
    directory = b.fresh()
    with open(os.path.join(directory, "p.json"), "wb") as f:
        f.write(data)
    spprof(b, "convert", f.name, "-o", f.name + ".gz")
    return read(f.name + ".gz")


@case
def each_subcommand(b):
    """convert, merge, diff, recover, symbolize: standard input beside files, and once."""
    directory = b.fresh()
    a, c = (made(os.path.join(directory, n), {"main;" + n[0]: 10**9}, pid=i) for i, n in enumerate(("a.json", "c.json"), 1))
    out = os.path.join(directory, "out.json")
    assert through_pipe(b, read(a), "convert", "-", "-o", "-", "--format", "collapsed")[0].endswith("MainThread;main;a 1000000000\n")
    through_pipe(b, read(a), "merge", "--sum", "-", c, "-o", out)
    assert Profile(out).stacks() == {("main", "a"): 10**9, ("main", "c"): 10**9}
    text = through_pipe(b, read(a), "diff", "-", c)[0]
    assert text.startswith("A:         standard input, ") and text.split("\n", 1)[1] == spprof(b, "diff", a, c)[0].split("\n", 1)[1], text
    spool = left_by_a_kill(b, SPPROF_INTERVAL="1ms")
    through_pipe(b, read(spool), "recover", "-", "-o", out)
    assert Profile(out).stacks() == Profile(recovered(b, spool, "p.json")).stacks()
    through_pipe(b, read(out), "symbolize", "-", "-o", out + ".gz")
    assert gzip.decompress(read(out + ".gz")) == read(out)
    spprof(b, "symbolize", out + ".gz")
    with gzip.open(out + ".gz") as f:
        assert f.read() == read(out)


@case
def what_cannot_be_read(b):
    """A line that says what and why, and nothing written."""
    directory = b.fresh()
    a, spool = made(os.path.join(directory, "a.json"), {"main": 10**9}), left_by_a_kill(b)
    for data, args, status, why in ((b"", ["report", "-"], 1, "standard input: is empty"), (b"no profile", ["report", "-"], 1, "is not a profile"),
                                    (read(a)[:-9], ["report", "-"], 1, "is cut off"), (read(spool)[:100], ["report", "-"], 1, "it is too short"),
                                    (read(a), ["diff", "-", "-"], 2, "it can be read once"), (read(a), ["report", "-", "-"], 0, "is named twice; it counts once"),
                                    (gzip.compress(read(a))[:-9], ["report", "-"], 1, "is cut off or damaged"), (gzip.compress(b"text"), ["report", "-"], 1, "holds no Speedscope file"),
                                    (read(a), ["top", "-"], 1, "can be read once"),
                                    (read(spool), ["recover", "-"], 1, "give the profile's name with -o"), (read(a), ["recover", "-", "-o", os.path.join(directory, "x")], 1, "it is too short"),
                                    (read(spool), ["recover", "-", "--remove", "-o", os.path.join(directory, "x")], 1, "there is nothing to remove"),
                                    (read(a), ["symbolize", "-"], 1, "name with -o"), (read(a), ["symbolize", "/dev/stdin"], 1, "name with -o")):
        out, err, _ = through_pipe(b, data, *args, status=status)
        assert why in err and len(err.splitlines()) == 1, (args, err)
        assert not out or args[0] == "report" and status == 0, out
    with open("/dev/zero", "rb") as endless:
        assert "is not a profile" in spprof(b, "report", "-", status=1, stdin=endless)[1]
    r = subprocess.run(f"exec '{b.build}/spprof' report - <&-", shell=True, capture_output=True, text=True)
    assert r.returncode == 1 and r.stderr == "spprof: standard input: it is closed\n", r
    ours, theirs = os.openpty()
    assert "is a terminal" in spprof(b, "report", "-", status=1, stdin=theirs)[1]
    os.close(ours), os.close(theirs)
    with open(a, "rb") as f:  # what is read is not replaced, whatever its name here
        assert "is read" in spprof(b, "convert", "-", "-o", a, status=2, stdin=f)[1]
    assert os.listdir(directory) == ["a.json"]


@case
def what_goes_into_a_pipe(b):
    """-o with a pipe's or a device's name: written as it is, nothing is put beside it; behind what a file has already."""
    directory = b.fresh()
    a = made(os.path.join(directory, "a.json"), {"main;f": 10**9})
    want = collapsed_text(b, a)
    r, w = os.pipe()
    spprof(b, "convert", a, "--format", "collapsed", "-o", f"/dev/fd/{w}", pass_fds=[w])
    os.close(w)
    with open(r) as f:
        assert f.read() == want
    fifo = os.path.join(directory, "fifo.folded")
    os.mkfifo(fifo)
    got = []
    t = threading.Thread(target=lambda: got.append(read(fifo).decode()))
    t.start()
    spprof(b, "convert", a, "-o", fifo)
    t.join()
    assert got == [want] and sorted(os.listdir(directory)) == ["a.json", "fifo.folded"]
    log = os.path.join(directory, "log")
    for name in ("/dev/stdout", "-", "/proc/self/fd/1"):
        with open(log, "w") as f:
            f.write("before\n")
        with open(log, "a") as f:
            assert subprocess.run([os.path.join(b.build, "spprof"), "convert", a, "--format", "collapsed", "-o", name], stdout=f, stderr=subprocess.DEVNULL).returncode == 0
        assert read(log).decode() == "before\n" + want, name
    spprof(b, "convert", a, "-o", "/dev/null")
    assert "No space left" in spprof(b, "convert", a, "-o", "/dev/full", status=1)[1]
    assert "Bad file descriptor" in spprof(b, "convert", a, "-o", "/dev/fd/77", status=1)[1]


def collapsed_text(b, path):
    out = os.path.join(b.fresh(), "p.folded")
    spprof(b, "convert", path, "-o", out)
    assert collapsed(out)
    return read(out).decode()


if __name__ == "__main__":
    sys.exit(main())
