#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a person types at the command, and what comes back."""
import collections
import contextlib
import datetime
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import unicodedata

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from convert import made, spprof  # noqa: E402
from formats import left_by_a_kill  # noqa: E402
from pprof import Pprof  # noqa: E402
from sp import BUSY, CASES, Profile, case, main  # noqa: E402

CASES.clear()


def subcommands(b):
    return re.findall(r"^(?:usage:|      ) spprof (\w+) ", spprof(b, "help").stdout, re.M)


@case
def output_that_is_full(b):
    """Whatever cannot be printed is said: status 2 and a line, of every subcommand."""
    directory = b.fresh()
    a, c = made(os.path.join(directory, "a.json"), {"main;f": 10**9}), made(os.path.join(directory, "c.json"), {"main;g": 10**9})
    spool = left_by_a_kill(b)
    lines = {"run": ["--help"], "report": [a], "convert": [a, "-o", "-"], "merge": [a, c, "-o", "-"], "diff": [a, c], "check": [b.python],
             "recover": ["-o", "-", spool], "snapshot": ["-o", "-", spool], "symbolize": ["-o", "-", a], "help": [], "lib": [], "version": [], "install": [b.fresh()]}
    asks = {"dump", "start", "stop", "reset", "ship", "top"}  # a process, or a receiver: doorbell.py, dump.py, ship.py, top.py
    assert set(lines) | asks == set(subcommands(b))
    for name, args in [*lines.items(), *((name, ["--help"]) for name in sorted(asks))]:
        for words in [[name, *args], [name, "--help"]] + [["--lib"], ["--version"], ["--help"], ["help", "--man"], ["help", "--completion", "zsh"]] * (name == "help"):
            with open("/dev/full", "w") as full:
                r = subprocess.run([os.path.join(b.build, "spprof"), *words], stdout=full, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
            said = [line for line in r.stderr.splitlines() if "names no libraries" not in line]
            assert r.returncode == 2 and len(said) == 1 and said[0].startswith("spprof: standard output: "), (words, r)
    assert subprocess.run(f"'{b.build}/spprof' version >&-", shell=True, stderr=subprocess.DEVNULL).returncode == 2
    with open("/dev/full", "w") as full:  # the status is the program's
        for status in (0, 3):
            program = [os.path.join(b.build, "spprof"), "run", "--report", b.python, "-c", f"import sys; sys.exit({status})"]
            assert subprocess.run(program, stderr=full, env=b.env(preload=False), cwd=b.fresh()).returncode == status


@case
def one_hyphen(b):
    """An option with one hyphen where two are wanted is no handful of letters."""
    directory = b.fresh()
    a = made(os.path.join(directory, "a.json"), {"main;f": 10**9})
    for args in (["report", "-by", "line", a], ["report", "-by=line", a], ["report", "-no-idle", a], ["merge", "-sum", a, "-o", "x"], ["run", "-out", "x", "true"],
                 ["run", "-interval=1ms", "true"], ["diff", a, a, "-per", "f"], ["help", "-man"], ["check", "-library=x"], ["symbolize", a, "-debug-dir", "/x"]):
        word = next(w for w in args if w.startswith("-"))
        r = subprocess.run([os.path.join(b.build, "spprof"), *args], capture_output=True, text=True, cwd=directory)
        assert (r.returncode, r.stdout, r.stderr) == (2, "", f"spprof: {args[0]} {word}: there is no such option; -{word.split('=')[0]} is one\n"), r
    assert os.listdir(directory) == ["a.json"]
    assert "2 more rows" not in spprof(b, "report", "-n1", a).stdout and "1 more" in spprof(b, "report", "-n1", a).stdout


# --- a terminal
def in_terminal(b, columns, *args, **env):
    """What a terminal so wide gets, line by line."""
    fd, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    out, clean = b"", {k: v for k, v in b.env(preload=False, TERM="xterm").items() if k not in ("COLUMNS", "NO_COLOR")}
    with subprocess.Popen([os.path.join(b.build, "spprof"), *args], stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal, env=dict(clean, **env)) as p:
        os.close(terminal)
        with contextlib.suppress(OSError):  # EIO: the end
            while data := os.read(fd, 65536):
                out += data
    os.close(fd)
    status = p.returncode
    text = re.sub(r"\x1b\[[\d]*m", "", out.decode().replace("\r\n", "\n"))
    assert status == 0 and not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text), (args, text)
    return text.splitlines()


