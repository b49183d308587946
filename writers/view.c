/* SPDX-License-Identifier: MIT
 * See view.h: functions and stacks. What keeps them small is in view_bound.c. */
#include "writers/view.h"

#include <string.h>

void *sp_view_room(struct sp_view *v, uint64_t bytes)
{
    bytes = (bytes + 63) & ~63ull;
    if (v->used_bytes + bytes > v->region->scratch_bytes) {
        v->full = true;
        return NULL;
    }
    void *p = sp_at(v->region, v->region->scratch + v->used_bytes);
    v->used_bytes += bytes;
    return p;
}

void *sp_view_alloc(struct sp_view *v, uint64_t bytes)
{
    void *p = sp_view_room(v, bytes);
    return p ? memset(p, 0, bytes) : NULL;
}

/* ---- a small hash set of indices: finds the first index whose value equals, for building tables once */
struct set {
    uint32_t *slots;
    uint32_t mask;
};

static bool set_init(struct sp_view *v, struct set *s, uint32_t n)
{
    uint32_t size = 64;
    while (size < 2 * n)
        size *= 2;
    s->mask = size - 1;
    s->slots = sp_view_alloc(v, (uint64_t)size * 4);
    return s->slots != NULL;
}

static uint32_t hash3(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t h = (a * 0x9e3779b97f4a7c15ull) ^ b;
    h = ((h ^ h >> 32) * 0xd6e8feb86659fd93ull) ^ c;
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93ull;
    return (uint32_t)(h >> 32);
}

/* ---- functions */
/* Lib/importlib/_bootstrap.py and _bootstrap_external.py, frozen since 3.3 under these names. */
static bool is_import_system(const struct sp_string *file)
{
    static const char prefix[] = "<frozen importlib._bootstrap";
    return file->bytes >= sizeof prefix - 1 && memcmp(file->data, prefix, sizeof prefix - 1) == 0;
}

static struct sp_function function_of(const struct sp_view *v, uint32_t frame)
{
    const struct sp_region *r = v->region;
    const struct sp_frame *f = sp_frame_at(r, frame);
    if (f->kind == SP_FRAME_TASK || f->kind == SP_FRAME_WAIT)
        return (struct sp_function){.name = f->what};
    if (f->kind == SP_FRAME_NATIVE)
        return (struct sp_function){.file = f->what, .native = frame};
    if (f->kind == SP_FRAME_SYMBOL)
        return (struct sp_function){.file = f->what, .native = frame, .symbol = sp_string_at(r, (uint32_t)f->offset)->data};
    if (f->kind != SP_FRAME_PYTHON)
        return (struct sp_function){.pseudo = f->what};
    const struct sp_code *c = sp_code_at(r, f->what);
    if (!r->imports && is_import_system(sp_string_at(r, c->file)))
        return (struct sp_function){.pseudo = SP_PSEUDO_IMPORT};
    return (struct sp_function){
        .name = c->name,
        .file = c->file,
        .line = v->lines ? sp_store_frame_line(r, frame) : c->first_line,
        .first_line = c->first_line,
    };
}

static uint32_t function_index(struct sp_view *v, struct set *s, struct sp_function f)
{
    uint32_t at = hash3((uint64_t)f.name << 32 | f.file, (uint32_t)f.line, (uint64_t)f.native << 32 | f.pseudo);
    for (;; at++) {
        uint32_t *slot = &s->slots[at & s->mask];
        if (*slot == 0) {
            v->functions[v->n_functions++] = f;
            return *slot = v->n_functions;
        }
        const struct sp_function *g = &v->functions[*slot - 1];
        if (g->name == f.name && g->file == f.file && g->line == f.line && g->first_line == f.first_line &&
            g->pseudo == f.pseudo && g->native == f.native)
            return *slot;
    }
}

static bool find_functions(struct sp_view *v)
{
    const struct sp_region *r = v->region;
    v->n_frames = sp_pool_end(r, &r->frames);
    v->function_of_frame = sp_view_alloc(v, (uint64_t)v->n_frames * 4);
    v->functions = sp_view_alloc(v, (uint64_t)v->n_frames * sizeof v->functions[0]);
    uint64_t mark = v->used_bytes;
    struct set s;
    if (!v->function_of_frame || !v->functions || !set_init(v, &s, v->n_frames))
        return false;
    for (uint32_t f = 1; f < v->n_frames; f++)
        v->function_of_frame[f] = function_index(v, &s, function_of(v, f)) - 1;
    v->used_bytes = mark;
    return true;
}

