/* SPDX-License-Identifier: MIT
 * See adopt.h. */
#include "sampler/adopt.h"

#include "compat/cpu.h"
#include "compat/os.h"
#include "sampler/engine.h"
#include "sampler/log.h"

/* Threads: leaving and n_expected any, atomically; the rest by who made is_scanning 1, and where a recording begins. */

/* Thread ids. A thread is listed for a while after its end was booked: as long as other destructors of its values
 * run, as a main thread until the process ends. */
#define LEAVING 256u
#define UNSEEN 0x80000000u /* not seen since a look marked it */
/* More than that in a second, and for each thread that began, is a thread without a slot. */
#define UNKNOWN_NS 4000000
#define UNKNOWN_NS_A_THREAD 600000
static uint32_t leaving[LEAVING], n_leaving;

static uint32_t n_expected;

uint64_t sp_adopt_due_ns;
static uint32_t is_scanning, n_scans;
static uint32_t born_at_scan;
static uint64_t unseen_at_scan;
static bool books_past;

void sp_adopt_begin(uint64_t now_mono_ns, bool is_alone, bool is_first)
{
    n_scans = is_alone;
    books_past = is_first;
    born_at_scan = 0;
    unseen_at_scan = 0;
    is_scanning = 0;
    sp_store_release(&sp_adopt_due_ns, now_mono_ns);
}

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
SP_SIGSAFE static void look_at_unhooked(struct sp_region *r, struct sp_live *l)
{
    uint32_t outside = 0;
    if (!sp_cas(&l->in_handler, &outside, 1))
        return;
    uint64_t cpu = sp_os_thread_cpu_ns_of(l->tid);
    struct sp_thread *t = cpu > l->last_cpu_ns ? sp_live_slot(r, l) : NULL;
    if (t && cpu > l->last_cpu_ns + 3 * (t->period_ns + sp_max_u64(r->tick_ns, sp_os_tick_ns()))) {
        enum sp_category why = l->is_refused ? SP_CATEGORY_NOT_SAMPLED : SP_CATEGORY_BLOCKED;
        sp_log_book_pseudo(r, t, why, cpu - l->last_cpu_ns, sp_os_mono_ns() - r->started_mono_ns);
        sp_live_is_booked(l, t, cpu);
    }
    if (cpu == 0 || cpu < l->last_cpu_ns) {
        sp_engine_stop(l);
        sp_live_gone(r, l); /* what came after is in (thread start/end) */
    } else {
        sp_store_release(&l->in_handler, 0);
    }
}

struct scan {
    struct sp_region *region;
    uint32_t near;
};

SP_SIGSAFE static void adopt(void *arg, int tid)
{
    struct scan *scan = arg;
    struct sp_region *r = scan->region;
    /* A thread between its creation and its first instruction has no tid in its entry yet: read before the look-up,
     * or one that begins between the two would get a second entry. */
    bool starting = sp_load_acquire(&n_expected) != 0;
    struct sp_live *known = sp_live_by_tid(tid, &scan->near);
    if (known || starting || is_leaving(tid))
        return;
    struct sp_live *l = sp_live_new();
    if (!l)
        return;
    uint64_t cpu = sp_os_thread_cpu_ns_of(tid);
    l->is_unhooked = 1;
    l->in_handler = 1; /* no tick of its own before the slot is complete */
    l->tid = tid;
    l->last_cpu_ns = books_past ? 0 : cpu;
    sp_store_release(&l->state, SP_LIVE_RUNNING);
    struct sp_thread *t = sp_live_slot(r, l);
    if (!t) {
        sp_live_free(l);
        return;
    }
    sp_log_book_pseudo(r, t, SP_CATEGORY_NOT_SAMPLED, cpu - l->last_cpu_ns, 0);
    sp_live_is_booked(l, t, cpu);
    sp_engine_start(r, l);
    sp_store_release(&l->in_handler, 0);
}

uint64_t sp_adopt_unseen_ns(void)
{
    uint64_t all = sp_os_process_cpu_ns(), known = sp_live_ended_ns();
    for (struct sp_live *l = NULL; (l = sp_live_next(l));)
        known += sp_max_u64(sp_os_thread_cpu_ns_of(l->tid), sp_load_relaxed(&l->last_cpu_ns));
    return all - known;
}

/* As a rule each thread that runs has an entry. The list of threads takes a descriptor, a microsecond a thread, and a system
 * call that a sandbox may forbid: it is read when CPU shows up that no entry accounts for. */
SP_SIGSAFE static bool list_is_due(void)
{
    uint64_t unseen = sp_adopt_unseen_ns();
    uint32_t begun = sp_live_born() - born_at_scan;
    int64_t growth = (int64_t)(unseen - unseen_at_scan);
    bool first = n_scans++ == 0;
    born_at_scan += begun;
    unseen_at_scan = unseen;
    return first || growth > UNKNOWN_NS + (int64_t)begun * UNKNOWN_NS_A_THREAD;
}

void sp_adopt_scan(struct sp_region *r, uint64_t now_mono_ns)
{
    uint32_t idle = 0;
    if (!sp_cas(&is_scanning, &idle, 1))
        return;
    sp_store_relaxed(&sp_adopt_due_ns, now_mono_ns + SP_ADOPT_EVERY_NS);
    for (struct sp_live *l = NULL; (l = sp_live_next(l));)
        if (l->is_unhooked)
            look_at_unhooked(r, l);
    if (!list_is_due()) {
        forget_gone(); /* marked by an earlier look: those of this moment may be on their way */
        leaving_unseen();
    } else {
        struct scan scan = {r, 1};
        leaving_unseen();
        if (sp_os_each_thread(adopt, &scan) == 0)
            forget_gone();
        unseen_at_scan = sp_adopt_unseen_ns();
    }
    sp_store_release(&is_scanning, 0);
}

bool sp_adopt_has_own_tls(const struct sp_live *l)
{
    uintptr_t mine = sp_cpu_thread_pointer();
    for (const struct sp_live *other = NULL; (other = sp_live_next(other));)
        if (other != l && other->thread_pointer == mine)
            return false;
    return true;
}
