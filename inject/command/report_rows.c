/* SPDX-License-Identifier: MIT
 * See report.h: the table of rows, and how they are told apart. Rows of several files that are called
 * the same are one row. */
#include <stdlib.h>
#include <string.h>

#include "inject/command/command.h"
#include "inject/command/demangle.h"
#include "inject/command/report.h"
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
    r->row[r->n] = (struct sp_report_row){.name = copy};
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

/* ---- what a row is called */
static const char *shown(const char *name)
{
    return *name ? name : "(no name)";
}

static void name_of(const struct sp_view *v, uint32_t function, char *out, size_t cap)
{
    struct sp_names_function name;
    char text[8192] = "", readable[4096];
    size_t n = 0;
    sp_names_function(v, function, &name);
    for (size_t i = 0; i < SP_NAMES_PARTS && n < sizeof text; i++)
        if (name.parts[i].bytes)
            n += (size_t)snprintf(text + n, sizeof text - n, "%.*s", (int)name.parts[i].bytes, name.parts[i].text);
    snprintf(out, cap, "%s", shown(sp_cli_demangle(text, "", readable, sizeof readable)));
}

void sp_report_describe(enum sp_report_by by, const struct sp_view *v, uint32_t function, int line, char *out, size_t cap)
{
    const struct sp_function *f = &v->functions[function];
    if (by == SP_REPORT_LIBRARY) {
        sp_report_library(v, function, out, cap);
        return;
    }
    if (!f->file || by != SP_REPORT_FILE)
        name_of(v, function, out, cap);
    if (!f->file)
        return;
    const struct sp_string *s = sp_string_at(v->region, f->file);
    size_t from = f->native ? sp_view_library_path(s) : 0, n = by == SP_REPORT_FILE ? 0 : strlen(out);
    line = line ? line : f->line;
    if (by == SP_REPORT_FILE)
        snprintf(out, cap, "%.*s", (int)(s->bytes - from), s->data + from);
    else if (by == SP_REPORT_SAME_FUNCTION && !f->native)
        snprintf(out + n, cap - n, " (%.*s)", (int)(s->bytes - sp_names_short_path(s->data, s->bytes)),
                 s->data + sp_names_short_path(s->data, s->bytes));
    else if (line > 0) /* a native one's name tells its library */
        snprintf(out + n, cap - n, " (%.*s:%d)", (int)s->bytes, s->data, line);
}

static void title_of(const struct sp_view *v, uint32_t profile, char *out, size_t cap)
{
    struct sp_buf b = {.data = out, .cap = cap};
    sp_names_profile(v, sp_view_profile_at(v, profile), true, &b);
}

/* ---- one profile */
struct adding {
    struct sp_report_rows *rows;
    struct sp_view *v;
    int *row_of_function; /* -1: not looked up yet */
    uint64_t *self;       /* by node */
    bool beside;          /* CPU, beside whole lives */
};

static int row_of(struct adding *a, uint32_t function)
{
    if (a->row_of_function[function] < 0) {
        char text[8192];
        sp_report_describe(a->rows->by, a->v, function, 0, text, sizeof text);
        a->row_of_function[function] = (int)row_for(a->rows, text);
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
    char title[SP_NAMES_PROFILE_BYTES];
    if (a->rows->no_idle && is_idle(a, profile))
        return false;
    if (profile < sp_view_n_profiles(a->v) && !sp_view_has(a->v, sp_view_profile_at(a->v, profile)))
        return false;
    if (!a->rows->thread)
        return true;
    if (profile < sp_view_n_profiles(a->v))
        title_of(a->v, profile, title, sizeof title);
    return regexec(a->rows->thread, profile < sp_view_n_profiles(a->v) ? title : nobody, 0, NULL, 0) == 0;
}

static void weigh(void *arg, uint32_t node, uint64_t ns)
{
    ((struct adding *)arg)->self[node] += ns;
}

/* CPU of the process that no thread has, unless it is an entry of the only profile. */
static uint64_t unseen_of(const struct adding *a)
{
    uint32_t n = sp_view_n_profiles(a->v);
    if (a->v->wall) /* no thread's life has it */
        return 0;
    bool is_hidden = n ? a->rows->thread != NULL : !wanted(a, 0);
    return n == 1 || is_hidden ? 0 : a->v->unseen_ns;
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
        struct sp_report_row *row = sp_report_row(r, shown(name));
        row->cpu_self += ns;
        row->cpu_total += ns;
        return;
    }
    sp_report_add_to(r, shown(name), ns, ns);
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
        sp_report_row(a->rows, shown(title))->is_busy |= !is_idle(a, i);
    }
    if (n == 0 && wanted(a, 0)) {
        add_name(a, nobody, (double)unseen_of(a));
        sp_report_row(a->rows, nobody)->is_busy = true;
    }
}

