/* SPDX-License-Identifier: MIT
 * The command spprof. It runs beside the library, never inside a host: stdio and allocation are fine here. The
 * table of its subcommands feeds the dispatch, `spprof help` and the manual page (manual.c). */
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat/base.h"
#include "compat/version.h"
#include "inject/command/command.h"
#include "inject/command/demangle.h"
#include "inject/command/source_lines.h"
#include "inject/command/unxz.h"

static int help(int argc, char **argv);
static int version(int argc, char **argv);
static int lib(int argc, char **argv);

const struct sp_cli_subcommand sp_cli_subcommands[] = {
    {
        .name = "run",
        .run = sp_cli_run,
        .arguments = "[OPTION...] [--] COMMAND [ARG...]",
        .does = "runs a program under the library",
        .text =
            "Sets the environment and becomes COMMAND: same process, status, signals and files. The options of the library\n"
            "are options here: --interval 1ms is SPPROF_INTERVAL=1ms.",
        .options = {{"-o OUT", "the profile's name, as --out", NULL},
                    {"--report", "waits for COMMAND, hands signals on to it, and prints the report to standard error;",
                     "without -o the profile is not kept"},
                    {"--library FILE", "the library (default: that of LD_PRELOAD, or beside this command)", NULL},
                    {"--NAME VALUE", "SPPROF_NAME=VALUE, see below", NULL}},
        .status = "that of COMMAND, or its signal; 126 if it cannot be run, 127 if it is not there",
    },
    {
        .name = "report",
        .run = sp_cli_report,
        .arguments = "[OPTION...] FILE | PID...",
        .does = "prints the hottest functions of a profile, or of several together",
        .text =
            "Reads Speedscope files, spool files as they are (what they hold up to now), and a running process, by its spool\n"
            "file or its memory, if there is no file of that name. It says what a source has not: a file of stacks shows\n"
            "its own bounds, a spool file has none.\n"
            "Processes beyond SPPROF_FILES have a line in a file NAME.skipped in place of a profile: the sum of these is\n"
            "shown if such a file is given, or is beside a profile that is.",
        .options = {{"--by WHAT", "what a row is: function, line, file, library, thread or process (function)",
                     "(library: native code's [libz.so.1], Python's package, (standard library), (program))"},
                    {"--sort ORDER", "by self, total or name (self)", NULL},
                    {"-n ROWS", "rows to print (20; 0: all)", NULL},
                    {"--wall",
                     "whole lives of threads, with their waits, and CPU beside them; of files made with SPPROF_WALL=1", NULL},
                    {"--thread RE", "only threads whose name matches this extended regular expression", NULL}},
        .status = "0; 1 if a file could not be read",
    },
    {
        .name = "check",
        .run = sp_cli_check,
        .arguments = "[OPTION...] [PYTHON | PID]",
        .does = "tells whether and how profiling works here",
        .text = "Starts PYTHON (default: python3) under the library with a small program and looks at what came of "
                "it,\n"
                "and at what this system allows; nothing is left behind. Of a running process it tells whether the\n"
                "library is loaded, and with which options.",
        .options = {{"--library FILE", "the library (default: that of LD_PRELOAD, or beside this command)", NULL},
                    {"-q", "nothing but the exit status", NULL}},
        .status = "0 if it works; 1 if it works, but something is missing that the lines marked \"but\" name; 3 if "
                  "it does not, or cannot be told",
    },
    {
        .name = "recover",
        .run = sp_cli_recover,
        .arguments = "[OPTION...] FILE...",
        .does = "writes the profile of a killed process from its spool file",
        .text = "SPPROF_SPOOL=DIRECTORY leaves such a file if the process is killed.",
        .options = {{"-o OUT", "the profile's name; - is standard output; one FILE only", "(FILE with .speedscope.json)"},
                    {"--remove", "removes what was written out, but never a file that a process still has", NULL},
                    {"--force", "also where nothing tells whether a process has it: on overlayfs and network file systems",
                     "(if the process was of another container or machine)"}},
        .status = "0; 1 if a profile could not be written",
    },
    {
        .name = "snapshot",
        .run = sp_cli_snapshot,
        .arguments = "[OPTION...] PID | FILE",
        .does = "writes the profile of a running process, which notices nothing",
        .text = "From its spool file, or else from its memory, if the system lets this user read that.",
        .options = {{"-o OUT", "the profile's name; - is standard output", "(spprof-PID.speedscope.json here)"}},
        .status = "0; 1 if the profile could not be written",
    },
    {
        .name = "symbolize",
        .run = sp_cli_symbolize,
        .arguments = "[OPTION...] FILE",
        .does = "finds names and source lines of a profile's native functions, later or on another machine",
        .text = "Looks for the symbols and debug files of the libraries, all by build id: at the paths that the process knew,\n"
                "under /usr/lib/debug and in the directories that are given. Whatever else the profile holds stays.",
        .options = {{"--debug-dir D", "a directory to look in as well; may be given up to eight times",
                     "(D/.build-id as /usr/lib/debug has it, an unpacked image, libraries and .debug files side by side)"},
                    {"-o OUT", "the new profile's name; - is standard output", "(FILE itself)"}},
        .status = "0, found or not; 1 if the profile could not be read or written",
    },
    {
        .name = "help",
        .run = help,
        .arguments = "[COMMAND]",
        .does = "prints this text, or what a command does",
        .options = {{"--man", "the manual page", NULL}, {"--completion SHELL", "what bash, zsh or fish completes", NULL}},
        .status = "0",
    },
    {
        .name = "lib",
        .run = lib,
        .arguments = "",
        .does = "prints the path of the library, for LD_PRELOAD; --lib is the same",
        .status = "0; 1 if it is not beside this command",
    },
    {.name = "version", .run = version, .arguments = "", .does = "prints the version", .status = "0"},
    {.name = NULL},
};

