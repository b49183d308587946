/* SPDX-License-Identifier: MIT
 * Options of subcommands, from the rows of the table: which there are, reading them, and what is said of those that are wrong:
 *
 *     spprof: SUBCOMMAND OPTION [VALUE]: what is wrong; what to do */
#include <ctype.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "compat/base.h"
#include "inject/command/command.h"
#include "inject/command/ring.h"

#define MOST 40
#define LONG 256 /* getopt's value of the first option */
#define PREFIX "SPPROF_"

/* ---- which there are */
static bool is_settable(const struct sp_cli_option *row)
{
    return strncmp(row->name, PREFIX, sizeof PREFIX - 1) == 0 && strcmp(row->name, "SPPROF_RUN") != 0;
}

/* SPPROF_INTERVAL as --interval. */
static void of_library(const struct sp_cli_option *row, struct sp_cli_typed *o)
{
    *o = (struct sp_cli_typed){.name = "--", .takes = "VALUE", .row = row, .is_library = true};
    for (size_t i = sizeof PREFIX - 1, n = 2; row->name[i] && n + 1 < sizeof o->name; i++, n++)
        o->name[n] = (char)tolower((unsigned char)row->name[i]);
}

static void of_row(const struct sp_cli_option *row, struct sp_cli_typed *o)
{
    size_t n = strcspn(row->name, " ");
    *o = (struct sp_cli_typed){.takes = row->name[n] ? row->name + n + 1 : NULL, .row = row};
    snprintf(o->name, sizeof o->name, "%.*s", (int)n, row->name);
}

bool sp_cli_option_at(const struct sp_cli_subcommand *c, size_t i, struct sp_cli_typed *o)
{
    for (const struct sp_cli_option *row = c->options; row->name; row++) {
        if (strcmp(row->name, SP_CLI_LIBRARY_OPTIONS) != 0) {
            if (i-- == 0)
                return of_row(row, o), true;
            continue;
        }
        for (const struct sp_cli_option *l = sp_cli_library_options; l->name; l++)
            if (is_settable(l) && i-- == 0)
                return of_library(l, o), true;
    }
    return false;
}

bool sp_cli_choice(const char *values, size_t i, char *out, size_t cap)
{
    for (const char *s = values && strstr(values, ", ") ? values : ""; *s;) {
        const char *comma = strstr(s, ", ");
        size_t n = comma ? (size_t)(comma - s) : strlen(s);
        if (!memchr(s, ' ', n) && i-- == 0) {
            snprintf(out, cap, "%.*s", (int)n, s);
            return true;
        }
        s += n + (comma ? 2 : 0);
    }
    return false;
}

/* Its place among the words; -1: it is none of them. */
static int choice_of(const char *values, const char *value)
{
    char word[32];
    for (int i = 0; sp_cli_choice(values, (size_t)i, word, sizeof word); i++)
        if (strcmp(word, value) == 0)
            return i;
    return -1;
}

/* ---- what is wrong */
int sp_cli_refuse(const char *subcommand, const char *option, const char *value, const char *why)
{
    fprintf(stderr, "spprof: %s%s", subcommand, *option ? " " : "");
    sp_cli_print(stderr, option);
    fprintf(stderr, "%s", value ? " " : "");
    sp_cli_print(stderr, value ? value : "");
    fprintf(stderr, ": %s\n", why);
    return 2;
}

/* With what to do: `what` and its end. */
static int refuse(const struct sp_cli_subcommand *c, const char *option, const char *value, const char *what, const char *end)
{
    char why[512];
    snprintf(why, sizeof why, "%s%s", what, end);
    return sp_cli_refuse(c->name, option, value, why);
}

static int refuse_use(const struct sp_cli_subcommand *c, const char *argument, const char *what)
{
    char end[256];
    snprintf(end, sizeof end, "; usage: spprof %s%s%s", c->name, *c->arguments ? " " : "", c->arguments);
    return refuse(c, argument, NULL, what, end);
}

/* value NULL: none was given */
static int refuse_value(const struct sp_cli_subcommand *c, const struct sp_cli_typed *o, const char *value)
{
    char end[256];
    if (o->row->values)
        snprintf(end, sizeof end, "; accepted: %s", o->row->values);
    else
        snprintf(end, sizeof end, "; see spprof help %s", c->name);
    return refuse(c, o->name, value, value ? "cannot be used" : "wants a value", end);
}

