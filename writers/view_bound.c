/* SPDX-License-Identifier: MIT
 * See view_bound.h. The time axis goes first: equal stacks are joined within windows of 1 s, 2 s, 4 s, ...; when
 * even one window is too much, subtrees that weigh little are taken in by their callers. Sums never change. */
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

static void flush_node(struct joiner *j, uint32_t node)
{
    uint64_t weight = j->v->sum[node];
    j->v->sum[node] = 0;
    j->emit(j->arg, node, weight);
}

/* Many nodes in the order of their numbers: a stack's own lie together in memory, as they came to be. */
#define MANY 4096u

static void flush_window(struct joiner *j)
{
    const struct sp_view *v = j->v;
    bool in_order = j->n > MANY && j->n > v->n_nodes / 8;
    for (uint32_t n = 1; in_order && n < v->n_nodes; n++)
        if (v->sum[n])
            flush_node(j, n);
    for (uint32_t i = 0; !in_order && i < j->n; i++)
        flush_node(j, v->touched[i]);
    j->n = 0;
}

static void flush_run(struct joiner *j)
{
    if (j->weight)
        j->emit(j->arg, j->last, j->weight);
    j->weight = 0;
}

static void join(void *arg, const struct sp_sample *s)
{
    struct joiner *j = arg;
    uint32_t node = j->v->canon[s->node];
    if (j->v->shown_as)
        node = j->v->shown_as[node];
    uint64_t weight = sp_view_weight(j->v, s);
    if (weight == 0)
        return;
    if (j->window_ns == 0) {
        if (node != j->last)
            flush_run(j);
        j->last = node;
        j->weight += weight;
        return;
    }
    uint64_t window = j->window_ns == WHOLE_RUN ? 0 : s->since_ns / j->window_ns;
    if (window != j->window) {
        flush_window(j);
        j->window = window;
    }
    if (j->v->sum[node] == 0)
        j->v->touched[j->n++] = node;
    j->v->sum[node] += weight;
}

/* What a part of a thread did, or all of it. */
struct booked {
    sp_booked_fn *call;
    void *arg;
    const uint32_t *part_of; /* NULL: all */
    uint32_t part;
};

static void call_booked(void *arg, const struct sp_sample *s)
{
    struct booked *b = arg;
    if (b->part_of[s->node] == b->part)
        b->call(b->arg, s);
}

/* What a life has beside CPU and waits that returned. */
static void each_of_life(const struct sp_view *v, const struct sp_view_profile *p, struct sp_sample s, sp_booked_fn *call,
                         void *arg)
{
    const struct sp_region *r = v->region;
    const struct sp_thread *t = p->thread ? sp_thread_at(r, p->thread) : NULL;
    uint64_t left =
        t ? t->off_ns - sp_min_u64(t->off_ns, t->wait_ns) : r->folded_off_ns - sp_min_u64(r->folded_off_ns, r->folded_wait_ns);
    uint64_t open = t ? sp_min_u64(t->open_ns, left) : 0;
    uint64_t queued = sp_min_u64(t ? t->queued_ns : r->folded_queued_ns, left - open);
    uint32_t node[] = {open ? t->open_node : 0, r->pseudo_node[SP_PSEUDO_WAITING_CPU], r->pseudo_node[SP_PSEUDO_NOT_RUNNING],
                       r->pseudo_node[SP_PSEUDO_OVERFLOW]};
    uint64_t ns[] = {open, queued, left - open - queued, p->wait_overflow_ns};
    s.cpu_ns = 0;
    for (size_t i = 0; i < SP_ARRAY_LEN(ns); i++) {
        s.node = node[i];
        s.wall_ns = ns[i];
        call(arg, &s);
    }
}

static void each_of_thread(struct sp_view *v, const struct sp_view_profile *p, sp_booked_fn *call, void *arg)
{
    const struct sp_region *r = v->region;
    const struct sp_thread *t = p->thread ? sp_thread_at(r, p->thread) : NULL;
    struct booked b = {.call = call, .arg = arg, .part_of = p->split && !v->wall ? v->part : NULL, .part = p->part};
    sp_booked_fn *first = b.part_of ? call_booked : call;
    void *first_arg = b.part_of ? &b : arg;
    struct sp_sample s = {.node = r->pseudo_node[SP_PSEUDO_OVERFLOW], .cpu_ns = p->overflow_ns};
    s.since_ns = t ? sp_each_booked(r, t, first, first_arg) : sp_each_booked_by_folded(r, first, first_arg);
    if (p->part)
        return;
    call(arg, &s);
    if (v->wall)
        each_of_life(v, p, s, call, arg);
    if (!t || t->state != SP_THREAD_LIVE)
        return;
    uint64_t owed = s.cpu_ns = sp_view_owed(r, t);
    s.node = t->last_node;
    call(arg, &s);
    for (int c = 0; c < SP_CATEGORY_N; c++) {
        s.node = r->pseudo_node[c];
        s.cpu_ns = t->rest_ns[c] - (c == SP_CATEGORY_THREAD_END ? owed : 0);
        call(arg, &s);
    }
}

