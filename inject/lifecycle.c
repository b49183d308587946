/* SPDX-License-Identifier: MIT
 * See lifecycle.h. Threads: everything here is written before SP_SESSION_RUNNING by one thread, except what the fork child
 * handler resets while it is alone. */
#include "inject/lifecycle.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "compat/diag.h"
#include "compat/modules.h"
#include "compat/os.h"
#include "compat/py.h"
#include "compat/real.h"
#include "compat/unwind.h"
#include "inject/environment.h"
#include "inject/forget.h"
#include "inject/hooks.h"
#include "inject/identity.h"
#include "inject/publish.h"
#include "inject/python.h"
#include "inject/recording.h"
#include "inject/relay.h"
#include "inject/run.h"
#include "inject/schedule.h"
#include "inject/self.h"
#include "inject/session.h"
#include "inject/spool.h"
#include "inject/turn.h"
#include "sampler/engine.h"
#include "sampler/gate.h"
#include "sampler/intern.h"
#include "sampler/offclock.h"

/* in glibc; pthread_atfork lies in its static part before 2.34, and is all that musl has */
extern int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *);
SP_REAL_SLOT(__register_atfork);
SP_REAL_SLOT(pthread_atfork);

#define WAIT_FOR_HANDLERS_NS (2 * SP_NS_PER_S)

static bool child_pending; /* a fork child that has run no Python yet */
static bool is_bare_child; /* of _Fork(): as a rule C code's, to end soon */
static struct sp_config config;
static struct {
    uint64_t interval_ns, memory_bytes;
} asked; /* by the options; a recording that was begun from inside may have others */
static struct sp_identity identity;

bool sp_lifecycle_has_native(void)
{
    return config.native != SP_NATIVE_OFF;
}

/* ---- fork */
/* A tick in a long clone() would restart it; of who asks for a profile the child knows nothing until it has its own. */
#define BLOCKED_SIGNALS 2
SP_INLINE uint64_t blocked_at(int i)
{
    return i == 0 ? SP_OS_MASK(SIGPROF) : config.signal ? SP_OS_MASK(config.signal) : 0;
}

/* Which are to be unblocked after a fork, and, above, after those that it interrupted: a signal handler may fork.
 * Only these: other handlers of a fork may change the mask. */
static __thread uint32_t unblock_after_fork;

static void before_fork(void)
{
    if (sp_session_is_running())
        sp_turn_makes_room();
    uint64_t mask = sp_os_mask_block(blocked_at(0) | blocked_at(1));
    for (int i = 0; i < BLOCKED_SIGNALS; i++)
        unblock_after_fork = unblock_after_fork << 1 | !(mask & blocked_at(i));
}

static void unblock(void)
{
    uint64_t mask = 0;
    for (int i = BLOCKED_SIGNALS - 1; i >= 0; i--, unblock_after_fork >>= 1)
        mask |= unblock_after_fork & 1 ? blocked_at(i) : 0;
    if (mask)
        sp_os_mask_unblock(mask);
}

static void after_fork_in_parent(void)
{
    sp_spool_forked();
    unblock();
}

/* The child's recording begins with its first tick, or where it is going to run Python. */
static void await_python(struct sp_live *self)
{
    bool is_empty = sp_recording_forked();
    if (!is_empty)
        sp_diag_join("no memory for the profile of this fork child; it runs unprofiled", NULL, NULL, NULL, NULL);
    if (!is_empty || !config.children)
        sp_session.state = SP_SESSION_OFF;
    child_pending = sp_session.state == SP_SESSION_RUNNING && sp_region;
    if ((child_pending || sp_recording_is_awaited()) && self)
        sp_engine_start(NULL, self);
}

static void after_fork_in_child(void)
{
    uint64_t mask = sp_os_mask_block(~SP_TURN_FAULTS); /* handlers of ours find all in order, or the parent's */
    sp_session.pid = sp_os_getpid();
    if (sp_engine)
        sp_engine->child();
    sp_session.is_child = true;
    sp_publish_forked();
    is_bare_child = false;
    sp_os_limit_forked();
    sp_os_files_forked();
    sp_py_end_forked();
    struct sp_live *self = sp_self_forked();
    sp_gate_forked();
    sp_unwind_forked();
    sp_turn_forked();
    sp_schedule_forked();
    sp_relay_forked();
    sp_hook_stack_forked();
    sp_diag_enable(config.verbose == SP_VERBOSE_ALWAYS);
    if (sp_session.state == SP_SESSION_RUNNING)
        await_python(self);
    sp_os_mask_set(mask);
    unblock();
}

