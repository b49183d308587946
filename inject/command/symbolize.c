/* SPDX-License-Identifier: MIT
 * spprof symbolize: names and source lines of a profile's native frames, when and where the libraries' symbols are at hand. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inject/command/command.h"
#include "inject/command/demangle.h"
#include "inject/command/gunzip.h"
#include "inject/command/input.h"
#include "inject/command/source_lines.h"
#include "inject/command/symbolize.h"
#include "inject/command/unxz.h"
#include "inject/command/write_file.h"
#include "writers/writer.h"

#define MOST_LINES 16 /* about libraries */

struct request {
    const char *out; /* NULL: the profile itself */
    const char *directories[SP_SYMBOLIZE_DIRECTORIES + 1];
    int n_directories;
};

/* NULL: a line on stderr says why not. */
static char *read_whole(const char *path, size_t *n, mode_t *mode)
{
    struct stat st = {0};
    int fd = -1;
    char *text = NULL;
    const char *error = sp_input_open(path, &fd);
    if (!error && fstat(fd, &st) != 0)
        error = strerror(errno);
    if (!error && S_ISDIR(st.st_mode))
        error = "is a directory";
    if (!error && st.st_size <= (off_t)SP_INPUT_MOST) {
        text = sp_input_text(fd, n);
        error = *n > SP_INPUT_MOST ? SP_INPUT_TOO_LARGE : sp_gunzip(&text, n);
    } else if (!error)
        error = SP_INPUT_TOO_LARGE;
    *mode = S_ISREG(st.st_mode) ? st.st_mode & 07777 : 0;
    if (fd >= 0)
        close(fd);
    if (!error)
        return text;
    sp_cli_fail(path, error);
    free(text);
    return NULL;
}

/* What the command was built without, in one line. */
static void say_absent(void)
{
    if (sp_source_lines_can && sp_unxz_can && sp_cli_demangles)
        return;
    fprintf(stderr, "spprof: built without%s%s%s\n", sp_source_lines_can ? "" : " libdw (no source lines)",
            sp_unxz_can ? "" : " liblzma (no .gnu_debugdata)", sp_cli_demangles ? "" : " libiberty (names stay mangled)");
}

static void say_missing(const struct sp_symbolize_module *m, const struct sp_symbolize_found *found)
{
    static int said;
    uint32_t missing = 0;
    for (uint32_t i = 0; i < m->n_frames; i++)
        missing += !m->frames[i].name && !m->frames[i].had_name;
    if ((!missing && !found->complaint) || ++said > MOST_LINES)
        return;
    const char *why = !m->n_build_id     ? "it has no build id, by which its file could be told"
                      : found->complaint ? found->complaint
                      : !found->files    ? "no file with its build id was found"
                      : found->files > 1 ? "its symbols do not name them"
                                         : "its own symbols do not name them, and no debug file with its build id was found";
    fprintf(stderr, "spprof: ");
    sp_cli_print(stderr, *m->path ? m->path : "(no path)");
    fprintf(stderr, "%s", m->n_build_id ? " (build id " : "");
    for (uint32_t i = 0; i < m->n_build_id; i++)
        fprintf(stderr, "%02x", m->build_id[i]);
    fprintf(stderr, "%s: %u of %u functions not found; %s\n", m->n_build_id ? ")" : "", missing, m->n_frames, why);
}

static void say_found(const struct sp_symbolize *s, const char *out)
{
    uint32_t names = 0, lines = 0;
    for (uint32_t i = 0; i < s->n_native; i++) {
        names += s->native[i].name || s->native[i].had_name;
        lines += s->native[i].file != NULL;
    }
    fprintf(stderr, "spprof: of %u native functions %u have a name, %u a source line; the profile is in ", s->n_native, names,
            lines);
    sp_cli_print(stderr, strcmp(out, "-") == 0 ? "standard output" : out);
    fputc('\n', stderr);
}

struct writing {
    const struct sp_symbolize *s;
    const char *name;
};

static const struct sp_symbolize *written;

static int write_text(const struct sp_profile *p, struct sp_out *o)
{
    (void)p;
    return sp_symbolize_write(written, o);
}

/* In a gzip frame if its name says so. */
static int write_all(struct sp_out *o, void *arg)
{
    static const struct sp_writer_ops as_it_is = {.write = write_text};
    const struct writing *w = arg;
    struct sp_profile nothing = {.most_bytes = UINT64_MAX};
    written = w->s;
    return sp_writer_write(&as_it_is, w->name, &nothing, o);
}

static int symbolize(const char *path, const struct request *q)
{
    size_t n = 0;
    mode_t mode = 0;
    char real[PATH_MAX]; /* a link stays one */
    char *text = read_whole(path, &n, &mode);
    struct sp_symbolize s;
    if (!text)
        return 1;
    const char *error = sp_symbolize_read(&s, text, n);
    int rc = error ? sp_cli_fail(path, error) : 0;
    if (!error && !s.n_native)
        sp_cli_fail(path, "names no libraries: it has no native frames (SPPROF_NATIVE), or an older spprof wrote it");
    else if (!error)
        say_absent();
    for (uint32_t i = 0; !error && i < s.n_modules; i++) {
        struct sp_symbolize_found found = sp_symbolize_module(&s.modules[i], q->directories);
        say_missing(&s.modules[i], &found);
    }
    if (!error && (q->out || s.n_native)) {
        const char *out = q->out ? q->out : realpath(path, real) ? real : path;
        struct writing w = {&s, out};
        rc = sp_cli_write_file(out, q->out ? 0 : mode, write_all, &w);
        if (rc == 0)
            say_found(&s, out);
    }
    sp_symbolize_close(&s);
    free(text);
    return rc;
}

static const char *take(void *arg, const struct sp_cli_given *g)
{
    struct request *q = arg;
    if (strcmp(g->name, "-o") == 0)
        q->out = g->value;
    else if (q->n_directories < SP_SYMBOLIZE_DIRECTORIES)
        q->directories[q->n_directories++] = g->value;
    else
        return "is a directory too many; give eight at most, or one above them";
    return NULL;
}

int sp_cli_symbolize(int argc, char **argv)
{
    struct request q = {0};
    struct stat st;
    int rc = sp_cli_parse(argc, argv, take, &q);
    if (rc >= 0)
        return rc;
    if (!q.out && sp_input_stat(argv[optind], &st) && !S_ISDIR(st.st_mode) &&
        (sp_input_is_standard(argv[optind]) || !S_ISREG(st.st_mode)))
        return sp_cli_fail(argv[optind], "comes from no file: give the new profile's name with -o");
    return symbolize(argv[optind], &q);
}
