/* SPDX-License-Identifier: MIT
 * Threads that no hook of ours saw being made: SIGEV_THREAD callbacks, raw clone. */
#ifndef SP_SAMPLER_ADOPT_H
#define SP_SAMPLER_ADOPT_H

#include "sampler/live.h"

#define SP_ADOPT_EVERY_NS SP_NS_PER_S

/* [handler] A profile begins. is_alone: the process has no other thread. is_first: what threads used that are found later is
 * part of it. */
SP_SIGSAFE void sp_adopt_begin(uint64_t now_mono_ns, bool is_alone, bool is_first);

/* [handler] Looks whether threads without an entry use CPU, the first time in any case; if so, reads the list of threads and
 * gives those an entry and ticks. Ends adopted ones that are gone. One caller at a time; the others return at once. */
SP_SIGSAFE void sp_adopt_scan(struct sp_region *r, uint64_t now_mono_ns);
/* When that is to be done next, on the monotonic clock. */
extern uint64_t sp_adopt_due_ns;

/* [handler] CPU of this process that no thread's clock shows: creating and burying threads, threads without an entry. */
SP_SIGSAFE uint64_t sp_adopt_unseen_ns(void);

/* [any] The thread tid is not to be adopted for as long as it is listed: it gives up its entry next. */
void sp_adopt_never(int tid);

/* [any] So many more threads, or fewer, are between their creation and their first instruction. */
void sp_adopt_expect(int more);

/* [fork-child] None is. */
void sp_adopt_forked(void);

/* [handler] Whether the adopted thread t, which calls this, has a libc thread descriptor of its own. A raw clone
 * without CLONE_SETTLS has its creator's, and in it its creator's Python stack. */
SP_SIGSAFE bool sp_adopt_has_own_tls(const struct sp_live *l);

#endif
