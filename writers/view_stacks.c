/* SPDX-License-Identifier: MIT
 * The distinct stacks of all threads together, see view.h. */
#include "writers/view.h"

void sp_view_each_sum(struct sp_view *v, sp_view_emit *emit, void *arg)
{
    for (uint32_t n = 1; n < v->n_nodes; n++)
        if (sp_view_is_shown(v, n) && (!v->shown_as || v->shown_as[n] == n))
            emit(arg, n, v->self[n]);
}

/* ---- the GIL */
struct gil {
    const struct sp_view *v;
    sp_view_emit *emit;
    void *arg;
};

static void emit_gil(void *arg, const struct sp_sample *s)
{
    struct gil *g = arg;
    uint32_t node = g->v->canon[s->node];
    if (s->gil_ns)
        g->emit(g->arg, g->v->shown_as ? g->v->shown_as[node] : node, s->gil_ns);
}

void sp_view_each_gil(struct sp_view *v, const struct sp_view_profile *p, sp_view_emit *emit, void *arg)
{
    const struct sp_region *r = v->region;
    struct gil g = {v, emit, arg};
    if (p->thread && !p->part)
        sp_each_sum(r, sp_thread_at(r, p->thread)->first_total, 0, emit_gil, &g);
    if (p->thread)
        return;
    sp_each_booked_by_folded(r, emit_gil, &g);
    for (uint32_t i = v->n_own; i < v->n_listed; i++)
        if (!v->threads[i].part)
            sp_each_sum(r, sp_thread_at(r, v->threads[i].thread)->first_total, 0, emit_gil, &g);
}

/* ---- distinct stacks, depth first */
struct tree {
    uint64_t *subtree;
    uint32_t *child, *sibling;
};

/* Merges two lists of siblings, heavier first. */
static uint32_t merge(struct tree *t, uint32_t a, uint32_t b)
{
    uint32_t head = 0, *end = &head;
    while (a && b) {
        uint32_t *from = t->subtree[a] >= t->subtree[b] ? &a : &b;
        *end = *from;
        end = &t->sibling[*from];
        *from = *end;
    }
    *end = a ? a : b;
    return head;
}

static uint32_t sort_siblings(struct tree *t, uint32_t list)
{
    uint32_t bins[32] = {0}; /* bin i holds a sorted list of 2^i */
    while (list) {
        uint32_t one = list;
        list = t->sibling[one];
        t->sibling[one] = 0;
        int i = 0;
        for (; i < 31 && bins[i]; i++) {
            one = merge(t, bins[i], one);
            bins[i] = 0;
        }
        bins[i] = bins[i] ? merge(t, bins[i], one) : one;
    }
    uint32_t all = 0;
    for (int i = 0; i < 32; i++)
        if (bins[i])
            all = merge(t, bins[i], all);
    return all;
}

static bool build_tree(struct sp_view *v, struct tree *t)
{
    t->subtree = sp_view_alloc(v, (uint64_t)v->n_nodes * 8);
    t->child = sp_view_alloc(v, (uint64_t)v->n_nodes * 4);
    t->sibling = sp_view_alloc(v, (uint64_t)v->n_nodes * 4);
    if (!t->subtree || !t->child || !t->sibling)
        return false;
    for (uint32_t n = v->n_nodes; n-- > 1;) { /* children have larger ids: theirs are complete */
        if (v->canon[n] != n)
            continue;
        t->subtree[n] += v->self[n];
        t->child[n] = sort_siblings(t, t->child[n]);
        uint32_t parent = v->canon[sp_node_at(v->region, n)->parent];
        t->subtree[parent] += t->subtree[n];
        t->sibling[n] = t->child[parent];
        t->child[parent] = n;
    }
    t->child[0] = sort_siblings(t, t->child[0]);
    return true;
}

void sp_view_each_stack(struct sp_view *v, sp_view_emit *emit, void *arg)
{
    uint64_t mark = v->used_bytes;
    struct tree t;
    if (!build_tree(v, &t)) { /* no room to sort: in order of appearance */
        sp_view_each_sum(v, emit, arg);
    } else {
        for (uint32_t n = t.child[0]; n;) {
            if (v->self[n])
                emit(arg, n, v->self[n]);
            uint32_t next = t.child[n];
            while (!next && n) {
                next = t.sibling[n];
                if (!next)
                    n = v->canon[sp_node_at(v->region, n)->parent];
            }
            n = next;
        }
    }
    v->used_bytes = mark;
}
