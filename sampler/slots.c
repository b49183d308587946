/* SPDX-License-Identifier: MIT
 * See slots.h. The lists are Treiber's stacks: entries never leave the region, and a head counts its changes, so that one
 * which was taken and put back meanwhile is noticed. */
#include "sampler/slots.h"

#include "compat/py.h"
#include "sampler/log.h"

#define ARRAY_BYTES(depth) ((uint64_t)(depth)*2 * sizeof(struct sp_py_frame))

SP_SIGSAFE static void push(sp_list_head *head, uint32_t *next, uint32_t one)
{
    uint64_t h = sp_load_relaxed(head);
    do
        sp_store_relaxed(next, (uint32_t)h);
    while (!sp_cas(head, &h, ((h >> 32) + 1) << 32 | one));
}

SP_SIGSAFE static void push_slot(sp_list_head *head, struct sp_thread *t)
{
    push(head, &t->next, t->number);
}

SP_SIGSAFE static struct sp_thread *pop_slot(const struct sp_region *r, sp_list_head *head)
{
    uint64_t h = sp_load_acquire(head);
    while ((uint32_t)h) {
        struct sp_thread *t = sp_thread_at(r, (uint32_t)h);
        if (sp_cas(head, &h, ((h >> 32) + 1) << 32 | sp_load_relaxed(&t->next)))
            return t;
    }
    return NULL;
}

/* Half of the region at most: threads that are many for a moment would leave no room for what runs later. */
SP_SIGSAFE static bool is_affordable(const struct sp_region *r, uint64_t bytes)
{
    uint64_t slots = (uint64_t)sp_load_relaxed(&r->n_threads) * sizeof(struct sp_thread);
    return slots + sp_load_relaxed(&r->stacks_bytes) + bytes <= r->bytes / 2;
}

/* ---- stacks */

/* The more threads live at once, the less deep their stacks may be: full depth while an eighth of the region
 * is not used up by half. */
SP_SIGSAFE static uint32_t affordable_depth(const struct sp_region *r)
{
    uint64_t budget = r->bytes / 8, used = sp_load_relaxed(&r->stacks_bytes);
    uint32_t most = used < budget / 2 ? r->depth : used < budget ? 1024 : 256;
    return most < r->depth ? most : r->depth;
}

SP_SIGSAFE static uint32_t pop_stacks(struct sp_region *r)
{
    uint64_t h = sp_load_acquire(&r->free_stacks);
    while ((uint32_t)h) {
        const struct sp_stacks *s = sp_at64(r, (uint32_t)h);
        if (sp_cas(&r->free_stacks, &h, ((h >> 32) + 1) << 32 | sp_load_relaxed(&s->next)))
            return (uint32_t)(((uintptr_t)s - (uintptr_t)r) / 64);
    }
    return 0;
}

SP_SIGSAFE static uint32_t new_stacks(struct sp_region *r)
{
    uint32_t depth = affordable_depth(r);
    uint64_t bytes = sizeof(struct sp_stacks) + ARRAY_BYTES(depth) + (r->native ? SP_SLOT_NATIVE_BYTES : 0);
    uint64_t at = is_affordable(r, bytes) ? sp_store_alloc(r, bytes, 64) : 0;
    if (!at)
        return 0;
    sp_add_relaxed(&r->stacks_bytes, bytes);
    ((struct sp_stacks *)sp_at(r, at))->depth = depth;
    return (uint32_t)(at / 64);
}

bool sp_slot_give_stacks(struct sp_region *r, struct sp_thread *t)
{
    uint32_t at = pop_stacks(r);
    if (!at && !(at = new_stacks(r)))
        return false;
    t->stack_depth = ((const struct sp_stacks *)sp_at64(r, at))->depth;
    t->stacks = at + (uint32_t)(sizeof(struct sp_stacks) / 64);
    return true;
}

void *sp_slot_native(struct sp_region *r, const struct sp_thread *t)
{
    return t->stacks ? (char *)sp_at64(r, t->stacks) + ARRAY_BYTES(t->stack_depth) : NULL;
}

void sp_slot_take_stacks(struct sp_region *r, struct sp_thread *t)
{
    if (!t->stacks)
        return;
    uint32_t at = t->stacks - (uint32_t)(sizeof(struct sp_stacks) / 64);
    t->stacks = t->stack_depth = t->previous_n = 0;
    push(&r->free_stacks, &((struct sp_stacks *)sp_at64(r, at))->next, at);
}

/* ---- ended threads */
SP_SIGSAFE static uint64_t weight_of(const struct sp_thread *t)
{
    return t->end_cpu_ns - t->base_cpu_ns;
}

