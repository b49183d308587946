#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares every offset that the walkers use with CPython's own headers: generates a C probe, compiles it against the
interpreter's include directory, and reads the numbers. usage: layout.py CC DUMP PYTHON

DUMP prints the table of compat/py_layouts.c: MINOR FREE_THREADED FIELD VALUE.
"""
import os
import subprocess
import sys
import tempfile

cc, dump, python = sys.argv[1:4]
info = subprocess.run([python, "-c", "import sys, sysconfig as s; print(sys.version_info[1], s.get_path('include'), "
                       "int(bool(s.get_config_var('Py_GIL_DISABLED'))))"], capture_output=True, text=True, check=True,
                      env={k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}).stdout.split()
minor, include, free_threaded = int(info[0]), info[1], info[2] == "1"
if not os.path.exists(os.path.join(include, "internal", "pycore_frame.h" if minor > 10 else "pycore_runtime.h")):
    print(f"skip: no internal headers in {include}")
    sys.exit(77)

table = {}
for line in subprocess.run([dump], capture_output=True, text=True, check=True).stdout.splitlines():
    m, t, field, value = line.split()
    if int(m) == minor and (t == "1") == free_threaded:
        table[field] = int(value)
if not table:
    print(f"skip: no layout for 3.{minor}")
    sys.exit(77)

frame = "PyFrameObject" if minor <= 10 else "_PyInterpreterFrame"
EXPRESSIONS = {
    "ob_type": "offsetof(PyObject, ob_type)", "ob_size": "offsetof(PyVarObject, ob_size)",
    "tp_dealloc": "offsetof(PyTypeObject, tp_dealloc)",
    "uni_length": "offsetof(PyASCIIObject, length)", "uni_state": "offsetof(PyASCIIObject, state)",
    "uni_ascii": "sizeof(PyASCIIObject)", "uni_compact": "sizeof(PyCompactUnicodeObject)",
    "bytes_data": "offsetof(PyBytesObject, ob_sval)",
    "ts_interp": "offsetof(PyThreadState, interp)", "ts_thread_id": "offsetof(PyThreadState, thread_id)",
    "ts_frame": "offsetof(PyThreadState, %s)" % ("frame" if minor <= 10 else "cframe" if minor <= 12 else "current_frame"),
    "ts_root_cframe": "offsetof(PyThreadState, root_cframe)", "ts_chunk": "offsetof(PyThreadState, datastack_chunk)",
    "cframe_frame": "offsetof(_PyCFrame, current_frame)",
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
}
ABSENT = {  # fields that the version does not have: 0 in the table
    9: {"ts_root_cframe", "ts_chunk", "cframe_frame", "fr_owner", "fr_is_entry", "fr_bytes", "co_locals", "co_stack", "co_frame_words"},
    11: {"co_frame_words"},
    12: {"fr_is_entry", "rt_tstate_current", "co_locals", "co_stack"},
    13: {"fr_is_entry", "rt_tstate_current", "co_locals", "co_stack", "ts_root_cframe", "cframe_frame"},
}
ABSENT[10] = ABSENT[9]
ABSENT[14] = ABSENT[13]
ABSENT[15] = ABSENT[13] | {"rt_tss_key"}
checks = {f: e for f, e in EXPRESSIONS.items() if f not in ABSENT[minor]}
# relations that the walkers rely on beside the table
EXTRA = {"key_in_tss": ("offsetof(Py_tss_t, _key)", 4)}
if minor >= 11:
    EXTRA.update({"top_after_chunk": ("offsetof(PyThreadState, datastack_top) - offsetof(PyThreadState, datastack_chunk)", 8),
                  "chunk_size": ("offsetof(_PyStackChunk, size)", 8), "chunk_data": ("offsetof(_PyStackChunk, data)", 24),
                  "owner_thread": ("FRAME_OWNED_BY_THREAD", 0), "owner_generator": ("FRAME_OWNED_BY_GENERATOR", 1),
                  "specials": ("FRAME_SPECIALS_SIZE * 8", table["fr_locals"])})
if minor >= 12:
    EXTRA["owner_shim"] = ("FRAME_OWNED_BY_CSTACK" if minor <= 13 else "FRAME_OWNED_BY_INTERPRETER", 3)
if minor >= 13:
    EXTRA["no_monitoring"] = ("CO_NO_MONITORING_EVENTS", 0x2000000)

source = "#define Py_BUILD_CORE 1\n#include <stddef.h>\n#include <stdio.h>\n#include <Python.h>\n#include <frameobject.h>\n"
source += "#include <internal/pycore_runtime.h>\n#include <internal/pycore_pystate.h>\n#include <internal/pycore_interp.h>\n"
if minor >= 11:
    source += "#include <internal/pycore_frame.h>\n#include <internal/pycore_code.h>\n"
if minor >= 14:
    source += "#include <internal/pycore_interpframe_structs.h>\n#include <internal/pycore_interpframe.h>\n"
source += "int main(void) {\n"
for f, e in {**checks, **{k: v[0] for k, v in EXTRA.items()}}.items():
    source += f'    printf("{f} %zu\\n", (size_t)({e}));\n'
source += "    return 0;\n}\n"
with tempfile.TemporaryDirectory() as tmp:
    c, exe = os.path.join(tmp, "probe.c"), os.path.join(tmp, "probe")
    with open(c, "w") as f:
        f.write(source)
    subprocess.run([cc, "-w", "-I", include, "-I", os.path.join(include, "internal"), "-idirafter", os.path.dirname(include), c, "-o", exe], check=True)
    real = dict(line.split() for line in subprocess.run([exe], capture_output=True, text=True, check=True).stdout.splitlines())

problems = 0
want = {**{f: table[f] for f in checks}, **{k: v[1] for k, v in EXTRA.items()}}
for f, value in want.items():
    if int(real[f]) != value:
        print(f"FAIL 3.{minor} {f}: the table has {value}, the headers {real[f]}")
        problems += 1
for f in ABSENT[minor]:
    if table[f] != 0:
        print(f"FAIL 3.{minor} {f}: this version has no such field")
        problems += 1
print(f"3.{minor}: {len(want)} offsets compared with {include}, {problems} differ")
sys.exit(1 if problems else 0)
