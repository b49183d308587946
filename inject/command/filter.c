/* SPDX-License-Identifier: MIT
 * See filter.h. Records that are not wanted weigh nothing afterwards, threads that are not are free slots, and the sums are those of
 * what is left. How many of a thread's samples that are nobody knows: as many of a hundred as of its CPU. */
#include "inject/command/filter.h"

#include <stdlib.h>
#include <string.h>

#include "inject/command/describe.h"
#include "writers/names.h"
#include "writers/symbols.h"

/* ---- the options */
static const char *const options[SP_FILTER_N] = {"--focus", "--ignore", "--thread", "--span"};

static void note(struct sp_filter *f, const struct sp_cli_given *g)
{
    size_t n = strlen(f->said);
    snprintf(f->said + n, sizeof f->said - n, "%s%s %s", n ? " " : "", g->name, g->value);
}

#define EXPRESSION_BYTES 4096u /* glibc's regcomp() goes a call deeper with each bracket */

static const char *take_expression(struct sp_filter *f, enum sp_filter_kind k, const char *expression)
{
    if (f->has[k])
        return "is given twice; join them: A|B";
    if (strlen(expression) > EXPRESSION_BYTES)
        return "is longer than 4096 bytes";
    f->has[k] = regcomp(&f->re[k], expression, REG_EXTENDED | REG_NOSUB) == 0;
    return f->has[k] ? NULL : "is no regular expression; see regex(7)";
}

static const char *take_time(const char *text, uint64_t *ns)
{
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"", 1e9}, {"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"m", 60e9}, {"h", 3600e9}};
    char *end;
    double v = strtod(text, &end);
    for (size_t i = 0; i < SP_ARRAY_LEN(units); i++)
        if (end != text && v >= 0 && v < 1e9 && strcmp(end, units[i].unit) == 0) {
            *ns = (uint64_t)(v * units[i].ns);
            return NULL;
        }
    return "is no time; 90s, 250ms, 1.5m are, and a bare number counts seconds";
}

bool sp_filter_take(struct sp_filter *f, const struct sp_cli_given *g, const char **why)
{
    bool is_from = strcmp(g->name, "--from") == 0, is_to = strcmp(g->name, "--to") == 0;
    size_t k = 0;
    while (k < SP_FILTER_N && strcmp(g->name, options[k]) != 0)
        k++;
    if (k == SP_FILTER_N && !is_from && !is_to)
        return false;
    *why = k < SP_FILTER_N ? take_expression(f, (enum sp_filter_kind)k, g->value)
                           : take_time(g->value, is_from ? &f->from_ns : &f->to_ns);
    f->has_from |= is_from;
    f->has_to |= is_to;
    if (!*why && f->has_from && f->has_to && f->from_ns >= f->to_ns)
        *why = "leaves no time between --from and --to";
    note(f, g);
    return true;
}

static bool has_window(const struct sp_filter *f)
{
    return f->has_from || f->has_to;
}

bool sp_filter_is_set(const struct sp_filter *f)
{
    bool is_set = has_window(f);
    for (size_t k = 0; k < SP_FILTER_N; k++)
        is_set |= f->has[k];
    return is_set;
}

int sp_filter_refuse(const struct sp_filter *f, const char *name, bool is_one)
{
    char text[sizeof f->said + 64];
    snprintf(text, sizeof text, "nothing of it%s is left by %s", is_one ? "" : " and of the others", f->said);
    return sp_cli_fail(name, text);
}

/* ---- what is wanted */
#define FOCUSED 1u /* a function on the path to the node is in focus */
#define IGNORED 2u
#define SPANNED 4u /* a span */
#define MANAGED 8u /* one of them is no native function */

struct filtering {
    const struct sp_filter *f;
    struct sp_loaded *l;
    struct sp_region *r;
    struct sp_view v;
    unsigned char *node;   /* FOCUSED | IGNORED | SPANNED | MANAGED */
    unsigned char *thread; /* by number: whether it is wanted; 0 is the folded ones */
    uint64_t kept[SP_CATEGORY_N], cpu_ns, wait_ns, samples, without_order_ns;
    /* while one thread is cut */
    uint64_t of_thread[SP_CATEGORY_N], thread_ns, thread_all_ns, thread_wait_ns;
    uint64_t cpu_so_far_ns; /* on the axis of a file */
};

