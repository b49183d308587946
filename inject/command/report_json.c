/* SPDX-License-Identifier: MIT
 * See report_json.h. */
#include "inject/command/report_json.h"

#include <stdlib.h>
#include <string.h>

#include "compat/version.h"
#include "inject/command/command.h"

/* ---- members */
static void key(const char *name)
{
    putchar(',');
    sp_cli_print_json(stdout, name);
    putchar(':');
}

static void number(const char *name, double v)
{
    key(name);
    printf("%.0f", v);
}

static void text(const char *name, const char *v)
{
    key(name);
    sp_cli_print_json(stdout, v);
}

static void amounts(const char *name, const struct sp_report_amounts *a)
{
    key(name);
    putchar('{');
    for (int i = 0; i < a->n; i++) {
        fputs(i ? "," : "", stdout);
        sp_cli_print_json(stdout, a->key[i]);
        printf(":%.0f", a->sum[i]);
    }
    putchar('}');
}

static void commands(const struct sp_report_head *h)
{
    key("commands");
    putchar('[');
    for (int i = 0; i < h->n_commands; i++) {
        const struct sp_report_command *c = &h->command[i];
        fputs(i ? ",{\"command\":" : "{\"command\":", stdout);
        sp_cli_print_json(stdout, c->text);
        text("python", c->python);
        number("processes", c->n);
        key("pids");
        for (int k = 0; k < c->n && k < SP_REPORT_PIDS; k++)
            printf("%c%.0f", k ? ',' : '[', c->pids[k]);
        fputs("]}", stdout);
    }
    putchar(']');
}

static void head(const struct sp_report_head *h)
{
    double span = h->last_ns - h->first_ns > h->longest_ns ? h->last_ns - h->first_ns : h->longest_ns;
    printf("{\"report\":%d", SP_REPORT_JSON);
    text("version", SPPROF_VERSION);
    number("profiles", h->n_files);
    number("runs", h->n_runs);
    number("profiles_left_out", h->n_without);
    number("profiles_cut", h->n_cut);
    commands(h);
    number("cpu_ns", h->used);
    number("whole_cpu_ns", h->whole);
    number("wall_ns", h->n_files > 1 ? span : h->longest_ns);
    number("samples", h->samples);
    number("interval_ns", h->shortest_interval_ns);
    number("achieved_interval_ns", h->samples > 0 ? h->sampled_ns / h->samples : h->shortest_interval_ns);
    key("prompt");
    printf("%.3f", h->sampled_ns > 0 ? h->prompt_ns / h->sampled_ns : 1);
    text("engine", h->engine);
    amounts("elsewhere_ns", &h->elsewhere);
    amounts("losses", &h->losses);
    key("skipped");
    printf("{\"processes\":%.0f,\"cpu_ns\":%.0f}", h->skipped.n, h->skipped.ns);
}

/* ---- rows */
/* "name (file:line)" in its parts. */
static void name(const struct sp_report_row *row)
{
    const char *place = row->name[row->place] ? row->name + row->place + 2 : NULL, *colon = place ? strrchr(place, ':') : NULL;
    char part[8192];
    snprintf(part, sizeof part, "%.*s", (int)(place ? row->place : strlen(row->name)), row->name);
    fputs("\"name\":", stdout);
    sp_cli_print_json(stdout, part);
    if (!colon)
        return;
    snprintf(part, sizeof part, "%.*s", (int)(colon - place), place);
    text("file", part);
    number("line", strtod(colon + 1, NULL));
}

static void rows(const struct sp_report_rows *r, size_t shown)
{
    number("n_rows", (double)r->n);
    key("rows");
    for (size_t i = 0; i < shown; i++) {
        const struct sp_report_row *row = &r->row[i];
        fputs(i ? ",\n{" : "[\n{", stdout);
        name(row);
        number("self_ns", row->self);
        number("total_ns", row->total);
        if (r->wall && r->by != SP_REPORT_GIL) {
            number("cpu_self_ns", row->cpu_self);
            number("cpu_total_ns", row->cpu_total);
        }
        putchar('}');
    }
    fputs(shown ? "]" : "[]", stdout);
}

static void tree(const struct sp_report_rows *r)
{
    bool is_first = true;
    number("n_rows", r->tree->n ? r->tree->n - 1 : 0);
    key("tree");
    putchar('[');
    for (uint32_t i = 0; (i = sp_tree_next(r->tree, i)); is_first = false) {
        const struct sp_tree_node *n = &r->tree->node[i];
        printf(is_first ? "\n{\"depth\":%u," : ",\n{\"depth\":%u,", n->depth);
        name(&r->row[n->row]);
        number("self_ns", n->self);
        number("total_ns", n->total);
        putchar('}');
    }
    putchar(']');
}

static void gil(const struct sp_report_rows *r)
{
    key("gil");
    putchar('[');
    for (size_t i = 0; i < r->n_gil; i++) {
        const struct sp_report_gil *g = &r->gil[i];
        fputs(i ? ",\n{\"name\":" : "\n{\"name\":", stdout);
        sp_cli_print_json(stdout, g->name);
        number("held_ns", g->held);
        number("waited_ns", g->waited);
        number("most_ns", g->most);
        text("most_of", g->most_of ? g->most_of : "");
        putchar('}');
    }
    putchar(']');
}

/* ---- sources */
static void function(const struct sp_listing_function *f)
{
    static const char *const states[] = {"read", "missing", "changed"};
    fputs("\"name\":", stdout);
    sp_cli_print_json(stdout, f->name);
    text("file", f->file);
    number("line", f->first_line);
    number("self_ns", f->self);
    number("total_ns", f->total);
    text("source", states[f->state]);
    key("lines");
    for (size_t i = 0; i < f->n; i++) {
        fputs(i ? ",\n{" : "[\n{", stdout);
        printf("\"line\":%d", f->line[i].line);
        number("self_ns", f->line[i].self);
        number("total_ns", f->line[i].total);
        if (f->line[i].text)
            text("text", f->line[i].text);
        putchar('}');
    }
    fputs(f->n ? "]" : "[]", stdout);
}

static void sources(const struct sp_listing *all)
{
    key("functions");
    for (size_t i = 0; i < all->n; i++) {
        fputs(i ? ",\n{" : "[\n{", stdout);
        function(&all->of[i]);
        putchar('}');
    }
    fputs(all->n ? "]" : "[]", stdout);
}

void sp_report_print_json(const struct sp_report_head *h, const struct sp_report_rows *r, size_t shown,
                          const struct sp_listing *listing)
{
    char by[32];
    head(h);
    if (r->wall) {
        key("lives");
        printf("{\"all_ns\":%.0f,\"cpu_ns\":%.0f,\"waits_ns\":%.0f,\"gil_ns\":%.0f,\"threads\":%.0f", r->lives.all,
               r->lives.cpu, r->lives.waits, r->lives.gil, r->lives.threads);
        number("mutex_ns", r->lives.mutex);
        number("stopped_ns", r->lives.stopped);
        number("gil_held_ns", r->lives.held);
        putchar('}');
    }
    sp_cli_choice(SP_REPORT_BYS, (size_t)r->by, by, sizeof by);
    text("by", by);
    text("of", r->by == SP_REPORT_GIL ? "gil" : r->wall ? "lives" : "cpu");
    number("sum_ns", r->sum);
    if (r->by == SP_REPORT_GIL)
        gil(r);
    if (listing->asked)
        sources(listing);
    else if (r->tree)
        tree(r);
    else
        rows(r, shown);
    puts("}");
}
