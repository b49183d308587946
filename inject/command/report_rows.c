/* SPDX-License-Identifier: MIT
 * See report.h: the table of rows, and how they are told apart. Rows of several files that are called
 * the same are one row. */
#include <stdlib.h>
#include <string.h>

#include "inject/command/command.h"
#include "inject/command/report.h"
#include "inject/command/report_tree.h"
#include "writers/names.h"
#include "writers/symbols.h"

static uint32_t hash(const char *s)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    while (*s)
        h = (h ^ (unsigned char)*s++) * 16777619u;
    return h;
}

/* Doubles the table of slots and enters all rows again. */
static void grow(struct sp_report_rows *r)
{
    r->n_slots = r->n_slots ? r->n_slots * 2 : 256;
    r->slots = sp_cli_alloc(r->slots, sizeof *r->slots * r->n_slots);
    memset(r->slots, 0, sizeof *r->slots * r->n_slots);
    r->row = sp_cli_alloc(r->row, sizeof *r->row * r->n_slots / 2);
    for (size_t i = 0; i < r->n; i++) {
        size_t at = hash(r->row[i].name) % r->n_slots;
        while (r->slots[at])
            at = (at + 1) % r->n_slots;
        r->slots[at] = (int)i + 1;
    }
}

static size_t row_for(struct sp_report_rows *r, const char *name)
{
    if (2 * r->n >= r->n_slots)
        grow(r);
    size_t at = hash(name) % r->n_slots;
    for (; r->slots[at]; at = (at + 1) % r->n_slots)
        if (strcmp(r->row[r->slots[at] - 1].name, name) == 0)
            return (size_t)r->slots[at] - 1;
    char *copy = sp_cli_alloc(NULL, strlen(name) + 1);
    memcpy(copy, name, strlen(name) + 1);
    r->row[r->n] = (struct sp_report_row){.name = copy, .place = strlen(name)};
    r->slots[at] = (int)++r->n;
    return r->n - 1;
}

struct sp_report_row *sp_report_row(struct sp_report_rows *r, const char *name)
{
    size_t i = row_for(r, name); /* may move the rows */
    return &r->row[i];
}

void sp_report_add_to(struct sp_report_rows *r, const char *name, double self, double total)
{
    struct sp_report_row *row = sp_report_row(r, name);
    row->self += self;
    row->total += total;
}

/* ---- one profile */
static void title_of(const struct sp_view *v, uint32_t profile, char *out, size_t cap)
{
    struct sp_buf b = {.data = out, .cap = cap};
    sp_names_profile(v, sp_view_profile_at(v, profile), true, &b);
}

struct adding {
    struct sp_report_rows *rows;
    struct sp_view *v;
    int *row_of_function; /* -1: not looked up yet */
    uint64_t *self;       /* by node */
    bool beside;          /* CPU, beside whole lives */
};

static int row_of(void *arg, uint32_t function)
{
    struct adding *a = arg;
    if (a->row_of_function[function] < 0) {
        char text[8192];
        size_t place = sp_describe(a->rows->by, a->v, function, 0, text, sizeof text);
        a->row_of_function[function] = (int)row_for(a->rows, text);
        a->rows->row[a->row_of_function[function]].place = place;
    }
    return a->row_of_function[function];
}

static void add_stack(struct adding *a, uint32_t node, double weight)
{
    struct sp_report_rows *r = a->rows;
    int leaf = row_of(a, sp_report_function(a->v, node));
    r->n_stacks++;
    r->sum += a->beside ? 0 : weight;
    for (; node; node = sp_report_caller(a->v, node)) {
        int row = row_of(a, sp_report_function(a->v, node));
        if (r->row[row].seen != r->n_stacks) { /* recursion counts once */
            r->row[row].seen = r->n_stacks;
            *(a->beside ? &r->row[row].cpu_total : &r->row[row].total) += weight;
        }
    }
    *(a->beside ? &r->row[leaf].cpu_self : &r->row[leaf].self) += weight;
}

/* Of a process none of whose threads was known. */
static const char nobody[] = "MainThread";