def wide(text):
    return sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


NASTY = "a\x1b[31mred\x07\u202eright\u2066\u200b\ufeff\x85"


# --- filters
def rows(text):
    """Name as printed -> (self, total) in ns, of a report."""
    units = {"us": 1e3, "ms": 1e6, "s": 1e9}
    def ns(t):
        return float(re.match(r"[\d.]+", t)[0]) * units[re.sub(r"[\d.]", "", t)]
    return {r[4]: (ns(r[2]), ns(r[3])) for r in (line.split(None, 4) for line in text.split("\n\n")[1].splitlines()[1:]) if r[0] != "("}


def kept(p, wanted):
    """What of each thread's stacks is wanted, ns; the sum has what no thread has."""
    return {stack: ns for stack, ns in p.stacks().items() if wanted(stack)}


@case
def filters(b):
    """The same is left of a spool file and of what is recovered of it, by every subcommand."""
    spool, directory = left_by_a_kill(b, SPPROF_INTERVAL="1ms"), b.fresh()
    full = os.path.join(directory, "full.json")
    spprof(b, "convert", spool, "-o", full)
    p = Profile(full)
    worker = p.stacks(p.thread("pool;1"))
    for args, wanted in ((["--focus", r"^inner \("], lambda s: "inner" in s), (["--ignore", r"^(inner|busy) \("], lambda s: not {"inner", "busy"} & set(s)),
                         (["--focus", r"^outer \(", "--ignore", r"^inner \("], lambda s: "outer" in s and "inner" not in s), (["--thread", "^pool;1"], None),
                         (["--thread", "Main|pool", "--ignore", r"^busy \("], lambda s: "busy" not in s and s != ("(thread start/end)",))):
        want = dict(worker) if wanted is None else kept(p, wanted)
        for source in (spool, full):
            out = os.path.join(directory, "out.json")
            spprof(b, "convert", *args, source, "-o", out)
            q = Profile(out)
            assert dict(q.stacks()) == want and q.total() == sum(want.values()), (args, source, q.stacks(), want)
            assert q.block["samples"] <= p.block["samples"] and q.block["cpu"]["used"] == q.total() and q.block["prompt"] <= 1
            r = rows(spprof(b, "report", "-n", "0", *args, source).stdout)
            assert abs(sum(own for own, _ in r.values()) - q.total()) < 5e5 * len(r), (args, r)
            assert rows(spprof(b, "report", "-n", "0", out).stdout) == r, (args, r)
            spprof(b, "merge", "--sum", *args, source, "-o", os.path.join(directory, "merged.json"))
            assert dict(Profile(os.path.join(directory, "merged.json")).stacks()) == want
            d = spprof(b, "diff", *args, spool, source).stdout
            assert all(line.startswith("~") for line in d.split("\n\n")[1].splitlines()[1:-1]) and "inner" in d or "inner" not in str(want), d
    lines = spprof(b, "report", "--by", "line", "--focus", r"^inner \(", spool).stdout
    assert "inner (" in lines and abs(sum(own for own, _ in rows(lines).values()) - sum(kept(p, lambda s: "inner" in s).values())) < 1e7, lines
    assert "what each line cost in all" in spprof(b, "report", "--by", "line", "--focus", "inner", full, status=1).stderr
    for args in (["report"], ["convert", "-o", os.path.join(directory, "none.json")], ["merge", "-o", os.path.join(directory, "none.json")], ["diff", full]):
        r = spprof(b, *args, "--focus", "nobody", full, status=2 if args[0] == "diff" else 1)
        assert "nothing of it is left by --focus nobody" in r.stderr and not r.stdout and not os.path.exists(os.path.join(directory, "none.json")), r
    assert "join them" in spprof(b, "report", "--focus", "a", "--focus", "b", full, status=2).stderr
    two = made(os.path.join(directory, "two.json"), {"main;f": 10**9}, pid=2)
    r = spprof(b, "report", full, two, "--focus", r"^f \(").stdout
    assert "Left out:  1 profile," in r and "CPU:       1.00s, " in r, r


