/* SPDX-License-Identifier: MIT
 * What a subcommand is given to read: a file, a pipe, or "-" for standard input. */
#ifndef SP_INJECT_COMMAND_INPUT_H
#define SP_INJECT_COMMAND_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "compat/base.h"

#define SP_INPUT_MOST (1ull << 30) /* bytes: no profile of ours is larger */
#define SP_INPUT_TOO_LARGE "is larger than 1 GB; no profile of spprof is"

/* Whether the name means standard input; and what messages call it. */
SP_INLINE bool sp_input_is_standard(const char *name)
{
    return strcmp(name, "-") == 0;
}

SP_INLINE const char *sp_input_name(const char *name)
{
    return sp_input_is_standard(name) ? "standard input" : name;
}

/* [any] Opens it. NULL, and the caller closes *fd; or why not, and errno. Standard input can be read once. */
const char *sp_input_open(const char *name, int *fd);

/* [any] stat() of what it would open. False: there is none. */
bool sp_input_stat(const char *name, struct stat *st);

/* [any] All of it, as far as it can be JSON or a gzip file (a device may have no end), with a NUL behind; the caller frees it.
 * *n above SP_INPUT_MOST: it goes on. */
char *sp_input_text(int fd, size_t *n);

/* [any] A region that comes through a pipe and of which n bytes at `begun` have been read: as much of it as is in use in a file of its
 * own, *copy, which the caller closes. NULL, or why not. */
const char *sp_input_copy_region(int fd, const char *begun, size_t n, int *copy);

#endif
