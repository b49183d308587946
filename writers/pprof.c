/* SPDX-License-Identifier: MIT
 * pprof's profile.proto (github.com/google/pprof/blob/main/proto/profile.proto), in a gzip frame: a sample for each stack of a
 * thread, leaf first, by line. Functions carry no system_name unless they are native: pprof takes one for C++ and would
 * delete "<module>" as if it were a template's argument. Its last value, CPU, is what viewers show. How many samples a stack
 * has is not kept: a thread's own number is shared out by CPU. */
#include <errno.h>
#include <string.h>

#include "writers/names.h"
#include "writers/pprof_tables.h"
#include "writers/proto.h"
#include "writers/symbols.h"
#include "writers/view_bound.h"

#define BYTES_MAX 20000000  /* of all stacks */
#define HEAD_BYTES 65536ull /* room kept for what is not stacks when a file size limit is to be held */
#define VALUES_MAX 3        /* samples, wall if there is one, CPU */

enum { SAMPLE_TYPE = 1, SAMPLE, MAPPING, LOCATION, FUNCTION, TIME = 9, DURATION, PERIOD_TYPE, PERIOD, COMMENT, DEFAULT_TYPE };

/* ---- samples */
struct emitter {
    struct sp_view *v;
    const struct sp_pprof_tables *t;
    struct sp_out *o;
    uint32_t before; /* locations in front of the view's */
    /* of the profile that is being written */
    uint32_t thread; /* string; 0: no thread's */
    uint32_t tid;
    uint64_t n_samples, sampled_ns, so_far_ns;
};

/* What stands under these names no sample saw. */
static bool is_sampled(const struct sp_region *r, uint32_t node)
{
    const struct sp_frame *f = sp_frame_at(r, sp_node_at(r, node)->frame);
    return f->kind != SP_FRAME_PSEUDO || (f->what != SP_CATEGORY_THREAD_END && f->what != SP_CATEGORY_THREAD_START_END &&
                                          f->what != SP_CATEGORY_NOT_SAMPLED && f->what != SP_CATEGORY_BLOCKED);
}

static void add_sampled(void *arg, uint32_t node, uint64_t weight)
{
    struct emitter *e = arg;
    e->sampled_ns += is_sampled(e->v->region, node) ? weight : 0;
}

static uint64_t share(const struct emitter *e, uint64_t ns)
{
    return e->sampled_ns ? (uint64_t)((unsigned __int128)e->n_samples * ns / e->sampled_ns) : 0;
}

/* Shares add up to n_samples. */
static uint64_t samples_of(struct emitter *e, uint32_t node, uint64_t weight)
{
    if (e->v->wall || !is_sampled(e->v->region, node))
        return 0;
    uint64_t before = share(e, e->so_far_ns);
    e->so_far_ns += weight;
    return share(e, e->so_far_ns) - before;
}

/* What a stack of n functions begins with that is none: its process, if there are several, spans, a task. */
#define HEADS 24u
struct heads {
    uint32_t task, n_spans, span[HEADS]; /* strings */
};

static struct heads heads_of(const struct emitter *e, uint32_t n)
{
    struct heads h = {.n_spans = 0};
    for (uint32_t i = 0; i < n && i < HEADS; i++) {
        uint32_t place = e->before + e->v->stack[i];
        enum sp_pprof_second second = sp_pprof_second(e->t, place);
        if (second == SP_PPROF_SPAN_NAME)
            h.span[h.n_spans++] = e->t->name[place] + 1;
        else if (second == SP_PPROF_TASK_NAME && !h.task)
            h.task = e->t->name[place] + 1;
        else if (sp_pprof_function(e->t, place)->file)
            break;
    }
    return h;
}

/* Of several processes together each stack's root is its process, "app.py [4711]". */
static uint32_t pid_of(const struct emitter *e, uint32_t n)
{
    const struct sp_region *r = e->v->region;
    const struct sp_function *f = n && !r->pid ? sp_pprof_function(e->t, e->before + e->v->stack[0]) : NULL;
    const struct sp_string *s = f && f->name && !f->file ? sp_string_at(r, f->name) : NULL;
    uint32_t pid = 0, at = s && s->bytes && s->data[s->bytes - 1] == ']' ? s->bytes - 1 : 0;
    for (uint32_t place = 1; at && s->data[at - 1] >= '0' && s->data[at - 1] <= '9' && place <= 1000000000; place *= 10)
        pid += (uint32_t)(s->data[--at] - '0') * place;
    return r->pid ? r->pid : at && s->data[at - 1] == '[' ? pid : 0;
}

static uint64_t label_bytes(uint32_t key, uint64_t value)
{
    return value ? sp_proto_field_bytes(key) + sp_proto_field_bytes(value) : 0;
}

/* A text, or else a number. */
static void put_label(struct sp_out *o, uint32_t key, uint64_t value, bool is_text)
{
    if (!value)
        return;
    sp_proto_head(o, 3, label_bytes(key, value));
    sp_proto_field(o, 1, key);
    sp_proto_field(o, is_text ? 2 : 3, value);
}