@case
def spans_of_time(b):
    """--from and --to: what lies in them, and together everything that has a time."""
    directory = b.fresh()
    path = b.write(BUSY + "import os, signal\ndef early(): busy(0.1)\ndef late(): busy(0.1)\nearly(); a = time.time(); time.sleep(0.4)\n"
                   "print((a + time.time()) / 2, flush=True)\nlate(); os.kill(os.getpid(), signal.SIGKILL)\n")
    r = subprocess.run([b.python, path], cwd=directory, env=b.env(SPPROF_SPOOL=directory, SPPROF_INTERVAL="1ms"), capture_output=True, text=True)
    spool = os.path.join(directory, os.listdir(directory)[0])
    full = os.path.join(directory, "full.json")
    spprof(b, "convert", spool, "-o", full)
    p = Profile(full)
    began = datetime.datetime.fromisoformat(p.block["started"].replace("Z", "+00:00")).timestamp()
    for source, cut, functions in ((spool, float(r.stdout) - began, [("early", "late"), ("late", "early")]), (full, p.total() / 2e9, [])):
        sums = collections.Counter()
        for i, span in enumerate((["--to", f"{cut:.3f}s"], ["--from", f"{cut * 1000:.0f}ms"])):
            out = os.path.join(directory, "out.json")
            said = spprof(b, "convert", *span, source, "-o", out).stderr
            assert ("has no times" in said) == (source == full), said
            q = Profile(out)
            sums.update(q.stacks())
            for there, not_there in functions[i:i + 1]:
                seen = q.total_ns()  # what was used since its last sample comes with the next tick
                assert seen[there] >= 0.1e9 - p.doubt_ns() and seen[not_there] <= p.doubt_ns(), (span, q.stacks())
            if source == spool:
                assert 0 < q.block["wall_ns"] < p.block["wall_ns"], (q.block, p.block)
        left_out = p.stacks() - sums
        assert not sums - p.stacks() and set(left_out) <= {("(thread start/end)",)}, (source, left_out)
    for args, said in ((["--from", "x"], "is no time"), (["--from", "2", "--to", "1s"], "leaves no time"), (["--to", "1d"], "is no time")):
        assert said in spprof(b, "report", *args, full, status=2).stderr


# --- trees
CALLS = {"main;a;b;leaf": 40 * 10**6, "main;a;c;leaf": 30 * 10**6, "main;a": 20 * 10**6, "main;leaf;leaf": 10 * 10**6, "other": 5 * 10**6}


def lines_of(text):
    """(self, total in ns, indentation, "" or ">", name) of the rows of a tree."""
    found = []
    for line in text.split("\n\n")[1].splitlines()[1:]:
        m = re.match(r" *>?([\d.]+) +>?([\d.]+) +(\S+) +(\S+)  ( *)(\[\d+\] )?(> )?(\w+) \(", line)
        if m:
            found.append((float(m[1]), float(m[2]), len(m[5]), (m[7] or "").strip(), m[8]))
    return found


