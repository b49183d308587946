#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How much stack our handlers can take, beside the frame that the kernel puts there: from the sizes that gcc noted
(-fstack-usage) along the deepest path of calls in the library's machine code. A handler may stand on the stack of a goroutine's
thread or of a fibre, the writer has a stack of its own; what each may use is said in the sources.

usage: stack.py LIBSPPROF_SO BUILD_DIRECTORY SOURCE_DIRECTORY
"""
import glob
import os
import re
import subprocess
import sys

import formats

LIBGCC = {"__udivti3"}  # functions of the compiler's own library in ours
LIBC = 400  # most that a function of libc or the vDSO takes among those that are called: measured with gdb
ENGINE = [*("sp_engine_cpu_" + f for f in ("open", "owns", "start", "counts", "pause", "resume", "stop", "was_held_back", "is_held_back", "child", "is_here")),
          "rounded_to", "set_interval", "thread_start", "counts", "thread_pause", "thread_resume", "thread_stop"]
UNWIND = 1050  # most that a walk of native frames takes beside
WRITE, EMIT, BYTES = formats.by_kind(sys.argv[3])
# function -> what it calls through a pointer; a function that is not listed: EMIT
THROUGH_POINTERS = {
    "sp_handler": ["foreign", "child_ticks", "due", *ENGINE], "tick": ["child_ticks", "due", *ENGINE],
    **dict.fromkeys(["sample", "take_sample", "sp_sample_take", "sp_handler_taken", "sp_handler_is_tick", "sp_handler_freeze",
                     "sp_engine_start", "sp_engine_stop", "sp_engine_ticks", "init_region", "await_python", "after_fork_in_child",
                     "sp_recording_begin_child", "sp_session_is_own_process", "sp_session_is_running", "sp_session_region",
                     "look_at_unhooked", "pause_ticks", "install", "sp_hook_signal_is_managed"], ENGINE),
    **dict.fromkeys(["measure_one", "measure_soon", "measure_profile", "measure_all", "fits_taken_in", "sp_view_bound"], BYTES),
    "count_entry": BYTES, **dict.fromkeys(["sp_names_profile", "thread_name"], ["sp_identity_thread_name_of"]),
    **dict.fromkeys(["each_of_thread", "each_of_profile"], ["measure_soon", "join", "call_booked"]),
    "call_booked": ["measure_soon", "join"], "sp_view_each_gil": ["emit_gil"], "emit_gil": ["sum_gil"], "sp_walk_stack": ["walk"], "sp_os_each_thread": ["adopt"],
    "sp_os_each_entry": ["count_entry_of", "count_name", "weigh"], "sp_os_each_mapping": ["is_named", "reaches"], "sp_os_each_mapping_by": ["note_mapping"],
    "sp_elf_loader_finds": ["dlsym@plt"], "die": ["sp_lifecycle_finish"],
    # on a stack of their own: write_here, act, begin_here, write_closing, obey, serve_beside, serve_here
    **dict.fromkeys(["sp_turn_call", "sp_turn_hand_over", "sp_os_beside", "sp_lifecycle_finish", "sp_lifecycle_begin", "due", "write_in_place",
                     "obey_if_allowed"], []),
    "sp_doorbell_answer": ["child_ticks"], "ring": ["child_ticks"], **dict.fromkeys(["put_stack", "take", "take_own"], ["walk"]),
    "sp_os_beside_try": ["take_sleeper"],
    **dict.fromkeys(["sp_recording_begin", "begin_recording", "begin_here", "act", "sp_recording_close", "sp_recording_replace",
                     "begin_as_always", "begin_anew", "close_now", "sp_schedule_obey", "obey"], ENGINE),
    "foreign": [], "relay": [],  # the program's handler, on the stack that it asked for
    "kept_tstate": ["pthread_getspecific@plt"], "sp_py_own_tstate": ["pthread_getspecific@plt"],
    **dict.fromkeys(["flush", "sp_out_mem", "sp_out_finish"], ["sink_fd", "sp_gzip_sink"]),
    **dict.fromkeys(["sp_gzip_sink", "sp_gzip_finish", "put_block", "put_head"], ["sink_fd"]),
    **dict.fromkeys(["write_to", "write_temporary", "sp_writer_write"], WRITE), "name_by_table": ["named"], "put_cpu": ["writer_cpu_ns"],
    "put_identity": ["writer_cpu_ns"], "thread_name": ["sp_identity_thread_name_of"], "sp_names_profile": ["sp_identity_thread_name_of"],
    **dict.fromkeys(["adopt", "sp_adopt_scan", "start_child", "child_ticks"], ENGINE),
    **dict.fromkeys(["set_default", "install_sigprof", "install_standin", "sp_hook_signal_is_ours", "die_on_return"], ["sigaction@plt"]),
}
# ... and what is not followed: what a handler calls of libc was found at start
STOPS = {"sp_real_find_missing"}


def sizes(build):
    found = {}
    for path in glob.glob(os.path.join(build, "*", "CMakeFiles", "*.dir", "*.su")):
        with open(path) as f:
            for line in f:
                where, size, kind = line.rsplit("\t", 2)
                name = re.sub(r"\.\d+$", "", where.split(":", 3)[3])
                bounded = kind.strip() != "dynamic"
                found[name] = max(found.get(name, 0), int(size) if bounded else 1 << 30)
    return found


def graph(library):
    calls, indirect, function = {}, set(), None
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", library], check=True, capture_output=True, text=True).stdout
    for line in text.splitlines():
        m = re.match(r"[0-9a-f]+ <(.+)>:", line)
        if m:
            function = m.group(1).split("@@")[0]
            calls.setdefault(function, set())
            continue
        m = re.search(r"\t(call|jmp|j\w+|bl?|b\.\w+|cbn?z|tbn?z|blr|br)\s+(.*)", line)
        if not m or function is None:
            continue
        target = re.search(r"<([^>+@]+)(@plt)?(@@[^>]*)?>", m.group(2))
        if m.group(2).startswith("*") or m.group(1) in ("blr", "br"):
            indirect.add(function)
        elif target and target.group(1) != function:
            calls[function].add(target.group(1) + (target.group(2) or ""))
    return calls, indirect


class Depths:
    def __init__(self, library, build):
        self.sizes = sizes(build)
        self.calls, self.indirect = graph(library)
        self.known, self.problems = {}, []

    def callees(self, name):
        plain = re.sub(r"\.(part|constprop|isra|cold).*", "", name)
        if plain in STOPS:
            return []
        through = THROUGH_POINTERS.get(plain)
        if name in self.indirect and through is None:
            through = EMIT
        return sorted(self.calls.get(name, ())) + [f for f in through or [] if f in self.calls or f.endswith("@plt")]

    def deepest(self, name, path=()):
        """-> bytes, names on the way."""
        if name in path:
            self.problems.append(" > ".join([*path, name]) + ": calls itself")
            return 0, []
        if name.endswith("@plt") or name in LIBGCC:
            return LIBC, [name]
        if name not in self.known:
            below, way = max((self.deepest(c, (*path, name)) for c in self.callees(name)), default=(0, []))
            size = self.sizes.get(re.sub(r"\.\d+$", "", name))
            if size is None and not name.endswith(".cold"):
                self.problems.append(f"{name}: gcc noted no size")
            self.known[name] = (size or 0) + below, [f"{name} {size or 0}", *way]
        return self.known[name]


def constant(source, path, name):
    with open(os.path.join(source, path)) as f:
        return int(re.search(rf"#define {name} (\d+)", f.read()).group(1))


def main(library, build, source):
    if not glob.glob(os.path.join(build, "inject", "CMakeFiles", "*.dir", "*.su")):
        print("built by a compiler that notes no stack sizes")
        return 77
    depths = Depths(library, build)
    room = constant(source, "sampler/handler.h", "SP_HANDLER_BYTES")
    writer = constant(source, "inject/turn.c", "WRITER_STACK_BYTES")
    failed = 0
    for root, most in (("sp_handler", room), ("standin", room), ("relay", room), ("write_here", writer // 2), ("act", writer // 2), ("begin_here", writer // 2), ("write_closing", writer // 2), ("obey", writer // 2), ("serve_beside", writer // 2), ("serve_here", writer // 2), ("put_thread", writer // 2), ("sp_unwind", UNWIND)):
        used, way = depths.deepest(root)
        print(f"{root}: {used} of {most} bytes: {' > '.join(way)}")
        failed += used > most
    for f in ("sp_walk_stack", "write_file", "sp_view_bound", "sp_meta_write"): # what hangs on a pointer's entry above
        if f not in depths.known:
            print(f"{f}: not reached")
            failed += 1
    for p in depths.problems:
        print(p)
    return 1 if failed or depths.problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
