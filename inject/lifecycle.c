/* SPDX-License-Identifier: MIT
 * See lifecycle.h. Threading: everything here is written before SP_SESSION_RUNNING by one thread, except writer_state
 * (CAS), and what the fork child handler resets while it is alone. */
#include "inject/lifecycle.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "compat/buf.h"
#include "compat/cpu.h"
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
#include "inject/output.h"
#include "inject/python.h"
#include "inject/recording.h"
#include "inject/relay.h"
#include "inject/run.h"
#include "inject/self.h"
#include "inject/session.h"
#include "inject/spool.h"
#include "sampler/engine.h"
#include "sampler/gate.h"
#include "sampler/intern.h"
#include "sampler/offclock.h"

/* in glibc; pthread_atfork lies in its static part before 2.34, and is all that musl has */
extern int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *);
SP_REAL_SLOT(__register_atfork);
SP_REAL_SLOT(pthread_atfork);

#define WAIT_FOR_HANDLERS_NS (2 * SP_NS_PER_S)
#define FAULTS                                                                                                  \
    (SP_OS_MASK(SIGSEGV) | SP_OS_MASK(SIGBUS) | SP_OS_MASK(SIGFPE) | SP_OS_MASK(SIGILL) | SP_OS_MASK(SIGTRAP) | \
     SP_OS_MASK(SIGSYS) | SP_OS_MASK(SIGABRT))
#define WRITER_STACK_BYTES 32768 /* tests/lint/stack.py: less than half of it is used */
#define WAIT_FOR_PROGRESS_NS (10 * SP_NS_PER_S)

enum writer { IDLE, WRITING, DONE };

static int writer_state, writer_tid;
static bool child_pending; /* a fork child that has run no Python yet */
static bool is_child;
static bool is_bare_child; /* of _Fork(): as a rule C code's, to end soon */
static bool python_ran;
static struct sp_config config;
static struct sp_output output;
static struct sp_identity identity;

bool sp_lifecycle_has_native(void)
{
    return config.native != SP_NATIVE_OFF;
}

/* ---- fork */
/* Whether SIGPROF is to be unblocked after a fork, and, above, after those that it interrupted: a signal handler may fork.
 * Only that: other handlers of a fork may change the mask. */
static __thread uint32_t unblock_after_fork;

static void before_fork(void)
{
    uint64_t mask = sp_os_mask_block(SP_OS_MASK(SIGPROF)); /* a tick in a long clone() would restart it */
    unblock_after_fork = unblock_after_fork << 1 | !(mask & SP_OS_MASK(SIGPROF));
}

static void unblock(void)
{
    bool was_unblocked = unblock_after_fork & 1;
    unblock_after_fork >>= 1;
    if (was_unblocked)
        sp_os_mask_unblock(SP_OS_MASK(SIGPROF));
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
    if (child_pending && self)
        sp_engine_start(NULL, self);
}

static void after_fork_in_child(void)
{
    sp_session.pid = sp_os_getpid();
    if (sp_engine)
        sp_engine->child();
    is_child = true;
    is_bare_child = false;
    sp_os_limit_forked();
    sp_py_end_forked();
    struct sp_live *self = sp_self_forked();
    sp_gate_forked();
    sp_unwind_forked();
    writer_state = IDLE;
    sp_relay_forked();
    sp_hook_stack_forked();
    output.is_owner = false;
    output.written_inode = 0;
    output.skipped_ns = 0;
    sp_diag_enable(config.verbose == SP_VERBOSE_ALWAYS);
    if (sp_session.state == SP_SESSION_RUNNING)
        await_python(self);
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
    sp_engine = &sp_engine_cpu;
    sp_handler_forked = child_ticks;
}

/* Once a process. */
static void install(void)
{
    memcpy(output.host, identity.host, sizeof output.host);
    memcpy(output.script, identity.script, sizeof output.script);
    sp_hook_python_start();
    sp_forget_start();
    sp_self_init();
    register_fork_handlers();
    sp_hook_stack_start();
    if (config.native)
        sp_modules_start();
    sp_offclock_is_on = config.wall;
    sp_engine->open(config.interval_ns); /* its ticks are known from here on */
    sp_hook_signal_start(sp_lifecycle_finish, (int)config.signal, config.spool[0] != 0);
    sp_store_release(&sp_session.state, SP_SESSION_RUNNING);
    sp_self_begin_main(sp_os_main_stack());
}

static void start(uint64_t cpu_before)
{
    if (!sp_hook_signal_can_start()) {
        sp_diag("the system forbids signal handlers; this process runs unprofiled");
        return;
    }
    if (!sp_recording_init(&config, &identity))
        return;
    prepare_sampling();
    install();
    sp_recording_begin(cpu_before);
}

static void say_option(const char *line)
{
    sp_diag(line);
}

