/* SPDX-License-Identifier: MIT
 * Walks the native stack after every machine instruction and compares it with a shadow stack: the trap flag raises SIGTRAP after
 * each, and what calls and returns did since the last is kept. Loaded through ctypes; x86-64 only. */
#include <dlfcn.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <ucontext.h>

#include "compat/os.h"
#include "compat/real.h"
#include "compat/unwind.h"

#define CAP 4096

struct result {
    uint64_t steps, right, too_short, wrong, table_faults, jit, moved, ends[SP_UNWIND_ENDS];
    uint64_t asked, differing; /* of another unwinder */
    uint64_t frames, misses, by_frame_pointer;
    char first[1024]; /* the first that was not right, in words */
};

typedef int oracle(void *context, void **pcs, int cap);

int native_prepare(oracle *other, uint64_t every);
void native_start(uint64_t more);
void native_stop(struct result *r);

/* By hand, so that the table is right at each of their instructions, too. */
__attribute__((visibility("hidden"))) void native_flag_on(void);
__attribute__((visibility("hidden"))) void native_flag_off(void);
#define FLAG(name, operation)                                                                               \
    __asm__(".hidden " #name "\n.globl " #name "\n.type " #name ", @function\n" #name ":\n.cfi_startproc\n" \
            "pushfq\n.cfi_adjust_cfa_offset 8\n" operation "\npopfq\n.cfi_adjust_cfa_offset -8\nret\n"      \
            ".cfi_endproc\n.size " #name ", .-" #name)
FLAG(native_flag_on, "orq $0x100, (%rsp)");
FLAG(native_flag_off, "andq $~0x100, (%rsp)");

static struct result result;
static uint64_t most_steps, ask_every;
static volatile int active;
static bool begun;
static oracle *other_unwinder;
static struct sp_unwind u;
static struct sp_unwind_frame frames[CAP];
static struct {
    uintptr_t slot, to;
} shadow[CAP];
static uint32_t n_shadow;
static uintptr_t last_pc, last_sp;

static bool is_call(uintptr_t pc)
{
    const uint8_t *p = (const uint8_t *)pc;
    for (int i = 0; i < 4; i++, p++) {
        if (*p == 0xe8)
            return true;
        if (*p == 0xff)
            return (p[1] & 0x38) == 0x10;
        bool is_prefix = (*p >= 0x40 && *p <= 0x4f) || *p == 0x3e || *p == 0xf2 || *p == 0x66 || *p == 0x67;
        if (!is_prefix)
            return false;
    }
    return false;
}

/* What gcc 15 says is wrong between pop %rbp and the end of a function that aligned its stack:
 * pop %rbp; lea -8(%r10), %rsp; ret */
static bool is_wrong_table(uintptr_t pc)
{
    static const uint8_t end[] = {0x5d, 0x49, 0x8d, 0x62, 0xf8, 0xc3};
    return memcmp((void *)(pc - 1), end, sizeof end) == 0 || memcmp((void *)(pc - 5), end, sizeof end) == 0;
}

static void describe(const char *what, uint32_t at)
{
    size_t n = strlen(result.first);
    Dl_info i = {0};
    uintptr_t pc = frames[at < u.n ? at : u.n - 1].pc;
    dladdr((void *)pc, &i);
    snprintf(result.first + n, sizeof result.first - n, "%s at frame %u of %u (shadow %u), end %d, leaf %lx, in %s+%lx (%s) | ",
             what, at, u.n, n_shadow, u.end, (unsigned long)frames[0].pc, i.dli_fname ? i.dli_fname : "?",
             (unsigned long)(pc - (uintptr_t)i.dli_fbase), i.dli_sname ? i.dli_sname : "?");
}

/* Whether the walk ended in code that has no table: a closure that libffi made, in no library or in its own. */
static bool is_jit(void)
{
    Dl_info i;
    return u.end == SP_UNWIND_NO_RULE || (u.end == SP_UNWIND_NO_MODULE && !dladdr((void *)frames[u.n - 1].pc, &i));
}

static void compare(uintptr_t pc)
{
    uint32_t i = 0, moved = 0;
    for (; i < n_shadow && i + 1 < u.n && frames[i + 1].pc == shadow[n_shadow - 1 - i].to; i++)
        moved += frames[i].cfa - 8 != shadow[n_shadow - 1 - i].slot; /* libffi puts the return address elsewhere */
    if (i == n_shadow) {
        result.right++;
        result.moved += moved != 0;
    } else if (is_wrong_table(pc)) {
        result.table_faults++;
    } else if (i + 1 >= u.n && is_jit()) {
        result.jit++;
    } else if (i + 1 >= u.n) {
        result.too_short++;
        result.ends[u.end]++;
        if (result.too_short < 4)
            describe("short", i);
    } else {
        result.wrong++;
        if (result.wrong < 4)
            describe("wrong", i);
    }
}

/* What the walk says of a stack that was there before: everything later is compared with calls that were seen. */
static void take_over(void)
{
    n_shadow = 0;
    for (uint32_t i = u.n - 1; i-- > 0;) {
        shadow[n_shadow].slot = frames[i].cfa - 8;
        shadow[n_shadow++].to = frames[i + 1].pc;
    }
}

static bool is_return(uintptr_t pc)
{
    const uint8_t *p = (const uint8_t *)pc;
    return *p == 0xc3 || *p == 0xc2 || (*p == 0xf3 && p[1] == 0xc3) || (*p == 0xf2 && p[1] == 0xc3);
}

/* What the last instruction did. libffi goes on above the place of its return address, which it has put elsewhere: only a return
 * takes one away. A return that leads where nothing called is a jump. */
static void follow(uintptr_t pc, uintptr_t sp)
{
    if (sp == last_sp - 8 && n_shadow < CAP && is_call(last_pc)) {
        shadow[n_shadow].slot = sp;
        shadow[n_shadow++].to = *(uintptr_t *)sp;
    } else if (is_return(last_pc) && n_shadow && shadow[n_shadow - 1].to == pc) {
        n_shadow--;
    }
}

static void ask_other(void *context)
{
    static void *pcs[CAP];
    int n = other_unwinder(context, pcs, CAP);
    bool same = n == (int)u.n;
    for (uint32_t i = 0; same && i < u.n; i++)
        same = frames[i].pc == (uintptr_t)pcs[i];
    result.asked++;
    if (!same && !is_wrong_table(frames[0].pc) && result.differing++ == 0)
        describe("not what the other says", 0);
}

static void on_step(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info;
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
    if (!active || result.steps >= most_steps) {
        g[REG_EFL] &= ~0x100ll;
        return;
    }
    result.steps++;
    u.frames = frames;
    u.cap = CAP;
    sp_unwind(&u, context);
    result.frames += u.n;
    if (begun) {
        follow((uintptr_t)g[REG_RIP], (uintptr_t)g[REG_RSP]);
        compare((uintptr_t)g[REG_RIP]);
    } else {
        take_over();
        begun = true;
    }
    if (other_unwinder && result.steps % ask_every == 0)
        ask_other(context);
    last_pc = (uintptr_t)g[REG_RIP];
    last_sp = (uintptr_t)g[REG_RSP];
}

int native_prepare(oracle *other, uint64_t every)
{
    if (!sp_os_probe_init())
        return -1;
    sp_real_find_all();
    other_unwinder = other;
    ask_every = every;
    u.stack_top = getauxval(AT_RANDOM);
    struct sigaction act = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigfillset(&act.sa_mask);
    return sigaction(SIGTRAP, &act, NULL);
}

/* So many more; the stack as it is then is taken over. */
void native_start(uint64_t more)
{
    most_steps = result.steps + more;
    begun = false;
    active = 1;
    native_flag_on();
}

void native_stop(struct result *r)
{
    native_flag_off();
    active = 0;
    result.misses = sp_unwind_counts.misses;
    result.by_frame_pointer = sp_unwind_counts.by_frame_pointer;
    *r = result;
}
