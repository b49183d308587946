#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What viewers and parsers make of our files: the official schema, strict and lenient JSON parsers, the real
Speedscope importer. usage: check.py UNIT_WRITER GOLDEN LIBRARY PYTHON...

Needs node with the locked packages beside this file (npm ci) and orjson and jsonschema in the running Python.
"""
import collections
import json
import os
import subprocess
import sys
import tempfile

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "support"))
from pprof import Pprof  # noqa: E402
from sp import BUSY, Bench, Profile  # noqa: E402

try:
    import jsonschema
    import orjson
except ImportError as e:
    print("skipped:", e)
    sys.exit(77)
if not os.path.isdir(os.path.join(here, "node_modules", "speedscope")):
    print("skipped: no node_modules; run npm ci in tests/viewer")
    sys.exit(77)

writer, golden, library, *pythons = [os.path.abspath(a) for a in sys.argv[1:]]
tmp = tempfile.mkdtemp(prefix="spprof-viewer-")
subprocess.run([writer], check=True, env=dict(os.environ, SPPROF_TEST_WRITE=tmp, SPPROF_TEST_GOLDEN=golden),
               stdout=subprocess.DEVNULL)
written = [os.path.join(tmp, f) for f in sorted(os.listdir(tmp)) if f.split(".")[0] not in ("first", "second", "x")]
files = [f for f in written if f.endswith(".json")]
collapsed = [f for f in written if f.endswith(".collapsed")]
pprofs = [f for f in written if f.endswith(".pb.gz")]
traces = [f for f in written if f.endswith(".trace.json")]
files = [f for f in files if f not in traces]
assert collapsed and pprofs and traces
for number, python in enumerate(pythons):
    b = Bench(python, library, tmp)
    p = b.run(BUSY + "import threading\ndef hot(): busy(.15)\ndef warm(): hot(); busy(0.05)\n"
              "t = threading.Thread(target=warm, name='w\\u00f6rker </script>'); t.start(); warm(); t.join()\n",
              SPPROF_WALL=number % 2).profile()
    files.append(os.path.join(tmp, f"{number}-{os.path.basename(python)}.speedscope.json"))
    os.rename(p.path, files[-1])
    p = b.run("import sys, threading, time\nsys.setrecursionlimit(10**6)\nthreading.stack_size(2**28)\n"
              "def dive(n):\n if n: return dive(n-1)\n e=time.thread_time()+.1\n while time.thread_time()<e: pass\n"
              "t=threading.Thread(target=dive, args=(3500,)); t.start(); t.join()").profile()
    files.append(os.path.join(tmp, f"{number}-{os.path.basename(python)}-deep.json"))
    os.rename(p.path, files[-1])
    b.close()

with open(os.path.join(here, "node_modules/speedscope/dist/release/file-format-schema.json"), "rb") as f:
    validator = jsonschema.Draft7Validator(json.load(f))


def as_shown(ns):
    """Speedscope's own formatting of a time (src/lib/value-formatters.ts)."""
    for unit, name in ((1e9, "s"), (1e6, "ms"), (1e3, "\u00b5s")):
        if ns / unit >= 1:
            return f"{ns / unit:.2f}{name}" if not (unit == 1e9 and ns / 1e9 >= 60) else None
    return f"{ns:.2f}ns"


problems = []
for path in files:
    name, size = os.path.basename(path), os.path.getsize(path)
    with open(path, "rb") as f:
        raw = f.read()
    data = orjson.loads(raw)
    if data != json.loads(raw):
        problems.append(f"{name}: parsers disagree")
    if size < 1_000_000:
        for e in list(validator.iter_errors(data))[:3]:
            problems.append(f"{name}: schema: {e.message[:200]}")
    assert None not in data.values() and data["exporter"].startswith("spprof@")
    Profile(path)


def imported(paths):
    """What the importer made of each, some at a time: to start it costs more than a file does."""
    for i in range(0, len(paths), 8):
        r = subprocess.run(["node", os.path.join(here, "import.mjs"), *paths[i:i + 8]], capture_output=True, text=True)
        seen = {line["file"]: line for line in map(json.loads, r.stdout.splitlines())}
        for path in paths[i:i + 8]:
            yield path, seen.get(path, {"file": path, "ok": False, "message": r.stderr})


