/* SPDX-License-Identifier: MIT
 * See gate.h. Counters, not marks of threads: not every thread has a slot. Spread over cache lines, since a thread that
 * ends and a tick elsewhere have nothing else in common. */
#include "sampler/gate.h"

#include "compat/cpu.h"
#include "compat/os.h"

enum { OPEN, CLOSED, CLOSED_WITH_WORK };
static int state;

#define COUNTERS 64u

static struct {
    _Alignas(64) uint32_t inside;
} counters[COUNTERS];

static __thread uint32_t inside_here; /* of this thread; with a tick inside a thread's end: 2 */

SP_SIGSAFE static uint32_t *counter(void)
{
    return &counters[(sp_cpu_thread_pointer() >> 12 ^ sp_cpu_thread_pointer() >> 18) % COUNTERS].inside;
}

bool sp_gate_enter(void)
{
    if (sp_load_acquire(&state) != OPEN)
        return false;                /* no counter moves while who closed it looks at them */
    sp_add_relaxed(&inside_here, 1); /* threads made by a raw clone may share it */
    /* Pairs with sp_gate_close: either we see that it is closed, or it sees us inside. */
    __atomic_fetch_add(counter(), 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&state, __ATOMIC_SEQ_CST) == OPEN)
        return true;
    sp_gate_leave();
    return false;
}

void sp_gate_leave(void)
{
    __atomic_fetch_sub(counter(), 1, __ATOMIC_RELEASE);
    sp_add_relaxed(&inside_here, (uint32_t)-1);
}

bool sp_gate_leave_work(void)
{
    int closed = CLOSED;
    return __atomic_compare_exchange_n(&state, &closed, CLOSED_WITH_WORK, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) ||
           closed == CLOSED_WITH_WORK;
}

/* Until each counter was seen without anybody but the calling thread: those who were inside have left. */
static bool wait(uint64_t limit_ns)
{
    uint64_t until = 0;
    for (uint32_t i = 0; i < COUNTERS; i++) {
        uint32_t own = &counters[i].inside == counter() ? sp_load_relaxed(&inside_here) : 0;
        for (uint32_t looks = 0; __atomic_load_n(&counters[i].inside, __ATOMIC_SEQ_CST) > own; looks++) {
            if (looks < 100)
                continue;
            uint64_t now = sp_os_mono_exact_ns();
            until = until ? until : now + limit_ns;
            if (now >= until)
                return false;
            sp_os_sleep_ns(50000);
        }
    }
    return true;
}

bool sp_gate_pass(uint64_t limit_ns)
{
    return wait(limit_ns);
}

bool sp_gate_close(uint64_t limit_ns)
{
    __atomic_store_n(&state, CLOSED, __ATOMIC_SEQ_CST);
    return wait(limit_ns);
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
        counters[i].inside = 0;
}
