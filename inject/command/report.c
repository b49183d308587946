/* SPDX-License-Identifier: MIT
 * spprof report: the hottest functions, lines, files or threads of a profile, as a table. */
#include <errno.h>
#include <getopt.h>
#include <regex.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cjson/cJSON.h>

#include "inject/command/command.h"

#define LARGEST_FILE (1ull << 30)

struct row {
    char *name; /* owned */
    double self, total;
    size_t seen; /* number of the last stack that it was counted in */
};

struct report {
    const char *path;
    cJSON *root;
    const cJSON *frames, *profiles, *block;
    const cJSON **frame; /* by index */
    int n_frames;
    /* options */
    const char *by, *sort;
    long limit;
    regex_t thread;
    bool has_thread;
    /* result */
    struct row *rows;
    size_t n_rows;
    int *slots; /* hash table of the rows' names */
    size_t n_slots;
    int *row_of_frame;
    double sum;
};

static int fail(const char *path, const char *what)
{
    fprintf(stderr, "spprof: %s: %s\n", path, what);
    return 1;
}

static void *xalloc(void *p, size_t n)
{
    p = realloc(p, n ? n : 1);
    if (!p) {
        fprintf(stderr, "spprof: out of memory\n");
        exit(1);
    }
    return p;
}

static char *read_whole(const char *path, size_t *n)
{
    struct stat st;
    FILE *f = fopen(path, "rb");
    if (!f || fstat(fileno(f), &st) != 0) {
        fail(path, strerror(errno));
        return NULL;
    }
    char *text = NULL;
    size_t cap = 0;
    *n = 0;
    if (S_ISDIR(st.st_mode)) {
        fail(path, "is a directory");
    } else if ((uint64_t)st.st_size > LARGEST_FILE) {
        fail(path, "is larger than 1 GB; no profile of spprof is");
    } else {
        for (size_t got = 1; got;) {
            if (*n + 65537 > cap)
                text = xalloc(text, cap = cap ? cap * 2 : 1 << 20);
            got = fread(text + *n, 1, cap - *n - 1, f);
            *n += got;
        }
        text[*n] = '\0';
    }
    fclose(f);
    return text;
}

static double number(const cJSON *object, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

static const char *string(const cJSON *object, const char *key)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return s ? s : "";
}

/* ---- loading and checking */
static int check_profile(const struct report *r, const cJSON *profile)
{
    const cJSON *samples = cJSON_GetObjectItemCaseSensitive(profile, "samples"), *stack, *i;
    const cJSON *weights = cJSON_GetObjectItemCaseSensitive(profile, "weights");
    bool arrays = cJSON_IsArray(samples) && cJSON_IsArray(weights);
    if (!arrays || cJSON_GetArraySize(samples) != cJSON_GetArraySize(weights))
        return fail(r->path, "is damaged: samples and weights do not match");
    cJSON_ArrayForEach(stack, samples) {
        cJSON_ArrayForEach(i, stack) {
            if (!cJSON_IsNumber(i) || i->valuedouble < 0 || i->valuedouble >= r->n_frames)
                return fail(r->path, "is damaged: a stack names a frame that is not there");
        }
    }
    return 0;
}

static int load(struct report *r)
{
    size_t n;
    char *text = read_whole(r->path, &n);
    if (!text)
        return 1;
    const char *end = NULL;
    r->root = cJSON_ParseWithLengthOpts(text, n + 1, &end, 1);
    if (!r->root) {
        bool starts = strncmp(text, "{\"$schema\":\"https://www.speedscope.app", 38) == 0;
        int rc = fail(r->path, n == 0   ? "is empty"
                               : starts ? "is cut off or damaged: the JSON text does not end"
                                        : "is not a profile: no JSON text");
        free(text);
        return rc;
    }
    free(text);
    r->profiles = cJSON_GetObjectItemCaseSensitive(r->root, "profiles");
    r->frames = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(r->root, "shared"), "frames");
    r->block = cJSON_GetObjectItemCaseSensitive(r->root, "spprof");
    if (!cJSON_IsArray(r->profiles) || !cJSON_IsArray(r->frames) || cJSON_GetArraySize(r->profiles) == 0)
        return fail(r->path, "is not a Speedscope profile");
    if (!cJSON_IsObject(r->block))
        return fail(r->path, "is a Speedscope profile, but not one that spprof wrote");
    r->n_frames = cJSON_GetArraySize(r->frames);
    r->frame = xalloc(NULL, sizeof *r->frame * (size_t)r->n_frames);
    const cJSON *f, *p;
    int i = 0;
    cJSON_ArrayForEach(f, r->frames) r->frame[i++] = f;
    cJSON_ArrayForEach(p, r->profiles) {
        if (check_profile(r, p))
            return 1;
    }
    return 0;
}

