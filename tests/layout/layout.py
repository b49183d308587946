#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares every offset that the walkers use with CPython's own headers: generates a C probe, compiles it against an
include directory, and reads the numbers.

layout.py CC DUMP PYTHON             the headers of an interpreter; from 3.14 on also as a free-threaded build has them
layout.py --releases DUMP FILE       the offsets of past releases (tests/layout/releases.txt)
layout.py --row CC INCLUDE [t]       prints a line for that file; t: as a free-threaded build has them

DUMP prints the table of compat/py_layouts.c: MINOR FREE_THREADED FIELD VALUE.
"""
import os
import re
import struct
import subprocess
import sys
import tempfile


GIL_FIELDS = {"interp_gil", "gil_last_holder", "gil_locked"}
NEW_FIELDS = GIL_FIELDS | {"ts_cframe"}  # releases.txt is older


def expressions(minor, free_threaded):
    """Field of struct sp_py_layout -> what it is in C. Fields that the version lacks are not in it."""
    frame = "PyFrameObject" if minor <= 10 else "_PyInterpreterFrame"
    e = {
        "ob_type": "offsetof(PyObject, ob_type)", "ob_size": "offsetof(PyVarObject, ob_size)",
        "tp_dealloc": "offsetof(PyTypeObject, tp_dealloc)",
        "uni_length": "offsetof(PyASCIIObject, length)", "uni_state": "offsetof(PyASCIIObject, state)",
        "uni_ascii": "sizeof(PyASCIIObject)", "uni_compact": "sizeof(PyCompactUnicodeObject)",
        "bytes_data": "offsetof(PyBytesObject, ob_sval)",
        "ts_interp": "offsetof(PyThreadState, interp)", "ts_thread_id": "offsetof(PyThreadState, thread_id)",
        "ts_frame": "offsetof(PyThreadState, %s)" % ("frame" if minor <= 10 else "cframe" if minor <= 12 else "current_frame"),
        "ts_root_cframe": "offsetof(PyThreadState, root_cframe)", "ts_chunk": "offsetof(PyThreadState, datastack_chunk)",
        "cframe_frame": "offsetof(_PyCFrame, current_frame)", "ts_cframe": "offsetof(PyThreadState, cframe)",
        "fr_previous": f"offsetof({frame}, %s)" % ("f_back" if minor <= 10 else "previous"),
        "fr_code": f"offsetof({frame}, %s)" % ("f_code" if minor <= 12 else "f_executable"),
        "fr_instr": f"offsetof({frame}, %s)" % ("f_lasti" if minor <= 10 else "prev_instr" if minor <= 12 else "instr_ptr"),
        "fr_owner": f"offsetof({frame}, owner)", "fr_is_entry": f"offsetof({frame}, is_entry)",
        "fr_locals": f"offsetof({frame}, %s)" % ("f_localsplus" if minor <= 10 else "localsplus"),
        "fr_bytes": f"sizeof({frame})",
        "co_filename": "offsetof(PyCodeObject, co_filename)",
        "co_name": "offsetof(PyCodeObject, %s)" % ("co_name" if minor <= 10 else "co_qualname"),
        "co_first_line": "offsetof(PyCodeObject, co_firstlineno)", "co_flags": "offsetof(PyCodeObject, co_flags)",
        "co_lines": "offsetof(PyCodeObject, %s)" % ("co_lnotab" if minor == 9 else "co_linetable"),
        "co_code": "offsetof(PyCodeObject, %s)" % ("co_code" if minor <= 10 else "co_code_adaptive"),
        "co_locals": "offsetof(PyCodeObject, co_nlocalsplus)", "co_stack": "offsetof(PyCodeObject, co_stacksize)",
        "co_frame_words": "offsetof(PyCodeObject, co_framesize)",
        "rt_tstate_current": "offsetof(_PyRuntimeState, gilstate.tstate_current)",
        "rt_tss_key": "offsetof(_PyRuntimeState, %s)" % ("gilstate.autoTSSkey" if minor <= 11 else "autoTSSkey"),
        "rt_interp_head": "offsetof(_PyRuntimeState, interpreters.head)",
        "rt_interp_main": "offsetof(_PyRuntimeState, interpreters.main)",
        "rt_finalizing": "offsetof(_PyRuntimeState, _finalizing)",
        "interp_next": "offsetof(PyInterpreterState, next)",
        "interp_id": "offsetof(PyInterpreterState, id)",
        "interp_ending": "offsetof(PyInterpreterState, finalizing)",
        "interp_builtins": "offsetof(PyInterpreterState, builtins)", "uni_kind_bit": "bit_of(kind)",
        "fr_tlbc": f"offsetof({frame}, tlbc_index)", "co_tlbc": "offsetof(PyCodeObject, co_tlbc)",
        "ts_task": "offsetof(_PyThreadStateImpl, asyncio_running_task)",
        "interp_gil": "offsetof(PyInterpreterState, ceval.gil)",
        "gil_last_holder": "offsetof(struct _gil_runtime_state, last_holder)",
        "gil_locked": "offsetof(struct _gil_runtime_state, locked)",
    }
    absent = set() if minor >= 14 and free_threaded else {"fr_tlbc", "co_tlbc"}
    if minor < 14 or free_threaded:
        absent |= {"ts_task"}  # and what lies behind: the task's own fields are in no header
    if minor != 10:
        absent |= {"ts_cframe"}
    if minor < 11:
        absent |= {"ts_root_cframe", "ts_chunk", "cframe_frame", "fr_owner", "fr_bytes", "co_locals", "co_stack"}
    if minor != 11:
        absent |= {"fr_is_entry", "co_locals", "co_stack"}
    if minor < 12:
        absent |= {"co_frame_words", "interp_ending"} | GIL_FIELDS
    else:
        absent |= {"rt_tstate_current"}
    if minor >= 13:
        absent |= {"ts_root_cframe", "cframe_frame", "interp_builtins"}
    if minor >= 15:
        absent |= {"rt_tss_key"}
    return {f: c for f, c in e.items() if f not in absent}


# index of the word -> what it describes, in struct _Py_DebugOffsets
WORDS = {"finalizing": "runtime_state.finalizing", "interp_head": "runtime_state.interpreters_head",
         "interp_next": "interpreter_state.next", "ts_interp": "thread_state.interp", "ts_frame": "thread_state.current_frame",
         "ts_thread_id": "thread_state.thread_id", "ts_chunk": "thread_state.datastack_chunk",
         "fr_previous": "interpreter_frame.previous", "fr_code": "interpreter_frame.executable",
         "fr_instr": "interpreter_frame.instr_ptr", "fr_locals": "interpreter_frame.localsplus",
         "fr_owner": "interpreter_frame.owner", "fr_tlbc": "interpreter_frame.tlbc_index", "co_filename": "code_object.filename",
         "co_name": "code_object.qualname", "co_lines": "code_object.linetable", "co_first_line": "code_object.firstlineno",
         "co_code": "code_object.co_code_adaptive", "co_tlbc": "code_object.co_tlbc", "ob_type": "pyobject.ob_type"}


def words(minor):
    """Fields of the row's `debug` -> what they are in C: from 3.13 on."""
    return {f"debug.{f}": f"offsetof(struct _Py_DebugOffsets, {path}) / 8" for f, path in WORDS.items()
            if minor >= (14 if f.endswith("tlbc") else 13)}


