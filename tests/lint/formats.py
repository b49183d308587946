# SPDX-License-Identifier: MIT
"""What is called through pointers in the output formats, as their sources say: those that writers/writer.c lists, and the views
that call back."""
import glob
import os
import re

EMIT = r"void \*\w+, uint32_t \w+, uint64_t \w+"  # sp_view_emit


def text_of(path):
    with open(path, encoding="utf-8") as f:
        return re.sub(r'/\*.*?\*/|"(\\.|[^"\\])*"', "", f.read(), flags=re.S)


def functions(text):
    """name -> (what it returns, its parameters) of those that a text defines."""
    found = re.finditer(r"^(?:SP_SIGSAFE )?(?:static )?((?:\w+ )+\**)(\w+)\(([^;{}]*)\)\n\{", text, re.M)
    return {m.group(2): (m.group(1).strip(), " ".join(m.group(3).split())) for m in found}


def handed_on(text):
    """Those of them that stand somewhere as a value."""
    return {name: how for name, how in functions(text).items() if re.search(rf"(?<![\w.]){name}\b(?!\s*\()", text)}


def files(source):
    listed = re.findall(r"&sp_writer_(\w+)", text_of(os.path.join(source, "writers", "writer.c")))
    assert listed, "writers/writer.c lists no format"
    return [os.path.join(source, "writers", f"{name}.c") for name in listed]


def own(source):
    """Functions of the formats' own files."""
    return {name for path in files(source) for name in functions(text_of(path))}


def roots(source):
    """Functions of them that others call by a pointer."""
    return {name for path in files(source) for name in handed_on(text_of(path))}


def by_kind(source):
    """(what writes, what gets entries, what tells their size) in all of writers/."""
    found = {}
    for path in sorted(glob.glob(os.path.join(source, "writers", "*.c"))):
        found.update(handed_on(text_of(path)))
    write = sorted(name for name, (_, takes) in found.items() if takes.startswith("const struct sp_profile *"))
    emit = sorted(name for name, (_, takes) in found.items() if re.fullmatch(EMIT, takes))
    size = sorted(name for name, (returns, takes) in found.items() if returns == "uint64_t" and takes.startswith("void *"))
    return write, emit, size
