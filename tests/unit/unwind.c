/* SPDX-License-Identifier: MIT
 * Walks of real stacks: of this program, its handlers, its threads, fibres, and code that no table has. */
#include "compat/unwind.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "compat/cpu.h"
#include "compat/modules.h"
#include "compat/pages.h"
#include "compat/real.h"
#include "compat/unwind_cpu.h"
#include "compat/unwind_rules.h"
#include "tests/support/unwind_here.h"

static void the_whole_stack(void)
{
    prepare();
    for (int i = 0; i < 3; i++) {
        uint64_t misses = sp_unwind_counts.misses;
        outer(5);
        CHECK(i == 0 || sp_unwind_counts.misses <= misses + 1); /* rules are kept: all but the trampoline's, if there is one */
        check_outer(5, true);
    }
}

static void by_the_mappings(void)
{
    prepare();
    sp_modules_use_mappings();
    outer(5);
    check_outer(5, true);
    struct sp_module m;
    CHECK(sp_module_at(&m, (uintptr_t)&clock_gettime) && m.unwind);
    CHECK(!sp_module_at(&m, (uintptr_t)frames) || m.start < (uintptr_t)frames);
    CHECK(!sp_module_at(&m, 0) && !sp_module_at(&m, UINTPTR_MAX));
}

/* ---- modules, both ways */
static void modules_agree(void)
{
    static uintptr_t address[] = {(uintptr_t)&printf, (uintptr_t)&modules_agree, (uintptr_t)&dlopen, (uintptr_t)&pthread_create,
                                  0};
    static struct sp_module by_loader[SP_ARRAY_LEN(address)], m;
    prepare();
    address[SP_ARRAY_LEN(address) - 1] = (uintptr_t)sp_real_find_in_process("_dl_mcount"); /* the loader's own */
    for (size_t i = 0; i < SP_ARRAY_LEN(address); i++)
        CHECK(sp_module_at(&by_loader[i], address[i]) || !address[i]);
    sp_modules_use_mappings();
    for (size_t i = 0; i < SP_ARRAY_LEN(address) && address[i]; i++) {
        CHECK(sp_module_at(&m, address[i]));
        CHECK(m.start == by_loader[i].start && m.unwind == by_loader[i].unwind);
    }
}

/* ---- signals */
static void nested(int sig)
{
    keep = outer(1) + sig;
}

static void handlers_are_walked_through(void)
{
    static uint8_t alternate[65536];
    stack_t s = {.ss_sp = alternate, .ss_size = sizeof alternate};
    prepare();
    CHECK(sigaltstack(&s, NULL) == 0);
    for (int on_stack = 0; on_stack < 2; on_stack++) {
        struct sigaction act = {.sa_handler = nested, .sa_flags = on_stack ? SA_ONSTACK : 0};
        CHECK(sigaction(SIGUSR2, &act, NULL) == 0);
        raise(SIGUSR2);
        check_outer(1, true);
        CHECK(at(nested) > 0 && at(handlers_are_walked_through) > at(nested));
    }
}

/* ---- stacks that are not the thread's own */
static ucontext_t here, fibre;
static void in_fibre(void)
{
    keep = outer(3);
}

static void fibres(void)
{
    size_t n = 65536;
    prepare();
    uint8_t *stack = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    getcontext(&fibre);
    fibre.uc_stack.ss_sp = stack;
    fibre.uc_stack.ss_size = n;
    fibre.uc_link = &here;
    makecontext(&fibre, in_fibre, 0);
    swapcontext(&here, &fibre);
    check_outer(3, false);
    CHECK(at(in_fibre) > 0 && at(fibres) < 0); /* nothing of another stack */
}

static void *in_thread(void *unknown)
{
    u.stack_top = unknown ? 0 : top_of_stack();
    keep = outer(2);
    check_outer(2, true);
    CHECK(at(in_thread) > 0);
    return NULL;
}

static void threads(void)
{
    pthread_t t;
    prepare();
    for (uintptr_t unknown = 0; unknown < 2; unknown++) {
        pthread_create(&t, NULL, in_thread, (void *)unknown);
        pthread_join(t, NULL);
    }
}

