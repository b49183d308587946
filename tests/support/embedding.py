# SPDX-License-Identifier: MIT
"""Python in a C program (embed.c), for the end-to-end tests."""
import os
import re
import subprocess

from sp import MACHINE, Skip, compile_support, program_file


def ask(b, expression):
    return subprocess.run([b.python, "-c", f"import os, sys, sysconfig as s; print({expression})"], capture_output=True, text=True,
                          env=b.env(False), check=True).stdout.strip()


def libpython(b):
    if not b.known:
        raise Skip("unknown version")
    name, places = ask(b, "s.get_config_var('INSTSONAME') or ''"), [ask(b, "s.get_config_var('LIBDIR') or ''")]
    places.insert(0, os.path.join(ask(b, "sys.base_prefix"), "lib", MACHINE + "-linux-gnu"))
    for d in places:
        if ".so" in name and os.path.exists(os.path.join(d, name)):
            return os.path.join(d, name)
    raise Skip("no shared libpython")


def like_python(b, library):
    """Flags for a program that runs with this interpreter's own loader and libraries."""
    loader = re.search(r"interpreter: (\S+)\]", subprocess.run(["readelf", "-lW", program_file(b.python)], capture_output=True,
                                                             text=True).stdout).group(1)
    return ["-Wl,--disable-new-dtags", f"-Wl,--dynamic-linker,{loader},-rpath,{os.path.dirname(library)},--allow-shlib-undefined"]


def embed(b, how, source, *args, linked=False, before=(), name="embed", **kw):
    """Runs a script in tests/support/embed.c. before: libraries that it is linked to before all others."""
    library = libpython(b)
    program = compile_support(b, "embed.c", name + "1" * linked, *like_python(b, library), *(["-DLINKED", *before, library] if linked else []))
    # a copy of a debug or relocated build looks for its standard library where PYTHONHOME says
    return b.run(None, command=[program, how, b.write(source), library, *args], PYTHONHOME=ask(b, "sys.base_prefix"), **kw)
