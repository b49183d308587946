#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The command: spprof report on good and bad files. usage: report.py SPPROF LIBRARY PYTHON GOLDEN [CASE]"""
import gzip
import json
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import BUSY, Bench  # noqa: E402

command, library, python, golden = [os.path.abspath(a) for a in sys.argv[1:5]]
tmp = tempfile.mkdtemp(prefix="spprof-report-")
b = Bench(python, library, tmp)
failed = 0


def report(*args, errors="strict", **kw):
    return subprocess.run([command, "report", *args], capture_output=True, text=True, errors=errors, timeout=200, **kw)


def check(ok, what):
    global failed
    print("ok  " if ok else "FAIL", what)
    failed += not ok


def same_share(shown, ns):
    return abs(float(shown) - 100 * ns / p.total()) <= 0.06


def write(name, text):
    path = os.path.join(tmp, name)
    with open(path, "w") as f:
        f.write(text)
    return path


p = b.run(BUSY + "import threading\ndef hot(): busy(.3)\ndef cold(): busy(.1)\n"
          "t = threading.Thread(target=cold, name='helper'); t.start(); hot(); t.join()\n").profile()
r = report(p.path)
rows = [line.split(None, 4) for line in r.stdout.split("\n\n")[1].splitlines()[1:]]
check(r.returncode == 0 and r.stderr == "", "exit status 0, silent stderr")
for word in ("Command:", "Python:", "CPU:", "Samples:", "asked", "achieved", "Losses:"):
    check(word in r.stdout, f"header has {word}")
check("%Self %Total      Self     Total  Function (file:first line)" in r.stdout, "columns")
hottest, own = max(p.self_ns().items(), key=lambda row: row[1])
check(rows[0][4].startswith(hottest + " (") and same_share(rows[0][0], own), f"{hottest} is the hottest: {rows[0]}")
by_name = {row[4].split(" ")[0]: row for row in rows}
check(same_share(by_name["hot"][1], p.total_ns()["hot"]) and same_share(by_name["hot"][0], p.self_ns()["hot"]), f"hot: {by_name['hot']}")
check(abs(p.total_ns()["hot"] - 0.3e9) <= p.doubt_ns(), f"hot has three quarters: {p.total_ns()['hot']} of {p.block['cpu']}")
total = report("--sort", "total", p.path).stdout.split("\n\n")[1].splitlines()[1]
check("busy" in total or "<module>" in total, "--sort total")
names = [line.split(None, 4)[4] for line in report("--sort", "name", "-n", "0", p.path).stdout.split("\n\n")[1].splitlines()[1:]]
check(names == sorted(names, key=lambda s: s.encode()), "--sort name")
check(len(report("-n", "1", p.path).stdout.split("\n\n")[1].splitlines()) == 3 and "more rows" in report("-n", "1", p.path).stdout, "-n 1")
lines = report("--by", "line", p.path).stdout
check(re.search(r"hot \(.*:9\)", lines) is not None, "--by line has the line of the call")
check("app" in report("--by", "file", p.path).stdout, "--by file")
threads = report("--by", "thread", p.path).stdout
check(re.search(r"helper \(tid \d+\)", threads) is not None and "MainThread" in threads, "--by thread")
only = report("--thread", "^helper", p.path).stdout
check("cold (" in only and "hot (" not in only, "--thread ^helper")
check(report("--thread", "nobody", p.path).returncode == 1, "--thread that matches none")
check("\033" not in r.stdout, "no colours in a pipe")
pipe = subprocess.run(f"'{command}' report -n 0 '{p.path}' | head -n 1; echo ${{PIPESTATUS[1]}}", shell=True,
                      executable="/bin/bash", capture_output=True, text=True)
check(pipe.stderr == "", "head may close the pipe")

g = report(golden)
check("w\\x22" not in g.stdout and g.returncode == 0, "golden file")
check("\\x01" in report("--by", "thread", golden).stdout and "\x01" not in report("--by", "thread", golden).stdout,
      "control characters of names are escaped")


# --- what a person reads is what is there, and nothing of it speaks to the terminal
def selfs(text):
    """Name -> share of Self, as printed."""
    return {row.split(None, 4)[4]: float(row.split(None, 4)[0].lstrip(">")) for row in text.split("\n\n")[1].splitlines()[1:]
            if not row.startswith("(") or " more rows" not in row}


