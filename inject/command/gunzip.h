/* SPDX-License-Identifier: MIT
 * gzip files (RFC 1952): as the library writes them, with blocks that are stored, and as others compress them. */
#ifndef SP_INJECT_COMMAND_GUNZIP_H
#define SP_INJECT_COMMAND_GUNZIP_H

#include <stddef.h>

/* [any] Puts what is in a gzip file of *n bytes in its place, with a NUL behind; other text stays. *text is the caller's, from
 * malloc(). NULL; or why it cannot be read, and *text stays. */
const char *sp_gunzip(char **text, size_t *n);

/* [any] Of a file that begins so the first bytes of what is in it, `cap` at most: how many were found; of what is no gzip file its
 * own. */
size_t sp_gunzip_begin(const char *head, size_t n, char *content, size_t cap);

#endif
