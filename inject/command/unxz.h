/* SPDX-License-Identifier: MIT
 * XZ, in which a section .gnu_debugdata holds symbols. */
#ifndef SP_INJECT_COMMAND_UNXZ_H
#define SP_INJECT_COMMAND_UNXZ_H

#include <stdbool.h>
#include <stddef.h>

/* [any] What `data` is, unpacked, into a file in memory: its descriptor. -1: it is damaged, or there is no library for it. */
int sp_unxz(const void *data, size_t n);

/* Whether this command was built with a library for it. */
extern const bool sp_unxz_can;

#endif
