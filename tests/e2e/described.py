#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What is written of the command and its files, and how it looks in a terminal."""
import glob
import json
import os
import re
import shlex
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from convert import made, spprof  # noqa: E402
from reading import CALLS, NASTY, in_terminal, wide  # noqa: E402
from sp import BUSY, CASES, Profile, case, main  # noqa: E402

CASES.clear()


# --- the page of the formats
def paths(value, at=""):
    """Paths of keys, as spprof.5 has them; what is below a key that is a list of numbers or has words for keys is its own."""
    if isinstance(value, dict):
        for k, v in value.items():
            below = at + "." + k if at else k
            yield from [below] if isinstance(v, (dict, list)) and below in WHOLE else paths(v, below)
        if not value:
            yield at
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for v in value:
            yield from paths(v, at + "[]")
    else:
        yield at


WHOLE = {"native", "lines", "argv", "losses.unwalkable", "elsewhere_ns", "losses", "commands[].pids", "profiles[].samples", "profiles[].weights", "modules", "tree", "rows"}


def described(b, section):
    page = spprof(b, "help", "--man5").stdout.partition(f".SH {section}\n")[2].partition(".SH ")[0]
    return {m.replace("\\-", "-") for m in re.findall(r"^\.B (.*)$", page, re.M)}


@case
def formats_are_described(b):
    """Each key that is written has a line in spprof.5, and each line there a key."""
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    source = BUSY + "import threading, zlib\ndef f(): time.sleep(0.02); [zlib.compress(b'x' * 10**6) for i in range(20)]\nt = threading.Thread(target=f); t.start(); busy(0.1); t.join()\n"
    r = b.run(source, SPPROF_NATIVE="on", SPPROF_WALL="1")
    files = [Profile(p).json for p in [*r.files(), os.path.join(root, "tests", "golden", "speedscope.json")]]
    rare = {"threads[].others", "threads[].interpreter", "threads[].gil_held"}  # of many threads, of sub-interpreters, where a sample saw it
    global WHOLE
    WHOLE = WHOLE - {"losses", "modules", "tree", "rows"}
    block = {p for f in files for p in paths(f["spprof"])}
    assert block | rare == described(b, "BLOCK") and block & {"modules[].path", "wall.all", "native"}, block ^ described(b, "BLOCK")
    with open(os.path.join(root, "writers", "meta.c")) as f:
        text = f.read()
        assert all(f'"{p.split(".")[1]}"' in text for p in rare)
    outer = {p for f in files for p in paths({k: v for k, v in f.items() if k != "spprof"})} | {"spprof"}
    assert outer == described(b, "PROFILE"), outer ^ described(b, "PROFILE")
    WHOLE = WHOLE | {"losses"}
    reports = [json.loads(spprof(b, "report", "--json", *args, *r.files()).stdout) for args in ([], ["--tree"], ["--wall"], ["--by", "gil"], ["--lines", "busy"], ["--by", "line"])]
    keys = {p for d in reports for p in paths(d)} - {"gil", "rows"} | {"gil[]." + k for k in ("name", "held_ns", "waited_ns", "most_of", "most_ns")}  # where a sample saw it
    assert keys == described(b, "REPORT"), keys ^ described(b, "REPORT")
    assert spprof(b, "help", "--man5").stdout.count(".SH ") >= 5 and all(len(line) < 2000 for line in spprof(b, "help", "--man5").stdout.splitlines())


