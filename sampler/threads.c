/* SPDX-License-Identifier: MIT
 * See threads.h. Slots of ended threads keep their log until there are too many; then a light one is folded into
 * thread 0 and its slot is free. Stacks (the larger part of a slot) move on to the next thread at once. */
#include "sampler/threads.h"

#include <string.h>

#include "compat/os.h"
#include "sampler/carry.h"
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
    t->timer = -1;
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

void sp_thread_begin(struct sp_region *r, struct sp_thread *t, int tid, uint64_t base_cpu_ns, uint64_t stack_top)
{
    uint64_t tick_ns = sp_max_u64(r->tick_ns, 1); /* 0: the spool was cut off at this very moment */
    t->period_ns = (r->interval_ns + tick_ns - 1) / tick_ns * tick_ns;
    t->tid = tid;
    t->base_cpu_ns = t->last_cpu_ns = base_cpu_ns;
    t->stack_top = stack_top;
    sp_store_release(&t->state, SP_THREAD_LIVE);
}

void sp_thread_rest(const struct sp_region *r, const struct sp_thread *t, uint64_t cpu_ns, bool is_held_back,
                    uint64_t rest[SP_CATEGORY_N])
{
    memset(rest, 0, SP_CATEGORY_N * sizeof rest[0]);
    if (cpu_ns <= t->last_cpu_ns)
        return;
    uint64_t left = cpu_ns - t->last_cpu_ns;
    if (is_held_back)
        rest[SP_CATEGORY_BLOCKED] = sp_thread_held_back_ns(t, left);
    left -= rest[SP_CATEGORY_BLOCKED];
    /* A timer is late by a tick at most: more than that was not seen for want of a timer, or in one long
     * system call. */
    bool has_timer = t->timer >= 0 || rest[SP_CATEGORY_BLOCKED];
    rest[SP_CATEGORY_THREAD_END] = has_timer ? sp_min_u64(left, t->period_ns + r->tick_ns) : 0;
    rest[SP_CATEGORY_NOT_SAMPLED] = left - rest[SP_CATEGORY_THREAD_END];
}

static void end(struct sp_region *r, struct sp_thread *t, uint64_t cpu_ns, uint64_t since_ns, bool is_held_back)
{
    uint64_t rest[SP_CATEGORY_N];
    t->end_cpu_ns = cpu_ns;
    sp_thread_rest(r, t, cpu_ns, is_held_back, rest);
    for (int c = 0; c < SP_CATEGORY_N; c++)
        if (rest[c] && c != SP_CATEGORY_THREAD_END)
            sp_log_book_pseudo(r, t, (enum sp_category)c, rest[c], since_ns);
    sp_carry_rest(r, t, rest[SP_CATEGORY_THREAD_END], since_ns);
    t->last_cpu_ns = cpu_ns;
    sp_thread_gone(r, t);
}

void sp_thread_end(struct sp_region *r, struct sp_thread *t, uint64_t cpu_ns, uint64_t since_ns)
{
    end(r, t, cpu_ns, since_ns, sp_os_mask_block(0) & SP_OS_MASK(SIGPROF));
}

void sp_thread_gone(struct sp_region *r, struct sp_thread *t)
{
    sp_slot_take_stacks(r, t);
    sp_slot_retire(r, t);
    sp_slot_fold(r, FOLD_AT_END);
}

/* ---- ends that wait for the gate */
static uint64_t left[SP_THREADS_MAX + 1]; /* by slot: reading + 1; 0: none */
static uint32_t any_left;

void sp_thread_leave(const struct sp_thread *t, uint64_t cpu_ns)
{
    __atomic_store_n(&left[t->number], cpu_ns + 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&any_left, 1, __ATOMIC_SEQ_CST); /* both before sp_gate_leave_work's change of the gate */
}

bool sp_thread_take_back(const struct sp_thread *t)
{
    return __atomic_exchange_n(&left[t->number], 0, __ATOMIC_SEQ_CST) != 0;
}

void sp_thread_see_to_left(struct sp_region *r, uint64_t since_ns)
{
    if (!__atomic_exchange_n(&any_left, 0, __ATOMIC_SEQ_CST))
        return;
    for (uint32_t i = 1; i <= r->n_threads && i <= r->max_threads; i++) {
        uint64_t noted = sp_load_relaxed(&left[i]) ? __atomic_exchange_n(&left[i], 0, __ATOMIC_SEQ_CST) : 0;
        struct sp_thread *t = noted ? sp_thread_at(r, i) : NULL;
        if (!t)
            continue;
        if (noted - 1 == SP_THREAD_NEVER_BEGAN)
            sp_thread_cancel(r, t);
        else
            end(r, t, noted - 1, since_ns, false);
    }
}

void sp_thread_forget_left(void)
{
    if (any_left)
        memset(left, 0, sizeof left);
    any_left = 0;
}

struct sp_thread *sp_thread_by_tid(struct sp_region *r, int tid, uint32_t *near)
{
    uint32_t n = (uint32_t)sp_min_u64(sp_load_acquire(&r->n_threads), r->max_threads);
    for (uint32_t i = 0, number = *near; i < n; i++, number++) {
        if (number < 1 || number > n)
            number = 1;
        struct sp_thread *t = sp_thread_at(r, number);
        if (t && sp_load_acquire(&t->state) == SP_THREAD_LIVE && t->tid == tid) {
            *near = number + 1;
            return t;
        }
    }
    return NULL;
}
