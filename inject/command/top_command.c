/* SPDX-License-Identifier: MIT
 * spprof top: which files and processes (top.c shows them). */
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "inject/command/command.h"
#include "inject/command/expand.h"
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
    struct sp_cli_names names;
    struct sp_process_tree below = {0};
    rc = sp_cli_expand(&names, argv + optind, argc - optind);
    for (size_t i = 0; children && i < names.n; i++) {
        long pid = strtol(names.name[i], NULL, 10);
        if (pid > 0 && pid <= INT_MAX)
            sp_process_tree_below((pid_t)pid, &below);
    }
    struct sp_top_source *sources = sp_cli_alloc(NULL, (names.n + below.n) * sizeof *sources);
    int n = 0;
    for (size_t i = 0; i < names.n; i++)
        sources[n++] = sp_top_source(names.name[i]);
    for (size_t i = 0; i < below.n; i++) {
        char number[32];
        snprintf(number, sizeof number, "%d", (int)below.pid[i]);
        if (!sp_ring_is_deaf(below.pid[i]))
            sources[n++] = sp_top_source(strcpy(sp_cli_alloc(NULL, sizeof number), number));
    }
    rc = names.n ? sp_top_run(sources, n) : rc;
    for (int i = 0; i < n; i++)
        sp_top_source_close(&sources[i]);
    for (int i = (int)names.n; i < n; i++)
        free((char *)sources[i].name);
    free(sources);
    sp_cli_names_free(&names);
    free(below.pid);
    return rc;
}
