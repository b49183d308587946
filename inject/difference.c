/* SPDX-License-Identifier: MIT
 * See difference.h. A log only grows: what a thread's log and its sums held in the earlier image is their beginning in the later one.
 * Threads that were folded meanwhile took with them what they had before: it is subtracted from thread 0's sums. */
#include "inject/difference.h"

#include <string.h>

#include "compat/os.h"
#include "sampler/intern.h"
#include "sampler/log.h"

/* ---- images */
static bool make_writable(struct sp_region *image, uint64_t bytes, uint64_t scratch)
{
    return sp_os_make_writable(image, bytes) == 0 && sp_os_make_writable(sp_at(image, scratch), SP_STORE_SCRATCH) == 0;
}

struct sp_region *sp_image_of(const struct sp_region *r)
{
    bool wipes;
    uint64_t used = sp_min_u64(sp_min_u64(r->next, r->end), r->backed), writable = sp_store_step_up(used);
    struct sp_region *image = sp_os_reserve(r->bytes, &wipes);
    if (image && !make_writable(image, sp_min_u64(writable, r->scratch), r->scratch)) {
        sp_os_release(image, r->bytes);
        image = NULL;
    }
    if (!image)
        return NULL;
    memcpy(image, r, used);
    image->backed = sp_min_u64(writable, r->scratch);
    image->in_file = 0;
    image->scratch_bytes = r->bytes - r->scratch;
    return image;
}

void sp_image_release(struct sp_region *image)
{
    if (image)
        sp_os_release(image, image->bytes);
}

/* ---- sums */
static void subtract(uint64_t *from, uint64_t what)
{
    *from -= sp_min_u64(*from, what);
}

static void subtract_each(uint64_t from[SP_CATEGORY_N], const uint64_t what[SP_CATEGORY_N])
{
    for (int c = 0; c < SP_CATEGORY_N; c++)
        subtract(&from[c], what[c]);
}

/* Of the category if it has so much, of others else. */
static void subtract_of(uint64_t from[SP_CATEGORY_N], enum sp_category category, uint64_t ns)
{
    for (int c = -1; c < SP_CATEGORY_N && ns; c++) {
        uint64_t *cell = &from[c < 0 ? (int)category : c], part = sp_min_u64(*cell, ns);
        *cell -= part;
        ns -= part;
    }
}

static uint64_t sum_of(const uint64_t ns[SP_CATEGORY_N])
{
    uint64_t sum = 0;
    for (int c = 0; c < SP_CATEGORY_N; c++)
        sum += ns[c];
    return sum;
}

static struct sp_total *total_at(const struct sp_region *r, uint32_t id)
{
    return sp_pool_entry(r, &r->totals, id);
}

static void drop_empty(struct sp_region *r, uint32_t *first)
{
    for (uint32_t *link = first; *link;) {
        struct sp_total *t = total_at(r, *link);
        if (t->cpu_ns || t->wall_ns || t->gil_ns || t->samples)
            link = &t->next;
        else
            *link = t->next;
    }
}

/* ---- what was used before the first image, and is told by what came after */
static uint64_t take_from_sums(struct sp_region *r, uint32_t first, uint64_t cpu_ns[SP_CATEGORY_N], uint64_t ns)
{
    for (uint32_t id = first; id && ns; id = total_at(r, id)->next) {
        struct sp_total *t = total_at(r, id);
        uint64_t part = sp_min_u64(t->cpu_ns, ns);
        t->cpu_ns -= part;
        ns -= part;
        subtract_of(cpu_ns, sp_store_category_of(r, t->node), part);
    }
    return ns;
}

static uint64_t take_from_log(struct sp_region *r, struct sp_thread *t, uint64_t ns)
{
    uint32_t i = t->fold_record;
    for (uint32_t at = !t->chunk ? 0 : t->fold_chunk ? t->fold_chunk : t->first_chunk; at && ns; i = 0) {
        struct sp_chunk *c = sp_at64(r, at);
        for (; i < c->n && ns; i++) {
            uint32_t part = (uint32_t)sp_min_u64(c->records[i].cpu_ns, ns);
            c->records[i].cpu_ns -= part;
            ns -= part;
            subtract_of(t->cpu_ns, sp_store_category_of(r, c->records[i].node), part);
        }
        at = at == t->chunk ? 0 : c->next;
    }
    return ns;
}

