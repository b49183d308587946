/* SPDX-License-Identifier: MIT
 * See pprof_tables.h. Strings are written in the order in which they were numbered: the place that had a number first has
 * the next one when all are gone through again. */
#include "writers/pprof_tables.h"

#include <string.h>

#include "compat/symbols.h"
#include "compat/version.h"
#include "writers/names.h"
#include "writers/proto.h"
#include "writers/text.h"

#define PREFIX_BYTES 5u
static const char task_prefix[] = "task ", span_prefix[] = "span ";
#define FIELD_STRING 6
#define NO_SEPARATOR '\n' /* a control character, which does not stand as it is anyway */

const struct sp_function *sp_pprof_function(const struct sp_pprof_tables *t, uint32_t place)
{
    return place < t->n_first ? &t->views[0]->functions[place] : &t->views[1]->functions[place - t->n_first];
}

static const struct sp_view *view_of(const struct sp_pprof_tables *t, uint32_t place)
{
    return t->views[place >= t->n_first];
}

static uint32_t index_of(const struct sp_pprof_tables *t, uint32_t place)
{
    return place < t->n_first ? place : place - t->n_first;
}

static bool is_elided(const struct sp_pprof_tables *t, uint32_t place)
{
    return index_of(t, place) >= view_of(t, place)->n_functions;
}

enum sp_pprof_second sp_pprof_second(const struct sp_pprof_tables *t, uint32_t place)
{
    const struct sp_function *f = sp_pprof_function(t, place);
    if (is_elided(t, place) || (f->native && !f->symbol))
        return SP_PPROF_NO_SECOND;
    if (f->native)
        return SP_PPROF_SYMBOL;
    const struct sp_string *s = f->name && !f->file ? sp_string_at(t->views[0]->region, f->name) : NULL;
    if (!s || s->bytes < PREFIX_BYTES)
        return SP_PPROF_NO_SECOND;
    return memcmp(s->data, task_prefix, PREFIX_BYTES) == 0   ? SP_PPROF_TASK_NAME
           : memcmp(s->data, span_prefix, PREFIX_BYTES) == 0 ? SP_PPROF_SPAN_NAME
                                                             : SP_PPROF_NO_SECOND;
}

size_t sp_pprof_build_id(const struct sp_string *library)
{
    size_t path = sp_view_library_path(library), digits = path ? path - 1 : 0;
    return digits == 2 * SP_LOOKS_BYTES && memcmp(library->data, "ff", 2) == 0 ? 0 : digits; /* SP_LOOKS_MARK */
}

/* ---- numbers */
static bool is_same_function(const struct sp_pprof_tables *t, uint32_t a, uint32_t b)
{
    const struct sp_function *f = sp_pprof_function(t, a), *g = sp_pprof_function(t, b);
    return f->name == g->name && f->file == g->file && f->first_line == g->first_line && f->native == g->native &&
           f->pseudo == g->pseudo && is_elided(t, a) == is_elided(t, b);
}

static bool is_same_file(const struct sp_pprof_tables *t, uint32_t a, uint32_t b)
{
    const struct sp_function *f = sp_pprof_function(t, a), *g = sp_pprof_function(t, b);
    return f->file == g->file && !f->native == !g->native;
}

static uint32_t hash(uint64_t a, uint64_t b)
{
    uint64_t h = (a * 0x9e3779b97f4a7c15ull) ^ b;
    return (uint32_t)(((h ^ h >> 32) * 0xd6e8feb86659fd93ull) >> 32);
}

/* The first place with the same function, or with its file; `place` itself, which is entered, if there was none. */
static uint32_t first_of(const struct sp_pprof_tables *t, uint32_t *slots, uint32_t mask, uint32_t place, bool by_file)
{
    const struct sp_function *f = sp_pprof_function(t, place);
    uint32_t at = by_file ? hash(f->file, 1) : hash((uint64_t)f->name << 32 | f->file, (uint64_t)f->native << 32 | f->pseudo);
    for (at += by_file ? 0 : (uint32_t)f->first_line;; at++) {
        uint32_t *slot = &slots[at & mask];
        if (!*slot)
            *slot = place + 1;
        if (*slot == place + 1 || (by_file ? is_same_file(t, *slot - 1, place) : is_same_function(t, *slot - 1, place)))
            return *slot - 1;
    }
}

