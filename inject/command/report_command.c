/* SPDX-License-Identifier: MIT
 * spprof report: the hottest functions, lines, files, threads or processes of profiles, as a table. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "inject/command/command.h"
#include "inject/command/expand.h"
#include "inject/command/filter.h"
#include "inject/command/input.h"
#include "inject/command/layout.h"
#include "inject/command/listing.h"
#include "inject/command/report.h"
#include "inject/command/report_json.h"
#include "inject/command/report_print.h"

#define ROWS 20
#define TREE_ROWS 40

struct request {
    enum sp_report_by by;
    int sort; /* enum sp_report_sort; -1: not said */
    long limit;
    bool wall, no_idle, tree, json;
    const char *callers, *lines; /* functions; NULL: not asked for */
    struct sp_filter filter;
};

static const char *take_limit(struct request *q, const char *rows)
{
    char *end;
    q->limit = strtol(rows, &end, 10);
    return *end || end == rows || q->limit < 0 ? "is no number of rows; 0 shows all" : NULL;
}

static const char *take(void *arg, const struct sp_cli_given *g)
{
    struct request *q = arg;
    const char *why;
    if (sp_filter_take(&q->filter, g, &why))
        return why;
    if (strcmp(g->name, "-n") == 0)
        return take_limit(q, g->value);
    if (strcmp(g->name, "--by") == 0)
        q->by = (enum sp_report_by)g->choice;
    else if (strcmp(g->name, "--sort") == 0)
        q->sort = g->choice;
    else if (strcmp(g->name, "--wall") == 0)
        q->wall = true;
    else if (strcmp(g->name, "--json") == 0)
        q->json = true;
    else if (strcmp(g->name, "--tree") == 0)
        q->tree = true;
    else if (strcmp(g->name, "--callers") == 0)
        q->callers = g->value;
    else if (strcmp(g->name, "--lines") == 0)
        q->lines = g->value;
    else
        q->wall = q->no_idle = true;
    return NULL;
}

/* -1: all is well, optind is at the files; else the exit status. */
static int parse(struct request *q, int argc, char **argv)
{
    int rc = sp_cli_parse(argc, argv, take, q);
    if (rc >= 0)
        return rc;
    q->wall |= q->by == SP_REPORT_GIL;
    if (q->by == SP_REPORT_LINE && q->wall)
        return sp_cli_refuse(argv[0], "--wall", NULL, "--by line tells of CPU only; leave one out");
    if (q->lines && (q->by || q->wall || q->tree || q->callers))
        return sp_cli_refuse(argv[0], "--lines", NULL,
                             "is of one function's CPU, by its lines; leave --by, --wall, --tree and --callers out");
    q->tree |= q->callers != NULL;
    if (q->tree && (q->by == SP_REPORT_LINE || q->by == SP_REPORT_THREAD || q->by == SP_REPORT_TASK ||
                    q->by == SP_REPORT_SPAN || q->by == SP_REPORT_GIL || (q->callers && q->by == SP_REPORT_PROCESS)))
        return sp_cli_refuse(argv[0], q->callers ? "--callers" : "--tree", NULL,
                             "is of functions, files, modules, packages, libraries or processes; leave --by out");
    if (q->limit < 0)
        q->limit = q->json ? 0 : q->tree ? TREE_ROWS : ROWS;
    q->sort = q->sort < 0 ? q->wall && q->by != SP_REPORT_GIL ? SP_REPORT_TOTAL : SP_REPORT_SELF : q->sort;
    return -1;
}

static const char *lacks(const struct sp_report_rows *rows, const struct sp_loaded *l)
{
    if (rows->wall && !l->region->wall)
        return "tells of CPU only; SPPROF_WALL=1 has waits recorded as well";
    if (rows->by == SP_REPORT_LINE && l->lines_lost)
        return "tells what each line cost in all, not in some stacks or threads; a spool file or a process does";
    return NULL;
}

