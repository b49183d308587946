/* SPDX-License-Identifier: MIT
 * See threads.h. Slots of ended threads keep their log until there are too many; then a light one is folded into
 * thread 0 and its slot is free. Stacks (the larger part of a slot) move on to the next thread at once. */
#include "sampler/threads.h"

#include <string.h>

#include "sampler/weight.h"
#include "sampler/log.h"
#include "sampler/slots.h"

/* Records and sums. A thread books one with a sample and some at its end: threads' ends and ticks fold more than that. */
#define FOLD_AT_END 8u

/* A slot's second life keeps its number, its chunks and its place in a list. */
SP_SIGSAFE static void clear(struct sp_thread *t)
{
    uint32_t number = t->number, first_chunk = t->first_chunk;
    memset(t, 0, offsetof(struct sp_thread, text));
    t->number = number;
    t->first_chunk = first_chunk;
    t->state = SP_THREAD_STARTING;
}

struct sp_thread *sp_thread_claim(struct sp_region *r)
{
    struct sp_thread *t = sp_slot_take(r);
    if (t) {
        clear(t);
        if (sp_slot_give_stacks(r, t)) {
            t->serial = sp_add_relaxed(&r->n_serial, 1) + 1;
            return t;
        }
        sp_slot_free(r, t);
    }
    sp_count_loss(r, SP_LOSS_NO_SLOT);
    return NULL;
}

void sp_thread_cancel(struct sp_region *r, struct sp_thread *t)
{
    sp_slot_take_stacks(r, t);
    sp_slot_free(r, t);
}

void sp_thread_begin(struct sp_region *r, struct sp_thread *t, int tid, uint64_t base_cpu_ns)
{
    uint64_t tick_ns = sp_max_u64(r->tick_ns, 1); /* 0: the spool was cut off at this very moment */
    t->period_ns = (r->interval_ns + tick_ns - 1) / tick_ns * tick_ns;
    t->tid = tid;
    t->base_cpu_ns = t->last_cpu_ns = base_cpu_ns;
    sp_store_release(&t->state, SP_THREAD_LIVE);
}

void sp_thread_rest(const struct sp_region *r, const struct sp_thread *t, uint64_t cpu_ns, enum sp_ticks ticks,
                    uint64_t rest[SP_CATEGORY_N])
{
    memset(rest, 0, SP_CATEGORY_N * sizeof rest[0]);
    if (cpu_ns <= t->last_cpu_ns)
        return;
    uint64_t left = cpu_ns - t->last_cpu_ns;
    if (ticks == SP_TICKS_HELD_BACK)
        rest[SP_CATEGORY_BLOCKED] = sp_thread_held_back_ns(t, left);
    left -= rest[SP_CATEGORY_BLOCKED];
    /* A tick is late by a clock tick at most: more than that was not seen for want of ticks, or in one long
     * system call. */
    rest[SP_CATEGORY_THREAD_END] = ticks != SP_TICKS_NONE ? sp_min_u64(left, t->period_ns + r->tick_ns) : 0;
    rest[SP_CATEGORY_NOT_SAMPLED] = left - rest[SP_CATEGORY_THREAD_END];
}

void sp_thread_end(struct sp_region *r, struct sp_thread *t, uint64_t cpu_ns, uint64_t since_ns, enum sp_ticks ticks)
{
    uint64_t rest[SP_CATEGORY_N];
    t->end_cpu_ns = cpu_ns;
    sp_thread_rest(r, t, cpu_ns, ticks, rest);
    for (int c = 0; c < SP_CATEGORY_N; c++)
        if (rest[c] && c != SP_CATEGORY_THREAD_END)
            sp_log_book_pseudo(r, t, (enum sp_category)c, rest[c], since_ns);
    sp_weight_book_rest(r, t, rest[SP_CATEGORY_THREAD_END], since_ns);
    t->last_cpu_ns = cpu_ns;
    sp_thread_gone(r, t);
}

void sp_thread_gone(struct sp_region *r, struct sp_thread *t)
{
    sp_slot_take_stacks(r, t);
    sp_slot_retire(r, t);
    sp_slot_fold(r, FOLD_AT_END);
}
