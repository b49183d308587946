/* SPDX-License-Identifier: MIT
 * See gunzip.h. */
#include "inject/command/gunzip.h"

#include <stdint.h>
#include <string.h>

#include "writers/gzip.h"

static uint32_t le(const char *s, int bytes)
{
    uint32_t v = 0;
    for (int i = bytes; i-- > 0;)
        v = v << 8 | (uint8_t)s[i];
    return v;
}

struct discard {
    uint64_t bytes;
};

static int discard(void *arg, const void *data, size_t n)
{
    (void)data;
    ((struct discard *)arg)->bytes += n;
    return 0;
}

/* By the writer's own sum. */
static uint32_t crc_of(const char *text, size_t n)
{
    struct discard nothing = {0};
    struct sp_gzip z = {.sink = discard, .arg = &nothing};
    sp_gzip_sink(&z, text, n);
    return z.crc;
}

const char *sp_gunzip(char *text, size_t *n)
{
    static const char cut[] = "is cut off or damaged: a gzip file that does not end",
                      packed[] = "is compressed; gunzip it first";
    size_t at = SP_GZIP_HEAD_BYTES - 5, to = 0;
    if (*n < 2 || memcmp(text, "\x1f\x8b", 2) != 0)
        return NULL;
    if (!sp_gzip_is_ours(text, *n))
        return *n < SP_GZIP_HEAD_BYTES ? cut : packed;
    for (bool is_last = false; !is_last;) {
        if (*n - at < 5)
            return cut;
        size_t bytes = le(text + at + 1, 2);
        is_last = text[at] & 1;
        if (text[at] & 6)
            return packed;
        if (bytes != (~le(text + at + 3, 2) & 0xffff) || bytes > *n - at - 5)
            return cut;
        memmove(text + to, text + at + 5, bytes);
        to += bytes;
        at += 5 + bytes;
    }
    if (*n - at < 8 || le(text + at, 4) != crc_of(text, to) || le(text + at + 4, 4) != (uint32_t)to)
        return cut;
    text[to] = '\0';
    *n = to;
    return NULL;
}