def relations(minor, free_threaded, row):
    """What the walkers rely on beside the table: name -> (what it is in C, value)."""
    r = {"key_in_tss": ("offsetof(Py_tss_t, _key)", 4), "base_behind_dealloc":
         ("offsetof(PyTypeObject, tp_base) - offsetof(PyTypeObject, tp_dealloc)", 208),
         "basicsize_before_dealloc": ("offsetof(PyTypeObject, tp_dealloc) - offsetof(PyTypeObject, tp_basicsize)", 16),
         "compact_behind_kind": ("bit_of(compact) - bit_of(kind)", 3), "ascii_behind_kind": ("bit_of(ascii) - bit_of(kind)", 4)}
    if minor >= 11:
        r.update({"top_after_chunk": ("offsetof(PyThreadState, datastack_top) - offsetof(PyThreadState, datastack_chunk)", 8),
                  "chunk_size": ("offsetof(_PyStackChunk, size)", 8), "chunk_data": ("offsetof(_PyStackChunk, data)", 24),
                  "owner_thread": ("FRAME_OWNED_BY_THREAD", 0), "owner_generator": ("FRAME_OWNED_BY_GENERATOR", 1),
                  "specials": ("FRAME_SPECIALS_SIZE * 8", row["fr_locals"]),
                  "frame_obj": ("offsetof(_PyInterpreterFrame, frame_obj)", row["fr_previous" if minor == 11 else "fr_instr"] - 8)})
    if minor >= 12:
        r["main_thread"] = ("offsetof(_PyRuntimeState, main_thread)", row["rt_interp_main"] + 16)
        r["owner_shim"] = ("FRAME_OWNED_BY_CSTACK" if minor <= 13 else "FRAME_OWNED_BY_INTERPRETER", 3)
        r["int_tag"] = ("offsetof(PyLongObject, long_value.lv_tag)", row["ob_size"])
        r["int_digits"] = ("offsetof(PyLongObject, long_value.ob_digit)", row["ob_size"] + 8)
    if not free_threaded:  # compat/py_thread_name.c
        r.update({"dict_keys": ("offsetof(PyDictObject, ma_keys)", 32), "dict_values": ("offsetof(PyDictObject, ma_values)", 40)})
    if minor >= 11 and not free_threaded:
        r.update({f"dk_{f}": (f"offsetof(PyDictKeysObject, dk_{f})", v) for f, v in
                  (("log2_index_bytes", 9), ("kind", 10), ("nentries", 24), ("indices", 32))})
        r.update({"general_keys": ("DICT_KEYS_GENERAL", 0), "values": ("offsetof(PyDictValues, values)", 8 if minor >= 13 else 0),
                  "entry": ("sizeof(PyDictKeyEntry)", 24), "unicode_entry": ("sizeof(PyDictUnicodeEntry)", 16)})
    if minor >= 13:  # compat/py_tstate.c
        d = "offsetof(struct _Py_DebugOffsets, {}) / 8".format
        r["threads_behind_next"] = (f"{d('interpreter_state.threads_head')} - {d('interpreter_state.next')}", 1)
        r["next_before_interp"] = (f"{d('thread_state.interp')} - {d('thread_state.next')}", 1)
    if minor >= 13 and not free_threaded:
        r["valid"] = ("offsetof(PyDictValues, valid)", 3)
    if minor == 13 and free_threaded:
        r.update({"valid": ("offsetof(PyDictValues, valid)", 3), "values": ("offsetof(PyDictValues, values)", 8), "state_behind_interp":
                  ("offsetof(PyThreadState, state) - offsetof(PyThreadState, interp)", 24), "attached": ("_Py_THREAD_ATTACHED", 1)})
    if minor >= 13:
        r["builtins_word"] = ("offsetof(_Py_DebugOffsets, interpreter_state.builtins) / 8", 13 if minor == 13 else 14)
        r["no_monitoring"] = ("CO_NO_MONITORING_EVENTS", 0x2000000)
    if minor >= 14 and free_threaded:
        r["copies"] = ("offsetof(_PyCodeArray, entries)", 8)
        r["copy_number"] = ("sizeof(((_PyInterpreterFrame *)0)->tlbc_index)", 4)
    return r


