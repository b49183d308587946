/* SPDX-License-Identifier: MIT
 * The threads of this process: what there is to know of one, from its creation to its end, whichever region its samples go
 * to. In memory of our own: not the host's heap, which may itself be making a thread, and not the region, which another
 * process may write to, and in whose place there may be another one soon. A thread's slot in a region begins with the first
 * that is to be written there. Entries never move; an entry's number is what the thread's ticks carry. */
#ifndef SP_SAMPLER_LIVE_H
#define SP_SAMPLER_LIVE_H

#include "sampler/gil.h"
#include "sampler/offclock.h"
#include "sampler/store.h"
#include "sampler/threads.h"

enum sp_live_state {
    SP_LIVE_FREE,
    SP_LIVE_STARTING, /* held by who creates the thread, or whatever else is to be called */
    SP_LIVE_RUNNING,
    SP_LIVE_LEFT, /* it ended, or was not created after all, while the gate was closed: who opens that sees to it */
};

/* The ticks of a thread that reads signals from a descriptor are off while it has them blocked. */
enum sp_pause { SP_PAUSE_NONE, SP_PAUSE_NOW, SP_PAUSE_OVER /* and there was no sample since */ };

/* The program sends a thread the signal of a tick that waits there: of two that wait in one thread the kernel keeps the first,
 * so who takes the tick sends the other again. */
enum sp_sent {
    SP_SENT_NONE,
    SP_SENT_NOW /* the call is under way */,
    SP_SENT_AGAIN /* ... and a tick was taken */,
    SP_SENT_DONE
};

struct sp_live {
    uint32_t number, next;     /* its own, from 1; and of the next in the list that it is in */
    uint32_t state;            /* enum sp_live_state */
    uint32_t in_handler;       /* somebody changes its times: a tick, its beginning or end, a look at it from outside */
    uint64_t interrupted_mask; /* what was blocked where a handler interrupted it; of the last one */
    uintptr_t restarts;        /* the last system call that a tick of its had begin anew; 0: none */
    int tid;
    uint32_t serial;          /* order of birth in the process, from 1: the main thread, or the one that forked */
    uint32_t is_unhooked;     /* found by a look at the thread list: it does not tell when it ends */
    uint32_t saw_python;      /* has had a Python frame */
    uint32_t root_seen;       /* what the last sample's root frame and its code are at, hashed */
    uint32_t profile;         /* the region that it has a slot in, by number; 0: none */
    struct sp_thread *slot;   /* there; NULL: there was no room. Not to be followed outside the gate: the region may be gone */
    uint32_t slot_number;     /* its number; 0: none */
    uint32_t session;         /* that it has joined: what it used before the present one is not booked */
    uint64_t last_cpu_ns;     /* its CPU clock at the last sample, in whatever region */
    uint64_t end_cpu_ns;      /* LEFT: ... at its end, or SP_LIVE_NEVER_BEGAN */
    enum sp_ticks end_ticks;  /* LEFT */
    uintptr_t stack_top;      /* end of its C stack; 0: unknown */
    uintptr_t thread_pointer; /* of libc's descriptor of the thread; 0: not known yet */
    /* the engine's */
    uint32_t has_ticks;    /* they were asked for; cleared when they stop */
    uint32_t is_refused;   /* it could not get any */
    int timer;             /* as compat/os.h has it */
    uint32_t pause, sent;  /* enum sp_pause, enum sp_sent */
    bool is_blocked_by_us; /* SIGPROF is, and the program had it unblocked: a tick that waits has just come */
    int64_t first_due_ns;  /* on the thread's clock since it began: below 0 until the first tick (engine.h) */
    int alarm;             /* the fine engine's (engine_fine.c): its second timer */
    uint32_t alarm_state, alarm_is_held;
    uint64_t alarm_ns, wait_began_ns;      /* when it is to fire; a wait stopped it: on the monotonic clock */
    uint64_t due_ns, early_cpu_ns, random; /* the next sample; the last alarm that was too soon: on the thread's clock */
    /* off its CPU; waits (offcpu.h) */
    struct sp_offclock off;
    uint64_t short_ns, short_limit_ns;
    uintptr_t wait_sp;      /* stack of the outermost wait; 0: none */
    uintptr_t wait_return;  /* ... where its hook returns to; what is there changes when a jump has left it */
    uint64_t wait_since_ns; /* ... its beginning; 0: a tick came since that was of no wait */
    const char *wait_mark;  /* ... its frame */
    uint64_t open_since_ns; /* the wait whose stack was taken at its beginning; 0: none */
    uint64_t open_cpu_ns;   /* its CPU clock then */
    uint32_t open_node, open_profile;
    bool open_is_gil;
    uint64_t paused_ns;  /* when that wait's call returned: it is booked nowhere yet; 0: it has not, or is */
    uintptr_t paused_sp; /* ... its stack, if it is for the GIL and may go on by another call; else 0 */
    uint32_t short_random;
    uint32_t gil_asks;      /* calls for the GIL, one after the other, that gave up */
    uint64_t short_calls;   /* by number of the call, a bit: the last one was short */
    uint64_t enter_from_ns; /* when the stack of a wait that seems short is taken as well, on the monotonic clock */
    struct sp_gil_wait gil;
    /* what it is to run */
    void *run, *argument; /* until it runs */
    uint64_t routine;     /* as a number; threads of one routine do the same, unless Python's is known: */
    uint32_t target_code; /* code id of the function, in the region target_profile; 0: not known */
    uint32_t target_profile;
    bool starts_hidden; /* its creator believes that SIGPROF is blocked, and it is not (hook_mask.c) */
    /* the name's source: which attribute of a threading.Thread it is, 0: none that can be followed */
    uint32_t name_place;
    char born_as[16];                /* the system's name of its creator, which it has until it gets its own */
    char name[SP_THREAD_NAME_BYTES]; /* UTF-8; "": none known */
};

