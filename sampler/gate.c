/* SPDX-License-Identifier: MIT
 * See gate.h. Counters, not marks of threads: not every thread has a slot. Spread over cache lines, since a thread that
 * ends and a tick elsewhere have nothing else in common. */
#include "sampler/gate.h"

#include "compat/cpu.h"
#include "compat/os.h"

enum { OPEN, CLOSED, CLOSED_WITH_WORK };
/* Threads: state by who closes and opens, and by who leaves work; counters any. Orders are said where they are used. */
static int state;

#define COUNTERS 64u

/* A handler of the program's that jumps out of what it interrupted here leaves its thread inside for good: it is waited for
 * once. */
struct counter {
    _Alignas(64) uint32_t inside;
    uint32_t given_up; /* of them: they did not leave in time */
};
static struct counter counters[COUNTERS];
static uint32_t n_given_up; /* how often that came to pass */

static __thread uint32_t inside_here; /* of this thread; with a tick inside a thread's end: 2 */
static __thread uint32_t entered_at;  /* n_given_up when it entered */

SP_SIGSAFE static struct counter *counter(void)
{
    return &counters[(sp_cpu_thread_pointer() >> 12 ^ sp_cpu_thread_pointer() >> 18) % COUNTERS];
}

bool sp_gate_enter(void)
{
    if (sp_load_acquire(&state) != OPEN)
        return false; /* no counter moves while who closed it looks at them */
    if (!sp_load_relaxed(&inside_here))
        sp_store_relaxed(&entered_at, sp_load_relaxed(&n_given_up));
    sp_add_relaxed(&inside_here, 1); /* threads made by a raw clone may share it */
    /* Pairs with sp_gate_close: either we see that it is closed, or it sees us inside. */
    __atomic_fetch_add(&counter()->inside, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&state, __ATOMIC_SEQ_CST) == OPEN)
        return true;
    sp_gate_leave();
    return false;
}

/* It was slow and may have been given up: whoever is inside next is to be waited for. */
SP_SIGSAFE static void take_back(struct counter *c)
{
    uint32_t n = sp_load_relaxed(&c->given_up);
    while (n && !sp_cas(&c->given_up, &n, n - 1))
        ;
}

void sp_gate_leave(void)
{
    struct counter *c = counter();
    if (SP_UNLIKELY(sp_load_relaxed(&entered_at) != sp_load_relaxed(&n_given_up)) && sp_load_relaxed(&inside_here) == 1)
        take_back(c);
    __atomic_fetch_sub(&c->inside, 1, __ATOMIC_RELEASE);
    sp_add_relaxed(&inside_here, (uint32_t)-1);
}

bool sp_gate_is_inside(void)
{
    return sp_load_relaxed(&inside_here);
}

bool sp_gate_leave_work(void)
{
    int closed = CLOSED;
    return __atomic_compare_exchange_n(&state, &closed, CLOSED_WITH_WORK, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) ||
           closed == CLOSED_WITH_WORK;
}

static uint32_t others_inside(struct counter *c)
{
    uint32_t own = c == counter() ? sp_load_relaxed(&inside_here) : 0, given_up = sp_load_relaxed(&c->given_up);
    uint32_t inside = __atomic_load_n(&c->inside, __ATOMIC_SEQ_CST), known = own > given_up ? own : given_up;
    return inside > known ? inside - own : 0;
}

/* Until each counter was seen without anybody but the calling thread: those who were inside have left. */
static bool wait_until_left(uint64_t limit_ns)
{
    uint64_t until = 0;
    for (uint32_t i = 0, n; i < COUNTERS; i++) {
        for (uint32_t looks = 0; (n = others_inside(&counters[i])); looks++) {
            if (looks < 100)
                continue;
            uint64_t now = sp_os_mono_exact_ns();
            until = until ? until : now + limit_ns;
            if (now >= until) {
                sp_store_relaxed(&counters[i].given_up, n);
                sp_add_relaxed(&n_given_up, 1);
                return false;
            }
            sp_os_sleep_ns(50000);
        }
    }
    return true;
}

bool sp_gate_pass(uint64_t limit_ns)
{
    return wait_until_left(limit_ns);
}

bool sp_gate_close(uint64_t limit_ns)
{
    __atomic_store_n(&state, CLOSED, __ATOMIC_SEQ_CST);
    return wait_until_left(limit_ns);
}

bool sp_gate_open(void)
{
    int closed = CLOSED;
    if (__atomic_compare_exchange_n(&state, &closed, OPEN, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return true;
    __atomic_store_n(&state, CLOSED, __ATOMIC_SEQ_CST);
    return false;
}

void sp_gate_forked(void)
{
    state = OPEN;
    inside_here = 0;
    for (uint32_t i = 0; i < COUNTERS; i++)
        counters[i] = (struct counter){0, 0};
}
