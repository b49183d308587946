/* SPDX-License-Identifier: MIT
 * See diag.h. Raw write(2) from a fixed buffer: usable in the constructor and in a fatal signal's handler. */
#include "compat/diag.h"

#include "compat/buf.h"
#include "compat/os.h"

#define MOST_LINES 16

/* Threads: n_lines any; the rest in the constructor, and by a fork child while it is alone. */
static bool enabled, noted;
static int n_lines;
static struct sp_os_stat at_start;

void sp_diag_enable(bool on)
{
    enabled = on;
    if (!noted)
        sp_os_stat_fd(2, &at_start);
    noted = true;
}

SP_SIGSAFE static bool is_still_stderr(void)
{
    struct sp_os_stat now;
    return sp_os_stat_fd(2, &now) == 0 && now.kind != SP_OS_ABSENT && now.inode == at_start.inode &&
           now.device == at_start.device;
}

void sp_diag_join(const char *a, const char *b, const char *c, const char *d, const char *e)
{
    char text[1024];
    SP_BUF(buf, text);
    if (!enabled || !is_still_stderr() || sp_add_relaxed(&n_lines, 1) >= MOST_LINES)
        return;
    sp_buf_str(&buf, "spprof: ");
    const char *parts[] = {a, b, c, d, e};
    for (size_t i = 0; i < SP_ARRAY_LEN(parts) && parts[i]; i++)
        for (const char *s = parts[i]; *s && buf.len + 2 < buf.cap; s++)
            sp_buf_char(&buf, (unsigned char)*s < 32 || *s == 127 ? '?' : *s); /* a name may hold escapes */
    sp_buf_char(&buf, '\n');
    sp_os_write_all(2, text, buf.len);
}

void sp_diag(const char *line)
{
    sp_diag_join(line, NULL, NULL, NULL, NULL);
}
