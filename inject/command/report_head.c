/* SPDX-License-Identifier: MIT
 * See report.h: what stands above the rows, of one file or of a set. Names of frames are those of the rows. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "inject/command/command.h"
#include "inject/command/report.h"
#include "sampler/store.h"

void sp_report_time(double ns, char *out, size_t cap)
{
    if (!(ns < 1e18)) /* no profile of ours: a number is a number */
        snprintf(out, cap, "%.3gs", ns / 1e9);
    else if (ns >= 60e9)
        snprintf(out, cap, "%.0fm%04.1fs", (double)(long)(ns / 60e9), ns / 1e9 - 60 * (double)(long)(ns / 60e9));
    else if (ns >= 1e9)
        snprintf(out, cap, "%.2fs", ns / 1e9);
    else if (ns >= 1e6)
        snprintf(out, cap, "%.1fms", ns / 1e6);
    else
        snprintf(out, cap, "%.0fus", ns / 1e3);
}

/* ---- adding */
static char *copy_of(const char *s)
{
    size_t n = strlen(s) + 1;
    return memcpy(sp_report_alloc(NULL, n), s, n);
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

/* The frame under which the rows show a category or a loss of the file, or the key itself in words. */
static void frame_of_key(const char *key, char *out, size_t cap)
{
    static const struct {
        enum sp_loss loss;
        enum sp_pseudo frame;
    } frames[] = {{SP_LOSS_OVERFLOW, SP_PSEUDO_OVERFLOW}, {SP_LOSS_TRUNCATED, SP_PSEUDO_TRUNCATED}};
    for (uint32_t c = 0; c < SP_CATEGORY_N; c++)
        if (strcmp(key, sp_store_category_name((enum sp_category)c)) == 0) {
            snprintf(out, cap, "%s", sp_store_pseudo_name(c));
            return;
        }
    for (size_t i = 0; i < SP_ARRAY_LEN(frames); i++)
        if (strcmp(key, sp_store_loss_name(frames[i].loss)) == 0) {
            snprintf(out, cap, "%s", sp_store_pseudo_name(frames[i].frame));
            return;
        }
    snprintf(out, cap, "%s", key);
    for (char *s = out; *s; s++)
        *s = *s == '_' ? ' ' : *s;
}

static void add_losses(struct sp_report_amounts *a, const cJSON *losses)
{
    const cJSON *item, *deeper;
    char name[256], reason[512];
    cJSON_ArrayForEach(item, losses)
    {
        frame_of_key(item->string ? item->string : "", name, sizeof name);
        if (cJSON_IsNumber(item))
            add_amount(a, name, item->valuedouble);
        cJSON_ArrayForEach(deeper, item)
        {
            snprintf(reason, sizeof reason, "%s %s", name, deeper->string ? deeper->string : "");
            for (char *s = reason + strlen(name); *s; s++)
                *s = *s == '_' ? ' ' : *s;
            if (cJSON_IsNumber(deeper))
                add_amount(a, reason, deeper->valuedouble);
        }
    }
}

static void add_elsewhere(struct sp_report_amounts *a, const cJSON *cpu)
{
    const cJSON *item;
    char name[256];
    cJSON_ArrayForEach(item, cpu)
    {
        const char *key = item->string ? item->string : "";
        bool part = strcmp(key, "used") && strcmp(key, "python") && strcmp(key, "before_start") && strcmp(key, "writer");
        frame_of_key(key, name, sizeof name);
        if (part && cJSON_IsNumber(item))
            add_amount(a, name, item->valuedouble);
    }
}

/* argv as one text; words that would not be seen, or be taken for two, in quotes. */
static char *command_of(const cJSON *block)
{
    const cJSON *word;
    size_t n = 0, cap = 1;
    char *text = sp_report_alloc(NULL, cap);
    text[0] = '\0';
    cJSON_ArrayForEach(word, cJSON_GetObjectItemCaseSensitive(block, "argv"))
    {
        const char *s = cJSON_GetStringValue(word) ? cJSON_GetStringValue(word) : "";
        const char *quote = *s == '\0' || strchr(s, ' ') ? "'" : "";
        cap += strlen(s) + 4;
        text = sp_report_alloc(text, cap);
        n += (size_t)snprintf(text + n, cap - n, "%s%s%s%s", n ? " " : "", quote, s, quote);
    }
    return text;
}

static void add_command(struct sp_report_head *h, const cJSON *block)
{
    char python[256], *text = command_of(block);
    snprintf(python, sizeof python, "%s %s", sp_report_string(block, "python"), sp_report_string(block, "build"));
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
        c->pids[c->n] = sp_report_number(block, "pid");
    c->n++;
}

/* "2026-11-23T08:13:00.123Z" as nanoseconds since 1970; 0: it is no time. */
static double started(const cJSON *block)
{
    struct tm tm = {0};
    const char *s = sp_report_string(block, "started"), *rest = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!rest)
        return 0;
    return (double)timegm(&tm) * 1e9 + (*rest == '.' ? strtod(rest, NULL) * 1e9 : 0);
}

