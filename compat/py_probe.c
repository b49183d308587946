/* SPDX-License-Identifier: MIT
 * Recognises the CPython of this process and chooses layout and walker. */
#include <string.h>
#include <sys/auxv.h>

#include "compat/buf.h"
#include "compat/py.h"
#include "compat/real.h"

struct sp_py sp_py;

static const struct sp_py_ops *ops_for(uint32_t minor)
{
    switch (minor) {
    case 9:
    case 10:
        return &sp_py_ops_39;
    case 11:
        return &sp_py_ops_311;
    case 12:
        return &sp_py_ops_312;
    default:
        return &sp_py_ops_313;
    }
}

static uint32_t parse_number(const char **s)
{
    uint32_t v = 0;
    while (**s >= '0' && **s <= '9')
        v = v * 10 + (uint32_t)(*(*s)++ - '0');
    return v;
}

/* The head of _PyRuntime from 3.13 on: struct _Py_DebugOffsets (Include/internal/pycore_runtime.h), by index
 * of its 8-byte words. What it says must be what the table says, or the build is not the one we know. */
static bool debug_offsets_agree(const struct sp_py_layout *l, uintptr_t runtime)
{
    const uint64_t *w = (const uint64_t *)runtime;
    if (memcmp(w, "xdebugpy", 8) != 0)
        return false;
    const struct {
        uint32_t at;
        uint64_t want;
    } words_313[] = {
        {2, l->free_threaded}, {4, l->rt_finalizing},   {5, l->rt_interp_head}, {8, l->interp_next},
        {22, l->ts_interp},    {23, l->ts_frame},       {24, l->ts_thread_id},  {26, l->ts_chunk},
        {29, l->fr_previous},  {30, l->fr_code},        {31, l->fr_instr},      {32, l->fr_locals},
        {33, l->fr_owner},     {35, l->co_filename},    {37, l->co_name},       {38, l->co_lines},
        {39, l->co_first_line}, {43, l->co_code},       {45, l->ob_type},
    };
    for (size_t i = 0; i < SP_ARRAY_LEN(words_313); i++)
        if (w[words_313[i].at] != words_313[i].want)
            return false;
    return true;
}

static void refuse(const char *why)
{
    struct sp_buf b = {sp_py.why, sizeof sp_py.why, 0, false};
    sp_buf_str(&b, why);
    sp_py.layout = NULL;
    sp_py.ops = &sp_py_ops_unknown;
}

static void choose(sp_py_lookup *lookup, void *handle)
{
    uintptr_t flavour = sp_py.minor >= 13 ? ((const uint64_t *)sp_py.runtime)[2] : 0;
    sp_py.layout = sp_py_layout_for(sp_py.minor, flavour == 1);
    if (!sp_py.layout) {
        refuse(flavour == 1 ? "its free-threaded layout is not known to this spprof"
                            : "its layout is not known to this spprof");
        return;
    }
    if (sp_py.minor >= 13 && !debug_offsets_agree(sp_py.layout, sp_py.runtime)) {
        refuse("its own description of its layout differs from what is known of this version");
        return;
    }
    sp_py.code_type = (uintptr_t)lookup(handle, "PyCode_Type");
    sp_py.frame_type = (uintptr_t)lookup(handle, "PyFrame_Type");
    if (!sp_py.code_type || !sp_py.frame_type) {
        refuse("it does not export PyCode_Type");
        return;
    }
    /* --with-trace-refs puts two pointers before every object's count: tp_name, at 24, is a string then not */
    if (lookup(handle, "_Py_AddToAllObjects") && lookup(handle, "_Py_PrintReferences")) {
        refuse("it was built --with-trace-refs");
        return;
    }
    sp_py.ops = ops_for(sp_py.minor);
}

bool sp_py_probe(sp_py_lookup *lookup, void *handle)
{
    const char *(*get_version)(void) = (const char *(*)(void))lookup(handle, "Py_GetVersion");
    if (!get_version || !lookup(handle, "PyEval_EvalCode"))
        return false;
    sp_py.entry = (uintptr_t)get_version;
    bool is_static = sp_real_same_library((void *)sp_py.entry, (void *)getauxval(AT_ENTRY));
    memcpy(sp_py.build, is_static ? "static" : "shared", 7);
    const char *text = get_version(); /* "3.12.1 (main, ...": safe before initialisation */
    struct sp_buf b = {sp_py.version, sizeof sp_py.version, 0, false};
    for (const char *s = text; *s && *s != ' ' && b.len + 1 < b.cap; s++)
        sp_buf_char(&b, *s);
    uint32_t major = parse_number(&text);
    text += *text == '.';
    sp_py.minor = parse_number(&text);
    sp_py.runtime = (uintptr_t)lookup(handle, "_PyRuntime");
    if (major != 3 || sp_py.minor < 9 || !sp_py.runtime)
        refuse("this version is older than 3.9");
    else
        choose(lookup, handle);
    return true;
}