static bool number_functions(struct sp_pprof_tables *t, struct sp_view *v)
{
    uint32_t n = t->n_places, size = 64, n_functions = 0;
    while (size < 2 * n)
        size *= 2;
    t->function = sp_view_alloc(v, n * 4ull);
    t->name = sp_view_alloc(v, n * 4ull);
    t->file = sp_view_alloc(v, n * 4ull);
    uint64_t mark = v->used_bytes;
    uint32_t *functions = sp_view_alloc(v, size * 4ull), *files = sp_view_alloc(v, size * 4ull);
    if (!t->function || !t->name || !t->file || !functions || !files)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t first = first_of(t, functions, size - 1, i, false);
        if (first == i) {
            t->function[i] = ++n_functions;
            t->name[i] = t->n_strings;
            t->n_strings += sp_pprof_second(t, i) != SP_PPROF_NO_SECOND ? 2 : 1;
        }
        t->function[i] = t->function[first];
        t->name[i] = t->name[first];
        if (is_elided(t, i) || !sp_pprof_function(t, i)->file)
            continue;
        first = first_of(t, files, size - 1, i, true);
        t->file[i] = first == i ? t->n_strings++ : t->file[first];
    }
    v->used_bytes = mark;
    return true;
}

/* ---- comments */
static void put_times(struct sp_buf *b, const struct sp_view *v)
{
    for (int c = SP_CATEGORY_PYTHON + 1; c < SP_CATEGORY_N; c++) {
        if (!v->cpu_ns[c])
            continue;
        sp_buf_str(b, b->len ? ", " : "ns not in Python stacks: ");
        sp_buf_str(b, sp_store_category_name((enum sp_category)c));
        sp_buf_char(b, ' ');
        sp_buf_u64(b, v->cpu_ns[c]);
    }
}

static void put_losses(struct sp_buf *b, const struct sp_region *r)
{
    for (int i = SP_LOSS_NONE + 1; i < SP_LOSS_N; i++) {
        if (!r->loss[i])
            continue;
        sp_buf_str(b, b->len ? ", " : "losses: ");
        sp_buf_str(b, sp_store_loss_name((enum sp_loss)i));
        sp_buf_char(b, ' ');
        sp_buf_u64(b, r->loss[i]);
    }
}

static void put_engine(struct sp_buf *b, const struct sp_region *r)
{
    const char *const words[] = {"spprof " SPPROF_VERSION, "; CPython ", r->python, " ", r->build, "; engine ", r->engine};
    for (size_t i = 0; i < SP_ARRAY_LEN(words); i++)
        sp_buf_str(b, words[i]);
}

static void put_rate(struct sp_buf *b, const struct sp_view *v)
{
    sp_buf_u64(b, v->samples);
    sp_buf_str(b, " samples; ");
    sp_buf_u64(b, v->region->interval_ns);
    sp_buf_str(b, " ns of CPU between two of a thread asked, ");
    sp_buf_u64(b, sp_view_effective_interval_ns(v));
    sp_buf_str(b, " achieved; ");
    sp_buf_u64(b, sp_view_prompt_mille(v));
    sp_buf_str(b, " of 1000 seen promptly");
}

static void put_bounds(struct sp_buf *b, const struct sp_view *v)
{
    if (v->taken_in_ns) {
        sp_buf_u64(b, v->taken_in_ns);
        sp_buf_str(b, " ns stand in callers; ");
    }
    if (v->elided_stacks) {
        sp_buf_u64(b, v->elided_stacks);
        sp_buf_str(b, " stacks are elided; ");
    }
    if (b->len)
        sp_buf_str(b, "the file would be too large");
}

/* Number i of SP_PPROF_COMMENTS; empty: there is nothing to say. */
static void put_comment(const struct sp_view *v, uint32_t i, struct sp_buf *b)
{
    switch (i) {
    case 0: sp_names_title(v->region, b); break;
    case 1: put_engine(b, v->region); break;
    case 2: put_rate(b, v); break;
    case 3: put_times(b, v); break;
    case 4: put_losses(b, v->region); break;
    case 5: put_bounds(b, v); break;
    default: sp_buf_str(b, v->profile->complete ? "" : "ends before the process did: it ran on, or was killed"); break;
    }
}

static uint32_t count_comments(const struct sp_view *v)
{
    char text[SP_PPROF_COMMENT_BYTES];
    uint32_t n = 0;
    for (uint32_t i = 0; i < SP_PPROF_COMMENTS; i++) {
        SP_BUF(b, text);
        put_comment(v, i, &b);
        n += b.len != 0;
    }
    return n;
}