whole = open(p.path).read()
odd = json.loads(whole)
frame = len(odd["shared"]["frames"])
nasty = "a\x1b[31mred\x07\u202eright\u2066\u200b\ufeff\x85\U000e0041"
odd["shared"]["frames"] += [{"name": ""}, {"name": nasty, "file": nasty, "line": 3}, {"name": "(thread end)"}]
for profile in odd["profiles"][:2]:  # the sum, and one of its parts
    profile["samples"] += [[frame], [frame, frame + 1], [frame + 2]]
    profile["weights"] += [10_000_000, 20_000_000, 30_000_000]
odd["profiles"][0]["name"] = odd["profiles"][-1]["name"] = odd["name"] = nasty
odd["profiles"][1]["name"] = ""
odd["spprof"].update(argv=["python", "", nasty], python=nasty, build=nasty, engine=nasty)
odd["spprof"]["cpu"].update({nasty: 5_000_000, "thread_end": 30_000_000, "used": odd["spprof"]["cpu"]["used"] + 60_000_000})
odd["spprof"]["losses"].update({nasty: 4, "overflow": 2, "unwalkable": {nasty: 3, "no_frame": 1}})
odd["spprof"]["lines"].append([frame + 1, [[3, 20_000_000, 20_000_000]]])
odd_path = write("odd.json", json.dumps(odd))
raw = write("raw.json", "")
with open(raw, "wb") as f:
    f.write(json.dumps(odd, ensure_ascii=False).encode().replace(b"right", b"\xff\xc3("))
hidden = re.compile("[^\n -~]")
for path in (odd_path, raw):
    for by in ("function", "line", "file", "thread", "process"):
        r = report("--by", by, "-n", "0", path, errors="surrogateescape")
        check(r.returncode == 0 and not hidden.search(r.stdout), f"--by {by} prints nothing raw: {hidden.findall(r.stdout)[:3]}")
for args in ([nasty], ["--" + nasty], ["--by", nasty, p.path], ["--sort", nasty, p.path], ["--thread", "(" + nasty, p.path]):
    r = report(*args)
    check(r.returncode and not hidden.search(r.stderr), f"nor do messages: {args}")
r = subprocess.run([command, nasty], capture_output=True, text=True)
check(r.returncode == 2 and not hidden.search(r.stderr), "nor does an unknown command")
r = report("-n", "0", odd_path)
check("(no name)" in selfs(r.stdout), "a frame without a name is shown")
check(f"(thread {odd['spprof']['threads'][0]['tid']})" in report("--by", "thread", "-n", "0", odd_path).stdout, "a thread without a name is shown")
check("python '' a\\x1b" in r.stdout, "an empty argument is shown")
check("(thread end) 30.0ms" in r.stdout and "(thread end)" in selfs(r.stdout), "header and rows use the same words")
check("(overflow) 2" in r.stdout and "(unwalkable) no frame 1" in r.stdout, "losses as well")
for path in (p.path, odd_path):
    lines = selfs(report("--by", "line", "-n", "0", path).stdout)
    check(abs(sum(lines.values()) - 100) < 0.06 * len(lines), f"--by line adds up: {sum(lines.values())}")
check("(thread end)" in lines and "(no name)" in lines, f"--by line has special frames: {list(lines)}")

# --- by library: packages, the standard library, the program; native ones in brackets
far = json.loads(whole)
frame = len(far["shared"]["frames"])
wanted = {"numpy": 11, "six": 12, "[libfoo.so.2]": 50, "(standard library)": 14, "(native thread)": 15}
far["shared"]["frames"] += [
    {"name": "dot", "file": "/x/lib/python3.12/site-packages/numpy/core.py", "line": 3}, {"name": "wraps", "file": "/x/dist-packages/six.py", "line": 4},
    {"name": "f::g [libfoo.so.2]", "file": "/opt/libfoo.so.2"}, {"name": "libfoo.so.2+0x12ab", "file": "/opt/libfoo.so.2"},
    {"name": "_ZN1a1bEv", "file": "/opt/libfoo.so.2"}, {"name": "loads", "file": "/x/lib/python3.12/json/__init__.py", "line": 5}, {"name": "(native thread)"}]
stacks = [[frame], [frame + 1], [frame, frame + 2], [frame + 6, frame + 3], [frame + 4], [frame + 5], [frame + 6]]
for profile in far["profiles"][:2]:
    profile["samples"] += stacks
    profile["weights"] += [ns * 10**9 for ns in (11, 12, 13, 20, 17, 14, 15)]
