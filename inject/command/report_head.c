/* SPDX-License-Identifier: MIT
 * See report.h: what stands above the rows, of one file or of a set. Names of frames are those of the rows. */
#include <stdlib.h>
#include <string.h>

#include "inject/command/command.h"
#include "inject/command/layout.h"
#include "inject/command/report.h"

/* ---- adding */
static char *copy_of(const char *s)
{
    size_t n = strlen(s) + 1;
    return memcpy(sp_cli_alloc(NULL, n), s, n);
}

/* Later keys are dropped, which no file of ours has. */
static void add_amount(struct sp_report_amounts *a, const char *key, double v)
{
    int i = 0;
    while (i < a->n && strcmp(a->key[i], key) != 0)
        i++;
    if (!(v > 0) || i == SP_REPORT_KEYS)
        return;
    if (i == a->n) {
        a->key[a->n++] = copy_of(key);
        a->sum[i] = 0;
    }
    a->sum[i] += v;
}

/* A loss by the frame under which the rows show it, or else in words. */
static void add_loss(struct sp_report_amounts *a, enum sp_loss loss, uint64_t n)
{
    char name[256];
    const char *key = sp_store_loss_name(loss), *unwalkable = sp_store_pseudo_name(SP_CATEGORY_UNWALKABLE);
    if (loss == SP_LOSS_OVERFLOW || loss == SP_LOSS_TRUNCATED)
        key = sp_store_pseudo_name(loss == SP_LOSS_OVERFLOW ? SP_PSEUDO_OVERFLOW : SP_PSEUDO_TRUNCATED);
    snprintf(name, sizeof name, "%s%s%s", loss < SP_LOSS_WALK_N ? unwalkable : "", loss < SP_LOSS_WALK_N ? " " : "", key);
    for (char *s = name; *s; s++)
        *s = *s == '_' ? ' ' : *s;
    add_amount(a, name, (double)n);
}

/* argv as one text; words that would not be seen, or be taken for two, in quotes. */
static char *command_of(const struct sp_region *r)
{
    char *text = sp_cli_alloc(NULL, 4 * sizeof r->argv);
    size_t n = 0;
    text[0] = '\0';
    for (size_t at = 0; at < sizeof r->argv && r->argv[at]; at += strnlen(r->argv + at, sizeof r->argv - at) + 1) {
        const char *quote = strchr(r->argv + at, ' ') ? "'" : "";
        n += (size_t)snprintf(text + n, 4 * sizeof r->argv - n, "%s%s%s%s", n ? " " : "", quote, r->argv + at, quote);
    }
    return text;
}

static void add_command(struct sp_report_head *h, const struct sp_region *r)
{
    char python[256], *text = command_of(r);
    snprintf(python, sizeof python, "%s %s", r->python, r->build);
    int i = 0;
    while (i < h->n_commands && (strcmp(h->command[i].text, text) != 0 || strcmp(h->command[i].python, python) != 0))
        i++;
    if (i == SP_REPORT_COMMANDS) {
        h->n_other_commands++;
        free(text);
        return;
    }
    struct sp_report_command *c = &h->command[i];
    if (i == h->n_commands) {
        *c = (struct sp_report_command){.text = text, .python = copy_of(python)};
        h->n_commands++;
    } else {
        free(text);
    }
    if (c->n < SP_REPORT_PIDS)
        c->pids[c->n] = r->pid;
    c->n++;
}

static void add_run(struct sp_report_head *h, uint64_t run_ns)
{
    int i = 0;
    while (i < h->n_runs && h->runs[i] != run_ns)
        i++;
    if (i == h->n_runs && i < SP_REPORT_KEYS)
        h->runs[h->n_runs++] = run_ns;
}

static void add_times(struct sp_report_head *h, const struct sp_view *v)
{
    double wall = (double)v->profile->wall_ns, from = (double)v->region->started_wall_ns;
    h->longest_ns = wall > h->longest_ns ? wall : h->longest_ns;
    if (from > 0) {
        h->first_ns = h->first_ns == 0 || from < h->first_ns ? from : h->first_ns;
        h->last_ns = from + wall > h->last_ns ? from + wall : h->last_ns;
    }
    double interval = (double)v->region->interval_ns;
    double sampled = (double)v->samples * (double)sp_view_effective_interval_ns(v);
    h->shortest_interval_ns = h->n_files == 0 || interval < h->shortest_interval_ns ? interval : h->shortest_interval_ns;
    h->longest_interval_ns = interval > h->longest_interval_ns ? interval : h->longest_interval_ns;
    h->samples += (double)v->samples;
    h->sampled_ns += sampled;
    h->prompt_ns += sampled * ((double)sp_view_prompt_mille(v) / 1000);
    for (uint32_t i = 0; i < sp_view_n_profiles(v); i++) {
        const struct sp_view_profile *p = sp_view_profile_at(v, i);
        double threads = !p->thread && v->n_others > 1 ? v->n_others : 1;
        h->short_ns += (double)p->cpu_ns < interval * threads ? (double)p->cpu_ns : 0;
    }
}

