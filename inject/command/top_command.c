/* SPDX-License-Identifier: MIT
 * spprof top: which files and processes (top.c shows them). */
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "inject/command/command.h"
#include "inject/command/input.h"
#include "inject/command/process_tree.h"
#include "inject/command/ring.h"
#include "inject/command/top.h"

static const char *take(void *arg, const struct sp_cli_given *g)
{
    bool *children = arg;
    *children |= strcmp(g->name, "--children") == 0;
    return NULL;
}

int sp_cli_top(int argc, char **argv)
{
    bool children = false;
    int rc = sp_cli_parse(argc, argv, take, &children);
    if (rc >= 0)
        return rc;
    for (int i = optind; i < argc; i++)
        if (sp_input_is_standard(argv[i]))
            return sp_cli_fail(argv[i], "can be read once, and this reads every second; give a file or a process");
    struct sp_process_tree below = {0};
    for (int i = optind; children && i < argc; i++) {
        long pid = strtol(argv[i], NULL, 10);
        if (pid > 0 && pid <= INT_MAX)
            sp_process_tree_below((pid_t)pid, &below);
    }
    struct sp_top_source *sources = sp_cli_alloc(NULL, ((size_t)(argc - optind) + below.n) * sizeof *sources);
    int n = 0;
    for (int i = optind; i < argc; i++)
        sources[n++] = sp_top_source(argv[i]);
    for (size_t i = 0; i < below.n; i++) {
        char number[32];
        snprintf(number, sizeof number, "%d", (int)below.pid[i]);
        if (!sp_ring_is_deaf(below.pid[i]))
            sources[n++] = sp_top_source(strcpy(sp_cli_alloc(NULL, sizeof number), number));
    }
    rc = sp_top_run(sources, n);
    for (int i = 0; i < n; i++)
        sp_top_source_close(&sources[i]);
    for (int i = argc - optind; i < n; i++)
        free((char *)sources[i].name);
    free(sources);
    free(below.pid);
    return rc;
}
