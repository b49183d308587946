/* SPDX-License-Identifier: MIT
 * spprof diff: which functions' shares of the CPU differ between two profiles, or sets of them, and which differences are more
 * than chance: a share p of n samples is known to within sqrt(p (1 - p) / n). */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inject/command/command.h"
#include "inject/command/diff_page.h"
#include "inject/command/expand.h"
#include "inject/command/filter.h"
#include "inject/command/input.h"
#include "inject/command/layout.h"
#include "inject/command/report.h"

#define SHARES 59 /* columns in front of a name */
#define SIGMAS 3  /* of so many functions one in a thousand differs by that from chance alone */

/* ---- one side */
struct side {
    struct sp_report_rows rows;
    struct sp_report_head head;
    double whole; /* ns; what 100 % is */
};

struct request {
    double fail_above; /* part; below 0: not asked for */
    const char *per;   /* function; NULL: all CPU */
    const char *out;   /* of the page; NULL: none */
    long limit;
    struct sp_filter filter;
    struct side side[2];
    struct sp_combined both; /* for the page */
};

static int add(struct request *q, int side, const char *name)
{
    struct sp_loaded l;
    struct side *s = &q->side[side];
    if (sp_report_is_skipped(name))
        return 0;
    enum sp_filter_left left = sp_filter_load(&q->filter, &l, name);
    int rc = left == SP_FILTER_FAILED;
    if (left == SP_FILTER_SOME && !(sp_report_add(&s->rows, &l) && sp_report_add_head(&s->head, &l)))
        rc = sp_cli_fail(name, "there is not enough memory");
    if (rc == 0 && left == SP_FILTER_SOME && q->out)
        rc = sp_diff_page_add(&q->both, side, &l);
    sp_unload(&l);
    return rc;
}

static int load(struct request *q, int side, char *argument)
{
    struct sp_cli_names names;
    struct side *s = &q->side[side];
    int rc = sp_cli_expand(&names, &argument, 1);
    s->rows = (struct sp_report_rows){.by = SP_REPORT_SAME_FUNCTION};
    rc |= q->out && sp_cli_names_have(&names, q->out);
    for (size_t i = 0; i < names.n && rc == 0; i++)
        rc |= add(q, side, names.name[i]);
    sp_cli_names_free(&names);
    s->whole = s->rows.sum;
    if (rc == 0 && !(s->whole > 0) && sp_filter_is_set(&q->filter))
        rc = sp_filter_refuse(&q->filter, argument, true);
    else if (rc == 0 && !(s->whole > 0))
        rc = sp_cli_fail(argument, "holds no CPU: there is nothing to compare");
    return rc;
}

/* ---- differences */
struct difference {
    const char *name;
    double self[2], total[2]; /* ns */
    double change, noise;     /* of self, parts of the whole */
    double total_change, total_noise;
};

struct differences {
    struct difference *of;
    size_t n;
    double whole[2], samples[2];
};

static double share(double part, double whole)
{
    return part / whole;
}

/* What chance makes of the difference of two shares. One that no sample saw may have had one. */
static double noise_of(const struct differences *d, const double ns[2])
{
    double sum = 0;
    for (int i = 0; i < 2; i++) {
        double n = d->samples[i] > 1 ? d->samples[i] : 1, p = share(ns[i], d->whole[i]);
        p = p < 1 / n ? 1 / n : p > 1 - 1 / n ? 1 - 1 / n : p;
        sum += p * (1 - p) / n;
    }
    return SIGMAS * sqrt(sum > 0 ? sum : 1);
}

static bool is_change(const struct difference *d)
{
    return fabs(d->change) > d->noise;
}

static bool is_total_change(const struct difference *d)
{
    return fabs(d->total_change) > d->total_noise;
}

/* What itself rose beyond noise, then what fell, then what calls such or is called by other callers than before, then the rest;
 * the largest first. */
