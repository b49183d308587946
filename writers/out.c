/* SPDX-License-Identifier: MIT
 * See out.h. */
#include "writers/out.h"

#include <errno.h>
#include <string.h>

static void flush(struct sp_out *o)
{
    if (!o->error && o->n) {
        if (o->bytes + o->n > o->most)
            o->error = -EFBIG;
        else
            o->error = o->sink(o->arg, o->buffer, o->n);
        o->bytes += o->n;
    }
    o->n = 0;
}

void sp_out_mem(struct sp_out *o, const void *data, size_t n)
{
    const char *p = data;
    while (n) {
        if (o->n == o->cap)
            flush(o);
        size_t part = o->cap - o->n < n ? o->cap - o->n : n;
        memcpy(o->buffer + o->n, p, part);
        o->n += part;
        p += part;
        n -= part;
    }
}

void sp_out_str(struct sp_out *o, const char *s)
{
    sp_out_mem(o, s, strlen(s));
}

void sp_out_u64(struct sp_out *o, uint64_t v)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    sp_out_mem(o, digits + at, sizeof digits - at);
}

void sp_out_i64(struct sp_out *o, int64_t v)
{
    if (v < 0)
        sp_out_char(o, '-');
    sp_out_u64(o, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

int sp_out_finish(struct sp_out *o)
{
    flush(o);
    return o->error;
}
