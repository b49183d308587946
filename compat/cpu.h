/* SPDX-License-Identifier: MIT
 * What differs by processor: system calls without libc, the thread pointer, registers of an interrupted
 * context. Raw calls keep errno untouched and bind to no symbol version. */
#ifndef SP_COMPAT_CPU_H
#define SP_COMPAT_CPU_H

#include <errno.h>
#include <signal.h>
#include <ucontext.h>

#include "compat/base.h"

/* What an interrupted context says of a system call, if it was interrupted at the end of one. */
struct sp_cpu_call {
    uintptr_t instruction;
    long nr;      /* negative: this processor does not keep it */
    long args[5]; /* the first: -1 where the result has taken its place */
};

#if defined(__x86_64__)

/* A system call: its result, or negative errno. */
SP_INLINE long sp_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
    long r;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return r;
}

/* Where libc keeps the calling thread's descriptor; in a raw clone without CLONE_SETTLS it is the creator's. */
SP_INLINE uintptr_t sp_cpu_thread_pointer(void)
{
    uintptr_t tp;
    __asm__ volatile("mov %%fs:0, %0" : "=r"(tp));
    return tp;
}

#define SP_CPU_DESCRIPTOR_STEP 8 /* libc's descriptor lies from the thread pointer upwards */

/* The stack pointer of the code that the signal with this context interrupted. */
SP_INLINE uintptr_t sp_cpu_context_sp(const void *uc)
{
    return (uintptr_t)((const ucontext_t *)uc)->uc_mcontext.gregs[REG_RSP];
}

/* Says nothing of whether that was a system call: ask sp_cpu_is_syscall() of the instruction, if it can be read. */
SP_INLINE struct sp_cpu_call sp_cpu_context_call(const void *uc)
{
    const greg_t *r = ((const ucontext_t *)uc)->uc_mcontext.gregs;
    return (struct sp_cpu_call){(uintptr_t)r[REG_RIP] - 2, -1, {r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8]}};
}

/* The address of a system call that may be about to begin anew, because the first handler that interrupted it has SA_RESTART; else 0.
 * The instruction leaves in rcx where it returns to (syscall in the processor's manual): before a first time that is seldom there.
 * Whether it is one sp_cpu_is_syscall() tells. */
SP_INLINE uintptr_t sp_cpu_context_restarts(const void *uc)
{
    const greg_t *r = ((const ucontext_t *)uc)->uc_mcontext.gregs;
    return r[REG_RCX] == r[REG_RIP] + 2 ? (uintptr_t)r[REG_RIP] : 0;
}

/* The number of the system call that sp_cpu_context_restarts() found. */
SP_INLINE long sp_cpu_context_restarted(const void *uc)
{
    return (long)((const ucontext_t *)uc)->uc_mcontext.gregs[REG_RAX];
}

/* Has that call end with EINTR and not begin. */
SP_INLINE void sp_cpu_context_interrupt(void *uc)
{
    greg_t *r = ((ucontext_t *)uc)->uc_mcontext.gregs;
    r[REG_RAX] = -EINTR;
    r[REG_RIP] += 2;
}

#define SP_CPU_RESTARTS_ARE_TOLD 1 /* by registers alone */

/* Reads the instruction. */
SP_INLINE bool sp_cpu_is_syscall(uintptr_t instruction)
{
    const uint8_t *code = (const uint8_t *)instruction;
    return code[0] == 0x0f && code[1] == 0x05;
}

/* Whether what a return address points to stands behind a call: direct, by a register, by a pointer in memory. */
SP_INLINE bool sp_cpu_is_behind_call(uintptr_t address)
{
    const uint8_t *code = (const uint8_t *)address;
    return code[-5] == 0xe8 || (code[-2] == 0xff && (code[-1] & 0x38) == 0x10) || (code[-6] == 0xff && code[-5] == 0x15);
}

/* A return address as it is on the stack, without what the processor put into it to know it again. */
SP_INLINE uintptr_t sp_cpu_strip(uintptr_t address)
{
    return address;
}

/* An address without what the processor ignores. */
SP_INLINE uintptr_t sp_cpu_untagged(uintptr_t address)
{
    return address;
}