static bool is_idle(const struct adding *a, uint32_t profile)
{
    const struct sp_view_profile *p = profile < a->v->n_own ? sp_view_profile_at(a->v, profile) : NULL;
    return p && p->wall_ns && p->cpu_ns < p->wall_ns / 1000;
}

static bool wanted(const struct adding *a, uint32_t profile)
{
    if (a->rows->no_idle && is_idle(a, profile))
        return false;
    return profile >= sp_view_n_profiles(a->v) || sp_view_has(a->v, sp_view_profile_at(a->v, profile));
}

static void weigh(void *arg, uint32_t node, uint64_t ns)
{
    ((struct adding *)arg)->self[node] += ns;
}

/* CPU of the process that no thread has, unless it is an entry of the only profile. */
static uint64_t unseen_of(const struct adding *a)
{
    return a->v->wall || sp_view_n_profiles(a->v) == 1 ? 0 : a->v->unseen_ns; /* no thread's life has it */
}

static void weigh_stacks(struct adding *a)
{
    struct sp_view *v = a->v;
    for (uint32_t i = 0; i < sp_view_n_profiles(v); i++)
        if (wanted(a, i))
            sp_view_each_entry(v, sp_view_profile_at(v, i), weigh, a);
    a->self[v->region->pseudo_node[v->unseen]] += unseen_of(a);
}

static void sum_entry(void *arg, uint32_t node, uint64_t ns)
{
    (void)node;
    *(double *)arg += (double)ns;
}

static void add_name(struct adding *a, const char *name, double ns)
{
    struct sp_report_rows *r = a->rows;
    if (a->beside) {
        struct sp_report_row *row = sp_report_row(r, sp_describe_shown(name));
        row->cpu_self += ns;
        row->cpu_total += ns;
        return;
    }
    sp_report_add_to(r, sp_describe_shown(name), ns, ns);
    r->sum += ns;
}

static void by_threads(struct adding *a)
{
    char title[SP_NAMES_PROFILE_BYTES];
    uint32_t n = sp_view_n_profiles(a->v);
    for (uint32_t i = 0; i < n; i++) {
        double sum = 0;
        if (!wanted(a, i))
            continue;
        sp_view_each_entry(a->v, sp_view_profile_at(a->v, i), sum_entry, &sum);
        title_of(a->v, i, title, sizeof title);
        add_name(a, title, sum);
        sp_report_row(a->rows, sp_describe_shown(title))->is_busy |= !is_idle(a, i);
    }
    if (n == 0) {
        add_name(a, nobody, (double)unseen_of(a));
        sp_report_row(a->rows, nobody)->is_busy = true;
    }
}

static void by_process(struct adding *a)
{
    double sum = (double)unseen_of(a);
    for (uint32_t i = 0; i < sp_view_n_profiles(a->v); i++)
        if (wanted(a, i))
            sp_view_each_entry(a->v, sp_view_profile_at(a->v, i), sum_entry, &sum);
    if (a->rows->tree) {
        size_t i = sp_processes_add(&a->rows->processes, a->v->region); /* may move them */
        a->rows->processes.of[i].ns += sum;
        a->rows->sum += sum;
        return;
    }
    char title[SP_NAMES_TITLE_BYTES];
    SP_BUF(b, title);
    sp_names_title(a->v->region, &b);
    add_name(a, title, sum);
}

/* The root of a stack, but for the process that merge put above it. */
static void by_task(struct adding *a)
{
    static const char none[] = "(no task)", prefix[] = "task ";
    struct sp_view *v = a->v;
    uint32_t *task = memset(sp_cli_alloc(NULL, v->n_nodes * sizeof *task), 0, v->n_nodes * sizeof *task);
    char text[8192];
    for (uint32_t n = 1; n < v->n_nodes; n++) {
        const struct sp_frame *f = sp_frame_at(v->region, sp_node_at(v->region, n)->frame);
        const struct sp_string *s = f->kind == SP_FRAME_TASK ? sp_string_at(v->region, f->what) : NULL;
        task[n] = task[sp_node_at(v->region, n)->parent];
        if (!task[n] && s && s->bytes >= sizeof prefix - 1 && memcmp(s->data, prefix, sizeof prefix - 1) == 0)
            task[n] = n;
        if (!a->self[n])
            continue;
        snprintf(text, sizeof text, "%s", none);
        if (task[n])
            sp_describe(SP_REPORT_FUNCTION, v, sp_report_function(v, task[n]), 0, text, sizeof text);
        add_name(a, text, (double)a->self[n]);
    }
    free(task);
}