/* ---- rows */
static uint32_t hash(const char *s)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    while (*s)
        h = (h ^ (unsigned char)*s++) * 16777619u;
    return h;
}

/* Doubles the table of slots (row number + 1) and enters all rows again. */
static void grow(struct report *r)
{
    r->n_slots = r->n_slots ? r->n_slots * 2 : 256;
    r->slots = xalloc(r->slots, sizeof *r->slots * r->n_slots);
    memset(r->slots, 0, sizeof *r->slots * r->n_slots);
    r->rows = xalloc(r->rows, sizeof *r->rows * r->n_slots / 2);
    for (size_t i = 0; i < r->n_rows; i++) {
        size_t at = hash(r->rows[i].name) % r->n_slots;
        while (r->slots[at])
            at = (at + 1) % r->n_slots;
        r->slots[at] = (int)i + 1;
    }
}

static int row_for(struct report *r, const char *name)
{
    if (2 * r->n_rows >= r->n_slots)
        grow(r);
    size_t at = hash(name) % r->n_slots;
    for (; r->slots[at]; at = (at + 1) % r->n_slots)
        if (strcmp(r->rows[r->slots[at] - 1].name, name) == 0)
            return r->slots[at] - 1;
    char *copy = xalloc(NULL, strlen(name) + 1);
    memcpy(copy, name, strlen(name) + 1);
    r->rows[r->n_rows] = (struct row){.name = copy};
    r->slots[at] = (int)++r->n_rows;
    return (int)r->n_rows - 1;
}

static void describe(const struct report *r, const cJSON *frame, int line, char *out, size_t cap)
{
    const char *file = string(frame, "file"), *name = string(frame, "name");
    if (!*file)
        snprintf(out, cap, "%s", name);
    else if (strcmp(r->by, "file") == 0)
        snprintf(out, cap, "%s", file);
    else
        snprintf(out, cap, "%s (%s:%d)", name, file, line ? line : (int)number(frame, "line"));
}

static int row_of(struct report *r, int frame)
{
    if (r->row_of_frame[frame] < 0) {
        char text[8192];
        describe(r, r->frame[frame], 0, text, sizeof text);
        r->row_of_frame[frame] = row_for(r, text);
    }
    return r->row_of_frame[frame];
}

static void add_stack(struct report *r, const cJSON *stack, double weight, size_t number_of_stack)
{
    const cJSON *i;
    int last = -1;
    r->sum += weight;
    cJSON_ArrayForEach(i, stack) {
        last = row_of(r, i->valueint);
        if (r->rows[last].seen != number_of_stack) { /* recursion counts once */
            r->rows[last].seen = number_of_stack;
            r->rows[last].total += weight;
        }
    }
    if (last >= 0)
        r->rows[last].self += weight;
}

static bool wanted(const struct report *r, const cJSON *profile, int index)
{
    int n = cJSON_GetArraySize(r->profiles);
    if (!r->has_thread && strcmp(r->by, "thread") != 0)
        return index == 0; /* all threads, or the only one */
    if (n > 1 && index == 0)
        return false;
    return !r->has_thread || regexec(&r->thread, string(profile, "name"), 0, NULL, 0) == 0;
}

static void by_stacks(struct report *r)
{
    size_t stacks = 0;
    int index = 0;
    const cJSON *p, *stack;
    r->row_of_frame = xalloc(NULL, sizeof(int) * (size_t)r->n_frames);
    for (int i = 0; i < r->n_frames; i++)
        r->row_of_frame[i] = -1;
    cJSON_ArrayForEach(p, r->profiles) {
        if (!wanted(r, p, index++))
            continue;
        const cJSON *w = cJSON_GetObjectItemCaseSensitive(p, "weights")->child;
        cJSON_ArrayForEach(stack, cJSON_GetObjectItemCaseSensitive(p, "samples")) {
            add_stack(r, stack, w->valuedouble, ++stacks);
            w = w->next;
        }
    }
}

static void by_threads(struct report *r)
{
    int index = 0;
    const cJSON *p, *w;
    cJSON_ArrayForEach(p, r->profiles) {
        if (!wanted(r, p, index++))
            continue;
        int row = row_for(r, string(p, "name"));
        cJSON_ArrayForEach(w, cJSON_GetObjectItemCaseSensitive(p, "weights")) {
            r->rows[row].self += w->valuedouble;
            r->rows[row].total += w->valuedouble;
            r->sum += w->valuedouble;
        }
    }
}

