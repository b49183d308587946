/* SPDX-License-Identifier: MIT
 * See report.h: the table of functions, lines, files, threads or processes. Rows of several files that are called
 * the same are one row. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "inject/command/command.h"
#include "inject/command/demangle.h"
#include "inject/command/report.h"

static uint32_t hash(const char *s)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    while (*s)
        h = (h ^ (unsigned char)*s++) * 16777619u;
    return h;
}

/* Doubles the table of slots and enters all rows again. */
static void grow(struct sp_report_rows *r)
{
    r->n_slots = r->n_slots ? r->n_slots * 2 : 256;
    r->slots = sp_report_alloc(r->slots, sizeof *r->slots * r->n_slots);
    memset(r->slots, 0, sizeof *r->slots * r->n_slots);
    r->row = sp_report_alloc(r->row, sizeof *r->row * r->n_slots / 2);
    for (size_t i = 0; i < r->n; i++) {
        size_t at = hash(r->row[i].name) % r->n_slots;
        while (r->slots[at])
            at = (at + 1) % r->n_slots;
        r->slots[at] = (int)i + 1;
    }
}

static size_t row_for(struct sp_report_rows *r, const char *name)
{
    if (2 * r->n >= r->n_slots)
        grow(r);
    size_t at = hash(name) % r->n_slots;
    for (; r->slots[at]; at = (at + 1) % r->n_slots)
        if (strcmp(r->row[r->slots[at] - 1].name, name) == 0)
            return (size_t)r->slots[at] - 1;
    char *copy = sp_report_alloc(NULL, strlen(name) + 1);
    memcpy(copy, name, strlen(name) + 1);
    r->row[r->n] = (struct sp_report_row){.name = copy};
    r->slots[at] = (int)++r->n;
    return r->n - 1;
}

/* Until the next row is made. */
static struct sp_report_row *row_named(struct sp_report_rows *r, const char *name)
{
    size_t i = row_for(r, name); /* may move the rows */
    return &r->row[i];
}

static void add_to(struct sp_report_rows *r, const char *name, double self, double total)
{
    struct sp_report_row *row = row_named(r, name);
    row->self += self;
    row->total += total;
}

/* ---- what a row is called */
static const char *shown(const char *name)
{
    return *name ? name : "(no name)";
}

static void describe(const struct sp_report_rows *r, const cJSON *frame, int line, char *out, size_t cap)
{
    const char *file = sp_report_string(frame, "file"), *name = shown(sp_report_string(frame, "name"));
    double number = sp_report_number(frame, "line");
    char readable[4096];
    name = sp_cli_demangle(name, file, readable, sizeof readable);
    if (!line && number >= 1 && number <= INT_MAX)
        line = (int)number;
    if (!*file)
        snprintf(out, cap, "%s", name);
    else if (r->by == SP_REPORT_FILE)
        snprintf(out, cap, "%s", file);
    else
        snprintf(out, cap, line ? "%s (%s:%d)" : "%s", name, file, line); /* a native one's name tells its library */
}

static void describe_process(const struct sp_report_file *f, char *out, size_t cap)
{
    const char *title = sp_report_string(f->root, "name");
    if (*title)
        snprintf(out, cap, "%s", title);
    else
        snprintf(out, cap, "(pid %.0f)", sp_report_number(f->block, "pid"));
}

/* ---- one file */
struct adding {
    struct sp_report_rows *rows;
    const struct sp_report_file *f;
    int *row_of_frame; /* -1: not looked up yet */
    double *left;      /* by lines: CPU of the file that no row has yet */
};

static int row_of(struct adding *a, int frame)
{
    if (a->row_of_frame[frame] < 0) {
        char text[8192];
        describe(a->rows, a->f->frame[frame], 0, text, sizeof text);
        a->row_of_frame[frame] = (int)row_for(a->rows, text);
    }
    return a->row_of_frame[frame];
}

