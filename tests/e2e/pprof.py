#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pprof files: what they say is what the other formats say, and Go's pprof reads them. And how a format is chosen."""
import collections
import fcntl
import gzip
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from formats import collapsed, left_by_a_kill, recovered  # noqa: E402
from pprof import Pprof  # noqa: E402
from sp import CASES, Profile, Skip, WORK, case, main, spent  # noqa: E402,F401

CASES.clear()


@case
def same_truth(b):
    """One profile in three formats: the same stacks of each thread, to the nanosecond; and lines."""
    spool = left_by_a_kill(b, SPPROF_INTERVAL="1ms")
    p, q = Profile(recovered(b, spool, "p.json")), Pprof(recovered(b, spool, "p.pb.gz"))
    assert q.total() == p.total() == sum(collapsed(recovered(b, spool, "p.txt")).values()), (q.total(), p.total())
    for t in p.block["threads"]:
        assert q.stacks(t["name"]) == p.stacks(t["profile"]), t
    assert q.total("samples") == p.block["samples"], (q.total("samples"), p.block["samples"])
    assert q.types == [("samples", "count"), ("cpu", "nanoseconds")] and q.default == "cpu" and q.period == p.block["interval_ns"]
    ids = {t["name"]: t["tid"] for t in p.block["threads"]}
    assert {s.labels["thread"]: s.labels["thread_id"] for s in q.samples if "thread" in s.labels} == ids, ids
    assert {s.labels["pid"] for s in q.samples} == {p.block["pid"]}
    lines = collections.Counter()
    for s in q.samples:
        lines[(s.stack[-1].name, s.stack[-1].line)] += s.values["cpu"]
        assert not any(f.system_name or f.address or f.build_id for f in s.stack), s
    assert {(p.frames[f]["name"], line): own for f, of in p.block["lines"] for line, own, _ in of if own} == \
        {k: ns for k, ns in lines.items() if k[1]}, lines
    assert all(f.start_line <= f.line for s in q.samples for f in s.stack)
    again = recovered(b, spool, "p.pprof")
    with open(again, "rb") as f, open(recovered(b, spool, "q.pb.gz"), "rb") as g:
        assert f.read() == g.read(), "the same profile, other bytes"


NATIVE_AND_WAITS = WORK + """
import hashlib
end = thread_time() + 0.2
while thread_time() < end: hashlib.sha256(b'x' * 2000000)
time.sleep(0.05)
"""


@case
def native_and_waits(b):
    """Native frames with module, build id and the name as it is linked; whole lives as a value of their own."""
    directory = b.fresh()
    b.run(NATIVE_AND_WAITS, cwd=directory, SPPROF_NATIVE="on", SPPROF_WALL="1", SPPROF_OUT="p.pprof")
    q = Pprof(os.path.join(directory, "p.pprof"))
    assert [t for t, _ in q.types] == ["samples", "wall", "cpu"], q.types
    natives = {f for s in q.samples for f in s.stack if f.address}
    assert any(f.mapping.startswith("/") and re.fullmatch("[0-9a-f]{16,}", f.build_id) for f in natives), natives
    for f in natives:
        module = os.path.basename(f.mapping)
        named = f.name in (f.system_name, f"{f.system_name} [{module}]") and f.system_name
        assert named or (not f.system_name and f.name.startswith(module + "+0x")), f
    waits = sum(s.values["wall"] for s in q.samples if s.stack[-1].name.startswith("(waiting"))
    assert waits >= 0.04e9, q.stacks(kind="wall")
    assert q.total("wall") >= waits + sum(ns for stack, ns in q.stacks("MainThread").items() if stack[0] == "<module>")
    assert all(not (s.values["wall"] and s.values["cpu"]) for s in q.samples)


def go_pprof(b):
    """Newer releases of Go come without it and build it when it is asked for: once for all that ask."""
    go = shutil.which("go", path=os.environ.get("PATH", "") + ":/usr/local/go/bin")
    if not go:
        raise Skip("no go, whose pprof would read it (Debian: golang-go)")
    return [go, "tool", "pprof"], dict(os.environ, PPROF_TMPDIR=b.directory, GOCACHE=os.path.join(b.build, "tests", "go-cache"), GOTOOLCHAIN="local")


def ask_go(b, path, *args):
    command, env = go_pprof(b)
    with open(os.path.join(b.build, "tests", "go-cache.lock"), "w") as one_builds:
        fcntl.flock(one_builds, fcntl.LOCK_EX)
        r = subprocess.run([*command, *args, path], capture_output=True, text=True, env=env)
    assert r.returncode == 0 and "rror" not in r.stderr and "arning" not in r.stderr, (r.stdout, r.stderr)
    return r.stdout


