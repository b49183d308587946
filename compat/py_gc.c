/* SPDX-License-Identifier: MIT
 * Where the garbage collector's code is, for builds that have symbols or a debug file: no function that a library exports is always
 * on the stack of a thread that collects, and that the interpreter collects says nothing of this thread. One function does the
 * work of each collection: `collect` in 3.9 (Modules/gcmodule.c), later gc_collect_main (Python/gc.c, Python/gc_free_threading.c),
 * from 3.14 on _PyGC_Collect. */
#include "compat/modules.h"
#include "compat/os.h"
#include "compat/py.h"
#include "compat/symbols.h"

#define SCRATCH_BYTES 65536u
#define PATH_BYTES 4096u

static const char *name_of(uint32_t minor)
{
    return minor == 9 ? "collect" : minor <= 13 ? "gc_collect_main" : "_PyGC_Collect";
}

void sp_py_gc_start(void)
{
    struct sp_module m;
    struct sp_symbol_found found[SP_PY_COLLECTORS];
    uint8_t id[SP_BUILD_ID_MAX], *scratch = sp_os_pages(SCRATCH_BYTES + PATH_BYTES);
    if (!scratch)
        return;
    char *path = (char *)scratch + SCRATCH_BYTES;
    if (sp_py.layout && sp_module_at(&m, sp_py.entry)) {
        size_t n = sp_module_path(&m, path, PATH_BYTES - 1);
        struct sp_symbols s = {
            .path = path,
            .build_id = id,
            .n_build_id = sp_module_build_id(&m, id),
            .debug_root = "/usr/lib/debug",
            .scratch = scratch,
            .n_scratch = SCRATCH_BYTES,
        };
        uint32_t n_found = n && s.n_build_id ? sp_symbols_find(&s, name_of(sp_py.minor), found, SP_PY_COLLECTORS) : 0;
        for (uint32_t i = 0; i < n_found; i++) {
            sp_py.collector[i].start = m.start + found[i].start;
            sp_py.collector[i].end = m.start + found[i].end;
        }
    }
    sp_os_release(scratch, SCRATCH_BYTES + PATH_BYTES);
}