static int by_lines(struct report *r)
{
    const cJSON *entry, *line;
    if (r->has_thread)
        return fail("--by line", "the file has lines for all threads together only; leave --thread out");
    cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(r->block, "lines")) {
        const cJSON *frame = cJSON_GetArrayItem(entry, 0);
        if (!cJSON_IsNumber(frame) || frame->valueint < 0 || frame->valueint >= r->n_frames)
            return fail(r->path, "is damaged: the line table names a frame that is not there");
        cJSON_ArrayForEach(line, cJSON_GetArrayItem(entry, 1)) {
            const cJSON *number_ = cJSON_GetArrayItem(line, 0), *self = cJSON_GetArrayItem(line, 1);
            const cJSON *total = cJSON_GetArrayItem(line, 2);
            if (!cJSON_IsNumber(number_) || !cJSON_IsNumber(self) || !cJSON_IsNumber(total))
                return fail(r->path, "is damaged: the line table");
            char text[8192];
            describe(r, r->frame[frame->valueint], number_->valueint, text, sizeof text);
            int row = row_for(r, text);
            r->rows[row].self += self->valuedouble;
            r->rows[row].total += total->valuedouble;
        }
    }
    r->sum = number(cJSON_GetObjectItemCaseSensitive(r->block, "cpu"), "used");
    return 0;
}

/* ---- printing */
static const char *sort_key;

static int compare(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (*sort_key == 'n')
        return strcmp(x->name, y->name);
    double p = *sort_key == 's' ? x->self : x->total, q = *sort_key == 's' ? y->self : y->total;
    if (p != q)
        return p < q ? 1 : -1;
    p = x->total, q = y->total;
    return p != q ? (p < q ? 1 : -1) : strcmp(x->name, y->name);
}

static void time_text(double ns, char *out, size_t cap)
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

static void print_share(double part, double whole)
{
    double percent = whole > 0 ? 100 * part / whole : 0;
    if (percent > 99.9 && part < whole)
        printf(" >99.9");
    else
        printf("%6.1f", percent);
}

static void print_header(const struct report *r)
{
    char used[32], wall[32];
    const cJSON *cpu = cJSON_GetObjectItemCaseSensitive(r->block, "cpu"), *item, *deeper;
    time_text(number(cpu, "used"), used, sizeof used);
    time_text(number(r->block, "wall_ns"), wall, sizeof wall);
    printf("Command:   ");
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(r->block, "argv")) {
        sp_cli_print(stdout, cJSON_GetStringValue(item) ? cJSON_GetStringValue(item) : "");
        putchar(' ');
    }
    printf("(pid %.0f)\nPython:    ", number(r->block, "pid"));
    sp_cli_print(stdout, string(r->block, "python"));
    putchar(' ');
    sp_cli_print(stdout, string(r->block, "build"));
    printf("\nCPU:       %s in %s of wall time\n", used, wall);
    printf("Samples:   %.0f; one per %.2f ms of CPU asked, %.2f ms achieved (engine ", number(r->block, "samples"),
           number(r->block, "interval_ns") / 1e6, number(r->block, "effective_interval_ns") / 1e6);
    sp_cli_print(stdout, string(r->block, "engine"));
    bool cut = cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(r->block, "complete"));
    printf("); %.1f%% of CPU seen promptly\n%sNot in Python stacks:", 100 * number(r->block, "prompt"),
           cut ? "Ends:      before the process did: it ran on, or was killed\n" : "");
    int n = 0;
    cJSON_ArrayForEach(item, cpu) {
        bool part = strcmp(item->string, "used") && strcmp(item->string, "python") &&
                    strcmp(item->string, "before_start") && strcmp(item->string, "writer");
        if (part && cJSON_IsNumber(item) && item->valuedouble > 0) {
            time_text(item->valuedouble, used, sizeof used);
            printf("%s ", n++ ? "," : "");
            sp_cli_print(stdout, item->string);
            printf(" %s", used);
        }
    }
    printf("%s\nLosses:   ", n ? "" : " nothing");
    n = 0;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(r->block, "losses")) {
        if (cJSON_IsNumber(item) && item->valuedouble > 0)
            printf("%s %s %.0f", n++ ? "," : "", item->string, item->valuedouble);
        cJSON_ArrayForEach(deeper, item)
            printf("%s %s.%s %.0f", n++ ? "," : "", item->string, deeper->string, deeper->valuedouble);
    }
    printf("%s\n", n ? "" : " none");
    const cJSON *bounded = cJSON_GetObjectItemCaseSensitive(r->block, "bounded");
    bool was_full = number(bounded, "time_order_until_ns") > 0;
    if (number(bounded, "window_ms") > 0 || number(bounded, "folded_ns") > 0 || was_full)
        printf("Bounded:   windows of %.0f ms, %.1f ms folded into callers%s\n", number(bounded, "window_ms"),
               number(bounded, "folded_ns") / 1e6,
               was_full ? ", no time order after the log was full" : "");
}

