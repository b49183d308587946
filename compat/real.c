/* SPDX-License-Identifier: MIT
 * See real.h. dlsym and friends are pinned to the oldest version: glibc 2.34 moved them to libc.so.6 under
 * a new one, which an older glibc would refuse to start the program for. */
#include "compat/real.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "compat/cpu.h"

#ifdef __GLIBC__
__asm__(".symver dlsym, dlsym@" SP_CPU_DLSYM_VERSION);
__asm__(".symver dlopen, dlopen@" SP_CPU_DLSYM_VERSION);
__asm__(".symver dlclose, dlclose@" SP_CPU_DLSYM_VERSION);
__asm__(".symver dladdr, dladdr@" SP_CPU_DLSYM_VERSION);
#endif

/* Functions of which glibc has had several: dlsym(RTLD_NEXT) answers with the oldest before 2.36 (sourceware bug 14932), and
 * with none that is left for old programs only. aarch64 began with the newest of each. */
struct version {
    const char *symbol, *version;
};
static const struct version versions[] = {
#ifdef __x86_64__
    {"bsd_signal", "GLIBC_2.2.5"},
    {"posix_spawn", "GLIBC_2.15"},
    {"posix_spawnp", "GLIBC_2.15"},
    {"timer_create", "GLIBC_2.3.3"},
#endif
    {"quick_exit", "GLIBC_2.24"},
};

extern struct sp_real *const __start_sp_reals[] __attribute__((weak, visibility("hidden")));
extern struct sp_real *const __stop_sp_reals[] __attribute__((weak, visibility("hidden")));

bool sp_real_all_found;

typedef void *find_version(void *handle, const char *symbol, const char *version);

static void *find(const char *symbol)
{
    static find_version *by_version; /* musl has none */
    const char *version = NULL;
    for (size_t i = 0; i < SP_ARRAY_LEN(versions) && !version; i++)
        if (strcmp(versions[i].symbol, symbol) == 0)
            version = versions[i].version;
    if (version && !by_version)
        by_version = (find_version *)dlsym(RTLD_DEFAULT, "dlvsym");
    void *f = version && by_version ? by_version(RTLD_NEXT, symbol, version) : NULL;
    return f ? f : dlsym(RTLD_NEXT, symbol);
}

void *sp_real_find_early(struct sp_real *slot)
{
    if (!slot->original)
        slot->original = find(slot->name);
    return slot->original;
}

void sp_real_find_all(void)
{
    bool all = true;
    for (struct sp_real *const *slot = __start_sp_reals; slot < __stop_sp_reals; slot++)
        all &= sp_real_find_early(*slot) != NULL;
    if (!all) { /* the message of what failed is not the program's */
        char *(*forget)(void) = (char *(*)(void))find("dlerror");
        if (forget)
            forget();
    }
    sp_store_release(&sp_real_all_found, true); /* sp_real_original() */
}

void *sp_real_global_handle(void)
{
    return RTLD_DEFAULT;
}

bool sp_real_same_library(const void *a, const void *b)
{
    Dl_info ia, ib;
    return dladdr(a, &ia) && dladdr(b, &ib) && ia.dli_fbase == ib.dli_fbase;
}

void *sp_real_find_in(void *handle, const char *symbol)
{
    return dlsym(handle, symbol);
}

void *sp_real_library_at(const void *address, const char **path)
{
    Dl_info info;
    if (!dladdr(address, &info) || !info.dli_fname)
        return NULL;
    *path = info.dli_fname;
    return dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
}

void sp_real_release(void *library)
{
    dlclose(library);
}

const char *sp_real_program_name(void)
{
    return program_invocation_name ? program_invocation_name : "";
}
