/* SPDX-License-Identifier: MIT
 * See python.h. */
#include "inject/python.h"

#include <string.h>

#include "compat/elf.h"
#include "compat/os.h"
#include "compat/py.h"
#include "compat/real.h"
#include "inject/session.h"

/* Threads: by who made is_taken true; is_kept any. */
static struct sp_elf image;
static bool is_linked, is_taken, is_kept;

static void *in_image(void *e, const char *symbol)
{
    return sp_elf_find(e, symbol);
}

void *sp_python_symbol(const char *name)
{
    return is_linked ? sp_real_find_in_process(name) : sp_elf_find(&image, name);
}

static void *in_process(void *unused, const char *symbol)
{
    (void)unused;
    return sp_real_find_in_process(symbol);
}

static void say_where(bool is_known)
{
    bool is_static = is_known && sp_os_program_entry() - image.start < image.end - image.start;
    bool is_free = sp_py.layout && sp_py.layout->free_threaded;
    memcpy(sp_py.build, is_static ? "static" : "shared", 7);
    memcpy(sp_py.build + 6, is_free ? " no-GIL" : "", is_free ? 8 : 1);
    sp_py.start = is_known ? image.start : 0;
    sp_py.end = is_known ? image.end : UINTPTR_MAX;
    sp_py.setsig = is_known ? (uintptr_t)sp_elf_find(&image, "PyOS_setsig") : 0;
    sp_py.setsig_end = sp_py.setsig ? sp_py.setsig + sp_elf_size(&image, "PyOS_setsig") : 0;
    sp_py.runtime_bytes = is_known ? sp_elf_size(&image, "_PyRuntime") : 0;
    sp_py.finalize = is_known ? (uintptr_t)sp_elf_find(&image, "Py_FinalizeEx") : 0;
    sp_py.finalize_end = sp_py.finalize ? sp_py.finalize + sp_elf_size(&image, "Py_FinalizeEx") : 0;
}

bool sp_python_find_linked(void)
{
    is_linked = sp_py_probe(in_process, NULL);
    if (is_linked)
        say_where(sp_elf_at(&image, sp_py.entry));
    return is_linked;
}

/* ---- callers that are no CPython. A library may be unloaded and another one come to its addresses: so a caller is known by
 * the address that it called from and by the bytes before that, which say where it called to. */
#define STRANGERS 256

static uint64_t strangers[STRANGERS];

static uint64_t caller_key(const void *address)
{
    uint32_t bytes;
    memcpy(&bytes, (const char *)address - sizeof bytes, sizeof bytes);
    return ((uint64_t)(uintptr_t)address ^ (uint64_t)bytes << 32) * 0x9e3779b97f4a7c15u | 1;
}

static uint64_t *stranger_at(uint64_t key)
{
    uint64_t *pair = &strangers[key >> 32 & (STRANGERS - 2)];
    return sp_load_relaxed(&pair[0]) == key || !sp_load_relaxed(&pair[0]) ? &pair[0] : &pair[1];
}

bool sp_python_find_at(const void *address)
{
    uint64_t key = caller_key(address), *stranger = stranger_at(key);
    if (sp_load_relaxed(stranger) == key)
        return false;
    struct sp_elf e;
    if (!sp_session_is_own_process())
        return false;
    if (!sp_elf_at(&e, (uintptr_t)address) || !sp_elf_find(&e, "Py_GetVersion")) {
        sp_store_relaxed(stranger, key);
        return false;
    }
    bool taken = false;
    if (!sp_cas(&is_taken, &taken, true))
        return false;
    image = e;
    if (!sp_py_probe(in_image, &image)) {
        sp_store_relaxed(stranger, key);
        sp_store_release(&is_taken, false);
        return false;
    }
    say_where(true);
    return true;
}

void sp_python_keep(void)
{
    if (!sp_load_acquire(&sp_py.ops) || is_linked || is_kept || !sp_session_is_own_process())
        return;
    is_kept = true;
    sp_real_keep_library((const void *)sp_py.entry);
}
