/* SPDX-License-Identifier: MIT
 * spprof convert, spprof merge: profiles in another format, or several as one. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inject/command/combine.h"
#include "inject/command/command.h"
#include "inject/command/expand.h"
#include "inject/command/filter.h"
#include "inject/command/write_file.h"

struct writing {
    const struct sp_profile *profile;
    const struct sp_writer_ops *format;
    const char *name;
};

static int write_all(struct sp_out *o, void *arg)
{
    const struct writing *w = arg;
    return sp_writer_write(w->format, w->name, w->profile, o);
}

static const struct sp_writer_ops *format_for(const char *name)
{
    if (sp_writer_is_unknown(name))
        sp_cli_fail(name, "has a suffix of no format; it is written as Speedscope's");
    return sp_writer_for(name);
}

/* Whether it tells what each line cost, and in what order of time things were. */
static bool tells_lines(const struct sp_writer_ops *format)
{
    return format == &sp_writer_speedscope || format == &sp_writer_html;
}

/* What is not in the new file because the source lacks it. */
static void say_what_is_lacking(const struct sp_loaded *l, const struct sp_writer_ops *format)
{
    if (l->is_text && format == &sp_writer_pprof)
        sp_cli_fail(l->name, "does not tell the lines of a stack; each function stands at its first line");
    if (l->is_text && tells_lines(format) && (l->n_lines || l->lines_lost))
        sp_cli_fail(l->name, "tells what each line cost, not in which stack; the new file does not tell it");
    if (l->is_text && (l->window_ms > 0 || l->region->time_order_until_ns) && tells_lines(format))
        sp_cli_fail(l->name, "was bounded: the order of time is that of its windows");
    if (l->lost_ns)
        sp_cli_fail(l->name, "names functions that are not there; they are shown as (overflow)");
}

struct request {
    const char *out;                    /* NULL: not given */
    const struct sp_writer_ops *format; /* NULL until it is known */
    bool sum, is_page;                  /* the latter: who asked does not know the sources */
    struct sp_filter filter;
};

static const char *take(void *arg, const struct sp_cli_given *g)
{
    struct request *q = arg;
    const char *why;
    if (sp_filter_take(&q->filter, g, &why))
        return why;
    if (strcmp(g->name, "-o") == 0)
        q->out = g->value;
    for (size_t i = 0; strcmp(g->name, "--format") == 0 && sp_writer_at(i); i++)
        if (strcmp(sp_writer_at(i)->key, g->value) == 0)
            q->format = sp_writer_at(i);
    q->sum |= strcmp(g->name, "--sum") == 0;
    return NULL;
}

/* -1: all is well; else the exit status. */
static int parse(int argc, char **argv, struct request *q)
{
    int rc = sp_cli_parse(argc, argv, take, q);
    if (rc >= 0)
        return rc;
    if (!q->out)
        return sp_cli_refuse(argv[0], "-o", NULL, "is wanted: the new profile's name, or - for standard output");
    q->format = q->format ? q->format : format_for(q->out);
    return -1;
}

static int write_out(const struct sp_loaded *l, const struct request *q)
{
    struct writing w = {&l->profile, q->format, q->out};
    return sp_cli_write_file(q->out, 0, write_all, &w);
}

static int add(struct sp_combined *c, const char *name, const struct request *q)
{
    struct sp_loaded l;
    enum sp_filter_left left = sp_filter_load(&q->filter, &l, name);
    int rc = left == SP_FILTER_FAILED;
    if (left == SP_FILTER_SOME) {
        c->all.is_text |= l.is_text;
        if (c->n == 0 && !q->is_page)
            say_what_is_lacking(&l, q->format); /* once is enough */
        rc = sp_combine_add(c, &l);
    }
    sp_unload(&l);
    return rc;
}

static int merge(const struct sp_cli_names *names, const struct request *q)
{
    struct sp_combined c;
    int rc = sp_combine_open(&c, q->sum);
    for (size_t i = 0; i < names->n && c.all.region; i++)
        rc |= add(&c, names->name[i], q);
    if (c.n > 0) {
        sp_combine_finish(&c);
        rc |= write_out(&c.all, q);
    } else if (rc == 0)
        rc = sp_filter_refuse(&q->filter, names->name[0], names->n == 1);
    sp_combine_close(&c);
    return rc;
}

static int convert(const char *name, const struct request *q)
{
    struct sp_loaded l;
    enum sp_filter_left left = sp_filter_load(&q->filter, &l, name);
    int rc = left == SP_FILTER_NOTHING ? sp_filter_refuse(&q->filter, name, true) : left == SP_FILTER_FAILED;
    if (rc == 0) {
        if (!q->is_page)
            say_what_is_lacking(&l, q->format);
        rc = write_out(&l, q);
    }
    sp_unload(&l);
    return rc;
}

/* `one` of a single profile, which convert leaves as it is. */
static int make(int argc, char **argv, int (*one)(const char *name, const struct request *q))
{
    struct request q = {0};
    struct sp_cli_names names;
    int rc = parse(argc, argv, &q);
    if (rc >= 0)
        return rc;
    rc = sp_cli_expand(&names, argv + optind, argc - optind);
    if (sp_cli_names_have(&names, q.out))
        rc = 2;
    else if (names.n)
        rc |= one && names.n == 1 ? one(names.name[0], &q) : merge(&names, &q);
    sp_cli_names_free(&names);
    return rc;
}

int sp_cli_convert(int argc, char **argv)
{
    return make(argc, argv, convert);
}

int sp_cli_merge(int argc, char **argv)
{
    return make(argc, argv, NULL);
}

int sp_cli_page(char **names, size_t n, const char *out)
{
    struct request q = {.out = out, .format = &sp_writer_html, .is_page = true};
    struct sp_cli_names all = {.name = names, .n = n};
    return sp_cli_names_have(&all, out) ? 2 : n == 1 ? convert(names[0], &q) : merge(&all, &q);
}
