/* SPDX-License-Identifier: MIT
 * In the place of sampler/offcpu.c, in a library of its own: the stack of every wait is taken at its beginning and at its end, and
 * the two are compared, by code and instruction. */
#define sp_offcpu_leave leave_once
#define sp_offcpu_enter enter_once
#include "sampler/offcpu.c"
#undef sp_offcpu_leave
#undef sp_offcpu_enter
#include "inject/hooks.h"

/* Read by the program. */
SP_EXPORT uint64_t twice_same, twice_different, twice_entered;
SP_EXPORT uint64_t twice_begin(void);
SP_EXPORT void twice_end(uint64_t since_ns);
SP_SIGSAFE void sp_offcpu_enter(struct sp_region *r, struct sp_live *l, const struct sp_offcpu_wait *w);
SP_SIGSAFE void sp_offcpu_leave(struct sp_region *r, struct sp_live *l, const struct sp_offcpu_wait *w, uint64_t ns);

void sp_offcpu_enter(struct sp_region *r, struct sp_live *l, const struct sp_offcpu_wait *w)
{
    sp_add_relaxed(&twice_entered, 1);
    enter_once(r, l, w);
}

void sp_offcpu_leave(struct sp_region *r, struct sp_live *l, const struct sp_offcpu_wait *w, uint64_t ns)
{
    if (l->open_since_ns == w->since_ns && l->open_profile == r->profile)
        sp_add_relaxed(l->open_node == node_of(r, l, w) ? &twice_same : &twice_different, 1);
    leave_once(r, l, w, ns);
    l->short_calls = l->enter_from_ns = 0; /* the next one's is taken as well */
}

/* A wait that is no call. */
uint64_t twice_begin(void)
{
    return sp_hook_wait_begin(SP_HOOK_WAIT_system, NULL);
}

void twice_end(uint64_t since_ns)
{
    sp_hook_wait_end(SP_HOOK_WAIT_system, NULL, since_ns);
}
