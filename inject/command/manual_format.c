/* SPDX-License-Identifier: MIT
 * The manual page of what spprof writes for others to read: a name is a key's path. tests/e2e/reading.py compares them with the keys
 * that are written. */
#include "compat/base.h"
#include "compat/version.h"
#include "inject/command/command.h"
#include "inject/command/manual.h"
#include "sampler/region.h"

#define SP_TEXT(x) #x
#define SP_STR(x) SP_TEXT(x)

static const struct sp_manual_section sections[] = {
    {
        .title = "PROFILE",
        .text = "A Speedscope file, the default, is JSON. speedscope.app and every reader of its format take it; times are "
                "nanoseconds.",
        .items =
            {
                {"$schema",
                 "\"https://www.speedscope.app/file-format-schema.json\": the file is as that says, and valid by it"},
                {"exporter", "spprof@VERSION"},
                {"name", "the command and its pid"},
                {"activeProfileIndex", "the profile that is shown first"},
                {"shared.frames[].name", "of each function"},
                {"shared.frames[].file", "its file; not there: it has none. Of a native function its library"},
                {"shared.frames[].line", "its first line, or with SPPROF_LINES=1 the line; not there: a native function"},
                {"profiles[].type", "sampled"},
                {"profiles[].name", "All threads (N) first, if there are several; then each thread, then with SPPROF_WALL "
                                    "\"Wall: \" and the same again"},
                {"profiles[].unit", "nanoseconds"},
                {"profiles[].startValue", "0"},
                {"profiles[].endValue", "the sum of the weights"},
                {"profiles[].samples", "stacks of indices of frames, root first, in order of time"},
                {"profiles[].weights", "ns of each"},
                {"spprof", "the block below"},
            },
    },
    {
        .title = "BLOCK",
        .text = "The object \"spprof\" in it, which viewers ignore. Times are nanoseconds. null stands only where it is said.",
        .items =
            {
                {"version", "the version of spprof that wrote the file"},
                {"layout",
                 "a number that grows when a key is added here or when the memory changes that spprof_region.h describes (this "
                 "page is of layout " SP_STR(SP_REGION_LAYOUT) "). Keys are added, never given another meaning; a reader that "
                                                               "does not know one leaves it out."},
                {"pid", "the process, by the number that it had for itself"},
                {"ppid", "its parent when the profile began"},
                {"run", "the same in all processes that were started together: when the first of them began, in ns since 1970, "
                        "as text. Not there: nobody knew."},
                {"host", "the machine's name"},
                {"started", "when the profile began, in UTC: 2026-11-23T08:13:00.123Z"},
                {"wall_ns", "how long it lasts"},
                {"argv", "the command up to the script, the module, - or -c; argv[0] alone of what is not CPython's launcher: "
                         "what follows may hold secrets. Behind -c \"(spawn)\", \"(forkserver)\" or \"(resource_tracker)\" "
                         "tells what multiprocessing made the process for."},
                {"python", "the interpreter's version"},
                {"build", "what it is: shared or static; no-GIL: free-threaded"},
                {"engine", "what makes the ticks"},
                {"interval_ns", "CPU between two samples of a thread, as asked"},
                {"effective_interval_ns", "... and as it came out"},
                {"cpu.used", "CPU of the process while it was profiled: the sum of the eight that follow"},
                {"cpu.python", "in Python stacks"},
                {"cpu.startup", "of the main thread before its first Python frame: the frame (startup)"},
                {"cpu.thread_end", "(thread end)"},
                {"cpu.thread_start_end", "(thread start/end)"},
                {"cpu.blocked", "(SIGPROF blocked)"},
                {"cpu.unwalkable", "(unwalkable)"},
                {"cpu.native_thread", "(native thread)"},
                {"cpu.not_sampled", "(not sampled)"},
                {"cpu.before_start", "of the process before the profile began; in no sum"},
                {"cpu.writer", "what writing took until here; in no sum"},
                {"samples", "how many"},
                {"complete", "false: the process went on, or was killed"},
                {"prompt", "the share of CPU in samples that came within two periods"},
                {"losses.unwalkable", "samples whose stack failed a check, by the check: no_frame, finalizing, bad_tstate, "
                                      "bad_address, unreadable, bad_frame, bad_code, bad_bottom; only those that did"},
                {"losses.nested", "ticks inside a tick: the next sample has their time"},
                {"losses.frozen", "ticks while the profile was written"},
                {"losses.overflow", "samples for which the tree had no room: (overflow)"},
                {"losses.truncated", "stacks deeper than SPPROF_DEPTH"},
                {"losses.timer_refused", "threads that got no timer"},
                {"losses.no_slot", "threads for which there was no room"},
                {"losses.handler_replaced", "1: the program took SIGPROF away behind libc's back"},
                {"threads[].profile", "of each thread: the index of its profile in the file"},
                {"threads[].name", "what it is called"},
                {"threads[].tid", "its number"},
                {"threads[].interpreter", "the sub-interpreter that it ran in; not there: the main one"},
                {"threads[].others", "instead of name and tid: how many threads it stands for"},
                {"threads[].cpu", "its CPU"},
                {"threads[].samples", "its samples"},
                {"threads[].wall", "its life, with SPPROF_WALL"},
                {"threads[].gil_held",
                 "of it while the thread held the GIL, as its samples and its waits show; not there: never seen"},
                {"bounded.time_order_until_ns", "there is no order of time after that; null: there is all of it"},
                {"bounded.window_ms", "equal stacks were joined within windows of that; 0: they were not"},
                {"bounded.folded_ns", "what light subtrees weigh that stand in their callers"},
                {"bounded.elided_stacks", "stacks whose middle was left out"},
                {"modules[].path", "the libraries of native frames, if there are any, as the process knew them"},
                {"modules[].build_id", "in hex, if it has one"},
                {"native", "[[frame index, module index, offset], ...]: where each native frame's function begins, in bytes "
                           "from the module's beginning in memory, which is its lowest loaded address (of a PT_LOAD, down to a "
                           "multiple of 4096). symbolize reads it."},
                {"wall.profile", "with SPPROF_WALL: the index of the first of the profiles of whole lives"},
                {"wall.life", "the sum of their weights"},
                {"wall.cpu", "of it on a CPU"},
                {"wall.waits", "of it in waits that have a stack"},
                {"wall.threads", "how many lives"},
                {"wall.all", "whether of threads without Python too"},
                {"gil", "[[profile, ns, [frame index, ...]], ...]: for how long the thread of that profile waited for the GIL "
                        "while another held it at that stack"},
                {"lines", "[[frame index, [[line, self, total], ...]], ...]: what each line cost"},
            },
    },
    {
        .title = "REPORT",
        .text =
            "What spprof report --json prints: one object. Text from programs has escapes for what could speak to a terminal.",
        .items =
            {
                {"report", "1; another number where a key has another meaning"},
                {"version", "of spprof"},
                {"profiles", "how many were read"},
                {"runs", "of how many runs"},
                {"profiles_left_out", "of how many --focus and its like left nothing"},
                {"profiles_cut", "how many end before their process did"},
                {"commands[].command", "of each command, four of them"},
                {"commands[].python", "its interpreter"},
                {"commands[].processes", "how many profiles are of it"},
                {"commands[].pids", "of eight of its processes"},
                {"cpu_ns", "CPU of all that is reported"},
                {"whole_cpu_ns", "... before --focus and its like left some of it out"},
                {"wall_ns", "from the first process's begin to the last one's end"},
                {"samples", "how many"},
                {"interval_ns", "the shortest interval that was asked for"},
                {"achieved_interval_ns", "CPU between two samples"},
                {"prompt", "the share of CPU in samples that came within two periods"},
                {"engine", "what made the ticks"},
                {"elsewhere_ns", "CPU in no Python stack, by the frame that stands for it"},
                {"losses", "counts, in words"},
                {"skipped.processes", "lines that stand for profiles beyond SPPROF_FILES"},
                {"skipped.cpu_ns", "what they used"},
                {"lives.all_ns", "with --wall: the sum of the lives"},
                {"lives.cpu_ns", "of it on a CPU"},
                {"lives.waits_ns", "of it in waits"},
                {"lives.gil_ns", "of these for the GIL"},
                {"lives.mutex_ns", "... without a GIL, for a PyMutex"},
                {"lives.stopped_ns", "... without a GIL, while the world was stopped or came to a stop"},
                {"lives.gil_held_ns", "while the GIL was held, as samples and waits of its holders show"},
                {"lives.threads", "how many"},
                {"by", "what a row is, as --by says"},
                {"of", "cpu, with --wall lives, with --by gil gil: what self and total are"},
                {"sum_ns", "what 100 % is"},
                {"gil[].name", "with --by gil: of each thread that held it or waited for it"},
                {"gil[].held_ns", "how long it held it"},
                {"gil[].waited_ns", "how long it waited for it"},
                {"gil[].most_of", "the function that held it most while this thread waited; empty: not known"},
                {"gil[].most_ns", "... for how long"},
                {"n_rows", "how many rows there are, with those that -n leaves out"},
                {"rows[].name", "of each row, in the order of --sort: what it is called"},
                {"rows[].file", "of functions and lines"},
                {"rows[].line", "... the first line, or the line"},
                {"rows[].self_ns", "its own"},
                {"rows[].total_ns", "of all stacks that it is on"},
                {"rows[].cpu_self_ns", "with --wall, but for --by gil: CPU of that"},
                {"rows[].cpu_total_ns", "..."},
                {"tree[].depth",
                 "with --tree and --callers instead of rows: how deep it stands under those before it; 0: at the top"},
                {"tree[].name", "as in rows"},
                {"tree[].file", "..."},
                {"tree[].line", "..."},
                {"tree[].self_ns", "..."},
                {"tree[].total_ns", "..."},
                {"functions[].name", "with --lines instead of rows: of each function of that name"},
                {"functions[].file", "its file"},
                {"functions[].line", "its first line"},
                {"functions[].self_ns", "its own"},
                {"functions[].total_ns", "of all stacks that it is on"},
                {"functions[].source", "read; missing: it cannot be read, or has not so many lines; changed: it was written to "
                                       "since, or is another version"},
                {"functions[].lines[].line", "of each line of its source, and each that cost something"},
                {"functions[].lines[].self_ns", "its own"},
                {"functions[].lines[].total_ns", "with what it called"},
                {"functions[].lines[].text", "the source, if it is there"},
            },
    },
    {
        .title = "DUMP",
        .text = "What spprof dump --json prints.",
        .items =
            {
                {"pid", "the process that was asked"},
                {"threads[].tid", "of each thread its number"},
                {"threads[].name", "as in a profile"},
                {"threads[].doing", "in words: running; waiting: CALL, a system call; waiting for the GIL; stopped"},
                {"threads[].missing", "why it has no frames, in words; null: it has"},
                {"threads[].truncated", "whether there are more, outermost, than can be told"},
                {"threads[].frames[].function", "outermost first"},
                {"threads[].frames[].file", "its file"},
                {"threads[].frames[].line", "of the instruction that runs, or called the next; 0: not known"},
                {"threads[].frames[].native",
                 "whether it is a native function (with SPPROF_NATIVE), called as in a profile, its file "
                 "being its library"},
            },
    },
};

void sp_cli_manual_format(FILE *out)
{
    fprintf(out, ".TH SPPROF 5 \"\" \"spprof " SPPROF_VERSION "\"\n"
                 ".SH NAME\nspprof \\- profiles and reports, as scripts read them\n"
                 ".SH DESCRIPTION\n"
                 "What files of spprof and its report hold: each key by its path, [] being each element of a list. pprof's, "
                 "Chrome's and "
                 "collapsed files are as their readers describe them.\n");
    sp_manual_print(out, sections, SP_ARRAY_LEN(sections));
    fprintf(out, ".SH SEE ALSO\n.BR spprof (1)\n");
}
