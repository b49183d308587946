/* SPDX-License-Identifier: MIT
 * Names from the symbol tables of files: of this program, of copies without them, of broken ones. */
#include "compat/symbols.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compat/elf.h"
#include "compat/modules.h"
#include "compat/os.h"
#include "compat/real.h"
#include "tests/support/unit.h"

static int a_static_function(int n)
{
    return n + 1;
}
SP_EXPORT int an_exported_function(int n);
int an_exported_function(int n)
{
    return n + 2;
}

static uint8_t scratch[65536];
static char names[8][1024];
static struct sp_symbol wanted[8];
static struct sp_symbols s = {.wanted = wanted, .scratch = scratch, .n_scratch = sizeof scratch, .debug_root = "/nowhere"};

static void named(void *arg, uint32_t i, const char *name)
{
    CHECK(arg == &s && i < s.n && strlen(name) < 1024);
    strcpy(names[i], name);
}

static uint32_t ask(const char *path)
{
    memset(names, 0, sizeof names);
    s.path = path;
    return sp_symbols_name(&s, named, &s);
}

static int by_start(const void *a, const void *b)
{
    uint64_t x = ((const struct sp_symbol *)a)->start, y = ((const struct sp_symbol *)b)->start;
    return x < y ? -1 : x > y;
}

/* main(), a_static_function() and an_exported_function() of this program, in some order; and a place that is no function. */
static void want_ours(void)
{
    struct sp_module m;
    CHECK(sp_os_probe_init());
    sp_real_find_all();
    CHECK(sp_module_at(&m, (uintptr_t)&a_static_function));
    s.n = 3;
    wanted[0].start = (uintptr_t)&a_static_function - m.start;
    wanted[1].start = (uintptr_t)&an_exported_function - m.start;
    wanted[2].start = 1;
    qsort(wanted, s.n, sizeof *wanted, by_start);
}

