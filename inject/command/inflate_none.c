/* SPDX-License-Identifier: MIT
 * See inflate.h: without zlib. What writers/gzip.c makes, stored blocks, is read. */
#include "inject/command/inflate.h"

#include <string.h>

#include "inject/command/command.h"

#define HEAD_BYTES 5 /* the kind of the block, which ends at a byte, and its length, twice (RFC 1951, 3.2.4) */

const bool sp_inflate_can = false;

/* As much as there may be. */
static bool add(struct sp_inflate *z, size_t bytes)
{
    bool fits = bytes <= z->most - z->n;
    bytes = fits ? bytes : z->most - z->n;
    if (bytes > z->cap - z->n)
        z->out = sp_cli_alloc(z->out, z->cap = bytes < z->most / 2 - z->n ? 2 * (z->n + bytes) : z->most);
    if (bytes)
        memcpy(z->out + z->n, z->in, bytes);
    z->n += bytes;
    z->in += bytes;
    return fits;
}

enum sp_inflated sp_inflate(struct sp_inflate *z)
{
    for (bool is_last = false; !is_last;) {
        const uint8_t *at = z->in;
        if (z->end - at < HEAD_BYTES)
            return SP_INFLATED_DAMAGED;
        size_t bytes = at[1] | (size_t)at[2] << 8, check = at[3] | (size_t)at[4] << 8,
               left = (size_t)(z->end - at) - HEAD_BYTES;
        is_last = at[0] & 1;
        if (at[0] >> 1 != 0)
            return SP_INFLATED_UNKNOWN;
        if (bytes != (~check & 0xffff))
            return SP_INFLATED_DAMAGED;
        z->in += HEAD_BYTES;
        if (!add(z, bytes < left ? bytes : left))
            return SP_INFLATED_FULL;
        if (bytes > left)
            return SP_INFLATED_DAMAGED;
    }
    return SP_INFLATED_WHOLE;
}
