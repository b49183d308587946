/* SPDX-License-Identifier: MIT
 * The manual page: the table of subcommands, the options, and what is too long for the README. */
#include "compat/base.h"
#include "compat/version.h"
#include "inject/command/command.h"

#define SP_OPTION(field, name, kind, lowest, highest, fallback, values, fallback_text, meaning) \
    {name, values, meaning, "(" values "; default: " fallback_text ")"},
const struct sp_cli_option sp_cli_library_options[] = {
#include "inject/options.def"
    {NULL, NULL, NULL, NULL},
};
#undef SP_OPTION

static const struct section {
    const char *title, *text; /* NULL: no text */
    struct {
        const char *name, *meaning;
    } items[24];
} sections[] = {
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
              "chooses the format, unless SPPROF_FORMAT does: .pb.gz and .pprof make pprof's; .trace.json and .trace Chrome's "
              "trace "
              "events; .collapsed, .folded and .txt collapsed "
              "stacks, \"thread;function;function nanoseconds\" a line; all else is Speedscope's. \".gz\" behind it makes it a "
              "gzip file, of blocks that are stored."},
             {"refused",
              "devices, FIFOs, and links that somebody else planted in a directory for all: the default name is used."},
             {"where it cannot be written", "the file goes to $TMPDIR or /tmp, and a line says so."},
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
             {"spprof-<pid>.speedscope.json", "what snapshot writes, in its working directory."}},
    },
    {
        .title = "PROFILE",
        .text =
            "A Speedscope file has an object \"spprof\", which viewers ignore. Keys are added, never given another meaning;\n"
            "times are nanoseconds.",
        .items =
            {{"version, layout", "of spprof, and of its memory as spprof_region.h describes it."},
             {"pid, ppid, host, started, wall_ns", "the process, when it began (UTC), and how long the profile lasts."},
             {"argv",
              "the command up to the script, the module, - or -c; argv[0] alone of what is not CPython's launcher: what "
              "follows "
              "may hold secrets. Behind -c \"(spawn)\", \"(forkserver)\" or \"(resource_tracker)\" tells what multiprocessing "
              "made the process for."},
             {"python, build, engine", "the interpreter's version, \"shared\" or \"static\", and what makes the ticks."},
             {"interval_ns, effective_interval_ns", "CPU between two samples of a thread: as asked, and as it came out."},
             {"cpu",
              "used: by the process while it was profiled; it is the sum of python (in Python stacks) and startup, thread_end, "
              "thread_start_end, blocked, unwalkable, native_thread, not_sampled (the frames of these names). Apart from it: "
              "before_start, and writer."},
             {"samples, prompt", "how many, and the share of CPU in those that came within two periods."},
             {"complete", "false: the process went on, or was killed."},
             {"losses",
              "unwalkable: samples without a stack, by the check that failed (no_frame, finalizing, bad_tstate, bad_address, "
              "unreadable, bad_frame, bad_code, bad_bottom). nested, frozen: ticks whose time the next sample has. overflow, "
              "truncated: samples that did not fit. timer_refused, no_slot: threads. handler_replaced: 1 if the program took "
              "SIGPROF away."},
             {"threads",
              "of each profile: profile (its index), name, tid, interpreter (of a sub-interpreter), cpu, samples; others: how "
              "many threads it holds together."},
             {"bounded",
              "what kept the file small: window_ms (equal stacks are joined within windows), folded_ns (light subtrees stand "
              "in "
              "their callers), elided_stacks (middles left out), time_order_until_ns (no order of time afterwards; null: "
              "there is all of it)."},
             {"modules",
              "of native frames, if there are any: path of each library as the process knew it, and build_id in hex if it has "
              "one."},
             {"native",
              "[[frame index, module index, offset], ...]: where each native frame's function begins, in bytes from the "
              "module's beginning in memory, which is its lowest loaded address (of a PT_LOAD, down to a multiple of 4096). "
              "symbolize reads it."},
             {"wall",
              "with SPPROF_WALL=1: profile, the first of the profiles of whole lives; life, the sum of their weights, of it "
              "cpu and waits; "
              "threads; all, whether of native ones too. A thread's own is its `wall`."},
             {"lines", "[[frame index, [[line, self, total], ...]], ...]: what each line cost."}},
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
    for (size_t i = 0; i < SP_ARRAY_LEN(sections); i++) {
        fprintf(out, ".SH %s\n", sections[i].title);
        line(out, sections[i].text);
        for (size_t k = 0; k < SP_ARRAY_LEN(sections[i].items) && sections[i].items[k].name; k++)
            paragraph(out, sections[i].items[k].name, sections[i].items[k].meaning, NULL);
    }
}
