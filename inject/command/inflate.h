/* SPDX-License-Identifier: MIT
 * DEFLATE (RFC 1951), as gzip and everybody else compresses: unpacked here, so that every command can, also one that was built
 * without other libraries. */
#ifndef SP_INJECT_COMMAND_INFLATE_H
#define SP_INJECT_COMMAND_INFLATE_H

#include <stddef.h>
#include <stdint.h>

enum sp_inflated {
    SP_INFLATED_WHOLE,   /* to its end */
    SP_INFLATED_FULL,    /* there is no more room */
    SP_INFLATED_DAMAGED, /* it is cut off, or no such data */
};

struct sp_inflate {
    const uint8_t *in; /* the next byte; behind the data, when it was whole */
    const uint8_t *end;
    char *out;           /* the caller's; grows (sp_cli_alloc()) if `cap` is below `most` */
    size_t n, cap, most; /* bytes that are in it, for which there is room, and may be; the first of these stay */
    uint64_t bits;       /* read and not used yet, the next one lowest */
    unsigned n_bits;
};

/* [any] Adds what the data is to `out`. */
enum sp_inflated sp_inflate(struct sp_inflate *z);

#endif
