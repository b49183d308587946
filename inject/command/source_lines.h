/* SPDX-License-Identifier: MIT
 * Source lines of functions, from debug information (DWARF). */
#ifndef SP_INJECT_COMMAND_SOURCE_LINES_H
#define SP_INJECT_COMMAND_SOURCE_LINES_H

#include <stdbool.h>
#include <stdint.h>

#define SP_SOURCE_FILE_BYTES 4096

/* [any] Calls found(arg, i, file, line) for the addresses, ascending, whose line the file at `fd` tells. It is read in a process
 * of its own, whose end by a signal, after too much time or memory, does no harm. NULL; else why not all may be told. */
const char *sp_source_lines(int fd, const uint64_t *address, uint32_t n,
                            void (*found)(void *arg, uint32_t i, const char *file, int line), void *arg);

/* Whether this command was built with a library for it. */
extern const bool sp_source_lines_can;

#endif
