/* SPDX-License-Identifier: MIT
 * spprof report: the hottest functions, lines, files, threads or processes of profiles, as a table. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "inject/command/command.h"
#include "inject/command/expand.h"
#include "inject/command/report.h"

struct request {
    enum sp_report_by by;
    int sort; /* enum sp_report_sort; -1: not said */
    long limit;
    bool wall, no_idle;
    regex_t thread;
    bool has_thread;
};

static const char *take_thread(struct request *q, const char *expression)
{
    if (q->has_thread)
        regfree(&q->thread);
    q->has_thread = regcomp(&q->thread, expression, REG_EXTENDED | REG_NOSUB) == 0;
    return q->has_thread ? NULL : "is no regular expression; see regex(7)";
}

static const char *take_limit(struct request *q, const char *rows)
{
    char *end;
    q->limit = strtol(rows, &end, 10);
    return *end || end == rows || q->limit < 0 ? "is no number of rows; 0 shows all" : NULL;
}

static const char *take(void *arg, const struct sp_cli_given *g)
{
    struct request *q = arg;
    if (strcmp(g->name, "--thread") == 0)
        return take_thread(q, g->value);
    if (strcmp(g->name, "-n") == 0)
        return take_limit(q, g->value);
    if (strcmp(g->name, "--by") == 0)
        q->by = (enum sp_report_by)g->choice;
    else if (strcmp(g->name, "--sort") == 0)
        q->sort = g->choice;
    else if (strcmp(g->name, "--wall") == 0)
        q->wall = true;
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
    if (q->by == SP_REPORT_LINE && (q->wall || q->has_thread))
        return sp_cli_refuse(argv[0], q->wall ? "--wall" : "--thread", NULL,
                             "--by line tells of CPU and of all threads together only; leave one out");
    q->sort = q->sort < 0 ? q->wall ? SP_REPORT_TOTAL : SP_REPORT_SELF : q->sort;
    return -1;
}

static int add(struct sp_report_rows *rows, struct sp_report_head *head, const char *path)
{
    struct sp_loaded l;
    if (sp_report_is_skipped(path))
        return sp_report_add_skipped(&head->skipped, path);
    int rc = sp_load(&l, path);
    if (rc == 0 && rows->wall && !l.region->wall)
        rc = sp_cli_fail(path, "tells of CPU only; SPPROF_WALL=1 has waits recorded as well");
    if (rc == 0 && !(sp_report_add(rows, &l) && sp_report_add_head(head, &l)))
        rc = sp_cli_fail(path, "there is not enough memory");
    if (rc == 0)
        sp_report_add_skipped_beside(&head->skipped, path);
    sp_unload(&l);
    return rc;
}

int sp_cli_report(int argc, char **argv)
{
    struct request q = {.sort = -1, .limit = 20};
    int rc = parse(&q, argc, argv);
    if (rc >= 0)
        return rc;
    struct sp_report_rows rows = {.by = q.by, .thread = q.has_thread ? &q.thread : NULL, .wall = q.wall, .no_idle = q.no_idle};
    static struct sp_report_head head;
    memset(&head, 0, sizeof head);
    struct sp_cli_names names;
    rc = sp_cli_expand(&names, argv + optind, argc - optind);
    for (size_t i = 0; i < names.n; i++)
        rc |= add(&rows, &head, names.name[i]);
    sp_cli_names_free(&names);
    if (head.n_files == 0) {
        sp_report_print_skipped(&head.skipped);
        return rc;
    }
    if (q.has_thread && rows.n == 0)
        return sp_cli_fail(argv[optind], argc - optind > 1 ? "and the others have no thread whose name matches"
                                                           : "has no thread whose name matches");
    signal(SIGPIPE, SIG_DFL); /* `| head` ends us quietly */
    head.hides_waits &= !q.wall;
    sp_report_print_head(&head);
    sp_report_print_rows(&rows, (enum sp_report_sort)q.sort, q.limit);
    if (fflush(stdout) != 0)
        return sp_cli_fail("standard output", strerror(errno));
    return rc;
}
