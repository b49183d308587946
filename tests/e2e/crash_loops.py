#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Programs that start process after process: what these leave on the disk stays within bounds, and what is left out is told."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import BUSY, CASES, case, main  # noqa: E402,F401

KILLED = BUSY + """
import os, signal, sys
def child():
    name = os.path.join(os.environ["SPPROF_SPOOL"], f"spprof-{os.getpid()}.spool")
    for _ in range(1000):
        if os.path.exists(name): break
        busy(0.001)
    os.kill(os.getpid(), signal.SIGKILL)
for i in range(int(sys.argv[1])):
    if os.fork() == 0: child()
    os.wait()
"""
FORKS = BUSY + """
import os, sys
print(os.getpid(), flush=True)
for i in range(int(sys.argv[1])):
    pid = os.fork()
    if pid == 0: busy(0.02); os._exit(0)
    os.waitpid(pid, 0)
    print(pid)
busy(0.02)
"""


def report(b, *files):
    return subprocess.run([os.path.join(b.build, "spprof"), "report", *files], capture_output=True, text=True, check=True).stdout


def lines_of(path):
    with open(path) as f:
        rows = [line.rstrip("\n").split("\t") for line in f]
    assert all(len(r) == 3 for r in rows), rows
    return [(int(pid), command, float(cpu)) for pid, command, cpu in rows]