@case
def calls_as_a_tree(b):
    a = made(os.path.join(b.fresh(), "a.json"), CALLS)
    t = lines_of(spprof(b, "report", "--tree", a).stdout)
    assert t == [(0.0, 95.2, 0, "", "main"), (19.0, 85.7, 2, "", "a"), (0.0, 38.1, 4, "", "b"), (38.1, 38.1, 4, ">", "leaf"), (0.0, 28.6, 4, "", "c"),
                 (28.6, 28.6, 4, ">", "leaf"), (0.0, 9.5, 2, "", "leaf"), (9.5, 9.5, 2, ">", "leaf"), (4.8, 4.8, 0, "", "other")], t
    short = spprof(b, "report", "--tree", "-n", "3", a).stdout
    assert [row[4] for row in lines_of(short)] == ["main", "a", "b"] and "(6 more rows" in short, short
    t = lines_of(spprof(b, "report", "--callers", "leaf", a).stdout)
    assert t == [(76.2, 76.2, 0, "", "leaf"), (38.1, 38.1, 2, "", "b"), (38.1, 38.1, 2, ">", "a"), (38.1, 38.1, 2, ">", "main"), (28.6, 28.6, 2, "", "c"),
                 (28.6, 28.6, 2, ">", "a"), (28.6, 28.6, 2, ">", "main"), (9.5, 9.5, 2, "", "main")], t
    assert [row[:2] for row in lines_of(spprof(b, "report", "--callers", "a", a).stdout)] == [(19.0, 85.7), (19.0, 85.7)]
    r = spprof(b, "report", "--callers", "lea", a, status=1)
    assert r.stderr == 'spprof: lea: is no function of what was read; there is "leaf"\n' and not r.stdout, r
    assert "row of the table" in spprof(b, "report", "--callers", "nobody", a, status=1).stderr
    for by in ("file", "module", "package", "library"):  # one row calls itself: one node
        names = spprof(b, "report", "--tree", "--by", by, a).stdout.split("\n\n")[1].splitlines()[1:]
        assert len(names) == 1, names
    for by in ("line", "thread", "task", "span"):
        assert "leave --by out" in spprof(b, "report", "--tree", "--by", by, a, status=2).stderr
    for name in ("d.C.decode", "C.decode", "decode"):
        made(a, {"main;d.C.decode;x": 10**9})
        assert [row[1] for row in lines_of(spprof(b, "report", "--callers", name, a).stdout.replace("d.C.decode", "d"))] == [100.0, 100.0]
    two = made(os.path.join(os.path.dirname(a), "two.json"), {"main;a": 10**9, "main": 10**9})
    assert lines_of(spprof(b, "report", "--tree", two, made(a, {"main;a": 2 * 10**9}, pid=2)).stdout) == [(25.0, 100.0, 0, "", "main"), (75.0, 75.0, 0, ">", "a")]


@case
def whole_lives_as_a_tree(b):
    r = b.run(BUSY + "def idle(): time.sleep(0.3)\nidle()\n", SPPROF_WALL="1")
    t = spprof(b, "report", "--wall", "--tree", *r.files()).stdout
    for args, said in ((["--focus", "idle"], None), (["--from", "1ms"], "not when")):
        q = os.path.join(r.directory, "q.json")
        said_now = spprof(b, "convert", *args, *r.files()[:1], "-o", q).stderr
        assert (said is None or said in said_now) and ("wall" in Profile(q).block) == (said is None), said_now
        if said is None:
            of = json.loads(spprof(b, "report", "--wall", "--json", q).stdout)
            assert of["lives"]["all_ns"] == of["sum_ns"] and of["lives"]["waits_ns"] >= 0.3e9 and {"idle"} <= {row["name"] for row in of["rows"]}, of
        os.unlink(q)
    assert "Lives:" in t and re.search(r"> \(waiting: \w+\)", t) and "CPU self" not in t, t