static uint64_t head_and(uint64_t bytes)
{
    return bytes ? 1 + sp_proto_bytes(bytes) + bytes : 0;
}

static void emit_sample(void *arg, uint32_t node, uint64_t weight)
{
    struct emitter *e = arg;
    uint32_t n = sp_view_stack(e->v, node), pid = pid_of(e, n);
    struct heads heads = heads_of(e, n);
    uint64_t values[VALUES_MAX] = {samples_of(e, node, weight), weight, weight}, of_stack = 0, of_values = 0, of_spans = 0;
    uint32_t n_values = e->t->views[1] ? VALUES_MAX : VALUES_MAX - 1;
    if (e->t->views[1])
        values[e->v->wall ? 2 : 1] = 0;
    for (uint32_t i = 0; i < n; i++)
        of_stack += sp_proto_bytes(e->before + e->v->stack[i] + 1);
    for (uint32_t i = 0; i < n_values; i++)
        of_values += sp_proto_bytes(values[i]);
    for (uint32_t i = 0; i < heads.n_spans; i++)
        of_spans += head_and(label_bytes(SP_PPROF_SPAN, heads.span[i]));
    sp_proto_head(e->o, SAMPLE,
                  head_and(of_stack) + head_and(of_values) + head_and(label_bytes(SP_PPROF_THREAD, e->thread)) +
                      head_and(label_bytes(SP_PPROF_THREAD_ID, e->tid)) + head_and(label_bytes(SP_PPROF_PID, pid)) +
                      head_and(label_bytes(SP_PPROF_TASK, heads.task)) + of_spans);
    sp_proto_head(e->o, 1, of_stack);
    for (uint32_t i = n; i-- > 0;)
        sp_proto_number(e->o, e->before + e->v->stack[i] + 1);
    sp_proto_head(e->o, 2, of_values);
    for (uint32_t i = 0; i < n_values; i++)
        sp_proto_number(e->o, values[i]);
    put_label(e->o, SP_PPROF_THREAD, e->thread, true);
    put_label(e->o, SP_PPROF_THREAD_ID, e->tid, false);
    put_label(e->o, SP_PPROF_PID, pid, false);
    put_label(e->o, SP_PPROF_TASK, heads.task, true);
    for (uint32_t i = 0; i < heads.n_spans; i++)
        put_label(e->o, SP_PPROF_SPAN, heads.span[i], true);
}

static void put_samples(struct emitter *e)
{
    struct sp_view *v = e->v;
    uint32_t n = sp_view_n_profiles(v);
    for (uint32_t i = 0; i < n; i++) {
        const struct sp_view_profile *p = sp_view_profile_at(v, i);
        if (!sp_view_has(v, p))
            continue;
        e->thread = e->t->threads + i;
        e->tid = p->thread ? (uint32_t)sp_thread_at(v->region, p->thread)->tid : 0;
        e->n_samples = p->samples;
        e->sampled_ns = e->so_far_ns = 0;
        sp_view_keep_entries(v, p);
        sp_view_each_entry(v, p, add_sampled, e);
        sp_view_each_entry(v, p, emit_sample, e);
    }
    e->thread = e->tid = 0;
    e->n_samples = 0;
    if (n != 1 && v->unseen_ns && !v->wall)
        emit_sample(e, v->region->pseudo_node[v->unseen], v->unseen_ns);
    v->kept_of = NULL;
}

/* ---- what they refer to */
static void put_type(struct sp_out *o, uint32_t field, uint32_t type, uint32_t unit)
{
    sp_proto_head(o, field, sp_proto_field_bytes(type) + sp_proto_field_bytes(unit));
    sp_proto_field(o, 1, type);
    sp_proto_field(o, 2, unit);
}

/* The first is Python, and what is no code's. Those of libraries know no addresses but offsets in their files. All functions have
 * names, if only by their place: pprof would replace them by what it finds here. */
static void put_mapping(const struct sp_pprof_tables *t, struct sp_out *o, uint32_t i)
{
    const struct sp_view *v = t->views[0];
    bool is_library = i > 0, has_id = is_library && sp_pprof_build_id(sp_string_at(v->region, v->modules[i - 1]));
    uint32_t file = is_library ? t->modules + 2 * (i - 1) : t->program, build_id = has_id ? file + 1 : 0;
    sp_proto_head(o, MAPPING,
                  sp_proto_field_bytes(i + 1) + sp_proto_field_bytes(file) + sp_proto_field_bytes(build_id) +
                      (is_library ? 2u : 6u));
    sp_proto_field(o, 1, i + 1);
    sp_proto_field(o, 5, file);
    sp_proto_field(o, 6, build_id);
    sp_proto_field(o, 7, 1);           /* has_functions */
    sp_proto_field(o, 8, !is_library); /* has_filenames */
    sp_proto_field(o, 9, !is_library); /* has_line_numbers */
}