# --- the README's table of other profilers
@case
def what_is_typed_here(b):
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    with open(os.path.join(root, "README.md"), encoding="utf-8") as f:
        table = f.read().partition("## Coming from another profiler")[2].partition("\n\nWhat they count")[0]
    commands = [c for row in re.findall(r"^\|.*\| (.*) \|$", table, re.M) for c in re.findall(r"`(spprof [^`]+)`", row)]
    assert len(commands) >= 18, commands
    directory = b.fresh()
    with open(os.path.join(directory, "app.py"), "w") as f:
        f.write(BUSY + "import sys\nimport os\ndef parse(): busy(0.15)\nparse()\n"
                "if len(sys.argv) > 1:\n while not any(n.endswith('.spool') for n in os.listdir('.')): parse()\n print('on', flush=True); sys.stdin.read()\n")
    os.symlink(os.path.join(b.build, "spprof"), os.path.join(directory, "spprof"))
    with open(os.path.join(directory, "python"), "w") as f:
        f.write(f"#!/bin/sh\nexec {b.python} \"$@\"\n")
    os.chmod(os.path.join(directory, "python"), 0o755)
    made(os.path.join(directory, "a.json"), CALLS), made(os.path.join(directory, "b.json"), CALLS)
    path = directory + ":" + os.environ["PATH"]
    with subprocess.Popen([b.python, "app.py", "stay"], cwd=directory, env=b.env(SPPROF_SPOOL=directory, SPPROF_OUT="stay.json"), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as stays:
        stays.stdout.readline()
        for command in commands:
            if command.split()[1] == "top":  # wants a terminal: top.py
                continue
            if command.split()[1] in ("report", "convert") and "--wall" not in command:  # whatever the runs were lucky enough to see
                made(os.path.join(directory, "p.json"), {"main;parse": 10**9})
            words = [w.replace("4711", str(stays.pid)) for w in shlex.split(command)]
            args = [a for w in words for a in (sorted(glob.glob(w, root_dir=directory)) if "*" in w else [w])]
            r = subprocess.run([os.path.join(b.build, "spprof"), *args[1:]], cwd=directory, env=b.env(preload=False, PATH=path), capture_output=True, text=True, stdin=subprocess.DEVNULL)
            assert r.returncode == 0, (command, r)
            assert args[1] != "report" or "p.json" not in args or "--wall" in args or "process" in args or "parse" in r.stdout, (command, r)
        stays.stdin.close()
    assert {"p.html", "p.json", "p.collapsed", "p.pb.gz", "parse.html"} <= set(os.listdir(directory)), os.listdir(directory)


# --- the README's own commands
SHOWN = """
import os, sys, threading
def parse(): busy(0.05)
def render(): busy(0.05)
def works(): parse(); render()
def once():
    t = threading.Thread(target=works, name="pool-1"); t.start(); t.join()
    parse(); render()
once()
if len(sys.argv) > 1:
    print("on", flush=True)
    sys.stdin.read()
"""
ELSEWHERE = "ship", "top"  # ship.py and tests/otel, top.py


@case
def what_is_shown_here(b):
    """Each line of the README that is a command: run as it stands there, on files and processes of these names, it does what it is for."""
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    with open(os.path.join(root, "README.md"), encoding="utf-8") as f:
        lines = re.findall(r"^    ((?:ssh .* \| )?build/spprof .*?)(?:  .*)?$", f.read(), re.M)
    assert len(lines) >= 25, lines
    directory = b.fresh()
    at = lambda name: os.path.join(directory, name)  # noqa: E731
    for name in ("build", "out", "DIRECTORY"):
        os.mkdir(at(name))
    os.symlink(os.path.join(b.build, "spprof"), at("build/spprof"))
    for name, text in (("app.py", BUSY + SHOWN), ("python", f"#!/bin/sh\nexec {b.python} \"$@\"\n"), ("ssh", "#!/bin/sh\nshift\nexec \"$@\"\n")):
        with open(at(name), "w") as f:
            f.write(text)
        os.chmod(at(name), 0o755)
    for name in ("profile.json", "p.json", "before.json", "after.json", "out/a.json", "out/b.json"):
        subprocess.run([b.python, "app.py"], cwd=directory, env=b.env(SPPROF_OUT=name, SPPROF_NATIVE="on"), check=True)
    killed = subprocess.Popen([b.python, "app.py", "stay"], cwd=directory, env=b.env(SPPROF_SPOOL=at("DIRECTORY")), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    killed.stdout.readline()
    killed.kill()
    killed.communicate()
    path, shown = directory + ":" + os.environ["PATH"], {}
    with subprocess.Popen([b.python, "app.py", "stay"], cwd=directory, env=b.env(SPPROF_OUT="stays.json"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as stays:
        stays.stdout.readline()
        for line in lines:
            words = line.partition("build/spprof ")[2].split()
            if words[0] in ELSEWHERE:
                continue
            if words[:2] == ["start", "--children"]:  # what records already is told so
                spprof(b, "stop", "--children", str(stays.pid))
            r = subprocess.run(["sh", "-c", re.sub(r"\b(PID|4711)\b", str(stays.pid), line)], cwd=directory, env=b.env(preload=False, PATH=path), text=True,
                               stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
            if words[:2] == ["report", "4711"] and os.geteuid():  # which may be forbidden
                continue
            assert r.returncode == 0, (line, r)
            shown[line] = r.stdout + r.stderr
        stays.stdin.close()
    for line, text in shown.items():
        words = line.partition("build/spprof ")[2].split()
        if words[0] in ("report", "dump") and "--json" not in words:
            assert re.search(r"\bparse\b|\brender\b" if words[0] == "report" else r"in <module>", text), (line, text)
    assert {"all.json", "profile.html", "profile.pb.gz", "page.html", "stays.json"} <= set(os.listdir(directory)), os.listdir(directory)
    assert [n for n in os.listdir(at("DIRECTORY")) if n.endswith(".json")] and [n for n in os.listdir(directory) if re.fullmatch(r"spprof-\d+\.speedscope\.json", n)]


# --- a terminal
@case
def lines_fit_the_terminal(b):
    directory = b.fresh()
    deep = "/opt/venv/lib/python3.12/site-packages/torch/nn/modules/conv.py"
    names = ["Conv2d._conv_forward", "a_rather_long_name_of_a_function.<locals>.that_goes_on_and_on", "\u4eba" * 40, NASTY, "f", "<module> torch/nn/modules/conv.py"]
    path = made(os.path.join(directory, "a.json"), {";".join(names[: i + 1]): (i + 1) * 10**9 for i in range(len(names))}, argv=["/usr/bin/python", "/srv/" + "x" * 100 + "/app.py"])
    p = json.load(open(path))
    for i, f in enumerate(p["shared"]["frames"]):
        f.update(file=deep if i != 3 else NASTY, line=534)
    p["profiles"][0]["name"] = p["spprof"]["threads"][0]["name"] = NASTY * 4
    p["spprof"]["losses"] = {"unwalkable": {}, "nested": 123456, "overflow": 222222, "truncated": 333333, "timer_refused": 44444, "no_slot": 5555}
    with open(path, "w") as f:
        json.dump(p, f)
    for args in ([], ["--by", "line"], ["--by", "file"], ["--by", "thread"], ["--by", "process"], ["--by", "module"], ["--tree"], ["--callers", "f"], ["--tree", "--by", "library"]):
        for columns in (80, 60, 200):
            for line in in_terminal(b, columns, "report", "-n", "0", *args, path):
                assert wide(line) <= columns, (args, columns, line)
    text = in_terminal(b, 80, "report", path)
    for row in ("  Conv2d._conv_forward (\u2026/modules/conv.py:534)", "  f (\u2026/torch/nn/modules/conv.py:534)", "  <module> torch/nn/modules/conv.py"):
        assert any(line.endswith(row) for line in text), (row, text)
    assert any(line.endswith(f"  f ({deep}:534)") for line in in_terminal(b, 200, "report", path))
    assert f"f ({deep}:534)" in spprof(b, "report", path).stdout and "\u2026" not in spprof(b, "report", path).stdout  # nothing is left out elsewhere
    assert max(map(wide, in_terminal(b, 80, "report", path, COLUMNS="100"))) > 80
    assert all(wide(line) <= 80 for line in in_terminal(b, 80, "diff", path, made(os.path.join(directory, "b.json"), {"g": 10**9})) if not line.startswith(("A:", "B:", "(~")))


if __name__ == "__main__":
    sys.exit(main())