/* Begins the fork child's recording, while it is alone. Runs in the handler when the first tick comes before anything else. */
SP_SIGSAFE static void start_child(void)
{
    child_pending = false;
    sp_recording_begin_child();
}

SP_SIGSAFE static void child_ticks(void)
{
    if (child_pending && sp_load_relaxed(&sp_session.state) == SP_SESSION_RUNNING && sp_session_is_own_process())
        start_child();
}

void sp_lifecycle_child_runs_python(void)
{
    if (!child_pending || !sp_session_is_own_process())
        return;
    uint64_t mask = sp_os_mask_block(SP_OS_MASK(SIGPROF));
    if (child_pending)
        start_child();
    sp_os_mask_set(mask);
}

static void register_fork_handlers(void)
{
    if (SP_REAL(__register_atfork))
        SP_REAL(__register_atfork)(before_fork, after_fork_in_parent, after_fork_in_child, NULL);
    else if (SP_REAL(pthread_atfork))
        SP_REAL(pthread_atfork)(before_fork, after_fork_in_parent, after_fork_in_child);
}

int sp_lifecycle_fork_bare(int (*fork)(void))
{
    if (sp_load_relaxed(&sp_session.state) != SP_SESSION_RUNNING || !sp_session_is_own_process())
        return fork();
    before_fork();
    int pid = fork(), saved = errno;
    (pid == 0 ? after_fork_in_child : after_fork_in_parent)();
    is_bare_child |= pid == 0;
    errno = saved;
    return pid;
}

/* ---- start */
static void explain_unknown(void)
{
    sp_diag_join("CPython ", sp_py.version, " cannot be looked into; ", sp_py.why,
                 "; CPU time is shown per thread as (python)");
}

/* What samples are made of. */
static void prepare_sampling(void)
{
    bool has_probe = sp_os_probe_init();
    if (sp_py.layout && (!has_probe || !sp_py_tss_init())) {
        sp_py.layout = NULL;
        sp_py.ops = &sp_py_ops_unknown;
        memcpy(sp_py.why, "this libc's thread descriptor is not understood", 48);
    }
    if (!sp_py.layout)
        explain_unknown();
    else if (config.tasks && !sp_py.layout->ts_task)
        sp_diag_join("SPPROF_TASKS=1 has no effect; a task can be seen from CPython 3.14 on, with a GIL, and this is ",
                     sp_py.version, "; stacks begin with their first function", "", "");
    sp_py_tss_learn_existing_key();
    sp_py_touch();
    sp_engine = config.engine == SP_ENGINE_FINE ? &sp_engine_fine : &sp_engine_cpu;
    sp_handler_forked = child_ticks;
}

/* Once a process. */
static void install(void)
{
    sp_hook_python_start();
    sp_forget_start();
    sp_self_init();
    register_fork_handlers();
    sp_hook_stack_start();
    sp_session.native = (int)config.native;
    if (config.native) {
        sp_modules_start();
        sp_py_gc_start();
        sp_unwind_libunwind_start();
    }
    sp_offclock_is_on = config.wall;
    sp_hook_wait_is_on = config.wall || sp_engine->before_wait;
    sp_engine->open(config.interval_ns); /* its ticks are known from here on */
    sp_hook_signal_start(sp_lifecycle_finish, (int)config.signal, config.spool[0] != 0);
    sp_store_release(&sp_session.state, SP_SESSION_RUNNING);
    sp_self_begin_main(sp_os_main_stack());
}

static bool begin_recording(uint64_t cpu_before, bool is_whole)
{
    bool has_begun = !sp_region && sp_recording_begin(cpu_before, is_whole);
    if (has_begun)
        sp_schedule_begun();
    return has_begun;
}

