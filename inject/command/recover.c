/* SPDX-License-Identifier: MIT
 * spprof recover, spprof snapshot: a profile from a spool file or from a running process. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inject/command/command.h"
#include "inject/command/input.h"
#include "inject/command/load.h"
#include "inject/command/write_file.h"

struct request {
    const char *out; /* NULL: a name made from the source's */
    bool remove;     /* spool files that were written out */
    bool force;      /* ... also where nothing tells whether a process has them */
};

/* ---- writing */
struct writing {
    const char *name;
    struct sp_region *region;
};

static int write_region(struct sp_out *o, void *arg)
{
    const struct writing *w = arg;
    struct sp_profile p = sp_writer_profile(w->region);
    return sp_writer_write(sp_writer_for(w->name), w->name, &p, o);
}

static int write_out(struct sp_region *r, const char *name)
{
    struct writing w = {name, r};
    return sp_cli_write_file(name, 0, write_region, &w);
}

static void say_what(const struct sp_region *r, const char *out, uint64_t lost_ns)
{
    uint64_t samples = r->folded_samples, threads = r->n_folded;
    for (uint32_t i = 1; i <= r->n_threads && i <= r->max_threads; i++) {
        const struct sp_thread *t = sp_thread_at(r, i);
        samples += t && t->state == SP_THREAD_ENDED ? t->samples : 0;
        threads += t && t->state == SP_THREAD_ENDED;
    }
    fprintf(stderr, "spprof: process %u, %llu sample%s of %llu thread%s; the profile is in ", r->pid,
            (unsigned long long)samples, samples == 1 ? "" : "s", (unsigned long long)threads, threads == 1 ? "" : "s");
    sp_cli_print(stderr, strcmp(out, "-") == 0 ? "standard output" : out);
    fputc('\n', stderr);
    if (lost_ns)
        fprintf(
            stderr,
            "spprof: %.3f s of it name functions that are not there; the source was damaged; they are shown as (overflow)\n",
            (double)lost_ns / 1e9);
}

/* The region of `s` as a profile in `out`. */
static int write_profile(const struct sp_source *s, const char *out)
{
    struct sp_loaded l;
    int rc = sp_load_region(&l, s);
    if (rc == 0)
        rc = write_out(l.region, out);
    if (rc == 0)
        say_what(l.region, out, l.lost_ns);
    sp_unload(&l);
    return rc;
}

/* ---- sources */
static void name_for(char out[PATH_MAX], const char *spool)
{
    size_t n = strlen(spool);
    if (n > 6 && strcmp(spool + n - 6, ".spool") == 0)
        n -= 6;
    snprintf(out, PATH_MAX, "%.*s%s", (int)(n < PATH_MAX - 32 ? n : PATH_MAX - 32), spool, sp_writer_default()->suffixes[0]);
}

/* What became of the process: a file that it may still have stays. */
static int remove_spool(const struct sp_source *s, bool force)
{
    struct sp_region head;
    if (sp_source_read(s, &head, sizeof head, 0) != sizeof head)
        return sp_cli_fail(s->name, "it changed while it was read; it stays");
    enum sp_source_owner owner = sp_source_owner(s->fd, &head);
    if (owner == SP_OWNER_LIVES)
        return -1;
    if (owner == SP_OWNER_UNKNOWN && !force)
        return sp_cli_fail(
            s->name,
            "its file system does not tell whether a process still has it, nor does its process's number here; it stays; "
            "--force removes it");
    return unlink(s->name) == 0 ? 0 : sp_cli_fail(s->name, strerror(errno));
}

static int from_pipe(struct sp_source *s, const struct request *q)
{
    int pipe = s->fd;
    if (!q->out || q->remove)
        return sp_cli_fail(s->name, q->remove ? "comes through a pipe: there is nothing to remove"
                                              : "comes through a pipe: give the profile's name with -o");
    const char *error = sp_input_copy_region(pipe, "", 0, &s->fd);
    close(pipe);
    if (error)
        return sp_cli_fail(s->name, error);
    int rc = write_profile(s, q->out);
    close(s->fd);
    return rc;
}

static int from_file(const char *path, const struct request *q)
{
    struct sp_source s = {.name = path};
    struct stat st;
    const char *error = sp_input_open(path, &s.fd);
    if (!error && fstat(s.fd, &st) != 0)
        error = strerror(errno);
    if (!error && S_ISDIR(st.st_mode))
        error = "it is no file";
    if (error)
        return sp_cli_fail(path, error);
    if (!S_ISREG(st.st_mode) || sp_input_is_standard(path))
        return from_pipe(&s, q);
    char name[PATH_MAX];
    name_for(name, path);
    int rc = write_profile(&s, q->out ? q->out : name);
    struct sp_region head;
    if (rc == 0 && q->remove)
        rc = remove_spool(&s, q->force);
    else if (rc == 0 && sp_source_read(&s, &head, sizeof head, 0) == sizeof head &&
             sp_source_owner(s.fd, &head) == SP_OWNER_LIVES)
        rc = -1;
    if (rc < 0) {
        fprintf(stderr, "spprof: ");
        sp_cli_print(stderr, path);
        fprintf(stderr, ": its process is still running; the profile is that of this moment, the spool file stays\n");
    }
    close(s.fd);
    return rc > 0;
}

static int from_process(pid_t pid, const char *out)
{
    char name[64], made[PATH_MAX];
    snprintf(name, sizeof name, "process %d", (int)pid);
    snprintf(made, sizeof made, "spprof-%d%s", (int)pid, sp_writer_default()->suffixes[0]);
    struct sp_source s = {.name = name, .fd = -1};
    const char *error = sp_load_process_source(&s, pid);
    if (error)
        return sp_cli_fail(name, error);
    int rc = write_profile(&s, out ? out : made);
    if (s.fd >= 0)
        close(s.fd);
    return rc;
}

/* ---- commands */
static const char *take(void *arg, const struct sp_cli_given *g)
{
    struct request *q = arg;
    if (strcmp(g->name, "-o") == 0)
        q->out = g->value;
    q->remove |= strcmp(g->name, "--remove") == 0;
    q->force |= strcmp(g->name, "--force") == 0;
    return NULL;
}

int sp_cli_recover(int argc, char **argv)
{
    struct request q = {0};
    int rc = sp_cli_parse(argc, argv, take, &q);
    if (rc >= 0)
        return rc;
    if (q.out && argc - optind > 1)
        return sp_cli_refuse(argv[0], "-o", q.out, "names one profile, and there are several FILEs; recover them one by one");
    rc = 0;
    for (int i = optind; i < argc; i++)
        rc |= from_file(argv[i], &q);
    return rc;
}

int sp_cli_snapshot(int argc, char **argv)
{
    struct request q = {0};
    int rc = sp_cli_parse(argc, argv, take, &q);
    if (rc >= 0)
        return rc;
    char *end;
    long pid = strtol(argv[optind], &end, 10);
    if (*end == '\0' && pid > 0 && pid <= INT_MAX)
        return from_process((pid_t)pid, q.out);
    return from_file(argv[optind], &q);
}