static bool is_named(const char *name)
{
    for (uint32_t i = 0; i < s.n; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static const char *copy(const char *command)
{
    static char path[256];
    char line[1024];
    snprintf(path, sizeof path, "symbols-%d", (int)getpid());
    snprintf(line, sizeof line, command, path);
    return system(line) == 0 ? path : NULL;
}

static char self[4096];
static const char *own(void)
{
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(n > 0);
    self[n] = '\0';
    setenv("SELF", self, 1);
    return self;
}

static void our_own_names(void)
{
    own();
    want_ours();
    CHECK_EQ(ask(self), 2);
    CHECK(is_named("a_static_function") && is_named("an_exported_function"));
    wanted[0].start = 1; /* asked again, of another */
    CHECK(ask("/nowhere") == 0 && ask("/") == 0 && ask("/dev/null") == 0 && ask("") == 0);
    s.n_scratch = 4096;
    want_ours();
    CHECK_EQ(ask(self), 2);
}

static void without_a_symbol_table(void)
{
    own();
    want_ours();
    const char *path = copy("strip -o %s \"$SELF\" 2>/dev/null");
    if (!path)
        return;             /* no strip */
    CHECK_EQ(ask(path), 1); /* exported: -rdynamic */
    CHECK(is_named("an_exported_function"));
    unlink(path);
}

/* ---- build-ids and debug files */
static uint8_t id[SP_BUILD_ID_MAX];

static int note_id(struct dl_phdr_info *i, size_t size, void *arg)
{
    (void)size, (void)arg;
    for (int k = 0; k < i->dlpi_phnum; k++) {
        const ElfW(Phdr) *p = &i->dlpi_phdr[k];
        const uint8_t *at = (const uint8_t *)(i->dlpi_addr + p->p_vaddr);
        const ElfW(Nhdr) *h = (const ElfW(Nhdr) *)at;
        if (p->p_type == PT_NOTE && h->n_type == NT_GNU_BUILD_ID && h->n_descsz <= sizeof id) {
            memcpy(id, at + sizeof *h + 4, h->n_descsz);
            s.n_build_id = h->n_descsz;
        }
    }
    return 1; /* the program is the first */
}

/* A note behind the n bytes that are there: "GNU", and so many bytes of content, padded. */
static size_t add_note(uint8_t *notes, size_t n, uint32_t type, uint32_t bytes)
{
    ElfW(Nhdr) h = {.n_namesz = 4, .n_descsz = bytes, .n_type = type};
    memcpy(notes + n, &h, sizeof h);
    memcpy(notes + n + sizeof h, "GNU", 4);
    memset(notes + n + sizeof h + 4, (int)type, bytes);
    return n + sizeof h + 4 + ((bytes + 3) & ~3u);
}

static void build_ids_in_notes(void)
{
    uint8_t notes[256] = {0}, found[SP_BUILD_ID_MAX];
    size_t other = add_note(notes, 0, NT_GNU_ABI_TAG, 18), n = add_note(notes, other, NT_GNU_BUILD_ID, 7);
    CHECK_EQ(sp_build_id_in(notes, other, found), 0);
    CHECK_EQ(sp_build_id_in(notes, n, found), 7);
    CHECK(found[0] == NT_GNU_BUILD_ID && found[6] == NT_GNU_BUILD_ID);
    CHECK_EQ(sp_build_id_in(notes, n - 1, found), 7); /* the last needs no padding */
    for (size_t cut = 0; cut < n - 1; cut++)
        CHECK_EQ(sp_build_id_in(notes, cut, found), 0);
    CHECK_EQ(sp_build_id_in(notes, add_note(notes, 0, NT_GNU_BUILD_ID, 64), found), SP_BUILD_ID_MAX); /* as much as is kept */
    memcpy(notes + 12, "BSD", 4);
    CHECK_EQ(sp_build_id_in(notes, 80, found), 0);
}

static void the_file_of_another_build(void)
{
    own();
    want_ours();
    dl_iterate_phdr(note_id, NULL);
    if (!s.n_build_id)
        return; /* this linker gave it none */
    s.build_id = id;
    CHECK_EQ(ask(self), 2);
    id[0] ^= 1;
    CHECK_EQ(ask(self), 0);
    id[0] ^= 1;

    const char *path =
        copy("mkdir -p %1$s.d && strip -o %1$s \"$SELF\" 2>/dev/null && objcopy --only-keep-debug \"$SELF\" %1$s.debug");
    if (!path)
        return;
    char line[2048], root[300];
    snprintf(root, sizeof root, "%s.d", path);
    snprintf(line, sizeof line, "mkdir -p %s/.build-id/%02x", root, id[0]);
    CHECK(system(line) == 0);
    int n = snprintf(line, sizeof line, "mv %s.debug %s/.build-id/%02x/", path, root, id[0]);
    for (uint32_t i = 1; i < s.n_build_id; i++)
        n += snprintf(line + n, sizeof line - (size_t)n, "%02x", id[i]);
    snprintf(line + n, sizeof line - (size_t)n, ".debug");
    CHECK(system(line) == 0);
    CHECK_EQ(ask(path), 1);
    s.debug_root = root;
    CHECK_EQ(ask(path), 2);
    CHECK(is_named("a_static_function") && is_named("an_exported_function"));
    snprintf(line, sizeof line, "rm -r %s %s", path, root);
    CHECK(system(line) == 0);
}

/* Its file is in memory alone. */
static void the_vdso(void)
{
    struct sp_elf e;
    CHECK(sp_os_probe_init());
    sp_real_find_all();
    uintptr_t start = getauxval(AT_SYSINFO_EHDR);
    if (!start || !sp_elf_at(&e, start))
        return; /* this kernel has none */
    const char *function = "__vdso_clock_gettime";
    if (!sp_elf_find(&e, function))
        function = "__kernel_clock_gettime"; /* aarch64 */
    CHECK(sp_elf_find(&e, function));
    s.n = 1;
    wanted[0].start = (uintptr_t)sp_elf_find(&e, function) - start;
    CHECK(ask("linux-vdso.so.1") == 1 && is_named(function));
    CHECK(ask("[vdso]") == 1 && is_named(function));
    struct sp_module m = {.start = e.start, .end = e.end};
    s.n_build_id = sp_module_build_id(&m, id);
    s.build_id = id;
    CHECK(ask("[vdso]") == (s.n_build_id ? 1 : 0));
    id[0] ^= 1;
    CHECK_EQ(ask("[vdso]"), 0);
    CHECK(munmap((void *)start, e.end - e.start) == 0); /* as a program may: nothing is found, and nothing else happens */
    id[0] ^= 1;
    CHECK_EQ(ask("[vdso]"), 0);
}

/* ---- broken files */
static uint8_t bytes[1 << 20];

static size_t small_file(void)
{
    int fd = open(SMALL, O_RDONLY);
    ssize_t n = read(fd, bytes, sizeof bytes);
    CHECK(n > 4096 && n < (ssize_t)sizeof bytes);
    close(fd);
    s.n = 2;
    wanted[0].start = 0x2000;
    wanted[1].start = 0x3000; /* turn(): see tests/support/turn.c */
    return (size_t)n;
}

static void changed_bytes(void)
{
    size_t n = small_file();
    uint64_t sections = ((Elf64_Ehdr *)bytes)->e_shoff;
    int fd = open(copy("cp " SMALL " %s"), O_RDWR);
    CHECK(fd >= 0);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ask(path);
    CHECK(is_named("turn"));
    for (size_t at = 0; at < n; at += at < 600 || at >= sections ? 1 : 97) {
        static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
        for (size_t v = 0; v < sizeof values; v++) {
            CHECK(pwrite(fd, &values[v], 1, (off_t)at) == 1);
            ask(path);
        }
        CHECK(pwrite(fd, bytes + at, 1, (off_t)at) == 1);
    }
    ask(path);
    CHECK(is_named("turn"));
    for (size_t cut = n; cut > 0; cut -= cut > 97 ? 97 : cut) {
        CHECK(ftruncate(fd, (off_t)cut) == 0);
        ask(path);
    }
    close(fd);
    snprintf(path, sizeof path, "symbols-%d", (int)getpid());
    unlink(path);
}

const struct unit_case unit_cases[] = {
    {"our_own_names", our_own_names},
    {"without_a_symbol_table", without_a_symbol_table},
    {"build_ids_in_notes", build_ids_in_notes},
    {"the_file_of_another_build", the_file_of_another_build},
    {"the_vdso", the_vdso},
    {"changed_bytes", changed_bytes},
    {NULL, NULL},
};