/* ---- code that no table has */
static uintptr_t jit_page(void)
{
    uint8_t *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? 0 : (uintptr_t)p;
}

static void code_of_a_compiler_ends_the_walk(void)
{
    prepare();
    uint8_t *p = (uint8_t *)jit_page();
#ifdef __x86_64__
    static const uint8_t code[] = {0x48, 0x83, 0xec, 0x08, 0xff, 0xd7, 0x48, 0x83, 0xc4, 0x08, 0xc3}; /* calls its argument */
#else
    static const uint32_t code[] = {0xa9bf7bfd, 0xd63f0000, 0xa8c17bfd, 0xd65f03c0};
#endif
    if (!p)
        return;
    memcpy(p, code, sizeof code);
    __builtin___clear_cache((char *)p, (char *)p + sizeof code);
    ((void (*)(int (*)(void)))p)(leaf);
    CHECK_EQ(u.end, SP_UNWIND_NO_MODULE);
    CHECK(at(leaf) > 0 && frames[u.n - 1].pc > (uintptr_t)p && frames[u.n - 1].pc < (uintptr_t)p + sizeof code);
}

/* With a frame pointer, and with nothing at all. */
int bare_with_fp(int (*f)(void)) __attribute__((visibility("hidden")));
int bare(int (*f)(void)) __attribute__((visibility("hidden")));
#ifdef __x86_64__
__asm__(".text\n.hidden bare_with_fp\n.globl bare_with_fp\nbare_with_fp:\npush %rbp\nmov %rsp, %rbp\nsub $32, %rsp\ncall "
        "*%rdi\nleave\nret\n"
        ".hidden bare\n.globl bare\nbare:\npush %rbp\nxor %ebp, %ebp\ncall *%rdi\npop %rbp\nret\n");
#else
__asm__(".text\n.hidden bare_with_fp\n.globl bare_with_fp\nbare_with_fp:\nstp x29, x30, [sp, -48]!\nmov x29, sp\nblr x0\n"
        "ldp x29, x30, [sp], 48\nret\n"
        ".hidden bare\n.globl bare\nbare:\nstp x29, x30, [sp, -48]!\nmov x29, 0\nblr x0\nldp x29, x30, [sp], 48\nret\n");
#endif

FRAME static int calls_bare(int (*f)(int (*)(void)))
{
    return f(leaf) + keep;
}

static void without_a_table(void)
{
    prepare();
    uint64_t counted = sp_unwind_counts.by_frame_pointer;
    calls_bare(bare_with_fp);
    CHECK(at(leaf) > 0 && at(calls_bare) == at(leaf) + 2 && u.end == SP_UNWIND_BOTTOM);
    CHECK(sp_unwind_counts.by_frame_pointer == counted + 1);
    calls_bare(bare);
    CHECK(u.end == SP_UNWIND_NO_RULE && (int)u.n == at(leaf) + 2);
}

/* ---- frames that another register than the stack's or the frame's leads to, below one that aligned its stack by hand */
#ifdef __x86_64__
#define BY_REGISTER(name, number)                                                                                  \
    int name(int (*f)(void)) __attribute__((visibility("hidden")));                                                \
    __asm__(".text\n.hidden " #name "\n.globl " #name "\n.type " #name ", @function\n" #name ":\n.cfi_startproc\n" \
            "push %" #number "\n.cfi_adjust_cfa_offset 8\n.cfi_offset %" #number ", -16\n"                         \
            "mov %rsp, %" #number "\n.cfi_def_cfa_register %" #number "\nsub $48, %rsp\ncall *%rdi\n"              \
            "mov %" #number ", %rsp\n.cfi_def_cfa_register %rsp\npop %" #number                                    \
            "\n.cfi_adjust_cfa_offset -8\nret\n.cfi_endproc")
BY_REGISTER(by_rbx, rbx);
BY_REGISTER(by_r12, r12);