static void add_stack(struct adding *a, const cJSON *stack, double weight)
{
    struct sp_report_rows *r = a->rows;
    const cJSON *i;
    int last = -1;
    r->n_stacks++;
    r->sum += weight;
    cJSON_ArrayForEach(i, stack)
    {
        last = row_of(a, i->valueint);
        if (r->row[last].seen != r->n_stacks) { /* recursion counts once */
            r->row[last].seen = r->n_stacks;
            r->row[last].total += weight;
        }
    }
    if (last >= 0)
        r->row[last].self += weight;
    else
        add_to(r, "(no stack)", weight, weight);
}

static bool wanted(const struct sp_report_rows *r, const struct sp_report_file *f, const cJSON *profile, int index)
{
    int n = cJSON_GetArraySize(f->profiles);
    const cJSON *wall = cJSON_GetObjectItemCaseSensitive(f->block, "wall");
    if (wall && index >= sp_report_number(wall, "profile")) /* of whole lives */
        return false;
    if (!r->thread && r->by != SP_REPORT_THREAD)
        return index == 0; /* all threads, or the only one */
    if (n > 1 && index == 0)
        return false;
    return !r->thread || regexec(r->thread, sp_report_string(profile, "name"), 0, NULL, 0) == 0;
}

/* Calls each(a, stack, weight) for what is wanted of the file. */
static void each_stack(struct adding *a, void (*each)(struct adding *a, const cJSON *stack, double weight))
{
    int index = 0;
    const cJSON *p, *stack;
    cJSON_ArrayForEach(p, a->f->profiles)
    {
        if (!wanted(a->rows, a->f, p, index++))
            continue;
        const cJSON *w = cJSON_GetObjectItemCaseSensitive(p, "weights")->child;
        cJSON_ArrayForEach(stack, cJSON_GetObjectItemCaseSensitive(p, "samples"))
        {
            each(a, stack, w->valuedouble);
            w = w->next;
        }
    }
}

static void by_names(struct adding *a)
{
    int index = 0;
    const cJSON *p, *w;
    char process[8192];
    describe_process(a->f, process, sizeof process);
    cJSON_ArrayForEach(p, a->f->profiles)
    {
        if (!wanted(a->rows, a->f, p, index++))
            continue;
        double sum = 0;
        cJSON_ArrayForEach(w, cJSON_GetObjectItemCaseSensitive(p, "weights")) sum += w->valuedouble;
        add_to(a->rows, a->rows->by == SP_REPORT_PROCESS ? process : shown(sp_report_string(p, "name")), sum, sum);
        a->rows->sum += sum;
    }
}

/* ---- lines: the file has them for Python's frames; the others are taken from the stacks */
static int add_lines(struct adding *a, double *sum)
{
    const cJSON *entry, *line;
    cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(a->f->block, "lines"))
    {
        const cJSON *frame = cJSON_GetArrayItem(entry, 0);
        if (!cJSON_IsNumber(frame) || frame->valuedouble < 0 || frame->valuedouble >= a->f->n_frames)
            return sp_report_fail(a->f->path, "is damaged: the line table names a frame that is not there");
        a->row_of_frame[frame->valueint] = 0; /* has lines */
        cJSON_ArrayForEach(line, cJSON_GetArrayItem(entry, 1))
        {
            const cJSON *number = cJSON_GetArrayItem(line, 0), *self = cJSON_GetArrayItem(line, 1);
            const cJSON *total = cJSON_GetArrayItem(line, 2);
            if (!cJSON_IsNumber(number) || !cJSON_IsNumber(self) || !cJSON_IsNumber(total))
                return sp_report_fail(a->f->path, "is damaged: the line table");
            char text[8192];
            describe(a->rows, a->f->frame[frame->valueint], number->valueint, text, sizeof text);
            add_to(a->rows, text, self->valuedouble, total->valuedouble);
            *sum += self->valuedouble;
        }
    }
    return 0;
}

/* What stacks give to frames without lines. Line tables know nothing of frames that were folded into their callers
 * to keep the file small, so that a caller may have here what stands in a line already: never more than is left. */
