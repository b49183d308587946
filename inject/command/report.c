/* SPDX-License-Identifier: MIT
 * spprof report: the hottest functions, lines, files, threads or processes of profiles, as a table. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "inject/command/command.h"
#include "inject/command/report.h"

struct request {
    enum sp_report_by by;
    const char *sort;
    long limit;
    bool wall;
    regex_t thread;
    bool has_thread;
};

static const char *const sorts[] = {"self", "total", "name", NULL};
static const char *const bys[] = {"function", "line", "file", "library", "thread", "process", NULL}; /* enum sp_report_by */

/* Its place in the list, or -1. */
static int one_of(const char *s, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (strcmp(s, words[i]) == 0)
            return i;
    return -1;
}

static int refuse(const char *value, const char *why)
{
    sp_cli_fail(value, why);
    return 2;
}

static int take_option(struct request *q, int c)
{
    char *end;
    int by;
    switch (c) {
    case 's':
        q->sort = optarg;
        return one_of(optarg, sorts) >= 0 ? 0 : refuse(optarg, "is no order for --sort; use self, total or name");
    case 'b':
        by = one_of(optarg, bys);
        q->by = by >= 0 ? (enum sp_report_by)by : q->by;
        return by >= 0 ? 0 : refuse(optarg, "is nothing for --by; use function, line, file, library, thread or process");
    case 'w': q->wall = true; return 0;
    case 't':
        if (q->has_thread)
            regfree(&q->thread);
        q->has_thread = regcomp(&q->thread, optarg, REG_EXTENDED | REG_NOSUB) == 0;
        return q->has_thread ? 0 : refuse(optarg, "is no regular expression");
    case 'n':
        q->limit = strtol(optarg, &end, 10);
        return *end || end == optarg || q->limit < 0 ? refuse(optarg, "is no number of rows for -n") : 0;
    default: return 2;
    }
}

/* -1: all is well, optind is at the files; else the exit status. */
static int parse(struct request *q, int argc, char **argv)
{
    static const struct option longs[] = {{"sort", 1, NULL, 's'}, {"by", 1, NULL, 'b'},   {"thread", 1, NULL, 't'},
                                          {"wall", 0, NULL, 'w'}, {"help", 0, NULL, 'h'}, {NULL, 0, NULL, 0}};
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, "n:h", longs, NULL)) != -1;) {
        if (c == 'h') {
            sp_cli_usage(stdout, argv[0]);
            return 0;
        }
        if (c == '?') {
            sp_cli_fail(argv[optind - 1], "is not understood");
            sp_cli_usage(stderr, argv[0]);
        }
        int rc = take_option(q, c);
        if (rc)
            return rc;
    }
    if (optind == argc) {
        sp_cli_usage(stderr, argv[0]);
        return 2;
    }
    if (q->by == SP_REPORT_LINE && q->wall)
        return refuse("--by line", "lines are told of CPU only; leave --wall out");
    if (q->by == SP_REPORT_LINE && q->has_thread)
        return refuse("--by line", "files have lines for all threads together only; leave --thread out");
    return -1;
}

/* Whether an argument names a file that one before it named. */
static bool is_repeated(char **paths, int i)
{
    struct stat a, b;
    for (int k = 0; k < i; k++)
        if (stat(paths[k], &a) == 0 && stat(paths[i], &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev)
            return true;
    return false;
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
    struct request q = {.sort = "self", .limit = 20};
    int rc = parse(&q, argc, argv);
    if (rc >= 0)
        return rc;
    struct sp_report_rows rows = {.by = q.by, .thread = q.has_thread ? &q.thread : NULL, .wall = q.wall};
    static struct sp_report_head head;
    memset(&head, 0, sizeof head);
    rc = 0;
    for (int i = optind; i < argc; i++) {
        if (is_repeated(argv + optind, i - optind))
            sp_cli_fail(argv[i], "is named twice; it counts once");
        else
            rc |= add(&rows, &head, argv[i]);
    }
    if (head.n_files == 0) {
        sp_report_print_skipped(&head.skipped);
        return rc;
    }
    if (q.has_thread && rows.n == 0)
        return sp_cli_fail(argv[optind], argc - optind > 1 ? "and the others have no thread whose name matches"
                                                           : "has no thread whose name matches");
    signal(SIGPIPE, SIG_DFL); /* `| head` ends us quietly */
    sp_report_print_head(&head);
    sp_report_print_rows(&rows, q.sort, q.limit);
    if (fflush(stdout) != 0)
        return sp_cli_fail("standard output", strerror(errno));
    return rc;
}
