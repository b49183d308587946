/* SPDX-License-Identifier: MIT
 * See real.h. dlsym and friends are pinned to the oldest version: glibc 2.34 moved them to libc.so.6 under
 * a new one, which an older glibc would refuse to start the program for. */
#include "compat/real.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "compat/cpu.h"
#include "compat/elf.h"

#ifdef __GLIBC__
__asm__(".symver dlsym, dlsym@" SP_CPU_DLSYM_VERSION);
__asm__(".symver dlopen, dlopen@" SP_CPU_DLSYM_VERSION);
__asm__(".symver dladdr, dladdr@" SP_CPU_DLSYM_VERSION);
#endif

/* Functions of which glibc has had several: dlsym(RTLD_NEXT) answers with the oldest before 2.36 (sourceware bug 14932).
 * aarch64 began with the newest of most. */
struct version {
    const char *symbol, *version;
};
static const struct version versions[] = {
#ifdef __x86_64__
    {"posix_spawn", "GLIBC_2.15"},
    {"posix_spawnp", "GLIBC_2.15"},
    {"timer_create", "GLIBC_2.3.3"},
    {"pthread_cond_wait", "GLIBC_2.3.2"},
    {"pthread_cond_timedwait", "GLIBC_2.3.2"},
#endif
    {"quick_exit", "GLIBC_2.24"},
};

extern struct sp_real *const __start_sp_reals[] __attribute__((weak, visibility("hidden")));
extern struct sp_real *const __stop_sp_reals[] __attribute__((weak, visibility("hidden")));

/* Threads: written before there is a second one: in the constructor, or by who creates the first. */
static bool all_found;
static bool is_split; /* glibc before 2.34: threads and timers are in libraries of their own */

typedef void *find_version(void *handle, const char *symbol, const char *version);

/* What stands between us and libc, another preloaded library or a sanitizer, has no versions as a rule. */
static bool is_same_library(const void *a, const void *b)
{
    Dl_info of_a, of_b;
    return a == b || (dladdr(a, &of_a) && dladdr(b, &of_b) && of_a.dli_fbase == of_b.dli_fbase);
}

/* The libraries behind ours that were loaded with the program, in the order in which the loader looks into them. Asking it for
 * each symbol takes as long as all else that is done at the start of a program without Python. */
struct behind {
    struct sp_elf libraries[16];
    size_t n;
    bool is_past_us;
};
static struct behind *behind_us; /* while all slots are filled */

static int note_library(struct dl_phdr_info *info, size_t bytes, void *arg)
{
    struct behind *b = arg;
    struct sp_elf *e = &b->libraries[b->n];
    uintptr_t own = (uintptr_t)&all_found;
    (void)bytes;
    if (!sp_elf_open(e, info->dlpi_addr, info->dlpi_phdr, info->dlpi_phnum))
        return b->is_past_us; /* what lies behind it may not be found before it */
    bool is_own = own >= e->start && own < e->end;
    b->n += b->is_past_us && !is_own;
    b->is_past_us |= is_own;
    return b->n == SP_ARRAY_LEN(b->libraries);
}

static void *find_behind(const char *symbol)
{
    for (size_t i = 0; behind_us && i < behind_us->n; i++) {
        void *f = sp_elf_find(&behind_us->libraries[i], symbol);
        if (f)
            return f;
    }
    return NULL;
}

static void *find(const char *symbol)
{
    static find_version *by_version; /* musl has none */
    const char *version = NULL;
    for (size_t i = 0; i < SP_ARRAY_LEN(versions) && !version; i++)
        if (strcmp(versions[i].symbol, symbol) == 0)
            version = versions[i].version;
    if (version && !by_version)
        by_version = (find_version *)dlsym(RTLD_DEFAULT, "dlvsym");
    void *f = version ? NULL : find_behind(symbol), *next;
    if (f)
        return f;
    f = version && by_version ? by_version(RTLD_NEXT, symbol, version) : NULL;
    next = dlsym(RTLD_NEXT, symbol);
    return f && is_same_library(f, next) ? f : next;
}

/* The program came without libpthread, and something that it loaded later brought it. */
static void *find_late(const char *name)
{
    static const char *const prefixes[] = {"libpthread", "librt"};
    for (size_t i = 0; i < SP_ARRAY_LEN(prefixes); i++) {
        struct sp_elf e;
        void *f = sp_elf_named(&e, prefixes[i]) ? sp_elf_find(&e, name) : NULL;
        if (f)
            return f;
    }
    return NULL;
}

/* The message that a failed dlsym leaves is not the program's. */
static void forget_error(void)
{
    char *(*forget)(void) = (char *(*)(void))dlsym(RTLD_DEFAULT, "dlerror");
    if (forget)
        forget();
}

void *sp_real_find_missing(struct sp_real *slot)
{
    void *f = NULL;
    if (!sp_load_acquire(&all_found)) /* sp_real_find_all() */
        f = find(slot->name);
    else if (is_split)
        f = find_late(slot->name);
    if (f)
        sp_store_relaxed(&slot->original, f);
    return f;
}

static bool is_before_2_34(void)
{
    const char *(*version)(void) = (const char *(*)(void))dlsym(RTLD_DEFAULT, "gnu_get_libc_version");
    const char *text = version ? version() : ""; /* "2.31" */
    return text[0] == '2' && text[1] == '.' && (text[2] < '3' || (text[2] == '3' && text[3] < '4')) && text[3];
}

static bool is_of_system(const char *path)
{
    static const char *const prefixes[] = {"libc.", "libc-", "ld-", "libpthread", "librt", "linux-vdso"};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *preloaded = getenv("LD_PRELOAD");
    for (size_t i = 0; i < SP_ARRAY_LEN(prefixes); i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return preloaded && *name && strstr(preloaded, name); /* it means to stand before libc, as we do */
}

static int mark_foreign(struct dl_phdr_info *info, size_t bytes, void *arg)
{
    struct sp_elf e;
    (void)bytes, (void)arg;
    if (!sp_elf_open(&e, info->dlpi_addr, info->dlpi_phdr, info->dlpi_phnum) || is_of_system(info->dlpi_name))
        return 0;
    for (struct sp_real *const *slot = __start_sp_reals; slot < __stop_sp_reals; slot++) {
        uintptr_t original = (uintptr_t)(*slot)->original;
        (*slot)->is_foreign |= original >= e.start && original < e.end;
    }
    return 0;
}

void sp_real_find_all(void)
{
    if (all_found)
        return;
    bool all = true;
    struct behind b = {.n = 0};
    sp_elf_start();
    dl_iterate_phdr(note_library, &b);
    behind_us = &b;
    for (struct sp_real *const *slot = __start_sp_reals; slot < __stop_sp_reals; slot++)
        all &= sp_real_original(*slot) != NULL;
    behind_us = NULL;
    dl_iterate_phdr(mark_foreign, NULL);
    is_split = !all && is_before_2_34();
    if (!all)
        forget_error();
    sp_store_release(&all_found, true); /* sp_real_find_missing() */
}

void *sp_real_find_in_process(const char *symbol)
{
    void *f = dlsym(RTLD_DEFAULT, symbol);
    if (!f)
        forget_error();
    return f;
}

void sp_real_keep_library(const void *address)
{
    Dl_info info;
    if (dladdr(address, &info) && info.dli_fname)
        dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
}

const char *sp_real_program_name(void)
{
    return program_invocation_name ? program_invocation_name : "";
}
