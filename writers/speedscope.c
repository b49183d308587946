/* SPDX-License-Identifier: MIT
 * Speedscope's "sampled" file format, version of its schema: www.speedscope.app/file-format-schema.json. Frames
 * are keyed by index there, so functions appear once; stacks are root first; weights are integer nanoseconds
 * that add up to endValue. What Speedscope has no place for is in the top-level object "spprof". */
#include <string.h>

#include "compat/buf.h"
#include "compat/utc.h"
#include "compat/version.h"
#include "writers/json.h"
#include "writers/lines.h"
#include "writers/view_bound.h"

#define HEAD_BYTES 65536ull /* room kept for what is not stacks when a file size limit is to be held */

static void put_interned(struct sp_out *o, const struct sp_region *r, uint32_t ref)
{
    const struct sp_string *s = sp_string_at(r, ref);
    sp_json_string(o, s->data, s->bytes);
}

static void put_line_name(struct sp_out *o, const struct sp_region *r, const struct sp_function *f)
{
    char line[16];
    SP_BUF(b, line);
    sp_buf_char(&b, ':');
    sp_buf_u64(&b, f->line > 0 ? (uint64_t)f->line : 0);
    const struct sp_string *s = sp_string_at(r, f->name);
    sp_json_string_parts(o, s->data, s->bytes, line, b.len);
}

static void put_elided_name(struct sp_out *o, uint32_t n)
{
    sp_out_str(o, "\"(\xe2\x80\xa6 ");
    sp_out_u64(o, n);
    sp_out_str(o, " frames elided)\"");
}

static void put_function(struct sp_out *o, const struct sp_view *v, uint32_t i)
{
    const struct sp_function *f = &v->functions[i];
    sp_out_str(o, i ? ",\n{\"name\":" : "\n{\"name\":");
    if (i >= v->n_functions) {
        put_elided_name(o, f->pseudo);
    } else if (!f->name) {
        sp_json_text(o, sp_store_pseudo_name(f->pseudo));
    } else {
        if (v->profile->lines && f->line)
            put_line_name(o, v->region, f);
        else
            put_interned(o, v->region, f->name);
        if (f->file) {
            sp_out_str(o, ",\"file\":");
            put_interned(o, v->region, f->file);
        }
        if (f->line > 0)
            sp_json_key_u64(o, "line", (uint64_t)f->line, false);
    }
    sp_out_char(o, '}');
}

/* ---- one profile */
struct emitter {
    struct sp_view *v;
    struct sp_out *o;
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
        sp_out_u64(e->o, e->v->stack[i]);
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

static void put_profile(struct sp_out *o, struct sp_view *v, const struct sp_view_profile *p)
{
    struct emitter e = {.v = v, .o = o};
    each(v, p, emit_sum, &e);
    sp_out_str(o, ",\"unit\":\"nanoseconds\",\"startValue\":0,\"endValue\":");
    sp_out_u64(o, e.sum);
    sp_out_str(o, ",\n\"samples\":[");
    each(v, p, emit_stack, &e);
    sp_out_str(o, "],\n\"weights\":[");
    each(v, p, emit_weight, &e);
    sp_out_str(o, "]}");
}

static void thread_name(const struct sp_thread *t, uint32_t interpreter, struct sp_buf *b)
{
    if (t->name[0]) {
        sp_buf_str(b, t->name);
    } else if (t->serial == 1) {
        sp_buf_str(b, "MainThread");
    } else {
        sp_buf_str(b, "Thread-");
        sp_buf_u64(b, (uint64_t)t->tid);
    }
    if (interpreter) {
        sp_buf_str(b, " [interpreter ");
        sp_buf_u64(b, interpreter);
        sp_buf_char(b, ']');
    }
}

static void put_profile_name(struct sp_out *o, const struct sp_view *v, const struct sp_view_profile *p)
{
    char name[SP_THREAD_NAME_BYTES + 96];
    SP_BUF(b, name);
    if (p->thread == 0) {
        sp_buf_char(&b, '(');
        sp_buf_u64(&b, v->n_others);
        sp_buf_str(&b, v->n_own ? " other threads)" : " threads)");
    } else {
        const struct sp_thread *t = sp_thread_at(v->region, p->thread);
        thread_name(t, p->interpreter, &b);
        sp_buf_str(&b, " (tid ");
        sp_buf_u64(&b, (uint64_t)t->tid);
        sp_buf_char(&b, ')');
    }
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
        put_profile(o, v, NULL);
    }
    if (n == 0) { /* not one thread got a slot */
        sp_out_str(o, "\n{\"type\":\"sampled\",\"name\":\"MainThread\"");
        put_profile(o, v, NULL);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (i || n > 1)
            sp_out_char(o, ',');
        put_profile_name(o, v, sp_view_profile_at(v, i));
        put_profile(o, v, sp_view_profile_at(v, i));
    }
}

