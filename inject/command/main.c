/* SPDX-License-Identifier: MIT
 * The command spprof. It runs beside the library, never inside a host: stdio and allocation are fine here. The
 * table of its subcommands feeds the dispatch, the reading of options (options.c), `spprof help`, the manual page (manual.c) and
 * completions (completion.c). */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat/base.h"
#include "compat/version.h"
#include "inject/command/command.h"
#include "inject/command/demangle.h"
#include "inject/command/filter.h"
#include "inject/command/http.h"
#include "inject/command/inflate.h"
#include "inject/command/report.h"
#include "inject/command/source_lines.h"
#include "inject/command/top.h"
#include "inject/command/unxz.h"

static int help(int argc, char **argv);
static int version(int argc, char **argv);
static int lib(int argc, char **argv);

const struct sp_cli_subcommand sp_cli_subcommands[] = {
    {
        .name = "run",
        .run = sp_cli_run,
        .arguments = "[OPTION...] [--] COMMAND [ARG...]",
        .least = 1,
        .most = INT_MAX,
        .is_wrapper = true,
        .does = "runs a program under the library",
        .text =
            "Sets the environment and becomes COMMAND: same process, status, signals and files. The options of the library\n"
            "are options here: --interval 1ms is SPPROF_INTERVAL=1ms.",
        .options = {{"-o OUT", NULL, "the profile's name, as --out", NULL},
                    {"--report", NULL, "waits for COMMAND, hands signals on to it, and prints the report to standard error;",
                     "without -o the profile is not kept. With --wall 1 it is the report of whole lives (spprof help report)"},
                    {"--html FILE", NULL, "... and writes it as a page: of all processes of the run together", NULL},
                    {"--library FILE", NULL, "the library (default: that of LD_PRELOAD, or beside this command)", NULL},
                    {SP_CLI_LIBRARY_OPTIONS, NULL, "SPPROF_NAME=VALUE, for each of the library's options", NULL}},
        .status = "that of COMMAND, or its signal; 126 if it cannot be run, 127 if it is not there",
    },
    {
        .name = "report",
        .run = sp_cli_report,
        .arguments = "[OPTION...] FILE | PID | DIRECTORY...",
        .least = 1,
        .most = INT_MAX,
        .does = "prints the hottest functions of a profile, or of several together",
        .text =
            "Reads Speedscope files, spool files as they are (what they hold up to now), and a running process, by its spool\n"
            "file or its memory, if there is no file of that name; of a directory all that can be read. Files may be\n"
            "compressed by gzip. - is standard input; pipes are read as files are. It says what a source has not: a file of\n"
            "stacks shows its own bounds, a spool file has none.\n"
            "Processes beyond SPPROF_FILES have a line in a file NAME.skipped in place of a profile: the sum of these is\n"
            "shown if such a file is given, or is beside a profile that is.",
        .options =
            {{"--by WHAT", SP_REPORT_BYS, "what a row is: " SP_REPORT_BYS " (function).",
              "module: torch.nn.conv; package: torch.nn; library: torch, [libz.so.1], (standard library), (program); task: of "
              "asyncio; span: of spprof.span(). line: CPU alone. gil: with SPPROF_WALL=1, who held the GIL while others waited "
              "for it"},
             {"--sort ORDER", SP_REPORT_SORTS, "by " SP_REPORT_SORTS " (self; with --wall total)", NULL},
             {"-n ROWS", NULL, "rows to print (20, of a tree 40; 0: all)", NULL},
             {"--tree", NULL,
              "callers above what they call, the heaviest; a line that begins with > is all that the line above it calls.",
              "--by process: parents above their children"},
             {"--callers F", NULL, "from this function up to its callers, and what part of it is whose", NULL},
             {"--lines F", NULL,
              "this function's source, with what each line cost; a source that is missing or was changed is said", NULL},
             {"--json", NULL, "all of it as JSON, for scripts: see spprof(5); -n is 0 then", NULL},
             {"--wall", NULL, "whole lives of threads: what each row took of them (Wall), waits too, and beside that its CPU;",
              "of files made with SPPROF_WALL=1"},
             {"--no-idle", NULL, "--wall without idle threads: that used a CPU for less than a thousandth of their life", NULL},
             SP_FILTER_ROWS,
             SP_CLI_NO_SIGNAL},
        .status = "0; 1 if a file could not be read",
    },
    {
        .name = "convert",
        .run = sp_cli_convert,
        .arguments = "[OPTION...] -o OUT FILE | PID | DIRECTORY...",
        .least = 1,
        .most = INT_MAX,
        .does = "writes a profile in another format, or several together",
        .text =
            "Reads what report reads; several become one profile, as merge makes it. OUT's suffix chooses the format: .json,\n"
            ".html, .pb.gz, .pprof, .trace.json, .collapsed, .folded, .txt, each with .gz behind it. What the new file lacks\n"
            "because the source does is said.",
        .options = {{"-o OUT", NULL, "the new profile's name; - is standard output; a pipe or a device is written to as it is",
                     NULL},
                    {"--format F", SP_CLI_FORMATS, "one of " SP_CLI_FORMATS ", whatever OUT's suffix", NULL},
                    SP_FILTER_ROWS,
                    SP_CLI_NO_SIGNAL},
        .status = "0; 1 if a profile could not be read or written",
    },
    {
        .name = "merge",
        .run = sp_cli_merge,
        .arguments = "[OPTION...] -o OUT FILE | PID | DIRECTORY...",
        .least = 1,
        .most = INT_MAX,
        .does = "makes one profile of those of several processes",
        .text =
            "Of a directory, or of a pattern in quotes, all profiles that can be read. The root of each stack is its process,\n"
            "\"app.py [4711]\"; in pprof's format its pid is a label as well.",
        .options = {{"-o OUT", NULL, "the new profile's name, as convert has it", NULL},
                    {"--format F", SP_CLI_FORMATS, "as convert has it", NULL},
                    {"--sum", NULL, "no process is told apart, threads of one name are one", NULL},
                    SP_FILTER_ROWS,
                    SP_CLI_NO_SIGNAL},
        .status = "0; 1 if a profile could not be read or written",
    },
    {
        .name = "diff",
        .run = sp_cli_diff,
        .arguments = "[OPTION...] A B",
        .least = 2,
        .most = 2,
        .does = "tells which functions' shares of the CPU differ between two profiles, and what is chance",
        .text =
            "A and B are what report reads, or directories: then sums. A difference within three standard deviations of what\n"
            "so many samples can tell is marked ~.",
        .options = {{"-o OUT", NULL,
                     "a page with the flame graph as well: what has more of the CPU in B is red, what has less blue,",
                     "what may be chance grey; as wide as in B, or in A; - is standard output, without the table"},
                    {"--html OUT", NULL, "the same", NULL},
                    {"-n ROWS", NULL, "rows to print (20; 0: all)", NULL},
                    {"--per F", NULL, "100 % is what the function F used in all, not all CPU", NULL},
                    {"--fail-above X", NULL, "status 1 if a function's own share rose by more than X points (5%),",
                     "and by more than chance"},
                    SP_FILTER_ROWS,
                    SP_CLI_NO_SIGNAL},
        .status = "0; 1 if --fail-above found a function; 2 also if a profile could not be read, or the page not be written",
    },
    {
        .name = "ship",
        .run = sp_cli_ship,
        .arguments = "[OPTION...] --to URL DIR | PID",
        .least = 1,
        .most = 1,
        .does = "sends profiles, as they appear in a directory or of a running process, to who collects them",
        .text =
            "URL: an OpenTelemetry Collector (OTLP over HTTP; its profiles are alpha), or Grafana Pyroscope if it ends in\n"
            "/ingest; without a path it is completed. Of DIR Speedscope's and pprof's files are sent, oldest first, and what\n"
            "killed processes left of SPPROF_SPOOL; each is removed when it was taken, and not before. Of PID what was "
            "recorded\n"
            "since the last time, at intervals, until it ends. Attributes come from OTEL_SERVICE_NAME, "
            "OTEL_RESOURCE_ATTRIBUTES,\n"
            "POD_NAME, POD_NAMESPACE, POD_UID, NODE_NAME and CONTAINER_NAME. What was answered with 429, 502 to 504 or not at "
            "all\n"
            "is sent again, after pauses that grow and as the server asks; what is refused stays, and waits for the next "
            "start.\n"
            "It ends at SIGTERM or SIGINT, after the request that it is at; at a second one at once.",
        .options = {{"--to URL", NULL, "where they go, http:// or https://", NULL},
                    {"--protocol P", "auto, otlp, pyroscope", "whose it is, whatever the URL says", NULL},
                    {"--header H", NULL, "\"Name: value\", with each request; may be given several times. It is not to be seen",
                     "among the processes for longer than the command takes to read it"},
                    {"--header-file F", NULL, "such headers, one a line", NULL},
                    {"--ca FILE", NULL, "certificates of who may have signed the server's (PEM; default: the system's)", NULL},
                    {"--queue D", NULL, "they wait in this directory instead: moved there from DIR at once",
                     "(DIR; of a PID spprof-ship-PID in the working directory)"},
                    {"--queue-limit SIZE", NULL,
                     "of what waits the oldest beyond so much is dropped, with a line; units k M G (100M)", NULL},
                    {"--keep", NULL, "DIR's files stay when they were sent, and are not sent again", NULL},
                    {"--interval TIME", NULL, "between two times of a PID; units ms s m h (60s)", NULL},
                    {"--timeout TIME", NULL, "that one request may take (30s)", NULL},
                    {"--retry TIME", NULL, "the longest pause between two tries that the server does not ask for (60s)", NULL},
                    {"--once", NULL, "sends what is there, each with up to five tries, and ends", NULL},
                    {"--drain", NULL, "at SIGTERM what is there is sent first, with one try each: for a sidecar", NULL},
                    SP_CLI_NO_SIGNAL},
        .status = "0; 1 if something was refused, dropped or cannot be read, or with --once was not sent; 2 also if the\n"
                  "directory cannot be used",
    },
    {
        .name = "check",
        .run = sp_cli_check,
        .arguments = "[OPTION...] [PYTHON | PID]",
        .most = 1,
        .does = "tells whether and how profiling works here",
        .text = "Starts PYTHON (default: python3) under the library with a small program and looks at what came of "
                "it,\n"
                "and at what this system allows; nothing is left behind. Of a running process it tells whether the\n"
                "library is loaded, with which options, and which of the other commands would get an answer.",
        .options = {{"--library FILE", NULL, "the library (default: that of LD_PRELOAD, or beside this command)", NULL},
                    {"-q", NULL, "nothing but the exit status", NULL}},
        .status = "0 if it works; 1 if it works, but something is missing that the lines marked \"but\" name; 3 if "
                  "it does not, or cannot be told",
    },
    {
        .name = "recover",
        .run = sp_cli_recover,
        .arguments = "[OPTION...] FILE...",
        .least = 1,
        .most = INT_MAX,
        .does = "writes the profile of a killed process from its spool file",
        .text = "SPPROF_SPOOL=DIRECTORY leaves such a file if the process is killed.",
        .options = {{"-o OUT", NULL, "the profile's name; - is standard output; one FILE only", "(FILE with .speedscope.json)"},
                    {"--remove", NULL, "removes what was written out, but never a file that a process still has", NULL},
                    {"--force", NULL,
                     "also where nothing tells whether a process has it: on overlayfs and network file systems",
                     "(if the process was of another container or machine)"}},
        .status = "0; 1 if a profile could not be written",
    },
    {
        .name = "snapshot",
        .run = sp_cli_snapshot,
        .arguments = "[OPTION...] PID | FILE",
        .least = 1,
        .most = 1,
        .does = "writes the profile of a running process, which notices nothing",
        .text =
            "From its spool file, or else from its memory, if the system lets this user read that, or else it is asked for by\n"
            "a signal, SIGURG, that means nothing to others.",
        .options = {{"-o OUT", NULL, "the profile's name; - is standard output", "(spprof-PID.speedscope.json here)"},
                    SP_CLI_NO_SIGNAL},
        .status = "0; 1 if the profile could not be written",
    },
    {
        .name = "dump",
        .run = sp_cli_dump,
        .arguments = "[OPTION...] PID",
        .least = 1,
        .most = 1,
        .does = "prints where each thread of a running process is at this moment, and what it does",
        .text =
            "As tracebacks, innermost last; whether anything is recorded or not. Threads that wait are read and notice "
            "nothing,\n"
            "those that run are asked by a signal, SIGURG, as one thread is in any case. Native frames are among them with\n"
            "SPPROF_NATIVE.",
        .options = {{"--json", NULL, "for scripts: see spprof(5)", NULL}, SP_CLI_NO_SIGNAL},
        .status = "0; 1 if the process cannot be asked",
    },
    {
        .name = "top",
        .run = sp_cli_top,
        .arguments = "[OPTION...] PID | FILE | DIRECTORY...",
        .least = 1,
        .most = INT_MAX,
        .does = "shows what running processes do, second by second",
        .text =
            "Shares are of the CPU of the last second, times of all since the beginning. Keys: 1 to 4 sort by a column, L "
            "shows\n"
            "lines, t threads, / names with a word in them, p pauses, R begins sums anew, ? helps, q quits. It reads what\n"
            "report reads, of a directory what is there at the beginning, and asks, as snapshot does, each second in which it\n"
            "ran, a process whose memory may not be read.",
        .options = {{"--children", NULL, "also the processes below each PID, as they are now", NULL}, SP_CLI_NO_SIGNAL},
        .status = "0; 1 if nothing can be read, or there is no terminal",
    },
    {
        .name = "start",
        .run = sp_cli_start,
        .arguments = "[OPTION...] PID",
        .least = 1,
        .most = 1,
        .does = "begins a recording in a running process that is not recorded",
        .text =
            "Of a program that was started with SPPROF_START=off, or after spprof stop. It asks by a signal, as snapshot may.",
        .options = {{"--children", NULL, "also in the processes below it", NULL}, SP_CLI_NO_SIGNAL},
        .status = "0; 1 if it records already, or cannot be asked",
    },
    {
        .name = "stop",
        .run = sp_cli_stop,
        .arguments = "[OPTION...] PID",
        .least = 1,
        .most = 1,
        .does = "ends a running process's recording, whose profile is written where SPPROF_OUT says",
        .text = "The program goes on, without ticks, until spprof start.",
        .options = {{"--children", NULL, "also in the processes below it", NULL}, SP_CLI_NO_SIGNAL},
        .status = "0; 1 if nothing is recorded, it cannot be asked, or no profile could be written",
    },
    {
        .name = "reset",
        .run = sp_cli_reset,
        .arguments = "[OPTION...] PID",
        .least = 1,
        .most = 1,
        .does = "forgets what a running process has recorded so far; it records on",
        .options = {{"--children", NULL, "also in the processes below it", NULL}, SP_CLI_NO_SIGNAL},
        .status = "0; 1 if nothing is recorded, or it cannot be asked",
    },
    {
        .name = "symbolize",
        .run = sp_cli_symbolize,
        .arguments = "[OPTION...] FILE",
        .least = 1,
        .most = 1,
        .does = "finds names and source lines of a profile's native functions, later or on another machine",
        .text = "Looks for the symbols and debug files of the libraries, all by build id: at the paths that the process knew,\n"
                "under /usr/lib/debug and in the directories that are given. Whatever else the profile holds stays.",
        .options = {{"--debug-dir D", NULL, "a directory to look in as well; may be given up to eight times",
                     "(D/.build-id as /usr/lib/debug has it, an unpacked image, libraries and .debug files side by side)"},
                    {"-o OUT", NULL, "the new profile's name; - is standard output", "(FILE itself)"}},
        .status = "0, found or not; 1 if the profile could not be read or written",
    },
    {
        .name = "help",
        .run = help,
        .arguments = "[COMMAND]",
        .most = 1,
        .does = "prints what commands there are, or what one does",
        .options = {{"--man", NULL, "the manual page", NULL},
                    {"--man5", NULL, "that of the formats for scripts, spprof(5)", NULL},
                    {"--completion SHELL", SP_CLI_SHELLS, "what a shell completes, one of " SP_CLI_SHELLS, NULL}},
        .status = "0",
    },
    {
        .name = "lib",
        .run = lib,
        .arguments = "",
        .does = "prints the path of the library, for LD_PRELOAD; --lib is the same",
        .status = "0; 1 if it is not beside this command",
    },
    {
        .name = "install",
        .run = sp_cli_install,
        .arguments = "DIRECTORY",
        .least = 1,
        .most = 1,
        .does = "copies the library and this command into a directory",
        .text = "For an init container, which fills a volume that the program's container mounts: the image needs neither a "
                "shell nor cp. Each file appears whole, in place of an older one; the paths are printed.",
        .status = "0; 1 if there is no library beside this command, or a file could not be written",
    },
    {.name = "version", .run = version, .arguments = "", .does = "prints the version", .status = "0"},
    {.name = NULL},
};