/* [handler] An entry in state STARTING, all else but its numbers zero; NULL: there is no memory. */
SP_SIGSAFE struct sp_live *sp_live_new(void);
/* [handler] It is used no more. */
SP_SIGSAFE void sp_live_free(struct sp_live *l);

/* [handler] Where the hook with this frame returns to: both processors keep it above the caller's frame pointer. */
SP_INLINE uintptr_t sp_live_wait_return(uintptr_t frame)
{
    return ((const uintptr_t *)frame)[1];
}

/* [handler] The entry of this number; NULL: there never was one. */
SP_SIGSAFE struct sp_live *sp_live_at(uint32_t number);
/* [handler] Threads made so far. */
SP_SIGSAFE uint32_t sp_live_born(void);
/* [handler] CPU of the threads that have ended. */
SP_SIGSAFE uint64_t sp_live_ended_ns(void);

/* [handler] The next entry of a running thread behind this one; NULL as argument: the first, as result: none. */
SP_SIGSAFE struct sp_live *sp_live_next(const struct sp_live *l);

/* [handler] A running thread by its tid; NULL: none. The search begins at number *near and leaves there the one behind what
 * was found: threads are listed, and have their entries, in about the order in which they began. */
SP_SIGSAFE struct sp_live *sp_live_by_tid(int tid, uint32_t *near);

/* [handler] The thread of a new entry is about to be created: a slot for it. Inside the gate. */
SP_SIGSAFE void sp_live_claim(struct sp_region *r, struct sp_live *l);

/* [hook] What threads used up to now belongs to no recording that begins from now on; but of a running one what it uses from
 * this reading of its clock on. One that begins to run from now on is in it from its first instruction. */
void sp_live_session_begins(void);
void sp_live_joins(struct sp_live *l, uint64_t cpu_ns);

/* [handler] The calling thread runs in this entry from now on. before_ns: what its clock showed before it was to be seen. */
SP_SIGSAFE void sp_live_run(struct sp_live *l, uint64_t before_ns);

/* [handler] The running thread's slot in a region, which begins with the first call; NULL: there is no room. Inside the gate,
 * or by who closed it; by one at a time. */
SP_SIGSAFE struct sp_thread *sp_live_slot(struct sp_region *r, struct sp_live *l);

/* [handler] The same of a thread whose clock shows cpu_ns; NULL as well: what it has used is not in this recording. */
SP_SIGSAFE struct sp_thread *sp_live_slot_up_to(struct sp_region *r, struct sp_live *l, uint64_t cpu_ns);

/* [any] The calling thread, which runs in this entry, is called so. Inside the gate. */
void sp_live_name(const struct sp_region *r, struct sp_live *l, const char name[SP_THREAD_NAME_BYTES]);

/* [handler] Up to this reading of its clock what the thread used is booked. */
SP_INLINE void sp_live_is_booked(struct sp_live *l, struct sp_thread *t, uint64_t cpu_ns)
{
    t->last_cpu_ns = l->last_cpu_ns = cpu_ns;
}

/* [hook] The thread has ended, or (SP_LIVE_NEVER_BEGAN) will not begin: books what is left and frees the entry. Inside
 * the gate, or by who closed it. r NULL: there is no profile. */
#define SP_LIVE_NEVER_BEGAN UINT64_MAX
void sp_live_end(struct sp_region *r, struct sp_live *l, uint64_t cpu_ns, enum sp_ticks ticks);
/* [handler] The same for a thread that ended unseen: what it used since its last sample is not its own. */
SP_SIGSAFE void sp_live_gone(struct sp_region *r, struct sp_live *l);
/* [hook] The same as sp_live_end() while the gate is closed: noted, for who closed it and for who opens it. See sp_gate_leave_work. From
 * sp_live_left() on the entry is not the caller's any more. */
void sp_live_leaves(struct sp_live *l, uint64_t cpu_ns, enum sp_ticks ticks);
void sp_live_left(struct sp_live *l);
/* [hook] Inside the gate, or by who closed it: does what was noted. */
void sp_live_see_to_left(struct sp_region *r);

/* [fork-child] No thread of the parent's is here but the calling one, whose entry is `self` (NULL: it had none). Its entry in
 * this process, which does not run yet; NULL: there is no memory. */
struct sp_live *sp_live_forked(struct sp_live *self);

#endif
