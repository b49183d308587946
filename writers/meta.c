/* SPDX-License-Identifier: MIT
 * See meta.h. Keys are added, never given another meaning. */
#include "writers/meta.h"

#include <string.h>

#include "compat/buf.h"
#include "compat/symbols.h"
#include "compat/utc.h"
#include "compat/version.h"
#include "writers/json.h"
#include "writers/lines.h"
#include "writers/names.h"

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
    sp_json_key_text(o, "version", SPPROF_VERSION, true);
    sp_json_key_u64(o, "layout", r->layout, false);
    sp_json_key_u64(o, "pid", r->pid, false);
    sp_json_key_u64(o, "ppid", r->ppid, false);
    if (r->run_ns) { /* as text: more digits than a viewer's number has */
        char run[24];
        SP_BUF(b, run);
        sp_buf_u64(&b, r->run_ns);
        sp_json_key_text(o, "run", run, false);
    }
    sp_json_key_text(o, "host", r->host, false);
    sp_json_key(o, "started", false);
    put_utc(o, r->started_wall_ns);
    sp_json_key_u64(o, "wall_ns", v->profile->wall_ns, false);
    put_argv(o, r->argv, sizeof r->argv);
    sp_json_key_text(o, "python", r->python, false);
    sp_json_key_text(o, "build", r->build, false);
    sp_json_key_text(o, "engine", r->engine, false);
    sp_json_key_u64(o, "interval_ns", r->interval_ns, false);
    sp_json_key_u64(o, "effective_interval_ns", sp_view_effective_interval_ns(v), false);
}

static void put_cpu(struct sp_out *o, const struct sp_view *v)
{
    sp_json_key(o, "cpu", false);
    sp_out_char(o, '{');
    sp_json_key_u64(o, "used", v->used_ns, true);
    for (int c = 0; c < SP_CATEGORY_N; c++)
        sp_json_key_u64(o, sp_store_category_name((enum sp_category)c), v->cpu_ns[c], false);
    sp_json_key_u64(o, "before_start", v->region->before_start_ns, false);
    sp_json_key_u64(o, "writer", v->profile->writer_cpu_ns ? v->profile->writer_cpu_ns() : 0, false);
    sp_out_char(o, '}');
}

