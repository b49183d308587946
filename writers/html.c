/* SPDX-License-Identifier: MIT
 * One page that draws the profile and needs nothing else: what stands in writers/html/, and between its two halves the profile as
 * JSON, in a block that no browser executes:
 *
 *     {"name": ..., "functions": [[name, file, first line, kind], ...],
 *      "sets": [{"wall": false, "nodes": [number less caller's number, function, ...],
 *                "profiles": [{"name": ..., "thread": tid, "entries": [node, nanoseconds, ...]}, ...]}, ...],
 *      "spprof": as in Speedscope's files}
 *
 * and for two that are compared {"compared": {"of": [{"name": ..., "used": nanoseconds, ...}, ...], "per": ...}} as well.
 * Nodes are numbered from 1, each behind its caller; 0 has called the roots. Entries are in the order of time. */
#include <errno.h>

#include "writers/html_page.h"
#include "writers/json.h"
#include "writers/meta.h"
#include "writers/names.h"
#include "writers/symbols.h"
#include "writers/view_bound.h"

#define HEAD "<!DOCTYPE html><!-- spprof"
#define BYTES_MAX 2000000u /* what a browser opens at once, and a mail takes */
#define ENTRY_BYTES 16     /* about, as are those below */
#define NODE_BYTES 8
#define FUNCTION_BYTES 16 /* beside its name and file */
#define LINE_BYTES 24
#define OTHERS_BYTES 32768u /* what is neither stacks nor functions */

enum kind { KIND_PYTHON, KIND_NATIVE, KIND_PSEUDO };

/* ---- functions */
static enum kind kind_of(const struct sp_view *v, uint32_t i)
{
    const struct sp_function *f = &v->functions[i];
    return i >= v->n_functions ? KIND_PSEUDO : f->native ? KIND_NATIVE : f->name ? KIND_PYTHON : KIND_PSEUDO;
}

static void put_function(struct sp_out *o, const struct sp_view *v, uint32_t i, bool first)
{
    const struct sp_function *f = &v->functions[i];
    struct sp_names_function name;
    sp_names_function(v, i, &name);
    sp_out_str(o, first ? "\n[\"" : ",\n[\"");
    for (size_t part = 0; part < SP_NAMES_PARTS; part++)
        sp_json_part(o, name.parts[part].text, name.parts[part].bytes);
    sp_out_str(o, "\",");
    const struct sp_string *s = i < v->n_functions && f->file ? sp_string_at(v->region, f->file) : NULL;
    size_t from = s && f->native ? sp_view_library_path(s) : 0;
    sp_json_string(o, s ? s->data + from : "", s ? s->bytes - from : 0);
    sp_out_char(o, ',');
    sp_out_u64(o, i < v->n_functions && f->line > 0 ? (uint64_t)f->line : 0);
    sp_out_char(o, ',');
    sp_out_u64(o, (uint64_t)kind_of(v, i));
    sp_out_char(o, ']');
}

static uint32_t n_functions(const struct sp_view *v)
{
    return v->n_functions + v->n_elided_functions;
}

static void put_functions(struct sp_out *o, const struct sp_view *v, const struct sp_view *wall)
{
    sp_json_key(o, "functions", false);
    sp_out_char(o, '[');
    for (uint32_t i = 0; i < n_functions(v); i++)
        put_function(o, v, i, i == 0);
    for (uint32_t i = 0; wall && i < n_functions(wall); i++)
        put_function(o, wall, i, n_functions(v) + i == 0);
    sp_out_str(o, n_functions(v) ? ",\n" : "\n"); /* the last: what stands for several */
    sp_out_str(o, "[\"(others)\",\"\",0,2]]");
}

/* ---- one set of profiles */
struct emitter {
    struct sp_view *v;
    struct sp_out *o;
    uint32_t before;  /* functions in front of the view's */
    uint32_t others;  /* index of (others) */
    uint32_t *number; /* node -> as it is written; 0: it is not */
    bool first;
};

/* Which nodes are written: those with CPU of their own, and their callers. */
static void number_nodes(struct emitter *e)
{
    const struct sp_view *v = e->v;
    uint32_t n_written = 0;
    for (uint32_t n = v->n_nodes; n-- > 1;)
        if (sp_view_is_shown(v, n) || e->number[n]) {
            e->number[n] = 1;
            e->number[v->canon[sp_node_at(v->region, n)->parent]] = 1;
        }
    e->number[0] = 0;
    for (uint32_t n = 1; n < v->n_nodes; n++)
        if (e->number[n])
            e->number[n] = ++n_written;
}