static bool finds(const struct sp_filter *f, enum sp_filter_kind k, const char *text)
{
    return f->has[k] && regexec(&f->re[k], text, 0, NULL, 0) == 0;
}

static bool is_in_span(const struct sp_filter *f, const struct sp_view *v, uint32_t function)
{
    char name[8192];
    return f->has[SP_FILTER_SPAN] && sp_describe_span(v, function, name, sizeof name) && finds(f, SP_FILTER_SPAN, name);
}

static unsigned char *flags_of_frames(const struct filtering *x)
{
    char text[8192];
    unsigned char *of_frame = sp_cli_alloc(NULL, x->v.n_frames + 1ull);
    for (uint32_t i = 1; i < x->v.n_frames; i++) {
        const struct sp_frame *f = sp_frame_at(x->r, i);
        bool is_native = f->kind == SP_FRAME_NATIVE || f->kind == SP_FRAME_SYMBOL ||
                         (f->kind == SP_FRAME_PSEUDO && f->what == SP_PSEUDO_NATIVE_UNKNOWN);
        bool is_span = sp_describe_span(&x->v, x->v.function_of_frame[i], text, sizeof text);
        of_frame[i] = is_native || is_span ? 0 : MANAGED;
    }
    for (size_t i = 0; i < x->l->n_sources; i++)
        of_frame[x->l->sources[i]] = 0;
    return of_frame;
}

static void look_at_nodes(struct filtering *x)
{
    char text[8192];
    const struct sp_view *v = &x->v;
    unsigned char *of_function = sp_cli_alloc(NULL, v->n_functions + 1ull);
    for (uint32_t i = 0; i < v->n_functions; i++) {
        sp_describe(SP_REPORT_FUNCTION, v, i, 0, text, sizeof text);
        of_function[i] =
            (unsigned char)((finds(x->f, SP_FILTER_FOCUS, text) ? FOCUSED : 0) |
                            (finds(x->f, SP_FILTER_IGNORE, text) ? IGNORED : 0) | (is_in_span(x->f, v, i) ? SPANNED : 0));
    }
    unsigned char *of_frame = flags_of_frames(x);
    x->node = sp_cli_alloc(NULL, v->n_nodes + 1ull);
    x->node[0] = 0;
    for (uint32_t n = 1; n < v->n_nodes; n++) {
        uint32_t function = v->function_of_frame[sp_node_at(x->r, n)->frame];
        bool has = !sp_view_is_interpreter(v, n) && function != SP_VIEW_UNUSED;
        x->node[n] =
            x->node[sp_node_at(x->r, n)->parent] | (has ? of_function[function] : 0) | of_frame[sp_node_at(x->r, n)->frame];
    }
    free(of_function);
    free(of_frame);
}

/* In a file of stacks native functions have names, by which the store does not know them. */
static enum sp_category category_of(const struct filtering *x, uint32_t node)
{
    enum sp_category c = sp_store_category_of(x->r, node);
    bool is_native = c == SP_CATEGORY_PYTHON && x->l->is_text && node && !(x->node[node] & MANAGED);
    return is_native ? SP_CATEGORY_NATIVE_THREAD : c;
}

static bool is_wanted(const struct filtering *x, uint32_t node)
{
    unsigned seen = x->node[node];
    return !(seen & IGNORED) && ((seen & FOCUSED) || !x->f->has[SP_FILTER_FOCUS]) &&
           ((seen & SPANNED) || !x->f->has[SP_FILTER_SPAN]);
}