@case
def read_by_go(b):
    if b.version != (3, 12):
        raise Skip("the format is one, and go needs 20 s")
    go_pprof(b)
    directory = b.fresh()
    b.run(WORK + "import threading\nt = threading.Thread(target=lambda: busy(0.2), name='helper')\nt.start(); t.join()\n", cwd=directory,
          SPPROF_OUT="p.pb.gz")
    path = os.path.join(directory, "p.pb.gz")
    q = Pprof(path)
    raw = ask_go(b, path, "-raw")
    shown = [int(m.group(1)) for m in re.finditer(r"^ +\d+ +(\d+): ", raw, re.M)]
    assert sorted(shown) == sorted(s.values["cpu"] for s in q.samples), (shown, raw)
    ms = r"([\d.]+)(ms|s)\b"
    top = ask_go(b, path, "-top", "-nodefraction=0")
    rows = {m.group(3): float(m.group(1)) * (1 if m.group(2) == "ms" else 1000)
            for m in re.finditer(rf"^ +{ms} +[\d.]+% +[\d.]+% +[\d.]+(?:ms|s|us|ns)? +[\d.]+% +(.*)$", top, re.M)}
    own = collections.Counter()
    for stack, ns in q.stacks().items():
        own[stack[-1]] += ns
    assert abs(rows["busy"] - own["busy"] / 1e6) <= 0.01, (rows, own, top)
    names = {line.split()[-1] for line in ask_go(b, path, "-top", "-cum", "-nodefraction=0").splitlines() if "%" in line}
    assert "work" in names and any(n.endswith(".py") for n in names), names  # <module> and its file stay
    assert "<module>" in top and "<lambda>" in top, top
    assert re.search(r"busy .*\.py:\d+", ask_go(b, path, "-lines", "-top")), "no lines"
    tags = ask_go(b, path, "-tags")
    assert re.search(r"MainThread", tags) and re.search(r"helper", tags) and "thread_id" in tags and "pid" in tags, tags
    focused = ask_go(b, path, "-tagfocus=thread=helper", "-top", "-nodefraction=0")
    assert "busy" in focused and " work" not in focused, focused


@case
def tasks_are_labels(b):
    if b.version < (3, 14):
        raise Skip("tasks are told from 3.14 on")
    r = b.run("import asyncio\n" + WORK.replace("work()\n", "") + "async def main(): work()\nasyncio.run(main())\n", SPPROF_TASKS=1,
              SPPROF_OUT="p.pprof")
    q = Pprof(os.path.join(r.directory, "p.pprof"))
    assert any(s.labels.get("task") == "Task-1" and s.stack[0].name == "task Task-1" for s in q.samples), q.samples
    assert all(("task" in s.labels) == (s.stack[0].name == "task Task-1") for s in q.samples)


@case
def chosen(b):
    """By the suffix, by SPPROF_FORMAT whatever the suffix; an unknown one is Speedscope's, and said."""
    def made(**env):
        r = b.run(WORK, SPPROF_TEST_WORK="0.02", **env)
        (name,) = os.listdir(r.directory)
        with open(os.path.join(r.directory, name), "rb") as f:
            return name, f.read(), r.err

    name, data, err = made(SPPROF_FORMAT="pprof")
    assert re.fullmatch(r"spprof-\d+\.pb\.gz", name) and data[:4] == b"\x1f\x8b\x08\x10" and err == "", (name, data[:20], err)
    name, data, err = made(SPPROF_FORMAT="Collapsed", SPPROF_OUT="p.json")
    assert name == "p.json" and data.startswith(b"# spprof ") and err == "", (data[:20], err)
    name, data, err = made(SPPROF_OUT="p.profile")
    assert name == "p.profile" and data.startswith(b'{"$schema"') and err.count("\n") == 1, (data[:20], err)
    assert "p.profile has a suffix of no format; it is written as Speedscope's" in err and " .pb.gz " in err, err
    for out in ("profile", "p.%e", "p.%p"):
        name, data, err = made(SPPROF_OUT=out)
        assert data.startswith(b'{"$schema"') and err == "", (out, err)
    name, data, err = made(SPPROF_FORMAT="speedscope", SPPROF_OUT="p.profile")
    assert data.startswith(b'{"$schema"') and err == "", err
    name, data, err = made(SPPROF_FORMAT="perfetto")
    assert "SPPROF_FORMAT=perfetto cannot be used; accepted: auto, speedscope, pprof, chrome, html, collapsed" in err, err
    for out, begin in (("p.json.gz", b'{"$schema"'), ("p.collapsed.gz", b"# spprof ")):
        name, data, err = made(SPPROF_OUT=out)
        assert name == out and gzip.decompress(data).startswith(begin) and err == "", (out, err)
        assert data.count(b"\x1f\x8b\x08\x10") == 1


@case
def gzip_is_replaced(b):
    """An earlier profile in a gzip frame goes, whatever else is in one stays; children get their pid before both suffixes."""
    directory = b.fresh()
    for _ in range(2):
        r = b.run(WORK, cwd=directory, SPPROF_OUT="p.json.gz", SPPROF_TEST_WORK="0.02")
        assert r.err == "" and os.listdir(directory) == ["p.json.gz"], (r.err, os.listdir(directory))
    with gzip.open(os.path.join(directory, "p.json.gz"), "w") as f:
        f.write(b"mine")
    r = b.run(WORK, cwd=directory, SPPROF_OUT="p.json.gz", SPPROF_TEST_WORK="0.02")
    assert "it stays" in r.err and sorted(os.listdir(directory)) == ["p-2.json.gz", "p.json.gz"], r.err
    r = b.run("import os\nif os.fork() == 0:\n    sum(range(10**7)); os._exit(0)\nos.wait()\n", SPPROF_OUT="p.pb.gz")
    names = sorted(os.listdir(r.directory))
    assert re.fullmatch(r"p\.\d+\.pb\.gz p\.pb\.gz", " ".join(names)), names


if __name__ == "__main__":
    sys.exit(main())