static void add_frames_without_lines(struct adding *a, const cJSON *stack, double weight)
{
    const cJSON *i, *leaf = NULL;
    char text[8192];
    a->rows->n_stacks++;
    cJSON_ArrayForEach(i, stack)
    {
        leaf = i;
        if (a->row_of_frame[i->valueint] >= 0)
            continue;
        describe(a->rows, a->f->frame[i->valueint], 0, text, sizeof text);
        struct sp_report_row *row = row_named(a->rows, text);
        if (row->seen != a->rows->n_stacks) {
            row->seen = a->rows->n_stacks;
            row->total += weight;
        }
    }
    if (!leaf || a->row_of_frame[leaf->valueint] >= 0)
        return;
    double left = *a->left < weight ? *a->left : weight;
    describe(a->rows, a->f->frame[leaf->valueint], 0, text, sizeof text);
    row_named(a->rows, text)->self += left;
    *a->left -= left;
}

static int by_lines(struct adding *a)
{
    double used = sp_report_number(cJSON_GetObjectItemCaseSensitive(a->f->block, "cpu"), "used"), in_lines = 0, left;
    int rc = add_lines(a, &in_lines);
    if (rc)
        return rc;
    left = used > in_lines ? used - in_lines : 0;
    a->left = &left;
    each_stack(a, add_frames_without_lines);
    if (left > 0)
        add_to(a->rows, "(folded)", left, left);
    a->rows->sum += used > in_lines ? used : in_lines;
    return 0;
}

int sp_report_add(struct sp_report_rows *rows, const struct sp_report_file *f)
{
    struct adding a = {.rows = rows, .f = f};
    int rc = 0;
    if (rows->by == SP_REPORT_THREAD || rows->by == SP_REPORT_PROCESS) {
        by_names(&a);
        return 0;
    }
    a.row_of_frame = sp_report_alloc(NULL, sizeof(int) * (size_t)f->n_frames);
    for (int i = 0; i < f->n_frames; i++)
        a.row_of_frame[i] = -1;
    if (rows->by == SP_REPORT_LINE)
        rc = by_lines(&a);
    else
        each_stack(&a, add_stack);
    free(a.row_of_frame);
    return rc;
}

/* ---- printing */
static const char *sort_key;

static int compare(const void *a, const void *b)
{
    const struct sp_report_row *x = a, *y = b;
    if (*sort_key == 'n')
        return strcmp(x->name, y->name);
    double p = *sort_key == 's' ? x->self : x->total, q = *sort_key == 's' ? y->self : y->total;
    if (p != q)
        return p < q ? 1 : -1;
    p = x->total, q = y->total;
    return p != q ? (p < q ? 1 : -1) : strcmp(x->name, y->name);
}

static void print_share(double part, double whole)
{
    double percent = whole > 0 ? 100 * part / whole : 0;
    if (percent > 99.9 && part < whole)
        printf(" >99.9");
    else
        printf("%6.1f", percent);
}

void sp_report_print_rows(struct sp_report_rows *r, const char *sort, long limit)
{
    static const char *const whats[] = {"Function (file:first line)", "Function (file:line)", "File", "Thread", "Process"};
    bool colours = sp_cli_colours();
    const char *bold = colours ? "\033[1m" : "", *plain = colours ? "\033[0m" : "";
    sort_key = sort;
    if (r->n)
        qsort(r->row, r->n, sizeof *r->row, compare);
    printf("\n%s %%Self %%Total      Self     Total  %s%s\n", bold, whats[r->by], plain);
    size_t shown = limit == 0 || (size_t)limit > r->n ? r->n : (size_t)limit;
    for (size_t i = 0; i < shown; i++) {
        const struct sp_report_row *row = &r->row[i];
        char self[32], total[32];
        sp_report_time(row->self, self, sizeof self);
        sp_report_time(row->total, total, sizeof total);
        print_share(row->self, r->sum);
        putchar(' ');
        print_share(row->total, r->sum);
        printf(" %9s %9s  ", self, total);
        sp_cli_print(stdout, row->name);
        putchar('\n');
    }
    if (shown < r->n)
        printf("(%zu more rows: -n 0 shows all)\n", r->n - shown);
}
