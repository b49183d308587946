#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What spprof ship sends, as a real OpenTelemetry Collector understands it, built from its modules: received, exported to a file, equal to
what was recorded; also when it is killed and started again. usage: collector.py PYTHON LIBRARY BUILD_DIR"""
import collections
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "support"))
import shipping  # noqa: E402
from pprof import Pprof  # noqa: E402
from receiver import free_port  # noqa: E402
from sp import SKIP, Bench  # noqa: E402

CONFIG = """
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
exporters: {{file: {{path: "{out}"}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{profiles: {{receivers: [otlp], exporters: [file]}}}}
"""


def skip(why):
    print(f"skip: {why}")
    sys.exit(SKIP)


def built(build):
    """The collector, if there is a Go that is new enough and its modules can be had."""
    go = "/usr/local/go/bin/go" if os.path.exists("/usr/local/go/bin/go") else shutil.which("go")
    with open(os.path.join(here, "go.mod"), encoding="utf-8") as f:
        wanted = re.search(r"^go (\S+)", f.read(), re.M).group(1)
    have = re.search(r"go(\d+(?:\.\d+)*)", subprocess.run([go, "version"], capture_output=True, text=True, check=True).stdout).group(1) if go else "0"
    if [int(n) for n in have.split(".")] < [int(n) for n in wanted.split(".")]:
        skip(f"the Collector wants Go {wanted}, and this machine has {have if go else 'none'}")
    out = os.path.join(build, "collector")
    r = subprocess.run([go, "build", "-o", out, "."], cwd=here, capture_output=True, text=True, env={**os.environ, "GOTOOLCHAIN": "local"})
    if r.returncode and re.search(r"dial tcp|no such host|Forbidden|not available|timeout", r.stderr):
        skip(f"the Collector's modules cannot be had: {r.stderr.splitlines()[-1]}")
    assert r.returncode == 0, r.stderr
    return out


class Collector:
    def __init__(self, program, directory, port):
        self.out = os.path.join(directory, "out.json")
        config = os.path.join(directory, "config.yaml")
        with open(config, "w", encoding="utf-8") as f:
            f.write(CONFIG.format(port=port, out=self.out))
        with open(os.path.join(directory, "log"), "ab") as log:
            self.process = subprocess.Popen([program, "--config", config, "--feature-gates=+service.profilesSupport"], stdout=log, stderr=log)
        for _ in range(600):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    return
            assert self.process.poll() is None, open(os.path.join(directory, "log"), encoding="utf-8").read()
            time.sleep(0.1)
        raise AssertionError("the Collector does not listen")

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait()

    def requests(self):
        with open(self.out, encoding="utf-8") as f:
            return [json.loads(line) for line in f]


def stacks(request):
    """Type -> (names of functions, the thread's) -> value, by what the Collector's file says."""
    tables, of = request["dictionary"], collections.defaultdict(collections.Counter)
    text = tables["stringTable"]
    names = [text[f.get("nameStrindex", 0)] for f in tables["functionTable"]]
    keys = {i: (text[a["keyStrindex"]], a["value"]) for i, a in enumerate(tables["attributeTable"]) if "keyStrindex" in a}

    def said(value):
        return text[value["stringValueStrindex"]] if "stringValueStrindex" in value else value.get("stringValue")
    (of_resource,) = request["resourceProfiles"]
    (scope,) = of_resource["scopeProfiles"]
    for profile in scope["profiles"]:
        kind = text[profile["sampleType"]["typeStrindex"]]
        for s in profile["samples"]:
            thread = next((said(keys[i][1]) for i in s.get("attributeIndices", []) if keys[i][0] == "thread.name"), None)
            stack = tables["stackTable"][s["stackIndex"]].get("locationIndices", [])
            functions = tuple(names[tables["locationTable"][i]["lines"][0]["functionIndex"]] for i in reversed(stack))
            (value,) = s["values"]
            of[kind][functions, thread] += int(value)
    return of


def of_file(p):
    of = collections.defaultdict(collections.Counter)
    for s in p.samples:
        for kind, value in s.values.items():
            of[kind][tuple(f.name for f in s.stack), s.labels.get("thread")] += value
    return {kind: +values for kind, values in of.items()}


def main(python, library, build):
    program = built(os.path.abspath(build))
    b = Bench(python, os.path.abspath(library), os.path.abspath(build))
    directory, port = b.fresh(), free_port()
    files = [shipping.recorded(b, SPPROF_WALL=1, SPPROF_NATIVE="on"), shipping.recorded(b)]
    wanted = [of_file(Pprof(f)) for f in files]
    queue = b.fresh()
    for i, f in enumerate(files):
        os.utime(f, (1e9 + i, 1e9 + i))
        os.rename(f, os.path.join(queue, f"{i}.pb.gz"))
    collector = Collector(program, directory, port)
    first = shipping.begin(b, "--retry", "50ms", "--to", f"http://127.0.0.1:{port}", queue)
    shipping.await_left(queue, [])
    collector.end()
    got = [stacks(r) for r in collector.requests()]
    more = shipping.recorded(b)
    wanted.append(of_file(Pprof(more)))
    shutil.move(more, os.path.join(queue, "more.pb.gz"))
    time.sleep(2)  # it is tried meanwhile
    os.rename(collector.out, collector.out + ".old")
    collector = Collector(program, directory, port)
    shipping.await_left(queue, [])
    collector.end()
    first.terminate()
    print(shipping.ended(first), end="")
    got += [stacks(r) for r in collector.requests()]
    assert got == wanted, [{k: (sum(g[k].values()), sum(w[k].values())) for k in w} for g, w in zip(got, wanted)]
    print([{k: sum(v.values()) for k, v in g.items()} for g in got])
    b.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
