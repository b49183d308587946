/* SPDX-License-Identifier: MIT
 * See symbols.h. One pass over each library's symbols, by what the scratch area has left. */
#include "writers/symbols.h"

#include <string.h>

#include "compat/symbols.h"

#define NAMES_PART 8 /* of what is left of the scratch area: for names */
#define READ_BYTES (64u << 10)
#define PATH_BYTES 4096u

struct namer {
    struct sp_view *v;
    char *names, *names_end; /* room for them */
    uint32_t *order;         /* functions of one library, by their place in it */
    struct sp_symbol *wanted;
    uint32_t n;
    uint8_t *scratch;
    char *path; /* PATH_BYTES */
};

static uint64_t place_of(const struct sp_view *v, uint32_t function)
{
    return sp_view_place(v->region, &v->functions[function]);
}

/* Shell's, by Knuth's gaps: no recursion, and no memory as qsort() may take. */
static void sort(const struct sp_view *v, uint32_t *order, uint32_t n)
{
    uint32_t gap = 1;
    while (gap < n / 3)
        gap = 3 * gap + 1;
    for (; gap; gap /= 3)
        for (uint32_t i = gap; i < n; i++) {
            uint32_t one = order[i], k = i;
            for (; k >= gap && place_of(v, order[k - gap]) > place_of(v, one); k -= gap)
                order[k] = order[k - gap];
            order[k] = one;
        }
}

static void named(void *arg, uint32_t i, const char *name)
{
    struct namer *n = arg;
    size_t bytes = strlen(name) + 1;
    if ((size_t)(n->names_end - n->names) < bytes)
        return;
    n->v->functions[n->order[i]].symbol = memcpy(n->names, name, bytes);
    n->names += bytes;
}

static uint32_t digit(char c)
{
    return (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static void name_library(struct namer *n, uint32_t module)
{
    struct sp_view *v = n->v;
    const struct sp_string *library = sp_string_at(v->region, v->modules[module]);
    size_t at = sp_view_library_path(library), bytes = library->bytes - at;
    uint8_t id[SP_BUILD_ID_MAX];
    uint32_t n_id = (uint32_t)(at / 2);
    if (!n_id || !bytes || bytes >= PATH_BYTES || n_id > sizeof id)
        return; /* without a build id nothing tells whether the file is still the one that was mapped */
    memcpy(n->path, library->data + at, bytes);
    n->path[bytes] = '\0';
    for (uint32_t i = 0; i < n_id; i++)
        id[i] = (uint8_t)(digit(library->data[2 * i]) << 4 | digit(library->data[2 * i + 1]));
    n->n = 0;
    for (uint32_t f = 0; f < v->n_functions; f++)
        if (v->functions[f].native && v->functions[f].module == module)
            n->order[n->n++] = f;
    sort(v, n->order, n->n);
    for (uint32_t i = 0; i < n->n; i++)
        n->wanted[i] = (struct sp_symbol){.start = place_of(v, n->order[i])};
    struct sp_symbols s = {
        .path = n->path,
        .build_id = id,
        .n_build_id = n_id,
        .debug_root = "/usr/lib/debug",
        .wanted = n->wanted,
        .n = n->n,
        .scratch = n->scratch,
        .n_scratch = READ_BYTES,
    };
    sp_symbols_name(&s, named, n);
}

void sp_symbols_of_view(struct sp_view *v)
{
    uint64_t left = v->region->scratch_bytes - v->used_bytes, names = left / NAMES_PART;
    uint64_t work = (uint64_t)v->n_functions * (sizeof(uint32_t) + sizeof(struct sp_symbol)) + READ_BYTES + PATH_BYTES + 4 * 64;
    if (!v->n_modules || names + work > left / 2)
        return;
    struct namer n = {.v = v, .names = sp_view_room(v, names)};
    uint64_t mark = v->used_bytes;
    char *begin = n.names;
    n.names_end = n.names + names;
    n.order = sp_view_alloc(v, v->n_functions * sizeof n.order[0]);
    n.wanted = sp_view_alloc(v, v->n_functions * sizeof n.wanted[0]);
    n.scratch = sp_view_alloc(v, READ_BYTES);
    n.path = sp_view_alloc(v, PATH_BYTES);
    for (uint32_t i = 0; i < v->n_modules; i++)
        name_library(&n, i);
    v->used_bytes = mark - names + (uint64_t)(n.names - begin);
    v->used_bytes = (v->used_bytes + 63) & ~63ull;
}
