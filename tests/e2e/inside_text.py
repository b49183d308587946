#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What is written about `import spprof` is true: README's examples run, and the types in spprof.pyi are those of the module."""
import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sp import BUSY, CASES, Skip, case, clean_env, main  # noqa: E402,F401

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")

# In the place of what may not be installed.
STAND_INS = {
    "pytest.py": "def fixture(f): return f\n",
    "IPython/__init__.py": "class Shell:\n def run_cell(self, cell): exec(cell, {'work': __import__('app').work})\n"
                           "def get_ipython(): return Shell()\n",
    "IPython/core/__init__.py": "",
    "IPython/core/magic.py": "def register_cell_magic(name): return lambda f: f\n",
}

USE = {  # what a reader does with what an example defines -> the file that it leaves
    "def profiled": "class Node: name = 'test_it'\nclass Request: node = Node\nf = profiled(Request); next(f); work(); next(f, None)\n",
    "def profile_cell": "profile_cell('', 'work()')\n",
}


@case
def examples(b):
    """Each block of the README's section, as it stands there."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        section = f.read().split("\n## In your code\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", section, re.S)
    assert len(blocks) >= 5, blocks
    left = set()
    for block in blocks:
        directory = b.fresh()
        for name, text in {**STAND_INS, "app.py": BUSY + "def work(): busy(0.05)\n"}.items():
            os.makedirs(os.path.dirname(os.path.join(directory, name)), exist_ok=True)
            with open(os.path.join(directory, name), "w") as f:
                f.write(text)
        use = "".join(text for defined, text in USE.items() if defined in block)
        r = b.run("import sys\nsys.path.insert(0, '.')\nfrom app import work\n" + block + use, cwd=directory, SPPROF_OUT="own.json")
        assert r.err == "" and os.path.exists(os.path.join(directory, "own.json")), r.err
        left |= set(os.listdir(directory))
    assert {"work.json", "handled.json", "test_it.json", "cell.json"} <= left, left
    for function in re.findall(r"`(\w+)\(\)`", section):
        assert function in "start snapshot stats".split(), function


COMPARE = """
import ast, inspect, sys
import spprof
def arguments(node):
    a = node.args
    names = [x.arg for x in a.posonlyargs + a.args] + (["*" + a.vararg.arg] if a.vararg else []) + ["=" + x.arg for x in a.kwonlyargs]
    names += ["**" + a.kwarg.arg] if a.kwarg else []
    return names, [ast.unparse(d) for d in a.defaults + [d for d in a.kw_defaults if d]]
def of_module(f):
    p = inspect.signature(f).parameters.values()
    kind = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.KEYWORD_ONLY: "=", inspect.Parameter.VAR_KEYWORD: "**"}
    return [kind.get(x.kind, "") + x.name for x in p], [repr(x.default) for x in p if x.default is not x.empty]
told = {}
def tell(body, prefix, owner):
    for node in body:
        name = getattr(node, "name", getattr(getattr(node, "target", None), "id", None))
        if isinstance(node, ast.ClassDef) and not name.startswith("_"):
            told[name] = node
            tell(node.body, name + ".", getattr(spprof, name))
        elif isinstance(node, ast.FunctionDef):
            told[prefix + name] = node
            f = inspect.getattr_static(owner, name)
            if isinstance(f, property): continue
            wanted = [n for n in body if getattr(n, "name", None) == name]
            assert len(wanted) > 1 or arguments(node) == of_module(f), (prefix + name, arguments(node), of_module(f))
            assert arguments(node)[0] == of_module(f)[0], (prefix + name, arguments(node), of_module(f))
        elif isinstance(node, ast.AnnAssign) and prefix and prefix != "Profiler.":
            told[prefix + name] = node
            assert name in owner._fields, name
tell(ast.parse(open(sys.argv[1]).read()).body, "", spprof)
for name in spprof.__all__:
    assert name in told, name
    thing = getattr(spprof, name)
    for member, value in vars(thing).items() if inspect.isclass(thing) else ():
        if not member.startswith("_") and name + "." + member not in told:
            raise AssertionError(name + "." + member)