# ---- spool files
@case
def spools_of_the_dead(b):
    """The newest hundred stay, and all that is somebody's: a living process's, another user's, what is no spool file."""
    spool = b.fresh()
    b.run(KILLED, 1, SPPROF_SPOOL=spool)
    name, = os.listdir(spool)
    with open(os.path.join(spool, name), "rb") as f:
        content = f.read(65536)
    living = subprocess.Popen([b.python, "-c", "print('go', flush=True); input()"], env=b.env(SPPROF_SPOOL=spool), cwd=b.fresh(),
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert living.stdout.readline() == b"go\n"

    def put(file, age, what=content, uid=None):
        path = os.path.join(spool, file)
        if what is not None:
            with open(path, "wb") as f:
                f.write(what)
        if uid is not None:
            os.chown(path, uid, uid)
        os.utime(path, (1e9 - age, 1e9 - age))
        return file

    os.unlink(os.path.join(spool, name))
    dead = [put(f"spprof-{7000000 + i}{'-2' if i % 3 == 0 else ''}.spool", i) for i in range(350)]  # pids that no process has
    keep = {put(f"spprof-{living.pid}.spool", 10000, None), put("spprof-7.spool", 10000, b"mine"), put("spprof-7x.spool", 10000),
            put("spprof-007.spool", 10000), put("spprof-8.spool.old", 10000)}
    os.symlink(name, os.path.join(spool, "spprof-9.spool"))
    keep.add("spprof-9.spool")
    if os.geteuid() == 0:
        keep.add(put("spprof-10.spool", 10000, uid=65534))
    gone = 0
    try:
        for _ in range(50):  # a tenth of a second each: what is left then, goes next time
            r = b.run("pass", SPPROF_SPOOL=spool)
            left = set(os.listdir(spool))
            gone += sum(map(int, re.findall(r"^spprof: (\d+) spool files of dead processes.* at most 100 stay", r.err, re.M)))
            assert left >= keep | set(dead[:100]) and len(left) == len(keep) + 350 - gone, (len(left), gone, r.err)
            if gone == 250:
                break
        assert gone == 250, gone
        assert not b.run("pass", SPPROF_SPOOL=spool, SPPROF_VERBOSE=0).err
    finally:
        living.communicate(b"\n")
    assert living.returncode == 0


@case
def workers_that_are_killed(b):
    """Their parent goes on, and nobody starts anew."""
    spool = b.fresh()
    b.run(KILLED, 130, SPPROF_SPOOL=spool, SPPROF_INTERVAL="1ms")
    # a look every 16 forks, of a tenth of a second: two of them may be too short on a busy machine
    assert 50 < len(os.listdir(spool)) < 120, len(os.listdir(spool))


# ---- profiles
@case
def files_of_a_run(b):
    """So many files and no more, the first process's among them; every other process has a line."""
    program = b.write(FORKS)
    # pattern, file for the lines, files after a second run: which replaces those of the first that have the same names
    for out, where, twice in (("p.json", "p.json.skipped", 9), ("%h-%e-%p.json", "spprof.skipped", 10), ("", "spprof.skipped", 10),
                              ("%e-%n.txt", "spprof.skipped", 5)):
        directory = b.fresh()
        skipped = os.path.join(directory, where)
        for run in range(2):
            before = set(os.listdir(directory)) - {where}
            r = b.run(program, 12, cwd=directory, SPPROF_FILES=5, SPPROF_OUT=out)
            pids = [int(word) for word in r.out.split()]
            names = set(os.listdir(directory)) - {where}
            assert len(names) == (twice if run else 5), (out, run, names)
            rows = lines_of(skipped)  # of this run
            assert [pid for pid, _, _ in rows] == pids[5:], (rows, pids)
            assert all(os.path.basename(program) in command and cpu >= 0.02 for _, command, cpu in rows), rows
            if not out.endswith(".txt"):
                new = sorted(names - before) or ["p.json"]
                for text in (report(b, skipped), report(b, os.path.join(directory, new[0])), report(b, skipped, os.path.join(directory, new[0]))):
                    used = sum(cpu for _, _, cpu in rows) * 1e3
                    assert f"Skipped:   8 profiles beyond SPPROF_FILES, of {used:.1f}ms\n" in text, (used, text)
        assert not r.err, r.err
    r = b.run(program, 12, SPPROF_FILES=0)
    assert len(r.files()) == 13 and not os.path.exists(os.path.join(r.directory, "spprof.skipped")), r.files()
    r = b.run(program, 3, SPPROF_FILES=1)
    assert len(r.files()) == 1 and len(lines_of(os.path.join(r.directory, "spprof.skipped"))) == 3


@case
def steps_of_a_script(b):
    """Each is the first Python of its branch of the run; a program that a shell starts keeps its file, whatever its children made."""
    step = b.write("pass")
    r = b.run(None, command=["/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8; do $0 $1; done", b.python, step], SPPROF_FILES=5, SPPROF_OUT="p.json")
    assert len(r.files()) == 5 and len(lines_of(os.path.join(r.directory, "p.json.skipped"))) == 3, r.files()
    assert r.err.count("no profile; the run has as many files as SPPROF_FILES allows") == 3, r.err
    r = b.run(None, command=["/bin/sh", "-c", "$0 $1 9; true", b.python, b.write(FORKS)], SPPROF_FILES=4, SPPROF_OUT="p.json")
    assert len(r.files()) == 4 and os.path.join(r.directory, "p.json") in r.files(), r.files()


@case
def something_is_in_the_way(b):
    """Links, devices and files of others stay what they are; a directory that cannot be written to moves the limit with the files."""
    program = b.write(FORKS)

    def fifo(path):
        os.mkfifo(path)
        return lambda: not os.path.isfile(path)

    def link(path):
        with open(path + ".target", "w") as f:
            f.write("mine")
        os.symlink(path + ".target", path)
        return lambda: open(path).read() == "mine"

    def text(path):
        with open(path, "w") as f:
            f.write("mine\n")
        return lambda: open(path).read() == "mine\n"

    def folder(path):
        os.mkdir(path)
        return lambda: not os.listdir(path)

    for make in (fifo, link, text, folder):
        directory = b.fresh()
        stays = make(os.path.join(directory, "p.json.skipped"))
        r = b.run(program, 4, cwd=directory, SPPROF_FILES=2, SPPROF_OUT="p.json", SPPROF_VERBOSE=1)
        assert stays() and len(r.files()) == 2 and r.err.count("no line can be appended") == 3, (make, r.files(), r.err)
    elsewhere = b.fresh()
    b.run(program, 6, SPPROF_FILES=3, SPPROF_OUT="/proc/p.json", TMPDIR=elsewhere)
    assert len(os.listdir(elsewhere)) == 4 and len(lines_of(os.path.join(elsewhere, "p.json.skipped"))) == 4, os.listdir(elsewhere)


if __name__ == "__main__":
    sys.exit(main())
