/* SPDX-License-Identifier: MIT
 * See ship_header.h. */
#include "inject/command/ship_header.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat/base.h"
#include "inject/command/command.h"

void sp_headers_add(struct sp_headers *h, const char *header)
{
    size_t n = strlen(header) + 1;
    if (!(h->n & (h->n - 1)))
        h->of = sp_cli_alloc(h->of, (h->n ? 2 * h->n : 1) * sizeof *h->of);
    h->of[h->n++] = memcpy(sp_cli_alloc(NULL, n), header, n);
}

/* A name of letters, digits and hyphens, a colon, a value without controls: it can be no other header, nor a second one. */
static const char *check(const char *s)
{
    size_t name = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
    const char *value = s + name;
    static const char *const ours[] = {"content-type", "content-length", "host", "expect", "transfer-encoding"};
    if (!name || *value != ':')
        return "is no header; \"Name: value\" is";
    for (const char *c = value; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return "has control characters in it";
    for (size_t i = 0; i < SP_ARRAY_LEN(ours); i++)
        if (strncasecmp(s, ours[i], name) == 0 && strlen(ours[i]) == name)
            return "is what the profile needs; leave it out";
    return NULL;
}

const char *sp_headers_take(struct sp_headers *h, char *argument)
{
    const char *why = check(argument);
    if (!why)
        sp_headers_add(h, argument);
    memset(argument, 'x', strlen(argument));
    return why;
}

const char *sp_headers_read(struct sp_headers *h, const char *file)
{
    char *line = NULL;
    size_t cap = 0;
    const char *why = NULL;
    FILE *f = fopen(file, "re");
    if (!f)
        return strerror(errno);
    errno = 0;
    while (!why && getline(&line, &cap, f) > 0) {
        line[strcspn(line, "\r\n")] = '\0';
        char *s = line + strspn(line, " \t");
        if (!*s || *s == '#')
            continue;
        why = check(s) ? "has a line that is no header; \"Name: value\" is" : NULL;
        if (!why)
            sp_headers_add(h, s);
    }
    if (!why && ferror(f))
        why = strerror(errno ? errno : EIO);
    free(line);
    fclose(f);
    return why;
}

void sp_headers_free(struct sp_headers *h)
{
    for (size_t i = 0; i < h->n; i++)
        free(h->of[i]);
    free(h->of);
    *h = (struct sp_headers){0};
}
