# SPDX-License-Identifier: MIT
"""Python in a C program (embed.c), for the end-to-end tests."""
import os
import re
import subprocess

from sp import Skip


def ask(b, expression):
    return subprocess.run([b.python, "-c", f"import os, sys, sysconfig as s; print({expression})"], capture_output=True, text=True,
                          env=b.env(False), check=True).stdout.strip()


def libpython(b):
    if not b.known:
        raise Skip("unknown version")
    name, places = ask(b, "s.get_config_var('INSTSONAME') or ''"), [ask(b, "s.get_config_var('LIBDIR') or ''")]
    places.insert(0, os.path.join(ask(b, "sys.base_prefix"), "lib", "x86_64-linux-gnu"))
    for d in places:
        if ".so" in name and os.path.exists(os.path.join(d, name)):
            return os.path.join(d, name)
    raise Skip("no shared libpython")


def embed(b, how, source, *args, linked=False, name="embed", **kw):
    """Runs a script in tests/support/embed.c, which is compiled for this interpreter's own loader and libraries."""
    library = libpython(b)
    program = os.path.join(b.directory, name + "1" * linked)
    if not os.path.exists(program):
        loader = re.search(r"interpreter: (\S+)\]", subprocess.run(["readelf", "-lW", os.path.realpath(b.python)], capture_output=True,
                                                                 text=True).stdout).group(1)
        here = os.path.dirname(os.path.abspath(__file__))
        subprocess.run(["cc", "-O1", "-w", os.path.join(here, "embed.c"), "-o", program, "-ldl", "-Wl,--disable-new-dtags",
                        f"-Wl,--dynamic-linker,{loader},-rpath,{os.path.dirname(library)},--allow-shlib-undefined"] +
                       (["-DLINKED", library] if linked else []), check=True)
    # a copy of a debug or relocated build looks for its standard library where PYTHONHOME says
    return b.run(None, command=[program, how, b.write(source), library, *args], PYTHONHOME=ask(b, "sys.base_prefix"), **kw)
