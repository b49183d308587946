/* SPDX-License-Identifier: MIT
 * Threads that no hook of ours saw being made: SIGEV_THREAD callbacks, raw clone. */
#ifndef SP_SAMPLER_ADOPT_H
#define SP_SAMPLER_ADOPT_H

#include "sampler/store.h"

#define SP_ADOPT_EVERY_NS SP_NS_PER_S

/* [handler] Looks whether threads without a slot use CPU, the first time in any case; if so, reads the list of threads and
 * gives those a slot and a timer. Ends adopted ones that are gone. One caller at a time; the others return at once. */
SP_SIGSAFE void sp_adopt_scan(struct sp_region *r, uint64_t now_mono_ns);

/* [any] The thread tid is not to be adopted for as long as it is listed: it gives up its slot next, or finds one itself. */
void sp_adopt_never(int tid);

/* [any] So many more threads, or fewer, are between their creation and the slot that they take themselves. */
void sp_adopt_expect(int more);

/* [fork-child] None is. */
void sp_adopt_forked(void);

/* [handler] Whether the adopted thread t, which calls this, has a libc thread descriptor of its own. A raw clone
 * without CLONE_SETTLS has its creator's, and in it its creator's Python stack. */
SP_SIGSAFE bool sp_adopt_has_own_tls(const struct sp_region *r, const struct sp_thread *t);

#endif
