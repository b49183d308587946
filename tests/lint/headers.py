#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every function that a header declares has a contract, more than its tag, and in the library an effect tag (compat/base.h lists them). One
comment may speak for the declarations that follow it without a blank line; a tag in a comment that begins with dashes, for
all up to the next such. Small inline functions go where their callers go: they carry no tag, and none whose body is one
statement needs a comment. usage: headers.py SOURCE_DIR"""
import os
import re
import sys

FOLDERS = ("compat", "sampler", "writers", "inject")
TAGS = ("handler", "hook", "any", "start", "fork-child")
TAG = re.compile(r"\[(%s)\]" % "|".join(TAGS))
ITEM = re.compile(r"(?P<comment>/\*.*?\*/)|(?P<preprocessor>^[ \t]*\#(?:[^\n]*\\\n)*[^\n]*)|(?P<blank>\n[ \t]*\n)|(?P<text>[^\s])", re.S | re.M)


def declaration(text, at):
    """Where a declaration at `at` ends: behind its ; or the brace that closes its body."""
    depth = 0
    while at < len(text):
        if text.startswith("/*", at):
            at = text.index("*/", at) + 2
            continue
        depth += {"{": 1, "(": 1, "}": -1, ")": -1}.get(text[at], 0)
        at += 1
        if depth == 0 and (text[at - 1] == ";" or (text[at - 1] == "}" and not re.match(r"\s*(\w+\s*)?[;,]", text[at:]))):
            return at
    return at


def function(code):
    """The name of the function that is declared, or None."""
    head = re.sub(r"/\*.*?\*/", " ", code.split("{")[0], flags=re.S)
    head = re.sub(r"__attribute__\(\(.*?\)\)\)?", " ", head)
    if re.match(r"\s*(typedef|struct \w+\s*$|enum)", head) or "(*" in head.split("(")[0] + head[len(head.split("(")[0]):][:2] or "=" in head:
        return None
    m = re.match(r"[\w\s*]*?(\w+)\s*\(", head)
    return m.group(1) if m else None


def problems_of(path, text, is_command):
    paragraph, section, at, known = "", "", 0, set()
    while True:
        m = ITEM.search(text, at)
        if not m:
            return
        at = m.end()
        if m.group("comment"):
            if re.match(r"/\* -{2,}", m.group()):
                section = m.group()
            else:
                paragraph += m.group()
        elif m.group("blank"):
            paragraph = ""
            at -= 1
        elif m.group("text"):
            at = declaration(text, m.start())
            code = text[m.start():at]
            trailing = re.match(r"[ \t]*(/\*.*?\*/)", text[at:], re.S)
            if trailing:
                at += trailing.end()
                said = paragraph + trailing.group()
            else:
                said = paragraph
            name = function(code)
            if not name or name in known:
                continue
            line = text.count("\n", 0, m.start()) + 1
            inline = re.match(r"(SP_SIGSAFE )?(static inline|SP_INLINE)", code)
            if inline and code.count(";") <= 1:
                continue
            known.add(name)
            tag = (TAG.findall(said) or TAG.findall(section) or [None])[-1]
            if not re.search("[a-z]", TAG.sub("", said)) and not (not said and TAG.search(section) and not inline):
                yield f"{path}:{line}: {name} has no contract"
            elif not inline and not is_command and not tag:
                yield f"{path}:{line}: {name} has no effect tag"
            elif not inline and not is_command and ("SP_SIGSAFE" in code) != (tag == "handler"):
                yield f"{path}:{line}: {name}: [handler] and SP_SIGSAFE go together"


def main(root):
    found = []
    for folder in FOLDERS:
        for where, _, names in os.walk(os.path.join(root, folder)):
            for name in sorted(n for n in names if n.endswith(".h")):
                full = os.path.join(where, name)
                path = os.path.relpath(full, root)
                found += problems_of(path, open(full, encoding="utf-8").read(), path.startswith("inject/command/"))
    print(*found, sep="\n")
    print(f"{len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