const struct sp_cli_subcommand *sp_cli_find(const char *name)
{
    const struct sp_cli_subcommand *c = sp_cli_subcommands;
    while (c->name && strcmp(c->name, name) != 0)
        c++;
    return c->name ? c : NULL;
}

static void print_option(FILE *out, const char *name, const struct sp_cli_option *o)
{
    fprintf(out, "  %-18s %s%s%s\n", name, o->meaning, o->more ? "\n                     " : "", o->more ? o->more : "");
}

/* With those of the library in place of the row that stands for them. */
static void print_options(FILE *out, const struct sp_cli_subcommand *c)
{
    struct sp_cli_typed o;
    char name[64];
    for (size_t i = 0; sp_cli_option_at(c, i, &o); i++) {
        snprintf(name, sizeof name, "%s%s%s", o.name, o.takes ? " " : "", o.takes ? o.takes : "");
        fputs(i == 0 ? "\n" : "", out);
        print_option(out, name, o.row);
    }
}

void sp_cli_usage(FILE *out, const char *name)
{
    const struct sp_cli_subcommand *c = sp_cli_find(name);
    if (!c)
        return;
    fprintf(out, "usage: spprof %s%s%s\n\n%s %s.\n%s%s", c->name, *c->arguments ? " " : "", c->arguments, c->name, c->does,
            c->text ? c->text : "", c->text ? "\n" : "");
    print_options(out, c);
    fprintf(out, "\nExit status: %s; 2 for a wrong usage, or if standard output could not be written to.\n", c->status);
}

