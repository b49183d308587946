/* SPDX-License-Identifier: MIT
 * gzip files as the library writes them: blocks that are stored (writers/gzip.h). */
#ifndef SP_INJECT_COMMAND_GUNZIP_H
#define SP_INJECT_COMMAND_GUNZIP_H

#include <stddef.h>

/* [any] Puts what is in a gzip file of *n bytes, with room for a NUL behind, in its place; other text stays. NULL; or why it cannot be
 * read. */
const char *sp_gunzip(char *text, size_t *n);

#endif