/* What became of the fault that a signal with a code of the kernel's speaks of. SP_CPU_REPEATS: the interrupted code raises
 * it again when it goes on; a breakpoint instruction and a system call that a filter refused are wound back for that (the
 * call's registers are those of before: seccomp(2)). SP_CPU_OVER: it was raised, and will not be again. SP_CPU_SENT: the
 * process sent itself a signal that looks so; of faults that repeat by themselves this cannot be told. */
enum sp_cpu_fault { SP_CPU_REPEATS, SP_CPU_OVER, SP_CPU_SENT };

/* Winds the context back for SP_CPU_REPEATS where that is needed. */
SP_INLINE enum sp_cpu_fault sp_cpu_context_fault(void *uc, const siginfo_t *info)
{
    greg_t *regs = ((ucontext_t *)uc)->uc_mcontext.gregs;
    const uint8_t *code = (const uint8_t *)regs[REG_RIP];
    greg_t trap = regs[REG_TRAPNO];
    int back = 0;
    switch (info->si_signo) {
    case SIGTRAP:
        if (trap != 1 && trap != 3) /* debug, breakpoint */
            return SP_CPU_SENT;
        back = code[-1] == 0xcc /* int3 */ || code[-1] == 0xf1 /* int1 */;
        break;
    case SIGSYS:
        if (info->si_call_addr != code)
            return SP_CPU_SENT;
        back = (code[-2] == 0x0f && code[-1] == 0x05) || (code[-2] == 0xcd && code[-1] == 0x80) ? 2 : 0;
        break;
    case SIGSEGV: /* by an instruction: stack, protection, page; else by a signal frame that could not be read or written */
        return info->si_code != SI_KERNEL || (trap >= 12 && trap <= 14) ? SP_CPU_REPEATS : SP_CPU_OVER;
    default: return SP_CPU_REPEATS;
    }
    regs[REG_RIP] -= back;
    return back ? SP_CPU_REPEATS : SP_CPU_OVER;
}

/* Raises a fault here and now, of the signals for which the above may say SP_CPU_OVER. */
SP_INLINE void sp_cpu_raise(int sig)
{
    if (sig == SIGTRAP)
        __asm__ volatile("int3");
    else if (sig == SIGSEGV)
        *(volatile uint8_t *)0xdead000000000000ul = 0; /* not canonical */
}

/* For what stands in for syscall(): its last argument lies in the caller's stack, where a caller with fewer has something of its own.
 * So it is no parameter, for the compiler may write to those, and what is called by a jump finds it there. */
#define SP_CPU_SYSCALL_PARAMETER
#define SP_CPU_SYSCALL_PASSED
#define SP_CPU_SYSCALL_LAST (((const long *)__builtin_frame_address(0))[2])