/* Without room for them there are none. */
static void find_modules(struct sp_view *v)
{
    uint32_t n = 0;
    uint64_t begin = v->used_bytes;
    struct set s;
    for (uint32_t f = 0; f < v->n_functions; f++)
        n += v->functions[f].native != 0;
    if (!n || (uint64_t)n * 40 > (v->region->scratch_bytes - begin) / 2)
        return;
    v->modules = sp_view_alloc(v, (uint64_t)n * 4);
    if (!v->modules || !set_init(v, &s, n))
        return;
    for (uint32_t i = 0; i < v->n_functions; i++) {
        struct sp_function *f = &v->functions[i];
        for (uint32_t at = hash3(f->file, 0, 2); f->native; at++) {
            uint32_t *slot = &s.slots[at & s.mask];
            if (!*slot) {
                v->modules[v->n_modules++] = f->file;
                *slot = v->n_modules;
            }
            f->module = *slot - 1;
            if (v->modules[f->module] == f->file)
                break;
        }
    }
    v->used_bytes = (begin + (uint64_t)v->n_modules * 4 + 63) & ~63ull;
}

/* ---- stacks of functions */
static uint32_t function_at(const struct sp_view *v, uint32_t node)
{
    return v->function_of_frame[sp_node_at(v->region, node)->frame];
}

static uint32_t canonical(struct sp_view *v, struct set *s, uint32_t node)
{
    const struct sp_node *n = sp_node_at(v->region, node);
    uint32_t parent = v->canon[n->parent], function = v->function_of_frame[n->frame];
    for (uint32_t at = hash3(parent, function, 1);; at++) {
        uint32_t *slot = &s->slots[at & s->mask];
        if (*slot == 0)
            return *slot = node;
        const struct sp_node *m = sp_node_at(v->region, *slot);
        if (v->canon[m->parent] == parent && v->function_of_frame[m->frame] == function)
            return *slot;
    }
}

static bool is_import(const struct sp_view *v, uint32_t node)
{
    const struct sp_function *f = node ? &v->functions[function_at(v, node)] : NULL;
    return f && !f->name && f->pseudo == SP_PSEUDO_IMPORT;
}

/* The node that stands for `node`: equal stacks of two interpreters are one, and so are frames of the import system that
 * call each other. */
static uint32_t canon_of(struct sp_view *v, struct set *s, uint32_t node)
{
    uint32_t parent = v->canon[sp_node_at(v->region, node)->parent];
    if (sp_view_is_interpreter(v, node))
        return 0;
    return is_import(v, node) && is_import(v, parent) ? parent : canonical(v, s, node);
}

static bool find_canonical_nodes(struct sp_view *v)
{
    v->n_nodes = sp_pool_end(v->region, &v->region->nodes);
    v->canon = sp_view_alloc(v, (uint64_t)v->n_nodes * 4);
    v->self = sp_view_alloc(v, (uint64_t)v->n_nodes * 8);
    uint64_t mark = v->used_bytes;
    struct set s;
    if (!v->canon || !v->self || !set_init(v, &s, v->n_nodes))
        return false;
    for (uint32_t n = 1; n < v->n_nodes; n++)
        v->canon[n] = canon_of(v, &s, n);
    v->used_bytes = mark;
    return true;
}

static bool find_parts(struct sp_view *v)
{
    for (uint32_t n = 1; n < v->n_nodes; n++) {
        if (!v->part && sp_view_is_interpreter(v, n) && !(v->part = sp_view_alloc(v, (uint64_t)v->n_nodes * 4)))
            return false;
        if (v->part)
            v->part[n] = sp_view_is_interpreter(v, n) ? n : v->part[sp_node_at(v->region, n)->parent];
    }
    return true;
}

