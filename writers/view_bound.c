/* SPDX-License-Identifier: MIT
 * See view_bound.h. The time axis goes first: equal stacks are joined within windows of 1 s, 2 s, 4 s, ...; when
 * even one window is too much, subtrees that weigh little are folded into their parents. Sums never change. */
#include "writers/view_bound.h"

#include <string.h>

#define WHOLE_RUN UINT64_MAX

/* ---- entries of one profile, in order */
struct joiner {
    struct sp_view *v;
    sp_view_emit *emit;
    void *arg;
    uint64_t window_ns; /* 0: runs only */
    uint64_t window;    /* number of the current one */
    uint32_t n;         /* nodes touched in it */
    uint32_t last;      /* runs: current node and its weight */
    uint64_t weight;
};

static void flush_window(struct joiner *j)
{
    const uint32_t *touched = j->v->touched;
    for (uint32_t i = 0; i < j->n; i++) {
        uint32_t node = touched[i];
        uint64_t weight = j->v->sum[node];
        j->v->sum[node] = 0;
        j->emit(j->arg, node, weight);
    }
    j->n = 0;
}

static void flush_run(struct joiner *j)
{
    if (j->weight)
        j->emit(j->arg, j->last, j->weight);
    j->weight = 0;
}

static void join(struct joiner *j, uint32_t raw, uint64_t weight, uint64_t time_ns)
{
    uint32_t node = j->v->canon[raw];
    if (j->v->folded)
        node = j->v->folded[node];
    if (weight == 0)
        return;
    if (j->window_ns == 0) {
        if (node != j->last)
            flush_run(j);
        j->last = node;
        j->weight += weight;
        return;
    }
    uint64_t window = j->window_ns == WHOLE_RUN ? 0 : time_ns / j->window_ns;
    if (window != j->window) {
        flush_window(j);
        j->window = window;
    }
    if (j->v->sum[node] == 0)
        j->v->touched[j->n++] = node;
    j->v->sum[node] += weight;
}

static void join_thread(struct joiner *j, const struct sp_view_profile *p)
{
    const struct sp_region *r = j->v->region;
    const struct sp_thread *t = p->thread ? sp_thread_at(r, p->thread) : NULL;
    const uint32_t *part = p->split ? j->v->part : NULL;
    uint64_t time_ns = 0;
    for (uint32_t at = t && t->chunk ? t->first_chunk : 0; at;) {
        const struct sp_chunk *c = sp_at64(r, at);
        for (uint32_t i = 0; i < c->n; i++) {
            const struct sp_record *rec = &c->records[i];
            time_ns = c->base_ns + ((uint64_t)(rec->state_and_time & SP_RECORD_TIME_MAX) << SP_RECORD_TIME_SHIFT);
            if (!part || part[rec->node] == p->part)
                join(j, rec->node, rec->cpu_ns, time_ns);
        }
        at = at == t->chunk ? 0 : c->next;
    }
    for (uint32_t id = j->v->total_head[p->thread]; id; id = j->v->total_next[id]) {
        const struct sp_total *total = sp_pool_entry(r, &r->totals, id);
        if (!part || part[total->node] == p->part)
            join(j, total->node, total->cpu_ns, time_ns);
    }
    if (p->part)
        return;
    join(j, r->pseudo_node[SP_PSEUDO_OVERFLOW], p->overflow_ns, time_ns);
    if (t && t->state == SP_THREAD_LIVE)
        for (int c = 0; c < SP_CPU_N; c++)
            join(j, r->pseudo_node[c], t->rest_ns[c], time_ns);
}

void sp_view_each_entry(struct sp_view *v, const struct sp_view_profile *p, sp_view_emit *emit, void *arg)
{
    struct joiner j = {.v = v, .emit = emit, .arg = arg, .window_ns = p->aggregated ? WHOLE_RUN : v->window_ns};
    join_thread(&j, p);
    if (p->thread == 0)
        for (uint32_t i = v->n_own; i < v->n_listed; i++)
            join_thread(&j, &v->threads[i]);
    if (sp_view_n_profiles(v) == 1)
        join(&j, v->region->pseudo_node[SP_CPU_THREAD_START_END],
             v->used_ns > p->cpu_ns ? v->used_ns - p->cpu_ns : 0, UINT64_MAX - 1);
    flush_run(&j);
    flush_window(&j);
}

static void add_self(void *arg, uint32_t node, uint64_t weight)
{
    ((struct sp_view *)arg)->self[node] += weight;
}

static void sum_stacks(struct sp_view *v)
{
    uint32_t n_profiles = sp_view_n_profiles(v);
    for (uint32_t i = 0; i < n_profiles; i++)
        sp_view_each_entry(v, sp_view_profile_at(v, i), add_self, v);
    if (n_profiles != 1)
        v->self[v->region->pseudo_node[SP_CPU_THREAD_START_END]] += v->cpu_ns[SP_CPU_THREAD_START_END];
}