far["spprof"].update(modules=[{"path": "/opt/libfoo.so.2", "build_id": "00ff"}], native=[[frame + 4, 0, 4660]])
rows = [line.split(None, 4) for line in report("--by", "library", write("far.json", json.dumps(far))).stdout.split("\n\n")[1].splitlines()[1:]]
rows = {row[4]: (row[2], row[3]) for row in rows}
for name, seconds in wanted.items():
    check(rows.get(name, ("", ""))[0].startswith(f"{seconds}."), f"--by library has {name}: {rows}")
check(rows["numpy"][1] == "24.00s" and "(program)" in rows, f"with totals, and the program: {rows}")
names = selfs(report("-n", "0", os.path.join(tmp, "far.json")).stdout)
check({"f::g [libfoo.so.2]", "libfoo.so.2+0x12ab", "dot (/x/lib/python3.12/site-packages/numpy/core.py:3)"} <= set(names), f"functions: {list(names)}")
check(any(n.endswith(" [libfoo.so.2]") and n[:4] in ("a::b", "_ZN1") for n in names), "a mangled name has its library behind it")

# --- several files are one set
both = report("-n", "0", p.path, odd_path)
one, other = json.loads(whole), odd
used = (one["spprof"]["cpu"]["used"] + other["spprof"]["cpu"]["used"]) / 1e6
check(f"CPU:       {used:.1f}ms" in both.stdout and "Profiles:  2" in both.stdout, f"a set has the sum: {used} {both.stdout[:300]}")
check(f"Samples:   {one['spprof']['samples'] + other['spprof']['samples']};" in both.stdout, "and the sum of samples")
check(both.stdout.count("hot (") == 1, "functions of the same name are one row")
check(len(selfs(report("--by", "process", p.path, odd_path).stdout)) == 2, "--by process")
twice = report(p.path, p.path)
check(twice.stdout == report(p.path).stdout and "named twice" in twice.stderr, "a file that is named twice counts once")
bad = report(p.path, write("bad.json", "hello"))
check(bad.returncode == 1 and bad.stdout == report(p.path).stdout and bad.stderr.count("\n") == 1, "a bad file of several: the others are shown")


def with_block(name, profiles=one["profiles"], **changes):
    block = dict(one["spprof"], **changes)
    return report(write(name, json.dumps(dict(one, spprof=block, profiles=profiles)))).stdout


short = [{"profile": i, "name": "t", "tid": i, "cpu": 4_000_000, "samples": 0} for i in range(1, 61)]
of_short = one["profiles"][:1] + [dict(one["profiles"][1], samples=[[0]], weights=[4_000_000])] * 60
busy_ns = one["spprof"]["cpu"]["used"]
check("Hint" not in with_block("long.json", prompt=1.0, wall_ns=busy_ns), "no hint where nothing is wrong")
check("in step with the clock" in with_block("idle.json", prompt=1.0, samples=40, wall_ns=3 * busy_ns), "a hint where a CPU was used now and then")
check("fell on threads" in with_block("short.json", of_short, prompt=1.0, threads=short), "a hint for short threads")
check("seen late" in with_block("late.json", prompt=0.5, samples=40), "a hint for late samples")