/* A thread that ran in several interpreters has several names. */
static void look_at_threads(struct filtering *x)
{
    char name[SP_NAMES_PROFILE_BYTES];
    const struct sp_view *v = &x->v;
    bool all = !x->f->has[SP_FILTER_THREAD];
    x->thread = memset(sp_cli_alloc(NULL, x->r->n_threads + 1ull), all, x->r->n_threads + 1ull);
    for (uint32_t i = 0; i <= v->n_listed && !all; i++) {
        const struct sp_view_profile *p = i < v->n_listed ? &v->threads[i] : &v->others;
        SP_BUF(b, name);
        if (i < v->n_listed || x->r->n_folded)
            sp_names_profile(v, p, true, &b);
        x->thread[p->thread] |= b.len && finds(x->f, SP_FILTER_THREAD, name);
    }
}

/* ---- cutting */
static void keep(struct filtering *x, uint32_t node, uint64_t cpu_ns)
{
    x->of_thread[category_of(x, node)] += cpu_ns;
    x->thread_ns += cpu_ns;
}

/* What of the span that begins there lies in the window. */
static uint64_t in_window(const struct sp_filter *f, uint64_t begin, uint64_t ns)
{
    uint64_t from = sp_max_u64(begin, f->has_from ? f->from_ns : 0),
             end = sp_min_u64(begin + ns, f->has_to ? f->to_ns : UINT64_MAX);
    return end > from ? end - from : 0;
}

/* A sample's CPU was used before it was taken, and what joined it in its record is taken to have come at once. In a file of
 * stacks the thread's CPU is the time. */
static void cut_record(struct filtering *x, const struct sp_chunk *c, struct sp_record *rec)
{
    uint64_t time = c->base_ns + ((uint64_t)(rec->state_and_time & SP_RECORD_TIME_MAX) << SP_RECORD_TIME_SHIFT);
    uint64_t first = sp_min_u64(rec->cpu_ns, x->r->interval_ns), cpu = rec->cpu_ns, wait = rec->wall_ns;
    x->thread_all_ns += cpu;
    if (has_window(x->f)) {
        uint64_t begin = x->l->is_text ? x->cpu_so_far_ns : time - sp_min_u64(time, first);
        cpu = in_window(x->f, begin, cpu);
        wait = x->l->is_text ? 0 : in_window(x->f, time - sp_min_u64(time, wait), wait);
    }
    x->cpu_so_far_ns += rec->cpu_ns;
    bool wanted = is_wanted(x, rec->node);
    rec->cpu_ns = wanted ? (uint32_t)cpu : 0;
    rec->wall_ns = wanted ? (uint32_t)wait : 0;
    keep(x, rec->node, rec->cpu_ns);
    x->thread_wait_ns += rec->wall_ns;
}

/* Sums have no time: a window leaves them out. */
static void cut_sums(struct filtering *x, uint32_t first, bool wanted)
{
    for (uint32_t id = first; id;) {
        struct sp_total *t = sp_pool_entry(x->r, &x->r->totals, id);
        bool stays = wanted && is_wanted(x, t->node);
        x->thread_all_ns += t->cpu_ns;
        if (stays && has_window(x->f)) {
            x->without_order_ns += t->cpu_ns + t->wall_ns;
            stays = false;
        }
        t->cpu_ns = stays ? t->cpu_ns : 0;
        t->wall_ns = stays ? t->wall_ns : 0;
        t->gil_ns = stays ? t->gil_ns : 0;
        keep(x, t->node, t->cpu_ns);
        x->thread_wait_ns += t->wall_ns;
        id = t->next;
    }
}

/* What the sums have and no record, at the pseudo-frame where it is shown. */
static uint64_t rest(struct filtering *x, uint32_t node, uint64_t ns, bool wanted)
{
    bool stays = wanted && is_wanted(x, node);
    if (stays && has_window(x->f)) {
        x->without_order_ns += ns;
        stays = false;
    }
    return stays ? ns : 0;
}

static void begin(struct filtering *x)
{
    memset(x->of_thread, 0, sizeof x->of_thread);
    x->thread_ns = x->thread_all_ns = x->thread_wait_ns = x->cpu_so_far_ns = 0;
}