static int rank(const struct difference *d)
{
    return !is_change(d) ? 2 + !is_total_change(d) : d->change > 0 ? 0 : 1;
}

static int compare(const void *a, const void *b)
{
    const struct difference *x = a, *y = b;
    if (rank(x) != rank(y))
        return rank(x) - rank(y);
    double p = fabs(rank(x) == 2 ? x->total_change : x->change), q = fabs(rank(y) == 2 ? y->total_change : y->change);
    return p != q ? (p < q ? 1 : -1) : strcmp(x->name, y->name);
}

static void find(struct differences *d, struct side side[2])
{
    struct sp_report_rows *b = &side[1].rows;
    for (size_t i = 0; i < side[0].rows.n; i++) /* so that each row of A has one in B */
        sp_report_row(b, side[0].rows.row[i].name);
    d->n = b->n;
    d->of = sp_cli_alloc(NULL, (d->n + 1) * sizeof *d->of);
    for (size_t i = 0; i < d->n; i++) {
        const struct sp_report_row *rb = &b->row[i], *ra = sp_report_row(&side[0].rows, rb->name);
        struct difference *x = &d->of[i];
        *x = (struct difference){.name = rb->name, .self = {ra->self, rb->self}, .total = {ra->total, rb->total}};
        x->change = share(x->self[1], d->whole[1]) - share(x->self[0], d->whole[0]);
        x->noise = noise_of(d, x->self);
        x->total_change = share(x->total[1], d->whole[1]) - share(x->total[0], d->whole[0]);
        x->total_noise = noise_of(d, x->total);
    }
    qsort(d->of, d->n, sizeof *d->of, compare);
}

/* The whole is a function's total instead of all CPU. */
static int take_whole(struct side side[2], const char *function)
{
    size_t n = strlen(function);
    for (int i = 0; i < 2; i++) {
        double total = 0;
        for (size_t k = 0; k < side[i].rows.n; k++) {
            const struct sp_report_row *row = &side[i].rows.row[k];
            bool is_it = strncmp(row->name, function, n) == 0 && (!row->name[n] || strncmp(row->name + n, " (", 2) == 0);
            total = is_it && row->total > total ? row->total : total;
        }
        if (!(total > 0))
            return sp_cli_fail(function, i ? "is no function of the second" : "is no function of the first");
        side[i].whole = total;
    }
    return 0;
}

/* ---- printing */
static void print_side(char letter, const char *name, const struct side *s)
{
    char used[32];
    sp_cli_time(s->head.used, used, sizeof used);
    printf("%c:         ", letter);
    sp_cli_print(stdout, sp_input_name(name));
    printf(", %s of CPU, %.0f samples", used, s->head.samples);
    printf(s->head.n_files > 1 ? " of %d processes\n" : "\n", s->head.n_files);
}

static void print_row(const struct differences *all, const struct difference *d, int columns)
{
    char a[32], b[32];
    sp_cli_time(d->self[0], a, sizeof a);
    sp_cli_time(d->self[1], b, sizeof b);
    printf("%c %6.1f %6.1f %+7.1f %6.1f %+7.1f%c %8s %8s  ", is_change(d) ? ' ' : '~', 100 * share(d->self[0], all->whole[0]),
           100 * share(d->self[1], all->whole[1]), 100 * d->change, 100 * d->noise, 100 * d->total_change,
           is_total_change(d) ? ' ' : '~', a, b);
    sp_layout_print(stdout, d->name, columns ? columns - SHARES : 0);
    putchar('\n');
}

static void print(const struct differences *d, long limit)
{
    const char *bold = sp_cli_colours() ? "\033[1m" : "", *plain = sp_cli_colours() ? "\033[0m" : "";
    int columns = sp_layout_columns();
    size_t shown = limit == 0 || (size_t)limit > d->n ? d->n : (size_t)limit;
    printf("\n%s  %%SelfA %%SelfB  change  noise   total     SelfA    SelfB  Function (file)%s\n", bold, plain);
    for (size_t i = 0; i < shown; i++)
        print_row(d, &d->of[i], columns);
    if (shown < d->n)
        printf("(%zu more rows: -n 0 shows all)\n", d->n - shown);
    puts("(~: no more than chance makes of so few samples; total: change of the total's share)");
}

