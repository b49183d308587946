#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Pages (writers/html/) in a real Chromium, of what the library and the command write. usage: page.py UNIT_WRITER GOLDEN LIBRARY
BUILD PYTHON. Needs node and chromium (Debian's packages)."""
import collections
import json
import os
import shutil
import subprocess
import sys
import tempfile

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "support"))
sys.path.insert(0, os.path.join(here, "..", "e2e"))
from convert import made  # noqa: E402
from page import Page  # noqa: E402
from sp import BUSY, Bench  # noqa: E402

PROGRAM = BUSY + """
import threading, time
def hottest(): busy(.15)
def warmest(): hottest(); busy(.05); time.sleep(.1)
t = threading.Thread(target=warmest, name='worker'); t.start(); warmest(); t.join()
"""
DEEP = """
import sys, threading, time
sys.setrecursionlimit(10**6)
threading.stack_size(2**28)
def dive(n):
    if n: return dive(n - 1)
    end = time.thread_time() + .5
    while time.thread_time() < end: pass
t = threading.Thread(target=dive, args=(3500,)); t.start(); t.join()
"""
MERGED = BUSY + "import os\nfor i in range(2):\n    if not os.fork():\n        busy(.1 * (i + 1)); os._exit(0)\n    os.wait()\nbusy(.1)\n"
HOSTILE = ["</script><script>window.hostile=1</script>", "<img src=x onerror=window.hostile=2>", "'\"`&amp;\\", "<!--<script>", "\u202egnp.exe",
           "a\u0001b\u200bc", "__proto__", "constructor", "${window.hostile=3}", "]]>"]


def expected(page):
    """Of each set: the sums that are to be read off the page."""
    for s in page.data["sets"]:
        n = len(s["nodes"]) // 2 + 1
        parent, function, own = [0] * n, [0] * n, [0] * n
        for i in range(1, n):
            parent[i], function[i] = i - s["nodes"][2 * i - 2], s["nodes"][2 * i - 1]
        for p in s["profiles"]:
            for node, ns in zip(p["entries"][::2], p["entries"][1::2]):
                own[node] += ns
        self, total, search = collections.Counter(), collections.Counter(), collections.Counter()
        names = [f[0] for f in page.data["functions"]]
        for i in filter(own.__getitem__, range(n)):
            path, at = set(), i
            while at:
                path.add(function[at])
                at = parent[at]
            self[function[i]] += own[i]
            total.update(dict.fromkeys(path, own[i]))
            named = {names[f] for f in path}
            search["hottest"] += own[i] * ("hottest" in named)
            search["/^(hottest|warmest)$/"] += own[i] * bool({"hottest", "warmest"} & named)
        yield {"total": sum(own), "profiles": [sum(p["entries"][1::2]) for p in s["profiles"]], "self": self, "totals": total,
               "search": {q: f"{100 * ns / max(sum(own), 1):.1f}" for q, ns in search.items()}}


def hostile(path):
    """A profile whose every name wants to be more than a name."""
    frames = [{"name": n, "file": n + ".py", "line": 1} for n in HOSTILE]
    ns = 10**7 * len(HOSTILE)
    block = {"version": "0.1.0", "pid": 7, "argv": ["python", *HOSTILE], "python": "3.12.1", "build": HOSTILE[0], "engine": "cpu", "interval_ns": 10**7,
             "host": HOSTILE[1], "started": "2026-11-23T08:13:00.000Z", "wall_ns": ns, "cpu": {"used": ns, "python": ns}, "samples": 10, "complete": True,
             "prompt": 1.0, "losses": {"overflow": 1200, "unwalkable": {"no_frame": 1}}, "threads": [{"profile": 0, "name": HOSTILE[0], "tid": 7, "cpu": ns, "samples": 10}]}
    with open(path, "w") as f:
        json.dump({"$schema": "https://www.speedscope.app/file-format-schema.json", "exporter": "spprof@0.1.0", "name": HOSTILE[0], "activeProfileIndex": 0,
                   "shared": {"frames": frames},
                   "profiles": [{"type": "sampled", "name": HOSTILE[0], "unit": "nanoseconds", "startValue": 0, "endValue": ns,
                                 "samples": [list(range(i + 1)) for i in range(len(HOSTILE))], "weights": [10**7] * len(HOSTILE)}], "spprof": block}, f,
                  separators=(",", ":"))