/* getopt() did not take argv[optind - 1], or a letter in it. */
static int refuse_option(const struct sp_cli_subcommand *c, const struct option *longs, const char *word, int letter)
{
    char see[64], option[] = {'-', (char)letter, '\0'};
    bool is_long = strncmp(word, "--", 2) == 0;
    int n = 0;
    snprintf(see, sizeof see, "; see spprof help %s", c->name);
    if (letter >= LONG)
        return refuse(c, word, NULL, "takes no value; leave that out", "");
    for (const struct option *o = longs; is_long && o->name; o++)
        n += strncmp(o->name, word + 2, strcspn(word + 2, "=")) == 0;
    return refuse(c, is_long || !letter ? word : option, NULL,
                  n > 1 ? "may be several options; write it in full" : "there is no such option", see);
}

/* A long option with one hyphen, that getopt() took for letters: its name; NULL: that is none. */
static const char *long_name_of(const struct option *longs, const char *word)
{
    size_t n = word && word[0] == '-' && word[1] && word[1] != '-' ? strcspn(word + 1, "=") : 0;
    for (const struct option *o = longs; n > 1 && o->name; o++)
        if (strlen(o->name) == n && strncmp(o->name, word + 1, n) == 0)
            return o->name;
    return NULL;
}

static int refuse_hyphen(const struct sp_cli_subcommand *c, const char *word, const char *name)
{
    char see[64];
    snprintf(see, sizeof see, "; --%s is one", name);
    return refuse(c, word, NULL, "there is no such option", see);
}

/* ---- reading them */
struct reading {
    const struct sp_cli_subcommand *c;
    struct sp_cli_typed typed[MOST];
    struct option longs[MOST + 2];
    char shorts[16];
    int n;
};

/* For getopt_long(): what `c` takes, and help. */
static void list(struct reading *r, const struct sp_cli_subcommand *c)
{
    struct option *o = r->longs;
    char *s = r->shorts;
    r->c = c;
    if (c->is_wrapper)
        *s++ = '+';
    *s++ = ':';
    for (r->n = 0; r->n < MOST && sp_cli_option_at(c, (size_t)r->n, &r->typed[r->n]); r->n++) {
        const struct sp_cli_typed *t = &r->typed[r->n];
        if (t->name[1] == '-') {
            *o++ = (struct option){t->name + 2, t->takes != NULL, NULL, LONG + r->n};
        } else {
            *s++ = t->name[1];
            if (t->takes)
                *s++ = ':';
        }
    }
    *o++ = (struct option){"help", 0, NULL, 'h'};
    *s++ = 'h';
}

/* The option that getopt's value is of. */
static const struct sp_cli_typed *typed_of(const struct reading *r, int value)
{
    for (int i = 0; i < r->n; i++)
        if (value == LONG + i || (r->typed[i].name[1] == value && !r->typed[i].name[2]))
            return &r->typed[i];
    return NULL;
}

static int take_one(const struct reading *r, int value, sp_cli_take *take, void *arg)
{
    const struct sp_cli_typed *o = typed_of(r, value);
    struct sp_cli_given g = {.name = o->is_library ? o->row->name : o->name, .value = o->takes ? optarg : NULL, .choice = -1};
    char word[32];
    if (g.value && !o->is_library && sp_cli_choice(o->row->values, 0, word, sizeof word)) {
        g.choice = choice_of(o->row->values, g.value);
        if (g.choice < 0)
            return refuse_value(r->c, o, g.value);
    }
    if (strcmp(o->name, "--no-signal") == 0) { /* of whoever has it */
        sp_ring_forbid();
        return 0;
    }
    const char *why = take(arg, &g);
    if (!why)
        return 0;
    return *why ? sp_cli_refuse(r->c->name, o->name, g.value, why) : refuse_value(r->c, o, g.value);
}

int sp_cli_parse(int argc, char **argv, sp_cli_take *take, void *arg)
{
    struct reading r = {0};
    int rc = 0;
    const struct sp_cli_subcommand *c = sp_cli_find(argv[0]);
    list(&r, c);
    optind = 1;
    opterr = 0; /* getopt() would print the option as it is */
    for (int value; rc == 0 && (value = getopt_long(argc, argv, r.shorts, r.longs, NULL)) != -1;) {
        const char *word =
            value == '?' && optind < argc && long_name_of(r.longs, argv[optind]) ? argv[optind] : argv[optind - 1];
        if (long_name_of(r.longs, word) && (value == '?' || optarg == word + 2))
            return refuse_hyphen(c, word, long_name_of(r.longs, word));
        if (value == 'h') {
            sp_cli_usage(stdout, c->name);
            return 0;
        }
        rc = value == '?'   ? refuse_option(c, r.longs, argv[optind - 1], optopt)
             : value == ':' ? refuse_value(c, typed_of(&r, optopt), NULL)
                            : take_one(&r, value, take, arg);
    }
    if (rc)
        return rc;
    int n = argc - optind;
    if (n < c->least)
        return refuse_use(c, "", "an argument is missing");
    if (n > c->most)
        return refuse_use(c, argv[optind + c->most], "is an argument too many");
    return -1;
}