/* ---- the command */
static const char *take(void *arg, const struct sp_cli_given *g)
{
    struct request *q = arg;
    const char *why;
    char *end;
    if (sp_filter_take(&q->filter, g, &why))
        return why;
    if (strcmp(g->name, "--per") == 0) {
        q->per = g->value;
    } else if (strcmp(g->name, "-o") == 0 || strcmp(g->name, "--html") == 0) {
        q->out = g->value;
    } else if (strcmp(g->name, "-n") == 0) {
        q->limit = strtol(g->value, &end, 10);
        return *end || end == g->value || q->limit < 0 ? "is no number of rows; 0 shows all" : NULL;
    } else {
        q->fail_above = strtod(g->value, &end) / 100;
        end += *end == '%';
        return *end || end == g->value || !(q->fail_above >= 0) ? "is no share; 5% is one" : NULL;
    }
    return NULL;
}

static int judge(const struct differences *d, double most)
{
    int n = 0;
    for (size_t i = 0; i < d->n && most >= 0; i++)
        if (is_change(&d->of[i]) && d->of[i].change > most) {
            fprintf(stderr, "spprof: ");
            sp_cli_print(stderr, d->of[i].name);
            fprintf(stderr, ": its share rose by %.1f points, more than %g\n", 100 * d->of[i].change, 100 * most);
            n++;
        }
    return n != 0;
}

static void print_all(const struct request *q, const struct differences *d, char *const *names)
{
    signal(SIGPIPE, SIG_DFL);
    print_side('A', names[0], &q->side[0]);
    print_side('B', names[1], &q->side[1]);
    if (q->per) {
        printf("100 %%:     what ");
        sp_cli_print(stdout, q->per);
        printf(" used\n");
    }
    print(d, q->limit);
}

static int write_page(struct request *q, const struct differences *d, char *const *names)
{
    struct sp_compared compared = {.per = q->per};
    for (int i = 0; i < 2; i++) {
        const struct sp_report_head *h = &q->side[i].head;
        compared.of[i] = (struct sp_compared_side){.name = sp_input_name(names[i]),
                                                   .python = h->command[0].python,
                                                   .used_ns = (uint64_t)h->used,
                                                   .whole_ns = (uint64_t)d->whole[i],
                                                   .samples = (uint64_t)(d->samples[i] + .5),
                                                   .n_files = (uint64_t)h->n_files};
    }
    return sp_diff_page_write(q->out, &q->both, &compared);
}

static int compare_sides(struct request *q, char **names)
{
    struct side *side = q->side;
    if (load(q, 0, names[0]) || load(q, 1, names[1]) || (q->per && take_whole(side, q->per)))
        return 2;
    struct differences d = {.whole = {side[0].whole, side[1].whole}, .samples = {side[0].head.samples, side[1].head.samples}};
    for (int i = 0; i < 2; i++) /* those of the whole */
        d.samples[i] *= side[i].whole / side[i].rows.sum;
    find(&d, side);
    int failed = q->out && write_page(q, &d, names) ? 2 : 0;
    if (!q->out || strcmp(q->out, "-") != 0)
        print_all(q, &d, names);
    int rc = judge(&d, q->fail_above);
    free(d.of);
    return failed ? failed : rc;
}

int sp_cli_diff(int argc, char **argv)
{
    static struct request q;
    q = (struct request){.fail_above = -1, .limit = 20};
    int rc = sp_cli_parse(argc, argv, take, &q);
    if (rc < 0)
        rc = q.out && !sp_diff_page_may_be(q.out) ? 2 : compare_sides(&q, argv + optind);
    sp_combine_close(&q.both);
    return rc;
}
