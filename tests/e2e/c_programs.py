#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""spprof.h in programs of C and C++: with and without Python, with and without the library; the examples, and README's."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from api_calls import INCLUDE, ROOT, calls  # noqa: E402
from embedding import ask, libpython, like_python  # noqa: E402
from sp import Profile, case, main, telling  # noqa: E402

WAYS = {"pie": (), "no pie": ("-no-pie", "-fno-pie"), "no undefined": ("-Wl,--no-undefined", "-Wl,-z,now"), "static pie": ("-static-pie",), "static": ("-static",)}


@case
def c_program_without_python(b):
    """However it is linked: without the library it is told so; with it, that recording begins with a Python; and nothing is left."""
    for way, flags in WAYS.items():
        program = calls(b, "-DPROGRAM", *flags, name="program-" + way.replace(" ", "-"))
        for env, result in (({"preload": False}, -1), ({}, -1 if "static" in way else -2), ({"SPPROF": "off"}, -1 if "static" in way else -3),
                            ({"SPPROF_CHILDREN": "0", "SPPROF_RUN": "1:1"}, None)):
            r = b.run(None, command=[program], **env)
            version, *results, name, has_span = r.out.split()
            if result is None:
                result = int(results[0])
            told = [str(result)] * 6
            told[1] = "0"
            assert (version, results, name) == ("none" if result == -1 else "0.1.0", told, "unchanged"), (way, env, r.out)
            assert has_span == str(int(result == -2)) and r.err == "" and os.listdir(r.directory) == [], (way, env, r.out, r.err)


@case
def c_example_host(b):
    """tests/examples/host.c: linked to nothing of ours it works with and without Python, with and without the library."""
    source, directory = os.path.join(ROOT, "tests", "examples", "host.c"), b.fresh()
    python, home = libpython(b), ask(b, "sys.base_prefix")
    program = os.path.join(directory, "host")
    subprocess.run(["cc", "-std=c99", "-O2", "-Wall", "-Wextra", "-pedantic", "-Werror", "-Wl,--no-undefined", *like_python(b, python), INCLUDE, source, "-o",
                    program, "-ldl"], check=True)
    for preload, arguments, text in ((False, [], "spprof is not in this process"), (False, [python], "spprof is not in this process"),
                                     (True, [], "no CPython has begun")):
        r = b.run(None, command=[program, *arguments], preload=preload, PYTHONHOME=home)
        assert r.out.startswith("no profile: " + text) and r.err == "" and not r.files(), (r.out, r.err)

    def run(_):
        r = b.run(None, command=[program, python], PYTHONHOME=home, SPPROF_OUT="all.json", SPPROF_INTERVAL="1ms")
        assert re.fullmatch(r"0\.\d\d\d s of CPU are in requests.json\n", r.out) and r.err == "", (r.out, r.err)
        return Profile(os.path.join(r.directory, "all.json"))
    part_ns = 0.04e9  # of a request C and Python use more than that each
    whole, _ = telling(run, lambda p: p.doubt_ns() < part_ns)
    for p in (whole, Profile(os.path.join(os.path.dirname(whole.path), "requests.json"))):
        for request in ("span GET /index", "span GET /report"):
            of = {s[1:] for s in p.stacks() if s[0] == request}
            assert (("(unwalkable)",) in of and any("render" in s for s in of)) or p.doubt_ns() >= part_ns, p.stacks()
        assert all(s[0].startswith("span GET") for s in p.stacks() if "render" in s), p.stacks()


@case
def c_example_pool(b):
    """tests/examples/pool.cpp: pages are told apart in threads that run no Python."""
    directory = b.fresh()
    pool = os.path.join(directory, "libpool.so")
    subprocess.run(["c++", "-std=c++11", "-O2", "-g", "-Wall", "-Wextra", "-pedantic", "-Werror", "-shared", "-fPIC", "-Wl,--no-undefined", INCLUDE,
                    os.path.join(ROOT, "tests", "examples", "pool.cpp"), "-o", pool, "-pthread"], check=True)
    program = f"import ctypes\nassert ctypes.CDLL({pool!r}).convert_pages(6, 2) == 6\n"
    assert b.run(program, preload=False).err == ""
    r = b.run(program, SPPROF_OUT="p.json", SPPROF_NATIVE="on", SPPROF_INTERVAL="1ms")
    p = r.profile()
    stacks = [s for s in p.stacks() if any("convert_page" in n for n in s) and s[0].startswith("span")]
    assert {s[0] for s in stacks} <= {f"span page {i}" for i in range(6)} and len({s[0] for s in stacks}) > 3, p.stacks()
    assert any(s[1] == "span fonts" for s in stacks), p.stacks()
    by = subprocess.run([os.path.join(b.build, "spprof"), "report", "--by", "span", r.files()[0]], capture_output=True, text=True, check=True).stdout
    assert by.count("page ") > 3, by


@case
def c_readme(b):
    """The README's program in C, as it stands there: by itself, without and with the library; and in a Python."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        blocks = re.findall(r"```c\n(.*?)```", f.read().split("\n## In your code\n")[1].split("\n## ")[0], re.S)
    assert len(blocks) == 1, blocks
    directory = b.fresh()
    source, program = os.path.join(directory, "app.c"), os.path.join(directory, "app")
    with open(source, "w") as f:
        f.write("#include <stdio.h>\n#include <time.h>\nstatic void work(void)\n{\n    clock_t end = clock() + CLOCKS_PER_SEC / 10;\n    while (clock() < end)\n"
                "        ;\n}\n" + blocks[0])
    for flags, name in (((), program), (("-shared", "-fPIC"), program + ".so")):
        subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", INCLUDE, *flags, source, "-o", name], check=True)
    for preload, why in ((False, "spprof is not in this process"), (True, "no CPython has begun")):
        r = b.run(None, command=[program], preload=preload)
        assert r.err.startswith("no profile: " + why) and r.err.count("\n") == 1 and not r.files(), r.err
    r = b.run(f"import ctypes\nassert ctypes.CDLL({program + '.so'!r}).main() == 0\n", SPPROF_OUT="own.json")
    p = Profile(os.path.join(r.directory, "work.json"))
    assert r.err == "" and p.total_ns()["span GET /index"] > 0, (r.err, p.stacks())


if __name__ == "__main__":
    sys.exit(main())
