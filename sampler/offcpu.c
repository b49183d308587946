/* SPDX-License-Identifier: MIT
 * See offcpu.h. A wait never gets more than its thread's clock grew since the last one: CPU used inside a call is not counted
 * twice, and the parts of a life add up. */
#include "sampler/offcpu.h"

#include "compat/os.h"
#include "compat/py.h"
#include "sampler/intern.h"
#include "sampler/log.h"
#include "sampler/walk.h"

SP_SIGSAFE static uint32_t text_bytes(const char *text)
{
    uint32_t n = 0;
    while (text[n])
        n++;
    return n;
}

SP_SIGSAFE static const char *mark_of(const struct sp_live *l, const struct sp_offcpu_wait *w)
{
    static const char *const marks[] = {
        [SP_PY_WAIT_MUTEX] = "(waiting: PyMutex)",
        [SP_PY_WAIT_STOPPED] = "(waiting: the world is stopped)",
        [SP_PY_WAIT_STOPS] = "(waiting: stopping the world)",
    };
    const struct sp_py_wait_at at = {.at = w->at, .sp = w->sp, .stack_top = l->stack_top, .since_ns = w->since_ns};
    uintptr_t tstate;
    if (!w->at || sp_py_own_tstate(&tstate) != SP_PY_OK || !tstate)
        return w->mark;
    enum sp_py_wait what = sp_py_wait_of(tstate, &at);
    return what ? marks[what] : w->mark;
}

SP_SIGSAFE static uint32_t marked(struct sp_region *r, uint32_t parent, const char *mark)
{
    uint32_t text = sp_intern_string(r, mark, text_bytes(mark));
    uint32_t frame = text ? sp_intern_frame(r, SP_FRAME_WAIT, text, 0) : 0;
    uint32_t node = frame ? sp_intern_node(r, parent, frame) : 0;
    return node ? node : r->pseudo_node[SP_PSEUDO_OVERFLOW];
}

SP_SIGSAFE static uint32_t node_of(struct sp_region *r, struct sp_live *l, const struct sp_offcpu_wait *w)
{
    struct sp_sample s = sp_walk_stack(r, l, w->sp, NULL);
    l->slot->is_python |= s.category == SP_CATEGORY_PYTHON;
    const char *mark = s.category == SP_CATEGORY_PYTHON ? mark_of(l, w) : w->mark;
    /* a thread waits for the GIL before its first frame: in its spans alone */
    return marked(r, s.loss == SP_LOSS_NO_FRAME ? sp_node_at(r, s.node)->parent : s.node, mark);
}

void sp_offcpu_enter(struct sp_region *r, struct sp_live *l, const struct sp_offcpu_wait *w)
{
    struct sp_thread *t = l->slot;
    l->open_cpu_ns = sp_os_thread_cpu_ns();
    sp_offclock_pass(&l->off, t, sp_os_mono_fast_ns(), l->open_cpu_ns);
    t->open_node = node_of(r, l, w);
    t->open_since_ns = w->since_ns;
    t->open_ns = 0;
    l->open_since_ns = w->since_ns;
    l->open_profile = r->profile;
    l->open_node = t->open_node;
    l->open_is_gil = w->is_gil;
}

/* It ended in front of the gate, and its thread may wait again by now. */
static void book_paused(struct sp_region *r, struct sp_live *l, struct sp_thread *t)
{
    uint64_t paused_ns = t->open_since_ns ? __atomic_exchange_n(&l->paused_ns, 0, __ATOMIC_RELAXED) : 0;
    if (!paused_ns)
        return;
    uint64_t ns = sp_min_u64(paused_ns - t->open_since_ns, l->off.spare_ns);
    l->off.spare_ns -= ns;
    if (ns)
        sp_log_book_wait(r, t, t->open_node, ns, sp_os_mono_ns() - r->started_mono_ns);
    t->open_since_ns = t->open_ns = 0;
    sp_store_relaxed(&l->open_since_ns, 0);
}

