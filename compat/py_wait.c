/* SPDX-License-Identifier: MIT
 * What CPython itself waits for, by the address of what a call of libc's waits on. The GIL's condition variable lies in the
 * runtime. Without a GIL a thread that must wait parks (Python/parking_lot.c, 3.13 to 3.15): on a semaphore on its own stack, in
 *
 *   struct wait_entry {void *park_arg; uintptr_t addr; _PySemaphore sema; ...}
 *
 * whose first two fields say for what; they stay as they are until it has returned. addr: the thread's own state, if it waits for
 * a stopped world to go on (tstate_wait_attach, Python/pystate.c); the stop_event of who stops it (struct _stoptheworld_state,
 * whose requester is the thread itself); or a PyMutex, and then park_arg is a struct mutex_entry on the same stack, which begins
 * with the time until which the mutex may be unfair: a millisecond after the wait began (Python/lock.c). */
#include "compat/os.h"
#include "compat/py.h"
#include "compat/py_walk.h"

#define ADDR_BEFORE 8u /* of the semaphore */
#define PARK_ARG_BEFORE 16u
#define NEAR 4096u           /* bytes of stack in which the caller's own variables lie */
#define REQUESTER_BEHIND 12u /* from stop_event, the fifth byte of struct _stoptheworld_state */
#define FAIR_NS 1000000u     /* TIME_TO_BE_FAIR_NS */
#define WAITED_NS (86400 * SP_NS_PER_S)

bool sp_py_wait_is_gil(uintptr_t at)
{
    return at - sp_py.runtime < sp_py.runtime_bytes;
}

bool sp_py_holds_main_gil(uintptr_t tstate)
{
    const struct sp_py_layout *l = sp_py.layout;
    if (l->free_threaded || !sp_py_holds_gil(tstate))
        return false;
    return l->rt_tstate_current || sp_py_wait_is_gil(sp_peek(sp_peek(tstate + l->ts_interp) + l->interp_gil));
}

/* An object's own mutex is its eleventh byte (Include/object.h), and objects lie at multiples of 16. threading.Lock is a PyMutex as
 * well, and lies elsewhere. */
SP_SIGSAFE static bool is_interpreters(uintptr_t addr)
{
    return (addr & 15) == 10 || addr - sp_py.start < sp_py.end - sp_py.start;
}

SP_SIGSAFE static bool is_own_mutex(uintptr_t at, uintptr_t stack_top, uint64_t since_ns)
{
    uintptr_t entry = sp_peek(at - PARK_ARG_BEFORE);
    return entry > at && entry - at < NEAR && entry + 16 <= stack_top && (entry & 7) == 0 &&
           since_ns + 2 * FAIR_NS - sp_peek(entry) < WAITED_NS;
}

SP_SIGSAFE static bool is_own_stop(uintptr_t addr, uintptr_t tstate)
{
    uintptr_t requester = addr + REQUESTER_BEHIND;
    return (addr & 7) == 4 && sp_py_plausible(requester) && sp_os_readable(requester) && sp_peek(requester) == tstate;
}

enum sp_py_wait sp_py_wait_of(uintptr_t tstate, const struct sp_py_wait_at *w)
{
    const struct sp_py_layout *l = sp_py.layout;
    if (!l || !l->free_threaded || w->at <= w->sp || w->at - w->sp > NEAR || w->at >= w->stack_top || (w->at & 7))
        return SP_PY_WAIT_OTHER;
    uintptr_t addr = sp_peek(w->at - ADDR_BEFORE);
    if (addr == sp_py_state_at(tstate))
        return SP_PY_WAIT_STOPPED;
    if (is_own_mutex(w->at, w->stack_top, w->since_ns))
        return is_interpreters(addr) ? SP_PY_WAIT_MUTEX : SP_PY_WAIT_OTHER;
    return is_own_stop(addr, tstate) ? SP_PY_WAIT_STOPS : SP_PY_WAIT_OTHER;
}
