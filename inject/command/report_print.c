/* SPDX-License-Identifier: MIT
 * See report_print.h. */
#include "inject/command/report_print.h"

#include <stdlib.h>

#include "inject/command/command.h"
#include "inject/command/layout.h"

#define SHARES 35  /* columns in front of a name */
#define LIVES 20   /* more of them with --wall */
#define THREADS 22 /* in front of a thread's name */
#define DEEPEST 40 /* by which a tree is indented where lines have any length */

static void print_share(double part, double whole)
{
    double percent = whole > 0 ? 100 * part / whole : 0;
    if (percent > 99.9 && part < whole)
        printf(" >99.9");
    else
        printf("%6.1f", percent);
}

static void print_gil(FILE *to, const struct sp_report_rows *r)
{
    char held[32], waited[32], explained[32];
    if (!(r->lives.gil > 0))
        return;
    sp_cli_time(r->lives.held, held, sizeof held);
    sp_cli_time(r->lives.gil, waited, sizeof waited);
    sp_cli_time(r->lives.explained, explained, sizeof explained);
    fprintf(to, "GIL:       held for %s, waited for %s", held, waited);
    if (r->by == SP_REPORT_GIL && r->lives.explained < r->lives.gil)
        fprintf(to, "; %s of that while a function below held it, the rest while its holder had no CPU or no sample",
                explained);
    else if (r->by == SP_REPORT_GIL) /* samples stand for a little more or less */
        fprintf(to, "; a function below held it meanwhile");
    fprintf(to, "\n");
}

static void print_lives(FILE *to, const struct sp_report_rows *r)
{
    char all[32], rest[32];
    double off = r->lives.all - r->lives.cpu, other = off > r->lives.waits ? off - r->lives.waits : 0;
    sp_cli_time(r->lives.all, all, sizeof all);
    sp_cli_time(other, rest, sizeof rest);
    double whole = r->lives.all > 0 ? r->lives.all : 1;
    fprintf(to, "Lives:     %s, the sum of %.0f thread%s%s: %.1f %% on the CPU, %.1f %% in waits (%.1f %% for the GIL", all,
            r->lives.threads, r->lives.threads == 1 ? "" : "s", r->lives.natives ? "" : " that ran Python",
            100 * r->lives.cpu / whole, 100 * r->lives.waits / whole, 100 * r->lives.gil / whole);
    if (r->lives.mutex > 0)
        fprintf(to, ", %.1f %% for a PyMutex", 100 * r->lives.mutex / whole);
    if (r->lives.stopped > 0)
        fprintf(to, ", %.1f %% while the world stops", 100 * r->lives.stopped / whole);
    fprintf(to, "), the rest, %s, without a stack\n", rest);
    print_gil(to, r);
    sp_cli_time(r->lives.idle, all, sizeof all);
    if (r->lives.idle_threads > 0)
        fprintf(to, "Idle:      %s of %.0f thread%s that used a CPU for less than a thousandth of %s%s\n", all,
                r->lives.idle_threads, r->lives.idle_threads == 1 ? "" : "s",
                r->lives.idle_threads == 1 ? "its life" : "their lives", r->no_idle ? ", left out below" : "");
}

static void print_time(double ns, bool is_dash)
{
    char text[32];
    sp_cli_time(ns, text, sizeof text);
    printf(" %9s", is_dash && !(ns > 0) ? "-" : text);
}

/* CPU stands beside lives. */
static bool has_cpu(const struct sp_report_rows *r)
{
    return r->wall && !r->tree && r->by != SP_REPORT_GIL;
}

static void print_row(const struct sp_report_rows *r, const struct sp_report_row *row, int columns)
{
    print_share(row->self, r->sum);
    putchar(' ');
    print_share(row->total, r->sum);
    print_time(row->self, false);
    print_time(row->total, false);
    if (has_cpu(r)) {
        print_time(row->cpu_self, true);
        print_time(row->cpu_total, true);
    }
    fputs("  ", stdout);
    sp_layout_print(stdout, row->name, columns ? columns - SHARES - (has_cpu(r) ? LIVES : 0) : 0);
    putchar('\n');
}

