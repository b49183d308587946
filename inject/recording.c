/* SPDX-License-Identifier: MIT
 * See recording.h. */
#include "inject/recording.h"

#include "compat/diag.h"
#include "compat/os.h"
#include "inject/session.h"
#include "inject/spool.h"
#include "sampler/adopt.h"
#include "sampler/engine.h"
#include "sampler/gate.h"
#include "sampler/handler.h"
#include "sampler/offcpu.h"

#define WAIT_NS (2 * SP_NS_PER_S)
#define AWAIT_NS (SP_NS_PER_S / 10)
#define STEP_BYTES (4ull << 20)

static const struct sp_config *config;
static const struct sp_identity *identity;
/* Threads: written by who calls the functions of recording.h; is_awaited is read by all that begin. */
static struct sp_region *reserved;            /* for the next recording; NULL: none yet */
static uint64_t reserved_bytes, reserved_for; /* its size, and the one that was wished for: the limits may leave less */
static uint64_t region_bytes;                 /* of sp_region, whose header a fork wipes */
static bool wipes;
static bool is_awaited;
static uint64_t given_ns; /* CPU that no thread shows and closed recordings have */

/* ---- the region */
/* The beginning of the region and of its scratch, as sp_store_init lays it out. */
static bool make_first_writable(struct sp_region *r, uint64_t bytes)
{
    uint64_t scratch = bytes - sp_store_scratch_bytes(bytes);
    return sp_os_make_writable(r, SP_STORE_FIRST) == 0 && sp_os_make_writable(sp_at(r, scratch), SP_STORE_SCRATCH) == 0;
}

static bool reserve(void)
{
    uint64_t bytes = config->memory_bytes & ~(SP_STORE_PAGE - 1), limit = sp_os_limit_memory();
    if (reserved && reserved_for != bytes) {
        sp_os_release(reserved, reserved_bytes);
        reserved = NULL;
    }
    reserved_for = bytes;
    if (limit != UINT64_MAX && bytes > limit / 16)
        bytes = sp_max_u64(limit / 16, SP_REGION_MIN) & ~(SP_STORE_PAGE - 1);
    for (; bytes >= SP_REGION_MIN && !reserved; bytes = bytes / 2 & ~(SP_STORE_PAGE - 1)) {
        struct sp_region *r = sp_os_reserve(bytes, &wipes);
        if (r && make_first_writable(r, bytes)) {
            reserved_bytes = bytes;
            reserved = r;
        } else if (r) {
            sp_os_release(r, bytes);
        }
    }
    return reserved != NULL;
}

SP_SIGSAFE static void init_region(struct sp_region *r, uint64_t bytes, uint64_t before_ns)
{
    struct sp_store_options o = {
        .interval_ns = config->interval_ns,
        .depth = (uint32_t)config->depth,
        .tasks = (uint32_t)config->tasks,
        .lines = (uint32_t)config->lines,
        .imports = (uint32_t)config->imports,
        .native = (uint32_t)config->native,
        .wall = (uint32_t)config->wall,
        .now_mono_ns = sp_os_mono_ns(),
        .now_wall_ns = sp_os_wall_ns(),
        .tick_ns = sp_engine->tick_ns(),
        .before_start_ns = before_ns,
        .profile = ++sp_region_newest,
        .pid = (uint32_t)sp_session.pid,
        .ppid = (uint32_t)sp_os_getppid(),
        .writable_bytes = SP_STORE_FIRST,
    };
    sp_store_init(r, bytes, &o);
    sp_identity_copy(r, identity);
}

bool sp_recording_init(const struct sp_config *c, const struct sp_identity *i)
{
    config = c;
    identity = i;
    if (reserve())
        return true;
    sp_diag("no memory for the profile; the limits on it leave less than 1 MB; this process runs unprofiled");
    return false;
}

bool sp_recording_is_wiped(void)
{
    return wipes;
}

SP_SIGSAFE static void enter_spool(struct sp_region *r)
{
    if (!sp_spool_is_wanted())
        return;
    sp_spool_enter(r, region_bytes);
    wipes = wipes && !sp_spool_path()[0];
}