FRAME static int aligned(void)
{
    int n = keep & 7;
    _Alignas(64) volatile char space[64];
    volatile char more[n + 16]; /* of no fixed size: the frame pointer alone says where the frame is */
    space[0] = more[0] = 1;
    __asm__ volatile("xor %%ebx, %%ebx\n\txor %%r12d, %%r12d" ::: "rbx", "r12", "cc");
    return leaf() + space[0] + more[0];
}

FRAME static int calls(int (*f)(int (*)(void)))
{
    return f(aligned) + keep;
}

/* A call that does not return may be a function's last instruction: the return address lies in the next. */
int ends_in_a_call(int (*f)(void)) __attribute__((visibility("hidden")));
__asm__(
    ".text\n.hidden ends_in_a_call\n.globl ends_in_a_call\n.type ends_in_a_call, @function\nends_in_a_call:\n.cfi_startproc\n"
    "sub $40, %rsp\n.cfi_adjust_cfa_offset 40\nmovq $0, (%rsp)\ncall "
    "*%rdi\n.cfi_endproc\n.cfi_startproc\nnop\nret\n.cfi_endproc");

static int never_returns(void);
FRAME static int leaves(void)
{
    keep = leaf();
    int first = at(leaf);
    CHECK(u.end == SP_UNWIND_BOTTOM && at(leaves) == first + 1 && at(ends_in_a_call) == first + 2);
    CHECK(at(never_returns) == first + 3);
    _exit(0);
}

FRAME static int never_returns(void)
{
    return ends_in_a_call(leaves) + keep;
}

static void a_call_is_the_last_instruction(void)
{
    prepare();
    never_returns();
    CHECK(false);
}

static void frames_by_other_registers(void)
{
    prepare();
    for (int i = 0; i < 4; i++) { /* the later ones by kept rules, which do not follow r12 */
        calls(i % 2 ? by_rbx : by_r12);
        CHECK(u.end == SP_UNWIND_BOTTOM);
        int first = at(leaf);
        CHECK(first > 0 && at(aligned) == first + 1 && at(i % 2 ? by_rbx : by_r12) == first + 2 && at(calls) == first + 3);
    }
}
#endif

static void a_bad_return_is_no_frame(void)
{
    ucontext_t c;
    uintptr_t stack[64];
    prepare();
    getcontext(&c);
    for (size_t i = 0; i < SP_ARRAY_LEN(stack); i++)
        stack[i] = (uintptr_t)&memcpy + 3;
    for (uint32_t i = 0; i < SP_UNWIND_REGISTERS; i++)
        *(uintptr_t *)((uint8_t *)&c + sp_unwind_in_context(i)) = (uintptr_t)(stack + 2);
    if (!SP_UNWIND_RETURN_ON_STACK)
        *(uintptr_t *)((uint8_t *)&c + sp_unwind_in_context(SP_UNWIND_RETURN)) = stack[0];
    *(uintptr_t *)((uint8_t *)&c + sp_unwind_in_context(SP_UNWIND_PC)) = (uintptr_t)leaf;
    u.frames = frames;
    u.cap = CAP;
    u.stack_top = (uintptr_t)(stack + SP_ARRAY_LEN(stack));
    sp_unwind(&u, &c);
    CHECK_EQ(u.end, SP_UNWIND_BAD_RETURN);
    CHECK_EQ(u.n, 1);
}

/* Whatever the registers are: no fault. */
static void any_registers(void)
{
    static uint8_t context[sizeof(ucontext_t) + 512];
    uint64_t x = 88172645463325252ull;
    static const uint64_t somewhere[] = {0, 8, 4095, 1ul << 46, ~0ul, ~7ul, 0xdead000000000000ul};
    prepare();
    for (int i = 0; i < 200000; i++) {
        for (uint32_t k = 0; k < SP_UNWIND_REGISTERS; k++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            uintptr_t v = x % 5 == 0   ? somewhere[x / 5 % SP_ARRAY_LEN(somewhere)]
                          : x % 5 == 1 ? (uintptr_t)&x + (x >> 40) % 4096
                          : x % 5 == 2 ? ((uintptr_t)&x & ~7ul) + 8 * ((x >> 40) % 4096)
                          : x % 5 == 3 ? (uintptr_t)&printf + (x >> 40) % 100000
                                       : (uintptr_t)&any_registers + (x >> 40) % 4096;
            *(uintptr_t *)(context + sp_unwind_in_context(k)) = v;
        }
        u.frames = frames;
        u.cap = CAP;
        sp_unwind(&u, context);
        CHECK(u.n <= CAP && u.end < SP_UNWIND_ENDS);
    }
}

