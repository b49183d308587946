/* SPDX-License-Identifier: MIT
 * See handler.h. errno needs no saving: nothing here calls libc but memcpy, memset, memcmp and the vDSO's clock. */
#include "sampler/handler.h"

#include "compat/cpu.h"
#include "compat/os.h"
#include "sampler/adopt.h"
#include "sampler/gate.h"
#include "sampler/intern.h"
#include "sampler/offcpu.h"
#include "sampler/sample.h"
#include "sampler/slots.h"
#include "sampler/threads.h"

#define FOLD_AT_TICK 4u /* records and sums of ended threads: more than a tick makes */

/* Threads: by who begins, swaps and ends recordings (inject/recording.c). */
struct sp_region *sp_region;
uint32_t sp_region_newest;
void (*sp_handler_foreign)(int sig, siginfo_t *info, void *context);
void (*sp_handler_forked)(void);
uint64_t sp_handler_due_ns = UINT64_MAX;
void (*sp_handler_due)(void);

bool sp_handler_is_tick(const siginfo_t *info)
{
    return sp_engine->owns(info) != 0;
}

/* After a sample: what is to be done now and then, by whoever has a tick. */
SP_SIGSAFE static void do_chores(struct sp_region *r, uint64_t mono_ns)
{
    if (SP_UNLIKELY((uint32_t)sp_load_relaxed(&r->folding)))
        sp_slot_fold(r, FOLD_AT_TICK);
    if (mono_ns >= sp_load_relaxed(&sp_adopt_due_ns))
        sp_adopt_scan(r, mono_ns);
}

/* Of an engine by which several ticks may wait at once: the others are taken, for the kernel would not queue the program's signal
 * behind them. False: one of the program's waits as well, and it has no more than one. */
SP_SIGSAFE static bool has_room(void)
{
    siginfo_t kept[2]; /* for the thread, for the process */
    int n = 0;
    bool has_room = true;
    while (n < 2 && sp_os_take_pending(SP_OS_MASK(sp_engine->signal), &kept[n]))
        n += !sp_engine->owns(&kept[n]);
    for (int i = 0; i < n; i++) {
        has_room &= kept[i].si_code != SI_TKILL;
        if (kept[i].si_code == SI_TKILL)
            sp_os_requeue(sp_engine->signal, &kept[i]);
        else
            sp_os_requeue_to_process(sp_engine->signal, &kept[i]);
    }
    return has_room;
}

/* The tick stood for a signal of the program's as well. */
SP_SIGSAFE static void settle_sent(struct sp_live *l)
{
    uint32_t was = SP_SENT_DONE;
    if (sp_cas(&l->sent, &was, SP_SENT_NONE)) {
        bool is_held = sp_engine->hold && sp_engine->hold(l);
        if (!sp_engine->hold || has_room())
            sp_os_tgkill(l->tid, sp_engine->signal);
        if (is_held)
            sp_engine->let_go(l);
    } else if (was == SP_SENT_NOW) {
        sp_cas(&l->sent, &was, SP_SENT_AGAIN);
    }
}

bool sp_handler_is_cramped(const void *context)
{
    const stack_t *s = &((const ucontext_t *)context)->uc_stack;
    uintptr_t room = (uintptr_t)__builtin_frame_address(0) - (uintptr_t)s->ss_sp;
    return room < s->ss_size && room < SP_HANDLER_BYTES;
}

/* The thread whose tick this is; NULL: it is late, and the number has a new owner or none. */
SP_SIGSAFE static struct sp_live *owner_of(uint32_t number)
{
    struct sp_live *l = sp_live_at(number);
    if (!l || sp_load_acquire(&l->state) != SP_LIVE_RUNNING)
        return NULL;
    if (l->thread_pointer && l->thread_pointer != sp_cpu_thread_pointer())
        return NULL;
    if (SP_UNLIKELY(sp_load_relaxed(&l->sent)))
        settle_sent(l);
    return l;
}

SP_SIGSAFE static void take_sample(struct sp_region *r, struct sp_live *l, const void *context, uintptr_t sp)
{
    struct sp_instant now = {sp, context, sp_os_thread_cpu_ns(), sp_os_mono_ns()};
    if (now.cpu_ns < l->last_cpu_ns || (SP_UNLIKELY(l->first_due_ns < 0) && !sp_engine->counts(l, &now)))
        return;
    if (SP_UNLIKELY(!sp_live_slot(r, l)))
        return;
    sp_sample_take(r, l, &now);
    do_chores(r, now.mono_ns);
    if (SP_UNLIKELY(sp_engine->sampled))
        sp_engine->sampled(l, &now);
}

