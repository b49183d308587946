/* SPDX-License-Identifier: MIT
 * The manual page: the table of subcommands, the options, and what is too long for the README. */
#include "compat/base.h"
#include "compat/version.h"
#include "inject/command/command.h"
#include "inject/command/manual.h"

#define SP_OPTION(field, name, kind, lowest, highest, fallback, values, fallback_text, meaning) \
    {name, values, meaning, "(" values "; default: " fallback_text ")"},
const struct sp_cli_option sp_cli_library_options[] = {
#include "inject/options.def"
    {NULL, NULL, NULL, NULL},
};
#undef SP_OPTION

static const struct sp_manual_section sections[] = {
    {
        .title = "FILES",
        .text =
            "Names are against the working directory of the start. A run is what was started together: all processes below\n"
            "the first that had the library in its environment.",
        .items =
            {{"a name without %",
              "belongs to the first Python of a run; processes below it put their pid before the suffix "
              "(profile.4711.json). A file that an earlier run wrote is replaced. Anything else that has the name stays, a "
              "file of this run too: then a number is put behind (profile-2.json)."},
             {"a name with %",
              "%p pid, %h host, %t start in UTC, %e script or module, %n a number that makes it unique, %{VAR} the "
              "environment, empty if it is not set, %% a percent sign. In %e the code of -c is \"command\", standard "
              "input \"stdin\"; multiprocessing's helpers are \"spawn\", \"forkserver\" and \"resource_tracker\"."},
             {"a directory, or nothing",
              "spprof-<pid>.speedscope.json there, or in the working directory. Nothing is replaced."},
             {"the suffix",
              "chooses the format, unless SPPROF_FORMAT does: .html and .htm make a page that draws itself, in any browser; "
              ".pb.gz and "
              ".pprof make pprof's; .trace.json and .trace Chrome's "
              "trace "
              "events; .collapsed, .folded and .txt collapsed "
              "stacks, \"thread;function;function nanoseconds\" a line; all else is Speedscope's. \".gz\" behind it makes it a "
              "gzip file, of blocks that are stored."},
             {"refused",
              "devices, FIFOs, and links that somebody else planted in a directory for all: the default name is used."},
             {"where it cannot be written", "the file goes to $TMPDIR or /tmp, under its name, and a line says so."},
             {"the mode",
              "that of any file that the program makes; 0600 in /tmp and other sticky directories, where it had to go "
              "elsewhere, and for spool files."},
             {"NAME.skipped",
              "what processes beyond SPPROF_FILES leave: a line each of pid, command and CPU. spprof.skipped for patterns and "
              "default names. Profiles of the name, of this user and newer than the run count; processes that end at the "
              "same moment may be a few too many."},
             {"SPPROF_SPOOL/spprof-<pid>.spool",
              "the profile while the process runs. It grows by 128 KB at a time, each reserved before it is used. recover "
              "writes spprof-<pid>.speedscope.json beside it and replaces an older profile of that name. Of those that "
              "killed processes left the newest hundred stay."},
             {"spprof-<pid>.speedscope.json", "what snapshot writes, in its working directory."},
             {"spprof-ship-<pid>/, .spprof-ship/", "what waits of a process to be sent by ship; and in that directory, or in "
                                                   "the one that ship sends from, what it has "
                                                   "to remember: a lock, the files that were sent and stay (--keep), and of "
                                                   "recordings that went on what was sent of "
                                                   "them, so that it is not sent again with what came after."}},
    },
    {
        .title = "EXAMPLES",
        .items =
            {{"spprof run -o profile.json python app.py", "as the next line, without the library's path."},
             {"spprof run --report --interval 1ms python app.py",
              "where the time went, in the terminal. A signal that is sent to the whole process group from outside reaches the "
              "program twice: by itself and through spprof."},
             {"LD_PRELOAD=/opt/libspprof.so SPPROF_OUT=profile.json python app.py",
              "one file for the program, and one more for each Python that it starts. The loader wants an absolute path "
              "without a blank or a colon."},
             {"SPPROF_OUT=/var/tmp/%e-%p.collapsed", "collapsed stacks, one file a process."},
             {"SPPROF_INTERVAL=1ms SPPROF_LINES=1", "more samples; frames are lines."},
             {"spprof report --by line profile*.json", "the lines that all processes of a run spent most in."},
             {"spprof snapshot -o now.json 4711 && spprof report now.json", "what a service does, while it does it."},
             {"spprof symbolize --debug-dir image/ profile.json", "names from the libraries of an unpacked image."},
             {"spprof ship --to http://collector:4318 /profiles", "what appears there goes to an OpenTelemetry Collector."},
             {"spprof ship --to https://pyroscope/ingest --header-file /run/secrets/auth --interval 15s 4711",
              "a process that was started without a thought of it goes to Pyroscope."},
             {"spprof recover --remove /profiles/*.spool", "what the OOM killer left of SPPROF_SPOOL=/profiles."},
             {"spprof check -q python3.12 || echo not here", "for a script: is it any use here?"}},
    },
};