static void put_nodes(struct emitter *e)
{
    const struct sp_view *v = e->v;
    bool first = true;
    sp_json_key(e->o, "nodes", false);
    sp_out_char(e->o, '[');
    for (uint32_t n = 1; n < v->n_nodes; n++) {
        if (!e->number[n])
            continue;
        const struct sp_node *node = sp_node_at(v->region, n);
        if (!first)
            sp_out_char(e->o, ',');
        first = false;
        sp_out_u64(e->o, e->number[n] - e->number[v->canon[node->parent]]);
        sp_out_char(e->o, ',');
        sp_out_u64(e->o, sp_view_is_others(v, n) ? e->others : e->before + v->function_of_frame[node->frame]);
    }
    sp_out_char(e->o, ']');
}

static void emit_entry(void *arg, uint32_t node, uint64_t weight)
{
    struct emitter *e = arg;
    if (!e->first)
        sp_out_char(e->o, ',');
    e->first = false;
    sp_out_u64(e->o, e->number[node]);
    sp_out_char(e->o, ',');
    sp_out_u64(e->o, weight);
}

static void put_profile_head(struct emitter *e, bool first, const char *name, size_t bytes, int tid)
{
    sp_out_str(e->o, first ? "\n{\"name\":" : ",\n{\"name\":");
    sp_json_string(e->o, name, bytes);
    sp_json_key_u64(e->o, "thread", (uint64_t)tid, false);
    sp_json_key(e->o, "entries", false);
    sp_out_char(e->o, '[');
    e->first = true;
}

static void put_profiles(struct emitter *e)
{
    static const char process[] = "(process)";
    struct sp_view *v = e->v;
    char name[SP_NAMES_PROFILE_BYTES];
    bool first = true;
    sp_json_key(e->o, "profiles", false);
    sp_out_char(e->o, '[');
    for (uint32_t i = 0; i < sp_view_n_profiles(v); i++) {
        const struct sp_view_profile *p = sp_view_profile_at(v, i);
        if (!sp_view_has(v, p))
            continue;
        SP_BUF(b, name);
        sp_names_profile(v, p, false, &b);
        put_profile_head(e, first, name, b.len, p->thread ? sp_thread_at(v->region, p->thread)->tid : 0);
        sp_view_each_entry(v, p, emit_entry, e);
        sp_out_str(e->o, "]}");
        first = false;
    }
    if (!v->wall && sp_view_n_profiles(v) != 1 && v->unseen_ns) {
        put_profile_head(e, first, process, sizeof process - 1, 0);
        emit_entry(e, v->canon[v->region->pseudo_node[v->unseen]], v->unseen_ns);
        sp_out_str(e->o, "]}");
    }
    sp_out_char(e->o, ']');
}

static void put_set(struct emitter *e, bool first)
{
    number_nodes(e);
    sp_out_str(e->o, first ? "\n{\"wall\":" : ",\n{\"wall\":");
    sp_out_str(e->o, e->v->wall ? "true" : "false");
    put_nodes(e);
    put_profiles(e);
    sp_out_char(e->o, '}');
}

/* ---- bounds */
struct page_view {
    struct sp_view v; /* first: what is asked for the bytes of an entry gets it */
    uint64_t node_bytes;
};

/* Bytes of all functions and nodes, and of their lines. */
static uint64_t structure_bytes(const struct sp_view *v)
{
    uint64_t bytes = (uint64_t)v->n_nodes * NODE_BYTES + (uint64_t)v->n_frames * LINE_BYTES;
    for (uint32_t i = 0; i < v->n_functions; i++) {
        const struct sp_function *f = &v->functions[i];
        bytes += FUNCTION_BYTES + (f->name ? sp_string_at(v->region, f->name)->bytes : 0) +
                 (f->file ? sp_string_at(v->region, f->file)->bytes : 0);
    }
    return bytes;
}

static uint64_t entry_bytes(void *arg, uint32_t node)
{
    (void)arg, (void)node;
    return ENTRY_BYTES;
}

/* In a large tree an entry pays for those nodes that came with it. Of a new stack they follow each other: root first, nothing
 * between them. */
static uint64_t entry_bytes_of_large(void *arg, uint32_t node)
{
    const struct page_view *p = arg;
    const struct sp_view *v = &p->v;
    uint64_t n = 1;
    for (; node > 1 && n < SP_VIEW_DEPTH_MAX && v->canon[sp_node_at(v->region, node)->parent] + 1 == node; n++)
        node--;
    return ENTRY_BYTES + n * p->node_bytes;
}

