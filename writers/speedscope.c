/* SPDX-License-Identifier: MIT
 * Speedscope's "sampled" file format, version of its schema: www.speedscope.app/file-format-schema.json. Frames
 * are keyed by index there, so functions appear once; stacks are root first; weights are integer nanoseconds
 * that add up to endValue. What Speedscope has no place for is in the top-level object "spprof". */
#include <errno.h>

#include "compat/version.h"
#include "writers/json.h"
#include "writers/meta.h"
#include "writers/names.h"
#include "writers/symbols.h"
#include "writers/view_bound.h"

/* What the viewer holds: beyond some 3,000 frames a stack and 65 MB a file it fails. */
#define ENTRIES_MAX 200000 /* of all profiles together */
#define BYTES_MAX 20000000 /* of all stacks as text */
#define HEAD "{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\"exporter\":\"spprof@"
#define WALL "Wall: "       /* begins the names of the profiles of whole lives */
#define HEAD_BYTES 65536ull /* room kept for what is not stacks when a file size limit is to be held */

/* before: functions in front of the view's */
static void put_function(struct sp_out *o, const struct sp_view *v, uint32_t i, uint32_t before)
{
    const struct sp_function *f = &v->functions[i];
    struct sp_names_function name;
    sp_names_function(v, i, &name);
    sp_out_str(o, i + before ? ",\n{\"name\":\"" : "\n{\"name\":\"");
    size_t n_parts = i < v->n_functions && f->symbol && sp_names_is_mangled(f->symbol) ? 1 : SP_NAMES_PARTS;
    for (size_t part = 0; part < n_parts; part++)
        sp_json_part(o, name.parts[part].text, name.parts[part].bytes);
    sp_out_char(o, '"');
    if (i < v->n_functions && f->file) {
        const struct sp_string *s = sp_string_at(v->region, f->file);
        size_t from = f->native ? sp_view_library_path(s) : 0;
        sp_out_str(o, ",\"file\":");
        sp_json_string(o, s->data + from, s->bytes - from);
    }
    if (i < v->n_functions && f->line > 0)
        sp_json_key_u64(o, "line", (uint64_t)f->line, false);
    sp_out_char(o, '}');
}

/* ---- one profile */
struct emitter {
    struct sp_view *v;
    struct sp_out *o;
    uint32_t before; /* functions in front of the view's */
    bool first;
    uint64_t sum;
};

static void emit_stack(void *arg, uint32_t node, uint64_t weight)
{
    struct emitter *e = arg;
    uint32_t n = sp_view_stack(e->v, node);
    (void)weight;
    sp_out_str(e->o, e->first ? "[" : ",\n[");
    e->first = false;
    for (uint32_t i = 0; i < n; i++) {
        if (i)
            sp_out_char(e->o, ',');
        sp_out_u64(e->o, e->before + e->v->stack[i]);
    }
    sp_out_char(e->o, ']');
}

static void emit_weight(void *arg, uint32_t node, uint64_t weight)
{
    struct emitter *e = arg;
    (void)node;
    if (!e->first)
        sp_out_char(e->o, ',');
    e->first = false;
    sp_out_u64(e->o, weight);
}

static void emit_sum(void *arg, uint32_t node, uint64_t weight)
{
    (void)node;
    ((struct emitter *)arg)->sum += weight;
}

/* p: the profile; NULL: all threads together */
static void each(struct sp_view *v, const struct sp_view_profile *p, sp_view_emit *emit, struct emitter *e)
{
    e->first = true;
    if (p)
        sp_view_each_entry(v, p, emit, e);
    else
        sp_view_each_stack(v, emit, e);
}

static void put_profile(struct sp_out *o, struct sp_view *v, const struct sp_view_profile *p, uint32_t before)
{
    struct emitter e = {.v = v, .o = o, .before = before};
    if (p)
        sp_view_keep_entries(v, p);
    each(v, p, emit_sum, &e);
    sp_out_str(o, ",\"unit\":\"nanoseconds\",\"startValue\":0,\"endValue\":");
    sp_out_u64(o, e.sum);
    sp_out_str(o, ",\n\"samples\":[");
    each(v, p, emit_stack, &e);
    sp_out_str(o, "],\n\"weights\":[");
    each(v, p, emit_weight, &e);
    sp_out_str(o, "]}");
}

static void put_profile_name(struct sp_out *o, const struct sp_view *v, const struct sp_view_profile *p)
{
    char name[SP_NAMES_PROFILE_BYTES + sizeof WALL];
    SP_BUF(b, name);
    if (v->wall)
        sp_buf_str(&b, WALL);
    sp_names_profile(v, p, true, &b);
    sp_out_str(o, "\n{\"type\":\"sampled\",\"name\":");
    sp_json_string(o, name, b.len);
}

