/* SPDX-License-Identifier: MIT
 * Alternate signal stacks. Every handler of ours runs on the thread's alternate stack, if it has one: goroutines and
 * fibres leave no room on their own. But the alternate stack may be one that was measured for a handler of the program's
 * and nothing else: so the kernel gets a larger one in the place of a small one, and the program is shown its own.
 *
 * The kernel's word is the truth: it puts an older stack back when a handler returns, and system calls past us change it.
 * What the program believes is therefore written beside the stack that stands for its own, and nowhere else. A stack of
 * ours belongs to its thread until the kernel has buried that: a frame on it may be waiting to be returned to. */
#include <errno.h>
#include <signal.h>

#include "compat/cpu.h"
#include "compat/os.h"
#include "compat/real.h"
#include "inject/hooks.h"
#include "sampler/handler.h"

#define PROGRAM_BYTES 4096 /* for what a handler of the program's may need beside its frame */

SP_REAL_SLOT(sigaltstack);

struct spare { /* lies above the stack, in one mapping with it and a page that nobody may touch below it */
    struct spare *next, *next_ended;
    int tid;
    bool is_ended, is_registered;
    char *bottom;
    size_t bytes;
    stack_t shown; /* what the program registered */
};

/* Threads: `ended` belongs to who made ended_lock 1; may_be_small any, and it stays set; small_in_thread any, before the start. */
static __thread struct spare *own;
static struct spare *ended; /* of threads that have ended, or are about to */
static uint32_t ended_lock;
static bool may_be_small;
static int small_in_thread; /* that registered a small one before sampling began; -1: several did */

/* ---- sizes */
/* For a handler of the program's, and one of ours that interrupts it: of two signals that are pending at once the kernel
 * puts the second frame right on the first. */
static size_t enough(void)
{
    return 2 * sp_os_signal_frame_bytes() + SP_HANDLER_BYTES + PROGRAM_BYTES;
}

static bool is_small(const stack_t *s)
{
    return !(s->ss_flags & SS_DISABLE) && s->ss_size < enough();
}

/* ---- stacks of ours */
static struct spare *standing_for(const stack_t *s)
{
    for (struct spare *p = own; p; p = p->next)
        if (p->bottom == s->ss_sp && !(s->ss_flags & SS_DISABLE))
            return p;
    return NULL;
}

static struct spare *new_spare(void)
{
    size_t page = sp_os_page_bytes(), bytes = (2 * enough() + sizeof(struct spare) + page - 1) & ~(page - 1);
    char *p = sp_os_pages(page + bytes);
    if (!p)
        return NULL;
    sp_os_forbid(p, page);
    struct spare *s = (struct spare *)(p + page + bytes - sizeof *s);
    s->bottom = p + page;
    s->bytes = (size_t)((char *)s - s->bottom) & ~63ul;
    return s;
}

static struct spare *of_buried_thread(void)
{
    uint32_t idle = 0;
    struct spare *found = NULL;
    if (!sp_cas(&ended_lock, &idle, 1))
        return NULL; /* we may be in a handler that interrupted the one who has it */
    struct spare **at = &ended;
    for (int looks = 16; *at && looks && !found; looks--) {
        if (sp_os_tgkill((*at)->tid, 0) == -ESRCH) {
            found = *at;
            *at = found->next_ended;
        } else {
            at = &(*at)->next_ended;
        }
    }
    sp_store_release(&ended_lock, 0);
    return found;
}

/* The one that stood for this stack already, else one that stands for none any more, else another. */
static struct spare *take(const stack_t *asked)
{
    struct spare *unused = NULL;
    for (struct spare *p = own; p; p = p->next) {
        if (p->shown.ss_sp == asked->ss_sp)
            return p;
        unused = p->is_registered ? unused : p;
    }
    if (unused)
        return unused;
    struct spare *s = of_buried_thread();
    s = s ? s : new_spare();
    if (s) {
        s->tid = sp_os_gettid();
        s->is_ended = false;
        s->next = own;
        own = s;
    }
    return s;
}

/* In the place of what the kernel has just accepted. */
static void put_in_place(const stack_t *asked)
{
    struct spare *s = take(asked);
    if (s) {
        stack_t ours = {.ss_sp = s->bottom, .ss_size = s->bytes, .ss_flags = asked->ss_flags};
        s->shown = *asked;
        s->is_registered = true;
        if (SP_REAL(sigaltstack)(&ours, NULL) == 0)
            return;
        s->is_registered = false;
    }
    may_be_small = true;
    sp_hook_signal_reinstall();
}

/* ---- the hook */
static bool is_active(const stack_t *asked)
{
    bool wants_small = asked && is_small(asked);
    if ((!own && !wants_small) || !sp_session_is_own_process())
        return false;
    if (own || sp_load_acquire(&sp_session.state) == SP_SESSION_RUNNING)
        return true;
    int tid = sp_os_gettid();
    small_in_thread = small_in_thread == 0 || small_in_thread == tid ? tid : -1;
    return false;
}

SP_EXPORT int sigaltstack(const stack_t *ss, stack_t *old)
{
    stack_t asked = {.ss_flags = SS_DISABLE}, before;
    if (ss && sp_os_can_read(ss, sizeof *ss)) /* else the kernel says EFAULT */
        asked = *ss;
    if (!is_active(ss ? &asked : NULL))
        return SP_REAL(sigaltstack)(ss, old);
    /* no handler while the kernel has the small one */
    uint64_t mask = ss ? sp_os_mask_block(~0ull) : 0;
    struct spare *was = SP_REAL(sigaltstack)(NULL, &before) == 0 ? standing_for(&before) : NULL;
    int rc = SP_REAL(sigaltstack)(ss, old);
    if (rc == 0 && old && was) {
        old->ss_sp = was->shown.ss_sp;
        old->ss_size = was->shown.ss_size;
    }
    if (rc == 0 && ss) {
        if (was)
            was->is_registered = false;
        if (is_small(&asked))
            put_in_place(&asked);
    }
    if (ss)
        sp_os_mask_set(mask);
    return rc;
}

/* ---- the edges */
bool sp_hook_stack_may_be_small(void)
{
    return may_be_small;
}

void sp_hook_stack_start(void)
{
    stack_t now;
    if (SP_REAL(sigaltstack)(NULL, &now) == 0 && is_small(&now)) {
        if (now.ss_flags & SS_ONSTACK)
            may_be_small = true;
        else
            put_in_place(&now);
    }
    /* valgrind does not grow the main stack for a handler with SA_ONSTACK: coregrind/m_sigframe/sigframe-common.c, 3.19 */
    may_be_small |= sp_cpu_is_valgrind();
    may_be_small |= small_in_thread && small_in_thread != sp_os_gettid();
}

void sp_hook_stack_thread_ends(void)
{
    uint32_t idle = 0;
    int tries = 100;
    if (!own)
        return;
    for (; tries && !sp_cas(&ended_lock, &idle, 1); tries--, idle = 0)
        sp_os_sleep_ns(10000);
    if (!tries)
        return; /* forgotten: a few pages */
    for (struct spare *p = own; p; p = p->next)
        if (!p->is_ended) {
            p->is_ended = true;
            p->next_ended = ended;
            ended = p;
        }
    sp_store_release(&ended_lock, 0);
}

void sp_hook_stack_forked(void)
{
    ended_lock = 0;
    for (struct spare *p = own; p; p = p->next)
        p->tid = sp_os_gettid();
}
