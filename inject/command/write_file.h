/* SPDX-License-Identifier: MIT
 * A profile written by the command: whole or not at all. */
#ifndef SP_INJECT_COMMAND_WRITE_FILE_H
#define SP_INJECT_COMMAND_WRITE_FILE_H

#include <sys/types.h>

#include "writers/out.h"

/* [any] Has `write` write a file, "-" being standard output: beside its name first, so that a reader never sees half a file, and an
 * older profile goes only when the new one is there. A pipe or a device is written to as it is; what else stands under the name and is no
 * profile of ours stays. mode: of the file; 0: as the library does it. `write` returns 0 or a negative errno. 0; else 1, and a line on
 * stderr. */
int sp_cli_write_file(const char *name, mode_t mode, int (*write)(struct sp_out *o, void *arg), void *arg);

/* [any] A sink of struct sp_out: writes to the descriptor at `fd`, an int. 0, or a negative errno. */
int sp_cli_fd_sink(void *fd, const void *data, size_t n);

#endif
