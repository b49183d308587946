/* SPDX-License-Identifier: MIT
 * See run.h. The environment is changed by hand: programs such as bash bring their own putenv and getenv, which
 * must not be called before they are ready. */
#include "inject/run.h"

#include <string.h>

#include "compat/buf.h"
#include "compat/os.h"
#include "inject/config.h"

#define NAME "SPPROF_RUN="
#define OWNER_DIGITS 10
#define START_DIGITS 20
#define MARK_BYTES (sizeof NAME - 1 + START_DIGITS + 1 + 2 * OWNER_DIGITS + 1)

/* Threads: written at the start. */
static char mark[MARK_BYTES + 1];
static char *given; /* the variable that this program was started with, where the kernel put it; NULL: none */
static uint64_t started_ns, owner, owner_namespace;

static uint64_t parse(const char **s)
{
    uint64_t v = 0;
    for (; **s >= '0' && **s <= '9'; (*s)++)
        v = v * 10 + (uint64_t)(**s - '0');
    *s += **s == ':';
    return v;
}

static char **find(size_t *n)
{
    for (*n = 0; environ && environ[*n]; ++*n)
        if (strncmp(environ[*n], NAME, sizeof NAME - 1) == 0)
            return &environ[*n];
    return NULL;
}

static void set_mark(void)
{
    SP_BUF(b, mark);
    sp_buf_str(&b, NAME);
    sp_buf_u64_pad(&b, started_ns, START_DIGITS);
    sp_buf_char(&b, ':');
    sp_buf_u64_pad(&b, owner, OWNER_DIGITS);
    sp_buf_char(&b, ':');
    sp_buf_u64_pad(&b, owner_namespace, OWNER_DIGITS);
    size_t n;
    char **entry = find(&n);
    if (entry) {
        /* In its own bytes: programs that show a title (setproctitle, PostgreSQL's ps_status.c) write it over arguments
         * and environment, as far as these follow each other. */
        if (*entry == given && strlen(given) == MARK_BYTES)
            memcpy(given, mark, MARK_BYTES);
        else
            *entry = mark;
        return;
    }
    char **bigger = sp_os_pages((n + 2) * sizeof *bigger);
    if (!bigger)
        return;
    if (n)
        memcpy(bigger, environ, n * sizeof *bigger);
    bigger[n] = mark;
    environ = bigger;
}

void sp_run_mark(void)
{
    size_t n;
    char **entry = find(&n);
    if (entry) {
        given = *entry;
        const char *s = given + sizeof NAME - 1;
        started_ns = parse(&s);
        owner = parse(&s);
        owner_namespace = parse(&s);
    }
    if (started_ns == 0) {
        started_ns = sp_os_wall_ns();
        owner = owner_namespace = 0;
        set_mark();
    }
}

bool sp_run_is_first(void)
{
    return owner == 0 || (owner == (uint64_t)sp_os_getpid() && owner_namespace == sp_os_pid_namespace());
}

bool sp_run_take_ownership(void)
{
    if (owner == 0) {
        owner = (uint64_t)sp_os_getpid();
        owner_namespace = sp_os_pid_namespace();
        set_mark();
    }
    return sp_run_is_first();
}

uint64_t sp_run_started_ns(void)
{
    return started_ns;
}