/* f(arg) on the stack that ends at `top`, 16-byte aligned. */
SP_INLINE void sp_cpu_call_on(void *top, void (*f)(void *), void *arg)
{
    __asm__ volatile("mov %%rsp, %%rbx\n\tmov %[top], %%rsp\n\tcall *%[f]\n\tmov %%rbx, %%rsp"
                     : [top] "+r"(top), [f] "+r"(f), "+D"(arg)
                     :
                     : "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2",
                       "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                       "xmm15");
}

/* clone(flags) to a process that calls f(NULL), which never returns, on the stack that ends at `top`, 16-byte aligned, with this
 * thread pointer, of zeroed memory: its id, or negative errno. pid: for CLONE_PARENT_SETTID. */
SP_INLINE long sp_cpu_clone(long flags, void *top, int *pid, uintptr_t thread_pointer, void (*f)(void *))
{
    long r;
    register long r10 __asm__("r10") = 0;
    register uintptr_t r8 __asm__("r8") = thread_pointer;
    *(uintptr_t *)thread_pointer = thread_pointer; /* fs:0 */
    __asm__ volatile("syscall\n\ttest %%rax, %%rax\n\tjnz 1f\n\txor %%edi, %%edi\n\tcall *%[f]\n\tud2\n1:"
                     : "=a"(r)
                     : "a"(56l), "D"(flags), "S"(top), "d"(pid), "r"(r10), "r"(r8), [f] "r"(f)
                     : "rcx", "r11", "memory", "cc");
    return r;
}

/* Asks by an instruction sequence that does nothing elsewhere (valgrind.h, RUNNING_ON_VALGRIND). */
SP_INLINE bool sp_cpu_is_valgrind(void)
{
    uint64_t request[6] = {0x1001}, answer = 0;
    __asm__ volatile("rolq $3, %%rdi\n\trolq $13, %%rdi\n\trolq $61, %%rdi\n\trolq $51, %%rdi\n\txchgq %%rbx, %%rbx"
                     : "+d"(answer)
                     : "a"(request)
                     : "memory", "cc");
    return answer != 0;
}

#define SP_CPU_DLSYM_VERSION "GLIBC_2.2.5"
#define SP_CPU_MUTEX_BYTES 40 /* glibc's pthread_mutex_t */
/* User addresses have at most so many bits; beyond, a read is no page fault but a protection fault. */
#define SP_CPU_USER_BITS 56      /* with 5-level paging (Linux, Documentation/arch/x86/x86_64/5level-paging.rst) */
#define SP_CPU_CODE_ALIGN 0      /* low bits of an instruction's address that say nothing */
#define SP_CPU_SIGNAL_FRAME 4096 /* where the kernel does not say: Linux before 5.14; with AVX-512 it is 3.4 KB */

#elif defined(__aarch64__)

SP_INLINE long sp_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = nr;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}

SP_INLINE uintptr_t sp_cpu_thread_pointer(void)
{
    return (uintptr_t)__builtin_thread_pointer();
}

#define SP_CPU_DESCRIPTOR_STEP (-8) /* from there downwards */

SP_INLINE uintptr_t sp_cpu_context_sp(const void *uc)
{
    return (uintptr_t)((const ucontext_t *)uc)->uc_mcontext.sp;
}

#define SP_CPU_RESTARTS_ARE_TOLD 0
#define SP_CPU_CALLS 1024 /* numbers of system calls stay below */

SP_INLINE struct sp_cpu_call sp_cpu_context_call(const void *uc)
{
    const mcontext_t *m = &((const ucontext_t *)uc)->uc_mcontext;
    const unsigned long long *x = m->regs;
    return (struct sp_cpu_call){(uintptr_t)m->pc - 4, (long)x[8], {-1, (long)x[1], (long)x[2], (long)x[3], (long)x[4]}};
}

/* No register tells it from a first time, in which two signals at once seldom find it; that the call ends with EINTR then is what it
 * does where they come an instant later. The kernel has put the first argument back (arch/arm64/kernel/signal.c, do_signal). */
SP_INLINE uintptr_t sp_cpu_context_restarts(const void *uc)
{
    const mcontext_t *m = &((const ucontext_t *)uc)->uc_mcontext;
    return m->regs[8] < SP_CPU_CALLS && !(m->pc & 3) ? (uintptr_t)m->pc : 0;
}

SP_INLINE long sp_cpu_context_restarted(const void *uc)
{
    return (long)((const ucontext_t *)uc)->uc_mcontext.regs[8];
}

SP_INLINE void sp_cpu_context_interrupt(void *uc)
{
    mcontext_t *m = &((ucontext_t *)uc)->uc_mcontext;
    m->regs[0] = (unsigned long long)-EINTR;
    m->pc += 4;
}

SP_INLINE bool sp_cpu_is_syscall(uintptr_t instruction)
{
    return *(const uint32_t *)instruction == 0xd4000001u; /* svc #0 */
}

SP_INLINE bool sp_cpu_is_behind_call(uintptr_t address)
{
    uint32_t code = (address & 3) ? 0 : ((const uint32_t *)address)[-1];
    return code >> 26 == 0x25 /* bl */ || (code & 0xfefff000) == 0xd63f0000 /* blr, and its authenticating forms */;
}

/* Takes the authentication code out (xpaclri: nothing on older processors). */
SP_INLINE uintptr_t sp_cpu_strip(uintptr_t address)
{
    register uintptr_t x30 __asm__("x30") = address;
    __asm__("hint #7" : "+r"(x30));
    return x30;
}

