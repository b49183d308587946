/* SPDX-License-Identifier: MIT
 * The part of Py_FinalizeEx() before it sets `_finalizing`: threading._shutdown(), pending calls, functions of atexit
 * (Python/pylifecycle.c). What is said here is a fact of that function, never the shape of a stack: greenlets, hooks for
 * input and hosts call functions with nothing rootward of them as well. */
#include "compat/cpu.h"
#include "compat/os.h"
#include "compat/py.h"
#include "compat/py_walk.h"

/* Threads: what is kept below is written by any, atomically; key_is_of_fork by a fork child while it is alone. */
#define RUNTIME_MAIN_THREAD 16u /* behind interpreters.main in _PyRuntimeState: held by tests/layout */
#define WINDOW_BYTES 65536u     /* of a stack: main() and what it calls lie near its end */

/* ---- from 3.12 on the interpreter says that it ends, not in which thread: "the main one" is the documented rule for
 * Py_FinalizeEx(), and one that breaks it is not named */
static bool was_running; /* it has said that it does not end: a field that always says so would be another one */

SP_SIGSAFE static bool says_so(void)
{
    const struct sp_py_layout *l = sp_py.layout;
    uintptr_t interp = sp_peek(sp_py.runtime + l->rt_interp_main);
    if (!interp)
        return false;
    uint32_t ending = sp_peek_u32(interp + l->interp_ending);
    if (!ending)
        sp_store_relaxed(&was_running, true);
    return ending == 1 && sp_load_relaxed(&was_running);
}

SP_SIGSAFE static bool is_main_thread(void)
{
    return sp_peek(sp_py.runtime + sp_py.layout->rt_interp_main + RUNTIME_MAIN_THREAD) == sp_py_ident();
}

/* ---- up to 3.11 nothing does: the thread's stack holds a return address into that function, which nothing else puts
 * there before it was first called */
static uintptr_t ending_thread; /* by its thread pointer; 0: none was found yet */
static uint32_t lives;          /* initialisations: a stack may remember the end of an earlier one */
static bool key_is_of_fork;

/* AddressSanitizer lays words between the variables of frames that nobody is to read. */
__attribute__((no_sanitize("address"))) SP_SIGSAFE static bool is_on_stack(uintptr_t top, uintptr_t sp)
{
    uintptr_t end = top > WINDOW_BYTES ? top - WINDOW_BYTES : 0, first = sp_py.finalize + 1, page = 0;
    if (sp < top && sp > end)
        end = sp;
    for (uintptr_t a = (top & ~(uintptr_t)7) - 8; a >= end; a -= 8) {
        if (a >> SP_PY_PAGE_SHIFT != page && !sp_os_readable(a))
            return false; /* a fibre runs, and this stack is shorter than that */
        page = a >> SP_PY_PAGE_SHIFT;
        uintptr_t word = sp_cpu_strip(*(const volatile uintptr_t *)a);
        if (word - first < sp_py.finalize_end - first && sp_cpu_is_behind_call(word))
            return true;
    }
    return false;
}

bool sp_py_is_ending(uintptr_t stack_top, uintptr_t sp, bool is_other)
{
    if (sp_py.layout->interp_ending)
        return says_so() && is_main_thread();
    uintptr_t self = sp_cpu_thread_pointer();
    if (sp_load_relaxed(&ending_thread) == self)
        return true;
    if (!is_other || !sp_py.finalize || !stack_top || sp_load_relaxed(&lives) > 1)
        return false;
    /* some words of a stack were never written, which valgrind holds against who looks */
    if (sp_cpu_is_valgrind() || !is_on_stack(stack_top, sp))
        return false;
    sp_store_relaxed(&ending_thread, self);
    return true;
}

void sp_py_end_key_created(void)
{
    if (!key_is_of_fork) {
        sp_add_relaxed(&lives, 1);
        sp_store_relaxed(&ending_thread, 0);
    }
    key_is_of_fork = false;
}

void sp_py_end_forked(void)
{
    if (!sp_py.layout)
        return;
    key_is_of_fork = true; /* PyOS_AfterFork_Child(), up to 3.11 */
    if (ending_thread != sp_cpu_thread_pointer())
        ending_thread = 0;
    if (sp_py.layout->interp_ending && says_so() && !is_main_thread())
        was_running = false; /* the thread that it ended in is not here, and this one becomes the main one */
}