empty = os.path.join(tmp, "empty")
os.mkdir(empty)
bad = {
    "is empty": write("empty.json", ""),
    "no JSON text": write("text.json", "hello"),
    "is cut off": write("cut.json", whole[: len(whole) // 2]),
    "is not a Speedscope profile": write("other.json", "{\"a\": 1}"),
    "not one that spprof wrote": write("foreign.json", json.dumps(dict(json.loads(whole), spprof=None))),
    "names a frame": write("frame.json", re.sub(r'"samples":\[\[\d+', '"samples":[[99999', whole)),
    "do not match": write("short.json", re.sub(r'"weights":\[\d+,', '"weights":[', whole, count=1)),
    "No such file": os.path.join(tmp, "nothing.json"),
    "has no profile that can be read": empty,
    "is not a profile": "/dev/zero",
}
for message, path in bad.items():
    r = report(path)
    check(r.returncode == 1 and message in r.stderr and r.stderr.count("\n") == 1 and not r.stdout, f"{message}: {r.stderr!r}")


# --- a spool file, and a process: what is read becomes a profile first, so that it is the same whatever it is read from
spool = os.path.join(tmp, "spool")
os.mkdir(spool)
source = BUSY + "import threading\ndef hot():\n while True: busy(.1)\ndef cold(): busy(.1)\n"
source += "t = threading.Thread(target=cold, name='helper'); t.start(); busy(.2); t.join(); print('go', flush=True); hot()\n"
with subprocess.Popen([python, write("forever.py", source)], stdout=subprocess.PIPE, text=True,
                      env=b.env(SPPROF_SPOOL=spool, SPPROF_OUT=os.path.join(spool, "end.json"))) as runs:
    runs.stdout.readline()
    alive = report(str(runs.pid))
    runs.kill()
check(alive.returncode == 0 and "busy (" in alive.stdout and "Ends:      before" in alive.stdout, f"a process: {alive}")
left = os.path.join(spool, f"spprof-{runs.pid}.spool")
subprocess.run([command, "recover", "-o", os.path.join(spool, "recovered.json"), left], check=True, capture_output=True)
for args in ([], ["--by", "line"], ["--by", "file"], ["--by", "library"], ["--by", "thread"], ["--by", "process"], ["--thread", "helper"]):
    direct, recovered = (report("-n", "0", *args, path) for path in (left, os.path.join(spool, "recovered.json")))
    (says, told), (same, shown) = (re.subn(r"[\d.]+% of CPU seen", "CPU seen", r.stdout) for r in (direct, recovered))
    prompt = [float(x) for r in (direct, recovered) for x in re.findall(r"([\d.]+)% of CPU seen", r.stdout)]
    check(direct.returncode == 0 and says == same and told == shown == 1 and abs(prompt[0] - prompt[1]) < 0.15,  # a file has thousandths, rounded
          f"a spool file {args}: {direct.stderr}")
huge = write("huge", "")  # two gigabytes, most of them a hole behind what would be a profile
for what, data in (("text", whole.encode()), ("gzip", gzip.compress(whole.encode())), ("spool", open(left, "rb").read())):
    with open(huge, "wb") as f:
        f.write(data)
        f.truncate(2 << 30)
    big = report("-n", "0", huge)
    good = big.stdout == report("-n", "0", left).stdout and not big.stderr if what == "spool" else \
        not big.stdout and big.returncode == 1 and big.stderr == f"spprof: {huge}: is larger than 1 GB; no profile of spprof is\n"
    check(good, f"two gigabytes behind a {what} file: {big.stderr}")
os.unlink(huge)
with open(left, "r+b") as f:
    f.truncate(3000)
cut = report(left)
check(cut.returncode == 1 and cut.stderr.count("\n") == 1 and not cut.stdout, f"a cut one: {cut.stderr}")

# --- memory is a small multiple of the file's size, whatever the file holds
def most_memory(text):
    """(exit status, lines on stderr, KB that it needed at most, or this process did before) for a file of that text."""
    with subprocess.Popen([command, "report", write("large.json", text)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as r:
        said = r.stderr.read().count("\n")
        _, status, used = os.wait4(r.pid, 0)
        r.returncode = os.waitstatus_to_exitcode(status)
    return r.returncode, said, used.ru_maxrss


n = 5_000_000
end = ",\n\"spprof\":" + json.dumps(one["spprof"]) + "}\n"
shared = whole[:whole.index("\"profiles\"")]
deep = "[" + "0," * n + "0]"
for what, text, ok in (
        ("one stack of five million frames", f"{shared}\"profiles\":[{{\"samples\":[{deep}],\"weights\":[1]}}]{end}", False),
        ("five million stacks without a frame", f"{shared}\"profiles\":[{{\"samples\":[{'[],' * n}[]],\"weights\":{deep}}}]{end}", True),
        ("a block of five million numbers", f"{shared}\"profiles\":[{{\"samples\":[],\"weights\":[]}}],\"spprof\":{{\"a\":{deep}}}}}", False),
        ("brackets that never close", shared + "[" * (2 * n), False)):
    status, said, kb = most_memory(text)
    check(status == (not ok) and said == (not ok) and kb < 6 * len(text) / 1024 + 200_000, f"{what}: {status} {said} {kb} KB of {len(text) >> 10}")

pipe = os.path.join(tmp, "pipe")
os.mkfifo(pipe)
with subprocess.Popen([command, "report", pipe], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as waits:
    said = waits.stderr.readline()  # before anybody writes
    with open(pipe, "w") as f:
        f.write(whole)
    out = waits.communicate(timeout=200)[0]
check("waiting for somebody to write" in said and out == report(write("of_pipe.json", whole)).stdout, f"a pipe: {said!r}")

# --- wrong use: the option, what is wrong, what to do; of each subcommand in the same words
see, use = "; see spprof help {}", "; usage: spprof {}"
for args, said in ((["report", "--sort", "x", p.path], "report --sort x: cannot be used; accepted: self, total, name"),
                   (["report", "--by=x", p.path], "report --by x: cannot be used; accepted: function, line, file, module, package, library, thread, task, span, process, gil"),
                   (["report", "--by"], "report --by: wants a value; accepted: function, line, file, module, package, library, thread, task, span, process, gil"),
                   (["report", "-n", "x", p.path], "report -n x: is no number of rows; 0 shows all"),
                   (["report", "-n"], "report -n: wants a value" + see.format("report")),
                   (["report", "--thread", "(", p.path], "report --thread (: is no regular expression; see regex(7)"),
                   (["report", "--focus", "(" * 5000, p.path], "report --focus " + "(" * 5000 + ": is longer than 4096 bytes"),
                   (["report", "--wall=1", p.path], "report --wall=1: takes no value; leave that out"),
                   (["report", p.path, "--nope"], "report --nope: there is no such option" + see.format("report")),
                   (["report", "-x", p.path], "report -x: there is no such option" + see.format("report")),
                   (["report"], "report: an argument is missing" + use.format("report [OPTION...] FILE | PID | DIRECTORY...")),
                   (["report", "--by", "line", "--wall", p.path], "report --wall: --by line tells of CPU only; leave one out"),
                   (["run", "--l", "x"], "run --l: may be several options; write it in full" + see.format("run")),
                   (["run", "--native"], "run --native: wants a value; accepted: off, on, full"),
                   (["check", "-z"], "check -z: there is no such option" + see.format("check")),
                   (["check", "a", "b"], "check b: is an argument too many" + use.format("check [OPTION...] [PYTHON | PID]")),
                   (["recover", "-o", "x", "a", "b"], "recover -o x: names one profile, and there are several FILEs; recover them one by one"),
                   (["snapshot", "--remove", "1"], "snapshot --remove: there is no such option" + see.format("snapshot")),
                   (["snapshot"], "snapshot: an argument is missing" + use.format("snapshot [OPTION...] PID | FILE")),
                   (["symbolize", *["--debug-dir", "d"] * 9, "x"], "symbolize --debug-dir d: is a directory too many; give eight at most, or one above them"),
                   (["help", "--completion", "tcsh"], "help --completion tcsh: cannot be used; accepted: bash, zsh, fish"),
                   (["lib", "x"], "lib x: is an argument too many" + use.format("lib")), (["version", "-o"], "version -o: there is no such option" + see.format("version"))):
    r = subprocess.run([command, *args], capture_output=True, text=True)
    check((r.returncode, r.stdout, r.stderr) == (2, "", f"spprof: {said}\n"), f"refused: {args}: {r.stderr}")

# --- help: of each subcommand, in three ways
shown = {}
for line in subprocess.check_output([command, "help"], text=True).splitlines():
    m = re.match(r"(?:usage:|      ) spprof (\w+) ", line)
    if m:
        asked = [subprocess.check_output([command, *words], text=True) for words in ([m[1], "--help"], [m[1], "-h"], ["help", m[1]])]
        shown[m[1]] = asked[0]
        check(asked[0] == asked[1] == asked[2] and asked[0].startswith(f"usage: spprof {m[1]}") and "see below" not in asked[0], f"help of {m[1]}")
check({"run", "lib", "version", "help", "report"} <= set(shown) and "--interval VALUE" in shown["run"] and "--run" not in shown["run"], f"of all: {list(shown)}")
check("CPU alone" in shown["report"] and subprocess.check_output([command, "-h"]) == subprocess.check_output([command, "help"]), "what does not go together")

big = json.loads(whole)
prof = big["profiles"][0]
stack = list(range(len(big["shared"]["frames"]))) * 3
prof["samples"] = [stack] * 150_000
prof["weights"] = [1000] * 150_000
big["padding"] = "x" * 200_000_000
path = os.path.join(tmp, "big.json")
with open(path, "w") as f:
    f.write(json.dumps(big, separators=(",", ":")))
size = os.path.getsize(path)
r = report(path)
check(size > 200_000_000 and r.returncode == 0, f"a file of {size >> 20} MB")
b.close()
print(f"{failed} failed")
sys.exit(1 if failed else 0)