static void print_rows(struct report *r)
{
    bool colours = sp_cli_colours();
    const char *bold = colours ? "\033[1m" : "", *plain = colours ? "\033[0m" : "";
    const char *what = strcmp(r->by, "thread") == 0 ? "Thread"
                       : strcmp(r->by, "file") == 0 ? "File"
                                                    : "Function (file:line)";
    sort_key = r->sort;
    if (r->n_rows)
        qsort(r->rows, r->n_rows, sizeof *r->rows, compare);
    printf("\n%s %%Self %%Total      Self     Total  %s%s\n", bold, what, plain);
    long shown = 0;
    for (size_t i = 0; i < r->n_rows && (r->limit == 0 || shown < r->limit); i++, shown++) {
        const struct row *row = &r->rows[i];
        char self[32], total[32];
        time_text(row->self, self, sizeof self);
        time_text(row->total, total, sizeof total);
        print_share(row->self, r->sum);
        putchar(' ');
        print_share(row->total, r->sum);
        printf(" %9s %9s  ", self, total);
        sp_cli_print(stdout, row->name);
        putchar('\n');
    }
    if ((size_t)shown < r->n_rows)
        printf("(%zu more rows: -n 0 shows all)\n", r->n_rows - (size_t)shown);
}

static const char usage[] =
    "usage: spprof report [--sort self|total|name] [-n ROWS] [--by function|line|file|thread] [--thread RE] FILE\n"
    "  --sort    order of the rows (self)\n"
    "  -n        rows to print (20; 0: all)\n"
    "  --by      what a row is (function)\n"
    "  --thread  only threads whose name matches this extended regular expression\n";

static bool is_one_of(const char *s, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(s, *words) == 0)
            return true;
    return false;
}

static int parse(struct report *r, int argc, char **argv)
{
    static const struct option longs[] = {{"sort", 1, NULL, 's'}, {"by", 1, NULL, 'b'}, {"thread", 1, NULL, 't'},
                                          {"help", 0, NULL, 'h'}, {NULL, 0, NULL, 0}};
    static const char *const sorts[] = {"self", "total", "name", NULL};
    static const char *const bys[] = {"function", "line", "file", "thread", NULL};
    char *end;
    for (int c; (c = getopt_long(argc, argv, "n:h", longs, NULL)) != -1;) {
        switch (c) {
        case 's':
            r->sort = optarg;
            break;
        case 'b':
            r->by = optarg;
            break;
        case 't':
            r->has_thread = regcomp(&r->thread, optarg, REG_EXTENDED | REG_NOSUB) == 0;
            if (!r->has_thread)
                return fail(optarg, "is no regular expression"), 2;
            break;
        case 'n':
            r->limit = strtol(optarg, &end, 10);
            if (*end || end == optarg || r->limit < 0)
                return fail(optarg, "is no number of rows"), 2;
            break;
        case 'h':
            fputs(usage, stdout);
            return -1;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    if (!is_one_of(r->sort, sorts))
        return fail(r->sort, "is no order; self, total, name are"), 2;
    if (!is_one_of(r->by, bys))
        return fail(r->by, "is nothing to report by; function, line, file, thread are"), 2;
    if (optind + 1 != argc) {
        fputs(usage, stderr);
        return 2;
    }
    r->path = argv[optind];
    return 0;
}

int sp_cli_report(int argc, char **argv)
{
    struct report r = {.by = "function", .sort = "self", .limit = 20};
    int rc = parse(&r, argc, argv);
    if (rc)
        return rc < 0 ? 0 : rc;
    if (load(&r))
        return 1;
    if (strcmp(r.by, "line") == 0)
        rc = by_lines(&r);
    else if (strcmp(r.by, "thread") == 0)
        by_threads(&r);
    else
        by_stacks(&r);
    if (rc)
        return rc;
    if (r.has_thread && r.n_rows == 0)
        return fail(r.path, "has no thread whose name matches");
    signal(SIGPIPE, SIG_DFL); /* `| head` ends us quietly */
    print_header(&r);
    print_rows(&r);
    if (fflush(stdout) != 0)
        return fail("standard output", strerror(errno));
    return 0;
}
