/* SPDX-License-Identifier: MIT
 * See doorbell.h. */
#include "inject/doorbell.h"

#include <errno.h>
#include <string.h>

#include "compat/os.h"
#include "compat/ring.h"
#include "inject/dump.h"
#include "inject/publish.h"
#include "inject/schedule.h"
#include "inject/session.h"
#include "inject/turn.h"
#include "sampler/gate.h"
#include "sampler/handler.h"

#define VERDICT_NS (SP_NS_PER_S / 5)
#define OBEY_NS (10 * SP_NS_PER_S)

/* Of an order, between who sees to it and the process beside, which knows who asks. */
enum verdict { ASKED, ALLOWED, DENIED, GIVEN_UP, OBEYED };

/* Threads: by who has the turn, and verdict by the process beside as well, by compare-and-swap. */
static uint64_t value; /* that the signal carried */
static uint32_t verdict;
static uint32_t result;         /* enum sp_ring_result */
static const void *interrupted; /* where the thread that was rung was: for itself */

static struct sp_ring_answer answer;

bool sp_doorbell_is_ring(const siginfo_t *info)
{
    return info->si_code == SI_QUEUE && sp_ring_wish_of((uint64_t)(uintptr_t)info->si_value.sival_ptr) != SP_RING_NOTHING;
}

/* ---- orders */
static bool is_order(enum sp_ring_wish wish)
{
    return wish == SP_RING_BEGIN || wish == SP_RING_END || wish == SP_RING_RESET;
}

static enum sp_order order_of(enum sp_ring_wish wish)
{
    return wish == SP_RING_BEGIN ? SP_ORDER_BEGIN : wish == SP_RING_END ? SP_ORDER_END : SP_ORDER_RESET;
}

static enum sp_ring_result result_of(enum sp_obeyed obeyed)
{
    switch (obeyed) {
    case SP_OBEYED: return SP_RING_DONE;
    case SP_OBEYED_ALREADY: return SP_RING_ALREADY;
    case SP_OBEYED_LATER: return SP_RING_LATER;
    case SP_OBEYED_IN_USE: return SP_RING_IN_USE;
    case SP_OBEYED_NO_MEMORY: return SP_RING_NO_MEMORY;
    }
    return SP_RING_FAILED;
}

static void obey(void *arg)
{
    (void)arg;
    result = result_of(sp_schedule_obey(order_of(sp_ring_wish_of(value))));
}

/* In a thread of the process, whose timers are no other process's to make. */
static void obey_if_allowed(void)
{
    uint32_t now = ASKED;
    for (uint64_t until = sp_os_mono_exact_ns() + VERDICT_NS, at; (at = sp_os_mono_exact_ns()) < until;) {
        if ((now = sp_load_acquire(&verdict)) != ASKED)
            break;
        sp_os_await_change(&verdict, ASKED, until - at);
    }
    if ((now == ASKED && sp_cas(&verdict, &now, GIVEN_UP)) || now != ALLOWED || !sp_turn_take_back())
        return;
    sp_turn_call(obey, NULL);
    sp_turn_give_again();
    sp_store_release(&verdict, OBEYED);
    sp_os_changed(&verdict);
}

/* In the process beside. False: nobody obeys. */
static bool say_verdict(bool is_allowed)
{
    uint32_t now = ASKED;
    bool is_awaited = sp_cas(&verdict, &now, is_allowed ? ALLOWED : DENIED);
    sp_os_changed(&verdict);
    if (!is_awaited || !is_allowed)
        return false;
    for (uint64_t until = sp_os_mono_exact_ns() + OBEY_NS; sp_os_mono_exact_ns() < until;) {
        if (sp_load_acquire(&verdict) == OBEYED)
            return true;
        if (sp_os_getppid() != sp_session.pid) /* it was killed */
            break;
        sp_os_await_change(&verdict, ALLOWED, SP_NS_PER_S / 100);
    }
    return false;
}

static void see_to_order(bool is_allowed, bool is_beside)
{
    enum sp_ring_wish wish = sp_ring_wish_of(value);
    result = is_allowed ? SP_RING_LATER : SP_RING_REFUSED;
    if (is_beside ? !say_verdict(is_allowed) : !is_allowed)
        return;
    if (!is_beside)
        obey(NULL);
    if (result == SP_RING_DONE && wish != SP_RING_BEGIN)
        sp_schedule_finish(order_of(wish));
    if (result == SP_RING_DONE && wish == SP_RING_END) {
        struct sp_buf b = sp_buf_at(answer.path, sizeof answer.path);
        sp_buf_str(&b, sp_publish_written());
    }
}