for path, seen in imported(files):
    name, data = os.path.basename(path), json.load(open(path))
    if not seen["ok"]:
        problems.append(f"{name}: not imported: {seen['message']}")
        continue
    if not seen["title"].startswith(data["name"][:20]):
        problems.append(f"{name}: title {seen['title']!r}")
    shown = {row[1]: row[2] for row in seen["profiles"]}
    for p in data["profiles"] if len(data["profiles"]) > 1 else []:
        want = as_shown(p["endValue"])
        if want and shown.get(p["name"]) != want:
            problems.append(f"{name}: {p['name']!r} is shown as {shown.get(p['name'])}, its total is {want}")
    sums = collections.Counter()
    first = data["profiles"][0]
    for stack, weight in zip(first["samples"], first["weights"]):
        sums[data["shared"]["frames"][stack[-1]]["name"]] += weight
    if sums:
        hottest, ns = sums.most_common(1)[0]
        ties = {n for n, w in sums.items() if w == ns}
        if not seen["top"] or seen["top"][0][2] not in ties:
            problems.append(f"{name}: hottest is {hottest}, shown {seen['top'][:1]}")
        elif as_shown(ns) and not seen["top"][0][1].startswith(as_shown(ns)):
            problems.append(f"{name}: {hottest} has {as_shown(ns)}, shown {seen['top'][0]}")
    print(f"ok   {name} ({os.path.getsize(path)} bytes): {len(data['profiles'])} profiles")
for path, seen in imported(collapsed):
    name, sums = os.path.basename(path), collections.Counter()
    with open(path, encoding="utf-8", newline="\n") as f:
        for line in f.read().split("\n")[1:-1]:
            stack, _, ns = line.rpartition(" ")
            sums[stack.split(";")[-1]] += int(ns)
    hottest, ns = sums.most_common(1)[0]
    share = f"{100 * ns / sums.total():.0f}%"
    if not seen["ok"]:
        problems.append(f"{name}: not imported: {seen['message']}")
    elif not any(row[1].startswith(f"{ns:,} (") and row[2] == hottest for row in seen["top"]):
        problems.append(f"{name}: {hottest} has {ns:,} ({share}), shown {seen['top'][:1]}")
    print(f"ok   {name} ({os.path.getsize(path)} bytes): {hottest[-20:]} {share}")
for path in pprofs:
    name, q, sums = os.path.basename(path), Pprof(path), collections.Counter()
    for s in q.samples:
        sums[s.stack[-1].name] += s.values["cpu"]
    r = subprocess.run(["node", os.path.join(here, "import.mjs"), path], capture_output=True, text=True)
    seen = json.loads(r.stdout.splitlines()[-1]) if r.stdout else {"ok": False, "message": r.stderr}
    hottest, ns = sums.most_common(1)[0]
    share = as_shown(ns)
    if not seen["ok"]:
        problems.append(f"{name}: not imported: {seen['message']}")
    elif share and not any(row[1].startswith(f"{share} ({100 * ns / q.total():.0f}") and row[2] == hottest for row in seen["top"]):
        problems.append(f"{name}: {hottest} has {share} of {q.total()}, shown {seen['top'][:1]}")
    print(f"ok   {name} ({os.path.getsize(path)} bytes): {hottest[-20:]} {share}")
for path in traces:
    name, ends = os.path.basename(path), {}
    for e in json.load(open(path, encoding="utf-8")):
        ends[e["tid"]] = e.get("ts", ends.get(e["tid"], 0))
    r = subprocess.run(["node", os.path.join(here, "import.mjs"), path], capture_output=True, text=True)
    seen = json.loads(r.stdout.splitlines()[-1]) if r.stdout else {"ok": False, "message": r.stderr}
    shown = sorted(row[2] for row in seen.get("profiles", []))
    want = sorted(as_shown(1000 * us) for us in ends.values() if us)
    if not seen["ok"] or (len(want) > 1 and shown != want):
        problems.append(f"{name}: shown {shown}, threads have {want}: {seen}")
    print(f"ok   {name} ({os.path.getsize(path)} bytes): {len(want)} threads")
# a mangled name that stands alone is shown as its source has it
text = json.load(open(os.path.join(golden, "speedscope.json")))
for frame in text["shared"]["frames"]:
    frame["name"] = "_ZN5outer4burnIiEEvT_"
path = os.path.join(tmp, "mangled.json")
with open(path, "w") as f:
    json.dump(text, f)
for path, seen in imported([path]):
    if "outer::burn<int>" not in json.dumps(seen):
        problems.append(f"a mangled name is shown as it is: {seen}")
for p in problems:
    print("FAIL", p)
print(f"{len(files) + len(collapsed) + len(pprofs) + len(traces)} files, {len(problems)} problems")
sys.exit(1 if problems else 0)
