/* SPDX-License-Identifier: MIT
 * Calls that wait, each seen twice: before, where a clock is read, and after, where what passed goes to the stack that waited. Off,
 * a hook is a load and a jump. It is one of libc's functions that every program has, so nothing is declared by a system's headers
 * here: their names are given by the assembler's.
 *
 * Nothing here knows that a wait was left by siglongjmp() or cancellation; what it leaves in the thread's entry means nothing to
 * the next wait. */
#include <errno.h>
#include <signal.h>
#include <sys/types.h>
#include <time.h>

#include "compat/cpu.h"
#include "compat/os.h"
#include "compat/py.h"
#include "inject/hooks.h"
#include "sampler/engine.h"
#include "sampler/gate.h"
#include "sampler/handler.h"
#include "sampler/offcpu.h"

/* Threads: written at the start. */
bool sp_hook_wait_is_on;

static const char *const marks[] = {
#define SP_WAIT(type, name, shown, ...) "(waiting: " shown ")",
#define SP_WAIT_ELSEWHERE(name) "(waiting: " #name ")",
#include "inject/waits.def"
#undef SP_WAIT
#undef SP_WAIT_ELSEWHERE
};

/* ---- what a wait does to the profile */
/* A stack is taken before a wait if the last one in that call was long, and else once a millisecond, or as often as eight times at once:
 * the last wait of a thread may be its longest. */
#define ENTER_EVERY_NS 1000000u
#define ENTER_AT_ONCE 8u

/* The main thread seldom does: what arrives while its stack is taken finds it going to sleep, where it would have been woken. */
#define ENTER_MAIN_EVERY_NS SP_NS_PER_S

/* Of struct sp_live's short_calls; two calls may share one. */
static uint64_t bit_of(enum sp_hook_wait call)
{
    return 1ull << (call % 64);
}

/* ... and seldomer still if one did: then there may be more of its kind. */
#define ENTER_MAIN_NOT_ALONE_NS (60 * SP_NS_PER_S)

static bool is_main(const struct sp_live *l)
{
    return l->tid == sp_session.pid;
}

static bool is_to_be_entered(struct sp_live *l, enum sp_hook_wait call, uint64_t now_ns)
{
    if (is_main(l)) {
        bool is_due = now_ns >= l->enter_from_ns;
        l->enter_from_ns = is_due ? now_ns + ENTER_MAIN_EVERY_NS : l->enter_from_ns;
        return is_due;
    }
    if (!(l->short_calls & bit_of(call)))
        return true;
    if (now_ns < l->enter_from_ns)
        return false;
    l->enter_from_ns = sp_max_u64(l->enter_from_ns, now_ns - ENTER_AT_ONCE * ENTER_EVERY_NS) + ENTER_EVERY_NS;
    return true;
}

struct inside {
    struct sp_region *region;
    uint64_t mask;
};

static void go_out(struct sp_live *l, uint64_t mask)
{
    sp_store_release(&l->in_handler, 0);
    sp_os_mask_set(mask);
}

/* As a tick would come in. Signals wait meanwhile: a handler that jumps away from here would leave the walk half done. False: the
 * thread is not to be looked at here or now. */
static bool come_in(struct sp_live *l, struct inside *in)
{
    if (!sp_session_is_own_process() || l->tid != sp_os_gettid() || sp_os_on_alternate_stack())
        return false;
    in->mask = sp_os_mask_block(~SP_OS_MASK(SIGBUS)); /* see sp_spool_is_cut */
    sp_store_relaxed(&l->interrupted_mask, in->mask);
    uint32_t outside = 0;
    if (!sp_cas(&l->in_handler, &outside, 1)) {
        sp_os_mask_set(in->mask);
        return false;
    }
    if (sp_load_relaxed(&l->state) == SP_LIVE_RUNNING && sp_gate_enter()) {
        in->region = sp_region_now();
        if (sp_store_ready(in->region) && in->region->wall && sp_live_slot(in->region, l))
            return true;
        sp_gate_leave();
    }
    go_out(l, in->mask);
    return false;
}

static const char *mark_of(enum sp_hook_wait call, bool is_gil)
{
    return is_gil ? SP_OFFCPU_GIL : marks[call];
}