# --- rows by what they belong to
@case
def modules_and_packages(b):
    directory = b.fresh()
    os.makedirs(os.path.join(directory, "site-packages", "pack", "sub"))
    os.makedirs(os.path.join(directory, "shop", "db"))
    for path, text in (("site-packages/pack/__init__.py", "def f(): busy(0.25)\n"), ("site-packages/pack/sub/mod.py", "def g(): busy(0.25)\n"),
                       ("site-packages/single.py", "def h(): busy(0.25)\n"), ("shop/db/models.py", "def m(): busy(0.25)\n"), ("shop/db/__init__.py", ""),
                       ("shop/app.py", f"import sys; sys.path.insert(1, {directory!r} + '/site-packages')\nimport json, pack, pack.sub.mod, single, db.models\n"
                        "pack.f(); pack.sub.mod.g(); single.h(); db.models.m()\ndef own(): busy(0.25)\nown()\n"
                        "for i in range(8000): json.loads(json.dumps([0] * 100))\n")):
        with open(os.path.join(directory, path), "w") as f:
            f.write(BUSY + text)
    def names(by, *args):
        with_names = spprof(b, "report", "-n", "0", "--by", by, *args).stdout
        return {r: total for r, (_, total) in rows(with_names).items()}
    for command in (["shop/app.py"], [os.path.join(directory, "shop", "app.py")], ["-m", "shop.app"]):
        r = subprocess.run([b.python, *command], cwd=directory, env=b.env(SPPROF_OUT="p.json", PYTHONPATH=os.path.join(directory, "shop")), capture_output=True, text=True)
        assert r.returncode == 0, r
        p = os.path.join(directory, "p.json")
        prefix = "shop." if command[0] == "-m" else ""
        wanted = {"module": {"pack", "pack.sub.mod", "single", "db.models", prefix + "app"}, "library": {"pack", "single", "(program)", "(standard library)"},
                  "package": {"pack", "pack.sub", "single", "db", "shop" if prefix else "(program)"}}
        if prefix:
            wanted["module"] = {n for n in wanted["module"] if n != "db.models"} | {n for n in names("module", p) if n.endswith("db.models")}
            wanted["package"] -= {"db"}
        for by, want in wanted.items():
            got = names(by, p)
            assert want <= set(got) and all(got[n] >= 5e7 for n in want), (command, by, got)
        assert any(n.startswith("json") for n in names("module", p)) and any(n == "json" for n in names("package", p)), names("package", p)


@case
def rows_of_tasks(b):
    stacks = {"task a;main;f": 10**9, "task a;main": 10**9, "task b;main;f": 3 * 10**9, "main;f": 5 * 10**9}
    path = made(os.path.join(b.fresh(), "a.json"), stacks)
    p = json.load(open(path))
    for f in p["shared"]["frames"]:
        if f["name"].startswith("task "):
            del f["file"], f["line"]
    with open(path, "w") as f:
        json.dump(p, f)
    merged = os.path.join(os.path.dirname(path), "m.json")
    spprof(b, "merge", path, path + "", "-o", merged)
    for source in (path, merged):
        assert {n: ns for n, (ns, _) in rows(spprof(b, "report", "--by", "task", source).stdout).items()} == {"(no task)": 5e9, "task b": 3e9, "task a": 2e9}


@case
def rows_of_spans(b):
    """Each by what was done in it itself; --span leaves what was done in one, or in one that was opened in it."""
    s = 10**9
    stacks = {"span a x=1;main;f": s, "span a x=1;main": s, "span a x=1;span b;f": 3 * s, "span b;task t;f": 2 * s, "(other spans);f": s, "main;f": 5 * s}
    path = made(os.path.join(b.fresh(), "a.json"), stacks)
    p = json.load(open(path))
    for f in p["shared"]["frames"]:
        if f["name"].startswith(("task ", "span ", "(other")):
            del f["file"], f["line"]
    with open(path, "w") as f:
        json.dump(p, f)
    merged = os.path.join(os.path.dirname(path), "m.json")
    spprof(b, "merge", path, path + "", "-o", merged)
    of = {"(no span)": 5e9, "a x=1": 2e9, "a x=1 / b": 3e9, "b": 2e9, "(other spans)": 1e9}
    for source in (path, merged):
        assert {n: ns for n, (ns, _) in rows(spprof(b, "report", "--by", "span", source).stdout).items()} == of
        for expression, left in (("^a", 5e9), ("^b$", 5e9), ("x=1|b", 7e9), ("other", 1e9)):
            r = rows(spprof(b, "report", "--by", "span", "--span", expression, source).stdout)
            assert sum(ns for ns, _ in r.values()) == left and all(ns == of[n] for n, (ns, _) in r.items()), (expression, r)
        assert "is left by --span main" in spprof(b, "report", "--span", "main", source, status=1).stderr


