/* SPDX-License-Identifier: MIT
 * See dump.h. */
#include "inject/dump.h"

#include <errno.h>
#include <string.h>

#include "compat/cpu.h"
#include "compat/os.h"
#include "compat/py.h"
#include "inject/session.h"
#include "sampler/native.h"

#define FRAMES 4096u
#define TEXT_BYTES (512u << 10)
#define NAME_BYTES 512u
#define FILE_BYTES 4000u
#define LOOKS 3
#define ANSWER_NS (SP_NS_PER_S / 20)
#define STUCK_NS (2 * SP_NS_PER_S)
#define STACK_BYTES (8ul << 20) /* how far below its end a sleeper's stack may reach: walkers want to know (compat/py_walk.h) */

enum question { NONE, ASKED, BUSY, ANSWERED };

/* Memory for one dump, which the process beside and a thread that answers share. */
struct dump {
    union {
        struct sp_ring_thread thread;
        char text[TEXT_BYTES];
    } record;
    struct sp_py_frame frames[FRAMES];
    uint64_t pages[SP_PY_PAGES];
    struct sp_native native;
    bool has_native;     /* of the thread in question, its native stack was walked */
    uintptr_t pc, sp;    /* of one that sleeps; 0: not known */
    const void *context; /* where the thread that writes, if it is one of the program's, was interrupted */
    int file, rc;
    uint32_t near;
    bool is_beside;
};

/* Threads: by who has the turn; question by a thread that answers as well, by compare-and-swap, which has the dump while it is BUSY. */
static struct dump *dump;
static uint32_t question;
static uint64_t asked; /* what the signal carries */
static int asked_tid;

/* ---- a stack becomes text */
static bool put_python(const struct sp_py_frame *f, struct sp_ring_frame *frame, char *text)
{
    struct sp_py_code code;
    if (!sp_py_code_read(f->code, &code))
        return false;
    struct sp_lines_input lines = {sp_py.layout->lines, (const uint8_t *)code.lines, code.lines_bytes, code.first_line};
    frame->line = sp_py_line(&lines, f->offset);
    frame->name_bytes = (uint16_t)sp_py_text(code.name, text, NAME_BYTES);
    frame->file_bytes = (uint16_t)sp_py_text(code.file, text + frame->name_bytes, FILE_BYTES);
    return true;
}

static void put_native(const struct sp_py_frame *f, struct sp_ring_frame *frame, char *text)
{
    struct sp_module m;
    struct sp_buf name = sp_buf_at(text, NAME_BYTES);
    enum sp_native_found found = sp_native_find(f, &m, &frame->place);
    frame->is_native = 1;
    if (found == SP_NATIVE_FUNCTION) {
        frame->file_bytes = (uint16_t)sp_module_path(&m, text, FILE_BYTES);
        frame->id_bytes = (uint16_t)sp_module_build_id(&m, (uint8_t *)text + frame->file_bytes);
        return;
    }
    sp_buf_str(&name, sp_store_pseudo_name(found == SP_NATIVE_COLLECTOR ? SP_PSEUDO_GC : SP_PSEUDO_NATIVE_UNKNOWN));
    frame->name_bytes = (uint16_t)name.len;
}

static bool put_frame(struct dump *d, const struct sp_py_frame *f)
{
    struct sp_ring_thread *t = &d->record.thread;
    struct sp_ring_frame frame = {.line = 0};
    if (t->bytes + sizeof frame + NAME_BYTES + FILE_BYTES + SP_BUILD_ID_MAX + 8 > TEXT_BYTES)
        return false;
    char *at = d->record.text + t->bytes, *text = at + sizeof frame;
    if (sp_native_is(f))
        put_native(f, &frame, text);
    else if (!put_python(f, &frame, text))
        return false;
    memcpy(at, &frame, sizeof frame);
    t->bytes += (uint32_t)sizeof frame + frame.name_bytes + frame.file_bytes + frame.id_bytes;
    t->n_frames++;
    return true;
}

/* tstate: 0, there is no Python. */
static enum sp_ring_stack put_stack(struct dump *d, uintptr_t tstate, uintptr_t sp, uintptr_t stack_top)
{
    struct sp_py_walk w = {.frames = d->frames, .cap = FRAMES, .sp = sp, .stack_top = stack_top, .pages = d->pages};
    w.loops = d->has_native ? d->native.loops : NULL;
    w.most_loops = SP_NATIVE_LOOPS;
    memset(d->pages, 0, sizeof d->pages);
    enum sp_py_reject why = tstate ? sp_py.ops->walk(&sp_py, tstate, &w) : SP_PY_NO_FRAME;
    if (why && why != SP_PY_NO_FRAME)
        return SP_RING_UNKNOWN;
    if (why)
        w.n = w.n_loops = 0;
    if (d->has_native)
        sp_native_merge((enum sp_native_shown)sp_session.native, &d->native, &w);
    for (uint32_t i = 0; i < w.n; i++)
        if (!put_frame(d, &w.frames[i]))
            w.truncated = true;
    d->record.thread.is_truncated = w.truncated;
    return w.n ? SP_RING_TAKEN : SP_RING_NO_PYTHON;
}