/* `exact`: what is to be typed as it stands; other hyphens may break a line. */
static void roff(FILE *out, const char *text, bool exact)
{
    for (const char *s = text; *s; s++) {
        if (s == text || s[-1] == '\n')
            fprintf(out, *s == '.' || *s == '\'' ? "\\&" : "");
        if (*s == '\\' || (exact && *s == '-'))
            fputc('\\', out);
        fputs(*s == '\\' ? "e" : (char[]){*s, '\0'}, out);
    }
}

static void line(FILE *out, const char *text)
{
    if (!text)
        return;
    roff(out, text, false);
    fputc('\n', out);
}

static void paragraph(FILE *out, const char *name, const char *text, const char *more)
{
    fprintf(out, ".TP\n.B ");
    roff(out, name, true);
    fputc('\n', out);
    line(out, text);
    line(out, more);
}

static void options(FILE *out, const struct sp_cli_option *o)
{
    for (; o->name; o++)
        paragraph(out, o->name, o->meaning, o->more);
}

static void command(FILE *out, const struct sp_cli_subcommand *c)
{
    paragraph(out, c->name, c->does, NULL);
    fprintf(out, ".RS\n");
    line(out, c->text);
    options(out, c->options);
    fprintf(out, ".PP\nExit status: ");
    roff(out, c->status, false);
    fprintf(out, "; 2 for a wrong usage.\n.RE\n");
}

void sp_manual_print(FILE *out, const struct sp_manual_section *section, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fprintf(out, ".SH %s\n", section[i].title);
        line(out, section[i].text);
        for (size_t k = 0; k < SP_MANUAL_ITEMS && section[i].items[k].name; k++)
            paragraph(out, section[i].items[k].name, section[i].items[k].meaning, NULL);
    }
}

void sp_cli_manual(FILE *out)
{
    fprintf(out, ".TH SPPROF 1 \"\" \"spprof " SPPROF_VERSION "\"\n"
                 ".SH NAME\nspprof \\- profile any Python program by preloading\n"
                 ".SH SYNOPSIS\n.B LD_PRELOAD=/path/to/libspprof.so\n.RI [ SPPROF_OPTION = value ...]\n.I program\n");
    for (const struct sp_cli_subcommand *c = sp_cli_subcommands; c->name; c++) {
        fprintf(out, ".br\n.B spprof %s\n", c->name);
        roff(out, c->arguments, true);
        fprintf(out, *c->arguments ? "\n" : "");
    }
    fprintf(out,
            ".SH DESCRIPTION\n"
            "The library samples every thread of every CPython process below by its CPU time and writes a profile when the "
            "process ends; with SPPROF_SPOOL the profile lives in a file while the process runs.\n"
            ".SH COMMANDS\n");
    for (const struct sp_cli_subcommand *c = sp_cli_subcommands; c->name; c++)
        command(out, c);
    fprintf(out, ".SH ENVIRONMENT\n");
    options(out, sp_cli_library_options);
    sp_manual_print(out, sections, SP_ARRAY_LEN(sections));
    fprintf(out, ".SH SEE ALSO\n.BR spprof (5)\n");
}
