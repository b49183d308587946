/* SPDX-License-Identifier: MIT
 * See schedule.h. Fork children go on by their parent's clock. */
#include "inject/schedule.h"

#include "compat/diag.h"
#include "compat/os.h"
#include "inject/publish.h"
#include "inject/recording.h"
#include "inject/session.h"
#include "inject/turn.h"
#include "sampler/gate.h"
#include "sampler/handler.h"

#define NEVER UINT64_MAX
#define PAUSE_FOR_WRITES 20
#define BURY_NS 10000000 /* between two looks whether the process has ended */

static struct sp_config *config;
static uint64_t interval_ns, memory_bytes; /* by the options: a recording that was begun from inside may have had others */
/* On the coarse monotonic clock. bury_ns: of the process that wrote the last file, or does. Threads: at the start, and by who has
 * the turn (turn.h). */
static uint64_t begin_ns = NEVER, end_ns = NEVER, rotate_ns = NEVER, bury_ns = NEVER;
static struct sp_closing closing;
static int holds;    /* execs under way. Threads: any */
static bool is_kept; /* somebody cuts a part out of the recording that goes on */

static void set_due(void)
{
    uint64_t due = sp_min_u64(sp_min_u64(begin_ns, end_ns), sp_min_u64(rotate_ns, bury_ns));
    sp_store_relaxed(&sp_handler_due_ns, due);
}

static uint64_t in(uint64_t ns)
{
    return ns ? sp_os_mono_ns() + ns : NEVER;
}

void sp_schedule_begun(void)
{
    begin_ns = NEVER;
    end_ns = in(config->duration_ns);
    rotate_ns = in(config->rotate_ns);
    set_due();
}

/* In a process beside this one, or here. */
static void write_closing(void *arg)
{
    (void)arg;
    sp_recording_settle(&closing);
    sp_publish_closed(closing.region, closing.used_ns);
    sp_recording_release(&closing);
}

/* ---- by order */
static bool begin_as_always(void)
{
    config->interval_ns = interval_ns;
    config->memory_bytes = memory_bytes;
    begin_ns = NEVER;
    if (sp_region_now() || !sp_recording_begin(sp_os_process_cpu_ns(), false))
        return false;
    sp_schedule_begun();
    return true;
}

static bool begin_anew(void)
{
    if (!sp_recording_replace(&closing))
        return false;
    sp_schedule_begun();
    return true;
}

static void close_now(void)
{
    end_ns = rotate_ns = NEVER;
    sp_recording_close(&closing);
    set_due();
}

enum sp_obeyed sp_schedule_obey(enum sp_order order)
{
    if (!sp_region_now() != (order == SP_ORDER_BEGIN))
        return SP_OBEYED_ALREADY;
    if (is_kept)
        return SP_OBEYED_IN_USE;
    if (closing.region) /* whose writer was killed */
        write_closing(NULL);
    if (order == SP_ORDER_BEGIN)
        return begin_as_always() ? SP_OBEYED : SP_OBEYED_NO_MEMORY;
    if (!sp_publish_is_worth())
        return SP_OBEYED_LATER;
    if (order == SP_ORDER_RESET)
        return begin_anew() ? SP_OBEYED : SP_OBEYED_NO_MEMORY;
    close_now();
    return SP_OBEYED;
}

void sp_schedule_finish(enum sp_order order)
{
    if (!closing.region)
        return;
    sp_recording_settle(&closing);
    if (order == SP_ORDER_END)
        sp_publish_closed(closing.region, closing.used_ns);
    sp_recording_release(&closing);
}

bool sp_schedule_is_held(void)
{
    return sp_load_acquire(&holds);
}

void sp_schedule_bury_soon(void)
{
    bury_ns = sp_os_mono_ns() + BURY_NS;
    set_due();
    if (!sp_region_now() && sp_session_self)
        sp_engine_start(NULL, sp_session_self);
}