def compiled(cc, include, minor, free_threaded, wanted):
    """Evaluates C expressions against the headers in `include`: name -> value."""
    source = "#define Py_BUILD_CORE 1\n" + "#define Py_GIL_DISABLED 1\n" * (free_threaded and minor >= 14)
    for h in ["stddef.h", "stdio.h", "string.h", "Python.h", "frameobject.h", "internal/pycore_runtime.h", "internal/pycore_pystate.h",
              "internal/pycore_interp.h"] + ["internal/pycore_frame.h", "internal/pycore_code.h", "internal/pycore_dict.h"] * (minor >= 11) + [
              "internal/pycore_interpframe_structs.h", "internal/pycore_interpframe.h", "internal/pycore_tstate.h"] * (minor >= 14):
        source += f"#include <{h}>\n"
    source += """#define bit_of(field) ({ PyASCIIObject u; unsigned s; memset(&u, 0, sizeof u); u.state.field = 1; \\
        memcpy(&s, &u.state, sizeof s); __builtin_ctz(s); })
int main(void) {
"""
    source += "".join(f'    printf("{f} %zu\\n", (size_t)({c}));\n' for f, c in wanted.items()) + "    return 0;\n}\n"
    with tempfile.TemporaryDirectory() as tmp:
        c, exe = os.path.join(tmp, "probe.c"), os.path.join(tmp, "probe")
        with open(c, "w") as f:
            f.write(source)
        subprocess.run([cc, "-w", "-I", include, "-I", os.path.join(include, "internal"), "-idirafter", os.path.dirname(include),
                        c, "-o", exe], check=True)
        out = subprocess.run([exe], capture_output=True, text=True, check=True).stdout
    return {f: int(v) for f, v in (line.split() for line in out.splitlines())}


def table(dump):
    rows = {}
    for line in subprocess.run([dump], capture_output=True, text=True, check=True).stdout.splitlines():
        minor, t, field, value = line.split()
        rows.setdefault((int(minor), t == "1"), {})[field] = int(value)
    return rows


def differences(what, row, real, absent):
    bad = [f"{what} {f}: the table has {row.get(f)}, the headers {real[f]}" for f in real if row.get(f) != real[f]]
    bad += [f"{what} {f}: this version has no such field" for f in absent if row[f] != 0]
    for line in bad:
        print("FAIL", line)
    return len(bad)


TASK_FIELDS = {"task_bytes", "task_name"}


def compare_headers(cc, row, include, minor, free_threaded):
    wanted, extra = {**expressions(minor, free_threaded), **words(minor)}, relations(minor, free_threaded, row)
    real = compiled(cc, include, minor, free_threaded, {**wanted, **{k: v[0] for k, v in extra.items()}})
    what = f"3.{minor}{'t' if free_threaded else ''}"
    bad = differences(what, {**row, **{k: v[1] for k, v in extra.items()}}, real, set(row) - set(wanted) - TASK_FIELDS)
    print(f"{what}: {len(real)} offsets compared with {include}, {bad} differ")
    return bad


