#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The recipes of README's "Hacking", followed on a copy of the tree: an option, a format, a subcommand, a CPython 3.16 that is 3.15
by another name. What they build works, and the tests that know options, formats and versions pass: unit.config, unit.walk,
unit.writer, layout, e2e.versions. usage: recipes.py SOURCE CC NEWEST_PYTHON"""
import glob
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import versions  # noqa: E402,F401
from sp import BUSY, CASES, Bench, telling  # noqa: E402

source, cc, newest = sys.argv[1:]
tree = tempfile.mkdtemp(prefix="spprof-recipes-")
touched = {}

FORMAT = """/* SPDX-License-Identifier: MIT
 * The whole CPU in one line. */
#include "writers/view.h"

static void gather(void *arg, uint32_t node, uint64_t weight)
{
    (void)node;
    *(uint64_t *)arg += weight;
}

static int write_file(const struct sp_profile *p, struct sp_out *o)
{
    struct sp_view v;
    uint64_t used = 0;
    if (!sp_view_init(&v, p))
        return -12;
    for (uint32_t i = 0; i < sp_view_n_profiles(&v); i++)
        sp_view_each_entry(&v, sp_view_profile_at(&v, i), gather, &used);
    used += sp_view_n_profiles(&v) == 1 ? 0 : v.unseen_ns;
    sp_out_str(o, "made of ");
    sp_out_u64(o, used);
    sp_out_char(o, '\\n');
    return sp_out_finish(o);
}

const struct sp_writer_ops sp_writer_made = {
    .key = "made",
    .name = "made",
    .suffixes = {".made"},
    .head = "made of ",
    .write = write_file,
};
"""


def edit(recipe, path, old, new):
    """In one file of a recipe; `old` stands there once. An empty `old`: a new file."""
    full = os.path.join(tree, path)
    text = ""
    if old:
        with open(full, encoding="utf-8") as f:
            text = f.read()
        assert text.count(old) == 1, f"{path}: {old!r} stands there {text.count(old)} times"
    with open(full, "w", encoding="utf-8") as f:
        f.write(text.replace(old, new) if old else new)
    touched.setdefault(recipe, set()).add(path)


def run(*command):
    r = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    if r.returncode:
        sys.exit(f"{command}:\n{r.stdout[-3000:]}{r.stderr[-3000:]}")
    return r.stdout


def version_of(python):
    return run(python, "-c", "import sys; print(sys.version.split()[0])").strip()


def renamed(python, version):
    """A copy of an interpreter that says it is another version."""
    real, there = os.path.realpath(python), os.path.join(tree, "bin", "python3.16")
    says = version_of(python)
    with open(real, "rb") as f:
        data = f.read()
    assert data.count(says.encode() + b"\0") >= 1, f"{real} does not hold {says}"
    os.makedirs(os.path.dirname(there), exist_ok=True)
    with open(there, "wb") as f:
        f.write(data.replace(says.encode() + b"\0", (version + says[len(version):]).encode() + b"\0"))
    os.chmod(there, 0o755)
    return there


def newest_rows():
    """With the GIL, free-threaded."""
    with open(os.path.join(tree, "compat/py_layouts.c"), encoding="utf-8") as f:
        return "".join(re.findall(r"    \{\n        \.minor = 15,.*?\n    \},\n", f.read(), re.S))


def unit(name, *case, **env):
    """A unit test's program, built past CMake, whose lists of tests take four seconds to make; runs it, or a case of it: exit status, what
    it said."""
    program = os.path.join(tree, "build", name)
    if not os.path.exists(program):
        objects = [o for part in ("compat", "sampler", "writers", "inject")
                   for o in glob.glob(os.path.join(tree, "build", part, f"CMakeFiles/{part}.dir/**/*.o"), recursive=True)]
        run(cc, "-g", "-Wall", "-D_GNU_SOURCE", "-I.", f"tests/unit/{name}.c", "tests/support/unit.c", *objects, "-o", program,
            "-lpthread", "-ldl")
    r = subprocess.run([program, *case], cwd=tree, capture_output=True, text=True, errors="replace", env={**os.environ, **env})
    return r.returncode, r.stdout + r.stderr


def check(what, right, why=""):
    if not right:
        sys.exit(f"FAIL {what}: {why}")
    print(f"ok   {what}")


if not subprocess.run([newest, "-V"], capture_output=True, text=True).stdout.startswith("Python 3.15."):
    print("skip: no CPython 3.15, which plays 3.16")
    sys.exit(77)
for name in subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=source, capture_output=True, text=True,
                           check=True).stdout.splitlines():
    if os.path.exists(os.path.join(source, name)):
        os.makedirs(os.path.join(tree, os.path.dirname(name)), exist_ok=True)
        shutil.copy(os.path.join(source, name), os.path.join(tree, name))

edit("option", "inject/options.def", 'SP_OPTION(tasks,',
     'SP_OPTION(made, "SPPROF_MADE", count, 1, 9, 5, "1 ... 9", "5", "something new")\nSP_OPTION(tasks,')
edit("option", "inject/config.h", "lines, imports,", "lines, made, imports,")
edit("option", "README.md", "| `SPPROF_TASKS` |", "| `SPPROF_MADE` | 1 ... 9 | 5 | something new |\n| `SPPROF_TASKS` |")

edit("format", "writers/made.c", "", FORMAT)
edit("format", "writers/CMakeLists.txt", "lines.c", "lines.c made.c")
edit("format", "writers/writer.h", "sp_writer_collapsed;", "sp_writer_collapsed, sp_writer_made;")
edit("format", "writers/writer.c", "&sp_writer_collapsed}", "&sp_writer_collapsed, &sp_writer_made}")

edit("format", "tests/unit/writer.c", "static void golden_lines(void)", """static void golden_made(void)
{
    CHECK_EQ(write_as(&sp_writer_made, small(), "golden", UINT64_MAX), 0);
    is_golden("made.txt");
}

