/* SPDX-License-Identifier: MIT
 * See unwind.h: the walk by libunwind. */
#include <dlfcn.h>

#define UNW_LOCAL_ONLY
#include <libunwind.h>

#include "compat/diag.h"
#include "compat/unwind.h"

#define LIBRARY "libunwind.so.8" /* since libunwind 1.1 (2012) */
#define NAME_OF(function) #function
#define NAME(function) NAME_OF(function) /* the header gives functions the names that the library has */

/* Written at the start, before there are ticks. */
static struct {
    int (*init)(unw_cursor_t *, unw_context_t *, int);
    int (*step)(unw_cursor_t *);
    int (*get)(unw_cursor_t *, int, unw_word_t *);
    int (*is_signal)(unw_cursor_t *);
} lib;

void sp_unwind_libunwind_start(void)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (library) {
        *(void **)&lib.step = dlsym(library, NAME(unw_step));
        *(void **)&lib.get = dlsym(library, NAME(unw_get_reg));
        *(void **)&lib.is_signal = dlsym(library, NAME(unw_is_signal_frame));
        *(void **)&lib.init = dlsym(library, NAME(unw_init_local2));
    }
    if (lib.step && lib.get && lib.is_signal && lib.init) {
        sp_diag(
            "native frames by libunwind, as this was built; it takes locks in a signal handler; a program that forks may hang");
    } else {
        lib.init = NULL;
        sp_diag(LIBRARY " could not be loaded; native frames by our own tables, where this processor has them");
    }
}

bool sp_unwind_by_libunwind(struct sp_unwind *u, const void *context)
{
    unw_cursor_t c;
    unw_word_t pc, sp = 0, was;
    int more;
    if (!lib.init)
        return false;
    u->n = u->n_interrupted = 0;
    u->end = SP_UNWIND_STRANGE;
    if (lib.init(&c, (unw_context_t *)(uintptr_t)context, UNW_INIT_SIGNAL_FRAME) != 0 || lib.get(&c, UNW_REG_SP, &sp) != 0)
        return true;
    u->end = SP_UNWIND_FULL;
    for (bool interrupted = false; u->n < u->cap; u->n++) {
        if (lib.get(&c, UNW_REG_IP, &pc) != 0 || pc == 0) {
            u->end = SP_UNWIND_BOTTOM;
            break;
        }
        u->frames[u->n] = (struct sp_unwind_frame){pc, 0};
        if (interrupted && u->n_interrupted < SP_UNWIND_INTERRUPTED)
            u->interrupted[u->n_interrupted++] = u->n;
        interrupted = lib.is_signal(&c) > 0;
        was = sp;
        more = lib.step(&c);
        bool is_higher = more > 0 && lib.get(&c, UNW_REG_SP, &sp) == 0 && (interrupted || sp > was);
        if (!is_higher) {
            u->end = more == 0 ? SP_UNWIND_BOTTOM : more < 0 ? SP_UNWIND_NO_RULE : SP_UNWIND_BAD_STACK;
            u->n++;
            break;
        }
        u->frames[u->n].cfa = sp;
    }
    return true;
}
