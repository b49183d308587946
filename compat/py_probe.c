/* SPDX-License-Identifier: MIT
 * Recognises the CPython of this process and chooses its row of py_layouts.c. */
#include <string.h>

#include "compat/buf.h"
#include "compat/cpu.h"
#include "compat/py.h"
#include "compat/real.h"

extern const char *gnu_get_libc_version(void); /* glibc has it, musl not */
SP_REAL_SLOT(gnu_get_libc_version);

/* Threads: filled by the one who takes the CPython (inject/python.c), before the session runs; not written afterwards. */
struct sp_py sp_py;

static uint32_t parse_number(const char **s)
{
    uint32_t v = 0;
    while (**s >= '0' && **s <= '9')
        v = v * 10 + (uint32_t)(*(*s)++ - '0');
    return v;
}

/* What the interpreter says of itself must be what the table says, or the build is not the one we know. */
static bool debug_offsets_agree(const struct sp_py_layout *l, uintptr_t runtime)
{
    const uint64_t *w = (const uint64_t *)runtime;
    if (memcmp(w, "xdebugpy", 8) != 0)
        return false;
    const struct sp_py_debug_words *d = &l->debug;
    return w[2] == l->free_threaded && w[d->finalizing] == l->rt_finalizing && w[d->interp_head] == l->rt_interp_head &&
           w[d->interp_next] == l->interp_next && w[d->ts_interp] == l->ts_interp && w[d->ts_frame] == l->ts_frame &&
           w[d->ts_thread_id] == l->ts_thread_id && w[d->ts_chunk] == l->ts_chunk && w[d->fr_previous] == l->fr_previous &&
           w[d->fr_code] == l->fr_code && w[d->fr_instr] == l->fr_instr && w[d->fr_locals] == l->fr_locals &&
           w[d->fr_owner] == l->fr_owner && w[d->co_filename] == l->co_filename && w[d->co_name] == l->co_name &&
           w[d->co_lines] == l->co_lines && w[d->co_first_line] == l->co_first_line && w[d->co_code] == l->co_code &&
           w[d->ob_type] == l->ob_type && (!l->co_tlbc || (w[d->fr_tlbc] == l->fr_tlbc && w[d->co_tlbc] == l->co_tlbc));
}

static void refuse(const char *why)
{
    struct sp_buf b = sp_buf_at(sp_py.why, sizeof sp_py.why);
    sp_buf_str(&b, why);
    sp_py.layout = NULL;
    sp_store_release(&sp_py.ops, &sp_py_ops_unknown);
}

/* The table's row is that of glibc. */
static const struct sp_py_layout *row_of(bool free_threaded)
{
    static struct sp_py_layout musl;
    const struct sp_py_layout *row = sp_py_layout_for(sp_py.minor, free_threaded);
    if (!row || !row->rt_tstate_current || SP_CPU_MUTEX_BYTES == SP_PY_MUTEX_BYTES || SP_REAL(gnu_get_libc_version))
        return row;
    uint16_t less = 2 * (SP_CPU_MUTEX_BYTES - SP_PY_MUTEX_BYTES);
    musl = *row;
    musl.rt_tstate_current = (uint16_t)(row->rt_tstate_current - less);
    musl.rt_tss_key = (uint16_t)(row->rt_tss_key - less);
    return &musl;
}

static void choose(sp_py_lookup *lookup, void *handle)
{
    uintptr_t flavour = sp_py.minor >= 13 ? ((const uint64_t *)sp_py.runtime)[2] : 0;
    sp_py.layout = row_of(flavour == 1);
    if (!sp_py.layout) {
        refuse(flavour == 1 ? "its free-threaded layout is not known to this spprof"
                            : "its layout is not known to this spprof");
        return;
    }
    if (sp_py.minor >= 13 && !sp_py.layout->debug.ob_type) {
        refuse("where it describes its layout is not known to this spprof");
        return;
    }
    if (sp_py.minor >= 13 && !debug_offsets_agree(sp_py.layout, sp_py.runtime)) {
        refuse("its own description of its layout differs from what is known of this version");
        return;
    }
    sp_py.interp_builtins = sp_py.layout->interp_builtins;
    if (sp_py.minor >= 13) /* what lies before it changed within 3.14 */
        sp_py.interp_builtins = (uint32_t)((const uint64_t *)sp_py.runtime)[sp_py.layout->debug.builtins];
    sp_py.code_type = (uintptr_t)lookup(handle, "PyCode_Type");
    sp_py.frame_type = (uintptr_t)lookup(handle, "PyFrame_Type");
    sp_py.eval_loop = (uintptr_t)lookup(handle, "_PyEval_EvalFrameDefault");
    sp_py.str_type = (uintptr_t)lookup(handle, "PyUnicode_Type");
    sp_py.int_type = (uintptr_t)lookup(handle, "PyLong_Type");
    sp_py.this_tstate = (void *(*)(void))lookup(handle, "PyGILState_GetThisThreadState");
    if (!sp_py.layout->rt_tss_key && !sp_py.this_tstate) {
        refuse("it does not export PyGILState_GetThisThreadState");
        return;
    }
    if (!sp_py.code_type || !sp_py.frame_type) {
        refuse("it does not export PyCode_Type");
        return;
    }
    /* Up to 3.12 --with-trace-refs puts two pointers before every object's count. The type of PyCode_Type stands
     * where the layout says from the beginning: it is linked in. */
    if (sp_peek(sp_py.code_type + sp_py.layout->ob_type) != (uintptr_t)lookup(handle, "PyType_Type")) {
        refuse("its objects have another head than this version's; it may have been built --with-trace-refs");
        return;
    }
    sp_store_release(&sp_py.ops, sp_py.layout->ops); /* pairs with sp_lifecycle_python_starts(): the rest is there */
}

bool sp_py_probe(sp_py_lookup *lookup, void *handle)
{
    const char *(*get_version)(void) = (const char *(*)(void))lookup(handle, "Py_GetVersion");
    if (!get_version || !lookup(handle, "PyEval_EvalCode"))
        return false;
    /* Not a function: another preloaded library may stand before that. */
    sp_py.runtime = (uintptr_t)lookup(handle, "_PyRuntime");
    sp_py.entry = sp_py.runtime ? sp_py.runtime : (uintptr_t)get_version;
    const char *text = get_version(); /* "3.12.1 (main, ...": safe before initialisation */
    struct sp_buf b = sp_buf_at(sp_py.version, sizeof sp_py.version);
    for (const char *s = text; *s && *s != ' ' && b.len + 1 < b.cap; s++)
        sp_buf_char(&b, *s);
    uint32_t major = parse_number(&text);
    text += *text == '.';
    sp_py.minor = parse_number(&text);
    if (major != 3 || sp_py.minor < 9 || !sp_py.runtime)
        refuse("this version is older than 3.9");
    else
        choose(lookup, handle);
    return true;
}
