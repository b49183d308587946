/* SPDX-License-Identifier: MIT
 * See live.h. */
#include "sampler/live.h"

#include <string.h>

#include "compat/cpu.h"
#include "compat/os.h"

#define PAGE_BYTES 65536u
#define PER_PAGE (PAGE_BYTES / (uint32_t)sizeof(struct sp_live))
#define PAGES 128u

/* Threads: any, atomically; by a fork child while it is alone. */
static struct sp_live *pages[PAGES]; /* made when they are needed, kept */
static uint32_t n_used;              /* entries ever handed out */
static uint32_t n_born;
static uint32_t session; /* number of the present one, or the last */
static uint64_t ended_ns;
static sp_list_head free_entries, left;

/* ---- the table */
SP_SIGSAFE static struct sp_live *entry_at(uint32_t number)
{
    return &sp_load_acquire(&pages[(number - 1) / PER_PAGE])[(number - 1) % PER_PAGE];
}

struct sp_live *sp_live_at(uint32_t number)
{
    return number && number <= sp_load_acquire(&n_used) ? entry_at(number) : NULL;
}

uint32_t sp_live_born(void)
{
    return sp_load_relaxed(&n_born);
}

uint64_t sp_live_ended_ns(void)
{
    return sp_load_relaxed(&ended_ns);
}

SP_SIGSAFE static struct sp_live *pop_entry(sp_list_head *head)
{
    uint64_t h = sp_load_acquire(head);
    while ((uint32_t)h) {
        struct sp_live *l = entry_at((uint32_t)h);
        if (sp_cas(head, &h, ((h >> 32) + 1) << 32 | sp_load_relaxed(&l->next)))
            return l;
    }
    return NULL;
}

SP_SIGSAFE static void push_entry(sp_list_head *head, struct sp_live *l)
{
    uint64_t h = sp_load_relaxed(head);
    do
        sp_store_relaxed(&l->next, (uint32_t)h);
    while (!sp_cas(head, &h, ((h >> 32) + 1) << 32 | l->number));
}

SP_SIGSAFE static struct sp_live *fresh_entry(void)
{
    uint32_t number = sp_load_relaxed(&n_used);
    do {
        if (number >= PAGES * PER_PAGE)
            return NULL;
        struct sp_live **page = &pages[number / PER_PAGE], *none = NULL, *made;
        if (!sp_load_acquire(page)) {
            if (!(made = sp_os_pages(PAGE_BYTES)))
                return NULL;
            if (!sp_cas(page, &none, made))
                sp_os_release(made, PAGE_BYTES);
        }
    } while (!sp_cas(&n_used, &number, number + 1));
    struct sp_live *l = entry_at(number + 1);
    l->number = number + 1;
    return l;
}

/* A second life keeps the number and the place in a list, which others may still look at. */
SP_SIGSAFE static void clear_entry(struct sp_live *l)
{
    memset(&l->in_handler, 0, sizeof *l - offsetof(struct sp_live, in_handler));
    l->timer = l->alarm = SP_OS_NO_TIMER;
    l->serial = sp_add_relaxed(&n_born, 1) + 1;
    sp_store_release(&l->state, SP_LIVE_STARTING);
}

struct sp_live *sp_live_new(void)
{
    struct sp_live *l = pop_entry(&free_entries);
    if (!l && !(l = fresh_entry()))
        return NULL;
    clear_entry(l);
    return l;
}

void sp_live_free(struct sp_live *l)
{
    sp_gil_wait_ends(&l->gil, 0);
    sp_store_release(&l->state, SP_LIVE_FREE);
    push_entry(&free_entries, l);
}

SP_SIGSAFE static bool is_running(const struct sp_live *l)
{
    return sp_load_acquire(&l->state) == SP_LIVE_RUNNING;
}

struct sp_live *sp_live_next(const struct sp_live *l)
{
    for (uint32_t i = l ? l->number + 1 : 1; i <= sp_load_acquire(&n_used); i++)
        if (is_running(entry_at(i)))
            return entry_at(i);
    return NULL;
}

struct sp_live *sp_live_by_tid(int tid, uint32_t *near)
{
    uint32_t n = sp_load_acquire(&n_used);
    for (uint32_t i = 0, number = *near; i < n; i++, number++) {
        if (number < 1 || number > n)
            number = 1;
        struct sp_live *l = entry_at(number);
        if (is_running(l) && l->tid == tid) {
            *near = number + 1;
            return l;
        }
    }
    return NULL;
}

/* ---- a thread and its slots */
void sp_live_claim(struct sp_region *r, struct sp_live *l)
{
    l->slot = sp_thread_claim(r);
    l->slot_number = l->slot ? l->slot->number : 0;
    l->profile = r->profile;
}

/* Threads that do the same have the same target. Code ids are the region's own. */
SP_SIGSAFE static void give_target(const struct sp_region *r, const struct sp_live *l, struct sp_thread *t)
{
    if (!l->target_code)
        t->target = l->routine;
    else if (l->target_profile == r->profile)
        t->target = (uint64_t)1 << 63 | (t->target_code = l->target_code);
}