/* All that makes up a profile, in order of time. */
static void each_of_profile(struct sp_view *v, const struct sp_view_profile *p, sp_booked_fn *call, void *arg)
{
    if (!sp_view_has(v, p))
        return;
    each_of_thread(v, p, call, arg);
    if (p->thread == 0)
        for (uint32_t i = v->n_own; i < v->n_listed; i++)
            if (sp_view_has(v, &v->threads[i]))
                each_of_thread(v, &v->threads[i], call, arg);
    struct sp_sample unseen = {.node = v->region->pseudo_node[v->unseen], .since_ns = UINT64_MAX - 1};
    unseen.cpu_ns = v->used_ns > p->cpu_ns ? v->used_ns - p->cpu_ns : 0;
    if (sp_view_n_profiles(v) == 1 && !v->wall)
        call(arg, &unseen);
}

void sp_view_each_entry(struct sp_view *v, const struct sp_view_profile *p, sp_view_emit *emit, void *arg)
{
    if (v->kept_of == p) {
        for (uint64_t i = 0; i < v->n_kept; i++)
            emit(arg, v->kept[i].node, v->kept[i].weight);
        return;
    }
    uint64_t window_ns = p->aggregated ? WHOLE_RUN : v->window_ns;
    if (v->no_order && sp_view_n_profiles(v) == 1) { /* the sums are its entries */
        sp_view_each_sum(v, emit, arg);
        return;
    }
    struct joiner j = {.v = v, .emit = emit, .arg = arg, .window_ns = window_ns};
    each_of_profile(v, p, join, &j);
    flush_run(&j);
    flush_window(&j);
}

static void keep(void *arg, uint32_t node, uint64_t weight)
{
    struct sp_view *v = arg;
    if (v->n_kept < v->most_kept)
        v->kept[v->n_kept] = (struct sp_view_entry){weight, node};
    v->n_kept++;
}

void sp_view_keep_entries(struct sp_view *v, const struct sp_view_profile *p)
{
    uint64_t room = v->region->scratch_bytes - v->used_bytes;
    v->kept_of = NULL;
    v->kept = sp_at(v->region, v->region->scratch + v->used_bytes);
    v->most_kept = room / sizeof v->kept[0];
    v->n_kept = 0;
    sp_view_each_entry(v, p, keep, v);
    if (v->n_kept <= v->most_kept)
        v->kept_of = p;
}

/* ---- how large would it be? One pass tells it for all windows: those of 1 s, 2 s, 4 s ... lie in each other, so that an
 * entry more is needed in all those whose number changes between two records of a node. */
struct size {
    uint64_t entries, bytes;
};

#define AHEAD 16u /* records between the look at what a node's entry needs and its use: memory is slow */

struct measure {
    struct sp_view *v;
    const struct sp_view_limits *limits;
    struct {
        uint64_t weight;
        uint32_t node, second;
    } ring[AHEAD];
    uint64_t n_seen;
    uint64_t profile_bytes;
    uint32_t n, last;
    bool aggregated;
    struct size always, runs, nodes; /* of aggregated profiles; and of the others: runs, distinct stacks */
    struct size again[32];           /* a stack again: the highest bit in which the number of the second differs */
};

static void grow(struct size *s, uint64_t bytes)
{
    s->entries++;
    s->bytes += bytes;
}

/* Uses v->sum: bytes of an entry in the upper half; below, the second of the node's last record in this profile, + 1. */
static void measure_one(struct measure *m, uint32_t node, uint64_t weight, uint32_t second)
{
    m->v->self[node] += weight;
    uint64_t *cell = &m->v->sum[node], seen = *cell;
    if (!(seen >> 32))
        seen |= sp_min_u64(m->limits->entry_bytes(m->limits->arg, node), UINT32_MAX) << 32;
    uint32_t bytes = (uint32_t)(seen >> 32), before = (uint32_t)seen;
    *cell = (uint64_t)bytes << 32 | (second ? second : 1);
    if (!before) {
        m->v->touched[m->n++] = node;
        grow(m->aggregated ? &m->always : &m->nodes, bytes + m->profile_bytes);
    } else if (before != second && !m->aggregated) {
        grow(&m->again[31 - __builtin_clz((before - 1) ^ (second - 1))], bytes + m->profile_bytes);
    }
    if (!m->aggregated && (node != m->last || m->n == 1))
        grow(&m->runs, bytes + m->profile_bytes);
    m->last = node;
}

