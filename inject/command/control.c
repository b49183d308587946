/* SPDX-License-Identifier: MIT
 * spprof start, stop, reset: of a process that runs, and of those below it. */
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "inject/command/command.h"
#include "inject/command/process_tree.h"
#include "inject/command/ring.h"

struct order {
    enum sp_ring_wish wish;
    bool children;
};

static const char *take(void *arg, const struct sp_cli_given *g)
{
    struct order *o = arg;
    o->children |= strcmp(g->name, "--children") == 0;
    return NULL;
}

static int say(pid_t pid, const struct order *o, const struct sp_ring_answer *answer)
{
    bool lacks_file = o->wish == SP_RING_END && !*answer->path;
    fprintf(stderr, "spprof: process %d: %s", (int)pid,
            o->wish == SP_RING_BEGIN ? "recording"
            : o->wish == SP_RING_END ? "stopped"
                                     : "recording anew");
    if (*answer->path) {
        fputs("; the profile is in ", stderr);
        sp_cli_print(stderr, answer->path);
    }
    if (lacks_file)
        fputs(", but no profile was written: its standard error, or a file NAME.skipped, says why", stderr);
    if (answer->is_in_place)
        fprintf(stderr, " (%s by a thread of its own: there can be no process beside it)", *answer->path ? "written" : "done");
    fputc('\n', stderr);
    return lacks_file;
}

static int ring_one(pid_t pid, const struct order *o)
{
    char name[64];
    struct sp_ring_answer answer;
    const char *why = sp_ring(pid, o->wish, -1, &answer);
    snprintf(name, sizeof name, "process %d", (int)pid);
    if (why)
        return sp_cli_fail(name, why);
    return say(pid, o, &answer);
}

/* Those below which can be asked, parents first. */
static int ring_below(const struct sp_process_tree *below, const struct order *o)
{
    int rc = 0;
    for (size_t i = 0; i < below->n; i++)
        rc |= sp_ring_is_deaf(below->pid[i]) || sp_ring_is_helper(below->pid[i]) ? 0 : ring_one(below->pid[i], o);
    return rc;
}

static int control(int argc, char **argv, enum sp_ring_wish wish)
{
    struct order o = {.wish = wish};
    char *end;
    int rc = sp_cli_parse(argc, argv, take, &o);
    if (rc >= 0)
        return rc;
    long pid = strtol(argv[optind], &end, 10);
    if (*end || pid <= 0 || pid > INT_MAX)
        return sp_cli_refuse(argv[0], argv[optind], NULL, "is no process's number");
    struct sp_process_tree below = {0};
    if (o.children) /* before there are some for a moment that answer */
        sp_process_tree_below((pid_t)pid, &below);
    rc = ring_one((pid_t)pid, &o);
    rc |= ring_below(&below, &o);
    free(below.pid);
    return rc;
}

int sp_cli_start(int argc, char **argv)
{
    return control(argc, argv, SP_RING_BEGIN);
}

int sp_cli_stop(int argc, char **argv)
{
    return control(argc, argv, SP_RING_END);
}

int sp_cli_reset(int argc, char **argv)
{
    return control(argc, argv, SP_RING_RESET);
}