static void take(struct dump *d, enum sp_py_reject why, uintptr_t tstate, uintptr_t sp, uintptr_t stack_top)
{
    struct sp_ring_thread *t = &d->record.thread;
    t->bytes = sizeof *t;
    t->n_frames = 0;
    t->stack = why == SP_PY_FINALIZING && !tstate ? SP_RING_SHUTDOWN
               : why && why != SP_PY_FINALIZING   ? SP_RING_UNKNOWN
                                                  : put_stack(d, tstate, sp, stack_top);
}

/* False: native frames are not wanted. */
static bool wants_native(struct dump *d, uintptr_t stack_top)
{
    d->native.unwind.frames = d->native.frames;
    d->native.unwind.cap = SP_NATIVE_FRAMES - 1; /* and the mark of a gap */
    d->native.unwind.stack_top = stack_top;
    return sp_session.native != SP_NATIVE_OFF;
}

/* ---- of a thread that runs */
static void take_own(struct dump *d, const void *context)
{
    const struct sp_live *l = sp_session_self;
    uintptr_t tstate = 0, top = l ? l->stack_top : 0;
    enum sp_py_reject why = !sp_py.layout || (sp_py_needs_touch() && !l) ? SP_PY_BAD_TSTATE : sp_py_own_tstate(&tstate);
    d->has_native = context && wants_native(d, top);
    if (d->has_native)
        sp_unwind(&d->native.unwind, context);
    take(d, why, tstate, context ? sp_cpu_context_sp(context) : (uintptr_t)__builtin_frame_address(0), top);
}

void sp_dump_answer(uint64_t value, const void *context)
{
    uint32_t now = ASKED;
    if (sp_load_acquire(&question) != ASKED || value != sp_load_relaxed(&asked) || asked_tid != sp_os_gettid() ||
        !sp_cas(&question, &now, BUSY))
        return;
    take_own(dump, context);
    sp_store_release(&question, ANSWERED);
    sp_os_changed(&question);
}

static bool wait_for_answer(void)
{
    uint64_t from = sp_os_mono_exact_ns(), at = from;
    for (uint32_t now; (now = sp_load_acquire(&question)) != ANSWERED; at = sp_os_mono_exact_ns()) {
        if (at - from > STUCK_NS) /* it was stopped in the middle: the dump is its to write to for good */
            return false;
        if (now == ASKED && at - from > ANSWER_NS && sp_cas(&question, &now, NONE))
            return true;
        sp_os_await_change(&question, now, ANSWER_NS);
    }
    return true;
}

static void ask(struct dump *d, int tid)
{
    siginfo_t info;
    memset(&info, 0, sizeof info);
    asked_tid = tid;
    asked = sp_ring_value(SP_RING_STACK, sp_os_mono_exact_ns() & 0xffffffffff);
    info.si_signo = SP_RING_SIGNAL;
    info.si_code = SI_QUEUE;
    info.si_pid = sp_session.pid;
    info.si_value.sival_ptr = (void *)(uintptr_t)asked;
    d->record.thread.stack = SP_RING_SILENT;
    sp_store_release(&question, ASKED);
    if (sp_os_thread_blocks(tid, SP_RING_SIGNAL)) {
        d->record.thread.stack = SP_RING_MOVING;
        sp_store_release(&question, NONE);
    } else if (sp_os_queue_to_thread(tid, SP_RING_SIGNAL, &info) != 0) {
        sp_store_release(&question, NONE);
    } else if (!wait_for_answer()) {
        d->rc = -EDEADLK;
    }
}

/* ---- of one that sleeps */
/* How long it ran and how often: the latter grows when it begins to (sched_info_arrive in the kernel's kernel/sched/stats.h). */
struct moment {
    char ran[64];
};

static struct moment moment_of(int tid)
{
    struct moment m;
    sp_os_thread_file(tid, "schedstat", m.ran, sizeof m.ran);
    return m;
}

static void put_state(struct sp_ring_thread *t)
{
    char stat[512];
    sp_os_thread_file(t->tid, "stat", stat, sizeof stat);
    const char *end = strrchr(stat, ')');
    t->state = end && end[1] == ' ' ? (unsigned char)end[2] : 0;
    if (t->state != 'R')
        sp_os_thread_file(t->tid, "wchan", t->inside, sizeof t->inside);
    if (strcmp(t->inside, "0") == 0)
        t->inside[0] = '\0';
}

/* " 0x7f..." */
static uint64_t next_number(const char **s)
{
    uint64_t n = 0;
    const char *p = *s + strspn(*s, " ");
    for (p += strncmp(p, "0x", 2) == 0 ? 2 : 0; (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'f'); p++)
        n = n << 4 | (uint64_t)(*p <= '9' ? *p - '0' : *p - 'a' + 10);
    *s = p;
    return n;
}