/* ---- images */
/* What is used of the region, in whole pages; two copies, the later for what the earlier one refers to (command/salvage.h). It goes
 * on meanwhile. */
static int write_image(int file, const struct sp_region *r)
{
    uint64_t written = 0;
    for (int i = 0; i < 2; i++) {
        uint64_t used = sp_min_u64(sp_min_u64(sp_load_acquire(&r->next), r->end), r->backed);
        used = sp_min_u64((used + 4095) & ~4095ull, r->backed);
        answer.later = i ? written : 0;
        if (written + used > sp_os_limit_file_size()) /* a SIGXFSZ of ours would be the program's */
            return -EFBIG;
        int rc = sp_os_write_all(file, r, used);
        if (rc < 0)
            return rc;
        written += used;
    }
    return 0;
}

/* ---- what is written to the file of who asks */
static int write_wish(int file, bool is_beside)
{
    return sp_ring_wish_of(value) == SP_RING_IMAGE ? write_image(file, sp_region_now())
                                                   : sp_dump_write(file, is_beside, interrupted);
}

static void send_file(int peer, bool is_beside)
{
    struct sp_ring_message m;
    int file = -1;
    result = SP_RING_ALREADY;
    if (sp_ring_wish_of(value) == SP_RING_IMAGE && !sp_store_ready(sp_region_now()))
        return;
    result = SP_RING_FAILED;
    long n = sp_os_receive(peer, &m, sizeof m, &file, SP_RING_WAIT_NS);
    bool is_good = n == sizeof m && m.version == SP_RING_VERSION && file >= 0;
    answer.error = n < 0 ? (int)n : is_good ? write_wish(file, is_beside) : -EPROTO;
    if (answer.error == 0)
        result = SP_RING_DONE;
    if (file >= 0)
        sp_os_close(file);
}

/* ---- who asks */
static bool is_allowed_to(int peer)
{
    uint32_t uid;
    return peer >= 0 && sp_os_peer_uid(peer, &uid) && (uid == 0 || uid == sp_os_euid());
}

static void serve(bool is_beside)
{
    char name[32];
    SP_BUF(b, name);
    sp_ring_name(&b, value);
    int peer = sp_os_connect(name);
    bool is_allowed = is_allowed_to(peer);
    memset(&answer, 0, sizeof answer);
    answer.version = SP_RING_VERSION;
    answer.is_in_place = !is_beside;
    if (is_order(sp_ring_wish_of(value)))
        see_to_order(is_allowed, is_beside);
    else if (is_allowed)
        send_file(peer, is_beside);
    else
        result = SP_RING_REFUSED;
    answer.result = result;
    if (peer >= 0) {
        sp_os_send(peer, &answer, sizeof answer);
        sp_os_close(peer);
    }
}

static void serve_beside(void *arg)
{
    (void)arg;
    serve(true);
}

static void serve_here(void *arg)
{
    (void)arg;
    serve(false);
}

/* Who has the turn may have been killed. */
static bool take_turn(void)
{
    return sp_turn_try() || (!sp_turn_is_beside() && sp_turn_try());
}

static void ring(uint64_t carried, const void *context)
{
    if (!sp_session_is_running() || sp_gate_is_inside() || !take_turn())
        return;
    if (sp_schedule_is_held()) { /* see sp_schedule_hold() */
        sp_turn_end(false);
        return;
    }
    if (sp_region_now() && !sp_store_ready(sp_region_now()))
        sp_handler_forked();
    value = carried;
    interrupted = context;
    sp_store_release(&verdict, ASKED);
    if (!sp_turn_hand_over(serve_beside, NULL)) {
        sp_turn_call(serve_here, NULL);
        sp_turn_end(false);
        return;
    }
    if (is_order(sp_ring_wish_of(value)))
        obey_if_allowed();
    sp_schedule_bury_soon();
}

void sp_doorbell_answer(const siginfo_t *info, const void *context)
{
    uint64_t carried = (uint64_t)(uintptr_t)info->si_value.sival_ptr;
    if (context && sp_handler_is_cramped(context))
        return;
    uint64_t mask = sp_os_mask_block(~SP_TURN_FAULTS);
    if (sp_ring_wish_of(carried) != SP_RING_STACK)
        ring(carried, context);
    else if (sp_session_is_own_process())
        sp_dump_answer(carried, context);
    sp_os_mask_set(mask);
}