#define SPANS_SHOWN 32

/* "checkout / render": a span's row is what it did itself, without those that were opened in it. */
static void put_spans(const struct sp_view *v, const uint32_t *span, uint32_t n, struct sp_buf *b)
{
    char name[1024];
    uint32_t way[SPANS_SHOWN], k = 0;
    for (uint32_t at = n; at && k < SPANS_SHOWN; at = span[sp_node_at(v->region, at)->parent])
        way[k++] = at;
    while (k--) {
        sp_describe_span(v, sp_report_function(v, way[k]), name, sizeof name);
        sp_buf_str(b, name);
        sp_buf_str(b, k ? " / " : "");
    }
}

static void by_span(struct adding *a)
{
    struct sp_view *v = a->v;
    uint32_t *span = memset(sp_cli_alloc(NULL, v->n_nodes * sizeof *span), 0, v->n_nodes * sizeof *span);
    char text[8192];
    for (uint32_t n = 1; n < v->n_nodes; n++) {
        const struct sp_frame *f = sp_frame_at(v->region, sp_node_at(v->region, n)->frame);
        bool is_span = f->kind == SP_FRAME_TASK && sp_describe_span(v, sp_report_function(v, n), text, sizeof text);
        span[n] = is_span ? n : span[sp_node_at(v->region, n)->parent];
        if (!a->self[n])
            continue;
        SP_BUF(b, text);
        if (span[n])
            put_spans(v, span, span[n], &b);
        else
            sp_buf_str(&b, "(no span)");
        add_name(a, text, (double)a->self[n]);
    }
    free(span);
}

static void by_functions(struct adding *a)
{
    struct sp_view *v = a->v;
    a->row_of_function = sp_cli_alloc(NULL, sizeof(int) * (v->n_functions + 1ull));
    for (uint32_t i = 0; i < v->n_functions; i++)
        a->row_of_function[i] = -1;
    for (uint32_t n = 1; n < v->n_nodes && !a->rows->tree; n++)
        if (a->self[n])
            add_stack(a, n, (double)a->self[n]);
    for (uint32_t n = 1; n < v->n_nodes && a->rows->tree; n++)
        a->rows->sum += (double)a->self[n];
    if (a->rows->tree)
        sp_tree_add(a->rows->tree, a->rows, v, a->self, row_of, a);
    free(a->row_of_function);
}

static void by_gil(struct adding *a)
{
    for (uint32_t i = 0; i < sp_view_n_profiles(a->v); i++)
        if (wanted(a, i))
            sp_view_each_gil(a->v, sp_view_profile_at(a->v, i), weigh, a);
    by_functions(a);
}

static bool add_view(struct adding *a, const struct sp_loaded *l)
{
    bool done = true;
    if (a->rows->by == SP_REPORT_THREAD) {
        by_threads(a);
    } else if (a->rows->by == SP_REPORT_PROCESS) {
        by_process(a);
    } else {
        a->self = memset(sp_cli_alloc(NULL, a->v->n_nodes * sizeof *a->self), 0, a->v->n_nodes * sizeof *a->self);
        if (a->rows->by != SP_REPORT_GIL)
            weigh_stacks(a);
        if (a->rows->by == SP_REPORT_GIL)
            by_gil(a);
        else if (a->rows->by == SP_REPORT_TASK)
            by_task(a);
        else if (a->rows->by == SP_REPORT_SPAN)
            by_span(a);
        else if (a->rows->by == SP_REPORT_LINE)
            done = sp_report_add_lines(a->rows, l, a->v, a->self);
        else
            by_functions(a);
        free(a->self);
    }
    return done;
}

