# SPDX-License-Identifier: MIT
"""Many files of one run."""
import json
import os
import random
import resource
import subprocess
import tempfile

from cost import ROOT, check

FILES, BYTES = 200, 100_000


def profile(path, chance, pid):
    """A file of ours of about so many bytes: a tree of calls, and a walk through it."""
    functions = [{"name": f"module{i % 12}.function{i}", "file": f"/srv/shop/module{i % 12}.py", "line": i + 1} for i in range(300)]
    stacks = [[0]]
    for i in range(1, 300):
        stacks.append(stacks[chance.randrange(max(0, i - 40), i)][:30] + [i])
    samples = []
    while len(samples) < 1200:
        samples.append(chance.choice(stacks))
    weights = [chance.randrange(10**7, 2 * 10**7) for _ in samples]
    used = sum(weights)
    block = {"version": "0", "layout": 1, "pid": pid, "ppid": 1, "host": "h", "started": "2026-11-23T08:13:00.000Z", "wall_ns": used,
             "argv": ["python", "app.py"], "python": "3.12.1", "build": "shared", "engine": "cpu", "interval_ns": 10**7,
             "cpu": {"used": used, "python": used}, "samples": len(samples), "complete": True, "prompt": 1.0, "losses": {},
             "threads": [{"profile": 0, "name": "MainThread", "tid": pid, "cpu": used, "samples": len(samples)}]}
    with open(path, "w") as f:
        json.dump({"$schema": "https://www.speedscope.app/file-format-schema.json", "exporter": "spprof@0", "name": "app.py", "shared": {"frames": functions},
                   "profiles": [{"type": "sampled", "name": "MainThread", "unit": "nanoseconds", "startValue": 0, "endValue": used, "samples": samples,
                                 "weights": weights}], "spprof": block}, f, separators=(",", ":"))


def cpu_of(*args):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([os.path.join(ROOT, "build", "spprof"), *args], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def many(*args):
    with tempfile.TemporaryDirectory() as d:
        chance = random.Random(1)
        for i in range(FILES):
            profile(f"{d}/p.{i}.json", chance, 1000 + i)
        sizes = [os.path.getsize(f"{d}/{f}") for f in os.listdir(d)]
        assert BYTES * 0.7 < sum(sizes) / FILES < BYTES * 1.5, sum(sizes) / FILES
        return min(cpu_of(*(a.replace("DIRECTORY", d) for a in args)) for _ in range(3))


@check(1.0, "s of CPU for 200 files of 100 KB")
def merge():
    return many("merge", "DIRECTORY", "-o", "DIRECTORY/all.pb.gz")


@check(1.0, "s of CPU for 200 files of 100 KB")
def report():
    return many("report", "DIRECTORY")
