/* SPDX-License-Identifier: MIT
 * See check.h: whether a process that runs is being profiled, and how. Only read. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "inject/command/check.h"
#include "inject/command/ring.h"
#include "inject/command/source.h"
#include "sampler/store.h"

struct found {
    char library[PATH_MAX], spool[PATH_MAX];
    bool python;
};

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static void look_at_mapping(const char *line, struct found *f)
{
    char mode[8];
    int path_at = 0;
    if (sscanf(line, "%*s %7s %*s %*s %*u %n", mode, &path_at) < 1)
        return;
    const char *path = line + path_at, *base = strrchr(path, '/');
    if (base && strstr(base, "libspprof"))
        snprintf(f->library, sizeof f->library, "%s", path);
    f->python |= base && (strncmp(base, "/python", 7) == 0 || strncmp(base, "/libpython", 10) == 0);
    if (base && mode[1] == 'w' && mode[3] == 's' && ends_with(path, ".spool"))
        snprintf(f->spool, sizeof f->spool, "%s", path);
}

static bool look_at_maps(struct sp_check *c, pid_t pid, struct found *f)
{
    char path[64], *line = NULL;
    size_t cap = 0;
    pid_t thread = sp_source_thread_of(pid);
    if (pid && !thread && kill(pid, 0) == 0) {
        sp_check_say(c, SP_CHECK_NO, "process", "%d: it has ended; its parent has not asked yet how", (int)pid);
        return false;
    }
    snprintf(path, sizeof path, "/proc/%d/maps", (int)(thread ? thread : pid));
    FILE *maps = pid ? fopen(path, "r") : NULL;
    if (!maps) {
        bool exists = pid && errno != ENOENT;
        c->is_hidden = exists;
        sp_check_say(c, SP_CHECK_NO, "process",
                     exists ? "%d: this user may not look into it (%s)" : "%d: there is no such process (%s)", (int)pid,
                     strerror(pid ? errno : ESRCH));
        if (exists)
            sp_check_control(c, pid, SP_CHECK_CLOSED);
        return false;
    }
    while (getline(&line, &cap, maps) > 0) {
        line[strcspn(line, "\n")] = '\0';
        look_at_mapping(line, f);
    }
    free(line);
    fclose(maps);
    return true;
}

static void say_program(struct sp_check *c, pid_t pid)
{
    char link[64], file[PATH_MAX] = "?", status[64], threads[32] = "?";
    snprintf(link, sizeof link, "/proc/%d/exe", (int)pid);
    snprintf(status, sizeof status, "/proc/%d/status", (int)pid);
    ssize_t n = readlink(link, file, sizeof file - 1);
    file[n > 0 ? n : 1] = '\0';
    sp_check_line_of(status, "Threads:", threads, sizeof threads);
    sp_check_say(c, SP_CHECK_OK, "process", "%d: %s, threads: %s", (int)pid, file, threads);
}

/* Variables as they were at its start. */
static bool say_options(struct sp_check *c, pid_t pid)
{
    char path[64], *entry = NULL;
    size_t cap = 0;
    bool preloaded = false;
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    FILE *f = fopen(path, "r");
    while (f && getdelim(&entry, &cap, '\0', f) > 0) {
        preloaded |= strncmp(entry, "LD_PRELOAD=", 11) == 0 && strstr(entry, "libspprof");
        if (strncmp(entry, "SPPROF", 6) == 0 && strncmp(entry, "SPPROF_RUN=", 11) != 0)
            sp_check_say(c, SP_CHECK_OK, "option", "%s", entry);
    }
    free(entry);
    if (f)
        fclose(f);
    return preloaded;
}

static void say_not_loaded(struct sp_check *c, bool asked_for)
{
    sp_check_say(c, SP_CHECK_NO, "library", "not loaded; %s",
                 asked_for ? "its LD_PRELOAD names it: the program is static, privileged (setuid, capabilities), or the "
                             "file could not be read"
                           : "its LD_PRELOAD does not name it; there is no attaching: start it again with LD_PRELOAD");
}

static void say_region(struct sp_check *c, const struct sp_source *s)
{
    static struct sp_region head;
    char since[32] = "?";
    if (sp_source_read(s, &head, sizeof head, 0) != sizeof head || head.layout != SP_REGION_LAYOUT) {
        sp_check_say(c, SP_CHECK_BUT, "profile",
                     "there is one, of another version than this command's: take the command beside the library");
        return;
    }
    head.python[sizeof head.python - 1] = head.build[sizeof head.build - 1] = '\0';
    time_t seconds = (time_t)(head.started_wall_ns / SP_NS_PER_S);
    struct tm tm;
    if (gmtime_r(&seconds, &tm))
        strftime(since, sizeof since, "%Y-%m-%d %H:%M:%S UTC", &tm);
    sp_check_say(c, SP_CHECK_OK, "profile",
                 "since %s: CPython %s, %s; one sample per %.3g ms of CPU asked, the last one %.1f s after the start", since,
                 head.python, head.build, (double)head.interval_ns / 1e6, (double)head.last_ns / 1e9);
    if (head.time_order_until_ns)
        sp_check_say(c, SP_CHECK_NOTE, "memory",
                     "the log is full since %.1f s after the start: sums go on, without order in time",
                     (double)head.time_order_until_ns / 1e9);
}

void sp_check_process(struct sp_check *c, pid_t pid)
{
    static struct found f;
    f = (struct found){0};
    if (!look_at_maps(c, pid, &f))
        return;
    say_program(c, pid);
    bool asked_for = say_options(c, pid);
    if (!*f.library) {
        say_not_loaded(c, asked_for);
        return;
    }
    if (ends_with(f.library, " (deleted)"))
        sp_check_say(c, SP_CHECK_NOTE, "library", "%s: the file was replaced since", f.library);
    else
        sp_check_say(c, SP_CHECK_OK, "library", "%s", f.library);
    struct sp_source source = {.fd = -1};
    bool profiled = !sp_source_of_process(&source, pid);
    if (profiled)
        say_region(c, &source);
    else if (source.refused)
        sp_check_say(c, SP_CHECK_BUT, "profile",
                     "this user may not read its memory (as for a debugger), so what is in it is not known");
    else
        sp_check_say(c, SP_CHECK_NO, "profile", "none: %s",
                     !f.python ? "it runs no CPython"
                     : sp_ring_is_deaf(pid)
                         ? "SPPROF=off, or a child that has taken no sample yet"
                         : "SPPROF_START=off, or stopped, or over (spprof start begins one), or a child that has taken "
                           "no sample yet");
    sp_check_control(c, pid,
                     source.refused   ? SP_CHECK_CLOSED
                     : !profiled      ? SP_CHECK_NOWHERE
                     : source.fd >= 0 ? SP_CHECK_SPOOL
                                      : SP_CHECK_MEMORY);
    if (*f.spool)
        sp_check_say(c, SP_CHECK_OK, "spool", "%s", f.spool);
    else if (profiled)
        sp_check_say(c, SP_CHECK_NOTE, "lost",
                     "it has no spool file: a SIGKILL, the OOM killer or a raw exit_group() loses the profile");
    if (source.fd >= 0)
        close(source.fd);
}