void sp_recording_enter_spool(void)
{
    enter_spool(sp_region);
}

/* ---- begin */
/* The gate is closed: a thread that ends meanwhile leaves, and whoever of the two comes second stops its ticks. */
static void start_all(struct sp_region *r)
{
    for (struct sp_live *l = NULL; (l = sp_live_next(l));) {
        uint64_t cpu_ns = sp_os_thread_cpu_ns_of(l->tid);
        if (cpu_ns == 0 && l->is_unhooked) { /* gone, and nobody looked */
            sp_live_free(l);
            continue;
        }
        if (sp_load_acquire(&l->state) != SP_LIVE_RUNNING) /* gone, perhaps before its clock was read */
            continue;
        sp_live_joins(l, cpu_ns);
        bool has_slot = l == sp_session_self && sp_live_slot(r, l);
        if (sp_load_acquire(&l->has_ticks)) /* while the recording was awaited, or by itself just now */
            sp_engine->thread_resume(l);
        sp_engine_start(has_slot ? r : NULL, l);
        __atomic_thread_fence(
            __ATOMIC_SEQ_CST); /* we have its timer in place, then look; it leaves, then looks for a timer (self.c) */
        if (sp_load_acquire(&l->state) != SP_LIVE_RUNNING)
            sp_engine_stop(l);
    }
}

bool sp_recording_begin(uint64_t before_ns, bool is_whole)
{
    if (!reserve())
        return false;
    struct sp_region *r = reserved;
    region_bytes = reserved_bytes;
    sp_engine->open(config->interval_ns); /* for those as well who find the gate closed */
    sp_gate_close(WAIT_NS);
    sp_live_see_to_left(NULL);
    sp_live_session_begins();
    init_region(r, region_bytes, before_ns);
    enter_spool(r);
    given_ns = sp_adopt_unseen_ns();
    reserved = NULL;
    __atomic_store_n(&sp_region, r, __ATOMIC_SEQ_CST);
    /* A thread that begins starts its ticks itself, or is seen here: it runs, then looks for the region (self.c). */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    start_all(r);
    sp_store_release(&is_awaited, false);
    sp_adopt_begin(r->started_mono_ns, false, is_whole);
    sp_handler_thaw(r);
    return true;
}

void sp_recording_await(void)
{
    sp_engine->open(sp_max_u64(AWAIT_NS, config->interval_ns));
    __atomic_store_n(&is_awaited, true, __ATOMIC_SEQ_CST); /* as sp_region above */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (struct sp_live *l = NULL; (l = sp_live_next(l));)
        sp_engine_start(NULL, l);
}

bool sp_recording_is_awaited(void)
{
    return __atomic_load_n(&is_awaited, __ATOMIC_SEQ_CST);
}

/* ---- end */
static uint64_t cpu_of_threads(const struct sp_region *r)
{
    uint64_t sum = 0;
    for (int c = 0; c < SP_CATEGORY_N; c++)
        sum += r->folded_cpu_ns[c];
    for (uint32_t i = 1; i <= r->n_threads && i <= r->max_threads; i++)
        for (int c = 0; sp_thread_at(r, i) && c < SP_CATEGORY_N; c++)
            sum += sp_thread_at(r, i)->cpu_ns[c];
    return sum;
}

/* What no thread shows, of the time up to now. */
static uint64_t take_unseen(void)
{
    uint64_t unseen = sp_adopt_unseen_ns(), share = unseen - sp_min_u64(unseen, given_ns);
    given_ns += share;
    return share;
}

/* What its threads used since their last samples is the next recording's. */
static uint64_t settle_used(struct sp_region *r)
{
    for (uint32_t i = 1; i <= r->n_threads && i <= r->max_threads; i++) {
        struct sp_thread *t = sp_thread_at(r, i);
        for (int c = 0; t && c < SP_CATEGORY_N; c++)
            t->rest_ns[c] = 0;
    }
    return cpu_of_threads(r);
}