static void finish(struct filtering *x, uint64_t logged, bool wanted)
{
    uint64_t over = logged - sp_min_u64(logged, x->thread_all_ns);
    keep(x, x->r->pseudo_node[SP_PSEUDO_OVERFLOW], rest(x, x->r->pseudo_node[SP_PSEUDO_OVERFLOW], over, wanted));
    for (int c = 0; c < SP_CATEGORY_N; c++)
        x->kept[c] += x->of_thread[c];
    x->cpu_ns += x->thread_ns;
    x->wait_ns += x->thread_wait_ns;
}

static uint64_t part_of(uint64_t n, uint64_t part, uint64_t whole)
{
    return whole ? (uint64_t)((unsigned __int128)n * part / whole) : n;
}

/* Off the CPU: waits that are left, and what has no stack. */
static uint64_t cut_life(struct filtering *x, uint64_t off, uint64_t waits, uint64_t *queued, bool wanted)
{
    const uint32_t *node = x->r->pseudo_node;
    if (has_window(x->f) && x->l->is_text) { /* said for all of them */
        *queued = 0;
        return 0;
    }
    uint64_t left = off - sp_min_u64(off, waits), ready = sp_min_u64(*queued, left);
    *queued = rest(x, node[SP_PSEUDO_WAITING_CPU], ready, wanted);
    return x->thread_wait_ns + *queued + rest(x, node[SP_PSEUDO_NOT_RUNNING], left - ready, wanted);
}

static void cut_thread(struct filtering *x, struct sp_thread *t)
{
    uint64_t logged = sp_view_sum_of(t->cpu_ns);
    bool wanted = x->thread[t->number];
    begin(x);
    if (!wanted) {
        cut_sums(x, t->first_total, false);
        t->state = SP_THREAD_FREE;
        return;
    }
    for (uint32_t at = t->chunk ? t->fold_chunk ? t->fold_chunk : t->first_chunk : 0; at;) {
        struct sp_chunk *c = sp_at64(x->r, at);
        for (uint32_t i = 0; i < c->n; i++)
            cut_record(x, c, &c->records[i]);
        at = at == t->chunk ? 0 : c->next;
    }
    cut_sums(x, t->first_total, true);
    finish(x, logged, true);
    t->off_ns = cut_life(x, t->off_ns, t->wait_ns, &t->queued_ns, true);
    t->wait_ns = x->thread_wait_ns;
    t->gil_ns = part_of(t->gil_ns, x->thread_ns, logged);
    t->open_ns = 0;
    t->samples = part_of(t->samples, x->thread_ns, logged);
    x->samples += t->samples;
    t->prompt_ns = part_of(t->prompt_ns, x->thread_ns, logged);
    memcpy(t->cpu_ns, x->of_thread, sizeof t->cpu_ns);
    if (!x->thread_ns && !t->off_ns)
        t->state = SP_THREAD_FREE;
}

static void cut_folded(struct filtering *x)
{
    struct sp_region *r = x->r;
    uint64_t logged = sp_view_sum_of(r->folded_cpu_ns);
    bool wanted = x->thread[0];
    begin(x);
    cut_sums(x, r->first_total, wanted);
    finish(x, logged, wanted);
    r->folded_off_ns = cut_life(x, r->folded_off_ns, r->folded_wait_ns, &r->folded_queued_ns, wanted);
    r->folded_wait_ns = x->thread_wait_ns;
    r->folded_gil_ns = part_of(r->folded_gil_ns, x->thread_ns, logged);
    r->folded_samples = part_of(r->folded_samples, x->thread_ns, logged);
    x->samples += r->folded_samples;
    r->folded_prompt_ns = part_of(r->folded_prompt_ns, x->thread_ns, logged);
    memcpy(r->folded_cpu_ns, x->of_thread, sizeof r->folded_cpu_ns);
    if (!x->thread_ns && !r->folded_off_ns)
        r->n_folded = 0;
}

