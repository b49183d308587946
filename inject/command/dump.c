/* SPDX-License-Identifier: MIT
 * spprof dump: where every thread of a process is at this moment. */
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "inject/command/command.h"
#include "inject/command/stacks.h"

static const char *take(void *arg, const struct sp_cli_given *g)
{
    bool *json = arg;
    *json |= strcmp(g->name, "--json") == 0;
    return NULL;
}

/* ---- frames, outermost first */
static size_t list_frames(const struct sp_stacks *s, size_t at, size_t **places)
{
    struct sp_stacks_frame f;
    size_t n = 0, cap = 0, within = 0;
    for (size_t from = within; sp_stacks_frame(s, at, &within, &f); from = within) {
        if (n == cap)
            *places = sp_cli_alloc(*places, (cap = cap ? 2 * cap : 64) * sizeof **places);
        (*places)[n++] = from;
    }
    return n;
}

typedef void each_frame(const struct sp_stacks_frame *f, bool is_first);

static size_t print_frames(const struct sp_stacks *s, const struct sp_stacks_names *names, size_t at, each_frame *print)
{
    size_t *places = NULL, n = list_frames(s, at, &places);
    static struct sp_stacks_frame f;
    for (size_t i = n; i-- > 0;) {
        size_t within = places[i];
        if (!sp_stacks_frame(s, at, &within, &f))
            break;
        sp_stacks_name(names, &f);
        print(&f, i == n - 1);
    }
    free(places);
    return n;
}

/* ---- for people */
static void print_text_frame(const struct sp_stacks_frame *f, bool is_first)
{
    (void)is_first;
    if (f->is_native) {
        fputs("  ", stdout);
    } else {
        fputs("  File \"", stdout);
        sp_cli_print(stdout, f->file);
        fputs("\", line ", stdout);
        printf(f->line > 0 ? "%d, in " : "?, in ", (int)f->line);
    }
    sp_cli_print(stdout, f->name);
    putchar('\n');
}

static void print_text(const struct sp_stacks *s, const struct sp_stacks_names *names)
{
    struct sp_ring_thread t;
    char doing[160];
    for (size_t at = 0, from = 0; sp_stacks_thread(s, &at, &t); from = at) {
        const char *missing = sp_stacks_missing(&t);
        sp_stacks_doing(&t, doing, sizeof doing);
        fputs(from ? "\nThread \"" : "Thread \"", stdout);
        sp_cli_print(stdout, t.name);
        printf("\" (%d), ", (int)t.tid);
        sp_cli_print(stdout, doing);
        puts(t.is_truncated ? ", the innermost frames:" : ":");
        if (!print_frames(s, names, from, print_text_frame))
            printf("  (%s)\n", missing ? missing : "no frame");
    }
}

/* ---- for scripts */
static void print_json_frame(const struct sp_stacks_frame *f, bool is_first)
{
    fputs(is_first ? "\n    {\"function\": " : ",\n    {\"function\": ", stdout);
    sp_cli_print_json(stdout, f->name);
    fputs(", \"file\": ", stdout);
    sp_cli_print_json(stdout, f->file);
    printf(", \"line\": %d, \"native\": %s}", (int)f->line, f->is_native ? "true" : "false");
}

static void print_json(pid_t pid, const struct sp_stacks *s, const struct sp_stacks_names *names)
{
    struct sp_ring_thread t;
    char doing[160];
    printf("{\"pid\": %d, \"threads\": [", (int)pid);
    for (size_t at = 0, from = 0; sp_stacks_thread(s, &at, &t); from = at) {
        const char *missing = sp_stacks_missing(&t);
        sp_stacks_doing(&t, doing, sizeof doing);
        printf("%s\n  {\"tid\": %d, \"name\": ", from ? "," : "", (int)t.tid);
        sp_cli_print_json(stdout, t.name);
        fputs(", \"doing\": ", stdout);
        sp_cli_print_json(stdout, doing);
        printf(", \"truncated\": %s, \"missing\": ", t.is_truncated ? "true" : "false");
        if (missing)
            sp_cli_print_json(stdout, missing);
        else
            fputs("null", stdout);
        fputs(", \"frames\": [", stdout);
        print_frames(s, names, from, print_json_frame);
        fputs("]}", stdout);
    }
    puts("\n]}");
}

int sp_cli_dump(int argc, char **argv)
{
    bool json = false;
    char *end, name[64];
    int rc = sp_cli_parse(argc, argv, take, &json);
    if (rc >= 0)
        return rc;
    long pid = strtol(argv[optind], &end, 10);
    if (*end || pid <= 0 || pid > INT_MAX)
        return sp_cli_refuse(argv[0], argv[optind], NULL, "is no process's number");
    struct sp_stacks s;
    const char *why = sp_stacks_ask((pid_t)pid, &s);
    struct sp_stacks_names *names = sp_stacks_names(&s);
    snprintf(name, sizeof name, "process %ld", pid);
    if (why)
        rc = sp_cli_fail(name, why);
    else if (json)
        print_json((pid_t)pid, &s, names);
    else
        print_text(&s, names);
    sp_stacks_names_free(names);
    sp_stacks_free(&s);
    return why ? rc : 0;
}