static void add_times(struct sp_report_head *h, const cJSON *block)
{
    double wall = sp_report_number(block, "wall_ns"), from = started(block);
    h->longest_ns = wall > h->longest_ns ? wall : h->longest_ns;
    if (from > 0) {
        h->first_ns = h->first_ns == 0 || from < h->first_ns ? from : h->first_ns;
        h->last_ns = from + wall > h->last_ns ? from + wall : h->last_ns;
    }
    double interval = sp_report_number(block, "interval_ns"), samples = sp_report_number(block, "samples");
    double sampled = samples * sp_report_number(block, "effective_interval_ns");
    h->shortest_interval_ns = h->n_files == 0 || interval < h->shortest_interval_ns ? interval : h->shortest_interval_ns;
    h->longest_interval_ns = interval > h->longest_interval_ns ? interval : h->longest_interval_ns;
    h->samples += samples;
    h->sampled_ns += sampled;
    h->prompt_ns += sampled * sp_report_number(block, "prompt");
    const cJSON *thread;
    cJSON_ArrayForEach(thread, cJSON_GetObjectItemCaseSensitive(block, "threads"))
    {
        double cpu = sp_report_number(thread, "cpu"), others = sp_report_number(thread, "others");
        if (cpu < interval * (others > 1 ? others : 1))
            h->short_ns += cpu;
    }
}

void sp_report_add_head(struct sp_report_head *h, const struct sp_report_file *f)
{
    const cJSON *block = f->block, *cpu = cJSON_GetObjectItemCaseSensitive(block, "cpu");
    const cJSON *bounded = cJSON_GetObjectItemCaseSensitive(block, "bounded");
    add_command(h, block);
    add_times(h, block);
    add_elsewhere(&h->elsewhere, cpu);
    add_losses(&h->losses, cJSON_GetObjectItemCaseSensitive(block, "losses"));
    h->used += sp_report_number(cpu, "used");
    h->n_cut += cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(block, "complete"));
    double window = sp_report_number(bounded, "window_ms");
    h->window_ms = window > h->window_ms ? window : h->window_ms;
    h->folded_ns += sp_report_number(bounded, "folded_ns");
    h->no_order |= sp_report_number(bounded, "time_order_until_ns") > 0;
    const char *engine = sp_report_string(block, "engine");
    snprintf(h->engine, sizeof h->engine, "%s", h->n_files == 0 || strcmp(h->engine, engine) == 0 ? engine : "several");
    h->n_files++;
}

/* ---- printing */
static void print_commands(const struct sp_report_head *h)
{
    for (int i = 0; i < h->n_commands; i++) {
        const struct sp_report_command *c = &h->command[i];
        printf(i ? "           " : "Command:   ");
        if (*c->text) {
            sp_cli_print(stdout, c->text);
            putchar(' ');
        }
        printf(c->n > 1 ? "(%d processes: pid" : "(pid", c->n);
        for (int k = 0; k < c->n && k < SP_REPORT_PIDS; k++)
            printf("%s %.0f", k ? "," : "", c->pids[k]);
        puts(c->n > SP_REPORT_PIDS ? ", ...)" : ")");
    }
    if (h->n_other_commands)
        printf("           (%d more processes of other commands)\n", h->n_other_commands);
    printf("Python:    ");
    for (int i = 0; i < h->n_commands; i++) {
        int k = 0;
        while (k < i && strcmp(h->command[k].python, h->command[i].python) != 0)
            k++;
        if (k < i)
            continue;
        printf(i ? ", " : "");
        sp_cli_print(stdout, h->command[i].python);
    }
    putchar('\n');
}

