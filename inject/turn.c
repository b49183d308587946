/* SPDX-License-Identifier: MIT
 * See turn.h. */
#include "inject/turn.h"

#include "compat/cpu.h"

#define WRITER_STACK_BYTES 32768 /* tests/lint/stack.py: less than half of it is used */
#define WAIT_FOR_PROGRESS_NS (10 * SP_NS_PER_S)

enum state { IDLE, TAKEN, DONE };

static int state, owner; /* a thread's id; 0: none yet */

static bool wait_for_owner(void)
{
    int tid = sp_load_acquire(&owner);
    if (tid == sp_os_gettid())
        return false; /* the writer itself was interrupted: through */
    uint64_t until = sp_os_mono_exact_ns() + WAIT_FOR_PROGRESS_NS, cpu = 0;
    while (sp_load_acquire(&state) == TAKEN && sp_os_mono_exact_ns() < until) {
        /* Whatever it does takes CPU; a writer that a file system lets hang takes none. */
        uint64_t now = sp_os_thread_cpu_ns_of(sp_load_acquire(&owner));
        if (now != cpu)
            until = sp_os_mono_exact_ns() + WAIT_FOR_PROGRESS_NS;
        cpu = now;
        sp_os_sleep_ns(1000000);
    }
    return sp_load_acquire(&state) == IDLE;
}

bool sp_turn_take(uint64_t *mask)
{
    int idle = IDLE;
    while (!sp_cas(&state, &idle, TAKEN)) {
        if (idle == DONE || !wait_for_owner())
            return false;
        idle = IDLE;
    }
    /* A SIGTERM that found us here would end the process with half a file: it waits. Faults do not. */
    *mask = sp_os_mask_block(~SP_TURN_FAULTS);
    sp_store_release(&owner, sp_os_gettid());
    return true;
}

bool sp_turn_try(void)
{
    int idle = IDLE;
    if (!sp_cas(&state, &idle, TAKEN))
        return false;
    sp_store_release(&owner, sp_os_gettid());
    return true;
}

void sp_turn_end(bool is_last)
{
    sp_store_release(&owner, 0);
    sp_store_release(&state, is_last ? DONE : IDLE);
}

void sp_turn_call(void (*f)(void *arg), void *arg)
{
    static _Alignas(64) char stack[WRITER_STACK_BYTES];
    sp_cpu_call_on(stack + sizeof stack, f, arg);
}

void sp_turn_forked(void)
{
    state = IDLE;
    owner = 0;
}
