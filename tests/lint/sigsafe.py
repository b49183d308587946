#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Proves from object files that what may run in the signal handler stays among what may.

Code marked SP_SIGSAFE lies in the section .text.sp_sigsafe. Every relocation in it must lead to the section
itself, to data, to a symbol that is defined in the section of another object, or to a name on the allow-list.
Calls through registers and memory are allowed only in the functions listed in INDIRECT, each with its reason.
Tables of functions that the handler calls through (SP_SIGSAFE_TABLE) may hold marked functions only.

usage: sigsafe.py OBJECT...
"""
import re
import subprocess
import sys

SECTION = ".text.sp_sigsafe"
TABLE = ".data.rel.ro.sp_sigsafe"

# libc functions that are plain code, bound at load time (-z now): no lock, no allocation.
ALLOWED = {
    "memcpy": "plain code", "memset": "plain code", "memcmp": "plain code", "memmove": "plain code",
    "bcmp": "plain code, clang's memcmp",
    "clock_gettime": "vDSO",
}
# function -> why it may call through a pointer
INDIRECT = {
    "sp_handler": "sp_handler_foreign: the foreign signal belongs to the program",
    **dict.fromkeys(["tick", "sample", "take_sample", "settle_sent", "owner_of", "sp_sample_take", "sp_handler_taken", "sp_handler_is_tick",
                     "sp_engine_start", "sp_engine_stop", "sp_engine_ticks", "adopt", "sp_adopt_scan", "look_at_unhooked", "init_region",
                     "start_child", "child_ticks", "sp_recording_begin_child", "sp_session_is_own_process", "sp_identity_copy"],
                    "engine, held by SP_SIGSAFE_TABLE; tick: the fork child's start is marked"),
    "sp_walk_stack": "walkers, held by SP_SIGSAFE_TABLE",
    "sp_os_each_thread": "callback: adopt only, which is marked",
    "sp_py_own_tstate": "pthread_getspecific where it is a plain load (musl); from 3.15 on CPython's own load from TLS",
    "kept_tstate": "the same, when it is not inlined",
    "sp_elf_loader_finds": "_dl_find_object, which takes no lock (glibc, elf/dl-find_object.c)",
    "sp_module_at": "the same, inlined",
    "sp_os_each_mapping_by": "callback: note_mapping in the handler, which is marked",
    "fill": "the same, inlined",
    "fault": "back to sp_os_beside_try(), in a process beside the program",
}


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Object:
    def __init__(self, path):
        self.path = path
        self.sections, self.symbols, self.functions = {}, {}, []
        for line in run("readelf", "-SW", path).splitlines():
            m = re.match(r"\s*\[\s*(\d+)\]\s+(\S+)", line)
            if m:
                self.sections[m.group(1)] = m.group(2)
        for line in run("readelf", "-sW", path).splitlines():
            f = line.split()
            if len(f) < 7 or not f[0].rstrip(":").isdigit():
                continue
            value, size, kind, section = int(f[1], 16), int(f[2], 0), f[3], f[6]
            name = f[7].split("@")[0] if len(f) > 7 else ""
            where = self.sections.get(section, section)
            if kind == "SECTION":
                name = where
            self.symbols.setdefault(name, where)
            if kind == "FUNC" and where == SECTION:
                self.functions.append((value, value + size, name))

    def function_at(self, offset):
        return next((n for a, b, n in self.functions if a <= offset < b), "?")

    def relocations(self, section):
        inside = False
        for line in run("readelf", "-rW", self.path).splitlines():
            m = re.match(r"Relocation section '\.rela?(\S+)'", line)
            if m:
                inside = m.group(1) == section
            elif inside and re.match(r"[0-9a-f]{8,}", line):
                f = line.split()
                if len(f) >= 5:
                    yield int(f[0], 16), f[2], f[4].split("@")[0], " ".join(f[5:])


def is_data(section):
    return section.startswith((".rodata", ".data", ".bss", ".tbss", ".tdata", "COM")) or section == "COM"


def main(paths):
    objects = [Object(p) for p in paths]
    marked = {n for o in objects for n, where in o.symbols.items() if where == SECTION}
    defined = {n: where for o in objects for n, where in o.symbols.items() if where not in ("UND", "ABS")}
    problems, n_functions = [], 0

    for o in objects:
        n_functions += len(o.functions)
        for offset, kind, target, _ in o.relocations(SECTION):
            where = o.symbols.get(target, "UND")
            if where in ("UND", "COM"):
                where = defined.get(target, "UND")
            ok = (where in (SECTION, TABLE) or is_data(where) or target in marked or target in ALLOWED
                  or target == "_GLOBAL_OFFSET_TABLE_")
            if not ok:
                problems.append(f"{o.path}: {o.function_at(offset)} refers to {target} ({where}), which is not marked")
        for offset, kind, target, addend in o.relocations(TABLE):
            where = o.symbols.get(target, "UND")
            if where.startswith(".text") and where != SECTION:
                problems.append(f"{o.path}: a handler's table holds {target} ({where}), which is not marked")
        function = "?"
        for line in run("objdump", "-d", "--no-show-raw-insn", "-j", SECTION, o.path).splitlines() \
                if o.functions else []:
            m = re.match(r"[0-9a-f]+ <(.+)>:", line)
            if m:
                function = m.group(1)
            elif re.search(r"\t(call|jmp)\s+\*|\tblr\s|\tbr\s", line) and function not in INDIRECT:
                problems.append(f"{o.path}: {function} calls through a pointer: {line.strip()}")

    for p in problems:
        print(p)
    if n_functions < 10 and len(paths) > 5:
        problems.append("too few marked functions")
        print(f"only {n_functions} marked functions found: is the section's name still {SECTION}?")
    print(f"{n_functions} marked functions in {len(paths)} objects, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
