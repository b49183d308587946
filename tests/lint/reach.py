#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What fork handlers and the writer of a dying process can reach, by the library's machine code: from each root below
through every direct call. They may use system calls and the libc functions listed here, all of which are plain code: a
lock, an allocation or stdio there can hang a child or a crash for ever.

usage: reach.py LIBSPPROF_SO SOURCE_DIR
"""
import re
import subprocess
import sys

import formats

# What is called through sp_engine.
ENGINE = [*("sp_engine_cpu_" + f for f in ("open", "owns", "start", "counts", "pause", "resume", "stop", "was_held_back", "is_held_back", "child", "is_here")),
          "rounded_to", "set_interval", "thread_start", "counts", "thread_pause", "thread_resume", "thread_stop", "before_wait", "after_wait"]
# Every way in: fork handlers, handlers of signals, and what the writer calls through a pointer, beside what the formats say.
ROOTS = ["before_fork", "after_fork_in_parent", "after_fork_in_child", "start_child", "sp_handler", *ENGINE,
         "standin", "foreign", "relay",
         "sp_lifecycle_finish", "write_here", "begin_here", "due", "act", "write_closing", "obey", "serve_beside", "serve_here", "put_thread", "take_sleeper", "do_beside", "enter_beside", "fault", "sp_lifecycle_finish_before_exit", "count_entry",
         "named", "takes_vdso", "keep", "measure_soon", "join", "call_booked", "emit_gil", "sum_gil", "sink_fd", "sp_gzip_sink", "count_entry_of", "count_name", "weigh", "writer_cpu_ns", "sp_identity_thread_name_of",
         "_exit", "_Fork", "sigaction", "signal",
         "execve", "sigprocmask", "pthread_sigmask",
         # of spprof.h, which signal handlers may call
         "spprof_start", "spprof_stop", "spprof_is_active", "spprof_stats", "spprof_snapshot", "spprof_span_begin", "spprof_span_end", "spprof_version",
         "open_here", "close_here", "close_ended", "look_here", "write_wanted", "append"]
# libc functions that touch nothing but their arguments, or are bare system calls
PLAIN = {"memcpy", "memset", "memcmp", "memmove", "bcmp", "memchr", "strlen", "strnlen", "strcmp", "strncmp", "strchr", "strrchr", "strcspn",
         "strspn", "sigfillset", "sigemptyset", "sigaddset", "sigdelset", "sigismember", "clock_gettime", "__errno_location",
         "__stack_chk_fail"}
# function -> why it may call through a pointer, or what is behind it
INDIRECT = {
    "sp_handler": "see sigsafe.py", "sp_walk_stack": "see sigsafe.py", "sp_sample_take": "see sigsafe.py", "sp_os_each_thread": "see sigsafe.py",
    **dict.fromkeys(["tick", "sample", "take_sample", "settle_sent", "owner_of", "sp_handler_taken", "sp_handler_is_tick", "sp_engine_start",
                     "sp_engine_stop", "sp_engine_ticks", "adopt", "sp_adopt_scan", "look_at_unhooked", "init_region", "start_child", "child_ticks",
                     "await_python", "after_fork_in_child", "sp_recording_begin_child", "sp_session_is_own_process", "sp_session_is_running",
                     "sp_session_region", "pause_ticks", "take_ticks", "sp_hook_pending_hold", "sp_hook_pending_let_go", "sp_handler_freeze"], "engine"),
    "change_mask": "libc's own sigprocmask, a system call", "change_believed": "the same",
    "sp_hook_pending_change_mask": "the same, and the engine", "write_to": "a format's write() is a root",
    "sp_writer_write": "a format's write() is a root", **dict.fromkeys(["sp_gzip_sink", "sp_gzip_finish", "put_block", "put_head"], "sink"),
    "sp_os_each_entry": "count_entry_of, count_name and weigh are roots",
    "write_somewhere": "writer", "sp_output_publish": "writer", "publish_as": "writer", "write_beside": "writer", "sp_output_write": "writer", "write_temporary": "writer",
    "sp_out_mem": "sink: sink_fd is a root", "sp_out_finish": "sink", "flush": "sink", "sp_out_str": "sink", "sp_out_u64": "sink",
    "sp_out_i64": "sink", "sp_out_char": "sink", "sp_hook_mask_pass_on": "engine",
    "thread_name": "sp_identity_thread_name_of is a root", "sp_names_profile": "the same",
    "put_cpu": "writer_cpu_ns is a root", "sp_meta_write": "the same", "each_of_thread": "emit", "each_of_profile": "emit",
    "measure_one": "entry_bytes is a root", "measure_soon": "the same", "measure_all": "the same", "measure_profile": "the same",
    "count_entry": "the same", "fits_taken_in": "the same",
    "join": "emit functions of the formats and view_bound.c are roots", "sp_view_bound": "entry_bytes is a root",
    "sp_view_each_sum": "emit", "flush_window": "emit", "flush_run": "emit",
    "sp_view_each_gil": "emit", "emit_gil": "emit", "sp_view_each_entry": "emit", "sp_view_each_stack": "emit",
    **dict.fromkeys(["sp_turn_call", "sp_lifecycle_finish", "sp_lifecycle_begin", "due", "write_in_place", "do_beside", "enter_beside", "sp_os_beside", "sp_turn_hand_over", "sp_doorbell_answer", "obey_if_allowed"], "write_here, begin_here, act, write_closing, obey, serve_beside and serve_here are roots"),
    **dict.fromkeys(["sp_recording_begin", "sp_recording_end", "sp_recording_await", "start_all", "begin_recording", "begin_here", "act", "sp_recording_close", "sp_recording_replace", "begin_as_always", "begin_anew", "close_now", "sp_schedule_obey", "obey"], "engine"),
    "write_all": "write_wanted is a root", "write_cut": "the same, inlined",
    "sp_lifecycle_fork_bare": "libc's own _Fork, which calls no handlers", "die": "finish: sp_lifecycle_finish is a root", "foreign": "the program's own handler", "relay": "the same", "sp_py_own_tstate": "see sigsafe.py", "kept_tstate": "see sigsafe.py",
    "put_stack": "see sigsafe.py", "take": "the same, inlined", "take_own": "the same, inlined", "fault": "back to sp_os_beside_try()",
    "sp_os_beside_try": "take_sleeper is a root",
    "sp_elf_loader_finds": "glibc's _dl_find_object, which takes no lock",
    "sp_os_each_mapping_by": "note_mapping and takes_name, which are SP_SIGSAFE; takes_vdso is a root",
    "name_by_table": "writers/symbols.c's named is a root",
    "sp_py_touch": "CPython's load from thread-local storage",
}
# function -> why what it reaches beyond is not followed
STOPS = {
    "sp_real_find_missing": "before our constructor ran; afterwards by system calls alone",
    "sp_hook_python_sets_signal": "asks CPython only where PyOS_setsig() calls in Py_FinalizeEx(), which is no signal's handler",
}


# What locks the loader: a hook must not call it, for the constructor of a library holds that lock while it waits for a thread.
LOADER = {"dlsym", "dlvsym", "dlopen", "dlclose", "dlmopen", "dlinfo", "dladdr", "dladdr1", "dl_iterate_phdr"}
# ... and where threads come to us otherwise
THREADS = ["run", "run_c11", "notify", "thread_ends"]
ALLOWED = {
    "sp_real_find_missing": "before our constructor ran; afterwards by system calls alone",
    "sp_real_find_all": "before our constructor ran",
    "sp_real_find_in_process": "of a CPython that is linked in, in the constructor",
    "sp_real_keep_library": "in dlclose, which locks the loader itself",
}


def graph(library):
    calls, libc, indirect, function = {}, {}, set(), None
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", library], check=True, capture_output=True, text=True).stdout
    for line in text.splitlines():
        m = re.match(r"[0-9a-f]+ <(.+)>:", line)
        if m:
            function = m.group(1).split("@@")[0]
            calls.setdefault(function, set())
            continue
        m = re.search(r"\t(call|jmp|j\w+|lea|bl?|b\.\w+|cbn?z|tbn?z|blr|br)\s+(.*)", line)
        if not m or function is None:
            continue
        operation, operand = m.groups()
        if operation in ("blr", "br"): # aarch64, through a register
            indirect.add(function)
            continue
        target = re.search(r"<([^>+]+)(\+0x[0-9a-f]+)?>", operand)
        if operation == "lea" or (operation not in ("call", "jmp") and not target):
            continue
        if operand.startswith("*"):
            got = re.search(r"# [0-9a-f]+ <([^@>]+)@", operand)
            if got:
                libc.setdefault(function, set()).add(got.group(1))
            else:
                indirect.add(function)
        elif target:
            name = target.group(1)
            if name.endswith("@plt"):
                libc.setdefault(function, set()).add(name[:-4])
            elif name.split("@@")[0] != function:
                calls[function].add(name.split("@@")[0])
    return calls, libc, indirect


def to_the_loader(library, calls, libc, ways_in):
    symbols = subprocess.run(["readelf", "-W", "--dyn-syms", library], check=True, capture_output=True, text=True).stdout
    hooks = re.findall(r"FUNC +GLOBAL +DEFAULT +\d+ (\w+)", symbols)
    todo, seen, problems = [(r, r) for r in hooks + THREADS + ways_in if r in calls], set(), []
    while todo:
        function, path = todo.pop()
        if function in seen or function in ALLOWED:
            continue
        seen.add(function)
        problems += [f"{path} calls {name}" for name in libc.get(function, ()) if name in LOADER and name not in calls]
        todo += [(c, f"{path} > {c}") for c in calls[function]]
    if len(hooks) < 30:
        problems.append(f"only {hooks} are exported")
    return problems


def main(library, source):
    calls, libc, indirect = graph(library)
    of_formats, own = sorted(formats.roots(source)), formats.own(source)
    ways_in = ROOTS + of_formats
    problems, seen = to_the_loader(library, calls, libc, ways_in), {}
    roots = [r for r in ways_in if r in calls]
    if len(roots) < len(ways_in) - 6:
        problems.append(f"only these roots have code of their own: {roots}")
    todo = [(r, r) for r in roots]
    while todo:
        function, path = todo.pop()
        if function in seen or function in STOPS:
            continue
        seen[function] = path
        for name in sorted(libc.get(function, ())):
            if name in calls:  # our own, which the program may stand before in turn
                todo.append((name, f"{path} > {name}"))
            elif name not in PLAIN:
                problems.append(f"{path} calls {name}")
        plain_name = re.sub(r"\.(part|constprop|isra|cold).*", "", function)
        if function in indirect and plain_name not in INDIRECT and plain_name not in own:  # formats call formats back
            hooks = plain_name in ROOTS or path.split(" > ")[-1] in ROOTS
            uses_real = any(c in STOPS for c in calls[function])
            if not (hooks or uses_real):
                problems.append(f"{path} calls through a pointer")
        todo += [(c, f"{path} > {c}") for c in calls[function]]
    for p in problems:
        print(p)
    print(f"formats: {' '.join(of_formats)}")
    print(f"{len(seen)} functions are reached from {len(roots)} roots, {len(problems)} problems")
    return 1 if problems or len(seen) < 60 else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