static void take_rest(struct sp_region *r, struct sp_thread *t, uint64_t ns)
{
    ns = take_from_log(r, t, ns);
    ns = take_from_sums(r, t->first_total, t->cpu_ns, ns);
    uint64_t of_rest = t->state == SP_THREAD_LIVE ? sp_min_u64(ns, sum_of(t->rest_ns)) : 0;
    subtract_of(t->rest_ns, SP_CATEGORY_THREAD_END, of_rest);
    subtract_of(t->cpu_ns, SP_CATEGORY_PYTHON, ns - of_rest);
}

/* ... waited; node 0: whatever it waited in. */
static uint64_t take_waits_from_log(struct sp_region *r, struct sp_thread *t, uint32_t node, uint64_t ns)
{
    uint32_t i = t->fold_record;
    for (uint32_t at = !t->chunk ? 0 : t->fold_chunk ? t->fold_chunk : t->first_chunk; at && ns; i = 0) {
        struct sp_chunk *c = sp_at64(r, at);
        for (; i < c->n && ns; i++) {
            bool is_it = !node || c->records[i].node == node;
            uint32_t part = is_it ? (uint32_t)sp_min_u64(c->records[i].wall_ns, ns) : 0;
            c->records[i].wall_ns -= part;
            ns -= part;
        }
        at = at == t->chunk ? 0 : c->next;
    }
    return ns;
}

static uint64_t take_waits_from_sums(struct sp_region *r, uint32_t first, uint32_t node, uint64_t ns)
{
    for (uint32_t id = first; id && ns; id = total_at(r, id)->next) {
        struct sp_total *t = total_at(r, id);
        uint64_t part = !node || t->node == node ? sp_min_u64(t->wall_ns, ns) : 0;
        t->wall_ns -= part;
        ns -= part;
    }
    return ns;
}

static void take_waits(struct sp_region *r, struct sp_thread *t, uint32_t node, uint64_t ns)
{
    uint64_t left = take_waits_from_sums(r, t->first_total, node, take_waits_from_log(r, t, node, ns));
    subtract(&t->wait_ns, ns - left);
}

/* A wait that began before the first image and ended since was booked whole. */
static void trim_wait(struct sp_region *r, struct sp_thread *t, const struct sp_thread *b)
{
    bool is_same = b->open_since_ns ? b->open_since_ns == t->open_since_ns : !t->open_since_ns && !t->wait_ns;
    if (is_same && t->open_ns)
        subtract(&t->open_ns, b->open_ns);
    else
        take_waits(r, t, b->open_since_ns ? b->open_node : 0, b->open_ns);
}

/* The next record with CPU, from *i of *chunk on; NULL: there is none. */
static struct sp_record *next_record(struct sp_region *r, const struct sp_thread *t, uint32_t *chunk, uint32_t *i)
{
    for (; *chunk; *i = 0) {
        struct sp_chunk *c = sp_at64(r, *chunk);
        for (; *i < c->n; ++*i)
            if (c->records[*i].cpu_ns)
                return &c->records[(*i)++];
        *chunk = *chunk == t->chunk ? 0 : c->next;
    }
    return NULL;
}

/* The first sample here pays what the last one there was owed (sampler/weight.h), whose stack is none of here. */
static void keep_payment(struct sp_region *r, struct sp_thread *t, const struct sp_thread *b)
{
    uint32_t chunk = !t->chunk ? 0 : t->fold_chunk ? t->fold_chunk : t->first_chunk, i = t->fold_record;
    struct sp_record *paid = next_record(r, t, &chunk, &i), *own = paid ? next_record(r, t, &chunk, &i) : NULL;
    if (own && paid->node == b->last_node && paid->cpu_ns <= b->owed_ns && own->cpu_ns <= UINT32_MAX - paid->cpu_ns) {
        subtract_of(t->cpu_ns, sp_store_category_of(r, paid->node), paid->cpu_ns);
        t->cpu_ns[sp_store_category_of(r, own->node)] += paid->cpu_ns;
        own->cpu_ns += paid->cpu_ns;
        paid->cpu_ns = 0;
    } else if (paid && !own && paid->node == b->last_node && paid->cpu_ns <= b->owed_ns && t->last_node) {
        subtract_of(t->cpu_ns, sp_store_category_of(r, paid->node), paid->cpu_ns); /* all that the only sample had to give */
        t->cpu_ns[t->last_category] += paid->cpu_ns;
        paid->node = t->last_node;
    }
    if (!t->samples)
        t->owed_ns = 0;
}

