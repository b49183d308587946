/* SPDX-License-Identifier: MIT
 * The command spprof: one function and one row of a table (main.c) a subcommand. Each returns the exit status. */
#ifndef SP_INJECT_COMMAND_COMMAND_H
#define SP_INJECT_COMMAND_COMMAND_H

#include <stdbool.h>
#include <stdio.h>

struct sp_cli_pair {
    const char *name, *meaning;
    const char *more; /* NULL: nothing */
};

struct sp_cli_subcommand {
    const char *name; /* NULL: the end of the table */
    int (*run)(int argc, char **argv);
    const char *arguments; /* in the way of a synopsis */
    const char *does;      /* half a sentence */
    const char *text;      /* more of it; NULL: nothing */
    struct sp_cli_pair options[8];
    const char *status; /* the exit status, beside 2 for a wrong usage */
};

extern const struct sp_cli_subcommand sp_cli_subcommands[]; /* main.c */
extern const struct sp_cli_pair sp_cli_options[];           /* of the library; ends like the other */

/* Prints the manual page. */
void sp_cli_manual(FILE *out);

/* Prints what a shell ("bash", "zsh", "fish") completes. False: there is nothing for this one. */
bool sp_cli_completion(FILE *out, const char *shell);

/* The subcommands: argv[0] is the name. */
int sp_cli_report(int argc, char **argv);
int sp_cli_check(int argc, char **argv);
int sp_cli_run(int argc, char **argv);
int sp_cli_recover(int argc, char **argv);
int sp_cli_snapshot(int argc, char **argv);
int sp_cli_symbolize(int argc, char **argv);

/* [any] What the subcommand takes, from main.c's table. */
void sp_cli_usage(FILE *out, const char *subcommand);

/* [any] The library that LD_PRELOAD names here, or else the one that was built or installed with this command: its real
 * path, in `out` of PATH_MAX bytes; NULL: there is none. */
const char *sp_cli_library(char *out);

/* [any] NULL: LD_PRELOAD can name this file; or why it cannot. */
const char *sp_cli_library_refused(const char *library);

/* [any] Prints text that nobody vouches for: what could speak to the terminal or change how a line is read (control and
 * format characters, broken UTF-8) becomes a visible escape. Returns the characters printed. */
int sp_cli_print(FILE *out, const char *text);

/* [any] A line on stderr, "spprof: NAME: WHAT"; 1. `name` may hold anything. */
int sp_cli_fail(const char *name, const char *what);

/* [any] realloc() that ends the command where there is no memory. */
void *sp_cli_alloc(void *p, size_t n);

/* [any] Whether to colour: standard output is a terminal and NO_COLOR is not set. */
bool sp_cli_colours(void);

#endif