static struct sp_offcpu_wait wait_of(enum sp_hook_wait call, uint64_t since_ns, const void *at)
{
    bool is_gil = sp_py_wait_is_gil((uintptr_t)at);
    return (struct sp_offcpu_wait){
        .mark = mark_of(call, is_gil),
        .at = (uintptr_t)at,
        .is_gil = is_gil,
        .sp = (uintptr_t)__builtin_frame_address(0),
        .since_ns = since_ns,
    };
}

static __attribute__((noinline)) void enter(struct sp_live *l, struct sp_offcpu_wait *w)
{
    struct inside in;
    if (!come_in(l, &in))
        return;
    sp_offcpu_enter(in.region, l, w);
    sp_gate_leave();
    if (is_main(l) && sp_os_pending() & ~(in.mask | SP_OS_MASK(SIGPROF)))
        l->enter_from_ns = w->since_ns + ENTER_MAIN_NOT_ALONE_NS;
    go_out(l, in.mask);
}

/* A wait that paused is over, and goes to its stack. */
static void settle(struct sp_live *l, const struct inside *in, uint64_t paused_ns)
{
    if (paused_ns)
        sp_offcpu_settle(in->region, l, paused_ns, (uintptr_t)__builtin_frame_address(0));
}

static uint64_t take_paused(struct sp_live *l)
{
    return __atomic_exchange_n(&l->paused_ns, 0, __ATOMIC_RELAXED);
}

/* In front of the closed gate it waits for who comes next: a wait or a tick. */
static void pause_wait(struct sp_live *l, uintptr_t sp, uint64_t now)
{
    l->paused_sp = sp;
    l->paused_ns = now;
}

static __attribute__((noinline)) void leave(struct sp_live *l, struct sp_offcpu_wait *w, uint64_t ns)
{
    struct inside in;
    uint64_t due = ns >= SP_OFFCPU_SHORT_NS ? sp_offcpu_due(l, ns) : 0;
    bool is_open = l->open_since_ns == w->since_ns;
    if (!due && !is_open)
        return;
    if (come_in(l, &in)) {
        settle(l, &in, take_paused(l));
        sp_offcpu_leave(in.region, l, w, due);
        sp_gate_leave();
        go_out(l, in.mask);
    } else if (is_open && due) {
        pause_wait(l, 0, w->since_ns + ns);
    } else if (is_open) {
        l->open_since_ns = 0;
    }
}

/* Who waits for the GIL does so by calls of 5 ms that follow each other at once (Python/ceval_gil.c, take_gil): one wait to us, of one
 * stack, as long as there is no time for bytecode between two of them. */
#define AGAIN_NS 20000u

/* A wait has paused, if no tick came since. Does it go on? In another recording a new one begins. */
static bool goes_on(struct sp_live *l, bool is_gil, uintptr_t caller, uint64_t now)
{
    struct inside in;
    uint64_t paused_ns = take_paused(l);
    bool is_same = is_gil && caller == l->paused_sp && now - paused_ns < AGAIN_NS;
    if (is_same && l->open_profile == sp_load_relaxed(&sp_region_newest))
        return true;
    if (!paused_ns)
        return false;
    if (come_in(l, &in)) {
        settle(l, &in, paused_ns);
        sp_gate_leave();
        go_out(l, in.mask);
    } else {
        pause_wait(l, 0, paused_ns);
    }
    return false;
}

static uint64_t begin_wait(struct sp_live *l, enum sp_hook_wait call, const void *at, uintptr_t caller, bool is_gil)
{
    uint64_t now = sp_os_mono_fast_ns(), since_ns = now;
    if (caller == l->wait_sp) {
        l->wait_mark = mark_of(call, is_gil);
        l->wait_since_ns = now;
    }
    if (SP_UNLIKELY(l->paused_ns) && goes_on(l, is_gil, caller, now)) {
        since_ns = l->open_since_ns;
    } else if (SP_UNLIKELY(is_to_be_entered(l, call, now)) && !l->paused_ns) {
        struct sp_offcpu_wait w = wait_of(call, now, at);
        enter(l, &w);
    }
    if (SP_UNLIKELY(is_gil))
        sp_gil_wait_begins(&l->gil, l->profile, l->slot_number, now);
    return since_ns;
}