static void print_amounts(const char *title, const struct sp_report_amounts *a, bool times, const char *none)
{
    printf("%s", title);
    for (int i = 0; i < a->n; i++) {
        char text[32];
        if (times)
            sp_report_time(a->sum[i], text, sizeof text);
        else
            snprintf(text, sizeof text, "%.0f", a->sum[i]);
        printf(i ? ", " : " ");
        sp_cli_print(stdout, a->key[i]);
        printf(" %s", text);
    }
    printf("%s\n", a->n ? "" : none);
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
        puts("Hint:      the profile's memory was full: (overflow), or threads without a place in it (no slot); give it\n"
             "           more by SPPROF_MEMORY, or room where SPPROF_SPOOL is");
    double share = h->used > 0 ? (h->short_ns > ended ? h->short_ns : ended) / h->used : 0;
    if (share > 0.1)
        printf("Hint:      %.0f%% of the CPU fell on threads or processes about as short as the time between two "
               "samples (%.3g ms):\n"
               "           what they did is known by chance only; a shorter SPPROF_INTERVAL shows more of it\n",
               100 * share, h->longest_interval_ns / 1e6);
    if (prompt < 0.9 && h->samples >= 10)
        printf("Hint:      %.0f%% of the CPU was seen late, in samples that stand for more than two periods (a "
               "busy machine, or long\n"
               "           system calls): totals are exact, small differences are not to be trusted\n",
               100 * (1 - prompt));
}

static void print_bounds(const struct sp_report_head *h)
{
    const char *next = "Bounded:   ";
    if (h->window_ms > 0) {
        printf("%swindows of %.0f ms", next, h->window_ms);
        next = ", ";
    }
    if (h->folded_ns > 0) {
        printf("%s%.1f ms (folded) into callers", next, h->folded_ns / 1e6);
        next = ", ";
    }
    if (h->no_order)
        printf("%sno time order after the log was full", next);
    if (*next == ',' || h->no_order)
        putchar('\n');
}

void sp_report_print_head(const struct sp_report_head *h)
{
    char used[32], wall[32];
    double span = h->last_ns - h->first_ns > h->longest_ns ? h->last_ns - h->first_ns : h->longest_ns;
    if (h->n_files > 1)
        printf("Profiles:  %d; sums of all\n", h->n_files);
    print_commands(h);
    sp_report_time(h->used, used, sizeof used);
    sp_report_time(h->n_files > 1 ? span : h->longest_ns, wall, sizeof wall);
    printf("CPU:       %s in %s of wall time\n", used, wall);
    printf("Samples:   %.0f; one per %.2f ms", h->samples, h->shortest_interval_ns / 1e6);
    if (h->longest_interval_ns > h->shortest_interval_ns)
        printf(" to %.2f ms", h->longest_interval_ns / 1e6);
    printf(" of CPU asked, %.2f ms achieved (engine ",
           (h->samples > 0 ? h->sampled_ns / h->samples : h->shortest_interval_ns) / 1e6);
    sp_cli_print(stdout, h->engine);
    printf("); %.1f%% of CPU seen promptly\n", 100 * (h->sampled_ns > 0 ? h->prompt_ns / h->sampled_ns : 1));
    if (h->n_cut && h->n_files == 1)
        puts("Ends:      before the process did: it ran on, or was killed");
    else if (h->n_cut)
        printf("Ends:      %d of the profiles before their process did: it ran on, or was killed\n", h->n_cut);
    print_amounts("Not in Python stacks:", &h->elsewhere, true, " nothing");
    print_amounts("Losses:   ", &h->losses, false, " none");
    print_bounds(h);
    sp_report_print_skipped(&h->skipped);
    print_hints(h);
}