/* ---- the block of our own */
static void put_utc(struct sp_out *o, uint64_t wall_ns)
{
    struct sp_utc u = sp_utc_from_seconds(wall_ns / SP_NS_PER_S);
    char text[32];
    SP_BUF(b, text);
    sp_buf_u64_pad(&b, u.year, 4);
    sp_buf_char(&b, '-');
    sp_buf_u64_pad(&b, u.month, 2);
    sp_buf_char(&b, '-');
    sp_buf_u64_pad(&b, u.day, 2);
    sp_buf_char(&b, 'T');
    sp_buf_u64_pad(&b, u.hour, 2);
    sp_buf_char(&b, ':');
    sp_buf_u64_pad(&b, u.minute, 2);
    sp_buf_char(&b, ':');
    sp_buf_u64_pad(&b, u.second, 2);
    sp_buf_char(&b, '.');
    sp_buf_u64_pad(&b, wall_ns / 1000000 % 1000, 3);
    sp_buf_char(&b, 'Z');
    sp_json_text(o, text);
}

static void put_argv(struct sp_out *o, const char *argv, size_t n)
{
    sp_json_key(o, "argv", false);
    sp_out_char(o, '[');
    for (size_t at = 0; at < n && argv[at];) {
        size_t len = strnlen(argv + at, n - at);
        if (at)
            sp_out_char(o, ',');
        sp_json_string(o, argv + at, len);
        at += len + 1;
    }
    sp_out_char(o, ']');
}

static void put_identity(struct sp_out *o, const struct sp_view *v)
{
    const struct sp_region *r = v->region;
    sp_json_key(o, "version", true);
    sp_json_text(o, SPPROF_VERSION);
    sp_json_key_u64(o, "layout", r->layout, false);
    sp_json_key_u64(o, "pid", r->pid, false);
    sp_json_key_u64(o, "ppid", r->ppid, false);
    sp_json_key(o, "host", false);
    sp_json_text(o, r->host);
    sp_json_key(o, "started", false);
    put_utc(o, r->started_wall_ns);
    sp_json_key_u64(o, "wall_ns", v->profile->wall_ns, false);
    put_argv(o, r->argv, sizeof r->argv);
    sp_json_key(o, "python", false);
    sp_json_text(o, r->python);
    sp_json_key(o, "build", false);
    sp_json_text(o, r->build);
    sp_json_key(o, "engine", false);
    sp_json_text(o, r->engine);
    sp_json_key_u64(o, "interval_ns", r->interval_ns, false);
    uint64_t sampled = v->cpu_ns[SP_CPU_PYTHON] + v->cpu_ns[SP_CPU_STARTUP] + v->cpu_ns[SP_CPU_UNWALKABLE] +
                       v->cpu_ns[SP_CPU_NATIVE_THREAD];
    sp_json_key_u64(o, "effective_interval_ns", v->samples ? sampled / v->samples : r->interval_ns, false);
}

static void put_cpu(struct sp_out *o, const struct sp_view *v)
{
    sp_json_key(o, "cpu", false);
    sp_out_char(o, '{');
    sp_json_key_u64(o, "used", v->used_ns, true);
    for (int c = 0; c < SP_CPU_N; c++)
        sp_json_key_u64(o, sp_store_cpu_name((enum sp_cpu)c), v->cpu_ns[c], false);
    sp_json_key_u64(o, "before_start", v->region->before_start_ns, false);
    sp_json_key_u64(o, "writer", v->profile->writer_cpu_ns ? v->profile->writer_cpu_ns() : 0, false);
    sp_out_char(o, '}');
}

/* Thousandths, rounded down: 1.000 means all of it. */
static void put_share(struct sp_out *o, const char *key, uint64_t part, uint64_t whole)
{
    char text[24];
    SP_BUF(b, text);
    uint64_t mille = whole ? (uint64_t)((unsigned __int128)part * 1000 / whole) : 1000;
    sp_buf_u64(&b, mille / 1000);
    sp_buf_char(&b, '.');
    sp_buf_u64_pad(&b, mille % 1000, 3);
    sp_json_key(o, key, false);
    sp_out_str(o, text);
}

static void put_losses(struct sp_out *o, const struct sp_region *r)
{
    sp_json_key(o, "losses", false);
    sp_out_str(o, "{\"unwalkable\":{");
    bool first = true;
    for (int i = SP_LOSS_NONE + 1; i < SP_LOSS_WALK_N; i++)
        if (r->loss[i]) {
            sp_json_key_u64(o, sp_store_loss_name((enum sp_loss)i), r->loss[i], first);
            first = false;
        }
    sp_out_char(o, '}');
    for (int i = SP_LOSS_WALK_N; i < SP_LOSS_N; i++)
        sp_json_key_u64(o, sp_store_loss_name((enum sp_loss)i), r->loss[i], false);
    sp_out_char(o, '}');
}