/* ---- threads that are in both */
static bool is_told(const struct sp_thread *t)
{
    return t && (t->state == SP_THREAD_LIVE || t->state == SP_THREAD_ENDED);
}

static uint32_t n_threads(const struct sp_region *r)
{
    return r->n_threads < r->max_threads ? r->n_threads : r->max_threads;
}

/* The same thread in another image; NULL: it is not told there. */
static struct sp_thread *same_thread(const struct sp_region *r, const struct sp_thread *t)
{
    struct sp_thread *other = t->number <= n_threads(r) ? sp_thread_at(r, t->number) : NULL;
    return is_told(other) && other->serial == t->serial ? other : NULL;
}

static void trim_log(struct sp_region *r, struct sp_thread *t, const struct sp_region *m, const struct sp_thread *b)
{
    if (!b->chunk)
        return;
    const struct sp_chunk *was = sp_at64(m, b->chunk);
    struct sp_chunk *c = sp_at64(r, b->chunk);
    t->fold_chunk = b->chunk;
    t->fold_record = was->n;
    if (!was->n)
        return;
    struct sp_record *last = &c->records[was->n - 1];
    last->cpu_ns -= was->records[was->n - 1].cpu_ns; /* equal stacks that follow each other are one record */
    last->wall_ns -= was->records[was->n - 1].wall_ns;
    if (last->cpu_ns || last->wall_ns)
        t->fold_record--;
}

static void trim_sums(struct sp_region *r, const struct sp_region *m, uint32_t first)
{
    for (uint32_t id = first; id; id = total_at(m, id)->next) {
        const struct sp_total *was = total_at(m, id);
        struct sp_total *t = total_at(r, id);
        t->cpu_ns -= was->cpu_ns;
        t->wall_ns -= was->wall_ns;
        t->gil_ns -= was->gil_ns;
        t->samples -= was->samples;
    }
}

static void trim_thread(struct sp_region *r, struct sp_thread *t, const struct sp_region *m, const struct sp_thread *b)
{
    trim_log(r, t, m, b);
    trim_sums(r, m, b->first_total);
    subtract_each(t->cpu_ns, b->cpu_ns);
    subtract(&t->samples, b->samples);
    subtract(&t->prompt_ns, b->prompt_ns);
    subtract(&t->off_ns, b->off_ns);
    subtract(&t->wait_ns, b->wait_ns);
    subtract(&t->queued_ns, b->queued_ns);
    subtract(&t->gil_ns, b->gil_ns);
    trim_wait(r, t, b);
    if (t->wait_ns > t->off_ns) /* of one whose stack was not taken at its beginning */
        take_waits(r, t, 0, t->wait_ns - t->off_ns);
    if (b->state == SP_THREAD_LIVE)
        take_rest(r, t, sum_of(b->rest_ns));
    keep_payment(r, t, b);
    t->prompt_ns = sp_min_u64(t->prompt_ns, sum_of(t->cpu_ns)); /* what was used before the window may have been seen in it */
    t->gil_ns = sp_min_u64(t->gil_ns, sum_of(t->cpu_ns) + t->off_ns);
    drop_empty(r, &t->first_total);
}

/* ---- threads that were folded into thread 0 */
static void minus(void *into, const struct sp_sample *s)
{
    sp_intern_total(into, 0, s->node, 0 - s->cpu_ns, 0);
    if (s->wall_ns)
        sp_intern_total_wait(into, 0, s->node, 0 - s->wall_ns);
    if (s->gil_ns)
        sp_intern_total_gil(into, 0, s->node, 0 - s->gil_ns);
}

static void finish_folding(struct sp_region *r)
{
    for (uint32_t i = 1; i <= n_threads(r); i++) {
        struct sp_thread *t = sp_thread_at(r, i);
        uint32_t budget = UINT32_MAX;
        if (t && t->state == SP_THREAD_FOLDING && sp_log_fold(r, t, &budget))
            t->state = SP_THREAD_FREE;
    }
}

static uint64_t trim_folded_thread(struct sp_region *r, const struct sp_region *m, const struct sp_thread *b)
{
    sp_each_booked(m, b, minus, r);
    subtract_each(r->folded_cpu_ns, b->cpu_ns);
    subtract(&r->folded_samples, b->samples);
    subtract(&r->folded_prompt_ns, b->prompt_ns);
    subtract(&r->folded_off_ns, b->off_ns);
    subtract(&r->folded_wait_ns, b->wait_ns);
    subtract(&r->folded_queued_ns, b->queued_ns);
    subtract(&r->folded_gil_ns, b->gil_ns);
    subtract(&r->folded_wait_ns,
             b->open_ns - take_waits_from_sums(r, r->first_total, b->open_since_ns ? b->open_node : 0, b->open_ns));
    return b->state == SP_THREAD_LIVE ? sum_of(b->rest_ns) : 0;
}