bool sp_pprof_number(struct sp_pprof_tables *t, struct sp_view *v, const struct sp_view *wall)
{
    *t = (struct sp_pprof_tables){.views = {v, wall}, .comments = SP_PPROF_STRINGS};
    t->n_first = v->n_functions + v->n_elided_functions;
    t->n_places = t->n_first + (wall ? wall->n_functions + wall->n_elided_functions : 0);
    t->n_comments = count_comments(v);
    t->program = t->comments + t->n_comments;
    t->modules = t->program + 1;
    t->threads = t->modules + 2 * v->n_modules;
    t->n_strings = t->threads + sp_view_n_profiles(v);
    return number_functions(t, v);
}

/* ---- strings */
static void put_string(struct sp_out *o, const char *s, size_t n)
{
    sp_proto_head(o, FIELD_STRING, sp_text_field_bytes(s, n, NO_SEPARATOR));
    sp_text_field(o, s, n, NO_SEPARATOR);
}

static void put_text(struct sp_out *o, const char *s)
{
    put_string(o, s, strlen(s));
}

static void put_module(struct sp_out *o, const struct sp_string *library)
{
    size_t path = sp_view_library_path(library);
    put_string(o, library->data + path, library->bytes - path);
    put_string(o, library->data, sp_pprof_build_id(library));
}

static void put_heads(const struct sp_pprof_tables *t, struct sp_out *o)
{
    static const char *const fixed[SP_PPROF_STRINGS] = {"",       "samples",   "count", "cpu",  "wall", "nanoseconds",
                                                        "thread", "thread_id", "pid",   "task", "span"};
    const struct sp_view *v = t->views[0];
    char text[SP_PPROF_COMMENT_BYTES];
    for (size_t i = 0; i < SP_PPROF_STRINGS; i++)
        put_text(o, fixed[i]);
    for (uint32_t i = 0; i < SP_PPROF_COMMENTS; i++) {
        SP_BUF(b, text);
        put_comment(v, i, &b);
        if (b.len)
            put_string(o, text, b.len);
    }
    put_text(o, v->region->argv[0] ? v->region->argv : "python");
    for (uint32_t i = 0; i < v->n_modules; i++)
        put_module(o, sp_string_at(v->region, v->modules[i]));
    for (uint32_t i = 0; i < sp_view_n_profiles(v); i++) {
        SP_BUF(b, text);
        sp_names_profile(v, sp_view_profile_at(v, i), false, &b);
        put_string(o, text, b.len);
    }
}

static void put_name(const struct sp_pprof_tables *t, struct sp_out *o, uint32_t place)
{
    const struct sp_function *f = sp_pprof_function(t, place);
    struct sp_names_function name;
    sp_names_function(view_of(t, place), index_of(t, place), &name);
    bool alone = !is_elided(t, place) && f->symbol && sp_names_is_mangled(f->symbol);
    size_t n_parts = alone ? 1 : SP_NAMES_PARTS, bytes = 0;
    for (size_t i = 0; i < n_parts; i++)
        bytes += sp_text_field_bytes(name.parts[i].text, name.parts[i].bytes, NO_SEPARATOR);
    sp_proto_head(o, FIELD_STRING, bytes);
    for (size_t i = 0; i < n_parts; i++)
        sp_text_field(o, name.parts[i].text, name.parts[i].bytes, NO_SEPARATOR);
}

/* How many strings that were. */
static uint32_t put_second(const struct sp_pprof_tables *t, struct sp_out *o, uint32_t place)
{
    const struct sp_function *f = sp_pprof_function(t, place);
    enum sp_pprof_second second = sp_pprof_second(t, place);
    if (second == SP_PPROF_SYMBOL) {
        put_text(o, f->symbol);
    } else if (second != SP_PPROF_NO_SECOND) {
        const struct sp_string *s = sp_string_at(t->views[0]->region, f->name);
        put_string(o, s->data + PREFIX_BYTES, s->bytes - PREFIX_BYTES);
    }
    return second != SP_PPROF_NO_SECOND;
}

void sp_pprof_put_strings(const struct sp_pprof_tables *t, struct sp_out *o)
{
    put_heads(t, o);
    uint32_t next = t->threads + sp_view_n_profiles(t->views[0]);
    for (uint32_t i = 0; i < t->n_places; i++) {
        const struct sp_function *f = sp_pprof_function(t, i);
        if (t->name[i] == next) {
            put_name(t, o, i);
            next += 1 + put_second(t, o, i);
        }
        if (t->file[i] == next) {
            const struct sp_string *s = sp_string_at(t->views[0]->region, f->file);
            size_t from = f->native ? sp_view_library_path(s) : 0;
            put_string(o, s->data + from, s->bytes - from);
            next++;
        }
    }
}
