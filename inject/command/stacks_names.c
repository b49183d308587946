/* SPDX-License-Identifier: MIT
 * See stacks.h: names of native functions. Each library's symbols are read once, whatever many frames lie in it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat/symbols.h"
#include "inject/command/command.h"
#include "inject/command/demangle.h"
#include "inject/command/stacks.h"

#define READ_BYTES (256u << 10)

struct function {
    char *file, *name; /* NULL: it has none */
    uint64_t place;
    uint8_t id[SP_BUILD_ID_MAX];
    uint32_t n_id;
};

struct sp_stacks_names {
    struct function *of; /* by file and place */
    size_t n, cap;
};

static int by_file_and_place(const void *a, const void *b)
{
    const struct function *x = a, *y = b;
    int by_file = strcmp(x->file, y->file);
    return by_file ? by_file : (x->place > y->place) - (x->place < y->place);
}

static void add(struct sp_stacks_names *n, const struct sp_stacks_frame *f)
{
    if (n->n == n->cap)
        n->of = sp_cli_alloc(n->of, (n->cap = n->cap ? 2 * n->cap : 64) * sizeof *n->of);
    struct function *one = &n->of[n->n++];
    *one = (struct function){.place = f->place, .n_id = f->n_id, .file = sp_cli_alloc(NULL, strlen(f->file) + 1)};
    memcpy(one->file, f->file, strlen(f->file) + 1);
    memcpy(one->id, f->id, sizeof one->id);
}

static void collect(struct sp_stacks_names *n, const struct sp_stacks *s)
{
    static struct sp_stacks_frame f;
    struct sp_ring_thread t;
    for (size_t at = 0, from = 0; sp_stacks_thread(s, &at, &t); from = at)
        for (size_t within = 0; sp_stacks_frame(s, from, &within, &f);)
            if (f.is_native && f.file[0])
                add(n, &f);
    if (!n->n)
        return;
    qsort(n->of, n->n, sizeof *n->of, by_file_and_place);
    size_t kept = 1;
    for (size_t i = 1; i < n->n; i++)
        if (by_file_and_place(&n->of[i], &n->of[kept - 1]) == 0)
            free(n->of[i].file);
        else
            n->of[kept++] = n->of[i];
    n->n = kept;
}

static void named(void *arg, uint32_t i, const char *name)
{
    struct function *f = arg;
    f += i;
    free(f->name);
    f->name = sp_cli_alloc(NULL, strlen(name) + 1);
    memcpy(f->name, name, strlen(name) + 1);
}

/* All functions of one library; without a build id nothing tells whether the file is still the one that was mapped. */
static void name_library(struct function *f, size_t n)
{
    struct sp_symbols s = {
        .path = f->file,
        .build_id = f->id,
        .n_build_id = f->n_id,
        .debug_root = "/usr/lib/debug",
        .wanted = sp_cli_alloc(NULL, n * sizeof *s.wanted),
        .n = (uint32_t)n,
        .scratch = sp_cli_alloc(NULL, READ_BYTES),
        .n_scratch = READ_BYTES,
    };
    for (size_t i = 0; i < n; i++)
        s.wanted[i] = (struct sp_symbol){.start = f[i].place};
    if (f->n_id)
        sp_symbols_name(&s, named, f);
    free(s.wanted);
    free(s.scratch);
}

struct sp_stacks_names *sp_stacks_names(const struct sp_stacks *s)
{
    struct sp_stacks_names *n = sp_cli_alloc(NULL, sizeof *n);
    *n = (struct sp_stacks_names){.n = 0};
    collect(n, s);
    for (size_t i = 0, end; i < n->n; i = end) {
        for (end = i + 1; end < n->n && strcmp(n->of[end].file, n->of[i].file) == 0;)
            end++;
        name_library(&n->of[i], end - i);
    }
    return n;
}

void sp_stacks_name(const struct sp_stacks_names *n, struct sp_stacks_frame *f)
{
    char text[sizeof f->name + 600];
    if (!f->is_native || !f->file[0])
        return;
    struct function wanted = {.file = f->file, .place = f->place}, *found;
    found = n->n ? bsearch(&wanted, n->of, n->n, sizeof *n->of, by_file_and_place) : NULL;
    const char *base = strrchr(f->file, '/'), *name = found ? found->name : NULL;
    base = base ? base + 1 : f->file;
    if (!name)
        snprintf(f->name, sizeof f->name, "%.255s+0x%llx", base, (unsigned long long)f->place);
    else if ((name = sp_cli_demangle(name, f->file, text, sizeof text)) == text)
        snprintf(f->name, sizeof f->name, "%.*s", (int)sizeof f->name - 1, name);
    else
        snprintf(f->name, sizeof f->name, "%.800s [%.255s]", name, base);
}

void sp_stacks_names_free(struct sp_stacks_names *n)
{
    for (size_t i = 0; i < n->n; i++) {
        free(n->of[i].file);
        free(n->of[i].name);
    }
    free(n->of);
    free(n);
}
