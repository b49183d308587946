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
#include "inject/command/source_lines.h"
#include "inject/command/symbolize.h"
#include "inject/command/unxz.h"
#include "inject/command/write_file.h"

#define LARGEST_FILE (1ll << 30)
#define MOST_LINES 16 /* about libraries */

struct request {
    const char *out; /* NULL: the profile itself */
    const char *directories[SP_SYMBOLIZE_DIRECTORIES + 1];
    int n_directories;
};

/* NULL: a line on stderr says why not. */
static char *read_whole(const char *path, size_t *n, mode_t *mode)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    char *text = NULL;
    if (fd < 0 || fstat(fd, &st) != 0) {
        sp_cli_fail(path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        sp_cli_fail(path, "is no regular file");
    } else if (st.st_size > LARGEST_FILE) {
        sp_cli_fail(path, "is larger than 1 GB; no profile of spprof is");
    } else {
        text = sp_cli_alloc(NULL, (size_t)st.st_size);
        *mode = st.st_mode & 07777;
        ssize_t r = 1;
        for (*n = 0; r > 0 && *n < (size_t)st.st_size; *n += (size_t)(r > 0 ? r : 0))
            r = read(fd, text + *n, (size_t)st.st_size - *n);
    }
    if (fd >= 0)
        close(fd);
    return text;
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

static int write_text(struct sp_out *o, void *arg)
{
    return sp_symbolize_write(arg, o);
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
        rc = sp_cli_write_file(out, q->out ? 0 : mode, write_text, &s);
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
    int rc = sp_cli_parse(argc, argv, take, &q);
    return rc >= 0 ? rc : symbolize(argv[optind], &q);
}