SP_SIGSAFE static void begin_slot(struct sp_region *r, struct sp_live *l, struct sp_thread *t)
{
    l->off.spare_ns = 0; /* an earlier recording's */
    t->serial = l->serial;
    t->is_python = l->target_code != 0 || l->saw_python;
    memcpy(t->name, l->name, sizeof t->name);
    give_target(r, l, t);
    sp_thread_begin(r, t, l->tid, l->last_cpu_ns);
    if (l->is_refused)
        sp_count_loss(r, SP_LOSS_TIMER_REFUSED);
}

struct sp_thread *sp_live_slot(struct sp_region *r, struct sp_live *l)
{
    if (SP_UNLIKELY(l->profile != r->profile))
        sp_live_claim(r, l);
    if (l->slot && SP_UNLIKELY(l->slot->state == SP_THREAD_STARTING))
        begin_slot(r, l, l->slot);
    return l->slot;
}

SP_SIGSAFE static bool has_slot(const struct sp_region *r, const struct sp_live *l)
{
    return l->profile == r->profile && l->slot;
}

struct sp_thread *sp_live_slot_up_to(struct sp_region *r, struct sp_live *l, uint64_t cpu_ns)
{
    bool has_joined = l->session == sp_load_relaxed(&session);
    return has_slot(r, l) || (has_joined && cpu_ns > l->last_cpu_ns) ? sp_live_slot(r, l) : NULL;
}

void sp_live_name(const struct sp_region *r, struct sp_live *l, const char name[SP_THREAD_NAME_BYTES])
{
    memcpy(l->name, name, sizeof l->name);
    if (r && has_slot(r, l))
        memcpy(l->slot->name, name, sizeof l->slot->name);
}

void sp_live_session_begins(void)
{
    __atomic_store_n(&session, session + 1, __ATOMIC_SEQ_CST);
}

void sp_live_joins(struct sp_live *l, uint64_t cpu_ns)
{
    l->last_cpu_ns = cpu_ns;
    l->session = session;
    sp_offclock_begin(&l->off, l->tid, cpu_ns, false);
}

void sp_live_run(struct sp_live *l, uint64_t before_ns)
{
    l->session = sp_load_acquire(&session);
    l->tid = sp_os_gettid();
    l->last_cpu_ns = before_ns;
    l->thread_pointer = sp_cpu_thread_pointer();
    if (sp_offclock_is_on)
        sp_offclock_begin(&l->off, l->tid, sp_os_thread_cpu_ns(), !before_ns);
    sp_os_thread_name(l->born_as);
    __atomic_store_n(&l->state, SP_LIVE_RUNNING, __ATOMIC_SEQ_CST);
}

/* ---- its end */
void sp_live_end(struct sp_region *r, struct sp_live *l, uint64_t cpu_ns, enum sp_ticks ticks)
{
    if (cpu_ns == SP_LIVE_NEVER_BEGAN) {
        if (r && has_slot(r, l))
            sp_thread_cancel(r, l->slot);
    } else {
        struct sp_thread *t = r ? sp_live_slot_up_to(r, l, cpu_ns) : NULL;
        if (t) {
            memcpy(t->name, l->name, sizeof t->name);
            sp_offclock_stop(&l->off, t, cpu_ns);
            sp_thread_end(r, t, cpu_ns, sp_os_mono_ns() - r->started_mono_ns, ticks);
        }
        sp_add_relaxed(&ended_ns, cpu_ns);
    }
    sp_live_free(l);
}

void sp_live_gone(struct sp_region *r, struct sp_live *l)
{
    if (has_slot(r, l)) {
        l->slot->end_cpu_ns = l->last_cpu_ns;
        sp_thread_gone(r, l->slot);
    }
    sp_add_relaxed(&ended_ns, l->last_cpu_ns);
    sp_live_free(l);
}

void sp_live_leaves(struct sp_live *l, uint64_t cpu_ns, enum sp_ticks ticks)
{
    l->end_cpu_ns = cpu_ns;
    l->end_ticks = ticks;
    __atomic_store_n(&l->state, SP_LIVE_LEFT, __ATOMIC_SEQ_CST); /* who begins a profile looks at it after he started ticks */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void sp_live_left(struct sp_live *l)
{
    push_entry(&left, l); /* before sp_gate_leave_work's change of the gate */
}

void sp_live_see_to_left(struct sp_region *r)
{
    for (struct sp_live *l; (l = pop_entry(&left));)
        sp_live_end(r, l, l->end_cpu_ns, l->end_ticks);
}

struct sp_live *sp_live_forked(struct sp_live *self)
{
    for (uint32_t i = 1; i <= n_used; i++)
        if (entry_at(i) != self && entry_at(i)->state == SP_LIVE_RUNNING)
            sp_live_free(entry_at(i));
    sp_gil_forked();
    left = 0;
    n_born = 0;
    ended_ns = 0;
    if (!self)
        return sp_live_new();
    clear_entry(self);
    return self;
}
