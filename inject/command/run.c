/* SPDX-License-Identifier: MIT
 * spprof run: a program under the library, without a word about LD_PRELOAD. */
#include "inject/command/run.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compat/base.h"
#include "inject/command/command.h"
#include "inject/config.h"

#define OPTIONS_MAX 40
#define FIRST_ROW 256 /* getopt's value of the first row of sp_cli_options */

struct request {
    const char *library;
    bool report;
    struct sp_run_place place;
};

static int fail(const char *name, const char *why, int status)
{
    sp_cli_fail(name, why);
    return status;
}

/* "SPPROF_INTERVAL" as "interval"; NULL: not to be set by hand. */
static const char *option_name(const char *variable, char *out, size_t cap)
{
    const char *s = strncmp(variable, "SPPROF_", 7) == 0 ? variable + 7 : "RUN";
    size_t n = 0;
    for (; s[n] && n < cap - 1; n++)
        out[n] = (char)tolower((unsigned char)s[n]);
    out[n] = '\0';
    return strcmp(out, "run") == 0 ? NULL : out;
}

static const struct option *long_options(void)
{
    static char names[OPTIONS_MAX][24];
    static struct option longs[OPTIONS_MAX + 4] = {{"report", 0, NULL, 'r'}, {"library", 1, NULL, 'l'}, {"help", 0, NULL, 'h'}};
    struct option *o = longs + 3;
    for (int i = 0; i < OPTIONS_MAX && sp_cli_options[i].name; i++)
        if (option_name(sp_cli_options[i].name, names[i], sizeof names[i]))
            *o++ = (struct option){names[i], 1, NULL, FIRST_ROW + i};
    *o = (struct option){NULL, 0, NULL, 0};
    return longs;
}

/* 0, or the exit status. */
static int set(const char *variable, const char *value)
{
    const char *accepted = sp_config_refuses(variable, value);
    if (!accepted)
        return setenv(variable, value, 1) == 0 ? 0 : fail(variable, strerror(errno), 2);
    fprintf(stderr, "spprof: %s=", variable);
    sp_cli_print(stderr, value);
    fprintf(stderr, " cannot be used; accepted: %s\n", accepted);
    return 2;
}

/* -1: all is well, optind is at the command; else the exit status. */
static int parse(struct request *q, int argc, char **argv)
{
    const struct option *longs = long_options();
    int rc = 0;
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, "+o:h", longs, NULL)) != -1;) {
        if (c == 'r')
            q->report = true;
        else if (c == 'l')
            q->library = optarg;
        else if (c == 'o')
            rc = set("SPPROF_OUT", optarg);
        else if (c >= FIRST_ROW)
            rc = set(sp_cli_options[c - FIRST_ROW].name, optarg);
        else {
            if (c == '?')
                fail(argv[optind - 1], "is not understood", 2);
            sp_cli_usage(c == 'h' ? stdout : stderr, argv[0]);
            return c == 'h' ? 0 : 2;
        }
        if (rc)
            return rc;
    }
    if (optind < argc)
        return -1;
    sp_cli_usage(stderr, argv[0]);
    return 2;
}

/* 0, or the exit status. */
static int preload(const char *given)
{
    char library[PATH_MAX];
    if (given ? !realpath(given, library) : !sp_cli_library(library))
        return fail(given ? given : "libspprof.so",
                    given ? strerror(errno) : "it is not beside this command; name it with --library", 126);
    const char *why = sp_cli_library_refused(library), *others = getenv("LD_PRELOAD");
    if (why)
        return fail(library, why, 126);
    char *all = NULL;
    if (!others || !*others)
        others = "";
    else if (strstr(others, library))
        return 0;
    if (asprintf(&all, "%s%s%s", library, *others ? ":" : "", others) < 0 || setenv("LD_PRELOAD", all, 1) != 0)
        return fail(library, strerror(errno), 126);
    free(all);
    return 0;
}

static int become(char **command)
{
    execvp(command[0], command);
    return fail(command[0], strerror(errno), errno == ENOENT ? 127 : 126);
}

static const int passed_on[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM};
static pid_t child; /* written while the signals are blocked */

/* What the terminal sends, the program has got itself. */
static void pass_on(int sig, siginfo_t *info, void *context)
{
    int saved = errno;
    (void)context;
    if (info->si_code <= 0)
        kill(child, sig);
    errno = saved;
}

/* Starts the program and waits for its end; -1: a line was said. */
static int wait_for(char **command)
{
    struct sigaction act = {.sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_RESTART}, old[SP_ARRAY_LEN(passed_on)];
    sigset_t set, mask;
    int status;
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, &mask);
    for (size_t i = 0; i < SP_ARRAY_LEN(passed_on); i++) {
        sigaction(passed_on[i], NULL, &old[i]);
        if (old[i].sa_handler != SIG_IGN) /* nohup's stays */
            sigaction(passed_on[i], &act, NULL);
    }
    child = fork();
    if (child == 0) {
        for (size_t i = 0; i < SP_ARRAY_LEN(passed_on); i++)
            sigaction(passed_on[i], &old[i], NULL);
        sigprocmask(SIG_SETMASK, &mask, NULL);
        _exit(become(command));
    }
    if (child < 0) {
        fail(command[0], strerror(errno), 0);
        return -1;
    }
    sigprocmask(SIG_SETMASK, &mask, NULL);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) {
            fail(command[0], strerror(errno), 0);
            return -1;
        }
    /* the number may be another process's now */
    for (size_t i = 0; i < SP_ARRAY_LEN(passed_on); i++)
        sigaction(passed_on[i], &old[i], NULL);
    return status;
}

/* Ends as the program did. */
static int end_as(int status)
{
    if (!WIFSIGNALED(status))
        return WEXITSTATUS(status);
    int sig = WTERMSIG(status);
    struct rlimit none = {0, 0}; /* the program's core is the one */
    sigset_t set;
    setrlimit(RLIMIT_CORE, &none);
    signal(sig, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, sig);
    raise(sig);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    return 128 + sig;
}

int sp_cli_run(int argc, char **argv)
{
    static struct request q;
    q = (struct request){0};
    int rc = parse(&q, argc, argv);
    if (rc < 0 && (rc = preload(q.library)) == 0) {
        if (!q.report)
            return become(argv + optind);
        if (!sp_run_place(&q.place, getenv("SPPROF_OUT")))
            return 126;
        char **command = argv + optind;
        int status = wait_for(command);
        if (status < 0)
            return 126;
        sp_run_report(&q.place, WIFEXITED(status) && (WEXITSTATUS(status) == 126 || WEXITSTATUS(status) == 127));
        fflush(stderr);
        rc = end_as(status);
    }
    return rc;
}
