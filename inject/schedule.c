/* SPDX-License-Identifier: MIT
 * See schedule.h. Fork children go on by their parent's clock. */
#include "inject/schedule.h"

#include "compat/os.h"
#include "inject/publish.h"
#include "inject/recording.h"
#include "inject/session.h"
#include "inject/turn.h"
#include "sampler/gate.h"
#include "sampler/handler.h"

#define NEVER UINT64_MAX

static const struct sp_config *config;
static uint64_t begin_ns = NEVER, end_ns = NEVER; /* on the coarse monotonic clock */

static void set_due(void)
{
    sp_store_relaxed(&sp_handler_due_ns, sp_min_u64(begin_ns, end_ns));
}

static uint64_t in(uint64_t ns)
{
    return ns ? sp_os_mono_ns() + ns : NEVER;
}

void sp_schedule_begun(void)
{
    begin_ns = NEVER;
    end_ns = in(config->duration_ns);
    set_due();
}

static void closed(void *arg, struct sp_region *r, uint64_t used_ns)
{
    (void)arg;
    sp_publish_closed(r, used_ns);
}

/* Who is here has the turn, and no tick of its own comes. */
static void act(void *arg)
{
    (void)arg;
    uint64_t now = sp_os_mono_ns();
    if (begin_ns <= now && !sp_region_now() && sp_recording_begin(sp_os_process_cpu_ns(), false)) {
        sp_schedule_begun();
    } else if (end_ns <= now && sp_region_now()) {
        end_ns = NEVER;
        sp_recording_end(closed, NULL);
    } else {
        begin_ns = end_ns = NEVER; /* no memory: not to be tried at each tick */
    }
    set_due();
}

static void due(void)
{
    /* What a tick interrupted inside the gate goes on with the region that it has. */
    if (sp_gate_is_inside() || !sp_session_is_running() || !sp_turn_try())
        return;
    sp_turn_call(act, NULL);
    sp_turn_end(false);
}

void sp_schedule_init(const struct sp_config *c)
{
    config = c;
    sp_handler_due = due;
    begin_ns = c->start ? in(c->start_after_ns) : NEVER;
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