/* ---- by the clock */
/* Where there is no memory for another region the time is over without. */
static void rotate(uint64_t now)
{
    uint64_t late = now - rotate_ns;
    rotate_ns += late - late % config->rotate_ns + config->rotate_ns; /* an idle program's files begin as a busy one's would */
    sp_recording_replace(&closing);
}

/* Where nothing is recorded any more the calling thread has had ticks for this alone. */
static void bury(uint64_t now)
{
    bury_ns = sp_turn_is_beside() ? now + BURY_NS : NEVER;
    if (bury_ns == NEVER && !sp_region_now() && !sp_recording_is_awaited() && sp_session_self)
        sp_engine_stop(sp_session_self);
}

/* Who is here has the turn, and no tick of its own comes. */
static void act(void *arg)
{
    (void)arg;
    uint64_t now = sp_os_mono_ns();
    if (bury_ns <= now)
        bury(now);
    if (begin_ns <= now && !is_kept) {
        begin_as_always();
    } else if (is_kept || !sp_publish_is_worth()) {
        /* the interpreter starts slowly: a file would say nothing yet, and is not written */
    } else if (end_ns <= now && !closing.region) { /* else who was to write it was killed, and it comes first */
        end_ns = rotate_ns = NEVER;
        if (sp_region_now())
            sp_recording_close(&closing);
    } else if (rotate_ns <= now && !closing.region) {
        rotate(now);
    }
    set_due();
}

/* Where that takes longer than the time between two files the program would do nothing else. */
static void write_in_place(void)
{
    uint64_t from = sp_os_mono_exact_ns();
    sp_turn_call(write_closing, NULL);
    uint64_t took = sp_os_mono_exact_ns() - from;
    rotate_ns = sp_max_u64(rotate_ns, sp_os_mono_ns() + PAUSE_FOR_WRITES * took);
    set_due();
}

static void due(void)
{
    /* What a tick interrupted inside the gate goes on with the region that it has. */
    if (sp_gate_is_inside() || !sp_session_is_running())
        return;
    if (!sp_turn_try() && (sp_turn_is_beside() || !sp_turn_try())) /* who has it may have been killed */
        return;
    struct sp_region *r = sp_region_now(); /* who has not the turn may find it released */
    if (sp_load_acquire(&holds) ||
        (r && !sp_store_ready(r))) { /* whoever holds takes the turn, and what begins then is awaited */
        sp_turn_end(false);
        return;
    }
    sp_turn_call(act, NULL);
    if (closing.region && sp_turn_hand_over(write_closing, NULL)) {
        sp_schedule_bury_soon();
        return;
    }
    if (closing.region)
        write_in_place();
    sp_turn_end(false);
}

void sp_schedule_write_left(void)
{
    if (closing.region)
        sp_turn_call(write_closing, NULL);
}

void sp_schedule_init(struct sp_config *c)
{
    config = c;
    interval_ns = c->interval_ns;
    memory_bytes = c->memory_bytes;
    if (c->rotate_ns && c->spool[0]) {
        sp_diag(
            "SPPROF_ROTATE has no effect with SPPROF_SPOOL; a spool file cannot be changed for another; there is one profile");
        c->rotate_ns = 0;
    }
    sp_handler_due = due;
    begin_ns = c->start ? in(c->start_after_ns) : NEVER;
    set_due();
}

void sp_schedule_hold(bool begins)
{
    if (sp_session_is_own_process())
        __atomic_fetch_add(&holds, begins ? 1 : -1, __ATOMIC_SEQ_CST);
}

void sp_schedule_keep(bool keeps)
{
    is_kept = keeps;
}

void sp_schedule_forked(void)
{
    holds = 0;
    is_kept = false;
    if (closing.region && closing.region != sp_region_now()) /* it is known until it is to be unmapped */
        sp_os_release(closing.region, closing.bytes);
    closing.region = NULL;
    bury_ns = NEVER;
    set_due();
}

bool sp_schedule_begins_now(void)
{
    return config->start && !config->start_after_ns;
}

bool sp_schedule_awaits(void)
{
    return begin_ns != NEVER;
}