static void measure_soon(void *arg, const struct sp_sample *s)
{
    struct measure *m = arg;
    uint64_t weight = sp_view_weight(m->v, s);
    if (weight == 0)
        return;
    uint64_t at = m->n_seen++ % AHEAD;
    if (m->n_seen > AHEAD)
        measure_one(m, m->ring[at].node, m->ring[at].weight, m->ring[at].second);
    m->ring[at].node = m->v->canon[s->node];
    m->ring[at].weight = weight;
    m->ring[at].second = (uint32_t)(s->since_ns / SP_NS_PER_S) + 1;
    __builtin_prefetch(&m->v->self[m->ring[at].node], 1);
    __builtin_prefetch(&m->v->sum[m->ring[at].node], 1);
}

static void measure_profile(struct measure *m, const struct sp_view_profile *p)
{
    m->profile_bytes = m->limits->profile_bytes ? m->limits->profile_bytes(m->limits->arg, p) : 0;
    m->aggregated = p->aggregated;
    m->n = 0;
    m->last = 0;
    m->n_seen = 0;
    each_of_profile(m->v, p, measure_soon, m);
    for (uint64_t i = m->n_seen > AHEAD ? m->n_seen - AHEAD : 0; i < m->n_seen; i++)
        measure_one(m, m->ring[i % AHEAD].node, m->ring[i % AHEAD].weight, m->ring[i % AHEAD].second);
    for (uint32_t i = 0; i < m->n; i++)
        m->v->sum[m->v->touched[i]] &= ~0ull << 32;
}

static void measure_all(struct measure *m)
{
    struct sp_view *v = m->v;
    uint32_t n_profiles = sp_view_n_profiles(v);
    for (uint32_t i = 0; i < n_profiles; i++)
        measure_profile(m, sp_view_profile_at(v, i));
    if (n_profiles != 1 && !v->wall)
        v->self[v->region->pseudo_node[v->unseen]] += v->unseen_ns;
    for (uint32_t n = 1; m->limits->sums && n_profiles != 1 && n < v->n_nodes; n++)
        if (v->self[n])
            grow(&m->always, m->limits->entry_bytes(m->limits->arg, n));
    memset(v->sum, 0, (uint64_t)v->n_nodes * 8);
}

static bool holds(const struct sp_view_limits *l, struct size a, struct size b)
{
    return a.entries + b.entries <= l->most_entries && a.bytes + b.bytes <= l->most_bytes;
}

/* The smallest window that fits; WHOLE_RUN if only that may. False: not even that fits. */
static bool choose_window(struct sp_view *v, const struct measure *m)
{
    const struct sp_view_limits *l = m->limits;
    v->window_ns = 0;
    if (l->order == SP_VIEW_BY_TIME && holds(l, m->always, m->runs))
        return true;
    struct size wide = m->nodes;
    uint64_t window = WHOLE_RUN;
    for (int k = 31; k >= 0 && l->order == SP_VIEW_BY_TIME; k--) {
        wide.entries += m->again[k].entries;
        wide.bytes += m->again[k].bytes;
        if (!holds(l, m->always, wide))
            break;
        if (SP_NS_PER_S << k <= 2 * v->profile->wall_ns || k == 0)
            window = SP_NS_PER_S << k;
    }
    v->window_ns = window;
    v->no_order = l->order == SP_VIEW_BY_TIME && window == WHOLE_RUN;
    return holds(l, m->always, m->nodes);
}

/* ---- taking in */
/* Where a subtree goes that weighs little: where its caller went, or to the first of its siblings that do. */
static uint32_t taken_in_by(struct sp_view *v, uint32_t n, uint32_t parent)
{
    if (!v->lumps || v->shown_as[parent] != parent || sp_view_is_others(v, parent))
        return v->shown_as[parent];
    if (!v->lumps[parent])
        v->lumps[parent] = n;
    return v->lumps[parent];
}

static bool take_in_lighter(struct sp_view *v, uint64_t least_ns)
{
    if (!v->shown_as && !(v->shown_as = sp_view_alloc(v, (uint64_t)v->n_nodes * 4)))
        return false;
    if (v->lumps)
        memset(v->lumps, 0, (uint64_t)v->n_nodes * 4);
    uint64_t *subtree = v->sum; /* free between two passes */
    for (uint32_t n = v->n_nodes; n-- > 1;) {
        if (v->canon[n] != n)
            continue;
        subtree[n] += v->self[n];
        uint32_t parent = v->canon[sp_node_at(v->region, n)->parent];
        if (parent)
            subtree[parent] += subtree[n];
    }
    v->taken_in_ns = 0;
    for (uint32_t n = 1; n < v->n_nodes; n++) {
        uint32_t parent = v->canon[sp_node_at(v->region, n)->parent];
        bool light = v->canon[n] == n && parent && subtree[n] < least_ns;
        v->shown_as[n] = light ? taken_in_by(v, n, parent) : n;
        if (light)
            v->taken_in_ns += v->self[n];
    }
    memset(subtree, 0, (uint64_t)v->n_nodes * 8);
    return true;
}