/* A fibre's stack just below a thread's own: the guard page between them belongs to neither. */
static void a_guard_page_is_no_fault(void)
{
    static uint8_t context[sizeof(ucontext_t) + 512];
    uint64_t x = 88172645463325252ull;
    char *stack = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(stack != MAP_FAILED && mprotect(stack + 4096, 4096, PROT_NONE) == 0);
    prepare();
    for (int i = 0; i < 20000; i++) {
        for (uint32_t k = 0; k < SP_UNWIND_REGISTERS; k++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            uintptr_t v = (uintptr_t)stack + 8 * ((x >> 40) % 1536);
            if (k == SP_UNWIND_SP)
                v = (uintptr_t)stack + 8 * ((x >> 40) % 512);
            if (k == SP_UNWIND_PC)
                v = (uintptr_t)&printf + (x >> 40) % 100000;
            *(uintptr_t *)(context + sp_unwind_in_context(k)) = v;
        }
        u.frames = frames;
        u.cap = CAP;
        u.stack_top = (uintptr_t)stack + 3 * 4096;
        sp_unwind(&u, context);
        CHECK(u.n <= CAP && u.end < SP_UNWIND_ENDS);
    }
    munmap(stack, 3 * 4096);
}

static void room_ends(void)
{
    prepare();
    outer(5);
    uint32_t whole = u.n;
    ucontext_t c;
    getcontext(&c);
    for (uint32_t cap = 1; cap < 4; cap++) {
        u.cap = cap;
        sp_unwind(&u, &c);
        CHECK(u.n == cap && u.end == SP_UNWIND_FULL);
    }
    CHECK(whole > 8);
}

/* The highest addresses that programs have, and neighbours that share a cell. */
static void rules_of_every_address(void)
{
    const int bits = SP_CPU_CODE_ALIGN ? 48 : 47; /* aarch64 gives programs one more */
    uintptr_t step = 1ul << SP_CPU_CODE_ALIGN, high = (1ul << bits) - 4096;
    sp_unwind_rules_forget();
    for (uintptr_t code = high; code < high + 64 * step; code += step) {
        struct sp_unwind_rule r = {.kind = SP_UNWIND_RULE_SP, .offset = (uint32_t)(code / step % 64), .is_return = true};
        sp_unwind_rule_keep(code, &r);
        struct sp_unwind_rule found = sp_unwind_rule_find(code + step - 1); /* the byte before a return address */
        CHECK(found.kind == SP_UNWIND_RULE_SP && found.offset == r.offset && found.is_return);
        CHECK(sp_unwind_rule_find(code ^ 1ul << (bits - 1)).kind == SP_UNWIND_RULE_NONE);
    }
    sp_unwind_rules_forget();
    CHECK(sp_unwind_rule_find(high).kind == SP_UNWIND_RULE_NONE);
}

const struct unit_case unit_cases[] = {
    {"rules_of_every_address", rules_of_every_address},
    {"the_whole_stack", the_whole_stack},
    {"by_the_mappings", by_the_mappings},
    {"modules_agree", modules_agree},
    {"handlers_are_walked_through", handlers_are_walked_through},
    {"fibres", fibres},
    {"threads", threads},
    {"code_of_a_compiler_ends_the_walk", code_of_a_compiler_ends_the_walk},
    {"without_a_table", without_a_table},
#ifdef __x86_64__
    {"frames_by_other_registers", frames_by_other_registers},
    {"a_call_is_the_last_instruction", a_call_is_the_last_instruction},
#endif
    {"a_bad_return_is_no_frame", a_bad_return_is_no_frame},
    {"any_registers", any_registers},
    {"a_guard_page_is_no_fault", a_guard_page_is_no_fault},
    {"room_ends", room_ends},
    {NULL, NULL},
};
