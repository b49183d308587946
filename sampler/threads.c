/* SPDX-License-Identifier: MIT
 * See threads.h. Slots of ended threads keep their log until there are too many; then the lightest is folded
 * into thread 0 and its slot is free. Stacks (the larger part of a slot) move on to the next thread at once. */
#include "sampler/threads.h"

#include <string.h>

#include "compat/os.h"
#include "compat/py.h"
#include "sampler/log.h"

#define STACK_BYTES(depth) ((uint64_t)(depth) * 2 * sizeof(struct sp_py_frame))

/* The more threads live at once, the less deep their stacks may be: full depth while an eighth of the region
 * is not used up by half. */
SP_SIGSAFE static uint32_t affordable_depth(const struct sp_region *r)
{
    uint64_t budget = r->bytes / 8, used = sp_load_relaxed(&r->stacks_bytes);
    uint32_t most = used < budget / 2 ? r->depth : used < budget ? 1024 : 256;
    return most < r->depth ? most : r->depth;
}

SP_SIGSAFE static bool give_stacks(struct sp_region *r, struct sp_thread *t)
{
    if (t->stacks)
        return true;
    for (uint32_t i = 1; i <= r->n_threads; i++) {
        struct sp_thread *other = sp_thread_at(r, i);
        if (!other || sp_load_acquire(&other->state) != SP_THREAD_ENDED)
            continue;
        uint32_t depth = other->stack_depth;
        t->stacks = __atomic_exchange_n(&other->stacks, 0, __ATOMIC_ACQ_REL);
        t->stack_depth = depth;
        if (t->stacks)
            return true;
    }
    uint32_t depth = affordable_depth(r);
    uint64_t at = sp_store_alloc(r, STACK_BYTES(depth), 64);
    if (!at)
        return false;
    sp_add_relaxed(&r->stacks_bytes, STACK_BYTES(depth));
    t->stack_depth = depth;
    t->stacks = (uint32_t)(at / 64);
    return true;
}

SP_SIGSAFE static struct sp_thread *new_slot(struct sp_region *r)
{
    uint32_t n = sp_load_relaxed(&r->n_threads);
    do {
        if (n >= r->max_threads)
            return NULL;
    } while (!sp_cas(&r->n_threads, &n, n + 1));
    uint64_t at = sp_store_alloc(r, sizeof(struct sp_thread), 64);
    if (!at)
        return NULL;
    struct sp_thread *t = sp_at(r, at);
    t->number = n + 1;
    t->state = SP_THREAD_STARTING;
    uint32_t *directory = sp_at(r, r->thread_directory);
    sp_store_release(&directory[n + 1], (uint32_t)(at / 64));
    return t;
}

SP_SIGSAFE static struct sp_thread *free_slot(struct sp_region *r)
{
    for (uint32_t i = 1; i <= sp_load_acquire(&r->n_threads) && i <= r->max_threads; i++) {
        struct sp_thread *t = sp_thread_at(r, i);
        uint32_t expected = SP_THREAD_FREE;
        if (t && sp_load_relaxed(&t->state) == SP_THREAD_FREE && sp_cas(&t->state, &expected, SP_THREAD_STARTING))
            return t;
    }
    return new_slot(r);
}

/* A slot's second life keeps its number, chunks and stacks. */
SP_SIGSAFE static void clear(struct sp_thread *t)
{
    uint32_t number = t->number, first_chunk = t->first_chunk, stacks = t->stacks, depth = t->stack_depth;
    uint32_t state = t->state;
    memset(t, 0, offsetof(struct sp_thread, text));
    t->number = number;
    t->first_chunk = first_chunk;
    t->stacks = stacks;
    t->stack_depth = depth;
    t->state = state;
    t->timer = -1;
}

struct sp_thread *sp_thread_claim(struct sp_region *r)
{
    struct sp_thread *t = free_slot(r);
    if (!t) {
        sp_count_loss(r, SP_LOSS_NO_SLOT);
        return NULL;
    }
    clear(t);
    if (!give_stacks(r, t)) {
        sp_store_release(&t->state, SP_THREAD_FREE);
        sp_count_loss(r, SP_LOSS_NO_SLOT);
        return NULL;
    }
    t->serial = sp_add_relaxed(&r->n_serial, 1) + 1;
    sp_add_relaxed(&r->n_starting, 1);
    return t;
}

