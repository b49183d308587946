/* SPDX-License-Identifier: MIT
 * See listing.h. */
#include "inject/command/listing.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "inject/command/command.h"
#include "inject/command/describe.h"
#include "inject/command/layout.h"
#include "writers/lines.h"
#include "writers/symbols.h"

#define COSTS 29      /* columns in front of a line */
#define NEAR 5        /* lines around one that cost something */
#define HEAD 40       /* lines in which a function's "def" is, behind its decorators */
#define LONGEST 10000 /* characters of a line that are shown */

static char *copy_of(const char *s, size_t n)
{
    char *to = memcpy(sp_cli_alloc(NULL, n + 1), s, n);
    to[n] = '\0';
    return to;
}

/* ---- what was spent */
static struct sp_listing_function *function_for(struct sp_listing *all, const char *name, const char *file, int first_line)
{
    for (size_t i = 0; i < all->n; i++)
        if (all->of[i].first_line == first_line && strcmp(all->of[i].name, name) == 0 && strcmp(all->of[i].file, file) == 0)
            return &all->of[i];
    all->of = sp_cli_alloc(all->of, (all->n + 1) * sizeof *all->of);
    all->of[all->n] = (struct sp_listing_function){
        .name = copy_of(name, strlen(name)), .file = copy_of(file, strlen(file)), .first_line = first_line};
    return &all->of[all->n++];
}

static struct sp_listing_line *line_for(struct sp_listing_function *f, int line)
{
    size_t at = 0;
    while (at < f->n && f->line[at].line < line)
        at++;
    if (at < f->n && f->line[at].line == line)
        return &f->line[at];
    f->line = sp_cli_alloc(f->line, (f->n + 1) * sizeof *f->line);
    memmove(f->line + at + 1, f->line + at, (f->n - at) * sizeof *f->line);
    f->line[at] = (struct sp_listing_line){.line = line};
    f->n++;
    return &f->line[at];
}

static void add_cost(struct sp_listing_function *f, int line, double self, double total)
{
    struct sp_listing_line *l = line_for(f, line);
    l->self += self;
    l->total += total;
}

static void weigh(void *arg, uint32_t node, uint64_t ns)
{
    ((uint64_t *)arg)[node] += ns;
}

/* Of one function: its own, and of all stacks that it is on. */
static void add_sums(struct sp_listing_function *to, const struct sp_view *v, uint32_t function, const uint64_t *self)
{
    bool *is_on = sp_cli_alloc(NULL, v->n_nodes + 1ull);
    is_on[0] = false;
    for (uint32_t n = 1; n < v->n_nodes; n++) {
        bool is_it = v->function_of_frame[sp_node_at(v->region, n)->frame] == function && !sp_view_is_interpreter(v, n);
        is_on[n] = is_it || is_on[sp_node_at(v->region, n)->parent];
        to->total += is_on[n] ? (double)self[n] : 0;
        to->self += is_it ? (double)self[n] : 0;
    }
    free(is_on);
}

/* Index of each function's entry + 1; 0: it is not asked for. */
static size_t *find(struct sp_listing *all, struct sp_view *v, const uint64_t *self, const struct sp_loaded *l)
{
    char text[8192];
    size_t *of = memset(sp_cli_alloc(NULL, (v->n_functions + 1ull) * sizeof *of), 0, (v->n_functions + 1ull) * sizeof *of);
    for (uint32_t f = 0; f < v->n_functions; f++) {
        size_t place = sp_describe(SP_REPORT_FUNCTION, v, f, 0, text, sizeof text);
        if (!v->functions[f].file || v->functions[f].native || !sp_describe_is(text, all->asked))
            continue;
        const struct sp_string *file = sp_string_at(v->region, v->functions[f].file);
        char *path = copy_of(file->data, file->bytes);
        text[place] = '\0';
        struct sp_listing_function *to = function_for(all, text, path, v->functions[f].first_line);
        free(path);
        uint64_t begun = l->region->started_wall_ns;
        to->begun_wall_ns = to->begun_wall_ns && to->begun_wall_ns < begun ? to->begun_wall_ns : begun;
        add_sums(to, v, f, self);
        of[f] = (size_t)(to - all->of) + 1;
    }
    return of;
}

