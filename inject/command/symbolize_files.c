/* SPDX-License-Identifier: MIT
 * See symbolize.h. Files are taken by build id wherever they lie, so every place where one may be is tried:
 * /usr/lib/debug/.build-id as distributions fill it, debuginfod's cache, an unpacked image, a directory full of files, and the name
 * that a stripped library itself gives (.gnu_debuglink). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inject/command/elf_file.h"
#include "inject/command/source_lines.h"
#include "inject/command/command.h"
#include "inject/command/symbolize.h"
#include "inject/command/unxz.h"

#define MOST_FILES 8u
#define MOST_PACKED (64u << 20)
#define DEBUG_ROOT "/usr/lib/debug"

struct files {
    const struct sp_symbolize_module *module;
    struct sp_elf_file file[MOST_FILES];
    uint32_t n;
    char link[256]; /* what a .gnu_debuglink names; "": none */
};

static void try(struct files *f, const char *path)
{
    const struct sp_symbolize_module *m = f->module;
    struct sp_elf_file one;
    uint64_t at, bytes;
    if (f->n == MOST_FILES || !sp_elf_file_open(&one, path))
        return;
    bool is_ours = one.n_build_id == m->n_build_id && memcmp(one.build_id, m->build_id, m->n_build_id) == 0;
    for (uint32_t i = 0; i < f->n; i++)
        is_ours &= f->file[i].device != one.device || f->file[i].inode != one.inode;
    if (!is_ours) {
        sp_elf_file_close(&one);
        return;
    }
    if (!f->link[0] && sp_elf_file_section(&one, ".gnu_debuglink", &at, &bytes) && bytes > 4 &&
        sp_elf_file_read(&one, at, f->link, bytes < sizeof f->link ? bytes : sizeof f->link - 1) && strchr(f->link, '/'))
        f->link[0] = '\0'; /* a name, no path */
    f->file[f->n++] = one;
}

static void try_below(struct files *f, const char *directory)
{
    const struct sp_symbolize_module *m = f->module;
    const char *slash = strrchr(m->path, '/'), *base = slash ? slash + 1 : m->path;
    char hex[2 * SP_BUILD_ID_MAX + 1] = "", path[3 * SP_SYMBOLIZE_PATH_BYTES];
    for (uint32_t i = 0; i < m->n_build_id; i++)
        snprintf(hex + 2 * i, 3, "%02x", m->build_id[i]);
    snprintf(path, sizeof path, "%s/.build-id/%.2s/%s.debug", directory, hex, hex + 2);
    try(f, path);
    path[strlen(path) - strlen(".debug")] = '\0';
    try(f, path);
    snprintf(path, sizeof path, "%s/%s/debuginfo", directory, hex);
    try(f, path);
    for (int i = 0; i < 4; i++) {
        const char *name = i < 2 ? m->path : base;
        snprintf(path, sizeof path, "%s%s%s%s", directory, *name == '/' ? "" : "/", name, i % 2 ? "" : ".debug");
        try(f, path);
    }
    if (f->link[0]) {
        snprintf(path, sizeof path, "%s%.*s%s", directory, (int)(base - m->path), m->path, f->link);
        try(f, path);
        snprintf(path, sizeof path, "%s/%s", directory, f->link);
        try(f, path);
    }
}

/* Beside the library itself, where its link points. */
static void try_link(struct files *f)
{
    const char *slash = strrchr(f->module->path, '/');
    char path[2 * SP_SYMBOLIZE_PATH_BYTES];
    for (int i = 0; i < 2 && f->link[0] && slash; i++) {
        snprintf(path, sizeof path, "%.*s/%s%s", (int)(slash - f->module->path), f->module->path, i ? ".debug/" : "", f->link);
        try(f, path);
    }
}

static void find_files(struct files *f, const char *const *directories)
{
    if (f->module->path[0] == '/')
        try(f, f->module->path); /* names its debug file */
    for (int i = 0; directories[i]; i++)
        try_below(f, directories[i]);
    try_below(f, DEBUG_ROOT);
    try_link(f);
}

/* ---- names */
struct naming {
    struct sp_native_frame **frame;
    struct sp_symbol *wanted;
    uint32_t n;
};