static int add(const struct request *q, struct sp_report_rows *rows, struct sp_listing *listing, struct sp_report_head *head,
               const char *path)
{
    struct sp_loaded l;
    if (sp_report_is_skipped(path))
        return sp_report_add_skipped(&head->skipped, path);
    enum sp_filter_left left = sp_filter_load(&q->filter, &l, path);
    const char *why = left == SP_FILTER_FAILED ? NULL : lacks(rows, &l);
    int rc = left == SP_FILTER_FAILED;
    if (why)
        rc = sp_cli_fail(path, why);
    else if (left == SP_FILTER_SOME && q->lines)
        rc = sp_listing_add(listing, &l);
    if (rc == 0 && left == SP_FILTER_SOME && !(sp_report_add(rows, &l) && sp_report_add_head(head, &l)))
        rc = sp_cli_fail(path, "there is not enough memory");
    if (rc == 0 && !sp_input_is_standard(path))
        sp_report_add_skipped_beside(&head->skipped, path);
    if (rc == 0 && left == SP_FILTER_NOTHING) {
        head->n_without++;
        head->whole += (double)l.whole_ns;
    }
    sp_unload(&l);
    return rc;
}

static void print(const struct request *q, const struct sp_report_head *head, struct sp_report_rows *rows,
                  struct sp_listing *listing)
{
    int columns = sp_layout_columns();
    size_t shown = rows->tree ? 0 : sp_report_sort(rows, (enum sp_report_sort)q->sort, q->limit), left_out = 0;
    if (q->lines)
        sp_listing_finish(listing);
    if (rows->tree && rows->by == SP_REPORT_PROCESS)
        sp_report_plant_processes(rows);
    if (rows->tree)
        left_out = sp_tree_finish(rows->tree, rows, q->limit);
    if (q->json) {
        sp_report_print_json(head, rows, shown, listing);
        return;
    }
    sp_report_print_head(head, columns);
    if (rows->wall)
        sp_report_print_lives(rows, columns);
    if (rows->by == SP_REPORT_GIL)
        sp_report_print_gil(rows, sp_report_sort_gil(rows, q->limit), columns);
    if (q->lines)
        sp_listing_print(listing, columns);
    else if (rows->tree)
        sp_report_print_tree(rows, (uint32_t)left_out, columns);
    else
        sp_report_print_rows(rows, shown, columns);
}

/* With some that are called like it. */
static int refuse_function(const struct sp_report_rows *rows, const char *asked)
{
    char text[1024];
    int n = snprintf(text, sizeof text, "is no function of what was read; ");
    int found = 0;
    for (size_t i = 0; i < rows->n && found < 3 && n < (int)sizeof text; i++)
        if (strcasestr(rows->row[i].name, asked)) {
            n += snprintf(text + n, sizeof text - (size_t)n, "%s\"%.*s\"", found ? ", " : "there is ", (int)rows->row[i].place,
                          rows->row[i].name);
            found++;
        }
    if (!found)
        snprintf(text, sizeof text,
                 "is no function of what was read; its name is that of a row of the table, or the last part of it");
    return sp_cli_fail(asked, text);
}

int sp_cli_report(int argc, char **argv)
{
    struct request q = {.sort = -1, .limit = -1};
    int rc = parse(&q, argc, argv);
    if (rc >= 0)
        return rc;
    struct sp_report_tree tree = {.callers_of = q.callers};
    struct sp_report_rows rows = {.by = q.by, .wall = q.wall, .no_idle = q.no_idle, .tree = q.tree ? &tree : NULL};
    struct sp_listing listing = {.asked = q.lines};
    static struct sp_report_head head;
    memset(&head, 0, sizeof head);
    struct sp_cli_names names;
    rc = sp_cli_expand(&names, argv + optind, argc - optind);
    for (size_t i = 0; i < names.n; i++)
        rc |= add(&q, &rows, &listing, &head, names.name[i]);
    sp_cli_names_free(&names);
    if (head.n_files == 0) {
        sp_report_print_skipped(stdout, &head.skipped);
        return head.n_without ? sp_filter_refuse(&q.filter, argv[optind], head.n_without == 1) : rc;
    }
    if ((q.callers && tree.n < 2) || (q.lines && !listing.n))
        return refuse_function(&rows, q.callers ? q.callers : q.lines);
    signal(SIGPIPE, SIG_DFL); /* `| head` ends us quietly */
    head.hides_waits &= !q.wall;
    print(&q, &head, &rows, &listing);
    return rc;
}