#define NOT_TIMED 1 /* no SPPROF_WALL */

uint64_t sp_hook_wait_begins(enum sp_hook_wait call, const void *at, uintptr_t caller)
{
    struct sp_live *l = sp_hook_wait_is_on ? sp_session_self : NULL;
    if (!l)
        return 0;
    bool is_gil = sp_py_wait_is_gil((uintptr_t)at);
    /* Not in a signal's handler that interrupted another wait; or one that was left by a jump. No handler waits for the GIL. */
    if (caller >= l->wait_sp || SP_UNLIKELY(is_gil)) {
        l->wait_return = sp_live_wait_return(caller);
        sp_store_release(&l->wait_sp, caller); /* a tick that sees the one sees the other */
    }
    uint64_t since_ns = sp_offclock_is_on ? begin_wait(l, call, at, caller, is_gil) : NOT_TIMED;
    if (sp_engine->before_wait && caller == l->wait_sp)
        sp_engine->before_wait(l);
    return since_ns;
}

static void end_wait(struct sp_live *l, struct sp_offcpu_wait *w, enum sp_hook_wait call, uintptr_t caller, bool has_given_up)
{
    uint64_t now = sp_os_mono_fast_ns(), ns = now - sp_min_u64(now, w->since_ns), bit = bit_of(call);
    if (SP_UNLIKELY(l->gil.place) && !w->is_within)
        sp_gil_wait_ends(&l->gil, now);
    l->short_calls = ns < SP_OFFCPU_LONG_NS ? l->short_calls | bit : l->short_calls & ~bit;
    bool is_open = l->open_since_ns == w->since_ns;
    if (SP_LIKELY(ns < SP_OFFCPU_SHORT_NS && !is_open))
        return;
    if (has_given_up && w->is_gil && !w->is_within && is_open && ns >= SP_OFFCPU_LONG_NS) {
        pause_wait(l, caller, now);
        return;
    }
    leave(l, w, ns);
}

/* Who has asked for the GIL so often asks once more, but for one in some hundred times, when the engine's tick finds that the thread works:
 * two system calls each 5 ms in each of 200 such threads would be a fifth of a CPU. */
#define ASKS 16u

static bool calls_again(struct sp_live *l, bool has_given_up)
{
    l->gil_asks = has_given_up ? l->gil_asks + (l->gil_asks <= ASKS) : 0;
    return l->gil_asks > ASKS;
}

void sp_hook_wait_ends(enum sp_hook_wait call, const void *at, uint64_t since_ns, uintptr_t caller, bool has_given_up)
{
    struct sp_live *l = since_ns ? sp_session_self : NULL;
    if (!l)
        return;
    struct sp_offcpu_wait w = wait_of(call, since_ns, at);
    w.is_within = caller < l->wait_sp;
    if (sp_offclock_is_on) /* it waits until this is done: a tick meanwhile is no sign that it works */
        end_wait(l, &w, call, caller, has_given_up);
    if (w.is_within)
        return;
    l->wait_sp = 0;
    if (sp_engine->after_wait && !calls_again(l, w.is_gil && has_given_up))
        sp_engine->after_wait(l);
}

/* ---- the hooks */
static long result(long rc)
{
    if (rc >= 0 || rc < -4095)
        return rc;
    errno = (int)-rc;
    return -1;
}

static long plain(enum sp_os_plain call, const long arguments[6])
{
    return result(sp_os_plain(call, arguments));
}

static int no_such_call(void)
{
    errno = ENOSYS;
    return -1;
}

#define NO_NAMES (-11) /* EAI_SYSTEM */

/* glibc has it since 2.30. Who asks for it by a weak reference finds ours, which does what C++'s library did before: the condition
 * variable goes by the wall clock. */
static int wait_by_clock(void *cond, void *mutex, int clock, const struct timespec *until);