/* The processor ignores the upper byte (arm64/tagged-pointers.rst in the kernel's documentation): allocators put tags there. */
SP_INLINE uintptr_t sp_cpu_untagged(uintptr_t address)
{
    return address & UINTPTR_MAX >> 8;
}

enum sp_cpu_fault { SP_CPU_REPEATS, SP_CPU_OVER, SP_CPU_SENT };

SP_INLINE enum sp_cpu_fault sp_cpu_context_fault(void *uc, const siginfo_t *info)
{
    unsigned long long *pc = &((ucontext_t *)uc)->uc_mcontext.pc; /* of a breakpoint it is the instruction itself */
    if (info->si_signo == SIGSYS) {
        if ((uintptr_t)info->si_call_addr != *pc)
            return SP_CPU_SENT;
        *pc -= 4; /* svc */
    }
    return info->si_signo == SIGSEGV && info->si_code == SI_KERNEL ? SP_CPU_OVER : SP_CPU_REPEATS;
}

SP_INLINE void sp_cpu_raise(int sig)
{
    if (sig == SIGTRAP)
        __asm__ volatile("brk #0");
    else if (sig == SIGSEGV)
        *(volatile uint8_t *)0x00dead0000000000ul = 0; /* of neither half of the addresses */
}

/* All arguments are in registers. */
#define SP_CPU_SYSCALL_PARAMETER , long last
#define SP_CPU_SYSCALL_PASSED , last
#define SP_CPU_SYSCALL_LAST last

/* As above, by the procedure call standard of this processor: x19 keeps the stack pointer. */
SP_INLINE void sp_cpu_call_on(void *top, void (*f)(void *), void *arg)
{
    register void *x0 __asm__("x0") = arg;
    __asm__ volatile("mov x19, sp\n\tmov sp, %[top]\n\tblr %[f]\n\tmov sp, x19"
                     : "+r"(x0)
                     : [top] "r"(top), [f] "r"(f)
                     : "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16",
                       "x17", "x18", "x19", "x30", "memory", "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v16", "v17",
                       "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31");
}

SP_INLINE bool sp_cpu_is_valgrind(void)
{
    uint64_t request[6] = {0x1001};
    register uint64_t x3 __asm__("x3") = 0;
    register uint64_t *x4 __asm__("x4") = request;
    __asm__ volatile("ror x12, x12, #3\n\tror x12, x12, #13\n\tror x12, x12, #51\n\tror x12, x12, #61\n\torr x10, x10, x10"
                     : "+r"(x3)
                     : "r"(x4)
                     : "memory", "cc");
    return x3 != 0;
}

SP_INLINE long sp_cpu_clone(long flags, void *top, int *pid, uintptr_t thread_pointer, void (*f)(void *))
{
    register long x8 __asm__("x8") = 220;
    register long x0 __asm__("x0") = flags;
    register void *x1 __asm__("x1") = top;
    register int *x2 __asm__("x2") = pid;
    register uintptr_t x3 __asm__("x3") = thread_pointer;
    register long x4 __asm__("x4") = 0;
    __asm__ volatile("svc 0\n\tcbnz x0, 1f\n\tblr %[f]\n\tbrk #1\n1:"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), [f] "r"(f)
                     : "x30", "memory", "cc");
    return x0;
}

#define SP_CPU_DLSYM_VERSION "GLIBC_2.17"
#define SP_CPU_MUTEX_BYTES 48
#define SP_CPU_USER_BITS 52 /* with LVA (Linux, Documentation/arch/arm64/memory.rst) */
#define SP_CPU_CODE_ALIGN 2
#define SP_CPU_SIGNAL_FRAME 5120 /* without SVE, with which the kernel says (AT_MINSIGSTKSZ) */

#else
#error "spprof: this processor has no compat/cpu.h section yet"
#endif

/* The signals that the interrupted code had blocked. */
SP_INLINE uint64_t sp_cpu_context_mask(const void *uc)
{
    uint64_t mask;
    __builtin_memcpy(&mask, &((const ucontext_t *)uc)->uc_sigmask, sizeof mask);
    return mask;
}

#endif