def section(path, name):
    """A section of a 64-bit little-endian ELF file as 8-byte words."""
    data = open(path, "rb").read()
    at, = struct.unpack_from("<Q", data, 0x28)
    size, n, names = struct.unpack_from("<HHH", data, 0x3A)
    headers = [struct.unpack_from("<IIQQQQIIQQ", data, at + i * size) for i in range(n)]
    for h in headers:
        start = headers[names][4] + h[0]
        if data[start:data.index(b"\0", start)].decode() == name:
            return struct.unpack_from(f"<{h[5] // 8}Q", data, h[4])
    return None


def compare_tasks(row, python, minor):
    """Modules/_asynciomodule.c, struct _Py_AsyncioModuleDebugOffsets: size of a task, where its name is; later the thread's task."""
    path = subprocess.run([python, "-c", "import _asyncio, sys; print(getattr(_asyncio, '__file__', sys.executable))"],
                          capture_output=True, text=True, check=True).stdout.strip()
    words = section(os.path.realpath(path), ".AsyncioDebug")
    if not words:
        print(f"FAIL 3.{minor}: {path} does not describe its tasks")
        return 1
    bad = differences(f"3.{minor}", row, {"task_bytes": words[0], "task_name": words[1], "ts_task": words[11]}, ())
    print(f"3.{minor}: tasks compared with {path}, {bad} differ")
    return bad


def compare_interpreter(cc, dump, python):
    info = subprocess.run([python, "-c", "import sys, sysconfig as s; print(sys.version_info[1], s.get_path('include'), "
                           "int(bool(s.get_config_var('Py_GIL_DISABLED'))))"], capture_output=True, text=True, check=True,
                          env={k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}).stdout.split()
    minor, include, free_threaded = int(info[0]), info[1], info[2] == "1"
    if not os.path.exists(os.path.join(include, "internal", "pycore_frame.h" if minor > 10 else "pycore_runtime.h")):
        print(f"skip: no internal headers in {include}")
        sys.exit(77)
    rows = table(dump)
    if (minor, free_threaded) not in rows:
        print(f"FAIL: no layout for 3.{minor}")
        return 1
    bad = compare_headers(cc, rows[minor, free_threaded], include, minor, free_threaded)
    if minor >= 14 and not free_threaded:
        bad += compare_headers(cc, rows[minor, True], include, minor, True)
        bad += compare_tasks(rows[minor, False], python, minor)
    return bad


def compare_releases(dump, path):
    rows, releases, bad, n = table(dump), [], 0, 0
    for line in open(path):
        if line.startswith("#"):
            continue
        if not line.startswith(" "):
            releases.append((line.split(), {}))
        else:
            releases[-1][1].update((f, int(v)) for f, v in (word.split("=") for word in line.split()))
    for names, fields in releases:
        minor, free_threaded = int(names[0].split(".")[1]), "t" in names[0]
        assert all(re.fullmatch(rf"3\.{minor}\.\d+(rc\d+)?{'t' if free_threaded else ''}d?", name) for name in names), names
        bad += differences(names[0], rows[minor, free_threaded], fields, ())
        # interp_ending: where it is wrong, the end's first part has no name; interp_builtins: where it is wrong, frames of the interpreter's end have no names, or are looked at a little longer
        missing = set(expressions(minor, free_threaded)) - set(fields) - {"uni_kind_bit", "interp_builtins", "interp_ending"} - NEW_FIELDS
        if missing:
            print(f"FAIL {names[0]}: nothing is said of {sorted(missing)}")
            bad += 1
        n += len(names)
    never = sorted(set(rows) - {(int(names[0].split(".")[1]), "t" in names[0]) for names, _ in releases})
    if never:
        print(f"FAIL: no release of {never}")
    print(f"{n} releases compared, {bad} offsets differ")
    return bad + len(never)


def print_row(cc, include, free_threaded):
    version = re.search(r'PY_VERSION\s+"([^"]+)', open(os.path.join(include, "patchlevel.h")).read()).group(1)
    minor = int(version.split(".")[1])
    row = compiled(cc, include, minor, free_threaded, expressions(minor, free_threaded))
    print(version.rstrip("+") + "t" * free_threaded + "\n    " + " ".join(f"{f}={v}" for f, v in row.items()))
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "--row":
        bad = print_row(sys.argv[2], sys.argv[3], sys.argv[4:] == ["t"])
    elif sys.argv[1] == "--releases":
        bad = compare_releases(*sys.argv[2:])
    else:
        bad = compare_interpreter(*sys.argv[1:])
    sys.exit(1 if bad else 0)