/* What it does: "running", or the system call that it sleeps in, "202 0x7f... ...", six arguments, its stack pointer, its instruction
 * pointer; or less, where the system does not tell that to everybody. */
static void put_doing(struct dump *d)
{
    struct sp_ring_thread *t = &d->record.thread;
    char call[256];
    uint64_t first;
    d->pc = d->sp = 0;
    t->inside[0] = '\0';
    t->call = -1;
    t->waits_for_gil = 0;
    sp_os_thread_file(t->tid, "syscall", call, sizeof call);
    if (call[0] < '0' || call[0] > '9' || t->tid == sp_os_gettid()) { /* the last: it is in a call of ours */
        put_state(t);
        return;
    }
    const char *s = call;
    for (t->call = 0; *s >= '0' && *s <= '9'; s++)
        t->call = t->call * 10 + (*s - '0');
    first = next_number(&s);
    for (int i = 1; i < 6; i++) /* its other arguments */
        next_number(&s);
    d->sp = next_number(&s);
    d->pc = next_number(&s);
    t->state = 'S';
    t->waits_for_gil = sp_os_call_waits(t->call, 0) && sp_py.layout && sp_py_wait_is_gil(first);
}

struct sleeper {
    struct dump *d;
    const struct sp_live *live;
};

static void take_sleeper(void *arg)
{
    const struct sleeper *s = arg;
    struct dump *d = s->d;
    uintptr_t tstate = 0, top = s->live ? s->live->stack_top : 0, thread = s->live ? s->live->thread_pointer : 0;
    enum sp_py_reject why = !sp_py.layout ? SP_PY_BAD_TSTATE : thread ? sp_py_tstate_of(thread, &tstate) : SP_PY_OK;
    d->has_native = d->pc && wants_native(d, top);
    if (d->has_native)
        sp_unwind_asleep(&d->native.unwind, d->pc, d->sp);
    take(d, why, tstate, d->sp ? d->sp : top ? top - STACK_BYTES : 0, top);
}

/* False: it did not sleep all the while. */
static bool read_sleeper(struct dump *d, int tid, const struct sp_live *live)
{
    struct sp_ring_thread *t = &d->record.thread;
    struct sleeper s = {d, live};
    struct moment before = moment_of(tid);
    put_doing(d);
    if (t->state == 'R' || !before.ran[0]) /* or a system that does not say how long it ran */
        return false;
    /* What it wrote before it slept is there for whoever saw it asleep, and what is read is read before the second look: the kernel
     * orders the switch to another thread (kernel/sched/core.c, __schedule), its files promise nothing. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    bool is_read = sp_os_beside_try(take_sleeper, &s);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    struct moment after = moment_of(tid);
    sp_unwind_asleep_over();
    if (strcmp(after.ran, before.ran) != 0)
        return false;
    if (!is_read) {
        t->bytes = sizeof *t;
        t->n_frames = 0;
        t->stack = SP_RING_UNKNOWN;
    }
    return true;
}

static void put_name(struct sp_ring_thread *t, const struct sp_live *live)
{
    if (live && live->name[0])
        memcpy(t->name, live->name, sizeof t->name - 1);
    else if (t->tid == sp_session.pid)
        memcpy(t->name, "MainThread", 11);
    else
        sp_os_thread_name_of(t->tid, t->name);
}

/* ---- all of them */
static void put_thread(void *arg, int tid)
{
    struct dump *d = arg;
    struct sp_ring_thread *t = &d->record.thread;
    const struct sp_live *live = sp_live_by_tid(tid, &d->near);
    if (d->rc)
        return;
    memset(t, 0, sizeof *t);
    t->bytes = sizeof *t;
    t->tid = tid;
    t->call = -1;
    put_name(t, live);
    bool is_done = false;
    for (int i = 0; d->is_beside && i < LOOKS && !is_done; i++)
        is_done = read_sleeper(d, tid, live);
    if (!d->is_beside && tid == sp_os_gettid())
        take_own(d, d->context);
    else if (!d->is_beside)
        t->stack = SP_RING_NOT_READ;
    else if (!is_done)
        ask(d, tid);
    if (!d->is_beside)
        put_doing(d);
    if (!d->rc)
        d->rc = d->record.thread.bytes > sp_os_limit_file_size() ? -EFBIG : sp_os_write_all(d->file, d->record.text, t->bytes);
}

int sp_dump_write(int file, bool is_beside, const void *context)
{
    dump = sp_os_pages(sizeof *dump);
    if (!dump)
        return -ENOMEM;
    dump->file = file;
    dump->is_beside = is_beside;
    dump->context = context;
    dump->near = 1;
    sp_unwind_asleep_over(); /* the last who wrote may have been killed */
    int rc = sp_os_each_thread(put_thread, dump);
    rc = dump->rc ? dump->rc : rc;
    if (rc != -EDEADLK)
        sp_os_release(dump, sizeof *dump);
    return rc;
}