static uint64_t made_sum(void)
{
    return strtoull(text + strlen("made of "), NULL, 10);
}

static void golden_lines(void)""")
edit("format", "tests/unit/writer.c", "{&sp_writer_collapsed, collapsed_sum}", "{&sp_writer_collapsed, collapsed_sum}, {&sp_writer_made, made_sum}")
edit("format", "tests/unit/writer.c", '{"golden_lines", golden_lines}', '{"golden_made", golden_made},\n    {"golden_lines", golden_lines}')

edit("subcommand", "inject/command/made.c", "", """#include "inject/command/command.h"

#include <unistd.h>

static const char *take(void *arg, const struct sp_cli_given *g)
{
    *(int *)arg = g->choice;
    return NULL;
}

int sp_cli_made(int argc, char **argv)
{
    int which = -1, rc = sp_cli_parse(argc, argv, take, &which);
    if (rc >= 0)
        return rc;
    sp_cli_print(stdout, optind < argc ? argv[optind] : "made");
    printf("%d\\n", which);
    return 0;
}
""")
edit("subcommand", "inject/command/CMakeLists.txt", "main.c ", "made.c main.c ")
edit("subcommand", "inject/command/command.h", "int sp_cli_report(", "int sp_cli_made(int argc, char **argv);\nint sp_cli_report(")
edit("subcommand", "inject/command/main.c", '    {\n        .name = "check",',
     '    {.name = "made", .run = sp_cli_made, .arguments = "[TEXT]", .most = 1, .does = "makes", .status = "0",\n'
     '     .options = {{"--as WHAT", "one, two", "as what", NULL}}},\n    {\n        .name = "check",')

rows = newest_rows()
edit("CPython version", "compat/py_layouts.c", rows, rows + rows.replace(".minor = 15", ".minor = 16"))

run("cmake", "-S", ".", "-B", "build", "-G", "Ninja", "-DSPPROF_WERROR=ON", "-DSPPROF_TESTS=OFF", "-DSPPROF_EXTRAS=OFF", f"-DCMAKE_C_COMPILER={cc}")
run("cmake", "--build", "build")

reach = run(sys.executable, "tests/lint/reach.py", "build/libspprof.so", ".")
check("lint.reach knows the format's functions", re.search(r"^formats: .*\bgather\b", reach, re.M) is not None, reach)
run(sys.executable, "tests/lint/stack.py", "build/libspprof.so", "build", ".")

check("the subcommand runs, and is in help and manual page", run("build/spprof", "made", "--as=two", "a\x1bb") == "a\\x1bb1\n" and
      "makes" in run("build/spprof", "help") and "usage: spprof made [TEXT]" in run("build/spprof", "help", "made") and
      "spprof made" in run("build/spprof", "help", "--man") and "--as) words='one two'" in run("build/spprof", "help", "--completion", "bash"))
check("it is built without the command's optional libraries", run("build/spprof", "version").count("without") == 6)
stored, packed = os.path.join(tree, "stored.json.gz"), os.path.join(tree, "packed.json.gz")
run("env", f"LD_PRELOAD={os.path.join(tree, 'build/libspprof.so')}", f"SPPROF_OUT={stored}", newest, "-c", "for i in range(10**6): pass")
with gzip.open(stored) as f, gzip.open(packed, "w") as g:
    g.write(f.read())
refused = subprocess.run(["build/spprof", "report", packed], cwd=tree, capture_output=True, text=True)
check("without zlib what the library wrote is read, and of what is compressed that is said", "CPU:" in run("build/spprof", "report", stored) and
      refused.returncode == 1 and refused.stderr.endswith("is compressed, and this command was built without zlib; gunzip it first\n"), refused)
sent = subprocess.run(["build/spprof", "ship", "--once", "--to", "http://127.0.0.1:1", "tests"], cwd=tree, capture_output=True, text=True)
check("without libcurl ship says that nothing can be sent", (sent.returncode, sent.stderr) ==
      (1, "spprof: ship: this command was built without libcurl (Debian: libcurl4-openssl-dev); nothing can be sent\n"), sent)
check("help knows the option", "SPPROF_MADE" in run("build/spprof", "help"))
run(sys.executable, "tests/lint/readme.py", tree, "build/spprof")

golden = os.path.join(tree, "tests/golden")
code, said = unit("writer", "golden_made", SPPROF_TEST_GOLDEN=golden)
check("the format's test prints its bytes where they are not there", code == 1 and "FAIL golden_made" in said, said)
edit("format", "tests/golden/made.txt", "", re.search(r"^made of \d+\n", said, re.M).group())
for name in (["writer", "golden_made"], ["writer", "every_format_holds_all_cpu"], ["config"], ["walk"]):
    code, said = unit(*name, SPPROF_TEST_GOLDEN=golden)
    check(f"unit.{' '.join(name)} passes", code == 0, said)

# the version's rows against 3.15's headers; its release is 3.15's by another name
dump, include = os.path.join(tree, "build/tests/layout/layout_dump"), run(newest, "-c", "import sysconfig as s; print(s.get_path('include'))").strip()
os.makedirs(os.path.dirname(dump))
run(cc, "-D_GNU_SOURCE", "-I.", "tests/layout/dump.c", *glob.glob(os.path.join(tree, "build/compat/CMakeFiles/compat.dir/*.o")), "-o", dump, "-ldl")
if os.path.exists(os.path.join(include, "internal/pycore_frame.h")):
    sys.path.insert(0, os.path.join(tree, "tests/layout"))
    import layout  # noqa: E402
    rows = layout.table(dump)
    check("layout compares the version's rows", not any(layout.compare_headers(cc, rows[16, t], include, 16, t) for t in (False, True)))
    told = [run(sys.executable, "tests/layout/layout.py", "--row", cc, include, *build) for build in ([], ["t"])]
    edit("CPython version", "tests/layout/releases.txt", "\n3.9.0 ", "\n" + "".join(told).replace(version_of(newest), "3.16.0") + "3.9.0 ")
    run(sys.executable, "tests/layout/layout.py", "--releases", dump, "tests/layout/releases.txt")
else:
    print(f"no internal headers in {include}: layout is left out")

python316 = renamed(newest, "3.16")
program = BUSY + "def hot(): busy(0.2)\nhot()\n"
for library, is_known in ((os.path.join(source, "build", "libspprof.so"), False), (os.path.join(tree, "build", "libspprof.so"), True)):
    b = Bench(newest, library, os.path.join(tree, "build"))
    home = run(newest, "-c", "import sys; print(sys.base_prefix)").strip()
    r = b.run(program, python=python316, PYTHONHOME=home)
    p = r.profile()
    check(f"3.16 is {'known' if is_known else 'told as unknown'}",
          ("3.16" in r.err and "cannot be looked into" in r.err) != is_known and ("hot" in p.total_ns()) == is_known,
          (r.err, p.total_ns()))
    b.close()
os.environ["PYTHONHOME"] = home  # sp.clean_env() takes it away
b = Bench(newest, library, os.path.join(tree, "build"))
b.python, b.version = python316, (3, 16)
b.env = lambda *args, **env: Bench.env(b, *args, **{"PYTHONHOME": home, **env})
for name in ("own_description_differs", "tasks"):
    CASES[name](b)
    print(f"ok   e2e.versions {name} under 3.16")
b.close()
del os.environ["PYTHONHOME"]
b = Bench(newest, os.path.join(tree, "build", "libspprof.so"), os.path.join(tree, "build"))
native = BUSY + "import hashlib, sys\nend = thread_time() + 0.2 * int(sys.argv[1])\nwhile thread_time() < end: hashlib.sha256(b'x' * 2000000)\n"
p, _ = telling(lambda scale: b.run(native, scale, SPPROF_NATIVE="on").profile(), lambda p: p.block.get("native"))
r = subprocess.run([os.path.join(tree, "build/spprof"), "symbolize", p.path], capture_output=True, text=True)
check("which symbolize says in one line", r.returncode == 0 and r.stderr.count("built without libdw") == 1 and p.block.get("native"), r.stderr)
r = b.run(program, SPPROF_MADE="10")
check("the option is read", "SPPROF_MADE=10 cannot be used; accepted: 1 ... 9; 5 is used" in r.err, r.err)
for _ in range(2):
    r = b.run(program, cwd=r.directory, SPPROF_OUT="p.made")
with open(os.path.join(r.directory, "p.made")) as f:
    text = f.read()
check("the format is written, and replaced", re.fullmatch(r"made of \d{9,}\n", text) and r.err == "", (text, r.err))
b.close()

with open(os.path.join(source, "README.md"), encoding="utf-8") as f:
    readme = f.read()
for recipe, paths in touched.items():
    text = re.search(rf"\*\*Add an? (output )?{recipe}\*\*.*?(?=\n\n)", readme, re.S).group()
    missing = [p for p in paths if p.replace("made", "NAME") not in text and not (p == "README.md" and "the table above" in text)]
    check(f"README's recipe for {recipe} names every file", not missing, missing)
shutil.rmtree(tree)