static void named(void *arg, uint32_t i, const char *name)
{
    struct naming *n = arg;
    size_t bytes = strlen(name) + 1;
    if (!n->frame[i]->name)
        n->frame[i]->name = memcpy(sp_cli_alloc(NULL, bytes), name, bytes);
}

/* Of those that have none yet, by an ELF file's symbol tables. */
static void name_by(const struct sp_symbolize_module *m, struct naming *n, int fd)
{
    static uint8_t scratch[1 << 16];
    char path[64];
    n->n = 0;
    for (uint32_t i = 0; i < m->n_frames; i++) {
        if (m->frames[i].name)
            continue;
        n->frame[n->n] = &m->frames[i];
        n->wanted[n->n++] = (struct sp_symbol){.start = m->frames[i].place};
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct sp_symbols s = {.path = path, .wanted = n->wanted, .n = n->n, .scratch = scratch, .n_scratch = sizeof scratch};
    if (n->n)
        sp_symbols_name(&s, named, n);
}

/* The symbols that Fedora's libraries bring along, packed. */
static const char *name_by_packed(const struct sp_symbolize_module *m, struct naming *n, const struct sp_elf_file *f)
{
    uint64_t at, bytes;
    if (!sp_unxz_can || !sp_elf_file_section(f, ".gnu_debugdata", &at, &bytes) || bytes > MOST_PACKED)
        return NULL;
    char *packed = sp_cli_alloc(NULL, bytes);
    int fd = sp_elf_file_read(f, at, packed, bytes) ? sp_unxz(packed, bytes) : -1;
    free(packed);
    if (fd < 0)
        return "its .gnu_debugdata is damaged";
    name_by(m, n, fd);
    close(fd);
    return NULL;
}

static const char *find_names(const struct files *f)
{
    const struct sp_symbolize_module *m = f->module;
    struct naming n = {.frame = sp_cli_alloc(NULL, m->n_frames * sizeof *n.frame),
                       .wanted = sp_cli_alloc(NULL, m->n_frames * sizeof *n.wanted)};
    const char *complaint = NULL;
    for (uint32_t i = 0; i < f->n; i++)
        name_by(m, &n, f->file[i].fd);
    for (uint32_t i = 0; i < f->n; i++)
        complaint = complaint ? complaint : name_by_packed(m, &n, &f->file[i]);
    free(n.frame);
    free(n.wanted);
    return complaint;
}

/* ---- source lines */
static void take_line(void *arg, uint32_t i, const char *file, int line)
{
    const struct sp_symbolize_module *m = arg;
    size_t bytes = strlen(file) + 1;
    if (m->frames[i].file)
        return;
    m->frames[i].file = memcpy(sp_cli_alloc(NULL, bytes), file, bytes);
    m->frames[i].line = line;
}

static const char *find_lines(const struct files *f)
{
    const struct sp_symbolize_module *m = f->module;
    const char *complaint = NULL;
    uint64_t *address = sp_cli_alloc(NULL, m->n_frames * sizeof *address), at, bytes;
    for (uint32_t i = 0; i < f->n; i++) {
        const struct sp_elf_file *e = &f->file[i];
        if (!sp_elf_file_section(e, ".debug_line", &at, &bytes) && !sp_elf_file_section(e, ".zdebug_line", &at, &bytes))
            continue;
        for (uint32_t k = 0; k < m->n_frames; k++)
            address[k] = m->frames[k].place + e->low;
        const char *said = sp_source_lines(e->fd, address, m->n_frames, take_line, (void *)(uintptr_t)m);
        complaint = complaint ? complaint : said;
    }
    free(address);
    return complaint;
}

struct sp_symbolize_found sp_symbolize_module(const struct sp_symbolize_module *m, const char *const *directories)
{
    struct files f = {.module = m};
    struct sp_symbolize_found found = {0};
    if (!m->n_build_id || !m->n_frames) /* without a build id nothing tells whether a file is the one that ran */
        return found;
    find_files(&f, directories);
    found.files = f.n;
    found.complaint = find_names(&f);
    const char *said = find_lines(&f);
    found.complaint = found.complaint ? found.complaint : said;
    for (uint32_t i = 0; i < f.n; i++)
        sp_elf_file_close(&f.file[i]);
    return found;
}
