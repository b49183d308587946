/* SPDX-License-Identifier: MIT
 * See ring_thread.h. */
#include "inject/command/ring_thread.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat/os.h"
#include "compat/ring.h"

#define SLEEPERS 64 /* looked at closely */
#define PAUSE_NS 5000000u
#define LOOKS 10         /* so far apart, for a thread that loses nothing */
#define LOOKS_FOR_ANY 40 /* ... for one at all: a handler, of ours as well, has all signals blocked for a moment */

/* By how little a signal changes for the thread. FALLS_SHORT: what it wrote or read of more is all that it is told of; NEVER: what it
 * waits for would be over. */
enum rank { RUNS, BEGINS_ANEW, CPYTHON_BEGINS_ANEW, IS_UNKNOWN, FALLS_SHORT, IS_DEEP, NEVER };

struct candidate {
    pid_t tid;
    enum rank rank;
    bool is_blocked;
    char state;
};

static size_t read_of(pid_t pid, pid_t tid, const char *name, char *text, size_t cap)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/%d/task/%d/%s", (int)pid, (int)tid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, cap - 1) : 0;
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

/* By the function of the kernel's in which it sleeps. Restarted for a handler with SA_RESTART: signal(7). */
static enum rank rank_of_wait(const char *in)
{
    static const char *const for_signals[] = {"pause", "sigsuspend", "sigtimedwait", "signalfd"};
    static const char *const anew[] = {"futex", "pipe_read", "do_wait", "eventfd", "flock"};
    static const char *const in_part[] = {"pipe_write", "wait_woken", "sock_alloc_send", "n_tty_write"};
    for (size_t i = 0; i < SP_ARRAY_LEN(for_signals); i++)
        if (strstr(in, for_signals[i]))
            return NEVER;
    for (size_t i = 0; i < SP_ARRAY_LEN(anew); i++)
        if (strstr(in, anew[i]))
            return BEGINS_ANEW;
    for (size_t i = 0; i < SP_ARRAY_LEN(in_part); i++)
        if (strstr(in, in_part[i]))
            return FALLS_SHORT;
    return *in && strcmp(in, "0") != 0 ? CPYTHON_BEGINS_ANEW : IS_UNKNOWN;
}

static char state_of(pid_t pid, pid_t tid)
{
    char text[512];
    read_of(pid, tid, "stat", text, sizeof text);
    const char *end = strrchr(text, ')');
    return end && end[1] ? end[2] : 'X';
}

static struct candidate look_at(pid_t pid, pid_t tid)
{
    char text[4096], wait[128];
    struct candidate c = {.tid = tid, .rank = NEVER, .state = state_of(pid, tid)};
    read_of(pid, tid, "status", text, sizeof text);
    const char *blocked = strstr(text, "SigBlk:");
    c.is_blocked = blocked && strtoull(blocked + 7, NULL, 16) & SP_OS_MASK(SP_RING_SIGNAL);
    read_of(pid, tid, "wchan", wait, sizeof wait);
    if (!c.is_blocked && !strchr("XZTt", c.state))
        c.rank = c.state == 'R' ? RUNS : c.state == 'D' ? IS_DEEP : rank_of_wait(wait);
    return c;
}

/* Those of them that do not run now, as many as there is room for; or the one that runs. */
struct threads {
    struct candidate running;
    pid_t sleeping[SLEEPERS];
    int n;
    bool stands, is_there;
};

static void list(pid_t pid, struct threads *t)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *d = opendir(path);
    t->is_there = d;
    t->running.rank = NEVER;
    for (const struct dirent *e; d && t->running.rank != RUNS && (e = readdir(d));) {
        pid_t tid = (pid_t)atoi(e->d_name);
        char state = tid > 0 ? state_of(pid, tid) : 'X';
        t->stands |= state == 'T' || state == 't';
        if (state == 'R')
            t->running = look_at(pid, tid);
        else if (state != 'X' && t->n < SLEEPERS)
            t->sleeping[t->n++] = tid;
    }
    if (d)
        closedir(d);
}

/* As they are at this moment. */
static struct candidate choose(pid_t pid, const char **why)
{
    struct threads t = {.n = 0};
    list(pid, &t);
    struct candidate best = t.running;
    bool blocks = best.is_blocked;
    for (int i = 0; i < t.n && best.rank > BEGINS_ANEW; i++) {
        struct candidate c = look_at(pid, t.sleeping[i]);
        blocks |= c.is_blocked;
        if (c.rank < best.rank)
            best = c;
    }
    *why = !t.is_there ? "there is no such process"
           : t.stands  ? "it is stopped, by a signal or a debugger; continue it"
           : blocks    ? "its threads have SIGURG blocked, or wait for signals"
                       : "its threads wait for signals, which another one would end";
    return best;
}

pid_t sp_ring_thread(pid_t pid, const char **why)
{
    struct candidate best = choose(pid, why);
    for (int i = 1; best.rank > BEGINS_ANEW && i < (best.rank == NEVER ? LOOKS_FOR_ANY : LOOKS); i++) {
        sp_os_sleep_ns(PAUSE_NS);
        best = choose(pid, why);
    }
    return best.rank == NEVER ? 0 : best.tid;
}