#define PLAIN(name, a, b, c, d, e, f) \
    plain(SP_OS_PLAIN_##name, (const long[6]){(long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f)})
#define FIND(name, otherwise) ((f = (name##_fn *)sp_real_find_missing(&real_##name)) ? FOUND : (otherwise))
#define FOUND 1 /* of FIND: the original is called then, whatever this is */

/* Each way out of a hook but through waited_ is a jump with the caller's registers and stack as they were: where another library has
 * a function of the name, what it takes may be something else. */
#define SP_WAIT(type, name, shown, at, parameters, arguments, absent)                      \
    SP_REAL_SLOT(name);                                                                    \
    typedef type name##_fn parameters;                                                     \
    SP_EXPORT type hook_##name parameters __asm__(#name);                                  \
    static __attribute__((noinline)) type absent_##name parameters                         \
    {                                                                                      \
        name##_fn *f = NULL;                                                               \
        type rc = (type)(absent);                                                          \
        return f ? f arguments : rc;                                                       \
    }                                                                                      \
    SP_INLINE type original_##name parameters                                              \
    {                                                                                      \
        name##_fn *f = (name##_fn *)sp_load_relaxed(&real_##name.original);                \
        return SP_LIKELY(f) ? f arguments : absent_##name arguments;                       \
    }                                                                                      \
    static __attribute__((noinline)) type waited_##name parameters                         \
    {                                                                                      \
        uintptr_t here = (uintptr_t)__builtin_frame_address(0);                            \
        uint64_t since_ns = sp_hook_wait_begins(SP_HOOK_WAIT_##name, at, here);            \
        type rc = original_##name arguments;                                               \
        sp_hook_wait_ends(SP_HOOK_WAIT_##name, at, since_ns, here, (long)rc == ETIMEDOUT); \
        return rc;                                                                         \
    }                                                                                      \
    type hook_##name parameters                                                            \
    {                                                                                      \
        bool is_seen = sp_hook_wait_is_on && !real_##name.is_foreign;                      \
        return SP_LIKELY(!is_seen) ? original_##name arguments : waited_##name arguments;  \
    }
#define SP_WAIT_ELSEWHERE(name)
#include "inject/waits.def"

static int wait_by_clock(void *cond, void *mutex, int clock, const struct timespec *until)
{
    struct timespec now, wall;
    if (clock_gettime(clock, &now) != 0 || clock_gettime(CLOCK_REALTIME, &wall) != 0)
        return EINVAL;
    const long second_ns = (long)SP_NS_PER_S;
    long ns = until->tv_nsec - now.tv_nsec + wall.tv_nsec + second_ns; /* a second more than it is: not below 0 */
    wall.tv_sec += until->tv_sec - now.tv_sec + ns / second_ns - 1;
    wall.tv_nsec = ns % second_ns;
    return hook_pthread_cond_timedwait(cond, mutex, &wall);
}

/* ---- libc's own door to system calls, through which Rust's and others' locks wait */
typedef long syscall_fn(long number, long a, long b, long c, long d, long e SP_CPU_SYSCALL_PARAMETER);
typedef long whole_syscall_fn(long number, long a, long b, long c, long d, long e, long f);
SP_REAL_SLOT(syscall);
SP_EXPORT syscall_fn hook_syscall __asm__("syscall");

static __attribute__((noinline)) long waited_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    whole_syscall_fn *original = (whole_syscall_fn *)sp_load_relaxed(&real_syscall.original);
    if (!original)
        return result(sp_os_call(number, (const long[6]){a, b, c, d, e, f}));
    uint64_t since_ns = sp_hook_wait_begin(SP_HOOK_WAIT_futex, NULL);
    long rc = original(number, a, b, c, d, e, f);
    sp_hook_wait_end(SP_HOOK_WAIT_futex, NULL, since_ns);
    return rc;
}

/* What does not wait by a jump: no frame of ours is there that the call could return through twice. */
long hook_syscall(long number, long a, long b, long c, long d, long e SP_CPU_SYSCALL_PARAMETER)
{
    syscall_fn *original = (syscall_fn *)sp_load_relaxed(&real_syscall.original);
    if (SP_LIKELY(original && (!sp_hook_wait_is_on || real_syscall.is_foreign || !sp_os_call_waits(number, b))))
        return original(number, a, b, c, d, e SP_CPU_SYSCALL_PASSED);
    return waited_syscall(number, a, b, c, d, e, SP_CPU_SYSCALL_LAST);
}
