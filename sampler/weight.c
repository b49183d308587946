/* SPDX-License-Identifier: MIT
 * See weight.h. One list of samples for each target, made when the first thread with that target ends. Threads of one target
 * that end at the same instant do not wait long for each other: who does not get the list books as if it were empty. */
#include "sampler/weight.h"

#include "sampler/intern.h"
#include "sampler/log.h"

#define SPINS 1000
#define FEW_SAMPLES 8 /* a thread with more is told by its own alone */

SP_SIGSAFE static uint64_t pay_last(struct sp_region *r, struct sp_thread *t, uint64_t cpu_ns, uint64_t since_ns)
{
    struct sp_sample s = {
        .node = t->last_node,
        .category = (enum sp_category)t->last_category,
        .cpu_ns = sp_min_u64(cpu_ns, t->owed_ns),
        .since_ns = since_ns,
    };
    t->owed_ns -= s.cpu_ns;
    if (s.cpu_ns)
        sp_log_book(r, t, &s);
    return s.cpu_ns;
}

void sp_weight_book(struct sp_region *r, struct sp_thread *t, const struct sp_sample *s)
{
    struct sp_sample own = *s;
    uint64_t step = sp_step_ns(r);
    own.cpu_ns -= pay_last(r, t, s->cpu_ns, s->since_ns);
    sp_log_book(r, t, &own);
    t->last_node = own.node;
    t->last_category = own.category;
    t->owed_ns = own.cpu_ns < step ? step - own.cpu_ns : 0;
}

/* The list for `key`; NULL: none can be had. With more targets than places the last one takes the place. */
static struct sp_target *target_of(struct sp_region *r, uint64_t key)
{
    uint32_t home = (uint32_t)((key * 0x9e3779b97f4a7c15ull) >> 40) % SP_TARGETS, *place = NULL;
    for (uint32_t i = 0; i < SP_TARGETS; i++) {
        place = &r->targets[(home + i) % SP_TARGETS];
        uint32_t at = sp_load_acquire(place);
        if (!at)
            break;
        struct sp_target *found = sp_at64(r, at);
        if (sp_load_relaxed(&found->key) == key)
            return found;
        if (i + 1 == SP_TARGETS)
            return sp_at64(r, r->targets[home]);
    }
    uint64_t at = sp_store_alloc(r, sizeof(struct sp_target), 64);
    if (!at)
        return NULL;
    struct sp_target *made = sp_at(r, at);
    made->key = key;
    uint32_t none = 0;
    return sp_cas(place, &none, (uint32_t)(at / 64)) ? made : NULL;
}

static bool lock(struct sp_target *c)
{
    for (int i = 0; i < SPINS; i++) {
        uint32_t open = 0;
        if (sp_cas(&c->lock, &open, 1))
            return true;
    }
    return false;
}

/* Takes up to `*cpu_ns` for a sample of another thread; its stack, or NULL: there was no sample yet. */
static const struct sp_owed *next_owed(struct sp_target *c, uint64_t *cpu_ns)
{
    uint32_t from = c->n > SP_TARGET_SAMPLES ? c->n - SP_TARGET_SAMPLES : 0;
    for (c->oldest = c->oldest > from ? c->oldest : from; c->oldest < c->n; c->oldest++) {
        struct sp_owed *o = &c->samples[c->oldest % SP_TARGET_SAMPLES];
        if (o->ns) {
            *cpu_ns = sp_min_u64(*cpu_ns, o->ns);
            o->ns -= *cpu_ns;
            return o;
        }
    }
    return c->n ? &c->samples[(from + c->turn++ % (c->n - from)) % SP_TARGET_SAMPLES] : NULL;
}

static uint64_t pay_others(struct sp_region *r, struct sp_thread *t, struct sp_target *c, uint64_t cpu_ns, uint64_t since_ns)
{
    uint64_t paid = 0;
    while (paid < cpu_ns) {
        uint64_t part = cpu_ns - paid;
        const struct sp_owed *o = next_owed(c, &part);
        if (!o)
            break;
        struct sp_sample s = {.node = o->node, .category = (enum sp_category)o->category, .cpu_ns = part, .since_ns = since_ns};
        sp_log_book(r, t, &s);
        paid += part;
    }
    return paid;
}

/* (thread end), called by the function that the thread was to run if that is known. */
static void book_unknown(struct sp_region *r, struct sp_thread *t, uint64_t cpu_ns, uint64_t since_ns)
{
    struct sp_sample s = {.category = SP_CATEGORY_THREAD_END, .cpu_ns = cpu_ns, .since_ns = since_ns};
    uint32_t node = r->pseudo_node[SP_CATEGORY_THREAD_END], called = 0;
    if (t->target_code) {
        uint32_t frame = sp_intern_frame(r, SP_FRAME_PYTHON, t->target_code, -1);
        uint32_t function = frame ? sp_intern_node(r, 0, frame) : 0;
        called = function ? sp_intern_node(r, function, sp_node_at(r, node)->frame) : 0;
    }
    s.node = called ? called : node;
    sp_log_book(r, t, &s);
}

void sp_weight_book_rest(struct sp_region *r, struct sp_thread *t, uint64_t cpu_ns, uint64_t since_ns)
{
    uint64_t paid = pay_last(r, t, cpu_ns, since_ns);
    struct sp_target *c = t->target && t->samples < FEW_SAMPLES ? target_of(r, t->target) : NULL;
    if (c && lock(c)) {
        if (c->key != t->target) { /* its place was taken */
            c->key = t->target;
            c->n = c->oldest = c->turn = 0;
        }
        paid += pay_others(r, t, c, cpu_ns - paid, since_ns);
        if (t->last_node)
            c->samples[c->n++ % SP_TARGET_SAMPLES] = (struct sp_owed){t->last_node, t->last_category, t->owed_ns};
        sp_store_release(&c->lock, 0);
    }
    t->owed_ns = 0;
    t->prompt_ns += paid;
    if (paid < cpu_ns)
        book_unknown(r, t, cpu_ns - paid, since_ns);
}
