/* SPDX-License-Identifier: MIT
 * See report.h: what threads waited for that is the interpreter's own, and who held the GIL meanwhile. */
#include <stdlib.h>
#include <string.h>

#include "inject/command/command.h"
#include "inject/command/report.h"
#include "writers/names.h"

struct waits {
    struct sp_report_rows *rows;
    struct sp_view *v;
    double gil;   /* of one thread */
    double *self; /* by function: it held the GIL while this thread waited */
};

static void add_wait(void *arg, uint32_t node, uint64_t ns)
{
    struct waits *w = arg;
    const struct sp_region *r = w->v->region;
    const struct sp_frame *f = sp_frame_at(r, sp_node_at(r, node)->frame);
    const struct sp_string *s = f->kind == SP_FRAME_WAIT ? sp_string_at(r, f->what) : NULL;
    struct {
        const char *name;
        double *sum;
    } marks[] = {{"(waiting for the GIL)", &w->gil},
                 {"(waiting: PyMutex)", &w->rows->lives.mutex},
                 {"(waiting: the world is stopped)", &w->rows->lives.stopped},
                 {"(waiting: stopping the world)", &w->rows->lives.stopped}};
    for (size_t i = 0; s && i < SP_ARRAY_LEN(marks); i++)
        if (s->bytes == strlen(marks[i].name) && memcmp(s->data, marks[i].name, s->bytes) == 0)
            *marks[i].sum += (double)ns;
}

static void add_held(void *arg, uint32_t node, uint64_t ns)
{
    struct waits *w = arg;
    w->self[sp_report_function(w->v, node)] += (double)ns;
}

static char *copy_of(const char *s)
{
    return strcpy(sp_cli_alloc(NULL, strlen(s) + 1), s);
}

static struct sp_report_gil *new_row(struct sp_report_rows *rows, const char *name)
{
    size_t n = rows->n_gil++;
    if (!(n & (n - 1)))
        rows->gil = sp_cli_alloc(rows->gil, (n ? 2 * n : 1) * sizeof *rows->gil);
    rows->gil[n] = (struct sp_report_gil){.name = copy_of(name)};
    return &rows->gil[n];
}

static void add_thread(struct waits *w, const struct sp_view_profile *p)
{
    char text[8192];
    struct sp_buf b = {.data = text, .cap = sizeof text - 1};
    sp_names_profile(w->v, p, true, &b);
    text[b.len] = '\0';
    struct sp_report_gil *row = new_row(w->rows, sp_describe_shown(text));
    row->held = (double)p->gil_ns;
    row->waited = w->gil;
    memset(w->self, 0, w->v->n_functions * sizeof *w->self);
    sp_view_each_gil(w->v, p, add_held, w);
    for (uint32_t f = 0; f < w->v->n_functions; f++) {
        w->rows->lives.explained += w->self[f];
        if (w->self[f] <= row->most)
            continue;
        row->most = w->self[f];
        sp_describe(SP_REPORT_FUNCTION, w->v, f, 0, text, sizeof text);
        free(row->most_of);
        row->most_of = copy_of(text);
    }
}

void sp_report_add_gil(struct sp_report_rows *rows, struct sp_view *v)
{
    struct waits w = {.rows = rows, .v = v, .self = sp_cli_alloc(NULL, (v->n_functions + 1ull) * sizeof *w.self)};
    for (uint32_t i = 0; i < sp_view_n_profiles(v); i++) {
        const struct sp_view_profile *p = sp_view_profile_at(v, i);
        w.gil = 0;
        sp_view_each_entry(v, p, add_wait, &w);
        rows->lives.gil += w.gil;
        rows->lives.held += (double)p->gil_ns;
        if (rows->by == SP_REPORT_GIL && (w.gil > 0 || p->gil_ns))
            add_thread(&w, p);
    }
    free(w.self);
}

static int by_time(const void *a, const void *b)
{
    const struct sp_report_gil *x = a, *y = b;
    double p = x->held + x->waited, q = y->held + y->waited;
    return p != q ? (p < q ? 1 : -1) : strcmp(x->name, y->name);
}

size_t sp_report_sort_gil(struct sp_report_rows *rows, long limit)
{
    if (rows->n_gil)
        qsort(rows->gil, rows->n_gil, sizeof *rows->gil, by_time);
    return limit == 0 || (size_t)limit > rows->n_gil ? rows->n_gil : (size_t)limit;
}
