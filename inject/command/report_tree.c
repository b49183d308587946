/* SPDX-License-Identifier: MIT
 * See report_tree.h. Rows that call themselves, which libraries and files do, are one node; functions are as many as there are calls. */
#include "inject/command/report_tree.h"

#include <stdlib.h>
#include <string.h>

#include "inject/command/command.h"

/* ---- adding */
static uint32_t *slot_for(const struct sp_report_tree *t, uint32_t parent, int row)
{
    uint64_t h = ((uint64_t)parent << 32 | (uint32_t)row) * 0x9e3779b97f4a7c15ull;
    for (uint32_t at = (uint32_t)(h >> 32);; at++) {
        uint32_t *slot = &t->slots[at & (t->n_slots - 1)];
        if (!*slot || (t->node[*slot].parent == parent && t->node[*slot].row == row))
            return slot;
    }
}

static void grow(struct sp_report_tree *t)
{
    t->n_slots = t->n_slots ? 2 * t->n_slots : 1024;
    t->node = sp_cli_alloc(t->node, t->n_slots / 2 * sizeof *t->node);
    free(t->slots);
    t->slots = memset(sp_cli_alloc(NULL, t->n_slots * sizeof *t->slots), 0, t->n_slots * sizeof *t->slots);
    if (!t->n)
        t->node[t->n++] = (struct sp_tree_node){.row = -1};
    for (uint32_t i = 1; i < t->n; i++)
        *slot_for(t, t->node[i].parent, t->node[i].row) = i;
}

uint32_t sp_tree_child(struct sp_report_tree *t, uint32_t parent, int row)
{
    if (!t->n || t->n + 1 >= t->n_slots / 2)
        grow(t);
    uint32_t *slot = slot_for(t, parent, row);
    if (!*slot) {
        t->node[t->n] = (struct sp_tree_node){.parent = parent, .row = row};
        *slot = t->n++;
    }
    return *slot;
}

struct adding {
    struct sp_report_tree *t;
    const struct sp_report_rows *rows;
    const struct sp_view *v;
    const uint64_t *self;
    int (*row_of)(void *arg, uint32_t function);
    void *arg;
};

static bool is_call(const struct adding *a, uint32_t n)
{
    return a->v->canon[n] == n;
}

/* What each node and those that it calls weigh; the caller frees it. */
static uint64_t *weights(const struct adding *a)
{
    uint64_t *weight = memset(sp_cli_alloc(NULL, a->v->n_nodes * sizeof *weight), 0, a->v->n_nodes * sizeof *weight);
    for (uint32_t n = a->v->n_nodes; n-- > 1;) {
        weight[a->v->canon[n]] += a->self[n]; /* of what joins its caller, too */
        if (is_call(a, n))
            weight[sp_report_caller(a->v, n)] += weight[n];
    }
    return weight;
}

static void add_calls(struct adding *a, const uint64_t *weight)
{
    uint32_t *of = memset(sp_cli_alloc(NULL, a->v->n_nodes * sizeof *of), 0, a->v->n_nodes * sizeof *of);
    for (uint32_t n = 1; n < a->v->n_nodes; n++) {
        if (!is_call(a, n) || !weight[n])
            continue;
        uint32_t parent = of[sp_report_caller(a->v, n)];
        int row = a->row_of(a->arg, sp_report_function(a->v, n));
        bool is_same = a->rows->by != SP_REPORT_FUNCTION && parent && a->t->node[parent].row == row;
        of[n] = is_same ? parent : sp_tree_child(a->t, parent, row);
    }
    for (uint32_t n = 1; n < a->v->n_nodes; n++)
        if (a->self[n])
            a->t->node[of[a->v->canon[n]]].self += (double)a->self[n];
    free(of);
}

static void add_callers(struct adding *a, uint32_t n, double self, double total)
{
    uint32_t at = 0;
    for (uint32_t i = n; i; i = sp_report_caller(a->v, i)) {
        int row = a->row_of(a->arg, sp_report_function(a->v, i));
        if (a->rows->by == SP_REPORT_FUNCTION || !at || a->t->node[at].row != row)
            at = sp_tree_child(a->t, at, row);
    }
    a->t->node[at].self += self; /* at the outermost caller until sp_tree_finish() */
    a->t->node[at].total += total;
}