struct count {
    const struct sp_view_limits *limits;
    uint64_t profile_bytes;
    struct size size;
};

static void count_entry(void *arg, uint32_t node, uint64_t weight)
{
    struct count *c = arg;
    (void)weight;
    grow(&c->size, c->limits->entry_bytes(c->limits->arg, node) + c->profile_bytes);
}

static bool is_first_of_taken_in(struct sp_view *v, uint32_t n)
{
    uint32_t *seen = &v->touched[v->shown_as[n]];
    return v->self[n] && !(*seen)++;
}

/* With the subtrees of now taken in. The one profile that there is, and the sum of several, need no look at the records. */
static bool fits_taken_in(struct sp_view *v, const struct sp_view_limits *l)
{
    struct count c = {.limits = l};
    uint32_t n_profiles = sp_view_n_profiles(v);
    if (n_profiles == 1 && l->profile_bytes)
        c.profile_bytes = l->profile_bytes(l->arg, sp_view_profile_at(v, 0));
    memset(v->touched, 0, (uint64_t)v->n_nodes * 4);
    for (uint32_t n = 1; (n_profiles == 1 || l->sums) && n < v->n_nodes; n++)
        if (is_first_of_taken_in(v, n))
            count_entry(&c, v->shown_as[n], 0);
    for (uint32_t i = 0; i < n_profiles && n_profiles > 1; i++) {
        c.profile_bytes = l->profile_bytes ? l->profile_bytes(l->arg, sp_view_profile_at(v, i)) : 0;
        sp_view_each_entry(v, sp_view_profile_at(v, i), count_entry, &c);
    }
    return holds(l, c.size, (struct size){0, 0});
}

/* Takes in what weighs less than the smallest power of two times 1/100,000 with which it fits. */
static bool take_in(struct sp_view *v, const struct sp_view_limits *l)
{
    uint64_t unit = v->used_ns / 100000 + 1;
    int too_little = -1, enough = 18; /* 2^18 units are more than all */
    while (enough - too_little > 1) {
        int between = (too_little + enough) / 2;
        if (!take_in_lighter(v, unit << between))
            return false;
        *(fits_taken_in(v, l) ? &enough : &too_little) = between;
    }
    return take_in_lighter(v, unit << enough);
}

static void move_self_of_taken_in(struct sp_view *v)
{
    for (uint32_t n = v->n_nodes; n-- > 1;)
        if (v->shown_as && v->shown_as[n] != n && v->self[n]) {
            v->self[v->shown_as[n]] += v->self[n];
            v->self[n] = 0;
        }
}

/* ---- elided frames: one function for each number of frames left out */
static bool is_deep(const struct sp_view *v, uint32_t n)
{
    return sp_view_is_shown(v, n) && sp_node_at(v->region, n)->depth > SP_VIEW_DEPTH_MAX &&
           sp_view_depth(v, n) > SP_VIEW_DEPTH_MAX;
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
    memset(needed, 0, (uint64_t)v->n_nodes * 4);
    for (uint32_t n = v->n_nodes; n-- > 1;) {
        if (!sp_view_is_shown(v, n) && !needed[n])
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

bool sp_view_bound(struct sp_view *v, const struct sp_view_limits *limits)
{
    struct measure m = {.v = v, .limits = limits};
    measure_all(&m);
    bool fits = choose_window(v, &m);
    if (!fits && limits->others && !(v->lumps = sp_view_alloc(v, (uint64_t)v->n_nodes * 4)))
        return false;
    if (!fits && !take_in(v, limits))
        return false;
    move_self_of_taken_in(v);
    return drop_unused_functions(v) && find_elided(v);
}

bool sp_view_bound_both(struct sp_view *v, struct sp_view *w, struct sp_view_limits *limits)
{
    bool has_wall = v->wall_ns && sp_view_init_wall(w, v);
    limits->arg = v;
    if (!sp_view_bound(v, limits))
        return false;
    w->used_bytes = v->used_bytes;
    limits->arg = w;
    if (has_wall && sp_view_bound(w, limits))
        v->used_bytes = w->used_bytes;
    else
        w->wall_ns = 0;
    return true;
}
