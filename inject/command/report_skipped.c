/* SPDX-License-Identifier: MIT
 * See report.h: what the processes beyond SPPROF_FILES left, "pid TAB command TAB seconds" each. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "inject/command/command.h"
#include "inject/command/report.h"
#include "writers/writer.h"

#define SUFFIX ".skipped"
#define ANY_NAME "spprof" /* of patterns and default names */

bool sp_report_is_skipped(const char *path)
{
    size_t n = strlen(path), k = sizeof SUFFIX - 1;
    return n > k && strcmp(path + n - k, SUFFIX) == 0;
}

static bool is_new(struct sp_report_skipped *s, const struct stat *st)
{
    for (int i = 0; i < s->n_files; i++)
        if (s->inode[i] == st->st_ino && s->device[i] == st->st_dev)
            return false;
    if (s->n_files == SP_REPORT_SKIPPED)
        return false;
    s->inode[s->n_files] = st->st_ino;
    s->device[s->n_files++] = st->st_dev;
    return true;
}

/* A line that is none of ours counts for nothing. */
static bool parse(const char *line, double *ns)
{
    char *end;
    const char *last = strrchr(line, '\t');
    if (!last || last == strchr(line, '\t') || strtol(line, &end, 10) <= 0 || *end != '\t')
        return false;
    *ns = strtod(last + 1, &end) * 1e9;
    return end != last + 1 && *end == '\n' && *ns >= 0;
}

int sp_report_add_skipped(struct sp_report_skipped *s, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return sp_cli_fail(path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return sp_cli_fail(path, "is no file");
    if (!is_new(s, &st))
        return 0;
    FILE *f = fopen(path, "r");
    if (!f)
        return sp_cli_fail(path, strerror(errno));
    char line[1024];
    double ns;
    while (fgets(line, sizeof line, f))
        if (parse(line, &ns)) {
            s->n++;
            s->ns += ns;
        }
    fclose(f);
    return 0;
}

/* p.json.skipped is for p.json, p.4711.json, p.4711-2.json. */
static bool is_for(const char *name, const char *profile)
{
    size_t n = strlen(name) - (sizeof SUFFIX - 1);
    char plain[NAME_MAX + 1];
    snprintf(plain, sizeof plain, "%.*s", (int)n, name);
    size_t stem = n - sp_writer_suffix_bytes(plain);
    return strcmp(plain, ANY_NAME) == 0 || (strncmp(plain, profile, stem) == 0 && strchr(".-", profile[stem]));
}

void sp_report_add_skipped_beside(struct sp_report_skipped *s, const char *profile)
{
    char directory[PATH_MAX], path[2 * PATH_MAX];
    const char *slash = strrchr(profile, '/');
    snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - profile) + 1 : 2, slash ? profile : "./");
    DIR *d = opendir(directory);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (!sp_report_is_skipped(e->d_name) || !is_for(e->d_name, slash ? slash + 1 : profile))
            continue;
        snprintf(path, sizeof path, "%s%s", directory, e->d_name);
        sp_report_add_skipped(s, path);
    }
    if (d)
        closedir(d);
}

void sp_report_print_skipped(FILE *out, const struct sp_report_skipped *s)
{
    char used[32];
    sp_cli_time(s->ns, used, sizeof used);
    if (s->n > 0)
        fprintf(out, "Skipped:   %.0f profiles beyond SPPROF_FILES, of %s\n", s->n, used);
}
