/* SPDX-License-Identifier: MIT
 * See turn.h. */
#include "inject/turn.h"

#include "compat/cpu.h"
#include "compat/diag.h"
#include "inject/session.h"

#define WRITER_STACK_BYTES 32768 /* tests/lint/stack.py: less than half of it is used */
#define FEW_PROCESSES 256
#define WAIT_FOR_PROGRESS_NS (10 * SP_NS_PER_S)

enum { DONE = -2, BESIDE, IDLE };

/* Threads: state, handed and beside any, by compare-and-swap; the rest by who has the turn, be it a process beside. One word says that it
 * is taken and by whom: between two a handler of a fault would wait for its own thread. */
static int state = IDLE; /* one of these, or the id of the thread that has the turn */

/* The process that had the turn last, until it is buried; and whether it has it now. */
static uint64_t beside;           /* its turn's number << 32 | its id */
static uint32_t handed, n_handed; /* number of the turn; 0: it has none */

bool sp_turn_is_beside(void)
{
    uint64_t last = sp_load_acquire(&beside);
    uint32_t turn = (uint32_t)(last >> 32);
    if (!(int)last || !sp_os_beside_ended((int)last, false))
        return (int)last;
    if (sp_cas(&handed, &turn, 0)) /* it did not get to its end */
        sp_turn_end(false);
    sp_cas(&beside, &last, 0);
    return false;
}

static bool is_taken(int now)
{
    return now > IDLE || now == BESIDE;
}

static uint64_t cpu_of_owner(void)
{
    int owner = sp_load_acquire(&state);
    if (!sp_load_acquire(&handed))
        return owner > IDLE ? sp_os_thread_cpu_ns_of(owner) : 0;
    return sp_turn_is_beside() ? sp_os_process_cpu_ns_of((int)sp_load_acquire(&beside)) : 0;
}

static bool wait_for_owner(void)
{
    if (sp_turn_is_mine())
        return false; /* the writer itself was interrupted: through */
    uint64_t until = sp_os_mono_exact_ns() + WAIT_FOR_PROGRESS_NS, cpu = 0;
    while (is_taken(sp_load_acquire(&state)) && sp_os_mono_exact_ns() < until) {
        /* Whatever it does takes CPU; a writer that a file system lets hang takes none. */
        uint64_t now = cpu_of_owner();
        if (now != cpu)
            until = sp_os_mono_exact_ns() + WAIT_FOR_PROGRESS_NS;
        cpu = now;
        sp_os_sleep_ns(1000000);
    }
    return sp_load_acquire(&state) == IDLE;
}

bool sp_turn_take(uint64_t *mask)
{
    int now;
    /* A SIGTERM that found us here would end the process with half a file: it waits. Faults do not. */
    while (*mask = sp_os_mask_block(~SP_TURN_FAULTS), now = IDLE, !sp_cas(&state, &now, sp_os_gettid())) {
        sp_os_mask_set(*mask);
        if (now == DONE || !wait_for_owner()) {
            if (now != DONE && is_taken(sp_load_acquire(&state)) && !sp_turn_is_mine())
                sp_diag("who writes the profile has not moved for 10 s, a file system that hangs or a process that was "
                        "stopped; what came since is lost");
            return false;
        }
    }
    sp_session_blocks(*mask);
    return true;
}

bool sp_turn_is_mine(void)
{
    return sp_load_acquire(&state) == sp_os_gettid();
}

bool sp_turn_is_over(void)
{
    return sp_load_acquire(&state) == DONE;
}

bool sp_turn_try(void)
{
    int idle = IDLE;
    return sp_cas(&state, &idle, sp_os_gettid());
}

void sp_turn_end(bool is_last)
{
    if (!is_last)
        sp_session_unblocks();
    sp_store_release(&state, is_last ? DONE : IDLE);
}

static void (*run_beside)(void *arg);

static void do_beside(void *arg)
{
    run_beside(arg);
    sp_store_release(&handed, 0);
    sp_turn_end(false);
}

bool sp_turn_hand_over(void (*f)(void *arg), void *arg)
{
    if ((int)beside) /* its stack is wanted; it has ended its turn, and is about to end */
        sp_os_beside_ended((int)beside, true);
    run_beside = f;
    n_handed = n_handed % INT32_MAX + 1;
    sp_store_release(&beside, (uint64_t)n_handed << 32);
    sp_store_release(&state, BESIDE);
    sp_store_release(&handed, n_handed);
    if (sp_os_beside(do_beside, arg, (int *)&beside) == 0) /* its low half */
        return true;
    sp_store_release(&handed, 0);
    sp_store_release(&state, sp_os_gettid());
    return false;
}

bool sp_turn_take_back(void)
{
    uint32_t turn = (uint32_t)(sp_load_acquire(&beside) >> 32);
    if (!sp_cas(&handed, &turn, 0))
        return false;
    sp_store_release(&state, sp_os_gettid());
    return true;
}

void sp_turn_give_again(void)
{
    sp_store_release(&state, BESIDE);
    sp_store_release(&handed, (uint32_t)(sp_load_acquire(&beside) >> 32));
}

void sp_turn_await_beside(void)
{
    uint64_t mask = sp_os_mask_block(~SP_TURN_FAULTS);
    for (uint32_t before = 0, now; sp_turn_is_beside(); before = now) {
        now = sp_load_acquire(&handed);
        if (now && now == before) /* it hangs */
            break;
        if (now)
            wait_for_owner();
        else
            sp_os_sleep_ns(100000);
    }
    sp_os_mask_set(mask);
}

void sp_turn_makes_room(void)
{
    if (!(int)sp_load_acquire(&beside))
        return;
    uint64_t mask = sp_os_mask_block(~SP_TURN_FAULTS);
    if (sp_turn_is_beside() && sp_os_limit_processes() <= FEW_PROCESSES)
        sp_turn_await_beside();
    sp_os_mask_set(mask);
}

bool sp_turn_gives_way(void)
{
    if (!sp_session_is_running() || !(int)sp_load_acquire(&beside))
        return false;
    sp_turn_await_beside();
    return true;
}

void sp_turn_call(void (*f)(void *arg), void *arg)
{
    static _Alignas(64) char stack[WRITER_STACK_BYTES];
    sp_cpu_call_on(stack + sizeof stack, f, arg);
}

void sp_turn_forked(void)
{
    state = IDLE;
    beside = 0;
    handed = 0;
}
