#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""spprof convert, merge, diff, and report of a directory: what goes in comes out, to the nanosecond."""
import collections
import gzip
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from formats import THREADS, collapsed, left_by_a_kill  # noqa: E402
from page import Page  # noqa: E402
from pprof import Pprof  # noqa: E402
from sp import CASES, Profile, case, main  # noqa: E402

CASES.clear()
SEEN = ("python", "startup", "thread_end", "blocked", "unwalkable", "native_thread", "not_sampled")


def spprof(b, *args, status=0):
    r = subprocess.run([os.path.join(b.build, "spprof"), *args], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert r.returncode == status, (args, r)
    return r


def made(path, stacks, samples=1000, pid=1, argv=("python", "app.py"), start=0, thread="MainThread"):
    """A Speedscope file of ours with these stacks: names joined by ';' -> ns."""
    frames, used = {}, sum(stacks.values())
    for stack in stacks:
        for name in stack.split(";"):
            frames.setdefault(name, len(frames))
    block = {"version": "0.1.0", "layout": 1, "pid": pid, "ppid": 1, "host": "h", "started": f"2026-11-23T08:13:{start:02}.000Z", "wall_ns": used,
             "argv": argv, "python": "3.12.1", "build": "shared", "engine": "cpu", "interval_ns": 10**7, "cpu": {"used": used, "python": used},
             "samples": samples, "complete": True, "prompt": 1.0, "losses": {}, "threads": [{"profile": 0, "name": thread, "tid": pid, "cpu": used, "samples": samples}]}
    with open(path, "w") as f:
        json.dump({"$schema": "https://www.speedscope.app/file-format-schema.json", "exporter": "spprof@0.1.0", "name": "x", "activeProfileIndex": 0,
                   "shared": {"frames": [{"name": n, "file": "/srv/shop/app.py", "line": i + 1} for n, i in frames.items()]},
                   "profiles": [{"type": "sampled", "name": f"{thread} (tid {pid})", "unit": "nanoseconds", "startValue": 0, "endValue": used,
                                 "samples": [[frames[n] for n in s.split(";")] for s in stacks], "weights": list(stacks.values())}],
                   "spprof": block}, f, separators=(",", ":"))
    return path


def trace_stacks(path):
    """Chrome's events: (thread, stack) -> ns, every end with its name."""
    with open(path, encoding="utf-8") as f:
        events = json.load(f)
    names, open_, at, sums = {}, collections.defaultdict(list), collections.defaultdict(int), collections.Counter()
    for e in events:
        if e["ph"] == "M" and e["name"] == "thread_name":
            names[e["tid"]] = e["args"]["name"]
        if e["ph"] == "M":
            continue
        now, stack = round(e["ts"] * 1000), open_[e["tid"]]
        assert now >= at[e["tid"]] and "args" not in e, e
        if now > at[e["tid"]]:
            sums[(names[e["tid"]], tuple(stack))] += now - at[e["tid"]]
            at[e["tid"]] = now
        name = "<module>" if e["name"].startswith("<module> ") else e["name"]
        if e["ph"] == "B":
            stack.append(name)
        else:
            assert stack.pop() == name, e
    assert not any(open_.values()), open_
    return sums


@case
def from_all_to_all(b):
    """Speedscope and spool files to every format."""
    spool, directory = left_by_a_kill(b, SPPROF_INTERVAL="1ms"), b.fresh()
    out = {name: os.path.join(directory, name) for name in ("p.json", "p.json.gz", "p.txt", "p.pb.gz", "p.trace.json", "p.html")}
    for path in out.values():
        assert spprof(b, "convert", spool, "-o", path).stderr == ""
    p = Profile(out["p.json"])
    stacks = {t["name"]: p.stacks(t["profile"]) for t in p.block["threads"]}
    again = {}
    for source in ("p.json", "p.json.gz"):
        for name in out:
            again[name] = os.path.join(directory, "again-" + name)
            r = spprof(b, "convert", out[source], "-o", again[name])
            lacks = "first line" if name == "p.pb.gz" else "what each line cost" if name.startswith(("p.json", "p.html")) else ""
            assert (lacks in r.stderr and r.stderr.count("\n") == 1) if lacks else r.stderr == "", (name, r.stderr)
        for files in (out, again):
            q = Profile(files["p.json"])
            assert q.profiles == p.profiles and [f["name"] for f in q.frames] == [f["name"] for f in p.frames], files
            assert {**q.block, "lines": 0} == {**p.block, "lines": 0}, (q.block, p.block)
            with gzip.open(files["p.json.gz"]) as f, open(files["p.json"], "rb") as g:
                assert f.read() == g.read()
            assert sum(collapsed(files["p.txt"]).values()) == p.total()
            pb, trace, page = Pprof(files["p.pb.gz"]), trace_stacks(files["p.trace.json"]), Page(files["p.html"])
            assert pb.total() == p.total() == sum(trace.values()) == page.total(), (pb.total(), p.total(), sum(trace.values()), page.total())
            assert {**page.block, "lines": 0} == {**p.block, "lines": 0}, (page.block, p.block)
            for name, of in stacks.items():
                assert pb.stacks(name) == of == page.stacks(name), (name, pb.stacks(name), of, page.stacks(name))
                assert {s: ns for (t, s), ns in trace.items() if t == name} == dict(of), (name, trace, of)
    assert any(s.stack[-1].line > s.stack[-1].start_line for s in Pprof(out["p.pb.gz"]).samples)
    assert not any(line for line in Profile(again["p.json"]).block.get("lines", [])), "lines are made up"
    assert spprof(b, "report", out["p.json.gz"]).stdout == spprof(b, "report", out["p.json"]).stdout


@case
def light_stacks_of_a_page(b):
    """What makes it too large stands beside what is heavy, under a name of its own, and not in its caller's own time."""
    directory = b.fresh()
    stacks = {f"main;parent;{'light' * 9}{i}": 1000 + i % 7 for i in range(30000)}
    light = sum(stacks.values())
    stacks.update({"main": 10**12, "main;parent": 5, "main;parent;heavy": 10**11, "other": 10**10})
    source, out = made(os.path.join(directory, "a.json"), stacks), os.path.join(directory, "a.html")
    spprof(b, "convert", source, "-o", out)
    page = Page(out)
    shown = page.stacks()
    others = shown.pop(("main", "parent", "(others)"))
    assert page.total() == sum(stacks.values()) and os.path.getsize(out) < 2 * 10**6, (page.total(), os.path.getsize(out))
    assert others == page.block["bounded"]["folded_ns"] and light / 2 < others <= light, (others, light, page.block["bounded"])
    assert all(stacks[";".join(s)] == ns for s, ns in shown.items()), [s for s, ns in shown.items() if stacks[";".join(s)] != ns][:3]
    assert len(shown) >= 4 and ("main", "parent") in shown, len(shown)


@case
def from_a_process(b):
    directory = b.fresh()
    path = b.write(THREADS + "print('on', flush=True)\nsys = __import__('sys'); sys.stdin.read()\n")
    with subprocess.Popen([b.python, path], cwd=directory, env=b.env(SPPROF_SPOOL=directory, SPPROF_OUT="end.json"), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        out = os.path.join(directory, "now.pprof")
        spprof(b, "convert", str(child.pid), "-o", out)
        child.stdin.close()
    q = Pprof(out)
    assert any("outer" in stack for stack in q.stacks("MainThread")) and {s.labels["pid"] for s in q.samples} == {child.pid}, q.stacks()


@case
def conversions_refused(b):
    directory = b.fresh()
    good = made(os.path.join(directory, "a.json"), {"main;f": 10**9})
    out = os.path.join(directory, "out.pb.gz")
    assert "--format svg: cannot be used; accepted: speedscope, pprof" in spprof(b, "convert", good, "-o", out, "--format", "svg", status=2).stderr
    assert "-o: is wanted" in spprof(b, "convert", good, status=2).stderr
    assert "usage" in spprof(b, "convert", "-o", out, status=2).stderr
    spprof(b, "convert", good, "-o", out)
    assert "Speedscope" in spprof(b, "convert", out, "-o", os.path.join(directory, "again.pb.gz"), status=1).stderr
    assert "suffix of no format" in spprof(b, "convert", good, "-o", os.path.join(directory, "x.svg")).stderr
    spprof(b, "convert", made(good, {"main;g": 5}), "-o", out)  # an older one is replaced
    assert Pprof(out).total() == 5
    mine = os.path.join(directory, "mine.txt")
    with open(mine, "w") as f:
        f.write("mine")
    assert "it exists" in spprof(b, "convert", good, "-o", mine, status=1).stderr and open(mine).read() == "mine"
    framed, cut = os.path.join(directory, "d.json.gz"), os.path.join(directory, "cut.json.gz")
    spprof(b, "convert", good, "-o", framed)
    with open(framed, "rb") as f:
        data = f.read()
    for n in (3, 17, 30, len(data) // 2, len(data) - 14, len(data) - 3):
        with open(cut, "wb") as f:
            f.write(data[:n])
        assert spprof(b, "report", cut, status=1).stderr.count("\n") == 1, n
    with open(cut, "wb") as f:
        f.write(data.replace(b"app.py", b"App.py"))
    assert "damaged" in spprof(b, "report", cut, status=1).stderr
    assert "no profile" in spprof(b, "merge", b.fresh(), "-o", out, status=1).stderr


@case
def onto_itself(b):
    """What is read is not written over: the new file lacks what a region has no place for."""
    directory = b.fresh()
    path = os.path.join(directory, "a.json")
    made(path, {"main;f": 10**9})
    made(os.path.join(directory, "b.json"), {"main;f": 10**9}, pid=2)
    os.link(path, os.path.join(directory, "hard.json"))
    os.symlink("a.json", os.path.join(directory, "soft.json"))
    with open(path, "rb") as f:
        before = f.read()
    for name in (path, os.path.join(directory, "hard.json"), os.path.join(directory, "soft.json"), os.path.join(directory, ".", "a.json")):
        for args in (["convert", path], ["merge", path, os.path.join(directory, "b.json")], ["merge", directory], ["merge", os.path.join(directory, "[ab].json")]):
            r = spprof(b, *args, "-o", name, status=2)
            assert "is read" in r.stderr and not r.stdout, r
            with open(path, "rb") as f:
                assert f.read() == before, name
    assert sorted(os.listdir(directory)) == ["a.json", "b.json", "hard.json", "soft.json"]
    spprof(b, "merge", directory, "-o", os.path.join(directory, "all.json"))
    assert "is read" in spprof(b, "merge", directory, "-o", os.path.join(directory, "all.json"), status=2).stderr  # not counted twice


MANY = THREADS + """
import os, sys
for i in range(3):
    if os.fork() == 0:
        busy(0.05 * (i + 1))
        sys.exit()
    os.wait()
"""


@case
def processes_together(b):
    """Each under its own name, or summed; the parts are those of the files, in every format."""
    directory, out = b.fresh(), b.fresh()
    b.run(MANY, cwd=directory, SPPROF_OUT="p.json")
    parts = [Profile(os.path.join(directory, f)) for f in sorted(os.listdir(directory))]
    assert len(parts) == 4, os.listdir(directory)
    merged = os.path.join(out, "all.json")
    assert "first line" not in spprof(b, "merge", directory, "-o", merged).stderr
    m = Profile(merged)
    assert m.total() == sum(p.total() for p in parts) and m.block["samples"] == sum(p.block["samples"] for p in parts)
    roots = collections.Counter()
    for stack, ns in m.stacks().items():
        roots[stack[0]] += ns
    for p in parts:
        script = os.path.basename(p.block["argv"][-1]) + (" worker" if p.block["ppid"] in {q.block["pid"] for q in parts} else "")
        seen = p.total() - p.block["cpu"]["thread_start_end"]
        assert roots.pop(f"{script} [{p.block['pid']}]") == seen, (roots, p.block)
    assert set(roots) <= {"(thread start/end)"}, roots
    one = collections.Counter()
    for p in parts:
        one.update(p.stacks())
    for pattern in (directory, os.path.join(directory, "*.json")):
        spprof(b, "merge", "--sum", pattern, "-o", merged)
        assert Profile(merged).stacks() == one, (Profile(merged).stacks(), one)
    assert [p["name"].split(" (")[0] for p in Profile(merged).profiles[1:]][0] == "MainThread" and len(Profile(merged).profiles) == 3
    spprof(b, "merge", directory, "-o", os.path.join(out, "all.pprof"))
    q = Pprof(os.path.join(out, "all.pprof"))
    by_pid = collections.Counter()
    for s in q.samples:
        by_pid[s.labels.get("pid")] += s.values["cpu"]
    assert q.total() == m.total() and {p.block["pid"] for p in parts} == set(by_pid) - {None}, by_pid
    for args in ([directory], [os.path.join(directory, "*.json")], [p.path for p in parts]):  # convert makes the same of several, and of one of one
        spprof(b, "convert", *args, "-o", os.path.join(out, "same.json"))
        assert Profile(os.path.join(out, "same.json")).stacks() == m.stacks(), args
    os.rename(parts[0].path, os.path.join(out, "alone.json"))
    os.mkdir(os.path.join(out, "one"))
    os.symlink(os.path.join(out, "alone.json"), os.path.join(out, "one", "p.json"))
    spprof(b, "convert", os.path.join(out, "one"), "-o", os.path.join(out, "same.json"))
    assert Profile(os.path.join(out, "same.json")).stacks() == parts[0].stacks()
    os.rename(os.path.join(out, "alone.json"), parts[0].path)
    together = spprof(b, "report", directory)
    assert together.stdout == spprof(b, "report", *(p.path for p in parts)).stdout and "Profiles:  4" in together.stdout
    head = spprof(b, "report", merged).stdout
    assert "(4 processes)" in head and "pid 0" not in head, head


@case
def native_threads_stay_native(b):
    """A thread of a library, told by symbols or by source lines, is no Python thread when some of a file is left out."""
    for has_source in (False, True):
        path = made(os.path.join(b.fresh(), "a.json"), {"main;work": 10**9, "start;burn": 5 * 10**8})
        p = json.load(open(path))
        for i, f in enumerate(p["shared"]["frames"]):
            if f["name"] in ("start", "burn"):
                f["name"] += " [libburn.so]"
                f.update(file="/srv/burn.c") if has_source else (f.update(file="/srv/libburn.so"), f.pop("line"))
        p["spprof"].update(cpu={"used": 15 * 10**8, "python": 10**9, "native_thread": 5 * 10**8}, modules=[{"path": "/srv/libburn.so", "build_id": "00"}],
                           native=[[i, 0, 16 * i] for i, f in enumerate(p["shared"]["frames"]) if "libburn" in f["name"]])
        with open(path, "w") as f:
            json.dump(p, f, separators=(",", ":"))
        line = "Not in Python stacks: (native thread) 500.0ms\n"
        for more in ([], ["--focus", "."], ["--thread", "."], ["--ignore", "nobody"], ["--to", "9"]):
            assert line in spprof(b, "report", *more, path).stdout, (more, spprof(b, "report", *more, path).stdout)
        assert line in spprof(b, "report", "--focus", "burn", path).stdout and line not in spprof(b, "report", "--ignore", "burn", path).stdout
        out = path + ".out.json"
        spprof(b, "convert", "--focus", ".", path, "-o", out)
        assert Profile(out).block["cpu"]["native_thread"] == 5 * 10**8 and line in spprof(b, "report", out).stdout


@case
def differences(b):
    """A slowdown in one function is named first; what is chance is not."""
    directory = b.fresh()
    before = {"main;parse": 40 * 10**7, "main;render": 35 * 10**7, "main;log": 24 * 10**7, "main;rare": 10**7}
    a = made(os.path.join(directory, "a.json"), before, 500)
    after = dict(before, **{"main;render": 85 * 10**7, "main;log": 25 * 10**7})
    c = made(os.path.join(directory, "c.json"), after, 800)
    r = spprof(b, "diff", a, c)
    rows = [(line[0], line.split()[-2], line[1:].split()[2]) for line in r.stdout.split("\n\n")[1].splitlines()[1:-1]]
    assert rows[:3] == [(" ", "render", "+21.3"), (" ", "parse", "-13.5"), (" ", "log", "-7.4")], r.stdout
    assert [row[:2] for row in rows[3:]] == [("~", "rare"), ("~", "main")], r.stdout
    assert "rose by 21.3 points" in spprof(b, "diff", "--fail-above", "5%", a, c, status=1).stderr
    assert spprof(b, "diff", "--fail-above", "25", a, c).stderr == ""
    assert spprof(b, "diff", "--fail-above", "5", c, a, status=1).stderr.count("rose") == 2
    assert "parse" in spprof(b, "diff", "--fail-above", "10%", c, a, status=1).stderr
    few = made(os.path.join(directory, "few.json"), dict(before, **{"main;log": 26 * 10**7}), 20)
    r = spprof(b, "diff", a, few, "--fail-above", "0%")
    assert all(line.startswith("~") for line in r.stdout.split("\n\n")[1].splitlines()[1:-1]), r.stdout
    r = spprof(b, "diff", "--per", "log", a, c)
    assert re.search(r"^ +145\.8 +340\.0 +\+194\.2 .* render ", r.stdout, re.M), r.stdout
    assert "is no function of the first" in spprof(b, "diff", "--per", "nobody", a, c, status=2).stderr
    assert "usage" in spprof(b, "diff", a, status=2).stderr
    assert "is no share" in spprof(b, "diff", a, c, "--fail-above", "x", status=2).stderr
    several = b.fresh()
    made(os.path.join(several, "1.json"), before, 500, pid=1)
    made(os.path.join(several, "2.json"), before, 500, pid=2)
    r = spprof(b, "diff", a, several, "--fail-above", "0%")
    assert "of 2 processes" in r.stdout and "+0.0" in r.stdout, r.stdout


@case
def differences_in_a_page(b):
    """Beside the table, or alone on standard output: both profiles are in it, to the nanosecond."""
    directory = b.fresh()
    a = made(os.path.join(directory, "a.json"), {"main;parse": 40 * 10**7, "main;gone": 10**7}, 500)
    c = made(os.path.join(directory, "c.json"), {"main;new": 10**7, "main;parse": 70 * 10**7 + 1}, 800)
    page, table = os.path.join(directory, "d.html"), spprof(b, "diff", a, c).stdout
    assert spprof(b, "diff", a, c, "-o", page).stdout == table
    p = Page(page)
    assert p.stacks("A") == {("main", "parse"): 40 * 10**7, ("main", "gone"): 10**7} and p.stacks("B") == {("main", "parse"): 70 * 10**7 + 1, ("main", "new"): 10**7}
    assert [(s["name"], s["used"], s["whole"], s["samples"], s["files"]) for s in p.data["compared"]["of"]] == [(a, 41 * 10**7, 41 * 10**7, 500, 1), (c, 71 * 10**7 + 1, 71 * 10**7 + 1, 800, 1)]
    assert len(p.text) - len(re.search('json">([^<]*)<', p.text)[1]) <= 30000
    assert spprof(b, "diff", a, c, "--html", "-").stdout == p.text
    spprof(b, "diff", a, c, "--per", "parse", "--html", page + ".gz", "--fail-above", "0%", status=1)
    q = Page(page + ".gz").data["compared"]
    assert q["per"] == "parse" and [(s["whole"], s["samples"]) for s in q["of"]] == [(40 * 10**7, 488), (70 * 10**7 + 1, 789)], q
    before = open(a).read()
    for name, why in ((os.path.join(directory, "d.json"), "is no name for a page"), (os.path.join(directory, "gone", "d.html"), "No such file")):
        r = spprof(b, "diff", a, c, "-o", name, status=2)
        assert why in r.stderr and not os.path.exists(name), r
    shared = made(os.path.join(directory, "is_json.html"), {"main": 10**7})
    assert "is read" in spprof(b, "diff", a, shared, "-o", shared, status=2).stderr and open(a).read() == before
    with open(os.path.join(directory, "mine.html"), "w") as f:
        f.write("<html>mine</html>")
    assert "stays" in spprof(b, "diff", a, c, "-o", f.name, status=2).stderr and open(f.name).read() == "<html>mine</html>"


@case
def differences_of_real_programs(b):
    """Threads, what no thread has, native frames: each side of the page is what its profile used."""
    files = [b.run(THREADS, SPPROF_NATIVE="on", SPPROF_WALL=i).profile().path for i in range(2)]
    page = os.path.join(b.fresh(), "d.html")
    spprof(b, "diff", *files, "-o", page)
    p = Page(page)
    assert [sum(p.stacks(side).values()) for side in "AB"] == [s["used"] for s in p.data["compared"]["of"]] == [Profile(f).total() for f in files]
    assert len(p.data["sets"]) == 1 and p.total() == sum(Profile(f).total() for f in files)


if __name__ == "__main__":
    sys.exit(main())
