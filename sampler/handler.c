/* SPDX-License-Identifier: MIT
 * See handler.h. errno needs no saving: nothing here calls libc but memcpy, memset and the vDSO's clock. */
#include "sampler/handler.h"

#include "compat/cpu.h"
#include "compat/os.h"
#include "sampler/adopt.h"
#include "sampler/gate.h"
#include "sampler/intern.h"
#include "sampler/slots.h"
#include "sampler/threads.h"

#define FOLD_AT_TICK 4u /* records and sums of ended threads: more than a tick makes */

struct sp_region *sp_region;
const struct sp_engine_ops *sp_engine;
void (*sp_handler_foreign)(int sig, siginfo_t *info, void *context);
void (*sp_handler_forked)(void);
struct sp_thread *(*sp_handler_late)(struct sp_region *r);
void (*sp_handler_thawing)(struct sp_region *r);

bool sp_handler_is_tick(const siginfo_t *info)
{
    return info->si_code == SI_TIMER && (uint64_t)(uintptr_t)info->si_value.sival_ptr >> 32 == sp_tick_cookie;
}

/* After a sample: what is to be done now and then, by whoever has a tick. */
SP_SIGSAFE static void do_chores(struct sp_region *r, uint64_t mono_ns)
{
    if (SP_UNLIKELY((uint32_t)sp_load_relaxed(&r->folding)))
        sp_slot_fold(r, FOLD_AT_TICK);
    if (mono_ns >= sp_load_relaxed(&r->next_scan_ns))
        sp_adopt_scan(r, mono_ns);
}

SP_SIGSAFE static void take_sample(struct sp_region *r, struct sp_thread *t, const void *context, uintptr_t sp)
{
    struct sp_instant now = {sp, context, sp_os_thread_cpu_ns(), sp_os_mono_ns()};
    if (now.cpu_ns < t->last_cpu_ns || (SP_UNLIKELY(t->first_due_ns < 0) && !sp_engine->first_tick(r, t, now.cpu_ns)))
        return;
    sp_sample_take(r, t, &now);
    do_chores(r, now.mono_ns);
}

/* The tick stood for a signal of the program's as well. */
SP_SIGSAFE static void settle_sent(struct sp_thread *t)
{
    uint32_t was = SP_SENT_DONE;
    if (sp_cas(&t->sent, &was, SP_SENT_NONE))
        sp_os_tgkill(t->tid, SIGPROF);
    else if (was == SP_SENT_NOW)
        sp_cas(&t->sent, &was, SP_SENT_AGAIN);
}

bool sp_handler_is_cramped(const void *context)
{
    const stack_t *s = &((const ucontext_t *)context)->uc_stack;
    uintptr_t room = (uintptr_t)__builtin_frame_address(0) - (uintptr_t)s->ss_sp;
    return room < s->ss_size && room < SP_HANDLER_BYTES;
}

/* Slot of the thread that has this tick; NULL: it is late, and the slot has a new owner or none. */
SP_SIGSAFE static struct sp_thread *slot_of(struct sp_region *r, const siginfo_t *info)
{
    uint32_t number = (uint32_t)(uintptr_t)info->si_value.sival_ptr;
    struct sp_thread *t = number && number <= r->n_threads ? sp_thread_at(r, number) : NULL;
    if (!t || sp_load_relaxed(&t->state) != SP_THREAD_LIVE)
        return NULL;
    if (t->thread_pointer && t->thread_pointer != sp_cpu_thread_pointer())
        return NULL;
    if (SP_UNLIKELY(sp_load_relaxed(&t->sent)))
        settle_sent(t);
    return t;
}

SP_SIGSAFE static void sample(struct sp_region *r, const siginfo_t *info, const void *context, uintptr_t sp)
{
    bool is_late = (uint32_t)(uintptr_t)info->si_value.sival_ptr == 0, is_cramped = context && sp_handler_is_cramped(context);
    struct sp_thread *t = !is_late ? slot_of(r, info) : is_cramped ? NULL : sp_handler_late(r);
    uint32_t outside = 0;
    if (!t)
        return;
    if (SP_UNLIKELY(is_cramped) || !sp_cas(&t->in_handler, &outside, 1)) {
        sp_count_loss(r, SP_LOSS_NESTED);
        return;
    }
    take_sample(r, t, context, sp);
    sp_store_release(&t->in_handler, 0);
}

static uint32_t missed; /* ticks while the gate was closed */

SP_SIGSAFE static void tick(const siginfo_t *info, const void *context, uintptr_t sp)
{
    bool inside = sp_gate_enter();
    struct sp_region *r = sp_load_acquire(&sp_region);
    bool ready = sp_store_ready(r);
    if (!inside) {
        sp_add_relaxed(&missed, 1);
        if (ready)
            slot_of(r, info); /* the program's signal does not wait */
        return;
    }
    if (SP_UNLIKELY(!ready)) {
        sp_handler_forked(); /* this tick counts: it may be the child's only one */
        r = sp_load_acquire(&sp_region);
    }
    if (SP_LIKELY(sp_store_ready(r)))
        sample(r, info, context, sp);
    sp_gate_leave();
}

void sp_handler(int sig, siginfo_t *info, void *context)
{
    if (sp_handler_is_tick(info))
        tick(info, context, sp_cpu_context_sp(context));
    else
        sp_handler_foreign(sig, info, context);
}

void sp_handler_taken(const siginfo_t *info)
{
    tick(info, NULL, (uintptr_t)__builtin_frame_address(0));
}

static bool is_held_back(const struct sp_thread *t, bool is_self)
{
    if (!sp_thread_held_back_ns(t, t->end_cpu_ns - t->last_cpu_ns))
        return false;
    /* The writer has everything blocked itself; but the tick came long before. */
    return t->pause || (is_self ? sp_os_is_pending(SIGPROF) : sp_os_thread_blocks(t->tid, SIGPROF));
}

void sp_handler_freeze(struct sp_region *r, uint64_t limit_ns)
{
    int self = sp_os_gettid();
    sp_gate_close(limit_ns);
    for (uint32_t i = 1; i <= r->n_threads && i <= r->max_threads; i++) {
        struct sp_thread *t = sp_thread_at(r, i);
        if (!t || sp_load_acquire(&t->state) != SP_THREAD_LIVE)
            continue;
        uint64_t cpu = sp_os_thread_cpu_ns_of(t->tid);
        t->end_cpu_ns = sp_max_u64(cpu, t->last_cpu_ns);
        sp_thread_rest(r, t, t->end_cpu_ns, is_held_back(t, t->tid == self), t->rest_ns);
    }
}

void sp_handler_thaw(struct sp_region *r)
{
    do {
        sp_thread_see_to_left(r, sp_os_mono_ns() - r->started_mono_ns);
        sp_intern_forget_left(r);
        if (sp_handler_thawing)
            sp_handler_thawing(r);
        sp_add_relaxed(&r->loss[SP_LOSS_FROZEN], __atomic_exchange_n(&missed, 0, __ATOMIC_RELAXED));
    } while (!sp_gate_open());
}