static void python_starts(void)
{
    uint64_t cpu_before = sp_os_process_cpu_ns();
    sp_identity_read(&identity);
    sp_config_read(&config, environ, NULL);
    if (config.programs[0] && !sp_identity_is_one_of(&identity, config.programs)) {
        sp_diag_enable(config.verbose == SP_VERBOSE_ALWAYS);
        sp_diag("this program is none of SPPROF_PROGRAMS; it runs unprofiled");
        return;
    }
    bool first = sp_run_take_ownership(); /* of the name without a number: only who is going to use it */
    const char *verbose = sp_environment_value(environ, "SPPROF_VERBOSE");
    sp_diag_enable(first || (verbose && strcmp(verbose, "1") == 0));
    sp_config_read(&config, environ, say_option);
    output.is_owner = first;
    output.run_started_ns = sp_run_started_ns();
    output.most_files = config.files;
    if (!config.on)
        return;
    sp_output_init(&output, config.out, environ);
    if (config.spool[0])
        sp_spool_init(config.spool);
    start(cpu_before);
}

void sp_lifecycle_load(void)
{
    sp_session.pid = sp_os_getpid();
    if (sp_os_is_privileged())
        return;
    const char *off = sp_environment_value(environ, "SPPROF");
    if (off && (strcmp(off, "off") == 0 || strcmp(off, "0") == 0))
        return;
    sp_run_mark();
    if (!sp_run_is_first() && sp_environment_value(environ, "SPPROF_CHILDREN") &&
        strcmp(sp_environment_value(environ, "SPPROF_CHILDREN"), "0") == 0)
        return;
    sp_identity_note_program();
    sp_store_release(&sp_session.state, SP_SESSION_WATCHING);
    if (sp_python_find_linked())
        python_starts();
}

void sp_lifecycle_python_starts(const void *address)
{
    if (sp_load_acquire(&sp_py.ops)) {
        if (!python_ran && sp_py_contains(address) && sp_session_is_own_process())
            python_ran = true;
        return;
    }
    if (sp_load_acquire(&sp_session.state) != SP_SESSION_WATCHING || !sp_python_find_at(address))
        return;
    python_ran = true;
    python_starts();
}

/* ---- the end */
static uint64_t writer_started_ns;

static uint64_t writer_cpu_ns(void)
{
    return sp_os_thread_cpu_ns() - writer_started_ns;
}

static void say_summary(const struct sp_region *r)
{
    bool speak = config.verbose == SP_VERBOSE_ALWAYS ||
                 (config.verbose == SP_VERBOSE_AUTO && !is_child && output.is_owner && sp_os_is_terminal(2));
    if (!speak)
        return;
    char line[128];
    SP_BUF(b, line);
    uint64_t samples = r->folded_samples;
    for (uint32_t i = 1; i <= r->n_threads && i <= r->max_threads; i++) {
        const struct sp_thread *t = sp_thread_at(r, i);
        samples += t && t->state != SP_THREAD_FREE ? t->samples : 0;
    }
    sp_buf_u64(&b, samples);
    sp_buf_str(&b, " samples; the profile is in ");
    sp_diag_join(line, output.written, NULL, NULL, NULL);
}

static int write_profile(struct sp_region *r, enum sp_finish how)
{
    struct sp_profile p = sp_writer_profile(r);
    p.complete = how != SP_FINISH_SNAPSHOT;
    p.writer_cpu_ns = writer_cpu_ns;
    p.thread_name = sp_identity_thread_name_of;
    p.process_cpu_ns = sp_os_process_cpu_ns();
    writer_started_ns = sp_os_thread_cpu_ns();
    p.process_cpu_ns -= sp_min_u64(p.process_cpu_ns, r->before_start_ns);
    p.wall_ns = sp_os_mono_ns() - r->started_mono_ns;
    sp_handler_freeze(r, WAIT_FOR_HANDLERS_NS);
    if (!sp_hook_signal_is_ours() && r->loss[SP_LOSS_REPLACED] == 0) {
        sp_count_loss(r, SP_LOSS_REPLACED);
        sp_diag(
            "the program set its own SIGPROF handler by a raw system call; ticks went there; time since then is (not sampled)");
    }
    output.spool = sp_spool_path();
    sp_store_scratch_begin(r);
    int rc = sp_output_write(&output, &p);
    sp_store_scratch_end(r);
    if (rc == 0)
        say_summary(r);
    return rc;
}