static bool add_lines(struct sp_listing *all, struct sp_view *v, const size_t *of, const struct sp_loaded *l)
{
    struct sp_line_costs lines;
    for (size_t i = 0; i < l->n_lines; i++) {
        size_t to = l->lines[i].frame ? of[v->function_of_frame[l->lines[i].frame]] : 0;
        if (to)
            add_cost(&all->of[to - 1], l->lines[i].line, l->lines[i].self, l->lines[i].total);
    }
    if (l->is_text)
        return true;
    if (!sp_lines_find(&lines, v))
        return false;
    for (uint32_t f = 0; f < v->n_functions; f++)
        for (uint32_t i = of[f] ? lines.head[f] : 0; i; i = lines.all[i - 1].next)
            add_cost(&all->of[of[f] - 1], lines.all[i - 1].line, (double)lines.all[i - 1].self, (double)lines.all[i - 1].total);
    return true;
}

int sp_listing_add(struct sp_listing *all, const struct sp_loaded *l)
{
    struct sp_view v;
    if (l->lines_lost)
        return sp_cli_fail(l->name,
                           "tells what each line cost in all, not in some stacks or threads; a spool file or a process does");
    if (!sp_view_init(&v, &l->profile))
        return sp_cli_fail(l->name, "there is not enough memory");
    uint64_t *self = memset(sp_cli_alloc(NULL, v.n_nodes * sizeof *self), 0, v.n_nodes * sizeof *self);
    for (uint32_t i = 0; i < sp_view_n_profiles(&v); i++)
        sp_view_each_entry(&v, sp_view_profile_at(&v, i), weigh, self);
    all->sum += (double)v.used_ns;
    size_t *of = find(all, &v, self, l);
    bool done = add_lines(all, &v, of, l);
    free(of);
    free(self);
    return done ? 0 : sp_cli_fail(l->name, "there is not enough memory");
}

/* ---- the source */
static size_t indent_of(const char *s)
{
    return strspn(s, " \t");
}

static bool is_blank(const char *s)
{
    return !s[indent_of(s)];
}

