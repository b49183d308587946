/* SPDX-License-Identifier: MIT
 * Libraries as they lie in memory, against what the loader says of them. */
#include "compat/elf.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "compat/os.h"
#include "compat/real.h"
#include "tests/support/unit.h"

static const char *const functions[] = {
    "printf",    "fopen",  "getenv", "pthread_cond_wait", "posix_spawn", "quick_exit", "timer_create",
    "sigaction", "execve", "qsort",  "regexec",           "environ",     "stdout"};

static void symbols_are_the_loaders(void)
{
    struct sp_elf e;
    sp_real_find_all();
    CHECK(sp_elf_named(&e, "libc.so") || sp_elf_named(&e, "libc-"));
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        CHECK(sp_elf_find(&e, functions[i]) &&
              sp_elf_find(&e, functions[i]) == dlsym(dlopen("libc.so.6", RTLD_NOW), functions[i]));
    CHECK(!sp_elf_find(&e, "no_such_name"));
    CHECK(!sp_elf_find(&e, ""));
    CHECK(!sp_elf_find(&e, "gets_")); /* a name that begins as another does */
    CHECK(!sp_elf_named(&e, "libnone"));
}

SP_EXPORT int exported_here = 7;

static void addresses_have_a_library(void)
{
    struct sp_elf e, again;
    sp_real_find_all();
    CHECK(sp_elf_at(&e, (uintptr_t)getenv));
    CHECK(sp_elf_find(&e, "getenv") == (void *)getenv);
    CHECK(sp_elf_named(&again, "libc.so") || sp_elf_named(&again, "libc-"));
    CHECK(memcmp(&e, &again, sizeof e) == 0 ||
          (e.bias == again.bias && e.symbols == again.symbols && e.gnu_hash == again.gnu_hash));
    CHECK(sp_elf_at(&e, (uintptr_t)&symbols_are_the_loaders));
    CHECK(e.start <= (uintptr_t)functions && (uintptr_t)functions < e.end);
    CHECK(sp_elf_at(&again, (uintptr_t)&exported_here)); /* a program in parts is one */
    CHECK(again.start == e.start && again.end == e.end && again.symbols == e.symbols);
    CHECK(!sp_elf_at(&e, (uintptr_t)&e));
    CHECK(!sp_elf_at(&e, 0));
    CHECK(!sp_elf_at(&e, UINTPTR_MAX));
}

/* This program has the older hash table alone. */
static void symbols_by_the_older_hash(void)
{
    struct sp_elf e;
    CHECK(sp_elf_at(&e, (uintptr_t)&symbols_are_the_loaders));
    CHECK(e.hash && !e.gnu_hash);
    CHECK(sp_elf_find(&e, "exported_here") == &exported_here);
    CHECK(!sp_elf_find(&e, "getenv")); /* wanted, not had */
    CHECK(!sp_elf_find(&e, "no_such_name"));
}

/* ---- the mappings, against the C library's reading of the same lines */
struct seen {
    FILE *file;
    int n, differing;
};

static bool compare(void *arg, const struct sp_os_mapping *m)
{
    struct seen *s = arg;
    char line[4200], rights[8] = "", path[4096] = "", name[64];
    unsigned long start = 0, end = 0, offset = 0, inode = 0;
    unsigned major = 0, minor = 0;
    if (!fgets(line, sizeof line, s->file))
        return true;
    s->n++;
    sscanf(line, "%lx-%lx %7s %lx %x:%x %lu %4095[^\n]", &start, &end, rights, &offset, &major, &minor, &inode, path);
    const char *last = strrchr(path, '/');
    snprintf(name, sizeof name, "%s", last ? last + 1 : path);
    bool same = start == m->start && end == m->end && offset == m->offset && inode == m->inode &&
                m->readable == (rights[0] == 'r') && m->executable == (rights[2] == 'x') &&
                m->device == ((uint64_t)major << 32 | minor) && strcmp(name, m->name) == 0;
    s->differing += !same;
    return false;
}

static void mappings_are_read(void)
{
    static char buffer[1 << 20];
    struct seen s = {.file = fopen("/proc/self/maps", "r")};
    setvbuf(s.file, buffer, _IOFBF, sizeof buffer);
    ungetc(getc(s.file), s.file); /* reads it whole, before anything else is mapped */
    CHECK(!sp_os_each_mapping(compare, &s));
    CHECK(s.n > 10);
    CHECK_EQ(s.differing, 0);
}

const struct unit_case unit_cases[] = {
    {"symbols_are_the_loaders", symbols_are_the_loaders},
    {"addresses_have_a_library", addresses_have_a_library},
    {"symbols_by_the_older_hash", symbols_by_the_older_hash},
    {"mappings_are_read", mappings_are_read},
    {NULL, NULL},
};