static void put_threads(struct sp_out *o, const struct sp_view *v)
{
    uint32_t n = sp_view_n_profiles(v);
    sp_json_key(o, "threads", false);
    sp_out_char(o, '[');
    for (uint32_t i = 0; i < n; i++) {
        const struct sp_view_profile *p = sp_view_profile_at(v, i);
        sp_out_str(o, i ? ",\n{" : "{");
        sp_json_key_u64(o, "profile", i + (n > 1), true);
        if (p->thread) {
            char name[SP_THREAD_NAME_BYTES + 64];
            SP_BUF(b, name);
            const struct sp_thread *t = sp_thread_at(v->region, p->thread);
            thread_name(t, p->interpreter, &b);
            sp_json_key(o, "name", false);
            sp_json_string(o, name, b.len);
            sp_json_key_u64(o, "tid", (uint64_t)t->tid, false);
            if (p->interpreter)
                sp_json_key_u64(o, "interpreter", p->interpreter, false);
        } else {
            sp_json_key_u64(o, "others", v->n_others, false);
        }
        sp_json_key_u64(o, "cpu", p->cpu_ns, false);
        sp_json_key_u64(o, "samples", p->samples, false);
        sp_out_char(o, '}');
    }
    sp_out_char(o, ']');
}

static void put_bounded(struct sp_out *o, const struct sp_view *v)
{
    sp_json_key(o, "bounded", false);
    sp_out_str(o, "{\"time_order_until_ns\":");
    if (v->region->time_order_until_ns)
        sp_out_u64(o, v->region->time_order_until_ns);
    else
        sp_out_str(o, "null");
    sp_json_key_u64(o, "window_ms", sp_min_u64(v->window_ns, v->profile->wall_ns + SP_NS_PER_S) / 1000000, false);
    sp_json_key_u64(o, "folded_ns", v->folded_ns, false);
    sp_json_key_u64(o, "elided_stacks", v->elided_stacks, false);
    sp_out_char(o, '}');
}

static void put_title(struct sp_out *o, const struct sp_region *r)
{
    char title[256];
    SP_BUF(b, title);
    for (size_t at = 0; at < sizeof r->argv && r->argv[at];) {
        size_t len = strnlen(r->argv + at, sizeof r->argv - at);
        if (at)
            sp_buf_char(&b, ' ');
        sp_buf_mem(&b, r->argv + at, len);
        at += len + 1;
    }
    sp_buf_str(&b, " (pid ");
    sp_buf_u64(&b, r->pid);
    sp_buf_char(&b, ')');
    sp_json_string(o, title, b.len);
}

static int write_file(const struct sp_profile *p, struct sp_out *o)
{
    struct sp_view view, *v = &view;
    uint64_t most = SP_VIEW_BYTES_MAX;
    if (p->most_bytes != UINT64_MAX)
        most = sp_min_u64(most, p->most_bytes > HEAD_BYTES ? p->most_bytes - HEAD_BYTES : p->most_bytes / 2);
    if (!sp_view_init(v, p) || !sp_view_bound(v, most))
        return -12; /* ENOMEM: the scratch area */

    sp_out_str(o, "{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\"exporter\":\"spprof@"
                  SPPROF_VERSION "\",\n\"name\":");
    put_title(o, p->region);
    sp_out_str(o, ",\"activeProfileIndex\":0,\n\"shared\":{\"frames\":[");
    for (uint32_t i = 0; i < v->n_functions + v->n_elided_functions; i++)
        put_function(o, v, i);
    sp_out_str(o, "]},\n\"profiles\":[");
    put_profiles(o, v);
    sp_out_str(o, "],\n\"spprof\":{");
    put_identity(o, v);
    put_cpu(o, v);
    sp_json_key_u64(o, "samples", v->samples, false);
    uint64_t seen = v->cpu_ns[SP_CPU_PYTHON] + v->cpu_ns[SP_CPU_STARTUP] + v->cpu_ns[SP_CPU_UNWALKABLE] +
                    v->cpu_ns[SP_CPU_NATIVE_THREAD];
    sp_json_key(o, "complete", false);
    sp_out_str(o, p->complete ? "true" : "false");
    put_share(o, "prompt", v->prompt_ns, seen);
    put_losses(o, p->region);
    put_threads(o, v);
    put_bounded(o, v);
    sp_lines_write(v, o);
    sp_out_str(o, "}}\n");
    return sp_out_finish(o);
}

const struct sp_writer_ops sp_writer_speedscope = {
    .name = "speedscope",
    .suffix = ".json",
    .write = write_file,
};