static void print_titles(const struct sp_report_rows *r, int columns)
{
    static const char *const whats[] = {"Function (file:first line)",
                                        "Function (file:line)",
                                        "File",
                                        "Module",
                                        "Package",
                                        "Library or package",
                                        "Thread",
                                        "Task",
                                        "Span, in what it was opened in first",
                                        "Process",
                                        "Function that held the GIL while others waited (file:first line)"};
    bool colours = sp_cli_colours();
    printf("\n%s %%Self %%Total %s  ", colours ? "\033[1m" : "",
           has_cpu(r) ? "Wall self     Total  CPU self     Total" : "     Self     Total");
    sp_layout_print(stdout, whats[r->by], columns ? columns - SHARES - (has_cpu(r) ? LIVES : 0) : 0);
    puts(colours ? "\033[0m" : "");
}

void sp_report_print_lives(const struct sp_report_rows *r, int columns)
{
    char *text = NULL;
    size_t n;
    FILE *to = open_memstream(&text, &n);
    if (!to)
        return;
    print_lives(to, r);
    fclose(to);
    sp_layout_print_lines(stdout, text, columns);
    free(text);
}

void sp_report_print_gil(const struct sp_report_rows *r, size_t shown, int columns)
{
    bool colours = sp_cli_colours();
    if (!shown)
        return;
    printf("\n%s      Held    Waited  Thread, and what held it most while it waited%s\n", colours ? "\033[1m" : "",
           colours ? "\033[0m" : "");
    for (size_t i = 0; i < shown; i++) {
        char most[32], text[16384];
        const struct sp_report_gil *g = &r->gil[i];
        print_time(g->held, true);
        print_time(g->waited, true);
        fputs("  ", stdout);
        sp_cli_time(g->most, most, sizeof most);
        snprintf(text, sizeof text, g->most_of ? "%s: %s %s" : "%s", g->name, g->most_of, most);
        sp_layout_print(stdout, text, columns ? columns - THREADS : 0);
        putchar('\n');
    }
    if (shown < r->n_gil)
        printf("(%zu more threads: -n 0 shows all)\n", r->n_gil - shown);
}

void sp_report_print_rows(const struct sp_report_rows *r, size_t shown, int columns)
{
    print_titles(r, columns);
    for (size_t i = 0; i < shown; i++)
        print_row(r, &r->row[i], columns);
    if (shown < r->n)
        printf("(%zu more rows: -n 0 shows all)\n", r->n - shown);
}

/* ---- trees */
/* Under its caller, and farther to the right where that has called others too. */
static uint32_t step_of(const struct sp_report_tree *t, uint32_t node)
{
    uint32_t parent = t->node[node].parent;
    return parent && t->node[parent].first == node && !t->node[node].next ? 0 : 1;
}

void sp_report_print_tree(const struct sp_report_rows *r, uint32_t left_out, int columns)
{
    const struct sp_report_tree *t = r->tree;
    uint32_t *step = sp_cli_alloc(NULL, (t->n + 1ull) * sizeof *step);
    int most = columns ? (columns - SHARES) / 2 : 2 * DEEPEST;
    step[0] = 0;
    print_titles(r, columns);
    for (uint32_t i = 0; (i = sp_tree_next(t, i));) {
        const struct sp_tree_node *n = &t->node[i];
        bool is_chain = n->parent && !step_of(t, i);
        step[i] = n->parent ? step[n->parent] + !is_chain : 0;
        int indent = 2 * (int)step[i] < most ? 2 * (int)step[i] : most;
        print_share(n->self, r->sum);
        putchar(' ');
        print_share(n->total, r->sum);
        print_time(n->self, false);
        print_time(n->total, false);
        printf("  %*s", indent, "");
        int used = 2 * (int)step[i] > most ? printf("[%u] ", n->depth) : 0;
        used += is_chain ? printf("> ") : 0;
        sp_layout_print(stdout, r->row[n->row].name, columns ? columns - SHARES - indent - used : 0);
        putchar('\n');
    }
    if (left_out)
        printf("(%u more rows: -n 0 shows all)\n", left_out);
    free(step);
}
