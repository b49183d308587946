/* SPDX-License-Identifier: MIT
 * See view.h: the profiles of a view, one a thread and interpreter, and what is known of each. */
#include <string.h>

#include "writers/view.h"

static bool has_profile(const struct sp_thread *t)
{
    return t && (t->state == SP_THREAD_LIVE || t->state == SP_THREAD_ENDED);
}

static bool comes_before(const struct sp_view *v, const struct sp_view_profile *a, const struct sp_view_profile *b)
{
    const struct sp_thread *ta = sp_thread_at(v->region, a->thread), *tb = sp_thread_at(v->region, b->thread);
    bool a_first = ta->serial == 1 && !a->part, b_first = tb->serial == 1 && !b->part;
    if (a_first != b_first)
        return a_first;
    if (a->cpu_ns != b->cpu_ns)
        return a->cpu_ns > b->cpu_ns;
    return ta->serial < tb->serial;
}

/* Heap sort: bounded stack, no allocation. */
static void sift(struct sp_view *v, struct sp_view_profile *p, uint32_t at, uint32_t n)
{
    for (uint32_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && comes_before(v, &p[child], &p[child + 1]))
            child++;
        if (!comes_before(v, &p[at], &p[child]))
            return;
        struct sp_view_profile swap = p[at];
        p[at] = p[child];
        p[child] = swap;
    }
}

static void sort_profiles(struct sp_view *v, struct sp_view_profile *p, uint32_t n)
{
    for (uint32_t i = n / 2; i-- > 0;)
        sift(v, p, i, n);
    for (uint32_t i = n; i-- > 1;) {
        struct sp_view_profile swap = p[0];
        p[0] = p[i];
        p[i] = swap;
        sift(v, p, 0, i);
    }
}

/* What a thread's records and sums hold; by sub-interpreter in v->sum, with the parts listed in v->touched. */
struct recorded {
    struct sp_view *view;
    uint64_t ns, wait_ns;
    uint32_t n_parts;
    bool main_python; /* some of it is Python in the main interpreter */
};

static void add_recorded(void *arg, const struct sp_sample *s)
{
    struct recorded *all = arg;
    struct sp_view *v = all->view;
    all->ns += s->cpu_ns;
    all->wait_ns += s->wall_ns;
    if (!v->part || !s->cpu_ns)
        return;
    uint32_t part = v->part[s->node];
    if (!part) {
        all->main_python |= sp_frame_at(v->region, sp_node_at(v->region, s->node)->frame)->kind != SP_FRAME_PSEUDO;
        return;
    }
    if (!v->sum[part])
        v->touched[all->n_parts++] = part;
    v->sum[part] += s->cpu_ns;
}

static uint64_t samples_in(const struct sp_view *v, uint32_t number, uint32_t part)
{
    for (uint32_t id = sp_thread_at(v->region, number)->first_total; id;) {
        const struct sp_total *total = sp_pool_entry(v->region, &v->region->totals, id);
        if (total->node == part)
            return total->samples;
        id = total->next;
    }
    return 0;
}

static uint32_t interpreter_of(const struct sp_view *v, uint32_t part)
{
    return sp_frame_at(v->region, sp_node_at(v->region, part)->frame)->what;
}

/* A thread that ran in several interpreters has a profile for each. What is no Python stack goes to the main one's. */
static void list_thread(struct sp_view *v, struct sp_view_profile p, const struct recorded *all, uint32_t most_listed)
{
    if (all->n_parts == 1 && !all->main_python) {
        p.interpreter = interpreter_of(v, v->touched[0]);
    } else if (all->n_parts && v->n_listed + all->n_parts < most_listed) {
        p.split = true;
        for (uint32_t i = 0; i < all->n_parts; i++) {
            struct sp_view_profile *one = &v->threads[v->n_listed++];
            uint32_t part = v->touched[i];
            *one = (struct sp_view_profile){
                .thread = p.thread,
                .interpreter = interpreter_of(v, part),
                .split = true,
                .part = part,
                .cpu_ns = v->sum[part],
                .samples = samples_in(v, p.thread, part),
            };
            p.cpu_ns -= one->cpu_ns;
            p.samples -= sp_min_u64(p.samples, one->samples);
        }
    }
    for (uint32_t i = 0; i < all->n_parts; i++)
        v->sum[v->touched[i]] = 0;
    v->threads[v->n_listed++] = p;
}

static bool is_of_sub_interpreter(const struct sp_region *r, uint32_t node)
{
    for (; node; node = sp_node_at(r, node)->parent)
        if (sp_frame_at(r, sp_node_at(r, node)->frame)->kind == SP_FRAME_INTERPRETER)
            return true;
    return false;
}

uint64_t sp_view_owed(const struct sp_region *r, const struct sp_thread *t)
{
    if (t->state != SP_THREAD_LIVE || is_of_sub_interpreter(r, t->last_node))
        return 0; /* the rest is in the main interpreter's profile */
    return sp_min_u64(t->owed_ns, t->rest_ns[SP_CATEGORY_THREAD_END]);
}

