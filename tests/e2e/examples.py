#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The examples do what their first lines say."""
import os
import re
import signal
import subprocess
import sys
import urllib.request

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "support"))
from sp import CASES, Profile, Result, case, main, need_frames  # noqa: E402,F401

EXAMPLES = os.path.join(here, "..", "examples")


def report(b, r, *options):
    return subprocess.run([os.path.join(b.build, "spprof"), "report", *options, *r.files()], capture_output=True, text=True, check=True).stdout


@case
def example_basic(b):
    need_frames(b)
    r = b.run(os.path.join(EXAMPLES, "basic.py"), SPPROF_OUT="basic.json")
    hottest = r.profile().self_ns().most_common(1)[0][0]
    assert hottest == "count_words" and "count_words" in report(b, r), report(b, r)


@case
def example_threads(b):
    need_frames(b)
    r = b.run(os.path.join(EXAMPLES, "threads.py"), SPPROF_OUT="threads.json")
    by_thread = report(b, r, "--by", "thread")
    assert all(name in by_thread for name in ("resize-0", "resize-1", "compress-0", "compress-1")), by_thread
    only = report(b, r, "--thread", "resize")
    assert "resize" in only and "compress" not in only, only


@case
def example_service(b):
    need_frames(b)
    directory = b.fresh()
    child = subprocess.Popen([b.python, os.path.join(EXAMPLES, "service.py")], cwd=directory, stdout=subprocess.PIPE, text=True,
                             env=b.env(SPPROF_OUT="service-%p.json"))
    try:
        url = child.stdout.readline().strip()
        for _ in range(60):  # of some ms each, in threads of their own
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url + "/report").read()
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == -signal.SIGTERM
    finally:
        child.kill()
    p = Profile(os.path.join(directory, f"service-{child.pid}.json"))
    assert p.total_ns()["render"] > 0, p.total_ns()


@case
def example_pod(b):
    """Every option that it sets is one, with a value that is accepted."""
    with open(os.path.join(EXAMPLES, "pod.yaml")) as f:
        options = dict(re.findall(r"name: (SPPROF_\w+), value: \"?([^\"}]+)", f.read()))
    assert len(options) == 3, options
    directory = b.fresh()
    options = {k: v.replace("/profiles", directory) for k, v in options.items()}
    r = b.run("print(1)", cwd=directory, **options)
    assert r.err == "" and len(r.files()) == 1 and "-app" in r.files()[0], (r.err, r.files())


if __name__ == "__main__":
    sys.exit(main())
