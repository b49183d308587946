/* SPDX-License-Identifier: MIT
 * DEFLATE (RFC 1951), as gzip and everybody else compresses. */
#ifndef SP_INJECT_COMMAND_INFLATE_H
#define SP_INJECT_COMMAND_INFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sp_inflated {
    SP_INFLATED_WHOLE,   /* to its end */
    SP_INFLATED_FULL,    /* there is no more room */
    SP_INFLATED_DAMAGED, /* it is cut off, or no such data */
    SP_INFLATED_UNKNOWN, /* it is compressed, and there is no library for that */
};

struct sp_inflate {
    const uint8_t *in; /* the next byte; behind the data, when it was whole */
    const uint8_t *end;
    char *out;           /* the caller's; grows (sp_cli_alloc()) if `cap` is below `most` */
    size_t n, cap, most; /* bytes that are in it, for which there is room, and may be; the first of these stay */
};

/* [any] Adds what the data is to `out`. */
enum sp_inflated sp_inflate(struct sp_inflate *z);

/* Whether this command was built with a library for it; else what is stored uncompressed is read, as the library writes it. */
extern const bool sp_inflate_can;

#endif
