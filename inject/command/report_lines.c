/* SPDX-License-Identifier: MIT
 * See report.h: rows that are lines. A region has them for Python's frames by instruction, a file in a table of its own; other
 * frames have what their stacks have. */
#include <stdlib.h>
#include <string.h>

#include "inject/command/command.h"
#include "inject/command/report.h"
#include "writers/lines.h"
#include "writers/symbols.h"

struct adding {
    struct sp_report_rows *rows;
    const struct sp_view *v;
    bool *has_lines; /* by function */
    double in_lines; /* CPU that lines have */
    double left;     /* ... that no row has yet */
};

static void add_line(struct adding *a, uint32_t function, int32_t line, double self, double total)
{
    char text[8192];
    size_t place = sp_describe(SP_REPORT_LINE, a->v, function, line, text, sizeof text);
    sp_report_add_to(a->rows, text, self, total);
    sp_report_row(a->rows, text)->place = place;
    a->has_lines[function] = true;
    a->in_lines += self;
}

/* The view's stacks are gone afterwards. */
static bool add_lines_of_region(struct adding *a, struct sp_view *v)
{
    struct sp_line_costs lines;
    if (!sp_lines_find(&lines, v))
        return false;
    for (uint32_t f = 0; f < v->n_functions; f++)
        for (uint32_t i = lines.head[f]; i; i = lines.all[i - 1].next)
            add_line(a, f, lines.all[i - 1].line, (double)lines.all[i - 1].self, (double)lines.all[i - 1].total);
    return true;
}

/* Line tables know nothing of frames that were folded into their callers to keep a file small, so that a caller may have
 * here what stands in a line already: never more than is left. */
static void add_stack(struct adding *a, uint32_t node, double weight)
{
    char text[8192];
    bool is_leaf = true;
    a->rows->n_stacks++;
    for (; node; node = sp_report_caller(a->v, node), is_leaf = false) {
        uint32_t function = sp_report_function(a->v, node);
        if (a->has_lines[function])
            continue;
        size_t place = sp_describe(SP_REPORT_LINE, a->v, function, 0, text, sizeof text);
        struct sp_report_row *row = sp_report_row(a->rows, text);
        row->place = place;
        if (row->seen != a->rows->n_stacks) {
            row->seen = a->rows->n_stacks;
            row->total += weight;
        }
        if (is_leaf) {
            double left = a->left < weight ? a->left : weight;
            row->self += left;
            a->left -= left;
        }
    }
}

bool sp_report_add_lines(struct sp_report_rows *rows, const struct sp_loaded *l, struct sp_view *v, const uint64_t *self)
{
    struct adding a = {.rows = rows, .v = v};
    double used = (double)v->used_ns;
    a.has_lines = memset(sp_cli_alloc(NULL, v->n_functions + 1ull), 0, v->n_functions + 1ull);
    bool done = l->is_text || (add_lines_of_region(&a, v) && sp_view_init(v, &l->profile));
    if (done && !l->is_text)
        sp_symbols_of_view(v);
    for (size_t i = 0; i < l->n_lines; i++)
        if (l->lines[i].frame)
            add_line(&a, v->function_of_frame[l->lines[i].frame], l->lines[i].line, l->lines[i].self, l->lines[i].total);
    a.left = used > a.in_lines ? used - a.in_lines : 0;
    for (uint32_t n = 1; done && n < v->n_nodes; n++)
        if (self[n])
            add_stack(&a, n, (double)self[n]);
    if (a.left > 0)
        sp_report_add_to(rows, "(folded)", a.left, a.left);
    rows->sum += used > a.in_lines ? used : a.in_lines;
    free(a.has_lines);
    return done;
}