# --- processes
FAMILY = BUSY + """
import os, subprocess, sys
def child(seconds, then=lambda: None):
    pid = os.fork()
    if pid == 0:
        busy(seconds); then(); os._exit(0)
    os.waitpid(pid, 0)
if len(sys.argv) > 1:
    busy(0.1)
else:
    busy(0.1); child(0.1, lambda: child(0.1)); child(0.1)
    subprocess.run([sys.executable, __file__, "x"], check=True)
"""


@case
def processes_as_a_tree(b):
    directory, path = b.fresh(), b.write(FAMILY, "family.py")
    for name in ("first", "second"):
        b.run(path, cwd=directory, SPPROF_OUT=name + ".json")
    def tree(*args):
        d = json.loads(spprof(b, "report", "--json", "--by", "process", "--tree", *args).stdout)
        return d, [(r["depth"], re.sub(r"\[.*|of .*", "", r["name"]), r["self_ns"], r["total_ns"]) for r in d["tree"]]
    first = [os.path.join(directory, f) for f in sorted(os.listdir(directory)) if f.startswith("first")]
    parts = [Profile(f) for f in first]
    pids = {p.block["pid"] for p in parts}
    assert len({p.block["run"] for p in parts}) == 1 and len(parts) >= 5, parts
    d, t = tree(*first)
    root = next(p for p in parts if p.block["ppid"] not in pids)
    assert t[0] == (0, "family.py ", root.total(), sum(p.total() for p in parts)) and d["runs"] == 1, t
    for r in d["tree"]:  # of a child that met a tick on its way to the exec there are two
        pid = int(re.search(r"\[(\d+)\]", r["name"])[1])
        assert r["self_ns"] in [p.total() for p in parts if p.block["pid"] == pid] + [sum(p.total() for p in parts if p.block["pid"] == pid)], r
    assert sum(1 for r in t if r[0] == 1) >= 3 and [r[0] for r in t].count(2) >= 1, t
    forked = [r for r in d["tree"] if r["name"].startswith("family.py worker [")]
    assert len(forked) >= 3 and any(r["depth"] == 2 for r in forked), d["tree"]
    both, t = tree(directory)
    assert both["runs"] == 2 and [r[1] for r in t if r[0] == 0] == ["run "] * 2 and both["n_rows"] >= 12, t
    assert "of 2 runs" in spprof(b, "report", directory).stdout
    merged = os.path.join(b.fresh(), "all.json")
    spprof(b, "merge", directory, "-o", merged)
    roots = {stack[0] for stack in Profile(merged).stacks()} - {"(thread start/end)"}
    assert all(re.fullmatch(r"family\.py( worker)? \d+-\d+-\d+T\d+:\d+:\d+\.\d+Z \[\d+\]", r) for r in roots) and len(roots) >= 10, roots
    spprof(b, "merge", *first, "-o", os.path.join(os.path.dirname(merged), "all.pprof"))
    assert {s.labels.get("pid") for s in Pprof(os.path.join(os.path.dirname(merged), "all.pprof")).samples} - {None} == pids
    spool = left_by_a_kill(b)  # a region tells its run as well
    spprof(b, "convert", spool, "-o", merged)
    assert int(Profile(merged).block["run"]) > 10**18


