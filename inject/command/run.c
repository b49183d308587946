/* SPDX-License-Identifier: MIT
 * spprof run: a program under the library, without a word about LD_PRELOAD. */
#include "inject/command/run.h"

#include <errno.h>
#include <fcntl.h>
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

struct request {
    const char *library, *html;
    bool report;
    struct sp_run_place place;
};

static int fail(const char *name, const char *why, int status)
{
    sp_cli_fail(name, why);
    return status;
}

static const char *set(const char *variable, const char *value)
{
    if (sp_config_refuses(variable, value))
        return "";
    return setenv(variable, value, 1) == 0 ? NULL : strerror(errno);
}

static const char *take(void *arg, const struct sp_cli_given *g)
{
    struct request *q = arg;
    if (strcmp(g->name, "--report") == 0)
        q->report = true;
    else if (strcmp(g->name, "--html") == 0)
        q->html = g->value;
    else if (strcmp(g->name, "--library") == 0)
        q->library = g->value;
    else
        return set(strcmp(g->name, "-o") == 0 ? "SPPROF_OUT" : g->name, g->value);
    return NULL;
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
    int rc = sp_cli_parse(argc, argv, take, &q);
    if (rc < 0 && (rc = preload(q.library)) == 0) {
        if (!q.report && !q.html)
            return become(argv + optind);
        if (!sp_run_place(&q.place, getenv("SPPROF_OUT"), q.report ? "--report" : "--html"))
            return 2;
        char **command = argv + optind;
        int status = wait_for(command);
        if (status < 0)
            return 126;
        sp_run_show(&q.place, q.html, q.report,
                    WIFEXITED(status) && (WEXITSTATUS(status) == 126 || WEXITSTATUS(status) == 127));
        fflush(stderr);
        rc = end_as(status);
    }
    return rc;
}
