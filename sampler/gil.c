/* SPDX-License-Identifier: MIT
 * See gil.h. */
#include "sampler/gil.h"

#include "compat/py.h"
#include "sampler/intern.h"

#define WAITERS 64u
/* Who waits for the GIL does so by waits of 5 ms that follow each other (Python/ceval_gil.c, take_gil). */
#define AGAIN_NS 1000000u

struct waiter {
    uint64_t who; /* its profile << 32 | its number there << 1 | 1; 0: a free place */
    uint64_t since_ns;
};

/* Threads: a place by whoever took it; all others read. */
static struct waiter waiters[WAITERS];
static uint32_t n_waiters; /* in the list */

void sp_gil_wait_begins(struct sp_gil_wait *w, uint32_t profile, uint32_t number, uint64_t now_ns)
{
    sp_gil_wait_ends(w, now_ns); /* where the last one was left by a jump */
    if (now_ns - w->ended_ns > AGAIN_NS)
        w->since_ns = now_ns;
    uint64_t who = (uint64_t)profile << 32 | number << 1 | 1;
    for (uint32_t i = 0; i < WAITERS; i++) {
        uint64_t nobody = 0;
        if (sp_load_relaxed(&waiters[i].who) || !sp_cas(&waiters[i].who, &nobody, who))
            continue;
        sp_store_relaxed(&waiters[i].since_ns, w->since_ns);
        w->place = i + 1;
        sp_add_relaxed(&n_waiters, 1);
        return;
    }
}

void sp_gil_wait_ends(struct sp_gil_wait *w, uint64_t now_ns)
{
    if (!w->place)
        return;
    struct waiter *at = &waiters[w->place - 1];
    w->place = 0;
    w->ended_ns = now_ns;
    sp_add_relaxed(&n_waiters, (uint32_t)-1);
    sp_store_relaxed(&at->since_ns, UINT64_MAX);
    sp_store_release(&at->who, 0);
}

void sp_gil_forked(void)
{
    for (uint32_t i = 0; i < WAITERS; i++)
        waiters[i] = (struct waiter){0};
    n_waiters = 0;
}

SP_SIGSAFE static bool is_holder(void)
{
    uintptr_t tstate;
    return sp_py.layout && sp_py_own_tstate(&tstate) == SP_PY_OK && tstate && sp_py_holds_main_gil(tstate);
}

/* The number of a waiting thread in the region; 0: it has none there. */
SP_SIGSAFE static uint32_t number_of(const struct sp_region *r, uint64_t who)
{
    uint32_t number = (uint32_t)who >> 1;
    const struct sp_thread *t = who >> 32 == r->profile && number && number <= r->n_threads ? sp_thread_at(r, number) : NULL;
    return t && sp_load_acquire(&t->state) == SP_THREAD_LIVE ? number : 0;
}

/* since_ns: when the holder's time begins. Who began to wait later waited for less of it. */
SP_SIGSAFE static void book(struct sp_region *r, uint32_t node, uint64_t ns, uint64_t since_ns)
{
    for (uint32_t i = 0, n = sp_load_relaxed(&n_waiters); i < WAITERS && n; i++) {
        uint64_t who = sp_load_acquire(&waiters[i].who), waits_since_ns = sp_load_relaxed(&waiters[i].since_ns);
        if (!who)
            continue;
        n--;
        uint64_t late_ns = waits_since_ns - sp_min_u64(waits_since_ns, since_ns);
        if (late_ns < ns)
            sp_intern_total_gil(r, number_of(r, who), node, ns - late_ns);
    }
}

void sp_gil_used(struct sp_region *r, struct sp_thread *t, uint32_t node, uint64_t cpu_ns)
{
    if (!is_holder())
        return;
    t->gil_ns += cpu_ns;
    if (sp_load_relaxed(&n_waiters))
        book(r, node, cpu_ns, UINT64_MAX); /* how much of it each of them waited is for chance to tell, as it is of functions */
}

void sp_gil_waited(struct sp_region *r, struct sp_thread *t, uint32_t node, uint64_t ns, uint64_t now_ns)
{
    if (!is_holder())
        return;
    t->gil_ns += ns;
    if (sp_load_relaxed(&n_waiters))
        book(r, node, ns, now_ns - ns);
}
