/* SPDX-License-Identifier: MIT
 * The command spprof. It runs beside the library, never inside a host: stdio and allocation are fine here. */
#include "inject/command/command.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat/version.h"

struct option_row {
    const char *name, *values, *fallback, *meaning;
};

static const struct option_row options[] = {
#define SP_OPTION(field, name, kind, lowest, highest, fallback, values, fallback_text, meaning) \
    {name, values, fallback_text, meaning},
#include "inject/options.def"
#undef SP_OPTION
};

static void help(FILE *out)
{
    fprintf(out,
            "spprof " SPPROF_VERSION " - profiles any Python program by being preloaded\n\n"
            "    LD_PRELOAD=/path/to/libspprof.so SPPROF_OUT=profile.json python app.py\n\n"
            "usage: spprof report [options] FILE    print the hottest functions of a profile\n"
            "       spprof recover [options] FILE...   writes the profile of a killed process from its spool file\n"
            "       spprof snapshot [options] PID|FILE writes the profile of a running process, which notices nothing\n"
            "       spprof help [COMMAND]           this text, or the options of a command\n"
            "       spprof version\n\n"
            "The library reads these variables of the environment:\n\n");
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        fprintf(out, "  %-16s %s\n%19s(%s; default: %s)\n", options[i].name, options[i].meaning, "", options[i].values,
                options[i].fallback);
}

/* The manual page, from the same table. */
static void manual(FILE *out)
{
    fprintf(out, ".TH SPPROF 1 \"\" \"spprof " SPPROF_VERSION "\"\n"
                 ".SH NAME\nspprof \\- profile any Python program by preloading\n"
                 ".SH SYNOPSIS\n.B LD_PRELOAD=libspprof.so\n.RI [ SPPROF_OPTION = value ...]\n.I program\n.br\n"
                 ".B spprof report\n.RI [ options ]\n.I file\n.br\n.B spprof recover\n.RI [ options ]\n.IR file ...\n.br\n"
                 ".B spprof snapshot\n.RI [ options ]\n.IR pid | file\n.SH DESCRIPTION\n"
                 "The library samples every thread of every CPython process below by its CPU time and writes a "
                 "Speedscope profile when the process ends. The command prints the hottest functions of such a file.\n"
                 "With SPPROF_SPOOL the profile lives in a file while the process runs: recover writes it out after a kill, "
                 "snapshot at any time; without a spool file snapshot reads the process's memory, where the system allows it.\n"
                 ".SH RECOVER AND SNAPSHOT OPTIONS\n.TP\n.BR \\-o \" FILE\"\nwhere the profile goes; \\- is standard output\n"
                 ".TP\n.BR \\-\\-remove\nrecover: removes the spool files that were written out, never one that a process still has\n"
                 ".TP\n.BR \\-\\-force\nrecover: also where nothing tells whether a process has it\n"
                 ".SH REPORT OPTIONS\n.TP\n.BR \\-\\-sort \" self|total|name\"\norder of the rows (self)\n"
                 ".TP\n.BR \\-n \" N\"\nrows (20; 0: all)\n"
                 ".TP\n.BR \\-\\-by \" function|line|file|thread\"\nwhat a row is (function)\n"
                 ".TP\n.BR \\-\\-thread \" RE\"\nonly threads whose name matches\n.SH ENVIRONMENT\n");
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        fprintf(out, ".TP\n.B %s\n%s (%s; default: %s)\n", options[i].name, options[i].meaning, options[i].values,
                options[i].fallback);
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    if (strcmp(command, "report") == 0)
        return sp_cli_report(argc - 1, argv + 1);
    if (strcmp(command, "recover") == 0)
        return sp_cli_recover(argc - 1, argv + 1);
    if (strcmp(command, "snapshot") == 0)
        return sp_cli_snapshot(argc - 1, argv + 1);
    if (strcmp(command, "version") == 0 || strcmp(command, "--version") == 0) {
        puts("spprof " SPPROF_VERSION);
        return 0;
    }
    if (strcmp(command, "help") == 0 && argc > 2 && argv[2][0] != '-') {
        char *ask[] = {argv[0], argv[2], (char *)"--help", NULL};
        return main(3, ask);
    }
    if (strcmp(command, "help") == 0 && argc > 2 && strcmp(argv[2], "--man") == 0) {
        manual(stdout);
        return 0;
    }
    if (strcmp(command, "help") == 0 || strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0) {
        help(stdout);
        return 0;
    }
    if (*command)
        fprintf(stderr, "spprof: no command \"%s\"; commands are report, recover, snapshot, help, version\n", command);
    else
        help(stderr);
    return 2;
}
