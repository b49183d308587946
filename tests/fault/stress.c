/* SPDX-License-Identifier: MIT
 * Walks the stacks of many threads at arbitrary instants: a timer of real time for each thread that asks, a handler that
 * walks as the sampler does, and checks that each step from caller to callee is one that the program makes. Loaded through
 * ctypes. */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "compat/cpu.h"
#include "compat/os.h"
#include "compat/py.h"

#define CAP 600
#define TEXT_BYTES 64

/* A function of the program is called <letter><level>_..., and called by functions of the level before, with any
 * others in between; the outermost is level 0. */
struct thread_state {
    struct sp_py_frame frames[CAP];
    uint64_t pages[SP_PY_PAGES];
    uintptr_t stack_top;
    uint64_t deaths;
    int busy;
};

struct result {
    uint64_t samples, accepted, nested, no_tstate, impossible, rejected[SP_PY_REJECT_N];
    char example[512];
};

int stress_prepare(void);
int stress_start(long interval_ns);
void stress_stop(void);
void stress_result(struct result *r);

static struct result result;
static volatile int stopping;
static __thread struct thread_state *mine;
static __thread timer_t timer;
static uint64_t n_deaths;
static sp_py_dealloc *original;

static void code_dies(void *code)
{
    __atomic_fetch_add(&n_deaths, 1, __ATOMIC_RELEASE);
    original(code);
}

static int level_of(uintptr_t code, char *text)
{
    struct sp_py_code c;
    if (!sp_py_code_read(code, &c))
        return -2;
    uint32_t n = sp_py_text(c.name, text, TEXT_BYTES);
    text[n < TEXT_BYTES ? n : TEXT_BYTES - 1] = '\0';
    const char *last = strrchr(text, '.'); /* of a qualified name */
    last = last ? last + 1 : text;
    return last[0] == 'l' && last[1] >= '0' && last[1] <= '9' && last[2] == '_' ? last[1] - '0' : -1;
}

/* The functions with a level stand in the order 0, 1, 2, ... from the root on; "l9_" may stand anywhere. */
static void check(const struct sp_py_walk *w)
{
    char text[TEXT_BYTES];
    int want = 0;
    for (uint32_t i = w->n; i-- > 0;) {
        int level = level_of(w->frames[i].code, text);
        if (level == want)
            want++;
        else if (level != -1 && level != 9) {
            if (__atomic_fetch_add(&result.impossible, 1, __ATOMIC_RELAXED) == 0) {
                size_t at = 0;
                for (uint32_t k = w->n; k-- > 0 && at + TEXT_BYTES + 2 < sizeof result.example;) {
                    level_of(w->frames[k].code, text);
                    size_t n = strlen(text);
                    memcpy(result.example + at, text, n);
                    at += n;
                    result.example[at++] = ' ';
                }
                result.example[at] = '\0';
            }
            return;
        }
    }
}

static void on_tick(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info;
    struct thread_state *t = mine;
    if (stopping || !t)
        return;
    if (t->busy) {
        __atomic_fetch_add(&result.nested, 1, __ATOMIC_RELAXED);
        return;
    }
    t->busy = 1;
    __atomic_fetch_add(&result.samples, 1, __ATOMIC_RELAXED);
    uint64_t deaths = __atomic_load_n(&n_deaths, __ATOMIC_ACQUIRE);
    if (deaths != t->deaths)
        memset(t->pages, 0, sizeof t->pages);
    t->deaths = deaths;
    uintptr_t tstate;
    enum sp_py_reject why = sp_py_own_tstate(&tstate);
    if (!why && !tstate) {
        __atomic_fetch_add(&result.no_tstate, 1, __ATOMIC_RELAXED);
    } else {
        struct sp_py_walk w = {
            .frames = t->frames, .cap = CAP, .sp = sp_cpu_context_sp(context), .stack_top = t->stack_top, .pages = t->pages};
        if (!why)
            why = sp_py.ops->walk(&sp_py, tstate, &w);
        if (why) {
            __atomic_fetch_add(&result.rejected[why], 1, __ATOMIC_RELAXED);
            memset(t->pages, 0, sizeof t->pages);
        } else {
            __atomic_fetch_add(&result.accepted, 1, __ATOMIC_RELAXED);
            check(&w);
        }
    }
    t->busy = 0;
}

int stress_prepare(void)
{
    if (!sp_py_probe(dlsym, RTLD_DEFAULT) || !sp_py.layout)
        return -1;
    if (!sp_os_probe_init() || !sp_py_tss_init())
        return -2;
    sp_py_tss_learn_existing_key();
    original = sp_py_hook_code_dealloc(code_dies);
    struct sigaction act = {.sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigfillset(&act.sa_mask);
    return sigaction(SIGRTMIN + 3, &act, NULL);
}

/* The calling thread is walked from now on. */
int stress_start(long interval_ns)
{
    static struct thread_state states[64];
    static int n_states;
    int number = __atomic_fetch_add(&n_states, 1, __ATOMIC_RELAXED);
    if (number >= 64)
        return -1;
    pthread_attr_t attr;
    void *low;
    size_t bytes;
    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        return -1;
    pthread_attr_getstack(&attr, &low, &bytes);
    pthread_attr_destroy(&attr);
    states[number].stack_top = (uintptr_t)low + bytes;
    sp_py_touch();
    mine = &states[number];
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 3};
    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    struct itimerspec when = {{0, interval_ns}, {0, interval_ns}};
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0)
        return -1;
    return timer_settime(timer, 0, &when, NULL);
}

void stress_stop(void)
{
    timer_delete(timer);
    mine = NULL;
}

void stress_result(struct result *r)
{
    *r = result;
}
