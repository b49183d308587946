/* SPDX-License-Identifier: MIT
 * See gunzip.h. */
#include "inject/command/gunzip.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "inject/command/command.h"
#include "inject/command/inflate.h"
#include "inject/command/input.h"
#include "writers/gzip.h"

enum { HEAD_CRC = 2, EXTRA = 4, NAME = 8, COMMENT = 16, RESERVED = 0xe0 }; /* flags: what is behind the first ten bytes */

static uint32_t le(const uint8_t *s, int bytes)
{
    uint32_t v = 0;
    for (int i = bytes; i-- > 0;)
        v = v << 8 | s[i];
    return v;
}

static int discard(void *arg, const void *data, size_t n)
{
    (void)arg, (void)data, (void)n;
    return 0;
}

/* By the writer's own sum. */
static uint32_t crc_of(const char *text, size_t n)
{
    struct sp_gzip z = {.sink = discard};
    sp_gzip_sink(&z, text, n);
    return z.crc;
}

static bool is_gzip(const char *text, size_t n)
{
    return n >= 2 && memcmp(text, "\x1f\x8b", 2) == 0;
}

/* Where the data of a member begins; NULL: nowhere. */
static const uint8_t *behind_head(const uint8_t *at, const uint8_t *end)
{
    if (end - at < 10 || at[0] != 0x1f || at[1] != 0x8b || at[2] != 8 || (at[3] & RESERVED))
        return NULL;
    uint8_t flags = at[3];
    at += 10;
    if (flags & EXTRA) {
        size_t bytes = end - at < 2 ? SIZE_MAX : 2 + le(at, 2);
        if (bytes > (size_t)(end - at))
            return NULL;
        at += bytes;
    }
    for (uint8_t text = NAME; text <= COMMENT; text = (uint8_t)(text * 2)) {
        const uint8_t *nul = flags & text ? memchr(at, 0, (size_t)(end - at)) : at - 1;
        if (!nul)
            return NULL;
        at = nul + 1;
    }
    size_t bytes = flags & HEAD_CRC ? 2 : 0;
    return bytes <= (size_t)(end - at) ? at + bytes : NULL;
}

/* One member of a file. NULL, or why not. */
static const char *unpack(struct sp_inflate *z)
{
    static const char cut[] = "is cut off or damaged: a gzip file that does not end";
    size_t before = z->n;
    z->in = behind_head(z->in, z->end);
    enum sp_inflated rc = z->in ? sp_inflate(z) : SP_INFLATED_DAMAGED;
    if (rc == SP_INFLATED_FULL)
        return "unpacks to more than 1 GB; gunzip it first";
    if (rc == SP_INFLATED_UNKNOWN)
        return "is compressed, and this command was built without zlib; gunzip it first";
    if (rc != SP_INFLATED_WHOLE || z->end - z->in < 8)
        return cut;
    const char *added = z->out ? z->out + before : "";
    if (le(z->in, 4) != crc_of(added, z->n - before) || le(z->in + 4, 4) != (uint32_t)(z->n - before))
        return "is damaged: a gzip file whose content is not what was put into it";
    z->in += 8;
    return NULL;
}

const char *sp_gunzip(char **text, size_t *n)
{
    if (!is_gzip(*text, *n))
        return NULL;
    struct sp_inflate z = {.in = (uint8_t *)*text, .end = (uint8_t *)*text + *n, .most = SP_INPUT_MOST};
    const char *error = NULL;
    while (!error && z.in < z.end)
        error = unpack(&z);
    if (error) {
        free(z.out);
        return error;
    }
    free(*text);
    *text = sp_cli_alloc(z.out, z.n + 1);
    (*text)[z.n] = '\0';
    *n = z.n;
    return NULL;
}

size_t sp_gunzip_begin(const char *head, size_t n, char *content, size_t cap)
{
    struct sp_inflate z = {.end = (const uint8_t *)head + n, .out = content, .cap = cap, .most = cap};
    if (!is_gzip(head, n)) {
        z.n = n < cap ? n : cap;
        memcpy(content, head, z.n);
        return z.n;
    }
    z.in = behind_head((const uint8_t *)head, z.end);
    if (z.in)
        sp_inflate(&z);
    return z.n;
}