static void by_process(struct adding *a)
{
    char title[SP_NAMES_TITLE_BYTES];
    SP_BUF(b, title);
    double sum = (double)unseen_of(a);
    uint32_t n_wanted = sp_view_n_profiles(a->v) == 0 && wanted(a, 0);
    for (uint32_t i = 0; i < sp_view_n_profiles(a->v); i++)
        if (wanted(a, i)) {
            sp_view_each_entry(a->v, sp_view_profile_at(a->v, i), sum_entry, &sum);
            n_wanted++;
        }
    sp_names_title(a->v->region, &b);
    if (n_wanted || !a->rows->thread)
        add_name(a, title, sum);
}

static void by_functions(struct adding *a)
{
    struct sp_view *v = a->v;
    a->row_of_function = sp_cli_alloc(NULL, sizeof(int) * (v->n_functions + 1ull));
    for (uint32_t i = 0; i < v->n_functions; i++)
        a->row_of_function[i] = -1;
    for (uint32_t n = 1; n < v->n_nodes; n++)
        if (a->self[n])
            add_stack(a, n, (double)a->self[n]);
    free(a->row_of_function);
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
        weigh_stacks(a);
        if (a->rows->by == SP_REPORT_LINE)
            done = sp_report_add_lines(a->rows, l, a->v, a->self);
        else
            by_functions(a);
        free(a->self);
    }
    return done;
}

static void add_gil(void *arg, uint32_t node, uint64_t ns)
{
    static const char name[] = "(waiting for the GIL)";
    struct adding *a = arg;
    const struct sp_region *r = a->v->region;
    const struct sp_frame *f = sp_frame_at(r, sp_node_at(r, node)->frame);
    const struct sp_string *s = f->kind == SP_FRAME_WAIT ? sp_string_at(r, f->what) : NULL;
    if (s && s->bytes == sizeof name - 1 && memcmp(s->data, name, s->bytes) == 0)
        a->rows->lives.gil += (double)ns;
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
    for (uint32_t i = 0; i < sp_view_n_profiles(&w); i++)
        sp_view_each_entry(&w, sp_view_profile_at(&w, i), add_gil, a);
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
    return (!rows->wall || add_lives(&a, l, &v)) && add_view(&a, l);
}

/* ---- printing */
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

static void print_share(double part, double whole)
{
    double percent = whole > 0 ? 100 * part / whole : 0;
    if (percent > 99.9 && part < whole)
        printf(" >99.9");
    else
        printf("%6.1f", percent);
}

static void print_lives(const struct sp_report_rows *r)
{
    char all[32], rest[32];
    double off = r->lives.all - r->lives.cpu, other = off > r->lives.waits ? off - r->lives.waits : 0;
    sp_report_time(r->lives.all, all, sizeof all);
    sp_report_time(other, rest, sizeof rest);
    double whole = r->lives.all > 0 ? r->lives.all : 1;
    printf("Lives:     %s, the sum of %.0f thread%s%s: %.1f %% on the CPU, %.1f %% in waits (%.1f %% for the GIL), the rest, "
           "%s, without "
           "a stack\n",
           all, r->lives.threads, r->lives.threads == 1 ? "" : "s", r->lives.natives ? "" : " that ran Python",
           100 * r->lives.cpu / whole, 100 * r->lives.waits / whole, 100 * r->lives.gil / whole, rest);
    sp_report_time(r->lives.idle, all, sizeof all);
    if (r->lives.idle_threads > 0)
        printf("Idle:      %s of %.0f thread%s that used a CPU for less than a thousandth of %s%s\n", all,
               r->lives.idle_threads, r->lives.idle_threads == 1 ? "" : "s",
               r->lives.idle_threads == 1 ? "its life" : "their lives", r->no_idle ? ", left out below" : "");
}

static void print_time(double ns, bool is_dash)
{
    char text[32];
    sp_report_time(ns, text, sizeof text);
    printf(" %9s", is_dash && !(ns > 0) ? "-" : text);
}

static void print_row(const struct sp_report_rows *r, const struct sp_report_row *row)
{
    print_share(row->self, r->sum);
    putchar(' ');
    print_share(row->total, r->sum);
    print_time(row->self, false);
    print_time(row->total, false);
    if (r->wall) {
        print_time(row->cpu_self, true);
        print_time(row->cpu_total, true);
    }
    fputs("  ", stdout);
    sp_cli_print(stdout, row->name);
    putchar('\n');
}

void sp_report_print_rows(struct sp_report_rows *r, enum sp_report_sort sort, long limit)
{
    static const char *const whats[] = {
        "Function (file:first line)", "Function (file:line)", "File", "Library or package", "Thread", "Process"};
    bool colours = sp_cli_colours();
    const char *bold = colours ? "\033[1m" : "", *plain = colours ? "\033[0m" : "";
    sort_by = sort;
    if (r->n)
        qsort(r->row, r->n, sizeof *r->row, compare);
    if (r->wall)
        print_lives(r);
    printf("\n%s %%Self %%Total %s  %s%s\n", bold, r->wall ? "Wall self     Total  CPU self     Total" : "     Self     Total",
           whats[r->by], plain);
    size_t shown = limit == 0 || (size_t)limit > r->n ? r->n : (size_t)limit;
    for (size_t i = 0; i < shown; i++)
        print_row(r, &r->row[i]);
    if (shown < r->n)
        printf("(%zu more rows: -n 0 shows all)\n", r->n - shown);
}