/* Two bits behind the leading one. */
SP_SIGSAFE static uint32_t class_of(uint64_t weight)
{
    uint64_t us = weight >> 10 | 4;
    uint32_t top = 63 - (uint32_t)__builtin_clzll(us), class = (top - 2) * 4 + (us >> (top - 2) & 3);
    return class < SP_WEIGHT_CLASSES ? class : SP_WEIGHT_CLASSES - 1;
}

SP_SIGSAFE static void keep(struct sp_region *r, struct sp_thread *t)
{
    push_slot(&r->ended[class_of(weight_of(t))], t);
}

/* One of the lightest; NULL: there is none. */
SP_SIGSAFE static struct sp_thread *pop_light(struct sp_region *r)
{
    struct sp_thread *t = NULL;
    for (uint32_t i = 0; i < SP_WEIGHT_CLASSES && !t; i++)
        t = pop_slot(r, &r->ended[i]);
    return t;
}

/* From here on its sums are thread 0's; what its log and its totals hold follows in steps. */
SP_SIGSAFE static void begin_to_fold(struct sp_region *r, struct sp_thread *t)
{
    for (int c = 0; c < SP_CATEGORY_N; c++) {
        sp_add_relaxed(&r->folded_cpu_ns[c], t->cpu_ns[c]);
        t->cpu_ns[c] = 0;
    }
    sp_add_relaxed(&r->folded_samples, t->samples);
    sp_add_relaxed(&r->folded_prompt_ns, t->prompt_ns);
    if (sp_store_has_life(r, t)) {
        sp_add_relaxed(&r->folded_off_ns, t->off_ns);
        sp_add_relaxed(&r->folded_queued_ns, t->queued_ns);
    }
    sp_add_relaxed(&r->folded_wait_ns, t->wait_ns);
    sp_add_relaxed(&r->folded_gil_ns, t->gil_ns);
    t->off_ns = t->wait_ns = t->queued_ns = t->gil_ns = 0;
    sp_add_relaxed(&r->n_folded, 1);
    sp_add_relaxed(&r->n_ended, (uint32_t)-1);
    t->samples = t->prompt_ns = 0;
    t->fold_chunk = t->fold_record = 0;
    sp_store_release(&t->state, SP_THREAD_FOLDING);
}

void sp_slot_retire(struct sp_region *r, struct sp_thread *t)
{
    sp_store_release(&t->state, SP_THREAD_ENDED);
    if (sp_add_relaxed(&r->n_ended, 1) + 1 <= r->max_ended) {
        keep(r, t);
        return;
    }
    struct sp_thread *other = pop_light(r);
    if (other && weight_of(other) < weight_of(t)) {
        keep(r, t);
        t = other;
    } else if (other) {
        keep(r, other);
    }
    begin_to_fold(r, t);
    push_slot(&r->folding, t);
}

void sp_slot_fold(struct sp_region *r, uint32_t budget)
{
    struct sp_thread *t;
    while (budget && (t = pop_slot(r, &r->folding))) {
        if (sp_log_fold(r, t, &budget))
            sp_slot_free(r, t);
        else
            push_slot(&r->folding, t);
    }
}

/* ---- slots */
void sp_slot_free(struct sp_region *r, struct sp_thread *t)
{
    sp_store_release(&t->state, SP_THREAD_FREE);
    push_slot(&r->free_slots, t);
}

SP_SIGSAFE static struct sp_thread *new_slot(struct sp_region *r)
{
    if (sp_load_relaxed(&r->n_threads) >= r->max_threads || !is_affordable(r, sizeof(struct sp_thread)))
        return NULL;
    uint64_t at = sp_store_alloc(r, sizeof(struct sp_thread), 64);
    if (!at)
        return NULL;
    uint32_t n = sp_load_relaxed(&r->n_threads);
    do {
        if (n >= r->max_threads)
            return NULL;
    } while (!sp_cas(&r->n_threads, &n, n + 1));
    struct sp_thread *t = sp_at(r, at);
    t->number = n + 1;
    t->state = SP_THREAD_STARTING;
    uint32_t *directory = sp_at(r, r->thread_directory);
    sp_store_release(&directory[n + 1], (uint32_t)(at / 64));
    return t;
}

/* There is no more room: an ended thread's slot is wanted now, whatever it costs. */
SP_SIGSAFE static struct sp_thread *fold_for_slot(struct sp_region *r)
{
    struct sp_thread *t = pop_slot(r, &r->folding);
    if (!t && (t = pop_light(r)))
        begin_to_fold(r, t);
    uint32_t all = UINT32_MAX;
    if (t)
        sp_log_fold(r, t, &all);
    return t;
}

struct sp_thread *sp_slot_take(struct sp_region *r)
{
    struct sp_thread *t = pop_slot(r, &r->free_slots);
    if (!t)
        t = new_slot(r);
    if (!t)
        t = fold_for_slot(r);
    if (t)
        sp_store_release(&t->state, SP_THREAD_STARTING);
    return t;
}