static void put_profiles(struct sp_out *o, struct sp_view *v)
{
    uint32_t n = sp_view_n_profiles(v);
    if (n > 1) {
        sp_out_str(o, "\n{\"type\":\"sampled\",\"name\":\"All threads (");
        sp_out_u64(o, v->n_threads);
        sp_out_str(o, ")\"");
        put_profile(o, v, NULL, 0);
    }
    if (n == 0) { /* not one thread got a slot */
        sp_out_str(o, "\n{\"type\":\"sampled\",\"name\":\"MainThread\"");
        put_profile(o, v, NULL, 0);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (i || n > 1)
            sp_out_char(o, ',');
        put_profile_name(o, v, sp_view_profile_at(v, i));
        put_profile(o, v, sp_view_profile_at(v, i), 0);
    }
}

/* Behind the others, which are of `v`. */
static void put_wall_profiles(struct sp_out *o, struct sp_view *w, const struct sp_view *v)
{
    uint32_t before = v->n_functions + v->n_elided_functions;
    if (sp_view_n_profiles(w) > 1) {
        sp_out_str(o, ",\n{\"type\":\"sampled\",\"name\":\"" WALL "All threads (");
        sp_out_u64(o, w->n_wall_threads);
        sp_out_str(o, ")\"");
        put_profile(o, w, NULL, before);
    }
    for (uint32_t i = 0; i < sp_view_n_profiles(w); i++) {
        if (!sp_view_has(w, sp_view_profile_at(w, i)))
            continue;
        sp_out_char(o, ',');
        put_profile_name(o, w, sp_view_profile_at(w, i));
        put_profile(o, w, sp_view_profile_at(w, i), before);
    }
}

/* ---- the file */
static uint64_t entry_bytes(void *arg, uint32_t node)
{
    const struct sp_view *v = arg;
    uint64_t depth = sp_node_at(v->region, node)->depth, digits = 1;
    for (uint32_t n = v->n_functions * (v->region->wall ? 2 : 1); n >= 10; n /= 10)
        digits++;
    return sp_min_u64(depth, SP_VIEW_DEPTH_MAX + 1) * (digits + 1) + 16;
}

static int write_file(const struct sp_profile *p, struct sp_out *o)
{
    struct sp_view view, wall = {.wall_ns = 0}, *v = &view, *w = &wall;
    uint64_t share = p->region->wall ? 2 : 1; /* of what the viewer holds */
    struct sp_view_limits limits = {
        .sums = true, .most_entries = ENTRIES_MAX / share, .most_bytes = BYTES_MAX, .entry_bytes = entry_bytes};
    if (p->most_bytes != UINT64_MAX)
        limits.most_bytes = sp_min_u64(BYTES_MAX, p->most_bytes > HEAD_BYTES ? p->most_bytes - HEAD_BYTES : p->most_bytes / 2);
    limits.most_bytes /= share;
    if (!sp_view_init(v, p))
        return -ENOMEM;
    sp_symbols_of_view(v);
    if (!sp_view_bound_both(v, w, &limits))
        return -ENOMEM;

    char title[SP_NAMES_TITLE_BYTES];
    SP_BUF(b, title);
    sp_names_title(p->region, &b);
    sp_out_str(o, HEAD SPPROF_VERSION "\",\n\"name\":");
    sp_json_string(o, title, b.len);
    sp_out_str(o, ",\"activeProfileIndex\":0,\n\"shared\":{\"frames\":[");
    uint32_t n = v->n_functions + v->n_elided_functions;
    for (uint32_t i = 0; i < n; i++)
        put_function(o, v, i, 0);
    for (uint32_t i = 0; w->wall_ns && i < w->n_functions + w->n_elided_functions; i++)
        put_function(o, w, i, n);
    sp_out_str(o, "]},\n\"profiles\":[");
    put_profiles(o, v);
    if (w->wall_ns)
        put_wall_profiles(o, w, v);
    v->kept_of = NULL; /* the other view's are in the place of its entries */
    sp_out_str(o, "],\n\"spprof\":");
    sp_meta_write(v, w->wall_ns ? w : NULL, o);
    sp_out_str(o, "}\n");
    return sp_out_finish(o);
}

const struct sp_writer_ops sp_writer_speedscope = {
    .key = "speedscope",
    .name = "Speedscope",
    .suffixes = {".speedscope.json", ".json"},
    .head = HEAD,
    .write = write_file,
};
