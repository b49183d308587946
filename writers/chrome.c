/* SPDX-License-Identifier: MIT
 * Chrome's trace events (its "Trace Event Format"), for chrome://tracing, Perfetto and Speedscope: what a thread begins to call
 * and ends, in order, its CPU for time, in microseconds. No args: Speedscope would make them part of the names. An end repeats
 * its name: without it Speedscope drops the time. */
#include <errno.h>

#include "writers/json.h"
#include "writers/names.h"
#include "writers/symbols.h"
#include "writers/view_bound.h"

#define HEAD "[{\"ph\":\"M\",\"name\":\"process_name\",\"cat\":\"spprof\""
#define BYTES_MAX 100000000 /* if no stack had a frame in common with the one before */
#define EVENT_BYTES 70
#define LANES 1000000000u /* numbers in place of thread ids, where these may be those of several profiles */

struct emitter {
    struct sp_view *v;
    struct sp_out *o;
    uint32_t *open, n_open; /* functions that the thread is in, root first */
    int tid;
    uint64_t now_ns;
};

static void put_ids(const struct emitter *e)
{
    sp_json_key_u64(e->o, "pid", e->v->region->pid, false);
    sp_json_key_u64(e->o, "tid", (uint64_t)e->tid, false);
}

static void put_name(const struct emitter *e, uint32_t function)
{
    struct sp_names_function name;
    sp_names_function(e->v, function, &name);
    sp_out_char(e->o, '"');
    for (size_t i = 0; i < SP_NAMES_PARTS; i++)
        sp_json_part(e->o, name.parts[i].text, name.parts[i].bytes);
    sp_out_char(e->o, '"');
}

static void put_event(const struct emitter *e, const char *phase, uint32_t function)
{
    char decimals[8];
    SP_BUF(b, decimals);
    sp_buf_u64_pad(&b, e->now_ns % 1000, 3);
    sp_out_str(e->o, ",\n{\"ph\":\"");
    sp_out_str(e->o, phase);
    sp_out_str(e->o, "\",\"name\":");
    put_name(e, function);
    put_ids(e);
    sp_json_key_u64(e->o, "ts", e->now_ns / 1000, false);
    sp_out_char(e->o, '.');
    sp_out_str(e->o, decimals);
    sp_out_char(e->o, '}');
}

static void leave(struct emitter *e, uint32_t n)
{
    while (e->n_open > n)
        put_event(e, "E", e->open[--e->n_open]);
}

static void emit_stack(void *arg, uint32_t node, uint64_t weight)
{
    struct emitter *e = arg;
    uint32_t n = sp_view_stack(e->v, node), same = 0;
    while (same < n && same < e->n_open && e->open[same] == e->v->stack[same])
        same++;
    leave(e, same);
    for (; e->n_open < n; e->n_open++) {
        e->open[e->n_open] = e->v->stack[e->n_open];
        put_event(e, "B", e->open[e->n_open]);
    }
    e->now_ns += weight;
}

static void put_thread(struct emitter *e, const char *name, size_t bytes)
{
    sp_out_str(e->o, ",\n{\"ph\":\"M\",\"name\":\"thread_name\"");
    put_ids(e);
    sp_out_str(e->o, ",\"args\":{\"name\":");
    sp_json_string(e->o, name, bytes);
    sp_out_str(e->o, "}}");
    e->now_ns = 0;
    e->n_open = 0;
}

static void put_threads(struct emitter *e)
{
    struct sp_view *v = e->v;
    uint32_t n = sp_view_n_profiles(v);
    char name[SP_NAMES_PROFILE_BYTES];
    for (uint32_t i = 0; i < n; i++) {
        const struct sp_view_profile *p = sp_view_profile_at(v, i);
        SP_BUF(b, name);
        sp_names_profile(v, p, false, &b);
        e->tid = v->region->pid && p->thread && !p->split ? sp_thread_at(v->region, p->thread)->tid : (int)(LANES + i);
        put_thread(e, name, b.len);
        sp_view_each_entry(v, p, emit_stack, e);
        leave(e, 0);
    }
}

static void put_unseen(struct emitter *e)
{
    static const char process[] = "(process)";
    e->tid = 0;
    put_thread(e, process, sizeof process - 1);
    emit_stack(e, e->v->region->pseudo_node[e->v->unseen], e->v->unseen_ns);
    leave(e, 0);
}

/* ---- the file */
static uint64_t entry_bytes(void *arg, uint32_t node)
{
    const struct sp_view *v = arg;
    return sp_min_u64(sp_node_at(v->region, node)->depth, SP_VIEW_DEPTH_MAX + 1) * 2 * EVENT_BYTES;
}

static int write_file(const struct sp_profile *p, struct sp_out *o)
{
    struct sp_view v;
    struct emitter e = {.v = &v, .o = o};
    struct sp_view_limits limits = {.order = SP_VIEW_BY_TIME,
                                    .most_entries = UINT64_MAX / 2,
                                    .most_bytes = sp_min_u64(BYTES_MAX, p->most_bytes),
                                    .entry_bytes = entry_bytes,
                                    .arg = &v};
    char title[SP_NAMES_TITLE_BYTES];
    SP_BUF(b, title);
    if (!sp_view_init(&v, p))
        return -ENOMEM;
    sp_symbols_of_view(&v);
    e.open = sp_view_alloc(&v, (p->region->depth + 8ull) * 4);
    if (!e.open || !sp_view_bound(&v, &limits))
        return -ENOMEM;
    sp_out_str(o, HEAD);
    put_ids(&e);
    sp_names_title(p->region, &b);
    sp_out_str(o, ",\"args\":{\"name\":");
    sp_json_string(o, title, b.len);
    sp_out_str(o, "}}");
    put_threads(&e);
    if (sp_view_n_profiles(&v) != 1 && v.unseen_ns)
        put_unseen(&e);
    sp_out_str(o, "]\n");
    return sp_out_finish(o);
}

const struct sp_writer_ops sp_writer_chrome = {
    .key = "chrome",
    .name = "Chrome trace",
    .suffixes = {".trace.json", ".trace"},
    .head = HEAD,
    .write = write_file,
};