void sp_thread_cancel(struct sp_region *r, struct sp_thread *t)
{
    sp_add_relaxed(&r->n_starting, (uint32_t)-1);
    sp_store_release(&t->state, SP_THREAD_FREE);
}

void sp_thread_begin(struct sp_region *r, struct sp_thread *t, int tid, uint64_t base_cpu_ns, uint64_t stack_top)
{
    uint64_t steps = (r->interval_ns + r->tick_ns - 1) / r->tick_ns;
    t->period_ns = steps * r->tick_ns;
    t->tid = tid;
    t->base_cpu_ns = t->last_cpu_ns = base_cpu_ns;
    t->stack_top = stack_top;
    sp_store_release(&t->state, SP_THREAD_LIVE);
    sp_add_relaxed(&r->n_starting, (uint32_t)-1);
}

void sp_thread_rest(const struct sp_region *r, const struct sp_thread *t, uint64_t cpu_ns, bool is_held_back,
                    uint64_t rest[SP_CPU_N])
{
    memset(rest, 0, SP_CPU_N * sizeof rest[0]);
    if (cpu_ns <= t->last_cpu_ns)
        return;
    uint64_t left = cpu_ns - t->last_cpu_ns;
    if (is_held_back)
        rest[SP_CPU_BLOCKED] = sp_thread_held_back_ns(t, left);
    left -= rest[SP_CPU_BLOCKED];
    /* A timer is late by a tick at most: more than that was not seen for want of a timer, or in one long
     * system call. */
    bool has_timer = t->timer >= 0 || rest[SP_CPU_BLOCKED];
    rest[SP_CPU_THREAD_END] = has_timer ? sp_min_u64(left, t->period_ns + r->tick_ns) : 0;
    rest[SP_CPU_NOT_SAMPLED] = left - rest[SP_CPU_THREAD_END];
}

static uint64_t weight_of(const struct sp_thread *t)
{
    return t->end_cpu_ns - t->base_cpu_ns;
}

static struct sp_thread *lightest_ended(struct sp_region *r)
{
    struct sp_thread *lightest = NULL;
    for (uint32_t i = 1; i <= r->n_threads; i++) {
        struct sp_thread *t = sp_thread_at(r, i);
        if (t && sp_load_acquire(&t->state) == SP_THREAD_ENDED && (!lightest || weight_of(t) < weight_of(lightest)))
            lightest = t;
    }
    return lightest;
}

/* One at a time; who finds another at work leaves it to the next thread's end. */
static void fold_one(struct sp_region *r)
{
    uint32_t idle = 0;
    if (!sp_cas(&r->fold_lock, &idle, 1))
        return;
    struct sp_thread *t = lightest_ended(r);
    if (t && !sp_load_acquire(&r->frozen)) {
        sp_log_fold(r, t);
        for (int c = 0; c < SP_CPU_N; c++)
            r->folded_cpu_ns[c] += t->cpu_ns[c];
        r->folded_samples += t->samples;
        r->folded_prompt_ns += t->prompt_ns;
        r->n_folded++;
        sp_add_relaxed(&r->n_ended, (uint32_t)-1);
        sp_store_release(&t->state, SP_THREAD_FREE);
    }
    sp_store_release(&r->fold_lock, 0);
}

void sp_thread_end(struct sp_region *r, struct sp_thread *t, uint64_t cpu_ns, uint64_t since_ns)
{
    uint64_t rest[SP_CPU_N];
    t->end_cpu_ns = cpu_ns;
    bool is_held_back = sp_os_mask_block(0) & SP_OS_MASK(SIGPROF);
    sp_thread_rest(r, t, cpu_ns, is_held_back, rest);
    for (int c = 0; c < SP_CPU_N; c++)
        if (rest[c])
            sp_log_book(r, t, r->pseudo_node[c], (enum sp_cpu)c, rest[c], since_ns);
    t->last_cpu_ns = cpu_ns;
    sp_store_release(&t->state, SP_THREAD_ENDED);
    if (sp_add_relaxed(&r->n_ended, 1) + 1 > r->max_ended)
        fold_one(r);
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
