/* SPDX-License-Identifier: MIT
 * The native stack of an interrupted thread, by the unwind tables of the loaded libraries. Nothing is built ahead: tables are read as
 * they are mapped, and what was found for an instruction is kept in a table of fixed size, without locks. A walk takes no lock,
 * allocates nothing, faults never: what is not known to be readable is asked of the kernel first (os.h, sp_os_readable). */
#ifndef SP_COMPAT_UNWIND_H
#define SP_COMPAT_UNWIND_H

#include "compat/cfi.h"

struct sp_unwind_frame {
    uintptr_t pc;  /* of the leaf, and below a signal handler, the instruction itself; else where a call returns to */
    uintptr_t cfa; /* where its frame ends: the stack pointer in its caller; 0: not known, it is the last */
};

enum sp_unwind_end {
    SP_UNWIND_BOTTOM,     /* the outermost frame, as its table says */
    SP_UNWIND_FULL,       /* no room for more */
    SP_UNWIND_NO_MODULE,  /* code of no library: a JIT compiler made it */
    SP_UNWIND_NO_RULE,    /* no table has it, and no frame pointer leads on */
    SP_UNWIND_BAD_STACK,  /* the frame that a rule leads to cannot be */
    SP_UNWIND_BAD_RETURN, /* the return address that a rule leads to follows no call */
    SP_UNWIND_STRANGE,    /* a table is broken, or has a rule that is not known here */
    SP_UNWIND_CLOSING,    /* another thread unloads a library */
    SP_UNWIND_ENDS
};

#define SP_UNWIND_INTERRUPTED 4

/* About 700 bytes: not for the stack of a handler. */
struct sp_unwind {
    struct sp_unwind_frame *frames; /* the caller's, leaf first */
    uint32_t cap, n;
    uintptr_t stack_top; /* where the thread's own stack ends; 0: not known */
    enum sp_unwind_end end;
    uint32_t interrupted[SP_UNWIND_INTERRUPTED],
        n_interrupted; /* frames, beside the leaf, whose pc is the instruction itself: below
                                                                   signal handlers; of more handlers they are not told */

    /* the walk's own */
    bool exact;     /* the instruction itself, not where a call returns to */
    bool keeps;     /* rules may be used and kept */
    bool used_kept; /* one was */
    uintptr_t cfa;  /* where the frame just left ends */
    struct sp_unwind_registers registers;
    struct sp_unwind_stack stack;
    struct sp_cfi cfi;
};

/* [handler] Walks the stack of the calling thread, interrupted in `context` (a ucontext_t). The caller sets frames, cap, stack_top. */
SP_SIGSAFE void sp_unwind(struct sp_unwind *u, const void *context);

/* [hook] In a process beside the program (sp_os_beside() in os.h): walks the stack of a thread that sleeps in the system call before
 * `pc`, its stack in use from `sp` on. What its other registers hold is not known: the walk ends with SP_UNWIND_STRANGE where a rule
 * wants one that nobody saved on the way. The caller sets frames, cap, stack_top. One at a time. Until the second call, which who died
 * in between owes, whoever unloads a library waits as for a walk. */
void sp_unwind_asleep(struct sp_unwind *u, uintptr_t pc, uintptr_t sp);
void sp_unwind_asleep_over(void);

/* [handler] Where the function that contains `pc` begins, by the tables; 0: they do not have it. Of a return address, ask for the byte
 * before it. */
SP_SIGSAFE uintptr_t sp_unwind_function(uintptr_t pc);

/* [hook] Around whatever may unload a library: rules are kept by address, and another library may come to lie there. Other threads'
 * walks end with SP_UNWIND_CLOSING meanwhile; the first waits for those that are under way, 50 ms at most. */
void sp_unwind_closing(void);
void sp_unwind_closed(void);
/* [fork-child] The walks of the parent's other threads do not end here. */
void sp_unwind_forked(void);

/* ---- libunwind as the engine (unwind_libunwind.c), of a build with -DSPPROF_LIBUNWIND=ON: for a processor whose tables we do not read.
 * It breaks what is promised above: libunwind takes locks of its own and the loader's, and 4 KB more of the stack. A thread that forks
 * beside a tick, or wants the loader's lock, can hang. */
#ifdef SPPROF_LIBUNWIND
/* [any] Loads it, its names for itself alone, and says on stderr that it is used, or why it is not. */
void sp_unwind_libunwind_start(void);

/* [handler] The walk of sp_unwind(). False: it is not loaded, nothing was done. */
SP_SIGSAFE bool sp_unwind_by_libunwind(struct sp_unwind *u, const void *context);
#else
SP_INLINE void sp_unwind_libunwind_start(void)
{
}

SP_INLINE bool sp_unwind_by_libunwind(struct sp_unwind *u, const void *context)
{
    (void)u, (void)context;
    return false;
}
#endif

/* What walks cost: counted since the start, by all threads. */
struct sp_unwind_counts {
    uint64_t misses; /* frames for which the tables were read */
    uint64_t by_frame_pointer;
};
extern struct sp_unwind_counts sp_unwind_counts;

#endif