static void start(uint64_t cpu_before)
{
    if (sp_session.pid <= 0) {
        sp_diag("the system forbids getpid(); this process runs unprofiled");
        return;
    }
    if (!sp_hook_signal_can_start()) {
        sp_diag("the system forbids signal handlers; this process runs unprofiled");
        return;
    }
    if (!sp_recording_init(&config, &identity))
        return;
    prepare_sampling();
    sp_schedule_init(&config);
    install();
    sp_spool_tidy();
    uint64_t mask;
    if (!sp_turn_take(&mask)) /* handlers of ours are there already */
        return;
    if (sp_schedule_begins_now())
        begin_recording(cpu_before, true);
    else if (sp_schedule_awaits())
        sp_recording_await();
    sp_turn_end(false);
    sp_os_mask_set(mask);
}

static void say_option(const char *line)
{
    sp_diag(line);
}

/* False: it is left alone. */
static bool python_starts(void)
{
    uint64_t cpu_before = sp_os_process_cpu_ns();
    sp_identity_read(&identity);
    sp_config_read(&config, environ, NULL);
    if (config.programs[0] && !sp_identity_is_one_of(&identity, config.programs)) {
        sp_diag_enable(config.verbose == SP_VERBOSE_ALWAYS);
        sp_diag("this program is none of SPPROF_PROGRAMS; it runs unprofiled");
        return false;
    }
    bool first = sp_run_take_ownership(); /* of the name without a number: only who is going to use it */
    const char *verbose = sp_environment_value(environ, "SPPROF_VERBOSE");
    sp_diag_enable(first || (verbose && strcmp(verbose, "1") == 0));
    sp_config_read(&config, environ, say_option);
    if (!config.on)
        return false;
    asked.interval_ns = config.interval_ns;
    asked.memory_bytes = config.memory_bytes;
    sp_publish_init(&config, &identity, first);
    if (config.spool[0])
        sp_spool_init(config.spool);
    start(cpu_before);
    return true;
}

bool sp_lifecycle_load(void)
{
    sp_session.pid = sp_os_getpid();
    if (sp_os_is_privileged())
        return false;
    const char *off = sp_environment_value(environ, "SPPROF");
    if (off && (strcmp(off, "off") == 0 || strcmp(off, "0") == 0))
        return false;
    sp_run_mark();
    if (!sp_run_is_first() && sp_environment_value(environ, "SPPROF_CHILDREN") &&
        strcmp(sp_environment_value(environ, "SPPROF_CHILDREN"), "0") == 0)
        return false;
    sp_identity_note_program();
    sp_store_release(&sp_session.state, SP_SESSION_WATCHING);
    return sp_python_find_linked() && python_starts();
}

bool sp_lifecycle_python_starts(const void *address)
{
    if (sp_load_acquire(&sp_py.ops)) {
        if (!sp_session.ran_python && sp_py_contains(address) && sp_session_is_own_process())
            sp_session.ran_python = true;
        return false;
    }
    if (sp_load_acquire(&sp_session.state) != SP_SESSION_WATCHING || !sp_python_find_at(address))
        return false;
    sp_session.ran_python = true;
    return python_starts();
}

/* ---- the end */
void sp_lifecycle_finish_before_exit(void)
{
    /* A signal that comes while we write would have come too late without us: it stays blocked. */
    if (sp_session_region())
        sp_session_blocks(sp_os_mask_block(~SP_TURN_FAULTS));
    sp_lifecycle_finish(SP_FINISH_END);
}

struct writing {
    struct sp_region *region;
    enum sp_finish how;
};

static bool goes_on(enum sp_finish how)
{
    return how == SP_FINISH_SNAPSHOT || how == SP_FINISH_REQUEST;
}

static void write_here(void *arg)
{
    struct writing *w = arg;
    if (sp_publish_live(w->region, !goes_on(w->how)) >= 0 && !goes_on(w->how))
        sp_spool_leave();
}

static void finish(enum sp_finish how, bool is_worth)
{
    uint64_t mask;
    if (!sp_turn_take(&mask))
        return;
    if (!goes_on(how))
        sp_schedule_write_left();
    struct writing w = {sp_session_region(), how}; /* another one, or none, by now */
    bool is_written = w.region && is_worth;
    if (is_written)
        sp_turn_call(write_here, &w);
    else if (w.region)
        sp_spool_leave();
    if (is_written && how != SP_FINISH_END)
        sp_handler_thaw(w.region);
    sp_turn_end(is_written && how == SP_FINISH_END);
    if (!goes_on(how)) /* its end would be told to the new program, by a SIGCHLD, or to who inherits an orphan */
        sp_turn_await_beside();
    sp_os_mask_set(mask);
}

