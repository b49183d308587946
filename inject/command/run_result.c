/* SPDX-License-Identifier: MIT
 * What the processes of a run left behind: found by name and time, reported, and removed if nobody asked to keep it. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inject/command/command.h"
#include "inject/command/run.h"
#include "writers/writer.h"

static char name_of_report[] = "report", option_of_waits[] = "--wall";

static bool refuse(const char *name, const char *why)
{
    sp_cli_fail(name, why);
    return false;
}

static bool refuse_for(const char *name, const char *option, const char *why)
{
    char text[160];
    snprintf(text, sizeof text, why, option);
    return refuse(name, text);
}

/* Whether SPPROF_FORMAT forces a format that cannot be read. */
static bool is_forced_otherwise(void)
{
    const char *forced = getenv("SPPROF_FORMAT");
    return forced && *forced && strcasecmp(forced, "auto") != 0 && strcasecmp(forced, sp_writer_default()->key) != 0;
}

static bool make_temporary(struct sp_run_place *p)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(p->directory, sizeof p->directory, "%s/spprof-run-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(p->directory))
        return refuse(p->directory, strerror(errno));
    p->is_temporary = true;
    p->prefix = "";
    p->suffix = sp_writer_default()->suffixes[0];
    bool done = setenv("SPPROF_OUT", p->directory, 1) == 0 && setenv("SPPROF_FORMAT", sp_writer_default()->key, 1) == 0;
    return done || refuse(p->directory, strerror(errno));
}

bool sp_run_place(struct sp_run_place *p, const char *out, const char *option)
{
    struct stat st;
    *p = (struct sp_run_place){0};
    clock_gettime(CLOCK_REALTIME_COARSE, &p->since); /* as the times of files */
    if (!out || !*out)
        return make_temporary(p);
    if (is_forced_otherwise())
        return refuse_for("--format", option, "%s reads Speedscope's alone; leave it out, or SPPROF_FORMAT");
    if (strchr(out, '%'))
        return refuse_for(out, option, "%s finds no files whose names are a pattern; give a name without %%, or none");
    if (stat(out, &st) == 0 && S_ISDIR(st.st_mode)) {
        snprintf(p->directory, sizeof p->directory, "%s", out);
        p->prefix = "spprof-";
        p->suffix = sp_writer_default()->suffixes[0];
        return true;
    }
    if (sp_writer_for(out) != sp_writer_default())
        return refuse_for(out, option, "is the name of a format that %s does not read; give another, or none");
    const char *base = strrchr(out, '/');
    base = base ? base + 1 : out;
    size_t stem = strlen(base) - sp_writer_suffix_bytes(base); /* others of the run have their pid behind it */
    snprintf(p->directory, sizeof p->directory, "%.*s", (int)(base - out), out);
    snprintf(p->name, sizeof p->name, "%.*s", (int)stem, base);
    p->prefix = p->name;
    p->suffix = base + stem;
    return true;
}

static bool is_ours(const struct sp_run_place *p, const char *name, const char *path)
{
    struct stat st;
    size_t length = strlen(name), n = strlen(p->suffix), m = strlen(p->prefix);
    return length >= n + m && strncmp(name, p->prefix, m) == 0 && strcmp(name + length - n, p->suffix) == 0 &&
           stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
           (st.st_mtim.tv_sec > p->since.tv_sec ||
            (st.st_mtim.tv_sec == p->since.tv_sec && st.st_mtim.tv_nsec >= p->since.tv_nsec));
}

#define OPTIONS 2 /* room for them, before the paths */

/* The paths, behind that; *n of both. */
static char **found(const struct sp_run_place *p, int *n)
{
    char **files = calloc(OPTIONS + 1, sizeof *files);
    DIR *d = opendir(*p->directory ? p->directory : ".");
    *n = OPTIONS;
    for (struct dirent *e; d && files && (e = readdir(d));) {
        char *path = NULL;
        bool slash = *p->directory && p->directory[strlen(p->directory) - 1] != '/';
        if (asprintf(&path, "%s%s%s", p->directory, slash ? "/" : "", e->d_name) < 0)
            break;
        char **more = is_ours(p, e->d_name, path) ? realloc(files, (size_t)(*n + 2) * sizeof *files) : NULL;
        if (!more) {
            free(path);
            continue;
        }
        files = more;
        files[(*n)++] = path;
    }
    if (d)
        closedir(d);
    if (files)
        files[*n] = NULL;
    return files;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Whether the program had its waits recorded: then the report is of whole lives. */
static bool has_waits(void)
{
    const char *wall = getenv("SPPROF_WALL");
    return wall && (strcmp(wall, "1") == 0 || strcmp(wall, "on") == 0);
}

static void print_report(char **files, int n)
{
    int from = has_waits() ? OPTIONS - 2 : OPTIONS - 1;
    files[OPTIONS - 1] = option_of_waits;
    files[from] = name_of_report;
    fflush(stdout);
    if (dup2(STDERR_FILENO, STDOUT_FILENO) >= 0)
        sp_cli_report(n - from, files + from);
    if (fflush(stdout) != 0)
        __fpurge(stdout); /* the status is the program's */
    clearerr(stdout);
}

void sp_run_show(struct sp_run_place *p, const char *html, bool report, bool is_said)
{
    int n;
    char **files = found(p, &n);
    if (!files)
        return;
    if (n > OPTIONS) {
        qsort(files + OPTIONS, (size_t)(n - OPTIONS), sizeof *files, by_name);
        if (html)
            sp_cli_page(files + OPTIONS, (size_t)(n - OPTIONS), html);
        if (report)
            print_report(files, n);
    } else if (!is_said)
        fprintf(stderr, "spprof: there is no profile: no Python ran, or not for long enough, or a line above says why\n");
    for (int i = OPTIONS; i < n; i++) {
        if (p->is_temporary)
            unlink(files[i]);
        free(files[i]);
    }
    free(files);
    if (p->is_temporary && rmdir(p->directory) != 0)
        refuse(p->directory, "is left behind: other files are in it");
}
