/* SPDX-License-Identifier: MIT
 * Walks the Python stack after every machine instruction: the trap flag raises SIGTRAP after each, and the handler
 * calls the walkers as the sampler does. Loaded through ctypes; x86-64 only. */
#include <dlfcn.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include "compat/cpu.h"
#include "compat/elf.h"
#include "compat/os.h"
#include "compat/py.h"

#define CAP 2048

struct result {
    uint64_t steps, accepted, no_tstate, jumps, rejected[SP_PY_REJECT_N];
    uint64_t deepest, tasks, wrong_tasks, spans, wrong_spans, ending;
    uint64_t early, back; /* in Py_FinalizeEx() before it says so; no longer, though it says nothing yet */
    char jump[512];       /* the first impossible step, in words */
};

int step_prepare(void);
void step_start(uint64_t most);
void step_stop(struct result *r);
int step_learn(struct sp_py_span_known known, int is_alone);
void step_to_the_end(uint64_t burst);
void step_some(void);

static struct result result;
uint64_t step_count; /* result.steps, for the program that is stepped */
static uint64_t most_steps;
static bool to_the_end;
static uint64_t burst, burst_left; /* steps in a row; 0: all */
#define BURSTS_UNTIL_LONGER 128    /* the pause between them doubles then: on a slow machine the end takes longer */
static volatile int active;
static struct sp_py_frame stacks[2][CAP];
static uint32_t n_last, which;
static uint64_t pages[SP_PY_PAGES];
static sp_py_dealloc *original;

static void code_dies(void *code)
{
    memset(pages, 0, sizeof pages);
    original(code);
}

static void describe(char *out, size_t cap, const struct sp_py_frame *f, uint32_t n)
{
    size_t at = strlen(out);
    for (uint32_t i = 0; i < n && i < 4 && at + 40 < cap; i++) {
        struct sp_py_code c;
        if (sp_py_code_read(f[i].code, &c))
            at += sp_py_text(c.name, out + at, 30);
        out[at++] = i + 1 < n ? '<' : ' ';
    }
    out[at++] = '|';
    out[at] = '\0';
}

/* One instruction pushes a frame, pops one, or leaves the chain: the rest of the stack is the same. */
static void compare(const struct sp_py_frame *now, uint32_t n)
{
    const struct sp_py_frame *last = stacks[which];
    uint32_t common = 0;
    while (common < n && common < n_last && now[n - 1 - common].code == last[n_last - 1 - common].code)
        common++;
    bool possible =
        (n == n_last && common + 1 >= n) || (n == n_last + 1 && common == n_last) || (n + 1 == n_last && common == n);
    if (n_last && !possible && result.jumps++ == 0) {
        describe(result.jump, sizeof result.jump, last, n_last);
        describe(result.jump, sizeof result.jump, now, n);
    }
}

/* The program's tasks are called Task-<n> or named-<n>. */
static void read_task(uintptr_t tstate)
{
    static char name[256];
    uint32_t n = sp_py_task_name(tstate, name, sizeof name);
    result.tasks += n != 0;
    result.wrong_tasks += n && (n < 6 || (memcmp(name, "Task-", 5) != 0 && memcmp(name, "named-", 6) != 0));
}

/* Which of its spans the program may be in: two at a change, the last bit for none. */
#define SPANS 31
#define FIRST_SPAN (1u << 20)
uint32_t step_allowed;

static void read_span(uintptr_t tstate)
{
    uint32_t number = sp_py_span_now(tstate), in = number - FIRST_SPAN < SPANS ? number - FIRST_SPAN : SPANS;
    result.spans += in != SPANS;
    result.wrong_spans += !(step_allowed >> in & 1);
}

int step_learn(struct sp_py_span_known known, int is_alone)
{
    return sp_py_span_learn(&known, is_alone);
}