SP_SIGSAFE static void sample(struct sp_region *r, struct sp_live *l, const void *context, uintptr_t sp)
{
    uint32_t outside = 0;
    bool is_cramped = context && sp_handler_is_cramped(context);
    if (context) {
        sp_store_relaxed(&l->interrupted_mask, sp_cpu_context_mask(context));
        uintptr_t restarts = sp_os_restarts(context);
        if (restarts) /* else it stays: the program's handler may be what is interrupted now, and asks next */
            sp_store_relaxed(&l->restarts, restarts);
    }
    if (SP_UNLIKELY(is_cramped) || !sp_cas(&l->in_handler, &outside, 1)) {
        sp_count_loss(r, SP_LOSS_NESTED);
        return;
    }
    take_sample(r, l, context, sp);
    sp_store_release(&l->in_handler, 0);
}

static uint32_t missed; /* ticks while the gate was closed */

SP_SIGSAFE static void tick(uint32_t number, const void *context, uintptr_t sp)
{
    struct sp_live *l = owner_of(number); /* the program's signal does not wait for the gate */
    if (!sp_gate_enter()) {
        sp_add_relaxed(&missed, 1);
        return;
    }
    struct sp_region *r = sp_region_now();
    if (SP_UNLIKELY(r && !sp_store_ready(r))) {
        sp_handler_forked(); /* this tick counts: it may be the child's only one */
        r = sp_region_now();
    }
    if (SP_LIKELY(l && sp_store_ready(r)))
        sample(r, l, context, sp);
    sp_gate_leave();
    if (SP_UNLIKELY(sp_load_relaxed(&sp_handler_due_ns) != UINT64_MAX) &&
        sp_os_mono_ns() >= sp_load_relaxed(&sp_handler_due_ns))
        sp_handler_due();
}

void sp_handler(int sig, siginfo_t *info, void *context)
{
    uint32_t number = sp_engine->owns(info);
    if (number)
        tick(number, context, sp_cpu_context_sp(context));
    else
        sp_handler_foreign(sig, info, context);
}

void sp_handler_taken(const siginfo_t *info)
{
    tick(sp_engine->owns(info), NULL, (uintptr_t)__builtin_frame_address(0));
}

/* What a thread has used, and whether it has ended meanwhile and waits for who opens the gate; SP_LIVE_NEVER_BEGAN: it has no
 * clock. Its state is looked at behind its clock: one that has ended then has left its last reading, and has no clock any more. */
static uint64_t used_by(const struct sp_live *l, bool *has_left)
{
    uint64_t cpu_ns = sp_load_acquire(&l->state) == SP_LIVE_RUNNING ? sp_os_thread_cpu_ns_of(l->tid) : 0;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    uint32_t state = sp_load_acquire(&l->state);
    *has_left = state == SP_LIVE_LEFT;
    if (state == SP_LIVE_RUNNING)
        return sp_max_u64(cpu_ns, l->last_cpu_ns);
    return *has_left ? l->end_cpu_ns : SP_LIVE_NEVER_BEGAN;
}

bool sp_handler_freeze(struct sp_region *r, uint64_t limit_ns)
{
    int self = sp_os_gettid();
    bool is_left = sp_gate_close(limit_ns), has_left;
    struct sp_live *l;
    if (is_left && !sp_gate_is_inside())
        sp_live_see_to_left(r);
    for (uint32_t i = 1; (l = sp_live_at(i)); i++) {
        uint64_t cpu_ns = used_by(l, &has_left);
        /* One that is on its way out gets no slot for it: there may be more of them than slots. */
        struct sp_thread *t = cpu_ns != SP_LIVE_NEVER_BEGAN ? sp_live_slot_up_to(r, l, has_left ? 0 : cpu_ns) : NULL;
        if (!t)
            continue;
        t->end_cpu_ns = cpu_ns;
        sp_offclock_stop(&l->off, t, cpu_ns);
        sp_offcpu_unseen(r, l, t);
        enum sp_asker who = l->tid == self ? SP_ASKER_WRITES : SP_ASKER_OTHER;
        sp_thread_rest(r, t, cpu_ns, has_left ? l->end_ticks : sp_engine_ticks(l, t, cpu_ns, who), t->rest_ns);
    }
    return is_left;
}

void sp_handler_thaw(struct sp_region *r)
{
    do {
        sp_live_see_to_left(r);
        uint32_t frozen = __atomic_exchange_n(&missed, 0, __ATOMIC_RELAXED);
        if (!r)
            continue;
        sp_intern_forget_left(r);
        sp_add_relaxed(&r->loss[SP_LOSS_FROZEN], frozen);
    } while (!sp_gate_open());
}