/* For both views together. */
static struct sp_view_limits limits_of(struct page_view *p, struct page_view *w, const struct sp_html_page *around)
{
    const struct sp_profile *profile = p->v.profile;
    uint64_t page = around->before_bytes + around->after_bytes + OTHERS_BYTES, structure = structure_bytes(&p->v);
    uint64_t most = sp_min_u64(BYTES_MAX, profile->most_bytes), left = most > page ? most - page : most / 4;
    bool is_large = structure > left / 2;
    p->node_bytes = w->node_bytes = structure / sp_max_u64(p->v.n_nodes, 1);
    struct sp_view_limits limits = {.sums = is_large,
                                    .others = true,
                                    .most_entries = UINT64_MAX / 2,
                                    .most_bytes = (is_large ? left : left - structure) / (profile->region->wall ? 2 : 1),
                                    .entry_bytes = is_large ? entry_bytes_of_large : entry_bytes};
    return limits;
}

/* ---- the file */

/* The block ends at the next '<': in JSON that stands in strings only. */
static int escape(void *arg, const void *data, size_t n)
{
    struct sp_out *o = arg;
    const char *s = data;
    for (size_t i = 0; i < n; i++)
        if (s[i] == '<')
            sp_out_str(o, "\\u003c");
        else
            sp_out_char(o, s[i]);
    return o->error;
}

static void put_compared(struct sp_out *o, const struct sp_compared *c)
{
    sp_json_key(o, "compared", false);
    for (size_t i = 0; i < SP_ARRAY_LEN(c->of); i++) {
        const struct sp_compared_side *s = &c->of[i];
        sp_out_str(o, i ? "," : "{\"of\":[");
        sp_out_char(o, '{');
        sp_json_key_text(o, "name", s->name, true);
        sp_json_key_text(o, "python", s->python, false);
        sp_json_key_u64(o, "files", s->n_files, false);
        sp_json_key_u64(o, "used", s->used_ns, false);
        sp_json_key_u64(o, "whole", s->whole_ns, false);
        sp_json_key_u64(o, "samples", s->samples, false);
        sp_out_char(o, '}');
    }
    sp_out_char(o, ']');
    if (c->per)
        sp_json_key_text(o, "per", c->per, false);
    sp_out_char(o, '}');
}

static void put_profile(struct emitter *e, struct emitter *wall, const struct sp_compared *compared)
{
    struct sp_out *o = e->o;
    char title[SP_NAMES_TITLE_BYTES];
    SP_BUF(b, title);
    sp_names_title(e->v->region, &b);
    sp_out_str(o, "\n{\"name\":");
    sp_json_string(o, title, b.len);
    put_functions(o, e->v, wall ? wall->v : NULL);
    sp_json_key(o, "sets", false);
    sp_out_char(o, '[');
    put_set(e, true);
    if (wall)
        put_set(wall, false);
    sp_out_char(o, ']');
    if (compared)
        put_compared(o, compared);
    sp_out_str(o, ",\n\"spprof\":");
    sp_meta_write(e->v, wall ? wall->v : NULL, o);
    sp_out_str(o, "}\n");
}

int sp_html_write(const struct sp_profile *p, const struct sp_compared *compared, struct sp_out *o)
{
    const struct sp_html_page one = {sp_html_page_before, sp_html_page_after, sp_html_page_before_bytes,
                                     sp_html_page_after_bytes},
                              *around = compared ? &compared->page : &one;
    struct page_view page, wall_page = {.v = {.wall_ns = 0}};
    struct sp_view *v = &page.v, *w = &wall_page.v;
    char buffer[512];
    struct sp_out json = {.sink = escape, .arg = o, .buffer = buffer, .cap = sizeof buffer, .most = UINT64_MAX};
    struct emitter e = {.v = v, .o = &json}, wall = {.v = w, .o = &json};
    if (!sp_view_init(v, p))
        return -ENOMEM;
    sp_symbols_of_view(v);
    struct sp_view_limits limits = limits_of(&page, &wall_page, around);
    limits.order = compared ? SP_VIEW_BY_STACK : SP_VIEW_BY_TIME;
    if (!sp_view_bound_both(v, w, &limits))
        return -ENOMEM;
    e.number = sp_view_alloc(v, (uint64_t)v->n_nodes * 4);
    wall.number = w->wall_ns ? sp_view_alloc(v, (uint64_t)v->n_nodes * 4) : NULL;
    if (!e.number || (w->wall_ns && !wall.number))
        return -ENOMEM;
    wall.before = n_functions(v);
    e.others = wall.others = wall.before + (w->wall_ns ? n_functions(w) : 0);
    sp_out_mem(o, around->before, around->before_bytes);
    put_profile(&e, w->wall_ns ? &wall : NULL, compared);
    sp_out_finish(&json);
    sp_out_mem(o, around->after, around->after_bytes);
    return sp_out_finish(o);
}

static int write_file(const struct sp_profile *p, struct sp_out *o)
{
    return sp_html_write(p, NULL, o);
}

const struct sp_writer_ops sp_writer_html = {
    .key = "html",
    .name = "a page (HTML)",
    .suffixes = {".html", ".htm"},
    .head = HEAD,
    .write = write_file,
};
