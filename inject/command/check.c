/* SPDX-License-Identifier: MIT
 * spprof check: whether and how profiling works here, in plain words and as an exit status. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inject/command/check.h"
#include "inject/command/command.h"

void sp_check_say(struct sp_check *c, enum sp_check_level level, const char *what, const char *format, ...)
{
    static const char *const words[SP_CHECK_LEVELS] = {"ok", "note", "but", "no"};
    static const char *const colours[SP_CHECK_LEVELS] = {"\033[32m", "\033[36m", "\033[33m", "\033[31m"};
    char text[8192];
    va_list rest;
    va_start(rest, format);
    vsnprintf(text, sizeof text, format, rest);
    va_end(rest);
    c->n[level]++;
    if (c->quiet)
        return;
    bool colour = sp_cli_colours();
    printf("%s%-4s%s %-12s ", colour ? colours[level] : "", words[level], colour ? "\033[0m" : "", what);
    sp_cli_print(stdout, text);
    putchar('\n');
    fflush(stdout);
}

bool sp_check_line_of(const char *path, const char *key, char *out, size_t cap)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t room = 0, n = strlen(key);
    bool found = false;
    while (f && !found && getline(&line, &room, f) > 0)
        found = strncmp(line, key, n) == 0;
    if (found) {
        line[strcspn(line, "\n")] = '\0';
        snprintf(out, cap, "%s", line + n + strspn(line + n, " \t"));
    }
    free(line);
    if (f)
        fclose(f);
    return found;
}

static void check_library(struct sp_check *c, const char *given)
{
    const char *why;
    if (given ? !realpath(given, c->library) : !sp_cli_library(c->library))
        sp_check_say(c, SP_CHECK_NO, "library", "%s: %s; name it with --library", given ? given : "libspprof.so",
                     given ? strerror(errno) : "it is not beside this command");
    else if ((why = sp_cli_library_refused(c->library)))
        sp_check_say(c, SP_CHECK_NO, "library", "%s: %s", c->library, why);
    else
        sp_check_say(c, SP_CHECK_OK, "library", "%s", c->library);
}

static int verdict(const struct sp_check *c, bool process)
{
    int rc = c->n[SP_CHECK_NO] ? 3 : c->n[SP_CHECK_BUT] ? 1 : 0;
    if (c->quiet)
        return rc;
    if (process)
        puts(c->is_hidden ? "\nWhether it is being profiled cannot be told."
             : rc == 3    ? "\nIt is not being profiled."
                          : "\nIt is being profiled.");
    else
        puts(rc == 3   ? "\nProfiling does not work here: see \"no\"."
             : rc == 1 ? "\nProfiling works here, but not all of it: see \"but\"."
                       : "\nProfiling works here.");
    return rc;
}

struct request {
    const char *library; /* NULL: not named */
    bool quiet;
};

static const char *take(void *arg, const struct sp_cli_given *g)
{
    struct request *q = arg;
    q->library = g->value ? g->value : q->library;
    q->quiet |= !g->value;
    return NULL;
}

int sp_cli_check(int argc, char **argv)
{
    static struct sp_check c;
    struct request q = {NULL, false};
    int rc = sp_cli_parse(argc, argv, take, &q);
    if (rc >= 0)
        return rc;
    c = (struct sp_check){.quiet = q.quiet};
    const char *what = optind < argc ? argv[optind] : "python3";
    bool process = *what && what[strspn(what, "0123456789")] == '\0';
    if (process) {
        long pid = strtol(what, NULL, 10);
        if (pid > 0 && pid <= INT_MAX)
            sp_check_process(&c, (pid_t)pid);
        else
            sp_check_say(&c, SP_CHECK_NO, "process", "%s: there is no such process (no process has this number)", what);
        return verdict(&c, true);
    }
    check_library(&c, q.library);
    if (!c.n[SP_CHECK_NO])
        sp_check_python(&c, what);
    sp_check_system(&c);
    sp_check_files(&c);
    return verdict(&c, false);
}