print("same")
"""


@case
def types_are_those_of_the_module(b):
    assert b.run(COMPARE, os.path.join(ROOT, "inject", "python", "spprof.pyi")).out == "same\n"


@case
def without_the_library(b):
    """The same text from a file, where nothing is preloaded: it says what helps, and reads pickles."""
    python = os.path.join(ROOT, "inject", "python")
    r = b.run("import pickle, spprof\nassert spprof._KNOWN == (spprof.__version__, spprof._formats), spprof._formats\n"
              "with spprof.Profiler() as p: sum(range(1000000))\nprint(pickle.dumps(p.profile).hex())\n")
    b.run("""
import pickle, spprof, sys
p = pickle.loads(bytes.fromhex(sys.argv[1]))
assert sum(s.weight_ns for s in p.samples) == p.stats.cpu_ns > 0 and p.to_pprof()
p.save('p.collapsed')
assert open('p.collapsed', 'rb').read() == p.to_collapsed()
@spprof.profile
def f(): return 5
assert not spprof.is_active()
for g in (spprof.start, spprof.stop, spprof.stats, spprof.snapshot, spprof.Profiler().start, lambda: spprof.start(native=True)):
    try: g()
    except spprof.NotPreloaded as e: assert 'start it so: spprof run ' in str(e) and sys.argv[0] in str(e), e
    else: raise AssertionError(g)
assert f() == 5 and f.last_profile is None
""", r.out.strip(), preload=False, PYTHONPATH=python, PYTHONDONTWRITEBYTECODE=1)


USES = """
import io
import spprof
spprof.start(1.5, memory_limit_mb=8)
p: spprof.Profile = spprof.stop()
p.save("x.json")
p.save(io.BytesIO(), format="pprof")
total: int = sum(s.weight_ns for s in p.samples if s.frames[-1].function == "f")
@spprof.profile
def f(x: int) -> str: return str(x)
@spprof.profile(path="c.json")
async def g() -> int: return 1
with spprof.Profiler(interval_ms=1) as q: y: str = f(3)
d: float = q.profile.duration
s: str = spprof.snapshot()
assert spprof.is_active() or spprof.stats().samples
"""


MISUSES = "import spprof\nspprof.start('1')\nx: str = spprof.stop().stats.samples\n"


@case
def checked_by_mypy(b):
    """A program that uses the module is typed, and one that misuses it is told so."""
    mypy = os.path.join(b.build, "venv", "bin", "mypy")
    if not os.path.exists(mypy):
        raise Skip("no mypy in build/venv (scripts/setup)")
    for text, errors in ((USES, 0), (MISUSES, 2)):
        r = subprocess.run([mypy, "--strict", "--cache-dir", os.path.join(b.directory, "cache"), b.write(text, f"uses{errors}.py")],
                           env={**clean_env(), "MYPYPATH": os.path.join(ROOT, "inject", "python")}, capture_output=True, text=True)
        assert r.stdout.count(": error:") == errors and r.returncode == (errors > 0), r.stdout + r.stderr


@case
def checked_by_pyright(b):
    pyright = os.path.join(ROOT, "tests", "viewer", "node_modules", "pyright", "index.js")
    if not os.path.exists(pyright) or not shutil.which("node"):
        raise Skip("no pyright in tests/viewer/node_modules (scripts/setup)")
    directory, stubs = b.fresh(), os.path.join(ROOT, "inject", "python")
    for text, errors in ((USES, 0), (MISUSES, 2)):
        with open(os.path.join(directory, "uses.py"), "w") as f:
            f.write(text)
        with open(os.path.join(directory, "pyrightconfig.json"), "w") as f:
            json.dump({"include": ["uses.py"], "typeCheckingMode": "strict", "stubPath": stubs, "pythonVersion": "3.12"}, f)
        r = subprocess.run(["node", pyright, "--outputjson", "-p", directory], env=clean_env(), capture_output=True, text=True, timeout=300)
        told = [d for d in json.loads(r.stdout)["generalDiagnostics"] if d["severity"] == "error"]
        assert len(told) == errors and json.loads(r.stdout)["summary"]["filesAnalyzed"] == 1, told


if __name__ == "__main__":
    sys.exit(main())