static void on_step(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info;
    ucontext_t *uc = context;
    if (!active || result.steps >= most_steps) {
        uc->uc_mcontext.gregs[REG_EFL] &= ~0x100ll;
        return;
    }
    step_count = ++result.steps;
    if (burst && --burst_left == 0) {
        uc->uc_mcontext.gregs[REG_EFL] &= ~0x100ll;
        uint64_t longer = result.steps / burst / BURSTS_UNTIL_LONGER;
        long us = 50l << (longer < 12 ? longer : 12);
        setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {0, us}}, NULL);
    }
    uintptr_t tstate;
    enum sp_py_reject why = sp_py_own_tstate(&tstate);
    result.ending += why == SP_PY_FINALIZING && tstate;
    bool early = why == SP_PY_OK && tstate && sp_py_is_ending(getauxval(AT_RANDOM), sp_cpu_context_sp(context), true);
    result.early += early;
    result.back += result.early && why == SP_PY_OK && tstate && !early;
    if ((why && why != SP_PY_FINALIZING) || !tstate) {
        result.no_tstate += !why;
        result.rejected[why] += why != SP_PY_OK;
        n_last = 0;
        return;
    }
    read_span(tstate);
    struct sp_py_walk w = {.frames = stacks[which ^ 1],
                           .cap = CAP,
                           .sp = sp_cpu_context_sp(context),
                           .stack_top = getauxval(AT_RANDOM),
                           .pages = pages};
    why = sp_py.ops->walk(&sp_py, tstate, &w);
    if (why) {
        result.rejected[why]++;
        memset(pages, 0, sizeof pages);
        return;
    }
    result.accepted++;
    if (w.n > result.deepest)
        result.deepest = w.n;
    read_task(tstate);
    compare(w.frames, w.n);
    which ^= 1;
    n_last = w.n;
}

int step_prepare(void)
{
    if (!sp_py_probe(dlsym, RTLD_DEFAULT) || !sp_py.layout)
        return -1;
    if (!sp_os_probe_init() || !sp_py_tss_init())
        return -2;
    sp_py_tss_learn_existing_key();
    struct sp_elf image;
    if (!sp_elf_at(&image, sp_py.entry))
        return -3;
    sp_py.finalize = (uintptr_t)sp_elf_find(&image, "Py_FinalizeEx");
    sp_py.finalize_end = sp_py.finalize + sp_elf_size(&image, "Py_FinalizeEx");
    original = sp_py_hook_code_dealloc(code_dies);
    struct sigaction act = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigfillset(&act.sa_mask);
    return sigaction(SIGTRAP, &act, NULL);
}

void step_start(uint64_t most)
{
    most_steps = most;
    active = 1;
    __asm__ volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc");
}

void step_stop(struct result *r)
{
    __asm__ volatile("pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc");
    active = 0;
    *r = result;
}

static void on_alarm(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info;
    if (!active)
        return;
    n_last = 0;
    burst_left = burst;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] |= 0x100ll;
}

/* Through Py_FinalizeEx() and all that the process does before the destructors of libraries run: every instruction, or
 * so many in a row after each 50 us and, later, more. */
void step_to_the_end(uint64_t in_a_row)
{
    to_the_end = true;
    most_steps = UINT64_MAX;
    burst = in_a_row;
    if (!burst) {
        step_start(UINT64_MAX);
        return;
    }
    struct sigaction act = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigfillset(&act.sa_mask);
    sigaction(SIGALRM, &act, NULL);
    active = 1;
    raise(SIGALRM); /* the first ones are this function's way back, so that some have a Python frame */
}

/* Steps some here, as after every 50 us. */
void step_some(void)
{
    if (burst)
        raise(SIGALRM);
}

__attribute__((destructor)) static void report(void)
{
    struct result r;
    if (!to_the_end)
        return;
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    step_stop(&r);
    char text[768];
    int n = snprintf(text, sizeof text, "%lu %lu %lu %lu %lu %lu %lu %lu %lu %s\n", r.steps, r.accepted, r.ending, r.jumps,
                     r.rejected[SP_PY_BAD_TSTATE], r.early, r.back, r.spans, r.wrong_spans, r.jump);
    if (write(1, text, (size_t)n) != n)
        _exit(9);
}