def compared(tmp, command):
    """The page of two profiles, the first of them in two files; what it is to hold, by hand; and what the command says of them."""
    ms = 10**6
    a = {"main;parse": 400 * ms, "main;render": 300 * ms, "main;gone;parse": 220 * ms, "main;log": 80 * ms, "main;walk;walk": 100 * ms}
    b = {"main;log": 90 * ms, "main;render": 900 * ms, "main;parse": 410 * ms, "main;new": 200 * ms, "main;walk;walk": 110 * ms, "</script>;${x}": 7 * ms}
    folder, after, page = (os.path.join(tmp, name) for name in ("before", "after.json", "compared.html"))
    os.mkdir(folder)
    made(os.path.join(folder, "1.json"), {s: ns // 4 for s, ns in a.items()}, 300, pid=1)
    made(os.path.join(folder, "2.json"), {s: ns - ns // 4 for s, ns in a.items()}, 700, pid=2)
    made(after, b, 1500)
    want = {"file": page, "of": [sum(a.values()), sum(b.values())], "functions": {}, "table": {}}
    for i, stacks in enumerate((a, b)):
        for stack, ns in stacks.items():
            names = stack.split(";")
            for name in set(names):
                costs = want["functions"].setdefault(name, {"self": [0, 0], "total": [0, 0]})
                costs["total"][i] += ns
                costs["self"][i] += ns * (name == names[-1])
    table = subprocess.run([command, "diff", "-n", "0", "--html", page, folder, after], check=True, capture_output=True, text=True).stdout
    for line in table.split("\n\n")[1].splitlines()[1:-1]:
        own_a, own_b, change, noise, total = line[1:].replace("~", " ").split()[:5]
        want["table"][line.split()[-2]] = {"by": change, "noise": noise, "total": total, "is": line[0] == " "}
    assert want["table"].keys() == want["functions"].keys(), table
    return want


def main():
    writer, golden, library, build, python = [os.path.abspath(a) for a in sys.argv[1:6]]
    chromium = shutil.which("chromium")
    if not chromium or not shutil.which("node"):
        print("skip: no chromium (Debian: chromium)" if not chromium else "skip: no node (Debian: nodejs)")
        return 77
    tmp = tempfile.mkdtemp(prefix="spprof-page-")
    b = Bench(python, library, build)
    try:
        subprocess.run([writer], check=True, env=dict(os.environ, SPPROF_TEST_WRITE=tmp, SPPROF_TEST_GOLDEN=golden), stdout=subprocess.DEVNULL)
        command = [os.path.join(build, "spprof"), "convert", "-o"]
        files = {name: os.path.join(tmp, name + ".html") for name in ("golden", "every", "five-million", "deep-stacks", "program", "deep", "hostile", "merged")}
        b.run(PROGRAM, SPPROF_OUT=files["program"], SPPROF_WALL=1, SPPROF_NATIVE="on")
        b.run(DEEP, SPPROF_OUT=files["deep"])
        hostile(os.path.join(tmp, "hostile.json"))
        subprocess.run([*command, files["hostile"], os.path.join(tmp, "hostile.json")], check=True)
        r = b.run(MERGED)
        subprocess.run([command[0], "merge", "-o", files["merged"], r.directory], check=True, stderr=subprocess.DEVNULL)
        wanted = {name: {"file": path, "sets": list(expected(Page(path)))} for name, path in files.items()}
        for name, path in files.items():
            block = Page(path).block
            lost = {**block["losses"].get("unwalkable", {}), **block["losses"]}
            wanted[name]["said"] = {"python": block["python"], "samples": block["samples"], "argv": block["argv"],
                                    "losses": {what.replace("_", " "): n for what, n in lost.items() if isinstance(n, int) and n}}
        assert any(len(w["said"]["losses"]) > 1 for w in wanted.values()), [w["said"] for w in wanted.values()]
        wanted["hostile"]["names"] = [n.replace("\u202e", "\\u202e").replace("\u0001", "\\u0001").replace("\u200b", "\\u200b") for n in HOSTILE]
        roots = collections.Counter()
        for stack, ns in Page(files["merged"]).stacks().items():
            roots[stack[0]] += ns
        wanted["merged"]["roots"] = {name: ns for name, ns in roots.items() if name.endswith("]")}
        assert len(wanted["merged"]["roots"]) == 3, roots
        with open(os.path.join(tmp, "wanted.json"), "w") as f:
            json.dump({"pages": wanted, "compared": compared(tmp, command[0])}, f)
        return subprocess.run(["node", os.path.join(here, "page.mjs"), chromium, f.name]).returncode
    finally:
        b.close()
        shutil.rmtree(tmp)


if __name__ == "__main__":
    sys.exit(main())