bool sp_report_add_head(struct sp_report_head *h, const struct sp_loaded *l)
{
    struct sp_view v;
    const struct sp_region *r = l->region;
    if (!sp_view_init(&v, &l->profile))
        return false;
    add_command(h, r);
    add_times(h, &v);
    add_run(h, r->run_ns);
    for (int c = SP_CATEGORY_PYTHON + 1; c < SP_CATEGORY_N; c++)
        add_amount(&h->elsewhere, sp_store_pseudo_name((uint32_t)c), (double)v.cpu_ns[c]);
    for (int i = SP_LOSS_NONE + 1; i < SP_LOSS_N; i++)
        add_loss(&h->losses, (enum sp_loss)i, r->loss[i]);
    h->used += (double)v.used_ns;
    h->whole += (double)(l->whole_ns ? l->whole_ns : v.used_ns);
    h->n_cut += !l->profile.complete;
    h->window_ms = l->window_ms > h->window_ms ? l->window_ms : h->window_ms;
    h->folded_ns += l->folded_ns;
    h->no_order |= r->time_order_until_ns > 0;
    h->hides_waits |= r->wall != 0;
    snprintf(h->engine, sizeof h->engine, "%s", h->n_files == 0 || strcmp(h->engine, r->engine) == 0 ? r->engine : "several");
    h->n_files++;
    return true;
}

/* ---- printing */
static FILE *to; /* of the head that is printed */

static void print_commands(const struct sp_report_head *h)
{
    for (int i = 0; i < h->n_commands; i++) {
        const struct sp_report_command *c = &h->command[i];
        fprintf(to, i ? "           " : "Command:   ");
        if (*c->text) {
            sp_cli_print(to, c->text);
            fputc(' ', to);
        }
        if (c->n == 1 && c->pids[0] == 0) { /* merged: the command tells how many */
            fputc('\n', to);
            continue;
        }
        fprintf(to, c->n > 1 ? "(%d processes: pid" : "(pid", c->n);
        for (int k = 0; k < c->n && k < SP_REPORT_PIDS; k++)
            fprintf(to, "%s %.0f", k ? "," : "", c->pids[k]);
        fputs(c->n > SP_REPORT_PIDS ? ", ...)\n" : ")\n", to);
    }
    if (h->n_other_commands)
        fprintf(to, "           (%d more processes of other commands)\n", h->n_other_commands);
    fprintf(to, "Python:    ");
    for (int i = 0; i < h->n_commands; i++) {
        int k = 0;
        while (k < i && strcmp(h->command[k].python, h->command[i].python) != 0)
            k++;
        if (k < i)
            continue;
        fprintf(to, i ? ", " : "");
        sp_cli_print(to, h->command[i].python);
    }
    fputc('\n', to);
}

static void print_amounts(const char *title, const struct sp_report_amounts *a, bool times, const char *none)
{
    fprintf(to, "%s", title);
    for (int i = 0; i < a->n; i++) {
        char text[32];
        if (times)
            sp_cli_time(a->sum[i], text, sizeof text);
        else
            snprintf(text, sizeof text, "%.0f", a->sum[i]);
        fprintf(to, i ? ", " : " ");
        sp_cli_print(to, a->key[i]);
        fprintf(to, " %s", text);
    }
    fprintf(to, "%s\n", a->n ? "" : none);
}

static double amount_of(const struct sp_report_amounts *a, const char *key)
{
    for (int i = 0; i < a->n; i++)
        if (strcmp(a->key[i], key) == 0)
            return a->sum[i];
    return 0;
}