void sp_recording_close(struct sp_closing *c)
{
    struct sp_region *r = sp_region;
    bool is_left = sp_handler_freeze(r, WAIT_NS);
    sp_live_see_to_left(r);
    uint64_t process_ns = sp_os_process_cpu_ns();
    __atomic_store_n(&sp_region, NULL, __ATOMIC_SEQ_CST);
    for (struct sp_live *l = NULL; (l = sp_live_next(l));)
        sp_engine_stop(l);
    sp_handler_thaw(NULL);
    *c = (struct sp_closing){r, region_bytes, process_ns - sp_min_u64(process_ns, r->before_start_ns), is_left, true};
}

bool sp_recording_replace(struct sp_closing *c)
{
    struct sp_region *old = sp_region;
    if (sp_spool_is_shared() || !reserve())
        return false;
    struct sp_region *next = reserved;
    *c = (struct sp_closing){old, region_bytes, take_unseen(), false, false};
    init_region(next, reserved_bytes, old->before_start_ns);
    region_bytes = sp_min_u64(region_bytes, reserved_bytes); /* a fork child has the one or the other */
    reserved = NULL;
    __atomic_store_n(&sp_region, next, __ATOMIC_SEQ_CST);
    return true;
}

/* What they waited is not. */
static void settle_waits(struct sp_region *r)
{
    uint32_t near = 1;
    for (uint32_t i = 1; sp_offclock_is_on && i <= r->n_threads && i <= r->max_threads; i++) {
        struct sp_thread *t = sp_thread_at(r, i);
        struct sp_live *l = t && sp_load_acquire(&t->state) == SP_THREAD_LIVE ? sp_live_by_tid(t->tid, &near) : NULL;
        if (l)
            sp_offclock_settle(&l->off, t);
        if (l)
            sp_offcpu_split(r, l, t, sp_region->started_mono_ns);
    }
}

void sp_recording_settle(struct sp_closing *c)
{
    if (c->is_settled)
        return;
    c->is_left = sp_gate_pass(WAIT_NS);
    region_bytes = reserved_bytes;
    c->used_ns += settle_used(c->region);
    settle_waits(c->region);
    sp_region->before_start_ns = c->region->before_start_ns + c->used_ns;
    c->is_settled = true;
}

void sp_recording_release(struct sp_closing *c)
{
    char *at = (char *)c->region;
    sp_spool_leave();
    sp_spool_closed();
    c->region = NULL; /* a fork child that knows of it has it */
    if (!c->is_left)  /* somebody who was stopped in it will write to it yet: it stays */
        return;
    for (uint64_t done = 0; done < c->bytes; done += STEP_BYTES) /* others may wait for the map of memory */
        sp_os_forget(at + done, sp_min_u64(STEP_BYTES, c->bytes - done));
    sp_os_release(at, c->bytes);
}

void sp_recording_end(sp_recording_closed *closed, void *arg)
{
    struct sp_closing c;
    sp_recording_close(&c);
    closed(arg, c.region, c.used_ns);
    sp_recording_release(&c);
}

bool sp_recording_swap(sp_recording_closed *closed, void *arg)
{
    struct sp_closing c;
    if (!sp_recording_replace(&c))
        return false;
    sp_recording_settle(&c);
    closed(arg, c.region, c.used_ns);
    sp_recording_release(&c);
    return true;
}

/* ---- fork */
bool sp_recording_forked(void)
{
    struct sp_region *r = sp_region;
    given_ns = 0;
    if (!r) {
        sp_spool_abandon(); /* of a recording that is just ending */
        if (reserved && !wipes && !sp_os_forget(reserved, reserved_bytes))
            reserved = NULL;
        return true;
    }
    reserved = NULL; /* half made, maybe */
    bool is_empty = sp_spool_is_shared() ? sp_spool_forget(r, region_bytes, &wipes) && make_first_writable(r, region_bytes)
                                         : wipes || sp_os_forget(r, region_bytes);
    if (!is_empty)
        sp_region = NULL; /* it is the parent's, or cannot be touched: code objects go on dying here */
    return is_empty;
}

void sp_recording_begin_child(void)
{
    struct sp_region *r = sp_region;
    init_region(r, region_bytes, 0);
    if (sp_session_self)
        sp_live_slot(r, sp_session_self);
    sp_adopt_begin(r->started_mono_ns, true, true);
    enter_spool(r);
}
