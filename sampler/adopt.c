/* SPDX-License-Identifier: MIT
 * See adopt.h. */
#include "sampler/adopt.h"

#include "compat/cpu.h"
#include "compat/os.h"
#include "sampler/handler.h"
#include "sampler/log.h"
#include "sampler/threads.h"

/* Thread ids. A thread is listed for a while after its end was booked: as long as other destructors of its values
 * run, as a main thread until the process ends. */
#define LEAVING 256u
#define UNSEEN 0x80000000u /* not seen since a look marked it */
static uint32_t leaving[LEAVING], n_leaving;

static uint32_t n_expected;

void sp_adopt_expect(int more)
{
    __atomic_fetch_add(&n_expected, (uint32_t)more, __ATOMIC_ACQ_REL);
}

void sp_adopt_forked(void)
{
    n_expected = 0;
}

void sp_adopt_never(int tid)
{
    sp_store_release(&leaving[sp_add_relaxed(&n_leaving, 1) % LEAVING], (uint32_t)tid);
}

SP_SIGSAFE static void leaving_unseen(void)
{
    for (uint32_t i = 0; i < LEAVING; i++) {
        uint32_t tid = sp_load_relaxed(&leaving[i]);
        if (tid)
            sp_cas(&leaving[i], &tid, tid | UNSEEN);
    }
}

SP_SIGSAFE static bool is_leaving(int tid)
{
    for (uint32_t i = 0; i < LEAVING; i++) {
        uint32_t found = sp_load_acquire(&leaving[i]);
        if ((found & ~UNSEEN) == (uint32_t)tid) {
            sp_cas(&leaving[i], &found, (uint32_t)tid);
            return true;
        }
    }
    return false;
}

SP_SIGSAFE static void forget_gone(void)
{
    for (uint32_t i = 0; i < LEAVING; i++) {
        uint32_t tid = sp_load_relaxed(&leaving[i]);
        if (tid & UNSEEN)
            sp_cas(&leaving[i], &tid, 0);
    }
}

/* An adopted thread may have SIGPROF blocked for good, and nobody tells when it ends: what its timer should
 * have shown by now is booked here. */
SP_SIGSAFE static void book_unseen(struct sp_region *r, struct sp_thread *t)
{
    uint32_t outside = 0;
    uint64_t cpu = sp_os_thread_cpu_ns_of(t->tid);
    if (!t->adopted || cpu <= t->last_cpu_ns + 3 * (t->period_ns + r->tick_ns) || !sp_cas(&t->in_handler, &outside, 1))
        return;
    enum sp_cpu why = t->timer == SP_OS_NO_TIMER ? SP_CPU_NOT_SAMPLED : SP_CPU_BLOCKED;
    sp_log_book(r, t, r->pseudo_node[why], why, cpu - t->last_cpu_ns, sp_os_mono_ns() - r->started_mono_ns);
    t->last_cpu_ns = cpu;
    sp_store_release(&t->in_handler, 0);
}

struct scan {
    struct sp_region *region;
    uint32_t near;
};

SP_SIGSAFE static void adopt(void *arg, int tid)
{
    struct scan *scan = arg;
    struct sp_region *r = scan->region;
    /* A thread between its creation and its first instruction has no tid in its slot yet: read before the look-up,
     * or one that begins between the two would get a second slot. */
    bool starting = sp_load_acquire(&n_expected) != 0;
    struct sp_thread *known = sp_thread_by_tid(r, tid, &scan->near);
    if (known) {
        known->adopted &= ~2u; /* seen */
        book_unseen(r, known);
    }
    if (known || starting || is_leaving(tid))
        return;
    struct sp_thread *t = sp_thread_claim(r);
    if (!t)
        return;
    uint64_t cpu = sp_os_thread_cpu_ns_of(tid);
    t->adopted = 1;
    t->in_handler = 1; /* no tick of its own before the slot is complete */
    sp_thread_begin(r, t, tid, 0, 0);
    sp_log_book(r, t, r->pseudo_node[SP_CPU_NOT_SAMPLED], SP_CPU_NOT_SAMPLED, cpu, 0);
    t->last_cpu_ns = cpu;
    sp_engine->thread_start(r, t);
    sp_store_release(&t->in_handler, 0);
}

SP_SIGSAFE static void end_gone(struct sp_region *r)
{
    for (uint32_t i = 1; i <= r->n_threads && i <= r->max_threads; i++) {
        struct sp_thread *t = sp_thread_at(r, i);
        if (!t || sp_load_acquire(&t->state) != SP_THREAD_LIVE || t->adopted != 3)
            continue;
        sp_engine->thread_stop(t);
        t->end_cpu_ns = t->last_cpu_ns; /* what came after is in (thread start/end) */
        sp_thread_gone(r, t);
    }
}

/* Living slots; adopted ones are marked as not seen yet. */
SP_SIGSAFE static int count_living(struct sp_region *r, bool *has_adopted)
{
    int n = 0;
    for (uint32_t i = 1; i <= r->n_threads && i <= r->max_threads; i++) {
        struct sp_thread *t = sp_thread_at(r, i);
        if (!t || sp_load_acquire(&t->state) != SP_THREAD_LIVE)
            continue;
        n++;
        if (t->adopted) {
            t->adopted |= 2;
            *has_adopted = true;
        }
    }
    return n;
}

/* As a rule each thread has a slot and each slot a thread: then the list, whose reading takes a descriptor and a
 * microsecond a thread, has nothing new. A slot outlives its thread that ended by a raw system call, so the list is
 * read now and then all the same. */
SP_SIGSAFE static bool list_is_due(struct sp_region *r)
{
    static uint32_t looks;
    bool has_adopted = false;
    int living = count_living(r, &has_adopted);
    return has_adopted || living != sp_os_thread_count() || looks++ % 16 == 15;
}

void sp_adopt_scan(struct sp_region *r, uint64_t now_mono_ns)
{
    uint32_t idle = 0;
    if (!sp_cas(&r->scanning, &idle, 1))
        return;
    sp_store_relaxed(&r->next_scan_ns, now_mono_ns + SP_ADOPT_EVERY_NS);
    if (!list_is_due(r)) {
        forget_gone(); /* marked by an earlier look: those of this moment may be on their way */
        leaving_unseen();
    } else {
        struct scan scan = {r, 1};
        leaving_unseen();
        if (sp_os_each_thread(adopt, &scan) == 0) {
            end_gone(r);
            forget_gone();
        }
    }
    sp_store_release(&r->scanning, 0);
}

bool sp_adopt_has_own_tls(const struct sp_region *r, const struct sp_thread *t)
{
    uintptr_t mine = sp_cpu_thread_pointer();
    for (uint32_t i = 1; i <= r->n_threads && i <= r->max_threads; i++) {
        const struct sp_thread *other = sp_thread_at(r, i);
        if (other && other != t && sp_load_acquire(&other->state) == SP_THREAD_LIVE && other->thread_pointer == mine)
            return false;
    }
    return true;
}