static bool is_asked_for(const struct adding *a, uint32_t n)
{
    int row = a->row_of(a->arg, sp_report_function(a->v, n));
    return sp_describe_is(a->rows->row[row].name, a->t->callers_of);
}

/* Of a function that calls itself the outermost call counts. */
static void add_to_callers(struct adding *a, const uint64_t *weight)
{
    uint32_t *outermost = memset(sp_cli_alloc(NULL, a->v->n_nodes * sizeof *outermost), 0, a->v->n_nodes * sizeof *outermost);
    double *own = memset(sp_cli_alloc(NULL, a->v->n_nodes * sizeof *own), 0, a->v->n_nodes * sizeof *own);
    for (uint32_t n = 1; n < a->v->n_nodes; n++) {
        if (!is_call(a, n) || !weight[n])
            continue;
        outermost[n] = outermost[sp_report_caller(a->v, n)];
        outermost[n] = outermost[n] || !is_asked_for(a, n) ? outermost[n] : n;
    }
    for (uint32_t n = 1; n < a->v->n_nodes; n++)
        if (a->self[n] && is_asked_for(a, a->v->canon[n]))
            own[outermost[a->v->canon[n]]] += (double)a->self[n];
    for (uint32_t n = 1; n < a->v->n_nodes; n++)
        if (outermost[n] == n)
            add_callers(a, n, own[n], (double)weight[n]);
    free(outermost);
    free(own);
}

void sp_tree_add(struct sp_report_tree *t, const struct sp_report_rows *rows, const struct sp_view *v, const uint64_t *self,
                 int (*row_of)(void *arg, uint32_t function), void *arg)
{
    struct adding a = {.t = t, .rows = rows, .v = v, .self = self, .row_of = row_of, .arg = arg};
    if (!t->n)
        grow(t);
    uint64_t *weight = weights(&a);
    if (t->callers_of)
        add_to_callers(&a, weight);
    else
        add_calls(&a, weight);
    free(weight);
}

/* ---- what is shown */
static const struct sp_report_tree *sorted;
static const struct sp_report_rows *named;

static int by_weight(const void *a, const void *b)
{
    uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
    double x = sorted->node[i].total, y = sorted->node[k].total;
    if (x != y)
        return x < y ? 1 : -1;
    return i < k ? -1 : i > k; /* callers first */
}

static int by_place(const void *a, const void *b)
{
    uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
    double x = sorted->node[i].total, y = sorted->node[k].total;
    if (x != y)
        return x < y ? 1 : -1;
    return strcmp(named->row[sorted->node[i].row].name, named->row[sorted->node[k].row].name);
}

/* Totals hold what is called, or who called through it. */
static void sum_up(struct sp_report_tree *t)
{
    for (uint32_t i = t->n; i-- > 1;) {
        struct sp_tree_node *n = &t->node[i], *parent = &t->node[n->parent];
        n->total += t->callers_of ? 0 : n->self;
        parent->total += n->total;
        if (t->callers_of)
            parent->self += n->self;
    }
    for (uint32_t i = 1; i < t->n; i++)
        t->node[i].depth = t->node[i].parent ? t->node[t->node[i].parent].depth + 1 : 0;
}

uint32_t sp_tree_finish(struct sp_report_tree *t, const struct sp_report_rows *rows, long limit)
{
    uint32_t n = t->n ? t->n - 1 : 0, shown = limit == 0 || limit > (long)n ? n : (uint32_t)limit;
    uint32_t *order = sp_cli_alloc(NULL, (n + 1ull) * sizeof *order);
    sum_up(t);
    for (uint32_t i = 0; i < n; i++)
        order[i] = i + 1;
    sorted = t;
    named = rows;
    qsort(order, n, sizeof *order, by_weight);
    qsort(order, shown, sizeof *order, by_place);
    for (uint32_t i = shown; i-- > 0;) { /* the heaviest last, in front of its list */
        struct sp_tree_node *one = &t->node[order[i]], *parent = &t->node[one->parent];
        one->is_shown = true;
        one->next = parent->first;
        parent->first = order[i];
    }
    free(order);
    return n - shown;
}

uint32_t sp_tree_next(const struct sp_report_tree *t, uint32_t node)
{
    if (!t->n || t->node[node].first)
        return t->n ? t->node[node].first : 0;
    while (node && !t->node[node].next)
        node = t->node[node].parent;
    return node ? t->node[node].next : 0;
}
