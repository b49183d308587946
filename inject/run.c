/* SPDX-License-Identifier: MIT
 * See run.h. The environment is changed by hand: programs such as bash bring their own putenv and getenv, which
 * must not be called before they are ready. */
#include "inject/run.h"

#include <string.h>

#include "compat/buf.h"
#include "compat/os.h"
#include "inject/config.h"



static char mark[64];
static uint64_t started_ns, owner;

static uint64_t parse(const char **s)
{
    uint64_t v = 0;
    for (; **s >= '0' && **s <= '9'; (*s)++)
        v = v * 10 + (uint64_t)(**s - '0');
    return v;
}

static void set_mark(void)
{
    SP_BUF(b, mark);
    sp_buf_str(&b, "SPPROF_RUN=");
    sp_buf_u64(&b, started_ns);
    sp_buf_char(&b, ':');
    sp_buf_u64(&b, owner);
    size_t n = 0;
    for (; environ && environ[n]; n++)
        if (strncmp(environ[n], "SPPROF_RUN=", 11) == 0) {
            environ[n] = mark;
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
    const char *given = sp_config_env(environ, "SPPROF_RUN");
    if (given) {
        started_ns = parse(&given);
        given += *given == ':';
        owner = parse(&given);
    }
    if (started_ns == 0) {
        started_ns = sp_os_wall_ns();
        owner = 0;
        set_mark();
    }
}

bool sp_run_is_first(void)
{
    return owner == 0 || owner == (uint64_t)sp_os_getpid();
}

bool sp_run_take_ownership(void)
{
    if (owner == 0) {
        owner = (uint64_t)sp_os_getpid();
        set_mark();
    }
    return sp_run_is_first();
}

uint64_t sp_run_started_ns(void)
{
    return started_ns;
}
