/* SPDX-License-Identifier: MIT
 * Collapsed stacks, a line each: "thread;function;function nanoseconds", root first; equal stacks of a thread are one
 * line. flamegraph.pl, inferno and Speedscope read the count behind the last space and split at ';'; a line without a
 * count, such as the first, is ignored by all of them. There is no order of time. */
#include <errno.h>

#include "compat/version.h"
#include "writers/names.h"
#include "writers/symbols.h"
#include "writers/text.h"
#include "writers/view_bound.h"

#define HEAD "# spprof "
#define SEPARATOR ';'
#define BYTES_MAX 50000000 /* names stand in full on every line: larger than other formats */

struct emitter {
    struct sp_view *v;
    struct sp_out *o;
    const char *thread; /* "": the line belongs to the process */
    size_t thread_bytes;
    uint32_t *path_bytes; /* node -> bytes of its names */
    uint8_t *is_plain;    /* function -> whether its name stands as it is; NULL: not known */
};

/* Whether it ends with a blank and a number: where that is in its parts. Two numbers at a line's end are a difference to
 * flamegraph.pl and inferno. */
static bool ends_as_count(const struct sp_names_function *name, size_t *part, size_t *at)
{
    bool has_digits = false;
    for (size_t i = SP_NAMES_PARTS; i-- > 0;)
        for (size_t k = name->parts[i].bytes; k-- > 0; has_digits = true) {
            char c = name->parts[i].text[k];
            *part = i;
            *at = k;
            if (c == ' ' && has_digits)
                return true;
            if (c != '.' && (c < '0' || c > '9'))
                return false;
        }
    return false;
}

static void put_function(const struct emitter *e, uint32_t function)
{
    struct sp_names_function name;
    bool is_plain = e->is_plain && e->is_plain[function];
    size_t part, at;
    sp_names_function(e->v, function, &name);
    bool is_count = !is_plain && ends_as_count(&name, &part, &at);
    for (size_t i = 0; i < SP_NAMES_PARTS; i++) {
        const struct sp_names_part *p = &name.parts[i];
        if (!p->bytes)
            continue;
        if (is_plain)
            sp_out_mem(e->o, p->text, p->bytes);
        else if (is_count && i == part) {
            sp_text_field(e->o, p->text, at, SEPARATOR);
            sp_out_str(e->o, "\\x20");
            sp_text_field(e->o, p->text + at + 1, p->bytes - at - 1, SEPARATOR);
        } else
            sp_text_field(e->o, p->text, p->bytes, SEPARATOR);
    }
}

static void emit_line(void *arg, uint32_t node, uint64_t weight)
{
    struct emitter *e = arg;
    uint32_t n = sp_view_stack(e->v, node);
    sp_text_field(e->o, e->thread, e->thread_bytes, SEPARATOR);
    for (uint32_t i = 0; i < n; i++) {
        if (i || e->thread_bytes)
            sp_out_char(e->o, SEPARATOR);
        put_function(e, e->v->stack[i]);
    }
    sp_out_char(e->o, ' ');
    sp_out_u64(e->o, weight);
    sp_out_char(e->o, '\n');
}

/* Names stand on many lines: they are looked through once. */
static void find_plain(struct emitter *e)
{
    uint32_t n = e->v->n_functions + e->v->n_elided_functions;
    e->is_plain = sp_view_alloc(e->v, n);
    for (uint32_t i = 0; e->is_plain && i < n; i++) {
        struct sp_names_function name;
        size_t where, at;
        sp_names_function(e->v, i, &name);
        e->is_plain[i] = !ends_as_count(&name, &where, &at);
        for (size_t part = 0; part < SP_NAMES_PARTS; part++)
            e->is_plain[i] &= sp_text_plain(name.parts[part].text, name.parts[part].bytes, SEPARATOR) == name.parts[part].bytes;
    }
}

static void each_line(struct sp_view *v, sp_view_emit *emit, struct emitter *e)
{
    uint32_t n = sp_view_n_profiles(v);
    char name[SP_NAMES_PROFILE_BYTES];
    for (uint32_t i = 0; i < n; i++) {
        SP_BUF(b, name);
        sp_names_profile(v, sp_view_profile_at(v, i), false, &b);
        e->thread = name;
        e->thread_bytes = b.len;
        sp_view_each_entry(v, sp_view_profile_at(v, i), emit, e);
    }
    e->thread = "";
    e->thread_bytes = 0;
    if (n != 1 && v->unseen_ns)
        emit(e, v->region->pseudo_node[v->unseen], v->unseen_ns);
}

/* ---- bounds */
static bool measure_paths(struct emitter *e)
{
    struct sp_view *v = e->v;
    e->path_bytes = sp_view_alloc(v, (uint64_t)v->n_nodes * 4);
    if (!e->path_bytes)
        return false;
    for (uint32_t n = 1; n < v->n_nodes; n++) {
        const struct sp_node *node = sp_node_at(v->region, n);
        uint32_t parent = v->canon[node->parent];
        struct sp_names_function name;
        sp_names_function(v, v->function_of_frame[node->frame], &name);
        e->path_bytes[n] = e->path_bytes[parent] + 1;
        for (size_t part = 0; part < SP_NAMES_PARTS; part++)
            e->path_bytes[n] += (uint32_t)name.parts[part].bytes;
    }
    return true;
}

static uint64_t entry_bytes(void *arg, uint32_t node)
{
    const struct emitter *e = arg;
    uint64_t bytes = e->path_bytes[node], depth = sp_node_at(e->v->region, node)->depth;
    return (depth > SP_VIEW_DEPTH_MAX ? bytes * SP_VIEW_DEPTH_MAX / depth : bytes) + 12;
}

static uint64_t profile_bytes(void *arg, const struct sp_view_profile *p)
{
    char name[SP_NAMES_PROFILE_BYTES];
    SP_BUF(b, name);
    sp_names_profile(((const struct emitter *)arg)->v, p, false, &b);
    return b.len;
}

static int write_file(const struct sp_profile *p, struct sp_out *o)
{
    struct sp_view v;
    struct emitter e = {.v = &v, .o = o};
    struct sp_view_limits limits = {.order = SP_VIEW_BY_STACK,
                                    .most_entries = UINT64_MAX / 2,
                                    .most_bytes = sp_min_u64(BYTES_MAX, p->most_bytes),
                                    .entry_bytes = entry_bytes,
                                    .profile_bytes = profile_bytes,
                                    .arg = &e};
    if (!sp_view_init(&v, p))
        return -ENOMEM;
    sp_symbols_of_view(&v);
    if (!measure_paths(&e) || !sp_view_bound(&v, &limits))
        return -ENOMEM;
    find_plain(&e);
    sp_out_str(o, HEAD SPPROF_VERSION ", nanoseconds of CPU\n");
    each_line(&v, emit_line, &e);
    return sp_out_finish(o);
}

const struct sp_writer_ops sp_writer_collapsed = {
    .key = "collapsed",
    .name = "collapsed stacks",
    .suffixes = {".collapsed", ".folded", ".txt"},
    .head = HEAD,
    .write = write_file,
};
