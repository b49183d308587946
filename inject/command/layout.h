/* SPDX-License-Identifier: MIT
 * Lines that fit a terminal. Elsewhere nothing is left out. */
#ifndef SP_INJECT_COMMAND_LAYOUT_H
#define SP_INJECT_COMMAND_LAYOUT_H

#include <stdio.h>

/* [any] Columns of the terminal that standard output is: COLUMNS, or what the system says, at least 40; 0: it is none, lines may
 * have any length. */
int sp_layout_columns(void);

/* [any] sp_cli_print() in at most so many columns (below 8: 8; 0: any): the path of "name (path:line)" is shortened from its
 * left, "…/conv.py:534", then the name in its middle. Returns the columns used. */
int sp_layout_print(FILE *out, const char *text, int columns);

/* [any] sp_cli_print() of a line of source: with blanks for tabs, in at most so many columns (0: any), its end left out. */
void sp_layout_print_source(FILE *out, const char *text, int columns);

/* [any] Prints lines, which hold nothing that speaks to the terminal, in at most so many columns (0: any): broken at blanks, what is
 * left under the words behind "Title:    ". */
void sp_layout_print_lines(FILE *out, const char *lines, int columns);

#endif
