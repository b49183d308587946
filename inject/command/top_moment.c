/* SPDX-License-Identifier: MIT
 * See top_moment.h. */
#include "inject/command/top_moment.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "inject/command/check.h"
#include "inject/command/command.h"
#include "writers/names.h"

static const enum sp_report_by kinds[SP_TOP_KINDS] = {SP_REPORT_FUNCTION, SP_REPORT_LINE, SP_REPORT_THREAD};

struct sp_top_source sp_top_source(const char *name)
{
    char *end;
    long pid = strtol(name, &end, 10);
    bool is_process = *name >= '1' && *name <= '9' && !*end && pid <= INT_MAX && access(name, F_OK) != 0;
    return (struct sp_top_source){.name = name, .pid = is_process ? (pid_t)pid : 0, .image.fd = -1};
}

void sp_top_source_close(struct sp_top_source *s)
{
    if (s->image.fd >= 0)
        close(s->image.fd);
    s->image.fd = -1;
}

/* ---- reading one */
/* CPU in the kernel's ticks (10 ms), plus one; 0: it is not known, or the process has ended. */
static unsigned long used_ticks(pid_t pid)
{
    char path[64], line[1024] = "", state;
    unsigned long user, system;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    const char *end = f && fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
    bool is_known = end && sscanf(end + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &state, &user, &system) == 3;
    if (f)
        fclose(f);
    return is_known && state != 'Z' && state != 'X' ? user + system + 1 : 0;
}

static int read_process(struct sp_top_source *s, struct sp_loaded *l)
{
    unsigned long used = used_ticks(s->pid);
    struct sp_source now = {.name = s->name, .fd = -1};
    if (s->image.fd >= 0 && used && used == s->used_ticks)
        return sp_load_region(l, &s->image);
    *l = (struct sp_loaded){.name = s->name};
    const char *error = sp_load_process_source(&now, s->pid);
    int rc = error ? sp_cli_fail(s->name, error) : sp_load_region(l, &now);
    if (rc == 0 && now.later) { /* it was asked */
        sp_top_source_close(s);
        s->image = now;
        s->used_ticks = used;
    } else if (now.fd >= 0) {
        close(now.fd);
    }
    return rc;
}

/* ---- what stands above the rows */
static double threads_of(pid_t pid)
{
    char path[64], text[32];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    return pid && sp_check_line_of(path, "Threads:", text, sizeof text) ? strtod(text, NULL) : 0;
}

/* By samples and waits of the threads: sampler/gil.h. */
static void add_gil(struct sp_top_moment *m, const struct sp_loaded *l)
{
    struct sp_view v, lives;
    if (strstr(l->region->build, "no-GIL"))
        return;
    m->gil.is = true;
    bool is_known = l->region->wall && sp_view_init(&v, &l->profile) && sp_view_init_wall(&lives, &v);
    *(is_known ? &m->gil.is_known : &m->gil.is_untold) = true;
    if (!is_known)
        return;
    struct sp_report_rows rows = {.by = SP_REPORT_FUNCTION};
    sp_report_add_gil(&rows, &lives);
    m->gil.held += rows.lives.held;
    m->gil.waited += rows.lives.gil;
}

static void add_facts(struct sp_top_moment *m, const struct sp_loaded *l)
{
    const struct sp_region *r = l->region;
    m->samples += (double)r->folded_samples;
    for (uint32_t i = 1; i <= r->n_threads && i <= r->max_threads; i++)
        m->samples += sp_thread_at(r, i) ? (double)sp_thread_at(r, i)->samples : 0;
    for (int i = SP_LOSS_NONE + 1; i < SP_LOSS_N; i++)
        m->losses += (double)r->loss[i];
    add_gil(m, l);
    if (*m->command)
        return;
    snprintf(m->python, sizeof m->python, "%.*s", (int)sizeof r->python, r->python);
    SP_BUF(b, m->command);
    sp_names_title(r, &b);
}

/* ---- all of it */
void sp_top_free(struct sp_top_moment *m)
{
    for (size_t k = 0; m && k < SP_TOP_KINDS; k++) {
        for (size_t i = 0; i < m->rows[k].n; i++)
            free(m->rows[k].row[i].name);
        free(m->rows[k].row);
        free(m->rows[k].slots);
    }
    free(m);
}

static bool add_source(struct sp_top_moment *m, struct sp_top_source *s)
{
    struct sp_loaded l;
    bool is_read = (s->pid ? read_process(s, &l) : sp_load(&l, s->name)) == 0;
    for (size_t k = 0; is_read && k < SP_TOP_KINDS; k++)
        is_read = sp_report_add(&m->rows[k], &l);
    if (is_read)
        add_facts(m, &l);
    sp_unload(&l);
    m->threads += is_read ? threads_of(s->pid) : 0;
    return is_read;
}

struct sp_top_moment *sp_top_read(struct sp_top_source *sources, int n)
{
    struct sp_top_moment *m = memset(sp_cli_alloc(NULL, sizeof *m), 0, sizeof *m);
    struct timespec now;
    int n_read = 0;
    clock_gettime(CLOCK_MONOTONIC, &now);
    m->at_s = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
    for (size_t k = 0; k < SP_TOP_KINDS; k++)
        m->rows[k].by = kinds[k];
    for (int i = 0; i < n; i++)
        n_read += add_source(m, &sources[i]);
    if (n_read)
        return m;
    sp_top_free(m);
    return NULL;
}
