/* SPDX-License-Identifier: MIT
 * The command spprof: one function a subcommand. Each returns the exit status. */
#ifndef SP_INJECT_CLI_H
#define SP_INJECT_CLI_H

#include <stdbool.h>
#include <stdio.h>

int sp_cli_report(int argc, char **argv);
int sp_cli_recover(int argc, char **argv);
int sp_cli_snapshot(int argc, char **argv);

/* Prints text from a profile: control characters and broken UTF-8 become visible escapes, so that no name can
 * speak to the terminal. Returns the columns used. */
int sp_cli_print(FILE *out, const char *text);

/* Whether to colour: standard output is a terminal and NO_COLOR is not set. */
bool sp_cli_colours(void);

#endif