static void overview(FILE *out)
{
    fprintf(out, "spprof " SPPROF_VERSION " - profiles any Python program by being preloaded\n\n"
                 "    LD_PRELOAD=/path/to/libspprof.so SPPROF_OUT=profile.json python app.py\n\n");
    for (const struct sp_cli_subcommand *c = sp_cli_subcommands; c->name; c++)
        fprintf(out, "%s spprof %-9s %-26s %s\n", c == sp_cli_subcommands ? "usage:" : "      ", c->name, c->arguments,
                c->does);
    fprintf(out, "\nspprof help COMMAND, or spprof COMMAND --help, tells of one.\n"
                 "\nThe library reads these variables of the environment:\n\n");
    for (const struct sp_cli_option *o = sp_cli_library_options; o->name; o++)
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

struct wanted {
    bool manual, format;
    const char *shell; /* NULL: none */
};

static const char *take_help(void *arg, const struct sp_cli_given *g)
{
    struct wanted *w = arg;
    w->manual |= strcmp(g->name, "--man") == 0;
    w->format |= strcmp(g->name, "--man5") == 0;
    w->shell = g->value ? g->value : w->shell;
    return NULL;
}

static int help(int argc, char **argv)
{
    struct wanted w = {0};
    int rc = sp_cli_parse(argc, argv, take_help, &w);
    if (rc >= 0)
        return rc;
    const char *what = optind < argc ? argv[optind] : NULL;
    if (what && !sp_cli_find(what))
        return unknown(what);
    if (w.manual)
        sp_cli_manual(stdout);
    else if (w.format)
        sp_cli_manual_format(stdout);
    else if (w.shell)
        sp_cli_completion(stdout, w.shell);
    else if (what)
        sp_cli_usage(stdout, what);
    else
        overview(stdout);
    return 0;
}

static int version(int argc, char **argv)
{
    int rc = sp_cli_parse(argc, argv, NULL, NULL);
    if (rc >= 0)
        return rc;
    puts("spprof " SPPROF_VERSION);
    printf("%s libcurl\n%s libiberty\n%s libdw\n%s liblzma\n%s zlib\n%s ncurses\n", sp_http_can ? "with" : "without",
           sp_cli_demangles ? "with" : "without", sp_source_lines_can ? "with" : "without", sp_unxz_can ? "with" : "without",
           sp_inflate_can ? "with" : "without", sp_top_can ? "with" : "without");
    return 0;
}

static int lib(int argc, char **argv)
{
    char library[PATH_MAX];
    int rc = sp_cli_parse(argc, argv, NULL, NULL);
    if (rc >= 0)
        return rc;
    if (sp_cli_library(library))
        return puts(library) < 0;
    return sp_cli_fail("libspprof.so", "it is not beside this command");
}

/* What was printed arrived, or that is said. */
static int finish(int rc)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return rc;
    sp_cli_fail("standard output", errno ? strerror(errno) : "could not be written to");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *option, *subcommand;
    } options[] = {{"--version", "version"}, {"--lib", "lib"}, {"--help", "help"}, {"-h", "help"}};
    static char name[16];
    snprintf(name, sizeof name, "%s", argc > 1 ? argv[1] : "");
    for (size_t i = 0; i < SP_ARRAY_LEN(options); i++)
        if (strcmp(name, options[i].option) == 0)
            snprintf(name, sizeof name, "%s", options[i].subcommand);
    const struct sp_cli_subcommand *c = argc > 1 ? sp_cli_find(name) : NULL;
    if (c) {
        argv[1] = name;
        return finish(c->run(argc - 1, argv + 1));
    }
    if (argc > 1)
        return unknown(argv[1]);
    overview(stderr);
    return 2;
}
