/* SPDX-License-Identifier: MIT
 * What there is to know of this process's profile, for all that runs in it. lifecycle.c writes it. */
#ifndef SP_INJECT_SESSION_H
#define SP_INJECT_SESSION_H

#include "sampler/live.h"

enum sp_session_state { SP_SESSION_OFF, SP_SESSION_WATCHING /* no CPython yet */, SP_SESSION_RUNNING };

struct sp_session {
    int state;       /* enum sp_session_state */
    int pid;         /* of the process that all this belongs to */
    bool is_child;   /* made by a fork */
    bool ran_python; /* as far as hooks saw */
    int native;      /* enum sp_native_shown: what the options ask for */
};

enum sp_finish {
    SP_FINISH_END,
    SP_FINISH_EXEC,     /* the program is about to be replaced */
    SP_FINISH_SNAPSHOT, /* it goes on for sure */
    SP_FINISH_REQUEST   /* ... and where nothing is recorded that begins */
};

extern struct sp_session sp_session;

/* The entry of the calling thread; NULL: none. */
extern __thread struct sp_live *sp_session_self;

/* [handler] From here on, until the second call, signals are blocked in the calling thread by us, be it by the kernel for a
 * handler of ours. mask: what the program had blocked. */
SP_SIGSAFE void sp_session_blocks(uint64_t mask);
SP_SIGSAFE void sp_session_unblocks(void);

/* [hook] Whether this process is looked at, be there a profile at the moment or not. False in a vfork child. */
bool sp_session_is_running(void);

/* [hook] Whether this process is being profiled: the region if so, else NULL. False in a vfork child, which runs on its
 * parent's memory. */
struct sp_region *sp_session_region(void);

/* [handler] Whether this is the process that our state belongs to: false in a vfork child, and in what fork() without its
 * handlers made. */
SP_SIGSAFE bool sp_session_is_own_process(void);

#endif