static void put_location(const struct sp_pprof_tables *t, struct sp_out *o, uint32_t place)
{
    const struct sp_function *f = sp_pprof_function(t, place);
    uint64_t mapping = f->native ? f->module + 2 : 1, address = f->native ? sp_view_place(t->views[0]->region, f) : 0;
    uint64_t line = f->line > 0 ? (uint64_t)f->line : 0;
    uint64_t of_line = sp_proto_field_bytes(t->function[place]) + sp_proto_field_bytes(line);
    sp_proto_head(o, LOCATION,
                  sp_proto_field_bytes(place + 1) + sp_proto_field_bytes(mapping) + sp_proto_field_bytes(address) +
                      head_and(of_line));
    sp_proto_field(o, 1, place + 1);
    sp_proto_field(o, 2, mapping);
    sp_proto_field(o, 3, address);
    sp_proto_head(o, 4, of_line);
    sp_proto_field(o, 1, t->function[place]);
    sp_proto_field(o, 2, line);
}

static void put_function(const struct sp_pprof_tables *t, struct sp_out *o, uint32_t place)
{
    const struct sp_function *f = sp_pprof_function(t, place);
    bool has_symbol = sp_pprof_second(t, place) == SP_PPROF_SYMBOL;
    uint64_t values[] = {t->function[place], t->name[place], has_symbol ? t->name[place] + 1 : 0, t->file[place],
                         f->first_line > 0 ? (uint64_t)f->first_line : 0};
    uint64_t bytes = 0;
    for (size_t i = 0; i < SP_ARRAY_LEN(values); i++)
        bytes += sp_proto_field_bytes(values[i]);
    sp_proto_head(o, FUNCTION, bytes);
    for (uint32_t i = 0; i < SP_ARRAY_LEN(values); i++)
        sp_proto_field(o, i + 1, values[i]);
}

static void put_tables(const struct sp_pprof_tables *t, struct sp_out *o)
{
    const struct sp_view *v = t->views[0];
    for (uint32_t i = 0; i <= v->n_modules; i++)
        put_mapping(t, o, i);
    for (uint32_t i = 0; i < t->n_places; i++)
        put_location(t, o, i);
    for (uint32_t i = 0, next = 1; i < t->n_places; i++)
        if (t->function[i] == next) {
            put_function(t, o, i);
            next++;
        }
    sp_pprof_put_strings(t, o);
    sp_proto_field(o, TIME, v->region->started_wall_ns);
    sp_proto_field(o, DURATION, v->profile->wall_ns);
    put_type(o, PERIOD_TYPE, SP_PPROF_CPU, SP_PPROF_NANOSECONDS);
    sp_proto_field(o, PERIOD, v->region->interval_ns);
    for (uint32_t i = 0; i < t->n_comments; i++)
        sp_proto_field(o, COMMENT, t->comments + i);
    sp_proto_field(o, DEFAULT_TYPE, SP_PPROF_CPU);
}

/* ---- the file */
static uint64_t entry_bytes(void *arg, uint32_t node)
{
    const struct sp_view *v = arg;
    uint64_t places = v->n_functions * (v->region->wall ? 2ull : 1) + 1;
    return sp_min_u64(sp_node_at(v->region, node)->depth, SP_VIEW_DEPTH_MAX + 1) * sp_proto_bytes(places) + 48;
}

static int write_file(const struct sp_profile *p, struct sp_out *o)
{
    struct sp_view view, wall = {.wall_ns = 0}, *v = &view, *w = &wall;
    struct sp_pprof_tables t;
    struct sp_view_limits limits = {
        .order = SP_VIEW_BY_STACK, .most_entries = UINT64_MAX / 2, .most_bytes = BYTES_MAX, .entry_bytes = entry_bytes};
    if (p->most_bytes != UINT64_MAX)
        limits.most_bytes = sp_min_u64(BYTES_MAX, p->most_bytes > HEAD_BYTES ? p->most_bytes - HEAD_BYTES : p->most_bytes / 2);
    limits.most_bytes /= p->region->wall ? 2 : 1;
    if (!sp_view_init_lines(v, p))
        return -ENOMEM;
    sp_symbols_of_view(v);
    if (!sp_view_bound_both(v, w, &limits) || !sp_pprof_number(&t, v, w->wall_ns ? w : NULL))
        return -ENOMEM;
    w->used_bytes = v->used_bytes;
    put_type(o, SAMPLE_TYPE, SP_PPROF_SAMPLES, SP_PPROF_COUNT);
    if (w->wall_ns)
        put_type(o, SAMPLE_TYPE, SP_PPROF_WALL, SP_PPROF_NANOSECONDS);
    put_type(o, SAMPLE_TYPE, SP_PPROF_CPU, SP_PPROF_NANOSECONDS);
    struct emitter e = {.v = v, .t = &t, .o = o};
    put_samples(&e);
    e.v = w;
    e.before = t.n_first;
    if (w->wall_ns)
        put_samples(&e);
    put_tables(&t, o);
    return sp_out_finish(o);
}

const struct sp_writer_ops sp_writer_pprof = {
    .key = "pprof",
    .name = "pprof",
    .suffixes = {".pb.gz", ".pprof"},
    .gzip = true,
    .write = write_file,
};