static bool add_lives(struct adding *a, const struct sp_loaded *l, struct sp_view *v)
{
    struct sp_view w;
    if (!sp_view_init_wall(&w, v))
        return false;
    a->v = &w;
    a->rows->lives.all += (double)w.wall_ns;
    a->rows->lives.cpu += (double)(w.wall_ns - w.off_ns);
    a->rows->lives.waits += (double)w.wait_ns;
    a->rows->lives.threads += w.n_wall_threads;
    a->rows->lives.natives |= w.region->wall == SP_WALL_ALL;
    sp_report_add_gil(a->rows, &w);
    for (uint32_t i = 0; i < w.n_own; i++)
        if (is_idle(a, i)) {
            a->rows->lives.idle_threads++;
            a->rows->lives.idle += (double)sp_view_profile_at(&w, i)->wall_ns;
        }
    bool done = add_view(a, l);
    a->v = v;
    a->beside = true;
    return done;
}

bool sp_report_add(struct sp_report_rows *rows, const struct sp_loaded *l)
{
    struct sp_view v;
    struct adding a = {.rows = rows, .v = &v};
    if (!sp_view_init(&v, &l->profile))
        return false;
    if (!l->is_text)
        sp_symbols_of_view(&v);
    sp_describe_begin(&v);
    if (rows->wall && !add_lives(&a, l, &v))
        return false;
    return (rows->wall && (rows->tree || rows->by == SP_REPORT_GIL)) || add_view(&a, l);
}

/* ---- processes */
static uint32_t node_of_process(struct sp_report_rows *r, uint32_t *node, int i, bool by_run)
{
    char name[sizeof((struct sp_region *)0)->argv + 64];
    const struct sp_process *p = &r->processes.of[i];
    if (node[i])
        return node[i];
    uint32_t parent = p->parent >= 0 ? node_of_process(r, node, p->parent, by_run) : 0;
    if (p->parent < 0 && by_run) {
        sp_processes_run_name(p->run_ns, name, sizeof name);
        parent = sp_tree_child(r->tree, 0, (int)row_for(r, name));
    }
    sp_processes_name(&r->processes, (size_t)i, name, sizeof name);
    node[i] = sp_tree_child(r->tree, parent, (int)row_for(r, name));
    r->tree->node[node[i]].self += p->ns;
    return node[i];
}

void sp_report_plant_processes(struct sp_report_rows *r)
{
    sp_processes_link(&r->processes);
    bool by_run = r->processes.n_runs > 1;
    r->processes.n_runs = 1; /* its row tells, not each name */
    uint32_t *node = memset(sp_cli_alloc(NULL, (r->processes.n + 1) * sizeof *node), 0, (r->processes.n + 1) * sizeof *node);
    for (int i = 0; i < (int)r->processes.n; i++)
        node_of_process(r, node, i, by_run);
    free(node);
    sp_processes_free(&r->processes);
}

/* ---- the order */
static enum sp_report_sort sort_by;

static int compare(const void *a, const void *b)
{
    const struct sp_report_row *x = a, *y = b;
    if (x->is_busy != y->is_busy)
        return x->is_busy ? -1 : 1;
    if (sort_by == SP_REPORT_NAME)
        return strcmp(x->name, y->name);
    double p = sort_by == SP_REPORT_SELF ? x->self : x->total, q = sort_by == SP_REPORT_SELF ? y->self : y->total;
    if (p != q)
        return p < q ? 1 : -1;
    p = x->total, q = y->total;
    return p != q ? (p < q ? 1 : -1) : strcmp(x->name, y->name);
}

size_t sp_report_sort(struct sp_report_rows *r, enum sp_report_sort sort, long limit)
{
    sort_by = sort;
    if (r->n)
        qsort(r->row, r->n, sizeof *r->row, compare);
    return limit == 0 || (size_t)limit > r->n ? r->n : (size_t)limit;
}