/* Where the sums had no room something was never added that is subtracted here. */
static void raise_to_nothing(struct sp_region *r, uint32_t first)
{
    for (uint32_t id = first; id; id = total_at(r, id)->next) {
        struct sp_total *t = total_at(r, id);
        t->cpu_ns = (int64_t)t->cpu_ns < 0 ? 0 : t->cpu_ns;
        t->wall_ns = (int64_t)t->wall_ns < 0 ? 0 : t->wall_ns;
        t->gil_ns = (int64_t)t->gil_ns < 0 ? 0 : t->gil_ns;
    }
}

static void trim_folded(struct sp_region *r, const struct sp_region *m)
{
    uint64_t rest = 0;
    finish_folding(r);
    sp_each_booked_by_folded(m, minus, r);
    subtract_each(r->folded_cpu_ns, m->folded_cpu_ns);
    subtract(&r->folded_samples, m->folded_samples);
    subtract(&r->folded_prompt_ns, m->folded_prompt_ns);
    subtract(&r->folded_off_ns, m->folded_off_ns);
    subtract(&r->folded_wait_ns, m->folded_wait_ns);
    subtract(&r->folded_queued_ns, m->folded_queued_ns);
    subtract(&r->folded_gil_ns, m->folded_gil_ns);
    subtract(&r->n_folded, m->n_folded);
    for (uint32_t i = 1; i <= n_threads(m); i++) {
        const struct sp_thread *b = sp_thread_at(m, i);
        if (is_told(b) && !same_thread(r, b))
            rest += trim_folded_thread(r, m, b);
    }
    raise_to_nothing(r, r->first_total);
    rest = take_from_sums(r, r->first_total, r->folded_cpu_ns, rest);
    subtract_of(r->folded_cpu_ns, SP_CATEGORY_PYTHON, rest);
    drop_empty(r, &r->first_total);
}

/* ---- the rest */
static void move_chunk(struct sp_chunk *c, uint64_t by_ns)
{
    uint64_t early = (by_ns - sp_min_u64(by_ns, c->base_ns)) >> SP_RECORD_TIME_SHIFT;
    subtract(&c->base_ns, by_ns);
    for (uint32_t i = 0; i < c->n && early; i++) {
        uint32_t *word = &c->records[i].state_and_time, time = *word & SP_RECORD_TIME_MAX;
        *word -= (uint32_t)sp_min_u64(time, early);
    }
}

static void move_times(struct sp_region *r, uint64_t by_ns)
{
    for (uint32_t i = 1; i <= n_threads(r); i++) {
        struct sp_thread *t = sp_thread_at(r, i);
        uint32_t at = !is_told(t) || !t->chunk ? 0 : t->fold_chunk ? t->fold_chunk : t->first_chunk;
        for (; at; at = at == t->chunk ? 0 : ((struct sp_chunk *)sp_at64(r, at))->next)
            move_chunk(sp_at64(r, at), by_ns);
    }
    r->started_mono_ns += by_ns;
    r->started_wall_ns += by_ns;
    subtract(&r->last_ns, by_ns);
    if (r->time_order_until_ns)
        r->time_order_until_ns = r->time_order_until_ns > by_ns ? r->time_order_until_ns - by_ns : 1;
}

static bool did_nothing(const struct sp_thread *t)
{
    return !sum_of(t->cpu_ns) && !(t->state == SP_THREAD_LIVE && sum_of(t->rest_ns)) && !t->off_ns && !t->wait_ns;
}

void sp_difference(struct sp_region *now, const struct sp_region *before, uint64_t mono_ns)
{
    trim_folded(now, before);
    for (uint32_t i = 1; i <= n_threads(now); i++) {
        struct sp_thread *t = sp_thread_at(now, i), *b = is_told(t) ? same_thread(before, t) : NULL;
        if (b)
            trim_thread(now, t, before, b);
        if (b && did_nothing(t))
            t->state = SP_THREAD_FREE;
    }
    for (int i = 0; i < SP_LOSS_N; i++)
        subtract(&now->loss[i], before->loss[i]);
    move_times(now, mono_ns - sp_min_u64(mono_ns, now->started_mono_ns));
}