/* CPU of the process that no thread has is with the only one there is, or with nobody. */
static uint64_t unseen(struct filtering *x)
{
    const struct sp_view *v = &x->v;
    uint32_t n = sp_view_n_profiles(v);
    bool wanted = !x->f->has[SP_FILTER_THREAD] || (n == 1 && x->thread[sp_view_profile_at(v, 0)->thread]) ||
                  (n == 0 && finds(x->f, SP_FILTER_THREAD, "MainThread"));
    uint64_t ns = rest(x, x->r->pseudo_node[v->unseen], v->unseen_ns, wanted);
    x->kept[v->unseen] += ns;
    return ns;
}

/* ---- the whole */
static void say(const struct filtering *x)
{
    char text[160], ns[32];
    const struct sp_loaded *l = x->l;
    if (!has_window(x->f))
        return;
    if (l->is_text)
        sp_cli_fail(l->name, "has no times: --from and --to are of each thread's own CPU, as the viewer's time order shows it");
    if (l->is_text && l->window_ms > 0)
        sp_cli_fail(l->name, "was bounded: its order of time is that of windows, in which stacks stand one after the other");
    if (l->is_text && x->r->wall)
        sp_cli_fail(l->name, "tells of waits only how long they were, not when; they are left out");
    sp_cli_time((double)x->without_order_ns, ns, sizeof ns);
    snprintf(text, sizeof text, "has %s without an order of time, which is left out", ns);
    if (x->without_order_ns)
        sp_cli_fail(l->name, text);
}

static void cut_head(struct filtering *x, uint64_t unseen_ns)
{
    struct sp_loaded *l = x->l;
    struct sp_region *r = x->r;
    const struct sp_filter *f = x->f;
    struct sp_told *told = &l->told;
    told->samples = x->samples;
    told->prompt_ns = part_of(x->v.prompt_ns, sp_view_sampled_ns(x->kept), sp_view_sampled_ns(x->v.cpu_ns));
    memcpy(told->cpu_ns, x->kept, sizeof told->cpu_ns);
    l->profile.told = told;
    l->profile.process_cpu_ns = x->cpu_ns + unseen_ns;
    l->whole_ns = x->v.used_ns;
    l->lines_lost = l->n_lines > 0;
    l->n_lines = 0;
    r->time_order_until_ns = has_window(f) ? 0 : r->time_order_until_ns;
    if (has_window(f) && l->is_text)
        r->wall = SP_WALL_OFF;
    if (has_window(f) && !l->is_text) {
        uint64_t end = sp_min_u64(l->profile.wall_ns, f->has_to ? f->to_ns : UINT64_MAX);
        uint64_t from = f->has_from ? f->from_ns : 0;
        l->profile.wall_ns = end - sp_min_u64(end, from);
        r->started_wall_ns += from;
    }
}

enum sp_filter_left sp_filter_apply(const struct sp_filter *f, struct sp_loaded *l)
{
    struct filtering x = {.f = f, .l = l, .r = l->region};
    if (!sp_filter_is_set(f))
        return SP_FILTER_SOME;
    if (!sp_view_init(&x.v, &l->profile)) {
        sp_cli_fail(l->name, "there is not enough memory");
        return SP_FILTER_FAILED;
    }
    if (!l->is_text)
        sp_symbols_of_view(&x.v);
    look_at_nodes(&x);
    look_at_threads(&x);
    for (uint32_t i = 1; i <= x.r->n_threads && i <= x.r->max_threads; i++) {
        struct sp_thread *t = sp_thread_at(x.r, i);
        if (t && (t->state == SP_THREAD_LIVE || t->state == SP_THREAD_ENDED))
            cut_thread(&x, t);
    }
    cut_folded(&x);
    uint64_t unseen_ns = unseen(&x);
    say(&x);
    cut_head(&x, unseen_ns);
    free(x.node);
    free(x.thread);
    return x.cpu_ns + x.wait_ns + unseen_ns ? SP_FILTER_SOME : SP_FILTER_NOTHING;
}

enum sp_filter_left sp_filter_load(const struct sp_filter *f, struct sp_loaded *l, const char *name)
{
    return sp_load(l, name) ? SP_FILTER_FAILED : sp_filter_apply(f, l);
}
