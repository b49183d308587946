/* SPDX-License-Identifier: MIT
 * Arguments that name profiles: files, processes, directories of profiles, and patterns that the shell left alone. */
#ifndef SP_INJECT_COMMAND_EXPAND_H
#define SP_INJECT_COMMAND_EXPAND_H

#include <stdbool.h>
#include <stddef.h>

struct sp_cli_names {
    char **name; /* owned, as each of them */
    size_t n;
};

/* [any] What the arguments name: of a directory the Speedscope and spool files in it by their names' order; each file once, and a
 * line says so. 0; else 1: a line said of one that there is nothing. sp_cli_names_free() in both cases. */
int sp_cli_expand(struct sp_cli_names *names, char **arguments, int n);

/* [any] Whether one of them is the file of that name, which would be lost if it were written to; a line says so. */
bool sp_cli_names_have(const struct sp_cli_names *names, const char *file);

/* [any] Frees them. */
void sp_cli_names_free(struct sp_cli_names *names);

#endif