static const struct sp_cli_subcommand *find(const char *name)
{
    const struct sp_cli_subcommand *c = sp_cli_subcommands;
    while (c->name && strcmp(c->name, name) != 0)
        c++;
    return c->name ? c : NULL;
}

void sp_cli_usage(FILE *out, const char *name)
{
    const struct sp_cli_subcommand *c = find(name);
    if (!c)
        return;
    fprintf(out, "usage: spprof %s %s\n\n%s %s.\n%s%s", c->name, c->arguments, c->name, c->does, c->text ? c->text : "",
            c->text ? "\n" : "");
    for (const struct sp_cli_pair *o = c->options; o->name; o++)
        fprintf(out, "%s  %-14s %s%s%s\n", o == c->options ? "\n" : "", o->name, o->meaning,
                o->more ? "\n                 " : "", o->more ? o->more : "");
    fprintf(out, "\nExit status: %s; 2 for a wrong usage.\n", c->status);
}

static void overview(FILE *out)
{
    fprintf(out, "spprof " SPPROF_VERSION " - profiles any Python program by being preloaded\n\n"
                 "    LD_PRELOAD=/path/to/libspprof.so SPPROF_OUT=profile.json python app.py\n\n");
    for (const struct sp_cli_subcommand *c = sp_cli_subcommands; c->name; c++)
        fprintf(out, "%s spprof %-9s %-26s %s\n", c == sp_cli_subcommands ? "usage:" : "      ", c->name, c->arguments,
                c->does);
    fprintf(out, "\nThe library reads these variables of the environment:\n\n");
    for (const struct sp_cli_pair *o = sp_cli_options; o->name; o++)
        fprintf(out, "  %-16s %s\n%19s%s\n", o->name, o->meaning, "", o->more);
}

static int unknown(const char *name)
{
    fprintf(stderr, "spprof: no command \"");
    sp_cli_print(stderr, name);
    fprintf(stderr, "\"; commands are");
    for (const struct sp_cli_subcommand *c = sp_cli_subcommands; c->name; c++)
        fprintf(stderr, "%s %s", c == sp_cli_subcommands ? "" : ",", c->name);
    fputc('\n', stderr);
    return 2;
}

static int help(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "--man") == 0) {
        sp_cli_manual(stdout);
    } else if (strcmp(what, "--completion") == 0) {
        const char *shell = argc > 2 ? argv[2] : "";
        return sp_cli_completion(stdout, shell)
                   ? 0
                   : (sp_cli_fail(shell, "is no shell that completion is for; use bash, zsh or fish"), 2);
    } else if (find(what)) {
        sp_cli_usage(stdout, what);
    } else if (*what && *what != '-') {
        return unknown(what);
    } else {
        overview(stdout);
    }
    return 0;
}

static int version(int argc, char **argv)
{
    (void)argc, (void)argv;
    puts("spprof " SPPROF_VERSION);
    printf("%s libiberty\n%s libdw\n%s liblzma\n", sp_cli_demangles ? "with" : "without",
           sp_source_lines_can ? "with" : "without", sp_unxz_can ? "with" : "without");
    return 0;
}

static int lib(int argc, char **argv)
{
    char library[PATH_MAX];
    (void)argc, (void)argv;
    if (sp_cli_library(library))
        return puts(library) < 0;
    fprintf(stderr, "spprof: libspprof.so: it is not beside this command\n");
    return 1;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    name = strcmp(name, "--version") == 0                           ? "version"
           : strcmp(name, "--lib") == 0                             ? "lib"
           : strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 ? "help"
                                                                    : name;
    const struct sp_cli_subcommand *c = find(name);
    opterr = 0; /* getopt() would print the option as it is */
    if (c)
        return c->run(argc - 1, argv + 1);
    if (*name)
        return unknown(name);
    overview(stderr);
    return 2;
}
