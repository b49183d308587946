/* SPDX-License-Identifier: MIT
 * See real.h. dlsym and friends are pinned to the oldest version: glibc 2.34 moved them to libc.so.6 under
 * a new one, which an older glibc would refuse to start the program for. */
#include "compat/real.h"

#include <dlfcn.h>

#include "compat/cpu.h"

#ifdef __GLIBC__
__asm__(".symver dlsym, dlsym@" SP_CPU_DLSYM_VERSION);
__asm__(".symver dlopen, dlopen@" SP_CPU_DLSYM_VERSION);
__asm__(".symver dlclose, dlclose@" SP_CPU_DLSYM_VERSION);
__asm__(".symver dladdr, dladdr@" SP_CPU_DLSYM_VERSION);
#endif

void *sp_real_find(const char *symbol)
{
    return dlsym(RTLD_NEXT, symbol);
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