/* ---- folding */
static bool fold_below(struct sp_view *v, uint64_t least_ns)
{
    if (!v->folded && !(v->folded = sp_view_alloc(v, (uint64_t)v->n_nodes * 4)))
        return false;
    uint64_t *subtree = v->sum; /* free between two passes */
    for (uint32_t n = v->n_nodes; n-- > 1;) {
        if (v->canon[n] != n)
            continue;
        subtree[n] += v->self[n];
        uint32_t parent = v->canon[sp_node_at(v->region, n)->parent];
        if (parent)
            subtree[parent] += subtree[n];
    }
    v->folded_ns = 0;
    for (uint32_t n = 1; n < v->n_nodes; n++) {
        uint32_t parent = v->canon[sp_node_at(v->region, n)->parent];
        bool light = v->canon[n] == n && parent && subtree[n] < least_ns;
        v->folded[n] = light ? v->folded[parent] : n;
        if (light)
            v->folded_ns += v->self[n];
    }
    memset(subtree, 0, (uint64_t)v->n_nodes * 8);
    return true;
}

static void move_self_of_folded(struct sp_view *v)
{
    for (uint32_t n = v->n_nodes; n-- > 1;)
        if (v->folded && v->folded[n] != n && v->self[n]) {
            v->self[v->folded[n]] += v->self[n];
            v->self[n] = 0;
        }
}

/* ---- elided frames: one function for each number of frames left out */
static bool is_shown(const struct sp_view *v, uint32_t n)
{
    return v->self[n] && v->canon[n] == n;
}

static bool is_deep(const struct sp_view *v, uint32_t n)
{
    return is_shown(v, n) && sp_node_at(v->region, n)->depth > SP_VIEW_DEPTH_MAX && sp_view_depth(v, n) > SP_VIEW_DEPTH_MAX;
}

static bool find_elided(struct sp_view *v)
{
    uint32_t room = 0, most = 0;
    for (uint32_t n = 1; n < v->n_nodes; n++)
        if (is_deep(v, n))
            room++;
    if (!room)
        return true;
    v->elided_stacks = room;
    uint32_t deepest = v->region->depth + 2;
    uint8_t *seen = sp_view_alloc(v, deepest + 1ull);
    struct sp_function *all =
        seen ? sp_view_alloc(v, (v->n_functions + (uint64_t)sp_min_u64(room, deepest)) * sizeof *all) : NULL;
    if (!all)
        return false;
    memcpy(all, v->functions, v->n_functions * sizeof *all);
    v->functions = all;
    for (uint32_t n = 1; n < v->n_nodes; n++) {
        uint32_t depth = is_deep(v, n) ? sp_view_depth(v, n) : 0;
        if (!depth || depth > deepest || seen[depth])
            continue;
        seen[depth] = 1;
        all[v->n_functions + most++] = (struct sp_function){.pseudo = depth - 2 * SP_VIEW_DEPTH_KEPT};
    }
    v->n_elided_functions = most;
    return true;
}

/* Keeps the functions that some shown stack has, in their order. */
static bool drop_unused_functions(struct sp_view *v)
{
    uint32_t *number = sp_view_alloc(v, (uint64_t)v->n_functions * 4), n_used = 0;
    if (!number)
        return false;
    uint32_t *needed = v->touched; /* free between two passes */
    for (uint32_t n = v->n_nodes; n-- > 1;) {
        if (!is_shown(v, n) && !needed[n])
            continue;
        const struct sp_node *node = sp_node_at(v->region, n);
        number[v->function_of_frame[node->frame]] = 1;
        needed[node->parent ? v->canon[node->parent] : 0] = 1;
    }
    memset(needed, 0, (uint64_t)v->n_nodes * 4);
    for (uint32_t i = 0; i < v->n_functions; i++)
        if (number[i]) {
            v->functions[n_used] = v->functions[i];
            number[i] = ++n_used;
        }
    for (uint32_t f = 1; f < v->n_frames; f++)
        v->function_of_frame[f] = number[v->function_of_frame[f]] - 1; /* SP_VIEW_UNUSED if dropped */
    v->n_functions = n_used;
    return true;
}

bool sp_view_bound(struct sp_view *v, enum sp_view_order order, sp_view_fits *fits, void *arg)
{
    sum_stacks(v);
    v->window_ns = order == SP_VIEW_BY_TIME ? 0 : WHOLE_RUN;
    bool fit = fits(v, arg);
    for (v->window_ns = fit || v->window_ns ? v->window_ns : SP_NS_PER_S; !fit && v->window_ns != WHOLE_RUN; v->window_ns *= 2) {
        fit = fits(v, arg);
        if (fit)
            break;
        if (v->window_ns > v->profile->wall_ns || v->window_ns > UINT64_MAX / 4) {
            v->window_ns = WHOLE_RUN;
            break;
        }
    }
    for (uint64_t least = v->used_ns / 100000 + 1; !fit; least *= 2) {
        if (!fold_below(v, least))
            return false;
        fit = fits(v, arg) || least > v->used_ns;
    }
    move_self_of_folded(v);
    return drop_unused_functions(v) && find_elided(v);
}

void sp_view_each_sum(struct sp_view *v, sp_view_emit *emit, void *arg)
{
    for (uint32_t n = 1; n < v->n_nodes; n++)
        if (is_shown(v, n) && (!v->folded || v->folded[n] == n))
            emit(arg, n, v->self[n]);
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