@case
def odd_families(b):
    """Whatever files say of pids, the tree has each process once."""
    directory = b.fresh()
    def family(i, pid, ppid, start=0, run="5000000000"):
        path = made(os.path.join(directory, f"{i}.json"), {"main": 10**9}, pid=pid, start=start, argv=["python", f"p{i}.py"])
        with open(path) as f:
            d = json.load(f)
        d["spprof"].update(ppid=ppid, run=run)
        with open(path, "w") as f:
            json.dump(d, f, separators=(",", ":"))
        return path
    loop = [family(0, 1, 3), family(1, 2, 1), family(2, 3, 2), family(3, 4, 4)]
    def names(*paths):
        return [(r["depth"], r["name"]) for r in json.loads(spprof(b, "report", "--json", "--by", "process", "--tree", *paths).stdout)["tree"]]
    assert sorted(n for _, n in names(*loop)) == ["p0.py [1]", "p1.py [2]", "p2.py [3]", "p3.py [4]"], names(*loop)
    again = [family(4, 10, 1, 1), family(5, 10, 1, 5), family(6, 11, 10, 3), family(7, 12, 10, 9), family(8, 12, 10, 9, run="6000000000"), family(9, 13, 10, 9, run="")]
    t = names(*again)  # a pid that was given twice
    under = {n: t[i - 1][1] for i, (depth, n) in enumerate(t) if depth == 2}
    assert under == {"p6.py [11]": "p4.py [10]", "p7.py [12]": "p5.py [10]"}, t
    assert sum(1 for depth, n in t if depth == 0 and n.startswith("run of ")) == 3 and (0, "run of an unknown time") in t, t
    made(os.path.join(directory, "r1.json"), {"main": 10**9}, pid=50, start=1), made(os.path.join(directory, "r2.json"), {"main": 10**9}, pid=50, start=2)
    spprof(b, "merge", *(os.path.join(directory, f"r{i}.json") for i in "12"), "-o", os.path.join(directory, "m.json"))
    assert Profile(os.path.join(directory, "m.json")).stacks() == {("app.py [50]", "main"): 2 * 10**9}  # the files of one process


# --- sources and JSON
SHOP = """import time
thread_time = getattr(time, 'thread_time', time.process_time)


def decorated(f):
    return f


class Shop:
    @decorated
    def sell(self,
             n=1):
        x = "\x1b[31m\t\u202e"  # speaks to terminals
        end = thread_time() + 0.1
        while thread_time() < end: pass

        if n:
            self.sell(n - 1)

        return x


def other():
    return 1


Shop().sell(); other()
"""


@case
def source_beside_its_cost(b):
    directory = b.fresh()
    path = os.path.join(directory, "shop.py")
    with open(path, "w", encoding="utf-8") as f:
        f.write(SHOP)
    os.utime(path, (1, 1))
    subprocess.run([b.python, path], env=b.env(SPPROF_OUT=os.path.join(directory, "p.json")), check=True, cwd=directory)
    p = os.path.join(directory, "p.json")
    want = Profile(p)
    name = next(f["name"] for f in want.frames if f["name"].endswith("sell"))
    def listing(*args, source="read"):
        d = json.loads(spprof(b, "report", "--json", "--lines", name, *args).stdout)
        (f,) = d["functions"]
        assert f["source"] == source and f["name"] == name and f["file"] == path, f
        assert f["self_ns"] == sum(line["self_ns"] for line in f["lines"]), f
        return f
    f = listing(p)
    number = SHOP.splitlines().index("        while thread_time() < end: pass") + 1
    texts = {line["line"]: line for line in f["lines"]}
    assert f["line"] == 10 and [line.get("text") for line in f["lines"]] == SHOP.splitlines()[9:20], f  # all of it, and nothing else
    assert texts[number]["self_ns"] > 0 and f["total_ns"] == want.total_ns()[name] and f["self_ns"] == want.self_ns()[name], f
    assert texts[number + 3]["total_ns"] > 0  # the call
    r = spprof(b, "report", "--lines", "sell", p).stdout
    row = next(line for line in r.splitlines() if "while thread_time" in line)
    assert re.search(rf"ms +[\d.]+ms +{number}      while thread_time", row) and "Source:" not in r and r'"\x1b[31m' in r and "\\u202e" in r, r
    for line in in_terminal(b, 60, "report", "--lines", "sell", p):
        assert wide(line) <= 60, line
    spool = left_by_a_kill(b)
    assert "outer" in spprof(b, "report", "--lines", "outer", "--focus", "inner", spool).stdout  # a region knows the lines of each stack
    assert "in all" in spprof(b, "report", "--lines", "sell", "--thread", "Main", p, status=1).stderr
    for args, said in ((["--by", "file"], "leave --by"), (["--wall"], "leave --by"), (["--tree"], "leave --by")):
        assert said in spprof(b, "report", "--lines", "sell", *args, p, status=2).stderr
    assert "is no function" in spprof(b, "report", "--lines", "nobody", p, status=1).stderr
    # a source that is another
    os.utime(path)
    listing(p, source="changed")
    assert "written to after the profile began" in spprof(b, "report", "--lines", "sell", p).stdout
    with open(path, "w", encoding="utf-8") as g:
        g.write("\n" * 60 + SHOP)
    os.utime(path, (1, 1))
    listing(p, source="changed")
    assert "another version" in spprof(b, "report", "--lines", "sell", p).stdout
    with open(path, "w", encoding="utf-8") as g:
        g.write("\n".join(SHOP.splitlines()[:12]))
    os.utime(path, (1, 1))
    assert "not so many lines" in spprof(b, "report", "--lines", "sell", p).stdout
    os.unlink(path)
    assert all("text" not in line for line in listing(p, source="missing")["lines"])
    r = spprof(b, "report", "--lines", "sell", p).stdout
    assert "Source:    No such file" in r and re.search(rf" {number} *$", r, re.M), r
    os.mkfifo(path)  # nobody waits for it
    assert listing(p, source="missing")


