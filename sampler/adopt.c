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
/* More than that in a second, and for each thread that began, is a thread without a slot. */
#define UNKNOWN_NS 4000000
#define UNKNOWN_NS_A_THREAD 600000
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

/* An adopted thread may have SIGPROF blocked for good: what its timer should have shown by now is booked here. Nobody tells
 * when it ends, but its clock is gone then. */
SP_SIGSAFE static void look_at_unhooked(struct sp_region *r, struct sp_thread *t, uint64_t cpu)
{
    uint32_t outside = 0;
    bool ends = cpu == 0 || cpu<t->last_cpu_ns, is_late = cpu> t->last_cpu_ns + 3 * (t->period_ns + r->tick_ns);
    if ((!ends && !is_late) || !sp_cas(&t->in_handler, &outside, 1))
        return;
    if (ends) {
        sp_engine->thread_stop(t);
        t->end_cpu_ns = t->last_cpu_ns; /* what came after is in (thread start/end) */
    } else {
        enum sp_category why = t->timer == SP_OS_NO_TIMER ? SP_CATEGORY_NOT_SAMPLED : SP_CATEGORY_BLOCKED;
        sp_log_book_pseudo(r, t, why, cpu - t->last_cpu_ns, sp_os_mono_ns() - r->started_mono_ns);
        t->last_cpu_ns = cpu;
    }
    sp_store_release(&t->in_handler, 0);
    if (ends)
        sp_thread_gone(r, t);
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
    if (known || starting || is_leaving(tid))
        return;
    struct sp_thread *t = sp_thread_claim(r);
    if (!t)
        return;
    uint64_t cpu = sp_os_thread_cpu_ns_of(tid);
    t->is_unhooked = 1;
    t->in_handler = 1; /* no tick of its own before the slot is complete */
    sp_thread_begin(r, t, tid, 0, 0);
    sp_log_book_pseudo(r, t, SP_CATEGORY_NOT_SAMPLED, cpu, 0);
    t->last_cpu_ns = cpu;
    sp_engine->thread_start(r, t);
    sp_store_release(&t->in_handler, 0);
}

/* CPU of this process that no slot shows: of threads without one, and what each thread uses after its last reading. */
SP_SIGSAFE static uint64_t unknown_cpu(struct sp_region *r)
{
    uint64_t known = 0, all = sp_os_process_cpu_ns();
    for (int c = 0; c < SP_CATEGORY_N; c++)
        known += sp_load_relaxed(&r->folded_cpu_ns[c]);
    for (uint32_t i = 1; i <= r->n_threads && i <= r->max_threads; i++) {
        struct sp_thread *t = sp_thread_at(r, i);
        uint32_t state = t ? sp_load_acquire(&t->state) : SP_THREAD_FREE;
        if (state == SP_THREAD_ENDED)
            known += t->end_cpu_ns - t->base_cpu_ns;
        if (state != SP_THREAD_LIVE)
            continue;
        uint64_t cpu = sp_os_thread_cpu_ns_of(t->tid);
        known += sp_max_u64(cpu, t->last_cpu_ns) - t->base_cpu_ns;
        if (t->is_unhooked)
            look_at_unhooked(r, t, cpu);
    }
    return all - known;
}

/* As a rule each thread that runs has a slot. The list of threads takes a descriptor, a microsecond a thread, and a system
 * call that a sandbox may forbid: it is read when CPU shows up that no slot accounts for. */
SP_SIGSAFE static bool list_is_due(struct sp_region *r)
{
    uint64_t unknown = unknown_cpu(r);
    uint32_t begun = sp_load_relaxed(&r->n_serial) - r->serial_at_scan;
    int64_t growth = (int64_t)(unknown - r->unknown_cpu_ns);
    bool first = r->n_scans++ == 0;
    r->serial_at_scan += begun;
    r->unknown_cpu_ns = unknown;
    return first || growth > UNKNOWN_NS + (int64_t)begun * UNKNOWN_NS_A_THREAD;
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
        if (sp_os_each_thread(adopt, &scan) == 0)
            forget_gone();
        r->unknown_cpu_ns = unknown_cpu(r);
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
