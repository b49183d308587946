/* SPDX-License-Identifier: MIT
 * See inflate.h: by zlib. */
#include "inject/command/inflate.h"

#include <limits.h>
#include <zlib.h>

#include "inject/command/command.h"

const bool sp_inflate_can = true;

static uInt some_of(size_t n)
{
    return n < UINT_MAX ? (uInt)n : UINT_MAX;
}

/* False: it is as large as it may be. */
static bool grow(struct sp_inflate *z)
{
    if (z->cap >= z->most)
        return false;
    size_t doubled = z->cap < 4096 ? 8192 : 2 * z->cap;
    z->cap = doubled < z->most ? doubled : z->most;
    z->out = sp_cli_alloc(z->out, z->cap);
    return true;
}

/* One call of the library's. What has come to its end wants no more room. */
static int step(z_stream *s, struct sp_inflate *z)
{
    s->next_in = (z_const Bytef *)(uintptr_t)z->in;
    s->avail_in = some_of((size_t)(z->end - z->in));
    s->next_out = z->out ? (Bytef *)z->out + z->n : (Bytef *)s;
    s->avail_out = some_of(z->cap - z->n);
    uInt had = s->avail_in, room = s->avail_out;
    int rc = inflate(s, Z_NO_FLUSH);
    z->in += had - s->avail_in;
    z->n += room - s->avail_out;
    return rc;
}

enum sp_inflated sp_inflate(struct sp_inflate *z)
{
    z_stream s = {.next_in = NULL};
    int rc = inflateInit2(&s, -MAX_WBITS);
    bool fits = true;
    for (bool goes_on = rc == Z_OK; goes_on;) {
        bool had_room = z->n < z->cap;
        rc = step(&s, z);
        goes_on = rc == Z_OK || (rc == Z_BUF_ERROR && !had_room); /* else it is cut off */
        if (goes_on && z->n == z->cap)
            goes_on = fits = grow(z);
    }
    inflateEnd(&s);
    return rc == Z_STREAM_END ? SP_INFLATED_WHOLE : fits ? SP_INFLATED_DAMAGED : SP_INFLATED_FULL;
}