/* What follows the last dot of a name, if that is a word that a source has. */
static const char *word_of(const struct sp_listing_function *f)
{
    const char *dot = strrchr(f->name, '.'), *word = dot && f->name[0] != '<' ? dot + 1 : f->name;
    for (const char *c = word; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_' && !((unsigned char)*c & 0x80))
            return NULL;
    return *word ? word : NULL;
}

/* "def NAME" or "class NAME" */
static bool defines(const char *text, const char *word)
{
    static const char *const keywords[] = {"def ", "class "};
    for (size_t i = 0; i < 2; i++) {
        const char *at = strstr(text, keywords[i]);
        size_t n = strlen(word);
        at = at ? at + strlen(keywords[i]) : NULL;
        at = at ? at + strspn(at, " ") : NULL;
        if (at && strncmp(at, word, n) == 0 && !isalnum((unsigned char)at[n]) && at[n] != '_')
            return true;
    }
    return false;
}

/* The line that is behind the function: not deeper than its first, and not part of its head. */
static bool is_end(const char *text, size_t indent, bool has_begun)
{
    return has_begun && !is_blank(text) && indent_of(text) <= indent && !strchr("#)]}", text[indent_of(text)]);
}

static int last_line(const struct sp_listing_function *f)
{
    return f->n ? f->line[f->n - 1].line : 0;
}

/* All lines of the function, and of the others those that cost something. */
static void take_text(struct sp_listing_function *f, FILE *in)
{
    char *text = NULL;
    size_t cap = 0, indent = 0;
    bool is_module = strncmp(f->name, "<module>", 8) == 0, is_open = true, has_begun = false, is_defined = false;
    const char *word = word_of(f);
    for (int line = 1; (is_open || line <= last_line(f)) && getline(&text, &cap, in) > 0; line++) {
        text[strcspn(text, "\r\n")] = '\0';
        if (line < f->first_line && !is_module)
            continue;
        indent = line == f->first_line ? indent_of(text) : indent;
        is_defined |= word && line < f->first_line + HEAD && defines(text, word);
        has_begun |= word ? is_defined && !defines(text, word) : line > f->first_line;
        is_open = is_open && !is_module && !is_end(text, indent, has_begun && indent_of(text) <= indent) &&
                  line < f->first_line + 100000;
        if (is_open || line <= last_line(f))
            line_for(f, line)->text = copy_of(text, strnlen(text, LONGEST));
    }
    free(text);
    for (; f->n && f->line[f->n - 1].text && is_blank(f->line[f->n - 1].text) && !(f->line[f->n - 1].total > 0); f->n--)
        free(f->line[f->n - 1].text);
    if (word && !is_defined) {
        f->state = SP_LISTING_CHANGED;
        f->why = "does not define it where it began when it ran: it is another version";
    }
}

static void mark_near(struct sp_listing_function *f)
{
    for (size_t i = 0; i < f->n; i++) {
        bool counts = f->line[i].total > 0 || f->line[i].self > 0 || f->line[i].line == f->first_line;
        for (size_t k = i > NEAR ? i - NEAR : 0; counts && k < f->n && k <= i + NEAR; k++)
            f->line[k].is_near |= abs(f->line[k].line - f->line[i].line) <= NEAR;
    }
}

static void read_source(struct sp_listing_function *f)
{
    struct stat st;
    int fd = open(f->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO is not waited for */
    FILE *in = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (!in || fstat(fileno(in), &st) != 0 || !S_ISREG(st.st_mode)) {
        f->state = SP_LISTING_MISSING;
        f->why = in ? "is no file" : strerror(errno);
    } else {
        take_text(f, in);
        uint64_t written = (uint64_t)st.st_mtim.tv_sec * SP_NS_PER_S + (uint64_t)st.st_mtim.tv_nsec;
        if (!f->why && f->begun_wall_ns && written > f->begun_wall_ns) {
            f->state = SP_LISTING_CHANGED;
            f->why = "was written to after the profile began: lines may be other ones";
        }
        for (size_t i = 0; i < f->n && !f->why; i++)
            if (!f->line[i].text) {
                f->state = SP_LISTING_MISSING;
                f->why = "has not so many lines";
            }
    }
    if (in)
        fclose(in);
    mark_near(f);
}

static int by_total(const void *a, const void *b)
{
    const struct sp_listing_function *x = a, *y = b;
    return x->total != y->total ? (x->total < y->total ? 1 : -1) : strcmp(x->file, y->file);
}

void sp_listing_finish(struct sp_listing *all)
{
    if (all->n)
        qsort(all->of, all->n, sizeof *all->of, by_total);
    for (size_t i = 0; i < all->n; i++)
        read_source(&all->of[i]);
}

/* ---- printing */
static void print_cost(double ns)
{
    char text[32] = "";
    if (ns > 0)
        sp_cli_time(ns, text, sizeof text);
    printf(" %9s", text);
}

static void print_lines(const struct sp_listing_function *f, int columns)
{
    bool is_gap = false, colours = sp_cli_colours();
    size_t indent = f->n && f->line[0].text ? indent_of(f->line[0].text) : 0;
    printf("\n%s     Self     Total   Line  Source%s\n", colours ? "\033[1m" : "", colours ? "\033[0m" : "");
    for (size_t i = 0; i < f->n; i++) {
        const struct sp_listing_line *l = &f->line[i];
        if (!l->is_near || (i && l->line != f->line[i - 1].line + 1)) {
            if (!is_gap)
                printf("%*s...\n", COSTS, "");
            is_gap = true;
        }
        if (!l->is_near)
            continue;
        is_gap = false;
        print_cost(l->self);
        print_cost(l->total);
        printf(" %6d  ", l->line);
        size_t own = l->text ? indent_of(l->text) : 0; /* less what all of it has */
        sp_layout_print_source(stdout, l->text ? l->text + (own < indent ? own : indent) : "", columns ? columns - COSTS : 0);
        putchar('\n');
    }
}

void sp_listing_print(const struct sp_listing *all, int columns)
{
    char self[32], total[32], sum[32];
    sp_cli_time(all->sum, sum, sizeof sum);
    for (size_t i = 0; i < all->n; i++) {
        const struct sp_listing_function *f = &all->of[i];
        sp_cli_time(f->self, self, sizeof self);
        sp_cli_time(f->total, total, sizeof total);
        printf("\nFunction:  ");
        sp_layout_print(stdout, f->name, columns ? columns - 11 : 0);
        printf("\nFile:      ");
        sp_layout_print(stdout, f->file, columns ? columns - 18 : 0);
        printf(":%d\nCPU:       %s self, %s total, of %s\n", f->first_line, self, total, sum);
        if (f->why) {
            printf("Source:    ");
            sp_cli_print(stdout, f->why);
            putchar('\n');
        }
        print_lines(f, columns);
    }
}