void sp_offcpu_unseen(struct sp_region *r, struct sp_live *l, struct sp_thread *t)
{
    if (!sp_offclock_is_on)
        return;
    book_paused(r, l, t);
    if (t->open_since_ns)
        return;
    uint64_t since = sp_load_relaxed(&l->wait_sp) ? sp_load_relaxed(&l->wait_since_ns) : 0, now = sp_os_mono_fast_ns();
    const char *mark = sp_load_relaxed(&l->wait_mark);
    uint64_t ns = since && mark && now > since ? sp_min_u64(now - since, l->off.spare_ns) : 0;
    t->open_ns = ns >= SP_OFFCPU_SHORT_NS ? ns : 0;
    t->open_node = t->open_ns ? marked(r, 0, mark) : 0;
}

void sp_offcpu_split(struct sp_region *r, struct sp_live *l, struct sp_thread *t, uint64_t mono_ns)
{
    bool is_seen = t->open_since_ns;
    const char *mark = sp_load_relaxed(&l->wait_mark);
    if (!is_seen && (!mark || !sp_load_relaxed(&l->wait_sp) || !sp_load_relaxed(&l->wait_since_ns)))
        return;
    /* What it used since its last sample is not known: it is in the time that passed, and comes off what passes next. */
    uint64_t cpu_ns = is_seen ? sp_load_relaxed(&l->open_cpu_ns) : sp_load_relaxed(&l->last_cpu_ns);
    t->open_ns = is_seen ? t->open_ns : 0;
    sp_offclock_split(&l->off, t, mono_ns, cpu_ns);
    if (!is_seen)
        t->open_node = t->open_ns ? marked(r, 0, mark) : 0;
}

uint64_t sp_offcpu_due(struct sp_live *l, uint64_t ns)
{
    if (ns >= SP_OFFCPU_LONG_NS)
        return ns;
    uint64_t sum = l->short_ns += ns;
    if (sum < l->short_limit_ns)
        return 0;
    l->short_ns = 0;
    l->short_random = l->short_random * 1664525u + 1013904223u + (uint32_t)l->tid;
    l->short_limit_ns = SP_OFFCPU_LONG_NS / 2 + (l->short_random >> 12); /* 0.5 to 1.5 ms */
    return sum;
}

void sp_offcpu_leave(struct sp_region *r, struct sp_live *l, const struct sp_offcpu_wait *w, uint64_t ns)
{
    struct sp_thread *t = l->slot;
    uint64_t mono_ns = sp_os_mono_fast_ns();
    sp_offclock_pass(&l->off, t, mono_ns, sp_os_thread_cpu_ns());
    bool is_known = l->open_since_ns == w->since_ns && l->open_profile == r->profile;
    t->open_since_ns = l->open_since_ns = t->open_ns = 0;
    uint64_t part = sp_min_u64(ns, l->off.spare_ns);
    l->off.spare_ns = w->is_within ? l->off.spare_ns - part : sp_min_u64(l->off.spare_ns - part, l->short_ns);
    if (!part)
        return;
    uint64_t since_ns = mono_ns - sp_min_u64(mono_ns, r->started_mono_ns);
    uint32_t node = is_known ? l->open_node : node_of(r, l, w);
    sp_log_book_wait(r, t, node, part, since_ns);
    if (!w->is_gil && ns >= SP_OFFCPU_LONG_NS && l->saw_python && !l->is_unhooked)
        sp_gil_waited(r, t, node, part, mono_ns);
    sp_store_relaxed(&r->last_ns, since_ns);
}

void sp_offcpu_settle(struct sp_region *r, struct sp_live *l, uint64_t paused_ns, uintptr_t sp)
{
    const struct sp_offcpu_wait w = {
        .mark = SP_OFFCPU_GIL,
        .sp = sp,
        .since_ns = l->open_since_ns,
        .is_gil = true,
        .is_within = true, /* what is spare beside it may be the next one's */
    };
    uint64_t ns = l->open_is_gil || l->open_profile == r->profile ? paused_ns - w.since_ns : 0;
    sp_offcpu_leave(r, l, &w, ns);
}