static void add_life(struct sp_view *v, const struct sp_thread *t, struct sp_view_profile *p)
{
    if (!sp_store_has_life(v->region, t))
        return;
    p->wall_ns = p->cpu_ns + sp_max_u64(t->off_ns, t->wait_ns);
    p->gil_ns = t->gil_ns;
    v->wall_ns += p->wall_ns;
    v->off_ns += sp_max_u64(t->off_ns, t->wait_ns);
    v->wait_ns += t->wait_ns + sp_min_u64(t->open_ns, t->off_ns - sp_min_u64(t->off_ns, t->wait_ns));
    v->n_wall_threads++;
}

static void add_thread(struct sp_view *v, uint32_t number, uint32_t most_listed)
{
    const struct sp_thread *t = sp_thread_at(v->region, number);
    struct recorded recorded = {.view = v};
    sp_each_booked(v->region, t, add_recorded, &recorded);
    uint64_t logged = sp_view_sum_of(t->cpu_ns);
    struct sp_view_profile p = {
        .thread = number,
        .samples = t->samples,
        .cpu_ns = logged,
        .overflow_ns = logged > recorded.ns ? logged - recorded.ns : 0,
    };
    for (int c = 0; c < SP_CATEGORY_N; c++) {
        uint64_t rest = t->state == SP_THREAD_LIVE ? t->rest_ns[c] : 0;
        v->cpu_ns[c] += t->cpu_ns[c] + rest;
        p.cpu_ns += rest;
    }
    p.wait_overflow_ns = t->wait_ns - sp_min_u64(t->wait_ns, recorded.wait_ns);
    add_life(v, t, &p);
    uint64_t owed = sp_view_owed(v->region, t);
    v->cpu_ns[SP_CATEGORY_THREAD_END] -= owed;
    v->cpu_ns[t->last_category] += owed;
    v->samples += t->samples;
    v->prompt_ns += t->prompt_ns + owed;
    v->n_threads++;
    list_thread(v, p, &recorded, most_listed);
}

static void add_ns(void *arg, const struct sp_sample *s)
{
    struct recorded *all = arg;
    all->ns += s->cpu_ns;
    all->wait_ns += s->wall_ns;
}

/* The lightest threads beyond the limit, and those folded while the program ran, become one profile. */
static void join_others(struct sp_view *v)
{
    const struct sp_region *r = v->region;
    struct sp_view_profile *others = &v->others;
    uint64_t folded = sp_view_sum_of(r->folded_cpu_ns), off_ns = sp_max_u64(r->folded_off_ns, r->folded_wait_ns);
    struct recorded recorded = {.view = v};
    sp_each_booked_by_folded(r, add_ns, &recorded);
    *others = (struct sp_view_profile){
        .thread = 0,
        .cpu_ns = folded,
        .samples = r->folded_samples,
        .overflow_ns = folded > recorded.ns ? folded - recorded.ns : 0,
        .wait_overflow_ns = r->folded_wait_ns - sp_min_u64(r->folded_wait_ns, recorded.wait_ns),
        .wall_ns = r->wall && off_ns ? folded + off_ns : 0,
        .gil_ns = r->folded_gil_ns,
        .aggregated = true,
    };
    v->wall_ns += others->wall_ns;
    v->off_ns += others->wall_ns ? off_ns : 0;
    v->wait_ns += r->folded_wait_ns;
    v->n_wall_threads += (uint32_t)r->n_folded;
    for (int c = 0; c < SP_CATEGORY_N; c++)
        v->cpu_ns[c] += r->folded_cpu_ns[c];
    v->samples += r->folded_samples;
    v->prompt_ns += r->folded_prompt_ns;
    v->n_own = v->n_listed < SP_VIEW_PROFILES_MAX ? v->n_listed : SP_VIEW_PROFILES_MAX;
    for (uint32_t i = v->n_own; i < v->n_listed; i++) {
        others->cpu_ns += v->threads[i].cpu_ns;
        others->wall_ns += v->threads[i].wall_ns;
        others->gil_ns += v->threads[i].gil_ns;
        others->samples += v->threads[i].samples;
    }
    v->n_others = (uint32_t)r->n_folded + v->n_listed - v->n_own;
}

bool sp_view_find_threads(struct sp_view *v)
{
    const struct sp_region *r = v->region;
    uint32_t n = r->n_threads < r->max_threads ? r->n_threads : r->max_threads, most = n + 1;
    for (uint32_t id = 1; v->part && id < sp_pool_end(r, &r->totals); id++)
        most += sp_view_is_interpreter(v, ((const struct sp_total *)sp_pool_entry(r, &r->totals, id))->node);
    v->threads = sp_view_alloc(v, (uint64_t)most * sizeof v->threads[0]);
    if (!v->threads)
        return false;
    for (uint32_t i = 1; i <= n; i++)
        if (has_profile(sp_thread_at(r, i)))
            add_thread(v, i, most);
    sort_profiles(v, v->threads, v->n_listed);
    join_others(v);
    v->n_threads += (uint32_t)r->n_folded;
    return true;
}
