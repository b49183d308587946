/* SPDX-License-Identifier: MIT
 * What differs by processor when stacks are walked: registers by their DWARF numbers, calls, signal frames. */
#ifndef SP_COMPAT_UNWIND_CPU_H
#define SP_COMPAT_UNWIND_CPU_H

#include <string.h>

#include "compat/cpu.h"

#if defined(__x86_64__)

#define SP_UNWIND_REGISTERS 17
#define SP_UNWIND_SECOND 3 /* rbx: with the frame pointer what quick rules restore */
#define SP_UNWIND_FP 6
#define SP_UNWIND_SP 7
#define SP_UNWIND_PC 16
#define SP_UNWIND_RETURN 16
#define SP_UNWIND_RETURN_ON_STACK 1 /* a call pushes it: it lies below the frame address */
#define SP_UNWIND_CALL_BYTES 8      /* that a look for a call reads, at most */
#define SP_UNWIND_TRAMPOLINE_BYTES 9
#define SP_UNWIND_TRAMPOLINE_SECOND 7 /* where its second instruction is */

#define SP_UNWIND_KEPT 8 /* registers that a call preserves, the stack pointer, the return address: those that have rules */
SP_INLINE uint32_t sp_unwind_kept(uint64_t number)
{
    return number == 7                    ? 0
           : number == 16                 ? 1
           : number == 6                  ? 2
           : number == 3                  ? 3
           : number >= 12 && number <= 15 ? (uint32_t)number - 8
                                          : SP_UNWIND_KEPT;
}
SP_INLINE uint32_t sp_unwind_number(uint32_t kept)
{
    return kept == 0 ? 7 : kept == 1 ? 16 : kept == 2 ? 6 : kept == 3 ? 3 : kept + 8;
}

/* Where a register lies in an interrupted context, and from the stack pointer of a trampoline. */
SP_INLINE size_t sp_unwind_in_context(uint32_t number)
{
    static const uint8_t index[SP_UNWIND_REGISTERS] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                                                       REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                                       REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
    return offsetof(ucontext_t, uc_mcontext) + sizeof(greg_t) * index[number];
}
#define SP_UNWIND_CONTEXT_ABOVE 0

/* What libc gives the kernel as a signal handler's return address: mov $15, %rax; syscall. No call leads there. */
SP_INLINE bool sp_unwind_is_trampoline(uintptr_t code)
{
    static const uint8_t sigreturn[SP_UNWIND_TRAMPOLINE_BYTES] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
    return memcmp((const void *)code, sigreturn, sizeof sigreturn) == 0;
}

/* Whether a call ends here: with its target's distance, or through a register or memory in one of its lengths. */
SP_INLINE bool sp_unwind_follows_call(uintptr_t code)
{
    const uint8_t *p = (const uint8_t *)code;
    if (p[-5] == 0xe8)
        return true;
    for (int n = 2; n <= 8; n++)
        if (n != 5 && p[-n] == 0xff && (p[1 - n] & 0x38) == 0x10)
            return true;
    return p[-5] == 0xff && (p[-4] & 0x38) == 0x10;
}

#elif defined(__aarch64__)

#define SP_UNWIND_REGISTERS 33
#define SP_UNWIND_SECOND 30 /* the link register */
#define SP_UNWIND_FP 29
#define SP_UNWIND_SP 31
#define SP_UNWIND_PC 32 /* has no number of its own there */
#define SP_UNWIND_RETURN 30
#define SP_UNWIND_RETURN_ON_STACK 0
#define SP_UNWIND_CALL_BYTES 4
#define SP_UNWIND_TRAMPOLINE_BYTES 8
#define SP_UNWIND_TRAMPOLINE_SECOND 4

#define SP_UNWIND_KEPT 3            /* compilers take frame addresses from the stack and the frame pointer alone */
SP_INLINE uint32_t sp_unwind_kept(uint64_t number)
{
    return number == 31 ? 0 : number == 30 ? 1 : number == 29 ? 2 : SP_UNWIND_KEPT;
}
SP_INLINE uint32_t sp_unwind_number(uint32_t kept)
{
    return 31 - kept;
}

SP_INLINE size_t sp_unwind_in_context(uint32_t number)
{
    size_t at = offsetof(ucontext_t, uc_mcontext);
    return number == SP_UNWIND_SP   ? at + offsetof(mcontext_t, sp)
           : number == SP_UNWIND_PC ? at + offsetof(mcontext_t, pc)
                                    : at + offsetof(mcontext_t, regs) + 8ul * number;
}
#define SP_UNWIND_CONTEXT_ABOVE 128 /* the siginfo_t (arch/arm64/kernel/signal.c, struct rt_sigframe) */

/* The vDSO's: mov x8, #139; svc #0 */
SP_INLINE bool sp_unwind_is_trampoline(uintptr_t code)
{
    static const uint32_t sigreturn[2] = {0xd2801168u, 0xd4000001u};
    return memcmp((const void *)code, sigreturn, sizeof sigreturn) == 0;
}

/* bl, or blr in any of its authenticating forms. */
SP_INLINE bool sp_unwind_follows_call(uintptr_t code)
{
    uint32_t i;
    memcpy(&i, (const void *)(code - 4), sizeof i);
    return (i & 0xfc000000u) == 0x94000000u || (i & 0xfefff000u) == 0xd63f0000u;
}

#else
#error "spprof: this processor has no compat/unwind_cpu.h section yet"
#endif

#define SP_UNWIND_BIT(number) (1ull << (number))
#define SP_UNWIND_ALL (SP_UNWIND_BIT(SP_UNWIND_REGISTERS) - 1)

struct sp_unwind_registers {
    uint64_t known; /* a bit for each number whose value is */
    uintptr_t of[SP_UNWIND_REGISTERS];
};

/* [handler] False: its value is not known. */
SP_INLINE bool sp_unwind_get(const struct sp_unwind_registers *r, uint64_t number, uintptr_t *value)
{
    if (number >= SP_UNWIND_REGISTERS || !(r->known & SP_UNWIND_BIT(number)))
        return false;
    *value = r->of[number];
    return true;
}

#endif