void sp_lifecycle_finish(enum sp_finish how)
{
    /* From 3.15 on nothing tells that a fork child runs Python before its first tick; but one that ends without an
     * exec did. */
    if (child_pending && how == SP_FINISH_END && sp_py_needs_touch() && !is_bare_child)
        sp_lifecycle_child_runs_python();
    if (!sp_session_is_running())
        return;
    bool is_worth = sp_publish_is_worth();
    if (!goes_on(how) || (sp_session_region() && is_worth))
        finish(how, is_worth);
    else if (how == SP_FINISH_REQUEST && !sp_session_region())
        sp_lifecycle_begin();
}

void sp_lifecycle_exec_failed(void)
{
    uint64_t mask;
    if (!sp_spool_is_wanted() || !sp_session_region() || !sp_turn_take(&mask))
        return;
    struct sp_region *r = sp_session_region();
    if (r && sp_spool_is_wanted()) {
        sp_handler_freeze(r, WAIT_FOR_HANDLERS_NS);
        sp_recording_enter_spool();
        sp_handler_thaw(r);
    }
    sp_turn_end(false);
    sp_os_mask_set(mask);
}

/* ---- recordings on request */
struct beginning {
    const struct sp_recording_wish *wish; /* NULL: what the options say */
    bool has_begun;
};

static void begin_here(void *arg)
{
    struct beginning *b = arg;
    config.interval_ns = b->wish && b->wish->interval_ns ? b->wish->interval_ns : asked.interval_ns;
    config.memory_bytes = b->wish && b->wish->memory_bytes ? b->wish->memory_bytes : asked.memory_bytes;
    uint64_t cpu_ns = sp_os_process_cpu_ns();
    b->has_begun = b->wish ? sp_recording_begin(cpu_ns, false) : begin_recording(cpu_ns, false);
}

bool sp_lifecycle_begin_as(const struct sp_recording_wish *wish)
{
    uint64_t mask;
    if (!sp_session_is_running() || !sp_turn_take(&mask))
        return false;
    struct beginning b = {wish, false};
    if (!sp_region)
        sp_turn_call(begin_here, &b); /* who asks may be a handler */
    sp_turn_end(false);
    sp_os_mask_set(mask);
    return b.has_begun;
}

bool sp_lifecycle_begin(void)
{
    return sp_lifecycle_begin_as(NULL);
}

struct looking {
    sp_lifecycle_looks *look;
    void *arg;
    struct sp_region *region;
};

static void look_here(void *arg)
{
    struct looking *l = arg;
    uint64_t cpu_ns = sp_os_process_cpu_ns();
    sp_handler_freeze(l->region, WAIT_FOR_HANDLERS_NS);
    l->look(l->arg, l->region, cpu_ns);
    sp_handler_thaw(l->region);
}

bool sp_lifecycle_look(sp_lifecycle_looks *look, void *arg)
{
    uint64_t mask;
    sp_lifecycle_child_runs_python();
    if (!sp_session_is_running() || !sp_region_now() || !sp_turn_take(&mask)) /* it may be gone before we have the turn */
        return false;
    struct looking l = {look, arg, sp_session_region()};
    if (l.region)
        sp_turn_call(look_here, &l);
    sp_turn_end(false);
    sp_os_mask_set(mask);
    return l.region;
}

const struct sp_config *sp_lifecycle_config(void)
{
    return &config;
}

bool sp_lifecycle_end(sp_recording_closed *closed, void *arg)
{
    uint64_t mask;
    sp_lifecycle_child_runs_python();
    if (!sp_session_is_running() || !sp_region_now() || !sp_turn_take(&mask))
        return false;
    bool is_on = sp_region;
    if (is_on)
        sp_recording_end(closed, arg);
    if (is_on && sp_schedule_awaits())
        sp_recording_await();
    sp_turn_end(false);
    sp_os_mask_set(mask);
    return is_on;
}

bool sp_lifecycle_swap(sp_recording_closed *closed, void *arg)
{
    uint64_t mask;
    sp_lifecycle_child_runs_python();
    if (!sp_session_region() || !sp_turn_take(&mask))
        return false;
    bool is_done = sp_region && sp_recording_swap(closed, arg);
    sp_turn_end(false);
    sp_os_mask_set(mask);
    return is_done;
}