/* What the figures cannot be trusted for, and what would help. */
static void print_hints(const struct sp_report_head *h)
{
    double prompt = h->sampled_ns > 0 ? h->prompt_ns / h->sampled_ns : 1;
    double ended = amount_of(&h->elsewhere, sp_store_pseudo_name(SP_CATEGORY_THREAD_END));
    double full = amount_of(&h->losses, sp_store_pseudo_name(SP_PSEUDO_OVERFLOW)) + amount_of(&h->losses, "no slot");
    if (full > 0 && full > 0.01 * h->samples)
        fputs("Hint:      the profile's memory was full: (overflow), or threads without a place\n"
              "           in it (no slot); give it more by SPPROF_MEMORY, or room where\n"
              "           SPPROF_SPOOL is\n",
              to);
    if (h->hides_waits)
        fputs("Hint:      this is CPU; the profile tells where its threads waited as well:\n"
              "           --wall shows whole lives\n",
              to);
    double share = h->used > 0 ? (h->short_ns > ended ? h->short_ns : ended) / h->used : 0;
    if (share > 0.1)
        fprintf(to,
                "Hint:      %.0f%% of the CPU fell on threads or processes about as short as the\n"
                "           time between two samples (%.3g ms): what they did is known by chance\n"
                "           only; a shorter SPPROF_INTERVAL shows more of it\n",
                100 * share, h->longest_interval_ns / 1e6);
    if (prompt < 0.9 && h->samples >= 10)
        fprintf(to,
                "Hint:      %.0f%% of the CPU was seen late, in samples that stand for more than two\n"
                "           periods (a busy machine, or long system calls): totals are exact, small\n"
                "           differences are not to be trusted\n",
                100 * (1 - prompt));
    if (strcmp(h->engine, "cpu") == 0 && h->samples >= 10 && h->n_files == 1 && h->used < h->longest_ns / 2)
        fputs("Hint:      the CPU was used now and then. What always runs between two ticks of the\n"
              "           clock is never sampled, what runs on them always is, and \"seen promptly\"\n"
              "           does not tell: work in step with the clock may not be as it seems. With\n"
              "           SPPROF_ENGINE=fine it is\n",
              to);
}

static void print_bounds(const struct sp_report_head *h)
{
    const char *next = "Bounded:   ";
    if (h->window_ms > 0) {
        fprintf(to, "%swindows of %.0f ms", next, h->window_ms);
        next = ", ";
    }
    if (h->folded_ns > 0) {
        fprintf(to, "%s%.1f ms (folded) into callers", next, h->folded_ns / 1e6);
        next = ", ";
    }
    if (h->no_order)
        fprintf(to, "%sno time order after the log was full", next);
    if (*next == ',' || h->no_order)
        fputc('\n', to);
}

static void print_head(const struct sp_report_head *h)
{
    char used[32], wall[32], whole[32];
    double span = h->last_ns - h->first_ns > h->longest_ns ? h->last_ns - h->first_ns : h->longest_ns;
    if (h->n_files > 1)
        fprintf(to, h->n_runs > 1 ? "Profiles:  %d, of %d runs; sums of all\n" : "Profiles:  %d; sums of all\n", h->n_files,
                h->n_runs);
    if (h->n_without)
        fprintf(to, "Left out:  %d profile%s, of which the filters leave nothing\n", h->n_without,
                h->n_without == 1 ? "" : "s");
    print_commands(h);
    sp_cli_time(h->used, used, sizeof used);
    sp_cli_time(h->n_files > 1 ? span : h->longest_ns, wall, sizeof wall);
    sp_cli_time(h->whole, whole, sizeof whole);
    if (h->whole > h->used)
        fprintf(to, "CPU:       %s, %.1f%% of %s, in %s of wall time\n", used, 100 * h->used / h->whole, whole, wall);
    else
        fprintf(to, "CPU:       %s in %s of wall time\n", used, wall);
    fprintf(to, "Samples:   %.0f; one per %.2f ms", h->samples, h->shortest_interval_ns / 1e6);
    if (h->longest_interval_ns > h->shortest_interval_ns)
        fprintf(to, " to %.2f ms", h->longest_interval_ns / 1e6);
    fprintf(to, " of CPU asked, %.2f ms achieved (engine ",
            (h->samples > 0 ? h->sampled_ns / h->samples : h->shortest_interval_ns) / 1e6);
    sp_cli_print(to, h->engine);
    fprintf(to, "); %.1f%% of CPU seen promptly\n", 100 * (h->sampled_ns > 0 ? h->prompt_ns / h->sampled_ns : 1));
    if (h->n_cut && h->n_files == 1)
        fputs("Ends:      before the process did: it ran on, or was killed\n", to);
    else if (h->n_cut)
        fprintf(to, "Ends:      %d of the profiles before their process did: it ran on, or was killed\n", h->n_cut);
    print_amounts("Not in Python stacks:", &h->elsewhere, true, " nothing");
    print_amounts("Losses:   ", &h->losses, false, " none");
    print_bounds(h);
    sp_report_print_skipped(to, &h->skipped);
    print_hints(h);
}

void sp_report_print_head(const struct sp_report_head *h, int columns)
{
    char *text = NULL;
    size_t n;
    to = columns ? open_memstream(&text, &n) : NULL;
    if (!to) {
        to = stdout;
        print_head(h);
        return;
    }
    print_head(h);
    fclose(to);
    sp_layout_print_lines(stdout, text, columns);
    free(text);
}
