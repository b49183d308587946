/* SPDX-License-Identifier: MIT
 * See processes.h. A pid may be given again: of several the last that began before its child is the parent. */
#include "inject/command/processes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "inject/command/command.h"

#define ARGV sizeof((struct sp_region *)0)->argv

static bool is_of(const struct sp_process *p, const struct sp_region *r)
{
    return p->pid == r->pid && p->run_ns == r->run_ns && p->ppid == r->ppid && strcmp(p->host, r->host) == 0 &&
           memcmp(p->argv, r->argv, ARGV) == 0;
}

size_t sp_processes_add(struct sp_processes *all, const struct sp_region *r)
{
    size_t i = 0;
    while (i < all->n && !is_of(&all->of[i], r))
        i++;
    if (i == all->n) {
        if (!(all->n & (all->n - 1)))
            all->of = sp_cli_alloc(all->of, (all->n ? 2 * all->n : 1) * sizeof *all->of);
        struct sp_process *p = &all->of[all->n++];
        *p = (struct sp_process){.run_ns = r->run_ns,
                                 .pid = r->pid,
                                 .ppid = r->ppid,
                                 .argv = memcpy(sp_cli_alloc(NULL, ARGV), r->argv, ARGV),
                                 .started_wall_ns = r->started_wall_ns,
                                 .parent = -1};
        snprintf(p->host, sizeof p->host, "%s", r->host);
    }
    if (r->started_wall_ns < all->of[i].started_wall_ns)
        all->of[i].started_wall_ns = r->started_wall_ns;
    return i;
}

/* Whether `of` stands above a process, which it then cannot be below. */
static bool is_above(const struct sp_processes *all, int of, int process)
{
    while (process >= 0 && process != of)
        process = all->of[process].parent;
    return process >= 0;
}

static int parent_of(const struct sp_processes *all, int child)
{
    const struct sp_process *c = &all->of[child];
    int found = -1;
    for (int i = 0; i < (int)all->n; i++) {
        const struct sp_process *p = &all->of[i];
        if (p->pid == c->ppid && p->run_ns == c->run_ns && strcmp(p->host, c->host) == 0 &&
            p->started_wall_ns <= c->started_wall_ns && !is_above(all, child, i) &&
            (found < 0 || p->started_wall_ns >= all->of[found].started_wall_ns))
            found = i;
    }
    return found;
}

void sp_processes_link(struct sp_processes *all)
{
    for (size_t i = 0; i < all->n; i++) {
        struct sp_process *p = &all->of[i];
        p->parent = parent_of(all, (int)i);
        p->is_child = p->parent >= 0 && memcmp(p->argv, all->of[p->parent].argv, ARGV) == 0;
        size_t k = 0;
        while (all->of[k].run_ns != p->run_ns)
            k++;
        all->n_runs += k == i;
    }
}

static void put_utc(uint64_t ns, char *out, size_t cap)
{
    time_t seconds = (time_t)(ns / 1000000000);
    struct tm tm;
    size_t n = ns && gmtime_r(&seconds, &tm) ? strftime(out, cap, "%Y-%m-%dT%H:%M:%S", &tm) : 0;
    if (n)
        snprintf(out + n, cap - n, ".%03uZ", (unsigned)(ns / 1000000 % 1000));
    else
        snprintf(out, cap, "an unknown time");
}

void sp_processes_run_name(uint64_t run_ns, char *out, size_t cap)
{
    char when[32];
    put_utc(run_ns, when, sizeof when);
    snprintf(out, cap, "run of %s", when);
}

void sp_processes_name(const struct sp_processes *all, size_t i, char *out, size_t cap)
{
    const struct sp_process *p = &all->of[i];
    const char *name = p->argv[0] ? p->argv : "python";
    char when[32] = "";
    for (size_t at = 0; at < ARGV && p->argv[at]; at += strnlen(p->argv + at, ARGV - at) + 1)
        if (p->argv[at] != '-')
            name = p->argv + at;
    const char *slash = strrchr(name, '/');
    if (all->n_runs > 1)
        put_utc(p->run_ns, when, sizeof when);
    snprintf(out, cap, "%s%s%s%s [%u]", slash && slash[1] ? slash + 1 : name, p->is_child ? " worker" : "", *when ? " " : "",
             when, p->pid);
}

void sp_processes_free(struct sp_processes *all)
{
    for (size_t i = 0; i < all->n; i++)
        free(all->of[i].argv);
    free(all->of);
    *all = (struct sp_processes){0};
}
