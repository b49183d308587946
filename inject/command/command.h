/* SPDX-License-Identifier: MIT
 * The command spprof: one function and one row of a table (main.c) a subcommand. Each returns the exit status. */
#ifndef SP_INJECT_COMMAND_COMMAND_H
#define SP_INJECT_COMMAND_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* ---- the table */
struct sp_cli_option {
    const char *name;   /* "--by WHAT", "-q"; of the library "SPPROF_INTERVAL"; NULL: the end */
    const char *values; /* that it takes: "self, total, name"; what has a blank in it is no word but tells of some. NULL: any */
    const char *meaning;
    const char *more; /* NULL: nothing */
};

/* Of what may ask a process by a signal (ring.h). */
#define SP_CLI_NO_SIGNAL                                                                                 \
    {                                                                                                    \
        "--no-signal", NULL, "no process is asked: what may be read without is, or a line says so", NULL \
    }

#define SP_CLI_LIBRARY_OPTIONS "--NAME VALUE" /* the name of a row that stands for all of the library's */

struct sp_cli_subcommand {
    const char *name; /* NULL: the end of the table */
    int (*run)(int argc, char **argv);
    const char *arguments; /* in the way of a synopsis */
    int least, most;       /* how many arguments there may be beside options */
    bool is_wrapper;       /* from the first of them on they are another command's line */
    const char *does;      /* half a sentence */
    const char *text;      /* more of it; NULL: nothing */
    struct sp_cli_option options[24];
    const char *status; /* the exit status, beside 2 for a wrong usage */
};

extern const struct sp_cli_subcommand sp_cli_subcommands[]; /* main.c */
extern const struct sp_cli_option sp_cli_library_options[]; /* manual.c */

#define SP_CLI_FORMATS "speedscope, pprof, chrome, html, collapsed" /* keys of writers/writer.c */

/* [any] The row of that name; NULL: there is none. */
const struct sp_cli_subcommand *sp_cli_find(const char *name);

/* [any] Prints the page of the formats, spprof.5. */
void sp_cli_manual_format(FILE *out);

#define SP_CLI_SHELLS "bash, zsh, fish"

/* [any] Prints the manual page. */
void sp_cli_manual(FILE *out);

/* [any] Prints what a shell, one of these, completes. */
void sp_cli_completion(FILE *out, const char *shell);

/* ---- options (options.c) */
struct sp_cli_typed {  /* as it is typed */
    char name[32];     /* "--by", "-q", "--interval" */
    const char *takes; /* "WHAT"; NULL: no value */
    const struct sp_cli_option *row;
    bool is_library;
};

/* [any] The options of a subcommand, one by one; false: there are no more. */
bool sp_cli_option_at(const struct sp_cli_subcommand *c, size_t i, struct sp_cli_typed *o);

/* [any] The words among the values of a row, one by one; false: there are no more. */
bool sp_cli_choice(const char *values, size_t i, char *out, size_t cap);

struct sp_cli_given {
    const char *name;  /* "--by", "-q"; of the library "SPPROF_INTERVAL" */
    const char *value; /* NULL: it takes none */
    int choice;        /* which of the row's words it is; -1: it has none */
};

/* [any] Is handed each option of a command line. Returns NULL, or what is wrong with the value and what to do; "": it is not one
 * of the values in the row. */
typedef const char *sp_cli_take(void *arg, const struct sp_cli_given *given);

/* [any] Reads the options that the row of argv[0] has, and -h, --help, which print it; values that are none of its words are
 * refused. -1: all is well, optind is at the other arguments, of which there are as many as the row says. Else the exit status:
 * help was printed, or a line that names the option, what is wrong and what to do. */
int sp_cli_parse(int argc, char **argv, sp_cli_take *take, void *arg);

/* [any] Such a line; 2. value NULL: none was given. */
int sp_cli_refuse(const char *subcommand, const char *option, const char *value, const char *why);

/* [any] A page of these profiles, which nobody named: one process's as it is, of more one profile. The exit status. */
int sp_cli_page(char **names, size_t n, const char *out);

/* ---- the subcommands
 * [any] argv[0] is the name. Returns the exit status. */
int sp_cli_report(int argc, char **argv);
int sp_cli_check(int argc, char **argv);
int sp_cli_run(int argc, char **argv);
int sp_cli_recover(int argc, char **argv);
int sp_cli_snapshot(int argc, char **argv);
int sp_cli_start(int argc, char **argv);
int sp_cli_stop(int argc, char **argv);
int sp_cli_reset(int argc, char **argv);
int sp_cli_dump(int argc, char **argv);
int sp_cli_top(int argc, char **argv);
int sp_cli_symbolize(int argc, char **argv);
int sp_cli_convert(int argc, char **argv);
int sp_cli_merge(int argc, char **argv);
int sp_cli_diff(int argc, char **argv);
int sp_cli_install(int argc, char **argv);
int sp_cli_ship(int argc, char **argv);

/* ---- what they share */
/* [any] Prints what the subcommand takes, from main.c's table. */
void sp_cli_usage(FILE *out, const char *subcommand);

/* [any] The library that LD_PRELOAD names here, or else the one that was built or installed with this command: its real
 * path, in `out` of PATH_MAX bytes; NULL: there is none. */
const char *sp_cli_library(char *out);

/* [any] NULL: LD_PRELOAD can name this file; or why it cannot. */
const char *sp_cli_library_refused(const char *library);

/* [any] Prints text that nobody vouches for: what could speak to the terminal or change how a line is read (control and
 * format characters, broken UTF-8) becomes a visible escape. Returns the characters printed. */
int sp_cli_print(FILE *out, const char *text);

/* [any] Columns that the character at s, of what sp_cli_print() printed, takes in a terminal, and in *bytes its bytes. */
int sp_cli_character(const char *s, size_t *bytes);

/* [any] sp_cli_print() as a string of JSON with its quotes; what it would escape becomes \uXXXX. */
void sp_cli_print_json(FILE *out, const char *text);

/* [any] "1.23s": a time for people. */
void sp_cli_time(double ns, char *out, size_t cap);

/* [any] A line on stderr, "spprof: NAME: WHAT"; 1. `name` may hold anything. */
int sp_cli_fail(const char *name, const char *what);

/* [any] realloc() that ends the command where there is no memory. */
void *sp_cli_alloc(void *p, size_t n);

/* [any] Whether to colour: standard output is a terminal and NO_COLOR is not set. */
bool sp_cli_colours(void);

#endif
