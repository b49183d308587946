#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""cmake --install puts everything in its place, and the headers can be compiled, spprof.h as every C and C++ that may include it. usage:
install.py BUILD_DIR CC"""
import os
import shutil
import subprocess
import sys
import tempfile

build, cc = sys.argv[1:3]

# All functions, in two files of one program, after <dlfcn.h> and before it.
USE = """#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
%s
int %s(void)
{
    struct spprof_figures figures;
    uint64_t span = spprof_span_begin("span");
    int (*start)(uint64_t, uint64_t) = spprof_start;
    int n = start(0, 0) + spprof_stats(&figures) + spprof_stop(NULL, &figures) + spprof_is_active() + spprof_snapshot("x", NULL, 0);
    spprof_span_end(span);
    return n + (spprof_version() != NULL) + (dlsym(RTLD_DEFAULT, "spprof_start") != NULL) + (spprof_reason(n)[0] == 0);
}
"""
ONE = USE % ("#include <dlfcn.h>\n#include <spprof.h>\n#include <spprof.h>", "one")
TWO = USE % ("#include <spprof.h>\n#include <dlfcn.h>", "two") + "int one(void);\nint main(void) { return one() == two() ? -two() : 1; }\n"
STRICT = ["-O2", "-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Wshadow", "-Werror"]


def check_spprof_h(d, pc, library):
    """Without a warning, and linked to nothing; the program is told four times that it is not here, or no Python is."""
    flags = ["-I" + os.path.join(d, "include")]
    if shutil.which("pkg-config"):
        def ask(*what):
            return subprocess.run(["pkg-config", *what, os.path.join(d, pc)], capture_output=True, text=True, check=True).stdout.split()
        assert os.path.samefile(*ask("--variable=library"), os.path.join(d, library)) and ask("--modversion")[0].startswith("0.")
        assert [os.path.realpath(f[2:]) for f in ask("--cflags")] == [os.path.realpath(f[2:]) for f in flags] and ask("--libs") == []
    else:
        print("no pkg-config to read spprof.pc")
    for language, compilers, standards in (("c", {cc, "gcc", "clang"}, ("c89", "gnu89", "c99", "c11", "c17")),
                                           ("cpp", {"g++", "clang++"}, ("c++98", "c++11", "c++14", "c++17", "c++20"))):
        names = [os.path.join(d, f"use{i}.{language}") for i in (1, 2)]
        for name, text in zip(names, (ONE, TWO)):
            with open(name, "w") as f:
                f.write(text)
        for compiler in filter(shutil.which, sorted(compilers)):
            for standard in standards:
                exe = os.path.join(d, "use")
                subprocess.run([compiler, "-std=" + standard, *STRICT, *flags, *names, "-o", exe, "-Wl,--no-undefined", "-ldl"], check=True)
                for preload, status in (("", 4), (os.path.join(d, library), 6)):
                    got = subprocess.run([exe], env={**os.environ, "LD_PRELOAD": preload}).returncode
                    assert got == status, (compiler, standard, preload, got)


with tempfile.TemporaryDirectory() as d:
    subprocess.run(["cmake", "--install", build, "--prefix", d], check=True, stdout=subprocess.DEVNULL)
    found = sorted(os.path.relpath(os.path.join(p, f), d) for p, _, fs in os.walk(d) for f in fs)
    print("\n".join(found))
    names = [os.path.basename(f) for f in found]
    assert sorted(names) == ["_spprof", "libspprof.so", "spprof", "spprof", "spprof.1", "spprof.5", "spprof.fish", "spprof.h", "spprof.pc", "spprof.py", "spprof.pyi", "spprof_region.h"], names
    for f in found:
        assert f.split("/")[0] in ("bin", "lib", "lib64", "include", "share"), f
    header = next(f for f in found if f.endswith("spprof_region.h"))
    c = os.path.join(d, "t.c")
    with open(c, "w") as f:
        f.write('#include "spprof_region.h"\nint main(void) { return sizeof(struct sp_region) && SP_REGION_LAYOUT > 0 && SPPROF_VERSION[0] == 48 ? 0 : 1; }\n')
    exe = os.path.join(d, "t")
    subprocess.run([cc, "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-I", os.path.dirname(os.path.join(d, header)), c, "-o", exe], check=True)
    subprocess.run([exe], check=True)
    check_spprof_h(d, next(f for f in found if f.endswith("spprof.pc")), next(f for f in found if f.endswith(".so")))
    out = subprocess.run([os.path.join(d, "bin/spprof"), "version"], capture_output=True, text=True, check=True).stdout
    assert out.startswith("spprof 0."), out
    for place in ("lib/python3.9/site-packages", "lib/python3/dist-packages", "."):  # as pip puts them: an environment, Debian's, --target
        with tempfile.TemporaryDirectory(prefix="a*[b]") as e:
            for f, to in (("bin/spprof", "bin/spprof"), (next(f for f in found if f.endswith(".so")), place + "/spprof/libspprof.so")):
                os.makedirs(os.path.dirname(os.path.join(e, to)), exist_ok=True)
                os.link(os.path.join(d, f), os.path.join(e, to))
            out = subprocess.run([os.path.join(e, "bin/spprof"), "--lib"], capture_output=True, text=True, check=True).stdout
            assert out == os.path.realpath(os.path.join(e, place, "spprof/libspprof.so")) + "\n", out
    volume = os.path.join(d, "volume")
    for umask in (0o22, 0o77):
        out = subprocess.run([os.path.join(d, "bin/spprof"), "install", volume], capture_output=True, text=True, check=True, umask=umask).stdout
        assert out == f"{volume}/libspprof.so\n{volume}/spprof\n" and sorted(os.listdir(volume)) == ["libspprof.so", "spprof"], out
        for name, mode in (("libspprof.so", 0o644), ("spprof", 0o755)):
            copy, of = os.path.join(volume, name), next(os.path.join(d, f) for f in found if f.endswith(("bin/spprof", "spprof/" + name)) and f.endswith(name))
            assert os.stat(copy).st_mode & 0o7777 == mode and open(copy, "rb").read() == open(of, "rb").read(), (copy, of)
    assert subprocess.run([os.path.join(volume, "spprof"), "--lib"], capture_output=True, text=True).stdout == volume + "/libspprof.so\n"
    r = subprocess.run([os.path.join(d, "bin/spprof"), "install", "/dev/null/x"], capture_output=True, text=True)
    assert r.returncode == 1 and r.stdout == "" and r.stderr.count("\n") == 1 and "/dev/null/x: " in r.stderr, r
    full = os.path.join(d, "full")  # no room: no half of a file, and the older one stays
    os.mkdir(full)
    r = subprocess.run(["sh", "-c", 'ulimit -f 8; trap "" XFSZ; exec "$@"', "sh", os.path.join(d, "bin/spprof"), "install", full], capture_output=True, text=True)
    assert r.returncode == 1 and r.stderr.count("\n") == 1 and not os.listdir(full), (r, os.listdir(full))
    completion = os.path.join(d, "share/bash-completion/completions/spprof")
    def offered(typed, more=""):
        """By bash, which takes "=" for a word of its own."""
        words = [w for part in typed.split(" ") for w in part.replace("=", " = ").split(" ")]
        script = f'. {completion}; {more}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _spprof; echo "${{COMPREPLY[@]}}"'
        return subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True, check=True).stdout.split()
    names = ["check", "convert", "diff", "dump", "help", "install", "lib", "merge", "recover", "report", "reset", "run", "ship", "snapshot", "start", "stop", "symbolize", "top", "version"]
    bys = ["file", "function", "gil", "library", "line", "module", "package", "process", "span", "task", "thread"]
    for typed, wanted in (("spprof re", ["recover", "report", "reset"]), ("spprof report --so", ["--sort"]), ("spprof run --interv", ["--interval"]),
                          ("spprof --", ["--help", "--lib", "--version"]), ("spprof help ", names), ("spprof help --completion ", ["bash", "fish", "zsh"]),
                          ("spprof report --by ", bys), ("spprof report --by=li", ["library", "line"]), ("spprof report --by=", bys), ("spprof report f", []),
                          ("spprof run --native ", ["full", "off", "on"]), ("spprof run --interval=1ms --imports ", ["full", "short"]),
                          ("spprof run --report --nat", ["--native"]), ("spprof run --interval ", []), ("spprof run --native on envs", ["envsubst"])):
        got = offered(typed, "compgen() { [[ $1 == -c ]] && echo envsubst || builtin compgen \"$@\"; }")
        assert sorted(got) == wanted, (typed, got)
    for typed, at in (("spprof run python3 --by ", 2), ("spprof run --lines=1 -o x -- python3 a", 8), ("spprof run --report python3 ", 3)):
        assert offered(typed, "_command_offset() { COMPREPLY=(at $1); }") == ["at", str(at)], typed  # bash-completion's, for the other command
    for shell, name in (("zsh", "share/zsh/site-functions/_spprof"), ("fish", "share/fish/vendor_completions.d/spprof.fish")):
        try:
            subprocess.run([shell, "-n", os.path.join(d, name)], check=True)
        except FileNotFoundError:
            print(f"no {shell} to read its completion")
            continue
        if shell == "fish":
            def say(typed):
                script = f"source {os.path.join(d, name)}; complete -C '{typed}'"
                return [line.split("\t")[0] for line in subprocess.run([shell, "--no-config", "-c", script], capture_output=True, text=True,
                                                                      check=True, env={**os.environ, "HOME": d}).stdout.splitlines()]
            assert say("spprof report --by ") == bys and say("spprof help re") == ["recover", "report", "reset"] and "--lib" in say("spprof --l")
            assert "env" in say("spprof run --native on en") and say("spprof run --native ") == ["full", "off", "on"]
        else:
            script = ("_arguments() { print -rl -- \"$@\" }; _describe() { print -rl -- $commands }; compadd() { print -rl -- \"$@\" }; PREFIX=-\n"
                      f"words=($=TYPED) CURRENT=$(( $#words + 1 )); . {os.path.join(d, name)}")
            def say(typed):
                return subprocess.run([shell, "-f", "-c", script], capture_output=True, text=True, check=True, env={**os.environ, "TYPED": typed}).stdout
            assert "\n--lib\n" in say("spprof") and "report:prints" in say("spprof")
            assert ":WHAT:(function line file module package library thread task span process gil)\n" in say("spprof report") and "*:file:_files\n" in say("spprof report")
            assert "*::arguments:_normal\n" in say("spprof run") and ":VALUE:(off on full)\n" in say("spprof run") and ":(run report " in say("spprof help")
print("installed")