@case
def for_scripts(b):
    """--json says what the lines say, whatever the names hold."""
    directory = b.fresh()
    odd = [NASTY, 'q"\\', "\U0001f600\U000e0041", "\u00e9"]
    a = made(os.path.join(directory, "a.json"), dict(CALLS, **{";".join(odd): 10**9}), argv=["python", NASTY])
    def read(*args):
        text = spprof(b, "report", "--json", *args).stdout
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\U000e0041]", text), text
        return json.loads(text)
    d = read(a, made(os.path.join(directory, "b.json"), {"main;b": 10**9}, pid=2))
    assert d["report"] == 1 and d["profiles"] == 2 and d["samples"] == 2000 and d["cpu_ns"] == d["sum_ns"] == 2 * 10**9 + sum(CALLS.values()), d
    assert {c["command"] for c in d["commands"]} == {"python " + NASTY, "python app.py"} and d["commands"][0]["pids"] == [1]
    assert {r["name"] for r in d["rows"]} == {"main", "a", "b", "c", "leaf", "other", *odd} and d["n_rows"] == len(d["rows"]), d
    leaf = next(r for r in d["rows"] if r["name"] == "leaf")
    assert leaf == {"name": "leaf", "file": "/srv/shop/app.py", "line": leaf["line"], "self_ns": 80 * 10**6, "total_ns": 80 * 10**6}, leaf
    assert len(read("-n", "2", a)["rows"]) == 2 and read("-n", "2", a)["n_rows"] == 10
    assert [(r["depth"], r["name"]) for r in read("--tree", "--ignore", "q", a)["tree"]] == [
        (0, "main"), (1, "a"), (2, "b"), (3, "leaf"), (2, "c"), (3, "leaf"), (1, "leaf"), (2, "leaf"), (0, "other")]
    d = read("--by", "process", a)
    assert d["by"] == "process" and d["rows"][0]["name"].endswith("(pid 1)") and "file" not in d["rows"][0], d
    r = b.run(BUSY + "def f(): time.sleep(0.2)\nf(); busy(0.1)\n", SPPROF_WALL="1")
    d = read("--wall", *r.files())
    assert d["of"] == "lives" and d["lives"]["all_ns"] >= d["lives"]["waits_ns"] >= 0.2e9 and "cpu_self_ns" in d["rows"][0], d


if __name__ == "__main__":
    sys.exit(main())
