/* SPDX-License-Identifier: MIT
 * Headers of a request, which may be secret. */
#ifndef SP_INJECT_COMMAND_SHIP_HEADER_H
#define SP_INJECT_COMMAND_SHIP_HEADER_H

#include <stddef.h>

struct sp_headers { /* all zero: none */
    char **of;      /* owned, as each of them */
    size_t n;
};

/* [any] Takes "Name: value" from a command line, and hides it there: who lists processes would see it. NULL, or why it is none. */
const char *sp_headers_take(struct sp_headers *h, char *argument);

/* [any] Takes one a line; blank lines and such with # are none. NULL, or why not. */
const char *sp_headers_read(struct sp_headers *h, const char *file);

/* [any] Adds one that is right. */
void sp_headers_add(struct sp_headers *h, const char *header);

/* [any] Frees them. */
void sp_headers_free(struct sp_headers *h);

#endif
