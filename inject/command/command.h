/* SPDX-License-Identifier: MIT
 * The command spprof: one function a subcommand. Each returns the exit status; main.c lists them. */
#ifndef SP_INJECT_COMMAND_COMMAND_H
#define SP_INJECT_COMMAND_COMMAND_H

#include <stdbool.h>
#include <stdio.h>

/* The subcommands: argv[0] is the name. */
int sp_cli_report(int argc, char **argv);
int sp_cli_check(int argc, char **argv);
int sp_cli_recover(int argc, char **argv);
int sp_cli_snapshot(int argc, char **argv);

/* [any] What the subcommand takes, from main.c's table. */
void sp_cli_usage(FILE *out, const char *subcommand);

/* [any] Prints text that nobody vouches for: what could speak to the terminal or change how a line is read (control and
 * format characters, broken UTF-8) becomes a visible escape. Returns the characters printed. */
int sp_cli_print(FILE *out, const char *text);

/* [any] Whether to colour: standard output is a terminal and NO_COLOR is not set. */
bool sp_cli_colours(void);

#endif