static void sum_up(struct sp_view *v)
{
    uint64_t threads = sp_view_sum_of(v->cpu_ns);
    v->used_ns = sp_max_u64(v->profile->process_cpu_ns, threads);
    /* Creating and burying threads; or else threads that found no room in the region. */
    v->unseen = v->region->loss[SP_LOSS_NO_SLOT] ? SP_CATEGORY_NOT_SAMPLED : SP_CATEGORY_THREAD_START_END;
    v->unseen_ns = v->used_ns - threads;
    v->cpu_ns[v->unseen] += v->unseen_ns;
    const struct sp_told *told = v->profile->told;
    if (!told)
        return;
    memcpy(v->cpu_ns, told->cpu_ns, sizeof v->cpu_ns);
    v->samples = told->samples;
    v->prompt_ns = told->prompt_ns;
}

static bool init(struct sp_view *v)
{
    v->stack = sp_view_alloc(v, (v->region->depth + 8ull) * 4);
    if (!v->stack || !find_functions(v) || !find_canonical_nodes(v) || !find_parts(v))
        return false;
    v->sum = sp_view_alloc(v, (uint64_t)v->n_nodes * 8);
    v->touched = sp_view_alloc(v, (uint64_t)v->n_nodes * 4);
    if (!v->sum || !v->touched || !sp_view_find_threads(v))
        return false;
    find_modules(v);
    sum_up(v);
    return true;
}

bool sp_view_init(struct sp_view *v, const struct sp_profile *p)
{
    bool lines = p->region->lines;
    *v = (struct sp_view){.profile = p, .region = p->region, .lines = lines, .names_lines = lines};
    return init(v);
}

bool sp_view_init_lines(struct sp_view *v, const struct sp_profile *p)
{
    *v = (struct sp_view){.profile = p, .region = p->region, .lines = true};
    return init(v);
}

static void *copy(struct sp_view *v, const void *from, uint64_t bytes)
{
    void *to = sp_view_alloc(v, bytes);
    return to ? memcpy(to, from, bytes) : NULL;
}

/* What does not depend on weights is shared, and so is what each pass leaves empty. */
bool sp_view_init_wall(struct sp_view *w, struct sp_view *of)
{
    uint64_t mark = of->used_bytes;
    *w = *of;
    w->wall = true;
    w->used_ns = of->wall_ns;
    w->functions = copy(of, of->functions, (uint64_t)of->n_frames * sizeof of->functions[0]);
    w->function_of_frame = copy(of, of->function_of_frame, (uint64_t)of->n_frames * 4);
    w->self = sp_view_alloc(of, (uint64_t)of->n_nodes * 8);
    bool is_done = w->functions && w->function_of_frame && w->self;
    of->used_bytes = is_done ? of->used_bytes : mark;
    return is_done;
}

/* Index of the function that stands for `n` elided frames. */
static uint32_t elided_function(const struct sp_view *v, uint32_t n)
{
    for (uint32_t i = 0; i < v->n_elided_functions; i++)
        if (v->functions[v->n_functions + i].pseudo == n)
            return v->n_functions + i;
    return 0;
}

static uint32_t caller(const struct sp_view *v, uint32_t node)
{
    return v->canon[sp_node_at(v->region, node)->parent];
}

uint32_t sp_view_depth(const struct sp_view *v, uint32_t node)
{
    uint32_t depth = 0;
    for (; node; node = caller(v, node))
        depth++;
    return depth;
}

uint32_t sp_view_stack(struct sp_view *v, uint32_t node)
{
    uint32_t depth = sp_view_depth(v, node);
    bool elide = depth > SP_VIEW_DEPTH_MAX;
    uint32_t n = elide ? 2 * SP_VIEW_DEPTH_KEPT + 1 : depth;
    for (uint32_t i = depth; i-- > 0; node = caller(v, node)) {
        if (!elide || i < SP_VIEW_DEPTH_KEPT)
            v->stack[i] = function_at(v, node);
        else if (i >= depth - SP_VIEW_DEPTH_KEPT)
            v->stack[n - (depth - i)] = function_at(v, node);
    }
    if (elide)
        v->stack[SP_VIEW_DEPTH_KEPT] = elided_function(v, depth - 2 * SP_VIEW_DEPTH_KEPT);
    return n;
}
