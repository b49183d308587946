/* SPDX-License-Identifier: MIT
 * See process_tree.h. */
#include "inject/command/process_tree.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inject/command/command.h"

struct pair {
    pid_t pid, parent;
};

static int parent_of(const char *pid)
{
    char path[300], line[512];
    int parent = -1;
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    FILE *f = *pid >= '1' && *pid <= '9' ? fopen(path, "r") : NULL;
    const char *end = f && fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
    if (end && sscanf(end + 1, " %*c %d", &parent) != 1)
        parent = -1;
    if (f)
        fclose(f);
    return parent;
}

static struct pair *list_processes(size_t *n)
{
    struct pair *all = NULL;
    size_t cap = 0;
    DIR *d = opendir("/proc");
    *n = 0;
    for (const struct dirent *e; d && (e = readdir(d));) {
        int parent = parent_of(e->d_name);
        if (*n == cap)
            all = sp_cli_alloc(all, (cap = cap ? 2 * cap : 256) * sizeof *all);
        if (parent >= 0)
            all[(*n)++] = (struct pair){(pid_t)atoi(e->d_name), parent};
    }
    if (d)
        closedir(d);
    return all;
}

static void add_below(pid_t pid, const struct pair *all, size_t n, struct sp_process_tree *t)
{
    for (size_t i = 0; i < n; i++) {
        if (all[i].parent != pid || all[i].pid == pid)
            continue;
        t->pid = sp_cli_alloc(t->pid, (t->n + 1) * sizeof *t->pid);
        t->pid[t->n++] = all[i].pid;
        add_below(all[i].pid, all, n, t);
    }
}

void sp_process_tree_below(pid_t pid, struct sp_process_tree *t)
{
    size_t n;
    struct pair *all = list_processes(&n);
    add_below(pid, all, n, t);
    free(all);
}