static void put_share(struct sp_out *o, const char *key, uint64_t mille)
{
    char text[24];
    SP_BUF(b, text);
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

static void put_threads(struct sp_out *o, const struct sp_view *v, bool has_wall)
{
    uint32_t n = sp_view_n_profiles(v);
    sp_json_key(o, "threads", false);
    sp_out_char(o, '[');
    for (uint32_t i = 0; i < n; i++) {
        const struct sp_view_profile *p = sp_view_profile_at(v, i);
        sp_out_str(o, i ? ",\n{" : "{");
        sp_json_key_u64(o, "profile", i + (n > 1), true);
        if (p->thread) {
            char name[SP_NAMES_PROFILE_BYTES];
            SP_BUF(b, name);
            sp_names_profile(v, p, false, &b);
            sp_json_key(o, "name", false);
            sp_json_string(o, name, b.len);
            sp_json_key_u64(o, "tid", (uint64_t)sp_thread_at(v->region, p->thread)->tid, false);
            if (p->interpreter)
                sp_json_key_u64(o, "interpreter", p->interpreter, false);
        } else {
            sp_json_key_u64(o, "others", v->n_others, false);
        }
        sp_json_key_u64(o, "cpu", p->cpu_ns, false);
        sp_json_key_u64(o, "samples", p->samples, false);
        if (has_wall && p->wall_ns)
            sp_json_key_u64(o, "wall", p->wall_ns, false);
        if (has_wall && p->gil_ns)
            sp_json_key_u64(o, "gil_held", p->gil_ns, false);
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
    sp_json_key_u64(o, "folded_ns", v->taken_in_ns, false);
    sp_json_key_u64(o, "elided_stacks", v->elided_stacks, false);
    sp_out_char(o, '}');
}

static bool is_build_id(const char *hex, size_t digits)
{
    return digits && !(digits == 2 * SP_LOOKS_BYTES && memcmp(hex, "ff", 2) == 0); /* SP_LOOKS_MARK */
}

/* The libraries that native frames lie in, and where in them each begins: what their names can be found by later, elsewhere. */
static void put_modules(struct sp_out *o, const struct sp_view *v)
{
    sp_json_key(o, "modules", false);
    sp_out_char(o, '[');
    for (uint32_t i = 0; i < v->n_modules; i++) {
        const struct sp_string *s = sp_string_at(v->region, v->modules[i]);
        size_t path = sp_view_library_path(s);
        sp_out_str(o, i ? ",\n{\"path\":" : "\n{\"path\":");
        sp_json_string(o, s->data + path, s->bytes - path);
        if (path && is_build_id(s->data, path - 1)) {
            sp_json_key(o, "build_id", false);
            sp_json_string(o, s->data, path - 1);
        }
        sp_out_char(o, '}');
    }
    sp_out_str(o, "]");
}

/* before: functions in front of the view's */
static bool put_places(struct sp_out *o, const struct sp_view *v, uint32_t before, bool first)
{
    for (uint32_t i = 0; i < v->n_functions; i++) {
        if (!v->functions[i].native)
            continue;
        int64_t place[] = {before + i, v->functions[i].module, (int64_t)sp_view_place(v->region, &v->functions[i])};
        sp_json_numbers(o, place, 3, first);
        first = false;
    }
    return first;
}

static void put_native(struct sp_out *o, const struct sp_view *v, const struct sp_view *wall)
{
    sp_json_key(o, "native", false);
    sp_out_char(o, '[');
    bool first = put_places(o, v, 0, true);
    if (wall)
        put_places(o, wall, v->n_functions + v->n_elided_functions, first);
    sp_out_char(o, ']');
}

/* Where the profiles of whole lives begin, and what their sum is made of. */
static void put_wall(struct sp_out *o, const struct sp_view *v)
{
    uint32_t n = sp_view_n_profiles(v);
    uint64_t cpu_ns = v->wall_ns - v->off_ns;
    sp_json_key(o, "wall", false);
    sp_out_char(o, '{');
    sp_json_key_u64(o, "profile", n + (n > 1), true);
    sp_json_key_u64(o, "life", v->wall_ns, false);
    sp_json_key_u64(o, "cpu", cpu_ns, false);
    sp_json_key_u64(o, "waits", v->wait_ns, false);
    sp_json_key_u64(o, "threads", v->n_wall_threads, false);
    sp_json_key(o, "all", false);
    sp_out_str(o, v->region->wall == SP_WALL_ALL ? "true" : "false");
    sp_out_char(o, '}');
}

/* ---- where others held the GIL */
struct gil {
    struct sp_out *o;
    struct sp_view *v;
    uint32_t before, profile; /* functions in front of the view's; the waiting thread's profile */
    uint32_t n, n_touched;
};

#define GIL_STACKS 20000u

static void sum_gil(void *arg, uint32_t node, uint64_t ns)
{
    struct gil *g = arg;
    if (!g->v->sum[node])
        g->v->touched[g->n_touched++] = node;
    g->v->sum[node] += ns;
}

/* Beyond so many, and what no stack of the file shows, without a stack. */
static bool is_shown(const struct gil *g, uint32_t node)
{
    uint32_t function = g->v->function_of_frame[sp_node_at(g->v->region, node)->frame];
    return g->n < GIL_STACKS && function != SP_VIEW_UNUSED && sp_view_depth(g->v, node) <= SP_VIEW_DEPTH_MAX;
}

static void put_gil_of(struct gil *g)
{
    for (uint32_t i = 0; i < g->n_touched; i++) {
        uint32_t node = g->v->touched[i], depth = is_shown(g, node) ? sp_view_stack(g->v, node) : 0;
        sp_out_str(g->o, g->n++ ? ",\n[" : "\n[");
        sp_out_u64(g->o, g->profile);
        sp_out_char(g->o, ',');
        sp_out_u64(g->o, g->v->sum[node]);
        sp_out_str(g->o, ",[");
        g->v->sum[node] = 0;
        for (uint32_t k = 0; k < depth; k++) {
            sp_out_str(g->o, k ? "," : "");
            sp_out_u64(g->o, g->before + g->v->stack[k]);
        }
        sp_out_str(g->o, "]]");
    }
    g->n_touched = 0;
}

static void put_gil(struct sp_out *o, struct sp_view *w, uint32_t before)
{
    struct gil g = {.o = o, .v = w, .before = before};
    uint32_t first = sp_view_n_profiles(w) > 1;
    sp_json_key(o, "gil", false);
    sp_out_char(o, '[');
    for (uint32_t i = 0; i < sp_view_n_profiles(w); i++) {
        g.profile = i + first;
        sp_view_each_gil(w, sp_view_profile_at(w, i), sum_gil, &g);
        put_gil_of(&g);
    }
    sp_out_char(o, ']');
}

void sp_meta_write(struct sp_view *v, struct sp_view *wall, struct sp_out *o)
{
    sp_out_char(o, '{');
    put_identity(o, v);
    put_cpu(o, v);
    sp_json_key_u64(o, "samples", v->samples, false);
    sp_json_key(o, "complete", false);
    sp_out_str(o, v->profile->complete ? "true" : "false");
    put_share(o, "prompt", sp_view_prompt_mille(v));
    put_losses(o, v->region);
    put_threads(o, v, wall != NULL);
    put_bounded(o, v);
    if (v->n_modules) {
        put_modules(o, v);
        put_native(o, v, wall);
    }
    if (wall) {
        put_wall(o, v);
        if (!wall->lumps) /* of a page that had to be bounded */
            put_gil(o, wall, v->n_functions + v->n_elided_functions);
    }
    sp_lines_write(v, o);
    sp_out_char(o, '}');
}