static bool wait_for_writer(void)
{
    int tid = sp_load_acquire(&writer_tid);
    if (tid == sp_os_gettid())
        return false; /* the writer itself was interrupted: through */
    uint64_t until = sp_os_mono_exact_ns() + WAIT_FOR_PROGRESS_NS, cpu = 0;
    while (sp_load_acquire(&writer_state) == WRITING && sp_os_mono_exact_ns() < until) {
        /* Whatever it does takes CPU; a writer that a file system lets hang takes none. */
        uint64_t now = sp_os_thread_cpu_ns_of(sp_load_acquire(&writer_tid));
        if (now != cpu)
            until = sp_os_mono_exact_ns() + WAIT_FOR_PROGRESS_NS;
        cpu = now;
        sp_os_sleep_ns(1000000);
    }
    return sp_load_acquire(&writer_state) == IDLE;
}

void sp_lifecycle_finish_before_exit(void)
{
    /* A signal that comes while we write would have come too late without us: it stays blocked. */
    if (sp_session_region())
        sp_os_mask_block(~FAULTS);
    sp_lifecycle_finish(SP_FINISH_END);
}

struct writing {
    struct sp_region *region;
    enum sp_finish how;
};

static void write_here(void *arg)
{
    struct writing *w = arg;
    if (write_profile(w->region, w->how) >= 0 && w->how != SP_FINISH_SNAPSHOT)
        sp_spool_leave();
}

/* What calls us may be a handler on a small stack, or a fibre that ends the process. There is one writer at a time. */
static void write_on_own_stack(struct sp_region *r, enum sp_finish how)
{
    static _Alignas(64) char stack[WRITER_STACK_BYTES];
    struct writing w = {r, how};
    sp_cpu_call_on(stack + sizeof stack, write_here, &w);
}

/* One at a time writes, or changes what is recorded. False: the end has come, or the one who does waits for the caller. */
static bool take_turn(uint64_t *mask)
{
    int idle = IDLE;
    while (!sp_cas(&writer_state, &idle, WRITING)) {
        if (idle == DONE || !wait_for_writer())
            return false;
        idle = IDLE;
    }
    /* A SIGTERM that found us here would end the process with half a file: it waits. Faults do not. */
    *mask = sp_os_mask_block(~FAULTS);
    sp_store_release(&writer_tid, sp_os_gettid());
    return true;
}

static void end_turn(uint64_t mask, enum writer next)
{
    sp_store_release(&writer_tid, 0);
    sp_store_release(&writer_state, (int)next);
    sp_os_mask_set(mask);
}

/* A CPython that was loaded and never initialised has no profile. */
static bool is_worth_writing(void)
{
    return python_ran || is_child || sp_py_running() || !sp_py.layout;
}

void sp_lifecycle_finish(enum sp_finish how)
{
    /* From 3.15 on nothing tells that a fork child runs Python before its first tick; but one that ends without an
     * exec did. */
    if (child_pending && how == SP_FINISH_END && sp_py_needs_touch() && !is_bare_child)
        sp_lifecycle_child_runs_python();
    uint64_t mask;
    if (!sp_session_region())
        return;
    if (!is_worth_writing()) {
        if (how != SP_FINISH_SNAPSHOT)
            sp_spool_leave();
        return;
    }
    if (!take_turn(&mask))
        return;
    struct sp_region *r = sp_session_region(); /* another one, or none, by now */
    if (r)
        write_on_own_stack(r, how);
    if (r && how != SP_FINISH_END)
        sp_handler_thaw(r);
    end_turn(mask, r && how == SP_FINISH_END ? DONE : IDLE);
}

void sp_lifecycle_exec_failed(void)
{
    struct sp_region *r = sp_spool_is_wanted() ? sp_session_region() : NULL;
    int idle = IDLE;
    if (!r || !sp_cas(&writer_state, &idle, WRITING))
        return;
    sp_handler_freeze(r, WAIT_FOR_HANDLERS_NS);
    sp_recording_enter_spool();
    sp_handler_thaw(r);
    sp_store_release(&writer_state, IDLE);
}

/* ---- recordings on request */
bool sp_lifecycle_begin(void)
{
    uint64_t mask;
    if (!sp_session_is_running() || !take_turn(&mask))
        return false;
    bool has_begun = !sp_region && sp_recording_begin(sp_os_process_cpu_ns());
    end_turn(mask, IDLE);
    return has_begun;
}

bool sp_lifecycle_end(sp_recording_closed *closed, void *arg)
{
    uint64_t mask;
    sp_lifecycle_child_runs_python();
    if (!sp_session_region() || !take_turn(&mask))
        return false;
    bool is_on = sp_region;
    if (is_on)
        sp_recording_end(closed, arg);
    end_turn(mask, IDLE);
    return is_on;
}

bool sp_lifecycle_swap(sp_recording_closed *closed, void *arg)
{
    uint64_t mask;
    sp_lifecycle_child_runs_python();
    if (!sp_session_region() || !take_turn(&mask))
        return false;
    bool is_done = sp_region && sp_recording_swap(closed, arg);
    end_turn(mask, IDLE);
    return is_done;
}
